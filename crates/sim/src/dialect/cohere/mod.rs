//! The Cohere dialect: chat (version 2), embed, rerank, models.
//!
//! Owns paths, keys and headers; requests are read in `chat`, answers written in `answer`, the rest in `search`. Sources: the
//! vendor's API reference and the types of its official client.

mod answer;
mod chat;
mod search;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp, insert, refusal};
use crate::chance::{Chance, HEXADECIMAL};
use crate::config::SimConfig;

/// The dialect.
#[derive(Debug)]
pub(crate) struct Cohere;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Embed,
    Rerank,
    Models,
}

fn endpoint(inbound: &Inbound) -> Option<Endpoint> {
    match inbound.path.trim_end_matches('/') {
        "/v2/chat" => Some(Endpoint::Chat),
        "/v2/embed" => Some(Endpoint::Embed),
        "/v2/rerank" | "/v1/rerank" => Some(Endpoint::Rerank),
        "/v1/models" => Some(Endpoint::Models),
        _ => None,
    }
}

impl Dialect for Cohere {
    fn claims(&self, inbound: &Inbound) -> bool {
        endpoint(inbound).is_some_and(|endpoint| endpoint != Endpoint::Models)
    }

    fn model(&self, inbound: &Inbound) -> Option<String> {
        inbound.text("model").map(str::to_owned)
    }

    fn credential(&self, inbound: &Inbound) -> Option<String> {
        inbound.bearer().map(str::to_owned)
    }

    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
        let endpoint = endpoint(inbound).ok_or(Refusal::UnknownPath)?;
        let expected = if endpoint == Endpoint::Models { Method::GET } else { Method::POST };
        if inbound.method != expected {
            return Err(Refusal::WrongMethod);
        }
        match endpoint {
            Endpoint::Chat => Ok(answer::chat(&chat::read(body(inbound)?, context)?, context)),
            Endpoint::Embed => search::embed(body(inbound)?, context),
            Endpoint::Rerank => search::rerank(body(inbound)?, context),
            Endpoint::Models => Ok(models(context.config)),
        }
    }

    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Output {
        let (status, message) = wording(refusal, inbound);
        let output = Output::json(status, &json!({"id": identifier(stamp), "message": message}), 0);
        match refusal {
            Refusal::RateLimited { retry_after: Some(wait), .. } => {
                output.with_header("retry-after", &wait.as_secs_f64().ceil().to_string())
            }
            _ => output,
        }
    }

    fn refuse_in_stream(&self, refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Bytes {
        let message = wording(refusal, inbound).1;
        event(&json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}}))
    }

    fn malformed(&self, _inbound: &Inbound) -> Bytes {
        Bytes::from_static(b"event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"del\n\n")
    }

    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp) {
        insert(headers, "x-debug-trace-id", &Chance::new(stamp.seed).identifier("", HEXADECIMAL, 32));
        let headroom = &stamp.headroom;
        insert(headers, "x-endpoint-monthly-call-limit", "1000");
        insert(headers, "x-trial-endpoint-call-limit", &headroom.limit_requests.to_string());
        insert(headers, "x-trial-endpoint-call-remaining", &headroom.remaining_requests.to_string());
    }
}

fn identifier(stamp: &Stamp) -> String {
    Chance::new(stamp.seed).identifier("", HEXADECIMAL, 32)
}

/// Status and message of a refusal.
fn wording(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, String) {
    let say = |status: StatusCode, message: &str| (status, message.to_owned());
    match refusal {
        Refusal::Invalid(invalid) => say(StatusCode::BAD_REQUEST, &invalid.message),
        Refusal::MissingKey => say(StatusCode::UNAUTHORIZED, "no api key supplied"),
        Refusal::WrongKey(_) => say(StatusCode::UNAUTHORIZED, "invalid api token"),
        Refusal::Forbidden => say(StatusCode::FORBIDDEN, "your organization may not use this endpoint"),
        Refusal::UnknownModel(model) => (
            StatusCode::NOT_FOUND,
            format!(
                "model '{model}' not found, make sure the correct model ID was used and that you have access to the model."
            ),
        ),
        Refusal::UnknownPath => (StatusCode::NOT_FOUND, format!("no such path: {}", inbound.path)),
        Refusal::WrongMethod => say(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        Refusal::RequestTimeout => say(StatusCode::REQUEST_TIMEOUT, "the request was not received in time"),
        Refusal::TooLarge => say(StatusCode::PAYLOAD_TOO_LARGE, "request body is too large"),
        Refusal::RateLimited { .. } => say(
            StatusCode::TOO_MANY_REQUESTS,
            "trial token rate limit exceeded, limit is 20 api calls per minute",
        ),
        Refusal::QuotaExhausted => say(
            StatusCode::PAYMENT_REQUIRED,
            "please add or update your payment method to continue, billing limit reached",
        ),
        Refusal::ContextTooLong { limit, tokens } => (
            StatusCode::BAD_REQUEST,
            format!(
                "too many tokens: total number of tokens in the prompt cannot exceed {limit} - received {tokens}."
            ),
        ),
        // 498 is the vendor's own: blocked input or output.
        Refusal::ContentFiltered => (
            StatusCode::from_u16(498).unwrap_or(StatusCode::BAD_REQUEST),
            "invalid request: blocked input, the text was flagged as potentially violating".to_owned(),
        ),
        Refusal::Internal => {
            say(StatusCode::INTERNAL_SERVER_ERROR, "internal server error, this has been reported")
        }
        Refusal::BadGateway => say(StatusCode::BAD_GATEWAY, "bad gateway"),
        Refusal::Unavailable => say(StatusCode::SERVICE_UNAVAILABLE, "service unavailable, please try again"),
        Refusal::Overloaded => (refusal::overloaded(), "overloaded, please try again".to_owned()),
    }
}

/// What is wrong with a request.
fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::invalid(format!("invalid request: {}", message.into()))
}

fn body(inbound: &Inbound) -> Result<&Map<String, Value>, Refusal> {
    inbound.json().ok().and_then(Value::as_object).ok_or_else(|| wrong("the body is not a JSON object"))
}

/// Refuses a member that the endpoint does not know, and the lack of one that it needs.
fn check_members(body: &Map<String, Value>, needed: &[&str], others: &[&str]) -> Result<(), Refusal> {
    for name in needed {
        if body.get(*name).is_none_or(Value::is_null) {
            return Err(wrong(format!("{name} is required.")));
        }
    }
    match body.keys().find(|name| !needed.contains(&name.as_str()) && !others.contains(&name.as_str())) {
        Some(unknown) => Err(wrong(format!("unknown field: parameter '{unknown}' is not a valid field"))),
        None => Ok(()),
    }
}

/// A named server-sent event.
fn event(value: &Value) -> Bytes {
    Bytes::from(format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default()))
}

const NAMES: &[&str] =
    &["command-a-03-2025", "command-r7b-12-2024", "command-a-reasoning-08-2025", "embed-v4.0", "rerank-v3.5"];

fn names(config: &SimConfig) -> Vec<&str> {
    if config.models.is_empty() { NAMES.to_vec() } else { config.models.iter().map(String::as_str).collect() }
}

/// The model that a request names, if it is served.
fn admitted<'b>(body: &'b Map<String, Value>, config: &SimConfig) -> Result<&'b str, Refusal> {
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| wrong("model is required."))?;
    if model.starts_with("no-such-") || (config.known_models_only && !names(config).contains(&model)) {
        return Err(Refusal::UnknownModel(model.to_owned()));
    }
    Ok(model)
}

fn models(config: &SimConfig) -> Output {
    let models: Vec<Value> = names(config)
        .into_iter()
        .map(|name| json!({"name": name, "endpoints": ["chat"], "context_length": config.context_tokens, "finetuned": false}))
        .collect();
    Output::json(StatusCode::OK, &json!({"models": models}), 0)
}
