//! The answer in canonical form: a stream of events.
//!
//! Owns the events all dialects decode to and encode from. A plain answer is the same events, collected. Must not know
//! framing. Rules of the stream:
//!
//! - `Start` first, once (error answers may have none). Then parts, each `PartStart`, any number of `Delta`, `PartEnd`.
//! - `part` numbers count up from 0 within one choice and never repeat. A decoder ends a part before it starts the next part
//!   of that choice, so encoders of sequential dialects need no buffer.
//! - `Citation` after its part began and before the `Finish` of its choice; before the part's end wherever the provider tells it
//!   in time.
//! - `Finish` once per choice, after its parts. `Usage` any time, any number of times: each replaces the one before.
//! - `End` last and only when the provider said the answer is complete. Bytes that stop without it are a cut.

use crate::citation::Citation;
use crate::content::Opaque;
use crate::json::Json;
use crate::usage::Usage;

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The provider began.
    Start {
        /// The provider's id of the answer.
        id: String,
        /// The model's name as the provider gives it.
        model: String,
        /// Unix seconds, where the provider gives them.
        created: Option<u64>,
    },
    /// A part begins.
    PartStart {
        /// Which of the answers.
        choice: u32,
        /// Number of the part in its choice.
        part: u32,
        /// What it will hold.
        kind: PartKind,
    },
    /// More of a part.
    Delta {
        /// Which of the answers.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The piece.
        delta: Delta,
    },
    /// A part is complete.
    PartEnd {
        /// Which of the answers.
        choice: u32,
        /// Number of the part.
        part: u32,
    },
    /// A source that the text of the answer rests on.
    Citation {
        /// Which of the answers.
        choice: u32,
        /// Number of the text part it hangs on; the last one begun, where the provider does not say.
        part: u32,
        /// What is cited, and where in the answer.
        citation: Box<Citation>,
    },
    /// Log-probabilities of the piece that follows; of the whole text in a plain answer.
    Logprobs {
        /// Which of the answers.
        choice: u32,
        /// In the form of chat completions, whichever dialect they came in: `{"content": [entries], "refusal": [entries]}`, an
        /// entry being `{"token", "logprob", "bytes", "top_logprobs"}`, either list absent or `null` where it has none. Where the
        /// provider numbers its tokens an entry also has a `token_id`.
        json: Json,
    },
    /// One of the answers is complete.
    Finish {
        /// Which of the answers.
        choice: u32,
        /// Why it ended.
        reason: Finish,
        /// The provider's own word for it.
        native: String,
        /// The stop text that ended it, where the provider says so.
        stop_sequence: Option<String>,
    },
    /// Tokens so far, replacing what was said before.
    Usage(Usage),
    /// A vector (embeddings only).
    Embedding {
        /// Which input.
        index: u32,
        /// The vector.
        values: Vec<f32>,
    },
    /// A document's place among the others (rerank only).
    Ranked {
        /// Which document of the request.
        index: u32,
        /// How relevant it is, 0 to 1 for most providers.
        score: f64,
        /// The document, where the provider repeats it.
        document: Option<Json>,
    },
    /// Something only the provider's own dialect knows.
    Extra {
        /// Its name there.
        name: String,
        /// As the provider wrote it.
        json: Json,
    },
    /// The provider said the answer is complete.
    End,
}

impl Event {
    /// Whether the event carries something of the answer itself: the commit point is the first such event.
    #[must_use]
    pub const fn is_semantic(&self) -> bool {
        match self {
            Self::Delta { delta, .. } => !delta.is_empty(),
            Self::PartStart { kind: PartKind::ToolCall { .. } | PartKind::RedactedThinking, .. }
            | Self::Citation { .. }
            | Self::Finish { .. }
            | Self::Embedding { .. }
            | Self::Ranked { .. }
            | Self::End => true,
            Self::PartStart { .. }
            | Self::Start { .. }
            | Self::PartEnd { .. }
            | Self::Logprobs { .. }
            | Self::Usage(_)
            | Self::Extra { .. } => false,
        }
    }
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Text.
    Text,
    /// Visible reasoning.
    Thinking,
    /// Reasoning that only its provider can read; its data comes as an `Opaque` delta.
    RedactedThinking,
    /// A tool call; arguments come as `Arguments` deltas.
    ToolCall {
        /// Unique in the answer.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// The model declines.
    Refusal,
}

/// A piece of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// More text (of a text, thinking or refusal part).
    Text(String),
    /// More of a tool call's arguments: a piece of JSON text.
    Arguments(String),
    /// The part's opaque state: signature or redacted data, whole.
    Opaque(Opaque),
}

impl Delta {
    const fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Arguments(text) => text.is_empty(),
            Self::Opaque(_) => false,
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The model was done, or a stop text came.
    Stop,
    /// The token limit.
    Length,
    /// It wants tools called.
    ToolCalls,
    /// A content filter, or the model itself, refused.
    ContentFilter,
    /// The provider paused a long turn; sending it back continues it.
    Pause,
    /// The provider broke its own answer off (malformed call, error): a failure, retried where possible.
    Error,
}

impl Finish {
    /// The name used in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Pause => "pause",
            Self::Error => "error",
        }
    }
}
