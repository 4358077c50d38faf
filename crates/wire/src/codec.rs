//! The seam between dialects and everything else: what a codec takes and gives.
//!
//! Owns the traits and the values that cross them. Must not know any one dialect's words. Three roles on purpose:
//! a `Decode` understands an answer fully, an `Observe` only watches it pass (same dialect on both sides: bytes go through
//! untouched, and watching costs a fraction of decoding), an `Encode` writes the client's side.

use crate::responses::Echo;
use crate::scan::LongStrings;
use crate::tally::Tally;
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::{Event, Finish};
use trunkline_model::excerpt::Excerpt;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;
use trunkline_model::request::VectorEncoding;
use trunkline_model::shape::Shape;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// A client's body that is not what its dialect asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// One sentence: what is wrong, what is expected, where (path or byte offset).
    pub message: String,
    /// Path of the offending value, for example `messages[0].content`.
    pub path: Option<String>,
    /// Byte offset of a syntax error.
    pub offset: Option<usize>,
}

impl BadRequest {
    /// A wrong value at a path.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), path: Some(path.into()), offset: None }
    }

    /// What the client is told.
    #[must_use]
    pub fn into_client_error(self) -> ClientError {
        let mut error = ClientError::new(ErrorCode::InvalidRequest, self.message);
        error.parameter = self.path;
        error
    }
}

/// What the URL says of a request, for dialects that put it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathParts {
    /// The model in the path.
    pub model: Option<String>,
    /// Plain or streamed, by the path's verb.
    pub delivery: Option<Delivery>,
}

/// A request body looked at in one pass: enough to authenticate, decide and pass it on, without a tree.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The cheap facts.
    pub shape: Shape,
    /// The top-level fields in order, as byte ranges of the body.
    pub fields: Vec<Field>,
    /// The client asked for usage in the stream (always so in dialects whose streams always carry it).
    pub wants_stream_usage: bool,
    /// Where the long strings are, for a decoder that reads the body after all.
    pub strings: LongStrings,
}

impl Envelope {
    /// The last top-level field of that name (JSON parsers let the last duplicate win).
    #[must_use]
    pub fn field(&self, body: &[u8], name: &str) -> Option<&Field> {
        self.fields.iter().rev().find(|field| body.get(field.name.clone()) == Some(name.as_bytes()))
    }

    /// Refuses a body with a top-level field twice. What is decided here is decided by one of the two, and a provider might
    /// read the other.
    ///
    /// # Errors
    /// The field and where it stands.
    pub fn refuse_repeated(&self, body: &[u8]) -> Result<(), BadRequest> {
        let mut seen: SmallVec<[(Cow<'_, [u8]>, usize); 24]> = SmallVec::new();
        seen.extend(self.fields.iter().map(|field| (plain(&body[field.name.clone()]), field.name.start)));
        seen.sort_unstable();
        let repeated = seen.windows(2).find_map(|pair| match pair {
            [first, second] if first.0 == second.0 => Some((first, second)),
            _ => None,
        });
        let Some((first, second)) = repeated else { return Ok(()) };
        let name: String = String::from_utf8_lossy(&first.0).chars().take(100).collect();
        let (one, other) = (first.1, second.1);
        let message =
            format!("`{name}` stands in the body twice, at byte {one} and at byte {other}; leave one out");
        Err(BadRequest { message, path: Some(name), offset: Some(other) })
    }
}

/// A name without its escapes.
fn plain(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'\\') {
        return Cow::Borrowed(name);
    }
    let quoted = [&b"\""[..], name, b"\""].concat();
    serde_json::from_slice::<String>(&quoted)
        .map_or(Cow::Borrowed(name), |name| Cow::Owned(name.into_bytes()))
}

/// A top-level field of a JSON object, by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name without its quotes (raw, escapes not resolved).
    pub name: Range<usize>,
    /// The value, without surrounding blanks; strings with their quotes.
    pub value: Range<usize>,
}

/// What a target accepts, as far as encoders need it. Built once per deployment when the configuration compiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The model's name as the provider knows it.
    pub model: String,
    /// Bedrock's dialect: the name by which requests that order documents call the model; absent where that is the same.
    pub rerank_model: Option<String>,
    /// The most the model can generate; the default where the dialect requires a limit.
    pub max_output_tokens: Option<u64>,
    /// OpenAI-compatible targets: how the output limit is spelled.
    pub output_limit: OutputLimitName,
    /// Whether temperature, top_p and top_k are accepted.
    pub sampling: Support,
    /// Whether a JSON schema for the answer is accepted natively.
    pub json_schema: Support,
    /// Whether an answer may be begun for the model: a conversation that ends with words of its own.
    pub prefill: Support,
    /// How reasoning is asked for.
    pub reasoning: ReasoningStyle,
    /// OpenAI-compatible targets: whether they take OpenRouter's `reasoning` object, which can ask not to see any.
    pub reasoning_object: bool,
    /// Whether inline pictures may be given as URLs.
    pub image_urls: Support,
    /// OpenAI-compatible targets: whether `stream_options.include_usage` is accepted.
    pub stream_usage: bool,
    /// Parameters (top-level names in the target's dialect) the target refuses: left out with a warning.
    pub refused: Vec<String>,
    /// Parameters the target takes and does nothing with: sent, with a warning.
    pub ignored: Vec<String>,
    /// OpenAI-compatible targets: the most stop texts that are taken, where that is known.
    pub most_stops: Option<u32>,
    /// Parameters the target spells otherwise: `(ours, theirs)`.
    pub renamed: Vec<(String, String)>,
    /// Anthropic's dialect: whether a conversation's body names the model. Not so where the path does.
    pub model_in_body: bool,
    /// Anthropic's dialect: texts that every body carries besides: `(name, value)`.
    pub fixed: Vec<(String, String)>,
    /// Gemini's dialect: how vectors are asked for.
    pub embeddings_by: EmbeddingsBy,
}

/// How a provider of Gemini's dialect is asked for vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingsBy {
    /// `batchEmbedContents`, each request naming its model: as clients of the dialect write it.
    #[default]
    NamedBatch,
    /// `batchEmbedContents`, the model in the path alone and settings in `embedContentConfig`: Vertex AI.
    PlainBatch,
    /// `predict` over instances: Vertex AI's older models.
    Instances,
}

impl Profile {
    /// A profile that assumes nothing but the model's name.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            rerank_model: None,
            max_output_tokens: None,
            output_limit: OutputLimitName::MaxTokens,
            sampling: Support::Unknown,
            json_schema: Support::Unknown,
            prefill: Support::Unknown,
            reasoning: ReasoningStyle::Unknown,
            reasoning_object: false,
            image_urls: Support::Unknown,
            stream_usage: true,
            refused: Vec::new(),
            ignored: Vec::new(),
            most_stops: None,
            renamed: Vec::new(),
            model_in_body: true,
            fixed: Vec::new(),
            embeddings_by: EmbeddingsBy::NamedBatch,
        }
    }

    /// Whether the target takes bodies of an operation in the form in which clients of its dialect write them.
    #[must_use]
    pub fn takes_client_form(&self, operation: Operation) -> bool {
        operation != Operation::Embeddings || self.embeddings_by == EmbeddingsBy::NamedBatch
    }

    /// Whether the target refuses a parameter.
    #[must_use]
    pub fn refuses(&self, name: &str) -> bool {
        self.refused.iter().any(|refused| refused == name)
    }

    /// Whether the target does nothing with a parameter that it takes.
    #[must_use]
    pub fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored == name)
    }
}

/// How an OpenAI-compatible target spells the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLimitName {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens` (OpenAI's newer models refuse the other).
    MaxCompletionTokens,
}

/// How a target is asked to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningStyle {
    /// It cannot.
    None,
    /// Not known: passed as given.
    Unknown,
    /// By a named effort.
    Effort,
    /// By a token budget.
    Budget,
    /// Adaptive, steered by an effort.
    Adaptive,
    /// By a named level (Gemini 3 `thinkingLevel`).
    Level,
}

/// A request ready for the target.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The JSON body, or its beginning.
    pub body: Bytes,
    /// What follows it: long texts are shares of the body they came in, with what stands between them.
    pub rest: Vec<Bytes>,
    /// What did not pass unchanged.
    pub warnings: Vec<Warning>,
}

impl Encoded {
    /// A body in one piece.
    pub(crate) const fn new(body: Bytes, warnings: Vec<Warning>) -> Self {
        Self { body, rest: Vec::new(), warnings }
    }

    /// The whole body in one piece; copied where it is in several.
    #[must_use]
    pub fn whole(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.body.clone();
        }
        let pieces: Vec<&[u8]> = std::iter::once(&self.body).chain(&self.rest).map(AsRef::as_ref).collect();
        Bytes::from(pieces.concat())
    }
}

/// Why a request cannot be encoded for a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The target has nothing like it and leaving it out would change the meaning.
    #[error("{feature} cannot be expressed for this target: {reason}")]
    Unsupported {
        /// The client's parameter.
        feature: String,
        /// Why, and a way out.
        reason: String,
    },
    /// The request contradicts itself or the target's rules.
    #[error("{path}: {reason}")]
    Invalid {
        /// Path in the client's request.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// One unit of an upstream answer: an SSE event, an array element, or a whole plain body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The SSE event name; empty where there is none.
    pub event: &'a str,
    /// The payload: SSE data lines joined by newline, or the body.
    pub data: &'a [u8],
}

/// Reads a provider's answer into canonical events.
pub trait Decode: Send {
    /// Takes one frame and appends its events.
    ///
    /// # Errors
    /// The typed failure: `Malformed` for nonsense, or what an error event inside the stream says.
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure>;

    /// The body ended. Appends `End` if not yet given and the answer was complete.
    ///
    /// # Errors
    /// `Cut` when the provider never said that the answer is complete.
    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure>;
}

/// Watches a provider's answer pass through unchanged.
pub trait Observe: Send {
    /// Looks at one frame.
    ///
    /// # Errors
    /// As `Decode::frame`.
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure>;

    /// The body ended.
    ///
    /// # Errors
    /// `Cut` when the provider never said that the answer is complete.
    fn end(&mut self) -> Result<(), Failure>;

    /// What was learnt so far.
    fn summary(&self) -> &Summary;
}

/// The end of an answer that is one body: complete when that was read.
pub(crate) fn whole(is_read: bool) -> Result<(), Failure> {
    if is_read {
        return Ok(());
    }
    Err(Failure::new(FailureClass::Cut, "the provider's answer ended before its body came"))
}

/// What an observer tells of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It carries something of the answer: the commit point is the first such frame.
    pub semantic: bool,
    /// It is there only because we asked for it (usage the client did not ask for): do not pass it on.
    pub hide: bool,
}

/// What an observer learnt of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The last usage the provider gave.
    pub usage: Option<Usage>,
    /// Why the first answer ended.
    pub finish: Option<Finish>,
    /// The provider said the answer is complete.
    pub complete: bool,
    /// Bytes of answer text, for an estimate where the provider gives no usage.
    pub output_bytes: u64,
    /// How that text begins, as it stands in the answer (in JSON, with its escapes).
    pub beginning: Excerpt,
    /// The number of the next event, in dialects that number them.
    pub next_event: u64,
}

impl Summary {
    /// How the text begins, where its tokens may have to be estimated: the provider gave none, or not yet all.
    #[must_use]
    pub fn excerpt(&self) -> Excerpt {
        if self.usage.is_some() && self.complete { Excerpt::default() } else { self.beginning.clone() }
    }
}

/// What an encoder must know beyond the events.
#[derive(Clone, Debug)]
pub struct EncodeContext {
    /// Our id of the request: the answer's id is made from it where the provider gives none.
    pub request_id: RequestId,
    /// Unix seconds, for dialects that want a time.
    pub created: u64,
    /// The model's name shown where the provider gives none.
    pub model: String,
    /// The client asked for usage in the stream.
    pub stream_usage: bool,
    /// How embedding vectors are written.
    pub encoding: VectorEncoding,
    /// How embeddings were asked for, in dialects with two forms.
    pub embedding_form: EmbeddingForm,
    /// What the answer repeats of its request, in dialects whose answers do.
    pub echo: Option<Arc<Echo>>,
}

/// How embeddings were asked for (Gemini): the answer has the same form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingForm {
    /// A list of requests, answered by a list.
    #[default]
    Batch,
    /// One content, answered by one vector.
    Single,
}

/// Writes an answer in the client's dialect.
pub trait Encode: Send {
    /// Takes one event; a stream encoder appends what the client is to get now, a plain one collects.
    fn event(&mut self, event: &Event, out: &mut BytesMut);

    /// What the answer cost, just before the end: a stream encoder tells it in the event that carries usage. Plain answers
    /// have headers for it.
    fn tally(&mut self, _tally: Tally) {}

    /// The answer is complete (after `End`): a stream encoder appends its terminal event, a plain one the whole body.
    fn finish(&mut self, out: &mut BytesMut);

    /// What of the answer so far had no place in the dialect.
    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    /// The answer broke off: a stream encoder appends the dialect's error event and nothing that looks like an end.
    fn fail(&mut self, error: &ClientError, out: &mut BytesMut);
}
