//! Citations in messages: those of a text block.
//!
//! Owns their form. Must not know blocks. A citation is about its whole block: the API cuts its text into blocks accordingly, and no
//! field says more.
//!
//! Pages of the web come with an `encrypted_index` that only this dialect's provider can make and that it wants back. Ours say that
//! they have none, so that clients' libraries can read them and the way back (`pass`, `block_decode`) can leave them out.

use crate::cited::Lost;
use crate::json_text::JsonText;
use bytes::BytesMut;
use serde_json::Value;
use std::ops::Range;
use trunkline_model::citation::{Citation, CitedSource, Claim, Native, Within};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;

/// What stands, as JSON, for the index that a citation made elsewhere does not have. It begins as all state of ours does.
pub(super) const NO_INDEX: &str = r#""trunkline:none""#;

/// Reads a citation. What rests on it is known when its block ends.
pub(super) fn read(json: Json) -> Citation {
    let value = json.value();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let range = |start: &str, end: &str| Some(number(start)?..number(end)?);
    let document = |within: Option<Within>| CitedSource::Document {
        index: number("document_index"),
        title: text("document_title"),
        id: text("file_id"),
        within,
    };
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let source = match kind {
        "char_location" => document(range("start_char_index", "end_char_index").map(Within::Characters)),
        "page_location" => document(range("start_page_number", "end_page_number").map(Within::Pages)),
        "content_block_location" => {
            document(range("start_block_index", "end_block_index").map(Within::Blocks))
        }
        "search_result_location" => CitedSource::SearchResult {
            index: number("search_result_index").unwrap_or_default(),
            source: text("source").unwrap_or_default(),
            title: text("title"),
            blocks: range("start_block_index", "end_block_index").unwrap_or_default(),
        },
        "web_search_result_location" => match text("url") {
            Some(url) => CitedSource::Web { url, title: text("title") },
            None => CitedSource::Other,
        },
        _ => CitedSource::Other,
    };
    let quote = text("cited_text").filter(|quote| !quote.is_empty());
    Citation {
        source,
        quote,
        claim: Claim::Unsaid,
        native: Some(Native { origin: Dialect::Anthropic, json }),
    }
}

/// Writes a citation of the block under way; false, and noted as lost, for what the dialect has no form for.
pub(super) fn write(citation: &Citation, lost: &mut Lost, out: &mut BytesMut) -> bool {
    if let Some(json) = citation.native_of(Dialect::Anthropic) {
        out.raw(json.text());
        return true;
    }
    let quote = citation.quote.as_deref().unwrap_or_default();
    let begin = |kind: &str, out: &mut BytesMut| {
        out.open_object();
        out.field("type", kind);
        out.field("cited_text", quote);
    };
    match &citation.source {
        CitedSource::Web { url, title } => {
            begin("web_search_result_location", out);
            out.field_raw("encrypted_index", NO_INDEX);
            optional("title", title.as_deref(), out);
            out.field("url", url);
        }
        CitedSource::SearchResult { index, source, title, blocks } => {
            begin("search_result_location", out);
            out.field_unsigned("search_result_index", *index);
            out.field("source", source);
            optional("title", title.as_deref(), out);
            stretch(["start_block_index", "end_block_index"], blocks, out);
        }
        CitedSource::Document { index: Some(index), title, id, within: Some(within) } => {
            let (kind, names, range) = match within {
                Within::Characters(range) => ("char_location", ["start_char_index", "end_char_index"], range),
                Within::Pages(range) => ("page_location", ["start_page_number", "end_page_number"], range),
                Within::Blocks(range) => {
                    ("content_block_location", ["start_block_index", "end_block_index"], range)
                }
            };
            begin(kind, out);
            out.field_unsigned("document_index", *index);
            optional("document_title", title.as_deref(), out);
            optional("file_id", id.as_deref(), out);
            stretch(names, range, out);
        }
        // Which file is not enough for any of the forms.
        CitedSource::Document { .. } | CitedSource::Other => {
            lost.source();
            return false;
        }
    }
    out.close_object();
    lost.stretch_of(citation);
    true
}

fn optional(name: &str, text: Option<&str>, out: &mut BytesMut) {
    match text {
        Some(text) => out.field(name, text),
        None => out.field_raw(name, "null"),
    }
}

fn stretch([start, end]: [&str; 2], range: &Range<u64>, out: &mut BytesMut) {
    out.field_unsigned(start, range.start);
    out.field_unsigned(end, range.end);
}
