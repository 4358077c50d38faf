//! Which members Mistral's objects have: all others make a request fail with 422.
//!
//! Owns the table, as the vendor's OpenAPI document has it (`additionalProperties: false` on every one of them), and the plain
//! checks of types and ranges. Must not know what the members mean.

use serde_json::{Map, Value};

use super::super::Refusal;

/// What is wrong with a member; its place is written `messages.0.content`.
pub(super) fn wrong(place: &str, code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::parameter(place, Some(code), message)
}

/// The members of a kind of object, those that it must have first.
fn members(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "body" => (
            &["model", "messages"],
            &[
                "temperature",
                "top_p",
                "max_tokens",
                "stream",
                "stop",
                "random_seed",
                "metadata",
                "response_format",
                "tools",
                "tool_choice",
                "presence_penalty",
                "frequency_penalty",
                "n",
                "prediction",
                "parallel_tool_calls",
                "reasoning_effort",
                "prompt_mode",
                "guardrails",
                "prompt_cache_key",
                "service_tier",
                "safe_prompt",
            ],
        ),
        "embeddings" => {
            (&["model", "input"], &["metadata", "output_dimension", "output_dtype", "encoding_format"])
        }
        "system" | "user" => (&["content"], &["role"]),
        "assistant" => (&[], &["role", "content", "tool_calls", "prefix"]),
        "tool" => (&["content"], &["role", "tool_call_id", "name"]),
        "text" => (&["text"], &["type"]),
        "image_url" => (&["image_url"], &["type"]),
        "document_url" => (&["document_url"], &["type", "document_name"]),
        "reference" => (&["reference_ids"], &["type"]),
        "file" => (&["file_id"], &["type"]),
        "thinking" => (&["thinking"], &["type", "signature", "closed"]),
        "input_audio" => (&["input_audio"], &["type"]),
        "picture" => (&["url"], &["detail"]),
        "tool_call" => (&["function"], &["id", "type", "index"]),
        "function_call" => (&["name", "arguments"], &[]),
        "offer" => (&["function"], &["type"]),
        "function" => (&["name", "parameters"], &["description", "strict"]),
        "tool_choice" => (&["function"], &["type"]),
        "function_name" => (&["name"], &[]),
        "response_format" => (&[], &["type", "json_schema"]),
        "json_schema" => (&["name", "schema"], &["description", "strict"]),
        _ => (&[], &[]),
    }
}

/// The object at `place`, once its members are known to be those of its kind.
pub(super) fn object<'v>(
    kind: &str,
    value: &'v Value,
    place: &str,
) -> Result<&'v Map<String, Value>, Refusal> {
    let Some(object) = value.as_object() else {
        return Err(wrong(place, "model_attributes_type", "Input should be a valid dictionary"));
    };
    checked(kind, object, place)?;
    Ok(object)
}

/// Refuses members that the kind does not have, and those it lacks.
pub(super) fn checked(kind: &str, object: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
    let (needed, others) = members(kind);
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    for name in needed {
        if !object.contains_key(*name) {
            return Err(wrong(&at(name), "missing", "Field required"));
        }
    }
    for name in object.keys() {
        if !needed.contains(&name.as_str()) && !others.contains(&name.as_str()) {
            return Err(wrong(&at(name), "extra_forbidden", "Extra inputs are not permitted"));
        }
    }
    Ok(())
}

/// The plain parameters of a chat request.
pub(super) fn parameters(body: &Map<String, Value>) -> Result<(), Refusal> {
    checked("body", body, "")?;
    number(body, "temperature", 0.0, 1.5)?;
    number(body, "top_p", 0.0, 1.0)?;
    if body.get("top_p").and_then(Value::as_f64) == Some(0.0) {
        return Err(wrong("top_p", "greater_than", "Input should be greater than 0"));
    }
    number(body, "presence_penalty", -2.0, 2.0)?;
    number(body, "frequency_penalty", -2.0, 2.0)?;
    for (name, least) in [("max_tokens", 0), ("random_seed", 0), ("n", 1)] {
        let given = body.get(name).filter(|value| !value.is_null());
        if given.is_some_and(|value| value.as_u64().is_none_or(|number| number < least)) {
            return Err(wrong(
                name,
                "greater_than_equal",
                format!("Input should be greater than or equal to {least}"),
            ));
        }
    }
    for name in ["stream", "parallel_tool_calls", "safe_prompt"] {
        if body.get(name).is_some_and(|value| !value.is_boolean()) {
            return Err(wrong(name, "bool_type", "Input should be a valid boolean"));
        }
    }
    word(body, "reasoning_effort", &["none", "minimal", "low", "medium", "high", "xhigh"])?;
    word(body, "prompt_mode", &["reasoning"])?;
    word(body, "service_tier", &["auto", "standard_only"])
}

fn number(body: &Map<String, Value>, name: &str, low: f64, high: f64) -> Result<(), Refusal> {
    match body.get(name).filter(|value| !value.is_null()).map(Value::as_f64) {
        None => Ok(()),
        Some(None) => Err(wrong(name, "float_type", "Input should be a valid number")),
        Some(Some(value)) if value > high => {
            Err(wrong(name, "less_than_equal", format!("Input should be less than or equal to {high}")))
        }
        Some(Some(value)) if value < low => {
            Err(wrong(name, "greater_than_equal", format!("Input should be greater than or equal to {low}")))
        }
        Some(Some(_)) => Ok(()),
    }
}

fn word(body: &Map<String, Value>, name: &str, words: &[&str]) -> Result<(), Refusal> {
    match body.get(name).filter(|value| !value.is_null()) {
        None => Ok(()),
        Some(Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
        Some(_) => Err(wrong(name, "enum", format!("Input should be one of {}", words.join(", ")))),
    }
}
