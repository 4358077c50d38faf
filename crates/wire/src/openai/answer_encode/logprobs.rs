//! Log-probabilities of an answer of the dialect.
//!
//! Owns joining those of its pieces. Must not know what they are of.

use crate::write::{Object, array};
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_model::json::Json;

#[derive(Default, Deserialize)]
struct Logprobs<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    refusal: Option<Vec<&'a RawValue>>,
}

/// Joins the log-probabilities of an answer's pieces.
pub(super) fn write_logprobs(out: &mut BytesMut, pieces: &[Json]) {
    match pieces {
        [] => out.extend_from_slice(b"null"),
        [one] => out.extend_from_slice(one.text().as_bytes()),
        several => {
            let lists: Vec<Logprobs<'_>> =
                several.iter().map(|piece| piece.read().unwrap_or_default()).collect();
            let mut object = Object::open(out);
            let content: Vec<_> = lists.iter().filter_map(|list| list.content.as_ref()).flatten().collect();
            let refusal: Vec<_> = lists.iter().filter_map(|list| list.refusal.as_ref()).flatten().collect();
            for (name, tokens) in [("content", content), ("refusal", refusal)] {
                if tokens.is_empty() {
                    object.raw(name, "null");
                } else {
                    array(object.key(name), tokens, |out, token| {
                        out.extend_from_slice(token.get().as_bytes())
                    });
                }
            }
            object.close();
        }
    }
}
