//! From upstream bytes to client bytes.
//!
//! Owns the one answer path: frames are cut, then either watched and passed on untouched (same dialect on both sides) or
//! decoded to events and written again. Streamed or plain makes no difference here: a plain answer is one frame. Must not
//! know attempts, time or sockets.

use crate::body::Rope;
use crate::continuation::{Prose, Splice, Unfinished};
use bytes::{Bytes, BytesMut};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;
use trunkline_wire::codec::{Decode, Encode, EncodeContext, Observe, Summary};
use trunkline_wire::dispatch;
use trunkline_wire::frame::{Framer, RawFrame};
use trunkline_wire::names::FittedNames;

/// The largest frame of an answer: a plain answer with inline media is one frame.
const LARGEST_FRAME: usize = 64 * 1024 * 1024;

/// What the relay must know of a request.
#[derive(Clone, Debug)]
pub(crate) struct RelayContext {
    /// The protocol the client speaks.
    pub client: Dialect,
    /// The protocol the provider speaks.
    pub provider: Dialect,
    /// Bytes pass untouched.
    pub passes: bool,
    /// The text is kept, so that another deployment can go on with it.
    pub keeps_text: bool,
    /// What was asked for.
    pub operation: Operation,
    /// Plain or streamed.
    pub delivery: Delivery,
    /// The client asked for usage in the stream.
    pub stream_usage: bool,
    /// Tool names the provider got in another form; the client gets its own back.
    pub names: FittedNames,
    /// What encoders must know.
    pub encode: EncodeContext,
}

/// One answer on its way.
pub(crate) struct Relay {
    framer: Framer,
    way: Way,
    client: Dialect,
    delivery: Delivery,
    request_id: RequestId,
    /// The upstream said that the answer is complete, and the client was told.
    closed: bool,
}

enum Way {
    /// Bytes pass untouched.
    Pass(Box<dyn Observe>),
    /// Bytes are decoded and written again.
    Translate(Box<Translation>),
}

struct Translation {
    decoder: Box<dyn Decode>,
    encoder: Box<dyn Encode>,
    events: Vec<Event>,
    out: BytesMut,
    summary: Summary,
    names: FittedNames,
    /// The text so far, where a break may be continued.
    prose: Option<Prose>,
    /// Set once the answer is continued by a second one.
    splice: Option<Splice>,
}

impl Relay {
    /// A relay for one attempt's answer.
    #[must_use]
    pub(crate) fn new(context: &RelayContext) -> Self {
        let RelayContext { client, provider, operation, delivery, .. } = *context;
        let way = if context.passes {
            Way::Pass(dispatch::observer(provider, operation, delivery, context.stream_usage))
        } else {
            Way::Translate(Box::new(Translation {
                decoder: dispatch::decoder(provider, operation, delivery),
                encoder: dispatch::encoder(client, operation, delivery, context.encode.clone()),
                events: Vec::new(),
                out: BytesMut::new(),
                summary: Summary::default(),
                names: context.names.clone(),
                prose: context.keeps_text.then(Prose::default),
                splice: None,
            }))
        };
        Self {
            framer: Framer::new(dispatch::framing(delivery), LARGEST_FRAME),
            way,
            client,
            delivery,
            request_id: context.encode.request_id,
            closed: false,
        }
    }

    /// Takes a piece of the upstream's body and appends what the client is to get. True when something of the answer itself
    /// was among it.
    ///
    /// # Errors
    /// The typed failure the bytes amount to. What came before it is already appended.
    pub(crate) fn push(&mut self, chunk: Bytes, out: &mut Rope) -> Result<bool, Failure> {
        self.framer.push(chunk);
        let mut semantic = false;
        while let Some(frame) = self.framer.next()? {
            semantic |= self.frame(frame, out)?;
        }
        Ok(semantic)
    }

    /// The upstream's body ended. True when something of the answer came out of what was left.
    ///
    /// # Errors
    /// `Cut` when the answer was not complete.
    pub(crate) fn end(&mut self, out: &mut Rope) -> Result<bool, Failure> {
        let mut semantic = false;
        if let Some(frame) = self.framer.finish()? {
            semantic |= self.frame(frame, out)?;
        }
        match &mut self.way {
            Way::Pass(observer) => observer.end()?,
            Way::Translate(translation) => {
                translation.decoder.end(&mut translation.events)?;
                semantic |= translation.write(out);
                if !self.closed {
                    translation.encoder.finish(&mut translation.out);
                    translation.flush(out);
                }
            }
        }
        self.closed = true;
        Ok(semantic)
    }

    /// Whether bytes pass untouched.
    #[must_use]
    pub(crate) const fn passes(&self) -> bool {
        matches!(self.way, Way::Pass(_))
    }

    /// Whether the provider has said that the answer is complete; what follows is only the end of the body.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.summary().complete
    }

    /// Ends a broken stream with the client's own error event and nothing that looks like an end.
    pub(crate) fn fail(&mut self, error: &ClientError, out: &mut Rope) {
        if !self.delivery.is_stream() {
            return;
        }
        match &mut self.way {
            Way::Pass(_) => {
                let mut frame = BytesMut::new();
                dispatch::encode_error_frame(self.client, error, self.request_id, &mut frame);
                out.push(frame.freeze());
            }
            Way::Translate(translation) => {
                translation.encoder.fail(error, &mut translation.out);
                translation.flush(out);
            }
        }
    }

    /// Takes the text that a broken answer left unfinished, if another deployment may go on with it.
    pub(crate) fn unfinished(&mut self) -> Option<Unfinished> {
        match &mut self.way {
            Way::Translate(translation) => translation.prose.as_mut()?.take(),
            Way::Pass(_) => None,
        }
    }

    /// From here on takes a second answer, which goes on in the given part of the client's stream. What was learnt begins anew.
    pub(crate) fn join(&mut self, context: &RelayContext, part: u32) {
        let Way::Translate(translation) = &mut self.way else { return };
        translation.decoder = dispatch::decoder(context.provider, context.operation, context.delivery);
        translation.events.clear();
        translation.summary = Summary::default();
        translation.names = context.names.clone();
        translation.prose = None;
        translation.splice = Some(Splice::new(part));
        self.framer = Framer::new(dispatch::framing(context.delivery), LARGEST_FRAME);
    }

    /// What was learnt of the answer so far.
    #[must_use]
    pub(crate) fn summary(&self) -> &Summary {
        match &self.way {
            Way::Pass(observer) => observer.summary(),
            Way::Translate(translation) => &translation.summary,
        }
    }

    fn frame(&mut self, frame: RawFrame, out: &mut Rope) -> Result<bool, Failure> {
        match &mut self.way {
            Way::Pass(observer) => {
                if !frame.has_data() {
                    // Comments and heartbeats keep connections open: they are the client's too.
                    out.push(frame.into_raw());
                    return Ok(false);
                }
                let seen = observer.frame(frame.frame())?;
                if !seen.hide {
                    out.push(frame.into_raw());
                }
                Ok(seen.semantic)
            }
            Way::Translate(translation) => {
                if !frame.has_data() {
                    return Ok(false);
                }
                translation.decoder.frame(frame.frame(), &mut translation.events)?;
                Ok(translation.write(out))
            }
        }
    }
}

impl Translation {
    /// Writes the decoded events; true when one of them is part of the answer itself.
    fn write(&mut self, out: &mut Rope) -> bool {
        let mut semantic = false;
        self.names.restore(&mut self.events);
        if let Some(splice) = &mut self.splice {
            splice.fit(&mut self.events);
        }
        for event in self.events.drain(..) {
            semantic |= event.is_semantic();
            self.summary.learn(&event);
            if let Some(prose) = &mut self.prose {
                prose.learn(&event);
            }
            self.encoder.event(&event, &mut self.out);
        }
        if !self.out.is_empty() {
            out.push(self.out.split().freeze());
        }
        semantic
    }

    fn flush(&mut self, out: &mut Rope) {
        if !self.out.is_empty() {
            out.push(self.out.split().freeze());
        }
    }
}

/// Learning from events what an observer learns from bytes.
trait Learn {
    fn learn(&mut self, event: &Event);
}

impl Learn for Summary {
    fn learn(&mut self, event: &Event) {
        match event {
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice: 0, reason, .. } => self.finish = Some(*reason),
            Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text), .. } => {
                self.output_bytes += text.len() as u64;
            }
            Event::End => self.complete = true,
            _ => {}
        }
    }
}

/// A failure for bytes that stopped before anything was said.
#[must_use]
pub(crate) fn empty_answer() -> Failure {
    Failure::new(FailureClass::Malformed, "the provider answered with an empty body")
}
