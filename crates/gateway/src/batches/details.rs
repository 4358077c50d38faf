//! What a batch is beyond its lines.
//!
//! Owns the form in which it stands in the store, and which headers of the client go with every line. Must not keep a key: lines are
//! sent under the name of the key that made the batch.

use crate::endpoint::{self, Endpoint};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_wire::codec::PathParts;

/// The kind of OpenAI's batches in the store.
pub(super) const OPENAI: &str = Dialect::OpenAi.name();
/// The kind of Anthropic's.
pub(super) const ANTHROPIC: &str = Dialect::Anthropic.name();

/// What is kept of a batch beside its lines.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Details {
    /// The path its lines are sent to.
    pub(super) endpoint: String,
    /// The time it was given, as the client wrote it.
    pub(super) window: String,
    /// The client's own notes, as JSON.
    pub(super) metadata: Option<Box<RawValue>>,
    /// How long its files are kept, in seconds, where the client says.
    pub(super) keep: Option<u64>,
    /// The model of all its lines, where they have one in common.
    pub(super) model: Option<String>,
    /// Headers of the client that go with every line.
    pub(super) headers: Pairs,
}

/// Pairs of names and values, in their order.
pub(super) type Pairs = Vec<(String, String)>;

impl Details {
    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The headers of a line.
    pub(super) fn header_map(&self) -> HeaderMap {
        let pairs = self.headers.iter().filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
        });
        pairs.collect()
    }
}

/// Where lines to a path go; `None` for a path that takes no requests.
pub(super) fn target(path: &str) -> Option<(Dialect, Operation, PathParts)> {
    match endpoint::find(&Method::POST, path, &HeaderMap::new(), None) {
        Ok(Endpoint::Inference { dialect, operation, path }) => Some((dialect, operation, path)),
        _ => None,
    }
}

/// The endpoints that batches of a kind may have: those of the protocol that this gateway serves.
pub(super) fn targets(kind: &str) -> Vec<&'static str> {
    const OF_OPENAI: [&str; 5] =
        ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/moderations"];
    let known: &[&'static str] = if kind == OPENAI { &OF_OPENAI } else { &["/v1/messages"] };
    known.iter().copied().filter(|path| target(path).is_some()).collect()
}

/// Whether batches of a kind may have an endpoint.
pub(super) fn is_target(path: &str, kind: &str) -> bool {
    targets(kind).contains(&path)
}

/// The headers that go with every line: our own options, and what protocols say about their versions.
pub(super) fn kept_headers(headers: &HeaderMap) -> Pairs {
    let kept = |name: &str| {
        name.starts_with("x-trunkline-")
            || matches!(name, "anthropic-version" | "anthropic-beta" | "openai-beta")
    };
    let pairs = headers.iter().filter(|(name, _)| kept(name.as_str()));
    pairs.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_kept_and_options_are() {
        let headers: HeaderMap = [
            ("authorization", "Bearer sk-secret"),
            ("x-api-key", "sk-secret"),
            ("cookie", "a=secret"),
            ("x-trunkline-tags", "a=b"),
            ("anthropic-beta", "one"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let details = Details { headers: kept_headers(&headers), ..Details::default() };
        let text = details.write();
        assert!(!text.contains("secret"), "{text}");
        let back = Details::read(&text).header_map();
        assert_eq!(back["x-trunkline-tags"], "a=b");
        assert_eq!(back["anthropic-beta"], "one");
    }

    #[test]
    fn lines_go_where_requests_of_that_path_go() {
        assert!(matches!(target("/v1/responses"), Some((Dialect::Responses, Operation::Chat, _))));
        assert!(matches!(target("/v1/embeddings"), Some((Dialect::OpenAi, Operation::Embeddings, _))));
        assert!(is_target("/v1/chat/completions", OPENAI) && is_target("/v1/messages", ANTHROPIC));
        for path in ["/v1/batches", "/v1/rerank", "/v1/messages", "/chat/completions"] {
            assert!(!is_target(path, OPENAI), "{path}");
        }
    }
}
