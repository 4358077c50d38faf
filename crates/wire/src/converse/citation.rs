//! Citations in Converse answers.
//!
//! Owns reading them. Must not know blocks: what rests on a citation is the text of the block it came in. Source: the service model's
//! `Citation`, `CitationsDelta` and `CitationLocation`.

use serde_json::Value;
use serde_json::value::RawValue;
use std::ops::Range;
use trunkline_model::citation::{Citation, CitedSource, Claim, Native, Within};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;

/// Reads a citation.
pub(super) fn read(raw: &RawValue) -> Citation {
    let json = Json::from_raw(raw.to_owned());
    let value = json.value();
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let title = text(&value, "title");
    let location = value.get("location");
    let at = |name: &str| location.and_then(|location| location.get(name));
    let source = if let Some(web) = at("web") {
        let url = text(web, "url").or_else(|| text(web, "domain"));
        url.map_or(CitedSource::Other, |url| CitedSource::Web { url, title })
    } else if let Some(result) = at("searchResultLocation") {
        CitedSource::SearchResult {
            index: number(result, "searchResultIndex").unwrap_or_default(),
            source: text(&value, "source").unwrap_or_default(),
            title,
            blocks: range(result).unwrap_or_default(),
        }
    } else {
        let places = [
            ("documentChar", Within::Characters as fn(Range<u64>) -> Within),
            ("documentPage", Within::Pages),
            ("documentChunk", Within::Blocks),
        ];
        let found = places.into_iter().find_map(|(name, within)| Some((at(name)?, within)));
        CitedSource::Document {
            index: found.and_then(|(place, _)| number(place, "documentIndex")),
            title,
            id: text(&value, "source"),
            within: found.and_then(|(place, within)| range(place).map(within)),
        }
    };
    let words = value.get("sourceContent").and_then(Value::as_array);
    let quote: String = words.into_iter().flatten().filter_map(|piece| piece.get("text")?.as_str()).collect();
    let native = Some(Native { origin: Dialect::Converse, json });
    Citation { source, quote: Some(quote).filter(|quote| !quote.is_empty()), claim: Claim::Unsaid, native }
}

fn number(of: &Value, name: &str) -> Option<u64> {
    of.get(name).and_then(Value::as_u64)
}

fn range(of: &Value) -> Option<Range<u64>> {
    Some(number(of, "start")?..number(of, "end")?)
}
