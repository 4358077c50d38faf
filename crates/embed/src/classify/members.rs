//! The examples of each label as vectors, and how near a text comes to the nearest.
//!
//! Owns the quantised rows, one block per label, so that only the examples of the label in question are compared.

use crate::index::rows::{Precision, Query, Rows};

/// Examples by label.
#[derive(Clone, Debug)]
pub(super) struct Members(Vec<Rows>);

impl Members {
    pub(super) fn new(labels: usize, width: usize) -> Self {
        Self(vec![Rows::new(width, Precision::Byte); labels])
    }

    pub(super) fn push(&mut self, label: usize, vector: &[f32]) {
        self.0[label].push(vector);
    }

    /// The largest cosine to an example of a label; -1 for a label without any.
    pub(super) fn nearest(&self, label: usize, vector: &[f32]) -> f32 {
        let mut nearest = -1.0f32;
        self.0[label].scan(&Query::new(vector), |_, similarity| nearest = nearest.max(similarity));
        nearest
    }
}
