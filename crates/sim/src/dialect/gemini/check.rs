//! Checks of fields the way a protocol-buffer JSON parser makes them: unknown names are refused.
//!
//! Owns the names of the request's messages and of the schema subset that function parameters are written in. Source:
//! `content.proto` and `generative_service.proto`.

use serde_json::{Map, Value};

use super::super::Refusal;
use super::snake;

const REQUEST: &[&str] = &[
    "model",
    "systemInstruction",
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "store",
    "serviceTier",
];
pub(super) const GENERATION: &[&str] = &[
    "candidateCount",
    "stopSequences",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "responseModalities",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "responseFormat",
];
pub(super) const PART: &[&str] = &[
    "text",
    "inlineData",
    "functionCall",
    "functionResponse",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "videoMetadata",
    "thought",
    "thoughtSignature",
    "partMetadata",
    "mediaResolution",
    "toolCall",
    "toolResponse",
];
pub(super) const DECLARATION: &[&str] = &[
    "name",
    "description",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "behavior",
];
pub(super) const TOOL: &[&str] = &[
    "functionDeclarations",
    "googleSearchRetrieval",
    "codeExecution",
    "googleSearch",
    "computerUse",
    "urlContext",
    "fileSearch",
    "googleMaps",
    "mcpServers",
];
pub(super) const CALLING: &[&str] = &["mode", "allowedFunctionNames", "streamFunctionCallArguments"];
const SCHEMA: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
];
const TYPES: &[&str] =
    &["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

/// Top-level names.
pub(super) fn request(body: &Map<String, Value>) -> Result<(), Refusal> {
    names(body, REQUEST, "")
}

/// Refuses members that the message does not have.
pub(super) fn names(members: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), Refusal> {
    let unknown =
        members.keys().find(|name| !known.iter().any(|field| field == name || snake(field) == **name));
    match unknown {
        None => Ok(()),
        Some(name) => Err(unknown_name(name, place)),
    }
}

fn unknown_name(name: &str, place: &str) -> Refusal {
    let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    let message = format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
    Refusal::parameter(place, None, message)
}

/// The schema subset of function parameters and `responseSchema`.
pub(super) fn schema(schema: &Value, place: &str) -> Result<(), Refusal> {
    let Some(members) = schema.as_object() else {
        return Err(Refusal::parameter(
            place,
            None,
            format!(
                "Invalid value at '{place}' (type.googleapis.com/google.ai.generativelanguage.v1beta.Schema)"
            ),
        ));
    };
    names(members, SCHEMA, place)?;
    match members.get("type") {
        Some(Value::Array(_)) => {
            let message = format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{place}': Proto field is not repeating, cannot start list."
            );
            return Err(Refusal::parameter(place, None, message));
        }
        Some(Value::String(kind)) if !TYPES.contains(&kind.to_uppercase().as_str()) => {
            let message = format!(
                "Invalid value at '{place}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), \"{kind}\""
            );
            return Err(Refusal::parameter(format!("{place}.type"), None, message));
        }
        _ => {}
    }
    let enumerated = members.get("enum").and_then(Value::as_array);
    if enumerated.is_some_and(|values| values.iter().any(|value| !value.is_string())) {
        let message = format!("Invalid value at '{place}.enum[0]' (TYPE_STRING)");
        return Err(Refusal::parameter(format!("{place}.enum[0]"), None, message));
    }
    let properties = members.get("properties").and_then(Value::as_object);
    for (index, property) in properties.into_iter().flat_map(Map::values).enumerate() {
        self::schema(property, &format!("{place}.properties[{index}].value"))?;
    }
    if let Some(items) = members.get("items") {
        self::schema(items, &format!("{place}.items"))?;
    }
    let branches = members.get("anyOf").or_else(|| members.get("any_of")).and_then(Value::as_array);
    for (index, branch) in branches.into_iter().flatten().enumerate() {
        self::schema(branch, &format!("{place}.any_of[{index}]"))?;
    }
    Ok(())
}

/// Names of functions.
pub(super) fn function_name(name: &str, place: &str) -> Result<(), Refusal> {
    let starts = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let fine = |character: char| character.is_ascii_alphanumeric() || "_.:-".contains(character);
    if starts && name.len() <= 64 && name.chars().all(fine) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "* GenerateContentRequest.{place}.name: [FieldNameRegex] Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n"
    )))
}

/// Numbers in a range.
pub(super) fn range(config: &Map<String, Value>, name: &str, low: f64, high: f64) -> Result<(), Refusal> {
    let Some(value) = super::member_of(config, name) else { return Ok(()) };
    let field = snake(name);
    match value.as_f64() {
        None => Err(Refusal::parameter(
            format!("generation_config.{field}"),
            None,
            format!("Invalid value at 'generation_config.{field}' (TYPE_FLOAT), {value}"),
        )),
        Some(number) if !(low..=high).contains(&number) => Err(Refusal::invalid(format!(
            "* GenerateContentRequest.generation_config.{field}: {field} must be in the range [{low}, {high}].\n"
        ))),
        Some(_) => Ok(()),
    }
}
