//! Writes answers, whole or as a stream of binary messages.
//!
//! Owns the form; what is said was planned before. Source: `ConverseResponse` and `ConverseStreamOutput` of the service's model.
//! Only tool calls announce their block; `metadata` with the usage comes after `messageStop`.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Context, Output, Piece};
use super::message;
use super::request::Request;
use super::turns::{REDACTED, THINKING};
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
    Redacted(String),
    /// With the citation it rests on.
    Text(String, Option<Value>),
    Tool {
        id: String,
        name: String,
        input: Value,
    },
}

pub(super) fn message(request: &Request, streamed: bool, context: &Context<'_>) -> Output {
    let mut chance = context.chance();
    let turn = plan(&request.prompt, 0);
    let blocks = blocks(&turn, request, context, &mut chance);
    let usage = usage(request, context, &turn);
    let (reason, sequence) = ending(&turn);
    let mut stop = json!({"stopReason": reason});
    if request.tells_stop {
        stop["additionalModelResponseFields"] = json!({"stop_sequence": sequence});
    }
    let metrics = json!({"latencyMs": context.stamp.processing_ms});
    if !streamed {
        let mut answer = stop;
        let content: Vec<Value> = blocks.iter().map(whole).collect();
        answer["output"] = json!({"message": {"role": "assistant", "content": content}});
        answer["usage"] = usage;
        answer["metrics"] = metrics;
        return Output::json(StatusCode::OK, &answer, turn.tokens());
    }
    let mut padding = Padding(chance);
    let mut pieces = vec![Piece::frame(padding.event("messageStart", json!({"role": "assistant"})))];
    for (index, block) in blocks.iter().enumerate() {
        stream_block(index, block, context.script.piece_tokens, &mut padding, &mut pieces);
    }
    pieces.push(Piece::ending(padding.event("messageStop", stop)));
    pieces.push(Piece::ending(padding.event("metadata", json!({"usage": usage, "metrics": metrics}))));
    Output::stream(message::CONTENT_TYPE, pieces)
}

/// Every event carries letters of changing number, so that its length tells nothing of the text.
struct Padding(Chance);

impl Padding {
    fn event(&mut self, name: &str, mut value: Value) -> bytes::Bytes {
        let length = (self.0.next() % 36) as usize;
        value["p"] = json!("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"[..length]);
        message::event(name, value.to_string().as_bytes())
    }
}

fn blocks(turn: &Turn, request: &Request, context: &Context<'_>, chance: &mut Chance) -> Vec<Block> {
    let secret = context.config.secret;
    let mut blocks = Vec::new();
    if turn.redacted && request.prompt.reasoning > 0 {
        blocks.push(Block::Redacted(seal(secret, REDACTED, "", chance)));
    } else if !turn.reasoning.is_empty() {
        let signature = seal(secret, THINKING, &turn.reasoning, chance);
        blocks.push(Block::Thinking { text: turn.reasoning.clone(), signature });
    }
    let said = turn.refusal.as_ref().unwrap_or(&turn.text);
    if !said.is_empty() {
        for (piece, source) in cut(said, &turn.sources()) {
            let citation = source.map(|source| {
                json!({"title": source.title, "sourceContent": [{"text": source.quote}],
                    "location": {"web": {"url": source.url, "domain": "wetter.example"}}})
            });
            blocks.push(Block::Text(piece.to_owned(), citation));
        }
    }
    for call in &turn.calls {
        let id = chance.identifier("tooluse_", ALPHANUMERIC, 22);
        blocks.push(Block::Tool { id, name: call.name.clone(), input: call.arguments.clone() });
    }
    blocks
}

/// Stop reason and stop text.
fn ending(turn: &Turn) -> (&'static str, Value) {
    match &turn.finish {
        Finish::Stop => ("end_turn", Value::Null),
        Finish::StopSequence(sequence) => ("stop_sequence", json!(sequence)),
        Finish::Length => ("max_tokens", Value::Null),
        Finish::Tools => ("tool_use", Value::Null),
        Finish::Filtered | Finish::Refused => ("content_filtered", Value::Null),
        Finish::MalformedCall => ("malformed_tool_use", Value::Null),
    }
}

/// Usage: `inputTokens` leaves out what was read from or written to the cache.
fn usage(request: &Request, context: &Context<'_>, turn: &Turn) -> Value {
    let prompt = &request.prompt;
    let minimum = context.script.cache_minimum_tokens;
    let marked = prompt.prefixes.iter().map(|prefix| prefix.tokens).filter(|tokens| *tokens >= minimum).max();
    let marked = if request.cached { marked.unwrap_or(0) } else { 0 };
    let read = if request.cached { context.cache.consult(&prompt.prefixes, minimum) } else { 0 };
    let written = marked.saturating_sub(read);
    let mut usage = json!({
        "inputTokens": prompt.tokens() - read - written,
        "outputTokens": turn.tokens(),
        "totalTokens": prompt.tokens() + turn.tokens(),
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    });
    if written > 0 {
        let ttl = if request.for_an_hour { "1h" } else { "5m" };
        usage["cacheDetails"] = json!([{"ttl": ttl, "inputTokens": written}]);
    }
    usage
}

fn whole(block: &Block) -> Value {
    match block {
        Block::Thinking { text, signature } => {
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
        }
        Block::Redacted(data) => json!({"reasoningContent": {"redactedContent": data}}),
        Block::Text(text, None) => json!({"text": text}),
        Block::Text(text, Some(citation)) => {
            json!({"citationsContent": {"content": [{"text": text}], "citations": [citation]}})
        }
        Block::Tool { id, name, input } => {
            json!({"toolUse": {"toolUseId": id, "name": name, "input": input}})
        }
    }
}

fn stream_block(
    index: usize,
    block: &Block,
    piece_tokens: usize,
    padding: &mut Padding,
    pieces: &mut Vec<Piece>,
) {
    let mut delta = |delta: Value, tokens: u64| {
        let event = padding.event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
        if tokens > 0 { Piece::token(event, tokens) } else { Piece::frame(event) }
    };
    match block {
        Block::Thinking { text, signature } => {
            for (piece, number) in tokens::pieces(text, piece_tokens) {
                pieces.push(delta(json!({"reasoningContent": {"text": piece}}), number));
            }
            pieces.push(delta(json!({"reasoningContent": {"signature": signature}}), 0));
        }
        Block::Redacted(data) => {
            pieces.push(delta(json!({"reasoningContent": {"redactedContent": data}}), 1))
        }
        Block::Text(text, citation) => {
            for (piece, number) in tokens::pieces(text, piece_tokens) {
                pieces.push(delta(json!({"text": piece}), number));
            }
            if let Some(citation) = citation {
                pieces.push(delta(json!({"citation": citation}), 0));
            }
        }
        Block::Tool { id, name, input } => {
            let start =
                json!({"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}});
            let start = Piece::token(padding.event("contentBlockStart", start), tokens::count(name));
            pieces.push(start);
            let input = input.to_string();
            let mut delta = |piece: &str, tokens: u64| {
                let value = json!({"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}});
                Piece::token(padding.event("contentBlockDelta", value), tokens)
            };
            if input != "{}" {
                for (piece, number) in tokens::pieces(&input, piece_tokens) {
                    pieces.push(delta(piece, number));
                }
            }
        }
    }
    pieces.push(Piece::frame(padding.event("contentBlockStop", json!({"contentBlockIndex": index}))));
}
