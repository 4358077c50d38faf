//! Gemini's answers, plain and streamed, and token counts, into canonical events.
//!
//! Owns candidates and their parts: a stream's chunks are whole answers of a few parts each, so one decoder serves both.
//! Must not know framing. Text of following chunks is one part until something else comes; a part that carries a signature
//! is never joined with another. A finish reason does not end a candidate at once, because older models repeat it on every
//! chunk: the finish is told when the body ends, and a body that ends before every candidate has one was cut.

use super::error::ErrorObject;
use super::grounding::{self, Metadata, Texts};
use super::logprobs;
use super::plain_chunk;
use super::state;
use super::usage::{Searches, WireUsage};
use super::{MAX_CHOICES, MAX_PARTS};
use crate::anthropic::malformed;
use crate::codec::{Decode, Frame};
use crate::json_text::JsonText;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;

/// Parts of answers that only this dialect knows.
pub(super) const OTHER_PARTS: [&str; 6] =
    ["inlineData", "fileData", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"];
/// Fields of a candidate that only this dialect knows.
pub(super) const CANDIDATE_FIELDS: [&str; 3] =
    ["groundingMetadata", "citationMetadata", "urlContextMetadata"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<WireCandidate<'a>>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<WireUsage>,
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    response_id: Option<&'a RawValue>,
    error: Option<ErrorObject>,
}

/// Why a prompt was refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

impl PromptFeedback {
    /// The failure it stands for, where it stands for one.
    pub(super) fn into_failure(self) -> Option<Failure> {
        let reason = self.block_reason.filter(|reason| !reason.ends_with("_UNSPECIFIED"))?;
        let message = match self.block_reason_message {
            Some(message) if !message.is_empty() => {
                format!("the provider refused the prompt ({reason}): {message}")
            }
            _ => format!("the provider refused the prompt ({reason})"),
        };
        Some(Failure::new(FailureClass::ContentRefused, message).with_code(reason))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCandidate<'a> {
    #[serde(borrow)]
    content: Option<WireContent<'a>>,
    finish_reason: Option<String>,
    index: Option<u32>,
    #[serde(borrow)]
    logprobs_result: Option<&'a RawValue>,
    #[serde(borrow)]
    grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    citation_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    url_context_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireContent<'a> {
    #[serde(borrow)]
    parts: Option<Vec<WirePart<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePart<'a> {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    #[serde(borrow)]
    function_call: Option<WireCall<'a>>,
    #[serde(borrow)]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow)]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow)]
    code_execution_result: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_response: Option<&'a RawValue>,
}

impl WirePart<'_> {
    /// Whether it adds to the text of the answer.
    fn is_text(&self) -> bool {
        self.thought != Some(true) && self.text.as_deref().is_some_and(|text| !text.is_empty())
    }
}

#[derive(Deserialize)]
struct WireCall<'a> {
    id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// One of the answers.
#[derive(Default)]
struct Choice {
    index: u32,
    parts: u32,
    /// The open part, and whether it is thought.
    open: Option<bool>,
    has_calls: bool,
    finish: Option<String>,
    texts: Texts,
    metadata: Metadata,
    cites: Cites,
}

/// When the sources of an answer are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cites {
    /// Not yet: more may come of the text or of them.
    #[default]
    Later,
    /// At the end of the piece of text that is being read, which is the last one.
    Now,
    /// They were.
    Told,
}

/// Decodes answers, plain or chunk by chunk.
pub(super) struct Decoder {
    delivery: Delivery,
    started: bool,
    ended: bool,
    /// What made-up call ids are made of, so that they differ from answer to answer.
    scope: String,
    calls: u32,
    parts: u32,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    searches: Searches,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        // Some look-alikes close with another dialect's marker.
        if self.ended || frame.data.is_empty() || frame.data == b"[DONE]" {
            return Ok(());
        }
        if self.started
            && self.delivery == Delivery::Stream
            && let Some(piece) = plain_chunk::read(frame.data)
        {
            let place = self.place(piece.index)?;
            self.text(place, piece.is_thought, piece.text.resolve(), events)?;
            self.count_tokens(piece.usage, events);
            return Ok(());
        }
        let answer: WireAnswer<'_> = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if let Some(error) = answer.error {
            return Err(error.into_failure(None));
        }
        let candidates = answer.candidates.unwrap_or_default();
        if candidates.is_empty()
            && let Some(failure) = answer.prompt_feedback.and_then(PromptFeedback::into_failure)
        {
            return Err(failure);
        }
        self.start(answer.response_id, answer.model_version, events);
        for candidate in candidates {
            self.candidate(candidate, events)?;
        }
        self.count_tokens(answer.usage_metadata, events);
        if self.delivery == Delivery::Plain {
            if self.choices.is_empty() {
                let message = "the provider's answer has no candidates";
                return Err(Failure::new(FailureClass::Malformed, message));
            }
            self.close(events);
        }
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        if self.choices.is_empty() || self.choices.iter().any(|choice| choice.finish.is_none()) {
            return Err(Failure::new(
                FailureClass::Cut,
                "the provider's stream ended without a finish reason",
            ));
        }
        self.close(events);
        Ok(())
    }
}

impl Decoder {
    pub(super) const fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            started: false,
            ended: false,
            scope: String::new(),
            calls: 0,
            parts: 0,
            choices: Vec::new(),
            usage: None,
            searches: Searches::NONE,
        }
    }

    /// Every chunk repeats id and model: only the first is read.
    fn start(&mut self, id: Option<&RawValue>, model: Option<&RawValue>, events: &mut Vec<Event>) {
        if self.started {
            return;
        }
        self.started = true;
        let text = |raw: Option<&RawValue>| -> String {
            raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
        };
        let id = text(id);
        let safe = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        self.scope = id.chars().filter(safe).take(64).collect();
        events.push(Event::Start { id, model: text(model), created: None });
    }

    /// Tells the counts where they differ from those before.
    fn count_tokens(&mut self, usage: Option<WireUsage>, events: &mut Vec<Event>) {
        let usage = usage.and_then(|usage| usage.usage());
        let usage = usage.map(|usage| self.searches.in_usage(usage));
        if let Some(usage) = usage.filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            events.push(Event::Usage(usage));
        }
    }

    /// Where the candidate of that number is kept.
    fn place(&mut self, index: u32) -> Result<usize, Failure> {
        match self.choices.iter().position(|choice| choice.index == index) {
            Some(place) => Ok(place),
            None if self.choices.len() < MAX_CHOICES => {
                self.choices.push(Choice { index, ..Choice::default() });
                Ok(self.choices.len() - 1)
            }
            None => Err(Failure::new(FailureClass::Malformed, "the answer has too many candidates")),
        }
    }

    fn candidate(&mut self, candidate: WireCandidate<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let index = candidate.index.unwrap_or_default();
        let place = self.place(index)?;
        // Before the text that they are of, so that encoders can send both at once.
        if let Some(json) = candidate.logprobs_result.and_then(logprobs::canonical) {
            events.push(Event::Logprobs { choice: index, json });
        }
        let searches = candidate.grounding_metadata.map(Searches::of);
        self.searches = self.searches.and(searches.unwrap_or(Searches::NONE));
        let metadata = &mut self.choices[place].metadata;
        for (kept, told) in [
            (&mut metadata.grounding, candidate.grounding_metadata),
            (&mut metadata.citation, candidate.citation_metadata),
        ] {
            if let Some(raw) = told {
                *kept = Some(raw.to_owned());
            }
        }
        let reason = candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED");
        let is_last = reason.is_some() || self.delivery == Delivery::Plain;
        let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
        self.parts(place, parts, is_last, events)?;
        let fields =
            [candidate.grounding_metadata, candidate.citation_metadata, candidate.url_context_metadata];
        for (name, value) in CANDIDATE_FIELDS.into_iter().zip(fields) {
            // Of the first alone: the form for clients of this dialect, who ask for one nearly always.
            if let Some(value) = value.filter(|_| index == 0) {
                events.push(Event::Extra { name: name.to_owned(), json: Json::from_raw(value.to_owned()) });
            }
        }
        if reason.is_some() {
            self.choices[place].finish = reason;
        }
        Ok(())
    }

    /// Reads the parts of a chunk, and tells the sources right after the last text: before a signature on an empty part ends it.
    fn parts(
        &mut self,
        place: usize,
        parts: Vec<WirePart<'_>>,
        is_last: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let choice = &self.choices[place];
        let cites = is_last && choice.cites == Cites::Later && !choice.metadata.is_empty();
        let last_text = parts.iter().rposition(WirePart::is_text);
        if cites && last_text.is_none() {
            self.choices[place].cites = Cites::Now;
            self.cite(place, events);
        }
        for (index, part) in parts.into_iter().enumerate() {
            if cites && Some(index) == last_text {
                self.choices[place].cites = Cites::Now;
            }
            self.part(place, part, events)?;
            self.cite(place, events);
        }
        Ok(())
    }

    /// Tells the sources, if it is time to.
    fn cite(&mut self, place: usize, events: &mut Vec<Event>) {
        let choice = &mut self.choices[place];
        if choice.cites != Cites::Now {
            return;
        }
        choice.cites = Cites::Told;
        for (part, citation) in grounding::citations(&choice.metadata, &choice.texts) {
            events.push(Event::Citation { choice: choice.index, part, citation: Box::new(citation) });
        }
    }

    fn part(&mut self, place: usize, part: WirePart<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let signature = part.thought_signature.filter(|text| !text.is_empty());
        if let Some(call) = part.function_call {
            let arguments = call.args.map_or("{}", RawValue::get);
            let given = call.id.filter(|id| !id.is_empty());
            let id = given.unwrap_or_else(|| self.call_id(&call.name, arguments));
            let arguments = if arguments == "null" { "{}" } else { arguments };
            self.choices[place].has_calls = true;
            let kind = PartKind::ToolCall { id, name: call.name };
            return self.whole(place, kind, Delta::Arguments(arguments.to_owned()), signature, events);
        }
        let others = [
            part.inline_data,
            part.file_data,
            part.executable_code,
            part.code_execution_result,
            part.tool_call,
            part.tool_response,
        ];
        if let Some((name, value)) =
            OTHER_PARTS.into_iter().zip(others).find_map(|(name, raw)| Some((name, raw?)))
        {
            self.close_part(place, events);
            self.count()?;
            self.choices[place].texts.pass();
            let json = other_part(name, value, signature.as_deref());
            events.push(Event::Extra { name: name.to_owned(), json });
            return Ok(());
        }
        let thought = part.thought.unwrap_or(false);
        let text = part.text.unwrap_or_default();
        if signature.is_some() {
            let kind = if thought { PartKind::Thinking } else { PartKind::Text };
            return self.whole(place, kind, Delta::Text(text), signature, events);
        }
        self.text(place, thought, text.into(), events)
    }

    /// More of the open part, if it is of that kind; the beginning of one otherwise.
    fn text(
        &mut self,
        place: usize,
        thought: bool,
        text: Cow<'_, str>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let choice = &self.choices[place];
        let (index, mut number) = (choice.index, choice.parts);
        if choice.open == Some(thought) {
            number -= 1;
        } else {
            self.close_part(place, events);
            self.count()?;
            let choice = &mut self.choices[place];
            choice.open = Some(thought);
            choice.parts += 1;
            if thought {
                choice.texts.pass();
            } else {
                choice.texts.begin(number, self.delivery);
            }
            let kind = if thought { PartKind::Thinking } else { PartKind::Text };
            events.push(Event::PartStart { choice: index, part: number, kind });
        }
        if !thought {
            self.choices[place].texts.push(&text);
        }
        events.push(Event::Delta { choice: index, part: number, delta: Delta::Text(text.into_owned()) });
        Ok(())
    }

    /// A part that is complete as it comes.
    fn whole(
        &mut self,
        place: usize,
        kind: PartKind,
        delta: Delta,
        signature: Option<String>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.close_part(place, events);
        self.count()?;
        let (choice, part) = (self.choices[place].index, self.choices[place].parts);
        self.choices[place].parts += 1;
        let (delivery, texts) = (self.delivery, &mut self.choices[place].texts);
        match (&kind, &delta) {
            (PartKind::Text, Delta::Text(text)) => {
                texts.begin(part, delivery);
                texts.push(text);
            }
            _ => texts.pass(),
        }
        events.push(Event::PartStart { choice, part, kind });
        if !matches!(&delta, Delta::Text(text) if text.is_empty()) {
            events.push(Event::Delta { choice, part, delta });
        }
        if let Some(value) = signature {
            let opaque = Opaque { origin: Dialect::Gemini, value };
            events.push(Event::Delta { choice, part, delta: Delta::Opaque(opaque) });
        }
        self.cite(place, events);
        events.push(Event::PartEnd { choice, part });
        Ok(())
    }

    fn count(&mut self) -> Result<(), Failure> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many parts"));
        }
        Ok(())
    }

    fn call_id(&mut self, name: &str, arguments: &str) -> String {
        self.calls += 1;
        if self.scope.is_empty() {
            // Without an id of the answer, what is called keeps calls of different turns apart.
            let hash = name.bytes().chain(arguments.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            return state::made_up_id(format_args!("{hash:016x}"), self.calls - 1);
        }
        state::made_up_id(&self.scope, self.calls - 1)
    }

    fn close_part(&mut self, place: usize, events: &mut Vec<Event>) {
        let choice = &mut self.choices[place];
        if choice.open.take().is_some() {
            events.push(Event::PartEnd { choice: choice.index, part: choice.parts - 1 });
        }
    }

    /// Tells the finishes and the end.
    fn close(&mut self, events: &mut Vec<Event>) {
        self.ended = true;
        for place in 0..self.choices.len() {
            let choice = &mut self.choices[place];
            if choice.cites == Cites::Later && !choice.metadata.is_empty() {
                choice.cites = Cites::Now;
                self.cite(place, events);
            }
            self.close_part(place, events);
            let choice = &mut self.choices[place];
            let native = choice.finish.take().unwrap_or_default();
            let reason = finish(&native, choice.has_calls);
            events.push(Event::Finish { choice: choice.index, reason, native, stop_sequence: None });
        }
        events.push(Event::End);
    }
}

/// A part that only this dialect knows, whole.
fn other_part(name: &str, content: &RawValue, signature: Option<&str>) -> Json {
    let mut out = BytesMut::with_capacity(content.get().len() + 64);
    out.open_object();
    out.field_raw(name, content.get());
    if let Some(signature) = signature {
        out.field("thoughtSignature", signature);
    }
    out.close_object();
    let text = String::from_utf8(out.to_vec()).unwrap_or_default();
    Json::parse(text).unwrap_or_else(|_| Json::null())
}

/// Why an answer ended.
pub(super) fn finish(native: &str, has_calls: bool) -> Finish {
    match native {
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE"
        | "LANGUAGE"
        | "OTHER"
        | "NO_IMAGE"
        | "IMAGE_OTHER" => Finish::Error,
        "CONTINUATION" => Finish::Pause,
        _ if has_calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    total_tokens: u64,
    #[serde(default)]
    cached_content_token_count: u64,
}

/// The usage a count object stands for.
pub(super) fn counted(body: &[u8]) -> Result<Usage, Failure> {
    let count: Count = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    Ok(Usage::from_inclusive(count.total_tokens, count.cached_content_token_count, 0, 0))
}
