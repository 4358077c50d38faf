//! Wire protocols and the operations they carry, by name only.
//!
//! Owns the two enums that select a codec. Must not know how any dialect is encoded: that is `wire`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A wire protocol, spoken by clients, providers or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI chat completions and its sibling endpoints (embeddings, models).
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// OpenAI responses.
    Responses,
    /// Bedrock Converse.
    Converse,
    /// Cohere chat (version 2), embed and rerank.
    Cohere,
    /// Mistral's variant of chat completions.
    Mistral,
}

impl Dialect {
    /// Every dialect, in the order of the glossary.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Responses,
        Self::Converse,
        Self::Cohere,
        Self::Mistral,
    ];
    /// Those in which clients may hold a conversation.
    pub const CLIENTS: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Responses];
    /// Those in which providers may be asked for one.
    pub const PROVIDERS: [Self; 7] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Responses,
        Self::Cohere,
        Self::Mistral,
        Self::Converse,
    ];

    /// The name used in configuration, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Responses => "responses",
            Self::Converse => "converse",
            Self::Cohere => "cohere",
            Self::Mistral => "mistral",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a request asks for; together with the dialect it selects the codec and the upstream path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A conversation turn: chat completions, messages, `generateContent`.
    Chat,
    /// Text to vectors.
    Embeddings,
    /// Size of a prompt in tokens, nothing generated.
    CountTokens,
    /// Documents ordered by what they have to do with a query.
    Rerank,
    /// A bare text continued.
    Completions,
    /// Texts judged against a content policy.
    Moderations,
    /// Pictures made from a text.
    Images,
    /// Pictures made from pictures and a text.
    ImageEdits,
    /// Pictures made from a picture alone.
    ImageVariations,
    /// Speech to text, in its own language.
    Transcriptions,
    /// Speech to text, in English.
    Translations,
    /// Text to speech.
    Speech,
    /// Anything a provider serves, passed as it is.
    Passthrough,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 13] = [
        Self::Chat,
        Self::Embeddings,
        Self::CountTokens,
        Self::Rerank,
        Self::Completions,
        Self::Moderations,
        Self::Images,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::Passthrough,
    ];

    /// Whether it exists in one form only, so that its bodies are relayed and never translated.
    #[must_use]
    pub const fn is_relayed(self) -> bool {
        matches!(
            self,
            Self::Moderations
                | Self::Images
                | Self::ImageEdits
                | Self::ImageVariations
                | Self::Transcriptions
                | Self::Translations
                | Self::Speech
        )
    }

    /// Whether a model makes its answer piece by piece, so that one in one piece comes when the last of it is made: minutes
    /// later, for long ones.
    #[must_use]
    pub const fn generates(self) -> bool {
        !matches!(self, Self::Embeddings | Self::CountTokens | Self::Rerank | Self::Moderations)
    }

    /// Whether what goes in and comes out is text, so that its size tells about how many tokens it has.
    #[must_use]
    pub const fn is_text(self) -> bool {
        (!self.is_relayed() && !matches!(self, Self::Passthrough)) || matches!(self, Self::Moderations)
    }

    /// Whether its body may be a form with files (`multipart/form-data`).
    #[must_use]
    pub const fn takes_forms(self) -> bool {
        matches!(self, Self::ImageEdits | Self::ImageVariations | Self::Transcriptions | Self::Translations)
    }

    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Rerank => "rerank",
            Self::Completions => "completions",
            Self::Moderations => "moderations",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::ImageVariations => "image_variations",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Speech => "speech",
            Self::Passthrough => "passthrough",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Whether an answer travels as one body or as a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// One body.
    Plain,
    /// Server-sent events.
    Stream,
}

impl Delivery {
    /// `Stream` when `stream` is true.
    #[must_use]
    pub const fn from_stream_flag(stream: bool) -> Self {
        if stream { Self::Stream } else { Self::Plain }
    }

    /// Whether the answer is a stream of events.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Stream)
    }
}
