//! From held-out predictions to thresholds.
//!
//! Owns "send at most this share to strong", "keep quality within this much of strong", "spend at most this much a day" and the
//! length of a prompt as a stand-in for its predicted gain. Must not know tiers or prices. All of it is read off rows that were
//! held out while their predictions were made: on the rows a router was fitted to, every threshold looks too good.

use super::artefact::Calibration;

/// Predicted gains and measured qualities of held-out rows, for one choice between two sets of models.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Predicted gain of strong over cheap, falling.
    gains: Vec<f32>,
    /// At position `n`: mean quality when the first `n` rows go to strong and the rest to cheap.
    quality: Vec<f64>,
    length: LengthRank,
}

impl Thresholds {
    /// For the choice between `cheap` and `strong`, sets of positions among `models` models; a set stands for the mean of its
    /// members, since any of them may get the request. `None` when a set is empty.
    #[must_use]
    pub fn new(calibration: &Calibration, models: usize, cheap: &[usize], strong: &[usize]) -> Option<Self> {
        if cheap.is_empty() || strong.is_empty() || models == 0 {
            return None;
        }
        let mean = |row: &[f32], set: &[usize]| {
            set.iter().filter_map(|model| row.get(*model)).sum::<f32>() / set.len() as f32
        };
        let rows =
            calibration.predicted.0.chunks_exact(models).zip(calibration.actual.0.chunks_exact(models));
        let mut rows: Vec<(f32, f32, f32)> = rows
            .map(|(predicted, actual)| {
                let gain = mean(predicted, strong) - mean(predicted, cheap);
                (gain, mean(actual, cheap), mean(actual, strong))
            })
            .collect();
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let count = rows.len().max(1) as f64;
        let mut sum: f64 = rows.iter().map(|row| f64::from(row.1)).sum();
        let mut quality = vec![sum / count];
        for row in &rows {
            sum += f64::from(row.2) - f64::from(row.1);
            quality.push(sum / count);
        }
        Some(Self {
            gains: rows.into_iter().map(|row| row.0).collect(),
            quality,
            length: LengthRank::new(&calibration.lengths.0),
        })
    }

    /// The gain from which on requests go to strong, so that at most this share of the held-out rows would.
    #[must_use]
    pub fn at_share(&self, share: f64) -> f32 {
        let rows = self.gains.len();
        let taken = (share.clamp(0.0, 1.0) * rows as f64).floor() as usize;
        match (taken, self.gains.get(taken)) {
            // All of it: whatever is predicted.
            (_, None) => f32::NEG_INFINITY,
            // Ties with the first row left out stay out, so that the share is never exceeded.
            (_, Some(left_out)) => left_out.next_up(),
        }
    }

    /// The least share of strong that keeps the mean quality within `loss` of strong's own, as a part of it: 0.02 for 2 %.
    #[must_use]
    pub fn share_within(&self, loss: f64) -> f64 {
        let all_strong = self.quality.last().copied().unwrap_or_default();
        let wanted = all_strong * (1.0 - loss);
        // The last crossing, not the first: noise in the curve must not end the search early.
        let below = self.quality.iter().rposition(|quality| *quality < wanted);
        let taken = below.map_or(0, |position| position + 1);
        taken as f64 / self.gains.len().max(1) as f64
    }

    /// The gain that a prompt of this length stands for, where no prediction is to be trusted: the one at the same rank.
    #[must_use]
    pub fn gain_of_length(&self, bytes: usize) -> f32 {
        let rank = self.length.rank(bytes);
        let last = self.gains.len().saturating_sub(1);
        let (Some(first), Some(least)) = (self.gains.first(), self.gains.last()) else { return 0.0 };
        // Ranks beyond the rows go on in a straight line, so that a longer prompt never stands for a smaller gain.
        let beyond = if rank > 1.0 { rank - 1.0 } else { rank.min(0.0) };
        let place = (1.0 - rank.clamp(0.0, 1.0)) * last as f64;
        let (floor, part) = (place.floor() as usize, place.fract() as f32);
        let here = self.gains.get(floor).unwrap_or(first);
        let next = self.gains.get(floor + 1).unwrap_or(least);
        here + (next - here) * part + beyond as f32
    }
}

/// The rank of a prompt's length among the training prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct LengthRank {
    /// Rising, in bytes.
    lengths: Vec<f32>,
}

impl LengthRank {
    /// Over these lengths.
    #[must_use]
    pub fn new(lengths: &[f32]) -> Self {
        let mut lengths = lengths.to_vec();
        lengths.sort_by(f32::total_cmp);
        lengths.dedup();
        Self { lengths }
    }

    /// Between 0 for the shortest and 1 for the longest; beyond them it goes on slowly, so that order is kept.
    #[must_use]
    pub fn rank(&self, bytes: usize) -> f64 {
        let bytes = bytes as f64;
        let (Some(&least), Some(&most)) = (self.lengths.first(), self.lengths.last()) else { return bytes };
        let (least, most) = (f64::from(least), f64::from(most));
        if bytes >= most {
            return 1.0 + (bytes.max(1.0) / most.max(1.0)).ln();
        }
        if bytes <= least {
            return -((least.max(1.0) + 1.0) / (bytes + 1.0)).ln().max(0.0);
        }
        let after = self.lengths.partition_point(|length| f64::from(*length) <= bytes);
        let below = f64::from(self.lengths[after - 1]);
        let above = f64::from(self.lengths[after]);
        let part = (bytes - below) / (above - below);
        ((after - 1) as f64 + part) / (self.lengths.len() - 1) as f64
    }
}

/// The share of strong that a daily budget leaves: the wanted one while spending keeps to the day's pace, less when it runs
/// ahead, none when the budget is spent. `elapsed` is the part of the day that has passed, 0 to 1.
#[must_use]
pub fn paced_share(wanted: f64, spent: f64, budget: f64, elapsed: f64) -> f64 {
    if budget <= 0.0 || spent >= budget {
        return 0.0;
    }
    let left = 1.0 - spent.max(0.0) / budget;
    // The last hour may use up what is left.
    let remaining = (1.0 - elapsed.clamp(0.0, 1.0)).max(1.0 / 24.0);
    (wanted * (left / remaining).min(1.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::numbers::Numbers;
    use super::*;
    use proptest::prelude::*;

    fn thresholds(gains: &[f32]) -> Thresholds {
        let calibration = Calibration {
            predicted: Numbers(gains.iter().flat_map(|gain| [0.25, 0.25 + gain]).collect()),
            actual: Numbers(gains.iter().flat_map(|gain| [0.5, 0.5 + gain]).collect()),
            lengths: Numbers((1..=gains.len()).map(|number| number as f32 * 10.0).collect()),
        };
        Thresholds::new(&calibration, 2, &[0], &[1]).unwrap()
    }

    #[test]
    fn shares_are_never_exceeded_and_quality_is_kept() {
        let gains: Vec<f32> = (0..100).map(|number| number as f32 / 256.0).collect();
        let thresholds = thresholds(&gains);
        for share in [0.0, 0.14, 0.5, 1.0] {
            let least = thresholds.at_share(share);
            let sent = gains.iter().filter(|gain| **gain >= least).count();
            assert!(sent as f64 <= share * 100.0, "{share} {sent}");
            assert!(sent as f64 >= share * 100.0 - 1.0, "{share} {sent}");
        }
        let share = thresholds.share_within(0.02);
        assert!((0.5..1.0).contains(&share), "{share}");
        assert_eq!(thresholds.share_within(0.9), 0.0);
        // A share that would cut through ties sends none of them.
        assert_eq!(self::thresholds(&[0.125; 10]).at_share(0.5), 0.125_f32.next_up());
    }

    #[test]
    fn a_budget_is_paced_and_never_passed() {
        assert_eq!(paced_share(0.4, 0.0, 10.0, 0.0), 0.4);
        assert_eq!(paced_share(0.4, 5.0, 10.0, 0.5), 0.4);
        assert_eq!(paced_share(0.4, 7.5, 10.0, 0.5), 0.2);
        assert_eq!(paced_share(0.4, 10.0, 10.0, 0.9), 0.0);
        assert_eq!(paced_share(0.4, 0.0, 0.0, 0.0), 0.0);
    }

    proptest! {
        #[test]
        fn a_longer_prompt_never_stands_for_less(
            gains in proptest::collection::vec(-1.0f32..1.0, 2..50),
            short in 0usize..2_000,
            more in 1usize..2_000,
        ) {
            let thresholds = thresholds(&gains);
            prop_assert!(thresholds.gain_of_length(short + more) >= thresholds.gain_of_length(short));
            prop_assert!(thresholds.length.rank(short + more) > thresholds.length.rank(short));
        }

        #[test]
        fn shares_rise_with_the_demand(loss in 0.0f64..1.0, more in 0.0f64..0.5, gains in proptest::collection::vec(-1.0f32..1.0, 2..50)) {
            let thresholds = thresholds(&gains);
            prop_assert!(thresholds.at_share(loss) >= thresholds.at_share((loss + more).min(1.0)));
        }
    }
}
