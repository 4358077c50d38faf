//! Usage, as the dialect counts.
//!
//! Owns both ways: cached and written tokens are inside the input, reasoning inside the output. Must not know the answer.

use super::answer_decode::Head;
use crate::terms::ToldTerms;
use crate::write::Object;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_model::usage::{Terms, Usage};

/// A provider's usage object.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    /// Reads a usage object; `None` when it is none.
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Option<Self>>(text).ok().flatten()
    }

    /// The disjoint classes.
    fn classes(&self) -> Usage {
        let details = self.input_tokens_details.as_ref();
        let cached = details.and_then(|details| details.cached_tokens).unwrap_or(0);
        let reasoning =
            self.output_tokens_details.as_ref().and_then(|details| details.reasoning_tokens).unwrap_or(0);
        let mut usage = Usage::from_inclusive(
            self.input_tokens.unwrap_or(0),
            cached,
            self.output_tokens.unwrap_or(0),
            reasoning,
        );
        let written = details.and_then(|details| details.cache_write_tokens).unwrap_or(0).min(usage.input);
        usage.input -= written;
        usage.cache_write = written;
        usage
    }
}

/// What an answer says it took: its usage, its service tier, and the tools of the provider that cost beside tokens.
pub(super) fn told(head: &Head<'_>) -> Option<Usage> {
    let mut usage = WireUsage::read(head.usage?.get())?.classes();
    let tier =
        head.service_tier.map(|tier| serde_json::from_str::<ToldTerms>(tier.get()).unwrap_or_default());
    usage.terms = tier.unwrap_or_default().0;
    let (searches, others) = head.output.map_or((0, false), tools_run);
    usage.searches = searches;
    if others {
        usage.terms = Terms::Unlisted;
    }
    Some(usage)
}

/// How many searches of the web the items of an answer tell of, and whether other tools ran that are billed beside tokens.
fn tools_run(output: &RawValue) -> (u64, bool) {
    const BILLED: [&str; 4] =
        ["web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"];
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<&'a RawValue>,
        #[serde(borrow, default)]
        action: Option<Action<'a>>,
    }
    #[derive(Deserialize)]
    struct Action<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<&'a RawValue>,
    }
    // Few answers have any, and most need no second look.
    if !BILLED.iter().any(|kind| output.get().contains(kind)) {
        return (0, false);
    }
    let items: Vec<Item<'_>> = serde_json::from_str(output.get()).unwrap_or_default();
    let word = |kind: Option<&RawValue>| kind.map_or("", RawValue::get).trim_matches('"').to_owned();
    let mut found = (0_u64, false);
    for item in items {
        match word(item.kind).as_str() {
            // Opening a page and finding in it are part of the search.
            "web_search_call" => {
                found.0 += u64::from(item.action.is_none_or(|action| word(action.kind) == "search"));
            }
            kind if BILLED.contains(&kind) => found.1 = true,
            _ => {}
        }
    }
    found
}

/// Writes the object.
pub(super) fn write(out: &mut BytesMut, usage: &Usage) {
    let mut object = Object::open(out);
    object.whole("input_tokens", usage.prompt());
    let mut details = Object::open(object.key("input_tokens_details"));
    details.whole("cached_tokens", usage.cache_read);
    details.whole("cache_write_tokens", usage.cache_write.saturating_add(usage.cache_write_long));
    details.close();
    object.whole("output_tokens", usage.completion());
    let mut details = Object::open(object.key("output_tokens_details"));
    details.whole("reasoning_tokens", usage.reasoning);
    details.close();
    object.whole("total_tokens", usage.total());
    object.close();
}
