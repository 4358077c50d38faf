//! Canonical answer parts as the parts of one candidate.
//!
//! Owns what plain and streamed answers share: how parts, calls and signatures are written, and how an answer ended. Must
//! not know what surrounds a candidate. A call is held until it is complete, because this dialect sends calls whole. In a
//! stream every text is a part of its own, so a signature that follows its text is written on an empty part after it.

use super::answer_decode::{OTHER_PARTS, finish};
use super::grounding::Grounds;
use super::logprobs::Pending;
use super::state;
use crate::carried::Place;
use crate::cited::Lost;
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::citation::Citation;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Delivery;
use trunkline_model::event::{Delta, Finish, PartKind};
use trunkline_model::json::Json;

/// The part being written.
#[derive(Default)]
enum Open {
    #[default]
    None,
    /// Text or thought; `begun` once its string is open (plain answers only).
    Text {
        thought: bool,
        begun: bool,
    },
    Redacted,
    Call {
        id: String,
        name: String,
        arguments: String,
    },
}

/// One of the answers, as far as it is not sent yet.
pub(super) struct Candidate {
    pub(super) index: u32,
    delivery: Delivery,
    /// Parts that are complete, comma between.
    pub(super) parts: BytesMut,
    open: Open,
    /// The open part has something in it.
    has_begun: bool,
    grounds: Grounds,
    opaque: Option<Opaque>,
    finish: Option<&'static str>,
    pub(super) logprobs: Pending,
}

impl Candidate {
    pub(super) fn new(index: u32, delivery: Delivery) -> Self {
        Self {
            index,
            delivery,
            parts: BytesMut::new(),
            open: Open::None,
            has_begun: false,
            grounds: Grounds::default(),
            opaque: None,
            finish: None,
            logprobs: Pending::default(),
        }
    }

    pub(super) fn part_start(&mut self, kind: &PartKind) {
        self.part_end();
        self.has_begun = false;
        self.open = match kind {
            PartKind::Text | PartKind::Refusal => Open::Text { thought: false, begun: false },
            PartKind::Thinking => Open::Text { thought: true, begun: false },
            PartKind::RedactedThinking => Open::Redacted,
            PartKind::ToolCall { id, name } => {
                Open::Call { id: id.clone(), name: name.clone(), arguments: String::new() }
            }
        };
    }

    /// Takes a piece; tells whether it is text to be sent at once.
    pub(super) fn delta(&mut self, delta: &Delta) -> bool {
        match (delta, &mut self.open) {
            (Delta::Text(text), Open::Text { thought, begun }) if !text.is_empty() => {
                match (*thought, std::mem::replace(&mut self.has_begun, true)) {
                    (true, true) => {}
                    (true, false) => self.grounds.pass(),
                    (false, had_begun) => {
                        if !had_begun {
                            self.grounds.begin(self.delivery);
                        }
                        self.grounds.push(text);
                    }
                }
                if self.delivery.is_stream() {
                    write_text(text, *thought, None, &mut self.parts);
                    return true;
                }
                if !*begun {
                    *begun = true;
                    self.parts.open_object();
                    self.parts.extend_from_slice(b"\"text\":\"");
                }
                self.parts.escaped(text);
            }
            (Delta::Arguments(json), Open::Call { arguments, .. }) => arguments.push_str(json),
            (Delta::Opaque(opaque), _) => self.opaque = Some(opaque.clone()),
            _ => {}
        }
        false
    }

    /// Takes a source of the text.
    pub(super) fn cite(&mut self, citation: &Citation, lost: &mut Lost) {
        self.grounds.cite(citation, lost);
    }

    /// Writes what the text rests on.
    pub(super) fn write_grounds(&self, out: &mut BytesMut) {
        self.grounds.write(out);
    }

    pub(super) fn part_end(&mut self) {
        let opaque = self.opaque.take();
        let out = &mut self.parts;
        match std::mem::take(&mut self.open) {
            Open::None => {}
            Open::Text { thought, begun: true } => {
                out.extend_from_slice(b"\"");
                if thought {
                    out.field_raw("thought", "true");
                }
                if let Some(opaque) = &opaque {
                    out.field("thoughtSignature", &state::signature(opaque, Place::Own));
                }
                out.close_object();
            }
            Open::Text { thought, begun: false } => {
                // Another provider's signature covers the thoughts before it; Gemini's may stand on an empty part.
                if let Some(opaque) = &opaque {
                    let place = if thought && self.delivery.is_stream() { Place::Before } else { Place::Own };
                    write_text("", thought, Some(&state::signature(opaque, place)), out);
                }
            }
            Open::Redacted => {
                self.grounds.pass();
                if let Some(opaque) = &opaque {
                    write_text("", true, Some(&state::signature(opaque, Place::Redacted)), out);
                }
            }
            Open::Call { id, name, arguments } => {
                self.grounds.pass();
                let signature = opaque.as_ref().map(|opaque| state::signature(opaque, Place::Own));
                write_call(&id, &name, &arguments, signature.as_deref(), out);
            }
        }
    }

    /// Adds a part that only this dialect knows.
    pub(super) fn other(&mut self, json: &Json) {
        self.part_end();
        self.grounds.pass();
        self.parts.raw(json.text());
    }

    pub(super) fn finish(&mut self, reason: Finish, native: &str) {
        self.part_end();
        self.finish = Some(word(reason, native));
    }

    /// Writes what a finished candidate says beside its content.
    pub(super) fn write_ending(&mut self, out: &mut BytesMut) {
        out.field("finishReason", self.finish.unwrap_or("STOP"));
        out.field_unsigned("index", u64::from(self.index));
        self.logprobs.write_mean(out);
        self.logprobs.write(out);
    }
}

/// The candidate of an index.
pub(super) fn candidate(candidates: &mut Vec<Candidate>, index: u32, delivery: Delivery) -> &mut Candidate {
    let place = candidates.iter().position(|candidate| candidate.index == index).unwrap_or_else(|| {
        candidates.push(Candidate::new(index, delivery));
        candidates.len() - 1
    });
    &mut candidates[place]
}

/// Whether an extra is a part of this dialect.
pub(super) fn is_part(name: &str, json: &Json) -> bool {
    OTHER_PARTS.contains(&name) && json.text().contains(name)
}

fn write_text(text: &str, thought: bool, signature: Option<&str>, out: &mut BytesMut) {
    out.open_object();
    out.field("text", text);
    if thought {
        out.field_raw("thought", "true");
    }
    if let Some(signature) = signature {
        out.field("thoughtSignature", signature);
    }
    out.close_object();
}

fn write_call(id: &str, name: &str, arguments: &str, signature: Option<&str>, out: &mut BytesMut) {
    out.open_object();
    out.key("functionCall");
    out.open_object();
    if !id.is_empty() && !state::is_made_up(id) {
        out.field("id", id);
    }
    out.field("name", name);
    out.key("args");
    write_arguments(arguments, out);
    out.close_object();
    if let Some(signature) = signature {
        out.field("thoughtSignature", signature);
    }
    out.close_object();
}

/// Writes collected arguments; what is not an object is kept inside one, because the dialect has no other form.
fn write_arguments(arguments: &str, out: &mut BytesMut) {
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

/// How an answer ended, in this dialect's words: the provider's own where it is one of them.
fn word(reason: Finish, native: &str) -> &'static str {
    const WORDS: [&str; 18] = [
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "IMAGE_RECITATION",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "MODEL_ARMOR",
    ];
    let own = WORDS.into_iter().find(|word| *word == native && finish(word, false) == reason);
    match reason {
        // Clients of this dialect stop at words they do not know, and calls end with an ordinary stop.
        Finish::Stop | Finish::ToolCalls | Finish::Pause => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => own.unwrap_or("SAFETY"),
        Finish::Error => own.unwrap_or("OTHER"),
    }
}
