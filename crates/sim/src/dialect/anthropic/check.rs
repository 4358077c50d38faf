//! Checks of message parameters, in the vendor's words.
//!
//! Owns which parameters exist, their ranges and the combinations that are refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::super::Refusal;
use super::ApiVersion;
use super::version::Version;

/// Every parameter of the messages reference.
const KNOWN: &[&str] = &[
    "max_tokens",
    "messages",
    "model",
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
    "temperature",
    "top_k",
    "top_p",
];
/// Parameters that only come with an `anthropic-beta` header; accepted unread.
const BETA: &[&str] = &["mcp_servers", "context_management", "betas", "output_format", "fallbacks"];

/// The most breakpoints of prompt caching.
const MOST_BREAKPOINTS: usize = 4;

pub(super) fn required(name: &str) -> Refusal {
    Refusal::invalid(format!("{name}: Field required"))
}

/// Names, ranges and combinations. `answers` is false for token counting, which needs no `max_tokens`.
pub(super) fn parameters(
    body: &Map<String, Value>,
    version: Version,
    api: ApiVersion,
    answers: bool,
) -> Result<(), Refusal> {
    if let Some(name) =
        body.keys().find(|name| !KNOWN.contains(&name.as_str()) && !BETA.contains(&name.as_str()))
    {
        return Err(Refusal::invalid(format!("{name}: Extra inputs are not permitted")));
    }
    let sampling_parameter =
        ["temperature", "top_p", "top_k"].into_iter().find(|name| body.contains_key(*name));
    if let (ApiVersion::Of2026, Some(name)) = (api, sampling_parameter) {
        return Err(Refusal::invalid(format!("{name}: Extra inputs are not permitted")));
    }
    if answers {
        match body.get("max_tokens") {
            None => return Err(required("max_tokens")),
            Some(value) => match value.as_u64() {
                Some(1..) => {}
                Some(0) => {
                    return Err(Refusal::invalid("max_tokens: Input should be greater than or equal to 1"));
                }
                None => return Err(Refusal::invalid("max_tokens: Input should be a valid integer")),
            },
        }
    }
    if body.get("stream").is_some_and(|stream| !stream.is_boolean()) {
        return Err(Refusal::invalid("stream: Input should be a valid boolean"));
    }
    sampling(body, version)?;
    let sequences = body.get("stop_sequences").and_then(Value::as_array);
    for (index, sequence) in sequences.into_iter().flatten().enumerate() {
        match sequence.as_str() {
            None => {
                return Err(Refusal::invalid(format!(
                    "stop_sequences.{index}: Input should be a valid string"
                )));
            }
            Some(text) if text.trim().is_empty() => {
                return Err(Refusal::invalid(
                    "stop_sequences: each stop sequence must contain non-whitespace",
                ));
            }
            Some(_) => {}
        }
    }
    let own = usize::from(body.get("cache_control").is_some_and(|control| !control.is_null()));
    let breakpoints = own + body.values().map(breakpoints).sum::<usize>();
    if breakpoints > MOST_BREAKPOINTS {
        let message = format!(
            "A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {breakpoints}."
        );
        return Err(Refusal::invalid(message));
    }
    Ok(())
}

fn breakpoints(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            let own = usize::from(members.get("cache_control").is_some_and(|control| !control.is_null()));
            own + members.values().map(breakpoints).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(breakpoints).sum(),
        _ => 0,
    }
}

fn sampling(body: &Map<String, Value>, version: Version) -> Result<(), Refusal> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    for name in ["temperature", "top_p"] {
        let Some(value) = given(name) else { continue };
        match value.as_f64() {
            None => return Err(Refusal::invalid(format!("{name}: Input should be a valid number"))),
            Some(number) if !(0.0..=1.0).contains(&number) => {
                return Err(Refusal::invalid(format!("{name}: range: 0..1")));
            }
            Some(number) if !version.sampling() && (name != "temperature" || number != 1.0) => {
                return Err(Refusal::invalid(format!("{name}: not supported for this model")));
            }
            Some(_) => {}
        }
    }
    if given("top_k").is_some() && !version.sampling() {
        return Err(Refusal::invalid("top_k: not supported for this model"));
    }
    if version.one_sampling_parameter() && given("temperature").is_some() && given("top_p").is_some() {
        let message =
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        return Err(Refusal::invalid(message));
    }
    Ok(())
}

/// Tokens to think with, and whether the thoughts are shown; 0 if thinking is off.
pub(super) fn thinking(
    body: &Map<String, Value>,
    version: Version,
    model: &str,
) -> Result<(u64, bool), Refusal> {
    let Some(thinking) = body.get("thinking").filter(|value| !value.is_null()) else { return Ok((0, true)) };
    let max_tokens = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let shown = thinking.get("display").and_then(Value::as_str) != Some("omitted");
    let budget = match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => return Ok((0, shown)),
        Some("enabled") if !version.manual_thinking() && version.adaptive_thinking() => {
            return Err(Refusal::invalid(
                "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.",
            ));
        }
        Some("enabled") if !version.manual_thinking() => {
            return Err(Refusal::invalid(format!("'{model}' does not support thinking.")));
        }
        Some("enabled") => {
            let budget =
                thinking.get("budget_tokens").ok_or_else(|| required("thinking.enabled.budget_tokens"))?;
            let budget = budget.as_u64().filter(|budget| *budget >= 1024).ok_or_else(|| {
                Refusal::invalid(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                )
            })?;
            if budget >= max_tokens {
                return Err(Refusal::invalid(
                    "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
                ));
            }
            budget
        }
        Some("adaptive") if !version.adaptive_thinking() => {
            return Err(Refusal::invalid("adaptive thinking is not supported on this model"));
        }
        Some("adaptive" | "between_tools") => effort(body)?,
        _ => {
            return Err(Refusal::invalid(
                "thinking: Input tag found using 'type' does not match any of the expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'",
            ));
        }
    };
    let forced = body.get("tool_choice").and_then(|choice| choice["type"].as_str());
    if matches!(forced, Some("any" | "tool")) {
        return Err(Refusal::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    if given("temperature").is_some_and(|value| value.as_f64() != Some(1.0)) {
        return Err(Refusal::invalid(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
        ));
    }
    if given("top_k").is_some() {
        return Err(Refusal::invalid("`top_k` must be unset when thinking is enabled."));
    }
    if given("top_p").and_then(Value::as_f64).is_some_and(|top| top < 0.95) {
        return Err(Refusal::invalid(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ));
    }
    Ok((budget, shown))
}

fn effort(body: &Map<String, Value>) -> Result<u64, Refusal> {
    match body.get("output_config").and_then(|config| config.get("effort")).filter(|effort| !effort.is_null())
    {
        None => Ok(2048),
        Some(effort) => match effort.as_str() {
            Some("low") => Ok(8),
            Some("medium") => Ok(16),
            Some("high") => Ok(32),
            Some("xhigh" | "max") => Ok(64),
            _ => Err(Refusal::invalid(
                "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
            )),
        },
    }
}

/// Names of tools.
pub(super) fn tool_name(name: &str, place: &str) -> Result<(), Refusal> {
    let fine = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    if (1..=128).contains(&name.len()) && name.chars().all(fine) {
        return Ok(());
    }
    Err(Refusal::invalid(format!("{place}: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")))
}

/// Identifiers of tool calls.
pub(super) fn call_id(id: &str, place: &str) -> Result<(), Refusal> {
    let fine = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    if !id.is_empty() && id.chars().all(fine) {
        return Ok(());
    }
    Err(Refusal::invalid(format!("{place}: String should match pattern '^[a-zA-Z0-9_-]+$'")))
}

/// Sources of images and documents; returns what tells them apart.
pub(super) fn source<'a>(block: &'a Value, place: &str, kinds: &[&str]) -> Result<&'a str, Refusal> {
    let source = block.get("source").ok_or_else(|| required(&format!("{place}.source")))?;
    let text = |name: &str| source.get(name).and_then(Value::as_str);
    let need = |name: &str| text(name).ok_or_else(|| required(&format!("{place}.source.{name}")));
    match text("type") {
        Some("base64") => {
            let kind = need("media_type")?;
            if !kinds.contains(&kind) {
                let expected = kinds.iter().map(|kind| format!("'{kind}'")).collect::<Vec<_>>().join(" or ");
                return Err(Refusal::invalid(format!(
                    "{place}.source.base64.media_type: Input should be {expected}"
                )));
            }
            let data = need("data")?;
            if STANDARD.decode(data).is_err() {
                return Err(Refusal::invalid(format!("{place}.source.base64.data: Invalid base64 data")));
            }
            Ok(data)
        }
        Some("url") => {
            let url = need("url")?;
            if url.starts_with("https://") || url.starts_with("http://") {
                return Ok(url);
            }
            Err(Refusal::invalid(format!("{place}.source.url: Only HTTPS URLs are supported")))
        }
        Some("file") => need("file_id"),
        Some("text") => need("data"),
        Some("content") => Ok("content"),
        _ => Err(Refusal::invalid(format!(
            "{place}.source: Input tag found using 'type' does not match any of the expected tags: 'base64', 'url', 'file'"
        ))),
    }
}
