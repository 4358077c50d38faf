//! The weights of a head and the sum they make of a text.
//!
//! Owns the layout. The part for the vector lies label by label, so that a training step touches only the labels that were
//! wrong; the part for the grams lies gram by gram, because a text has a dozen of thousands.

use crate::table::{DIMENSIONS, Embedding};

/// Numbers per block of the inner loops: one accumulator per lane lets the compiler use vector instructions.
const LANES: usize = 16;

/// A text as a head sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) vector: &'a Embedding,
    pub(super) grams: &'a [(u16, f32)],
}

/// A linear head.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// One row of components per label.
    dense: Vec<Embedding>,
    /// One row of labels per gram.
    sparse: Vec<f32>,
    bias: Vec<f32>,
}

impl Weights {
    pub(super) fn zero(labels: usize, grams: usize) -> Self {
        Self {
            dense: vec![[0.0; DIMENSIONS]; labels],
            sparse: vec![0.0; labels * grams],
            bias: vec![0.0; labels],
        }
    }

    /// Writes one logit per label.
    pub(super) fn logits(&self, seen: Seen<'_>, logits: &mut Vec<f32>) {
        logits.clear();
        logits.extend(self.dense.iter().zip(&self.bias).map(|(row, bias)| product(row, seen.vector) + bias));
        let labels = self.bias.len();
        for (row, weight) in seen.grams {
            let start = usize::from(*row) * labels;
            for (logit, value) in logits.iter_mut().zip(&self.sparse[start..start + labels]) {
                *logit += weight * value;
            }
        }
    }

    /// Adds a multiple of a text to one label's weights.
    pub(super) fn add_dense(&mut self, label: usize, factor: f32, vector: &Embedding) {
        for (weight, component) in self.dense[label].iter_mut().zip(vector) {
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

    pub(super) fn add_bias(&mut self, factors: &[f32], share: f32) {
        for (bias, factor) in self.bias.iter_mut().zip(factors) {
            *bias += share * factor;
        }
    }

    /// Scales each label's weights so that its vector and its grams together have unit length.
    pub(super) fn normalize(&mut self) {
        let labels = self.bias.len();
        for label in 0..labels {
            let dense: f32 = self.dense[label].iter().map(|value| value * value).sum();
            let sparse: f32 = self.sparse.iter().skip(label).step_by(labels).map(|value| value * value).sum();
            let length = (dense + sparse).sqrt();
            if length > 0.0 {
                self.dense[label].iter_mut().for_each(|value| *value /= length);
                self.sparse.iter_mut().skip(label).step_by(labels).for_each(|value| *value /= length);
            }
        }
    }
}

fn product(row: &Embedding, vector: &Embedding) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (row, vector) in row.as_chunks::<LANES>().0.iter().zip(vector.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += row[lane] * vector[lane];
        }
    }
    lanes.iter().sum()
}
