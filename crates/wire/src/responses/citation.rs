//! Citations in responses: annotations of an `output_text`.
//!
//! Owns their form. Must not know where in a message they stand. Positions count characters of the part; see chat completions for
//! what the second is.

use crate::cited::Lost;
use crate::openai::citation::write_page;
use crate::write::Object;
use bytes::BytesMut;
use trunkline_model::citation::{Citation, CitedSource};
use trunkline_model::dialect::Dialect;

/// An annotation as JSON on one line, of a part that `before` characters of the answer come before; `None`, and noted as lost, for
/// what the dialect has none for.
pub(super) fn written(citation: &Citation, before: usize, lost: &mut Lost) -> Option<String> {
    if let Some(json) = citation.native_of(Dialect::Responses) {
        return Some(json.text().replace(['\n', '\r'], " "));
    }
    let mut out = BytesMut::new();
    let mut annotation = Object::open(&mut out);
    if let Some((url, title)) = citation.page() {
        let place = citation.claim.characters();
        let place = place.map(|range| range.start.saturating_sub(before)..range.end.saturating_sub(before));
        annotation.text("type", "url_citation");
        write_page(&mut annotation, url, title, place.as_ref());
    } else if let CitedSource::Document { index, title, id, .. } = &citation.source {
        // The specification demands all three; a document that came in the request has no id.
        annotation.text("type", "file_citation");
        annotation.text("file_id", id.as_deref().unwrap_or_default());
        annotation.whole("index", index.unwrap_or(0));
        annotation.text("filename", title.as_deref().unwrap_or_default());
        lost.stretch_of(citation);
    } else {
        lost.source();
        return None;
    }
    annotation.close();
    lost.details_of(citation, false);
    String::from_utf8(out.to_vec()).ok()
}
