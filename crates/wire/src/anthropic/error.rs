//! Anthropic's error object, both ways.
//!
//! Owns the map from error types to failure classes and from our codes to error types. Must not decide what follows from a
//! failure. The provider's type decides before the status: inside a stream there is no status, and proxies change it.

use crate::json_text::JsonText;
use crate::sealed;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use trunkline_model::error::ClientError;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;

/// The body of an error, and of an `error` event.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

/// The error object itself.
#[derive(Deserialize)]
pub(super) struct ErrorObject {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

impl ErrorObject {
    /// The failure it stands for; `status` is missing inside streams.
    pub(super) fn into_failure(self, status: Option<u16>) -> Failure {
        let class = classify(&self.kind, &self.message, status);
        let message = if self.message.is_empty() {
            "the provider gave an error without a message".to_owned()
        } else {
            self.message
        };
        let mut failure = Failure::new(class, message).with_code(self.kind);
        failure.status = status;
        failure
    }
}

/// What an HTTP error of the provider means; the status alone decides when the body is not an error object.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => body.error.into_failure(Some(status)),
        Err(_) => {
            let message = format!("the provider answered status {status} without an error object");
            Failure::new(class_of_status(status), message).with_status(status)
        }
    }
}

fn classify(kind: &str, message: &str, status: Option<u16>) -> FailureClass {
    let says = |words: &str| contains_ignoring_case(message, words);
    match kind {
        "invalid_request_error" | "" if says("credit balance") => FailureClass::QuotaExhausted,
        "invalid_request_error" if says("prompt is too long") || says("exceed context limit") => {
            FailureClass::ContextTooLong
        }
        "invalid_request_error" if says("content filtering policy") => FailureClass::ContentRefused,
        // Whoever made the state takes it.
        "invalid_request_error" if sealed::is_refused(message) => FailureClass::Unsupported,
        // A proxy or an older version may use this type for other statuses.
        "invalid_request_error" => match status {
            Some(401 | 402 | 403 | 404 | 429) => class_of_status(status.unwrap_or_default()),
            _ => FailureClass::BadRequest,
        },
        "request_too_large" => FailureClass::RequestTooLarge,
        "authentication_error" | "permission_error" => FailureClass::Credentials,
        "billing_error" => FailureClass::QuotaExhausted,
        "not_found_error" => FailureClass::NotFound,
        "rate_limit_error" => FailureClass::RateLimited,
        "overloaded_error" => FailureClass::Overloaded,
        "api_error" | "timeout_error" => match status.map(class_of_status) {
            Some(FailureClass::Overloaded) => FailureClass::Overloaded,
            _ => FailureClass::Server,
        },
        _ => status.map_or(FailureClass::Server, class_of_status),
    }
}

/// What a status means where nothing else is known.
pub(crate) const fn class_of_status(status: u16) -> FailureClass {
    match status {
        401 | 403 => FailureClass::Credentials,
        402 => FailureClass::QuotaExhausted,
        404 => FailureClass::NotFound,
        413 => FailureClass::RequestTooLarge,
        429 => FailureClass::RateLimited,
        503 | 529 => FailureClass::Overloaded,
        408 | 409 | 425 => FailureClass::Server,
        400..=499 => FailureClass::BadRequest,
        500..=599 => FailureClass::Server,
        _ => FailureClass::Malformed,
    }
}

/// Whether `text` holds `words` (lower case), whatever its own case.
pub(crate) fn contains_ignoring_case(text: &str, words: &str) -> bool {
    text.as_bytes().windows(words.len()).any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
}

/// The whole body of an HTTP error for a client of this dialect.
#[must_use]
pub fn encode_error(error: &ClientError, request_id: RequestId) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    write_error(error, request_id, &mut out);
    out.freeze()
}

/// An `error` event for a stream that broke off.
pub fn encode_error_frame(error: &ClientError, request_id: RequestId, out: &mut BytesMut) {
    out.extend_from_slice(b"event: error\ndata: ");
    write_error(error, request_id, out);
    out.extend_from_slice(b"\n\n");
}

fn write_error(error: &ClientError, request_id: RequestId, out: &mut BytesMut) {
    let id = request_id.encode();
    out.open_object();
    out.field("type", "error");
    out.key("error");
    out.open_object();
    out.field("type", kind_of_status(error.http_status()));
    out.field("message", &error.message);
    out.field("code", error.code.name());
    if let Some(parameter) = &error.parameter {
        out.field("param", parameter);
    }
    if !error.attempts.is_empty() {
        out.key("attempts");
        out.open_array();
        for attempt in &error.attempts {
            out.string(attempt);
        }
        out.close_array();
    }
    out.close_object();
    out.field("request_id", std::str::from_utf8(&id).expect("ids are ASCII"));
    out.close_object();
}

const fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::error::ErrorCode;

    #[test]
    fn errors_have_the_right_class() {
        let object = |kind: &str, message: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#
            )
        };
        let cases = [
            (400, object("invalid_request_error", "messages: at least one message is required")),
            (400, object("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
            (
                400,
                object(
                    "invalid_request_error",
                    "input length and `max_tokens` exceed context limit: 1 + 2 > 3",
                ),
            ),
            (400, object("invalid_request_error", "Your credit balance is too low to access the API")),
            (400, object("invalid_request_error", "Output blocked by content filtering policy")),
            (401, object("authentication_error", "invalid x-api-key")),
            (402, object("billing_error", "x")),
            (403, object("permission_error", "x")),
            (404, object("not_found_error", "model: nope")),
            (413, object("request_too_large", "x")),
            (429, object("rate_limit_error", "x")),
            (500, object("api_error", "x")),
            (504, object("timeout_error", "x")),
            (529, object("overloaded_error", "")),
            (418, object("teapot_error", "x")),
            (502, "<html>Bad gateway</html>".to_owned()),
            (503, String::new()),
            (200, "{}".to_owned()),
        ];
        let lines: Vec<String> = cases
            .iter()
            .map(|(status, body)| {
                let failure = decode_error(*status, body.as_bytes());
                format!("{status} {}: {}", failure.class.name(), failure.message)
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn clients_get_the_dialects_own_object() {
        let mut error = ClientError::new(ErrorCode::UpstreamFailed, "every attempt failed \"so\"");
        error.attempts = vec!["one: 500".to_owned()];
        let body = encode_error(&error, RequestId::from_bits(7));
        insta::assert_snapshot!(std::str::from_utf8(&body).unwrap(), @r#"{"type":"error","error":{"type":"api_error","message":"every attempt failed \"so\"","code":"upstream_failed","attempts":["one: 500"]},"request_id":"00000000000000000000000007"}"#);
        let mut out = BytesMut::new();
        let error = ClientError::new(ErrorCode::InvalidRequest, "wrong").at("messages[0]");
        encode_error_frame(&error, RequestId::from_bits(7), &mut out);
        insta::assert_snapshot!(std::str::from_utf8(&out).unwrap(), @r#"
        event: error
        data: {"type":"error","error":{"type":"invalid_request_error","message":"wrong","code":"invalid_request","param":"messages[0]"},"request_id":"00000000000000000000000007"}
        "#);
    }
}
