//! Items of an answer read into canonical events, and whole responses.
//!
//! Owns the items, told in one piece or by pieces, and the parts they become. Must not know stream events. The events are those a
//! stream would have given, so that nothing behind the decoder has a second path.

use super::answer_decode::{Head, failure_in, start_of};
use super::usage;
use crate::cited;
use crate::codec::{Decode, Frame};
use crate::openai;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::citation::Claim;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;

/// The most parts of one answer.
const PART_LIMIT: u32 = 4_096;

/// A string behind raw JSON; `None` for anything else.
pub(super) fn string(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let text = raw?.get();
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str::<String>(text).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// The parts of the one choice, in sequence.
#[derive(Debug, Default)]
pub(super) struct Parts {
    open: Option<PartKind>,
    next: u32,
    /// Characters of text so far, and how many of them came before the open part.
    said: usize,
    start: usize,
}

impl Parts {
    const fn number(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    pub(super) const fn is_call(&self) -> bool {
        matches!(self.open, Some(PartKind::ToolCall { .. }))
    }

    pub(super) const fn is_thinking(&self) -> bool {
        matches!(self.open, Some(PartKind::Thinking))
    }

    /// Begins a part, after the one before has ended.
    pub(super) fn open(&mut self, kind: PartKind, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.close(events);
        if self.next >= PART_LIMIT {
            let message = format!("the provider's answer has more than {PART_LIMIT} parts");
            return Err(Failure::new(FailureClass::Malformed, message));
        }
        events.push(Event::PartStart { choice: 0, part: self.next, kind: kind.clone() });
        self.next += 1;
        self.start = self.said;
        self.open = Some(kind);
        Ok(())
    }

    /// Begins a part of a kind unless one is under way.
    pub(super) fn ensure(&mut self, kind: &PartKind, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.open.as_ref() == Some(kind) { Ok(()) } else { self.open(kind.clone(), events) }
    }

    pub(super) fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::PartEnd { choice: 0, part: self.number() });
        }
    }

    fn push(&self, delta: Delta, events: &mut Vec<Event>) {
        events.push(Event::Delta { choice: 0, part: self.number(), delta });
    }

    pub(super) fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        if self.open == Some(PartKind::Text) {
            self.said += cited::characters(text);
        }
        self.push(Delta::Text(text.to_owned()), events);
    }

    pub(super) fn arguments(&self, text: &str, events: &mut Vec<Event>) {
        if !text.is_empty() {
            self.push(Delta::Arguments(text.to_owned()), events);
        }
    }

    /// A source of the open text, whose annotations count from its own beginning.
    pub(super) fn annotation(&self, raw: &RawValue, events: &mut Vec<Event>) {
        let mut citation = openai::citation::read(raw, Dialect::Responses);
        if let Claim::Stretch(range) = &mut citation.claim {
            *range = self.start.saturating_add(range.start)..self.start.saturating_add(range.end);
        }
        let citation = Box::new(citation);
        events.push(Event::Citation { choice: 0, part: self.number(), citation });
    }

    pub(super) fn state(&self, value: &str, events: &mut Vec<Event>) {
        let opaque = Opaque { origin: Dialect::Responses, value: value.to_owned() };
        self.push(Delta::Opaque(opaque), events);
    }

    /// How the answer ended.
    pub(super) fn finish(&self, incomplete: bool, head: &Head<'_>, called: bool) -> Event {
        #[derive(Deserialize)]
        struct Details {
            reason: Option<String>,
        }
        let details = head.incomplete_details.and_then(|raw| serde_json::from_str::<Details>(raw.get()).ok());
        let reason = details.and_then(|details| details.reason);
        let is_incomplete = incomplete || string(head.status).as_deref() == Some("incomplete");
        let (reason, native) = match (is_incomplete, reason) {
            (true, Some(native)) if native == "content_filter" => (Finish::ContentFilter, native),
            (true, native) => (Finish::Length, native.unwrap_or_else(|| "max_output_tokens".to_owned())),
            (false, _) if called => (Finish::ToolCalls, "completed".to_owned()),
            (false, _) => (Finish::Stop, "completed".to_owned()),
        };
        Event::Finish { choice: 0, reason, native, stop_sequence: None }
    }
}

/// An output item, as far as anything of it is read.
#[derive(Deserialize)]
struct WireItem<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    summary: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encrypted_content: Option<&'a RawValue>,
}

/// A part of a message, of a summary or of reasoning.
#[derive(Deserialize)]
struct WirePart<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

/// An output item.
pub(super) struct Items<'a> {
    raw: &'a RawValue,
    pub(super) kind: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    call_id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    pub(super) arguments: Option<&'a RawValue>,
    pub(super) input: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
    summary: Option<&'a RawValue>,
    pub(super) encrypted_content: Option<&'a RawValue>,
}

impl<'a> Items<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Result<Self, Failure> {
        let item: WireItem<'a> =
            serde_json::from_str(raw.get()).map_err(|_| openai::not_an_answer(raw.get().as_bytes()))?;
        Ok(Self {
            raw,
            kind: string(item.kind).unwrap_or_default(),
            id: string(item.id),
            call_id: string(item.call_id),
            name: string(item.name),
            arguments: item.arguments,
            input: item.input,
            content: item.content,
            summary: item.summary,
            encrypted_content: item.encrypted_content,
        })
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind.as_ref(), "function_call" | "custom_tool_call")
    }

    /// The call it is.
    pub(super) fn call(&self) -> PartKind {
        let id = self.call_id.as_ref().or(self.id.as_ref());
        PartKind::ToolCall {
            id: id.map(|id| id.clone().into_owned()).unwrap_or_default(),
            name: self.name.clone().map(Cow::into_owned).unwrap_or_default(),
        }
    }

    /// All its events.
    pub(super) fn events(&self, parts: &mut Parts, events: &mut Vec<Event>) -> Result<(), Failure> {
        match self.kind.as_ref() {
            "message" => {
                for part in list(self.content)? {
                    message_part(&part, parts, events)?;
                }
            }
            "reasoning" => self.reasoning(parts, events)?,
            "function_call" => {
                parts.open(self.call(), events)?;
                parts.arguments(&string(self.arguments).unwrap_or_default(), events);
            }
            "custom_tool_call" => {
                parts.open(self.call(), events)?;
                let input = string(self.input).unwrap_or_default();
                parts.arguments(super::custom::arguments(&input).text(), events);
            }
            name => {
                let json = Json::from_raw(self.raw.to_owned());
                events.push(Event::Extra { name: name.to_owned(), json });
            }
        }
        parts.close(events);
        Ok(())
    }

    fn reasoning(&self, parts: &mut Parts, events: &mut Vec<Event>) -> Result<(), Failure> {
        let mut texts = list(self.summary)?;
        if texts.is_empty() {
            texts = list(self.content)?;
        }
        let texts: Vec<Cow<'_, str>> = texts.iter().filter_map(|part| string(part.text)).collect();
        let text = texts.join(super::PARAGRAPH);
        let state = string(self.encrypted_content).filter(|state| !state.is_empty());
        if !text.is_empty() {
            parts.open(PartKind::Thinking, events)?;
            parts.text(&text, events);
        } else if state.is_some() {
            parts.open(PartKind::RedactedThinking, events)?;
        }
        if let Some(state) = state {
            parts.state(&state, events);
        }
        Ok(())
    }
}

fn message_part(part: &WirePart<'_>, parts: &mut Parts, events: &mut Vec<Event>) -> Result<(), Failure> {
    if string(part.kind).as_deref() == Some("refusal") {
        parts.open(PartKind::Refusal, events)?;
        parts.text(&string(part.refusal).unwrap_or_default(), events);
        parts.close(events);
        return Ok(());
    }
    let text = string(part.text).unwrap_or_default();
    let annotations: Vec<&RawValue> =
        part.annotations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    if text.is_empty() && annotations.is_empty() {
        return Ok(());
    }
    parts.open(PartKind::Text, events)?;
    if let Some(logprobs) = part.logprobs.filter(|raw| raw.get().len() > 2)
        && let Ok(json) = Json::parse(format!("{{\"content\":{},\"refusal\":null}}", logprobs.get()))
    {
        events.push(Event::Logprobs { choice: 0, json });
    }
    parts.text(&text, events);
    for annotation in annotations {
        parts.annotation(annotation, events);
    }
    parts.close(events);
    Ok(())
}

fn list<'a>(raw: Option<&'a RawValue>) -> Result<Vec<WirePart<'a>>, Failure> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    serde_json::from_str(raw.get()).map_err(|_| openai::not_an_answer(raw.get().as_bytes()))
}

/// Reads whole responses.
#[derive(Default)]
pub(super) struct Decoder {
    has_ended: bool,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        let head: Head<'_> = serde_json::from_slice(data).map_err(|_| openai::not_an_answer(data))?;
        if let Some(failure) = failure_in("", &head) {
            return Err(failure);
        }
        if head.error.is_some() {
            return Err(openai::error_in(data));
        }
        let Some(output) = head.output else { return Err(openai::not_an_answer(data)) };
        let items: Vec<&RawValue> =
            serde_json::from_str(output.get()).map_err(|_| openai::not_an_answer(data))?;
        events.push(start_of(Some(&head)));
        let mut parts = Parts::default();
        let mut called = false;
        for raw in items {
            let item = Items::read(raw)?;
            called |= item.is_call();
            item.events(&mut parts, events)?;
        }
        if let Some(usage) = usage::told(&head) {
            events.push(Event::Usage(usage));
        }
        events.push(parts.finish(false, &head, called));
        events.push(Event::End);
        self.has_ended = true;
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended { Ok(()) } else { Err(openai::cut()) }
    }
}
