//! Reads a chat request the way the vendor does.
//!
//! Owns messages, tools and everything that turns into a [`Prompt`].

use serde_json::{Map, Value};

use super::super::{Context, Refusal};
use super::{admitted, check_members, wrong};
use crate::turn::{Choice, Format, Offer, Prompt, ToolOutcome};

/// A chat request understood.
pub(super) struct Chat {
    pub(super) prompt: Prompt,
    pub(super) stream: bool,
}

const MEMBERS: &[&str] = &[
    "stream",
    "tools",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "thinking",
    "priority",
];

/// Reads and checks the request.
pub(super) fn read(body: &Map<String, Value>, context: &Context<'_>) -> Result<Chat, Refusal> {
    check_members(body, &["model", "messages"], MEMBERS)?;
    let model = admitted(body, context.config)?;
    for (name, low, high) in [
        ("temperature", 0.0, 1.0),
        ("p", 0.01, 0.99),
        ("k", 0.0, 500.0),
        ("frequency_penalty", 0.0, 1.0),
        ("presence_penalty", 0.0, 1.0),
        ("seed", 0.0, f64::MAX),
    ] {
        let given = body.get(name).filter(|value| !value.is_null());
        if given.is_some_and(|value| value.as_f64().is_none_or(|number| !(low..=high).contains(&number))) {
            return Err(wrong(format!("{name} must be between {low} and {high} inclusive.")));
        }
    }
    let mut prompt = Prompt { model: model.to_owned(), seed: context.seed, ..Prompt::default() };
    tools(body, &mut prompt)?;
    messages(body, &mut prompt)?;
    prompt.format = format(body, &prompt)?;
    let stops = body.get("stop_sequences").and_then(Value::as_array);
    prompt.stop = stops.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if prompt.stop.len() > 5 {
        return Err(wrong("stop_sequences must have at most 5 elements."));
    }
    prompt.max_tokens = body.get("max_tokens").and_then(Value::as_u64);
    let thinking = body.get("thinking");
    prompt.reasoning = match thinking.and_then(|thinking| thinking["type"].as_str()) {
        Some("enabled") => {
            thinking.and_then(|thinking| thinking["token_budget"].as_u64()).unwrap_or(16).min(64)
        }
        None if thinking.is_none() && model.contains("reasoning") => 16,
        None if thinking.is_some() => return Err(wrong("thinking.type is required.")),
        _ => 0,
    };
    if prompt.tokens() > context.config.context_tokens {
        let (limit, tokens) = (context.config.context_tokens, prompt.tokens());
        return Err(Refusal::ContextTooLong { limit, tokens });
    }
    Ok(Chat { prompt, stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false) })
}

fn format(body: &Map<String, Value>, prompt: &Prompt) -> Result<Format, Refusal> {
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(Format::Text);
    };
    match format["type"].as_str() {
        Some("text") => Ok(Format::Text),
        Some("json_object") if !prompt.tools.is_empty() => {
            Err(wrong("response_format json_object is not supported with tools."))
        }
        Some("json_object") => {
            Ok(format.get("json_schema").map_or(Format::Json, |schema| Format::Schema(schema.clone())))
        }
        _ => Err(wrong("response_format.type must be one of text, json_object.")),
    }
}

fn tools(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (index, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let function = &tool["function"];
        let Some(name) = function["name"].as_str() else {
            return Err(wrong(format!("tools[{index}].function.name is required.")));
        };
        if !function["parameters"].is_object() {
            return Err(wrong(format!("tools[{index}].function.parameters must be an object.")));
        }
        prompt.count(&tool.to_string());
        prompt.tools.push(Offer { name: name.to_owned(), schema: function["parameters"].clone() });
    }
    prompt.choice = match body.get("tool_choice").filter(|choice| !choice.is_null()) {
        None => Choice::Auto,
        Some(_) if prompt.tools.is_empty() => return Err(wrong("tool_choice needs tools.")),
        Some(Value::String(word)) if word == "REQUIRED" => Choice::Required(Vec::new()),
        Some(Value::String(word)) if word == "NONE" => Choice::None,
        Some(_) => return Err(wrong("tool_choice must be one of REQUIRED, NONE.")),
    };
    Ok(())
}

fn messages(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    let Some(messages) = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty())
    else {
        return Err(wrong("messages must be a list with at least one element."));
    };
    let mut pending: Vec<(String, String)> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        prompt.count_message(role);
        if role != "tool" && !pending.is_empty() {
            return Err(wrong(format!("messages[{index}]: tool calls without results: {}", pending.len())));
        }
        let place = format!("messages[{index}].content");
        match role {
            "system" => {
                let text = content(&message["content"], &place, prompt)?;
                prompt.push_system(&text);
            }
            "user" => {
                prompt.outcomes.clear();
                prompt.begin_user();
                let text = content(&message["content"], &place, prompt)?;
                prompt.push_user(&text);
            }
            "assistant" => {
                prompt.outcomes.clear();
                if !message["content"].is_null() {
                    content(&message["content"], &place, prompt)?;
                }
                prompt.count(message["tool_plan"].as_str().unwrap_or_default());
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str);
                    let (Some(id), Some(name), Some(arguments)) =
                        (text("/id"), text("/function/name"), text("/function/arguments"))
                    else {
                        return Err(wrong(format!(
                            "messages[{index}].tool_calls: id, name and arguments are required."
                        )));
                    };
                    prompt.count(arguments);
                    pending.push((id.to_owned(), name.to_owned()));
                }
            }
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let Some(position) = pending.iter().position(|(known, _)| known == id) else {
                    return Err(wrong(format!("messages[{index}]: no tool call has the id '{id}'.")));
                };
                let (_, name) = pending.remove(position);
                let text = content(&message["content"], &place, prompt)?;
                let failed = text.starts_with("Error: ");
                prompt.outcomes.push(ToolOutcome { name, text, failed });
            }
            other => return Err(wrong(format!("messages[{index}].role: '{other}' is not a valid role."))),
        }
        prompt.mark();
    }
    if pending.is_empty() { Ok(()) } else { Err(wrong("tool calls without results at the end of messages.")) }
}

fn content(content: &Value, place: &str, prompt: &mut Prompt) -> Result<String, Refusal> {
    let blocks = match content {
        Value::String(text) => {
            prompt.count(text);
            return Ok(text.clone());
        }
        Value::Array(blocks) => blocks,
        _ => return Err(wrong(format!("{place} must be a string or a list."))),
    };
    let mut texts = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        match block["type"].as_str() {
            Some(kind @ ("text" | "thinking")) => {
                let text = block[kind]
                    .as_str()
                    .ok_or_else(|| wrong(format!("{place}[{index}].{kind} is required.")))?;
                prompt.count(text);
                texts.push(text);
            }
            Some("image_url") => match block["image_url"]["url"].as_str() {
                Some(url)
                    if url.starts_with("https://")
                        || url.starts_with("http://")
                        || url.starts_with("data:image/") =>
                {
                    prompt.count_image(url);
                }
                _ => {
                    return Err(wrong(format!(
                        "{place}[{index}].image_url.url must be an address or base64 data."
                    )));
                }
            },
            Some("document") => prompt.count_document(&block.to_string()),
            _ => return Err(wrong(format!("{place}[{index}].type is not valid."))),
        }
    }
    Ok(texts.join("\n"))
}
