//! Ordering the candidates of a tier.
//!
//! Owns one pure function for all strategies, and the exact probability of its first choice, which offline estimates need.
//! Ties are broken by the seed, so that equal deployments share the load.

use super::Balance;
use super::seeded::{mix, unit};
use crate::estimate::expected_cost;
use crate::filter::EligibleEntry;
use crate::fleet::Deployment;
use crate::plan::EligibleDeployment;
use crate::policy::TierPosition;
use crate::sticky;
use crate::view::Availability;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use trunkline_model::money::Cost;
use trunkline_model::shape::Shape;

/// A deployment of the tier that may serve, with what strategies look at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its token and its state.
    pub entry: &'a EligibleEntry,
    /// What it is.
    pub description: &'a Deployment,
    /// The request.
    pub shape: &'a Shape,
}

impl Candidate<'_> {
    /// What this request would cost there.
    #[must_use]
    pub fn expected_cost(&self) -> Cost {
        expected_cost(self.description, self.shape)
    }

    fn weight(&self) -> f64 {
        f64::from(self.description.weight.max(1))
    }
}

/// One place of an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Which deployment.
    pub deployment: EligibleDeployment,
    /// The strategy's measure: lower is better; infinite when it cannot be told.
    pub score: f64,
    /// Whether it takes requests.
    pub availability: Availability,
}

/// An order of candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Best first; every candidate once.
    pub order: SmallVec<[Ranked; 8]>,
    /// The probability, over seeds and turns, of this first choice.
    pub propensity: f64,
}

/// Where turns of round robin come from: counters of the running server, or one fixed turn to repeat a decision.
#[derive(Clone, Copy, Debug)]
pub enum Rotation<'a> {
    /// One counter per tier of the route, moved on by each use.
    Counters(&'a [AtomicU64]),
    /// Always this turn.
    Fixed(u64),
}

impl Rotation<'_> {
    /// The next turn of a tier.
    #[must_use]
    pub fn next(&self, tier: TierPosition) -> u64 {
        match self {
            Self::Counters(counters) => {
                counters.get(tier.position()).map_or(0, |counter| counter.fetch_add(1, Memory::Relaxed))
            }
            Self::Fixed(turn) => *turn,
        }
    }
}

/// Orders candidates by a strategy; by nearness to the caller's home instead when `identity` is given. `turn` counts for round
/// robin only.
#[must_use]
pub fn rank(
    candidates: &[Candidate<'_>],
    balance: &Balance,
    identity: Option<u64>,
    seed: u64,
    turn: u64,
) -> Ranking {
    let (scored, propensity) = rank_places(candidates, balance, identity, seed, turn);
    let order = scored
        .iter()
        .map(|scored| Ranked {
            deployment: candidates[scored.position].entry.deployment(),
            score: scored.score,
            availability: scored.availability,
        })
        .collect();
    Ranking { order, propensity }
}

/// The same by positions among the candidates.
pub(crate) fn rank_places(
    candidates: &[Candidate<'_>],
    balance: &Balance,
    identity: Option<u64>,
    seed: u64,
    turn: u64,
) -> (SmallVec<[Scored; 8]>, f64) {
    let mut scored: SmallVec<[Scored; 8]> = SmallVec::with_capacity(candidates.len());
    for (position, candidate) in candidates.iter().enumerate() {
        let draw = mix(seed, u64::from(candidate.entry.deployment().index().0));
        let score = match identity {
            Some(identity) => sticky::candidate_distance(identity, candidate),
            None => number_or_worst(score(candidate, balance, draw)),
        };
        scored.push(Scored { position, score, availability: candidate.entry.view().availability, tie: draw });
    }
    scored.sort_unstable_by(Scored::compare);
    // The first group: all that are as available as the best.
    let best = scored.first().map_or(Availability::Open, |first| first.availability);
    let group = scored.iter().take_while(|other| other.availability.compare(best).is_eq()).count();
    let propensity = match (identity, balance) {
        _ if group == 0 => 1.0,
        (Some(_), _) => 1.0,
        (None, Balance::Weighted) => weight_share(candidates, &scored[..group]),
        (None, Balance::RoundRobin) => take_turn(candidates, &mut scored[..group], turn),
        (None, Balance::LeastOutstanding) => two_choices(&mut scored[..group], seed),
        (None, _) => {
            let ties = scored[..group].iter().take_while(|other| other.score == scored[0].score).count();
            1.0 / count(ties)
        }
    };
    (scored, propensity)
}

/// A candidate by position, as it was rated.
#[derive(Clone, Copy)]
pub(crate) struct Scored {
    pub(crate) position: usize,
    pub(crate) score: f64,
    pub(crate) availability: Availability,
    tie: u64,
}

impl Scored {
    fn compare(&self, other: &Self) -> Ordering {
        self.availability
            .compare(other.availability)
            .then_with(|| self.score.total_cmp(&other.score))
            .then_with(|| self.tie.cmp(&other.tie))
            .then_with(|| self.position.cmp(&other.position))
    }
}

fn score(candidate: &Candidate<'_>, balance: &Balance, draw: u64) -> f64 {
    let view = candidate.entry.view();
    let load = f64::from(view.outstanding) + 1.0;
    match balance {
        // Exponential races: the first to arrive is drawn in proportion to the weights (Efraimidis and Spirakis, 2006).
        Balance::Weighted => -unit(draw).ln() / candidate.weight(),
        // Filled in by the turn.
        Balance::RoundRobin => 0.0,
        Balance::LeastOutstanding => load / candidate.weight(),
        // The expected wait grows with what is queued there already (the load of peak EWMA balancers). What was never
        // observed counts as instant, so that it gets its first observation.
        Balance::Latency => view.latency.map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0) * load,
        Balance::Cost => candidate.expected_cost().amount.map_or(f64::INFINITY, |amount| amount.to_f64()),
        Balance::Headroom => 1.0 - f64::from(view.headroom),
        Balance::Custom(scorer) => scorer.score(candidate),
    }
}

/// Something that is no number is worse than any.
fn number_or_worst(score: f64) -> f64 {
    if score.is_nan() { f64::INFINITY } else { score }
}

fn weight_share(candidates: &[Candidate<'_>], group: &[Scored]) -> f64 {
    let weight = |scored: &Scored| candidates[scored.position].weight();
    weight(&group[0]) / group.iter().map(weight).sum::<f64>()
}

/// Puts the deployment whose turn it is first and the others behind it in the order of coming turns.
fn take_turn(candidates: &[Candidate<'_>], group: &mut [Scored], turn: u64) -> f64 {
    group.sort_unstable_by_key(|scored| scored.position);
    let weights = group.iter().map(|scored| u64::from(candidates[scored.position].description.weight.max(1)));
    let total: u64 = weights.clone().sum();
    // Walking the circle of all weights in steps of about its golden section visits each deployment as often as its weight
    // says, and spread out: a step without a common divisor reaches every point once.
    let mut point = (turn % total).wrapping_mul(golden_step(total)) % total;
    let mut chosen = 0;
    for (place, weight) in weights.enumerate() {
        if point < weight {
            chosen = place;
            break;
        }
        point -= weight;
    }
    group.rotate_left(chosen);
    for (place, scored) in group.iter_mut().enumerate() {
        scored.score = count(place);
    }
    weight_share(candidates, group)
}

fn golden_step(total: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "any step near the section will do"
    )]
    let mut step = ((total as f64 * 0.618).round() as u64).max(1);
    while greatest_common_divisor(step, total) != 1 {
        step += 1;
    }
    step
}

const fn greatest_common_divisor(mut one: u64, mut two: u64) -> u64 {
    while two != 0 {
        (one, two) = (two, one % two);
    }
    one
}

/// Picks two at random and moves the less busy of them to the front. Always taking the least busy of all would send every
/// replica of the gateway to the same one at the same time.
fn two_choices(group: &mut [Scored], seed: u64) -> f64 {
    let size = group.len() as u64;
    if size == 1 {
        return 1.0;
    }
    // The group is sorted by load and tie, so places, not deployments, are drawn; both draws are uniform.
    let one = mix(seed, u64::MAX) % size;
    let two = (one + 1 + mix(seed, u64::MAX - 1) % (size - 1)) % size;
    let (one, two) = (one as usize, two as usize);
    let chosen = match group[one].score.total_cmp(&group[two].score) {
        Ordering::Less | Ordering::Equal => one,
        Ordering::Greater => two,
    };
    let load = group[chosen].score;
    let worse = group.iter().filter(|other| other.score > load).count();
    let equal = group.iter().filter(|other| other.score == load).count() - 1;
    group[..=chosen].rotate_right(1);
    let pairs = size * (size - 1) / 2;
    (count(worse) + count(equal) / 2.0) / count(pairs as usize)
}

fn count(number: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a tier has no 2^53 deployments")]
    let number = number as f64;
    number
}

#[cfg(test)]
mod tests;
