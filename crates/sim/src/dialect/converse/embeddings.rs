//! InvokeModel for the embedding models of Titan and Cohere.
//!
//! Owns their forms; vectors come from `crate::embedding`. Other models are refused here: their bodies are another protocol each.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Output, Refusal};
use super::check;
use crate::{embedding, tokens};

pub(super) fn invoke(body: &Map<String, Value>, model: &str) -> Result<Output, Refusal> {
    if model.contains("amazon.titan-embed") {
        titan(body)
    } else if model.contains("cohere.embed") {
        cohere(body)
    } else {
        Err(Refusal::invalid(format!("This simulator does not invoke {model}: it speaks Converse.")))
    }
}

fn titan(body: &Map<String, Value>) -> Result<Output, Refusal> {
    check::known(body, &["inputText", "dimensions", "normalize", "embeddingTypes"])?;
    let text = body.get("inputText").and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        Refusal::invalid("Malformed input request: #: required key [inputText] not found, please reformat your input and try again.")
    })?;
    let dimensions = match body.get("dimensions").map(Value::as_u64) {
        None => 1_024,
        Some(Some(dimensions @ (256 | 512 | 1_024))) => dimensions as usize,
        Some(_) => {
            return Err(Refusal::invalid(
                "Malformed input request: #/dimensions: is not a valid enum value, please reformat your input and try again.",
            ));
        }
    };
    let vector = embedding::vector(text, dimensions);
    let answer = json!({"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": tokens::count(text)});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}

fn cohere(body: &Map<String, Value>) -> Result<Output, Refusal> {
    check::known(
        body,
        &["texts", "input_type", "embedding_types", "output_dimension", "truncate", "images"],
    )?;
    let texts: Vec<&str> =
        body.get("texts").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() || texts.len() > 96 {
        return Err(Refusal::invalid(
            "Malformed input request: expected 1 to 96 items in texts, please reformat your input and try again.",
        ));
    }
    let kinds = ["search_document", "search_query", "classification", "clustering"];
    if !body.get("input_type").and_then(Value::as_str).is_some_and(|kind| kinds.contains(&kind)) {
        return Err(Refusal::invalid(
            "Malformed input request: #: required key [input_type] not found, please reformat your input and try again.",
        ));
    }
    let dimensions = body.get("output_dimension").and_then(Value::as_u64).unwrap_or(1_024).clamp(1, 1_536);
    let vectors: Vec<Vec<f32>> =
        texts.iter().map(|text| embedding::vector(text, dimensions as usize)).collect();
    let typed = body.contains_key("embedding_types");
    let (kind, embeddings) = if typed {
        ("embeddings_by_type", json!({"float": vectors}))
    } else {
        ("embeddings_floats", json!(vectors))
    };
    let tokens: u64 = texts.iter().map(|text| tokens::count(text)).sum();
    let answer = json!({"id": "simulated", "response_type": kind, "embeddings": embeddings, "texts": texts});
    let output = Output::json(StatusCode::OK, &answer, 0);
    Ok(output.with_header("x-amzn-bedrock-input-token-count", &tokens.to_string()))
}
