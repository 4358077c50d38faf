//! Writes responses, whole or as a stream of events.
//!
//! Owns the form; what is said was planned before. Every event of the specification that a turn of the planner can have is there,
//! in the order of the vendor's guide on streaming, numbered.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::super::{Context, Output, Piece, PieceKind};
use super::super::identifier;
use super::event;
use super::items::REASONING;
use super::request::Request;
use crate::chance::{Chance, fingerprint};
use crate::opaque::seal;
use crate::response_book::Stored;
use crate::tokens;
use crate::turn::{Call, Finish, Turn, plan};

/// The fields of a response that repeat the request, with their defaults.
const REPEATED: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "\"default\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

pub(super) fn write(request: &Request, body: &Map<String, Value>, context: &Context<'_>) -> Output {
    let mut chance = context.chance();
    let turn = plan(&request.prompt, 0);
    let id = identifier(&mut chance, "resp_", 48);
    let items = items(request, &turn, context, &mut chance);
    let mut whole = object(&id, request, body, context);
    whole["output"] = items.iter().map(|item| item.whole.clone()).collect();
    whole["usage"] = usage(request, context, &turn);
    let (status, reason) = match turn.finish {
        Finish::Length => ("incomplete", Some("max_output_tokens")),
        Finish::Filtered => ("incomplete", Some("content_filter")),
        _ => ("completed", None),
    };
    whole["status"] = json!(status);
    whole["incomplete_details"] = reason.map_or(Value::Null, |reason| json!({"reason": reason}));
    whole["completed_at"] = if reason.is_none() { json!(context.config.created + 1) } else { Value::Null };
    if request.store {
        context.book.keep(Stored { id: id.clone(), object: whole.clone(), input: request.input.clone() });
    }
    let mut begun = object(&id, request, body, context);
    if request.background && !request.stream {
        begun["status"] = json!("queued");
        return Output::json(StatusCode::OK, &begun, 0);
    }
    if !request.stream {
        return Output::json(StatusCode::OK, &whole, turn.tokens());
    }
    begun["status"] = json!("in_progress");
    let mut story = Story { pieces: Vec::new(), sequence: 0, chance, obfuscate: request.obfuscate };
    story.tell(PieceKind::Frame, 0, "response.created", json!({"response": begun}));
    story.tell(PieceKind::Frame, 0, "response.in_progress", json!({"response": begun}));
    for (index, item) in items.iter().enumerate() {
        story.item(index, item, context.script.piece_tokens);
    }
    let name = format!("response.{status}");
    story.tell(PieceKind::Ending, 0, &name, json!({"response": whole}));
    Output::stream("text/event-stream; charset=utf-8", story.pieces)
}

/// The response as it begins.
fn object(id: &str, request: &Request, body: &Map<String, Value>, context: &Context<'_>) -> Value {
    let mut object = json!({
        "id": id,
        "object": "response",
        "created_at": context.config.created,
        "status": "in_progress",
        "completed_at": null,
        "error": null,
        "incomplete_details": null,
        "model": request.prompt.model,
        "output": [],
        "usage": null,
    });
    for (name, default) in REPEATED {
        let given = body.get(*name).filter(|value| !value.is_null()).cloned();
        object[*name] = given.unwrap_or_else(|| serde_json::from_str(default).unwrap_or_default());
    }
    if let Some(user) = body.get("user").filter(|value| value.is_string()) {
        object["user"] = user.clone();
    }
    object
}

fn usage(request: &Request, context: &Context<'_>, turn: &Turn) -> Value {
    let prompt = request.prompt.tokens();
    let seen = context.cache.consult(&request.prompt.prefixes, context.script.cache_minimum_tokens);
    let cached = if context.script.cache_minimum_tokens >= 128 { seen / 128 * 128 } else { seen };
    json!({
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": turn.tokens(),
        "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens()},
        "total_tokens": prompt + turn.tokens(),
    })
}

/// An output item, and what a stream tells of it piece by piece.
struct Item {
    whole: Value,
    empty: Value,
    said: Said,
}

enum Said {
    Reasoning(String),
    Text { text: String, logprobs: Option<usize> },
    Refusal(String),
    Arguments { name: String, text: String },
    Input(String),
}

fn items(request: &Request, turn: &Turn, context: &Context<'_>, chance: &mut Chance) -> Vec<Item> {
    let mut items = Vec::new();
    if !turn.reasoning.is_empty() {
        let shown = request.summary && !turn.redacted;
        let summary = if shown { turn.reasoning.clone() } else { String::new() };
        let sealed = seal(context.config.secret, REASONING, &summary, chance);
        let parts = if shown { json!([{"type": "summary_text", "text": summary}]) } else { json!([]) };
        let id = identifier(chance, "rs_", 48);
        items.push(Item {
            whole: json!({"id": id, "type": "reasoning", "encrypted_content": sealed, "summary": parts}),
            empty: json!({"id": id, "type": "reasoning", "encrypted_content": "", "summary": []}),
            said: Said::Reasoning(summary),
        });
    }
    let id = identifier(chance, "msg_", 48);
    let message = |content: Value, status: &str| json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content});
    let status = if turn.finish == Finish::Length { "incomplete" } else { "completed" };
    if let Some(refusal) = &turn.refusal {
        items.push(Item {
            whole: message(json!([{"type": "refusal", "refusal": refusal}]), status),
            empty: message(json!([]), "in_progress"),
            said: Said::Refusal(refusal.clone()),
        });
    } else if turn.calls.is_empty() && (turn.finish != Finish::Length || !turn.text.is_empty()) {
        let listed = request.logprobs.map_or_else(Vec::new, |top| logprobs(&turn.text, top));
        let cited = turn.sources().into_iter().map(|source| {
            let place = source.characters(&turn.text);
            json!({"type": "url_citation", "start_index": place.start, "end_index": place.end, "url": source.url,
                "title": source.title})
        });
        let cited: Vec<Value> = cited.collect();
        let part =
            json!({"type": "output_text", "annotations": cited, "logprobs": listed, "text": turn.text});
        items.push(Item {
            whole: message(json!([part]), status),
            empty: message(json!([]), "in_progress"),
            said: Said::Text { text: turn.text.clone(), logprobs: request.logprobs },
        });
    }
    items.extend(turn.calls.iter().map(|call| call_item(call, request, chance)));
    items
}

fn call_item(call: &Call, request: &Request, chance: &mut Chance) -> Item {
    let call_id = identifier(chance, "call_", 24);
    if request.custom.contains(&call.name) {
        let id = identifier(chance, "ctc_", 48);
        let input = format!("free text for {}: {}", call.name, request.prompt.user);
        let item = |input: &str, status: &str| json!({"id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "input": input, "name": call.name});
        return Item {
            whole: item(&input, "completed"),
            empty: item("", "in_progress"),
            said: Said::Input(input.clone()),
        };
    }
    let id = identifier(chance, "fc_", 48);
    let text = call.arguments.to_string();
    let item = |arguments: &str, status: &str| json!({"id": id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": call.name});
    Item {
        whole: item(&text, "completed"),
        empty: item("", "in_progress"),
        said: Said::Arguments { name: call.name.clone(), text: text.clone() },
    }
}

fn logprobs(text: &str, alternatives: usize) -> Vec<Value> {
    let entry =
        |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let listed = |token: &str| {
        let mut chance = Chance::new(fingerprint(0, token.as_bytes()));
        let logprob = -chance.unit();
        let mut main = entry(token, logprob);
        let others = (0..alternatives).map(|rank| match rank {
            0 => entry(token, logprob),
            rank => entry(&format!("~{rank}"), logprob - rank as f64),
        });
        main["top_logprobs"] = others.collect();
        main
    };
    tokens::split(text).map(listed).collect()
}

/// The writer of a stream.
struct Story {
    pieces: Vec<Piece>,
    sequence: u64,
    chance: Chance,
    obfuscate: bool,
}

impl Story {
    fn tell(&mut self, kind: PieceKind, tokens: u64, name: &str, fields: Value) {
        let mut value = json!({"type": name, "sequence_number": self.sequence});
        self.sequence += 1;
        if let (Some(value), Value::Object(fields)) = (value.as_object_mut(), fields) {
            value.extend(fields);
            if self.obfuscate && name.ends_with(".delta") {
                // Random filling that hides the length of what is said.
                value.insert("obfuscation".to_owned(), json!(identifier(&mut self.chance, "", 12)));
            }
        }
        let bytes: Bytes = event(name, &value);
        self.pieces.push(Piece { kind, bytes, tokens });
    }

    fn frame(&mut self, name: &str, at: &Value, more: Value) {
        self.tell(PieceKind::Frame, 0, name, joined(at, more));
    }

    fn delta(&mut self, name: &str, at: &Value, more: Value, tokens: u64) {
        self.tell(PieceKind::Token, tokens, name, joined(at, more));
    }

    fn item(&mut self, index: usize, item: &Item, piece_tokens: usize) {
        let id = item.whole["id"].clone();
        let place = json!({"output_index": index});
        self.frame("response.output_item.added", &place, json!({"item": item.empty}));
        let at = json!({"item_id": id, "output_index": index});
        let content = json!({"item_id": id, "output_index": index, "content_index": 0});
        match &item.said {
            // Thought in silence.
            Said::Reasoning(summary) if summary.is_empty() => {}
            Said::Reasoning(summary) => {
                let at = json!({"item_id": id, "output_index": index, "summary_index": 0});
                let part = |text: &str| json!({"part": {"type": "summary_text", "text": text}});
                self.frame("response.reasoning_summary_part.added", &at, part(""));
                for (piece, number) in tokens::pieces(summary, piece_tokens) {
                    self.delta("response.reasoning_summary_text.delta", &at, json!({"delta": piece}), number);
                }
                self.frame("response.reasoning_summary_text.done", &at, json!({"text": summary}));
                self.frame("response.reasoning_summary_part.done", &at, part(summary));
            }
            Said::Text { text, logprobs: top } => {
                let empty =
                    json!({"part": {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}});
                self.frame("response.content_part.added", &content, empty);
                for (piece, number) in tokens::pieces(text, piece_tokens) {
                    let listed = top.map_or_else(Vec::new, |top| logprobs(piece, top));
                    let more = json!({"delta": piece, "logprobs": listed});
                    self.delta("response.output_text.delta", &content, more, number);
                }
                let part = item.whole["content"][0].clone();
                for (number, annotation) in part["annotations"].as_array().into_iter().flatten().enumerate() {
                    let more = json!({"annotation_index": number, "annotation": annotation});
                    self.frame("response.output_text.annotation.added", &content, more);
                }
                let done = json!({"text": text, "logprobs": part["logprobs"]});
                self.frame("response.output_text.done", &content, done);
                self.frame("response.content_part.done", &content, json!({"part": part}));
            }
            Said::Refusal(text) => {
                let part = |text: &str| json!({"part": {"type": "refusal", "refusal": text}});
                self.frame("response.content_part.added", &content, part(""));
                for (piece, number) in tokens::pieces(text, piece_tokens) {
                    self.delta("response.refusal.delta", &content, json!({"delta": piece}), number);
                }
                self.frame("response.refusal.done", &content, json!({"refusal": text}));
                self.frame("response.content_part.done", &content, part(text));
            }
            Said::Arguments { name, text } => {
                for (piece, number) in tokens::pieces(text, piece_tokens) {
                    self.delta(
                        "response.function_call_arguments.delta",
                        &at,
                        json!({"delta": piece}),
                        number,
                    );
                }
                let done = json!({"name": name, "arguments": text});
                self.frame("response.function_call_arguments.done", &at, done);
            }
            Said::Input(text) => {
                for (piece, number) in tokens::pieces(text, piece_tokens) {
                    self.delta("response.custom_tool_call_input.delta", &at, json!({"delta": piece}), number);
                }
                self.frame("response.custom_tool_call_input.done", &at, json!({"input": text}));
            }
        }
        // State that only the vendor reads is a part of the answer: it comes back in the next request.
        let sealed = item.whole.get("encrypted_content").and_then(Value::as_str);
        let kind =
            if sealed.is_some_and(|sealed| !sealed.is_empty()) { PieceKind::Token } else { PieceKind::Frame };
        self.tell(kind, 0, "response.output_item.done", joined(&place, json!({"item": item.whole})));
    }
}

fn joined(at: &Value, more: Value) -> Value {
    let mut fields = at.clone();
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}
