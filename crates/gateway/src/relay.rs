//! From upstream bytes to client bytes.
//!
//! Owns the one answer path: frames are cut, then either watched and passed on untouched (same dialect on both sides) or
//! decoded to events and written again. Streamed or plain makes no difference here: a plain answer is one frame. Must not
//! know attempts, time or sockets.

use crate::body::Rope;
use crate::continuation::{Prose, Splice, Unfinished};
use crate::inspect::Inspector;
use crate::makers::Watch;
use crate::tokens::Prompt;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use trunkline_model::catalogue::{ModelEntry, ServiceTier, bill};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, Finish};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;
use trunkline_model::money::Cost;
use trunkline_model::record::RequestRecord;
use trunkline_model::usage::{Terms, Usage};
use trunkline_model::warning::Warning;
use trunkline_route::cascade::Answer;
use trunkline_wire::codec::{Decode, Encode, EncodeContext, Observe, Summary};
use trunkline_wire::dispatch;
use trunkline_wire::frame::{Framer, RawFrame};
use trunkline_wire::names::FittedNames;
use trunkline_wire::picture::{self, LeftOut};
use trunkline_wire::relayed::{self, AnswerForm, Asked};
use trunkline_wire::tally::{self, Tally};
use trunkline_wire::veil::Veil;

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
    /// The whole answer is read here before the client gets it.
    pub inspects: bool,
    /// The answer is read as it passes; what cannot be read passes all the same.
    pub listens: bool,
    /// What was asked for.
    pub operation: Operation,
    /// What the provider was asked for: something else where one stands in for the other.
    pub upstream_operation: Operation,
    /// Plain or streamed.
    pub delivery: Delivery,
    /// The client asked for usage in the stream.
    pub stream_usage: bool,
    /// Whose sealed state the answer may hold.
    pub watch: Option<Watch>,
    /// The client asked not to see any reasoning, and the provider may not know.
    pub hides: bool,
    /// Tool names the provider got in another form; the client gets its own back.
    pub names: FittedNames,
    /// What the answer costs, for the end of a stream.
    pub bill: Bill,
    /// What encoders must know.
    pub encode: EncodeContext,
    /// What a relayed answer is read by.
    pub asked: Option<Asked>,
    /// What an estimate of its tokens is made of, where clients expect a count in the answer and its provider may tell none.
    pub uncounted: Option<(Prompt, Usage)>,
}

/// What the request costs by the end of an attempt's answer, once its usage is known.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    /// The answering deployment's prices.
    pub entry: Option<Arc<ModelEntry>>,
    /// What the attempts before cost.
    pub before: Before,
    /// On which terms the head of the answer says that it was served.
    pub terms: Terms,
}

/// The attempts that are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// Their cost.
    pub cost: Cost,
    /// How many of them were sent.
    pub sent: u32,
}

impl Before {
    /// Before any attempt.
    pub(crate) const NONE: Self = Self { cost: Cost::NOTHING, sent: 0 };

    /// Those of a record.
    #[must_use]
    pub(crate) fn of(record: &RequestRecord) -> Self {
        let sent = record.attempts.iter().filter(|attempt| attempt.was_sent()).count();
        Self { cost: record.cost, sent: u32::try_from(sent).unwrap_or(u32::MAX) }
    }
}

impl Bill {
    /// The usage on the terms of the head, where the answer itself tells none.
    fn on_terms(&self, usage: Usage) -> Usage {
        let terms = if usage.terms == Terms::Usual { self.terms } else { usage.terms };
        Usage { terms, ..usage }
    }

    fn tally(&self, usage: &Usage, request_id: RequestId) -> Tally {
        let cost = match &self.entry {
            Some(entry) => bill(entry, ServiceTier::Standard, &self.on_terms(*usage)),
            None => Cost::UNKNOWN,
        };
        let attempts = self.before.sent.saturating_add(1);
        Tally { request_id, cost: self.before.cost.plus(cost), attempts, warnings: Vec::new() }
    }
}

/// One answer on its way.
pub(crate) struct Relay {
    framer: Framer,
    way: Way,
    client: Dialect,
    delivery: Delivery,
    request_id: RequestId,
    bill: Bill,
    asked: Option<Asked>,
    form: AnswerForm,
    /// The upstream said that the answer is complete, and the client was told.
    closed: bool,
    inspector: Option<Box<Inspector>>,
    watch: Option<Watch>,
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
    /// Takes thoughts out, where the client asked not to see any.
    veil: Option<Veil>,
    /// The text so far, where a break may be continued.
    prose: Option<Prose>,
    /// Set once the answer is continued by a second one.
    splice: Option<Splice>,
    /// What the client's protocol has no place for.
    left_out: Option<LeftOut>,
    client: Dialect,
    operation: Operation,
    uncounted: Option<(Prompt, Usage)>,
    /// The client was told an estimate.
    has_estimated: bool,
    /// What the record says already and the end of the stream is to say.
    noted: Option<Warning>,
}

impl Relay {
    /// A relay for one attempt's answer.
    #[must_use]
    pub(crate) fn new(context: &RelayContext) -> Self {
        let RelayContext { client, provider, operation, delivery, .. } = *context;
        let upstream_operation = context.upstream_operation;
        let way = if let Some(asked) = context.asked {
            Way::Pass(relayed::observer(asked, AnswerForm::Whole))
        } else if context.passes {
            Way::Pass(dispatch::observer(provider, operation, delivery, context.stream_usage))
        } else {
            Way::Translate(Box::new(Translation {
                decoder: dispatch::decoder(provider, upstream_operation, delivery),
                encoder: dispatch::encoder(client, operation, delivery, context.encode.clone()),
                events: Vec::new(),
                out: BytesMut::new(),
                summary: Summary::default(),
                names: context.names.clone(),
                veil: context.hides.then(Veil::default),
                prose: context.keeps_text.then(Prose::default),
                splice: None,
                left_out: None,
                client,
                operation,
                uncounted: context.uncounted.clone(),
                has_estimated: false,
                noted: None,
            }))
        };
        let framing = match context.asked {
            Some(_) => AnswerForm::Whole.framing(),
            None => dispatch::framing(provider, delivery),
        };
        Self {
            framer: Framer::new(framing, LARGEST_FRAME),
            way,
            asked: context.asked,
            form: AnswerForm::Whole,
            client,
            delivery,
            request_id: context.encode.request_id,
            bill: context.bill.clone(),
            closed: false,
            inspector: (context.inspects || context.listens).then(|| Box::new(Inspector::new(context))),
            watch: context.watch.clone(),
        }
    }

    /// The answer's head is here: what it says of the terms of the answer, and a relayed answer is what its content type says.
    pub(crate) fn answered(&mut self, content_type: Option<&str>, terms: Terms) {
        self.bill.terms = terms;
        let Some(asked) = self.asked else { return };
        self.form = AnswerForm::of(asked.operation, content_type);
        self.framer = Framer::new(self.form.framing(), LARGEST_FRAME);
        self.way = Way::Pass(relayed::observer(asked, self.form));
    }

    /// Whether a break can only be told by the connection: bytes have no words for it, and of a whole body nothing has come.
    #[must_use]
    pub(crate) fn is_wordless(&self) -> bool {
        self.asked.is_some() && self.form != AnswerForm::Events
    }

    /// The answer so far, where it is read here.
    #[must_use]
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.inspector.as_ref().and_then(|inspector| inspector.answer())
    }

    /// Writes the answer anew with another text, where it was read here; nothing more may follow.
    pub(crate) fn rewrite(&mut self, context: &RelayContext, text: &str) -> Option<Rope> {
        let body = self.inspector.as_mut()?.rewrite(context, text);
        self.closed = true;
        let mut out = Rope::new();
        out.push(body);
        Some(out)
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
            Way::Pass(observer) => {
                observer.end()?;
                if let Some(inspector) = &mut self.inspector {
                    inspector.end()?;
                }
            }
            Way::Translate(translation) => {
                translation.decoder.end(&mut translation.events)?;
                translation.check()?;
                semantic |= translation.write(self.inspector.as_deref_mut(), out);
                if !self.closed {
                    if self.delivery.is_stream() {
                        translation.conclude(&self.bill, self.request_id);
                    }
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

    /// Whether the answer has begun with thoughts that the client does not get.
    #[must_use]
    pub(crate) fn thinks_unseen(&self) -> bool {
        match &self.way {
            Way::Translate(translation) => translation.veil.as_ref().is_some_and(Veil::has_hidden),
            Way::Pass(_) => false,
        }
    }

    /// Ends a broken stream with the client's own error event and nothing that looks like an end.
    pub(crate) fn fail(&mut self, error: &ClientError, out: &mut Rope) {
        if !self.delivery.is_stream() || self.is_wordless() {
            return;
        }
        match &mut self.way {
            Way::Pass(observer) => {
                let mut frame = BytesMut::new();
                let number = observer.summary().next_event;
                dispatch::encode_error_frame(self.client, error, self.request_id, number, &mut frame);
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

    /// Has the end of the stream say what the record says.
    pub(crate) fn note(&mut self, warning: Warning) {
        if let Way::Translate(translation) = &mut self.way {
            translation.noted = Some(warning);
        }
    }

    /// From here on takes a second answer, which goes on in the given part of the client's stream. What was learnt begins anew.
    pub(crate) fn join(&mut self, context: &RelayContext, so_far: &Unfinished) {
        let Way::Translate(translation) = &mut self.way else { return };
        translation.decoder =
            dispatch::decoder(context.provider, context.upstream_operation, context.delivery);
        translation.events.clear();
        translation.summary = Summary::default();
        translation.names = context.names.clone();
        translation.veil = context.hides.then(Veil::default);
        translation.prose = None;
        translation.splice = Some(Splice::new(so_far));
        self.watch.clone_from(&context.watch);
        self.bill.entry.clone_from(&context.bill.entry);
        self.framer = Framer::new(dispatch::framing(context.provider, context.delivery), LARGEST_FRAME);
    }

    /// Which attempts were over when this one was chosen to answer: the loser of a hedge and what was asked about the answer
    /// are only known then. What is held back and told their cost already is told it again.
    pub(crate) fn bill_before(&mut self, before: Before, held: &mut Rope) {
        if self.bill.before == before {
            return;
        }
        self.bill.before = before;
        let Some(usage) = &self.summary().usage else { return };
        let tally = Tally { warnings: self.warnings(), ..self.bill.tally(usage, self.request_id) };
        for piece in held {
            if let Some(corrected) = tally.correct(piece) {
                *piece = corrected;
            }
        }
    }

    /// What was learnt of the answer so far.
    #[must_use]
    pub(crate) fn summary(&self) -> &Summary {
        match &self.way {
            Way::Pass(observer) => observer.summary(),
            Way::Translate(translation) => &translation.summary,
        }
    }

    /// The usage of the answer so far, and on which terms it was served.
    #[must_use]
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.summary().usage.map(|usage| self.bill.on_terms(usage))
    }

    /// What is to be told of the answer beside it.
    #[must_use]
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        match &self.way {
            Way::Pass(_) => Vec::new(),
            Way::Translate(translation) => translation.warnings(),
        }
    }

    fn frame(&mut self, frame: RawFrame, out: &mut Rope) -> Result<bool, Failure> {
        if let Some(watch) = &self.watch {
            watch.frame(frame.frame().data);
        }
        match &mut self.way {
            Way::Pass(observer) => {
                if !frame.has_data() {
                    // Comments and heartbeats keep connections open: they are the client's too.
                    out.push(frame.into_raw());
                    return Ok(false);
                }
                let seen = observer.frame(frame.frame())?;
                if let Some(inspector) = &mut self.inspector {
                    inspector.frame(frame.frame())?;
                }
                if seen.hide {
                    return Ok(seen.semantic);
                }
                // Usage may be told along the way; at the end of the answer it is complete, and only then it is looked for.
                let summary = observer.summary();
                if self.delivery.is_stream()
                    && summary.finish.is_some()
                    && let Some(usage) = &summary.usage
                    && tally::carries_usage(frame.raw())
                    && let Some(pieces) = self.bill.tally(usage, self.request_id).insert(frame.raw())
                {
                    out.extend(pieces);
                } else {
                    out.push(frame.into_raw());
                }
                Ok(seen.semantic)
            }
            Way::Translate(translation) => {
                if !frame.has_data() {
                    return Ok(false);
                }
                translation.decoder.frame(frame.frame(), &mut translation.events)?;
                translation.check()?;
                Ok(translation.write(self.inspector.as_deref_mut(), out))
            }
        }
    }
}

impl Translation {
    /// What of the answer had no place in the client's dialect, and what stands in for what its provider did not tell.
    fn warnings(&self) -> Vec<Warning> {
        let estimated =
            || Warning::emulated("usage", "the provider counts no tokens here: this is an estimate");
        let mut warnings = self.encoder.warnings();
        warnings.extend(self.left_out.map(LeftOut::warning));
        warnings.extend(self.has_estimated.then(estimated));
        warnings
    }

    /// Says at the end of a stream what is told beside it, where its usage is told.
    fn conclude(&mut self, bill: &Bill, request_id: RequestId) {
        if let Some(usage) = &self.summary.usage {
            let warnings = self.noted.take().into_iter().chain(self.warnings()).collect();
            self.encoder.tally(Tally { warnings, ..bill.tally(usage, request_id) });
        }
    }

    /// An answer that its own provider gave up (a call that it could not spell, for example) is none: another deployment may do
    /// better, and no client is told that it is complete.
    fn check(&mut self) -> Result<(), Failure> {
        let given_up = |event: &Event| match event {
            Event::Finish { reason: Finish::Error, native, .. } => Some(native.clone()),
            _ => None,
        };
        let Some(native) = self.events.iter().find_map(given_up) else { return Ok(()) };
        // What it took is known all the same.
        self.events.iter().for_each(|event| self.summary.learn(event));
        let message = format!("the provider gave its own answer up ({native})");
        Err(Failure::new(FailureClass::BadAnswer, message))
    }

    /// Writes the decoded events; true when one of them is part of the answer itself.
    fn write(&mut self, mut inspector: Option<&mut Inspector>, out: &mut Rope) -> bool {
        let mut semantic = false;
        if let Some(veil) = &mut self.veil {
            veil.hide(&mut self.events, &mut |thought| self.summary.learn(thought));
        }
        self.names.restore(&mut self.events);
        if let Some(splice) = &mut self.splice {
            splice.fit(&mut self.events);
        }
        for event in self.events.drain(..) {
            semantic |= event.is_semantic();
            self.summary.learn(&event);
            self.left_out = self.left_out.or_else(|| picture::left_out(self.client, self.operation, &event));
            if let Some(prose) = &mut self.prose {
                prose.learn(&event);
            }
            if matches!(event, Event::End)
                && let Some(usage) = estimate(&mut self.uncounted, &self.summary)
            {
                self.encoder.event(&Event::Usage(usage), &mut self.out);
                self.has_estimated = true;
            }
            self.encoder.event(&event, &mut self.out);
            if let Some(inspector) = &mut inspector {
                inspector.learn(event);
            }
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

/// The tokens that a client is told where its provider told none. What is learnt of the answer stays without.
fn estimate(uncounted: &mut Option<(Prompt, Usage)>, summary: &Summary) -> Option<Usage> {
    let is_told = summary.usage.is_some_and(|usage| usage.prompt() > 0);
    let (prompt, estimated) = uncounted.take().filter(|_| !is_told)?;
    Some(prompt.usage(estimated))
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
                self.beginning.push(text);
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
