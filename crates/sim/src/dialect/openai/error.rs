//! OpenAI's error object: `{"error": {message, type, param, code}}`, all four keys always there.
//!
//! Owns statuses, types, codes and wording as the vendor's error guide and its servers have them.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Inbound, Output, Refusal, Stamp, refusal};
use crate::limit::Scope;

/// The code of a refusal because something that a request names is not there: a 404 whose object has no code.
pub(super) const MISSING: &str = "missing";

/// The refusal as a response.
pub(super) fn output(refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Output {
    let (status, body) = object(refusal, inbound);
    let output = Output::json(status, &body, 0);
    match refusal {
        Refusal::RateLimited { retry_after: Some(wait), .. } => output
            .with_header("retry-after", &wait.as_secs_f64().ceil().to_string())
            .with_header("retry-after-ms", &wait.as_millis().to_string()),
        _ => output,
    }
}

/// Status and body.
pub(super) fn object(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, Value) {
    let (status, kind, code, message) = wording(refusal, inbound);
    let (param, code) = match refusal {
        Refusal::Invalid(invalid) if invalid.code == Some(MISSING) => (invalid.param.clone(), None),
        Refusal::Invalid(invalid) => (invalid.param.clone(), invalid.code),
        Refusal::ContextTooLong { .. } => (Some("messages".to_owned()), code),
        _ => (None, code),
    };
    (status, json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
}

type Wording = (StatusCode, &'static str, Option<&'static str>, String);

fn wording(refusal: &Refusal, inbound: &Inbound) -> Wording {
    const INVALID: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    let model = inbound.text("model").unwrap_or("unknown");
    let say = |status, kind, code, message: &str| (status, kind, code, message.to_owned());
    match refusal {
        Refusal::Invalid(invalid) if invalid.code == Some(MISSING) => {
            (StatusCode::NOT_FOUND, INVALID, None, invalid.message.clone())
        }
        Refusal::Invalid(invalid) => (StatusCode::BAD_REQUEST, INVALID, None, invalid.message.clone()),
        Refusal::MissingKey => say(StatusCode::UNAUTHORIZED, INVALID, None, MISSING_KEY),
        Refusal::WrongKey(key) => {
            let shown: String = key.chars().take(4).collect();
            let message = format!("Incorrect API key provided: {shown}***. {KEY_PAGE}");
            (StatusCode::UNAUTHORIZED, INVALID, Some("invalid_api_key"), message)
        }
        Refusal::Forbidden => say(
            StatusCode::FORBIDDEN,
            "request_forbidden",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
        ),
        Refusal::UnknownModel(model) => {
            let message = format!("The model `{model}` does not exist or you do not have access to it.");
            (StatusCode::NOT_FOUND, INVALID, Some("model_not_found"), message)
        }
        Refusal::UnknownPath => {
            let message = format!("Invalid URL ({} {})", inbound.method, inbound.path);
            (StatusCode::NOT_FOUND, INVALID, None, message)
        }
        Refusal::WrongMethod => {
            let message = format!(
                "Not allowed to {} on {} (HINT: Perhaps you meant to use a different HTTP method?)",
                inbound.method, inbound.path
            );
            (StatusCode::METHOD_NOT_ALLOWED, INVALID, Some("method_not_supported"), message)
        }
        Refusal::RequestTimeout => {
            say(StatusCode::REQUEST_TIMEOUT, SERVER, None, "Timed out waiting for the request.")
        }
        Refusal::TooLarge => {
            say(StatusCode::PAYLOAD_TOO_LARGE, INVALID, None, "The request body is too large.")
        }
        Refusal::RateLimited { scope, retry_after } => {
            let (kind, unit) = match scope {
                Scope::Requests => ("requests", "requests per min (RPM)"),
                Scope::Tokens => ("tokens", "tokens per min (TPM)"),
            };
            let again = retry_after
                .map_or_else(String::new, |wait| format!(" Please try again in {}s.", wait.as_secs_f64()));
            let message =
                format!("Rate limit reached for {model} in organization org-simulated on {unit}.{again}");
            (StatusCode::TOO_MANY_REQUESTS, kind, Some("rate_limit_exceeded"), message)
        }
        Refusal::QuotaExhausted => {
            let quota = "insufficient_quota";
            say(
                StatusCode::TOO_MANY_REQUESTS,
                quota,
                Some(quota),
                "You exceeded your current quota, please check your plan and billing details.",
            )
        }
        Refusal::ContextTooLong { limit, tokens } => {
            let message = format!(
                "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens. Please reduce the length of the messages."
            );
            (StatusCode::BAD_REQUEST, INVALID, Some("context_length_exceeded"), message)
        }
        Refusal::ContentFiltered => say(
            StatusCode::BAD_REQUEST,
            INVALID,
            Some("content_policy_violation"),
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt.",
        ),
        Refusal::Internal | Refusal::BadGateway | Refusal::Unavailable | Refusal::Overloaded => {
            let (status, message) = trouble(refusal);
            say(status, SERVER, None, message)
        }
    }
}

/// Failures on the server's side.
fn trouble(reason: &Refusal) -> (StatusCode, &'static str) {
    match reason {
        Refusal::BadGateway => (StatusCode::BAD_GATEWAY, "Bad gateway."),
        Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "The engine is currently overloaded, please try again later.")
        }
        Refusal::Overloaded => (refusal::overloaded(), "Site is overloaded."),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server had an error while processing your request. Sorry about that!",
        ),
    }
}

const MISSING_KEY: &str = "You didn't provide an API key. You need to provide your API key in an Authorization header \
    using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
const KEY_PAGE: &str = "You can find your API key at https://platform.openai.com/account/api-keys.";
