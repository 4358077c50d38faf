//! Gemini's error object: `{"error": {code, message, status, details}}`.
//!
//! Owns codes, statuses and details. A blocked prompt is no error here but an answer without candidates. Source:
//! `google.rpc.Status` and the vendor's troubleshooting guide.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Inbound, Output, Piece, Refusal, Stamp, refusal};
use super::{Framing, framing, streams, target};

pub(super) fn output(refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Output {
    if *refusal == Refusal::ContentFiltered {
        return blocked(inbound);
    }
    let (status, body) = object(refusal, inbound);
    // A stream that is a JSON array wraps its error as it would its chunks.
    let wrapped = streams(inbound) && framing(inbound) == Framing::Array;
    let body = if wrapped { json!([body]) } else { body };
    Output::whole(status, "application/json; charset=UTF-8", Bytes::from(body.to_string()), 0)
}

fn blocked(inbound: &Inbound) -> Output {
    let model = target(&inbound.path).map_or("unknown", |target| target.model);
    let body = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}, "modelVersion": model});
    if !streams(inbound) {
        return Output::whole(
            StatusCode::OK,
            "application/json; charset=UTF-8",
            Bytes::from(body.to_string()),
            0,
        );
    }
    let framing = framing(inbound);
    let opening = if framing == Framing::Array { "[" } else { "" };
    let pieces =
        vec![Piece::frame(Bytes::from_static(opening.as_bytes())), Piece::ending(framing.last(&body))];
    Output::stream(framing.content_type(), pieces)
}

/// Status and body.
pub(super) fn object(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, Value) {
    let (status, name, message) = wording(refusal, inbound);
    let mut error = json!({"code": status.as_u16(), "message": message, "status": name});
    if let Some(details) = details(refusal) {
        error["details"] = details;
    }
    (status, json!({"error": error}))
}

fn details(refusal: &Refusal) -> Option<Value> {
    let info = |reason: &str| {
        json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"}})
    };
    match refusal {
        Refusal::WrongKey(_) => Some(json!([info("API_KEY_INVALID"), {
            "@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US",
            "message": "API key not valid. Please pass a valid API key."}])),
        Refusal::Invalid(invalid) if invalid.param.is_some() => Some(json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": invalid.param, "description": invalid.message}]}])),
        Refusal::RateLimited { retry_after, .. } => {
            let mut details =
                vec![json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
                "quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]})];
            details.extend(retry_after.map(retry_info));
            Some(Value::Array(details))
        }
        _ => None,
    }
}

fn retry_info(wait: Duration) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{}s", wait.as_secs_f64())})
}

fn wording(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, &'static str, String) {
    const INVALID: &str = "INVALID_ARGUMENT";
    let say = |status, name, message: &str| (status, name, message.to_owned());
    let target = target(&inbound.path);
    match refusal {
        Refusal::Invalid(invalid) => (StatusCode::BAD_REQUEST, INVALID, invalid.message.clone()),
        Refusal::MissingKey => say(
            StatusCode::FORBIDDEN,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
        ),
        Refusal::WrongKey(_) => {
            say(StatusCode::BAD_REQUEST, INVALID, "API key not valid. Please pass a valid API key.")
        }
        Refusal::Forbidden => {
            say(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "The caller does not have permission")
        }
        Refusal::UnknownModel(model) => {
            let (version, method) = target.map_or(("v1beta", ""), |target| (target.version, target.method));
            let message = format!(
                "models/{model} is not found for API version {version}, or is not supported for {method}. Call ListModels to see the list of available models and their supported methods."
            );
            (StatusCode::NOT_FOUND, "NOT_FOUND", message)
        }
        Refusal::UnknownPath | Refusal::WrongMethod => {
            say(StatusCode::NOT_FOUND, "NOT_FOUND", "Requested entity was not found.")
        }
        Refusal::RequestTimeout => {
            say(StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED", "Request timed out.")
        }
        Refusal::TooLarge => say(
            StatusCode::PAYLOAD_TOO_LARGE,
            INVALID,
            "Request payload size exceeds the limit: 20971520 bytes.",
        ),
        Refusal::RateLimited { .. } | Refusal::QuotaExhausted => say(
            StatusCode::TOO_MANY_REQUESTS,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
        ),
        Refusal::Internal => say(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
        ),
        Refusal::BadGateway => say(StatusCode::BAD_GATEWAY, "UNAVAILABLE", "Bad gateway."),
        Refusal::Unavailable => say(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "The model is overloaded. Please try again later.",
        ),
        Refusal::Overloaded => {
            say(refusal::overloaded(), "UNAVAILABLE", "The model is overloaded. Please try again later.")
        }
        Refusal::ContextTooLong { limit, tokens } => {
            let message = format!(
                "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit})."
            );
            (StatusCode::BAD_REQUEST, INVALID, message)
        }
        Refusal::ContentFiltered => say(StatusCode::BAD_REQUEST, INVALID, "The prompt was blocked."),
    }
}
