//! The Mistral dialect: chat completions, embeddings, models, files, batch jobs.
//!
//! Owns paths, keys and headers; requests are checked in `schema` and read in `chat`, answers written in `answer`, errors in
//! `error`. Source: the vendor's OpenAPI document (1.0.0).

mod answer;
mod batches;
mod chat;
mod embeddings;
mod error;
mod schema;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp, insert};
use crate::chance::{Chance, HEXADECIMAL};
use crate::config::SimConfig;

/// The dialect.
#[derive(Debug)]
pub(crate) struct Mistral;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Embeddings,
    Models,
    Files,
    Jobs,
}

fn endpoint(inbound: &Inbound) -> Option<Endpoint> {
    let path = inbound.path.trim_end_matches('/');
    if path.ends_with("/chat/completions") {
        Some(Endpoint::Chat)
    } else if path.ends_with("/embeddings") {
        Some(Endpoint::Embeddings)
    } else if path.ends_with("/models") {
        Some(Endpoint::Models)
    } else if batches::rest(path, "/files").is_some() {
        Some(Endpoint::Files)
    } else if batches::rest(path, "/batch/jobs").is_some() {
        Some(Endpoint::Jobs)
    } else {
        None
    }
}

impl Dialect for Mistral {
    fn claims(&self, inbound: &Inbound) -> bool {
        let foreign = ["x-goog-api-key", "anthropic-version", "api-key"];
        endpoint(inbound).is_some() && foreign.iter().all(|name| !inbound.headers.contains_key(*name))
    }

    fn model(&self, inbound: &Inbound) -> Option<String> {
        inbound.text("model").map(str::to_owned)
    }

    fn credential(&self, inbound: &Inbound) -> Option<String> {
        inbound.bearer().map(str::to_owned)
    }

    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
        let endpoint = endpoint(inbound).ok_or(Refusal::UnknownPath)?;
        let expected = match endpoint {
            Endpoint::Files => return batches::files(inbound, context),
            Endpoint::Jobs => return batches::jobs(inbound, context),
            Endpoint::Models => Method::GET,
            _ => Method::POST,
        };
        if inbound.method != expected {
            return Err(Refusal::WrongMethod);
        }
        match endpoint {
            Endpoint::Chat => answer::chat(&chat::read(body(inbound)?, context)?, context),
            Endpoint::Embeddings => embeddings::answer(body(inbound)?, context),
            Endpoint::Models => Ok(models(context.config)),
            Endpoint::Files | Endpoint::Jobs => Err(Refusal::UnknownPath),
        }
    }

    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Output {
        error::output(refusal, inbound)
    }

    fn refuse_in_stream(&self, refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Bytes {
        event(&error::object(refusal, inbound).1)
    }

    fn malformed(&self, _inbound: &Inbound) -> Bytes {
        Bytes::from_static(
            b"data: {\"id\":\"cmpl-x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"ind\n\n",
        )
    }

    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp) {
        let mut chance = Chance::new(stamp.seed);
        insert(headers, "mistral-correlation-id", &chance.identifier("", HEXADECIMAL, 32));
        let headroom = &stamp.headroom;
        insert(headers, "x-ratelimit-limit-req-minute", &headroom.limit_requests.to_string());
        insert(headers, "x-ratelimit-remaining-req-minute", &headroom.remaining_requests.to_string());
        insert(headers, "x-ratelimit-limit-tokens-minute", &headroom.limit_tokens.to_string());
        insert(headers, "x-ratelimit-remaining-tokens-minute", &headroom.remaining_tokens.to_string());
    }
}

/// The body as a JSON object.
fn body(inbound: &Inbound) -> Result<&Map<String, Value>, Refusal> {
    let wrong = || Refusal::parameter("", Some("json_invalid"), "JSON decode error");
    inbound.json().ok().and_then(Value::as_object).ok_or_else(wrong)
}

/// A server-sent event without a name.
fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

const NAMES: &[&str] = &[
    "mistral-large-latest",
    "mistral-medium-latest",
    "mistral-small-latest",
    "magistral-medium-latest",
    "mistral-embed",
];

fn names(config: &SimConfig) -> Vec<&str> {
    if config.models.is_empty() { NAMES.to_vec() } else { config.models.iter().map(String::as_str).collect() }
}

/// Refuses a model that is not served.
fn admit(model: &str, config: &SimConfig) -> Result<(), Refusal> {
    let unknown = config.known_models_only && !names(config).contains(&model);
    if unknown || model.starts_with("no-such-") {
        return Err(Refusal::UnknownModel(model.to_owned()));
    }
    Ok(())
}

fn models(config: &SimConfig) -> Output {
    let capabilities = json!({"completion_chat": true, "function_calling": true, "completion_fim": false,
        "fine_tuning": false, "vision": true});
    let models: Vec<Value> = names(config)
        .into_iter()
        .map(|name| {
            json!({"id": name, "object": "model", "created": config.created, "owned_by": "mistralai",
                "capabilities": capabilities, "max_context_length": config.context_tokens, "aliases": [], "type": "base"})
        })
        .collect();
    Output::json(StatusCode::OK, &json!({"object": "list", "data": models}), 0)
}
