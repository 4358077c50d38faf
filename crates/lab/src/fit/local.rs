//! What the head leaves over, kept by place.
//!
//! Owns the neighbours' part of the file and the choice of how much they may say. Residuals are those of held-out predictions:
//! a head's residuals on its own rows are too small and would teach neighbours to be silent.

use super::cluster::clusters;
use super::prepared::Prepared;
use crate::random::Random;
use trunkline_route::learned::{LocalEstimate, NeighbourFacts, Neighbours, quantized};

/// Rows by which a cluster's mean residual is shrunk towards zero.
const CLUSTER_PRIOR: f32 = 25.0;

/// What is tried: the part of the neighbours' residual that is added, and how much the cluster counts.
const BLENDS: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
const PRIORS: [f32; 3] = [0.05, 0.3, 1.5];

/// The neighbours of a fit, the best strength, and what they add to each row (left out of its own neighbours) at full blend.
pub(super) struct Local {
    pub(super) facts: NeighbourFacts,
    /// Row by row in the order of the fit's rows: the estimate with the chosen strength.
    pub(super) added: Vec<Vec<f32>>,
    /// Mean similarity of each row's nearest others.
    pub(super) similarities: Vec<f32>,
}

/// Builds the neighbours, of so many rows at the most. `predicted` is what heads said of rows held out, in the order of `rows`.
pub(super) fn local(
    prepared: &Prepared,
    rows: &[usize],
    labels: &[Vec<f32>],
    predicted: &[Vec<f32>],
    (most, seed): (usize, u64),
) -> Option<Local> {
    let residuals = &residuals(rows, labels, predicted);
    let models = residuals.first()?.len();
    // Too few to learn from who is near whom.
    if rows.len() < 40 {
        return None;
    }
    let mut kept: Vec<usize> = (0..rows.len()).collect();
    if kept.len() > most {
        Random::new(seed).shuffle(&mut kept);
        kept.truncate(most);
        kept.sort_unstable();
    }
    let kept_rows: Vec<usize> = kept.iter().map(|place| rows[*place]).collect();
    let place_of: std::collections::HashMap<usize, usize> = kept_rows.iter().copied().zip(kept).collect();
    let clusters = clusters(prepared, &kept_rows, seed);
    let mut facts =
        NeighbourFacts { blend: 1.0, prior: PRIORS[0], starts: vec![0], ..NeighbourFacts::default() };
    let mut row_of = vec![None; rows.len()];
    for (centre, members) in clusters.centres.iter().zip(&clusters.members) {
        let (bytes, scale) = quantized(centre);
        facts.centres.0.extend(bytes);
        facts.centre_scales.0.push(scale);
        let places: Vec<usize> = members.iter().map(|row| place_of[row]).collect();
        let mut sums = vec![(0.0f32, 0.0f32); models];
        for residuals in places.iter().map(|place| &residuals[*place]) {
            for ((sum, count), residual) in
                sums.iter_mut().zip(residuals).filter(|(_, residual)| !residual.is_nan())
            {
                *sum += residual;
                *count += 1.0;
            }
        }
        facts.cluster_residuals.0.extend(sums.iter().map(|(sum, count)| sum / (count + CLUSTER_PRIOR)));
        for place in places {
            let (bytes, scale) = quantized(&prepared.vectors[rows[place]].vector);
            row_of[place] = u32::try_from(facts.row_scales.0.len()).ok();
            facts.rows.0.extend(bytes);
            facts.row_scales.0.push(scale);
            // Not known is no residual.
            let hundredths = |residual: &f32| (residual * 100.0).round().clamp(-127.0, 127.0) as i8;
            facts.residuals.0.extend(residuals[place].iter().map(hundredths));
        }
        facts.starts.push(facts.row_scales.0.len() as u32);
    }
    Some(strongest(prepared, rows, labels, predicted, &row_of, facts))
}

/// Chooses blend and prior by what is left to go wrong.
fn strongest(
    prepared: &Prepared,
    rows: &[usize],
    labels: &[Vec<f32>],
    predicted: &[Vec<f32>],
    row_of: &[Option<u32>],
    facts: NeighbourFacts,
) -> Local {
    let models = predicted.first().map_or(0, Vec::len);
    let mut estimate = LocalEstimate::default();
    let mut neighbours = Neighbours::new(models, facts);
    let mut tried = |blend: f32, prior: f32| {
        neighbours.set_strength(blend, prior);
        let mut similarities = Vec::with_capacity(rows.len());
        let mut add = |(row, own): (&usize, &Option<u32>)| {
            neighbours.estimate(&prepared.vectors[*row].vector, *own, &mut estimate);
            similarities.push(estimate.similarity);
            estimate.residuals.clone()
        };
        let added: Vec<Vec<f32>> = rows.iter().zip(row_of).map(&mut add).collect();
        (added, similarities)
    };
    // An estimate is a line between nothing and the full blend.
    let (none, similarities) = tried(0.0, PRIORS[0]);
    let mut best: Option<(f64, f32, f32, Vec<Vec<f32>>)> = None;
    for prior in PRIORS {
        let (full, _) = tried(1.0, prior);
        for blend in BLENDS {
            let added = between(&none, &full, blend);
            let loss = loss(rows, labels, predicted, Some(&added));
            if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, blend, prior, added));
            }
        }
    }
    let (_, blend, prior, added) = best.unwrap_or_default();
    neighbours.set_strength(blend, prior);
    Local { facts: neighbours.into_facts(), added, similarities }
}

fn between(none: &[Vec<f32>], full: &[Vec<f32>], part: f32) -> Vec<Vec<f32>> {
    let rows = none.iter().zip(full);
    rows.map(|(none, full)| none.iter().zip(full).map(|(none, full)| none + (full - none) * part).collect())
        .collect()
}

/// Labels less predictions, in the order of `rows`; not a number where no label is.
fn residuals(rows: &[usize], labels: &[Vec<f32>], predicted: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let pairs = rows.iter().zip(predicted);
    pairs
        .map(|(row, predicted)| labels[*row].iter().zip(predicted).map(|(label, one)| label - one).collect())
        .collect()
}

/// How sharply predictions are taken for choices when many models are compared: a lead of a few hundredths decides.
const SHARPNESS: f32 = 30.0;

/// What is bad about held-out predictions, with what neighbours add to them. For two models, and where a row knows only some:
/// the squared error of differences between models, which is what choices rest on. For more: the quality that choosing by
/// them misses, since a good choice needs the best model to be right and not the worst.
pub(super) fn loss(
    rows: &[usize],
    labels: &[Vec<f32>],
    predicted: &[Vec<f32>],
    added: Option<&[Vec<f32>]>,
) -> f64 {
    let mut total = 0.0;
    let mut sums = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        sums.clear();
        sums.extend_from_slice(&predicted[place]);
        if let Some(added) = added {
            for (sum, added) in sums.iter_mut().zip(&added[place]) {
                *sum += added;
            }
        }
        let labels = &labels[*row];
        total += if labels.len() > 2 && labels.iter().all(|label| !label.is_nan()) {
            missed(labels, &sums)
        } else {
            spread(labels, &sums)
        };
    }
    total
}

fn missed(labels: &[f32], predicted: &[f32]) -> f64 {
    let most = predicted.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut weights, mut quality) = (0.0f64, 0.0f64);
    for (label, predicted) in labels.iter().zip(predicted) {
        let weight = f64::from(((predicted - most) * SHARPNESS).exp());
        weights += weight;
        quality += weight * f64::from(*label);
    }
    1.0 - quality / weights
}

fn spread(labels: &[f32], predicted: &[f32]) -> f64 {
    let left = || {
        let left = labels.iter().zip(predicted).map(|(label, predicted)| f64::from(label - predicted));
        left.filter(|left| !left.is_nan())
    };
    let count = left().count();
    let mean = if count > 1 { left().sum::<f64>() / count as f64 } else { 0.0 };
    left().map(|left| (left - mean).powi(2)).sum()
}
