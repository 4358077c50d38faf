//! Checks of parameters, in the service's words.
//!
//! Owns which parameters exist and their ranges.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::super::Refusal;
use crate::config::SimConfig;

/// Every member of a Converse request beside the model.
pub(super) const KNOWN: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];

/// Refuses members nobody knows. The service passes over most of them; a gateway that sends one made a mistake.
pub(super) fn known(body: &Map<String, Value>, names: &[&str]) -> Result<(), Refusal> {
    match body.keys().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Refusal::invalid(format!(
            "Malformed input request: #: extraneous key [{name}] is not permitted, please reformat your input and try again."
        ))),
    }
}

/// Refuses a model that is not served.
pub(super) fn admit(model: &str, config: &SimConfig) -> Result<(), Refusal> {
    let unknown = config.known_models_only && !config.models.iter().any(|known| known == model);
    if unknown || model.starts_with("no-such-") {
        return Err(Refusal::UnknownModel(model.to_owned()));
    }
    Ok(())
}

/// A value out of its range.
pub(super) fn constraint(value: &Value, place: &str, rule: &str) -> Refusal {
    let shown = value.to_string();
    let shown = shown.trim_matches('"');
    Refusal::invalid(format!(
        "1 validation error detected: Value '{shown}' at '{place}' failed to satisfy constraint: {rule}"
    ))
}

/// A required member that is missing.
pub(super) fn missing(place: &str) -> Refusal {
    constraint(&Value::Null, place, "Member must not be null")
}

/// `inferenceConfig`: ranges. Gives the limit and the stop texts.
pub(super) fn inference(body: &Map<String, Value>) -> Result<(Option<u64>, Vec<String>), Refusal> {
    let Some(config) = body.get("inferenceConfig") else { return Ok((None, Vec::new())) };
    let Some(members) = config.as_object() else { return Err(missing("inferenceConfig")) };
    known(members, &["maxTokens", "temperature", "topP", "stopSequences"])?;
    let limit = match members.get("maxTokens") {
        None => None,
        Some(value) => match value.as_u64() {
            Some(limit @ 1..) => Some(limit),
            _ => {
                let rule = "Member must have value greater than or equal to 1";
                return Err(constraint(value, "inferenceConfig.maxTokens", rule));
            }
        },
    };
    for name in ["temperature", "topP"] {
        if let Some(value) = members.get(name)
            && !value.as_f64().is_some_and(|value| (0.0..=1.0).contains(&value))
        {
            let rule = "Member must have value less than or equal to 1";
            return Err(constraint(value, &format!("inferenceConfig.{name}"), rule));
        }
    }
    let stop = members.get("stopSequences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if stop.iter().any(|text| text.as_str().is_none_or(|text| text.trim().is_empty())) {
        return Err(constraint(
            &Value::Null,
            "inferenceConfig.stopSequences",
            "Member must have length greater than or equal to 1",
        ));
    }
    Ok((limit, stop.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
}

/// A tool's name: `[a-zA-Z0-9_-]{1,64}`.
pub(super) fn tool_name(value: Option<&Value>, place: &str) -> Result<String, Refusal> {
    let name = value.and_then(Value::as_str).ok_or_else(|| missing(place))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+";
        return Err(constraint(&Value::from(name), place, rule));
    }
    Ok(name.to_owned())
}

/// A call's id: `[a-zA-Z0-9_.:-]{1,64}`.
pub(super) fn call_id(value: Option<&Value>, place: &str) -> Result<String, Refusal> {
    let id = value.and_then(Value::as_str).ok_or_else(|| missing(place))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(allowed) {
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+";
        return Err(constraint(&Value::from(id), place, rule));
    }
    Ok(id.to_owned())
}

/// The source of an image, document or film: bytes, a place in S3, or (documents) text. Gives what tells it from others.
pub(super) fn source(block: &Value, place: &str, formats: &[&str]) -> Result<String, Refusal> {
    let format = block.get("format").ok_or_else(|| missing(&format!("{place}.format")))?;
    if !format.as_str().is_some_and(|format| formats.contains(&format)) {
        let rule = format!("Member must satisfy enum value set: [{}]", formats.join(", "));
        return Err(constraint(format, &format!("{place}.format"), &rule));
    }
    let place = format!("{place}.source");
    let source = block.get("source").and_then(Value::as_object).ok_or_else(|| missing(&place))?;
    let mut members = source.iter();
    match (members.next(), members.next()) {
        (Some((name, Value::String(data))), None) if name == "bytes" => match STANDARD.decode(data) {
            Ok(bytes) if !bytes.is_empty() => Ok(data.clone()),
            _ => Err(Refusal::parameter("", Some("SerializationException"), "bytes is not valid base64")),
        },
        (Some((name, location)), None) if name == "s3Location" => {
            let uri = location.get("uri").and_then(Value::as_str).filter(|uri| uri.starts_with("s3://"));
            uri.map(str::to_owned).ok_or_else(|| missing(&format!("{place}.s3Location.uri")))
        }
        _ => Err(Refusal::invalid(format!(
            "The {place} union must hold exactly one member: bytes or s3Location."
        ))),
    }
}

/// A document's name: letters, digits, single blanks, hyphens, parentheses, square brackets.
pub(super) fn document_name(value: Option<&Value>, place: &str) -> Result<String, Refusal> {
    let name = value.and_then(Value::as_str).ok_or_else(|| missing(&format!("{place}.name")))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
    if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) || name.contains("  ") {
        return Err(Refusal::invalid(
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
        ));
    }
    Ok(name.to_owned())
}
