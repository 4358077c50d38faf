//! Intervals by drawing rows again.
//!
//! Owns the percentile bootstrap of ratios of sums, which is what every estimator here is. All estimators are computed on the same
//! samples, so that their intervals can be compared.

use super::Settings;
use crate::draw::Draw;
use serde::{Deserialize, Serialize};

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// At least, with 97.5 % confidence.
    pub low: f64,
    /// At most, with 97.5 % confidence.
    pub high: f64,
}

/// The parts of an estimator: the sum of the tops over the sum of the bottoms.
pub(super) struct Ratio {
    pub(super) top: Vec<f64>,
    pub(super) bottom: Vec<f64>,
}

impl Ratio {
    fn value(&self) -> Option<f64> {
        divide(self.top.iter().sum(), self.bottom.iter().sum())
    }
}

/// The value and interval of each ratio; `None` where the bottom is zero.
pub(super) fn intervals<const COUNT: usize>(
    ratios: &[Ratio; COUNT],
    settings: &Settings,
) -> [Option<Estimate>; COUNT] {
    let rows = ratios.iter().map(|ratio| ratio.top.len()).max().unwrap_or(0);
    let mut drawn: [Vec<f64>; COUNT] = std::array::from_fn(|_| Vec::with_capacity(settings.samples));
    for sample in 0..settings.samples {
        let mut draw = Draw::of(settings.seed, sample as u64);
        let mut sums = [(0.0, 0.0); COUNT];
        for _ in 0..rows {
            let row = draw.below(rows);
            for (sum, ratio) in sums.iter_mut().zip(ratios) {
                sum.0 += ratio.top[row];
                sum.1 += ratio.bottom[row];
            }
        }
        for (drawn, (top, bottom)) in drawn.iter_mut().zip(sums) {
            drawn.extend(divide(top, bottom));
        }
    }
    let mut estimates = [None; COUNT];
    for ((estimate, ratio), mut drawn) in estimates.iter_mut().zip(ratios).zip(drawn) {
        *estimate = ratio.value().map(|value| {
            drawn.sort_by(f64::total_cmp);
            let low = percentile(&drawn, 0.025).unwrap_or(value);
            let high = percentile(&drawn, 0.975).unwrap_or(value);
            Estimate { value, low, high }
        });
    }
    estimates
}

fn divide(top: f64, bottom: f64) -> Option<f64> {
    (bottom > 0.0).then(|| top / bottom)
}

fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a position in the slice"
    )]
    let place = (share * last as f64).round() as usize;
    sorted.get(place).copied()
}
