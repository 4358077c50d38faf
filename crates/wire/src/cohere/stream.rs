//! Cohere's streamed chat answers read into events.
//!
//! Owns the order of parts: plan, thoughts, text and calls come one after the other, each with an end of its own but for the
//! plan, which ends where something else begins.

use super::answer::{Block, Call, Counts, call_of, finish_of, not_an_answer};
use super::citation::{About, Wire};
use crate::cited;
use crate::codec::{Decode, Frame};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::failure::{Failure, FailureClass};

const PART_LIMIT: u32 = 4_096;

/// Reads streams.
#[derive(Default)]
pub(super) struct Decoder {
    has_started: bool,
    has_ended: bool,
    open: Option<Open>,
    next_part: u32,
    calls: usize,
    text: Text,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Plan,
    Text,
    Thinking,
    Call,
}

/// The text begun last.
#[derive(Default)]
struct Text {
    part: u32,
    /// Which piece of content it is; none for a plan.
    content: Option<usize>,
    /// Characters of the answer's text before it, and so far.
    start: usize,
    said: usize,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    index: Option<usize>,
    #[serde(borrow, default)]
    delta: Option<Change<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    message: Option<MessageChange<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
struct MessageChange<'a> {
    /// An object in these events, an empty list in `message-start`.
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_plan: Option<Cow<'a, str>>,
    /// As `content`.
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    /// As `content`.
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

impl MessageChange<'_> {
    fn content(&self) -> Option<Block<'_>> {
        serde_json::from_str(self.content?.get()).ok()
    }

    fn call(&self) -> Option<Call<'_>> {
        serde_json::from_str(self.tool_calls?.get()).ok()
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| not_an_answer(data))?;
        if self.has_ended {
            return Ok(());
        }
        if !self.has_started
            && matches!(
                &*chunk.kind,
                "message-start" | "content-start" | "tool-plan-delta" | "tool-call-start"
            )
        {
            self.has_started = true;
            let id = chunk.id.as_deref().unwrap_or_default().to_owned();
            events.push(Event::Start { id, model: String::new(), created: None });
        }
        let mut change = chunk.delta;
        let message = change.as_mut().and_then(|change| change.message.take()).unwrap_or_default();
        match &*chunk.kind {
            "message-start" | "debug" | "citation-end" => {}
            "content-start" => {
                self.close(events);
                if let Some(block) = message.content() {
                    let open = if block.is_thinking() { Open::Thinking } else { Open::Text };
                    self.begin(open, events)?;
                    if open == Open::Text {
                        self.text.content = Some(chunk.index.unwrap_or(0));
                    }
                    self.say(block.said(), events);
                }
            }
            "content-delta" => {
                let Some(block) = message.content() else { return Err(not_an_answer(data)) };
                let kind = if block.is_thinking() { Open::Thinking } else { Open::Text };
                if !matches!(self.open, Some(Open::Text | Open::Thinking)) {
                    self.begin(kind, events)?;
                }
                self.say(block.said(), events);
            }
            "tool-plan-delta" => {
                if self.open != Some(Open::Plan) {
                    self.begin(Open::Plan, events)?;
                }
                self.say(message.tool_plan.as_deref().unwrap_or_default(), events);
            }
            "tool-call-start" => {
                self.close(events);
                let Some(call) = message.call() else { return Err(not_an_answer(data)) };
                let (id, name, arguments) = call_of(&call, self.calls);
                self.calls += 1;
                let part = self.part()?;
                self.open = Some(Open::Call);
                events.push(Event::PartStart { choice: 0, part, kind: PartKind::ToolCall { id, name } });
                self.argue(arguments, events);
            }
            "tool-call-delta" if self.open == Some(Open::Call) => {
                let Some(call) = message.call() else { return Err(not_an_answer(data)) };
                let arguments = call.function.and_then(|function| function.arguments).unwrap_or_default();
                self.argue(arguments.into_owned(), events);
            }
            "content-end" | "tool-call-end" => self.close(events),
            "citation-start" => {
                if let Some(wire) = message.citations.and_then(Wire::read) {
                    self.cite(&wire, events);
                }
            }
            "message-end" => self.finish(change.as_ref(), events)?,
            _ => return Err(not_an_answer(data)),
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Cut, "the provider's answer ended before it was complete"))
    }
}

impl Decoder {
    fn part(&mut self) -> Result<u32, Failure> {
        if self.next_part >= PART_LIMIT {
            return Err(Failure::new(FailureClass::Malformed, format!("more than {PART_LIMIT} parts")));
        }
        self.next_part += 1;
        Ok(self.next_part - 1)
    }

    fn begin(&mut self, open: Open, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.close(events);
        let part = self.part()?;
        self.open = Some(open);
        let kind = if open == Open::Thinking { PartKind::Thinking } else { PartKind::Text };
        if kind == PartKind::Text {
            let said = self.text.said;
            self.text = Text { part, content: None, start: said, said };
        }
        events.push(Event::PartStart { choice: 0, part, kind });
        Ok(())
    }

    /// Tells of a citation, which comes while its text is under way or right after it.
    fn cite(&self, wire: &Wire, events: &mut Vec<Event>) {
        let is_there = match wire.about() {
            About::Plan => self.text.content.is_none(),
            About::Content(None) => self.text.content.is_some(),
            About::Content(index) => self.text.content == index,
        };
        for citation in wire.citations(is_there.then_some(self.text.start)) {
            let citation = Box::new(citation);
            events.push(Event::Citation { choice: 0, part: self.text.part, citation });
        }
    }

    fn say(&mut self, text: &str, events: &mut Vec<Event>) {
        if !text.is_empty() {
            if matches!(self.open, Some(Open::Text | Open::Plan)) {
                self.text.said += cited::characters(text);
            }
            let delta = Delta::Text(text.to_owned());
            events.push(Event::Delta { choice: 0, part: self.next_part.saturating_sub(1), delta });
        }
    }

    fn argue(&self, arguments: String, events: &mut Vec<Event>) {
        if !arguments.is_empty() {
            let delta = Delta::Arguments(arguments);
            events.push(Event::Delta { choice: 0, part: self.next_part.saturating_sub(1), delta });
        }
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::PartEnd { choice: 0, part: self.next_part.saturating_sub(1) });
        }
    }

    fn finish(&mut self, change: Option<&Change<'_>>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let native = change.and_then(|change| change.finish_reason.as_deref()).unwrap_or_default();
        if let Some(error) =
            change.and_then(|change| change.error.as_deref()).filter(|error| !error.is_empty())
        {
            return Err(Failure::new(FailureClass::Server, error));
        }
        self.close(events);
        events.push(Event::Finish {
            choice: 0,
            reason: finish_of(native),
            native: native.to_owned(),
            stop_sequence: None,
        });
        let usage = change.and_then(|change| change.usage.as_ref()?.classes());
        events.extend(usage.map(Event::Usage));
        events.push(Event::End);
        self.has_ended = true;
        Ok(())
    }
}
