//! Cascades: a cheap answer first, a better model when a check finds the answer wanting.
//!
//! Owns the policy of a cascade, the checks of an answer, what is asked of a judge, and the account of how often a check lets a
//! bad answer through. Must not send anything: the gateway collects the answer, asks here, and reports a failed check to the
//! attempt machine as [`FailureClass::BadAnswer`](trunkline_model::failure::FailureClass::BadAnswer), so that a cascade and a
//! failover share one plan, one deadline and one attempt budget although they watch different signals.
//!
//! When it pays. A cascade beats choosing beforehand as long as its check lets fewer bad answers through than about a quarter
//! of what it passes; beyond that it loses (measured on real outcomes of two models, see `docs/cascade.md`). That is why the
//! share is audited ([`AuditBook`]) and reported instead of assumed.

mod agreement;
mod answer;
mod audit;
mod check;
mod condition;
mod judge;
mod repair;

pub use agreement::{agreement, similarity};
pub use answer::{Answer, ToolCall};
pub use audit::{Audit, AuditBook, AuditReport, SavedAudit};
pub use check::{Check, Expected, Shortcoming, examine};
pub use condition::AnswerCondition;
pub use judge::{Judge, JudgeError, LOWEST_SCORE, TOP_SCORE};
pub use repair::repaired;

use crate::cel::Condition;
use crate::plan::EligibleDeployment;
use crate::policy::TierPosition;
use std::sync::Arc;
use trunkline_model::id::Name;
use trunkline_model::money::NanoDollars;
use trunkline_model::shape::Shape;

/// A cascade of a route.
#[derive(Clone, Debug)]
pub struct Cascade {
    /// Whose answers are checked.
    pub from: TierPosition,
    /// Who answers when a check fails.
    pub to: TierPosition,
    /// Checks that need nothing but the answer, in order; the first that fails decides.
    pub checks: Vec<Check>,
    /// Whether further samples of the same model must agree.
    pub agreement: Option<Agreement>,
    /// Whether a judge must be content.
    pub judge: Option<Arc<Judge>>,
    /// What happens to streamed requests.
    pub streams: Streams,
    /// The most one request may cost, judge and samples included; beyond it the answer is served as it is.
    pub spend_cap: Option<NanoDollars>,
    /// How the checks themselves are checked.
    pub audit: Option<Audit>,
}

impl Cascade {
    /// Whether answers to this request are checked: streamed ones are not when a rule on the request stands in.
    #[must_use]
    pub fn applies(&self, shape: &Shape) -> bool {
        !(shape.delivery.is_stream() && matches!(self.streams, Streams::Precheck(_)))
    }

    /// Whether some check costs money of its own.
    #[must_use]
    pub const fn asks_models(&self) -> bool {
        self.agreement.is_some() || self.judge.is_some()
    }
}

/// Streamed requests of a route with a cascade.
#[derive(Clone, Debug)]
pub enum Streams {
    /// The answer is held until its checks have passed, then streamed at once.
    Hold,
    /// Answers stream as they come, unchecked; a rule on the request sends what it matches to the better tier before the
    /// first byte.
    Precheck(Condition),
}

/// Whether one more call may be made under a cap. An amount nobody knows cannot be shown to stay under a cap, so it may not.
#[must_use]
pub fn affords(cap: Option<NanoDollars>, spent: Option<NanoDollars>, expected: Option<NanoDollars>) -> bool {
    let Some(cap) = cap else { return true };
    match (spent, expected) {
        (Some(spent), Some(expected)) => spent.saturating_add(expected) <= cap,
        _ => false,
    }
}

/// Further samples of the same model, which must agree with the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Answers in all, the first included: 2 to 5.
    pub samples: u32,
    /// The least mean similarity with the first, 0 to 1.
    pub least: f64,
}

/// What every answer of a route must be, whoever gave it. An answer that is not fails over like a broken connection.
#[derive(Clone, Debug)]
pub struct Demand {
    /// In order; the first that fails decides.
    pub checks: Vec<Check>,
    /// Take away what surrounds a JSON value before giving an answer up.
    pub repair: bool,
}

/// What a plan says of checking answers.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The route's cascade, where the chosen tier is one whose answers are checked.
    pub cascade: Option<Arc<Cascade>>,
    /// The name of that tier: answers of other tiers are not the cascade's business.
    pub from: Option<Name>,
    /// What every answer must be.
    pub demand: Option<Arc<Demand>>,
    /// Who may judge, usable ones first.
    pub judges: Vec<EligibleDeployment>,
}

impl Inspection {
    /// The cascade, for an answer that came from this tier.
    #[must_use]
    pub fn cascade_for(&self, tier: &str) -> Option<&Arc<Cascade>> {
        self.cascade.as_ref().filter(|_| self.from.as_deref() == Some(tier))
    }

    /// Holds every answer and asks nothing of it: for questions of our own, whose answers are read whole.
    #[must_use]
    pub fn reading() -> Box<Self> {
        let demand = Demand { checks: Vec::new(), repair: false };
        Box::new(Self { cascade: None, from: None, demand: Some(Arc::new(demand)), judges: Vec::new() })
    }

    /// Whether answers of this tier are looked at.
    #[must_use]
    pub fn concerns(&self, tier: &str) -> bool {
        self.demand.is_some() || self.cascade_for(tier).is_some()
    }
}

/// What may be given up when no deployment can do all that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concession {
    /// Reasoning: the request is sent without asking for it.
    Reasoning,
    /// Tools: the request is sent without them.
    Tools,
    /// Length: the output limit is lowered to what the deployment can do.
    Length,
    /// A schema that the model itself follows: translation reaches it with other means where it can, and refuses elsewhere.
    NativeSchema,
}

impl Concession {
    /// The request without it; `None` when it asks for no such thing, or cannot go without.
    #[must_use]
    pub fn apply(self, shape: &Shape) -> Option<Shape> {
        let mut less = shape.clone();
        match self {
            Self::Reasoning if shape.wants_reasoning => less.wants_reasoning = false,
            // Calls and results in the conversation mean nothing without their tools.
            Self::Tools if shape.tools > 0 && !shape.has_tool_history => {
                less.tools = 0;
                less.forces_tool = false;
            }
            Self::Length if shape.max_output_tokens.is_some() => less.max_output_tokens = None,
            Self::NativeSchema if shape.wants_schema || shape.wants_json => {
                (less.wants_schema, less.wants_json) = (false, false);
            }
            _ => return None,
        }
        Some(less)
    }

    /// The name used in configuration, warnings and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::Tools => "tools",
            Self::Length => "length",
            Self::NativeSchema => "json_schema",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_afforded_never_passes_the_cap(
            cap in 0_i64..1_000_000,
            calls in proptest::collection::vec(proptest::option::of(0_i64..400_000), 0..12),
        ) {
            let dollars = NanoDollars::from_dollars;
            let mut spent = NanoDollars::ZERO;
            for call in calls {
                let expected = call.map(dollars);
                if affords(Some(dollars(cap)), Some(spent), expected) {
                    spent = spent.saturating_add(expected.unwrap_or(NanoDollars::MAX));
                }
            }
            prop_assert!(spent <= dollars(cap));
        }
    }
}
