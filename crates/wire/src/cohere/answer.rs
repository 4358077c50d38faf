//! Cohere's whole chat answers read into events, and what its streams share with them.
//!
//! Owns finish reasons and usage. Must not trust: what is no answer is malformed, an error is the failure it names.

use super::citation::{About, Wire};
use crate::cited;
use crate::codec::{Decode, Frame};
use crate::openai;
use crate::scan::tree;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::usage::{Unbilled, Usage};

/// Reads whole answers.
#[derive(Default)]
pub(super) struct Decoder {
    has_ended: bool,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    finish_reason: Cow<'a, str>,
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    tool_plan: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

/// A piece of content, whole or the difference to the one before.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) thinking: Option<Cow<'a, str>>,
}

impl Block<'_> {
    pub(super) fn is_thinking(&self) -> bool {
        self.kind.as_deref() == Some("thinking") || (self.kind.is_none() && self.thinking.is_some())
    }

    pub(super) fn said(&self) -> &str {
        self.thinking.as_deref().filter(|text| !text.is_empty()).or(self.text.as_deref()).unwrap_or_default()
    }
}

/// A call of a tool, whole or the difference to the one before.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Cow<'a, str>>,
}

/// Usage as Cohere writes it: what went through the model, and what is billed.
#[derive(Deserialize)]
pub(super) struct Counts {
    #[serde(default)]
    billed_units: Option<Tokens>,
    #[serde(default)]
    tokens: Option<Tokens>,
    #[serde(default)]
    cached_tokens: Option<f64>,
}

/// Counts of one kind. Searches are only ever billed.
#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    input_tokens: Option<f64>,
    #[serde(default)]
    output_tokens: Option<f64>,
    #[serde(default)]
    search_units: Option<f64>,
}

impl Counts {
    /// The same of answers that tell it in a `meta`.
    pub(super) const fn of_meta(billed_units: Option<Tokens>, tokens: Option<Tokens>) -> Self {
        Self { billed_units, tokens, cached_tokens: None }
    }

    /// The disjoint classes of what went through the model, and what of them is not billed.
    pub(super) fn classes(&self) -> Option<Usage> {
        let billed = self.billed_units.as_ref();
        let told = self.tokens.as_ref().or(billed)?;
        let (input, output) = (count(told.input_tokens), count(told.output_tokens));
        // What is not told to be billed otherwise is billed.
        let charged_input =
            billed.and_then(|billed| billed.input_tokens).map_or(input, |number| count(Some(number)));
        let charged_output =
            billed.and_then(|billed| billed.output_tokens).map_or(output, |number| count(Some(number)));
        let (input, output) = (input.max(charged_input), output.max(charged_output));
        Some(Usage {
            searches: billed.map_or(0, |billed| count(billed.search_units)),
            unbilled: Unbilled { prompt: input - charged_input, completion: output - charged_output },
            ..Usage::from_inclusive(input, count(self.cached_tokens), output, 0)
        })
    }
}

fn count(number: Option<f64>) -> u64 {
    number.filter(|number| *number >= 0.0).map_or(0, |number| number as u64)
}

/// Reads a finish reason.
pub(super) fn finish_of(native: &str) -> Finish {
    match native {
        "MAX_TOKENS" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        "ERROR_TOXIC" => Finish::ContentFilter,
        "TIMEOUT" => Finish::Error,
        other if other.starts_with("ERROR") => Finish::Error,
        // `COMPLETE` and `STOP_SEQUENCE`.
        _ => Finish::Stop,
    }
}

/// The failure that something is which is no answer.
pub(super) fn not_an_answer(data: &[u8]) -> Failure {
    let says = tree::parse(data, &[])
        .is_ok_and(|root| root.field("message").is_some_and(|node| node.as_text().is_some()));
    if says {
        return openai::decode_error(200, data);
    }
    Failure::new(FailureClass::Malformed, "the provider's answer is not one of its dialect")
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: Answer<'_> = serde_json::from_slice(frame.data).map_err(|_| not_an_answer(frame.data))?;
        events.push(Event::Start { id: answer.id.into_owned(), model: String::new(), created: None });
        let mut parts = Parts::new(&answer.message, events);
        let text = |text: &str| Some(Delta::Text(text.to_owned()));
        if let Some(plan) = answer.message.tool_plan.as_deref().filter(|plan| !plan.is_empty()) {
            parts.whole(PartKind::Text, text(plan), Some(About::Plan));
        }
        for (index, block) in answer.message.content.iter().flatten().enumerate() {
            if block.said().is_empty() {
                continue;
            }
            let kind = if block.is_thinking() { PartKind::Thinking } else { PartKind::Text };
            parts.whole(kind, text(block.said()), Some(About::Content(Some(index))));
        }
        for (index, call) in answer.message.tool_calls.iter().flatten().enumerate() {
            let (id, name, arguments) = call_of(call, index);
            parts.whole(PartKind::ToolCall { id, name }, Some(Delta::Arguments(arguments)), None);
        }
        parts.rest();
        events.push(Event::Finish {
            choice: 0,
            reason: finish_of(&answer.finish_reason),
            native: answer.finish_reason.into_owned(),
            stop_sequence: None,
        });
        events.extend(answer.usage.and_then(|usage| usage.classes()).map(Event::Usage));
        events.push(Event::End);
        self.has_ended = true;
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Malformed, "the provider's answer is empty"))
    }
}

/// The parts of a whole answer, each with the citations that are about it.
struct Parts<'e> {
    events: &'e mut Vec<Event>,
    citations: Vec<(About, Wire)>,
    next: u32,
    /// The text part told last.
    text: Option<u32>,
    /// Characters of text so far.
    said: usize,
}

impl<'e> Parts<'e> {
    fn new(message: &Message<'_>, events: &'e mut Vec<Event>) -> Self {
        let is_text = |block: &&Block<'_>| !block.is_thinking();
        let texts = message.content.as_deref().unwrap_or_default();
        let first = texts.iter().position(|block| is_text(&block)).unwrap_or(0);
        let told = message.citations.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        let told = told.unwrap_or_default().into_iter().filter_map(Wire::read);
        let about = |wire: Wire| match wire.about() {
            About::Content(None) => (About::Content(Some(first)), wire),
            about => (about, wire),
        };
        Self { events, citations: told.map(about).collect(), next: 0, text: None, said: 0 }
    }

    fn whole(&mut self, kind: PartKind, delta: Option<Delta>, about: Option<About>) {
        let (choice, part, start) = (0, self.next, self.said);
        let is_text = kind == PartKind::Text;
        self.next += 1;
        self.events.push(Event::PartStart { choice, part, kind });
        if let (true, Some(Delta::Text(text))) = (is_text, &delta) {
            self.said += cited::characters(text);
        }
        self.events.extend(delta.map(|delta| Event::Delta { choice, part, delta }));
        if is_text {
            self.text = Some(part);
            let (told, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.citations).into_iter().partition(|(of, _)| Some(*of) == about);
            self.citations = rest;
            self.cite(&told, part, Some(start));
        }
        self.events.push(Event::PartEnd { choice, part });
    }

    fn cite(&mut self, told: &[(About, Wire)], part: u32, start: Option<usize>) {
        for citation in told.iter().flat_map(|(_, wire)| wire.citations(start)) {
            self.events.push(Event::Citation { choice: 0, part, citation: Box::new(citation) });
        }
    }

    /// Tells what is about no text of the answer.
    fn rest(&mut self) {
        let told = std::mem::take(&mut self.citations);
        self.cite(&told, self.text.unwrap_or(0), None);
    }
}

/// Identifier, name and arguments so far.
pub(super) fn call_of(call: &Call<'_>, index: usize) -> (String, String, String) {
    let id = call.id.as_deref().filter(|id| !id.is_empty());
    let function = call.function.as_ref();
    let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
    let arguments = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
    (id.map_or_else(|| format!("call_{index}"), str::to_owned), name.to_owned(), arguments.to_owned())
}
