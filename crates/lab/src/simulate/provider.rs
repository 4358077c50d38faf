//! How a virtual provider behaves.
//!
//! Owns the distributions of its answers and its faults, from parameters or from what was observed. Must not hold anything that
//! changes while a simulation runs: that is the station.

use crate::draw::{Draw, NORMAL_P99};
use std::time::Duration;
use trunkline_model::failure::FailureClass;

/// What a virtual provider does with a request.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// From the start of its work to the first token.
    pub first_token: Spread,
    /// From the first token to the last.
    pub rest: Rest,
    /// Some of its answers are much slower than others.
    pub slow: Slow,
    /// What goes wrong without any outage.
    pub faults: Faults,
    /// Requests it works on at the same time; further ones wait in the order of arrival. `None`: as many as come.
    pub slots: Option<u32>,
    /// Requests per minute before it answers 429, with bursts of a tenth of that. `None`: no limit.
    pub requests_per_minute: Option<u64>,
}

/// Times as they are spread.
#[derive(Clone, Debug)]
pub enum Spread {
    /// Log-normal, by median and 99th percentile: the form that response times of services take.
    LogNormal {
        /// The logarithm of the median in seconds.
        location: f64,
        /// The standard deviation of the logarithm.
        scale: f64,
    },
    /// As observed, in microseconds; at least one.
    Observed(Vec<u32>),
}

/// The time from the first token to the last.
#[derive(Clone, Debug)]
pub enum Rest {
    /// For each token of the answer.
    PerToken(Duration),
    /// As observed, in microseconds per token of the answer; at least one.
    Observed(Vec<u32>),
}

/// A slow tail.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slow {
    /// The share of answers it hits, 0 to 1.
    pub share: f64,
    /// How many times longer those take to their first token.
    pub factor: f64,
}

/// What goes wrong without any outage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Failures before the first token by their class, each with its share of calls, 0 to 1.
    pub before: Vec<(FailureClass, f64)>,
    /// The share of answers that break off in the middle, 0 to 1.
    pub cut: f64,
}

/// How one call goes, if nothing happens to its provider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    /// To the first token, or to the failure before it.
    pub(super) first: Duration,
    /// From there to the end.
    pub(super) rest: Duration,
    /// What goes wrong.
    pub(super) fault: Option<CourseFault>,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CourseFault {
    /// Instead of the first token.
    Before(FailureClass),
    /// After this part of the answer, 0 to 1.
    Cut(f64),
}

impl Spread {
    /// Log-normal by median and 99th percentile; a 99th percentile below the median counts as equal to it.
    #[must_use]
    pub fn log_normal(median: Duration, p99: Duration) -> Self {
        let location = median.as_secs_f64().max(1e-6).ln();
        let scale = (p99.as_secs_f64().max(1e-6).ln() - location).max(0.0) / NORMAL_P99;
        Self::LogNormal { location, scale }
    }

    /// One time.
    pub(super) fn sample(&self, draw: &mut Draw) -> Duration {
        match self {
            // A day is longer than any timeout, and keeps a careless scale within the clock.
            Self::LogNormal { location, scale } => {
                Duration::from_secs_f64((location + scale * draw.normal()).exp().clamp(0.0, 86_400.0))
            }
            Self::Observed(micros) => {
                Duration::from_micros(micros.get(draw.below(micros.len())).copied().unwrap_or(0).into())
            }
        }
    }
}

impl Rest {
    fn sample(&self, tokens: u64, draw: &mut Draw) -> Duration {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        match self {
            Self::PerToken(gap) => gap.saturating_mul(tokens.saturating_sub(1)),
            Self::Observed(micros) => {
                let each = micros.get(draw.below(micros.len())).copied().unwrap_or(0);
                Duration::from_micros(each.into()).saturating_mul(tokens)
            }
        }
    }
}

impl Behaviour {
    /// How a call for an answer of so many tokens goes.
    pub(super) fn course(&self, tokens: u64, draw: &mut Draw) -> Course {
        let mut first = self.first_token.sample(draw);
        let rest = self.rest.sample(tokens, draw);
        if draw.chance(self.slow.share) {
            first = first.mul_f64(self.slow.factor.max(0.0));
        }
        let mut lot = draw.unit();
        for (class, share) in &self.faults.before {
            if lot < *share {
                // Errors come when the work would have begun, long before an answer is thought of.
                let fault = Some(CourseFault::Before(*class));
                return Course { first: first.mul_f64(0.25), rest: Duration::ZERO, fault };
            }
            lot -= share;
        }
        let fault = if draw.chance(self.faults.cut) { Some(CourseFault::Cut(draw.unit())) } else { None };
        Course { first, rest, fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_median_and_the_tail_it_was_given() {
        let spread = Spread::log_normal(Duration::from_millis(500), Duration::from_secs(2));
        let mut draw = Draw::new(3);
        let mut times: Vec<f64> = (0..50_000).map(|_| spread.sample(&mut draw).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        assert!((times[25_000] - 0.5).abs() < 0.02, "{}", times[25_000]);
        assert!((times[49_500] - 2.0).abs() < 0.15, "{}", times[49_500]);
    }

    #[test]
    fn faults_come_as_often_as_they_should() {
        let behaviour = Behaviour {
            first_token: Spread::Observed(vec![1_000]),
            rest: Rest::PerToken(Duration::from_millis(1)),
            slow: Slow::default(),
            faults: Faults {
                before: vec![(FailureClass::Server, 0.1), (FailureClass::Overloaded, 0.2)],
                cut: 0.5,
            },
            slots: None,
            requests_per_minute: None,
        };
        let mut counts = [0i32; 4];
        let mut draw = Draw::new(1);
        for _ in 0..10_000 {
            let kind = match behaviour.course(10, &mut draw).fault {
                Some(CourseFault::Before(FailureClass::Server)) => 0,
                Some(CourseFault::Before(_)) => 1,
                Some(CourseFault::Cut(_)) => 2,
                None => 3,
            };
            counts[kind] += 1;
        }
        for (count, expected) in counts.iter().zip([1_000, 2_000, 3_500, 3_500]) {
            assert!((*count - expected).abs() < 200, "{counts:?}");
        }
    }
}
