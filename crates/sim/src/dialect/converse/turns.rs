//! Reads the messages of a request: who may say what, and that every tool call has its result.
//!
//! Owns the rules between messages and between blocks; what a block counts and offers goes into the prompt.

use serde_json::{Map, Value};

use super::super::Refusal;
use super::check;
use super::request::Reader;
use crate::opaque;
use crate::turn::ToolOutcome;

/// The seal on reasoning.
pub(super) const THINKING: &str = "converse reasoning";
/// The seal on redacted reasoning.
pub(super) const REDACTED: &str = "converse redacted reasoning";

const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];
const DOCUMENTS: &[&str] = &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const VIDEOS: &[&str] = &["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"];

/// Calls of the last turn of the model: identifier and name.
type Calls = Vec<(String, String)>;

impl Reader<'_> {
    /// Reads all messages.
    pub(super) fn messages(&mut self, body: &Map<String, Value>, claude: bool) -> Result<(), Refusal> {
        let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if messages.is_empty() {
            return Err(Refusal::invalid(
                "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
            ));
        }
        let mut calls = Calls::new();
        for (index, message) in messages.iter().enumerate() {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            match (index % 2, role) {
                (0, "user") | (1, "assistant") => {}
                (_, "user" | "assistant") if index == 0 => {
                    return Err(Refusal::invalid(
                        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
                    ));
                }
                (_, "user" | "assistant") => {
                    return Err(Refusal::invalid(
                        "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
                    ));
                }
                _ => {
                    let rule = "Member must satisfy enum value set: [user, assistant]";
                    let place = format!("messages.{}.member.role", index + 1);
                    return Err(check::constraint(&message["role"], &place, rule));
                }
            }
            self.prompt.count_message(role);
            let blocks = message.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if blocks.is_empty() {
                return Err(Refusal::invalid(format!(
                    "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the content field and try again."
                )));
            }
            if role == "user" {
                self.user(blocks, index, std::mem::take(&mut calls))?;
            } else {
                self.prompt.outcomes.clear();
                let continued = claude && self.prompt.reasoning > 0 && index + 2 >= messages.len();
                calls = self.assistant(blocks, index, continued)?;
                if index + 1 == messages.len() {
                    prefill(blocks, claude)?;
                }
            }
        }
        match calls.first() {
            Some((id, _)) => Err(unanswered(messages.len(), id)),
            None => Ok(()),
        }
    }

    fn user(&mut self, blocks: &[Value], index: usize, mut calls: Calls) -> Result<(), Refusal> {
        self.prompt.outcomes.clear();
        if !blocks.iter().any(|block| block.get("toolResult").is_some()) {
            self.prompt.begin_user();
        }
        let mut document = false;
        for (position, block) in blocks.iter().enumerate() {
            let place = format!("messages.{index}.content.{position}");
            let (kind, value) = member(block, &place)?;
            match kind {
                "text" => {
                    let text = self.text(value, &place)?;
                    self.prompt.push_user(&text);
                }
                "toolResult" => self.result(value, &place, index, &mut calls)?,
                "cachePoint" => self.cache_point(value, &place)?,
                "guardContent" | "searchResult" => self.prompt.count(&value.to_string()),
                "toolUse" | "reasoningContent" => {
                    return Err(Refusal::invalid(format!(
                        "{kind} blocks at {place} can only be specified in assistant messages."
                    )));
                }
                _ => {
                    document |= kind == "document";
                    self.media(kind, value, &place)?;
                }
            }
        }
        if document && !blocks.iter().any(|block| block.get("text").is_some()) {
            return Err(Refusal::invalid(format!(
                "A text block must be included with a document block at messages.{index}.content."
            )));
        }
        match calls.first() {
            Some((id, _)) => Err(unanswered(index, id)),
            None => Ok(()),
        }
    }

    fn text(&mut self, value: &Value, place: &str) -> Result<String, Refusal> {
        let text = value.as_str().ok_or_else(|| check::missing(place))?;
        if text.trim().is_empty() {
            return Err(Refusal::invalid(format!(
                "The text field in the ContentBlock object at {place} is blank. Add text to the text field, and try again."
            )));
        }
        self.prompt.count(text);
        Ok(text.to_owned())
    }

    fn media(&mut self, kind: &str, value: &Value, place: &str) -> Result<(), Refusal> {
        let place = format!("{place}.{kind}");
        match kind {
            "image" => {
                let identity = check::source(value, &place, IMAGES)?;
                self.prompt.count_image(&identity);
            }
            "document" => {
                let identity = check::source(value, &place, DOCUMENTS)?;
                let name = check::document_name(value.get("name"), &place)?;
                if self.documents.contains(&name) {
                    return Err(Refusal::invalid(format!(
                        "Duplicate document name: {name}. Use another name for each."
                    )));
                }
                self.documents.push(name);
                self.prompt.count_document(&identity);
            }
            "video" => {
                let identity = check::source(value, &place, VIDEOS)?;
                self.prompt.count_document(&identity);
            }
            _ => {
                return Err(Refusal::invalid(format!(
                    "The ContentBlock union at {place} has an unknown member."
                )));
            }
        }
        Ok(())
    }

    fn result(&mut self, value: &Value, place: &str, index: usize, calls: &mut Calls) -> Result<(), Refusal> {
        self.need_tools()?;
        let id = check::call_id(value.get("toolUseId"), &format!("{place}.toolResult.toolUseId"))?;
        let Some(at) = calls.iter().position(|(known, _)| *known == id) else {
            return Err(Refusal::invalid(format!(
                "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
            )));
        };
        let (_, name) = calls.remove(at);
        let blocks = value.get("content").and_then(Value::as_array);
        let blocks = blocks.ok_or_else(|| check::missing(&format!("{place}.toolResult.content")))?;
        let mut text = String::new();
        for (position, block) in blocks.iter().enumerate() {
            let place = format!("{place}.toolResult.content.{position}");
            match member(block, &place)? {
                ("text", value) => text.push_str(&self.text(value, &place)?),
                ("json", value) => {
                    self.prompt.count(&value.to_string());
                    text.push_str(&value.to_string());
                }
                (kind, value) => self.media(kind, value, &place)?,
            }
        }
        let failed = match value.get("status").map(Value::as_str) {
            None | Some(Some("success")) => false,
            Some(Some("error")) => true,
            Some(_) => {
                let rule = "Member must satisfy enum value set: [success, error]";
                return Err(check::constraint(&value["status"], &format!("{place}.toolResult.status"), rule));
            }
        };
        self.prompt.outcomes.push(ToolOutcome { name, text, failed });
        Ok(())
    }

    fn need_tools(&self) -> Result<(), Refusal> {
        if self.has_tools {
            return Ok(());
        }
        Err(Refusal::invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ))
    }

    /// Reads a turn of the model; `continued` if reasoning is on and the turn is the one being continued.
    fn assistant(&mut self, blocks: &[Value], index: usize, continued: bool) -> Result<Calls, Refusal> {
        let mut calls = Calls::new();
        let uses_tools = blocks.iter().any(|block| block.get("toolUse").is_some());
        if continued && uses_tools && blocks[0].get("reasoningContent").is_none() {
            return Err(Refusal::invalid(format!(
                "The model returned the following errors: messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`. When `thinking` is enabled, a final `assistant` message must start with a thinking block."
            )));
        }
        for (position, block) in blocks.iter().enumerate() {
            let place = format!("messages.{index}.content.{position}");
            match member(block, &place)? {
                ("text", value) => {
                    self.text(value, &place)?;
                }
                ("reasoningContent", value) => self.reasoning(value, &place)?,
                ("toolUse", value) => {
                    self.need_tools()?;
                    let id = check::call_id(value.get("toolUseId"), &format!("{place}.toolUse.toolUseId"))?;
                    let name = check::tool_name(value.get("name"), &format!("{place}.toolUse.name"))?;
                    let input = value.get("input").filter(|input| input.is_object());
                    let input = input.ok_or_else(|| {
                        Refusal::invalid(format!(
                            "The format of the value at {place}.toolUse.input is invalid. Provide a json object for the field and try again."
                        ))
                    })?;
                    self.prompt.count(&input.to_string());
                    if calls.iter().any(|(other, _)| *other == id) {
                        return Err(Refusal::invalid(format!(
                            "The toolUse blocks at messages.{index}.content contain duplicate Ids: {id}"
                        )));
                    }
                    calls.push((id, name));
                }
                ("cachePoint", value) => self.cache_point(value, &place)?,
                (kind @ ("image" | "document" | "video" | "toolResult"), _) => {
                    return Err(Refusal::invalid(format!(
                        "{kind} blocks at {place} can only be specified in user messages."
                    )));
                }
                (_, value) => self.prompt.count(&value.to_string()),
            }
        }
        Ok(calls)
    }

    fn reasoning(&mut self, value: &Value, place: &str) -> Result<(), Refusal> {
        let secret = self.context.config.secret;
        let invalid = |what: &str| {
            Refusal::invalid(format!(
                "The model returned the following errors: {place}: Invalid `{what}` in `thinking` block"
            ))
        };
        if let Some(text) = value.get("reasoningText") {
            let thought = text.get("text").and_then(Value::as_str).ok_or_else(|| check::missing(place))?;
            let signature = text.get("signature").and_then(Value::as_str).unwrap_or_default();
            if !opaque::genuine(secret, THINKING, thought, signature) {
                return Err(invalid("signature"));
            }
            self.prompt.count(thought);
            return Ok(());
        }
        let data =
            value.get("redactedContent").and_then(Value::as_str).ok_or_else(|| check::missing(place))?;
        if !opaque::genuine(secret, REDACTED, "", data) {
            return Err(invalid("data"));
        }
        Ok(())
    }
}

/// The one member of a union.
fn member<'v>(block: &'v Value, place: &str) -> Result<(&'v str, &'v Value), Refusal> {
    let mut members = block.as_object().into_iter().flatten();
    match (members.next(), members.next()) {
        (Some((kind, value)), None) => Ok((kind.as_str(), value)),
        _ => {
            Err(Refusal::invalid(format!("The ContentBlock union at {place} must hold exactly one member.")))
        }
    }
}

/// What Claude says of a last turn of its own.
fn prefill(blocks: &[Value], claude: bool) -> Result<(), Refusal> {
    let last = blocks.last().and_then(|block| block.get("text")).and_then(Value::as_str);
    if claude && last.is_some_and(|text| text.trim_end().len() < text.len()) {
        return Err(Refusal::invalid(
            "The model returned the following errors: messages: final assistant content cannot end with trailing whitespace",
        ));
    }
    Ok(())
}

fn unanswered(index: usize, id: &str) -> Refusal {
    Refusal::invalid(format!(
        "Expected toolResult blocks at messages.{index}.content for the following Ids: {id}"
    ))
}
