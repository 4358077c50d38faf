//! The dialect's token counts and our disjoint classes.
//!
//! Owns the arithmetic. Must not know events. `inputTokens` leaves out what was read from or written to the cache, and
//! `outputTokens` includes reasoning, which is not counted apart.

use crate::terms::ToldTerms;
use serde::Deserialize;
use trunkline_model::usage::Usage;

/// The `usage` object (`TokenUsage`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    cache_details: Option<Vec<CacheDetail>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail {
    ttl: String,
    input_tokens: u64,
}

/// The `serviceTier` object.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct WireTier {
    #[serde(rename = "type", default)]
    kind: ToldTerms,
}

impl WireUsage {
    /// The counts in disjoint classes.
    pub(super) fn usage(&self, tier: Option<WireTier>) -> Usage {
        let written = self.cache_write_input_tokens.unwrap_or_default();
        let details = self.cache_details.as_deref().unwrap_or_default().iter();
        let long: u64 = details
            .filter(|detail| detail.ttl == "1h")
            .fold(0, |sum, detail| sum.saturating_add(detail.input_tokens));
        let long = long.min(written);
        Usage {
            input: self.input_tokens,
            cache_read: self.cache_read_input_tokens.unwrap_or_default(),
            cache_write: written - long,
            cache_write_long: long,
            output: self.output_tokens,
            terms: tier.unwrap_or_default().kind.0,
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_add_up_to_the_total() {
        let text = r#"{"inputTokens":3,"outputTokens":42,"totalTokens":60,"cacheReadInputTokens":5,
            "cacheWriteInputTokens":10,"cacheDetails":[{"ttl":"5m","inputTokens":4},{"ttl":"1h","inputTokens":6}]}"#;
        let usage = serde_json::from_str::<WireUsage>(text).unwrap().usage(None);
        let expected = Usage {
            input: 3,
            cache_read: 5,
            cache_write: 4,
            cache_write_long: 6,
            output: 42,
            reasoning: 0,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        assert_eq!(usage.total(), 60);
    }

    #[test]
    fn details_never_exceed_the_count() {
        let text = r#"{"inputTokens":1,"outputTokens":1,"totalTokens":2,
            "cacheDetails":[{"ttl":"1h","inputTokens":18446744073709551615},{"ttl":"1h","inputTokens":1}]}"#;
        assert_eq!(serde_json::from_str::<WireUsage>(text).unwrap().usage(None).total(), 2);
    }
}
