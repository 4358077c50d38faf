//! Importance weights.
//!
//! Owns what follows from the probabilities alone. Must not look at rewards.

use super::Row;

/// How much a row counts for the target.
pub(super) fn weight(row: &Row) -> f64 {
    row.target[row.action] / row.propensity
}

/// Weights cut at the square root of their number, in units of their mean: bias that vanishes with more data, for less noise.
pub(super) fn clipped(weights: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "rows are far fewer than 2^53")]
    let count = weights.len() as f64;
    let mean = weights.iter().sum::<f64>() / count;
    let most = mean * count.sqrt();
    weights.iter().map(|weight| weight.min(most)).collect()
}

/// How many equally weighted rows would be as good (Kish, 1965): the square of the sum over the sum of squares.
#[must_use]
pub fn effective_size(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The share of the target's probability on actions that the log took at least once.
pub(super) fn support(rows: &[Row]) -> f64 {
    let mut taken = vec![false; rows.first().map_or(0, |row| row.target.len())];
    rows.iter().for_each(|row| taken[row.action] = true);
    let on = |row: &Row| {
        row.target.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(share, _)| share).sum::<f64>()
    };
    let (seen, all) = rows
        .iter()
        .fold((0.0, 0.0), |(seen, all), row| (seen + on(row), all + row.target.iter().sum::<f64>()));
    if all > 0.0 { seen / all } else { 0.0 }
}
