//! Errors of the responses dialect.
//!
//! Owns the error event of streams and the error object inside a failed response. The body of an HTTP error is that of the other
//! OpenAI dialect, and so are the words by which providers' errors are told apart.

use crate::openai;
use crate::write::Object;
use bytes::{Bytes, BytesMut};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;

/// The body of an HTTP error.
#[must_use]
pub fn encode_error(error: &ClientError, request_id: RequestId) -> Bytes {
    openai::encode_error(error, request_id)
}

/// Reads a provider's error answer.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    openai::decode_error(status, body)
}

/// The event that ends a broken stream which this crate did not write, under its number in the sequence.
pub fn encode_error_frame(error: &ClientError, request_id: RequestId, number: u64, out: &mut BytesMut) {
    write_event(error, request_id, number, out);
}

/// The `error` event. Its own fields are those of the specification; the official clients, which only raise at an `error` object,
/// get that too.
pub(super) fn write_event(error: &ClientError, request_id: RequestId, sequence: u64, out: &mut BytesMut) {
    out.extend_from_slice(b"event: error\ndata: ");
    let mut event = Object::open(out);
    event.text("type", "error");
    event.text("code", error.code.name());
    event.text("message", &error.message);
    match &error.parameter {
        Some(parameter) => event.text("param", parameter),
        None => event.raw("param", "null"),
    }
    event.whole("sequence_number", sequence);
    let body = openai::encode_error(error, request_id);
    // The body is `{"error":{…}}`: its inside is the field.
    if let Some(inside) = body.get(1..body.len().saturating_sub(1)) {
        event.out.extend_from_slice(b",");
        event.out.extend_from_slice(inside);
    }
    event.close();
    out.extend_from_slice(b"\n\n");
}

/// The code of a failed response, out of those of the specification.
pub(super) const fn response_code(error: &ClientError) -> &'static str {
    match error.code {
        ErrorCode::RateLimited | ErrorCode::UpstreamRateLimited => "rate_limit_exceeded",
        ErrorCode::InvalidRequest | ErrorCode::ContextTooLong | ErrorCode::ContentRefused => "invalid_prompt",
        _ => "server_error",
    }
}

/// The failure that a provider's failed response or error event names.
pub(super) fn failure_of(code: Option<&str>, message: Option<&str>) -> Failure {
    let class = match code.unwrap_or_default() {
        "rate_limit_exceeded" => FailureClass::RateLimited,
        "insufficient_quota" => FailureClass::QuotaExhausted,
        "context_length_exceeded" => FailureClass::ContextTooLong,
        "invalid_prompt" | "bio_policy" | "image_content_policy_violation" | "content_filter" => {
            FailureClass::ContentRefused
        }
        "server_overloaded" | "overloaded" => FailureClass::Overloaded,
        code if code.starts_with("invalid_") || code.contains("image") => FailureClass::BadRequest,
        _ => FailureClass::Server,
    };
    let failure = Failure::new(class, message.unwrap_or("the provider said that its answer failed"));
    match code {
        Some(code) => failure.with_code(code),
        None => failure,
    }
}
