//! Mistral's errors: a list of mistakes for a wrong request (`HTTPValidationError` of its OpenAPI document), one object with a
//! message and a number for everything else.
//!
//! Owns statuses and wording. The numbers are those that the vendor's servers were seen to send.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Inbound, Output, Refusal, refusal};

/// The refusal as a response.
pub(super) fn output(refusal: &Refusal, inbound: &Inbound) -> Output {
    let (status, body) = object(refusal, inbound);
    let output = Output::json(status, &body, 0);
    match refusal {
        Refusal::RateLimited { retry_after: Some(wait), .. } => {
            output.with_header("retry-after", &wait.as_secs_f64().ceil().to_string())
        }
        _ => output,
    }
}

/// Status and body.
pub(super) fn object(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, Value) {
    let said = |status: StatusCode, kind: &str, code: &str, message: String| {
        (status, json!({"object": "error", "message": message, "type": kind, "param": null, "code": code}))
    };
    match refusal {
        Refusal::Invalid(invalid) => {
            let mut place = vec![json!("body")];
            let steps =
                invalid.param.as_deref().unwrap_or_default().split('.').filter(|step| !step.is_empty());
            place.extend(
                steps.map(|step| step.parse::<u64>().map_or_else(|_| json!(step), |index| json!(index))),
            );
            let kind = invalid.code.unwrap_or("value_error");
            let mistake = json!({"type": kind, "loc": place, "msg": invalid.message, "input": null});
            (StatusCode::UNPROCESSABLE_ENTITY, json!({"detail": [mistake]}))
        }
        Refusal::MissingKey | Refusal::WrongKey(_) => {
            (StatusCode::UNAUTHORIZED, json!({"detail": "Unauthorized"}))
        }
        Refusal::Forbidden => (StatusCode::FORBIDDEN, json!({"detail": "Forbidden"})),
        Refusal::UnknownModel(model) => {
            said(StatusCode::BAD_REQUEST, "invalid_model", "1500", format!("Invalid model: {model}"))
        }
        Refusal::UnknownPath => (
            StatusCode::NOT_FOUND,
            json!({"message": "no Route matched with those values", "request_id": "simulated"}),
        ),
        Refusal::WrongMethod => (
            StatusCode::METHOD_NOT_ALLOWED,
            json!({"detail": format!("Method Not Allowed: {}", inbound.method)}),
        ),
        Refusal::RequestTimeout => {
            (StatusCode::REQUEST_TIMEOUT, json!({"detail": "The request was not received in time"}))
        }
        Refusal::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, json!({"message": "Request size limit exceeded"}))
        }
        Refusal::RateLimited { .. } => {
            said(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "1300", "Rate limit exceeded".to_owned())
        }
        Refusal::QuotaExhausted => said(
            StatusCode::PAYMENT_REQUIRED,
            "billing_error",
            "1400",
            "You exceeded your current quota, please check your billing".to_owned(),
        ),
        Refusal::ContextTooLong { limit, tokens } => said(
            StatusCode::BAD_REQUEST,
            "invalid_request_prompt_too_long",
            "3051",
            format!(
                "Prompt contains {tokens} tokens, too large for model with {limit} maximum context length"
            ),
        ),
        Refusal::ContentFiltered => said(
            StatusCode::FORBIDDEN,
            "content_policy_violation",
            "1803",
            "The request was flagged by moderation".to_owned(),
        ),
        Refusal::Internal => said(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_server_error",
            "1000",
            "Service unavailable.".to_owned(),
        ),
        Refusal::BadGateway => (StatusCode::BAD_GATEWAY, json!({"message": "Bad gateway"})),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, json!({"message": "Service unavailable"})),
        Refusal::Overloaded => (refusal::overloaded(), json!({"message": "Service overloaded"})),
    }
}
