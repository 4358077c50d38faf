//! Anthropic's token counts and our disjoint classes.
//!
//! Owns the arithmetic. Must not know events. `input_tokens` leaves out what was read from or written to the cache, and
//! `output_tokens` includes thinking, so the classes are sums on the way in and out, never guesses. In a stream the counts
//! come in two halves, cumulative, and later ones may leave out what earlier ones said.

use crate::json_text::JsonText;
use crate::terms::ToldTerms;
use bytes::BytesMut;
use serde::Deserialize;
use trunkline_model::usage::{Terms, Usage};

/// The `usage` object; every field may be missing or null somewhere.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerTools>,
    service_tier: Option<ToldTerms>,
    /// Where the model ran; some places cost more.
    inference_geo: Option<Place>,
    /// `fast` costs more.
    speed: Option<ToldTerms>,
}

/// Tools that the provider ran and bills beside tokens; what it fetches costs its tokens only.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ServerTools {
    web_search_requests: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Global,
    NotAvailable,
    #[serde(other)]
    Named,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

/// The counts heard so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_long: u64,
    output: u64,
    thinking: u64,
    searches: u64,
    terms: Terms,
}

impl Counters {
    /// Takes what a usage object says, keeping what it does not say.
    pub(super) fn take(&mut self, usage: &WireUsage) {
        let set = |place: &mut u64, value: Option<u64>| *place = value.unwrap_or(*place);
        set(&mut self.input, usage.input_tokens);
        set(&mut self.cache_read, usage.cache_read_input_tokens);
        set(&mut self.output, usage.output_tokens);
        let short = usage.cache_creation.and_then(|split| split.ephemeral_5m_input_tokens);
        let long = usage.cache_creation.and_then(|split| split.ephemeral_1h_input_tokens);
        set(&mut self.cache_write_long, long);
        let sum = short.map(|short| short.saturating_add(long.unwrap_or_default()));
        set(&mut self.cache_write, usage.cache_creation_input_tokens.max(sum));
        set(&mut self.thinking, usage.output_tokens_details.and_then(|details| details.thinking_tokens));
        set(&mut self.searches, usage.server_tool_use.and_then(|tools| tools.web_search_requests));
        let apart = matches!(usage.inference_geo, Some(Place::Named)).then_some(Terms::Unlisted);
        let told = [usage.service_tier, usage.speed].into_iter().flatten().map(|told| told.0);
        self.terms = told.chain(apart).fold(self.terms, Terms::max);
    }

    /// The counts in disjoint classes.
    pub(super) fn usage(&self) -> Usage {
        let long = self.cache_write_long.min(self.cache_write);
        let reasoning = self.thinking.min(self.output);
        Usage {
            input: self.input,
            cache_read: self.cache_read,
            cache_write: self.cache_write - long,
            cache_write_long: long,
            output: self.output - reasoning,
            reasoning,
            searches: self.searches,
            terms: self.terms,
            ..Usage::default()
        }
    }
}

/// Writes a `usage` object.
pub(super) fn write(usage: &Usage, out: &mut BytesMut) {
    out.open_object();
    out.field_unsigned("input_tokens", usage.input);
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    out.field_unsigned("cache_creation_input_tokens", written);
    out.field_unsigned("cache_read_input_tokens", usage.cache_read);
    if written > 0 {
        out.key("cache_creation");
        out.open_object();
        out.field_unsigned("ephemeral_5m_input_tokens", usage.cache_write);
        out.field_unsigned("ephemeral_1h_input_tokens", usage.cache_write_long);
        out.close_object();
    }
    out.field_unsigned("output_tokens", usage.completion());
    if usage.reasoning > 0 {
        out.key("output_tokens_details");
        out.open_object();
        out.field_unsigned("thinking_tokens", usage.reasoning);
        out.close_object();
    }
    out.close_object();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> WireUsage {
        serde_json::from_str(text).unwrap()
    }

    proptest! {
        #[test]
        fn classes_survive_the_wire(counts in proptest::array::uniform6(0u64..1 << 40)) {
            let [input, cache_read, cache_write, cache_write_long, output, reasoning] = counts;
            let usage = Usage { input, cache_read, cache_write, cache_write_long, output, reasoning, ..Usage::default() };
            let mut out = BytesMut::new();
            write(&usage, &mut out);
            let mut counters = Counters::default();
            counters.take(&read(std::str::from_utf8(&out).unwrap()));
            prop_assert_eq!(counters.usage(), usage);
        }
    }

    #[test]
    fn the_second_half_of_a_stream_keeps_the_first() {
        let mut counters = Counters::default();
        counters.take(&read(
            r#"{"input_tokens":3,"cache_creation_input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1,
                "cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":6}}"#,
        ));
        counters.take(&read(r#"{"input_tokens":null,"cache_creation_input_tokens":10,"output_tokens":42}"#));
        let expected = Usage {
            input: 3,
            cache_read: 5,
            cache_write: 4,
            cache_write_long: 6,
            output: 42,
            reasoning: 0,
            ..Usage::default()
        };
        assert_eq!(counters.usage(), expected);
    }
}
