//! Least squares with a penalty on large weights, by conjugate gradients.
//!
//! Owns the solver. Must not know what the columns mean. The matrix is never formed: with sixteen thousand hashed columns its
//! square would take gigabytes, while one pass over the rows takes milliseconds. All targets share the passes; each label weighs what
//! it counts, and one that is not there nothing. Penalties are solved from strong to weak, each from the solution of the one before.

use super::prepared::Prepared;
use trunkline_embed::DIMENSIONS;
use trunkline_route::learned::{HASHED, LEXICAL};

/// Targets that one pass serves.
const LANES: usize = 4;

/// Columns: counted features, the vector, hashed pieces, one for the intercept. Those of a larger encoder's vector follow.
const COLUMNS: usize = LEXICAL.len() + DIMENSIONS + HASHED + 1;
const VECTOR: usize = LEXICAL.len();
const PIECES: usize = VECTOR + DIMENSIONS;
pub(super) const INTERCEPT: usize = COLUMNS - 1;

/// How strongly each kind of feature is felt: a penalty is one number, so that the scale of a column is its prior. Found on
/// public data once, and the same for every fit.
pub(super) const LEXICAL_SCALE: f32 = 0.08;
pub(super) const VECTOR_SCALE: f32 = 0.6;
pub(super) const PIECES_SCALE: f32 = 0.6;
pub(super) const ENCODED_SCALE: f32 = 0.6;

/// Steps at most per penalty; fits of ten thousand rows need about thirty.
const STEPS: usize = 60;

/// The residual, relative to the first, at which a fit is done.
const DONE: f64 = 1e-3;

/// The rows of one fit, ready for passes.
pub(super) struct Design<'a> {
    prepared: &'a Prepared,
    rows: &'a [usize],
    /// Counted features in deviations, scaled; row by row.
    lexical: Vec<f32>,
}

/// One weight per column and lane.
pub(super) type Weights = Vec<[f32; LANES]>;

impl<'a> Design<'a> {
    pub(super) fn new(prepared: &'a Prepared, rows: &'a [usize], mean: &[f32], factor: &[f32]) -> Self {
        let mut lexical = Vec::with_capacity(rows.len() * LEXICAL.len());
        for row in rows {
            for (feature, value) in prepared.lexical[*row].iter().enumerate() {
                let standard = ((value - mean[feature]) * factor[feature]).clamp(-4.0, 4.0);
                lexical.push(standard * LEXICAL_SCALE);
            }
        }
        Self { prepared, rows, lexical }
    }

    /// How many columns there are.
    fn columns(&self) -> usize {
        COLUMNS + self.prepared.width()
    }

    /// The columns of a larger encoder's vector.
    fn encoded(&self, place: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let vector = self.prepared.encoded(self.rows[place]).unwrap_or_default();
        vector.iter().enumerate().map(|(at, component)| (COLUMNS + at, component * ENCODED_SCALE))
    }

    /// The columns of a row that are dense.
    fn dense(&self, place: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let lexical = self.lexical[place * LEXICAL.len()..][..LEXICAL.len()].iter().copied();
        let vector = &self.prepared.vectors[self.rows[place]].vector;
        lexical.chain(vector.iter().map(|component| component * VECTOR_SCALE)).enumerate()
    }

    fn pieces(&self, place: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let pieces = self.prepared.pieces(self.rows[place]);
        pieces.map(|(bucket, value)| (PIECES + usize::from(bucket), value * PIECES_SCALE))
    }

    /// `X w`: what weights predict, row by row.
    fn forward(&self, weights: &Weights, out: &mut [[f32; LANES]]) {
        for (place, out) in out.iter_mut().enumerate() {
            let mut sum = weights[INTERCEPT];
            let mut add = |(column, value): (usize, f32)| {
                for lane in 0..LANES {
                    sum[lane] += weights[column][lane] * value;
                }
            };
            self.dense(place).for_each(&mut add);
            self.pieces(place).for_each(&mut add);
            self.encoded(place).for_each(add);
            *out = sum;
        }
    }

    /// `X' u`: what residuals say of weights.
    fn backward(&self, residuals: &[[f32; LANES]], out: &mut Weights) {
        out.fill([0.0; LANES]);
        for (place, residual) in residuals.iter().enumerate() {
            let mut add = |(column, value): (usize, f32)| {
                for lane in 0..LANES {
                    out[column][lane] += residual[lane] * value;
                }
            };
            self.dense(place).for_each(&mut add);
            self.pieces(place).for_each(&mut add);
            self.encoded(place).for_each(&mut add);
            add((INTERCEPT, 1.0));
        }
    }
}

/// Solves for each penalty, which must fall, and gives the weights. `labels` are row by row, and so is how much each `counts`: 0
/// where it is not known.
pub(super) fn solve(
    design: &Design<'_>,
    labels: &[[f32; LANES]],
    counts: &[[f32; LANES]],
    penalties: &[f32],
) -> Vec<Weights> {
    let count = design.rows.len();
    // What is not known pulls nowhere.
    let counted = |counts: &[f32; LANES], values: &mut [f32; LANES]| {
        for lane in 0..LANES {
            values[lane] = if counts[lane] > 0.0 { values[lane] * counts[lane] } else { 0.0 };
        }
    };
    let columns = design.columns();
    let mut weights: Weights = vec![[0.0; LANES]; columns];
    weights[INTERCEPT] = means(labels, counts);
    let mut rows = vec![[0.0; LANES]; count];
    let mut product: Weights = vec![[0.0; LANES]; columns];
    let mut solved = Vec::with_capacity(penalties.len());
    let mut goal: Option<[f64; LANES]> = None;
    for &penalty in penalties {
        design.forward(&weights, &mut rows);
        for ((row, label), counts) in rows.iter_mut().zip(labels).zip(counts) {
            for lane in 0..LANES {
                row[lane] = label[lane] - row[lane];
            }
            counted(counts, row);
        }
        design.backward(&rows, &mut product);
        let mut residual = product.clone();
        penalize(&mut residual, &weights, -penalty);
        let mut direction = residual.clone();
        let mut size = products(&residual, &residual);
        let goal = *goal.get_or_insert(size.map(|size| size * DONE * DONE));
        for _ in 0..STEPS {
            if (0..LANES).all(|lane| size[lane] <= goal[lane]) {
                break;
            }
            design.forward(&direction, &mut rows);
            for (row, counts) in rows.iter_mut().zip(counts) {
                counted(counts, row);
            }
            design.backward(&rows, &mut product);
            penalize(&mut product, &direction, penalty);
            let along = products(&direction, &product);
            let mut step = [0.0f32; LANES];
            for lane in 0..LANES {
                step[lane] = if along[lane] > 0.0 { (size[lane] / along[lane]) as f32 } else { 0.0 };
            }
            for column in 0..columns {
                for lane in 0..LANES {
                    weights[column][lane] += step[lane] * direction[column][lane];
                    residual[column][lane] -= step[lane] * product[column][lane];
                }
            }
            let next = products(&residual, &residual);
            for column in 0..columns {
                for lane in 0..LANES {
                    let turn = if size[lane] > 0.0 { (next[lane] / size[lane]) as f32 } else { 0.0 };
                    direction[column][lane] = residual[column][lane] + turn * direction[column][lane];
                }
            }
            size = next;
        }
        solved.push(weights.clone());
    }
    solved
}

/// Adds the penalty's part; the intercept is free.
fn penalize(out: &mut Weights, weights: &Weights, penalty: f32) {
    let pairs = out.iter_mut().zip(weights).enumerate();
    for (_, (out, weights)) in pairs.filter(|(column, _)| *column != INTERCEPT) {
        for lane in 0..LANES {
            out[lane] += penalty * weights[lane];
        }
    }
}

fn products(one: &Weights, other: &Weights) -> [f64; LANES] {
    let mut sums = [0.0f64; LANES];
    for (one, other) in one.iter().zip(other) {
        for lane in 0..LANES {
            sums[lane] += f64::from(one[lane]) * f64::from(other[lane]);
        }
    }
    sums
}

fn means(labels: &[[f32; LANES]], counts: &[[f32; LANES]]) -> [f32; LANES] {
    std::array::from_fn(|lane| {
        let pairs = labels
            .iter()
            .zip(counts)
            .map(|(label, counts)| (f64::from(label[lane]), f64::from(counts[lane])));
        let known = pairs.filter(|(label, count)| !label.is_nan() && *count > 0.0);
        let (sum, all) =
            known.fold((0.0, 0.0), |(sum, all), (label, count)| (sum + label * count, all + count));
        if all > 0.0 { (sum / all) as f32 } else { 0.0 }
    })
}

/// The blocks of targets that are solved together.
pub(super) fn blocks(models: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..models).step_by(LANES).map(move |start| start..models.min(start + LANES))
}

/// The labels of a block of models, row by row; lanes without a model are not known.
pub(super) fn block_labels(
    labels: &[Vec<f32>],
    rows: &[usize],
    block: &std::ops::Range<usize>,
) -> Vec<[f32; LANES]> {
    rows.iter()
        .map(|row| {
            std::array::from_fn(|lane| block.clone().nth(lane).map_or(f32::NAN, |model| labels[*row][model]))
        })
        .collect()
}

/// How much each of those labels counts.
pub(super) fn block_weights(
    prepared: &Prepared,
    labels: &[[f32; LANES]],
    rows: &[usize],
    block: &std::ops::Range<usize>,
) -> Vec<[f32; LANES]> {
    let counts = |(label, row): (&[f32; LANES], &usize)| {
        std::array::from_fn(|lane| match block.clone().nth(lane) {
            Some(model) if !label[lane].is_nan() => prepared.weight(*row, model),
            _ => 0.0,
        })
    };
    labels.iter().zip(rows).map(counts).collect()
}

/// The place of the vector's first weight, of the first piece's, and of the larger encoder's.
pub(super) const PLACES: (usize, usize, usize) = (VECTOR, PIECES, COLUMNS);
