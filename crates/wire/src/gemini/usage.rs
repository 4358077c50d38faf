//! Gemini's token counts and our disjoint classes.
//!
//! Owns the arithmetic. Must not know events. `promptTokenCount` includes what was read from a cache, thoughts stand beside
//! the candidates, and what tools of the provider put into the prompt stands beside the prompt; `totalTokenCount` is the
//! sum of all four.

use crate::json_text::JsonText;
use crate::scan::reader::{Escapes, Fault, Kind, Reader};
use crate::terms::ToldTerms;
use bytes::BytesMut;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use trunkline_model::usage::{Terms, Usage};

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
    prompt_tokens_details: Option<Modalities>,
    cache_tokens_details: Option<Modalities>,
    candidates_tokens_details: Option<Modalities>,
    /// Of Vertex.
    traffic_type: Option<ToldTerms>,
    service_tier: Option<ToldTerms>,
}

/// Tokens of what some models price apart; pictures and films in prompts cost what texts do.
#[derive(Clone, Copy, Debug, Default)]
struct Modalities {
    audio: u64,
    image: u64,
}

impl<'de> Deserialize<'de> for Modalities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Detail<'a> {
            #[serde(borrow, default)]
            modality: Option<Cow<'a, str>>,
            token_count: Option<u64>,
        }
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Modalities;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of counts by modality")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Modalities, A::Error> {
                let mut all = Modalities::default();
                while let Some(detail) = list.next_element::<Detail<'_>>()? {
                    let modality = detail.modality.as_deref().unwrap_or_default();
                    all.add(modality, detail.token_count.unwrap_or_default());
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl Modalities {
    fn add(&mut self, modality: &str, count: u64) {
        let place = match modality {
            "AUDIO" => &mut self.audio,
            "IMAGE" => &mut self.image,
            _ => return,
        };
        *place = place.saturating_add(count);
    }

    /// Reads a list whose entries have a modality and a count and whatever nobody reads; `None` for another.
    fn read_plain(reader: &mut Reader<'_>) -> Result<Option<Self>, Fault> {
        let (mut all, mut is_other) = (Self::default(), false);
        reader.array(|reader, _| {
            if reader.kind() != Kind::Object {
                is_other = true;
                return reader.skip().map(drop);
            }
            let (mut modality, mut count) = (None, None);
            reader.object(|reader, key| {
                is_other |= key.escapes != Escapes::None;
                match key.raw {
                    "modality" if reader.kind() == Kind::Text && modality.is_none() => {
                        let word = reader.string()?;
                        is_other |= word.escapes != Escapes::None;
                        modality = Some(word.raw);
                        return Ok(());
                    }
                    "tokenCount" if count.is_none() => {
                        count = reader.skip()?.parse().ok();
                        is_other |= count.is_none();
                        return Ok(());
                    }
                    "modality" | "tokenCount" => is_other = true,
                    _ => {}
                }
                reader.skip().map(drop)
            })?;
            all.add(modality.unwrap_or_default(), count.unwrap_or_default());
            Ok(())
        })?;
        Ok((!is_other).then_some(all))
    }
}

impl WireUsage {
    /// Reads an object that has each field once, counts as numbers and details as lists; `None` for another, which is passed over.
    ///
    /// # Errors
    /// What is no JSON.
    pub(super) fn read_plain(reader: &mut Reader<'_>) -> Result<Option<Self>, Fault> {
        if reader.kind() != Kind::Object {
            return reader.skip().map(|_| None);
        }
        let (mut usage, mut is_other) = (Self::default(), false);
        reader.object(|reader, key| {
            is_other |= key.escapes != Escapes::None;
            let count = match key.raw {
                "promptTokenCount" => &mut usage.prompt_token_count,
                "cachedContentTokenCount" => &mut usage.cached_content_token_count,
                "candidatesTokenCount" => &mut usage.candidates_token_count,
                "thoughtsTokenCount" => &mut usage.thoughts_token_count,
                "toolUsePromptTokenCount" => &mut usage.tool_use_prompt_token_count,
                "totalTokenCount" => &mut usage.total_token_count,
                name => {
                    let details = match name {
                        "promptTokensDetails" => &mut usage.prompt_tokens_details,
                        "cacheTokensDetails" => &mut usage.cache_tokens_details,
                        "candidatesTokensDetails" => &mut usage.candidates_tokens_details,
                        _ => {
                            is_other |= matches!(name, "trafficType" | "serviceTier");
                            return reader.skip().map(drop);
                        }
                    };
                    is_other |= details.is_some() || reader.kind() != Kind::Array;
                    if is_other {
                        return reader.skip().map(drop);
                    }
                    *details = Modalities::read_plain(reader)?;
                    is_other |= details.is_none();
                    return Ok(());
                }
            };
            is_other |= count.is_some();
            *count = reader.skip()?.parse().ok();
            is_other |= count.is_none();
            Ok(())
        })?;
        Ok((!is_other).then_some(usage))
    }

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
        let mut usage = Usage::from_inclusive(prompt, cached, candidates.saturating_add(thoughts), thoughts);
        let asked = self.prompt_tokens_details.unwrap_or_default();
        let kept = self.cache_tokens_details.unwrap_or_default();
        let made = self.candidates_tokens_details.unwrap_or_default();
        usage.media.audio_input = asked.audio.saturating_sub(kept.audio).min(usage.input);
        usage.media.audio_output = made.audio.min(usage.output);
        usage.media.image_output = made.image.min(usage.output - usage.media.audio_output);
        let told = [self.traffic_type, self.service_tier].into_iter().flatten().map(|told| told.0);
        usage.terms = told.max().unwrap_or_default();
        Some(usage)
    }
}

/// What a `groundingMetadata` tells of searches, which cost beside tokens: by query or by prompt, and not at all up to a number by
/// day or month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Searches {
    /// Queries of the web. Blank ones are not billed, and the same one once (<https://ai.google.dev/gemini-api/docs/google-search>).
    queries: u64,
    /// Whether anything was searched.
    any: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding<'a> {
    #[serde(borrow)]
    web_search_queries: Option<Vec<Cow<'a, str>>>,
    retrieval_queries: Option<IgnoredAny>,
}

impl Searches {
    pub(super) const NONE: Self = Self { queries: 0, any: false };

    pub(super) fn of(grounding: &RawValue) -> Self {
        let Ok(grounding) = serde_json::from_str::<Grounding<'_>>(grounding.get()) else {
            return Self::default();
        };
        let queries = grounding.web_search_queries.iter().flatten().map(|query| query.trim());
        let queries = queries.filter(|query| !query.is_empty()).collect::<HashSet<_>>().len() as u64;
        Self { queries, any: queries > 0 || grounding.retrieval_queries.is_some() }
    }

    /// Those of another part of the answer besides: a stream may tell the same ones again.
    pub(super) fn and(self, other: Self) -> Self {
        Self { queries: self.queries.max(other.queries), any: self.any || other.any }
    }

    /// The usage of the answer for which they were made.
    pub(super) fn in_usage(self, usage: Usage) -> Usage {
        let terms = if self.any { Terms::Unlisted } else { usage.terms };
        Usage { terms, searches: self.queries, ..usage }
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
    fn sound_pictures_and_the_service_are_told_apart() {
        let usage = read(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":30,"candidatesTokenCount":50,"totalTokenCount":150,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":20},{"modality":"AUDIO","tokenCount":80}],
                "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":30}],
                "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":40},{"modality":"TEXT"}],"trafficType":"ON_DEMAND_FLEX"}"#,
        )
        .unwrap();
        assert_eq!((usage.input, usage.media.audio_input, usage.media.image_output), (70, 50, 40));
        assert_eq!(usage.terms, Terms::Flex);
        assert_eq!(usage.total(), 150);
    }

    #[test]
    fn what_is_left_out_follows_from_the_total() {
        let usage = read(r#"{"promptTokenCount":10,"thoughtsTokenCount":5,"totalTokenCount":22}"#).unwrap();
        assert_eq!((usage.input, usage.output, usage.reasoning), (10, 7, 5));
        assert_eq!(read(r#"{"trafficType":"ON_DEMAND"}"#), None);
    }
}
