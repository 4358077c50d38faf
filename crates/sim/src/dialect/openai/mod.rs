//! The OpenAI dialect: chat completions, responses, completions, embeddings, moderations, images, audio, files, batches,
//! models.
//!
//! Owns paths, keys and headers; requests are read in `chat`, answers written in `answer`, errors in `error`. Source: the
//! vendor's OpenAPI document 2.3.0 and its API reference.

mod answer;
mod audio;
mod azure;
mod batches;
mod bundled;
mod chat;
mod check;
mod completions;
mod counted;
mod embeddings;
mod error;
pub(in crate::dialect) mod form;
mod images;
mod manner;
mod models;
mod moderations;
mod rerank;
mod responses;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp, insert};
use crate::chance::{ALPHANUMERIC, Chance, HEXADECIMAL};
use crate::script::BatchManner;
use crate::timestamp::compact;
use std::time::Duration;

/// The dialect.
#[derive(Debug)]
pub(crate) struct OpenAi;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Rerank,
    Moderations,
    Images(images::Making),
    Hearing,
    Speech,
    Responses,
    InputTokens,
    StoredResponse,
    Files,
    Batches,
    Models,
    Model,
}

fn endpoint(inbound: &Inbound) -> Option<Endpoint> {
    let path = inbound.path.trim_end_matches('/');
    if path.ends_with("/chat/completions") {
        Some(Endpoint::Chat)
    } else if path.ends_with("/completions") {
        Some(Endpoint::Completions)
    } else if path.ends_with("/embeddings") {
        Some(Endpoint::Embeddings)
    } else if path.ends_with("/rerank") {
        Some(Endpoint::Rerank)
    } else if path.ends_with("/moderations") {
        Some(Endpoint::Moderations)
    } else if path.ends_with("/images/generations") {
        Some(Endpoint::Images(images::Making::Generation))
    } else if path.ends_with("/images/edits") {
        Some(Endpoint::Images(images::Making::Edit))
    } else if path.ends_with("/images/variations") {
        Some(Endpoint::Images(images::Making::Variation))
    } else if path.ends_with("/audio/transcriptions") || path.ends_with("/audio/translations") {
        Some(Endpoint::Hearing)
    } else if path.ends_with("/audio/speech") {
        Some(Endpoint::Speech)
    } else if path.ends_with("/responses") {
        Some(Endpoint::Responses)
    } else if path.ends_with("/responses/input_tokens") {
        Some(Endpoint::InputTokens)
    } else if path.contains("/responses/") {
        Some(Endpoint::StoredResponse)
    } else if batches::rest(path, "/files").is_some() {
        Some(Endpoint::Files)
    } else if !path.contains("/messages") && batches::rest(path, "/batches").is_some() {
        Some(Endpoint::Batches)
    } else if path.ends_with("/models") {
        Some(Endpoint::Models)
    } else if path.contains("/models/") && !path.contains(':') {
        Some(Endpoint::Model)
    } else {
        None
    }
}

impl Dialect for OpenAi {
    fn claims(&self, inbound: &Inbound) -> bool {
        let foreign = ["x-goog-api-key", "anthropic-version"];
        endpoint(inbound).is_some()
            && inbound.parameter("key").is_none()
            && foreign.iter().all(|name| !inbound.headers.contains_key(*name))
    }

    fn model(&self, inbound: &Inbound) -> Option<String> {
        match azure::Call::of(inbound) {
            Some(azure::Call::Dated(deployment)) => Some(deployment.to_owned()),
            _ => inbound
                .text("model")
                .map(str::to_owned)
                .or_else(|| form::text(&form::parts(inbound), "model")),
        }
    }

    fn credential(&self, inbound: &Inbound) -> Option<String> {
        // Azure's servers of this dialect take the key in a header of its own.
        inbound.bearer().or_else(|| inbound.header("api-key")).map(str::to_owned)
    }

    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
        let endpoint = endpoint(inbound).ok_or(Refusal::UnknownPath)?;
        let expected = match endpoint {
            Endpoint::Models | Endpoint::Model => Method::GET,
            Endpoint::StoredResponse => return responses::stored(inbound, context),
            Endpoint::Files => return batches::files(inbound, context),
            Endpoint::Batches if context.script.batches.manner == BatchManner::Xai => {
                return counted::answer(inbound, context);
            }
            Endpoint::Batches if context.script.batches.manner == BatchManner::OpenRouter => {
                return bundled::answer(inbound, context);
            }
            Endpoint::Batches => return batches::batches(inbound, context),
            _ => Method::POST,
        };
        if inbound.method != expected {
            return Err(Refusal::WrongMethod);
        }
        let of_azure = matches!(endpoint, Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings);
        if let Some(call) = azure::Call::of(inbound).filter(|_| of_azure) {
            let body = call.body(body(inbound)?, inbound)?;
            return match endpoint {
                Endpoint::Chat => answer::chat(&chat::read(&body, context)?, context).map(azure::filtered),
                Endpoint::Completions => completions::answer(&body, context),
                _ => embeddings::answer(&body, context),
            };
        }
        match endpoint {
            Endpoint::Chat => answer::chat(&chat::read(body(inbound)?, context)?, context),
            Endpoint::Responses => responses::answer(body(inbound)?, context),
            Endpoint::InputTokens => responses::count(body(inbound)?, context),
            Endpoint::StoredResponse | Endpoint::Files | Endpoint::Batches => Err(Refusal::UnknownPath),
            Endpoint::Completions => completions::answer(body(inbound)?, context),
            Endpoint::Embeddings => embeddings::answer(body(inbound)?, context),
            Endpoint::Rerank => rerank::answer(body(inbound)?, context),
            Endpoint::Moderations => moderations::answer(body(inbound)?, context),
            Endpoint::Images(making) => images::answer(making, inbound, context),
            Endpoint::Hearing => audio::heard(inbound, context),
            Endpoint::Speech => audio::spoken(body(inbound)?, context),
            Endpoint::Models => Ok(models::list(context.config)),
            Endpoint::Model => models::one(&inbound.path, context.config),
        }
    }

    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Output {
        error::output(refusal, inbound, stamp)
    }

    fn refuse_in_stream(&self, refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Bytes {
        let object = error::object(refusal, inbound).1;
        if endpoint(inbound) == Some(Endpoint::Responses) {
            return responses::error_event(&object);
        }
        event(&object)
    }

    fn malformed(&self, inbound: &Inbound) -> Bytes {
        if endpoint(inbound) == Some(Endpoint::Responses) {
            return Bytes::from_static(
                b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"del\n\n",
            );
        }
        Bytes::from_static(
            b"data: {\"id\":\"chatcmpl-x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"ind\n\n",
        )
    }

    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp) {
        let mut chance = Chance::new(stamp.seed);
        insert(headers, "x-request-id", &chance.identifier("req_", HEXADECIMAL, 32));
        insert(headers, "openai-processing-ms", &stamp.processing_ms.to_string());
        insert(headers, "openai-version", "2020-10-01");
        insert(headers, "openai-organization", "org-simulated");
        let headroom = &stamp.headroom;
        let milliseconds = |ms| compact(Duration::from_millis(ms));
        insert(headers, "x-ratelimit-limit-requests", &headroom.limit_requests.to_string());
        insert(headers, "x-ratelimit-remaining-requests", &headroom.remaining_requests.to_string());
        insert(headers, "x-ratelimit-reset-requests", &milliseconds(headroom.reset_requests_ms));
        insert(headers, "x-ratelimit-limit-tokens", &headroom.limit_tokens.to_string());
        insert(headers, "x-ratelimit-remaining-tokens", &headroom.remaining_tokens.to_string());
        insert(headers, "x-ratelimit-reset-tokens", &milliseconds(headroom.reset_tokens_ms));
    }
}

/// The body as a JSON object.
fn body(inbound: &Inbound) -> Result<&serde_json::Map<String, Value>, Refusal> {
    let unreadable = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your \
        HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)";
    inbound.json().ok().and_then(Value::as_object).ok_or_else(|| Refusal::invalid(unreadable))
}

/// A server-sent event without a name.
fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// An identifier as OpenAI makes them.
fn identifier(chance: &mut Chance, prefix: &str, length: usize) -> String {
    chance.identifier(prefix, ALPHANUMERIC, length)
}
