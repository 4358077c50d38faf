//! Mistral's variant of chat completions and embeddings, provider side.
//!
//! Owns what Mistral asks for in its own way: it refuses every field it does not know with a 422, names the seed, the vectors'
//! length and the forced tool otherwise, takes documents and thoughts as chunks of a message, and wants identifiers of tool
//! calls to be nine letters and digits. Its answers are those of the OpenAI dialect, whose decoder also reads lists of chunks.
//! Must not serve clients: none speaks it. Source: Mistral's OpenAPI document.

mod embeddings;
mod error;
mod message;
mod request;

#[cfg(test)]
mod tests;

use crate::codec::{
    BadRequest, Decode, Encode, EncodeContext, EncodeError, Encoded, Envelope, Observe, PathParts, Profile,
};
use crate::openai;
use crate::rerank;
use crate::splice::Edits;
use std::borrow::Cow;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;

pub use error::decode_error;
pub use openai::{encode_error, encode_error_frame};

/// Reads a client's request.
///
/// # Errors
/// Always: no client speaks this dialect.
pub fn decode_request(_: Operation, _: &[u8], _: &PathParts) -> Result<Request, BadRequest> {
    Err(BadRequest::at("model", "no endpoint takes requests in this dialect"))
}

/// Writes a request.
///
/// # Errors
/// What Mistral cannot express.
pub fn encode_request(
    request: &Request,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    match request {
        Request::Chat(chat) => request::encode(chat, profile, delivery),
        Request::Embeddings(embeddings) => embeddings::encode(embeddings, profile),
        Request::Rerank(request) => rerank::encode(rerank::Form::Compatible, request, profile),
    }
}

/// Writes answers.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    openai::encoder(operation, delivery, context)
}

/// Reads answers.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    openai::decoder_of(Dialect::Mistral, operation, delivery)
}

/// Watches answers pass.
#[must_use]
pub fn observer(operation: Operation, delivery: Delivery, client_wants_usage: bool) -> Box<dyn Observe> {
    openai::observer(operation, delivery, client_wants_usage)
}

/// What changes of a body that passes.
#[must_use]
pub fn pass_edits(envelope: &Envelope, body: &[u8], profile: &Profile, delivery: Delivery) -> Edits {
    openai::pass_edits(envelope, body, profile, delivery)
}

/// Whether a body may pass: never, as no client writes bodies in this dialect.
#[must_use]
pub fn may_pass(_: Operation, _: &Envelope, _: &[u8]) -> bool {
    false
}

/// Why a refused parameter is left out.
const REFUSED: &str = "the target refuses it";
/// Why a parameter is left out that Mistral does not have.
const UNKNOWN: &str = "the target's dialect has nothing like it";

/// What the client is told.
#[derive(Default)]
struct Warnings {
    list: Vec<Warning>,
}

impl Warnings {
    /// Notes a feature left out.
    fn dropped(&mut self, feature: impl Into<Cow<'static, str>>, reason: &'static str) {
        self.list.push(Warning::dropped(feature, reason));
    }

    /// Notes a feature reached with other means.
    fn emulated(&mut self, feature: impl Into<Cow<'static, str>>, reason: &'static str) {
        self.list.push(Warning::emulated(feature, reason));
    }
}

/// What cannot be said to this target.
fn unsupported(feature: &str, reason: impl Into<String>) -> EncodeError {
    EncodeError::Unsupported { feature: feature.to_owned(), reason: reason.into() }
}
