//! The walk through canonical events, as stream events or as one response object.
//!
//! Owns which item is under way, the numbering of events and the beginning and end of the response. Must not know the provider. A
//! plain answer is the same walk with the events left out. Items are opened by what they hold, not by their announcement: clients
//! send answers back as they got them, and empty items help nobody.

use super::call::Call;
use super::message::Message;
use super::reasoning::Reasoning;
use crate::carried::{self, Place};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::responses::error;
use crate::responses::output::{Output, Status};
use crate::tally::Tally;
use crate::write::{Object, whole};
use bytes::BytesMut;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::warning::Warning;

/// Writes one answer.
pub(in crate::responses) struct Encoder {
    context: EncodeContext,
    delivery: Delivery,
    pub(super) output: Output,
    sequence: u64,
    has_started: bool,
    /// What the part under way is, and its number.
    pub(super) part: Part,
    pub(super) number: u32,
    /// Characters of the text parts that are done.
    pub(super) said: usize,
    pub(super) lost: Lost,
    pub(super) item: Item,
    /// Log-probabilities of the text that comes next.
    pub(super) logprobs: Vec<String>,
    /// State of another provider that hangs on the part under way.
    foreign: Option<Opaque>,
    /// What the answer cost, for the last event.
    tally: Option<Tally>,
}

/// The part under way, as its decoder announced it.
#[derive(Default)]
pub(super) enum Part {
    #[default]
    None,
    Text,
    Refusal,
    Thinking,
    Redacted,
    Call,
}

/// The item under way.
#[derive(Default)]
pub(super) enum Item {
    #[default]
    None,
    Message(Message),
    Reasoning(Reasoning),
    Call(Call),
}

impl Encoder {
    pub(in crate::responses) fn new(delivery: Delivery, context: EncodeContext) -> Self {
        let output = Output::new(&context);
        Self {
            context,
            delivery,
            output,
            sequence: 0,
            has_started: false,
            part: Part::None,
            number: 0,
            said: 0,
            lost: Lost::default(),
            item: Item::None,
            logprobs: Vec::new(),
            foreign: None,
            tally: None,
        }
    }

    /// Writes an event; `fields` writes what it holds beside type and number.
    pub(super) fn emit(
        &mut self,
        name: &str,
        out: &mut BytesMut,
        fields: impl FnOnce(&Self, &mut Object<'_, BytesMut>),
    ) {
        if !self.delivery.is_stream() {
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"sequence_number\":");
        whole(out, self.sequence);
        let mut object = Object::continued(out);
        fields(self, &mut object);
        object.close();
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    fn start(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        for name in ["response.created", "response.in_progress"] {
            self.emit(name, out, |this, event| {
                this.output.write(&Status::InProgress, event.key("response"));
            });
        }
    }

    /// Tells of a new item; `write` writes it as it stands.
    pub(super) fn added(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        self.start(out);
        self.emit("response.output_item.added", out, |this, event| {
            event.whole("output_index", this.output.count());
            write(event.key("item"));
        });
    }

    /// Tells of a finished item and keeps it.
    pub(super) fn done(&mut self, item: &BytesMut, out: &mut BytesMut) {
        self.emit("response.output_item.done", out, |this, event| {
            event.whole("output_index", this.output.count());
            event.key("item").extend_from_slice(item);
        });
        self.output.push(item);
    }

    fn part_start(&mut self, kind: &PartKind, out: &mut BytesMut) {
        self.part_end(out);
        self.part = match kind {
            PartKind::Text => Part::Text,
            PartKind::Refusal => {
                self.output.declined = true;
                Part::Refusal
            }
            PartKind::Thinking => Part::Thinking,
            PartKind::RedactedThinking => Part::Redacted,
            PartKind::ToolCall { id, name } => {
                self.close_item(out);
                self.open_call(id, name, out);
                Part::Call
            }
        };
    }

    fn delta(&mut self, delta: &Delta, out: &mut BytesMut) {
        match (delta, &self.part) {
            (Delta::Text(text), _) if text.is_empty() => {}
            (Delta::Text(text), Part::Text) => self.text(text, false, out),
            (Delta::Text(text), Part::Refusal) => self.text(text, true, out),
            (Delta::Text(text), Part::Thinking) => self.thought(text, out),
            (Delta::Arguments(text), Part::Call) => self.arguments(text, out),
            (Delta::Opaque(opaque), Part::Thinking) => {
                let state = match opaque.origin {
                    Dialect::Responses => opaque.value.clone(),
                    _ => carried::carry(opaque, Place::Own),
                };
                self.open_reasoning(out).state = Some(state);
            }
            (Delta::Opaque(opaque), Part::Redacted) => {
                let state = match opaque.origin {
                    Dialect::Responses => opaque.value.clone(),
                    _ => carried::carry(opaque, Place::Redacted),
                };
                self.open_reasoning(out).state = Some(state);
            }
            (Delta::Opaque(opaque), Part::Text | Part::Call) => self.foreign = Some(opaque.clone()),
            _ => {}
        }
    }

    pub(super) fn close_item(&mut self, out: &mut BytesMut) {
        match self.item {
            Item::None => {}
            Item::Message(_) => self.close_message(out),
            Item::Reasoning(_) => self.close_reasoning(out),
            Item::Call(_) => self.close_call(out),
        }
    }

    pub(super) fn part_end(&mut self, out: &mut BytesMut) {
        let has_written = match &self.item {
            Item::Message(message) => message.content.is_some(),
            Item::Reasoning(_) | Item::Call(_) => true,
            Item::None => false,
        };
        match std::mem::take(&mut self.part) {
            Part::None => return,
            // The next part may belong to the same message.
            Part::Text | Part::Refusal => self.close_content(out),
            Part::Thinking | Part::Redacted | Part::Call => self.close_item(out),
        }
        if let Some(opaque) = self.foreign.take() {
            let place = if has_written { Place::Before } else { Place::Alone };
            let state = carried::carry(&opaque, place);
            self.open_reasoning(out).state = Some(state);
            self.close_item(out);
        }
    }

    /// Text of an answer that said nothing: clients expect a message.
    fn fill(&mut self, out: &mut BytesMut) {
        if self.output.count() == 0 && self.output.ended().0 == "completed" {
            self.open_content(false, out);
            self.close_item(out);
        }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { model, created, .. } => {
                self.output.start(model, *created);
                self.start(out);
            }
            Event::PartStart { choice: 0, part, kind } => {
                self.part_start(kind, out);
                self.number = *part;
            }
            Event::Citation { choice: 0, part, citation } => self.cite(*part, citation, out),
            Event::Delta { choice: 0, delta, .. } => self.delta(delta, out),
            Event::PartEnd { choice: 0, .. } => self.part_end(out),
            Event::Logprobs { choice: 0, json } => self.logprobs.extend(crate::responses::logprobs(json)),
            Event::Finish { choice: 0, reason, .. } => {
                self.part_end(out);
                self.output.finish = Some(*reason);
                self.close_item(out);
            }
            Event::Usage(usage) => self.output.usage = Some(*usage),
            Event::Extra { name, json } => self.extra(name, json, out),
            // One answer per response; what others know beside it has no place here.
            Event::PartStart { .. }
            | Event::Delta { .. }
            | Event::PartEnd { .. }
            | Event::Citation { .. }
            | Event::Logprobs { .. }
            | Event::Finish { .. }
            | Event::Embedding { .. }
            | Event::Ranked { .. }
            | Event::End => {}
        }
    }

    fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.start(out);
        self.part_end(out);
        self.close_item(out);
        self.fill(out);
        if !self.delivery.is_stream() {
            self.output.write(&Status::Ended, out);
            return;
        }
        self.lost.comment(out);
        let name = match self.output.ended().0 {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        self.emit(name, out, |this, event| {
            this.output.write(&Status::Ended, event.key("response"));
            if let Some(tally) = &this.tally {
                tally.write_value(event.key("trunkline"));
            }
        });
    }

    fn warnings(&self) -> Vec<Warning> {
        self.lost.warnings()
    }

    fn fail(&mut self, failed: &ClientError, out: &mut BytesMut) {
        // First what the specification has for it, then what makes official clients raise.
        self.start(out);
        self.emit("response.failed", out, |this, event| {
            this.output.write(&Status::Failed(failed), event.key("response"));
        });
        error::write_event(failed, self.context.request_id, self.sequence, out);
    }
}
