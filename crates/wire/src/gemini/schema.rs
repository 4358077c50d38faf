//! JSON Schema and Gemini's own schema, an OpenAPI subset.
//!
//! Owns the way between the two. Must not know tools or answers. JSON Schema is preferred on the way out
//! (`parametersJsonSchema`, `responseJsonSchema`) and keeps its text wherever it fits; the subset is for targets that refuse
//! those fields. On the way in the subset becomes JSON Schema, because that is what every other dialect takes.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use trunkline_model::json::Json;

/// References nested deeper than this are not followed: a schema that contains itself would never end.
const MAX_DEPTH: usize = 24;
/// The most nodes of an inlined schema: references can multiply.
const MAX_NODES: usize = 10_000;

/// What the subset knows (`google.ai.generativelanguage.v1beta.Schema`).
const KNOWN: [&str; 21] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
];

/// A schema as `parametersJsonSchema` and `responseJsonSchema` take it: its own text, unless it holds what they do not know.
pub(super) fn cleaned(schema: &Json) -> Json {
    let text = schema.text();
    if !text.contains("\"$schema\"") && !text.contains("\"const\"") {
        return schema.clone();
    }
    let mut value = schema.value();
    let changed = clean(&mut value, 0);
    if changed { Json::of(&value) } else { schema.clone() }
}

/// Takes `$schema` out and says `const` as an `enum` of one.
fn clean(value: &mut Value, depth: usize) -> bool {
    let Value::Object(schema) = value else { return false };
    if depth > 128 {
        return false;
    }
    let mut changed = schema.shift_remove("$schema").is_some();
    if let Some(constant) = schema.shift_remove("const") {
        schema.insert("enum".to_owned(), Value::Array(vec![constant]));
        changed = true;
    }
    for_each_child(schema, &mut |child| changed |= clean(child, depth + 1));
    changed
}

/// Calls for every schema directly inside one; names of properties are not taken for keywords.
fn for_each_child(schema: &mut Map<String, Value>, call: &mut dyn FnMut(&mut Value)) {
    for (name, child) in schema.iter_mut() {
        match (name.as_str(), child) {
            ("properties" | "$defs" | "definitions" | "patternProperties", Value::Object(children)) => {
                children.values_mut().for_each(&mut *call);
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(children)) => {
                children.iter_mut().for_each(&mut *call);
            }
            ("items" | "not" | "additionalProperties", child) => call(child),
            _ => {}
        }
    }
}

/// The subset as JSON Schema: types in lower case, `nullable` as a type, counts as numbers.
pub(super) fn from_openapi(schema: &Json) -> Json {
    let mut value = schema.value();
    raise(&mut value, 0);
    Json::of(&value)
}

fn raise(value: &mut Value, depth: usize) {
    let Value::Object(schema) = value else { return };
    if depth > 128 {
        return;
    }
    for (snake, camel) in [
        ("any_of", "anyOf"),
        ("max_items", "maxItems"),
        ("min_items", "minItems"),
        ("min_properties", "minProperties"),
        ("max_properties", "maxProperties"),
        ("min_length", "minLength"),
        ("max_length", "maxLength"),
    ] {
        if let Some(value) = schema.shift_remove(snake) {
            schema.insert(camel.to_owned(), value);
        }
    }
    let nullable = schema.shift_remove("nullable") == Some(Value::Bool(true));
    schema.shift_remove("propertyOrdering");
    schema.shift_remove("property_ordering");
    if let Some(example) = schema.shift_remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
    for name in ["maxItems", "minItems", "minProperties", "maxProperties", "minLength", "maxLength"] {
        // 64-bit numbers are strings in protobuf's JSON form.
        if let Some(number) =
            schema.get(name).and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok())
        {
            schema.insert(name.to_owned(), json!(number));
        }
    }
    if schema.get("format").and_then(Value::as_str) == Some("enum") {
        schema.shift_remove("format");
    }
    if let Some(Value::String(kind)) = schema.get("type") {
        let kind = kind.to_ascii_lowercase();
        if kind == "type_unspecified" {
            schema.shift_remove("type");
        } else if nullable {
            schema.insert("type".to_owned(), json!([kind, "null"]));
        } else {
            schema.insert("type".to_owned(), json!(kind));
        }
    } else if nullable && let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.push(json!({"type": "null"}));
    }
    for_each_child(schema, &mut |child| raise(child, depth + 1));
}

/// JSON Schema in the subset, and the keywords that were left out on the way.
pub(super) fn to_openapi(schema: &Json) -> (Json, BTreeSet<String>) {
    let root = schema.value();
    let mut lowering = Lowering { root: &root, lost: BTreeSet::new(), nodes: 0 };
    let lowered = lowering.schema(&root, 0);
    (Json::of(&lowered), lowering.lost)
}

struct Lowering<'s> {
    root: &'s Value,
    lost: BTreeSet<String>,
    nodes: usize,
}

impl Lowering<'_> {
    fn schema(&mut self, value: &Value, depth: usize) -> Value {
        self.nodes += 1;
        let Value::Object(schema) = value else { return json!({}) };
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            self.lost.insert("$ref (too deep)".to_owned());
            return json!({"type": "OBJECT"});
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|path| self.root.pointer(path)).cloned();
            let Some(target) = target else {
                self.lost.insert("$ref".to_owned());
                return json!({"type": "OBJECT"});
            };
            return self.schema(&target, depth + 1);
        }
        let mut out = Map::new();
        for (name, child) in schema {
            self.keyword(name, child, &mut out, depth);
        }
        Value::Object(out)
    }

    fn keyword(&mut self, name: &str, child: &Value, out: &mut Map<String, Value>, depth: usize) {
        match name {
            "type" => self.kind(child, out),
            "const" => {
                out.insert("enum".to_owned(), json!([as_text(child)]));
                out.entry("type").or_insert_with(|| json!("STRING"));
            }
            "enum" => {
                let texts: Vec<Value> =
                    child.as_array().into_iter().flatten().map(|one| json!(as_text(one))).collect();
                out.insert(name.to_owned(), Value::Array(texts));
            }
            "properties" => {
                let children = child.as_object().into_iter().flatten();
                let lowered: Map<String, Value> =
                    children.map(|(name, child)| (name.clone(), self.schema(child, depth + 1))).collect();
                out.insert(name.to_owned(), Value::Object(lowered));
            }
            "items" => {
                let lowered = self.schema(child, depth + 1);
                out.insert(name.to_owned(), lowered);
            }
            "anyOf" | "oneOf" => self.alternatives(child, out, depth),
            "allOf" => {
                for child in child.as_array().into_iter().flatten() {
                    if let Value::Object(merged) = self.schema(child, depth + 1) {
                        for (name, value) in merged {
                            out.entry(name).or_insert(value);
                        }
                    }
                }
            }
            "examples" => {
                if let Some(first) = child.as_array().and_then(|all| all.first()) {
                    out.insert("example".to_owned(), first.clone());
                }
            }
            "maximum" => drop(out.insert(name.to_owned(), child.clone())),
            "$schema" | "$id" | "$defs" | "definitions" | "$comment" | "$anchor" => {}
            // Objects of the subset are closed by nature of the models; only an open one loses something.
            "additionalProperties" if child == &Value::Bool(false) => {}
            name if KNOWN.contains(&name) => drop(out.insert(name.to_owned(), child.clone())),
            other => drop(self.lost.insert(other.to_owned())),
        }
    }

    fn kind(&mut self, kind: &Value, out: &mut Map<String, Value>) {
        let upper = |kind: &str| kind.to_ascii_uppercase();
        match kind {
            Value::String(kind) => drop(out.insert("type".to_owned(), json!(upper(kind)))),
            Value::Array(kinds) => {
                let named: Vec<&str> =
                    kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
                if named.len() < kinds.len() {
                    out.insert("nullable".to_owned(), json!(true));
                }
                match &named[..] {
                    [one] => drop(out.insert("type".to_owned(), json!(upper(one)))),
                    [] => {}
                    several => {
                        let any: Vec<Value> =
                            several.iter().map(|kind| json!({"type": upper(kind)})).collect();
                        out.insert("anyOf".to_owned(), Value::Array(any));
                    }
                }
            }
            _ => {}
        }
    }

    fn alternatives(&mut self, child: &Value, out: &mut Map<String, Value>, depth: usize) {
        let mut lowered = Vec::new();
        for child in child.as_array().into_iter().flatten() {
            if child.get("type") == Some(&json!("null")) {
                out.insert("nullable".to_owned(), json!(true));
            } else {
                lowered.push(self.schema(child, depth + 1));
            }
        }
        match (lowered.len(), lowered.pop()) {
            (1, Some(Value::Object(only))) => {
                for (name, value) in only {
                    out.entry(name).or_insert(value);
                }
            }
            (_, Some(last)) => {
                lowered.push(last);
                out.insert("anyOf".to_owned(), Value::Array(lowered));
            }
            (_, None) => {}
        }
    }
}

/// Enums of the subset hold texts only.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_fitting_schema_keeps_its_text() {
        let text =
            r#"{ "type":"object", "properties":{"a":{"type":["number","null"],"exclusiveMinimum":1.0}} }"#;
        assert_eq!(cleaned(&json(text)).text(), text);
        let named =
            r#"{"type":"object","properties":{"const":{"type":"string"},"$schema":{"type":"string"}}}"#;
        assert_eq!(cleaned(&json(named)).text(), named);
    }

    #[test]
    fn what_no_gemini_field_knows_is_said_otherwise() {
        let text = r#"{"$schema":"x","type":"object","properties":{"a":{"const":"b"}}}"#;
        insta::assert_snapshot!(cleaned(&json(text)).text(), @r#"{"type":"object","properties":{"a":{"enum":["b"]}}}"#);
    }

    #[test]
    fn the_subset_becomes_json_schema() {
        let text = r#"{"type":"OBJECT","nullable":true,"propertyOrdering":["a"],"properties":{
            "a":{"type":"ARRAY","minItems":"2","items":{"type":"STRING","format":"enum","enum":["x"],"example":"x"}},
            "nullable":{"any_of":[{"type":"STRING"}],"nullable":true}}}"#;
        insta::assert_snapshot!(from_openapi(&json(text)).text(), @r#"{"type":["object","null"],"properties":{"a":{"type":"array","minItems":2,"items":{"type":"string","enum":["x"],"examples":["x"]}},"nullable":{"anyOf":[{"type":"string"},{"type":"null"}]}}}"#);
    }

    #[test]
    fn json_schema_becomes_the_subset() {
        let text = r##"{"$schema":"s","type":"object","additionalProperties":false,"required":["a"],"properties":{
            "a":{"$ref":"#/$defs/A"},"b":{"type":["string","null"]},"c":{"anyOf":[{"type":"integer"},{"type":"null"}]},
            "d":{"const":3},"e":{"type":"number","exclusiveMinimum":0,"maximum":9},"f":{"type":["string","integer"]},
            "g":{"oneOf":[{"type":"string"},{"type":"integer"}]}},
            "$defs":{"A":{"type":"object","properties":{"again":{"$ref":"#/$defs/B"}}},"B":{"type":"string"}}}"##;
        let (lowered, lost) = to_openapi(&json(text));
        insta::assert_snapshot!(lowered.text(), @r#"{"type":"OBJECT","required":["a"],"properties":{"a":{"type":"OBJECT","properties":{"again":{"type":"STRING"}}},"b":{"nullable":true,"type":"STRING"},"c":{"nullable":true,"type":"INTEGER"},"d":{"enum":["3"],"type":"STRING"},"e":{"type":"NUMBER","maximum":9},"f":{"anyOf":[{"type":"STRING"},{"type":"INTEGER"}]},"g":{"anyOf":[{"type":"STRING"},{"type":"INTEGER"}]}}}"#);
        assert_eq!(lost.into_iter().collect::<Vec<_>>(), ["exclusiveMinimum"]);
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let text = r##"{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}}"##;
        let (lowered, lost) = to_openapi(&json(text));
        assert!(lowered.text().len() < 2_000_000);
        assert_eq!(lost.into_iter().collect::<Vec<_>>(), ["$ref (too deep)"]);
    }
}
