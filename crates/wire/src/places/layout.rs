//! Which message, part and tool of a request came from which place of its body.
//!
//! Owns the order in which each protocol's decoder makes messages: where one says in several items what is one turn, and where one
//! item becomes several messages. Must not judge values: the decoder has read them. What does not come out even with the request is
//! told by its message, or by its list alone, rather than by a place that might be another's.

use super::gemini;
use super::path::field;
use crate::carried::{self, Place as Carried};
use serde_json::Value;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::ChatRequest;

/// The places of a conversation and its tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The field that holds the conversation.
    pub(super) conversation: String,
    /// By message.
    pub(super) messages: Vec<MessagePlace>,
    /// By tool.
    pub(super) tools: Vec<String>,
}

/// The places of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MessagePlace {
    /// Where it stands, or begins.
    pub(super) place: String,
    /// By part.
    pub(super) parts: Vec<String>,
    /// It is of the model.
    pub(super) is_said: bool,
}

/// The layout of a body that is a conversation.
pub(super) fn of(dialect: Dialect, body: &Value) -> Layout {
    match dialect {
        Dialect::Anthropic => anthropic(body),
        Dialect::Gemini => gemini::layout(body),
        Dialect::Responses => responses(body),
        Dialect::OpenAi | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => openai(body),
    }
}

impl Layout {
    /// The same without what does not come out even with the request.
    pub(super) fn fitting(mut self, chat: &ChatRequest) -> Self {
        if self.messages.len() != chat.messages.len() {
            self.messages.clear();
        }
        for (place, message) in self.messages.iter_mut().zip(&chat.messages) {
            if place.parts.len() != message.parts.len() {
                place.parts.clear();
            }
        }
        if self.tools.len() != chat.tools.len() {
            self.tools.clear();
        }
        self
    }

    /// Adds a message.
    pub(super) fn push(&mut self, place: impl Into<String>, parts: Vec<String>) {
        self.messages.push(MessagePlace { place: place.into(), parts, is_said: false });
    }

    /// The parts of the model's turn under way; one begins at this place where none is.
    pub(super) fn said(&mut self, place: &str) -> &mut Vec<String> {
        if self.messages.last().is_none_or(|last| !last.is_said) {
            self.messages.push(MessagePlace { place: place.to_owned(), parts: Vec::new(), is_said: true });
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last].parts
    }

    /// Adds what a user says: results of tools are messages of their own, before the rest.
    pub(super) fn push_user(&mut self, place: &str, parts: Vec<(String, bool)>) {
        let is_all = parts.iter().all(|(_, is_result)| !is_result);
        let (results, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, is_result)| *is_result);
        for (result, _) in results {
            self.push(result.clone(), vec![result]);
        }
        if is_all || !rest.is_empty() {
            self.push(place, rest.into_iter().map(|(place, _)| place).collect());
        }
    }
}

/// The elements of a list; an object alone is a list of one, where it stands.
pub(super) fn one_or_more<'v>(value: &'v Value, place: &str) -> Vec<(String, &'v Value)> {
    match value {
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, element)| (format!("{place}[{index}]"), element))
            .collect(),
        Value::Object(_) => vec![(place.to_owned(), value)],
        _ => Vec::new(),
    }
}

fn elements<'v>(value: &'v Value, place: &str) -> Vec<(String, &'v Value)> {
    if value.is_array() { one_or_more(value, place) } else { Vec::new() }
}

fn is_given(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|value| !value.is_null())
}

fn has_text(value: &Value, name: &str) -> bool {
    value[name].as_str().is_some_and(|text| !text.is_empty())
}

/// A text, or a list of parts.
fn content(holder: &Value, place: &str, name: &str) -> Vec<String> {
    let at = format!("{place}.{name}");
    match &holder[name] {
        Value::String(_) => vec![at],
        list => elements(list, &at).into_iter().map(|(place, _)| place).collect(),
    }
}

fn openai(body: &Value) -> Layout {
    // A text to be continued is a conversation of one message.
    let conversation = if is_given(body, "messages") { "messages" } else { "prompt" };
    let mut layout = Layout { conversation: conversation.to_owned(), ..Layout::default() };
    if conversation == "prompt" {
        layout.push("prompt", vec!["prompt".to_owned()]);
    }
    for (place, message) in elements(&body["messages"], "messages") {
        let parts = match message["role"].as_str() {
            Some("assistant") => answer(message, &place),
            Some("tool" | "function") => vec![place.clone()],
            _ => content(message, &place, "content"),
        };
        layout.push(place, parts);
    }
    // In the order in which they stand, as they are read.
    for (name, value) in body.as_object().into_iter().flatten() {
        if name == "tools" || name == "functions" {
            layout.tools.extend(elements(value, name).into_iter().map(|(place, _)| place));
        }
    }
    layout
}

/// The parts of an answer in chat completions: reasoning, text, calls.
fn answer(message: &Value, place: &str) -> Vec<String> {
    let at = |name: &str| format!("{place}.{name}");
    let listed = |name: &str| elements(&message[name], &at(name)).into_iter().map(|(place, _)| place);
    let mut parts: Vec<String> = Vec::new();
    if is_given(message, "thinking_blocks") {
        parts.extend(listed("thinking_blocks"));
    } else if let Some(name) = ["reasoning_content", "reasoning"].iter().find(|name| has_text(message, name))
    {
        parts.push(at(name));
    }
    let thoughts = parts.len();
    parts.extend(content(message, place, "content"));
    if is_given(message, "refusal") {
        parts.push(at("refusal"));
    }
    let is_signed = has_text(&message["extra_content"]["google"], "thought_signature");
    if is_signed && parts.len() == thoughts {
        parts.push(at("extra_content"));
    }
    parts.extend(listed("tool_calls"));
    if is_given(message, "function_call") {
        parts.push(at("function_call"));
    }
    parts
}

fn responses(body: &Value) -> Layout {
    let mut layout = Layout { conversation: "input".to_owned(), ..Layout::default() };
    match &body["instructions"] {
        Value::String(_) => layout.push("instructions", vec!["instructions".to_owned()]),
        list => items(list, "instructions", &mut layout),
    }
    match &body["input"] {
        Value::String(_) => layout.push("input", vec!["input".to_owned()]),
        list => items(list, "input", &mut layout),
    }
    layout.tools = elements(&body["tools"], "tools").into_iter().map(|(place, _)| place).collect();
    layout
}

fn items(list: &Value, name: &str, layout: &mut Layout) {
    for (place, item) in elements(list, name) {
        let kind = item["type"].as_str().unwrap_or("message");
        match kind {
            "message" if item["role"] == "assistant" => {
                let parts = content(item, &place, "content");
                layout.said(&place).extend(parts);
            }
            "message" => {
                let parts = content(item, &place, "content");
                layout.push(place, parts);
            }
            "reasoning" => {
                let parts = layout.said(&place);
                if is_part(item) {
                    parts.push(place);
                }
            }
            _ if kind.ends_with("_output") || kind.ends_with("_response") => {
                layout.push(place.clone(), vec![place]);
            }
            _ => layout.said(&place).push(place.clone()),
        }
    }
}

/// Whether reasoning is a part of its own: it is nothing without words and state, and state may belong to the part before it.
fn is_part(item: &Value) -> bool {
    let has_words = |name: &str| {
        item[name].as_array().into_iter().flatten().any(|part| has_text(part, "text"))
            || item[name].as_array().is_some_and(|parts| parts.len() > 1)
    };
    let state = item["encrypted_content"].as_str().filter(|state| !state.is_empty());
    match state.map(carried::unpack) {
        Some(Some((_, Carried::Before))) => false,
        Some(_) => true,
        None => has_words("summary") || has_words("content"),
    }
}

fn anthropic(body: &Value) -> Layout {
    let mut layout = Layout { conversation: "messages".to_owned(), ..Layout::default() };
    let system = blocks(&body["system"], "system");
    if !system.is_empty() {
        layout.push("system", system.into_iter().map(|(place, _)| place).collect());
    }
    for (place, message) in elements(&body["messages"], "messages") {
        let parts = blocks(&message["content"], &format!("{place}.content"));
        if message["role"] == "user" {
            layout.push_user(&place, parts);
        } else {
            layout.push(place, parts.into_iter().map(|(place, _)| place).collect());
        }
    }
    layout.tools = elements(&body["tools"], "tools").into_iter().map(|(place, _)| place).collect();
    layout
}

/// The blocks that are parts, and whether each is a tool's result. State of the block before is none.
fn blocks(content: &Value, place: &str) -> Vec<(String, bool)> {
    if content.is_string() {
        return vec![(place.to_owned(), false)];
    }
    let carries = |block: &Value| {
        let state = block["data"].as_str().filter(|_| block["type"] == "redacted_thinking");
        matches!(state.and_then(carried::unpack), Some((_, Carried::Before)))
    };
    let parts = elements(content, place).into_iter().filter(|(_, block)| !carries(block));
    parts.map(|(place, block)| (place, block["type"] == "tool_result")).collect()
}

/// A field under its name in either case, with the place it has.
pub(super) fn within<'v>(holder: &'v Value, place: &str, name: &str) -> Option<(String, &'v Value)> {
    let (spelled, value) = field(holder, name).filter(|(_, value)| !value.is_null())?;
    Some((if place.is_empty() { spelled.to_owned() } else { format!("{place}.{spelled}") }, value))
}
