//! `embedContent` and `batchEmbedContents`, as the vendor's own service and its cloud take them, and the cloud's `predict`.
//!
//! Owns the forms; vectors come from `crate::embedding`. Sources: the vendor's protocol definitions, the cloud's discovery
//! document (`aiplatform` v1) and what the official client sends there.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Output, Refusal};
use super::{member, member_of};
use crate::{embedding, tokens};

/// Dimensions unless told otherwise.
const DIMENSIONS: u64 = 3072;
/// The most requests of a batch.
const MOST: usize = 100;
/// The most texts of `predict`.
const MOST_INSTANCES: usize = 250;
/// Dimensions of the models that `predict` serves, at the most.
const PREDICTED: u64 = 768;

pub(super) fn one(body: &Map<String, Value>, _model: &str) -> Result<Output, Refusal> {
    let embedding = embed(&Value::Object(body.clone()), "")?;
    Ok(Output::json(StatusCode::OK, &json!({"embedding": embedding}), 0))
}

pub(super) fn batch(body: &Map<String, Value>, model: &str) -> Result<Output, Refusal> {
    let requests = member_of(body, "requests").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if requests.is_empty() {
        return Err(Refusal::invalid("* BatchEmbedContentsRequest.requests: requests is not specified\n"));
    }
    if requests.len() > MOST {
        return Err(Refusal::invalid(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n",
        ));
    }
    let mut embeddings = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let named = member(request, "model").and_then(Value::as_str).unwrap_or_default();
        if named.strip_prefix("models/").unwrap_or(named) != model {
            let message = format!(
                "* BatchEmbedContentsRequest.requests[{index}].model: model must be the same as the one in the URL\n"
            );
            return Err(Refusal::invalid(message));
        }
        embeddings.push(embed(request, &format!("requests[{index}]."))?);
    }
    Ok(Output::json(StatusCode::OK, &json!({"embeddings": embeddings}), 0))
}

fn embed(request: &Value, place: &str) -> Result<Value, Refusal> {
    let parts =
        member(request, "content").and_then(|content| member(content, "parts")).and_then(Value::as_array);
    let texts: Vec<&str> = parts.into_iter().flatten().filter_map(|part| part["text"].as_str()).collect();
    if texts.is_empty() {
        return Err(Refusal::invalid(format!("* EmbedContentRequest.{place}content: content is empty\n")));
    }
    let config = member(request, "embedContentConfig").unwrap_or(request);
    let wanted = member(config, "outputDimensionality").or_else(|| member(request, "outputDimensionality"));
    let dimensions = wanted.and_then(Value::as_u64).unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS);
    Ok(json!({"values": embedding::vector(&texts.join("\n"), dimensions as usize)}))
}

/// The cloud's `embedContent`: what it cost is told.
pub(super) fn cloud_one(body: &Map<String, Value>) -> Result<Output, Refusal> {
    let request = Value::Object(body.clone());
    let (embedding, spent) = (cloud_embed(&request, "")?, spent(&request));
    let answer = json!({"embedding": embedding, "usageMetadata": usage(spent), "truncated": false});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}

/// The cloud's `batchEmbedContents`.
pub(super) fn cloud_batch(body: &Map<String, Value>) -> Result<Output, Refusal> {
    let requests = member_of(body, "requests").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if requests.is_empty() || requests.len() > MOST {
        return Err(Refusal::invalid("The batch must hold 1 to 100 requests."));
    }
    let mut embeddings = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        embeddings.push(cloud_embed(request, &format!("requests[{index}]."))?);
    }
    let spent = requests.iter().map(spent).sum();
    Ok(Output::json(StatusCode::OK, &json!({"embeddings": embeddings, "usageMetadata": usage(spent)}), 0))
}

/// As the vendor's own, but settings stand in an object of their own and the model is in the path.
fn cloud_embed(request: &Value, place: &str) -> Result<Value, Refusal> {
    let named = member(request, "model").and_then(Value::as_str).unwrap_or_default();
    if !named.is_empty() && !named.starts_with("projects/") {
        let message = format!("{place}model must be empty or match the model of the request.");
        return Err(Refusal::invalid(message));
    }
    embed(request, place)
}

/// What a request costs.
pub(super) fn spent(request: &Value) -> u64 {
    let parts = member(request, "content").and_then(|content| member(content, "parts"));
    let parts = parts.and_then(Value::as_array).into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).map(tokens::count).sum()
}

fn usage(spent: u64) -> Value {
    json!({"promptTokenCount": spent, "totalTokenCount": spent})
}

/// `predict` over texts.
pub(super) fn predict(body: &Map<String, Value>) -> Result<Output, Refusal> {
    if let Some(name) =
        body.keys().find(|name| !["instances", "parameters", "labels"].contains(&name.as_str()))
    {
        let message = format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field.");
        return Err(Refusal::invalid(message));
    }
    let instances = member_of(body, "instances").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if instances.is_empty() || instances.len() > MOST_INSTANCES {
        let message =
            format!("{} instance(s) is not allowed. Expected 1 to {MOST_INSTANCES}.", instances.len());
        return Err(Refusal::invalid(message));
    }
    let parameters = body.get("parameters");
    let wanted = parameters.and_then(|parameters| member(parameters, "outputDimensionality"));
    let dimensions = match wanted.map(Value::as_u64) {
        None => PREDICTED,
        Some(Some(dimensions @ 1..=PREDICTED)) => dimensions,
        Some(_) => return Err(Refusal::invalid("outputDimensionality must be between 1 and 768.")),
    };
    let mut characters = 0;
    let mut predictions = Vec::with_capacity(instances.len());
    for instance in instances {
        let known = ["content", "task_type", "title", "mimeType"];
        let stranger =
            instance.as_object().and_then(|one| one.keys().find(|name| !known.contains(&name.as_str())));
        let content = instance.get("content").and_then(Value::as_str).filter(|_| stranger.is_none());
        let text =
            content.ok_or_else(|| Refusal::invalid("The instance must hold a `content` with a text."))?;
        characters += text.chars().filter(|character| !character.is_whitespace()).count();
        // The service's numbers are those of protocol-buffer structs: always floating.
        let statistics = json!({"truncated": false, "token_count": tokens::count(text) as f64});
        let values = embedding::vector(text, dimensions as usize);
        predictions.push(json!({"embeddings": {"statistics": statistics, "values": values}}));
    }
    let answer = json!({"predictions": predictions, "metadata": {"billableCharacterCount": characters}});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}
