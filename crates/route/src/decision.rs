//! The choice made for one request, with everything that led to it.
//!
//! Owns the outcome of `decide` as data. Must not format: texts are made when an explanation is asked for. It carries the
//! fleet it was made over, because it holds indexes and outlives the configuration that was in force.

use crate::balance::Ranked;
use crate::cel::Fault;
use crate::features::{Feature, FeatureSet};
use crate::filter::Rejection;
use crate::fleet::{DeploymentIndex, Fleet};
use crate::plan::{EligibleDeployment, Plan};
use crate::policy::Shadow;
use crate::steps::{Question, TextToEncode};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::money::Cost;

/// The choice for one request.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The request it was made for; a decision has the same id.
    pub id: RequestId,
    /// The fleet its indexes belong to.
    pub fleet: Arc<Fleet>,
    /// The route.
    pub route: Name,
    /// The tier that was chosen; `None` without a plan.
    pub tier: Option<Name>,
    /// What chose it.
    pub decided_by: DecidedBy,
    /// What to do, or why nothing can be done.
    pub plan: Result<Plan, NoPlan>,
    /// Every deployment that may serve. The first ones are the legs of the plan, in its order.
    pub candidates: Vec<CandidateTrace>,
    /// Every deployment that may not.
    pub rejections: Vec<Rejection>,
    /// The steps that were asked, in order.
    pub steps: SmallVec<[StepTrace; 4]>,
    /// The features that were read.
    pub features: FeatureSet,
    /// Their values, where a value is a single one and present.
    pub values: SmallVec<[(Feature, FeatureValue); 4]>,
    /// The probability that this policy makes this first choice for this request, over seeds.
    pub propensity: f64,
    /// What the first leg is expected to bring.
    pub expected: Option<Expectation>,
    /// What the second leg would have brought.
    pub runner_up: Option<Expectation>,
    /// The seed of everything random in it.
    pub seed: u64,
    /// The turn of round robin that was used, if one was.
    pub turn: Option<u64>,
    /// Fingerprint of the configuration.
    pub config_version: u64,
    /// What should be asked before this decision is made again with the answer; as it is, it does without.
    pub question: Option<Box<Question>>,
    /// A text whose vector might change this decision. Nobody has encoded it yet.
    pub to_encode: Option<Box<TextToEncode>>,
    /// The deployment that gets a copy of the request, whose answer no client sees.
    pub shadow: Option<ShadowLeg>,
}

/// A copy of a request, sent for comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowLeg {
    /// Where it goes; it passed the same filter as every other deployment.
    pub deployment: EligibleDeployment,
    /// The route's terms.
    pub terms: Shadow,
}

/// What chose the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// A step of the route.
    Step(Name),
    /// The request's own pin.
    Pin,
    /// The pin of its virtual key.
    KeyPin,
    /// No step answered: the first tier that has something to offer.
    Default,
    /// Nothing was chosen.
    Nothing,
}

impl DecidedBy {
    /// The name for logs and headers.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Step(name) => name,
            Self::Pin => "pin",
            Self::KeyPin => "key-pin",
            Self::Default => "default",
            Self::Nothing => "nothing",
        }
    }
}

/// One deployment that may serve, as it was ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandidateTrace {
    /// Which, with its measure and its state.
    pub ranked: Ranked,
    /// Whether it is a leg of the plan.
    pub planned: bool,
}

/// A step that was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTrace {
    /// Its name.
    pub step: Name,
    /// What it said.
    pub outcome: StepOutcome,
    /// How it came to that, in its own words, where there is more to say.
    pub note: Option<Cow<'static, str>>,
    /// What it measured: probabilities of classes, scores, thresholds.
    pub measures: Vec<(Name, f64)>,
}

/// What a step said.
#[derive(Clone, Debug, PartialEq)]
pub enum StepOutcome {
    /// It chose this.
    Answered {
        /// The tier, or the name under which deployments were listed.
        target: Name,
    },
    /// It left the question to the next one.
    NoAnswer(NoAnswer),
}

/// Why a step gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum NoAnswer {
    /// Its condition does not hold.
    ConditionFalse,
    /// Its condition could not be evaluated.
    ConditionFailed(Fault),
    /// The caller pinned nothing.
    NoPin,
    /// Nothing it names may serve this request.
    NothingEligible {
        /// What it names.
        target: Name,
    },
    /// It asks a model, and nobody asked yet.
    NotAsked,
    /// It needs the vector of the text, and nobody encoded it yet.
    NotEncoded,
    /// It answered with something that does not exist.
    Invalid,
    /// In the step's own words.
    Stated(Cow<'static, str>),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConditionFalse => formatter.write_str("its condition does not hold"),
            Self::ConditionFailed(fault) => write!(formatter, "its condition cannot be told: {fault}"),
            Self::NoPin => formatter.write_str("the caller pins nothing"),
            Self::NothingEligible { target } => {
                write!(formatter, "no deployment of `{target}` may serve this request")
            }
            Self::NotAsked => {
                formatter.write_str("its classifier was not asked, and no kept answer is there")
            }
            Self::NotEncoded => formatter.write_str("its text was not encoded, and no kept vector is there"),
            Self::Invalid => formatter.write_str("it named a tier or deployments that are not there"),
            Self::Stated(why) => formatter.write_str(why),
        }
    }
}

/// A value that was read, kept for the explanation.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text, at most 128 bytes of it.
    Text(Name),
}

/// What a leg is expected to bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// The deployment.
    pub deployment: DeploymentIndex,
    /// Estimated cost of the request there.
    pub cost: Cost,
    /// Predicted quality, 0 to 1, where something predicts it.
    pub quality: Option<f64>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// Nothing serves the name at all.
    #[error("no deployment serves `{route}`")]
    NoCandidates {
        /// The route or model.
        route: Name,
    },
    /// Every candidate was filtered out.
    #[error("none of the {candidates} deployments of `{route}` may serve this request")]
    NoneEligible {
        /// The route or model.
        route: Name,
        /// How many there are.
        candidates: usize,
    },
    /// The key may not use the route.
    #[error("the key may not use `{route}`")]
    RouteNotAllowed {
        /// The route or model.
        route: Name,
    },
    /// The pin names nothing.
    #[error("the pin `{pin}` names no deployment or model")]
    UnknownPin {
        /// The pin.
        pin: Name,
    },
    /// What the pin names was filtered out.
    #[error("the pinned `{pin}` may not serve this request")]
    PinNotEligible {
        /// The pin.
        pin: Name,
    },
}

/// Rejections told in a refusal before the rest is only counted.
const REFUSAL_REASONS: usize = 5;

impl Decision {
    /// The description of a deployment by the index found in this decision.
    #[must_use]
    pub fn deployment_name(&self, index: DeploymentIndex) -> &Name {
        &self.fleet.deployment(index).id
    }

    /// Why there is no plan, with the first few reasons, for an error message; `None` when there is one.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        use fmt::Write as _;
        let no_plan = self.plan.as_ref().err()?;
        let mut text = no_plan.to_string();
        for (position, rejection) in self.rejections.iter().take(REFUSAL_REASONS).enumerate() {
            let lead = if position == 0 { ": " } else { "; " };
            let name = self.deployment_name(rejection.deployment);
            // Writing to a string cannot fail.
            let _ = write!(text, "{lead}`{name}`: {}", rejection.reason);
        }
        if self.rejections.len() > REFUSAL_REASONS {
            let _ = write!(text, "; and {} more", self.rejections.len() - REFUSAL_REASONS);
        }
        Some(text)
    }
}
