//! `GET /v1beta/models` and `GET /v1beta/models/{model}`.
//!
//! Owns the list of names that a simulator shows when it was given none, and what a name says of a model's generation.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Output, Refusal};
use crate::config::SimConfig;

const NAMES: &[&str] = &[
    "gemini-3-pro-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.0-flash",
    "gemini-embedding-001",
];

fn names(config: &SimConfig) -> Vec<&str> {
    if config.models.is_empty() { NAMES.to_vec() } else { config.models.iter().map(String::as_str).collect() }
}

/// Refuses a model that is not served.
pub(super) fn admit(model: &str, config: &SimConfig) -> Result<(), Refusal> {
    let unknown = config.known_models_only && !names(config).contains(&model);
    if unknown || model.starts_with("no-such-") {
        Err(Refusal::UnknownModel(model.to_owned()))
    } else {
        Ok(())
    }
}

/// Whether the model thinks at all, thinks unless told not to, and is of the third generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) thinks: bool,
    pub(super) by_default: bool,
    pub(super) third: bool,
}

impl Generation {
    pub(super) fn of(model: &str) -> Self {
        let third = model.starts_with("gemini-3");
        let second = model.starts_with("gemini-2.5");
        Self { thinks: third || second, by_default: third || (second && !model.contains("lite")), third }
    }
}

pub(super) fn answer(name: &str, config: &SimConfig) -> Result<Output, Refusal> {
    if name.is_empty() {
        let models: Vec<Value> = names(config).into_iter().map(|name| model(name, config)).collect();
        return Ok(Output::json(StatusCode::OK, &json!({"models": models}), 0));
    }
    if !names(config).contains(&name) {
        return Err(Refusal::UnknownModel(name.to_owned()));
    }
    Ok(Output::json(StatusCode::OK, &model(name, config), 0))
}

fn model(name: &str, config: &SimConfig) -> Value {
    let methods = if name.contains("embedding") {
        json!(["embedContent", "batchEmbedContents", "countTokens"])
    } else {
        json!(["generateContent", "countTokens", "batchGenerateContent"])
    };
    json!({"name": format!("models/{name}"), "version": "001", "displayName": name, "description": "A simulated model.",
        "inputTokenLimit": config.context_tokens, "outputTokenLimit": 65_536, "supportedGenerationMethods": methods,
        "temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2, "thinking": Generation::of(name).thinks})
}
