//! What a provider can be asked for.
//!
//! Owns the list of endpoints and their names in presets. It must not know paths: those are in the presets.

use serde::Deserialize;

/// Something a provider can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Conversations.
    Chat,
    /// Conversations answered as a stream, where that is another path.
    ChatStream,
    /// The OpenAI responses API.
    Responses,
    /// Continuing a bare text.
    Completions,
    /// Vectors for texts.
    Embeddings,
    /// The size of a prompt.
    CountTokens,
    /// Judging texts.
    Moderations,
    /// Making pictures.
    Images,
    /// Making pictures from pictures and a text.
    ImageEdits,
    /// Making pictures from a picture.
    ImageVariations,
    /// Audio to text.
    Transcriptions,
    /// Audio to text in English.
    Translations,
    /// Text to audio.
    Speech,
    /// Ordering documents.
    Rerank,
    /// The list of models.
    Models,
    /// Files.
    Files,
    /// Batches.
    Batches,
}

impl Endpoint {
    /// Every endpoint.
    pub const EVERY: [Self; 17] = [
        Self::Chat,
        Self::ChatStream,
        Self::Responses,
        Self::Completions,
        Self::Embeddings,
        Self::CountTokens,
        Self::Moderations,
        Self::Images,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::Rerank,
        Self::Models,
        Self::Files,
        Self::Batches,
    ];

    /// The name in presets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::ChatStream => "chat_stream",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Moderations => "moderations",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::ImageVariations => "image_variations",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Speech => "speech",
            Self::Rerank => "rerank",
            Self::Models => "models",
            Self::Files => "files",
            Self::Batches => "batches",
        }
    }
}
