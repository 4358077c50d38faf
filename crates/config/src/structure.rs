//! Structural checks: every unknown key, wrong type and unknown word of a file, at once.
//!
//! Owns the walk of the node tree along the JSON Schema made from the setting types. Must not know any one setting: what it
//! checks is what the schema says, so that the published schema, the structs and the messages cannot drift apart.

use crate::problem::{Problem, Problems, did_you_mean};
use crate::source::{Node, Value};
use serde_json::Value as Json;

/// Checks the tree against a schema, reports all that does not fit, and gives the rest for serde: what fits is still worth
/// checking for its meaning.
pub(crate) fn check(node: &Node, schema: &Json, problems: &mut Problems) -> Json {
    let value = Walk { definitions: schema.get("$defs"), problems }.node(node, schema, "the configuration");
    value.unwrap_or_else(|| Json::Object(serde_json::Map::new()))
}

struct Walk<'a> {
    definitions: Option<&'a Json>,
    problems: &'a mut Problems,
}

impl<'a> Walk<'a> {
    fn node(&mut self, node: &Node, schema: &'a Json, name: &str) -> Option<Json> {
        let schema = self.resolve(schema);
        if let Some(words) = words(schema) {
            return self.word(node, &words, name);
        }
        match (expected(schema), &node.value) {
            (Some("object"), Value::Map(entries)) => {
                let entries = entries.iter().filter_map(|(key, child)| self.entry(key, child, schema));
                Some(Json::Object(entries.collect()))
            }
            (Some("array"), Value::List(items)) => {
                let item_schema = schema.get("items")?;
                Some(Json::Array(
                    items.iter().filter_map(|item| self.node(item, item_schema, name)).collect(),
                ))
            }
            (Some("integer"), Value::Integer(value)) => self.integer(node, *value, schema, name),
            (Some("number"), Value::Integer(value)) => Some(Json::from(*value)),
            (Some("number"), Value::Float(value)) => Some(Json::from(*value)),
            (Some("boolean"), Value::Bool(value)) => Some(Json::Bool(*value)),
            (Some("string"), Value::Text(text)) => Some(Json::String(text.clone())),
            // Prices are texts for exactness, but nobody should have to quote a number. It keeps the digits it was written
            // with, as far as a float holds them (all prices there are).
            (Some("string"), Value::Integer(value)) if is_price(name) => {
                Some(Json::String(value.to_string()))
            }
            (Some("string"), Value::Float(value)) if is_price(name) => Some(Json::String(value.to_string())),
            (Some(wanted), _) => {
                let wanted = in_words(wanted);
                let number = matches!(node.value, Value::Integer(_) | Value::Float(_));
                let hint = match (wanted, number) {
                    ("text", true) => Some(
                        "put it in quotes, with its unit where it has one, for example `\"10s\"`".to_owned(),
                    ),
                    ("text", false) if matches!(node.value, Value::Bool(_)) => {
                        Some("put it in quotes".to_owned())
                    }
                    _ => None,
                };
                self.report(node, format!("`{name}` must be {wanted}, found {}", node.kind()), hint);
                None
            }
            (None, _) => None,
        }
    }

    fn integer(&mut self, node: &Node, value: i64, schema: &Json, name: &str) -> Option<Json> {
        let least = schema.get("minimum").and_then(Json::as_i64).unwrap_or(i64::MIN);
        let most = match schema.get("format").and_then(Json::as_str) {
            Some("uint32") => i64::from(u32::MAX),
            _ => i64::MAX,
        };
        if value < least {
            self.report(node, format!("`{name}` must not be below {least}"), None);
        } else if value > most {
            self.report(node, format!("`{name}` must not be above {most}"), None);
        } else {
            return Some(Json::from(value));
        }
        None
    }

    fn entry(&mut self, key: &crate::source::Key, child: &Node, schema: &'a Json) -> Option<(String, Json)> {
        let properties = schema.get("properties").and_then(Json::as_object);
        let empty = matches!(child.value, Value::Null);
        if let Some(property) = properties.and_then(|properties| properties.get(&key.name)) {
            // A setting without a value keeps its default, as if its key were not there.
            let value = if empty { None } else { self.node(child, property, &key.name) };
            return value.map(|value| (key.name.clone(), value));
        }
        if let Some(inner @ Json::Object(_)) = schema.get("additionalProperties") {
            // A name without a value is still named: `openai:` alone is a provider with its defaults.
            if empty && expected(self.resolve(inner)) == Some("object") {
                return Some((key.name.clone(), Json::Object(serde_json::Map::new())));
            }
            return self.node(child, inner, &key.name).map(|value| (key.name.clone(), value));
        }
        let properties = properties?;
        let mut problem = Problem::new(key.place.clone(), format!("`{}` is not a setting here", key.name));
        problem.hint = did_you_mean(&key.name, properties.keys().map(String::as_str));
        self.problems.push(problem);
        None
    }

    fn word(&mut self, node: &Node, words: &[&str], name: &str) -> Option<Json> {
        let Value::Text(text) = &node.value else {
            self.report(node, format!("`{name}` must be text, found {}", node.kind()), None);
            return None;
        };
        if words.contains(&text.as_str()) {
            return Some(Json::String(text.clone()));
        }
        let hint = did_you_mean(text, words.iter().copied());
        self.report(node, format!("`{text}` is not a value of `{name}`"), hint);
        None
    }

    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        // Optional settings come as `anyOf: [{$ref}, {type: null}]`.
        if let Some(first) = schema.get("anyOf").and_then(Json::as_array).and_then(|any| any.first()) {
            schema = first;
        }
        let Some(name) =
            schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix("#/$defs/"))
        else {
            return schema;
        };
        self.definitions.and_then(|definitions| definitions.get(name)).unwrap_or(schema)
    }

    fn report(&mut self, node: &Node, message: String, hint: Option<String>) {
        let mut problem = Problem::new(node.place.clone(), message);
        problem.hint = hint;
        self.problems.push(problem);
    }
}

/// The words of an enumeration: schemars writes one `const` per documented variant.
fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(variants) = schema.get("enum").and_then(Json::as_array) {
        return Some(variants.iter().filter_map(Json::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Json::as_array)?;
    variants.iter().map(|variant| variant.get("const").and_then(Json::as_str)).collect()
}

fn expected(schema: &Json) -> Option<&str> {
    match schema.get("type")? {
        Json::String(one) => Some(one),
        Json::Array(several) => several.iter().filter_map(Json::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

/// Whether a setting is a price, for which numbers and texts are both fine.
fn is_price(name: &str) -> bool {
    matches!(
        name,
        "input"
            | "daily_spend"
            | "output"
            | "cache_read"
            | "cache_write"
            | "reasoning"
            | "cache_write_1h"
            | "audio_input"
            | "audio_output"
            | "image_input"
            | "image_output"
            | "image_in"
            | "image_out"
            | "second_in"
            | "second_out"
            | "character_in"
            | "page"
            | "query"
            | "searched_request"
            | "request"
            | "max_input_price"
            | "max_output_price"
    )
}

fn in_words(kind: &str) -> &'static str {
    match kind {
        "object" => "a map",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "text",
    }
}
