//! Citations in Cohere's chat answers.
//!
//! Owns reading them: a stretch of one piece of content, in characters from its beginning, and the documents or tools it rests on.
//! Must not know parts. Source: Cohere's page on citations; `content_index` and `type` say which content, and are left out where there
//! is one.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_model::citation::{Citation, CitedSource, Claim, Native};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;

/// A citation as it stands in an answer.
pub(super) struct Wire {
    json: Json,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    start: Option<usize>,
    #[serde(default)]
    end: Option<usize>,
    #[serde(default)]
    content_index: Option<usize>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    sources: Option<Vec<Value>>,
}

/// What of an answer a citation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// What the model means to do with tools.
    Plan,
    /// A piece of content; the first text where it is not said.
    Content(Option<usize>),
}

impl Wire {
    /// Reads one; `None` for what is no citation.
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        let fields = serde_json::from_str(raw.get()).ok()?;
        Some(Self { json: Json::from_raw(raw.to_owned()), fields })
    }

    pub(super) fn about(&self) -> About {
        match self.fields.kind.as_deref() {
            Some("PLAN") => About::Plan,
            _ => About::Content(self.fields.content_index),
        }
    }

    /// A citation for each of its sources. `start` is where its content begins in the text of the answer; `None` where it is about
    /// what is no text of the answer.
    pub(super) fn citations(&self, start: Option<usize>) -> Vec<Citation> {
        let claim = match (start, self.fields.start, self.fields.end) {
            (Some(before), Some(start), Some(end)) if start <= end => {
                Claim::Stretch(before.saturating_add(start)..before.saturating_add(end))
            }
            _ => Claim::Unsaid,
        };
        let cited = |source: CitedSource, quote: Option<String>| Citation {
            source,
            quote,
            claim: claim.clone(),
            native: Some(Native { origin: Dialect::Cohere, json: self.json.clone() }),
        };
        let sources = self.fields.sources.as_deref().unwrap_or_default();
        if sources.is_empty() {
            return vec![cited(CitedSource::Other, None)];
        }
        sources
            .iter()
            .map(|value| {
                let (source, quote) = source(value);
                cited(source, quote)
            })
            .collect()
    }
}

/// What a source is. Documents are objects of the request's making; these names are those that Cohere's pages use.
fn source(value: &Value) -> (CitedSource, Option<String>) {
    let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
    let told = value.get("document").or_else(|| value.get("tool_output")).and_then(Value::as_object);
    let text = |names: &[&str]| {
        let find = |fields: &Map<String, Value>| {
            names.iter().find_map(|name| fields.get(*name)?.as_str().map(str::to_owned))
        };
        told.and_then(find)
    };
    let title = text(&["title"]);
    let quote = text(&["text", "snippet"]);
    let source = match text(&["url"]) {
        Some(url) => CitedSource::Web { url, title },
        None => CitedSource::Document { index: None, title, id, within: None },
    };
    (source, quote)
}
