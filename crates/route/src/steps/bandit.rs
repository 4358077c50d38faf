//! Learning from outcomes which tier pays, with bounded exploration.
//!
//! Owns the rule: probability matching (Thompson sampling) or a fixed share (epsilon), the bound on exploring, and the
//! probabilities of all arms, which are exact, so that any other policy can be estimated from the log. Must not gather outcomes:
//! [`ArmStatistics`] does. Non-obvious: Thompson sampling usually draws from each arm's belief and takes the largest, which
//! leaves its probabilities unknown. Here the probability that an arm is the best is integrated on a grid and then drawn from:
//! the same rule, with the propensity known.

mod arms;

pub use arms::{ArmStatistics, ArmView, Outcome, SavedArms};

use super::{DecideStep, StepAnswer, StepInput};
use crate::balance::{mix, unit};
use crate::policy::TierPosition;
use smallvec::SmallVec;
use std::sync::Arc;

/// How the bandit explores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exploration {
    /// Arms in proportion to the probability that they are the best.
    Thompson,
    /// All arms alike.
    Epsilon,
}

/// Answers with the tier that has paid best, and now and then with another.
#[derive(Clone, Debug)]
pub struct Bandit {
    /// The tiers among which it chooses; at least two.
    pub arms: Vec<TierPosition>,
    /// How it explores.
    pub exploration: Exploration,
    /// The most of the requests that go elsewhere than to the best arm, 0 to 1.
    pub explore: f64,
    /// What a dollar is worth in quality: 1 dollar per request takes off this much.
    pub dollar: f64,
    /// The share of the spending that exploring may add; above it only the best arm is used until it fell below.
    pub spend_cap: f64,
    /// What was learned.
    pub statistics: Arc<ArmStatistics>,
}

/// The name under which a decision tells how many outcomes its bandit had seen.
pub const SEEN: &str = "outcomes seen";

/// Points of the grid on which beliefs are integrated.
const GRID: usize = 65;
/// Belief of an arm nobody tried: the middle, and so wide that it is tried.
const PRIOR: ArmBelief = ArmBelief { mean: 0.5, deviation: 0.5 };
/// Outcomes the prior counts for.
const PRIOR_WEIGHT: f64 = 1.0;

#[derive(Clone, Copy, Debug, PartialEq)]
struct ArmBelief {
    mean: f64,
    deviation: f64,
}

impl Bandit {
    /// The probability of each arm, in order, among those that `open` lets through; they add up to 1 unless none is open.
    pub fn probabilities(&self, open: impl Fn(usize) -> bool) -> SmallVec<[f64; 4]> {
        self.probabilities_by(&self.statistics.view(), open)
    }

    /// As [`Bandit::probabilities`], by what was known of the arms.
    fn probabilities_by(&self, views: &[ArmView], open: impl Fn(usize) -> bool) -> SmallVec<[f64; 4]> {
        let beliefs: SmallVec<[Option<ArmBelief>; 4]> = (0..self.arms.len())
            .map(|arm| open(arm).then(|| self.belief(&views.get(arm).copied().unwrap_or_default())))
            .collect();
        let mut probabilities: SmallVec<[f64; 4]> = match self.exploration {
            Exploration::Thompson => best_of(&beliefs),
            Exploration::Epsilon => {
                let number = beliefs.iter().flatten().count().max(1) as f64;
                beliefs.iter().map(|belief| if belief.is_some() { 1.0 / number } else { 0.0 }).collect()
            }
        };
        let mean = |arm: usize| beliefs[arm].map_or(f64::NEG_INFINITY, |belief| belief.mean);
        let best = (0..beliefs.len())
            .filter(|arm| beliefs[*arm].is_some())
            .reduce(|best, arm| if mean(arm) > mean(best) { arm } else { best });
        let Some(best) = best else { return probabilities };
        let explored: f64 = 1.0 - probabilities[best];
        let explore = if self.is_over_cap(views, best) { 0.0 } else { self.explore };
        let factor = match self.exploration {
            // The bound holds; below it the beliefs themselves say how much is worth trying.
            Exploration::Thompson if explored <= explore => 1.0,
            _ if explored > 0.0 => {
                explore * if self.exploration == Exploration::Epsilon { 1.0 } else { 1.0 / explored }
            }
            _ => 0.0,
        };
        let mut others = 0.0;
        for (arm, probability) in probabilities.iter_mut().enumerate() {
            if arm != best {
                *probability *= factor;
                others += *probability;
            }
        }
        probabilities[best] = 1.0 - others;
        probabilities
    }

    /// What is known of the arms: what the decision that is made again knew, or what is known now. In the precision in which it is
    /// written, so that both are the same.
    fn known(&self, input: &StepInput<'_>) -> SmallVec<[ArmView; 4]> {
        let tier = |arm: &TierPosition| input.decide.route.tier(*arm);
        let recalled = input.decide.views.arms(input.step).and_then(|recalled| {
            let find = |arm| {
                let name = &tier(arm)?.name;
                recalled.iter().find(|(known, _)| known == name).map(|(_, view)| *view)
            };
            self.arms.iter().map(find).collect::<Option<SmallVec<[ArmView; 4]>>>()
        });
        recalled.unwrap_or_else(|| self.statistics.view().into_iter().map(ArmView::rounded).collect())
    }

    /// Quality less what the arm costs.
    fn belief(&self, view: &ArmView) -> ArmBelief {
        let weight = view.weight + PRIOR_WEIGHT;
        let mean = (view.weight * view.quality + PRIOR_WEIGHT * PRIOR.mean) / weight;
        let deviation = (view.variance.max(0.01) / weight).sqrt().max(if view.weight < 1.0 {
            PRIOR.deviation
        } else {
            0.0
        });
        ArmBelief { mean: mean - self.dollar * view.dollars, deviation }
    }

    /// Whether what exploring has added passes its share of all spending.
    fn is_over_cap(&self, views: &[ArmView], best: usize) -> bool {
        let all: f64 = views.iter().map(|view| view.weight * view.dollars).sum();
        let base = views.get(best).map_or(0.0, |view| view.dollars);
        let tries: f64 = views.iter().map(|view| view.weight).sum();
        // The first tries teach what things cost; a cap on nothing would forbid them.
        if tries < 20.0 || base <= 0.0 {
            return false;
        }
        all - tries * base > self.spend_cap * all
    }
}

/// The probability that each belief's draw is the largest.
fn best_of(beliefs: &[Option<ArmBelief>]) -> SmallVec<[f64; 4]> {
    let known = || beliefs.iter().flatten();
    let low = known().map(|belief| belief.mean - 4.0 * belief.deviation).fold(f64::INFINITY, f64::min);
    let high = known().map(|belief| belief.mean + 4.0 * belief.deviation).fold(f64::NEG_INFINITY, f64::max);
    let mut sums: SmallVec<[f64; 4]> = beliefs.iter().map(|_| 0.0).collect();
    for step in 0..GRID {
        let at = low + (high - low) * step as f64 / (GRID - 1) as f64;
        for (arm, sum) in sums.iter_mut().enumerate() {
            let Some(belief) = beliefs[arm] else { continue };
            let away = (at - belief.mean) / belief.deviation;
            let mut density = (-0.5 * away * away).exp() / belief.deviation;
            for other in
                beliefs.iter().enumerate().filter(|(other, _)| *other != arm).filter_map(|(_, other)| *other)
            {
                density *= below((at - other.mean) / other.deviation);
            }
            *sum += density;
        }
    }
    let total: f64 = sums.iter().sum();
    if total > 0.0 {
        sums.iter_mut().for_each(|sum| *sum /= total);
    } else {
        // Beliefs narrower than the grid: the largest mean is the best.
        let largest = known().map(|belief| belief.mean).fold(f64::NEG_INFINITY, f64::max);
        let first = beliefs.iter().position(|belief| belief.is_some_and(|belief| belief.mean >= largest));
        if let Some(first) = first {
            sums[first] = 1.0;
        }
    }
    sums
}

/// The normal distribution function, off by less than 0.0002 (logistic approximation of Page, 1977).
fn below(deviations: f64) -> f64 {
    let cubic = 0.07056 * deviations.powi(3) + 1.5976 * deviations;
    1.0 / (1.0 + (-cubic).exp())
}

impl DecideStep for Bandit {
    fn name(&self) -> &str {
        "bandit"
    }

    fn decide(&self, input: &StepInput<'_>) -> StepAnswer {
        let route = input.decide.route;
        let open = |arm: usize| {
            route.tier(self.arms[arm]).is_some_and(|tier| {
                tier.deployments.iter().any(|index| input.eligible.find(*index).is_some())
            })
        };
        let views = self.known(input);
        let probabilities = self.probabilities_by(&views, open);
        for ((tier, probability), view) in self.arms.iter().zip(&probabilities).zip(&views) {
            if let Some(tier) = route.tier(*tier) {
                input.measure(tier.name.clone(), *probability);
                view.measured(&tier.name, |name, value| input.measure(name, value));
            }
        }
        input.measure(SEEN.into(), self.statistics.seen() as f64);
        let lot = unit(mix(input.decide.seed, 0x6261_6e64_6974));
        let mut reached = 0.0;
        let mut drawn = None;
        for (arm, probability) in
            probabilities.iter().enumerate().filter(|(_, probability)| **probability > 0.0)
        {
            reached += probability;
            drawn = Some(arm);
            if lot <= reached {
                break;
            }
        }
        match drawn {
            Some(arm) => StepAnswer::Tier { tier: self.arms[arm], propensity: probabilities[arm] },
            None => StepAnswer::NoAnswer { why: "none of its tiers may serve this request".into() },
        }
    }

    fn bandit(&self) -> Option<&Bandit> {
        Some(self)
    }
}
