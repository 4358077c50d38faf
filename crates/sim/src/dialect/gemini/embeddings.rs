//! `embedContent` and `batchEmbedContents`.
//!
//! Owns the form; vectors come from `crate::embedding`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Output, Refusal};
use super::{member, member_of};
use crate::embedding;

/// Dimensions unless told otherwise.
const DIMENSIONS: u64 = 3072;
/// The most requests of a batch.
const MOST: usize = 100;

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
