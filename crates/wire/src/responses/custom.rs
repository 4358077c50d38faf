//! Tools that take free text, reached with functions.
//!
//! Owns both ways: a custom tool as a function of one string, and the text in the arguments of a call of it. Must not know the
//! answer's form. Only this dialect has such tools in a form of its own; every target has functions.

use crate::codec::BadRequest;
use crate::scan::tree::{Node, Place};
use crate::write::Object;
use trunkline_model::json::Json;
use trunkline_model::request::FunctionTool;

/// The one argument.
const INPUT: &str = "input";

/// The declaration as a function.
pub(super) fn as_function(node: &Node<'_>, place: &Place<'_>) -> Result<FunctionTool, BadRequest> {
    let schema = r#"{"type":"object","properties":{"input":{"type":"string","description":"The tool's whole input, as free text."}},"required":["input"],"additionalProperties":false}"#;
    Ok(FunctionTool {
        name: place.needed_text(node, "name")?.to_owned(),
        description: place.text_field(node, "description")?.map(str::to_owned),
        parameters: Json::parse(schema.to_owned()).ok(),
        strict: None,
        cache: None,
    })
}

/// Arguments that hold a text.
pub(super) fn arguments(text: &str) -> Json {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut object = Object::open(&mut out);
    object.text(INPUT, text);
    object.close();
    String::from_utf8(out).ok().and_then(|text| Json::parse(text).ok()).unwrap_or_else(Json::empty_object)
}

/// The text in arguments; a model that did not keep to the schema is taken at its word.
pub(super) fn input(arguments: &str) -> String {
    let parsed: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(arguments).ok();
    match parsed.as_ref().and_then(|arguments| arguments.get(INPUT)) {
        Some(serde_json::Value::String(text)) => text.clone(),
        _ => arguments.to_owned(),
    }
}
