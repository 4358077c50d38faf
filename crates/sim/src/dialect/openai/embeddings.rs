//! `POST /v1/embeddings`.
//!
//! Owns the form; vectors come from `crate::embedding`, which gives texts with words in common similar ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Refusal};
use super::models;
use crate::{embedding, tokens};

/// The most inputs of one request, by the API reference.
const MOST_INPUTS: usize = 2048;

pub(super) fn answer(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    let model = body
        .get("model")
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::invalid("you must provide a model parameter"))?;
    models::admit(model, context.config)?;
    let inputs = inputs(body.get("input"))?;
    let full = if model.contains("3-large") { 3072 } else { 1536 };
    let dimensions = match body.get("dimensions").filter(|value| !value.is_null()) {
        None => full,
        Some(_) if model.contains("ada-002") => {
            return Err(Refusal::invalid("This model does not support specifying dimensions."));
        }
        Some(value) => value.as_u64().filter(|number| (1..=full).contains(number)).ok_or_else(|| {
            Refusal::invalid(format!(
                "Invalid value for 'dimensions' = {value}. Must be less than or equal to {full}."
            ))
        })?,
    };
    let base64 = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("Invalid value: '{other}'. Supported values are: 'float' and 'base64'.");
            return Err(Refusal::parameter("encoding_format", Some("invalid_value"), message));
        }
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = embedding::vector(input, dimensions as usize);
            let embedding = if base64 { json!(encode(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let spent: u64 = inputs.iter().map(|input| tokens::count(input)).sum();
    let usage = json!({"prompt_tokens": spent, "total_tokens": spent});
    let answer = json!({"object": "list", "data": data, "model": model, "usage": usage});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}

/// Texts to embed. Token numbers are taken for text, digit by digit: the simulator has no vocabulary.
fn inputs(input: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let wrong = || {
        Refusal::parameter(
            "input",
            None,
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        )
    };
    let written = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(numbers) if !numbers.is_empty() && numbers.iter().all(Value::is_u64) => {
            Ok(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        _ => Err(wrong()),
    };
    let inputs = match input {
        Some(Value::Array(items)) if items.iter().any(|item| !item.is_u64()) => {
            items.iter().map(written).collect::<Result<Vec<_>, _>>()?
        }
        Some(value) => vec![written(value)?],
        None => return Err(wrong()),
    };
    let fine =
        !inputs.is_empty() && inputs.len() <= MOST_INPUTS && inputs.iter().all(|input| !input.is_empty());
    if fine { Ok(inputs) } else { Err(wrong()) }
}

/// Little-endian 32-bit floats in base64.
fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
