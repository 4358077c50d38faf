//! From a choice to a plan.
//!
//! Owns the lists: the chosen tier, then the tiers to fall back to, each ranked once; what cannot be used now goes behind
//! everything that can, least bad first; then the lists for single classes of failure, from the same rankings. Legs are small
//! copies until the plan is finished, because the same few go into several lists.

mod ranker;

use super::choose::Choice;
use super::{DecideInput, refused};
use crate::balance::Ranked;
use crate::caller::Fallbacks;
use crate::cascade::Inspection;
use crate::decision::{CandidateTrace, DecidedBy, Decision, Expectation, NoPlan};
use crate::estimate::expected_cost;
use crate::features::FeatureSet;
use crate::filter::{Eligible, Filtered, filter};
use crate::fleet::DeploymentIndex;
use crate::plan::{EligibleDeployment, Leg, Plan};
use crate::view::Availability;
use ranker::{Legs, RankedLeg, Ranker};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::sync::Arc;
use trunkline_model::dialect::Operation;
use trunkline_model::shape::Shape;

/// Makes the decision's plan.
pub(super) fn plan(
    input: &DecideInput<'_>,
    Filtered { eligible, rejected }: Filtered,
    choice: Choice<'_>,
    decided_by: DecidedBy,
    propensity: f64,
) -> Decision {
    let mut ranker = Ranker::new(input, &eligible);
    let pinned = matches!(choice, Choice::Pinned { .. });
    let (mut legs, first_propensity) = ranker.chosen(choice);
    if !pinned {
        let mut seen = ranker.seen(&legs);
        ranker.append_tiers(&mut legs, &mut seen, &input.route.fallback.error);
        ranker.append_models(&mut legs, &mut seen);
    }
    let Some(chosen) = legs.first().map(|leg| leg.tier) else {
        let why = NoPlan::NoneEligible {
            route: input.route.name.clone(),
            candidates: eligible.len() + rejected.len(),
        };
        return refused(input, why, &eligible, rejected);
    };
    usable_first(&mut legs);
    let alone = input.caller.preferences.fallbacks == Fallbacks::Refused;
    let lists = if pinned || alone { Lists::default() } else { lists(&mut ranker, &mut legs) };
    if alone && input.caller.preferences.order.is_empty() {
        legs.truncate(1);
    }
    let mut candidates: Vec<CandidateTrace> = Vec::with_capacity(eligible.len());
    candidates.extend(legs.iter().map(|leg| CandidateTrace { ranked: leg.ranked, planned: true }));
    if candidates.len() < eligible.len() {
        let seen = ranker.seen(&legs);
        candidates.extend(unplanned(&eligible, |slot| seen.contains(slot)));
    }
    let expectation = |leg: &RankedLeg| {
        let deployment = leg.index();
        let cost = expected_cost(input.fleet.deployment(deployment), input.shape);
        Expectation { deployment, cost, quality: None }
    };
    let (expected, runner_up) = (legs.first().map(expectation), legs.get(1).map(expectation));
    let (tier, turn) = (ranker.tier_name(chosen).clone(), ranker.turn());
    let plan = finished(&ranker, &legs, &lists);
    Decision {
        id: input.id,
        fleet: Arc::clone(input.fleet),
        route: input.route.name.clone(),
        tier: Some(tier),
        decided_by,
        plan: Ok(plan),
        candidates,
        rejections: rejected,
        steps: SmallVec::new(),
        features: FeatureSet::EMPTY,
        values: SmallVec::new(),
        propensity: propensity * first_propensity,
        expected,
        runner_up,
        seed: input.seed,
        turn,
        config_version: input.config_version,
        question: None,
        to_encode: None,
        shadow: None,
    }
}

/// The deployments that may serve and are no leg.
pub(super) fn unplanned(
    eligible: &Eligible,
    is_planned: impl Fn(usize) -> bool,
) -> impl Iterator<Item = CandidateTrace> {
    eligible.iter().enumerate().filter(move |(slot, _)| !is_planned(*slot)).map(|(_, entry)| CandidateTrace {
        ranked: Ranked {
            deployment: entry.deployment(),
            score: f64::INFINITY,
            availability: entry.view().availability,
        },
        planned: false,
    })
}

fn finished(ranker: &Ranker<'_>, legs: &Legs, lists: &Lists) -> Plan {
    let plain = |legs: &Legs| -> Vec<Leg> {
        legs.iter()
            .map(|leg| Leg { deployment: leg.ranked.deployment, tier: ranker.tier_name(leg.tier).clone() })
            .collect()
    };
    let (route, shape) = (ranker.input().route, ranker.input().shape);
    let mut timeouts = route.timeouts.for_request(shape.operation, shape.delivery);
    if let Some(total) = ranker.input().caller.total_timeout {
        timeouts.total = timeouts.total.min(total);
    }
    Plan {
        legs: plain(legs),
        on_rate_limit: plain(&lists.rate_limit),
        on_context_length: plain(&lists.context_length),
        on_content_filter: plain(&lists.content_filter),
        on_bad_answer: plain(&lists.bad_answer),
        conceded: SmallVec::new(),
        inspection: inspection(ranker, legs, lists),
        timeouts,
        attempts: route.attempts,
        hedge: route.hedge,
        continuation: route.continuation,
    }
}

/// Where to go after failures with lists of their own.
#[derive(Default)]
struct Lists {
    rate_limit: Legs,
    context_length: Legs,
    content_filter: Legs,
    bad_answer: Legs,
}

fn lists(ranker: &mut Ranker<'_>, legs: &mut Legs) -> Lists {
    let fallback = &ranker.input().route.fallback;
    let mut rate_limit = ranker.tiers(&fallback.rate_limit);
    usable_first(&mut rate_limit);
    let held_back = legs.first().is_some_and(|leg| {
        matches!(leg.ranked.availability, Availability::RateLimited { .. } | Availability::Full)
    });
    if held_back && rate_limit.first().is_some_and(|leg| leg.ranked.availability.is_usable()) {
        // Already rate limited before the first attempt: the list for that case applies at once.
        let mut seen = ranker.seen(&rate_limit);
        let behind = std::mem::replace(legs, rate_limit.clone());
        legs.extend(behind.into_iter().filter(|leg| seen.insert(leg.slot)));
        usable_first(legs);
    }
    let same = rate_limit.iter().map(|leg| leg.slot).eq(legs.iter().map(|leg| leg.slot));
    if same {
        // An empty list means the same.
        rate_limit.clear();
    }
    Lists {
        rate_limit,
        context_length: longer(ranker, legs),
        content_filter: other_models(ranker, legs),
        bad_answer: better(ranker, legs),
    }
}

/// The cascade's better tier, where the first leg stands in the tier whose answers are checked.
fn better(ranker: &mut Ranker<'_>, legs: &Legs) -> Legs {
    let Some(cascade) = &ranker.input().route.cascade else { return Legs::new() };
    let from = ranker.input().route.tier(cascade.from).map(|tier| &tier.name);
    let is_checked = legs.first().is_some_and(|first| Some(ranker.tier_name(first.tier)) == from);
    if !is_checked || !cascade.applies(ranker.input().shape) {
        return Legs::new();
    }
    let mut better = ranker.tiers(&[cascade.to]);
    usable_first(&mut better);
    better
}

fn inspection(ranker: &Ranker<'_>, legs: &Legs, lists: &Lists) -> Option<Box<Inspection>> {
    let route = ranker.input().route;
    if ranker.input().shape.operation != Operation::Chat {
        return None;
    }
    let cascade = route.cascade.as_ref().filter(|_| !lists.bad_answer.is_empty());
    if cascade.is_none() && route.demand.is_none() {
        return None;
    }
    let from = legs.first().map(|first| ranker.tier_name(first.tier).clone());
    let judges = cascade
        .and_then(|cascade| cascade.judge.as_ref())
        .map_or_else(Vec::new, |judge| assessors(ranker.input(), &judge.deployments));
    Some(Box::new(Inspection {
        cascade: cascade.cloned(),
        from: from.filter(|_| cascade.is_some()),
        demand: route.demand.clone(),
        judges,
    }))
}

/// Those that may see this request's material: every hard filter holds for them but what the request itself needs of a model.
fn assessors(input: &DecideInput<'_>, deployments: &[DeploymentIndex]) -> Vec<EligibleDeployment> {
    let shape = Shape::new(input.shape.dialect, Operation::Chat);
    let demands = input.route.demands();
    let filtered = filter(input.fleet, deployments, &shape, input.caller, &demands, input.views, input.now);
    let mut eligible: Vec<_> = filtered.eligible.iter().collect();
    eligible.sort_by_key(|entry| !entry.view().availability.is_usable());
    eligible.into_iter().map(|entry| entry.deployment()).collect()
}

/// Legs with larger context windows, the largest first; of unknown size last.
fn longer(ranker: &mut Ranker<'_>, legs: &Legs) -> Legs {
    let fleet = ranker.input().fleet;
    let window = |leg: &RankedLeg| fleet.deployment(leg.index()).context_window;
    let Some(first) = legs.first() else { return Legs::new() };
    let listed = &ranker.input().route.fallback.context_length;
    let mut longer = Legs::new();
    if listed.is_empty() {
        let beyond = |leg: &&RankedLeg| match (window(leg), window(first)) {
            (Some(window), Some(first)) => window > first,
            _ => true,
        };
        longer.extend(legs.iter().filter(beyond).copied());
    } else {
        longer = ranker.tiers(listed);
    }
    longer.retain(|leg| leg.slot != first.slot);
    longer.sort_by_key(|leg| Reverse(window(leg).unwrap_or(0)));
    usable_first(&mut longer);
    longer
}

/// The listed tiers, other models before the same model elsewhere: what one refused it will likely refuse again.
fn other_models(ranker: &mut Ranker<'_>, legs: &Legs) -> Legs {
    let fleet = ranker.input().fleet;
    let mut others = ranker.tiers(&ranker.input().route.fallback.content_filter);
    let Some(first) = legs.first() else { return others };
    let model = &fleet.deployment(first.index()).model;
    others.retain(|leg| leg.slot != first.slot);
    others.sort_by_key(|leg| fleet.deployment(leg.index()).model == *model);
    usable_first(&mut others);
    others
}

/// Puts what takes requests now before what does not, without disturbing either order more than needed.
fn usable_first(legs: &mut Legs) {
    let availability = |leg: &RankedLeg| leg.ranked.availability;
    if legs.is_sorted_by(|one, next| availability(one).compare(availability(next)).is_le()) {
        return;
    }
    legs.sort_by(|one, other| availability(one).compare(availability(other)));
}

/// No deployment is planned.
pub(super) const fn nothing_planned(_slot: usize) -> bool {
    false
}
