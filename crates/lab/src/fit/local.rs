//! What the head leaves over, kept by place.
//!
//! Owns the neighbours' part of the file and the choice of how much they may say. Residuals are those of held-out predictions:
//! a head's residuals on its own rows are too small and would teach neighbours to be silent.

use super::cluster::clusters;
use super::prepared::Prepared;
use crate::random::Random;
use trunkline_route::learned::{LocalEstimate, MOST_NEIGHBOURS, NeighbourFacts, Neighbours, quantized};

/// Rows by which a cluster's mean residual is shrunk towards zero.
const CLUSTER_PRIOR: f32 = 25.0;

/// What is tried: the part of the neighbours' residual that is added, and how much the cluster counts.
const BLENDS: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
const PRIORS: [f32; 2] = [0.3, 1.5];

/// The neighbours of a fit, the best strength, and what they add to each row (left out of its own neighbours) at full blend.
pub(super) struct Local {
    pub(super) facts: NeighbourFacts,
    /// Row by row in the order of the fit's rows: the estimate with the chosen strength.
    pub(super) added: Vec<Vec<f32>>,
    /// Mean similarity of each row's nearest others.
    pub(super) similarities: Vec<f32>,
}

/// Builds the neighbours. `residuals` are those of held-out predictions in the order of `rows`; not a number where no label is.
pub(super) fn local(prepared: &Prepared, rows: &[usize], residuals: &[Vec<f32>], seed: u64) -> Option<Local> {
    let models = residuals.first()?.len();
    // Too few to learn from who is near whom.
    if rows.len() < 40 {
        return None;
    }
    let mut kept: Vec<usize> = (0..rows.len()).collect();
    if kept.len() > MOST_NEIGHBOURS {
        Random::new(seed).shuffle(&mut kept);
        kept.truncate(MOST_NEIGHBOURS);
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
    Some(strongest(prepared, rows, residuals, &row_of, facts, models))
}

/// Chooses blend and prior by the squared error that is left.
fn strongest(
    prepared: &Prepared,
    rows: &[usize],
    residuals: &[Vec<f32>],
    row_of: &[Option<u32>],
    facts: NeighbourFacts,
    models: usize,
) -> Local {
    let mut best: Option<(f64, f32, f32, Vec<Vec<f32>>)> = None;
    let mut similarities = Vec::new();
    let mut estimate = LocalEstimate::default();
    for prior in PRIORS {
        let neighbours = Neighbours::new(models, NeighbourFacts { prior, ..facts.clone() });
        similarities.clear();
        let added: Vec<Vec<f32>> = rows
            .iter()
            .zip(row_of)
            .map(|(row, own)| {
                neighbours.estimate(&prepared.vectors[*row].vector, *own, &mut estimate);
                similarities.push(estimate.similarity);
                estimate.residuals.clone()
            })
            .collect();
        for blend in BLENDS {
            let error = spread_error(residuals, &added, blend);
            if best.as_ref().is_none_or(|(least, ..)| error < *least) {
                best = Some((error, blend, prior, added.clone()));
            }
        }
    }
    let (_, blend, prior, mut added) = best.unwrap_or_default();
    for value in added.iter_mut().flatten() {
        *value *= blend;
    }
    Local { facts: NeighbourFacts { blend, prior, ..facts }, added, similarities }
}

/// The squared error of differences between models, which is what choices rest on; with one known model, of that alone.
pub(super) fn spread_error(residuals: &[Vec<f32>], added: &[Vec<f32>], blend: f32) -> f64 {
    let mut total = 0.0;
    for (residuals, added) in residuals.iter().zip(added) {
        let left = residuals.iter().zip(added).map(|(residual, added)| f64::from(residual - blend * added));
        let known: Vec<f64> = left.filter(|left| !left.is_nan()).collect();
        let mean = if known.len() > 1 { known.iter().sum::<f64>() / known.len() as f64 } else { 0.0 };
        total += known.iter().map(|left| (left - mean).powi(2)).sum::<f64>();
    }
    total
}
