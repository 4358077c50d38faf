//! Writes answers, whole or as a stream of chunks of the same form.
//!
//! Owns the form; what is said was planned before. Source: `GenerateContentResponse` of the protocol definitions.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Context, Output, Piece};
use super::Framing;
use super::contents::{Contents, THOUGHT};
use super::logprobs;
use crate::chance::{ALPHANUMERIC, Chance};
use crate::opaque::seal;
use crate::tokens;
use crate::turn::{Finish, Turn, plan};

/// The beginning of a PNG, in base64: all that is looked at.
const PICTURE: &str = "iVBORw0KGgo=";

pub(super) fn whole(request: &Contents, context: &Context<'_>) -> Output {
    let mut writer = Writer::new(request, context);
    let turns: Vec<Turn> = (0..request.candidates).map(|index| plan(&request.prompt, index)).collect();
    let candidates: Vec<Value> =
        turns.iter().enumerate().map(|(index, turn)| writer.candidate(index, turn)).collect();
    let said: u64 = turns.iter().map(|turn| turn.tokens() - turn.reasoning_tokens()).sum();
    let thought: u64 = turns.iter().map(Turn::reasoning_tokens).sum();
    let body = writer.envelope(&json!(candidates), said, thought);
    let bytes = Bytes::from(body.to_string());
    Output::whole(StatusCode::OK, "application/json; charset=UTF-8", bytes, said + thought)
}

pub(super) fn stream(request: &Contents, framing: Framing, context: &Context<'_>) -> Output {
    let mut writer = Writer::new(request, context);
    let turns: Vec<Turn> = (0..request.candidates).map(|index| plan(&request.prompt, index)).collect();
    let thought = turns.iter().map(Turn::reasoning_tokens).sum();
    let mut pieces = Vec::new();
    if framing == Framing::Array {
        pieces.push(Piece::frame(Bytes::from_static(b"[")));
    }
    // Candidates are generated side by side: a chunk has the next part of each that goes on.
    let mut parts: Vec<_> =
        turns.iter().map(|turn| writer.parts(turn, context.script.piece_tokens).into_iter()).collect();
    let mut said = 0;
    loop {
        let mut candidates = Vec::new();
        let mut tokens = 0;
        for (index, parts) in parts.iter_mut().enumerate() {
            let Some(part) = parts.next() else { continue };
            tokens += part.tokens;
            said += if part.thought { 0 } else { part.tokens };
            let mut candidate = json!({"content": {"parts": [part.value], "role": "model"}, "index": index});
            if let (Some(alternatives), Some(text)) = (request.logprobs, &part.said) {
                candidate["logprobsResult"] = logprobs::result(text, alternatives);
            }
            candidates.push(candidate);
        }
        if candidates.is_empty() {
            break;
        }
        let bytes = framing.chunk(&writer.envelope(&json!(candidates), said, thought));
        pieces.push(Piece::token(bytes, tokens));
    }
    let endings: Vec<Value> =
        turns.iter().enumerate().map(|(index, turn)| writer.ending(index, turn)).collect();
    pieces.push(Piece::ending(framing.last(&writer.envelope(&json!(endings), said, thought))));
    Output::stream(framing.content_type(), pieces)
}

/// One part of a candidate in a stream.
struct Part {
    value: Value,
    tokens: u64,
    thought: bool,
    /// The text of the answer itself that it holds.
    said: Option<String>,
}

fn finish(turn: &Turn) -> &'static str {
    match turn.finish {
        // A function call ends a turn like any other.
        Finish::Stop | Finish::StopSequence(_) | Finish::Tools => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filtered | Finish::Refused => "SAFETY",
        Finish::MalformedCall => "MALFORMED_FUNCTION_CALL",
    }
}

/// What the text rests on, in bytes of the part it is.
fn grounding(turn: &Turn, part: usize) -> Value {
    let sources = turn.sources();
    let chunks: Vec<Value> =
        sources.iter().map(|source| json!({"web": {"uri": source.url, "title": source.title}})).collect();
    let supports: Vec<Value> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let mut segment = json!({"endIndex": source.bytes.end, "text": turn.text[source.bytes.clone()]});
            // Zeros are left out.
            for (name, value) in [("partIndex", part), ("startIndex", source.bytes.start)] {
                if value > 0 {
                    segment[name] = json!(value);
                }
            }
            json!({"segment": segment, "groundingChunkIndices": [index]})
        })
        .collect();
    json!({"groundingChunks": chunks, "groundingSupports": supports, "webSearchQueries": ["wetter"]})
}

/// Whether the turn has content at all.
fn speaks(turn: &Turn) -> bool {
    !matches!(turn.finish, Finish::Refused | Finish::MalformedCall)
}

fn decorate(candidate: &mut Value, turn: &Turn, part: usize) {
    if turn.cites {
        candidate["groundingMetadata"] = grounding(turn, part);
    }
    match turn.finish {
        Finish::Filtered | Finish::Refused => {
            candidate["safetyRatings"] = json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}]);
        }
        Finish::MalformedCall => {
            candidate["finishMessage"] = json!("Malformed function call: print(default_api.")
        }
        _ => {}
    }
}

struct Writer<'a> {
    request: &'a Contents,
    secret: u64,
    id: String,
    cached: u64,
    chance: Chance,
}

impl<'a> Writer<'a> {
    fn new(request: &'a Contents, context: &Context<'_>) -> Self {
        let mut chance = context.chance();
        let id = chance.identifier("", ALPHANUMERIC, 23);
        let cached = context.cache.consult(&request.prompt.prefixes, context.script.cache_minimum_tokens);
        Self { request, secret: context.config.secret, id, cached, chance }
    }

    fn candidate(&mut self, index: usize, turn: &Turn) -> Value {
        let mut candidate = json!({"finishReason": finish(turn), "index": index});
        if speaks(turn) {
            let mut parts = Vec::new();
            if self.request.thoughts_shown && !turn.reasoning.is_empty() {
                parts.push(json!({"text": turn.reasoning, "thought": true}));
            }
            if !turn.text.is_empty() {
                let mut part = json!({"text": turn.text});
                if let Some(signature) = self.text_signature(turn) {
                    part["thoughtSignature"] = json!(signature);
                }
                parts.push(part);
            }
            parts.extend(self.picture(turn));
            parts.extend(self.calls(turn));
            candidate["content"] = if parts.is_empty() {
                json!({"role": "model"})
            } else {
                json!({"parts": parts, "role": "model"})
            };
        }
        let has_thoughts = self.request.thoughts_shown && !turn.reasoning.is_empty();
        decorate(&mut candidate, turn, usize::from(has_thoughts));
        if let Some(alternatives) = self.request.logprobs.filter(|_| !turn.text.is_empty()) {
            candidate["avgLogprobs"] = json!(logprobs::mean(&turn.text));
            candidate["logprobsResult"] = logprobs::result(&turn.text, alternatives);
        }
        candidate
    }

    /// A candidate cut into the parts of a stream.
    fn parts(&mut self, turn: &Turn, size: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.request.thoughts_shown {
            for (piece, tokens) in tokens::pieces(&turn.reasoning, size) {
                let value = json!({"text": piece, "thought": true});
                parts.push(Part { value, tokens, thought: true, said: None });
            }
        }
        for (piece, tokens) in tokens::pieces(&turn.text, size) {
            let said = Some(piece.to_owned());
            parts.push(Part { value: json!({"text": piece}), tokens, thought: false, said });
        }
        if let Some(value) = self.picture(turn) {
            parts.push(Part { value, tokens: 0, thought: false, said: None });
        }
        for (call, value) in turn.calls.iter().zip(self.calls(turn)) {
            let tokens = tokens::count(&call.name) + tokens::count(&call.arguments.to_string());
            parts.push(Part { value, tokens, thought: false, said: None });
        }
        parts
    }

    /// What ends a candidate in a stream.
    fn ending(&mut self, index: usize, turn: &Turn) -> Value {
        let mut last = json!({"finishReason": finish(turn), "index": index});
        let signature = self.text_signature(turn);
        if signature.is_some() || speaks(turn) {
            let mut part = json!({"text": ""});
            if let Some(signature) = signature {
                part["thoughtSignature"] = json!(signature);
            }
            last["content"] = json!({"parts": [part], "role": "model"});
        }
        let has_thoughts = self.request.thoughts_shown && !turn.reasoning.is_empty();
        decorate(&mut last, turn, usize::from(has_thoughts));
        if self.request.logprobs.is_some() && !turn.text.is_empty() {
            last["avgLogprobs"] = json!(logprobs::mean(&turn.text));
        }
        last
    }

    /// The signature on the last text part, which only the third generation gives.
    fn text_signature(&mut self, turn: &Turn) -> Option<String> {
        let signs = self.request.generation.third && turn.calls.is_empty() && !turn.text.is_empty();
        signs.then(|| seal(self.secret, THOUGHT, "", &mut self.chance))
    }

    /// A picture as a part, which comes whole and signed.
    fn picture(&mut self, turn: &Turn) -> Option<Value> {
        let signature = turn.picture.then(|| seal(self.secret, THOUGHT, "", &mut self.chance))?;
        let data = json!({"mimeType": "image/png", "data": PICTURE});
        Some(json!({"inlineData": data, "thoughtSignature": signature}))
    }

    /// Function calls as parts. The first of parallel ones carries the signature.
    fn calls(&mut self, turn: &Turn) -> Vec<Value> {
        let generation = self.request.generation;
        let mut parts = Vec::new();
        for (index, call) in turn.calls.iter().enumerate() {
            let mut function = json!({"name": call.name, "args": call.arguments});
            if generation.third {
                function["id"] = json!(self.chance.identifier("", ALPHANUMERIC, 8));
            }
            let mut part = json!({"functionCall": function});
            if index == 0 && (generation.third || !turn.reasoning.is_empty()) {
                part["thoughtSignature"] = json!(seal(self.secret, THOUGHT, &call.name, &mut self.chance));
            }
            parts.push(part);
        }
        parts
    }

    fn envelope(&self, candidates: &Value, said: u64, thought: u64) -> Value {
        let prompt = self.request.prompt.tokens();
        let mut usage = json!({"promptTokenCount": prompt});
        if said > 0 {
            usage["candidatesTokenCount"] = json!(said);
        }
        usage["totalTokenCount"] = json!(prompt + said + thought);
        if self.cached > 0 {
            usage["cachedContentTokenCount"] = json!(self.cached);
        }
        usage["promptTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": prompt}]);
        if thought > 0 {
            usage["thoughtsTokenCount"] = json!(thought);
        }
        json!({"candidates": candidates, "usageMetadata": usage, "modelVersion": self.request.prompt.model, "responseId": self.id})
    }
}
