//! Anthropic's error object: `{"type": "error", "error": {type, message}, "request_id"}`.
//!
//! Owns statuses, types and wording. Source: the vendor's error guide and `ErrorResponse` of its SDK.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Inbound, Output, Refusal, Stamp, refusal};
use super::request_id;

pub(super) fn output(refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Output {
    let (status, body) = object(refusal, inbound, stamp);
    let output = Output::json(status, &body, 0);
    let retried =
        !matches!(refusal, Refusal::QuotaExhausted) && (status.as_u16() >= 429 || status.as_u16() == 408);
    let output = output.with_header("x-should-retry", if retried { "true" } else { "false" });
    match refusal {
        Refusal::RateLimited { retry_after: Some(wait), .. } => {
            output.with_header("retry-after", &wait.as_secs_f64().ceil().to_string())
        }
        _ => output,
    }
}

/// Status and body.
pub(super) fn object(refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> (StatusCode, Value) {
    let (status, kind, message) = wording(refusal, inbound);
    let error = json!({"type": kind, "message": message});
    (status, json!({"type": "error", "error": error, "request_id": request_id(stamp)}))
}

fn wording(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, &'static str, String) {
    let say = |status, kind, message: &str| (status, kind, message.to_owned());
    let invalid = |message: String| (StatusCode::BAD_REQUEST, "invalid_request_error", message);
    match refusal {
        Refusal::Invalid(wrong) => invalid(wrong.message.clone()),
        Refusal::MissingKey => {
            say(StatusCode::UNAUTHORIZED, "authentication_error", "x-api-key header is required")
        }
        Refusal::WrongKey(_) => say(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key"),
        Refusal::Forbidden => say(
            StatusCode::FORBIDDEN,
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        Refusal::UnknownModel(model) => (StatusCode::NOT_FOUND, "not_found_error", format!("model: {model}")),
        Refusal::UnknownPath => say(StatusCode::NOT_FOUND, "not_found_error", "Not found"),
        Refusal::WrongMethod => {
            let message = format!("Method Not Allowed: {}", inbound.method);
            (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
        }
        Refusal::RequestTimeout => say(StatusCode::REQUEST_TIMEOUT, "timeout_error", "Request timed out"),
        Refusal::TooLarge => {
            say(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", "Request exceeds the maximum size")
        }
        Refusal::RateLimited { .. } => say(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            "This request would exceed your organization's rate limit. Please try again later.",
        ),
        Refusal::QuotaExhausted => say(
            StatusCode::PAYMENT_REQUIRED,
            "billing_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
        ),
        Refusal::Internal => say(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "Internal server error"),
        Refusal::BadGateway => say(StatusCode::BAD_GATEWAY, "api_error", "Bad gateway"),
        Refusal::Unavailable => say(StatusCode::SERVICE_UNAVAILABLE, "api_error", "Service unavailable"),
        Refusal::Overloaded => say(refusal::overloaded(), "overloaded_error", "Overloaded"),
        Refusal::ContextTooLong { limit, tokens } => {
            invalid(format!("prompt is too long: {tokens} tokens > {limit} maximum"))
        }
        Refusal::ContentFiltered => invalid("Output blocked by content filtering policy".to_owned()),
    }
}
