//! Reads a Mistral chat request: strictly, as the vendor's schema has it.
//!
//! Owns messages, tools and everything that turns into a [`Prompt`].

use serde_json::{Map, Value};

use super::super::{Context, Refusal};
use super::schema::{self, object, wrong};
use crate::turn::{Choice, Format, Offer, Prompt, ToolOutcome};

/// A chat request understood.
pub(super) struct Chat {
    pub(super) prompt: Prompt,
    pub(super) choices: usize,
    pub(super) stream: bool,
}

/// Reads and checks the request.
pub(super) fn read(body: &Map<String, Value>, context: &Context<'_>) -> Result<Chat, Refusal> {
    schema::parameters(body)?;
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Err(wrong("model", "string_type", "Input should be a valid string"));
    };
    super::admit(model, context.config)?;
    let mut prompt = Prompt { model: model.to_owned(), seed: context.seed, ..Prompt::default() };
    tools(body, &mut prompt)?;
    messages(body, &mut prompt)?;
    prompt.format = format(body)?;
    prompt.stop = match body.get("stop") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    prompt.max_tokens = body.get("max_tokens").and_then(Value::as_u64);
    prompt.reasoning = reasoning(body, model);
    if prompt.tokens() > context.config.context_tokens {
        let (limit, tokens) = (context.config.context_tokens, prompt.tokens());
        return Err(Refusal::ContextTooLong { limit, tokens });
    }
    Ok(Chat {
        prompt,
        choices: body.get("n").and_then(Value::as_u64).unwrap_or(1) as usize,
        stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// Tokens to reason with: the reasoning models think unless told not to, others when told to.
fn reasoning(body: &Map<String, Value>, model: &str) -> u64 {
    match body.get("reasoning_effort").and_then(Value::as_str) {
        Some("none") => 0,
        Some("minimal") => 4,
        Some("low") => 8,
        Some("medium") => 16,
        Some("high") => 32,
        Some(_) => 64,
        None if model.starts_with("magistral") || body.contains_key("prompt_mode") => 16,
        None => 0,
    }
}

fn format(body: &Map<String, Value>) -> Result<Format, Refusal> {
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(Format::Text);
    };
    let format = object("response_format", format, "response_format")?;
    match format.get("type").and_then(Value::as_str) {
        None | Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => {
            let place = "response_format.json_schema";
            let Some(schema) = format.get("json_schema") else {
                return Err(wrong(place, "missing", "Field required"));
            };
            Ok(Format::Schema(object("json_schema", schema, place)?["schema"].clone()))
        }
        Some(_) => Err(wrong(
            "response_format.type",
            "enum",
            "Input should be 'text', 'json_object' or 'json_schema'",
        )),
    }
}

fn tools(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (index, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = format!("tools.{index}");
        let inner = format!("{place}.function");
        let function = object("function", &object("offer", tool, &place)?["function"], &inner)?;
        let Some(name) = function["name"].as_str().filter(|name| is_name(name)) else {
            return Err(wrong(&format!("{inner}.name"), "string_pattern_mismatch", NAME));
        };
        if !function["parameters"].is_object() {
            return Err(wrong(
                &format!("{inner}.parameters"),
                "dict_type",
                "Input should be a valid dictionary",
            ));
        }
        prompt.count(&tool.to_string());
        prompt.tools.push(Offer { name: name.to_owned(), schema: function["parameters"].clone() });
    }
    prompt.one_call_only = body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false);
    prompt.choice = match body.get("tool_choice").filter(|choice| !choice.is_null()) {
        None => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "any" | "required" => Choice::Required(Vec::new()),
            _ => {
                let message = "Input should be 'auto', 'none', 'any' or 'required'";
                return Err(wrong("tool_choice", "enum", message));
            }
        },
        Some(named) => {
            let named = object("tool_choice", named, "tool_choice")?;
            let function = object("function_name", &named["function"], "tool_choice.function")?;
            Choice::Required(vec![function["name"].as_str().unwrap_or_default().to_owned()])
        }
    };
    Ok(())
}

const NAME: &str = "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'";

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(fine)
}

/// Calls of the last assistant message that still lack a result: identifier and name.
type Pending = Vec<(String, String)>;

fn messages(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(wrong("messages", "list_type", "Input should be a valid list"));
    };
    let mut pending = Pending::new();
    let mut last = "";
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages.{index}");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !["system", "user", "assistant", "tool"].contains(&role) {
            let text = format!(
                "Input tag '{role}' found using 'role' does not match any of the expected tags: 'assistant', 'system', 'tool', 'user'"
            );
            return Err(wrong(&place, "union_tag_invalid", text));
        }
        let message = object(role, message, &place)?;
        prompt.count_message(role);
        if role != "tool" && !pending.is_empty() {
            return Err(wrong(&place, "value_error", "Not the same number of function calls and responses"));
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        let place = format!("{place}.content");
        match role {
            "system" => {
                let text = chunks(content, role, &place, prompt)?;
                prompt.push_system(&text);
            }
            "user" => {
                prompt.outcomes.clear();
                prompt.begin_user();
                let text = chunks(content, role, &place, prompt)?;
                prompt.push_user(&text);
            }
            "assistant" => {
                prompt.outcomes.clear();
                chunks(content, role, &place, prompt)?;
                pending = calls(message, index, prompt)?;
                last = if message.get("prefix") == Some(&Value::Bool(true)) { "prefix" } else { role };
            }
            _ => {
                let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
                let Some(position) = pending.iter().position(|(known, _)| known == id) else {
                    let text = "Unexpected tool call id in tool results";
                    return Err(wrong(&format!("messages.{index}.tool_call_id"), "value_error", text));
                };
                let (_, name) = pending.remove(position);
                let text = chunks(content, role, &place, prompt)?;
                let failed = text.starts_with("Error: ");
                prompt.outcomes.push(ToolOutcome { name, text, failed });
            }
        }
        if role != "assistant" {
            last = role;
        }
        prompt.mark();
    }
    if last == "assistant" || last == "system" || last.is_empty() || !pending.is_empty() {
        let text = "Expected last role User or Tool (or Assistant with prefix True) for serving";
        return Err(wrong("messages", "value_error", format!("{text} but got {last}")));
    }
    Ok(())
}

fn calls(message: &Map<String, Value>, index: usize, prompt: &mut Prompt) -> Result<Pending, Refusal> {
    let mut pending = Pending::new();
    for (position, call) in
        message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let place = format!("messages.{index}.tool_calls.{position}");
        let call = object("tool_call", call, &place)?;
        let inner = format!("{place}.function");
        let function = object("function_call", &call["function"], &inner)?;
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        if id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let text = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
            return Err(wrong(&format!("{place}.id"), "value_error", text));
        }
        let Some(name) = function["name"].as_str().filter(|name| is_name(name)) else {
            return Err(wrong(&format!("{inner}.name"), "string_pattern_mismatch", NAME));
        };
        if !function["arguments"].is_string() && !function["arguments"].is_object() {
            let text = "Input should be a valid string or dictionary";
            return Err(wrong(&format!("{inner}.arguments"), "string_type", text));
        }
        prompt.count(name);
        prompt.count(&function["arguments"].to_string());
        pending.push((id.to_owned(), name.to_owned()));
    }
    Ok(pending)
}

/// The text of a message's content; counts it and what is attached.
fn chunks(content: &Value, role: &str, place: &str, prompt: &mut Prompt) -> Result<String, Refusal> {
    let chunks = match content {
        Value::String(text) => {
            prompt.count(text);
            return Ok(text.clone());
        }
        Value::Null if role != "system" => return Ok(String::new()),
        Value::Array(chunks) => chunks,
        _ => return Err(wrong(place, "string_type", "Input should be a valid string or list")),
    };
    let kinds: &[&str] = match role {
        "system" => &["text", "thinking"],
        _ => &["text", "image_url", "document_url", "reference", "file", "thinking", "input_audio"],
    };
    let mut texts = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let place = format!("{place}.{index}");
        let kind = chunk.get("type").and_then(Value::as_str).unwrap_or_default();
        if !kinds.contains(&kind) {
            let text =
                format!("Input tag '{kind}' does not match any of the expected tags: {}", kinds.join(", "));
            return Err(wrong(&place, "union_tag_invalid", text));
        }
        let chunk = object(kind, chunk, &place)?;
        match kind {
            "text" => {
                let text = chunk["text"].as_str().unwrap_or_default();
                prompt.count(text);
                texts.push(text);
            }
            "image_url" => {
                let place = format!("{place}.image_url");
                let url = match &chunk["image_url"] {
                    Value::String(url) => url.as_str(),
                    picture => object("picture", picture, &place)?["url"].as_str().unwrap_or_default(),
                };
                if !url.starts_with("https://")
                    && !url.starts_with("http://")
                    && !url.starts_with("data:image/")
                {
                    return Err(wrong(&place, "value_error", "Image, please provide a URL or base64 image"));
                }
                prompt.count_image(url);
            }
            "thinking" => {
                for (position, inner) in chunk["thinking"].as_array().into_iter().flatten().enumerate() {
                    let inner = object("text", inner, &format!("{place}.thinking.{position}"))?;
                    prompt.count(inner["text"].as_str().unwrap_or_default());
                }
            }
            _ => prompt.count_document(&Value::Object(chunk.clone()).to_string()),
        }
    }
    Ok(texts.join("\n"))
}
