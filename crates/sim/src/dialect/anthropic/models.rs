//! `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! Owns the list of names that a simulator shows when it was given none. Source: `ModelInfo` of the vendor's SDK.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Output, Refusal};
use crate::config::SimConfig;

const NAMES: &[&str] =
    &["claude-opus-5", "claude-sonnet-5", "claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5"];

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

pub(super) fn list(config: &SimConfig) -> Output {
    let names = names(config);
    let models: Vec<Value> = names.iter().map(|name| model(name, config)).collect();
    let list = json!({"data": models, "has_more": false, "first_id": names.first(), "last_id": names.last()});
    Output::json(StatusCode::OK, &list, 0)
}

pub(super) fn one(path: &str, config: &SimConfig) -> Result<Output, Refusal> {
    let name = path.split_once("/models/").map_or("", |(_, name)| name);
    if !names(config).contains(&name) {
        return Err(Refusal::UnknownModel(name.to_owned()));
    }
    Ok(Output::json(StatusCode::OK, &model(name, config), 0))
}

fn model(name: &str, config: &SimConfig) -> Value {
    json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active", "max_input_tokens": config.context_tokens, "max_tokens": 64_000})
}
