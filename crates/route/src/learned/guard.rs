//! Whether a prompt is like those a router was trained on.
//!
//! Owns the reasons for which a prediction is not trusted. Must not say what happens then. A router that was trained on one kind
//! of prompts and asked about another is worse than the prompt's length (measured, in both directions, on public data); so it
//! must know what it does not know. Three checks, cheapest first: enough known words, the look of the text, and training
//! prompts of similar meaning.

use super::artefact::GuardFacts;
use super::text::{LEXICAL, TextFeatures};
use std::fmt;
use trunkline_embed::Coverage;

/// Why a prompt is unlike the training data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unfamiliar {
    /// Too few words that the embedder knows.
    FewKnownWords,
    /// It has lettered choices and training prompts have none, or the other way round.
    Choices {
        /// Whether it has.
        has: bool,
    },
    /// A counted feature is far outside what training prompts had.
    Feature {
        /// Which, as a position in [`LEXICAL`].
        position: usize,
    },
    /// No training prompt is near in meaning.
    Meaning,
}

impl fmt::Display for Unfamiliar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewKnownWords => formatter.write_str("too few known words in the prompt"),
            Self::Choices { has: true } => {
                formatter.write_str("the prompt has lettered choices, the training prompts had none")
            }
            Self::Choices { has: false } => {
                formatter.write_str("the prompt has no lettered choices, the training prompts had them")
            }
            Self::Feature { position } => {
                let name = LEXICAL.get(*position).copied().unwrap_or("a feature");
                write!(formatter, "`{name}` of the prompt is outside what the training prompts had")
            }
            Self::Meaning => formatter.write_str("no training prompt is near in meaning"),
        }
    }
}

impl Unfamiliar {
    /// The same as a text that lives as long as the program, for traces.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::FewKnownWords => "too few known words in the prompt",
            Self::Choices { has: true } => "the prompt has lettered choices, the training prompts had none",
            Self::Choices { has: false } => {
                "the prompt has no lettered choices, the training prompts had them"
            }
            Self::Feature { .. } => "the prompt's form is outside what the training prompts had",
            Self::Meaning => "no training prompt is near in meaning",
        }
    }
}

/// Judges the text alone.
pub(super) fn judge_text(
    guard: &GuardFacts,
    features: &TextFeatures,
    coverage: Coverage,
) -> Option<Unfamiliar> {
    let known = coverage.pieces.saturating_sub(coverage.unknown);
    if known < guard.least_pieces as usize || coverage.unknown > known {
        return Some(Unfamiliar::FewKnownWords);
    }
    if guard.choices.is_some_and(|choices| choices != features.has_choices) {
        return Some(Unfamiliar::Choices { has: features.has_choices });
    }
    let bounds = guard.lexical_low.iter().zip(&guard.lexical_high);
    features
        .lexical
        .iter()
        .zip(bounds)
        .position(|(value, (low, high))| value < low || value > high)
        .map(|position| Unfamiliar::Feature { position })
}

/// Judges the place in the space of meanings.
pub(super) fn judge_place(guard: &GuardFacts, similarity: f32) -> Option<Unfamiliar> {
    guard.least_similarity.is_some_and(|least| similarity < least).then_some(Unfamiliar::Meaning)
}
