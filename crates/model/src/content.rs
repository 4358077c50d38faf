//! Messages and their parts in canonical form.
//!
//! Owns the union of what the dialects can say in a conversation, each thing once. Must not know how any of them spells it.
//! Order is kept as the client sent it: where a target wants another order (system first, tool results grouped), its
//! encoder rearranges.

use crate::dialect::Dialect;
use crate::json::Json;
use crate::text::Text;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the operator.
    System,
    /// Instructions of the application developer (OpenAI's newer name; same standing as system elsewhere).
    Developer,
    /// The end user. Tool results live in messages of role `Tool`, whatever the dialect.
    User,
    /// The model.
    Assistant,
    /// Results of tool calls; parts are `ToolResult` only.
    Tool,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The participant's name, where the dialect has one.
    pub name: Option<String>,
}

impl Message {
    /// A message of one text.
    pub fn text(role: Role, text: impl Into<Text>) -> Self {
        Self { role, parts: vec![Part::text(text)], name: None }
    }
}

/// One part of a message: its content, and what hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// Where the prompt cache may cut after this part.
    pub cache: Option<CacheMark>,
    /// Provider state attached to this very part (thought signatures), returned unchanged or stripped with a warning.
    pub opaque: Option<Opaque>,
}

impl Part {
    /// A part with nothing hanging on it.
    #[must_use]
    pub const fn new(content: Content) -> Self {
        Self { content, cache: None, opaque: None }
    }

    /// A text part.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::new(Content::Text(text.into()))
    }
}

/// A request to cache the prompt up to here (Anthropic `cache_control`, Converse `cachePoint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheMark {
    /// Five minutes.
    Short,
    /// One hour.
    Long,
}

/// Opaque provider state: never read, never edited, only returned to the kind of provider that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// The dialect of the provider that made it.
    pub origin: Dialect,
    /// The value, byte for byte.
    pub value: String,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text.
    Text(Text),
    /// A picture.
    Image(Media),
    /// A document (PDF, plain text).
    Document(Media),
    /// Sound.
    Audio(Media),
    /// Moving pictures.
    Video(Media),
    /// The model asks for a tool.
    ToolCall(ToolCall),
    /// What a tool gave.
    ToolResult(ToolResult),
    /// Visible reasoning; its signature is the part's `opaque`.
    Thinking(String),
    /// Reasoning that only its provider can read; the data is the part's `opaque`.
    RedactedThinking,
    /// The model declined, in words.
    Refusal(Text),
    /// A part that only one dialect knows, kept as it came.
    Other {
        /// The dialect it came in.
        origin: Dialect,
        /// The part's own type name.
        kind: String,
        /// The whole part.
        json: Json,
    },
}

/// A file in a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Where its bytes are.
    pub source: MediaSource,
    /// MIME type, where known.
    pub media_type: Option<String>,
    /// File name or title.
    pub name: Option<String>,
    /// OpenAI's `detail` for images.
    pub detail: Option<String>,
}

/// The kinds of files a prompt can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A document.
    Document,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

impl MediaKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Image, Self::Document, Self::Audio, Self::Video];
}

impl Content {
    /// The file a part holds, if it holds one.
    #[must_use]
    pub const fn media(&self) -> Option<(MediaKind, &Media)> {
        match self {
            Self::Image(media) => Some((MediaKind::Image, media)),
            Self::Document(media) => Some((MediaKind::Document, media)),
            Self::Audio(media) => Some((MediaKind::Audio, media)),
            Self::Video(media) => Some((MediaKind::Video, media)),
            _ => None,
        }
    }

    /// As [`Content::media`], to be changed.
    pub const fn media_mut(&mut self) -> Option<(MediaKind, &mut Media)> {
        match self {
            Self::Image(media) => Some((MediaKind::Image, media)),
            Self::Document(media) => Some((MediaKind::Document, media)),
            Self::Audio(media) => Some((MediaKind::Audio, media)),
            Self::Video(media) => Some((MediaKind::Video, media)),
            _ => None,
        }
    }
}

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaSource {
    /// Here, base64 as it came (standard alphabet, padded).
    Base64(Text),
    /// Behind a URL.
    Url(String),
    /// In the provider's own file store.
    FileId(String),
    /// Here, as plain text (Anthropic's text documents).
    Text(Text),
}

/// A call the model asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// Unique in the conversation; made up by the decoder where the dialect has none.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// An object, as text.
    pub arguments: Json,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: String,
    /// The tool's name, where the dialect repeats it.
    pub name: Option<String>,
    /// The content: text, images, documents.
    pub parts: Vec<Part>,
    /// The tool failed.
    pub is_error: bool,
}
