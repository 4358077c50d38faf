//! From a dialect to its codec.
//!
//! Owns the one `match` on `Dialect` per function; adding a dialect is one module and one arm in each. Must not know what
//! any codec does.

use crate::codec::{
    BadRequest, Decode, EmbeddingForm, Encode, EncodeContext, EncodeError, Encoded, Envelope, Observe,
    PathParts, Profile,
};
use crate::effort::ReasoningPlace;
use crate::frame::Framing;
use crate::names::{FittedNames, NameRule};
use crate::pieces;
use crate::source::Source;
use crate::splice::Edits;
use crate::{anthropic, cohere, converse, gemini, mistral, openai, responses};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::error::ClientError;
use trunkline_model::failure::Failure;
use trunkline_model::id::RequestId;
use trunkline_model::request::Request;

pub use crate::scan::{PromptText, envelope, prompt_text};

/// Reads a client's request.
///
/// # Errors
/// What is wrong with the body, by path or byte offset.
pub fn decode_request<'a>(
    dialect: Dialect,
    operation: Operation,
    body: impl Into<Source<'a>>,
    path: &PathParts,
) -> Result<Request, BadRequest> {
    let body = body.into();
    match dialect {
        Dialect::OpenAi => openai::decode_request(operation, body, path),
        Dialect::Anthropic => anthropic::decode_request(operation, body, path),
        Dialect::Gemini => gemini::decode_request(operation, body, path),
        Dialect::Responses => responses::decode_request(operation, body, path),
        Dialect::Converse => converse::decode_request(operation, body.bytes(), path),
        Dialect::Cohere => cohere::decode_request(operation, body.bytes(), path),
        Dialect::Mistral => mistral::decode_request(operation, body.bytes(), path),
    }
}

/// An encoder of answers for a client of that dialect.
#[must_use]
pub fn encoder(
    dialect: Dialect,
    operation: Operation,
    delivery: Delivery,
    context: EncodeContext,
) -> Box<dyn Encode> {
    match dialect {
        Dialect::OpenAi => openai::encoder(operation, delivery, context),
        Dialect::Anthropic => anthropic::encoder(operation, delivery, context),
        Dialect::Gemini => gemini::encoder(operation, delivery, context),
        Dialect::Responses => responses::encoder(operation, delivery, context),
        Dialect::Converse => converse::encoder(operation, delivery, context),
        Dialect::Cohere => cohere::encoder(operation, delivery, context),
        Dialect::Mistral => mistral::encoder(operation, delivery, context),
    }
}

/// The body of an HTTP error for a client of that dialect.
#[must_use]
pub fn encode_error(dialect: Dialect, error: &ClientError, request_id: RequestId) -> Bytes {
    match dialect {
        Dialect::OpenAi => openai::encode_error(error, request_id),
        Dialect::Anthropic => anthropic::encode_error(error, request_id),
        Dialect::Gemini => gemini::encode_error(error, request_id),
        Dialect::Responses => responses::encode_error(error, request_id),
        Dialect::Converse => converse::encode_error(error, request_id),
        Dialect::Cohere => cohere::encode_error(error, request_id),
        Dialect::Mistral => mistral::encode_error(error, request_id),
    }
}

/// The error event that ends a broken stream for a client of that dialect. `number` is its place, in dialects that number events.
pub fn encode_error_frame(
    dialect: Dialect,
    error: &ClientError,
    request_id: RequestId,
    number: u64,
    out: &mut BytesMut,
) {
    match dialect {
        Dialect::OpenAi => openai::encode_error_frame(error, request_id, out),
        Dialect::Anthropic => anthropic::encode_error_frame(error, request_id, out),
        Dialect::Gemini => gemini::encode_error_frame(error, request_id, out),
        Dialect::Responses => responses::encode_error_frame(error, request_id, number, out),
        Dialect::Converse => converse::encode_error_frame(error, request_id, out),
        Dialect::Cohere => cohere::encode_error_frame(error, request_id, out),
        Dialect::Mistral => mistral::encode_error_frame(error, request_id, out),
    }
}

/// Writes a request for a provider of that dialect.
///
/// # Errors
/// What the target cannot express.
pub fn encode_request(
    dialect: Dialect,
    request: &Request,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    pieces::encode(request, |request| encode_whole(dialect, request, profile, delivery))
}

fn encode_whole(
    dialect: Dialect,
    request: &Request,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    match dialect {
        Dialect::OpenAi => openai::encode_request(request, profile, delivery),
        Dialect::Anthropic => anthropic::encode_request(request, profile, delivery),
        Dialect::Gemini => gemini::encode_request(request, profile, delivery),
        Dialect::Responses => responses::encode_request(request, profile, delivery),
        Dialect::Converse => converse::encode_request(request, profile, delivery),
        Dialect::Cohere => cohere::encode_request(request, profile, delivery),
        Dialect::Mistral => mistral::encode_request(request, profile, delivery),
    }
}

/// A decoder of answers from a provider of that dialect.
#[must_use]
pub fn decoder(dialect: Dialect, operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    match dialect {
        Dialect::OpenAi => openai::decoder(operation, delivery),
        Dialect::Anthropic => anthropic::decoder(operation, delivery),
        Dialect::Gemini => gemini::decoder(operation, delivery),
        Dialect::Responses => responses::decoder(operation, delivery),
        Dialect::Converse => converse::decoder(operation, delivery),
        Dialect::Cohere => cohere::decoder(operation, delivery),
        Dialect::Mistral => mistral::decoder(operation, delivery),
    }
}

/// An observer of answers that pass between a client and a provider of that dialect.
#[must_use]
pub fn observer(
    dialect: Dialect,
    operation: Operation,
    delivery: Delivery,
    client_wants_usage: bool,
) -> Box<dyn Observe> {
    match dialect {
        Dialect::OpenAi => openai::observer(operation, delivery, client_wants_usage),
        Dialect::Anthropic => anthropic::observer(operation, delivery, client_wants_usage),
        Dialect::Gemini => gemini::observer(operation, delivery, client_wants_usage),
        Dialect::Responses => responses::observer(operation, delivery, client_wants_usage),
        Dialect::Converse => converse::observer(operation, delivery, client_wants_usage),
        Dialect::Cohere => cohere::observer(operation, delivery, client_wants_usage),
        Dialect::Mistral => mistral::observer(operation, delivery, client_wants_usage),
    }
}

/// Reads the error answer of a provider of that dialect.
#[must_use]
pub fn decode_error(dialect: Dialect, status: u16, body: &[u8]) -> Failure {
    match dialect {
        Dialect::OpenAi => openai::decode_error(status, body),
        Dialect::Anthropic => anthropic::decode_error(status, body),
        Dialect::Gemini => gemini::decode_error(status, body),
        Dialect::Responses => responses::decode_error(status, body),
        Dialect::Converse => converse::decode_error(status, body),
        Dialect::Cohere => cohere::decode_error(status, body),
        Dialect::Mistral => mistral::decode_error(status, body),
    }
}

/// The header in which providers of that dialect name an error, where the body does not.
#[must_use]
pub const fn error_header(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Converse => Some(converse::ERROR_HEADER),
        _ => None,
    }
}

/// Reads the error answer of a provider of that dialect whose name stood in [`error_header`].
#[must_use]
pub fn decode_named_error(dialect: Dialect, status: u16, name: &str, body: &[u8]) -> Failure {
    match dialect {
        Dialect::Converse => converse::decode_named_error(status, name, body),
        _ => decode_error(dialect, status, body),
    }
}

/// What changes of a body that passes between a client and a provider of that dialect.
#[must_use]
pub fn pass_edits(
    dialect: Dialect,
    envelope: &Envelope,
    body: &[u8],
    profile: &Profile,
    delivery: Delivery,
) -> Edits {
    match dialect {
        Dialect::OpenAi => openai::pass_edits(envelope, body, profile, delivery),
        Dialect::Anthropic => anthropic::pass_edits(envelope, body, profile, delivery),
        Dialect::Gemini => gemini::pass_edits(envelope, body, profile, delivery),
        Dialect::Responses => responses::pass_edits(envelope, body, profile, delivery),
        Dialect::Converse => converse::pass_edits(envelope, body, profile, delivery),
        Dialect::Cohere => cohere::pass_edits(envelope, body, profile, delivery),
        Dialect::Mistral => mistral::pass_edits(envelope, body, profile, delivery),
    }
}

/// Where a body of that dialect asks for reasoning.
#[must_use]
pub const fn reasoning_places(dialect: Dialect) -> &'static [ReasoningPlace] {
    use ReasoningPlace::{Field, Inside, Yields};
    match dialect {
        // The object is what some compatible providers take in place of the field.
        Dialect::OpenAi => &[
            Field("reasoning_effort"),
            Field("thinking"),
            Inside { object: &["reasoning"], field: &["effort", "max_tokens"] },
        ],
        Dialect::Responses => &[Inside { object: &["reasoning"], field: &["effort"] }],
        Dialect::Anthropic => &[
            Field("thinking"),
            Inside { object: &["output_config"], field: &["effort"] },
            Field("max_tokens"),
            Yields("temperature"),
            Yields("top_p"),
            Yields("top_k"),
        ],
        Dialect::Gemini => &[Inside {
            object: &["generationConfig", "generation_config"],
            field: &["thinkingConfig", "thinking_config"],
        }],
        // No client speaks these: bodies for them are always written anew.
        Dialect::Converse | Dialect::Cohere | Dialect::Mistral => &[],
    }
}

/// Writes a token count request for a provider of that dialect.
///
/// # Errors
/// What the target cannot express; OpenAI's dialect counts no tokens.
pub fn encode_count_request(
    dialect: Dialect,
    request: &Request,
    profile: &Profile,
) -> Result<Encoded, EncodeError> {
    match dialect {
        Dialect::OpenAi | Dialect::Cohere | Dialect::Mistral => Err(EncodeError::Unsupported {
            feature: "count_tokens".to_owned(),
            reason: "the dialect has no endpoint that counts tokens".to_owned(),
        }),
        Dialect::Anthropic => anthropic::encode_count_request(request, profile),
        Dialect::Converse => converse::encode_count_request(request, profile),
        Dialect::Gemini => gemini::encode_count_request(request, profile),
        Dialect::Responses => responses::encode_count_request(request, profile),
    }
}

/// Whether a body may pass between a client and a provider of that dialect; where not, it is translated, also to its own
/// dialect (state of another provider must be taken out).
#[must_use]
pub fn may_pass(
    dialect: Dialect,
    operation: Operation,
    envelope: &Envelope,
    body: &[u8],
    profile: &Profile,
) -> bool {
    match dialect {
        Dialect::OpenAi => openai::may_pass(operation, envelope, body, profile),
        Dialect::Anthropic => anthropic::may_pass(operation, envelope, body),
        Dialect::Gemini => gemini::may_pass(operation, envelope, body),
        Dialect::Responses => responses::may_pass(operation, envelope, body),
        Dialect::Converse => converse::may_pass(operation, envelope, body),
        Dialect::Cohere => cohere::may_pass(operation, envelope, body),
        Dialect::Mistral => mistral::may_pass(operation, envelope, body),
    }
}

/// The tools of a request whose names a provider of that dialect gets in another form.
#[must_use]
pub fn fitted_names(dialect: Dialect, request: &Request) -> FittedNames {
    let rule = match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => {
            NameRule::STRICT_64
        }
        Dialect::Gemini => NameRule { length: 64, dots: true },
        Dialect::Anthropic => NameRule::STRICT_128,
    };
    match request {
        Request::Chat(chat) => FittedNames::of(chat, rule),
        Request::Embeddings(_) | Request::Rerank(_) => FittedNames::default(),
    }
}

/// In which form a client of that dialect asked for embeddings.
#[must_use]
pub fn embedding_form(dialect: Dialect, envelope: &Envelope, body: &[u8]) -> EmbeddingForm {
    match dialect {
        Dialect::Gemini => gemini::embedding_form(envelope, body),
        _ => EmbeddingForm::default(),
    }
}

/// What answers of a dialect repeat of the request.
#[must_use]
pub fn echo(dialect: Dialect, envelope: &Envelope, body: &[u8]) -> Option<Arc<responses::Echo>> {
    match dialect {
        Dialect::Responses => Some(Arc::new(responses::Echo::read(envelope, body))),
        _ => None,
    }
}

/// How an answer of a provider of that dialect is cut into frames. Gemini is asked for server-sent events with `alt=sse`.
#[must_use]
pub const fn framing(dialect: Dialect, delivery: Delivery) -> Framing {
    match (dialect, delivery) {
        (_, Delivery::Plain) => Framing::Body,
        (Dialect::Converse, Delivery::Stream) => Framing::EventStream,
        (_, Delivery::Stream) => Framing::Sse,
    }
}
