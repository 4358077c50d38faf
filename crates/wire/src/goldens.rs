//! The golden requests of every client dialect, for checks over all of them.
//!
//! Owns finding them by their places and names, so that a new one takes part by being there. Must not judge them.

use crate::codec::{BadRequest, PathParts};
use crate::dispatch;
use std::path::Path;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::request::Request;

/// A request as a client sends it.
pub(crate) struct Golden {
    /// Dialect and name: `gemini/parameters`.
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    pub(crate) operation: Operation,
    pub(crate) body: Vec<u8>,
}

/// Every golden request; some are made to be refused.
#[expect(clippy::disallowed_methods, reason = "goldens are files")]
pub(crate) fn requests() -> Vec<Golden> {
    let mut found = Vec::new();
    for dialect in Dialect::CLIENTS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(dialect.name()).join("golden");
        let places = [folder.join("requests"), folder];
        for entry in places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let in_requests = path.parent().is_some_and(|parent| parent.ends_with("requests"));
            let parts: Vec<&str> = name.split('.').collect();
            let (stem, operation) = match parts.as_slice() {
                [stem, "json"] if in_requests => (stem, Operation::Chat),
                [stem, "request", "json"] => (stem, Operation::Chat),
                [stem, "embeddings", "json"] => (stem, Operation::Embeddings),
                _ => continue,
            };
            let body = std::fs::read(&path).unwrap();
            found.push(Golden { name: format!("{dialect}/{stem}"), dialect, operation, body });
        }
    }
    found
}

/// Reads a body as what a client of that dialect asks for.
pub(crate) fn decode(dialect: Dialect, operation: Operation, body: &[u8]) -> Result<Request, BadRequest> {
    let path_parts = match dialect {
        Dialect::Gemini => PathParts { model: Some("model".to_owned()), delivery: Some(Delivery::Plain) },
        _ => PathParts::default(),
    };
    dispatch::decode_request(dialect, operation, body, &path_parts)
}
