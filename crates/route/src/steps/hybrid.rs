//! Meaning first, a model where meaning is not sure.
//!
//! Owns the band between: a text that is like the examples, but whose class is not certain, is worth a question; one that is
//! certain is not, and one unlike all examples is left to the next step.

use super::classifier::{ClassifierModel, answered};
use super::semantic::{Intents, LabelTiers, OUT_OF_SCOPE, tier_of};
use super::{DecideStep, StepAnswer, StepInput};
use std::sync::Arc;

/// Answers by meaning where that is sure, and by asking a model where it is not.
#[derive(Clone, Debug)]
pub struct Hybrid {
    /// The examples.
    pub intents: Arc<Intents>,
    /// Who is asked about the rest.
    pub model: Arc<ClassifierModel>,
    /// From this probability on the examples alone decide, 0 to 1.
    pub sure: f64,
    /// Where each class of the examples goes.
    pub tiers: LabelTiers,
    /// Where each label of the model goes.
    pub asked_tiers: LabelTiers,
}

impl DecideStep for Hybrid {
    fn name(&self) -> &str {
        "hybrid"
    }

    fn asks(&self) -> Option<&ClassifierModel> {
        Some(&self.model)
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
        if f64::from(reading.probability) >= self.sure {
            let label = &self.intents.labels()[reading.label];
            return tier_of(&self.tiers, reading.label, label);
        }
        match answered(input, &self.model) {
            Ok(label) => match self.model.labels.get(label) {
                Some(named) => tier_of(&self.asked_tiers, label, &named.label),
                None => StepAnswer::NoAnswer { why: "the classifier answered outside its labels".into() },
            },
            Err(otherwise) => otherwise,
        }
    }
}
