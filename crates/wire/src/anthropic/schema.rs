//! JSON Schemas in the forms Anthropic takes.
//!
//! Owns the small changes a schema needs: tool inputs must say that they are objects, answer schemas must close every object
//! and may not hold limits of numbers, lengths and lists, alternatives that exclude each other, or themselves (vendor's structured
//! outputs page, and what its own clients take out). Must not change a schema that fits: its text is passed as it came.

use crate::json_text::JsonText;
use bytes::BytesMut;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use trunkline_model::json::Json;
use trunkline_model::warning::Warning;

/// Asks for JSON where the API has no switch for it.
pub(crate) const JSON_INSTRUCTION: &str =
    "Answer with one valid JSON object and nothing else: no prose before or after it, no code fence.";

/// What becomes of a demand for some tool where the answer is a call as well.
pub(crate) const MAY_ANSWER: &str = "the answer's own tool may be called in place of the others";

/// Keywords that answer schemas may not hold.
const REFUSED: [&str; 23] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// The formats of texts that are held to.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Writes the input schema of a tool: `type` must be there and `object`.
pub(crate) fn write_input(schema: &Json, out: &mut BytesMut) {
    let text = schema.text().trim_ascii();
    let empty = text.strip_prefix('{').is_none_or(|rest| rest.trim_ascii_start() == "}");
    if empty {
        out.raw(r#"{"type":"object","properties":{}}"#);
        return;
    }
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<&'a serde_json::value::RawValue>,
    }
    let has_type = schema.read::<Head<'_>>().is_ok_and(|head| head.kind.is_some());
    if has_type {
        out.raw(text);
        return;
    }
    out.open_object();
    out.field("type", "object");
    // The rest of the object, without its opening brace.
    out.raw(&text[1..]);
}

/// Whether the schema's root is an object.
pub(crate) fn describes_an_object(schema: &Json) -> bool {
    match schema.value() {
        Value::Object(root) => match root.get("type") {
            Some(kind) => kind == "object",
            None => root.contains_key("properties"),
        },
        _ => false,
    }
}

/// The answer schema as structured outputs take it.
pub(crate) fn native(schema: &Json, whose: &str, warnings: &mut Vec<Warning>) -> Json {
    let mut value = schema.value();
    let mut changed = Changes::default();
    clean(&mut value, &mut changed);
    if !changed.removed.is_empty() {
        let names: Vec<&str> = changed.removed.into_iter().collect();
        let reason = format!("limits {whose} does not check are left out: {}", names.join(", "));
        warnings.push(Warning::dropped("response_format.json_schema.schema", reason));
        return Json::of(&value);
    }
    if changed.closed { Json::of(&value) } else { schema.clone() }
}

/// The longest way of references that is followed; a schema beyond is as good as endless.
const LONGEST_WAY: usize = 64;

/// Whether a schema holds itself, which no grammar of an answer can.
pub(crate) fn is_recursive(schema: &Json) -> bool {
    let root = schema.value();
    Walk { root: &root, way: Vec::new(), seen: BTreeSet::new() }.finds_a_circle(&root)
}

/// A walk along references; each place is entered once.
struct Walk<'v> {
    root: &'v Value,
    way: Vec<&'v str>,
    seen: BTreeSet<&'v str>,
}

impl<'v> Walk<'v> {
    fn finds_a_circle(&mut self, value: &'v Value) -> bool {
        let mut places = BTreeSet::new();
        references(value, &mut places);
        places.into_iter().any(|place| self.leads_back(place))
    }

    fn leads_back(&mut self, place: &'v str) -> bool {
        if place == "#" || self.way.contains(&place) || self.way.len() >= LONGEST_WAY {
            return true;
        }
        if !self.seen.insert(place) {
            return false;
        }
        self.way.push(place);
        let target = place.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let leads_back = target.is_some_and(|target| self.finds_a_circle(target));
        self.way.pop();
        leads_back
    }
}

/// The references in a schema; those of its definitions count where something refers to them.
fn references<'v>(value: &'v Value, places: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(schema) => {
            for (name, child) in schema {
                match (name.as_str(), child) {
                    ("$ref", Value::String(place)) => {
                        places.insert(place);
                    }
                    ("$defs" | "definitions" | "const" | "enum" | "default" | "examples", _) => {}
                    _ => references(child, places),
                }
            }
        }
        Value::Array(children) => children.iter().for_each(|child| references(child, places)),
        _ => {}
    }
}

#[derive(Default)]
struct Changes {
    removed: BTreeSet<&'static str>,
    closed: bool,
}

fn clean(value: &mut Value, changes: &mut Changes) {
    let Value::Object(schema) = value else { return };
    for name in REFUSED {
        if schema.shift_remove(name).is_some() {
            changes.removed.insert(name);
        }
    }
    if schema.get("minItems").is_some_and(|least| !matches!(least.as_u64(), Some(0 | 1))) {
        schema.shift_remove("minItems");
        changes.removed.insert("minItems");
    }
    if let Some(Value::String(format)) = schema.get("format")
        && !FORMATS.contains(&format.as_str())
    {
        schema.shift_remove("format");
        changes.removed.insert("format");
    }
    if !schema.contains_key("anyOf")
        && let Some(alternatives) = schema.shift_remove("oneOf")
    {
        schema.insert("anyOf".to_owned(), alternatives);
        changes.removed.insert("oneOf");
    }
    if is_object_schema(schema) && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        if schema.contains_key("additionalProperties") {
            changes.removed.insert("additionalProperties");
        }
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        changes.closed = true;
    }
    for (name, child) in schema.iter_mut() {
        match name.as_str() {
            "properties" | "$defs" | "definitions" => {
                if let Value::Object(children) = child {
                    children.values_mut().for_each(|child| clean(child, changes));
                }
            }
            "items" => clean(child, changes),
            "anyOf" | "oneOf" | "allOf" => {
                if let Value::Array(children) = child {
                    children.iter_mut().for_each(|child| clean(child, changes));
                }
            }
            _ => {}
        }
    }
}

fn is_object_schema(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.contains_key("properties"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_fitting_schema_keeps_its_text() {
        let text = r#"{ "type":"object", "properties":{"a":{"type":"number","const":1.0}}, "additionalProperties":false }"#;
        let mut warnings = Vec::new();
        assert_eq!(native(&json(text), "Anthropic", &mut warnings).text(), text);
        assert!(warnings.is_empty());
    }

    #[test]
    fn objects_are_closed_and_limits_left_out() {
        let text = r#"{"type":"object","properties":{"minimum":{"type":"integer","minimum":1},"b":{"type":"array","items":{"type":"object","properties":{}}}}}"#;
        let mut warnings = Vec::new();
        insta::assert_snapshot!(native(&json(text), "Anthropic", &mut warnings).text(), @r#"{"type":"object","properties":{"minimum":{"type":"integer"},"b":{"type":"array","items":{"type":"object","properties":{},"additionalProperties":false}}},"additionalProperties":false}"#);
        insta::assert_snapshot!(warnings[0].to_string(), @"response_format.json_schema.schema dropped: limits Anthropic does not check are left out: minimum");
    }

    #[test]
    fn what_the_vendors_own_clients_take_out_is_left_out() {
        let text = r#"{"type":"object","properties":{"not":{"type":"string","format":"ip-address"},"d":{"type":"string","format":"date"},"l":{"type":"array","items":{"oneOf":[{"type":"null"},{"type":"number"}]},"minItems":3},"k":{"type":"array","minItems":1}},"patternProperties":{"^z":{}},"additionalProperties":false}"#;
        let mut warnings = Vec::new();
        insta::assert_snapshot!(native(&json(text), "Anthropic", &mut warnings).text(), @r#"{"type":"object","properties":{"not":{"type":"string"},"d":{"type":"string","format":"date"},"l":{"type":"array","items":{"anyOf":[{"type":"null"},{"type":"number"}]}},"k":{"type":"array","minItems":1}},"additionalProperties":false}"#);
        insta::assert_snapshot!(warnings[0].to_string(), @"response_format.json_schema.schema dropped: limits Anthropic does not check are left out: format, minItems, oneOf, patternProperties");
    }

    #[test]
    fn schemas_that_hold_themselves_are_told_apart() {
        for (text, expected) in [
            (
                r##"{"$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"}}}},"properties":{"a":{"$ref":"#/$defs/n"}}}"##,
                true,
            ),
            (r##"{"properties":{"children":{"type":"array","items":{"$ref":"#"}}}}"##, true),
            (
                r##"{"definitions":{"a":{"items":{"$ref":"#/definitions/b"}},"b":{"anyOf":[{"$ref":"#/definitions/a"}]}},"properties":{"x":{"$ref":"#/definitions/a"}}}"##,
                true,
            ),
            (
                r##"{"$defs":{"a":{"properties":{"b":{"$ref":"#/$defs/b"}}},"b":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"},"y":{"$ref":"#/$defs/b"}}}"##,
                false,
            ),
            // Nobody refers to it.
            (r##"{"$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"}}}},"type":"object"}"##, false),
            (r##"{"properties":{"a":{"$ref":"#/$defs/missing"},"b":{"const":{"$ref":"#"}}}}"##, false),
        ] {
            assert_eq!(is_recursive(&json(text)), expected, "{text}");
        }
    }

    #[test]
    fn tool_inputs_say_that_they_are_objects() {
        let written = |text: &str| {
            let mut out = BytesMut::new();
            write_input(&json(text), &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(written("{}"), r#"{"type":"object","properties":{}}"#);
        assert_eq!(written(r#"{"type":"object"}"#), r#"{"type":"object"}"#);
        assert_eq!(written(r#"{"properties":{}}"#), r#"{"type":"object","properties":{}}"#);
    }
}
