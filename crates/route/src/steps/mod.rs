//! Decision steps: what chooses a tier, in order, the first that answers.
//!
//! Owns the kinds of steps there are and the interface of those that come from outside (semantic, learned, classifier,
//! bandit). Must not rank inside a tier: that is balancing, unless a step ranks deployments itself. A step that cannot tell
//! says why and leaves the question to the next one; it never fails a request.

mod bandit;
mod classifier;
mod complexity;
mod custom;
pub(crate) mod encoder;
mod experiment;
mod hybrid;
mod semantic;

pub use bandit::{ArmStatistics, ArmView, Bandit, Exploration, Outcome, SEEN, SavedArms};
pub use classifier::{
    ANSWER_TOKENS, ANSWERED, ClassifierLabel, ClassifierModel, ClassifierStep, GivenAnswer, Question,
    QuestionKey,
};
pub use complexity::{Complexity, ComplexityBy, ComplexityHead, Score};
pub use custom::{DecideStep, Measures, ScoredDeployment, StepAnswer, StepInput};
pub use encoder::{
    EncodeBy, EncodedIntents, Encoder, LONGEST_ENCODED, TextToEncode, TextVector, embedding_shape,
    encoded_part,
};
pub use experiment::{Arm, Experiment, SplitBy};
pub use hybrid::Hybrid;
pub use semantic::{Intents, LabelTiers, Learned, Semantic};

use crate::cel::Condition;
use crate::fleet::DeploymentIndex;
use crate::policy::TierPosition;
use std::sync::Arc;
use trunkline_model::id::Name;

/// One step of a policy.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name in explanations, unique in the route.
    pub name: Name,
    /// What it does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Answers when its condition holds.
    When {
        /// The rule.
        condition: Condition,
        /// Its answer.
        then: Target,
    },
    /// The caller's own pin is honoured here. Without such a step it is honoured before all others.
    Pin,
    /// Always answers.
    Use(Target),
    /// A step from outside this module.
    Custom(Arc<dyn DecideStep>),
}

impl StepKind {
    /// What it would answer, where that is fixed.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::When { then, .. } => Some(then),
            Self::Use(target) => Some(target),
            Self::Pin | Self::Custom(_) => None,
        }
    }

    /// Its rule, where it has one.
    #[must_use]
    pub const fn condition(&self) -> Option<&Condition> {
        match self {
            Self::When { condition, .. } => Some(condition),
            Self::Pin | Self::Use(_) | Self::Custom(_) => None,
        }
    }
}

/// The answer of a step that does not depend on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tier of the route.
    Tier(TierPosition),
    /// Deployments named in the step itself, as if they were a tier of that name.
    Deployments {
        /// The name as written, for explanations.
        name: Name,
        /// What it stands for; at least one.
        deployments: Vec<DeploymentIndex>,
    },
}

#[cfg(test)]
mod tests;
