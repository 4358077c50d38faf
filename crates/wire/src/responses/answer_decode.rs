//! The dialect's stream events read into canonical events.
//!
//! Owns the walk over items and their parts. Must not trust: a stream without its last event is cut, one that is not JSON is
//! malformed, a failed response is the failure it names. Fields are read as raw text and only where an event needs them, because
//! look-alikes disagree on the types of those they do not.

use super::answer_collect::{Items, Parts, string};
use super::error::failure_of;
use super::usage;
use crate::codec::{Decode, Frame};
use crate::openai;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::event::{Event, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;

/// One stream event.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

/// A response object, as far as a stream's reader needs it.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) created_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) output: Option<&'a RawValue>,
}

/// Reads streams.
#[derive(Default)]
pub(super) struct Decoder {
    has_started: bool,
    has_ended: bool,
    parts: Parts,
    /// The item under way got its text by pieces: what its end repeats is not new.
    has_pieces: bool,
    /// The text of a custom tool's call, held until it is whole.
    custom: Option<String>,
    called: bool,
}

impl Decoder {
    fn start(&mut self, response: Option<&RawValue>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let head = response.and_then(|raw| serde_json::from_str::<Head<'_>>(raw.get()).ok());
        events.push(start_of(head.as_ref()));
    }

    fn added(&mut self, raw: &RawValue, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.parts.close(events);
        self.has_pieces = false;
        let item = Items::read(raw)?;
        match item.kind.as_ref() {
            "function_call" => {
                self.called = true;
                self.parts.open(item.call(), events)?;
            }
            "custom_tool_call" => {
                self.called = true;
                self.custom = Some(String::new());
                self.parts.open(item.call(), events)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn done(&mut self, raw: &RawValue, events: &mut Vec<Event>) -> Result<(), Failure> {
        let item = Items::read(raw)?;
        match item.kind.as_ref() {
            "function_call" if self.parts.is_call() => {
                if !self.has_pieces {
                    self.parts.arguments(string(item.arguments).unwrap_or_default().as_ref(), events);
                }
            }
            "custom_tool_call" if self.parts.is_call() => {
                let held = self.custom.take().unwrap_or_default();
                let input = string(item.input).map_or(held, Cow::into_owned);
                self.parts.arguments(super::custom::arguments(&input).text(), events);
            }
            "message" if self.has_pieces => {}
            "reasoning" => return self.reasoned(&item, events),
            // Announced or not, told by pieces or not: everything is here.
            _ => {
                self.parts.close(events);
                self.called |= item.is_call();
                return item.events(&mut self.parts, events);
            }
        }
        self.parts.close(events);
        Ok(())
    }

    fn reasoned(&mut self, item: &Items<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.has_pieces {
            return item.events(&mut self.parts, events);
        }
        if let Some(state) = string(item.encrypted_content).filter(|state| !state.is_empty()) {
            self.parts.ensure(&PartKind::Thinking, events)?;
            self.parts.state(&state, events);
        }
        self.parts.close(events);
        Ok(())
    }

    /// More text of a kind; `None` for what is no text.
    fn text(
        &mut self,
        kind: &PartKind,
        delta: Option<&RawValue>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(text) = string(delta).filter(|text| !text.is_empty()) else { return Ok(()) };
        self.has_pieces = true;
        self.parts.ensure(kind, events)?;
        self.parts.text(&text, events);
        Ok(())
    }

    fn ended(&mut self, kind: &str, raw: &RawValue, events: &mut Vec<Event>) -> Result<(), Failure> {
        let head: Head<'_> =
            serde_json::from_str(raw.get()).map_err(|_| openai::not_an_answer(raw.get().as_bytes()))?;
        if let Some(failure) = failure_in(kind, &head) {
            return Err(failure);
        }
        self.parts.close(events);
        if let Some(usage) = usage::told(&head) {
            events.push(Event::Usage(usage));
        }
        events.push(self.parts.finish(kind == "response.incomplete", &head, self.called));
        self.finish(events);
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_ended, true) {
            events.push(Event::End);
        }
    }
}

/// The start that a response object tells.
pub(super) fn start_of(head: Option<&Head<'_>>) -> Event {
    let text = |raw: Option<&RawValue>| string(raw).map(Cow::into_owned).unwrap_or_default();
    let created = head.and_then(|head| head.created_at).and_then(|raw| raw.get().parse::<f64>().ok());
    Event::Start {
        id: text(head.and_then(|head| head.id)),
        model: text(head.and_then(|head| head.model)),
        created: created.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64),
    }
}

/// The failure of a response that failed or was cancelled.
pub(super) fn failure_in(kind: &str, head: &Head<'_>) -> Option<Failure> {
    let status = string(head.status);
    let failed = kind == "response.failed" || matches!(status.as_deref(), Some("failed" | "cancelled"));
    failed.then(|| {
        #[derive(Deserialize)]
        struct Error {
            code: Option<String>,
            message: Option<String>,
        }
        let error = head.error.and_then(|raw| serde_json::from_str::<Error>(raw.get()).ok());
        let (code, message) = error.map_or((None, None), |error| (error.code, error.message));
        failure_of(code.as_deref(), message.as_deref())
    })
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" || self.has_ended {
            return Ok(());
        }
        let wire: Wire<'_> = serde_json::from_slice(data).map_err(|_| openai::not_an_answer(data))?;
        let kind = string(wire.kind).unwrap_or(Cow::Borrowed(frame.event));
        if wire.error.is_some() {
            return Err(openai::error_in(data));
        }
        match kind.as_ref() {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(wire.response, events);
                Ok(())
            }
            "error" => {
                let (code, message) = (string(wire.code), string(wire.message));
                Err(failure_of(code.as_deref(), message.as_deref()))
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.start(wire.response, events);
                let Some(response) = wire.response else { return Err(openai::not_an_answer(data)) };
                self.ended(&kind, response, events)
            }
            _ if !kind.starts_with("response.") => Err(openai::not_an_answer(data)),
            _ => {
                self.start(None, events);
                self.step(&kind, &wire, events)
            }
        }
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended { Ok(()) } else { Err(openai::cut()) }
    }
}

impl Decoder {
    /// An event of an answer under way.
    fn step(&mut self, kind: &str, wire: &Wire<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        match kind {
            "response.output_item.added" => match wire.item {
                Some(item) => self.added(item, events),
                None => Err(no_item()),
            },
            "response.output_item.done" => match wire.item {
                Some(item) => self.done(item, events),
                None => Err(no_item()),
            },
            "response.content_part.added" | "response.content_part.done" => {
                // Parts of reasoning go on as one text.
                let is_reasoning = wire.part.is_some_and(|part| part.get().contains("\"reasoning_text\""));
                if !is_reasoning && !self.parts.is_call() {
                    self.parts.close(events);
                }
                Ok(())
            }
            "response.output_text.delta" => {
                if let Some(logprobs) = wire.logprobs.filter(|raw| raw.get().len() > 2) {
                    let json = format!("{{\"content\":{},\"refusal\":null}}", logprobs.get());
                    if let Ok(json) = Json::parse(json) {
                        events.push(Event::Logprobs { choice: 0, json });
                    }
                }
                self.text(&PartKind::Text, wire.delta, events)
            }
            "response.refusal.delta" => self.text(&PartKind::Refusal, wire.delta, events),
            // Look-alikes may tell a text only when it is whole.
            "response.output_text.done" if !self.has_pieces => self.text(&PartKind::Text, wire.text, events),
            "response.refusal.done" if !self.has_pieces => {
                self.text(&PartKind::Refusal, wire.refusal, events)
            }
            "response.output_text.annotation.added" => {
                if let Some(annotation) = wire.annotation {
                    self.parts.ensure(&PartKind::Text, events)?;
                    self.has_pieces = true;
                    self.parts.annotation(annotation, events);
                }
                Ok(())
            }
            "response.reasoning_summary_part.added" => {
                if self.parts.is_thinking() {
                    self.parts.text(super::PARAGRAPH, events);
                }
                Ok(())
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.text(&PartKind::Thinking, wire.delta, events)
            }
            "response.function_call_arguments.delta" => {
                if let Some(delta) = string(wire.delta).filter(|delta| !delta.is_empty()) {
                    if !self.parts.is_call() {
                        return Err(no_item());
                    }
                    self.has_pieces = true;
                    self.parts.arguments(&delta, events);
                }
                Ok(())
            }
            "response.function_call_arguments.done" if !self.has_pieces && self.parts.is_call() => {
                if let Some(arguments) = string(wire.arguments).filter(|arguments| !arguments.is_empty()) {
                    self.has_pieces = true;
                    self.parts.arguments(&arguments, events);
                }
                Ok(())
            }
            "response.custom_tool_call_input.delta" => {
                if let (Some(held), Some(delta)) = (&mut self.custom, string(wire.delta)) {
                    held.push_str(&delta);
                }
                Ok(())
            }
            "response.custom_tool_call_input.done" => {
                if let (Some(held), Some(input)) = (&mut self.custom, string(wire.input)) {
                    *held = input.into_owned();
                }
                Ok(())
            }
            // Progress of the provider's own tools: what came of it is in the item.
            _ => Ok(()),
        }
    }
}

fn no_item() -> Failure {
    Failure::new(
        FailureClass::Malformed,
        "the provider's answer has an event about an item that is not there",
    )
}
