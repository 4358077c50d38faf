//! The dialects simulators speak, one folder each, and what they have in common.
//!
//! Owns the seam: a dialect takes a request apart, asks the planner what the model says and puts that into its own form.
//! It performs nothing and keeps no state, so a dialect cannot know of faults, delays or connections. A new dialect is a
//! folder and a line in [`DialectName::ALL`].

mod anthropic;
mod cohere;
pub(crate) mod converse;
mod gemini;
mod inbound;
mod mistral;
mod openai;
mod refusal;
mod tokens;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch_book::BatchBook;
use crate::chance::Chance;
use crate::config::SimConfig;
use crate::prompt_cache::PromptCache;
use crate::response_book::ResponseBook;
use crate::script::{Headroom, Script};

pub(crate) use inbound::{Inbound, decode};
pub(crate) use refusal::Refusal;

/// A wire protocol that simulators speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialectName {
    /// OpenAI chat completions, completions, embeddings, files, batches and models.
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic messages, token counting, batches and models.
    Anthropic,
    /// Gemini generateContent, token counting, embeddings and models.
    Gemini,
    /// Mistral chat completions, embeddings and models.
    Mistral,
    /// Bedrock Converse, its stream, token counting, embeddings and rerank.
    Converse,
    /// Cohere chat, embed, rerank and models.
    Cohere,
    /// No dialect of models: access tokens for those who serve them.
    Tokens,
}

impl DialectName {
    /// All dialects.
    pub const ALL: &'static [Self] = &[
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Mistral,
        Self::Converse,
        Self::Cohere,
        Self::Tokens,
    ];

    /// The name as it is written in files and on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Mistral => "mistral",
            Self::Converse => "converse",
            Self::Cohere => "cohere",
            Self::Tokens => "tokens",
        }
    }

    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::OpenAi => &openai::OpenAi,
            Self::Anthropic => &anthropic::Anthropic,
            Self::Gemini => &gemini::Gemini,
            Self::Mistral => &mistral::Mistral,
            Self::Converse => &converse::Converse,
            Self::Cohere => &cohere::Cohere,
            Self::Tokens => &tokens::Tokens,
        }
    }
}

impl fmt::Display for DialectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A dialect no simulator speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("know the dialect `{0}`: expected openai, anthropic, gemini, mistral, converse, cohere or tokens")]
pub struct UnknownDialect(String);

impl FromStr for DialectName {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .iter()
            .copied()
            .find(|dialect| dialect.name() == text)
            .ok_or_else(|| UnknownDialect(text.to_owned()))
    }
}

/// One wire protocol.
pub(crate) trait Dialect: Sync {
    /// Whether the request is one of this dialect's.
    fn claims(&self, inbound: &Inbound) -> bool;
    /// The model that the request names.
    fn model(&self, inbound: &Inbound) -> Option<String>;
    /// The key that the request carries.
    fn credential(&self, inbound: &Inbound) -> Option<String>;
    /// The healthy answer.
    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal>;
    /// An error in the dialect's own form.
    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Output;
    /// An error inside a stream that is open already.
    fn refuse_in_stream(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Bytes;
    /// An event that is not JSON.
    fn malformed(&self, inbound: &Inbound) -> Bytes;
    /// The headers that every response carries.
    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp);
}

/// What a healthy answer may depend on.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a SimConfig,
    pub(crate) script: &'a Script,
    pub(crate) cache: &'a PromptCache,
    pub(crate) book: &'a ResponseBook,
    pub(crate) batches: &'a BatchBook,
    pub(crate) stamp: &'a Stamp,
    /// Depends on the simulator's seed and the request's bytes alone.
    pub(crate) seed: u64,
}

impl Context<'_> {
    pub(crate) fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }
}

/// What headers say about a response.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// Seeds the request id.
    pub(crate) seed: u64,
    pub(crate) now: SystemTime,
    pub(crate) headroom: Headroom,
    pub(crate) processing_ms: u64,
}

/// A response before faults and delays.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) streamed: bool,
}

/// A part of a response that is written at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: PieceKind,
    pub(crate) bytes: Bytes,
    /// Tokens of the answer in it.
    pub(crate) tokens: u64,
}

/// What a piece is to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Carries nothing of the answer: roles, block boundaries, pings.
    Frame,
    /// Carries something of the answer.
    Token,
    /// Says that the answer is complete.
    Ending,
}

impl Piece {
    pub(crate) fn frame(bytes: Bytes) -> Self {
        Self { kind: PieceKind::Frame, bytes, tokens: 0 }
    }

    pub(crate) fn token(bytes: Bytes, tokens: u64) -> Self {
        Self { kind: PieceKind::Token, bytes, tokens }
    }

    pub(crate) fn ending(bytes: Bytes) -> Self {
        Self { kind: PieceKind::Ending, bytes, tokens: 0 }
    }
}

impl Output {
    /// A JSON body. `tokens` is the length of the answer in it.
    pub(crate) fn json(status: StatusCode, body: &Value, tokens: u64) -> Self {
        Self::whole(status, "application/json", Bytes::from(body.to_string()), tokens)
    }

    /// Any body.
    pub(crate) fn whole(status: StatusCode, content_type: &'static str, body: Bytes, tokens: u64) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let pieces = vec![Piece { kind: PieceKind::Token, bytes: body, tokens }];
        Self { status, headers, pieces, streamed: false }
    }

    /// A stream.
    pub(crate) fn stream(content_type: &'static str, pieces: Vec<Piece>) -> Self {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]);
        Self { status: StatusCode::OK, headers, pieces, streamed: true }
    }

    /// The body as JSON, where it is: as batches keep answers.
    pub(crate) fn value(&self) -> Value {
        let whole: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        serde_json::from_slice(&whole).unwrap_or_default()
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        insert(&mut self.headers, name, value);
        self
    }
}

/// Sets a header whose value is known to be printable ASCII; anything else is left out.
pub(crate) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_a_dialect_and_the_other_way_round() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialect");
        let mut folders: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let mut names: Vec<_> = DialectName::ALL.iter().map(|dialect| dialect.name().to_owned()).collect();
        folders.sort();
        names.sort();
        assert_eq!(folders, names);
        assert!(DialectName::ALL.iter().all(|dialect| dialect.name().parse() == Ok(*dialect)));
    }
}
