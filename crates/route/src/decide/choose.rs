//! Asking the steps.
//!
//! Owns the order of questions: the caller's pin, the route's steps, the first tier with something to offer. A step whose
//! answer has nothing eligible in it has not answered: the next one is asked, because a preference is no reason to refuse.

use super::DecideInput;
use crate::caller::PinnedBy;
use crate::cascade::Streams;
use crate::decision::{DecidedBy, NoAnswer, StepOutcome, StepTrace};
use crate::features::FeatureSource;
use crate::filter::Eligible;
use crate::fleet::DeploymentIndex;
use crate::policy::{Route, TierPosition};
use crate::steps::{
    GivenAnswer, Measures, Question, ScoredDeployment, StepAnswer, StepInput, StepKind, Target, TextToEncode,
};
use smallvec::SmallVec;
use trunkline_model::id::Name;

/// What was chosen.
pub(super) enum Choice<'a> {
    /// A tier of the route.
    Tier(TierPosition),
    /// Deployments named by a step.
    Deployments { name: &'a Name, deployments: &'a [DeploymentIndex] },
    /// The caller's pin: these and nothing else.
    Pinned { name: &'a Name, deployments: &'a [DeploymentIndex] },
    /// A step's own order.
    Ranking { name: &'a Name, order: Vec<ScoredDeployment> },
    /// The pin was honoured, and nothing it names may serve.
    PinNotEligible,
    /// No tier has anything to offer.
    Nothing,
}

/// The choice and how it came about.
pub(super) struct Chosen<'a> {
    pub(super) choice: Choice<'a>,
    pub(super) decided_by: DecidedBy,
    /// The probability that the steps choose this, before balancing.
    pub(super) propensity: f64,
    pub(super) steps: SmallVec<[StepTrace; 4]>,
    /// The first question that would make a difference.
    pub(super) question: Option<Box<Question>>,
    /// The first text whose vector would make a difference.
    pub(super) to_encode: Option<Box<TextToEncode>>,
}

type Pin<'a> = (&'a Name, &'a [DeploymentIndex]);

/// Whether a pin is honoured before every step: a key's always, a request's unless the route says itself where.
pub(super) fn pin_comes_first(route: &Route, by: PinnedBy) -> bool {
    by == PinnedBy::Key || !route.steps().iter().any(|step| matches!(step.kind, StepKind::Pin))
}

pub(super) fn choose<'a>(
    input: &DecideInput<'a>,
    eligible: &Eligible,
    features: &FeatureSource<'a>,
    pin: Option<Pin<'a>>,
    answers: &[GivenAnswer],
) -> Chosen<'a> {
    let route = input.route;
    let mut steps = SmallVec::new();
    let measures = Measures::default();
    let mut wishes = Wishes::default();
    let by = input.caller.pinned_by;
    if let Some(pin) = pin
        && pin_comes_first(route, by)
    {
        return Chosen {
            choice: honour(eligible, pin),
            decided_by: if by == PinnedBy::Key { DecidedBy::KeyPin } else { DecidedBy::Pin },
            propensity: 1.0,
            steps,
            question: None,
            to_encode: None,
        };
    }
    for step in route.steps() {
        let answer = match &step.kind {
            StepKind::When { condition, then } => match condition.holds(features) {
                Ok(true) => fixed(route, eligible, then),
                Ok(false) => Err(NoAnswer::ConditionFalse),
                Err(fault) => Err(NoAnswer::ConditionFailed(fault)),
            },
            StepKind::Use(target) => fixed(route, eligible, target),
            StepKind::Pin => pin.map_or(Err(NoAnswer::NoPin), |pin| Ok((honour(eligible, pin), 1.0))),
            StepKind::Custom(custom) => {
                let answer = custom.decide(&StepInput {
                    decide: input,
                    eligible,
                    features,
                    step: &step.name,
                    answers,
                    measures: &measures,
                });
                outside(route, eligible, &step.name, answer, &mut wishes)
            }
        };
        let (outcome, found) = match answer {
            Ok((choice, propensity)) => {
                let target = target_name(route, &choice).unwrap_or(&step.name).clone();
                (StepOutcome::Answered { target }, Some((choice, propensity)))
            }
            Err(why) => (StepOutcome::NoAnswer(why), None),
        };
        let (note, measures) = (features.take_note(), measures.take());
        steps.push(StepTrace { step: step.name.clone(), outcome, note, measures });
        if let Some((choice, propensity)) = found {
            let decided_by = match step.kind {
                StepKind::Pin => DecidedBy::Pin,
                _ => DecidedBy::Step(step.name.clone()),
            };
            let Wishes { question, to_encode } = wishes;
            return Chosen { choice, decided_by, propensity, steps, question, to_encode };
        }
    }
    let first =
        (0..).map(TierPosition).take(route.tiers().len()).find(|tier| has_any(route, eligible, *tier));
    let (choice, decided_by) = match first {
        Some(tier) => (Choice::Tier(tier), DecidedBy::Default),
        None => (Choice::Nothing, DecidedBy::Nothing),
    };
    let Wishes { question, to_encode } = wishes;
    Chosen { choice, decided_by, propensity: 1.0, steps, question, to_encode }
}

/// What steps would like to know first.
#[derive(Default)]
struct Wishes {
    question: Option<Box<Question>>,
    to_encode: Option<Box<TextToEncode>>,
}

/// The name under which a cascade's rule on streamed requests decides.
const PRECHECK: &str = "cascade-precheck";

/// A streamed request whose answer cannot be held: the cascade's rule sends it to the better tier before the first byte.
pub(super) fn precheck(
    input: &DecideInput<'_>,
    eligible: &Eligible,
    features: &FeatureSource<'_>,
    chosen: &mut Chosen<'_>,
) {
    let Some(cascade) = &input.route.cascade else { return };
    let Streams::Precheck(rule) = &cascade.streams else { return };
    let is_cheap = matches!(chosen.choice, Choice::Tier(tier) if tier == cascade.from);
    if !is_cheap || !input.shape.delivery.is_stream() {
        return;
    }
    let answer = match rule.holds(features) {
        Ok(true) => tier_choice(input.route, eligible, cascade.to, chosen.propensity),
        Ok(false) => Err(NoAnswer::ConditionFalse),
        Err(fault) => Err(NoAnswer::ConditionFailed(fault)),
    };
    let name = Name::from(PRECHECK);
    let outcome = match answer {
        Ok((choice, _)) => {
            let target = target_name(input.route, &choice).unwrap_or(&name).clone();
            chosen.choice = choice;
            chosen.decided_by = DecidedBy::Step(name.clone());
            StepOutcome::Answered { target }
        }
        Err(why) => StepOutcome::NoAnswer(why),
    };
    chosen.steps.push(StepTrace { step: name, outcome, note: None, measures: Vec::new() });
}

fn honour<'a>(eligible: &Eligible, (name, deployments): Pin<'a>) -> Choice<'a> {
    if any(eligible, deployments) { Choice::Pinned { name, deployments } } else { Choice::PinNotEligible }
}

fn fixed<'a>(
    route: &'a Route,
    eligible: &Eligible,
    target: &'a Target,
) -> Result<(Choice<'a>, f64), NoAnswer> {
    match target {
        Target::Tier(tier) => tier_choice(route, eligible, *tier, 1.0),
        Target::Deployments { name, deployments } if any(eligible, deployments) => {
            Ok((Choice::Deployments { name, deployments }, 1.0))
        }
        Target::Deployments { name, .. } => Err(NoAnswer::NothingEligible { target: name.clone() }),
    }
}

fn tier_choice<'a>(
    route: &Route,
    eligible: &Eligible,
    tier: TierPosition,
    propensity: f64,
) -> Result<(Choice<'a>, f64), NoAnswer> {
    let Some(named) = route.tier(tier) else { return Err(NoAnswer::Invalid) };
    if has_any(route, eligible, tier) {
        Ok((Choice::Tier(tier), propensity))
    } else {
        Err(NoAnswer::NothingEligible { target: named.name.clone() })
    }
}

/// The answer of a step from outside, which is checked like any other input.
fn outside<'a>(
    route: &Route,
    eligible: &Eligible,
    name: &'a Name,
    answer: StepAnswer,
    wishes: &mut Wishes,
) -> Result<(Choice<'a>, f64), NoAnswer> {
    match answer {
        StepAnswer::Ask(asked) => {
            wishes.question.get_or_insert(asked);
            Err(NoAnswer::NotAsked)
        }
        StepAnswer::Encode(wanted) => {
            wishes.to_encode.get_or_insert(wanted);
            Err(NoAnswer::NotEncoded)
        }
        StepAnswer::NoAnswer { why } => Err(NoAnswer::Stated(why)),
        StepAnswer::Tier { tier, propensity } => tier_choice(route, eligible, tier, probability(propensity)),
        StepAnswer::Ranking { mut order, propensity } => {
            // A token kept from another request would be one that this filter did not make.
            order.retain(|scored| eligible.find(scored.deployment.index()).is_some());
            if order.is_empty() {
                return Err(NoAnswer::Invalid);
            }
            Ok((Choice::Ranking { name, order }, probability(propensity)))
        }
    }
}

fn probability(stated: f64) -> f64 {
    if stated.is_finite() { stated.clamp(0.0, 1.0) } else { 0.0 }
}

fn target_name<'a>(route: &'a Route, choice: &Choice<'a>) -> Option<&'a Name> {
    match choice {
        Choice::Tier(tier) => route.tier(*tier).map(|tier| &tier.name),
        Choice::Deployments { name, .. } | Choice::Pinned { name, .. } | Choice::Ranking { name, .. } => {
            Some(name)
        }
        Choice::PinNotEligible | Choice::Nothing => None,
    }
}

fn any(eligible: &Eligible, deployments: &[DeploymentIndex]) -> bool {
    deployments.iter().any(|index| eligible.find(*index).is_some())
}

fn has_any(route: &Route, eligible: &Eligible, tier: TierPosition) -> bool {
    route.tier(tier).is_some_and(|tier| any(eligible, &tier.deployments))
}
