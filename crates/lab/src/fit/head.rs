//! Ridge weights as the head that inference applies.
//!
//! Owns the unfolding of the column scales into weights. Must not solve.

use super::prepared::Prepared;
use super::ridge::{
    self, Design, ENCODED_SCALE, INTERCEPT, LEXICAL_SCALE, PIECES_SCALE, PLACES, VECTOR_SCALE, Weights,
};
use trunkline_embed::DIMENSIONS;
use trunkline_route::learned::{HASHED, Head, LEXICAL, Numbers};

/// Fits heads for all models on some rows, one per penalty (which must fall).
pub(super) fn heads(
    prepared: &Prepared,
    labels: &[Vec<f32>],
    rows: &[usize],
    penalties: &[f32],
) -> Vec<Head> {
    let models = rows.first().map_or(0, |row| labels[*row].len());
    let (mean, factor) = prepared.standards(rows);
    let design = Design::new(prepared, rows, &mean, &factor);
    let mut heads: Vec<Head> = penalties
        .iter()
        .map(|_| Head {
            lexical_mean: mean.clone(),
            lexical_factor: factor.clone(),
            intercepts: vec![0.0; models],
            lexical: Numbers(vec![0.0; LEXICAL.len() * models]),
            vector: Numbers(vec![0.0; DIMENSIONS * models]),
            hashed: Numbers(vec![0.0; HASHED * models]),
            encoded: Numbers(vec![0.0; prepared.width() * models]),
        })
        .collect();
    for block in ridge::blocks(models) {
        let labels = ridge::block_labels(labels, rows, &block);
        let counts = ridge::block_weights(prepared, &labels, rows, &block);
        let solved = ridge::solve(&design, &labels, &counts, penalties);
        for (head, weights) in heads.iter_mut().zip(&solved) {
            for (lane, model) in block.clone().enumerate() {
                unfold(head, weights, lane, model, models);
            }
        }
    }
    heads
}

fn unfold(head: &mut Head, weights: &Weights, lane: usize, model: usize, models: usize) {
    let (vector, pieces, encoded) = PLACES;
    head.intercepts[model] = weights[INTERCEPT][lane];
    for (feature, weights) in weights.iter().take(LEXICAL.len()).enumerate() {
        head.lexical.0[feature * models + model] = weights[lane] * LEXICAL_SCALE;
    }
    for component in 0..DIMENSIONS {
        head.vector.0[component * models + model] = weights[vector + component][lane] * VECTOR_SCALE;
    }
    for bucket in 0..HASHED {
        head.hashed.0[bucket * models + model] = weights[pieces + bucket][lane] * PIECES_SCALE;
    }
    for (component, weights) in weights[encoded..].iter().enumerate() {
        head.encoded.0[component * models + model] = weights[lane] * ENCODED_SCALE;
    }
}
