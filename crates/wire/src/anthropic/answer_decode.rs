//! Anthropic's streamed answers into canonical events.
//!
//! Owns the order of stream events and the blocks within them; whole answers are `answer_plain`'s. Must not know framing. It
//! takes what look-alikes send too: blocks never closed, arguments whole in the block's start, a missing `message_start`;
//! but no answer is complete without `message_stop`, because nothing else tells a cut from an end.

use super::citation;
use super::error::ErrorObject;
use super::usage::{Counters, WireUsage};
use super::{ANSWER_TOOL, MAX_PARTS, malformed};
use crate::cited::Held;
use crate::codec::{Decode, Frame};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;

/// The most a block that only this dialect knows may hold, in bytes.
const MAX_OTHER_BLOCK: usize = 256 * 1024;

#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<WireDelta<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    message: Option<StartMessage>,
    usage: Option<WireUsage>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct StartMessage {
    id: Option<String>,
    model: Option<String>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
}

/// A content block, at the start of a streamed one or whole.
#[derive(Deserialize)]
pub(super) struct WireBlock<'a> {
    #[serde(rename = "type", default, borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
}

/// A block that has begun.
struct Open {
    index: u32,
    part: u32,
    kind: OpenKind,
}

enum OpenKind {
    Text,
    Thinking,
    Redacted,
    /// Arguments of a call, or of the tool that stands for a JSON answer. `whole` is what the start said, used when no
    /// pieces follow.
    Arguments {
        answer: bool,
        whole: Option<String>,
        pieces: bool,
    },
    /// Known to this dialect only, collected until it ends.
    Other {
        kind: String,
        block: String,
        input: String,
    },
}

/// Decodes the event stream.
#[derive(Default)]
pub(super) struct StreamDecoder {
    counters: Counters,
    /// Citations of the open block: it is not known before its end how far its text reaches.
    held: Held,
    open: Option<Open>,
    parts: u32,
    calls: u32,
    answered: bool,
    started: bool,
    finished: bool,
    ended: bool,
}

impl Decode for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        // Some look-alikes close with the other dialect's marker.
        if self.ended || frame.data.is_empty() || frame.data == b"[DONE]" {
            return Ok(());
        }
        let event: StreamEvent<'_> = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        let name = if event.kind.is_empty() { frame.event } else { &*event.kind };
        match name {
            "content_block_delta" => {
                let delta = event.delta.ok_or_else(|| missing("delta"))?;
                self.delta(event.index, delta, events)?;
            }
            "message_start" => {
                let message = event.message.ok_or_else(|| missing("message"))?;
                if let Some(usage) = &message.usage {
                    self.counters.take(usage);
                }
                let (id, model) = (message.id.unwrap_or_default(), message.model.unwrap_or_default());
                self.start(id, model, events);
                events.push(Event::Usage(self.counters.usage()));
            }
            "content_block_start" => {
                let raw = event.content_block.ok_or_else(|| missing("content_block"))?;
                self.block_start(event.index, raw, events)?;
            }
            "content_block_stop" => self.close(events),
            "message_delta" => self.message_delta(event.delta, event.usage, events),
            "message_stop" => {
                self.close(events);
                self.ended = true;
                events.push(Event::End);
            }
            "error" => {
                return Err(event.error.map_or_else(
                    || {
                        Failure::new(
                            FailureClass::Server,
                            "the provider reported an error without saying which",
                        )
                    },
                    |error| error.into_failure(None),
                ));
            }
            // `ping`, and events of versions to come.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Cut, "the provider's stream ended without `message_stop`"))
    }
}

fn missing(field: &str) -> Failure {
    Failure::new(FailureClass::Malformed, format!("a stream event of the provider lacks `{field}`"))
}

impl StreamDecoder {
    fn start(&mut self, id: String, model: String, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            events.push(Event::Start { id, model, created: None });
        }
    }

    fn block_start(&mut self, index: u32, raw: &RawValue, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.start(String::new(), String::new(), events);
        self.close(events);
        let block: WireBlock<'_> = serde_json::from_str(raw.get()).map_err(|error| malformed(&error))?;
        if self.parts >= MAX_PARTS {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many parts"));
        }
        let part = self.parts;
        let mut deltas = Vec::new();
        let mut citations: Vec<Json> = Vec::new();
        let mut say = |text: Option<String>| {
            deltas.extend(text.filter(|text| !text.is_empty()).map(Delta::Text));
        };
        let (kind, part_kind) = match &*block.kind {
            "text" => {
                say(block.text);
                citations =
                    block.citations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
                (OpenKind::Text, Some(PartKind::Text))
            }
            "thinking" => {
                say(block.thinking);
                deltas.extend(block.signature.filter(|value| !value.is_empty()).map(opaque));
                (OpenKind::Thinking, Some(PartKind::Thinking))
            }
            "redacted_thinking" => {
                deltas.extend(block.data.map(opaque));
                (OpenKind::Redacted, Some(PartKind::RedactedThinking))
            }
            "tool_use" => {
                let name = block.name.unwrap_or_default();
                let answer = name == ANSWER_TOOL;
                let whole = block.input.map(RawValue::get).filter(|input| !is_empty_object(input));
                let kind = OpenKind::Arguments { answer, whole: whole.map(str::to_owned), pieces: false };
                if answer {
                    self.answered = true;
                    (kind, Some(PartKind::Text))
                } else {
                    self.calls += 1;
                    let id = block.id.unwrap_or_else(|| format!("toolu_{part}"));
                    (kind, Some(PartKind::ToolCall { id, name }))
                }
            }
            kind => {
                let block = raw.get().to_owned();
                (OpenKind::Other { kind: kind.to_owned(), block, input: String::new() }, None)
            }
        };
        if let Some(kind) = part_kind {
            self.parts += 1;
            if kind == PartKind::Text {
                self.held.begin();
            }
            events.push(Event::PartStart { choice: 0, part, kind: kind.clone() });
            for delta in deltas {
                if let (PartKind::Text, Delta::Text(text)) = (&kind, &delta) {
                    self.held.say(text);
                }
                events.push(Event::Delta { choice: 0, part, delta });
            }
            for json in citations {
                self.held.hold(part, citation::read(json), events);
            }
        }
        self.open = Some(Open { index, part, kind });
        Ok(())
    }

    fn delta(&mut self, index: u32, delta: WireDelta<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(open) = self.open.as_mut().filter(|open| open.index == index) else {
            return Err(Failure::new(FailureClass::Malformed, "a delta belongs to no open content block"));
        };
        let part = open.part;
        let is_text = matches!(open.kind, OpenKind::Text);
        let held = &mut self.held;
        if let Some(citation) = delta.citation.filter(|_| is_text) {
            held.hold(part, citation::read(Json::from_raw(citation.to_owned())), events);
        }
        let mut push = |delta| events.push(Event::Delta { choice: 0, part, delta });
        match &mut open.kind {
            OpenKind::Text | OpenKind::Thinking | OpenKind::Redacted => {
                if let Some(text) = delta.text.or(delta.thinking) {
                    if is_text {
                        held.say(&text);
                    }
                    push(Delta::Text(text));
                }
                if let Some(signature) = delta.signature.filter(|value| !value.is_empty()) {
                    push(opaque(signature));
                }
            }
            OpenKind::Arguments { answer, pieces, .. } => {
                // The first piece is empty by custom.
                if let Some(piece) = delta.partial_json.filter(|piece| !piece.is_empty()) {
                    *pieces = true;
                    if *answer {
                        held.say(&piece);
                    }
                    push(if *answer { Delta::Text(piece) } else { Delta::Arguments(piece) });
                }
            }
            OpenKind::Other { input, block, .. } => {
                let piece = delta.partial_json.unwrap_or_default();
                if block.len() + input.len() + piece.len() > MAX_OTHER_BLOCK {
                    return Err(Failure::new(FailureClass::Malformed, "a content block is too large"));
                }
                input.push_str(&piece);
            }
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        let Some(Open { part, kind, .. }) = self.open.take() else { return };
        match kind {
            OpenKind::Other { kind, block, input } => {
                events.push(Event::Extra { name: kind, json: with_input(block, &input) });
                return;
            }
            OpenKind::Arguments { answer, whole, pieces: false } => {
                let whole = whole.or_else(|| answer.then(|| "{}".to_owned()));
                if let Some(whole) = whole {
                    if answer {
                        self.held.say(&whole);
                    }
                    let delta = if answer { Delta::Text(whole) } else { Delta::Arguments(whole) };
                    events.push(Event::Delta { choice: 0, part, delta });
                }
            }
            OpenKind::Text => self.held.tell(part, events),
            _ => {}
        }
        events.push(Event::PartEnd { choice: 0, part });
    }

    fn message_delta(
        &mut self,
        delta: Option<WireDelta<'_>>,
        usage: Option<WireUsage>,
        events: &mut Vec<Event>,
    ) {
        self.start(String::new(), String::new(), events);
        if let Some(usage) = usage {
            self.counters.take(&usage);
            events.push(Event::Usage(self.counters.usage()));
        }
        let Some(delta) = delta else { return };
        for (name, value) in [("stop_details", delta.stop_details), ("container", delta.container)] {
            if let Some(value) = value {
                let json = Json::from_raw(value.to_owned());
                events.push(Event::Extra { name: name.to_owned(), json });
            }
        }
        let Some(native) = delta.stop_reason else { return };
        if !self.finished {
            self.finished = true;
            self.close(events);
            let reason = finish(&native, self.answered && self.calls == 0);
            events.push(Event::Finish { choice: 0, reason, native, stop_sequence: delta.stop_sequence });
        }
    }
}

/// Why an answer ended; a call of the tool that stands for a JSON answer is an ordinary end.
pub(super) fn finish(native: &str, answered: bool) -> Finish {
    match native {
        "tool_use" if answered => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        "pause_turn" => Finish::Pause,
        // Bedrock's words for answers that broke off, seen through Claude-compatible endpoints.
        "malformed_tool_use" | "malformed_model_output" => Finish::Error,
        _ => Finish::Stop,
    }
}

pub(super) fn opaque(value: String) -> Delta {
    Delta::Opaque(Opaque { origin: Dialect::Anthropic, value })
}

fn is_empty_object(json: &str) -> bool {
    json.strip_prefix('{').is_some_and(|rest| rest.trim_ascii() == "}")
}

/// A collected block with its streamed input in place.
fn with_input(block: String, input: &str) -> Json {
    let parsed = serde_json::from_str::<serde_json::Value>(input);
    if let (Ok(input), Ok(serde_json::Value::Object(mut object))) = (parsed, serde_json::from_str(&block)) {
        object.insert("input".to_owned(), input);
        return Json::of(&object);
    }
    Json::parse(block).unwrap_or_else(|_| Json::null())
}
