//! The weights of a head and the sum they make of a text.
//!
//! Owns the layout. The part for the vector lies label by label, so that a training step touches only the labels that were
//! wrong; the part for the grams lies gram by gram, because a text has a dozen of thousands.

/// Numbers per block of the inner loops: one accumulator per lane lets the compiler use vector instructions.
const LANES: usize = 16;

/// A text as a head sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) vector: &'a [f32],
    pub(super) grams: &'a [(u16, f32)],
}

/// A linear head.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// Components per row.
    width: usize,
    /// One row of components per label.
    dense: Vec<f32>,
    /// One row of labels per gram.
    sparse: Vec<f32>,
    bias: Vec<f32>,
}

impl Weights {
    pub(super) fn zero(labels: usize, width: usize, grams: usize) -> Self {
        Self {
            width,
            dense: vec![0.0; labels * width],
            sparse: vec![0.0; labels * grams],
            bias: vec![0.0; labels],
        }
    }

    /// Writes one logit per label.
    pub(super) fn logits(&self, seen: Seen<'_>, logits: &mut Vec<f32>) {
        logits.clear();
        let rows = self.dense.chunks_exact(self.width);
        logits.extend(rows.zip(&self.bias).map(|(row, bias)| product(row, seen.vector) + bias));
        let labels = self.bias.len();
        for (row, weight) in seen.grams {
            let start = usize::from(*row) * labels;
            for (logit, value) in logits.iter_mut().zip(&self.sparse[start..start + labels]) {
                *logit += weight * value;
            }
        }
    }

    /// Adds a multiple of a text to one label's weights.
    pub(super) fn add_dense(&mut self, label: usize, factor: f32, vector: &[f32]) {
        for (weight, component) in self.row(label).iter_mut().zip(vector) {
            *weight += factor * component;
        }
    }

    /// Adds `factors`, one per label, times each gram's weight.
    pub(super) fn add_sparse(&mut self, factors: &[f32], grams: &[(u16, f32)]) {
        let labels = self.bias.len();
        for (row, weight) in grams {
            let start = usize::from(*row) * labels;
            for (value, factor) in self.sparse[start..start + labels].iter_mut().zip(factors) {
                *value += factor * weight;
            }
        }
    }

    fn row(&mut self, label: usize) -> &mut [f32] {
        &mut self.dense[label * self.width..][..self.width]
    }

    pub(super) fn add_bias(&mut self, factors: &[f32], share: f32) {
        for (bias, factor) in self.bias.iter_mut().zip(factors) {
            *bias += share * factor;
        }
    }

    /// Scales each label's weights so that its vector and its grams together have unit length.
    pub(super) fn normalize(&mut self) {
        let labels = self.bias.len();
        for label in 0..labels {
            let dense: f32 = self.row(label).iter().map(|value| value * value).sum();
            let sparse: f32 = self.sparse.iter().skip(label).step_by(labels).map(|value| value * value).sum();
            let length = (dense + sparse).sqrt();
            if length > 0.0 {
                self.row(label).iter_mut().for_each(|value| *value /= length);
                self.sparse.iter_mut().skip(label).step_by(labels).for_each(|value| *value /= length);
            }
        }
    }
}

fn product(row: &[f32], vector: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((row, row_rest), (vector, vector_rest)) = (row.as_chunks::<LANES>(), vector.as_chunks::<LANES>());
    for (row, vector) in row.iter().zip(vector) {
        for lane in 0..LANES {
            lanes[lane] += row[lane] * vector[lane];
        }
    }
    let rest: f32 = row_rest.iter().zip(vector_rest).map(|(row, vector)| row * vector).sum();
    lanes.iter().sum::<f32>() + rest
}
