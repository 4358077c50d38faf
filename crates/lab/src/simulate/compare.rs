//! Several policies over the same traffic, and by how much they differ.
//!
//! Owns the differences and their intervals. A run is cut into slices of arrival order; since all policies met the same requests,
//! slices are compared in pairs, and the spread of their ratios says how much of a difference is luck. Where troubles are planned
//! slices are not alike, and there is no interval.

use super::engine::run;
use super::scenario::Scenario;
use super::tally::{Outcome, quantile_of};
use serde::Serialize;

/// What came of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The scenario.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// Requests for each policy.
    pub requests: u64,
    /// The seed of everything random.
    pub seed: u64,
    /// Simulated seconds.
    pub simulated_seconds: f64,
    /// What had to be assumed.
    pub assumptions: Vec<String>,
    /// The outcomes; the first is what the others are measured against.
    pub outcomes: Vec<Outcome>,
    /// How the 99th percentile to the first token differs from that of the first.
    pub differences: Vec<Difference>,
}

/// How one policy differs from the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The policy.
    pub name: String,
    /// What it is measured against.
    pub against: String,
    /// Relative difference of the 99th percentile of the time to first token: 0.2 is 20 % slower.
    pub first_token_p99: f64,
    /// Where that lies with 95 % confidence; `None` when the run is too short to tell, or not steady.
    pub interval: Option<Interval>,
}

/// Where a figure lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// Slices for intervals.
const SLICES: usize = 20;
/// Served requests without which a slice has no 99th percentile worth the name.
const LEAST_IN_SLICE: usize = 200;
/// The 97.5th percentile of Student's t with 19 degrees of freedom.
const STUDENT: f64 = 2.093;

/// Runs every policy of a scenario. `progress` is told how many requests of all policies together have come.
#[must_use]
pub fn compare(scenario: &Scenario, requests: u64, seed: u64, progress: &mut dyn FnMut(u64)) -> Comparison {
    let requests = requests.max(1);
    let mut outcomes = Vec::with_capacity(scenario.variants.len());
    for (number, variant) in scenario.variants.iter().enumerate() {
        let before = number as u64 * requests;
        outcomes.push(run(scenario, variant, requests, seed, &mut |come| progress(before + come)));
    }
    let differences = match outcomes.split_first() {
        Some((first, others)) => {
            let steady = scenario.troubles.is_empty();
            others.iter().map(|other| difference(first, other, steady)).collect()
        }
        None => Vec::new(),
    };
    #[expect(clippy::cast_precision_loss, reason = "a length for readers")]
    let simulated_seconds = requests as f64 / scenario.traffic.per_second;
    Comparison {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        requests,
        seed,
        simulated_seconds,
        assumptions: scenario.assumptions.clone(),
        outcomes,
        differences,
    }
}

fn difference(first: &Outcome, other: &Outcome, steady: bool) -> Difference {
    Difference {
        name: other.name.clone(),
        against: first.name.clone(),
        first_token_p99: other.first_token_ms.p99 / first.first_token_ms.p99 - 1.0,
        interval: if steady { interval(first, other) } else { None },
    }
}

fn interval(first: &Outcome, other: &Outcome) -> Option<Interval> {
    let size = first.first_token.len() / SLICES;
    if size < LEAST_IN_SLICE {
        return None;
    }
    let slices = first.first_token.chunks(size).zip(other.first_token.chunks(size)).take(SLICES);
    // Ratios are compared by their logarithms: twice as slow and twice as quick are equally far from equal.
    let ratios: Option<Vec<f64>> =
        slices.map(|(one, two)| Some((quantile_of(two, 0.99)? / quantile_of(one, 0.99)?).ln())).collect();
    let ratios = ratios.filter(|ratios| ratios.len() == SLICES)?;
    #[expect(clippy::cast_precision_loss, reason = "twenty slices")]
    let count = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / count;
    let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let reach = STUDENT * (variance / count).sqrt();
    Some(Interval { low: (mean - reach).exp() - 1.0, high: (mean + reach).exp() - 1.0 })
}
