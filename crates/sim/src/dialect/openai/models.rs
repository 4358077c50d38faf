//! `GET /v1/models` and `GET /v1/models/{model}`.
//!
//! Owns the list of names that a simulator shows when it was given none.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Output, Refusal};
use crate::config::SimConfig;

const NAMES: &[&str] = &[
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "o3",
    "o4-mini",
    "text-embedding-3-small",
    "text-embedding-3-large",
];

/// The names listed.
pub(super) fn names(config: &SimConfig) -> Vec<&str> {
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
    let models: Vec<Value> = names(config).into_iter().map(|name| model(name, config.created)).collect();
    Output::json(StatusCode::OK, &json!({"object": "list", "data": models}), 0)
}

pub(super) fn one(path: &str, config: &SimConfig) -> Result<Output, Refusal> {
    let name = path.split_once("/models/").map_or("", |(_, name)| name);
    if !names(config).contains(&name) {
        return Err(Refusal::UnknownModel(name.to_owned()));
    }
    Ok(Output::json(StatusCode::OK, &model(name, config.created), 0))
}

fn model(name: &str, created: u64) -> Value {
    json!({"id": name, "object": "model", "created": created, "owned_by": "system"})
}
