//! Choosing by meaning: labelled examples, a class, a tier.
//!
//! Owns the mapping from labels to tiers and what is no answer: no text, a text unlike all examples, a class nobody mapped, a
//! guess that is not sure enough. Must not learn anything: the classifier was trained when the configuration was read.

use super::{DecideStep, EncodedIntents, StepAnswer, StepInput};
use crate::policy::TierPosition;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use trunkline_embed::classify::{Classifier, Reader, Reading};
use trunkline_model::id::Name;

/// A set of labelled examples; shared by all steps that name it.
#[derive(Debug)]
pub struct Intents {
    /// Its name in the configuration.
    pub name: Name,
    /// What is learned of them.
    pub learned: Learned,
}

/// What is learned of examples.
#[derive(Debug)]
pub enum Learned {
    /// By the static table, when the configuration was read.
    Static(Classifier),
    /// By a larger encoder, once it gave the vectors.
    Encoded(EncodedIntents),
}

impl Intents {
    /// The labels, in order.
    #[must_use]
    pub fn labels(&self) -> &[Box<str>] {
        match &self.learned {
            Learned::Static(classifier) => classifier.labels(),
            Learned::Encoded(examples) => examples.labels(),
        }
    }

    /// The examples, where a larger encoder is asked.
    #[must_use]
    pub const fn encoded(&self) -> Option<&EncodedIntents> {
        match &self.learned {
            Learned::Static(_) => None,
            Learned::Encoded(examples) => Some(examples),
        }
    }

    /// The class of the user's last turn, or what keeps it from being told.
    pub(super) fn read(&self, input: &StepInput<'_>) -> Result<Reading, StepAnswer> {
        thread_local! {
            // Buffers grow once per thread.
            static READER: RefCell<Reader> = RefCell::new(Reader::bundled());
        }
        let reading = READER.with_borrow_mut(|reader| match &self.learned {
            Learned::Static(classifier) => match input.features.user_text() {
                Some(text) => Ok(classifier.classify(text, reader)),
                None => Err(StepAnswer::NoAnswer { why: NO_TEXT.into() }),
            },
            Learned::Encoded(examples) => examples.read(input, reader),
        })?;
        let label = |at: usize| Name::from(&*self.labels()[at]);
        input.measure(label(reading.label), reading.probability.into());
        if reading.runner_up != reading.label {
            input.measure(label(reading.runner_up), reading.runner_up_probability.into());
        }
        input.measure("scope".into(), reading.scope.into());
        if let Some(threshold) = reading.threshold {
            input.measure("scope threshold".into(), threshold.into());
        }
        Ok(reading)
    }
}

/// Why a step that reads text has no answer without one.
pub(super) const NO_TEXT: &str = "the request has no text of the user";
/// Why a text unlike the examples has no answer.
pub(super) const OUT_OF_SCOPE: &str = "out of scope: the text is unlike all examples";

/// The tiers of a classifier's labels, in their order; `None` for a label that is left to the next step.
pub type LabelTiers = Vec<Option<TierPosition>>;

/// The tier of a label, or why there is none.
pub(super) fn tier_of(tiers: &LabelTiers, label: usize, name: &str) -> StepAnswer {
    match tiers.get(label).copied().flatten() {
        Some(tier) => StepAnswer::Tier { tier, propensity: 1.0 },
        None => StepAnswer::NoAnswer { why: Cow::Owned(format!("`{name}` is mapped to no tier")) },
    }
}

/// Answers with the tier of the text's class.
#[derive(Clone, Debug)]
pub struct Semantic {
    /// The examples.
    pub intents: Arc<Intents>,
    /// Where each class goes.
    pub tiers: LabelTiers,
    /// The least probability of an answer, 0 to 1.
    pub sure: f64,
}

impl DecideStep for Semantic {
    fn name(&self) -> &str {
        "semantic"
    }

    fn intents(&self) -> Option<&Intents> {
        Some(&self.intents)
    }

    fn decide(&self, input: &StepInput<'_>) -> StepAnswer {
        let reading = match self.intents.read(input) {
            Ok(reading) => reading,
            Err(otherwise) => return otherwise,
        };
        if !reading.is_in_scope() {
            return StepAnswer::NoAnswer { why: OUT_OF_SCOPE.into() };
        }
        let label = &self.intents.labels()[reading.label];
        if f64::from(reading.probability) < self.sure {
            let why = format!("`{label}` is not sure enough: below {}", self.sure);
            return StepAnswer::NoAnswer { why: why.into() };
        }
        tier_of(&self.tiers, reading.label, label)
    }
}
