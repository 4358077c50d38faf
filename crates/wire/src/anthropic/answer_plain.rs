//! Anthropic's whole answers, and token counts, into canonical events.
//!
//! Owns the message object and the count object. Must not know streams. The events are those a stream would have given, so
//! that nothing behind the decoder has a second path.

use super::answer_decode::{WireBlock, finish, opaque};
use super::citation;
use super::error::ErrorObject;
use super::usage::{Counters, WireUsage};
use super::{ANSWER_TOOL, MAX_PARTS, malformed};
use crate::cited::Held;
use crate::codec::{Decode, Frame, whole};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Cow<'a, str>,
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
    usage: Option<WireUsage>,
    error: Option<ErrorObject>,
}

/// Decodes one message object.
#[derive(Default)]
pub(super) struct PlainDecoder {
    seen: bool,
}

impl Decode for PlainDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let message: WireMessage<'_> =
            serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if let Some(error) = message.error {
            return Err(error.into_failure(None));
        }
        let (Some(content), "message" | "") = (message.content, &*message.kind) else {
            return Err(Failure::new(FailureClass::Malformed, "the provider's answer is not a message"));
        };
        if content.len() > MAX_PARTS as usize {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many parts"));
        }
        self.seen = true;
        events.push(Event::Start {
            id: message.id.unwrap_or_default(),
            model: message.model.unwrap_or_default(),
            created: None,
        });
        let mut parts = Parts::default();
        for raw in content {
            let block = serde_json::from_str(raw.get()).map_err(|error| malformed(&error))?;
            parts.take(raw, block, events);
        }
        for (name, value) in [("stop_details", message.stop_details), ("container", message.container)] {
            if let Some(value) = value {
                events.push(Event::Extra { name: name.to_owned(), json: Json::from_raw(value.to_owned()) });
            }
        }
        if let Some(usage) = &message.usage {
            let mut counters = Counters::default();
            counters.take(usage);
            events.push(Event::Usage(counters.usage()));
        }
        let native = message.stop_reason.unwrap_or_default();
        let reason = finish(&native, parts.answered && parts.calls == 0);
        events.push(Event::Finish { choice: 0, reason, native, stop_sequence: message.stop_sequence });
        events.push(Event::End);
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        whole(self.seen)
    }
}

#[derive(Default)]
struct Parts {
    next: u32,
    calls: u32,
    answered: bool,
    held: Held,
}

impl Parts {
    fn take(&mut self, raw: &RawValue, block: WireBlock<'_>, events: &mut Vec<Event>) {
        let part = self.next;
        let mut deltas = Vec::new();
        let mut citations: Vec<Json> = Vec::new();
        let kind = match &*block.kind {
            "text" => {
                deltas.extend(block.text.map(Delta::Text));
                citations =
                    block.citations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
                PartKind::Text
            }
            "thinking" => {
                deltas.extend(block.thinking.map(Delta::Text));
                deltas.extend(block.signature.filter(|value| !value.is_empty()).map(opaque));
                PartKind::Thinking
            }
            "redacted_thinking" => {
                deltas.extend(block.data.map(opaque));
                PartKind::RedactedThinking
            }
            "tool_use" => {
                let input = block.input.map_or("{}", RawValue::get).to_owned();
                let name = block.name.unwrap_or_default();
                if name == ANSWER_TOOL {
                    self.answered = true;
                    deltas.push(Delta::Text(input));
                    PartKind::Text
                } else {
                    self.calls += 1;
                    deltas.push(Delta::Arguments(input));
                    PartKind::ToolCall { id: block.id.unwrap_or_else(|| format!("toolu_{part}")), name }
                }
            }
            other => {
                let json = Json::from_raw(raw.to_owned());
                events.push(Event::Extra { name: other.to_owned(), json });
                return;
            }
        };
        self.next += 1;
        let is_text = kind == PartKind::Text;
        self.held.begin();
        events.push(Event::PartStart { choice: 0, part, kind });
        for delta in deltas {
            if let (true, Delta::Text(text)) = (is_text, &delta) {
                self.held.say(text);
            }
            events.push(Event::Delta { choice: 0, part, delta });
        }
        for json in citations {
            self.held.hold(part, citation::read(json), events);
        }
        self.held.tell(part, events);
        events.push(Event::PartEnd { choice: 0, part });
    }
}

#[derive(Deserialize)]
struct Count {
    input_tokens: u64,
}

/// The usage a count object stands for.
pub(super) fn counted(body: &[u8]) -> Result<Usage, Failure> {
    let count: Count = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    Ok(Usage { input: count.input_tokens, ..Usage::default() })
}
