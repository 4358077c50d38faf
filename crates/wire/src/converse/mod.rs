//! The Bedrock Converse dialect, provider side: Converse, ConverseStream, CountTokens, embeddings through InvokeModel, Rerank.
//!
//! Owns everything that is spelled this dialect's way. Must not know how requests are signed or where they go. No client speaks
//! it here, so that side refuses. What the dialect leaves to each family of models (`additionalModelRequestFields`) is chosen
//! by the model's name, which carries the family by the service's own convention. Source: the service's model
//! (`bedrock-runtime` 2023-09-30) and its user guide.

mod answer_decode;
mod answer_plain;
mod block_encode;
mod citation;
mod embeddings;
mod error;
mod family;
mod media;
mod observe;
mod reasoning;
mod request_encode;
mod rerank;
mod tools;
mod turns;
mod usage;

use crate::codec::{
    BadRequest, Decode, Encode, EncodeContext, EncodeError, Encoded, Envelope, Observe, PathParts, Profile,
};
use crate::count::CountDecoder;
use crate::openai;
use crate::splice::Edits;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::request::Request;

pub use error::{decode_error, decode_named_error};
pub use openai::{encode_error, encode_error_frame};
pub use request_encode::encode_count_request;

/// The header that names the error of a refused request.
pub const ERROR_HEADER: &str = "x-amzn-errortype";

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
/// What the dialect cannot express, or refuses in this combination.
pub fn encode_request(request: &Request, profile: &Profile, _: Delivery) -> Result<Encoded, EncodeError> {
    match request {
        // Plain and streamed differ in the path alone.
        Request::Chat(chat) => request_encode::encode(chat, profile),
        Request::Embeddings(embeddings) => embeddings::encode(embeddings, profile),
        Request::Rerank(request) => rerank::encode(request, profile),
    }
}

/// Writes answers. No client asks for them in this dialect; the form is another's, so that there is one.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    openai::encoder(operation, delivery, context)
}

/// Reads answers.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    match (operation, delivery) {
        (Operation::CountTokens, _) => Box::new(CountDecoder::new(answer_plain::counted)),
        (Operation::Rerank, _) => Box::new(rerank::RerankDecoder::default()),
        (Operation::Embeddings, _) => Box::new(embeddings::VectorDecoder::default()),
        (_, Delivery::Stream) => Box::new(answer_decode::StreamDecoder::default()),
        (_, Delivery::Plain) => Box::new(answer_plain::PlainDecoder::default()),
    }
}

/// Watches answers pass. Usage is always part of them, so none is ever hidden.
#[must_use]
pub fn observer(operation: Operation, delivery: Delivery, _client_wants_usage: bool) -> Box<dyn Observe> {
    Box::new(observe::Watch::new(decoder(operation, delivery)))
}

/// What changes of a body that passes: none passes.
#[must_use]
pub fn pass_edits(_: &Envelope, _: &[u8], _: &Profile, _: Delivery) -> Edits {
    Edits::default()
}

/// Whether a body may pass.
#[must_use]
pub fn may_pass(_: Operation, _: &Envelope, _: &[u8]) -> bool {
    false
}

#[cfg(test)]
mod tests;
