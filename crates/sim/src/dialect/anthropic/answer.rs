//! Writes messages, whole or as a stream of events.
//!
//! Owns the form; what is said was planned before. Source: `Message` and `RawMessageStreamEvent` of the vendor's SDK and
//! the order of events in its streaming guide.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Context, Output, Piece};
use super::event;
use super::messages::{CITATION, Messages, REDACTED, THINKING};
use crate::chance::{ALPHANUMERIC, Chance};
use crate::opaque::seal;
use crate::tokens;
use crate::turn::{Finish, Turn, cut, plan};

/// One content block of the answer.
enum Block {
    Thinking {
        text: String,
        signature: String,
    },
    Redacted {
        data: String,
    },
    /// With the citation it rests on.
    Text(String, Option<Value>),
    Tool {
        id: String,
        name: String,
        input: Value,
    },
}

pub(super) fn message(request: &Messages, context: &Context<'_>) -> Output {
    let mut chance = context.chance();
    let turn = plan(&request.prompt, 0);
    let id = chance.identifier("msg_01", ALPHANUMERIC, 22);
    let blocks = blocks(&turn, request, context, &mut chance);
    let usage = usage(request, context, &turn);
    let (reason, sequence, details) = ending(&turn);
    let envelope = |content: Vec<Value>, reason: Value, sequence: Value, usage: Value| {
        json!({"model": request.prompt.model, "id": id, "type": "message", "role": "assistant", "content": content,
            "stop_reason": reason, "stop_sequence": sequence, "usage": usage})
    };
    if !request.stream {
        let mut answer = envelope(blocks.iter().map(whole).collect(), json!(reason), sequence, usage);
        if !details.is_null() {
            answer["stop_details"] = details;
        }
        return Output::json(StatusCode::OK, &answer, turn.tokens());
    }
    let mut opening = usage.clone();
    opening["output_tokens"] = json!(turn.tokens().min(1));
    opening.as_object_mut().expect("made as an object").remove("output_tokens_details");
    let start =
        json!({"type": "message_start", "message": envelope(Vec::new(), Value::Null, Value::Null, opening)});
    let mut pieces = vec![Piece::frame(event("message_start", &start))];
    for (index, block) in blocks.iter().enumerate() {
        stream_block(index, block, context.script.piece_tokens, &mut pieces);
        if index == 0 {
            let ping = Piece::frame(event("ping", &json!({"type": "ping"})));
            pieces.insert(2, ping);
        }
    }
    let mut delta = json!({"stop_reason": reason, "stop_sequence": sequence});
    if !details.is_null() {
        delta["stop_details"] = details;
    }
    let mut last = usage;
    for name in ["cache_creation", "service_tier"] {
        last.as_object_mut().expect("made as an object").remove(name);
    }
    pieces.push(Piece::ending(event(
        "message_delta",
        &json!({"type": "message_delta", "delta": delta, "usage": last}),
    )));
    pieces.push(Piece::ending(event("message_stop", &json!({"type": "message_stop"}))));
    Output::stream("text/event-stream; charset=utf-8", pieces)
}

fn blocks(turn: &Turn, request: &Messages, context: &Context<'_>, chance: &mut Chance) -> Vec<Block> {
    let secret = context.config.secret;
    let mut blocks = Vec::new();
    if turn.redacted && request.prompt.reasoning > 0 {
        blocks.push(Block::Redacted { data: seal(secret, REDACTED, "", chance) });
    } else if !turn.reasoning.is_empty() {
        let text = if request.thoughts_shown { turn.reasoning.clone() } else { String::new() };
        let signature = seal(secret, THINKING, &text, chance);
        blocks.push(Block::Thinking { text, signature });
    }
    if !turn.text.is_empty() {
        for (piece, source) in cut(&turn.text, &turn.sources()) {
            let citation = source.map(|source| {
                json!({"type": "web_search_result_location", "cited_text": source.quote, "title": source.title,
                    "url": source.url, "encrypted_index": seal(secret, CITATION, source.url, chance)})
            });
            blocks.push(Block::Text(piece.to_owned(), citation));
        }
    }
    for call in &turn.calls {
        let id = chance.identifier("toolu_01", ALPHANUMERIC, 22);
        blocks.push(Block::Tool { id, name: call.name.clone(), input: call.arguments.clone() });
    }
    blocks
}

/// Stop reason, stop sequence, stop details.
fn ending(turn: &Turn) -> (&'static str, Value, Value) {
    match &turn.finish {
        Finish::Stop => ("end_turn", Value::Null, Value::Null),
        Finish::StopSequence(sequence) => ("stop_sequence", json!(sequence), Value::Null),
        Finish::Length => ("max_tokens", Value::Null, Value::Null),
        Finish::Tools => ("tool_use", Value::Null, Value::Null),
        Finish::Filtered | Finish::Refused | Finish::MalformedCall => {
            let details = json!({"type": "refusal", "category": "general_harms", "explanation": null});
            ("refusal", Value::Null, details)
        }
    }
}

/// Usage: `input_tokens` leaves out what was read from or written to the cache.
fn usage(request: &Messages, context: &Context<'_>, turn: &Turn) -> Value {
    let prompt = &request.prompt;
    let minimum = context.script.cache_minimum_tokens;
    let marked = prompt.prefixes.iter().map(|prefix| prefix.tokens).filter(|tokens| *tokens >= minimum).max();
    let marked = if request.cached { marked.unwrap_or(0) } else { 0 };
    let read = if request.cached { context.cache.consult(&prompt.prefixes, minimum) } else { 0 };
    let created = marked.saturating_sub(read);
    let (five_minutes, hour) = if request.for_an_hour { (0, created) } else { (created, 0) };
    let mut usage = json!({
        "input_tokens": prompt.tokens() - read - created,
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour},
        "output_tokens": turn.tokens(),
        "service_tier": "standard",
    });
    if turn.reasoning_tokens() > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": turn.reasoning_tokens()});
    }
    usage
}

fn whole(block: &Block) -> Value {
    match block {
        Block::Thinking { text, signature } => {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Block::Redacted { data } => json!({"type": "redacted_thinking", "data": data}),
        Block::Text(text, None) => json!({"type": "text", "text": text}),
        Block::Text(text, Some(citation)) => json!({"type": "text", "text": text, "citations": [citation]}),
        Block::Tool { id, name, input } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    }
}

fn stream_block(index: usize, block: &Block, piece_tokens: usize, pieces: &mut Vec<Piece>) {
    let opening = match block {
        Block::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Block::Redacted { data } => json!({"type": "redacted_thinking", "data": data}),
        Block::Text(_, None) => json!({"type": "text", "text": ""}),
        Block::Text(_, Some(_)) => json!({"type": "text", "text": "", "citations": []}),
        Block::Tool { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
    };
    let start = event(
        "content_block_start",
        &json!({"type": "content_block_start", "index": index, "content_block": opening}),
    );
    pieces.push(match block {
        Block::Tool { name, .. } => Piece::token(start, tokens::count(name)),
        Block::Redacted { .. } => Piece::token(start, 1),
        _ => Piece::frame(start),
    });
    let delta = |delta: Value| {
        event("content_block_delta", &json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let mut each = |text: &str, kind: &str, member: &str| {
        for (piece, number) in tokens::pieces(text, piece_tokens) {
            pieces.push(Piece::token(delta(json!({"type": kind, member: piece})), number));
        }
    };
    match block {
        Block::Thinking { text, signature } => {
            each(text, "thinking_delta", "thinking");
            pieces.push(Piece::frame(delta(json!({"type": "signature_delta", "signature": signature}))));
        }
        Block::Redacted { .. } => {}
        Block::Text(text, None) => each(text, "text_delta", "text"),
        Block::Text(text, Some(citation)) => {
            // Before the text that rests on it.
            let cited = delta(json!({"type": "citations_delta", "citation": citation}));
            each(text, "text_delta", "text");
            let at = pieces.len() - tokens::pieces(text, piece_tokens).count();
            pieces.insert(at, Piece::frame(cited));
        }
        Block::Tool { input, .. } => {
            let input = input.to_string();
            // The first delta of a tool's input is empty, as the vendor sends it.
            pieces.push(Piece::frame(delta(json!({"type": "input_json_delta", "partial_json": ""}))));
            let mut each = |text: &str| {
                for (piece, number) in tokens::pieces(text, piece_tokens) {
                    pieces.push(Piece::token(
                        delta(json!({"type": "input_json_delta", "partial_json": piece})),
                        number,
                    ));
                }
            };
            if input != "{}" {
                each(&input);
            }
        }
    }
    pieces.push(Piece::frame(event(
        "content_block_stop",
        &json!({"type": "content_block_stop", "index": index}),
    )));
}
