//! Nothing that a client says vanishes without a word on its way to another protocol.
//!
//! Owns two hunts. One puts a field that nobody knows into every object of every golden request; the other walks the schemas that vendors
//! publish and says everything they know, one thing at a time. Whatever is said must change what goes out, or be told, or be
//! refused. What may be silent is listed with the reason.

use crate::codec::EncodeError;
use crate::dispatch;
use crate::goldens::{self, Golden};
use crate::testing::profile;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::request::Request;
use trunkline_model::warning::{Treatment, Warning};

/// A field that nobody knows.
const UNKNOWN: &str = "zap9317";

/// Names of values that are anybody's own, by protocol: nobody is to look into them.
const FREE: &[(Dialect, &[&str])] = &[
    (Dialect::OpenAi, &["parameters", "schema", "arguments", "metadata", "logit_bias"]),
    (Dialect::Responses, &["parameters", "schema", "metadata"]),
    (Dialect::Anthropic, &["input_schema", "input", "schema"]),
    (
        Dialect::Gemini,
        &[
            "parameters",
            "parametersJsonSchema",
            "responseSchema",
            "responseJsonSchema",
            "args",
            "response",
            "labels",
        ],
    ),
];

fn decoded(dialect: Dialect, operation: Operation, body: &Value) -> Option<Request> {
    goldens::decode(dialect, operation, body.to_string().as_bytes()).ok()
}

fn sent(request: &Request, target: Dialect) -> Result<(String, Vec<Warning>), EncodeError> {
    let encoded = dispatch::encode_request(target, request, &profile(), Delivery::Plain)?;
    Ok((String::from_utf8_lossy(&encoded.whole()).into_owned(), encoded.warnings))
}

/// The objects in a body, by pointer and by path.
fn objects(value: &Value, pointer: &str, path: &str, free: &[&str], found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            found.push((pointer.to_owned(), path.to_owned()));
            for (name, field) in fields.iter().filter(|(name, _)| !free.contains(&name.as_str())) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                objects(field, &format!("{pointer}/{name}"), &path, free, found);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                objects(element, &format!("{pointer}/{index}"), &format!("{path}[{index}]"), free, found);
            }
        }
        _ => {}
    }
}

/// Whether an item of the responses API is of an answer that is over: the gateway itself puts those back.
fn is_answered(body: &Value, pointer: &str) -> bool {
    let Some(index) = pointer.strip_prefix("/input/").and_then(|rest| rest.split('/').next()) else {
        return false;
    };
    let item = &body["input"][index.parse::<usize>().unwrap_or_default()];
    let is_said = |item: &Value| item["role"] == "assistant";
    is_said(item) || matches!(item["type"].as_str(), Some("reasoning" | "function_call" | "custom_tool_call"))
}

#[test]
fn what_nobody_knows_is_told_wherever_it_stands() {
    let mut silent = Vec::new();
    let mut said = 0;
    for Golden { name: case, dialect, operation, body } in goldens::requests() {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let free = FREE.iter().find(|(of, _)| *of == dialect).map_or(&[][..], |(_, names)| names);
        let mut places = Vec::new();
        objects(&body, "", "", free, &mut places);
        for (pointer, path) in places {
            if dialect == Dialect::Responses && is_answered(&body, &pointer) {
                continue;
            }
            let mut body = body.clone();
            let object = body.pointer_mut(&pointer).and_then(Value::as_object_mut).unwrap();
            object.insert(UNKNOWN.to_owned(), json!("zip"));
            let Some(request) = decoded(dialect, operation, &body) else { continue };
            for target in Dialect::ALL {
                let Ok((out, warnings)) = sent(&request, target) else { continue };
                said += 1;
                if !out.contains(UNKNOWN) && !warnings.iter().any(|warning| is_about(warning, &path)) {
                    silent.push(format!("{case} at `{path}` to {target}"));
                }
            }
        }
    }
    assert!(said > 500, "only {said} were said");
    assert!(silent.is_empty(), "{} are silent:\n{}", silent.len(), silent.join("\n"));
}

/// Whether a warning names the field, or tells that something around it was left out.
fn is_about(warning: &Warning, path: &str) -> bool {
    if warning.feature.contains(UNKNOWN) {
        return true;
    }
    if warning.feature == "tool_choice" && warning.reason.starts_with("only the allowed tools") {
        return path.starts_with("tools[");
    }
    let feature = warning.feature.split(' ').next().unwrap_or_default();
    let is_around = |path: &str| {
        path.strip_prefix(feature).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // One name for what protocols call otherwise.
    let is_same = (feature == "tool_choice" && path.starts_with("toolConfig"))
        || (feature.ends_with("cache_control") && path.contains("cache_control"));
    // What was read as a message is told as one.
    let is_message = feature.starts_with("messages[")
        && ["input[", "contents["].iter().any(|items| path.starts_with(items));
    warning.treatment == Treatment::Dropped && (is_message || is_same || is_around(path))
}

/// One thing said: the smallest request without it and with it.
struct Said {
    path: String,
    without: Value,
    with: Value,
}

/// A walk over a published schema.
struct Schema {
    document: Value,
}

/// How deep values go: content inside results inside content is not followed for ever.
const DEEPEST: usize = 9;

impl Schema {
    /// The alternatives of a schema, references resolved; nothing at all is none of them.
    fn alternatives<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            return self.alternatives(&self.document["$defs"][name]);
        }
        for of in ["anyOf", "oneOf", "allOf"] {
            if let Some(list) = schema[of].as_array() {
                return list.iter().flat_map(|one| self.alternatives(one)).collect();
            }
        }
        if schema["type"] == "null" { Vec::new() } else { vec![schema] }
    }

    fn kind(schema: &Value) -> &str {
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.as_slice(),
            one => std::slice::from_ref(one),
        };
        let kind = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null");
        kind.unwrap_or(if schema["properties"].is_object() { "object" } else { "string" })
    }

    /// The smallest values of a schema, one at least of each alternative.
    fn values(&self, name: &str, schema: &Value, depth: usize) -> Vec<Value> {
        let each = self.alternatives(schema).into_iter();
        each.flat_map(|one| self.values_of(name, one, depth)).collect()
    }

    fn values_of(&self, name: &str, schema: &Value, depth: usize) -> Vec<Value> {
        if let Some(constant) = schema.get("const") {
            return vec![constant.clone()];
        }
        if let Some(words) = schema["enum"].as_array() {
            return words.iter().filter(|word| !word.is_null()).cloned().collect();
        }
        match Self::kind(schema) {
            "object" => vec![self.smallest(schema, depth)],
            "array" if depth < DEEPEST => {
                let items = self.values(name, &schema["items"], depth + 1);
                items.into_iter().take(1).map(|item| json!([item])).collect()
            }
            "array" => vec![json!([])],
            "boolean" => vec![json!(true)],
            "integer" => vec![json!(number(name).max(schema["minimum"].as_u64().unwrap_or(0)))],
            "number" => vec![json!(0.5)],
            _ => vec![json!(text(name))],
        }
    }

    /// An object with nothing but what must be there.
    fn smallest(&self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = schema["properties"].as_object() else { return json!({"own": "mark"}) };
        let mut object = Map::new();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let value = properties.get(name).filter(|_| depth < DEEPEST);
            let value = value.and_then(|property| self.values(name, property, depth + 1).into_iter().next());
            object.insert(name.to_owned(), value.unwrap_or_else(|| json!(text(name))));
        }
        Value::Object(object)
    }

    /// Everything a schema knows, said one at a time.
    fn said(&self, path: &str, schema: &Value, depth: usize, found: &mut Vec<Said>) {
        if depth > DEEPEST {
            return;
        }
        for one in self.alternatives(schema) {
            match Self::kind(one) {
                "object" => self.said_of_object(path, one, depth, found),
                "array" => {
                    let first = found.len();
                    self.said(&format!("{path}[]"), &one["items"], depth + 1, found);
                    for said in &mut found[first..] {
                        (said.without, said.with) = (json!([said.without]), json!([said.with]));
                    }
                }
                _ => {}
            }
        }
    }

    fn said_of_object(&self, path: &str, schema: &Value, depth: usize, found: &mut Vec<Said>) {
        let Some(properties) = schema["properties"].as_object() else { return };
        let smallest = self.smallest(schema, depth);
        let kind = smallest["type"].as_str().or(smallest["role"].as_str());
        let path = kind.map_or_else(|| path.to_owned(), |kind| format!("{path}({kind})"));
        let with = |name: &str, value: Value| {
            let mut object = smallest.clone();
            object[name] = value;
            object
        };
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            if smallest.get(name).is_none() {
                for value in self.values(name, property, depth + 1).into_iter().filter(says_something) {
                    let path = match (&value, value["type"].as_str()) {
                        (Value::String(word), _) => format!("{path}={word}"),
                        (_, Some(kind)) => format!("{path}({kind})"),
                        _ => path.clone(),
                    };
                    found.push(Said { path, without: smallest.clone(), with: with(name, value) });
                }
            }
            let first = found.len();
            self.said(&path, property, depth + 1, found);
            for said in &mut found[first..] {
                let (without, more) = (said.without.take(), said.with.take());
                (said.without, said.with) = (with(name, without), with(name, more));
            }
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(elements) => elements.iter().any(says_something),
        _ => true,
    }
}

fn number(name: &str) -> u64 {
    match name {
        "max_tokens" | "max_completion_tokens" | "maxOutputTokens" | "max_output_tokens" => 9_000,
        "budget_tokens" | "thinkingBudget" => 2_000,
        _ => 3,
    }
}

fn text(name: &str) -> &'static str {
    match name {
        "url" | "image_url" | "file_url" | "fileUri" => "https://files.example/a.png",
        "data" | "file_data" => "QUJD",
        "media_type" | "mimeType" => "image/png",
        "arguments" => "{}",
        "role" => "user",
        _ => "mark",
    }
}

/// What may be said in vain, by protocol: the end of its path (after a star: a part of it), and why.
const IN_VAIN: &[(Dialect, &str, &str)] = &[
    (Dialect::OpenAi, ".detail=auto", DEFAULT),
    (Dialect::OpenAi, ".response_format(text)", DEFAULT),
    (Dialect::OpenAi, ".reasoning_effort=none", NOT_ASKED),
    (Dialect::OpenAi, ".stream", SERVED),
    (Dialect::OpenAi, ".include_usage", SERVED),
    (Dialect::Responses, ".format(text)", DEFAULT),
    (Dialect::Responses, "(json_schema).strict", "who has no such word follows schemas exactly"),
    (Dialect::Responses, ".truncation=disabled", DEFAULT),
    (Dialect::Responses, ".effort=none", NOT_ASKED),
    (Dialect::Responses, ".input=mark", "it says what the smallest request says"),
    (Dialect::Responses, ".input", "it says what the smallest request says"),
    (Dialect::Responses, ".type=message", DEFAULT),
    (Dialect::Responses, "*.status=", OVER),
    (Dialect::Responses, "*](message).phase=", OVER),
    (Dialect::Responses, "*](function_call).", OVER),
    (Dialect::Responses, "*](custom_tool_call).", OVER),
    (Dialect::Responses, "*](custom_tool_call_output).id", OVER),
    (Dialect::Responses, "*](reasoning).", OVER),
    (Dialect::Responses, ".metadata", SERVED),
    (Dialect::Responses, ".background", SERVED),
    (Dialect::Responses, ".store", SERVED),
    (Dialect::Responses, ".stream", SERVED),
    (Dialect::Anthropic, ".ttl=5m", DEFAULT),
    (Dialect::Anthropic, "*](tool_use).caller", OVER),
    (Dialect::Anthropic, ".display=summarized", DEFAULT),
    (Dialect::Anthropic, ".display=omitted", DEFAULT),
    (Dialect::Anthropic, ".thinking(disabled)", NOT_ASKED),
    (Dialect::Anthropic, "].type=custom", DEFAULT),
    (Dialect::Anthropic, ".stream", SERVED),
];
const DEFAULT: &str = "it is so if nothing is said";
const NOT_ASKED: &str = "who is not asked to reason need not be told not to";
const SERVED: &str = "the gateway itself does it";
const OVER: &str = "it tells of an answer that is over";

#[test]
fn whatever_is_known_of_a_protocol_arrives_or_is_told() {
    let files = [
        (Dialect::OpenAi, "chat", include_str!("official/openai.json"), json!({"model": "m"})),
        (
            Dialect::Responses,
            "responses",
            include_str!("official/openai.json"),
            json!({"model": "m", "input": "mark"}),
        ),
        (Dialect::Anthropic, "chat", include_str!("official/anthropic.json"), json!({"model": "m"})),
        (
            Dialect::Gemini,
            "chat",
            include_str!("official/gemini.json"),
            json!({"contents": [{"role": "user", "parts": [{"text": "mark"}]}]}),
        ),
    ];
    let mut silent = Vec::new();
    let mut counted = 0;
    let mut excused = BTreeSet::new();
    for (dialect, root, text, base) in files {
        let schema = Schema { document: serde_json::from_str(text).unwrap() };
        let root = json!({"$ref": format!("#/$defs/{}", schema.document["roots"][root].as_str().unwrap())});
        let mut all = Vec::new();
        schema.said("", &root, 0, &mut all);
        for said in all {
            let (without, with) = (based(said.without, &base), based(said.with, &base));
            let (Some(without), Some(with)) =
                (decoded(dialect, Operation::Chat, &without), decoded(dialect, Operation::Chat, &with))
            else {
                continue;
            };
            let mut targets = BTreeSet::new();
            for target in Dialect::ALL.into_iter().filter(|target| *target != dialect) {
                let (Ok(before), Ok(after)) = (sent(&without, target), sent(&with, target)) else { continue };
                counted += 1;
                let place = place(&said.path);
                if before == after && !after.1.iter().any(|warning| is_about(warning, &place)) {
                    targets.insert(target.name());
                }
            }
            if targets.is_empty() || said.path.starts_with(".model=") {
                continue;
            }
            let is_meant = |part: &str| match part.strip_prefix('*') {
                Some(part) => said.path.contains(part),
                None => said.path.ends_with(part),
            };
            let excuse = IN_VAIN.iter().position(|(of, part, _)| *of == dialect && is_meant(part));
            excused.extend(excuse);
            if excuse.is_none() {
                silent.push(format!("{dialect}{} to {targets:?}", said.path));
            }
        }
    }
    assert!(counted > 4_000, "only {counted} were said");
    assert!(silent.is_empty(), "{} are silent:\n{}", silent.len(), silent.join("\n"));
    let stale: Vec<_> =
        (0..IN_VAIN.len()).filter(|entry| !excused.contains(entry)).map(|entry| IN_VAIN[entry]).collect();
    assert!(stale.is_empty(), "excuses that nothing needs: {stale:?}");
}

/// A path of the walk as warnings name it: without the kinds of objects and the value.
fn place(path: &str) -> String {
    let mut place = String::new();
    let mut depth = 0;
    for character in path.trim_start_matches('.').chars().take_while(|character| *character != '=') {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ']' if depth == 0 => place.push_str("0]"),
            _ if depth == 0 => place.push(character),
            _ => {}
        }
    }
    place
}

/// A request with what the schema demands in other places.
fn based(mut said: Value, base: &Value) -> Value {
    for (name, value) in base.as_object().into_iter().flatten() {
        if said.get(name).is_none() || name == "model" {
            said[name] = value.clone();
        }
    }
    said
}
