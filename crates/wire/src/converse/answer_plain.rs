//! Whole answers, and token counts, into canonical events.
//!
//! Owns the answer object and the count object. Must not know streams. The events are those a stream would have given, so
//! that nothing behind the decoder has a second path.

use super::answer_decode::{finish, opaque, stop_sequence};
use super::citation;
use super::usage::{WireTier, WireUsage};
use crate::anthropic::{ANSWER_TOOL, MAX_PARTS, malformed};
use crate::cited::Held;
use crate::codec::{Decode, Frame, whole};
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    #[serde(default)]
    stop_reason: String,
    usage: Option<WireUsage>,
    service_tier: Option<WireTier>,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    trace: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<WireMessage<'a>>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow, default)]
    content: Vec<WireBlock<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlock<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    reasoning_content: Option<Reasoning>,
    #[serde(borrow)]
    citations_content: Option<CitationsContent<'a>>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(default)]
    tool_use_id: String,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ReasoningText {
    #[serde(default)]
    text: String,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct CitationsContent<'a> {
    #[serde(default)]
    content: Vec<CitedText>,
    #[serde(borrow, default)]
    citations: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct CitedText {
    text: Option<String>,
}

/// Decodes one answer object.
#[derive(Default)]
pub(super) struct PlainDecoder {
    seen: bool,
}

impl Decode for PlainDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: WireAnswer<'_> = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        let Some(message) = answer.output.and_then(|output| output.message) else {
            return Err(Failure::new(FailureClass::Malformed, "the provider's answer holds no message"));
        };
        if message.content.len() > MAX_PARTS as usize {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many parts"));
        }
        self.seen = true;
        events.push(Event::Start { id: String::new(), model: String::new(), created: None });
        let mut parts = Parts::default();
        for block in message.content {
            parts.take(block, events);
        }
        if let Some(trace) = answer.trace {
            events.push(Event::Extra { name: "trace".to_owned(), json: Json::from_raw(trace.to_owned()) });
        }
        if let Some(usage) = &answer.usage {
            events.push(Event::Usage(usage.usage(answer.service_tier)));
        }
        let reason = finish(&answer.stop_reason, parts.answered && parts.calls == 0);
        let stop_sequence = stop_sequence(answer.additional_model_response_fields);
        events.push(Event::Finish { choice: 0, reason, native: answer.stop_reason, stop_sequence });
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
    fn take(&mut self, block: WireBlock<'_>, events: &mut Vec<Event>) {
        if let Some(text) = block.text {
            self.push(PartKind::Text, vec![Delta::Text(text)], events);
        }
        if let Some(cited) = block.citations_content {
            let texts = cited.content.into_iter().filter_map(|content| content.text).map(Delta::Text);
            let part = self.next;
            for raw in cited.citations {
                self.held.hold(part, citation::read(raw), events);
            }
            self.push(PartKind::Text, texts.collect(), events);
        }
        if let Some(reasoning) = block.reasoning_content {
            if let Some(text) = reasoning.reasoning_text {
                let signature = text.signature.filter(|signature| !signature.is_empty()).map(opaque);
                let deltas = std::iter::once(Delta::Text(text.text)).chain(signature).collect();
                self.push(PartKind::Thinking, deltas, events);
            }
            if let Some(data) = reasoning.redacted_content {
                self.push(PartKind::RedactedThinking, vec![opaque(data)], events);
            }
        }
        if let Some(call) = block.tool_use {
            let input = call.input.map_or("{}", RawValue::get).to_owned();
            if call.name == ANSWER_TOOL {
                self.answered = true;
                self.push(PartKind::Text, vec![Delta::Text(input)], events);
            } else {
                self.calls += 1;
                let given = Some(call.tool_use_id).filter(|id| !id.is_empty());
                let id = given.unwrap_or_else(|| format!("tooluse_{}", self.next));
                let kind = PartKind::ToolCall { id, name: call.name };
                self.push(kind, vec![Delta::Arguments(input)], events);
            }
        }
        for (name, value) in [("image", block.image), ("toolResult", block.tool_result)] {
            if let Some(value) = value {
                events.push(Event::Extra { name: name.to_owned(), json: Json::from_raw(value.to_owned()) });
            }
        }
    }

    fn push(&mut self, kind: PartKind, deltas: Vec<Delta>, events: &mut Vec<Event>) {
        let part = self.next;
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
        self.held.tell(part, events);
        events.push(Event::PartEnd { choice: 0, part });
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    input_tokens: u64,
}

/// The usage a count object stands for.
pub(super) fn counted(body: &[u8]) -> Result<Usage, Failure> {
    let count: Count = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    Ok(Usage { input: count.input_tokens, ..Usage::default() })
}
