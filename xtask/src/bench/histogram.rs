//! Latencies as quantiles.
//!
//! Owns the choice of range and precision and of the quantiles that are reported. One nanosecond to one minute at
//! three digits: a value beyond it is recorded as one minute, never dropped, because dropping the slowest is how a
//! benchmark lies.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const LONGEST: Duration = Duration::from_secs(60);

/// Latencies seen so far.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

/// What is reported of latencies, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quantiles {
    /// How many values there were.
    pub(super) count: u64,
    /// Median.
    pub(super) p50: u64,
    /// 90th percentile.
    pub(super) p90: u64,
    /// 99th percentile.
    pub(super) p99: u64,
    /// 99.9th percentile.
    pub(super) p999: u64,
    /// The slowest.
    pub(super) max: u64,
}

impl Latencies {
    /// No latencies yet.
    pub(super) fn new() -> Self {
        let longest = nanoseconds(LONGEST);
        Self(
            Histogram::new_with_bounds(1, longest, 3)
                .expect("the bounds are constants that fit three digits"),
        )
    }

    /// Counts one latency.
    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(nanoseconds(latency).max(1));
    }

    /// Counts all latencies of `other` too.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms here have the same bounds");
    }

    /// What is reported; zeros when nothing was recorded.
    pub(super) fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Quantiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max(),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The median of `values`; the mean of the middle two when their number is even. `None` when there are none.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_three_digits_and_the_slowest_is_kept() {
        let mut latencies = Latencies::new();
        for microseconds in 1..=1000 {
            latencies.record(Duration::from_micros(microseconds));
        }
        latencies.record(Duration::from_secs(600));
        let quantiles = latencies.quantiles();
        assert_eq!(quantiles.count, 1001);
        assert!(quantiles.p50.abs_diff(501_000) < 1_000, "{}", quantiles.p50);
        assert!(quantiles.p99.abs_diff(991_000) < 1_000, "{}", quantiles.p99);
        assert!(quantiles.max >= 60_000_000_000);
    }

    #[test]
    fn histograms_add_up() {
        let (mut one, mut two) = (Latencies::new(), Latencies::new());
        one.record(Duration::from_millis(1));
        two.record(Duration::from_millis(2));
        one.add(&two);
        assert_eq!(one.quantiles().count, 2);
        assert_eq!(Latencies::new().quantiles(), Quantiles::default());
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
