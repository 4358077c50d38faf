//! Instances of JSON schemas: what a model that obeys a schema would answer.
//!
//! Owns the making of one valid value per schema, for JSON Schema (2020-12 and what providers allow of it) and Gemini's
//! OpenAPI subset (upper-case types, `nullable`). Recursive schemas end at a fixed depth, where optional members are
//! left out.

mod pattern;

use serde_json::{Map, Number, Value, json};

/// Depth from which only what is required is made.
const SHALLOW: usize = 5;
/// Depth at which a schema is taken to be endless.
const DEEPEST: usize = 24;

/// A value that satisfies `schema`, as far as it can be satisfied. `hint` is the text it should be about.
pub(crate) fn instance(schema: &Value, hint: &str) -> Value {
    Maker { root: schema, hint }.make(schema, Place { name: "", depth: 0, variation: 0 })
}

struct Maker<'a> {
    root: &'a Value,
    hint: &'a str,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    /// Name of the member that is made.
    name: &'a str,
    depth: usize,
    /// Tells the items of an array apart.
    variation: u64,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, place: Place<'_>) -> Value {
        if place.depth > DEEPEST {
            return Value::Null;
        }
        let Some(members) = schema.as_object() else {
            return json!("anything");
        };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let target = self.resolve(reference);
            return self.make(target, Place { depth: place.depth + 1, ..place });
        }
        if let Some(constant) = members.get("const") {
            return constant.clone();
        }
        if let Some(values) =
            members.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty())
        {
            return values[(place.variation % values.len() as u64) as usize].clone();
        }
        if let Some(parts) = members.get("allOf").and_then(Value::as_array) {
            let merged = self.merge(members, parts);
            return self.make(&merged, Place { depth: place.depth + 1, ..place });
        }
        if let Some(branch) = self.branch(members) {
            let mut base = members.clone();
            base.remove("anyOf");
            base.remove("oneOf");
            let merged = self.merge(&base, std::slice::from_ref(branch));
            return self.make(&merged, Place { depth: place.depth + 1, ..place });
        }
        match kind(members).as_str() {
            "object" => self.object(members, place),
            "array" => self.array(members, place),
            "integer" => number(members, place.variation, true),
            "number" => number(members, place.variation, false),
            "boolean" => json!(place.variation.is_multiple_of(2)),
            "null" => Value::Null,
            "string" => Value::String(self.string(members, place)),
            _ => json!("anything"),
        }
    }

    fn resolve(&self, reference: &str) -> &Value {
        let pointer = reference.strip_prefix('#').unwrap_or(reference);
        self.root.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The first alternative that is not `null`.
    fn branch<'a>(&self, members: &'a Map<String, Value>) -> Option<&'a Value> {
        let alternatives = members.get("anyOf").or_else(|| members.get("oneOf"))?.as_array()?;
        let null = |schema: &&Value| schema.get("type").and_then(Value::as_str) != Some("null");
        alternatives.iter().find(null).or(alternatives.first())
    }

    /// `base` with everything `parts` ask for; members and requirements add up.
    fn merge(&self, base: &Map<String, Value>, parts: &[Value]) -> Value {
        let mut merged = base.clone();
        merged.remove("allOf");
        for part in parts {
            let part = match part.get("$ref").and_then(Value::as_str) {
                Some(reference) => self.resolve(reference),
                None => part,
            };
            for (key, value) in part.as_object().into_iter().flatten() {
                match (merged.get_mut(key), value) {
                    (Some(Value::Object(existing)), Value::Object(added)) => {
                        existing.extend(added.iter().map(|(key, value)| (key.clone(), value.clone())));
                    }
                    (Some(Value::Array(existing)), Value::Array(added)) if key == "required" => {
                        existing.extend(added.iter().cloned());
                    }
                    _ => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Value::Object(merged)
    }

    fn object(&self, members: &Map<String, Value>, place: Place<'_>) -> Value {
        let required: Vec<&str> = strings(members.get("required"));
        let mut object = Map::new();
        for (name, schema) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let wanted = place.depth < SHALLOW && *schema != Value::Bool(false) && !self.recursive(schema);
            if wanted || required.contains(&name.as_str()) {
                object.insert(
                    name.clone(),
                    self.make(schema, Place { name, depth: place.depth + 1, variation: 0 }),
                );
            }
        }
        let extra = members.get("additionalProperties").cloned().unwrap_or_else(|| json!({"type": "string"}));
        for name in required {
            if !object.contains_key(name) {
                object.insert(
                    name.to_owned(),
                    self.make(&extra, Place { name, depth: place.depth + 1, variation: 0 }),
                );
            }
        }
        let least = members.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
        for index in 0..least.saturating_sub(object.len() as u64).min(64) {
            let name = format!("key_{}", index + 1);
            let value = self.make(&extra, Place { name: &name, depth: place.depth + 1, variation: index });
            object.insert(name, value);
        }
        Value::Object(object)
    }

    /// Whether an optional member refers back to the root, so that making it would go on for ever.
    fn recursive(&self, schema: &Value) -> bool {
        schema.get("$ref").and_then(Value::as_str) == Some("#")
    }

    fn array(&self, members: &Map<String, Value>, place: Place<'_>) -> Value {
        let least = members.get("minItems").and_then(Value::as_u64).unwrap_or(1).max(1);
        let most = members.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let fixed = members.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let length = least.max(fixed.len() as u64).min(most).min(256);
        let length = if place.depth > SHALLOW && members.get("minItems").is_none() { 0 } else { length };
        let any = json!({"type": "string"});
        let items = members.get("items").filter(|items| items.is_object()).unwrap_or(&any);
        let item = |index: u64| {
            let schema = fixed.get(index as usize).unwrap_or(items);
            self.make(schema, Place { name: place.name, depth: place.depth + 1, variation: index })
        };
        Value::Array((0..length).map(item).collect())
    }

    fn string(&self, members: &Map<String, Value>, place: Place<'_>) -> String {
        if let Some(pattern) = members.get("pattern").and_then(Value::as_str) {
            return pattern::matching(pattern).unwrap_or_default();
        }
        let formatted = members
            .get("format")
            .and_then(Value::as_str)
            .and_then(|format| by_format(format, place.variation));
        let mut text = formatted.unwrap_or_else(|| self.by_name(place));
        let least = members.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(65_536) as usize;
        let most = members.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
        while text.chars().count() < least {
            text.push('x');
        }
        text.chars().take(usize::try_from(most).unwrap_or(usize::MAX)).collect()
    }

    fn by_name(&self, place: Place<'_>) -> String {
        let name = place.name.to_lowercase();
        let text = if ["city", "location", "place", "town"].iter().any(|word| name.contains(word)) {
            self.place_name().unwrap_or_else(|| "Paris".to_owned())
        } else if name.contains("query") || name.contains("text") || name.contains("prompt") {
            self.hint.chars().take(80).collect()
        } else if name.is_empty() {
            "sample".to_owned()
        } else {
            format!("sample {name}")
        };
        if place.variation == 0 { text } else { format!("{text} {}", place.variation + 1) }
    }

    /// The first capitalised word behind "in" or "for".
    fn place_name(&self) -> Option<String> {
        let words: Vec<&str> = self.hint.split_whitespace().collect();
        let named = words.windows(2).filter(|pair| ["in", "for", "of", "at"].contains(&pair[0]));
        let clean =
            |pair: &[&str]| pair[1].trim_matches(|character: char| !character.is_alphanumeric()).to_owned();
        named.map(clean).find(|word| word.chars().next().is_some_and(char::is_uppercase))
    }
}

/// The type in lower case; of several the first that is not `null`; guessed where there is none.
fn kind(members: &Map<String, Value>) -> String {
    let named = match members.get("type") {
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.iter().copied().find(|kind| *kind != "null").or(kinds.first().copied())
        }
        _ => None,
    };
    let has = |key: &str| members.contains_key(key);
    match named {
        Some(kind) => kind.to_lowercase(),
        None if has("properties") || has("required") => "object".to_owned(),
        None if has("items") || has("prefixItems") => "array".to_owned(),
        None if has("minimum") || has("maximum") || has("multipleOf") => "number".to_owned(),
        None => "string".to_owned(),
    }
}

fn number(members: &Map<String, Value>, variation: u64, whole: bool) -> Value {
    let bound = |key: &str| members.get(key).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(if whole { 1.0 } else { 0.5 });
    let low = bound("exclusiveMinimum").map(|low| low + step / 2.0).or(bound("minimum"));
    let high = bound("exclusiveMaximum").map(|high| high - step / 2.0).or(bound("maximum"));
    let wish = match (low, high) {
        (Some(low), _) => low,
        (None, Some(high)) => (high - step).min(7.0),
        (None, None) => 7.0,
    };
    let mut value = (wish / step).ceil() * step + variation as f64 * step;
    if let Some(high) = high.filter(|high| value > *high) {
        value = if low.is_some_and(|low| low > high) { high } else { (high / step).floor() * step };
    }
    if let Some(low) = low.filter(|low| value < *low) {
        value = low;
    }
    let integral = value.fract() == 0.0 && value.abs() < 9e15;
    if integral { json!(value as i64) } else { Number::from_f64(value).map_or(Value::Null, Value::Number) }
}

fn by_format(format: &str, variation: u64) -> Option<String> {
    Some(match format {
        "date-time" => format!("2026-01-{:02}T12:00:00Z", variation % 28 + 1),
        "date" => format!("2026-01-{:02}", variation % 28 + 1),
        "time" => "12:00:00Z".to_owned(),
        "duration" => "PT1H".to_owned(),
        "email" => format!("user{variation}@example.com"),
        "hostname" => "example.com".to_owned(),
        "uri" | "url" => "https://example.com/".to_owned(),
        "ipv4" => "192.0.2.1".to_owned(),
        "ipv6" => "2001:db8::1".to_owned(),
        "uuid" => format!("00000000-0000-4000-8000-{variation:012x}"),
        _ => return None,
    })
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_take_the_form_the_schema_asks_for() {
        let schema = json!({
            "type": "object",
            "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
            "properties": {
                "city": {"type": "string"},
                "count": {"type": "integer", "minimum": 3, "maximum": 5},
                "below": {"type": "integer", "maximum": 2},
                "open": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "unit": {"enum": ["C", "F"]},
                "fixed": {"const": 42},
                "when": {"type": "string", "format": "date"},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true},
                "pair": {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}], "items": false},
                "maybe": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/point"}]},
                "both": {"type": ["null", "string"], "maxLength": 3},
                "code": {"type": "string", "pattern": "^[A-Z]{2}-\\d+$"},
                "all": {"allOf": [{"$ref": "#/$defs/point"}, {"properties": {"y": {"type": "boolean"}}}]}
            },
            "required": ["city"],
            "additionalProperties": false
        });
        insta::assert_snapshot!(
            instance(&schema, "What is the weather in Oslo?"),
            @r#"{"city":"Oslo","count":3,"below":1,"open":0.5,"unit":"C","fixed":42,"when":"2026-01-01","tags":["sample tags","sample tags 2"],"pair":[true,null],"maybe":{"x":7},"both":"sam","code":"AA-0","all":{"x":7,"y":true}}"#
        );
    }

    #[test]
    fn the_openapi_subset_is_understood() {
        let schema = json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}}});
        assert_eq!(instance(&schema, ""), json!({"n": 7}));
    }

    #[test]
    fn a_recursive_schema_ends() {
        let node = json!({"type": "object", "required": ["children", "name"], "properties": {
            "name": {"type": "string"}, "next": {"$ref": "#"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}});
        let schema = json!({"$defs": {"node": node}, "$ref": "#/$defs/node"});
        let made = instance(&schema, "");
        assert_eq!(made["name"], "sample name");
        assert!(made.to_string().len() < 1000, "{made}");
        assert_eq!(instance(&json!({"$ref": "#"}), ""), Value::Null);
    }
}
