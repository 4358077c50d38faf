//! The Bedrock Converse dialect: Converse, ConverseStream, CountTokens, embeddings through InvokeModel, Rerank, and batches with the
//! buckets they work on.
//!
//! Owns paths, credentials and headers; requests are read in `request` and `turns`, answers written in `answer`, binary messages
//! in `message`, signatures verified in `signature`. Source: the service's model (`bedrock-runtime` 2023-09-30), its user guide
//! and the wording of its errors as seen in public reports.

mod answer;
mod batches;
mod bucket;
mod check;
mod embeddings;
mod error;
pub(crate) mod message;
mod request;
mod rerank;
mod signature;
mod turns;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp, decode, insert};
use crate::chance::{Chance, HEXADECIMAL};

/// The name that requests are signed for.
const SERVICE: &str = "bedrock";

/// The dialect.
#[derive(Debug)]
pub(crate) struct Converse;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Converse,
    ConverseStream,
    CountTokens,
    Invoke,
    Rerank,
}

/// The endpoint and the model, which is percent-encoded in the path; one endpoint has it in the body.
fn endpoint(inbound: &Inbound) -> Option<(Endpoint, &str)> {
    if inbound.path == "/rerank" {
        return Some((Endpoint::Rerank, ""));
    }
    let (_, rest) = inbound.path.split_once("/model/")?;
    let (model, verb) = rest.rsplit_once('/')?;
    let endpoint = match verb {
        "converse" => Endpoint::Converse,
        "converse-stream" => Endpoint::ConverseStream,
        "count-tokens" => Endpoint::CountTokens,
        "invoke" => Endpoint::Invoke,
        _ => return None,
    };
    Some((endpoint, model))
}

impl Dialect for Converse {
    fn claims(&self, inbound: &Inbound) -> bool {
        endpoint(inbound).is_some() || batches::is_ours(&inbound.path) || bucket::is_ours(inbound)
    }

    fn model(&self, inbound: &Inbound) -> Option<String> {
        if bucket::is_ours(inbound) {
            return None;
        }
        match endpoint(inbound)? {
            (Endpoint::Rerank, _) => rerank::model(inbound),
            (_, model) => Some(decode(model)),
        }
    }

    fn credential(&self, inbound: &Inbound) -> Option<String> {
        match inbound.bearer() {
            Some(key) => Some(key.to_owned()),
            // The id of the key that signed; the signature itself is verified where the secret is known.
            None => signature::key_id(inbound).map(str::to_owned),
        }
    }

    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
        if bucket::is_ours(inbound) {
            return bucket::answer(inbound, context);
        }
        if batches::is_ours(&inbound.path) {
            if inbound.bearer().is_none() {
                signature::verify(inbound, SERVICE, &context.config.keys, context.stamp.now)?;
            }
            return batches::answer(inbound, context);
        }
        let (endpoint, raw) = endpoint(inbound).ok_or(Refusal::UnknownPath)?;
        if inbound.method != Method::POST {
            return Err(Refusal::WrongMethod);
        }
        if inbound.bearer().is_none() {
            signature::verify(inbound, SERVICE, &context.config.keys, context.stamp.now)?;
        }
        if endpoint == Endpoint::Rerank {
            return rerank::answer(inbound, body(inbound)?, context);
        }
        let model = decode(raw);
        if raw.contains([':', '/']) {
            // What the official SDKs send; anything else would be signed otherwise than it is sent.
            return Err(Refusal::invalid("The model identifier in the path is not percent-encoded."));
        }
        check::admit(&model, context.config)?;
        let body = body(inbound)?;
        match endpoint {
            Endpoint::Converse | Endpoint::ConverseStream => {
                let request = request::read(body, &model, context)?;
                Ok(answer::message(&request, endpoint == Endpoint::ConverseStream, context))
            }
            Endpoint::CountTokens => {
                let prompt =
                    body.get("input").and_then(|input| input.get("converse")).and_then(Value::as_object);
                let prompt = prompt.ok_or_else(|| {
                    Refusal::invalid("1 validation error detected: Value null at 'input' failed to satisfy constraint: Member must not be null")
                })?;
                let request = request::read(prompt, &model, context)?;
                Ok(Output::json(StatusCode::OK, &json!({"inputTokens": request.prompt.tokens()}), 0))
            }
            Endpoint::Invoke => embeddings::invoke(body, &model),
            Endpoint::Rerank => Err(Refusal::UnknownPath),
        }
    }

    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Output {
        if bucket::is_ours(inbound) {
            return bucket::refuse(refusal, inbound);
        }
        error::output(refusal, inbound)
    }

    fn refuse_in_stream(&self, refusal: &Refusal, _inbound: &Inbound, _stamp: &Stamp) -> Bytes {
        error::exception(refusal)
    }

    fn malformed(&self, _inbound: &Inbound) -> Bytes {
        message::event("contentBlockDelta", b"{\"contentBlockIndex\":0,\"del")
    }

    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp) {
        let mut chance = Chance::new(stamp.seed);
        let mut part = |length| chance.identifier("", HEXADECIMAL, length);
        let id = format!("{}-{}-{}-{}-{}", part(8), part(4), part(4), part(4), part(12));
        insert(headers, "x-amzn-requestid", &id);
    }
}

fn body(inbound: &Inbound) -> Result<&Map<String, Value>, Refusal> {
    match inbound.json() {
        Ok(Value::Object(members)) => Ok(members),
        _ => {
            Err(Refusal::parameter("", Some("SerializationException"), "The request body is not valid JSON."))
        }
    }
}
