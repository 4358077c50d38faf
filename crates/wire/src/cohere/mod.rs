//! Cohere chat (version 2), embed and rerank.
//!
//! Owns what Cohere spells its own way: the reflection before tool calls (`tool_plan`), choices of tools in capitals, sampling
//! as `k` and `p`, a schema inside the JSON format, streams of typed events, vectors by type. Clients speak its rerank only.
//! Sources: Cohere's API reference (v2) and the types of its official client.

mod answer;
mod citation;
mod embeddings;
mod message;
mod request;
mod stream;

#[cfg(test)]
mod tests;

use crate::codec::{
    BadRequest, Decode, Encode, EncodeContext, EncodeError, Encoded, Envelope, Observe, PathParts, Profile,
};
use crate::openai;
use crate::rerank;
use crate::splice::Edits;
use crate::write::Object;
use bytes::Bytes;
use std::borrow::Cow;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::error::ClientError;
use trunkline_model::id::RequestId;
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;

pub use openai::{decode_error, encode_error_frame};

/// The body of an HTTP error: `{"id", "message"}`, and beside it what our errors say everywhere.
#[must_use]
pub fn encode_error(error: &ClientError, request_id: RequestId) -> Bytes {
    let mut out = Vec::with_capacity(256);
    let mut body = Object::open(&mut out);
    let id = request_id.encode();
    body.text("id", std::str::from_utf8(&id).unwrap_or_default());
    body.text("message", &error.message);
    body.text("code", error.code.name());
    if let Some(parameter) = &error.parameter {
        body.text("param", parameter);
    }
    body.close();
    Bytes::from(out)
}

/// Reads a client's request.
///
/// # Errors
/// What is wrong with it; no client converses in this dialect.
pub fn decode_request(operation: Operation, body: &[u8], _: &PathParts) -> Result<Request, BadRequest> {
    if operation == Operation::Rerank {
        return rerank::decode(body).map(Request::Rerank);
    }
    Err(BadRequest::at("model", "no endpoint takes conversations in this dialect"))
}

/// Writes a request.
///
/// # Errors
/// What Cohere cannot express.
pub fn encode_request(
    request: &Request,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    match request {
        Request::Chat(chat) => request::encode(chat, profile, delivery),
        Request::Embeddings(embeddings) => embeddings::encode(embeddings, profile),
        Request::Rerank(request) => rerank::encode(rerank::Form::Cohere, request, profile),
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
    match (operation, delivery) {
        (Operation::Embeddings, _) => Box::new(embeddings::Decoder::default()),
        (Operation::Rerank, _) => Box::new(rerank::Decoder::default()),
        (_, Delivery::Plain) => Box::new(answer::Decoder::default()),
        (_, Delivery::Stream) => Box::new(stream::Decoder::default()),
    }
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

/// Whether a body may pass: one that orders documents, as no client writes anything else in this dialect.
#[must_use]
pub fn may_pass(operation: Operation, envelope: &Envelope, body: &[u8]) -> bool {
    operation == Operation::Rerank && rerank::may_pass(envelope, body)
}

/// Why a refused parameter is left out.
const REFUSED: &str = "the target refuses it";
/// Why a parameter is left out that Cohere does not have.
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
