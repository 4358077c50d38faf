//! Response objects as things that are kept: looked at, corrected, told again.
//!
//! Owns what a store of responses needs to know of their form: id and status, the few fields in which an object from a provider
//! differs from what its client asked us for, the items of an input with ids, and the events of a finished response. Must not know
//! where they are kept. Corrections are laid over the text; nothing else of it changes.

use super::item_encode::fingerprint;
use crate::scan::reader::{Fault, Kind, Reader};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// What is corrected in a response object: top-level fields and their new values, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Names and values.
    pub fields: Vec<(&'static str, String)>,
}

impl Patch {
    /// Sets a field to a string.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, Value::from(value).to_string()));
        self
    }

    /// Sets a field to JSON.
    #[must_use]
    pub fn raw(mut self, name: &'static str, json: impl Into<String>) -> Self {
        self.fields.push((name, json.into()));
        self
    }

    /// Whether nothing is corrected.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Names and places of fields, and the place of the brace that ends them.
type Places = (Vec<(String, Range<usize>)>, usize);

/// The places of an object's fields, and of its closing brace.
fn places(text: &str, start: usize) -> Result<Places, Fault> {
    let mut reader = Reader::new(&text[start..]);
    reader.blanks();
    if reader.kind() != Kind::Object {
        return Err(reader.unexpected("`{`"));
    }
    let mut fields = Vec::new();
    reader.object(|reader, key| {
        let at = reader.position();
        reader.skip()?;
        fields.push((key.resolve().into_owned(), start + at..start + reader.position()));
        Ok(())
    })?;
    Ok((fields, start + reader.position() - 1))
}

/// Lays a patch over the object that begins at a place.
fn patched(text: &str, start: usize, patch: &Patch) -> Option<String> {
    let (fields, brace) = places(text, start).ok()?;
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (name, value) in &patch.fields {
        let mut found = false;
        for (_, range) in fields.iter().filter(|(known, _)| known == name) {
            found = true;
            changes.push((range.clone(), value.clone()));
        }
        if !found {
            let comma = if fields.is_empty() { "" } else { "," };
            changes.push((brace..brace, format!("{comma}\"{name}\":{value}")));
        }
    }
    changes.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (range, value) in changes {
        out.push_str(&text[at..range.start]);
        out.push_str(&value);
        at = range.end;
    }
    out.push_str(&text[at..]);
    Some(out)
}

/// A response object with a patch laid over it; `None` when it is no object.
#[must_use]
pub fn patch_response(json: &[u8], patch: &Patch) -> Option<Bytes> {
    let text = std::str::from_utf8(json).ok()?;
    patched(text, text.len() - text.trim_start().len(), patch).map(Bytes::from)
}

/// The data of a stream event with a patch laid over the response in it, and that response; `None` when it holds none.
#[must_use]
pub fn patch_event(data: &[u8], patch: &Patch) -> Option<(Bytes, Bytes)> {
    let text = std::str::from_utf8(data).ok()?;
    let (fields, _) = places(text, text.len() - text.trim_start().len()).ok()?;
    let (_, range) = fields.into_iter().find(|(name, _)| name == "response")?;
    let response = patched(&text[range.clone()], 0, patch)?;
    let event = format!("{}{response}{}", &text[..range.start], &text[range.end..]);
    Some((Bytes::from(event), Bytes::from(response)))
}

/// A text field at the top of a response object.
fn field(json: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(json).ok()?;
    let (fields, _) = places(text, text.len() - text.trim_start().len()).ok()?;
    let (_, range) = fields.into_iter().find(|(known, _)| known == name)?;
    serde_json::from_str(&text[range]).ok()
}

/// The id of a response object.
#[must_use]
pub fn response_id(json: &[u8]) -> Option<String> {
    field(json, "id").filter(|id| !id.is_empty())
}

/// A response object that ended otherwise than its provider would have said.
#[must_use]
pub fn failed(json: &[u8], status: &str, error: Option<(&str, &str)>) -> Option<Bytes> {
    let error = match error {
        Some((code, message)) => json!({"code": code, "message": message}).to_string(),
        None => "null".to_owned(),
    };
    patch_response(json, &Patch::default().text("status", status).raw("error", error))
}

/// The items of an input, each with an id: those of the client, else one made of `tail` and its place.
#[must_use]
pub fn input_items(input: &[u8], tail: &str) -> Vec<Value> {
    let items = match serde_json::from_slice::<Value>(input) {
        Ok(Value::String(text)) => {
            vec![
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
            ]
        }
        Ok(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let mut listed = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let Value::Object(mut item) = item else { continue };
        complete(&mut item, index, tail);
        listed.push(Value::Object(item));
    }
    listed
}

fn complete(item: &mut Map<String, Value>, index: usize, tail: &str) {
    let has = |item: &Map<String, Value>, name: &str| item.get(name).is_some_and(|value| !value.is_null());
    if !has(item, "type") {
        let kind = if item.contains_key("role") { "message" } else { "item_reference" };
        item.insert("type".to_owned(), kind.into());
    }
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !has(item, "id") {
        let prefix = match kind.as_str() {
            "message" => "msg",
            "reasoning" => "rs",
            "function_call" => "fc",
            "function_call_output" => "fco",
            _ => "item",
        };
        item.insert("id".to_owned(), format!("{prefix}_in_{tail}{index:02}").into());
    }
    if kind == "message" {
        if let Some(Value::String(text)) = item.get("content") {
            let is_answer = item.get("role").and_then(Value::as_str) == Some("assistant");
            let part = if is_answer {
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
            } else {
                json!({"type": "input_text", "text": text})
            };
            item.insert("content".to_owned(), json!([part]));
        }
        if !has(item, "status") {
            item.insert("status".to_owned(), "completed".into());
        }
    }
}

/// The events of a finished response, as a stream of it would have had them, each text in one piece. Events up to the sequence
/// number `after` are left out.
#[must_use]
pub fn replay(response: &[u8], after: Option<u64>) -> Bytes {
    let Ok(Value::Object(whole)) = serde_json::from_slice::<Value>(response) else { return Bytes::new() };
    let mut story = Story { out: BytesMut::new(), sequence: 0, after };
    let mut begun = whole.clone();
    begun.insert("status".to_owned(), "in_progress".into());
    begun.insert("output".to_owned(), json!([]));
    for name in ["usage", "error", "incomplete_details"] {
        begun.insert(name.to_owned(), Value::Null);
    }
    story.tell("response.created", json!({"response": begun}));
    story.tell("response.in_progress", json!({"response": begun}));
    let output = whole.get("output").and_then(Value::as_array);
    for (index, item) in output.into_iter().flatten().enumerate() {
        story.item(index, item);
    }
    let name = match whole.get("status").and_then(Value::as_str) {
        Some("incomplete") => "response.incomplete",
        Some("failed" | "cancelled") => "response.failed",
        _ => "response.completed",
    };
    // Who resumes after everything else still gets the end.
    story.after = None;
    story.tell(name, json!({"response": whole}));
    story.out.freeze()
}

struct Story {
    out: BytesMut,
    sequence: u64,
    after: Option<u64>,
}

impl Story {
    fn tell(&mut self, name: &str, mut fields: Value) {
        let sequence = self.sequence;
        self.sequence += 1;
        if self.after.is_some_and(|after| sequence <= after) {
            return;
        }
        let mut event = Map::new();
        event.insert("type".to_owned(), name.into());
        event.insert("sequence_number".to_owned(), sequence.into());
        if let Some(fields) = fields.as_object_mut() {
            event.append(fields);
        }
        let event = Value::Object(event);
        self.out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }

    fn item(&mut self, index: usize, item: &Value) {
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let id = text(item, "id");
        let mut empty = item.clone();
        if let Some(fields) = empty.as_object_mut() {
            for (name, nothing) in [
                ("content", json!([])),
                ("summary", json!([])),
                ("arguments", json!("")),
                ("input", json!("")),
                ("result", Value::Null),
            ] {
                if fields.contains_key(name) {
                    fields.insert(name.to_owned(), nothing);
                }
            }
            if fields.contains_key("status") {
                fields.insert("status".to_owned(), "in_progress".into());
            }
        }
        self.tell("response.output_item.added", json!({"output_index": index, "item": empty}));
        match text(item, "type").as_str() {
            "message" => {
                for (part_index, part) in list(item, "content").enumerate() {
                    let at = json!({"item_id": id, "output_index": index, "content_index": part_index});
                    self.part(&at, part);
                }
            }
            "reasoning" => {
                for (part_index, part) in list(item, "summary").enumerate() {
                    let at = json!({"item_id": id, "output_index": index, "summary_index": part_index});
                    let said = text(part, "text");
                    let none = json!({"type": "summary_text", "text": ""});
                    self.tell("response.reasoning_summary_part.added", with(&at, [("part", none)]));
                    let delta = [("delta", said.clone().into())];
                    self.tell("response.reasoning_summary_text.delta", with(&at, delta));
                    self.tell("response.reasoning_summary_text.done", with(&at, [("text", said.into())]));
                    self.tell("response.reasoning_summary_part.done", with(&at, [("part", part.clone())]));
                }
            }
            "function_call" => {
                let at = json!({"item_id": id, "output_index": index});
                let arguments = text(item, "arguments");
                let delta = [("delta", arguments.clone().into())];
                self.tell("response.function_call_arguments.delta", with(&at, delta));
                let done = [("name", text(item, "name").into()), ("arguments", arguments.into())];
                self.tell("response.function_call_arguments.done", with(&at, done));
            }
            super::GENERATED => {
                for step in super::GENERATED_STEPS {
                    self.tell(step, json!({"item_id": id, "output_index": index}));
                }
            }
            "custom_tool_call" => {
                let at = json!({"item_id": id, "output_index": index});
                let input = text(item, "input");
                self.tell(
                    "response.custom_tool_call_input.delta",
                    with(&at, [("delta", input.clone().into())]),
                );
                self.tell("response.custom_tool_call_input.done", with(&at, [("input", input.into())]));
            }
            _ => {}
        }
        self.tell("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn part(&mut self, at: &Value, part: &Value) {
        let is_refusal = part.get("type").and_then(Value::as_str) == Some("refusal");
        let key = if is_refusal { "refusal" } else { "text" };
        let said = part.get(key).cloned().unwrap_or_else(|| "".into());
        let mut empty = part.clone();
        if let Some(fields) = empty.as_object_mut() {
            fields.insert(key.to_owned(), "".into());
            for name in ["annotations", "logprobs"] {
                if fields.contains_key(name) {
                    fields.insert(name.to_owned(), json!([]));
                }
            }
        }
        self.tell("response.content_part.added", with(at, [("part", empty)]));
        if is_refusal {
            self.tell("response.refusal.delta", with(at, [("delta", said.clone())]));
            self.tell("response.refusal.done", with(at, [("refusal", said)]));
        } else {
            let logprobs = part.get("logprobs").cloned().unwrap_or_else(|| json!([]));
            let delta = [("delta", said.clone()), ("logprobs", logprobs.clone())];
            self.tell("response.output_text.delta", with(at, delta));
            for (index, annotation) in list(part, "annotations").enumerate() {
                let fields = [("annotation_index", index.into()), ("annotation", annotation.clone())];
                self.tell("response.output_text.annotation.added", with(at, fields));
            }
            self.tell("response.output_text.done", with(at, [("text", said), ("logprobs", logprobs)]));
        }
        self.tell("response.content_part.done", with(at, [("part", part.clone())]));
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn with<const N: usize>(at: &Value, fields: [(&str, Value); N]) -> Value {
    let mut event = at.clone();
    if let Some(event) = event.as_object_mut() {
        event.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    event
}

/// An id for something of a response, the same whenever it is made.
#[must_use]
pub fn stable_tail(text: &str) -> String {
    format!("{:016x}", fingerprint(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_nothing_else() {
        let patch = Patch::default().text("id", "resp_\"1").raw("store", "true").raw("new", "[1]");
        let body = br#"{ "id" : "x", "store":false ,"output":[ 1.0e0 ] }"#;
        let patched = patch_response(body, &patch).unwrap();
        assert_eq!(&patched[..], br#"{ "id" : "resp_\"1", "store":true ,"output":[ 1.0e0 ] ,"new":[1]}"#);
        let event = br#"{"type":"response.created","response":{"id":"x"},"sequence_number":0}"#;
        let (event, response) = patch_event(event, &Patch::default().text("id", "y")).unwrap();
        assert_eq!(&event[..], br#"{"type":"response.created","response":{"id":"y"},"sequence_number":0}"#);
        assert_eq!(&response[..], br#"{"id":"y"}"#);
        assert_eq!(response_id(&response).as_deref(), Some("y"));
        assert!(patch_event(br#"{"type":"x"}"#, &patch).is_none());
        assert!(patch_response(b"[]", &patch).is_none());
    }

    #[test]
    fn inputs_become_items_with_ids() {
        let items = input_items(br#""hi""#, "t");
        insta::assert_snapshot!(items[0], @r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}],"id":"msg_in_t00","status":"completed"}"#);
        let items = input_items(br#"[{"role":"assistant","content":"a"},{"type":"function_call_output","call_id":"c","output":"x","id":"own"}]"#, "t");
        insta::assert_snapshot!(items[0], @r#"{"role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}],"type":"message","id":"msg_in_t00","status":"completed"}"#);
        assert_eq!(items[1]["id"], "own");
    }
}
