//! The answers of the dialect as typed, borrowed values: one shape for whole answers and for chunks of a stream.
//!
//! Owns leniency: what look-alikes leave out, set to null, or write in another type is accepted here, so that the decoder
//! sees one form. Must not interpret. Unknown fields are ignored; strings without escapes are not copied.

use crate::scan::reader::{Fault, Kind, Reader};
use crate::terms::ToldTerms;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use trunkline_model::usage::Usage;

/// A whole answer or a chunk.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) object: Text<'a>,
    #[serde(default)]
    pub(super) created: Count,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<ChunkUsage>,
    #[serde(default)]
    pub(super) service_tier: ToldTerms,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    /// Perplexity and xAI: the addresses of all sources.
    #[serde(borrow, default)]
    pub(super) citations: Option<&'a RawValue>,
    /// Perplexity: the same with their titles.
    #[serde(borrow, default)]
    pub(super) search_results: Option<&'a RawValue>,
    /// Groq puts the usage of streams here.
    #[serde(default)]
    pub(super) x_groq: Option<Groq>,
}

#[derive(Deserialize)]
pub(super) struct Groq {
    #[serde(default)]
    pub(super) usage: Option<ChunkUsage>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) delta: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Text<'a>,
    /// vLLM: the stop text (or token id) that ended the answer.
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// A message, or the difference to the one before.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking_blocks: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<Function<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

/// A part of a content list, or a thinking block.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    /// A text, or Mistral's list of text chunks.
    #[serde(borrow, default)]
    pub(super) thinking: Content<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) data: Text<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    /// Mistral: which of the sources that tools gave.
    #[serde(borrow, default)]
    pub(super) reference_ids: Option<&'a RawValue>,
    /// Mistral: a source that a tool of its own found.
    #[serde(borrow, default)]
    pub(super) url: Text<'a>,
    #[serde(borrow, default)]
    pub(super) title: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow, default)]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl<'a> Function<'a> {
    /// The arguments as JSON text: the content of the string, or the object that some look-alikes send.
    pub(super) fn argument_text(&self) -> Cow<'a, str> {
        let Some(raw) = self.arguments.map(RawValue::get) else { return Cow::Borrowed("") };
        if !raw.starts_with('"') {
            return Cow::Borrowed(raw);
        }
        serde_json::from_str::<Text<'a>>(raw).unwrap_or_default().0
    }
}

#[derive(Deserialize)]
pub(super) struct ExtraContent<'a> {
    #[serde(borrow, default)]
    google: Option<Google<'a>>,
}

#[derive(Deserialize)]
struct Google<'a> {
    #[serde(borrow, default)]
    thought_signature: Text<'a>,
}

impl ExtraContent<'_> {
    /// Gemini's signature, if there is one.
    pub(super) fn signature(&self) -> Option<&str> {
        self.google.as_ref().map(|google| google.thought_signature.as_str()).filter(|text| !text.is_empty())
    }
}

/// A string; null and other types count as empty, numbers as their digits.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(ContentVisitor { keeps_blocks: false })? {
            Content::Text(text) => Ok(text),
            Content::Blocks(_) => Ok(Self::default()),
        }
    }
}

/// A content: a string, or a list of blocks.
pub(super) enum Content<'a> {
    Text(Text<'a>),
    Blocks(Vec<Block<'a>>),
}

impl Default for Content<'_> {
    fn default() -> Self {
        Self::Text(Text::default())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor { keeps_blocks: true })
    }
}

struct ContentVisitor {
    keeps_blocks: bool,
}

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of parts")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Content::Text(Text(Cow::Owned(number.to_string()))))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Content::Text(Text(Cow::Owned(number.to_string()))))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        if self.keeps_blocks {
            let mut blocks = Vec::new();
            while let Some(block) = elements.next_element()? {
                blocks.push(block);
            }
            return Ok(Content::Blocks(blocks));
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Content::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::default())
    }
}

/// A count; null and other types count as absent, fractions are cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count(pub(super) Option<u64>);

impl Count {
    fn or_zero(self) -> u64 {
        self.0.unwrap_or(0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count(Some(number)))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Count, E> {
                Ok(Count((number >= 0.0).then_some(number as u64)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                Ok(Count(text.parse().ok()))
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

/// Usage as the dialect and its look-alikes write it.
#[derive(Default, Deserialize)]
pub(super) struct ChunkUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek.
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
    /// Moonshot.
    #[serde(default)]
    cached_tokens: Count,
    /// Perplexity and xAI: searches and sources, which cost beside tokens.
    #[serde(default, alias = "num_sources_used")]
    num_search_queries: Count,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
}

#[derive(Default, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
    /// `OpenRouter`.
    #[serde(default)]
    image_tokens: Count,
}

impl Count {
    /// Reads what [`Self::deserialize`] takes.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self(match reader.kind() {
            Kind::Number => {
                let digits = reader.number()?;
                let float =
                    || digits.parse().ok().filter(|number: &f64| *number >= 0.0).map(|number| number as u64);
                digits.parse().ok().or_else(float)
            }
            Kind::Text => reader.string()?.resolve().parse().ok(),
            Kind::Null | Kind::Boolean => {
                reader.skip()?;
                None
            }
            Kind::Array | Kind::Object | Kind::Invalid => return Err(reader.unexpected("a number")),
        }))
    }
}

impl ChunkUsage {
    /// Reads the object in place: answers that pass untouched are not worth a deserializer. `None` for what is no usage.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut usage = Self::default();
        let mut reader = Reader::new(text);
        let details = |reader: &Reader<'_>| match reader.kind() {
            Kind::Object => Ok(true),
            Kind::Null => Ok(false),
            _ => Err(reader.unexpected("an object")),
        };
        let read = reader.object(|reader, key| {
            let count = match key.raw {
                "prompt_tokens" => &mut usage.prompt_tokens,
                "completion_tokens" => &mut usage.completion_tokens,
                "total_tokens" => &mut usage.total_tokens,
                "prompt_cache_hit_tokens" => &mut usage.prompt_cache_hit_tokens,
                "cached_tokens" => &mut usage.cached_tokens,
                "num_search_queries" | "num_sources_used" => &mut usage.num_search_queries,
                "prompt_tokens_details" if details(reader)? => {
                    let mut found = PromptDetails::default();
                    reader.object(|reader, key| {
                        match key.raw {
                            "cached_tokens" => found.cached_tokens = Count::read(reader)?,
                            "cache_write_tokens" => found.cache_write_tokens = Count::read(reader)?,
                            "audio_tokens" => found.audio_tokens = Count::read(reader)?,
                            _ => drop(reader.skip()?),
                        }
                        Ok(())
                    })?;
                    usage.prompt_tokens_details = Some(found);
                    return Ok(());
                }
                "completion_tokens_details" if details(reader)? => {
                    let mut found = CompletionDetails::default();
                    reader.object(|reader, key| {
                        match key.raw {
                            "reasoning_tokens" => found.reasoning_tokens = Count::read(reader)?,
                            "audio_tokens" => found.audio_tokens = Count::read(reader)?,
                            "image_tokens" => found.image_tokens = Count::read(reader)?,
                            _ => drop(reader.skip()?),
                        }
                        Ok(())
                    })?;
                    usage.completion_tokens_details = Some(found);
                    return Ok(());
                }
                _ => return reader.skip().map(drop),
            };
            *count = Count::read(reader)?;
            Ok(())
        });
        read.is_ok().then_some(usage)
    }

    /// The disjoint classes: the dialect counts cached tokens inside the prompt and reasoning inside the completion. `told` is
    /// what the answer calls its service tier.
    pub(super) fn classes(&self, told: ToldTerms) -> Usage {
        let prompt = self.prompt_tokens.or_zero();
        let mut completion = self.completion_tokens.or_zero();
        let details = self.prompt_tokens_details.as_ref();
        let cached = [
            details.map_or(0, |details| details.cached_tokens.or_zero()),
            self.prompt_cache_hit_tokens.or_zero(),
            self.cached_tokens.or_zero(),
        ];
        let cached = cached.into_iter().find(|&count| count > 0).unwrap_or(0);
        let reasoning =
            self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.or_zero());
        // xAI counts reasoning beside the completion; its own total shows it.
        if reasoning > 0
            && self.total_tokens.or_zero() == prompt.saturating_add(completion).saturating_add(reasoning)
        {
            completion = completion.saturating_add(reasoning);
        }
        let mut usage = Usage::from_inclusive(prompt, cached, completion, reasoning);
        let written = details.map_or(0, |details| details.cache_write_tokens.or_zero()).min(usage.input);
        usage.input -= written;
        usage.cache_write = written;
        let made = self.completion_tokens_details.as_ref();
        usage.media.audio_input =
            details.map_or(0, |details| details.audio_tokens.or_zero()).min(usage.input);
        usage.media.audio_output = made.map_or(0, |made| made.audio_tokens.or_zero()).min(usage.output);
        usage.media.image_output =
            made.map_or(0, |made| made.image_tokens.or_zero()).min(usage.output - usage.media.audio_output);
        usage.searches = self.num_search_queries.or_zero();
        usage.terms = told.0;
        usage
    }
}
