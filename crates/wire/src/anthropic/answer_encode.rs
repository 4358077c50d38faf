//! Canonical events as Anthropic stream events.
//!
//! Owns the order the official SDKs accumulate by: `message_start`, blocks opened, filled and closed in turn, then
//! `message_delta` with the cumulative usage, then `message_stop`. Must not hold the answer. A text block is opened by its
//! first text, not before: clients send answers back as they got them, and the API refuses empty text.

use super::citation;
use super::error;
use super::usage;
use crate::carried::{self, Place};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::json_text::JsonText;
use crate::tally::Tally;
use bytes::BytesMut;
use trunkline_model::citation::Citation;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// How an answer ended, in this dialect's words.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    reason: Option<Finish>,
    native: String,
    stop_sequence: Option<String>,
    pub(super) stop_details: Option<Json>,
    /// The model declined in words that its provider marks as such, though it ended like any answer.
    pub(super) declined: bool,
}

impl Ending {
    /// Takes in how the answer ended and keeps what was said of it before.
    pub(super) fn finish(&mut self, reason: Finish, native: &str, stop_sequence: Option<&String>) {
        self.reason = Some(reason);
        self.native = native.to_owned();
        self.stop_sequence = stop_sequence.cloned();
    }

    /// Writes `stop_reason`, `stop_sequence` and what explains a refusal.
    pub(super) fn write(&self, out: &mut BytesMut) {
        let reason = match self.reason {
            Some(Finish::Length) if self.native == "model_context_window_exceeded" => {
                "model_context_window_exceeded"
            }
            Some(Finish::Length) => "max_tokens",
            Some(Finish::ToolCalls) => "tool_use",
            Some(Finish::ContentFilter) => "refusal",
            Some(Finish::Stop) if self.declined => "refusal",
            Some(Finish::Pause) => "pause_turn",
            Some(Finish::Stop) if self.stop_sequence.is_some() => "stop_sequence",
            Some(Finish::Stop | Finish::Error) | None => "end_turn",
        };
        out.field("stop_reason", reason);
        out.key("stop_sequence");
        match &self.stop_sequence {
            Some(text) if self.reason == Some(Finish::Stop) => out.string(text),
            _ => out.null(),
        }
        if let Some(details) = &self.stop_details {
            out.field_raw("stop_details", details.text());
        }
    }
}

/// Writes the fields a message opens with, up to the content.
pub(super) fn write_head(id: &str, model: &str, context: &EncodeContext, out: &mut BytesMut) {
    if id.is_empty() {
        out.field("id", &format!("msg_{}", context.request_id));
    } else {
        out.field("id", id);
    }
    out.field("type", "message");
    out.field("role", "assistant");
    out.field("model", if model.is_empty() { context.model.as_str() } else { model });
}

/// Whether an extra is a content block of this dialect: its name is its type.
pub(super) fn is_block(name: &str, json: &Json) -> bool {
    kind_of(json).is_some_and(|kind| kind == name)
}

fn kind_of(json: &Json) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "type")]
        kind: String,
    }
    json.read::<Head>().ok().map(|head| head.kind)
}

/// The part being written.
#[derive(Default)]
enum Part {
    #[default]
    None,
    /// Text: its block opens with its first text.
    Text {
        open: bool,
    },
    Thinking,
    Redacted {
        written: bool,
    },
    Call,
}

/// Encodes the event stream.
pub(super) struct StreamEncoder {
    context: EncodeContext,
    id: String,
    model: String,
    started: bool,
    part: Part,
    /// The number of that part.
    number: u32,
    lost: Lost,
    /// State of another provider, written in a block of its own after the part it belongs to.
    foreign: Option<Opaque>,
    index: u64,
    usage: Usage,
    tally: Option<Tally>,
    ending: Ending,
}

impl StreamEncoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self {
            context,
            id: String::new(),
            model: String::new(),
            started: false,
            part: Part::None,
            number: 0,
            lost: Lost::default(),
            foreign: None,
            index: 0,
            usage: Usage::default(),
            tally: None,
            ending: Ending::default(),
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if self.started {
            return;
        }
        self.started = true;
        open_event("message_start", out);
        out.key("message");
        out.open_object();
        write_head(&self.id, &self.model, &self.context, out);
        out.raw(r#""content":[],"stop_reason":null,"stop_sequence":null"#);
        out.key("usage");
        usage::write(&self.usage, out);
        out.close_object();
        close_event(out);
    }

    fn open_block(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        self.start(out);
        open_event("content_block_start", out);
        out.field_unsigned("index", self.index);
        out.key("content_block");
        out.open_object();
        write(out);
        out.close_object();
        close_event(out);
    }

    fn close_block(&mut self, out: &mut BytesMut) {
        open_event("content_block_stop", out);
        out.field_unsigned("index", self.index);
        close_event(out);
        self.index += 1;
    }

    fn open_text(&mut self, out: &mut BytesMut) {
        if let Part::Text { open: false } = self.part {
            self.part = Part::Text { open: true };
            self.open_block(out, |out| out.raw(r#""type":"text","text":"""#));
        }
    }

    fn part_start(&mut self, kind: &PartKind, out: &mut BytesMut) {
        self.part_end(out);
        self.ending.declined |= *kind == PartKind::Refusal;
        self.part = match kind {
            PartKind::Text | PartKind::Refusal => Part::Text { open: false },
            PartKind::Thinking => {
                self.open_block(out, |out| out.raw(r#""type":"thinking","thinking":"","signature":"""#));
                Part::Thinking
            }
            PartKind::RedactedThinking => Part::Redacted { written: false },
            PartKind::ToolCall { id, name } => {
                self.open_block(out, |out| {
                    out.field("type", "tool_use");
                    out.field("id", id);
                    out.field("name", name);
                    out.field_raw("input", "{}");
                });
                Part::Call
            }
        };
    }

    fn delta(&mut self, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Text(text) if !text.is_empty() => match self.part {
                Part::Text { .. } => {
                    self.open_text(out);
                    self.block_delta("text_delta", "text", text, out);
                }
                Part::Thinking => self.block_delta("thinking_delta", "thinking", text, out),
                Part::None | Part::Redacted { .. } | Part::Call => {}
            },
            Delta::Arguments(json) if !json.is_empty() && matches!(self.part, Part::Call) => {
                self.block_delta("input_json_delta", "partial_json", json, out);
            }
            Delta::Text(_) | Delta::Arguments(_) => {}
            Delta::Opaque(opaque) => self.opaque(opaque, out),
        }
    }

    /// Tells a source of the text part of that number. A block that is over takes none, and one without text is refused when it comes
    /// back.
    fn cite(&mut self, part: u32, cited: &Citation, out: &mut BytesMut) {
        if !matches!(self.part, Part::Text { open: true }) || self.number != part {
            self.lost.source();
            return;
        }
        let mut written = BytesMut::new();
        if citation::write(cited, &mut self.lost, &mut written) {
            open_event("content_block_delta", out);
            out.field_unsigned("index", self.index);
            out.key("delta");
            out.open_object();
            out.field("type", "citations_delta");
            out.key("citation");
            out.extend_from_slice(&written);
            out.close_object();
            close_event(out);
        }
    }

    fn opaque(&mut self, opaque: &Opaque, out: &mut BytesMut) {
        let own = opaque.origin == Dialect::Anthropic;
        match self.part {
            Part::Thinking if own => self.block_delta("signature_delta", "signature", &opaque.value, out),
            Part::Thinking => {
                let value = carried::carry(opaque, Place::Own);
                self.block_delta("signature_delta", "signature", &value, out);
            }
            Part::Redacted { written: false } => {
                self.part = Part::Redacted { written: true };
                let carried = (!own).then(|| carried::carry(opaque, Place::Redacted));
                self.redacted(carried.as_deref().unwrap_or(&opaque.value), out);
            }
            Part::Text { .. } | Part::Call if !own => self.foreign = Some(opaque.clone()),
            _ => {}
        }
    }

    /// A redacted thinking block, whole: its data comes with its start.
    fn redacted(&mut self, data: &str, out: &mut BytesMut) {
        self.open_block(out, |out| {
            out.field("type", "redacted_thinking");
            out.field("data", data);
        });
        self.close_block(out);
    }

    fn block_delta(&mut self, kind: &str, field: &str, text: &str, out: &mut BytesMut) {
        open_event("content_block_delta", out);
        out.field_unsigned("index", self.index);
        out.key("delta");
        out.open_object();
        out.field("type", kind);
        out.field(field, text);
        out.close_object();
        close_event(out);
    }

    fn part_end(&mut self, out: &mut BytesMut) {
        let part = std::mem::take(&mut self.part);
        if matches!(part, Part::Text { open: true } | Part::Thinking | Part::Call) {
            self.close_block(out);
        }
        if let Some(opaque) = self.foreign.take() {
            let place = if matches!(part, Part::Text { open: false }) { Place::Alone } else { Place::Before };
            self.redacted(&carried::carry(&opaque, place), out);
        }
    }
}

impl Encode for StreamEncoder {
    fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Delta { choice: 0, delta, .. } => self.delta(delta, out),
            Event::Start { id, model, .. } => {
                self.id.clone_from(id);
                self.model.clone_from(model);
            }
            Event::PartStart { choice: 0, part, kind } => {
                self.part_start(kind, out);
                self.number = *part;
            }
            Event::Citation { choice: 0, part, citation } => self.cite(*part, citation, out),
            Event::PartEnd { choice: 0, .. } => self.part_end(out),
            Event::Finish { choice: 0, reason, native, stop_sequence } => {
                self.part_end(out);
                self.ending.finish(*reason, native, stop_sequence.as_ref());
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Extra { name, json } if name == "stop_details" => {
                self.ending.stop_details = Some(json.clone())
            }
            Event::Extra { name, json } if is_block(name, json) => {
                self.part_end(out);
                self.start(out);
                open_event("content_block_start", out);
                out.field_unsigned("index", self.index);
                out.field_raw("content_block", json.text());
                close_event(out);
                self.close_block(out);
            }
            // One answer per message; log-probabilities and others' extras have no place here.
            Event::Delta { .. }
            | Event::PartStart { .. }
            | Event::PartEnd { .. }
            | Event::Citation { .. }
            | Event::Finish { .. }
            | Event::Logprobs { .. }
            | Event::Embedding { .. }
            | Event::Ranked { .. }
            | Event::Extra { .. }
            | Event::End => {}
        }
    }

    fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.start(out);
        self.part_end(out);
        self.lost.comment(out);
        open_event("message_delta", out);
        out.key("delta");
        out.open_object();
        self.ending.write(out);
        out.close_object();
        out.key("usage");
        usage::write(&self.usage, out);
        if let Some(tally) = &self.tally {
            out.extend_from_slice(b",");
            tally.write(out);
        }
        close_event(out);
        open_event("message_stop", out);
        close_event(out);
    }

    fn warnings(&self) -> Vec<Warning> {
        self.lost.warnings()
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        error::encode_error_frame(error, self.context.request_id, out);
    }
}

fn open_event(name: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\"");
}

fn close_event(out: &mut BytesMut) {
    out.extend_from_slice(b"}\n\n");
}
