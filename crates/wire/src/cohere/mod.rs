//! The Cohere dialect: chat (version 2), embed and rerank.
//!
//! Owns everything that is spelled this dialect's way. Must not know providers that speak it: what they need differently comes
//! in the profile. Until its codec is here, requests are refused by name and errors are those of the OpenAI dialect.

use crate::codec::{
    BadRequest, Decode, Encode, EncodeContext, EncodeError, Encoded, Envelope, Observe, PathParts, Profile,
};
use crate::openai;
use crate::splice::Edits;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::request::Request;

pub use openai::{decode_error, encode_error, encode_error_frame};

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
/// Always: the dialect has no codec.
pub fn encode_request(_: &Request, _: &Profile, _: Delivery) -> Result<Encoded, EncodeError> {
    Err(EncodeError::Unsupported {
        feature: "model".to_owned(),
        reason: "the provider's dialect is not spoken here".to_owned(),
    })
}

/// Writes answers.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    openai::encoder(operation, delivery, context)
}

/// Reads answers.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    openai::decoder(operation, delivery)
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

/// Whether a body may pass.
#[must_use]
pub fn may_pass(_: Operation, _: &Envelope, _: &[u8]) -> bool {
    false
}
