//! Quantiles of the time to an answer in constant memory.
//!
//! Owns a histogram of logarithmic buckets, a fifth wide, whose counts are halved from time to time so that last week does not
//! outvote the last hour. Must not know what the figures are used for.

use std::time::Duration;
use trunkline_model::moment::Moment;

/// Buckets per doubling.
const PER_DOUBLING: f32 = 4.0;
/// From one millisecond to beyond half an hour.
const BUCKETS: usize = 84;
/// Counts are halved when they reach this.
const MOST: f32 = 512.0;
/// Counts are halved after this time.
const HALF_LIFE: Duration = Duration::from_secs(600);

/// Durations by how often they occurred lately.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[f32; BUCKETS]>,
    total: f32,
    halved: Moment,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: Box::new([0.0; BUCKETS]), total: 0.0, halved: Moment::ORIGIN }
    }

    pub(super) fn observe(&mut self, duration: Duration, now: Moment) {
        if self.total >= MOST || now.since(self.halved) >= HALF_LIFE {
            self.halve(now);
        }
        self.counts[bucket(duration)] += 1.0;
        self.total += 1.0;
    }

    /// The duration that this share (0 to 1) of observations does not exceed, rounded up to its bucket's edge; `None` with
    /// fewer than `least` observations.
    pub(super) fn quantile(&self, share: f64, least: u32) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "a threshold of a few dozen is exact")]
        let enough = self.total >= least.max(1) as f32;
        if !enough {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "shares need no more than 24 bits")]
        let wanted = self.total * share.clamp(0.0, 1.0) as f32;
        let mut seen = 0.0;
        for (position, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0.0 && seen >= wanted {
                return Some(upper_edge(position));
            }
        }
        self.counts.iter().rposition(|count| *count > 0.0).map(upper_edge)
    }

    fn halve(&mut self, now: Moment) {
        // Several half-lives at once after a quiet time; more than 16 leave nothing.
        let lives = now.since(self.halved).as_secs() / HALF_LIFE.as_secs();
        let kept = 0.5f32.powi(i32::try_from(lives.clamp(1, 16)).unwrap_or(16));
        self.counts.iter_mut().for_each(|count| *count *= kept);
        self.total = self.counts.iter().sum();
        self.halved = now;
    }
}

fn bucket(duration: Duration) -> usize {
    let milliseconds = duration.as_secs_f32() * 1_000.0;
    if milliseconds <= 1.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the logarithm of more than one is positive and small"
    )]
    let position = (milliseconds.log2() * PER_DOUBLING).ceil() as usize;
    position.min(BUCKETS - 1)
}

fn upper_edge(position: usize) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "positions are below a hundred")]
    let milliseconds = (position as f32 / PER_DOUBLING).exp2();
    Duration::from_secs_f32(milliseconds / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_said_before_enough_was_seen() {
        let mut histogram = Histogram::new();
        for _ in 0..19 {
            histogram.observe(Duration::from_millis(500), Moment::ORIGIN);
        }
        assert_eq!(histogram.quantile(0.95, 20), None);
        histogram.observe(Duration::from_millis(500), Moment::ORIGIN);
        assert!(histogram.quantile(0.95, 20).is_some());
    }

    #[test]
    fn the_recent_outvotes_the_old() {
        let mut histogram = Histogram::new();
        for _ in 0..400 {
            histogram.observe(Duration::from_millis(100), Moment::ORIGIN);
        }
        let later = Moment::ORIGIN + Duration::from_secs(3_600);
        for _ in 0..100 {
            histogram.observe(Duration::from_secs(2), later);
        }
        assert!(histogram.quantile(0.5, 20) > Some(Duration::from_secs(1)));
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_bucket_above_the_true_one(
            mut milliseconds in prop::collection::vec(2u64..600_000, 20..300),
            share in 0.01f64..1.0,
        ) {
            let mut histogram = Histogram::new();
            for &each in &milliseconds {
                histogram.observe(Duration::from_millis(each), Moment::ORIGIN);
            }
            milliseconds.sort_unstable();
            let rank = ((milliseconds.len() as f64 * share).ceil() as usize).clamp(1, milliseconds.len());
            let truth = milliseconds[rank - 1] as f64 / 1_000.0;
            let given = histogram.quantile(share, 20).unwrap().as_secs_f64();
            prop_assert!(given >= truth * 0.999 && given <= truth * 1.2, "{given} for {truth}");
        }

        #[test]
        fn any_duration_has_a_bucket(micros in any::<u64>()) {
            let mut histogram = Histogram::new();
            histogram.observe(Duration::from_micros(micros), Moment::ORIGIN);
            prop_assert!(histogram.quantile(1.0, 1).is_some());
        }
    }
}
