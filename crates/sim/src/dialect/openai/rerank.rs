//! `POST /v1/rerank`, which the vendor does not have and many compatible services do.
//!
//! Owns its form, that of Jina and Together.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Refusal};
use super::models;
use crate::{embedding, tokens};

pub(super) fn answer(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    let model = body.get("model").and_then(Value::as_str);
    let model = model.ok_or_else(|| Refusal::invalid("you must provide a model parameter"))?;
    models::admit(model, context.config)?;
    let query = body.get("query").and_then(Value::as_str).unwrap_or_default();
    let documents = body.get("documents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let texts: Vec<&str> = documents.iter().filter_map(Value::as_str).collect();
    if query.is_empty() || texts.is_empty() || texts.len() != documents.len() {
        return Err(Refusal::parameter("documents", None, "documents must be a non-empty array of strings"));
    }
    let repeats = body.get("return_documents").and_then(Value::as_bool).unwrap_or(false);
    let results: Vec<Value> = embedding::ranked(query, &texts, body.get("top_n").and_then(Value::as_u64))
        .into_iter()
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if repeats {
                result["document"] = json!({"text": texts[index]});
            }
            result
        })
        .collect();
    let spent: u64 = texts.iter().map(|text| tokens::count(text) + tokens::count(query)).sum();
    let usage = json!({"total_tokens": spent, "prompt_tokens": spent});
    Ok(Output::json(StatusCode::OK, &json!({"model": model, "usage": usage, "results": results}), 0))
}
