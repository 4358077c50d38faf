//! OpenAI chat answers read into events, whole and streamed.
//!
//! Owns the order of parts: the dialect sends fields side by side, events come one part after the other. Must not trust: an
//! answer without an end is cut, one that is not JSON is malformed, an error object is the failure it names.

use super::calls::{Calls, Step, Unordered};
use super::chunk::{Block, Choice, Chunk, Content, Message};
use super::citation;
use super::embeddings::{malformed, not_an_answer};
use super::finish::finish_of;
use super::plain_chunk;
use crate::carried;
use crate::codec::{Decode, Frame};
use crate::scan::tree;
use trunkline_model::citation::Citation;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;

const CHOICE_LIMIT: usize = 128;
const PART_LIMIT: u32 = 4_096;

/// Reads answers of this dialect.
pub(super) struct Decoder {
    delivery: Delivery,
    has_started: bool,
    has_ended: bool,
    /// Ends the ids made up for calls without one.
    id_tail: String,
    /// Whose signatures the thoughts carry.
    signer: Dialect,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    open: Option<Open>,
    next_part: u32,
    calls: Calls,
    /// The text part begun last.
    text_part: Option<u32>,
    is_cited: bool,
    is_finished: bool,
    was_seen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    /// With the bytes of reasoning so far.
    Thinking(usize),
    Refusal,
    Call,
}

impl Decoder {
    pub(super) const fn new(delivery: Delivery, signer: Dialect) -> Self {
        Self {
            delivery,
            has_started: false,
            has_ended: false,
            id_tail: String::new(),
            signer,
            choices: Vec::new(),
        }
    }

    fn start(&mut self, chunk: &Chunk<'_>, has_choices: bool, events: &mut Vec<Event>) {
        // Azure opens streams with a chunk about the prompt that names no model.
        if self.has_started || (chunk.model.is_empty() && !has_choices) {
            return;
        }
        self.has_started = true;
        let id = chunk.id.as_str();
        let tail: String = id.chars().rev().filter(char::is_ascii_alphanumeric).take(16).collect();
        self.id_tail = tail.chars().rev().collect();
        events.push(Event::Start {
            id: id.to_owned(),
            model: chunk.model.as_str().to_owned(),
            created: chunk.created.0,
        });
    }

    /// The answer of that number, of which something is told.
    fn writer<'w>(&'w mut self, index: u64, events: &'w mut Vec<Event>) -> Result<Writer<'w>, Failure> {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        if position >= CHOICE_LIMIT {
            return Err(malformed(format!("choice {index} is beyond the limit of {CHOICE_LIMIT}")));
        }
        while self.choices.len() <= position {
            self.choices.push(ChoiceState::default());
        }
        let state = &mut self.choices[position];
        state.was_seen = true;
        Ok(Writer { state, choice: position as u32, id_tail: &self.id_tail, signer: self.signer, events })
    }

    fn choice(
        &mut self,
        choice: &Choice<'_>,
        chunk: &Chunk<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let is_last = self.delivery == Delivery::Plain || !choice.finish_reason.is_empty();
        let mut writer = self.writer(choice.index.0.unwrap_or(0), events)?;
        if writer.state.is_finished {
            return Ok(());
        }
        if let Some(logprobs) = choice.logprobs.filter(|raw| raw.get() != "null") {
            let json = Json::from_raw(logprobs.to_owned());
            if is_canonical(&json) {
                writer.events.push(Event::Logprobs { choice: writer.choice, json });
            }
        }
        if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
            writer.message(message)?;
        }
        // Chunks of a stream repeat these lists. Where nothing was said there is nothing that could rest on them.
        let is_listed = chunk.citations.is_some() || chunk.search_results.is_some();
        if is_listed && is_last && !writer.state.is_cited && writer.state.text_part.is_some() {
            for citation in citation::listed(chunk.citations, chunk.search_results) {
                writer.cite(citation)?;
            }
        }
        if !choice.finish_reason.is_empty() {
            let stop = choice.stop_reason.as_str();
            // Token ids are numbers, stop texts hardly ever.
            let is_text = !stop.is_empty() && !stop.bytes().all(|byte| byte.is_ascii_digit());
            writer.finish(choice.finish_reason.as_str(), is_text.then(|| stop.to_owned()))?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if !self.has_ended {
            self.has_ended = true;
            events.push(Event::End);
        }
    }
}

/// Whether log-probabilities are in the form of this endpoint; look-alikes have others, which would break the client's types.
fn is_canonical(json: &Json) -> bool {
    json.text().contains("\"content\"") || json.text().contains("\"refusal\"")
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.finish(events);
            return Ok(());
        }
        if self.has_started
            && self.delivery == Delivery::Stream
            && frame.event != "error"
            && let Some(piece) = plain_chunk::read(data)
        {
            let mut writer = self.writer(piece.choice, events)?;
            return if writer.state.is_finished { Ok(()) } else { writer.text(Open::Text, &piece.text) };
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| not_an_answer(data))?;
        if chunk.error.is_some_and(|error| error.get() != "null")
            || chunk.object.as_str() == "error"
            || frame.event == "error"
        {
            return Err(error_in(data));
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        let usage = chunk.usage.as_ref().or_else(|| chunk.x_groq.as_ref()?.usage.as_ref());
        if self.delivery == Delivery::Plain && choices.is_empty() {
            return Err(malformed("the answer has no choices"));
        }
        self.start(&chunk, !choices.is_empty(), events);
        for choice in choices {
            self.choice(choice, &chunk, events)?;
        }
        if let Some(usage) = usage {
            events.push(Event::Usage(usage.classes(chunk.service_tier)));
        }
        if self.delivery == Delivery::Plain {
            for (index, state) in self.choices.iter_mut().enumerate() {
                if state.was_seen && !state.is_finished {
                    let (choice, id_tail, signer) = (index as u32, &*self.id_tail, self.signer);
                    Writer { state, choice, id_tail, signer, events }.finish("", None)?;
                }
            }
            self.finish(events);
        }
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended {
            return Ok(());
        }
        // Several look-alikes leave out `[DONE]`: every answer begun and finished is complete too.
        let mut seen = self.choices.iter().filter(|state| state.was_seen).peekable();
        if seen.peek().is_some() && seen.all(|state| state.is_finished) {
            self.finish(events);
            return Ok(());
        }
        Err(cut())
    }
}

/// What a stream that just stops is.
pub(crate) fn cut() -> Failure {
    Failure::new(FailureClass::Cut, "the provider's answer ended before it was complete")
}

/// The failure an error object inside an answer names.
pub(crate) fn error_in(data: &[u8]) -> Failure {
    match tree::parse(data, &[]) {
        Ok(root) => super::error::from_object(200, &root),
        Err(_) => malformed("an error that is not JSON"),
    }
}

struct Writer<'w> {
    state: &'w mut ChoiceState,
    choice: u32,
    id_tail: &'w str,
    signer: Dialect,
    events: &'w mut Vec<Event>,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        self.reasoning(message)?;
        match &message.content {
            Content::Text(text) => self.text(Open::Text, text.as_str())?,
            Content::Blocks(blocks) => {
                for block in blocks {
                    self.block(block)?;
                }
            }
        }
        self.text(Open::Refusal, message.refusal.as_str())?;
        for annotation in message.annotations.iter().flatten() {
            self.cite(citation::read(annotation, Dialect::OpenAi))?;
        }
        if let Some(signature) = message.extra_content.as_ref().and_then(|extra| extra.signature()) {
            self.on_text(Delta::Opaque(gemini(signature)))?;
        }
        for call in message.tool_calls.iter().flatten() {
            let name = call.function.as_ref().map_or("", |function| function.name.as_str());
            let arguments =
                call.function.as_ref().map(|function| function.argument_text()).unwrap_or_default();
            let signature = call.extra_content.as_ref().and_then(|extra| extra.signature()).map(gemini);
            self.call(call.index, call.id.as_str(), name, &arguments, signature)?;
        }
        if let Some(function) = &message.function_call {
            self.call(Some(0), "", function.name.as_str(), &function.argument_text(), None)?;
        }
        Ok(())
    }

    fn reasoning(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        // Look-alikes repeat one text under several names; the blocks say most.
        if let Some(blocks) = message.thinking_blocks.as_deref().filter(|blocks| !blocks.is_empty()) {
            return blocks.iter().try_for_each(|block| self.block(block));
        }
        let text = if message.reasoning_content.is_empty() {
            &message.reasoning
        } else {
            &message.reasoning_content
        };
        self.text(Open::Thinking(0), text.as_str())
    }

    fn block(&mut self, block: &Block<'_>) -> Result<(), Failure> {
        match block.kind.as_str() {
            "redacted_thinking" => {
                self.close()?;
                let part = self.begin(PartKind::RedactedThinking)?;
                let delta = Delta::Opaque(self.signed(block.data.as_str()));
                self.events.push(Event::Delta { choice: self.choice, part, delta });
                self.events.push(Event::PartEnd { choice: self.choice, part });
                Ok(())
            }
            "thinking" => self.thinking_block(block),
            "refusal" => self.text(Open::Refusal, block.refusal.as_str()),
            "reference" => {
                citation::referred(block.reference_ids).into_iter().try_for_each(|one| self.cite(one))
            }
            "tool_reference" => self.cite(citation::found(block.url.as_str(), block.title.as_str())),
            _ => self.text(Open::Text, block.text.as_str()),
        }
    }

    fn thinking_block(&mut self, block: &Block<'_>) -> Result<(), Failure> {
        let text: std::borrow::Cow<'_, str> = match &block.thinking {
            Content::Text(text) => text.as_str().into(),
            Content::Blocks(blocks) => {
                blocks.iter().map(|block| block.text.as_str()).collect::<String>().into()
            }
        };
        if block.signature.is_empty() {
            return self.text(Open::Thinking(0), &text);
        }
        // Streams of ours repeat the text streamed before in the block that carries its signature.
        if !matches!(self.state.open, Some(Open::Thinking(so_far)) if so_far == text.len()) {
            self.text(Open::Thinking(0), &text)?;
        }
        if !matches!(self.state.open, Some(Open::Thinking(_))) {
            self.close()?;
            self.begin(PartKind::Thinking)?;
            self.state.open = Some(Open::Thinking(0));
        }
        let delta = Delta::Opaque(self.signed(block.signature.as_str()));
        self.events.push(Event::Delta { choice: self.choice, part: self.part(), delta });
        self.close()
    }

    fn signed(&self, value: &str) -> Opaque {
        let own = || Opaque { origin: self.signer, value: value.to_owned() };
        carried::unpack(value).map_or_else(own, |(opaque, _)| opaque)
    }

    /// More text of a kind.
    fn text(&mut self, kind: Open, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let is_open = match (self.state.open, kind) {
            (Some(Open::Thinking(_)), Open::Thinking(_)) => true,
            (open, kind) => open == Some(kind),
        };
        if !is_open {
            self.close()?;
            let part_kind = match kind {
                Open::Text | Open::Call => PartKind::Text,
                Open::Thinking(_) => PartKind::Thinking,
                Open::Refusal => PartKind::Refusal,
            };
            self.begin(part_kind)?;
            self.state.open = Some(kind);
        }
        if let Some(Open::Thinking(so_far)) = &mut self.state.open {
            *so_far += text.len();
        }
        let delta = Delta::Text(text.to_owned());
        self.events.push(Event::Delta { choice: self.choice, part: self.part(), delta });
        Ok(())
    }

    /// A source of the text: of that under way, or of the last one.
    fn cite(&mut self, citation: Citation) -> Result<(), Failure> {
        let part = match self.state.text_part {
            Some(part) => part,
            None => {
                self.close()?;
                self.state.open = Some(Open::Text);
                self.begin(PartKind::Text)?
            }
        };
        self.state.is_cited = true;
        self.events.push(Event::Citation { choice: self.choice, part, citation: Box::new(citation) });
        Ok(())
    }

    /// Something that hangs on the text.
    fn on_text(&mut self, delta: Delta) -> Result<(), Failure> {
        // Gemini signs reasoning too.
        let on_thinking = matches!((self.state.open, &delta), (Some(Open::Thinking(_)), Delta::Opaque(_)));
        if self.state.open != Some(Open::Text) && !on_thinking {
            self.close()?;
            self.begin(PartKind::Text)?;
            self.state.open = Some(Open::Text);
        }
        self.events.push(Event::Delta { choice: self.choice, part: self.part(), delta });
        Ok(())
    }

    fn call(
        &mut self,
        index: Option<u32>,
        id: &str,
        name: &str,
        arguments: &str,
        signature: Option<Opaque>,
    ) -> Result<(), Failure> {
        let (tail, choice) = (self.id_tail, self.choice);
        let made_up = |position: usize| format!("call_{tail}_{choice}_{position}");
        self.state
            .calls
            .piece(index, id, name, arguments, signature, made_up)
            .map_err(|Unordered| malformed("tool calls that cannot be put in sequence"))?;
        self.drain_calls(false)
    }

    fn drain_calls(&mut self, at_end: bool) -> Result<(), Failure> {
        while let Some(step) = self.state.calls.step(at_end) {
            match step {
                Step::Open { id, name } => {
                    self.close_text();
                    self.begin(PartKind::ToolCall { id, name })?;
                    self.state.open = Some(Open::Call);
                }
                Step::Signature(opaque) => self.push(Delta::Opaque(opaque)),
                Step::Arguments(text) => self.push(Delta::Arguments(text)),
                Step::Close => {
                    self.state.open = None;
                    self.events.push(Event::PartEnd { choice: self.choice, part: self.part() });
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, delta: Delta) {
        self.events.push(Event::Delta { choice: self.choice, part: self.part(), delta });
    }

    /// The number of the part begun last.
    const fn part(&self) -> u32 {
        self.state.next_part.saturating_sub(1)
    }

    fn begin(&mut self, kind: PartKind) -> Result<u32, Failure> {
        let part = self.state.next_part;
        if part >= PART_LIMIT {
            return Err(malformed(format!("more than {PART_LIMIT} parts")));
        }
        self.state.next_part += 1;
        if kind == PartKind::Text {
            self.state.text_part = Some(part);
        }
        self.events.push(Event::PartStart { choice: self.choice, part, kind });
        Ok(part)
    }

    fn close_text(&mut self) {
        if matches!(self.state.open, Some(Open::Text | Open::Thinking(_) | Open::Refusal)) {
            self.state.open = None;
            self.events.push(Event::PartEnd { choice: self.choice, part: self.part() });
        }
    }

    /// Ends whatever is open; calls that wait for their turn take it.
    fn close(&mut self) -> Result<(), Failure> {
        self.close_text();
        if self.state.calls.is_open() { self.drain_calls(true) } else { Ok(()) }
    }

    fn finish(&mut self, native: &str, stop_sequence: Option<String>) -> Result<(), Failure> {
        self.close_text();
        self.drain_calls(true)?;
        self.state.is_finished = true;
        let reason: Finish = finish_of(native, self.state.calls.any());
        self.events.push(Event::Finish {
            choice: self.choice,
            reason,
            native: native.to_owned(),
            stop_sequence,
        });
        Ok(())
    }
}

fn gemini(value: &str) -> Opaque {
    Opaque { origin: Dialect::Gemini, value: value.to_owned() }
}
