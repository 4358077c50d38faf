//! Writes chat completions, whole or as a stream of chunks.
//!
//! Owns the form; what is said was planned before. Source: `CreateChatCompletionResponse` and
//! `CreateChatCompletionStreamResponse` of the vendor's OpenAPI document.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Piece, Refusal};
use super::chat::Chat;
use super::{event, identifier};
use crate::chance::{Chance, HEXADECIMAL, fingerprint};
use crate::tokens;
use crate::turn::{Finish, Source, Turn, plan};

pub(super) fn chat(chat: &Chat, context: &Context<'_>) -> Result<Output, Refusal> {
    let mut chance = context.chance();
    let turns: Vec<Turn> = (0..chat.choices).map(|choice| plan(&chat.prompt, choice)).collect();
    let envelope = envelope(chat, context, &mut chance);
    let usage = usage(chat, context, &turns);
    if chat.stream {
        let pieces = Chunks { chat, envelope: &envelope, pieces: Vec::new(), chance }.write(
            &turns,
            &usage,
            context.script.piece_tokens,
        );
        return Ok(Output::stream("text/event-stream; charset=utf-8", pieces));
    }
    let choices: Vec<Value> = turns
        .iter()
        .enumerate()
        .map(|(index, turn)| {
            let logprobs = chat.logprobs.map(|top| json!({"content": logprobs(&turn.text, top), "refusal": null}));
            json!({"index": index, "message": message(chat, turn, &mut chance), "logprobs": logprobs, "finish_reason": finish(turn)})
        })
        .collect();
    let mut answer = envelope;
    answer.insert("object".to_owned(), json!("chat.completion"));
    answer.insert("choices".to_owned(), Value::Array(choices));
    answer.insert("usage".to_owned(), usage);
    Ok(Output::json(StatusCode::OK, &Value::Object(answer), turns.iter().map(Turn::tokens).sum()))
}

/// The members that the answer and each chunk share.
fn envelope(chat: &Chat, context: &Context<'_>, chance: &mut Chance) -> Map<String, Value> {
    let mut envelope = Map::new();
    envelope.insert("id".to_owned(), json!(identifier(chance, "chatcmpl-", 29)));
    envelope.insert("object".to_owned(), json!("chat.completion.chunk"));
    envelope.insert("created".to_owned(), json!(context.config.created));
    envelope.insert("model".to_owned(), json!(chat.prompt.model));
    if !chat.compatible {
        let mut backend = Chance::new(fingerprint(context.config.seed, chat.prompt.model.as_bytes()));
        envelope.insert("service_tier".to_owned(), json!("default"));
        envelope.insert("system_fingerprint".to_owned(), json!(backend.identifier("fp_", HEXADECIMAL, 10)));
    }
    envelope
}

fn message(chat: &Chat, turn: &Turn, chance: &mut Chance) -> Value {
    let said = turn.calls.is_empty() && turn.refusal.is_none();
    let mut message = json!({
        "role": "assistant",
        "content": said.then_some(&turn.text),
        "refusal": turn.refusal,
    });
    if !chat.compatible {
        message["annotations"] = annotations(turn);
    } else if !turn.reasoning.is_empty() {
        message["reasoning_content"] = json!(turn.reasoning);
    }
    if !turn.calls.is_empty() {
        let calls = turn.calls.iter().map(|call| {
            json!({"id": identifier(chance, "call_", 24), "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.to_string()}})
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

/// The pages that the text rests on, in characters of it.
fn annotations(turn: &Turn) -> Value {
    let annotation = |source: Source| {
        let place = source.characters(&turn.text);
        json!({"type": "url_citation", "url_citation": {
            "start_index": place.start, "end_index": place.end, "url": source.url, "title": source.title}})
    };
    turn.sources().into_iter().map(annotation).collect()
}

fn finish(turn: &Turn) -> &'static str {
    match turn.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refused | Finish::MalformedCall => "stop",
        Finish::Length => "length",
        Finish::Tools => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

/// Usage over all choices. Cached tokens are a multiple of 128, as the prompt caching guide says.
fn usage(chat: &Chat, context: &Context<'_>, turns: &[Turn]) -> Value {
    let prompt = chat.prompt.tokens();
    let seen = context.cache.consult(&chat.prompt.prefixes, context.script.cache_minimum_tokens);
    let cached = if context.script.cache_minimum_tokens >= 128 { seen / 128 * 128 } else { seen };
    let completion: u64 = turns.iter().map(Turn::tokens).sum();
    let reasoning: u64 = turns.iter().map(Turn::reasoning_tokens).sum();
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
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
struct Chunks<'a> {
    chat: &'a Chat,
    envelope: &'a Map<String, Value>,
    pieces: Vec<Piece>,
    chance: Chance,
}

impl Chunks<'_> {
    fn write(mut self, turns: &[Turn], usage: &Value, piece_tokens: usize) -> Vec<Piece> {
        let mut queues: Vec<_> = Vec::new();
        for (index, turn) in turns.iter().enumerate() {
            let content = if turn.calls.is_empty() { json!("") } else { Value::Null };
            let mut delta = json!({"role": "assistant", "content": content});
            if !self.chat.compatible {
                delta["refusal"] = Value::Null;
            }
            let chunk = self.chunk(index, &delta, None, None);
            self.pieces.push(Piece::frame(chunk));
            queues.push(self.deltas(index, turn, piece_tokens).into_iter());
        }
        // Alternatives arrive side by side, not one behind the other.
        let mut idle = false;
        while !idle {
            idle = true;
            for queue in &mut queues {
                if let Some(piece) = queue.next() {
                    self.pieces.push(piece);
                    idle = false;
                }
            }
        }
        for (index, turn) in turns.iter().enumerate() {
            let chunk = self.chunk(index, &json!({}), None, Some(finish(turn)));
            self.pieces.push(Piece::ending(chunk));
        }
        if self.chat.include_usage {
            let mut chunk = self.envelope.clone();
            chunk.insert("choices".to_owned(), json!([]));
            chunk.insert("usage".to_owned(), usage.clone());
            self.obfuscate(&mut chunk, 8);
            self.pieces.push(Piece::ending(event(&Value::Object(chunk))));
        }
        self.pieces.push(Piece::ending(Bytes::from_static(b"data: [DONE]\n\n")));
        self.pieces
    }

    fn deltas(&mut self, index: usize, turn: &Turn, piece_tokens: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut push = |this: &mut Self, delta: Value, logprobs: Option<Value>, number| {
            let chunk = this.chunk(index, &delta, logprobs.as_ref(), None);
            pieces.push(Piece::token(chunk, number));
        };
        if self.chat.compatible {
            for (piece, number) in tokens::pieces(&turn.reasoning, piece_tokens) {
                push(self, json!({"reasoning_content": piece}), None, number);
            }
        }
        for (piece, number) in tokens::pieces(&turn.text, piece_tokens) {
            let listed =
                self.chat.logprobs.map(|top| json!({"content": logprobs(piece, top), "refusal": null}));
            push(self, json!({"content": piece}), listed, number);
        }
        if turn.cites && !self.chat.compatible {
            push(self, json!({"annotations": annotations(turn)}), None, 0);
        }
        for (piece, number) in tokens::pieces(turn.refusal.as_deref().unwrap_or_default(), piece_tokens) {
            push(self, json!({"refusal": piece}), None, number);
        }
        for (position, call) in turn.calls.iter().enumerate() {
            let id = identifier(&mut self.chance, "call_", 24);
            let opening = json!({"index": position, "id": id, "type": "function",
                "function": {"name": call.name, "arguments": ""}});
            push(self, json!({"tool_calls": [opening]}), None, tokens::count(&call.name));
            for (piece, number) in tokens::pieces(&call.arguments.to_string(), piece_tokens) {
                let rest = json!({"index": position, "function": {"arguments": piece}});
                push(self, json!({"tool_calls": [rest]}), None, number);
            }
        }
        pieces
    }

    fn chunk(
        &mut self,
        index: usize,
        delta: &Value,
        logprobs: Option<&Value>,
        finish: Option<&str>,
    ) -> Bytes {
        let size = delta.to_string().len();
        let mut chunk = self.envelope.clone();
        let choice = json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
        chunk.insert("choices".to_owned(), json!([choice]));
        if self.chat.include_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        self.obfuscate(&mut chunk, size);
        event(&Value::Object(chunk))
    }

    /// Random filling that hides the length of what is said.
    fn obfuscate(&mut self, chunk: &mut Map<String, Value>, size: usize) {
        if self.chat.obfuscate {
            let length = 16 - size % 16;
            chunk.insert("obfuscation".to_owned(), json!(identifier(&mut self.chance, "", length)));
        }
    }
}
