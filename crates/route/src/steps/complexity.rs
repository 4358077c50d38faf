//! Choosing by how hard a prompt looks.
//!
//! Owns the score (0 easy, 1 hard), its sources and the guard between them. The learned head knows the kinds of prompts it
//! was trained on; for a text unlike those it would guess, and its guesses have been measured to be worse than the length of the
//! prompt. So the length decides there, and the explanation says which of the two it was. A router of the user's own can take the
//! place of the bundled head: a prompt is as hard as it ranks among the training prompts by what the strong tier gains there.

mod head;

pub use head::{ComplexityHead, Score};

use super::semantic::NO_TEXT;
use super::{DecideStep, StepAnswer, StepInput};
use crate::learned::LearnedStep;
use crate::policy::TierPosition;
use std::sync::Arc;

/// Answers with one tier above a score and with another, or none, below.
#[derive(Clone, Debug)]
pub struct Complexity {
    /// The score from which a prompt is hard, 0 to 1.
    pub above: f64,
    /// Where hard prompts go.
    pub hard: TierPosition,
    /// Where the others go; `None` leaves them to the next step.
    pub easy: Option<TierPosition>,
    /// What scores.
    pub by: ComplexityBy,
}

/// What scores.
#[derive(Clone, Debug, Default)]
pub enum ComplexityBy {
    /// The bundled head where it knows the kind of prompt, the length elsewhere.
    #[default]
    Learned,
    /// The length alone.
    Length,
    /// A trained router, which sends the share of prompts above the score to the one tier and the rest to the other.
    Router(Arc<LearnedStep>),
}

impl DecideStep for Complexity {
    fn name(&self) -> &str {
        "complexity"
    }

    fn decide(&self, input: &StepInput<'_>) -> StepAnswer {
        if let ComplexityBy::Router(router) = &self.by {
            input.measure("hard from".into(), self.above);
            return router.decide(input);
        }
        let (Some(text), Some(counts)) = (input.features.user_text(), input.features.lexical()) else {
            return StepAnswer::NoAnswer { why: NO_TEXT.into() };
        };
        let head = ComplexityHead::bundled();
        let learned = match (&self.by, input.features.vector()) {
            (ComplexityBy::Learned, Some(vector)) => {
                let (score, support) = head.score(text.len(), counts, &vector.vector);
                input.measure("support".into(), support);
                input.measure("least support".into(), head.least_support);
                (support >= head.least_support).then_some(score)
            }
            _ => None,
        };
        let (name, score) = match learned {
            Some(score) => ("learned score", score),
            None => ("length score", head.by_length(text.len())),
        };
        input.measure(name.into(), score);
        input.measure("hard from".into(), self.above);
        match (score >= self.above, self.easy) {
            (true, _) => StepAnswer::Tier { tier: self.hard, propensity: 1.0 },
            (false, Some(easy)) => StepAnswer::Tier { tier: easy, propensity: 1.0 },
            (false, None) => StepAnswer::NoAnswer { why: "the prompt is not hard enough".into() },
        }
    }
}
