//! `POST /v1/embeddings` of Mistral.
//!
//! Owns the form; vectors come from `crate::embedding`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Refusal};
use super::schema::{checked, wrong};
use crate::chance::HEXADECIMAL;
use crate::{embedding, tokens};

pub(super) fn answer(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    checked("embeddings", body, "")?;
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    super::admit(model, context.config)?;
    let inputs: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) if !texts.is_empty() && texts.iter().all(Value::is_string) => {
            texts.iter().filter_map(Value::as_str).collect()
        }
        _ => {
            return Err(wrong("input", "string_type", "Input should be a valid string or a list of strings"));
        }
    };
    let dimensions = match body.get("output_dimension").filter(|value| !value.is_null()) {
        None => 1024,
        Some(value) => value
            .as_u64()
            .filter(|number| (1..=3072).contains(number))
            .ok_or_else(|| wrong("output_dimension", "greater_than", "Input should be greater than 0"))?,
    };
    let base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = embedding::vector(input, dimensions as usize);
            let bytes = || vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
            let embedding = if base64 { json!(STANDARD.encode(bytes())) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let spent: u64 = inputs.iter().map(|input| tokens::count(input)).sum();
    let usage = json!({"prompt_tokens": spent, "completion_tokens": 0, "total_tokens": spent});
    let id = context.chance().identifier("embd-", HEXADECIMAL, 32);
    let answer = json!({"id": id, "object": "list", "data": data, "model": model, "usage": usage});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}
