//! Citations in chat completions.
//!
//! Owns `annotations` of a message, which the specification has for pages of the web (`url_citation`), and the lists of sources that
//! look-alikes put beside the choices. Must not write what clients' own libraries refuse: they take an annotation of another type for
//! a broken answer, so that documents have no place.
//!
//! `start_index` and `end_index` count characters of the message's whole `content`. The specification calls the second the index of
//! the last character; in answers it is that of the character after it, and clients cut the text by the two.

use crate::cited::Lost;
use crate::json_text::JsonText;
use crate::write::Object;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::ops::Range;
use trunkline_model::citation::{Citation, CitedSource, Claim, Native};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;

/// Reads an annotation, whichever of the vendor's dialects it is of: this one nests the fields of the other under its type.
/// Positions are as written; `origin` is who wrote it.
pub(crate) fn read(raw: &RawValue, origin: Dialect) -> Citation {
    let json = Json::from_raw(raw.to_owned());
    let value = json.value();
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let fields = value.get(kind).filter(|inner| inner.is_object()).unwrap_or(&value);
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let source = match (kind, text("url"), text("file_id")) {
        ("url_citation", Some(url), _) => CitedSource::Web { url, title: text("title") },
        ("file_citation" | "container_file_citation" | "file_path", _, Some(id)) => CitedSource::Document {
            index: fields.get("index").and_then(Value::as_u64),
            title: text("filename"),
            id: Some(id),
            within: None,
        },
        _ => CitedSource::Other,
    };
    let claim = stretch(fields).map_or(Claim::Unsaid, Claim::Stretch);
    // What `OpenRouter` calls the words of the page.
    let quote = text("content").filter(|quote| !quote.is_empty());
    Citation { source, quote, claim, native: Some(Native { origin, json }) }
}

/// The characters an annotation is about. Look-alikes that do not know them say that it is none.
fn stretch(fields: &Value) -> Option<Range<usize>> {
    let place = |name: &str| fields.get(name)?.as_u64().and_then(|place| usize::try_from(place).ok());
    let range = place("start_index")?..place("end_index")?;
    (range.end > 0 && range.start <= range.end).then_some(range)
}

/// Reads the sources that look-alikes list beside the choices, without a word on what rests on which: addresses (`citations`), and
/// the same with titles (`search_results`).
pub(super) fn listed(citations: Option<&RawValue>, results: Option<&RawValue>) -> Vec<Citation> {
    #[derive(Deserialize)]
    struct Found {
        #[serde(default)]
        url: Option<String>,
        #[serde(default)]
        title: Option<String>,
        #[serde(default)]
        snippet: Option<String>,
    }
    let results: Vec<Found> =
        results.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let addresses: Vec<Value> =
        citations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let web = |url: String, title: Option<String>, quote: Option<String>| Citation {
        source: CitedSource::Web { url, title },
        quote: quote.filter(|quote| !quote.is_empty()),
        claim: Claim::Unsaid,
        native: None,
    };
    if addresses.is_empty() {
        return results
            .into_iter()
            .filter_map(|found| Some(web(found.url?, found.title, found.snippet)))
            .collect();
    }
    let titled = |address: Value| {
        let Value::String(url) = address else { return None };
        let found = results.iter().find(|found| found.url.as_deref() == Some(&url));
        let (title, quote) = found.map_or((None, None), |found| (found.title.clone(), found.snippet.clone()));
        Some(web(url, title, quote))
    };
    addresses.into_iter().filter_map(titled).collect()
}

/// Sources that Mistral names by the ids, texts or numbers, that they were given in a tool's result.
pub(super) fn referred(ids: Option<&RawValue>) -> Vec<Citation> {
    let ids: Vec<Value> = ids.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let citation = |id: Value| {
        let name = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let source = CitedSource::Document { index: id.as_u64(), title: None, id: Some(name), within: None };
        Citation { source, quote: None, claim: Claim::Unsaid, native: None }
    };
    ids.into_iter().map(citation).collect()
}

/// A source that one of Mistral's own tools found.
pub(super) fn found(url: &str, title: &str) -> Citation {
    let title = Some(title).filter(|title| !title.is_empty()).map(str::to_owned);
    let source = if url.is_empty() {
        CitedSource::Document { index: None, title, id: None, within: None }
    } else {
        CitedSource::Web { url: url.to_owned(), title }
    };
    Citation { source, quote: None, claim: Claim::Unsaid, native: None }
}

/// Writes an annotation; false, and noted as lost, for what the dialect has none for.
pub(super) fn write(citation: &Citation, lost: &mut Lost, out: &mut BytesMut) -> bool {
    if let Some(json) = citation.native_of(Dialect::OpenAi)
        && is_nested(json)
    {
        out.raw(json.text());
        return true;
    }
    let Some((url, title)) = citation.page() else {
        lost.source();
        return false;
    };
    let mut annotation = Object::open(out);
    annotation.text("type", "url_citation");
    let mut fields = Object::open(annotation.key("url_citation"));
    write_page(&mut fields, url, title, citation.claim.characters());
    if let Some(quote) = &citation.quote {
        // The specification has no member for it, and clients skip what they do not know.
        fields.text("content", quote);
    }
    fields.close();
    annotation.close();
    lost.details_of(citation, true);
    true
}

/// Writes what both of the vendor's dialects say of a page. Neither can leave the place out: where it is not known it is empty, as
/// look-alikes write it.
pub(crate) fn write_page(
    fields: &mut Object<'_, BytesMut>,
    url: &str,
    title: Option<&str>,
    characters: Option<&Range<usize>>,
) {
    let (start, end) = characters.map_or((0, 0), |range| (range.start, range.end));
    fields.whole("start_index", start);
    fields.whole("end_index", end);
    fields.text("url", url);
    fields.text("title", title.unwrap_or_default());
}

fn is_nested(json: &Json) -> bool {
    let value = json.value();
    value
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| value.get(kind).is_some_and(Value::is_object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(json: &str) -> Citation {
        read(&RawValue::from_string(json.to_owned()).unwrap(), Dialect::OpenAi)
    }

    fn written(citation: &Citation) -> Option<String> {
        let mut out = BytesMut::new();
        write(citation, &mut Lost::default(), &mut out).then(|| String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn what_is_in_the_dialects_own_form_stays_as_it_is_and_what_is_not_gets_it() {
        let own = r#"{"type":"url_citation","url_citation":{"url":"https://a","title":"A","start_index":3,"end_index":9,"odd":1}}"#;
        assert_eq!(written(&annotation(own)).as_deref(), Some(own));
        let flat = r#"{"type":"url_citation","url":"https://a","title":null,"start_index":3,"end_index":9}"#;
        insta::assert_snapshot!(written(&annotation(flat)).unwrap(), @r#"{"type":"url_citation","url_citation":{"start_index":3,"end_index":9,"url":"https://a","title":""}}"#);
        assert_eq!(written(&annotation(r#"{"type":"file_path","file_id":"f"}"#)), None);
        assert_eq!(annotation("7").source, CitedSource::Other);
        assert_eq!(
            annotation(r#"{"type":"url_citation","start_index":9,"end_index":3,"url":"u"}"#).claim,
            Claim::Unsaid
        );
    }

    #[test]
    fn lists_beside_the_choices_are_read_once_with_what_is_known_of_each() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let citations = raw(r#"["https://a","https://b",7]"#);
        let results = raw(r#"[{"title":"B","url":"https://b","snippet":"so"},{"title":"C"}]"#);
        let both = listed(Some(&citations), Some(&results));
        let titles: Vec<_> = both.iter().map(|citation| citation.page().unwrap()).collect();
        assert_eq!(titles, [("https://a", None), ("https://b", Some("B"))]);
        assert_eq!(both[1].quote.as_deref(), Some("so"));
        assert_eq!(listed(None, Some(&results)).len(), 1);
        assert!(listed(Some(&raw("{}")), None).is_empty());
    }
}
