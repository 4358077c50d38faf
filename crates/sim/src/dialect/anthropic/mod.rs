//! The Anthropic dialect: messages, token counting, batches, models.
//!
//! Owns paths, keys and headers; requests are read in `messages` and `check`, answers written in `answer`. Source: the
//! vendor's API reference and the schemas of its SDK 2.11.0.

mod answer;
mod batches;
mod check;
mod error;
mod messages;
mod models;
mod turns;
mod version;
mod vertex;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp, insert};
use crate::chance::{ALPHANUMERIC, Chance};
use crate::timestamp::rfc3339;

/// The dialect.
#[derive(Debug)]
pub(crate) struct Anthropic;

/// The version of the API that a request is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ApiVersion {
    /// `2023-06-01`.
    Of2023,
    /// `2026-10-21`: no sampling parameters, no documents in assistant messages, no citations in user messages.
    Of2026,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Messages,
    CountTokens,
    Batches,
    Models,
    Model,
}

fn endpoint(inbound: &Inbound) -> Option<Endpoint> {
    let path = inbound.path.trim_end_matches('/');
    if let Some(call) = vertex::Call::of(path) {
        return Some(if call.counts() { Endpoint::CountTokens } else { Endpoint::Messages });
    }
    if path.ends_with("/messages") {
        Some(Endpoint::Messages)
    } else if path.ends_with("/messages/count_tokens") {
        Some(Endpoint::CountTokens)
    } else if batches::is_ours(path) {
        Some(Endpoint::Batches)
    } else if path.ends_with("/models") {
        Some(Endpoint::Models)
    } else if path.contains("/models/") {
        Some(Endpoint::Model)
    } else {
        None
    }
}

impl Dialect for Anthropic {
    fn claims(&self, inbound: &Inbound) -> bool {
        match endpoint(inbound) {
            Some(Endpoint::Messages | Endpoint::CountTokens | Endpoint::Batches) => true,
            Some(_) => inbound.headers.contains_key("anthropic-version"),
            None => false,
        }
    }

    fn model(&self, inbound: &Inbound) -> Option<String> {
        match vertex::Call::of(&inbound.path) {
            Some(call) => call.model(inbound),
            None => inbound.text("model").map(str::to_owned),
        }
    }

    fn credential(&self, inbound: &Inbound) -> Option<String> {
        if vertex::Call::of(&inbound.path).is_some() {
            return inbound.bearer().map(str::to_owned);
        }
        // SDKs of 2026-10-21 and later send the key as a bearer token.
        inbound.header("x-api-key").or_else(|| inbound.bearer()).map(str::to_owned)
    }

    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
        let endpoint = endpoint(inbound).ok_or(Refusal::UnknownPath)?;
        let expected = match endpoint {
            Endpoint::Models | Endpoint::Model => Method::GET,
            Endpoint::Batches => inbound.method.clone(),
            _ => Method::POST,
        };
        if inbound.method != expected {
            return Err(Refusal::WrongMethod);
        }
        if let Some(call) = vertex::Call::of(&inbound.path) {
            let body = call.body(body(inbound)?)?;
            let request = messages::read(&body, context, ApiVersion::Of2023, !call.counts())?;
            return Ok(match endpoint {
                Endpoint::CountTokens => count(&request),
                _ => answer::message(&request, context),
            });
        }
        let api = match inbound.header("anthropic-version") {
            None => return Err(Refusal::invalid("anthropic-version: header is required")),
            Some("2026-10-21") => ApiVersion::Of2026,
            Some("2023-06-01") => ApiVersion::Of2023,
            Some(other) => {
                let message = format!("anthropic-version: \"{other}\" is not a valid version");
                return Err(Refusal::invalid(message));
            }
        };
        match endpoint {
            Endpoint::Messages => {
                let request = messages::read(body(inbound)?, context, api, true)?;
                Ok(answer::message(&request, context))
            }
            Endpoint::CountTokens => {
                let request = messages::read(body(inbound)?, context, api, false)?;
                Ok(count(&request))
            }
            Endpoint::Batches => batches::answer(inbound, context),
            Endpoint::Models => Ok(models::list(context.config)),
            Endpoint::Model => models::one(&inbound.path, context.config),
        }
    }

    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Output {
        error::output(refusal, inbound, stamp)
    }

    fn refuse_in_stream(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Bytes {
        event("error", &error::object(refusal, inbound, stamp).1)
    }

    fn malformed(&self, _inbound: &Inbound) -> Bytes {
        Bytes::from_static(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del\n\n",
        )
    }

    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp) {
        insert(headers, "request-id", &request_id(stamp));
        insert(headers, "anthropic-organization-id", "00000000-0000-4000-8000-000000000051");
        let headroom = &stamp.headroom;
        let reset = |ms| rfc3339(stamp.now + Duration::from_millis(ms));
        let requests = reset(headroom.reset_requests_ms);
        let tokens = reset(headroom.reset_tokens_ms);
        insert(headers, "anthropic-ratelimit-requests-limit", &headroom.limit_requests.to_string());
        insert(headers, "anthropic-ratelimit-requests-remaining", &headroom.remaining_requests.to_string());
        insert(headers, "anthropic-ratelimit-requests-reset", &requests);
        let (limit, remaining) = (headroom.limit_tokens.to_string(), headroom.remaining_tokens.to_string());
        insert(headers, "anthropic-ratelimit-tokens-limit", &limit);
        insert(headers, "anthropic-ratelimit-tokens-remaining", &remaining);
        insert(headers, "anthropic-ratelimit-tokens-reset", &tokens);
        insert(headers, "anthropic-ratelimit-input-tokens-limit", &limit);
        insert(headers, "anthropic-ratelimit-input-tokens-remaining", &remaining);
        insert(headers, "anthropic-ratelimit-input-tokens-reset", &tokens);
        insert(headers, "anthropic-ratelimit-output-tokens-limit", &limit);
        insert(headers, "anthropic-ratelimit-output-tokens-remaining", &remaining);
        insert(headers, "anthropic-ratelimit-output-tokens-reset", &tokens);
    }
}

fn count(request: &messages::Messages) -> Output {
    Output::json(StatusCode::OK, &json!({"input_tokens": request.prompt.tokens()}), 0)
}

/// The id of a request, the same in header and error object.
fn request_id(stamp: &Stamp) -> String {
    Chance::new(stamp.seed).identifier("req_01", ALPHANUMERIC, 22)
}

fn body(inbound: &Inbound) -> Result<&Map<String, Value>, Refusal> {
    match inbound.json() {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::invalid("Input should be a valid dictionary")),
        Err(error) => Err(Refusal::invalid(format!("The request body is not valid JSON: {error}"))),
    }
}

/// A named server-sent event.
fn event(name: &str, value: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}
