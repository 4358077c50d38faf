//! Gemini's token counts and our disjoint classes.
//!
//! Owns the arithmetic. Must not know events. `promptTokenCount` includes what was read from a cache, thoughts stand beside
//! the candidates, and what tools of the provider put into the prompt stands beside the prompt; `totalTokenCount` is the
//! sum of all four.

use crate::json_text::JsonText;
use bytes::BytesMut;
use serde::Deserialize;
use trunkline_model::usage::Usage;

/// `usageMetadata`; every field may be missing.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireUsage {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    total_token_count: Option<u64>,
}

impl WireUsage {
    /// The counts in disjoint classes; `None` when there are none (some targets open a stream with an empty object).
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.prompt_token_count.is_none() && self.total_token_count.is_none() {
            return None;
        }
        let prompt = self.prompt_token_count.unwrap_or_default();
        let prompt = prompt.saturating_add(self.tool_use_prompt_token_count.unwrap_or_default());
        let thoughts = self.thoughts_token_count.unwrap_or_default();
        // A count of zero is left out of the JSON; where it is missing for another reason, the total tells.
        let candidates = self.candidates_token_count.unwrap_or_else(|| {
            self.total_token_count.unwrap_or_default().saturating_sub(prompt.saturating_add(thoughts))
        });
        let cached = self.cached_content_token_count.unwrap_or_default();
        Some(Usage::from_inclusive(prompt, cached, candidates.saturating_add(thoughts), thoughts))
    }
}

/// Writes a `usageMetadata` object.
pub(super) fn write(usage: &Usage, out: &mut BytesMut) {
    out.open_object();
    out.field_unsigned("promptTokenCount", usage.prompt());
    if usage.cache_read > 0 {
        out.field_unsigned("cachedContentTokenCount", usage.cache_read);
    }
    out.field_unsigned("candidatesTokenCount", usage.output);
    if usage.reasoning > 0 {
        out.field_unsigned("thoughtsTokenCount", usage.reasoning);
    }
    out.field_unsigned("totalTokenCount", usage.total());
    out.close_object();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Usage> {
        serde_json::from_str::<WireUsage>(text).unwrap().usage()
    }

    proptest! {
        #[test]
        fn classes_survive_the_wire(counts in proptest::array::uniform4(0u64..1 << 30)) {
            let [input, cache_read, output, reasoning] = counts;
            let usage = Usage { input, cache_read, output, reasoning, ..Usage::default() };
            let mut out = BytesMut::new();
            write(&usage, &mut out);
            prop_assert_eq!(read(std::str::from_utf8(&out).unwrap()), Some(usage));
        }

        #[test]
        fn classes_add_up_to_the_total(counts in proptest::array::uniform5(0u64..1 << 30)) {
            let [prompt, cached, candidates, thoughts, tools] = counts;
            let total = prompt + candidates + thoughts + tools;
            let text = format!(
                r#"{{"promptTokenCount":{prompt},"cachedContentTokenCount":{cached},"candidatesTokenCount":{candidates},
                    "thoughtsTokenCount":{thoughts},"toolUsePromptTokenCount":{tools},"totalTokenCount":{total}}}"#
            );
            prop_assert_eq!(read(&text).unwrap().total(), total);
        }
    }

    #[test]
    fn what_is_left_out_follows_from_the_total() {
        let usage = read(r#"{"promptTokenCount":10,"thoughtsTokenCount":5,"totalTokenCount":22}"#).unwrap();
        assert_eq!((usage.input, usage.output, usage.reasoning), (10, 7, 5));
        assert_eq!(read(r#"{"trafficType":"ON_DEMAND"}"#), None);
    }
}
