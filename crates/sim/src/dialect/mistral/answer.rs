//! Writes Mistral's chat answers, whole or as a stream of chunks.
//!
//! Owns the form; what is said was planned before. Where the model thinks, the content is a list of chunks. Calls come whole in
//! one chunk, usage stands in the last one whether asked for or not. Source: `ChatCompletionResponse` and `CompletionChunk` of
//! the vendor's OpenAPI document.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Piece, Refusal};
use super::chat::Chat;
use super::event;
use crate::chance::{ALPHANUMERIC, Chance, HEXADECIMAL};
use crate::tokens;
use crate::turn::{Finish, Turn, plan};

pub(super) fn chat(chat: &Chat, context: &Context<'_>) -> Result<Output, Refusal> {
    let mut chance = context.chance();
    let turns: Vec<Turn> = (0..chat.choices).map(|choice| plan(&chat.prompt, choice)).collect();
    let usage = usage(chat, context, &turns);
    let mut envelope = Map::new();
    envelope.insert("id".to_owned(), json!(chance.identifier("", HEXADECIMAL, 32)));
    envelope.insert("object".to_owned(), json!("chat.completion"));
    envelope.insert("created".to_owned(), json!(context.config.created));
    envelope.insert("model".to_owned(), json!(chat.prompt.model));
    if chat.stream {
        return Ok(Output::stream(
            "text/event-stream; charset=utf-8",
            stream(&envelope, &turns, &usage, context.script.piece_tokens, &mut chance),
        ));
    }
    let choices: Vec<Value> = turns
        .iter()
        .enumerate()
        .map(|(index, turn)| {
            let message = json!({"role": "assistant", "content": content(turn), "tool_calls": calls(turn, &mut chance),
                "prefix": false});
            json!({"index": index, "message": message, "finish_reason": finish(turn)})
        })
        .collect();
    envelope.insert("choices".to_owned(), Value::Array(choices));
    envelope.insert("usage".to_owned(), usage);
    Ok(Output::json(StatusCode::OK, &Value::Object(envelope), turns.iter().map(Turn::tokens).sum()))
}

fn said(turn: &Turn) -> &str {
    turn.refusal.as_deref().unwrap_or(&turn.text)
}

fn thought(text: &str, closed: bool) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": closed})
}

fn content(turn: &Turn) -> Value {
    if turn.reasoning.is_empty() {
        return json!(said(turn));
    }
    json!([thought(&turn.reasoning, true), {"type": "text", "text": said(turn)}])
}

/// Calls, or null where there are none.
fn calls(turn: &Turn, chance: &mut Chance) -> Value {
    if turn.calls.is_empty() {
        return Value::Null;
    }
    let calls = turn.calls.iter().enumerate().map(|(index, call)| {
        json!({"id": chance.identifier("", ALPHANUMERIC, 9), "type": "function",
            "function": {"name": call.name, "arguments": call.arguments.to_string()}, "index": index})
    });
    calls.collect()
}

fn finish(turn: &Turn) -> &'static str {
    match turn.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refused => "stop",
        Finish::Length => "length",
        Finish::Tools => "tool_calls",
        Finish::Filtered | Finish::MalformedCall => "error",
    }
}

fn usage(chat: &Chat, context: &Context<'_>, turns: &[Turn]) -> Value {
    let prompt = chat.prompt.tokens();
    let completion: u64 = turns.iter().map(Turn::tokens).sum();
    let cached = context.cache.consult(&chat.prompt.prefixes, context.script.cache_minimum_tokens);
    let mut usage = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
    if cached > 0 {
        // Not in the document; the servers send it.
        usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
    }
    usage
}

fn stream(
    envelope: &Map<String, Value>,
    turns: &[Turn],
    usage: &Value,
    piece_tokens: usize,
    chance: &mut Chance,
) -> Vec<Piece> {
    let chunk = |index: usize, delta: Value, finish: Option<&str>, usage: Option<&Value>| -> Bytes {
        let mut chunk = envelope.clone();
        chunk.insert("object".to_owned(), json!("chat.completion.chunk"));
        let choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        chunk.insert("choices".to_owned(), json!([choice]));
        if let Some(usage) = usage {
            chunk.insert("usage".to_owned(), usage.clone());
        }
        event(&Value::Object(chunk))
    };
    let mut pieces = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        pieces.push(Piece::frame(chunk(index, json!({"role": "assistant", "content": ""}), None, None)));
        let thoughts: Vec<(&str, u64)> = tokens::pieces(&turn.reasoning, piece_tokens).collect();
        for (position, (piece, number)) in thoughts.iter().enumerate() {
            let delta = json!({"content": [thought(piece, position + 1 == thoughts.len())]});
            pieces.push(Piece::token(chunk(index, delta, None, None), *number));
        }
        for (piece, number) in tokens::pieces(said(turn), piece_tokens) {
            let content =
                if thoughts.is_empty() { json!(piece) } else { json!([{"type": "text", "text": piece}]) };
            pieces.push(Piece::token(chunk(index, json!({"content": content}), None, None), number));
        }
        let mut last = json!({"content": ""});
        if !turn.calls.is_empty() {
            last["tool_calls"] = calls(turn, chance);
            let number = turn.tokens();
            let calling = chunk(index, last, None, None);
            pieces.push(Piece::token(calling, number));
            last = json!({"content": ""});
        }
        // Usage counts all alternatives and comes with the last of them.
        let usage = (index + 1 == turns.len()).then_some(usage);
        pieces.push(Piece::ending(chunk(index, last, Some(finish(turn)), usage)));
    }
    pieces.push(Piece::ending(Bytes::from_static(b"data: [DONE]\n\n")));
    pieces
}
