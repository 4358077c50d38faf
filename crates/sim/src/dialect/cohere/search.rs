//! `POST /v2/embed` and `POST /v2/rerank`.
//!
//! Owns the forms; vectors come from `crate::embedding`, which gives texts with words in common similar ones, and a document's
//! relevance is how similar its vector is to the query's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Refusal};
use super::{admitted, check_members, wrong};
use crate::chance::HEXADECIMAL;
use crate::{embedding, tokens};

/// The most texts of one request.
const MOST_TEXTS: usize = 96;
/// Documents that one search unit covers.
const DOCUMENTS_PER_UNIT: u64 = 100;

pub(super) fn embed(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    check_members(
        body,
        &["model", "input_type"],
        &[
            "texts",
            "images",
            "inputs",
            "max_tokens",
            "output_dimension",
            "embedding_types",
            "truncate",
            "priority",
        ],
    )?;
    admitted(body, context.config)?;
    let purposes = ["search_document", "search_query", "classification", "clustering", "image"];
    if !body["input_type"].as_str().is_some_and(|purpose| purposes.contains(&purpose)) {
        return Err(wrong(
            "input_type must be one of search_document, search_query, classification, clustering, image.",
        ));
    }
    let texts: Vec<&str> =
        body.get("texts").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() || texts.len() > MOST_TEXTS {
        return Err(wrong(format!("texts must have between 1 and {MOST_TEXTS} elements.")));
    }
    let dimensions = match body.get("output_dimension").filter(|value| !value.is_null()).map(Value::as_u64) {
        None => 1536,
        Some(Some(number @ (256 | 512 | 1024 | 1536))) => number,
        Some(_) => return Err(wrong("output_dimension must be one of 256, 512, 1024, 1536.")),
    };
    let asked: Vec<&str> = match body.get("embedding_types").and_then(Value::as_array) {
        Some(types) => types.iter().filter_map(Value::as_str).collect(),
        None => vec!["float"],
    };
    let vectors: Vec<Vec<f32>> =
        texts.iter().map(|text| embedding::vector(text, dimensions as usize)).collect();
    let mut embeddings = Map::new();
    for kind in asked {
        let value = match kind {
            "float" => json!(vectors),
            "base64" => {
                let bytes = |vector: &Vec<f32>| {
                    vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()
                };
                vectors.iter().map(|vector| json!(STANDARD.encode(bytes(vector)))).collect()
            }
            other => return Err(wrong(format!("embedding_types: '{other}' is not simulated."))),
        };
        embeddings.insert(kind.to_owned(), value);
    }
    let spent: u64 = texts.iter().map(|text| tokens::count(text)).sum();
    let answer = json!({"id": context.chance().identifier("", HEXADECIMAL, 32), "embeddings": embeddings, "texts": texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": spent}},
        "response_type": "embeddings_by_type"});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}

pub(super) fn rerank(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    check_members(
        body,
        &["model", "query", "documents"],
        &["top_n", "max_tokens_per_doc", "relevant_spans", "priority"],
    )?;
    admitted(body, context.config)?;
    let query = body["query"]
        .as_str()
        .filter(|query| !query.is_empty())
        .ok_or_else(|| wrong("query must be a string."))?;
    let documents = body["documents"].as_array().filter(|documents| !documents.is_empty());
    let documents = documents.ok_or_else(|| wrong("documents must be a list with at least one element."))?;
    if !documents.iter().all(Value::is_string) {
        return Err(wrong("documents must be a list of strings."));
    }
    let texts: Vec<&str> = documents.iter().filter_map(Value::as_str).collect();
    let results: Vec<Value> = embedding::ranked(query, &texts, body.get("top_n").and_then(Value::as_u64))
        .into_iter()
        .map(|(index, score)| json!({"index": index, "relevance_score": score}))
        .collect();
    let units = (texts.len() as u64).div_ceil(DOCUMENTS_PER_UNIT);
    let answer = json!({"id": context.chance().identifier("", HEXADECIMAL, 32), "results": results,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}});
    Ok(Output::json(StatusCode::OK, &answer, 0))
}
