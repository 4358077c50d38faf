//! The interface of steps that come from outside: semantic, learned, classifier, bandit, experiment.
//!
//! Owns what such a step is given and what it may answer. Must not let it reach anything unfiltered: it is handed
//! [`Eligible`], and a ranking is made of the tokens found there.

use crate::decide::DecideInput;
use crate::features::FeatureSource;
use crate::filter::Eligible;
use crate::plan::EligibleDeployment;
use crate::policy::TierPosition;
use crate::steps::{Bandit, ClassifierModel, GivenAnswer, Intents, Question, TextToEncode};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use trunkline_model::id::Name;

/// A decision step from outside this crate.
///
/// It must be pure: the same input gives the same answer. What needs I/O (asking a classifier model) is done by the gateway
/// before the decision and handed in when the step is made or through the input.
pub trait DecideStep: Send + Sync + fmt::Debug {
    /// What kind of step it is, for metrics: `semantic`, `learned`.
    fn name(&self) -> &str;

    /// Itself, where it learns from outcomes.
    fn bandit(&self) -> Option<&Bandit> {
        None
    }

    /// The model it may ask, where it asks one.
    fn asks(&self) -> Option<&ClassifierModel> {
        None
    }

    /// The examples it reads, where it has any.
    fn intents(&self) -> Option<&Intents> {
        None
    }

    /// Its answer for one request.
    fn decide(&self, input: &StepInput<'_>) -> StepAnswer;
}

/// What a step from outside sees.
#[derive(Clone, Copy)]
pub struct StepInput<'a> {
    /// Everything the decision was given.
    pub decide: &'a DecideInput<'a>,
    /// What may serve this request.
    pub eligible: &'a Eligible,
    /// The features; reading one notes it in the explanation.
    pub features: &'a FeatureSource<'a>,
    /// The name of the step in its route.
    pub step: &'a Name,
    /// What came of questions that earlier decisions on this request asked.
    pub answers: &'a [GivenAnswer],
    /// Where the step notes what it measured.
    pub measures: &'a Measures,
}

impl StepInput<'_> {
    /// Notes a number that led to the answer, for the explanation.
    pub fn measure(&self, name: Name, value: f64) {
        self.measures.0.borrow_mut().push((name, value));
    }
}

/// What a step measured, in the order it did.
#[derive(Debug, Default)]
pub struct Measures(RefCell<Vec<(Name, f64)>>);

impl Measures {
    /// What was measured; a name that was measured twice keeps its last number. Nothing is left behind.
    pub(crate) fn take(&self) -> Vec<(Name, f64)> {
        let mut kept: Vec<(Name, f64)> = Vec::new();
        for (name, value) in self.0.take() {
            match kept.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => kept.push((name, value)),
            }
        }
        kept
    }
}

/// What a step from outside answers.
#[derive(Clone, Debug)]
pub enum StepAnswer {
    /// It cannot tell; the next step decides.
    NoAnswer {
        /// Why, for the explanation.
        why: Cow<'static, str>,
    },
    /// A tier of the route.
    Tier {
        /// Which.
        tier: TierPosition,
        /// The probability with which this step gives this answer to this request, 0 to 1; 1 when it does not explore.
        propensity: f64,
    },
    /// It must ask somebody first; until then the next step decides.
    Ask(Box<Question>),
    /// It needs the vector of a text first; until then the next step decides.
    Encode(Box<TextToEncode>),
    /// Deployments in order of preference.
    Ranking {
        /// The order, best first; at least one.
        order: Vec<ScoredDeployment>,
        /// The probability with which this step puts this deployment first for this request, 0 to 1.
        propensity: f64,
    },
}

/// A deployment and how a step rated it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredDeployment {
    /// The deployment, taken from [`Eligible`].
    pub deployment: EligibleDeployment,
    /// The step's own measure, for the explanation.
    pub score: f64,
}
