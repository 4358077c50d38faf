//! The items of an input.
//!
//! Owns their checks: every call has an output and every output a call, reasoning comes back with the seal it left with.

use serde_json::{Value, json};

use super::super::super::{Context, Refusal};
use super::super::{check, error};
use crate::chance::fingerprint;
use crate::opaque;
use crate::turn::{Prompt, ToolOutcome};

/// The seal on reasoning.
pub(super) const REASONING: &str = "openai reasoning";

/// The input as items with ids; references are resolved.
pub(super) fn listed(input: Option<&Value>, context: &Context<'_>) -> Result<Vec<Value>, Refusal> {
    let items = match input {
        None | Some(Value::Null) => return Err(check::missing("input")),
        Some(Value::String(text)) => {
            vec![
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
            ]
        }
        Some(Value::Array(items)) => items.clone(),
        Some(_) => return Err(check::wrong_type("input", "one of a string or array of input items")),
    };
    let mut listed = Vec::with_capacity(items.len());
    for (index, mut item) in items.into_iter().enumerate() {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        let is_reference = text("type").as_deref() == Some("item_reference")
            || (text("type").is_none() && item.get("role").is_none());
        if is_reference {
            let id = text("id").ok_or_else(|| check::missing(&format!("input[{index}].id")))?;
            item = context.book.item(&id).ok_or_else(|| {
                let message = format!(
                    "Item with id '{id}' not found. Items are not persisted when `store` is set to false."
                );
                Refusal::parameter("input", Some(error::MISSING), message)
            })?;
        }
        if let Some(members) = item.as_object_mut()
            && !members.contains_key("id")
        {
            let number = fingerprint(context.seed, &index.to_le_bytes());
            members.insert("id".to_owned(), json!(format!("msg_{number:016x}")));
        }
        listed.push(item);
    }
    Ok(listed)
}

/// Reads a conversation.
pub(super) fn read(items: &[Value], prompt: &mut Prompt, context: &Context<'_>) -> Result<(), Refusal> {
    let mut pending: Vec<(String, String)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = format!("input[{index}]");
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        match text("type").unwrap_or("message") {
            "message" => message(item, &place, prompt)?,
            "reasoning" => reasoning(item, &place, context)?,
            kind @ ("function_call" | "custom_tool_call") => {
                let id = text("call_id").ok_or_else(|| check::missing(&format!("{place}.call_id")))?;
                let name = text("name").ok_or_else(|| check::missing(&format!("{place}.name")))?;
                let said = if kind == "function_call" { "arguments" } else { "input" };
                let said = text(said).ok_or_else(|| check::missing(&format!("{place}.{said}")))?;
                prompt.count(name);
                prompt.count(said);
                prompt.outcomes.clear();
                pending.push((id.to_owned(), name.to_owned()));
            }
            "function_call_output" | "custom_tool_call_output" => {
                let id = text("call_id").ok_or_else(|| check::missing(&format!("{place}.call_id")))?;
                let Some(position) = pending.iter().position(|(known, _)| known == id) else {
                    let message = format!("No tool call found for function call output with call_id {id}.");
                    return Err(Refusal::parameter("input", None, message));
                };
                let (_, name) = pending.remove(position);
                let text = content(item.get("output"), &format!("{place}.output"), prompt, &["input"])?;
                prompt.outcomes.push(ToolOutcome { name, text, failed: false });
            }
            kind if kind.ends_with("_call") || kind.ends_with("_output") => prompt.count(&item.to_string()),
            other => {
                let message = format!("Invalid value: '{other}'.");
                return Err(Refusal::parameter(format!("{place}.type"), Some("invalid_value"), message));
            }
        }
        prompt.mark();
    }
    match pending.first() {
        Some((id, _)) => {
            let message = format!("No tool output found for function call {id}.");
            Err(Refusal::parameter("input", None, message))
        }
        None => Ok(()),
    }
}

fn message(item: &Value, place: &str, prompt: &mut Prompt) -> Result<(), Refusal> {
    let role = item.get("role").and_then(Value::as_str);
    let Some(role) = role else { return Err(check::missing(&format!("{place}.role"))) };
    prompt.count_message(role);
    let kinds: &[&str] = match role {
        "assistant" => &["output", "refusal"],
        "user" | "system" | "developer" => &["input"],
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
            );
            return Err(Refusal::parameter(format!("{place}.role"), Some("invalid_value"), message));
        }
    };
    let text = content(item.get("content"), &format!("{place}.content"), prompt, kinds)?;
    match role {
        "user" => {
            prompt.user = text;
            prompt.outcomes.clear();
        }
        "assistant" => prompt.outcomes.clear(),
        _ => prompt.push_system(&text),
    }
    Ok(())
}

/// The text of a content; counts it and what is attached. Parts must be of kinds that the role may say.
fn content(
    value: Option<&Value>,
    place: &str,
    prompt: &mut Prompt,
    kinds: &[&str],
) -> Result<String, Refusal> {
    let parts = match value {
        Some(Value::String(text)) => {
            prompt.count(text);
            return Ok(text.clone());
        }
        Some(Value::Array(parts)) => parts,
        None | Some(Value::Null) => return Err(check::missing(place)),
        Some(_) => return Err(check::wrong_type(place, "one of a string or array of content parts")),
    };
    let mut texts = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        let Some(kind) = text("type") else { return Err(check::missing(&format!("{place}.type"))) };
        if !kinds.iter().any(|allowed| kind.starts_with(allowed)) {
            let message =
                format!("Invalid value: '{kind}'. Supported values begin with: {}.", kinds.join(", "));
            return Err(Refusal::parameter(format!("{place}.type"), Some("invalid_value"), message));
        }
        match kind {
            "input_text" | "output_text" => {
                let said = text("text").ok_or_else(|| check::missing(&format!("{place}.text")))?;
                prompt.count(said);
                texts.push(said);
            }
            "refusal" => texts.push(text("refusal").unwrap_or_default()),
            "input_image" => {
                let given = text("image_url").or_else(|| text("file_id"));
                let url = given.ok_or_else(|| check::missing(&format!("{place}.image_url")))?;
                if text("image_url").is_some() {
                    check::image(url, &place)?;
                }
                prompt.count_image(url);
            }
            "input_file" => prompt.count_document(&part.to_string()),
            other => {
                let message = format!("Invalid value: '{other}'.");
                return Err(Refusal::parameter(format!("{place}.type"), Some("invalid_value"), message));
            }
        }
    }
    Ok(texts.join("\n"))
}

/// Reasoning of another server, or altered, is refused.
fn reasoning(item: &Value, place: &str, context: &Context<'_>) -> Result<(), Refusal> {
    let Some(summary) = item.get("summary").and_then(Value::as_array) else {
        return Err(check::missing(&format!("{place}.summary")));
    };
    let Some(sealed) = item.get("encrypted_content").and_then(Value::as_str) else { return Ok(()) };
    let texts: Vec<&str> =
        summary.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    if opaque::genuine(context.config.secret, REASONING, &texts.join("\n"), sealed) {
        return Ok(());
    }
    let message = "The encrypted content could not be verified. Reason: Encrypted content could not be decrypted or parsed.";
    let code = Some("invalid_encrypted_content");
    Err(Refusal::parameter(format!("{place}.encrypted_content"), code, message))
}
