//! Watching Gemini answers pass to Gemini clients.
//!
//! Owns what is read of bytes that go through unchanged: usage, the end, errors. Must not build text: strings are passed
//! over where they lie. Chunks are parsed by shape and not searched for words, because a call's arguments are free JSON and
//! may hold any of these words.

use super::answer_decode::{PromptFeedback, finish};
use super::error::ErrorObject;
use super::plain_chunk::{self, Piece};
use super::usage::{Searches, WireUsage};
use crate::anthropic::malformed;
use crate::codec::{Frame, Observe, Seen, Summary, whole};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use trunkline_model::dialect::Delivery;
use trunkline_model::failure::{Failure, FailureClass};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watched<'a> {
    #[serde(borrow)]
    candidates: Option<Candidates<'a>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<WireUsage>,
    error: Option<ErrorObject>,
}

/// What the candidates of one chunk say, without a list of them.
#[derive(Default)]
struct Candidates<'a> {
    /// By candidate number, as bits; numbers beyond share the last.
    seen: u128,
    finished: u128,
    first_finish: Option<&'a RawValue>,
    content: Content<'a>,
    /// What the provider searched.
    searches: Searches,
}

#[derive(Clone, Copy, Default)]
struct Content<'a> {
    bytes: u64,
    /// Its first text, as it stands there.
    text: &'a str,
    semantic: bool,
    calls: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Parts<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    index: Option<u32>,
    #[serde(borrow)]
    grounding_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    parts: Option<Content<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    thought_signature: Option<IgnoredAny>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    inline_data: Option<IgnoredAny>,
    executable_code: Option<IgnoredAny>,
    code_execution_result: Option<IgnoredAny>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Content<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of parts")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content<'de>, A::Error> {
                let mut content = Content::default();
                while let Some(part) = list.next_element::<Part<'_>>()? {
                    let said = part.text.map_or("", |raw| raw.get().trim_matches('"'));
                    let text = part.text.map_or(0, |raw| raw.get().len().saturating_sub(2));
                    if content.text.is_empty() {
                        content.text = said;
                    }
                    let call = part.function_call.map_or(0, |raw| raw.get().len());
                    content.bytes += (text + call) as u64;
                    content.calls |= part.function_call.is_some();
                    content.semantic |= text > 0
                        || call > 0
                        || part.thought_signature.is_some()
                        || part.inline_data.is_some()
                        || part.executable_code.is_some()
                        || part.code_execution_result.is_some();
                }
                Ok(content)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Candidates<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Candidates<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of candidates")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Candidates<'de>, A::Error> {
                let mut all = Candidates::default();
                while let Some(candidate) = list.next_element::<Candidate<'_>>()? {
                    let index = candidate.index.unwrap_or_default().min(127);
                    all.seen |= 1 << index;
                    if let Some(reason) = candidate.finish_reason {
                        all.finished |= 1 << index;
                        if index == 0 {
                            all.first_finish = Some(reason);
                        }
                    }
                    let searches = candidate.grounding_metadata.map(Searches::of);
                    all.searches = all.searches.and(searches.unwrap_or_default());
                    if let Some(content) = candidate.content.and_then(|content| content.parts) {
                        all.content.bytes += content.bytes;
                        if all.content.text.is_empty() {
                            all.content.text = content.text;
                        }
                        all.content.semantic |= content.semantic;
                        all.content.calls |= content.calls;
                    }
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Observes answers, plain or chunk by chunk.
pub(super) struct ChatObserver {
    delivery: Delivery,
    seen: u128,
    finished: u128,
    has_calls: bool,
    searches: Searches,
    summary: Summary,
}

impl ChatObserver {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            seen: 0,
            finished: 0,
            has_calls: false,
            searches: Searches::NONE,
            summary: Summary::default(),
        }
    }
}

impl ChatObserver {
    /// A piece of text, and counts.
    fn piece(&mut self, piece: &Piece<'_>) -> Seen {
        self.seen |= 1 << piece.index.min(127);
        self.summary.output_bytes += piece.text.raw.len() as u64;
        self.summary.beginning.push(piece.text.raw);
        self.count_tokens(piece.usage);
        self.summary.complete = self.seen == self.finished;
        Seen { semantic: !piece.text.raw.is_empty(), hide: false }
    }

    fn count_tokens(&mut self, usage: Option<WireUsage>) {
        if let Some(usage) = usage.and_then(|usage| usage.usage()) {
            self.summary.usage = Some(self.searches.in_usage(usage));
        }
    }
}

impl Observe for ChatObserver {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        if frame.data.is_empty() {
            return Ok(Seen { semantic: false, hide: false });
        }
        if self.delivery == Delivery::Stream
            && let Some(piece) = plain_chunk::read(frame.data)
        {
            return Ok(self.piece(&piece));
        }
        let watched: Watched<'_> = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if let Some(error) = watched.error {
            return Err(error.into_failure(None));
        }
        let candidates = watched.candidates.unwrap_or_default();
        if candidates.seen == 0 {
            if let Some(failure) = watched.prompt_feedback.and_then(PromptFeedback::into_failure) {
                return Err(failure);
            }
            if self.delivery == Delivery::Plain {
                let message = "the provider's answer has no candidates";
                return Err(Failure::new(FailureClass::Malformed, message));
            }
        }
        self.seen |= candidates.seen;
        self.finished |= candidates.finished;
        self.has_calls |= candidates.content.calls;
        self.searches = self.searches.and(candidates.searches);
        self.summary.output_bytes += candidates.content.bytes;
        self.summary.beginning.push(candidates.content.text);
        if let Some(reason) = candidates.first_finish {
            self.summary.finish = Some(finish(reason.get().trim_matches('"'), self.has_calls));
        }
        self.count_tokens(watched.usage_metadata);
        let plain = self.delivery == Delivery::Plain;
        self.summary.complete = plain || (self.seen != 0 && self.seen == self.finished);
        Ok(Seen { semantic: plain || candidates.content.semantic || candidates.finished != 0, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.summary.complete {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Cut, "the provider's stream ended without a finish reason"))
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// Observes vectors.
#[derive(Default)]
pub(super) struct EmbeddingObserver {
    summary: Summary,
}

impl Observe for EmbeddingObserver {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Vectors {
            embedding: Option<IgnoredAny>,
            embeddings: Option<Vec<IgnoredAny>>,
            usage_metadata: Option<WireUsage>,
            error: Option<ErrorObject>,
        }
        let vectors: Vectors = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if let Some(error) = vectors.error {
            return Err(error.into_failure(None));
        }
        if vectors.embedding.is_none() && vectors.embeddings.is_none() {
            return Err(Failure::new(FailureClass::Malformed, "the provider's answer has no embeddings"));
        }
        self.summary.usage = vectors.usage_metadata.and_then(|usage| usage.usage());
        self.summary.complete = true;
        Ok(Seen { semantic: true, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        whole(self.summary.complete)
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}
