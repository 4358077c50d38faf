//! Usage, as the dialect counts.
//!
//! Owns both ways: cached and written tokens are inside the input, reasoning inside the output. Must not know the answer.

use crate::write::Object;
use bytes::BytesMut;
use serde::Deserialize;
use trunkline_model::usage::Usage;

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
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Option<Self>>(text).ok().flatten()
    }

    /// The disjoint classes.
    pub(super) fn classes(&self) -> Usage {
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
