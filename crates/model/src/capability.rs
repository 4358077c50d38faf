//! What a model can do: a closed list of capabilities, each known, known to be missing, or unknown.
//!
//! Owns [`Capability`], [`Support`] and the compact set [`Capabilities`]. It knows no model and no provider. Unknown is a
//! value of its own because the price lists this is filled from leave out what nobody checked: an absent flag is not a "no",
//! and a filter that took it for one would reject models that work.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether something is supported, as far as anyone has said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// A source says it works.
    Yes,
    /// A source says it does not.
    No,
    /// No source says anything.
    #[default]
    Unknown,
}

impl Support {
    /// Whether a request that needs it may be tried: everything but a known no.
    #[must_use]
    pub const fn may_work(self) -> bool {
        !matches!(self, Self::No)
    }

    /// Whether a source vouches for it.
    #[must_use]
    pub const fn is_sure(self) -> bool {
        matches!(self, Self::Yes)
    }
}

impl From<bool> for Support {
    fn from(supported: bool) -> Self {
        if supported { Self::Yes } else { Self::No }
    }
}

impl From<Option<bool>> for Support {
    fn from(supported: Option<bool>) -> Self {
        supported.map_or(Self::Unknown, Self::from)
    }
}

/// Declares the enum together with its names, so that the list, the names and `ALL` cannot come apart.
macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing a model may be able to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Capability {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Capability {
            /// Every capability, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in configuration, catalogue data and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

capabilities! {
    /// Function tools.
    Tools = "tools",
    /// Several tool calls in one answer.
    ParallelTools = "parallel_tools",
    /// Forcing or forbidding a tool.
    ToolChoice = "tool_choice",
    /// Images in the prompt.
    ImageInput = "image_input",
    /// PDF documents in the prompt.
    PdfInput = "pdf_input",
    /// Audio in the prompt.
    AudioInput = "audio_input",
    /// Video in the prompt.
    VideoInput = "video_input",
    /// Images in the answer.
    ImageOutput = "image_output",
    /// Audio in the answer.
    AudioOutput = "audio_output",
    /// Answers that follow a given JSON schema.
    JsonSchema = "json_schema",
    /// Answers that are some JSON object.
    JsonObject = "json_object",
    /// Reasoning tokens before the answer.
    Reasoning = "reasoning",
    /// Reasoning whose depth the model itself chooses on request ("adaptive thinking").
    AdaptiveReasoning = "adaptive_reasoning",
    /// Reasoning with an explicit token budget, the older form of the same wish.
    ReasoningBudget = "reasoning_budget",
    /// Prompt caching, automatic or asked for.
    PromptCaching = "prompt_caching",
    /// Messages with the system role.
    SystemMessages = "system_messages",
    /// An answer that continues a started assistant message.
    AssistantPrefill = "assistant_prefill",
    /// Answers sent piece by piece.
    Streaming = "streaming",
    /// Temperature, top-p and their like at other values than the default.
    SamplingParameters = "sampling_parameters",
    /// Log-probabilities of answer tokens.
    Logprobs = "logprobs",
    /// Web search run by the provider.
    WebSearch = "web_search",
    /// Operating a computer by screenshots and clicks.
    ComputerUse = "computer_use",
    /// Reading web addresses that stand in the prompt.
    UrlContext = "url_context",
    /// Weights that can be downloaded.
    OpenWeights = "open_weights",
}

impl Capability {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a capability: no capability is called `{name}`")]
pub struct UnknownCapability {
    /// The name as given.
    pub name: String,
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(name: &str) -> Result<Self, UnknownCapability> {
        Self::ALL
            .iter()
            .copied()
            .find(|capability| capability.as_str() == name)
            .ok_or_else(|| UnknownCapability { name: name.to_owned() })
    }
}

/// The support of every [`Capability`], in eight bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    supported: u32,
    unsupported: u32,
}

impl Capabilities {
    /// Nothing known.
    pub const UNKNOWN: Self = Self { supported: 0, unsupported: 0 };

    /// What is known of one capability.
    #[must_use]
    pub const fn support(self, capability: Capability) -> Support {
        if self.supported & capability.bit() != 0 {
            Support::Yes
        } else if self.unsupported & capability.bit() != 0 {
            Support::No
        } else {
            Support::Unknown
        }
    }

    /// The same set with one capability changed.
    #[must_use]
    pub const fn with(self, capability: Capability, support: Support) -> Self {
        let bit = capability.bit();
        let (supported, unsupported) = (self.supported & !bit, self.unsupported & !bit);
        match support {
            Support::Yes => Self { supported: supported | bit, unsupported },
            Support::No => Self { supported, unsupported: unsupported | bit },
            Support::Unknown => Self { supported, unsupported },
        }
    }

    /// Every capability something is known of, in the order of declaration.
    pub fn known(self) -> impl Iterator<Item = (Capability, Support)> {
        Capability::ALL
            .iter()
            .map(move |&capability| (capability, self.support(capability)))
            .filter(|(_, support)| *support != Support::Unknown)
    }

    /// This set with everything that `newer` knows put over it.
    #[must_use]
    pub fn overlaid_with(self, newer: Self) -> Self {
        newer.known().fold(self, |merged, (capability, support)| merged.with(capability, support))
    }

    /// The capabilities of `needed` that are known to be missing here.
    pub fn missing(self, needed: &[Capability]) -> impl Iterator<Item = Capability> + '_ {
        needed.iter().copied().filter(move |&capability| self.support(capability) == Support::No)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(self.known().map(|(capability, support)| (capability.as_str(), support)))
            .finish()
    }
}

impl FromIterator<(Capability, Support)> for Capabilities {
    fn from_iter<I: IntoIterator<Item = (Capability, Support)>>(known: I) -> Self {
        known.into_iter().fold(Self::UNKNOWN, |set, (capability, support)| set.with(capability, support))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_starts_unknown_and_keeps_yes_and_no_apart() {
        let set = Capabilities::UNKNOWN
            .with(Capability::Tools, Support::Yes)
            .with(Capability::ImageInput, Support::No)
            .with(Capability::Reasoning, Support::Yes)
            .with(Capability::Reasoning, Support::Unknown);
        assert_eq!(set.support(Capability::Tools), Support::Yes);
        assert_eq!(set.support(Capability::ImageInput), Support::No);
        assert_eq!(set.support(Capability::Reasoning), Support::Unknown);
        assert_eq!(set.known().count(), 2);
        let needed = [Capability::Tools, Capability::ImageInput, Capability::Reasoning];
        assert_eq!(set.missing(&needed).collect::<Vec<_>>(), [Capability::ImageInput]);
    }

    #[test]
    fn an_overlay_wins_only_where_it_knows() {
        let base = Capabilities::from_iter([
            (Capability::Tools, Support::Yes),
            (Capability::Logprobs, Support::Yes),
        ]);
        let newer = Capabilities::from_iter([(Capability::Logprobs, Support::No)]);
        let merged = base.overlaid_with(newer);
        assert_eq!(merged.support(Capability::Tools), Support::Yes);
        assert_eq!(merged.support(Capability::Logprobs), Support::No);
    }

    #[test]
    fn every_capability_has_its_own_bit_and_name() {
        let bits: u32 =
            Capability::ALL.iter().map(|capability| capability.bit()).fold(0, |all, bit| all | bit);
        assert_eq!(bits.count_ones() as usize, Capability::ALL.len());
        for &capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(capability));
        }
        let error = "teleport".parse::<Capability>().expect_err("no such capability");
        insta::assert_snapshot!(error, @"read a capability: no capability is called `teleport`");
    }
}
