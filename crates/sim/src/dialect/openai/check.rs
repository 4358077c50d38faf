//! Checks of chat parameters, in the vendor's words.
//!
//! Owns which parameters exist, which values they take and what reasoning models refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::super::Refusal;
use crate::turn::Format;

/// Every parameter of the chat completions reference.
const KNOWN: &[&str] = &[
    "messages",
    "model",
    "service_tier",
    "modalities",
    "verbosity",
    "reasoning_effort",
    "max_completion_tokens",
    "frequency_penalty",
    "presence_penalty",
    "web_search_options",
    "top_logprobs",
    "response_format",
    "audio",
    "store",
    "moderation",
    "stream",
    "stop",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "prediction",
    "seed",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "function_call",
    "functions",
    "prompt_cache_options",
    "metadata",
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
];

pub(super) fn missing(param: &str) -> Refusal {
    Refusal::parameter(
        param,
        Some("missing_required_parameter"),
        format!("Missing required parameter: '{param}'."),
    )
}

pub(super) fn wrong_type(param: &str, expected: &str) -> Refusal {
    let message = format!("Invalid type for '{param}': expected {expected}, but got something else instead.");
    Refusal::parameter(param, Some("invalid_type"), message)
}

/// Whether a model reasons, by its name.
pub(super) fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let series =
        ["o1", "o3", "o4"].iter().any(|series| name == *series || name.starts_with(&format!("{series}-")));
    series || (name.starts_with("gpt-5") && !name.contains("chat"))
}

/// GPT-5.1 and later do not reason unless told to.
pub(super) fn effort_defaults_to_none(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix("gpt-5.")
        .and_then(|rest| rest.chars().next())
        .is_some_and(|minor| minor.is_ascii_digit())
}

/// Names, ranges and combinations.
pub(super) fn parameters(body: &Map<String, Value>, model: &str, compatible: bool) -> Result<(), Refusal> {
    if !compatible {
        if let Some(unknown) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            let message = format!("Unrecognized request argument supplied: {unknown}");
            return Err(Refusal::Invalid(super::super::refusal::Invalid { message, ..Default::default() }));
        }
        if reasons(model) {
            reasoning_model(body, model)?;
        }
    }
    range(body, "temperature", 0.0, 2.0)?;
    range(body, "top_p", 0.0, 1.0)?;
    range(body, "frequency_penalty", -2.0, 2.0)?;
    range(body, "presence_penalty", -2.0, 2.0)?;
    whole(body, "n", 1, 128)?;
    whole(body, "top_logprobs", 0, 20)?;
    whole(body, "max_tokens", 1, u64::MAX)?;
    whole(body, "max_completion_tokens", 1, u64::MAX)?;
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    if given("stream").is_some_and(|value| !value.is_boolean()) {
        return Err(wrong_type("stream", "a boolean"));
    }
    let on = |name: &str| given(name).and_then(Value::as_bool) == Some(true);
    if given("stream_options").is_some() && !on("stream") {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::parameter("stream_options", None, message));
    }
    if given("top_logprobs").is_some() && !on("logprobs") {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(Refusal::parameter("top_logprobs", None, message));
    }
    if given("max_tokens").is_some() && given("max_completion_tokens").is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Refusal::parameter("max_tokens", Some("invalid_parameter_combination"), message));
    }
    Ok(())
}

fn reasoning_model(body: &Map<String, Value>, model: &str) -> Result<(), Refusal> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    if given("max_tokens").is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Err(Refusal::parameter("max_tokens", Some("unsupported_parameter"), message));
    }
    let effort = given("reasoning_effort").and_then(Value::as_str);
    let silent = effort_defaults_to_none(model) && matches!(effort, None | Some("none"));
    if silent {
        return Ok(());
    }
    for (name, default) in
        [("temperature", 1.0), ("top_p", 1.0), ("presence_penalty", 0.0), ("frequency_penalty", 0.0)]
    {
        if let Some(value) = given(name).filter(|value| value.as_f64() != Some(default)) {
            let message = format!(
                "Unsupported value: '{name}' does not support {value} with this model. Only the default ({default}) value is supported."
            );
            return Err(Refusal::parameter(name, Some("unsupported_value"), message));
        }
    }
    let stopless =
        ["o3", "o4-mini"].iter().any(|name| model.rsplit('/').next().unwrap_or(model).starts_with(name));
    for name in ["logprobs", "top_logprobs", "logit_bias", "stop"] {
        let set = given(name).is_some_and(|value| *value != Value::Bool(false));
        if set && (name != "stop" || stopless) {
            let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
            return Err(Refusal::parameter(name, Some("unsupported_parameter"), message));
        }
    }
    Ok(())
}

fn range(body: &Map<String, Value>, name: &str, low: f64, high: f64) -> Result<(), Refusal> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(()) };
    let Some(number) = value.as_f64() else { return Err(wrong_type(name, "a decimal")) };
    let (word, sign, bound) = match number {
        number if number > high => ("above maximum", "<=", high),
        number if number < low => ("below minimum", ">=", low),
        _ => return Ok(()),
    };
    let code = if number > high { "decimal_above_max_value" } else { "decimal_below_min_value" };
    let message = format!(
        "Invalid '{name}': decimal {word} value. Expected a value {sign} {bound}, but got {value} instead."
    );
    Err(Refusal::parameter(name, Some(code), message))
}

fn whole(body: &Map<String, Value>, name: &str, low: u64, high: u64) -> Result<(), Refusal> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(()) };
    match value.as_u64() {
        Some(number) if (low..=high).contains(&number) => Ok(()),
        Some(number) => {
            let (word, code, bound) = if number > high {
                ("above maximum", "integer_above_max_value", high)
            } else {
                ("below minimum", "integer_below_min_value", low)
            };
            let message = format!(
                "Invalid '{name}': integer {word} value. Expected a value within bounds ({bound}), but got {value} instead."
            );
            Err(Refusal::parameter(name, Some(code), message))
        }
        None => Err(wrong_type(name, "an integer")),
    }
}

/// Function names.
pub(super) fn name(name: &str, param: &str) -> Result<(), Refusal> {
    let fine = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    if (1..=64).contains(&name.len()) && name.chars().all(fine) {
        return Ok(());
    }
    let message = format!(
        "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]{{1,64}}$'."
    );
    Err(Refusal::parameter(param, Some("invalid_value"), message))
}

/// Image references: a web address or data in a form the vendor reads.
pub(super) fn image(url: &str, place: &str) -> Result<(), Refusal> {
    let param = format!("{place}.image_url.url");
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let kinds = ["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"];
    match data {
        Some((kind, data)) if kinds.contains(&kind) && STANDARD.decode(data).is_ok() => Ok(()),
        Some((kind, _)) if !kinds.contains(&kind) => {
            let message = "You uploaded an unsupported image. Please make sure your image is of one the following formats: ['png', 'jpeg', 'gif', 'webp'].";
            Err(Refusal::parameter(param, Some("invalid_image_format"), message))
        }
        _ => {
            let message = format!(
                "Invalid '{param}'. Expected a base64-encoded data URL with an image MIME type, but got an invalid value."
            );
            Err(Refusal::parameter(param, Some("invalid_value"), message))
        }
    }
}

/// `response_format`.
pub(super) fn response_format(body: &Map<String, Value>, compatible: bool) -> Result<Format, Refusal> {
    let Some(format) = body.get("response_format").filter(|value| !value.is_null()) else {
        return Ok(Format::Text);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => {
            let Some(wrapper) = format.get("json_schema") else {
                return Err(missing("response_format.json_schema"));
            };
            let Some(label) = wrapper.get("name").and_then(Value::as_str) else {
                return Err(missing("response_format.json_schema.name"));
            };
            name(label, "response_format.json_schema.name")?;
            let schema = wrapper.get("schema").cloned().unwrap_or_default();
            let strict = wrapper.get("strict").and_then(Value::as_bool) == Some(true);
            if strict && !compatible {
                strict_schema(&schema, label, "response_format", "invalid_json_schema")?;
            }
            Ok(Format::Schema(schema))
        }
        Some(other) => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            );
            Err(Refusal::parameter("response_format.type", Some("invalid_value"), message))
        }
        None => Err(missing("response_format.type")),
    }
}

/// Strict schemas: objects list all members as required and allow no others.
pub(super) fn strict_schema(
    schema: &Value,
    label: &str,
    param: &str,
    code: &'static str,
) -> Result<(), Refusal> {
    let complaint = |what: String| {
        let kind = if code == "invalid_json_schema" { "response_format" } else { "function" };
        Refusal::parameter(param, Some(code), format!("Invalid schema for {kind} '{label}': {what}"))
    };
    let mut open = vec![schema];
    while let Some(schema) = open.pop() {
        let properties = schema.get("properties").and_then(Value::as_object);
        if properties.is_some() || schema.get("type").and_then(Value::as_str) == Some("object") {
            if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
                return Err(complaint(
                    "In context=(), 'additionalProperties' is required to be supplied and to be false."
                        .to_owned(),
                ));
            }
            let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let names = properties.into_iter().flat_map(Map::keys);
            if let Some(name) =
                names.into_iter().find(|name| !required.iter().any(|value| value.as_str() == Some(name)))
            {
                return Err(complaint(format!(
                    "In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing '{name}'."
                )));
            }
        }
        open.extend(properties.into_iter().flat_map(Map::values));
        open.extend(schema.get("items").filter(|items| items.is_object()));
        open.extend(schema.get("anyOf").and_then(Value::as_array).into_iter().flatten());
        for definitions in ["$defs", "definitions"] {
            open.extend(schema.get(definitions).and_then(Value::as_object).into_iter().flat_map(Map::values));
        }
    }
    Ok(())
}
