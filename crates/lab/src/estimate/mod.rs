//! What another policy would have earned, estimated from what was logged.
//!
//! Owns the off-policy estimators and their intervals. Must not know what an action or a reward is: a row says which action was
//! taken, with which probability, what came of it, and with which probabilities the other policy would have acted.
//!
//! Mechanism. Importance weights (target probability over logged probability) make logged rows stand for what the target would
//! have done. Their sum is noisy, so the estimate is self-normalised (SNIPS: Swaminathan and Joachims, 2015), once with all weights
//! and once with weights cut at the square root of the number of rows (Ionides, 2008). The doubly robust estimate (Dudik, Langford
//! and Li, 2011) predicts every action's reward with a model fitted on the other folds (cross-fitting: Chernozhukov and others,
//! 2018) and corrects the prediction by the weighted error where there is data: it is right when either is. Intervals are
//! percentiles of a bootstrap over rows. The effective sample size (Kish) says how many rows the weights leave.

mod bootstrap;
mod model;
mod weights;

pub use bootstrap::Estimate;
pub use weights::effective_size;

use bootstrap::{Ratio, intervals};
use serde::Serialize;

/// One logged choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was known when it was made; as long in every row.
    pub context: Vec<f64>,
    /// The action that was taken.
    pub action: usize,
    /// What came of it.
    pub reward: f64,
    /// The probability with which the log's policy took it, above 0 and at most 1.
    pub propensity: f64,
    /// The probability of each action under the other policy; they sum to at most 1.
    pub target: Vec<f64>,
}

/// How to estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Folds of the cross-fitting.
    pub folds: usize,
    /// Samples of the bootstrap.
    pub samples: usize,
    /// The seed of folds and samples.
    pub seed: u64,
    /// The strength that pulls the model towards the mean of its action.
    pub ridge: f64,
}

impl Default for Settings {
    /// Five folds, 400 samples.
    fn default() -> Self {
        Self { folds: 5, samples: 400, seed: 1, ridge: 10.0 }
    }
}

/// What the other policy would have earned per row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimates {
    /// Rows.
    pub rows: usize,
    /// What the log's own policy earned.
    pub logged: Estimate,
    /// Self-normalised importance weighting; `None` when no row shows what the target would do.
    pub snips: Option<Estimate>,
    /// The same with large weights cut.
    pub clipped: Option<Estimate>,
    /// Cross-fitted doubly robust.
    pub doubly_robust: Estimate,
    /// The model alone, to see how much the correction changes.
    pub model_only: f64,
    /// How many rows the weights leave (Kish).
    pub effective_size: f64,
    /// The share of the target's choices that the log shows at least once: 1 when the log tried everything the target would do.
    pub support: f64,
    /// The largest weight.
    pub largest_weight: f64,
}

/// Rows that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EstimateError {
    /// None at all.
    #[error("estimate from the log: there is no row")]
    Empty,
    /// A row whose numbers make no sense.
    #[error("estimate from the log: row {row}: {problem}")]
    Row {
        /// Counted from 0.
        row: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Estimates what the target policy of the rows would have earned.
///
/// # Errors
/// [`EstimateError`] for rows that make no sense.
pub fn estimate(rows: &[Row], settings: &Settings) -> Result<Estimates, EstimateError> {
    check(rows)?;
    let weights: Vec<f64> = rows.iter().map(weights::weight).collect();
    let clipped = weights::clipped(&weights);
    let predicted = model::cross_fit(rows, settings);
    let robust: Vec<f64> = rows
        .iter()
        .zip(&predicted)
        .zip(&weights)
        .map(|((row, predicted), weight)| predicted.target + weight * (row.reward - predicted.taken))
        .collect();
    let ones = vec![1.0; rows.len()];
    let rewards: Vec<f64> = rows.iter().map(|row| row.reward).collect();
    let ratios = [
        Ratio { top: rewards.clone(), bottom: ones.clone() },
        Ratio { top: product(&weights, &rewards), bottom: weights.clone() },
        Ratio { top: product(&clipped, &rewards), bottom: clipped.clone() },
        Ratio { top: robust, bottom: ones },
    ];
    let [logged, snips, clipped, doubly_robust] = intervals(&ratios, settings);
    let nothing = Estimate { value: f64::NAN, low: f64::NAN, high: f64::NAN };
    Ok(Estimates {
        rows: rows.len(),
        logged: logged.unwrap_or(nothing),
        snips,
        clipped,
        doubly_robust: doubly_robust.unwrap_or(nothing),
        model_only: mean(predicted.iter().map(|predicted| predicted.target)),
        effective_size: effective_size(&weights),
        support: weights::support(rows),
        largest_weight: weights.iter().copied().fold(0.0, f64::max),
    })
}

/// The mean of some values with its interval; `None` without values.
#[must_use]
pub fn mean_of(values: &[f64], settings: &Settings) -> Option<Estimate> {
    let ratio = Ratio { top: values.to_vec(), bottom: vec![1.0; values.len()] };
    let [estimate] = intervals(&[ratio], settings);
    estimate
}

/// A share of a number of cases with its interval (Wilson, 1927), which stays within 0 and 1 and is honest near both; `None`
/// without cases.
#[must_use]
pub fn share_of(hits: usize, cases: usize) -> Option<Estimate> {
    if cases == 0 {
        return None;
    }
    /// The 97.5th percentile of the standard normal distribution.
    const NORMAL: f64 = 1.959_964;
    #[expect(clippy::cast_precision_loss, reason = "cases are far fewer than 2^53")]
    let (count, share) = (cases as f64, hits as f64 / cases as f64);
    let spread = NORMAL * NORMAL / count;
    let middle = (share + spread / 2.0) / (1.0 + spread);
    let reach = NORMAL / (1.0 + spread) * (share * (1.0 - share) / count + spread / count / 4.0).sqrt();
    Some(Estimate { value: share, low: (middle - reach).max(0.0), high: (middle + reach).min(1.0) })
}

fn check(rows: &[Row]) -> Result<(), EstimateError> {
    let Some(first) = rows.first() else { return Err(EstimateError::Empty) };
    for (number, row) in rows.iter().enumerate() {
        let sum: f64 = row.target.iter().sum();
        let problem = if !(row.propensity > 0.0 && row.propensity <= 1.0) {
            "its propensity is not above 0 and at most 1"
        } else if row.action >= row.target.len() || row.target.len() != first.target.len() {
            "its action or its number of actions does not fit the others"
        } else if row.target.iter().any(|share| !(0.0..=1.0).contains(share)) || sum > 1.0 + 1e-6 {
            "the target's probabilities are not between 0 and 1 or sum to more than 1"
        } else if row.context.len() != first.context.len()
            || row.context.iter().any(|value| !value.is_finite())
        {
            "its context has another length or holds something that is no number"
        } else if !row.reward.is_finite() {
            "its reward is no number"
        } else {
            continue;
        };
        return Err(EstimateError::Row { row: number, problem });
    }
    Ok(())
}

fn product(one: &[f64], two: &[f64]) -> Vec<f64> {
    one.iter().zip(two).map(|(one, two)| one * two).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rows are far fewer than 2^53")]
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests;
