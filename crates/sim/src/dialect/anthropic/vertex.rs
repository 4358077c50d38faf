//! Claude on Vertex: the same messages under Google's paths, the version in the body, the model in the path.
//!
//! Owns these differences. Source: the vendor's page "Claude on Vertex AI" and what its official client for it sends.

use serde_json::{Map, Value, json};

use super::super::{Inbound, Refusal};
use super::ApiVersion;

/// A call by one of Google's paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    model: &'a str,
    streams: bool,
}

impl<'a> Call<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let (place, named) = path.split_once("/publishers/anthropic/models/")?;
        let (model, method) = named.split_once(':')?;
        let located = place.starts_with("/v1/projects/") && place.contains("/locations/");
        let streams = match method {
            "rawPredict" => false,
            "streamRawPredict" => true,
            _ => return None,
        };
        located.then_some(Self { model, streams })
    }

    pub(super) fn counts(self) -> bool {
        self.model == "count-tokens"
    }

    pub(super) fn model(self, inbound: &Inbound) -> Option<String> {
        if self.counts() { inbound.text("model").map(str::to_owned) } else { Some(self.model.to_owned()) }
    }

    /// The body as the vendor itself would get it, and the version that it names: clients of 2026-10-21 and later send the
    /// vendor's own.
    pub(super) fn body(self, body: &Map<String, Value>) -> Result<(Map<String, Value>, ApiVersion), Refusal> {
        let mut body = body.clone();
        let version = match body.remove("anthropic_version") {
            Some(Value::String(version)) if version == "vertex-2023-10-16" => ApiVersion::Of2023,
            Some(Value::String(version)) if version == "2026-10-21" => ApiVersion::Of2026,
            Some(other) => {
                return Err(Refusal::invalid(format!("anthropic_version: {other} is not supported")));
            }
            None => return Err(Refusal::invalid("anthropic_version: Field required")),
        };
        if self.counts() {
            return Ok((body, version));
        }
        if body.contains_key("model") {
            return Err(Refusal::invalid("model: Extra inputs are not permitted"));
        }
        let asked = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        if asked != self.streams {
            return Err(Refusal::invalid("stream: must fit the method of the path"));
        }
        body.insert("model".to_owned(), json!(self.model));
        Ok((body, version))
    }
}
