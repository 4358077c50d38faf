//! Streamed answers into canonical events.
//!
//! Owns the order of stream events and the blocks within them; whole answers are `answer_plain`'s. Must not know framing. Only
//! a tool call announces its block: any other begins with its first delta, which tells its kind. The answer is complete with
//! `messageStop`; the usage comes after it, in `metadata`.

use super::citation;
use super::error::decode_exception;
use super::usage::{WireTier, WireUsage};
use crate::anthropic::{ANSWER_TOOL, MAX_PARTS, malformed};
use crate::cited::Held;
use crate::codec::{Decode, Frame};
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart<'a> {
    #[serde(borrow, default)]
    start: Start<'a>,
    #[serde(default)]
    content_block_index: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    tool_use: Option<ToolUseStart>,
    #[serde(borrow)]
    tool_result: Option<&'a RawValue>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUseStart {
    #[serde(default)]
    tool_use_id: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta<'a> {
    #[serde(borrow)]
    delta: WireDelta<'a>,
    #[serde(default)]
    content_block_index: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDelta<'a> {
    text: Option<String>,
    tool_use: Option<ToolUsePiece>,
    reasoning_content: Option<ReasoningPiece>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolUsePiece {
    #[serde(default)]
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningPiece {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop<'a> {
    #[serde(default)]
    stop_reason: String,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    usage: Option<WireUsage>,
    service_tier: Option<WireTier>,
    #[serde(borrow)]
    trace: Option<&'a RawValue>,
}

/// A block that has begun.
#[derive(Clone, Copy)]
struct Open {
    index: u32,
    part: u32,
    kind: OpenKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenKind {
    Text,
    Thinking,
    Redacted,
    /// Arguments of a call; `pieces` once some came.
    Arguments {
        answer: bool,
        pieces: bool,
    },
}

/// Decodes the event stream.
#[derive(Default)]
pub(super) struct StreamDecoder {
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
        if self.ended {
            return Ok(());
        }
        let data = frame.data;
        match frame.event {
            "contentBlockDelta" => {
                let event: BlockDelta<'_> = read(data)?;
                self.delta(event.content_block_index, event.delta, events)?;
            }
            "messageStart" => self.start(events),
            "contentBlockStart" => {
                let event: BlockStart<'_> = read(data)?;
                self.block_start(event.content_block_index, event.start, events)?;
            }
            "contentBlockStop" => self.close(events),
            "messageStop" => self.stop(read(data)?, events),
            "metadata" => self.metadata(read(data)?, events),
            // A failure outside the service's model; its name is in the data.
            "error" => return Err(decode_exception("", data)),
            name if name.ends_with("Exception") => return Err(decode_exception(name, data)),
            // Events of versions to come.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        if self.finished {
            // The answer itself is whole; only its count did not come.
            self.ended = true;
            events.push(Event::End);
            return Ok(());
        }
        Err(Failure::new(FailureClass::Cut, "the provider's stream ended without `messageStop`"))
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(data).map_err(|error| malformed(&error))
}

impl StreamDecoder {
    fn start(&mut self, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: String::new(), model: String::new(), created: None });
        }
    }

    fn block_start(&mut self, index: u32, start: Start<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.start(events);
        for (name, value) in [("toolResult", start.tool_result), ("image", start.image)] {
            if let Some(value) = value {
                events.push(Event::Extra { name: name.to_owned(), json: Json::from_raw(value.to_owned()) });
            }
        }
        let Some(call) = start.tool_use else { return Ok(()) };
        let answer = call.name == ANSWER_TOOL;
        let kind = if answer {
            self.answered = true;
            PartKind::Text
        } else {
            self.calls += 1;
            let id = if call.tool_use_id.is_empty() {
                format!("tooluse_{}", self.parts)
            } else {
                call.tool_use_id
            };
            PartKind::ToolCall { id, name: call.name }
        };
        self.open(index, OpenKind::Arguments { answer, pieces: false }, kind, events)?;
        Ok(())
    }

    fn open(
        &mut self,
        index: u32,
        open: OpenKind,
        kind: PartKind,
        events: &mut Vec<Event>,
    ) -> Result<u32, Failure> {
        self.start(events);
        self.close(events);
        if self.parts >= MAX_PARTS {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many parts"));
        }
        let part = self.parts;
        self.parts += 1;
        self.open = Some(Open { index, part, kind: open });
        if kind == PartKind::Text {
            self.held.begin();
        }
        events.push(Event::PartStart { choice: 0, part, kind });
        Ok(part)
    }

    /// The part a delta belongs to, begun now if it is the first of its block.
    fn part(&mut self, index: u32, wanted: OpenKind, events: &mut Vec<Event>) -> Result<u32, Failure> {
        if let Some(open) = self.open.filter(|open| open.index == index && open.kind == wanted) {
            return Ok(open.part);
        }
        let kind = match wanted {
            OpenKind::Text => PartKind::Text,
            OpenKind::Thinking => PartKind::Thinking,
            OpenKind::Redacted => PartKind::RedactedThinking,
            OpenKind::Arguments { .. } => {
                return Err(Failure::new(
                    FailureClass::Malformed,
                    "a delta belongs to no open content block",
                ));
            }
        };
        self.open(index, wanted, kind, events)
    }

    fn delta(&mut self, index: u32, delta: WireDelta<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let mut say = |part, delta| events.push(Event::Delta { choice: 0, part, delta });
        if let Some(piece) = delta.tool_use {
            let Some(Open { part, kind: OpenKind::Arguments { answer, pieces }, .. }) =
                self.open.as_mut().filter(|open| open.index == index)
            else {
                return Err(Failure::new(FailureClass::Malformed, "a delta belongs to no open tool call"));
            };
            if !piece.input.is_empty() {
                *pieces = true;
                if *answer {
                    self.held.say(&piece.input);
                }
                let delta = if *answer { Delta::Text(piece.input) } else { Delta::Arguments(piece.input) };
                say(*part, delta);
            }
        }
        if let Some(text) = delta.text {
            let part = self.part(index, OpenKind::Text, events)?;
            self.held.say(&text);
            events.push(Event::Delta { choice: 0, part, delta: Delta::Text(text) });
        }
        if let Some(piece) = delta.reasoning_content {
            if let Some(data) = piece.redacted_content {
                let part = self.part(index, OpenKind::Redacted, events)?;
                events.push(Event::Delta { choice: 0, part, delta: opaque(data) });
            }
            if let Some(text) = piece.text {
                let part = self.part(index, OpenKind::Thinking, events)?;
                events.push(Event::Delta { choice: 0, part, delta: Delta::Text(text) });
            }
            if let Some(signature) = piece.signature.filter(|signature| !signature.is_empty()) {
                let part = self.part(index, OpenKind::Thinking, events)?;
                events.push(Event::Delta { choice: 0, part, delta: opaque(signature) });
            }
        }
        if let Some(citation) = delta.citation {
            let part = self.part(index, OpenKind::Text, events)?;
            self.held.hold(part, citation::read(citation), events);
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        let Some(Open { part, kind, .. }) = self.open.take() else { return };
        if let OpenKind::Arguments { answer, pieces: false } = kind {
            // A call without arguments comes without a piece.
            let whole = "{}".to_owned();
            if answer {
                self.held.say(&whole);
            }
            let delta = if answer { Delta::Text(whole) } else { Delta::Arguments(whole) };
            events.push(Event::Delta { choice: 0, part, delta });
        }
        self.held.tell(part, events);
        events.push(Event::PartEnd { choice: 0, part });
    }

    fn stop(&mut self, stop: Stop<'_>, events: &mut Vec<Event>) {
        self.start(events);
        self.close(events);
        if !self.finished {
            self.finished = true;
            let reason = finish(&stop.stop_reason, self.answered && self.calls == 0);
            let stop_sequence = stop_sequence(stop.additional_model_response_fields);
            events.push(Event::Finish { choice: 0, reason, native: stop.stop_reason, stop_sequence });
        }
    }

    fn metadata(&mut self, metadata: Metadata<'_>, events: &mut Vec<Event>) {
        self.start(events);
        if let Some(trace) = metadata.trace {
            events.push(Event::Extra { name: "trace".to_owned(), json: Json::from_raw(trace.to_owned()) });
        }
        if let Some(usage) = metadata.usage {
            events.push(Event::Usage(usage.usage(metadata.service_tier)));
        }
        if self.finished {
            self.ended = true;
            events.push(Event::End);
        }
    }
}

/// Why an answer ended; a call of the tool that stands for a JSON answer is an ordinary end.
pub(super) fn finish(native: &str, answered: bool) -> Finish {
    match native {
        "tool_use" if answered => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "guardrail_intervened" | "content_filtered" | "refusal" => Finish::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => Finish::Error,
        "pause_turn" => Finish::Pause,
        _ => Finish::Stop,
    }
}

/// The stop text that ended the answer, which the request asked to be told.
pub(super) fn stop_sequence(fields: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    struct Fields {
        stop_sequence: Option<String>,
    }
    serde_json::from_str::<Fields>(fields?.get()).ok()?.stop_sequence
}

pub(super) fn opaque(value: String) -> Delta {
    Delta::Opaque(Opaque { origin: Dialect::Converse, value })
}
