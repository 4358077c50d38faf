//! Writes chat answers, whole or as typed events.
//!
//! Owns the form; what is said was planned before.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Context, Output, Piece};
use super::chat::Chat;
use super::event;
use crate::chance::{ALPHANUMERIC, Chance, HEXADECIMAL};
use crate::tokens;
use crate::turn::{Finish, Source, Turn, plan};

pub(super) fn chat(chat: &Chat, context: &Context<'_>) -> Output {
    let mut chance = context.chance();
    let turn = plan(&chat.prompt, 0);
    let id = chance.identifier("", HEXADECIMAL, 32);
    let usage = usage(chat, context, &turn);
    if chat.stream {
        let pieces = stream(&turn, &id, &usage, context.script.piece_tokens, &mut chance);
        return Output::stream("text/event-stream; charset=utf-8", pieces);
    }
    let mut message = json!({"role": "assistant"});
    let mut content = Vec::new();
    if !turn.reasoning.is_empty() {
        content.push(json!({"type": "thinking", "thinking": turn.reasoning}));
    }
    if turn.calls.is_empty() {
        content.push(json!({"type": "text", "text": said(&turn)}));
    } else {
        message["tool_plan"] = json!(PLAN);
        let calls = turn.calls.iter().map(|call| {
            json!({"id": call_id(&call.name, &mut chance), "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.to_string()}})
        });
        message["tool_calls"] = calls.collect();
    }
    if turn.cites {
        message["citations"] = citations(&turn, content.len().saturating_sub(1));
    }
    if !content.is_empty() {
        message["content"] = Value::Array(content);
    }
    let answer = json!({"id": id, "message": message, "finish_reason": finish(&turn), "usage": usage});
    Output::json(StatusCode::OK, &answer, turn.tokens())
}

/// What the model says before it calls tools.
const PLAN: &str = "I will use the tools.";

fn said(turn: &Turn) -> &str {
    turn.refusal.as_deref().unwrap_or(&turn.text)
}

/// What the text rests on, in characters of it.
fn citations(turn: &Turn, content: usize) -> Value {
    let citation = |source: Source| {
        let place = source.characters(&turn.text);
        let document =
            json!({"id": source.url, "title": source.title, "url": source.url, "snippet": source.quote});
        json!({"start": place.start, "end": place.end, "text": turn.text[source.bytes.clone()], "content_index": content,
            "type": "TEXT_CONTENT", "sources": [{"type": "document", "id": source.url, "document": document}]})
    };
    turn.sources().into_iter().map(citation).collect()
}

fn call_id(name: &str, chance: &mut Chance) -> String {
    chance.identifier(&format!("{name}_"), ALPHANUMERIC, 12).to_lowercase()
}

fn finish(turn: &Turn) -> &'static str {
    match turn.finish {
        Finish::Stop | Finish::Refused => "COMPLETE",
        Finish::StopSequence(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::Tools => "TOOL_CALL",
        Finish::Filtered => "ERROR_TOXIC",
        Finish::MalformedCall => "ERROR",
    }
}

/// What went through the model, and what is billed: the vendor's own preamble is not.
fn usage(chat: &Chat, context: &Context<'_>, turn: &Turn) -> Value {
    let input = chat.prompt.tokens();
    let cached = context.cache.consult(&chat.prompt.prefixes, context.script.cache_minimum_tokens);
    json!({
        "billed_units": {"input_tokens": input, "output_tokens": turn.tokens()},
        "tokens": {"input_tokens": input + 60, "output_tokens": turn.tokens()},
        "cached_tokens": cached,
    })
}

fn stream(turn: &Turn, id: &str, usage: &Value, piece_tokens: usize, chance: &mut Chance) -> Vec<Piece> {
    let mut pieces =
        vec![Piece::frame(event(&json!({"id": id, "type": "message-start", "delta": {"message":
        {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}})))];
    let mut index = 0;
    for (kind, text) in [("thinking", turn.reasoning.as_str()), ("text", said(turn))] {
        let is_there = if kind == "text" { turn.calls.is_empty() } else { !text.is_empty() };
        if !is_there {
            continue;
        }
        let opening = json!({"type": "content-start", "index": index,
            "delta": {"message": {"content": {"type": kind, kind: ""}}}});
        pieces.push(Piece::frame(event(&opening)));
        for (piece, number) in tokens::pieces(text, piece_tokens) {
            let delta = json!({"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: piece}}}});
            pieces.push(Piece::token(event(&delta), number));
        }
        let cited = if kind == "text" { citations(turn, index) } else { Value::Null };
        for (number, citation) in cited.as_array().into_iter().flatten().enumerate() {
            let begun = json!({"type": "citation-start", "index": number, "delta": {"message": {"citations": citation}}});
            pieces.push(Piece::frame(event(&begun)));
            pieces.push(Piece::frame(event(&json!({"type": "citation-end", "index": number}))));
        }
        pieces.push(Piece::frame(event(&json!({"type": "content-end", "index": index}))));
        index += 1;
    }
    if !turn.calls.is_empty() {
        for (piece, number) in tokens::pieces(PLAN, piece_tokens) {
            let delta = json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}});
            pieces.push(Piece::token(event(&delta), number));
        }
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let calling = json!({"id": call_id(&call.name, chance), "type": "function",
            "function": {"name": call.name, "arguments": ""}});
        let opening =
            json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": calling}}});
        pieces.push(Piece::token(event(&opening), tokens::count(&call.name)));
        for (piece, number) in tokens::pieces(&call.arguments.to_string(), piece_tokens) {
            let change = json!({"function": {"arguments": piece}});
            let delta = json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": change}}});
            pieces.push(Piece::token(event(&delta), number));
        }
        pieces.push(Piece::frame(event(&json!({"type": "tool-call-end", "index": index}))));
    }
    let ending = json!({"type": "message-end", "delta": {"finish_reason": finish(turn), "usage": usage}});
    pieces.push(Piece::ending(event(&ending)));
    pieces
}
