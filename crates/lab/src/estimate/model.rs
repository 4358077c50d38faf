//! The reward model of the doubly robust estimate.
//!
//! Owns one ridge regression per action, fitted on the rows of the other folds. It only has to be better than nothing: what it
//! gets wrong is corrected where there is data, and an action with few rows is pulled towards the mean of all.

use super::{Row, Settings};
use crate::draw::Draw;

/// What the model says of a row that it has not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Predicted {
    /// Of the action that was taken.
    pub(super) taken: f64,
    /// On average over the target's choices.
    pub(super) target: f64,
}

/// Predicts every row by a model fitted on the other folds.
pub(super) fn cross_fit(rows: &[Row], settings: &Settings) -> Vec<Predicted> {
    let folds = settings.folds.clamp(2, rows.len().max(2));
    let fold_of: Vec<usize> =
        (0..rows.len()).map(|row| Draw::of(settings.seed ^ 0x666f_6c64, row as u64).below(folds)).collect();
    let mut predicted = vec![Predicted { taken: 0.0, target: 0.0 }; rows.len()];
    for fold in 0..folds {
        let others = rows.iter().zip(&fold_of).filter(|(_, other)| **other != fold).map(|(row, _)| row);
        let model = Model::fit(&others.collect::<Vec<_>>(), rows[0].target.len(), settings.ridge);
        for (place, row) in rows.iter().enumerate().filter(|(place, _)| fold_of[*place] == fold) {
            let features = model.features(&row.context);
            let of = |action: usize| model.predict(action, &features);
            let all: f64 = row.target.iter().sum();
            let sum: f64 = row
                .target
                .iter()
                .enumerate()
                .filter(|(_, share)| **share > 0.0)
                .map(|(action, share)| share * of(action))
                .sum();
            // What the target does beyond the listed actions is unknown; the mean is the best word for it.
            let target = sum + (1.0 - all).max(0.0) * model.mean;
            predicted[place] = Predicted { taken: of(row.action), target };
        }
    }
    predicted
}

struct Model {
    mean: f64,
    /// Mean and standard deviation of each part of the context.
    scales: Vec<(f64, f64)>,
    /// Per action: intercept, then coefficients.
    actions: Vec<Vec<f64>>,
}

impl Model {
    fn fit(rows: &[&Row], actions: usize, ridge: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "rows are far fewer than 2^53")]
        let count = (rows.len() as f64).max(1.0);
        let mean = rows.iter().map(|row| row.reward).sum::<f64>() / count;
        let width = rows.first().map_or(0, |row| row.context.len());
        let scales = (0..width).map(|part| {
            let mean = rows.iter().map(|row| row.context[part]).sum::<f64>() / count;
            let variance = rows.iter().map(|row| (row.context[part] - mean).powi(2)).sum::<f64>() / count;
            (mean, if variance > 1e-12 { variance.sqrt() } else { 1.0 })
        });
        let mut model = Self { mean, scales: scales.collect(), actions: Vec::with_capacity(actions) };
        for action in 0..actions {
            model.actions.push(model.fit_action(rows, action, ridge));
        }
        model
    }

    /// Least squares on the distance from the overall mean: an action without rows predicts that mean.
    fn fit_action(&self, rows: &[&Row], action: usize, ridge: f64) -> Vec<f64> {
        let width = self.scales.len() + 1;
        let mut matrix = vec![vec![0.0; width + 1]; width];
        for row in rows.iter().filter(|row| row.action == action) {
            let features = self.features(&row.context);
            for (line, left) in features.iter().enumerate() {
                for (column, right) in features.iter().enumerate() {
                    matrix[line][column] += left * right;
                }
                matrix[line][width] += left * (row.reward - self.mean);
            }
        }
        for (line, values) in matrix.iter_mut().enumerate() {
            // The intercept is pulled less: a handful of rows says something about a mean.
            values[line] += if line == 0 { 1.0 } else { ridge.max(1e-6) };
        }
        solve(matrix)
    }

    fn features(&self, context: &[f64]) -> Vec<f64> {
        let scaled = context.iter().zip(&self.scales).map(|(value, (mean, spread))| (value - mean) / spread);
        std::iter::once(1.0).chain(scaled).collect()
    }

    fn predict(&self, action: usize, features: &[f64]) -> f64 {
        let coefficients = &self.actions[action];
        self.mean + coefficients.iter().zip(features).map(|(one, two)| one * two).sum::<f64>()
    }
}

/// Gauss elimination with row exchange. The ridge keeps the matrix positive definite, so no pivot is zero.
fn solve(mut matrix: Vec<Vec<f64>>) -> Vec<f64> {
    let width = matrix.len();
    for column in 0..width {
        let best = (column..width)
            .max_by(|one, two| matrix[*one][column].abs().total_cmp(&matrix[*two][column].abs()))
            .unwrap_or(column);
        matrix.swap(column, best);
        let pivot = matrix[column].clone();
        if pivot[column].abs() < 1e-300 {
            continue;
        }
        for (line, values) in matrix.iter_mut().enumerate() {
            if line != column {
                let factor = values[column] / pivot[column];
                values
                    .iter_mut()
                    .zip(&pivot)
                    .skip(column)
                    .for_each(|(value, other)| *value -= factor * other);
            }
        }
    }
    (0..width)
        .map(|line| {
            let pivot = matrix[line][line];
            if pivot.abs() < 1e-300 { 0.0 } else { matrix[line][width] / pivot }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_equations_are_solved() {
        let solved = solve(vec![vec![0.0, 2.0, 4.0], vec![1.0, 1.0, 3.0]]);
        assert!((solved[0] - 1.0).abs() < 1e-12 && (solved[1] - 2.0).abs() < 1e-12, "{solved:?}");
    }
}
