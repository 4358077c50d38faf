//! What came of a run.
//!
//! Owns counting and quantiles. Must not know how the run went. Times are kept per request in the order of arrival, so that two
//! runs over the same traffic can be compared request by request and slice by slice.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use trunkline_model::money::NanoDollars;

/// A request that was not answered.
const UNANSWERED: u32 = u32::MAX;
/// Slices of a run over time.
const SLICES: usize = 40;

/// What came of the requests of one policy.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The policy.
    pub name: String,
    /// Requests that came.
    pub requests: u64,
    /// Requests that were answered whole.
    pub served: u64,
    /// The others by why they were not.
    pub failed: BTreeMap<String, u64>,
    /// Milliseconds to the first token, of those served.
    pub first_token_ms: Quantiles,
    /// Milliseconds to the end, of those served.
    pub total_ms: Quantiles,
    /// Upstream calls.
    pub attempts: u64,
    /// Calls to another provider because one failed.
    pub failovers: u64,
    /// Calls to the same provider again.
    pub retries: u64,
    /// Hedges that were started.
    pub hedges: u64,
    /// Hedges that were quicker.
    pub hedges_won: u64,
    /// Spending on losing calls as a share of all spending; `None` without prices.
    pub hedge_cost_share: Option<f64>,
    /// Dollars for all requests; `None` when a price is unknown.
    pub cost_usd: Option<f64>,
    /// The share of calls each provider got.
    pub shares: BTreeMap<String, f64>,
    /// How often a circuit breaker opened.
    pub breaker_trips: u64,
    /// Most requests open at the same time.
    pub most_open: u64,
    /// The run over time.
    pub slices: Vec<Slice>,
    /// Per request in the order of arrival.
    #[serde(skip)]
    pub(super) first_token: Vec<u32>,
}

/// Quantiles of a time, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// Seconds from the start of the run to its middle.
    pub second: f64,
    /// The share of its requests that were served.
    pub served: f64,
    /// The 95th percentile of their milliseconds to the first token; `None` when none was served.
    pub first_token_p95_ms: Option<f64>,
}

/// Counts while a run goes on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    first_token: Vec<u32>,
    total: Vec<u32>,
    arrived: Vec<u32>,
    failed: BTreeMap<&'static str, u64>,
    pub(super) attempts: u64,
    pub(super) failovers: u64,
    pub(super) retries: u64,
    pub(super) hedges: u64,
    pub(super) hedges_won: u64,
    pub(super) breaker_trips: u64,
    pub(super) most_open: u64,
    /// Nano-dollars; a sum may exceed 64 bits in a long run.
    cost: i128,
    hedge_cost: i128,
    cost_unknown: bool,
    calls: Vec<u64>,
}

impl Tally {
    pub(super) fn new(requests: usize, deployments: usize) -> Self {
        Self {
            first_token: vec![UNANSWERED; requests],
            total: vec![UNANSWERED; requests],
            arrived: Vec::with_capacity(requests),
            calls: vec![0; deployments],
            ..Self::default()
        }
    }

    /// A request came.
    pub(super) fn arrived(&mut self, since_start: Duration) {
        // Tenths of a second reach 13 years.
        self.arrived.push(u32::try_from(since_start.as_millis() / 100).unwrap_or(u32::MAX));
    }

    pub(super) fn served(&mut self, request: usize, first_token: Duration, total: Duration) {
        self.first_token[request] = micros(first_token);
        self.total[request] = micros(total);
    }

    pub(super) fn failed(&mut self, why: &'static str) {
        *self.failed.entry(why).or_default() += 1;
    }

    pub(super) fn called(&mut self, deployment: usize) {
        self.attempts += 1;
        self.calls[deployment] += 1;
    }

    pub(super) fn paid(&mut self, cost: Option<NanoDollars>, lost: bool) {
        match cost {
            Some(cost) => {
                self.cost += i128::from(cost.nanos());
                if lost {
                    self.hedge_cost += i128::from(cost.nanos());
                }
            }
            None => self.cost_unknown = true,
        }
    }

    /// The outcome, with the names of the deployments.
    pub(super) fn finish<'a>(self, name: &str, deployments: impl Iterator<Item = &'a str>) -> Outcome {
        let calls: u64 = self.calls.iter().sum();
        let shares = deployments
            .zip(&self.calls)
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (name.to_owned(), ratio(*count, calls)))
            .collect();
        let dollars = |nanos: i128| {
            #[expect(clippy::cast_precision_loss, reason = "a figure for readers")]
            let dollars = nanos as f64 / 1e9;
            dollars
        };
        let known = !self.cost_unknown && self.cost > 0;
        Outcome {
            name: name.to_owned(),
            requests: self.arrived.len() as u64,
            served: self.first_token.iter().filter(|time| **time != UNANSWERED).count() as u64,
            failed: self.failed.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect(),
            first_token_ms: quantiles(&self.first_token),
            total_ms: quantiles(&self.total),
            attempts: self.attempts,
            failovers: self.failovers,
            retries: self.retries,
            hedges: self.hedges,
            hedges_won: self.hedges_won,
            hedge_cost_share: known.then(|| dollars(self.hedge_cost) / dollars(self.cost)),
            cost_usd: known.then(|| dollars(self.cost)),
            shares,
            breaker_trips: self.breaker_trips,
            most_open: self.most_open,
            slices: slices(&self.arrived, &self.first_token),
            first_token: self.first_token,
        }
    }
}

impl Outcome {
    /// The share of requests that were answered whole.
    #[must_use]
    pub fn served_share(&self) -> f64 {
        ratio(self.served, self.requests)
    }

    /// How many of the served requests waited longer than each of some milliseconds for their first token: points of a curve.
    #[must_use]
    pub fn slower_than(&self) -> Vec<(f64, f64)> {
        let mut times: Vec<u32> =
            self.first_token.iter().copied().filter(|time| *time != UNANSWERED).collect();
        times.sort_unstable();
        let all = times.len();
        if all == 0 {
            return Vec::new();
        }
        // From everybody to one in ten thousand, forty points to a decade.
        let points = (0..=160).map(|step| 10f64.powf(-f64::from(step) / 40.0));
        points
            .take_while(|share| share * to_f64(all as u64) >= 1.0)
            .map(|share| (milliseconds(nearest_rank(&times, 1.0 - share)), share))
            .collect()
    }
}

fn slices(arrived: &[u32], first_token: &[u32]) -> Vec<Slice> {
    let size = arrived.len().div_ceil(SLICES).max(1);
    let chunks = arrived.chunks(size).zip(first_token.chunks(size));
    chunks
        .map(|(arrived, times)| {
            let mut served: Vec<u32> = times.iter().copied().filter(|time| *time != UNANSWERED).collect();
            served.sort_unstable();
            Slice {
                second: f64::from(arrived[arrived.len() / 2]) / 10.0,
                served: ratio(served.len() as u64, times.len() as u64),
                first_token_p95_ms: (!served.is_empty()).then(|| milliseconds(nearest_rank(&served, 0.95))),
            }
        })
        .collect()
}

/// The quantile of some requests of a run, in milliseconds; `None` when none of them was served.
pub(super) fn quantile_of(times: &[u32], share: f64) -> Option<f64> {
    let mut served: Vec<u32> = times.iter().copied().filter(|time| *time != UNANSWERED).collect();
    served.sort_unstable();
    (!served.is_empty()).then(|| milliseconds(nearest_rank(&served, share)))
}

fn quantiles(times: &[u32]) -> Quantiles {
    let mut served: Vec<u32> = times.iter().copied().filter(|time| *time != UNANSWERED).collect();
    served.sort_unstable();
    if served.is_empty() {
        return Quantiles::default();
    }
    let at = |share| milliseconds(nearest_rank(&served, share));
    let sum: u64 = served.iter().map(|time| u64::from(*time)).sum();
    Quantiles {
        mean: to_f64(sum) / to_f64(served.len() as u64) / 1_000.0,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
    }
}

/// The smallest value that this share of the sorted values does not exceed; there is at least one.
fn nearest_rank(sorted: &[u32], share: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in the slice")]
    let rank = (to_f64(sorted.len() as u64) * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn micros(duration: Duration) -> u32 {
    // An hour and more; 0xffff_ffff stands for no answer.
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX).min(UNANSWERED - 1)
}

fn milliseconds(micros: u32) -> f64 {
    f64::from(micros) / 1_000.0
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { to_f64(part) / to_f64(whole) }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}
