//! From a `ClientError` to an HTTP answer: the only place where errors become responses.
//!
//! Owns status, headers and body of every refusal in the caller's own protocol. Must not decide what went wrong.

use crate::body::AnswerBody;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::RequestId;
use trunkline_wire::dispatch;

/// The header that names a request in every answer.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-trunkline-request-id");
/// The header that says whose fault an error is, for clients that do not parse bodies.
pub(crate) static ERROR_CODE: HeaderName = HeaderName::from_static("x-trunkline-error-code");
static ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
static OPENAI_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers with an error in a dialect.
#[must_use]
pub(crate) fn error(dialect: Dialect, id: RequestId, error: &ClientError) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(status(dialect, error)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Bodies repeat the status in some dialects.
    let told =
        (status == StatusCode::BAD_REQUEST).then(|| ClientError { status: Some(400), ..error.clone() });
    let body = dispatch::encode_error(dialect, told.as_ref().unwrap_or(error), id);
    let mut response = Response::new(AnswerBody::text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(&ERROR_CODE, HeaderValue::from_static(error.code.name()));
    identify(headers, dialect, id);
    if let Some(wait) = error.retry_after {
        // Whole seconds, rounded up: an early retry would be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        headers.insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(milliseconds));
    }
    if matches!(error.code, ErrorCode::Overloaded | ErrorCode::InvalidRequest) && error.http_status() == 413 {
        headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The status of an error in a dialect: Anthropic's own for overload is 529, by which its clients know the error, and where
/// the dialect has no 422, a provider's 422 is the 400 that the client knows.
#[must_use]
pub(crate) fn status(dialect: Dialect, error: &ClientError) -> u16 {
    match (dialect, error.code, error.http_status()) {
        (Dialect::Anthropic, ErrorCode::Overloaded, 503) => 529,
        (Dialect::Anthropic | Dialect::Gemini, ErrorCode::InvalidRequest, 422) => 400,
        (_, _, status) => status,
    }
}

/// Sets the request id under our name and under the dialect's own.
pub(crate) fn identify(headers: &mut HeaderMap, dialect: Dialect, id: RequestId) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&id.encode())) {
        identify_as(headers, dialect, value);
    }
}

/// As [`identify`], with the id written already.
pub(crate) fn identify_as(headers: &mut HeaderMap, dialect: Dialect, value: HeaderValue) {
    let own = match dialect {
        Dialect::Anthropic => &ANTHROPIC_REQUEST_ID,
        _ => &OPENAI_REQUEST_ID,
    };
    headers.insert(own, value.clone());
    headers.insert(&REQUEST_ID, value);
}

/// Answers with a JSON value.
#[must_use]
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<AnswerBody> {
    let text = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
    let mut response = Response::new(AnswerBody::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Answers with plain text.
#[must_use]
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
