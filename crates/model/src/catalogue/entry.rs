//! One model of the catalogue and the facts known of it.
//!
//! Owns [`ModelEntry`]. It knows no particular provider. Every fact may be absent, because the lists this is filled from are
//! written by volunteers; where two of them contradict each other the entry keeps both sides as a [`Disagreement`] instead of
//! pretending to know.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::price::named_list;
use super::{Date, Prices, UnknownName};
use crate::capability::{Capabilities, Capability, Support};

/// A text that either lies in the bundled data or came with a configuration.
pub type Text = Cow<'static, str>;

named_list! {
    /// What a model is for.
    Kind, "model kind", {
        /// Conversations through a chat endpoint.
        Chat = "chat",
        /// Conversations, but only through the responses endpoint.
        Responses = "responses",
        /// Continuing a bare text.
        Completion = "completion",
        /// Vectors for texts.
        Embedding = "embedding",
        /// Making or editing pictures.
        Image = "image",
        /// Making films.
        Video = "video",
        /// Audio to text.
        Transcription = "transcription",
        /// Text to audio.
        Speech = "speech",
        /// Conversations over an open audio connection.
        Realtime = "realtime",
        /// Ordering documents by relevance.
        Rerank = "rerank",
        /// Judging texts against a content policy.
        Moderation = "moderation",
        /// Reading pages.
        Ocr = "ocr",
        /// Anything else.
        Other = "other",
    }
}

named_list! {
    /// A named depth of reasoning.
    ReasoningEffort, "reasoning effort", {
        /// No reasoning.
        None = "none",
        /// As little as the model can do.
        Minimal = "minimal",
        /// Little.
        Low = "low",
        /// The usual amount.
        Medium = "medium",
        /// Much.
        High = "high",
        /// More than `high`.
        ExtraHigh = "xhigh",
        /// All the model can do.
        Max = "max",
    }
}

/// Two sources that contradict each other about one fact of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Which fact: `window`, `output`, `price.input` (see [`TokenClass::price_fact`](super::TokenClass::price_fact)), or a
    /// capability.
    pub fact: Text,
    /// What this entry says.
    pub taken: Text,
    /// What the other source says.
    pub other: Text,
}

/// One model as one provider offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    id: Text,
    /// Length of the provider's part of the id.
    provider_length: usize,
    /// What the model is for.
    pub kind: Kind,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// Tokens of the prompt, where they are limited apart from the window.
    pub max_input_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// What it charges.
    pub prices: Prices,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The reasoning efforts it is known to accept, by rising depth; empty when nobody says.
    pub reasoning_efforts: Vec<ReasoningEffort>,
    /// Length of the vectors an embedding model makes.
    pub embedding_dimensions: Option<u32>,
    /// The day it came out.
    pub released: Option<Date>,
    /// The day it was or will be switched off, or from which its provider calls it deprecated.
    pub retires: Option<Date>,
    /// Other names the provider accepts for it, without the provider's part.
    pub aliases: Vec<Text>,
    /// The page the facts were taken from.
    pub source: Option<Text>,
    /// Where the sources contradict each other.
    pub disagreements: Vec<Disagreement>,
}

/// An id without a provider's part or without a model's part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a model id from `{id}`: expected provider/model")]
pub struct ModelIdError {
    /// The id as given.
    pub id: String,
}

impl ModelEntry {
    /// An entry of which nothing but the id `provider/model` and the kind is known.
    ///
    /// # Errors
    /// [`ModelIdError`] when either part of the id is missing.
    pub fn new(id: impl Into<Text>, kind: Kind) -> Result<Self, ModelIdError> {
        let id = id.into();
        let provider_length = match id.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => provider.len(),
            _ => return Err(ModelIdError { id: id.into_owned() }),
        };
        Ok(Self {
            id,
            provider_length,
            kind,
            context_window: None,
            max_input_tokens: None,
            max_output_tokens: None,
            prices: Prices::default(),
            capabilities: Capabilities::UNKNOWN,
            reasoning_efforts: Vec::new(),
            embedding_dimensions: None,
            released: None,
            retires: None,
            aliases: Vec::new(),
            source: None,
            disagreements: Vec::new(),
        })
    }

    /// The canonical id, `provider/model`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The provider's part of the id.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.id.get(..self.provider_length).unwrap_or_default()
    }

    /// The name the provider itself uses; it may hold slashes.
    #[must_use]
    pub fn model(&self) -> &str {
        self.id.get(self.provider_length + 1..).unwrap_or_default()
    }

    /// What is known of one capability.
    #[must_use]
    pub const fn support(&self, capability: Capability) -> Support {
        self.capabilities.support(capability)
    }

    /// Whether a reasoning effort is accepted, as far as anyone has said.
    #[must_use]
    pub fn accepts_effort(&self, effort: ReasoningEffort) -> Support {
        if self.reasoning_efforts.contains(&effort) {
            Support::Yes
        } else if self.support(Capability::Reasoning) == Support::No || !self.reasoning_efforts.is_empty() {
            Support::No
        } else {
            Support::Unknown
        }
    }

    /// The longest prompt it takes, as far as known.
    #[must_use]
    pub fn prompt_limit(&self) -> Option<u64> {
        match (self.max_input_tokens, self.context_window) {
            (Some(input), Some(window)) => Some(input.min(window)),
            (input, window) => input.or(window),
        }
    }

    /// Whether it is switched off or deprecated on this day.
    #[must_use]
    pub fn is_retired(&self, today: Date) -> bool {
        self.retires.is_some_and(|day| day <= today)
    }
}
