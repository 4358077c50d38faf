//! The Gemini dialect: generateContent, its stream, token counting, embeddings, models, files, batches, under `/v1` and `/v1beta`; of the
//! cloud's own service also its batches with the buckets they work on.
//!
//! Owns paths, keys and framing; requests are read in `contents` and `check`, answers written in `answer`. Source: the
//! vendor's `generativelanguage/v1beta` protocol definitions and its API reference.

mod answer;
mod batches;
mod bucket;
mod check;
mod contents;
mod embeddings;
mod error;
mod files;
mod logprobs;
mod models;
mod predictions;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp, insert};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Gemini;

/// What a request asks for: a version, a model, a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target<'a> {
    version: &'a str,
    model: &'a str,
    method: &'a str,
    /// The cloud's own service, whose requests for vectors differ.
    cloud: bool,
}

/// Takes `/v1beta/models/NAME:METHOD` apart; a list has no name, a lookup no method.
///
/// On Vertex the same stands under `/v1/projects/PROJECT/locations/PLACE/publishers/google`; the official client's default there
/// is `v1beta1`.
fn target(path: &str) -> Option<Target<'_>> {
    if let Some((place, named)) = path.split_once("/publishers/google/models/") {
        let versioned = place.starts_with("/v1/projects/") || place.starts_with("/v1beta1/projects/");
        let located = versioned && place.contains("/locations/");
        let (model, method) = named.split_once(':')?;
        return located.then_some(Target { version: "v1", model, method, cloud: true });
    }
    let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
    let named = rest.strip_prefix("models").or_else(|| rest.strip_prefix("tunedModels"))?;
    if !matches!(version, "v1" | "v1beta" | "v1alpha") {
        return None;
    }
    let named = named.strip_prefix('/').unwrap_or(named);
    let (model, method) = named.split_once(':').unwrap_or((named, ""));
    Some(Target { version, model, method, cloud: false })
}

/// Whether a path is one of those that the cloud's service alone has.
fn is_of_cloud(path: &str) -> bool {
    bucket::is_ours(path) || predictions::is_ours(path)
}

/// How a stream is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Events,
    Array,
}

fn framing(inbound: &Inbound) -> Framing {
    if inbound.parameter("alt") == Some("sse") { Framing::Events } else { Framing::Array }
}

fn streams(inbound: &Inbound) -> bool {
    target(&inbound.path).is_some_and(|target| target.method == "streamGenerateContent")
}

impl Framing {
    /// A chunk with more to follow.
    fn chunk(self, value: &Value) -> Bytes {
        Bytes::from(match self {
            Self::Events => format!("data: {value}\r\n\r\n"),
            Self::Array => format!("{value},\r\n"),
        })
    }

    /// The last chunk.
    fn last(self, value: &Value) -> Bytes {
        Bytes::from(match self {
            Self::Events => format!("data: {value}\r\n\r\n"),
            Self::Array => format!("{value}]"),
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Array => "application/json; charset=UTF-8",
        }
    }
}

impl Dialect for Gemini {
    fn claims(&self, inbound: &Inbound) -> bool {
        if is_of_cloud(&inbound.path) {
            return true;
        }
        let google = inbound.headers.contains_key("x-goog-api-key") || inbound.parameter("key").is_some();
        if batches::is_ours(&inbound.path) || files::is_ours(&inbound.path) {
            return google || inbound.path.starts_with("/upload/");
        }
        target(&inbound.path)
            .is_some_and(|target| !target.method.is_empty() || google || target.version != "v1")
    }

    fn model(&self, inbound: &Inbound) -> Option<String> {
        target(&inbound.path).map(|target| target.model.to_owned()).filter(|model| !model.is_empty())
    }

    fn credential(&self, inbound: &Inbound) -> Option<String> {
        let key = inbound
            .header("x-goog-api-key")
            .or_else(|| inbound.parameter("key"))
            .or_else(|| inbound.bearer())
            .or_else(|| files::credential(inbound));
        key.map(str::to_owned)
    }

    fn answer(&self, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
        if bucket::is_ours(&inbound.path) {
            return bucket::answer(inbound, context);
        }
        if predictions::is_ours(&inbound.path) {
            return predictions::answer(inbound, context);
        }
        if batches::is_ours(&inbound.path) {
            return batches::answer(inbound, context);
        }
        if files::is_ours(&inbound.path) {
            return files::answer(inbound, context);
        }
        let target = target(&inbound.path).ok_or(Refusal::UnknownPath)?;
        let expected = if target.method.is_empty() { Method::GET } else { Method::POST };
        if inbound.method != expected {
            return Err(Refusal::UnknownPath);
        }
        if target.method.is_empty() {
            return models::answer(target.model, context.config);
        }
        models::admit(target.model, context.config)?;
        let body = body(inbound)?;
        match target.method {
            "generateContent" => Ok(answer::whole(&contents::read(body, target.model, context)?, context)),
            "batchGenerateContent" if !target.cloud => {
                batches::create(body, batches::Purpose::Contents, target.model, inbound, context)
            }
            "asyncBatchEmbedContent" if !target.cloud => {
                batches::create(body, batches::Purpose::Vectors, target.model, inbound, context)
            }
            "streamGenerateContent" => {
                let request = contents::read(body, target.model, context)?;
                Ok(answer::stream(&request, framing(inbound), context))
            }
            "countTokens" => {
                let wrapped = member_of(body, "generateContentRequest").and_then(Value::as_object);
                let request = contents::read(wrapped.unwrap_or(body), target.model, context)?;
                let tokens = request.prompt.tokens();
                let details = json!([{"modality": "TEXT", "tokenCount": tokens}]);
                Ok(Output::json(
                    StatusCode::OK,
                    &json!({"totalTokens": tokens, "promptTokensDetails": details}),
                    0,
                ))
            }
            // The cloud serves its older models for texts by `predict`, and those alone.
            "predict" if target.cloud && !target.model.contains("gemini") => embeddings::predict(body),
            "embedContent" | "batchEmbedContents" if target.cloud && !target.model.contains("gemini") => {
                Err(Refusal::UnknownModel(target.model.to_owned()))
            }
            "embedContent" if target.cloud => embeddings::cloud_one(body),
            "batchEmbedContents" if target.cloud => embeddings::cloud_batch(body),
            "embedContent" => embeddings::one(body, target.model),
            "batchEmbedContents" => embeddings::batch(body, target.model),
            _ => Err(Refusal::UnknownPath),
        }
    }

    fn refuse(&self, refusal: &Refusal, inbound: &Inbound, stamp: &Stamp) -> Output {
        if bucket::is_ours(&inbound.path) {
            return bucket::refuse(refusal, inbound);
        }
        error::output(refusal, inbound, stamp)
    }

    fn refuse_in_stream(&self, refusal: &Refusal, inbound: &Inbound, _stamp: &Stamp) -> Bytes {
        framing(inbound).last(&error::object(refusal, inbound).1)
    }

    fn malformed(&self, inbound: &Inbound) -> Bytes {
        match framing(inbound) {
            Framing::Events => Bytes::from_static(b"data: {\"candidates\": [{\"content\": {\"par\r\n\r\n"),
            Framing::Array => Bytes::from_static(b"{\"candidates\": [{\"content\": {\"par,\r\n"),
        }
    }

    fn identify(&self, headers: &mut HeaderMap, stamp: &Stamp) {
        insert(headers, "server", "scaffolding on HTTPServer2");
        insert(headers, "vary", "Origin, X-Origin, Referer");
        insert(headers, "server-timing", &format!("gfet4t7; dur={}", stamp.processing_ms));
    }
}

fn body(inbound: &Inbound) -> Result<&Map<String, Value>, Refusal> {
    match inbound.json() {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::invalid("Invalid JSON payload received. Root element must be a message.")),
        Err(error) => Err(Refusal::invalid(format!("Invalid JSON payload received. {error}"))),
    }
}

/// A member under its JSON name or its protocol-buffer name: the vendor reads both.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object().and_then(|members| member_of(members, name))
}

fn member_of<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).or_else(|| members.get(&snake(name))).filter(|value| !value.is_null())
}

fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}
