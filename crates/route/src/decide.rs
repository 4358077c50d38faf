//! The decision: filter, ask the steps, rank, plan.
//!
//! Owns the one function that the server, `explain`, `replay` and `simulate` call. Pure: the same input gives the same
//! decision, whatever it is asked for. Must not perform anything, nor look at a deployment that the filter did not let pass.

mod choose;
mod plan;

use crate::balance::Rotation;
use crate::balance::{mix, unit};
use crate::caller::Caller;
use crate::cascade::Concession;
use crate::decision::{DecidedBy, Decision, FeatureValue, NoPlan, ShadowLeg};
use crate::features::{Feature, FeatureSource, FleetFacts, Prompt, Value, WallClock};
use crate::filter::{Eligible, Rejection, filter};
use crate::fleet::{DeploymentIndex, Fleet};
use crate::policy::{Route, RouteKind};
use crate::steps::GivenAnswer;
use crate::view::Views;
use choose::{Choice, choose};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;
use trunkline_model::dialect::Operation;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::shape::Shape;

/// Everything a decision is made from.
#[derive(Clone, Copy)]
pub struct DecideInput<'a> {
    /// The request's id.
    pub id: RequestId,
    /// The deployments there are.
    pub fleet: &'a Arc<Fleet>,
    /// How they fare.
    pub views: &'a dyn Views,
    /// The policy.
    pub route: &'a Route,
    /// The request.
    pub shape: &'a Shape,
    /// Its text, for steps that read it; `None` when it is not at hand.
    pub prompt: Option<&'a dyn Prompt>,
    /// Who asks.
    pub caller: &'a Caller,
    /// Time of day, for rules.
    pub clock: WallClock,
    /// The moment, for states that pass.
    pub now: Moment,
    /// Of everything random; [`RequestId::seed`] in the server.
    pub seed: u64,
    /// Turns of round robin.
    pub rotation: Rotation<'a>,
    /// Fingerprint of the configuration.
    pub config_version: u64,
}

/// Decides which deployments serve a request, in which order, and keeps why. Where none can do all that is asked for, what translation
/// emulates or leaves out is left to it (not for a strict request): a schema, then reasoning. Then the route's concessions are made
/// one after another, until some can.
#[must_use]
pub fn decide(input: &DecideInput<'_>) -> Decision {
    decide_with(input, &[])
}

/// As [`decide`], with what came of the questions that earlier decisions on the same request asked (see
/// [`Decision::question`]).
#[must_use]
pub fn decide_with(input: &DecideInput<'_>, answers: &[GivenAnswer]) -> Decision {
    let decision = decide_once(input, answers);
    if !matches!(decision.plan, Err(NoPlan::NoneEligible { .. } | NoPlan::PinNotEligible { .. })) {
        return decision;
    }
    let mut tried = Vec::new();
    for (own, stated) in concessions(input) {
        let mut shape = Cow::Borrowed(input.shape);
        let mut conceded: SmallVec<[Concession; 2]> = SmallVec::new();
        for concession in own.iter().chain(stated) {
            if let Some(less) = concession.apply(&shape) {
                shape = Cow::Owned(less);
                conceded.push(*concession);
            }
        }
        if conceded.is_empty() || tried.contains(&conceded) {
            continue;
        }
        let mut second = decide_once(&DecideInput { shape: &shape, ..*input }, answers);
        if let Ok(plan) = &mut second.plan {
            plan.conceded = conceded;
            return second;
        }
        tried.push(conceded);
    }
    decision
}

/// What may be given up, in the order in which it is tried: what translation makes of a schema and of reasoning, and one more of what the
/// route states at a time, at first without anything beside it.
fn concessions<'a>(
    input: &DecideInput<'a>,
) -> impl Iterator<Item = (&'static [Concession], &'a [Concession])> {
    const SCHEMA: &[Concession] = &[Concession::NativeSchema];
    const REASONING: &[Concession] = &[Concession::Reasoning];
    const BOTH: &[Concession] = &[Concession::NativeSchema, Concession::Reasoning];
    let (caller, stated) = (input.caller, input.route.downgrade.as_slice());
    let own: &[&[Concession]] = match (caller.strict, caller.whole) {
        (true, _) => &[&[]],
        // What is emulated counts as supported, what is left out does not.
        (false, true) => &[&[], SCHEMA],
        (false, false) if stated.contains(&Concession::Reasoning) => &[&[], SCHEMA],
        (false, false) => &[&[], SCHEMA, REASONING, BOTH],
    };
    (0..=stated.len()).flat_map(move |count| own.iter().map(move |own| (*own, &stated[..count])))
}

fn decide_once(input: &DecideInput<'_>, answers: &[GivenAnswer]) -> Decision {
    let (route, caller) = (input.route, input.caller);
    let allowed = match route.kind {
        RouteKind::Configured => caller.allow.allows_route(&route.name),
        RouteKind::Direct => caller.allow.allows_direct(),
    };
    if !allowed {
        return refused(
            input,
            NoPlan::RouteNotAllowed { route: route.name.clone() },
            &Eligible::default(),
            Vec::new(),
        );
    }
    let pinned = match &caller.pin {
        None => None,
        Some(pin) => match input.fleet.named(pin) {
            [] => {
                return refused(
                    input,
                    NoPlan::UnknownPin { pin: pin.clone() },
                    &Eligible::default(),
                    Vec::new(),
                );
            }
            deployments => Some((pin, deployments)),
        },
    };
    let candidates = candidates(input, pinned.map(|(_, deployments)| deployments));
    if candidates.is_empty() {
        return refused(
            input,
            NoPlan::NoCandidates { route: route.name.clone() },
            &Eligible::default(),
            Vec::new(),
        );
    }
    let demands = route.demands();
    let filtered = filter(input.fleet, &candidates, input.shape, caller, &demands, input.views, input.now);
    let facts = fleet_facts(&filtered.eligible);
    let features = FeatureSource::new(input.shape, caller, input.clock, facts).with_prompt(input.prompt);
    let mut chosen = choose(input, &filtered.eligible, &features, pinned, answers);
    choose::precheck(input, &filtered.eligible, &features, &mut chosen);
    let shadow = shadow(input);
    let mut decision = match chosen.choice {
        Choice::PinNotEligible => {
            let pin = pinned.map_or_else(|| route.name.clone(), |(pin, _)| pin.clone());
            refused(input, NoPlan::PinNotEligible { pin }, &filtered.eligible, filtered.rejected)
        }
        choice => plan::plan(input, filtered, choice, chosen.decided_by, chosen.propensity),
    };
    for expectation in [&mut decision.expected, &mut decision.runner_up].into_iter().flatten() {
        expectation.quality = features.predicted(expectation.deployment);
    }
    decision.question = chosen.question;
    decision.to_encode = chosen.to_encode;
    if decision.plan.is_ok() {
        decision.shadow = shadow;
    }
    decision.steps = chosen.steps;
    decision.features = features.read();
    decision.values = values(&features);
    decision
}

/// The deployment that gets a copy, where the route has one, this request is drawn, and the deployment may serve it. Only chats
/// have answers that can be compared.
fn shadow(input: &DecideInput<'_>) -> Option<ShadowLeg> {
    let shadow = input.route.shadow.filter(|_| input.shape.operation == Operation::Chat)?;
    // A lot of its own, so that who is copied does not depend on what was chosen.
    if unit(mix(input.seed, 0x7368_6164_6f77)) > shadow.share {
        return None;
    }
    let demands = input.route.demands();
    let filtered = filter(
        input.fleet,
        &[shadow.deployment],
        input.shape,
        input.caller,
        &demands,
        input.views,
        input.now,
    );
    let entry = filtered.eligible.find(shadow.deployment)?;
    Some(ShadowLeg { deployment: entry.deployment(), terms: shadow })
}

/// The deployments under consideration, by rising index.
fn candidates<'a>(
    input: &DecideInput<'a>,
    pinned: Option<&'a [DeploymentIndex]>,
) -> Cow<'a, [DeploymentIndex]> {
    let pinned = pinned.unwrap_or_default();
    if !pinned.is_empty() && choose::pin_comes_first(input.route, input.caller.pinned_by) {
        return Cow::Borrowed(pinned);
    }
    let models = &input.caller.preferences.models;
    if pinned.is_empty() && models.is_empty() {
        return Cow::Borrowed(input.route.candidates());
    }
    let mut all = input.route.candidates().to_vec();
    all.extend_from_slice(pinned);
    for model in models {
        all.extend_from_slice(input.fleet.named(model));
    }
    all.sort_unstable();
    all.dedup();
    Cow::Owned(all)
}

fn fleet_facts(eligible: &Eligible) -> FleetFacts {
    let mut facts = FleetFacts::default();
    for entry in eligible.iter() {
        facts.eligible += 1;
        facts.open += u32::from(entry.view().availability.is_usable());
        facts.outstanding = facts.outstanding.saturating_add(entry.view().outstanding);
    }
    facts
}

/// A decision without a plan.
fn refused(
    input: &DecideInput<'_>,
    why: NoPlan,
    eligible: &Eligible,
    rejections: Vec<Rejection>,
) -> Decision {
    Decision {
        id: input.id,
        fleet: Arc::clone(input.fleet),
        route: input.route.name.clone(),
        tier: None,
        decided_by: DecidedBy::Nothing,
        plan: Err(why),
        candidates: plan::unplanned(eligible, plan::nothing_planned).collect(),
        rejections,
        steps: SmallVec::new(),
        features: crate::features::FeatureSet::EMPTY,
        values: SmallVec::new(),
        propensity: 1.0,
        expected: None,
        runner_up: None,
        seed: input.seed,
        turn: None,
        config_version: input.config_version,
        question: None,
        to_encode: None,
        shadow: None,
    }
}

/// The longest text of a feature that an explanation keeps, in bytes.
const LONGEST_VALUE: usize = 128;

fn values(features: &FeatureSource<'_>) -> SmallVec<[(Feature, FeatureValue); 4]> {
    let kept = |feature| {
        let value = match features.value(feature)? {
            Value::Bool(value) => FeatureValue::Bool(value),
            Value::Int(value) => FeatureValue::Int(value),
            Value::Double(value) => FeatureValue::Double(value),
            Value::Text(text) => FeatureValue::Text(shortened(text)),
            Value::Map(_) => return None,
        };
        Some((feature, value))
    };
    features.read().iter().filter_map(kept).collect()
}

fn shortened(text: &str) -> Name {
    let mut end = text.len().min(LONGEST_VALUE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

#[cfg(test)]
mod tests;
