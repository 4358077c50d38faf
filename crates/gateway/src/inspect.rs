//! Reading a whole answer before the client gets it.
//!
//! Owns the second look that checks need: the answer's events, collected, and the answer written anew when only its text was
//! at fault. Must not judge: what an answer must be is `route`'s. Bytes that pass between equal dialects still pass; they are
//! decoded beside.

use crate::relay::RelayContext;
use bytes::{Bytes, BytesMut};
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::failure::Failure;
use trunkline_route::cascade::Answer;
use trunkline_wire::codec::{Decode, Frame};
use trunkline_wire::dispatch;

/// One answer, read as it comes. The size of an answer bounds what is kept.
pub(crate) struct Inspector {
    decoder: Box<dyn Decode>,
    decoded: Vec<Event>,
    events: Vec<Event>,
    answer: Answer,
    /// Only listens: keeps no events, and what it cannot read is none of its business.
    listens: bool,
    /// It met something that it could not read.
    is_lost: bool,
}

impl Inspector {
    /// An inspector of answers of one attempt.
    #[must_use]
    pub(crate) fn new(context: &RelayContext) -> Self {
        Self {
            decoder: dispatch::decoder(context.provider, context.upstream_operation, context.delivery),
            decoded: Vec::new(),
            events: Vec::new(),
            answer: Answer::default(),
            listens: !context.inspects,
            is_lost: false,
        }
    }

    /// Takes a frame that passes.
    ///
    /// # Errors
    /// What the bytes amount to.
    pub(crate) fn frame(&mut self, frame: Frame<'_>) -> Result<(), Failure> {
        if self.is_lost {
            return Ok(());
        }
        let read = self.decoder.frame(frame, &mut self.decoded);
        self.learn_decoded();
        self.judge(read)
    }

    /// The passing body ended.
    ///
    /// # Errors
    /// `Cut` when the answer was not complete.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if self.is_lost {
            return Ok(());
        }
        let read = self.decoder.end(&mut self.decoded);
        self.learn_decoded();
        self.judge(read)
    }

    /// Takes an event that was decoded elsewhere.
    pub(crate) fn learn(&mut self, event: Event) {
        self.answer.learn(&event);
        if !self.listens {
            self.events.push(event);
        }
    }

    /// The answer so far; `None` when it could not be read.
    #[must_use]
    pub(crate) fn answer(&self) -> Option<&Answer> {
        (!self.is_lost).then_some(&self.answer)
    }

    /// The same answer with another text in its first choice, for the client. What hangs on places in the old text
    /// (citations, log-probabilities) is left out.
    pub(crate) fn rewrite(&mut self, context: &RelayContext, text: &str) -> Bytes {
        let mut encoder =
            dispatch::encoder(context.client, context.operation, context.delivery, context.encode.clone());
        let mut out = BytesMut::new();
        let mut texts: Vec<u32> = Vec::new();
        let mut written = false;
        for event in &self.events {
            match event {
                Event::PartStart { choice: 0, part, kind: PartKind::Text } => texts.push(*part),
                Event::Delta { choice: 0, part, delta } if texts.contains(part) => {
                    if matches!(delta, Delta::Text(_)) && !written {
                        written = true;
                        let delta = Delta::Text(text.to_owned());
                        encoder.event(&Event::Delta { choice: 0, part: *part, delta }, &mut out);
                    }
                    continue;
                }
                Event::Logprobs { choice: 0, .. } | Event::Citation { choice: 0, .. } => continue,
                _ => {}
            }
            encoder.event(event, &mut out);
        }
        encoder.finish(&mut out);
        self.answer.text = text.to_owned();
        out.freeze()
    }

    fn judge(&mut self, read: Result<(), Failure>) -> Result<(), Failure> {
        self.is_lost = read.is_err();
        if self.listens { Ok(()) } else { read }
    }

    fn learn_decoded(&mut self) {
        for event in std::mem::take(&mut self.decoded) {
            self.learn(event);
        }
    }
}
