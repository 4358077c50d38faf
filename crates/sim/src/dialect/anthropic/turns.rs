//! Reads the messages of a request: who may say what, and that every tool call has its result.
//!
//! Owns the rules between messages and between blocks; what a block counts and offers goes into the prompt.

use serde_json::{Map, Value};
use std::collections::HashSet;

use super::super::Refusal;
use super::messages::{CITATION, REDACTED, Reader, THINKING};
use super::{ApiVersion, check};
use crate::opaque;
use crate::turn::ToolOutcome;

/// Calls of the last assistant turn: identifier and name.
type Calls = Vec<(String, String)>;

impl Reader<'_> {
    /// Reads all messages.
    pub(super) fn messages(&mut self, body: &Map<String, Value>, thinking: bool) -> Result<(), Refusal> {
        let messages = match body.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages,
            Some(Value::Array(_)) => {
                return Err(Refusal::invalid("messages: at least one message is required"));
            }
            Some(_) => return Err(Refusal::invalid("messages: Input should be a valid list")),
            None => return Err(check::required("messages")),
        };
        let mut calls = Calls::new();
        let mut called = HashSet::new();
        let last = messages.len() - 1;
        let mut previous = "";
        for (index, message) in messages.iter().enumerate() {
            let role = message
                .get("role")
                .and_then(Value::as_str)
                .ok_or_else(|| check::required(&format!("messages.{index}.role")))?;
            if index == 0 && role == "assistant" {
                return Err(Refusal::invalid("messages: first message must use the \"user\" role"));
            }
            self.prompt.count_message(role);
            match role {
                "user" => {
                    if previous != "user" {
                        self.prompt.outcomes.clear();
                    }
                    self.user(message, index, &mut calls, previous)?;
                }
                "assistant" => {
                    let ids = self.assistant(message, index, thinking && index + 2 > last)?;
                    if !ids.iter().all(|(id, _)| called.insert(id.clone())) {
                        return Err(Refusal::invalid(format!(
                            "messages.{index}.content: `tool_use` ids must be unique"
                        )));
                    }
                    self.prompt.outcomes.clear();
                    if previous != "assistant" {
                        calls.clear();
                    }
                    calls.extend(ids);
                }
                "system" => self.interjection(message, index)?,
                _ => {
                    return Err(Refusal::invalid(format!(
                        "messages.{index}.role: Input should be 'user' or 'assistant'"
                    )));
                }
            }
            previous = role;
        }
        if previous == "assistant" { self.prefill(&messages[last], last, &calls) } else { Ok(()) }
    }

    /// A system message in the middle of the conversation.
    fn interjection(&mut self, message: &Value, index: usize) -> Result<(), Refusal> {
        match message.get("content") {
            Some(Value::String(text)) => {
                self.prompt.count(text);
                self.prompt.push_system(text);
            }
            Some(Value::Array(blocks)) => {
                for (position, block) in blocks.iter().enumerate() {
                    let text =
                        self.text(block, &format!("messages.{index}.content.{position}"), "messages")?;
                    self.prompt.push_system(&text);
                }
            }
            _ => return Err(check::required(&format!("messages.{index}.content"))),
        }
        Ok(())
    }

    fn prefill(&self, message: &Value, index: usize, calls: &Calls) -> Result<(), Refusal> {
        if let Some((id, _)) = calls.first() {
            return Err(unanswered(index + 1, id));
        }
        if !self.version.prefill() {
            return Err(Refusal::invalid(
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            ));
        }
        let content = message.get("content");
        let text = content.and_then(Value::as_str);
        let block = content
            .and_then(Value::as_array)
            .and_then(|blocks| blocks.last())
            .and_then(|block| block["text"].as_str());
        if text.or(block).is_some_and(|text| text.ends_with(char::is_whitespace)) {
            return Err(Refusal::invalid(
                "messages: final assistant content cannot end with trailing whitespace",
            ));
        }
        Ok(())
    }

    fn user(
        &mut self,
        message: &Value,
        index: usize,
        calls: &mut Calls,
        previous: &str,
    ) -> Result<(), Refusal> {
        let blocks = match message.get("content") {
            Some(Value::String(text)) if text.is_empty() => {
                return Err(Refusal::invalid(format!(
                    "messages.{index}: user messages must have non-empty content"
                )));
            }
            Some(Value::String(text)) => {
                if let Some((id, _)) = calls.first() {
                    return Err(unanswered(index, id));
                }
                self.prompt.count(text);
                if previous != "user" {
                    self.prompt.begin_user();
                }
                self.prompt.push_user(text);
                return Ok(());
            }
            Some(Value::Array(blocks)) if blocks.is_empty() => {
                return Err(Refusal::invalid(format!(
                    "messages.{index}: user messages must have non-empty content"
                )));
            }
            Some(Value::Array(blocks)) => blocks,
            Some(_) => {
                return Err(Refusal::invalid(format!(
                    "messages.{index}.content: Input should be a valid list"
                )));
            }
            None => return Err(check::required(&format!("messages.{index}.content"))),
        };
        let results = blocks.iter().any(|block| block["type"] == "tool_result");
        if previous != "user" && !results {
            self.prompt.begin_user();
        }
        for (position, block) in blocks.iter().enumerate() {
            let place = format!("messages.{index}.content.{position}");
            let kind = block
                .get("type")
                .and_then(Value::as_str)
                .ok_or_else(|| check::required(&format!("{place}.type")))?;
            if kind != "tool_result" && results && !calls.is_empty() {
                return Err(unanswered(index, &calls[0].0));
            }
            if kind == "tool_result" {
                self.tool_result(block, &place, calls)?;
            } else {
                self.user_block(kind, block, &place)?;
            }
            self.breakpoint(block.get("cache_control"));
        }
        match calls.first() {
            Some((id, _)) => Err(unanswered(index, id)),
            None => Ok(()),
        }
    }

    fn user_block(&mut self, kind: &str, block: &Value, place: &str) -> Result<(), Refusal> {
        match kind {
            "text" => {
                let cited =
                    block.get("citations").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
                if cited && self.api == ApiVersion::Of2026 {
                    return Err(Refusal::invalid(format!(
                        "{place}.text.citations: Extra inputs are not permitted"
                    )));
                }
                let text = self.text(block, place, "messages")?;
                self.prompt.push_user(&text);
            }
            "image" => {
                let kinds = ["image/jpeg", "image/png", "image/gif", "image/webp"];
                let identity = check::source(block, &format!("{place}.image"), &kinds)?.to_owned();
                self.prompt.count_image(&identity);
            }
            "document" => {
                let kinds = ["application/pdf", "text/plain"];
                let identity = check::source(block, &format!("{place}.document"), &kinds)?.to_owned();
                self.prompt.count_document(&identity);
            }
            "search_result" | "container_upload" | "mid_conv_system" => self.prompt.count(&block.to_string()),
            "tool_use" | "thinking" | "redacted_thinking" => {
                return Err(Refusal::invalid(format!(
                    "{place}: `{kind}` blocks can only be in `assistant` messages"
                )));
            }
            _ => {
                return Err(Refusal::invalid(format!(
                    "{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'document', 'image', 'search_result', 'text', 'tool_result'"
                )));
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, block: &Value, place: &str, calls: &mut Calls) -> Result<(), Refusal> {
        let id = block
            .get("tool_use_id")
            .and_then(Value::as_str)
            .ok_or_else(|| check::required(&format!("{place}.tool_result.tool_use_id")))?;
        check::call_id(id, &format!("{place}.tool_result.tool_use_id"))?;
        let Some(at) = calls.iter().position(|(known, _)| known == id) else {
            let message = format!(
                "{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(Refusal::invalid(message));
        };
        let (_, name) = calls.remove(at);
        let mut text = String::new();
        match block.get("content") {
            Some(Value::String(content)) => {
                self.prompt.count(content);
                text.push_str(content);
            }
            Some(Value::Array(blocks)) => {
                for (position, block) in blocks.iter().enumerate() {
                    let place = format!("{place}.tool_result.content.{position}");
                    match block.get("type").and_then(Value::as_str) {
                        Some("text") => text.push_str(&self.text(block, &place, "messages")?),
                        Some("image") => self.user_block("image", block, &place)?,
                        Some("document") => self.user_block("document", block, &place)?,
                        Some("search_result" | "tool_reference") => {}
                        _ => {
                            return Err(Refusal::invalid(format!(
                                "{place}: Input tag found using 'type' does not match any of the expected tags"
                            )));
                        }
                    }
                }
            }
            None | Some(Value::Null) => {}
            Some(_) => {
                return Err(Refusal::invalid(format!(
                    "{place}.tool_result.content: Input should be a valid string"
                )));
            }
        }
        let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        self.prompt.outcomes.push(ToolOutcome { name, text, failed });
        Ok(())
    }

    /// Reads a turn of the model; `must_think` if thinking is on and the turn is the one being continued.
    fn assistant(&mut self, message: &Value, index: usize, must_think: bool) -> Result<Calls, Refusal> {
        let mut calls = Calls::new();
        let blocks = match message.get("content") {
            Some(Value::String(text)) => {
                self.prompt.count(text);
                return Ok(calls);
            }
            Some(Value::Array(blocks)) => blocks,
            _ => return Err(check::required(&format!("messages.{index}.content"))),
        };
        let kind_of =
            |block: &Value| block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let uses_tools = blocks.iter().any(|block| kind_of(block) == "tool_use");
        let first = blocks.first().map(kind_of).unwrap_or_default();
        // Models that think adaptively may also have answered without thinking.
        if must_think && uses_tools && !self.version.adaptive_thinking() && !first.ends_with("thinking") {
            let message = format!(
                "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). To avoid this requirement, disable `thinking`."
            );
            return Err(Refusal::invalid(message));
        }
        for (position, block) in blocks.iter().enumerate() {
            let place = format!("messages.{index}.content.{position}");
            let text = |name: &str| block.get(name).and_then(Value::as_str);
            let secret = self.context.config.secret;
            match kind_of(block).as_str() {
                "text" => {
                    self.text(block, &place, "messages")?;
                    cited(block, &place, secret)?;
                }
                "thinking" => {
                    let thought = text("thinking")
                        .ok_or_else(|| check::required(&format!("{place}.thinking.thinking")))?;
                    let signature = text("signature")
                        .ok_or_else(|| check::required(&format!("{place}.thinking.signature")))?;
                    if !opaque::genuine(secret, THINKING, thought, signature) {
                        return Err(Refusal::invalid(format!(
                            "{place}: Invalid `signature` in `thinking` block"
                        )));
                    }
                }
                "redacted_thinking" => {
                    let data = text("data")
                        .ok_or_else(|| check::required(&format!("{place}.redacted_thinking.data")))?;
                    if !opaque::genuine(secret, REDACTED, "", data) {
                        return Err(Refusal::invalid(format!(
                            "{place}: Invalid `data` in `redacted_thinking` block"
                        )));
                    }
                }
                "tool_use" => {
                    let id = text("id").ok_or_else(|| check::required(&format!("{place}.tool_use.id")))?;
                    check::call_id(id, &format!("{place}.tool_use.id"))?;
                    let name =
                        text("name").ok_or_else(|| check::required(&format!("{place}.tool_use.name")))?;
                    check::tool_name(name, &format!("{place}.tool_use.name"))?;
                    let input = block.get("input").filter(|input| input.is_object());
                    let input = input.ok_or_else(|| {
                        Refusal::invalid(format!(
                            "{place}.tool_use.input: Input should be a valid dictionary"
                        ))
                    })?;
                    self.prompt.count(&input.to_string());
                    calls.push((id.to_owned(), name.to_owned()));
                }
                "document" if self.api == ApiVersion::Of2026 => {
                    return Err(Refusal::invalid(format!(
                        "{place}: `document` blocks are not permitted in `assistant` messages"
                    )));
                }
                "" => return Err(check::required(&format!("{place}.type"))),
                "image" | "tool_result" => {
                    return Err(Refusal::invalid(format!(
                        "{place}: block type not permitted in `assistant` messages"
                    )));
                }
                _ => self.prompt.count(&block.to_string()),
            }
            self.breakpoint(block.get("cache_control"));
        }
        Ok(calls)
    }
}

/// Pages that a text of the model cites carry an index that only this service makes.
fn cited(block: &Value, place: &str, secret: u64) -> Result<(), Refusal> {
    for citation in block.get("citations").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| citation.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_page = field("type") == "web_search_result_location";
        if is_page && !opaque::genuine(secret, CITATION, field("url"), field("encrypted_index")) {
            return Err(Refusal::invalid(format!("{place}.text.citations: Invalid `encrypted_index`")));
        }
    }
    Ok(())
}

fn unanswered(index: usize, id: &str) -> Refusal {
    Refusal::invalid(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    ))
}
