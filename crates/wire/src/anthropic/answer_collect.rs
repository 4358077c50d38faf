//! Canonical events as one Anthropic message, or one token count.
//!
//! Owns the whole-answer object. Must not know streams. Blocks are written as their pieces come, so that the answer is held
//! once, as the text it will be sent as.

use super::answer_encode::{Ending, is_block, write_head};
use super::citation;
use super::error;
use super::usage;
use crate::carried::{self, Place};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::citation::Citation;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

#[derive(Default)]
enum Part {
    #[default]
    None,
    /// Text in its opened block; `citations` follow it, with commas between.
    Text {
        open: bool,
        citations: BytesMut,
    },
    Thinking {
        signature: String,
    },
    Redacted,
    Call {
        arguments: String,
    },
}

/// Encodes one message.
pub(super) struct PlainEncoder {
    context: EncodeContext,
    id: String,
    model: String,
    content: BytesMut,
    part: Part,
    /// The number of that part.
    number: u32,
    lost: Lost,
    foreign: Option<Opaque>,
    usage: Usage,
    ending: Ending,
}

impl PlainEncoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self {
            context,
            id: String::new(),
            model: String::new(),
            content: BytesMut::new(),
            part: Part::None,
            number: 0,
            lost: Lost::default(),
            foreign: None,
            usage: Usage::default(),
            ending: Ending::default(),
        }
    }

    fn part_start(&mut self, kind: &PartKind) {
        self.part_end();
        self.ending.declined |= *kind == PartKind::Refusal;
        self.part = match kind {
            PartKind::Text | PartKind::Refusal => Part::Text { open: false, citations: BytesMut::new() },
            PartKind::Thinking => {
                self.content.open_object();
                self.content.raw(r#""type":"thinking","thinking":"#);
                self.content.extend_from_slice(b"\"");
                Part::Thinking { signature: String::new() }
            }
            PartKind::RedactedThinking => Part::Redacted,
            PartKind::ToolCall { id, name } => {
                self.content.open_object();
                self.content.field("type", "tool_use");
                self.content.field("id", id);
                self.content.field("name", name);
                Part::Call { arguments: String::new() }
            }
        };
    }

    fn delta(&mut self, delta: &Delta) {
        match (delta, &mut self.part) {
            (Delta::Text(text), Part::Text { open, .. }) => {
                if !*open && !text.is_empty() {
                    *open = true;
                    self.content.open_object();
                    self.content.extend_from_slice(br#""type":"text","text":""#);
                }
                self.content.escaped(text);
            }
            (Delta::Text(text), Part::Thinking { .. }) => self.content.escaped(text),
            (Delta::Arguments(json), Part::Call { arguments }) => arguments.push_str(json),
            (Delta::Opaque(opaque), Part::Thinking { signature }) => {
                *signature = if opaque.origin == Dialect::Anthropic {
                    opaque.value.clone()
                } else {
                    carried::carry(opaque, Place::Own)
                };
            }
            (Delta::Opaque(opaque), Part::Redacted) => {
                if opaque.origin == Dialect::Anthropic {
                    write_redacted(&opaque.value, &mut self.content);
                } else {
                    write_redacted(&carried::carry(opaque, Place::Redacted), &mut self.content);
                }
            }
            (Delta::Opaque(opaque), Part::Text { .. } | Part::Call { .. })
                if opaque.origin != Dialect::Anthropic =>
            {
                self.foreign = Some(opaque.clone());
            }
            _ => {}
        }
    }

    /// Takes a source of the text part of that number.
    fn cite(&mut self, part: u32, cited: &Citation) {
        match &mut self.part {
            Part::Text { open: true, citations } if self.number == part => {
                let kept = citations.len();
                if !citation::write(cited, &mut self.lost, citations) {
                    citations.truncate(kept);
                }
            }
            _ => self.lost.source(),
        }
    }

    fn part_end(&mut self) {
        let part = std::mem::take(&mut self.part);
        let alone = matches!(part, Part::Text { open: false, .. });
        let content = &mut self.content;
        match part {
            Part::Text { open: true, citations } => {
                content.extend_from_slice(b"\"");
                if !citations.is_empty() {
                    content.key("citations");
                    content.open_array();
                    content.extend_from_slice(&citations);
                    content.close_array();
                }
                content.close_object();
            }
            Part::Thinking { signature } => {
                content.extend_from_slice(b"\"");
                content.field("signature", &signature);
                content.close_object();
            }
            Part::Call { arguments } => {
                content.key("input");
                write_input(&arguments, content);
                content.close_object();
            }
            Part::None | Part::Text { open: false, .. } | Part::Redacted => {}
        }
        if let Some(opaque) = self.foreign.take() {
            let place = if alone { Place::Alone } else { Place::Before };
            write_redacted(&carried::carry(&opaque, place), content);
        }
    }
}

fn write_redacted(data: &str, out: &mut BytesMut) {
    out.open_object();
    out.field("type", "redacted_thinking");
    out.field("data", data);
    out.close_object();
}

/// Writes collected arguments; what is not an object is kept inside one, because the dialect has no other form.
fn write_input(arguments: &str, out: &mut BytesMut) {
    if arguments.trim_ascii().is_empty() {
        out.raw("{}");
        return;
    }
    match Json::parse(arguments.to_owned()) {
        Ok(json) if json.is_object() => out.raw(json.text()),
        _ => {
            out.open_object();
            out.field("arguments", arguments);
            out.close_object();
        }
    }
}

impl Encode for PlainEncoder {
    fn event(&mut self, event: &Event, _out: &mut BytesMut) {
        match event {
            Event::Start { id, model, .. } => {
                self.id.clone_from(id);
                self.model.clone_from(model);
            }
            Event::PartStart { choice: 0, part, kind } => {
                self.part_start(kind);
                self.number = *part;
            }
            Event::Citation { choice: 0, part, citation } => self.cite(*part, citation),
            Event::Delta { choice: 0, delta, .. } => self.delta(delta),
            Event::PartEnd { choice: 0, .. } => self.part_end(),
            Event::Finish { choice: 0, reason, native, stop_sequence } => {
                self.ending.finish(*reason, native, stop_sequence.as_ref());
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Extra { name, json } if name == "stop_details" => {
                self.ending.stop_details = Some(json.clone())
            }
            Event::Extra { name, json } if is_block(name, json) => {
                self.part_end();
                self.content.raw(json.text());
            }
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.part_end();
        out.open_object();
        write_head(&self.id, &self.model, &self.context, out);
        out.key("content");
        out.open_array();
        out.extend_from_slice(&self.content);
        out.close_array();
        self.ending.write(out);
        out.key("usage");
        usage::write(&self.usage, out);
        out.close_object();
    }

    fn warnings(&self) -> Vec<Warning> {
        self.lost.warnings()
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}

/// Encodes the answer of `count_tokens`.
pub(super) struct CountEncoder {
    context: EncodeContext,
    usage: Usage,
}

impl CountEncoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self { context, usage: Usage::default() }
    }
}

impl Encode for CountEncoder {
    fn event(&mut self, event: &Event, _out: &mut BytesMut) {
        if let Event::Usage(usage) = event {
            self.usage = *usage;
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        out.open_object();
        out.field_unsigned("input_tokens", self.usage.prompt());
        out.close_object();
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}
