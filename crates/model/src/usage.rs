//! Token usage in disjoint classes.
//!
//! Owns the classes and their sum. Must not know how any provider counts: adapters subtract what their provider counts
//! twice (cached inside prompt, reasoning inside completion) before a value of this type exists.

use crate::catalogue::{ServiceTier, TokenCounts};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Tokens of one call, in classes that never overlap and add up to the provider's total.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens billed at the plain input price (cache hits and cache writes excluded).
    pub input: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache with its short (5 minute) lifetime.
    pub cache_write: u64,
    /// Prompt tokens written to the provider's cache with its long (1 hour) lifetime.
    pub cache_write_long: u64,
    /// Generated tokens that the client sees (reasoning excluded).
    pub output: u64,
    /// Generated tokens spent on reasoning.
    pub reasoning: u64,
    /// Searches, where they are billed: in place of tokens where documents are ordered, beside them elsewhere; no tokens.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub searches: u64,
    /// What of it is not plain text.
    #[serde(default, skip_serializing_if = "Media::is_none")]
    pub media: Media,
    /// What of it the provider says it does not bill.
    #[serde(default, skip_serializing_if = "Unbilled::is_none")]
    pub unbilled: Unbilled,
    /// At what prices the provider says it served the call.
    #[serde(default, skip_serializing_if = "Terms::is_usual")]
    pub terms: Terms,
}

/// At what prices a call was served. Who asks for `auto` learns it from the answer alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terms {
    /// At the usual ones, or the provider says nothing.
    #[default]
    Usual,
    /// At those of batches.
    Batch,
    /// At those of the cheaper, slower service.
    Flex,
    /// At those of the dearer, faster service.
    Priority,
    /// At some that no list of prices states: a commitment, a faster mode, a region, or tools of the provider that cost beside
    /// tokens. What the lists say is an estimate then.
    Unlisted,
}

impl Terms {
    /// What a word for a service tier means, as the dialects write it: OpenAI's and Bedrock's `flex`, Vertex's
    /// `ON_DEMAND_FLEX`, Groq's `on_demand`. A word nobody knows is no price anybody knows.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        if word.is_empty()
            || ["default", "auto", "standard", "standard_only", "on_demand"].into_iter().any(is)
            || word.to_ascii_lowercase().ends_with("_unspecified")
        {
            return Self::Usual;
        }
        if is("flex") || is("on_demand_flex") {
            Self::Flex
        } else if is("priority") || is("on_demand_priority") {
            Self::Priority
        } else if is("batch") {
            Self::Batch
        } else {
            Self::Unlisted
        }
    }

    /// The prices of the catalogue that come nearest.
    #[must_use]
    pub const fn service(self) -> ServiceTier {
        match self {
            Self::Usual | Self::Unlisted => ServiceTier::Standard,
            Self::Batch => ServiceTier::Batch,
            Self::Flex => ServiceTier::Flex,
            Self::Priority => ServiceTier::Priority,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    fn is_usual(&self) -> bool {
        *self == Self::Usual
    }
}

/// Tokens that went through a model and are not billed: a preamble of the provider's own, for example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unbilled {
    /// Prompt tokens; a part of [`Usage::prompt`].
    pub prompt: u64,
    /// Generated tokens; a part of [`Usage::completion`].
    pub completion: u64,
}

impl Unbilled {
    /// Whether everything is billed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Count by count sum.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
        }
    }
}

/// What of a call is not plain text: tokens that some models price apart, and things that are counted otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// Prompt tokens that carry pictures; a part of [`Usage::input`].
    pub image_input: u64,
    /// Prompt tokens that carry audio; a part of [`Usage::input`].
    pub audio_input: u64,
    /// Answer tokens that carry pictures; a part of [`Usage::output`].
    pub image_output: u64,
    /// Answer tokens that carry audio; a part of [`Usage::output`].
    pub audio_output: u64,
    /// Pictures made.
    pub images: u64,
    /// Milliseconds of audio taken in.
    pub audio_milliseconds: u64,
    /// Characters, where these are billed: spoken, or of texts to make vectors of.
    pub characters: u64,
}

impl Media {
    /// Whether there is nothing but plain text.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Count by count sum.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            image_input: self.image_input.saturating_add(other.image_input),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            image_output: self.image_output.saturating_add(other.image_output),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            images: self.images.saturating_add(other.images),
            audio_milliseconds: self.audio_milliseconds.saturating_add(other.audio_milliseconds),
            characters: self.characters.saturating_add(other.characters),
        }
    }
}

/// Nearly all calls are plain text, and say nothing of media.
impl fmt::Debug for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Usage");
        shown
            .field("input", &self.input)
            .field("cache_read", &self.cache_read)
            .field("cache_write", &self.cache_write)
            .field("cache_write_long", &self.cache_write_long)
            .field("output", &self.output)
            .field("reasoning", &self.reasoning)
            .field("searches", &self.searches);
        if !self.media.is_none() {
            shown.field("media", &self.media);
        }
        if !self.unbilled.is_none() {
            shown.field("unbilled", &self.unbilled);
        }
        if self.terms != Terms::Usual {
            shown.field("terms", &self.terms);
        }
        shown.finish()
    }
}

/// Serde wants a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Usage {
    /// Everything on the prompt side.
    #[must_use]
    pub const fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_long)
    }

    /// Everything that was generated.
    #[must_use]
    pub const fn completion(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    /// The provider's total.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.prompt().saturating_add(self.completion())
    }

    /// The tokens that are billed: without those that the provider says it does not bill. Such tokens are taken from the
    /// cheaper class first, as nobody bills a cache read beside free tokens of the prompt.
    #[must_use]
    pub const fn billed(&self) -> Self {
        let rest = self.unbilled.prompt.saturating_sub(self.cache_read);
        let unseen = self.unbilled.completion.saturating_sub(self.output);
        Self {
            cache_read: self.cache_read.saturating_sub(self.unbilled.prompt),
            input: self.input.saturating_sub(rest),
            output: self.output.saturating_sub(self.unbilled.completion),
            reasoning: self.reasoning.saturating_sub(unseen),
            unbilled: Unbilled { prompt: 0, completion: 0 },
            ..*self
        }
    }

    /// Class by class sum, for requests that took several attempts. Such a sum is not priced: each attempt is, by its terms.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_long: self.cache_write_long.saturating_add(other.cache_write_long),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            searches: self.searches.saturating_add(other.searches),
            media: self.media.plus(&other.media),
            unbilled: self.unbilled.plus(&other.unbilled),
            terms: match self.terms {
                Terms::Usual => other.terms,
                terms => terms,
            },
        }
    }

    /// Splits a prompt count that includes `cache_read` tokens; a cached part larger than the prompt is capped to it.
    #[must_use]
    pub fn from_inclusive(prompt: u64, cache_read: u64, completion: u64, reasoning: u64) -> Self {
        let cache_read = cache_read.min(prompt);
        let reasoning = reasoning.min(completion);
        Self {
            input: prompt - cache_read,
            cache_read,
            output: completion - reasoning,
            reasoning,
            ..Self::default()
        }
    }
}

impl From<&Usage> for TokenCounts {
    fn from(usage: &Usage) -> Self {
        Self {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write_5m: usage.cache_write,
            cache_write_1h: usage.cache_write_long,
            output: usage.output,
            reasoning: usage.reasoning,
        }
    }
}

/// Where a usage figure comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider reported it.
    Reported,
    /// Counted here, because the provider said nothing (a cut stream, a provider without usage).
    Estimated,
    /// Neither known nor estimated.
    #[default]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_for_a_service_tier_are_the_prices_they_stand_for() {
        for (word, terms) in [
            ("", Terms::Usual),
            ("default", Terms::Usual),
            ("ON_DEMAND", Terms::Usual),
            ("TRAFFIC_TYPE_UNSPECIFIED", Terms::Usual),
            ("flex", Terms::Flex),
            ("ON_DEMAND_FLEX", Terms::Flex),
            ("priority", Terms::Priority),
            ("batch", Terms::Batch),
            ("scale", Terms::Unlisted),
            ("PROVISIONED_THROUGHPUT", Terms::Unlisted),
        ] {
            assert_eq!(Terms::of(word), terms, "{word}");
        }
    }

    #[test]
    fn the_usual_terms_are_not_written() {
        let usual = serde_json::to_string(&Usage::default()).expect("a usage");
        assert!(!usual.contains("terms"), "{usual}");
        let flex = Usage { terms: Terms::Flex, ..Usage::default() };
        let text = serde_json::to_string(&flex).expect("a usage");
        assert_eq!(serde_json::from_str::<Usage>(&text).expect("what was written"), flex);
    }

    proptest! {
        #[test]
        fn classes_add_up_to_what_the_provider_reported(
            prompt in 0u64..1 << 40, cached in 0u64..1 << 41, completion in 0u64..1 << 40, reasoning in 0u64..1 << 41,
        ) {
            let usage = Usage::from_inclusive(prompt, cached, completion, reasoning);
            prop_assert_eq!(usage.prompt(), prompt);
            prop_assert_eq!(usage.completion(), completion);
            prop_assert_eq!(usage.total(), prompt + completion);
        }

        #[test]
        fn what_is_billed_is_the_rest(
            prompt in 0u64..1 << 40, cached in 0u64..1 << 40, completion in 0u64..1 << 40, reasoning in 0u64..1 << 40,
            free in 0u64..1 << 41, unseen in 0u64..1 << 41,
        ) {
            let unbilled = Unbilled { prompt: free, completion: unseen };
            let usage = Usage { unbilled, ..Usage::from_inclusive(prompt, cached, completion, reasoning) };
            prop_assert_eq!(usage.billed().prompt(), prompt.saturating_sub(free));
            prop_assert_eq!(usage.billed().completion(), completion.saturating_sub(unseen));
            prop_assert_eq!(usage.total(), prompt + completion);
            prop_assert_eq!(usage.billed().billed(), usage.billed());
        }
    }
}
