//! Prompts of similar meaning in groups: k-means on the sphere.
//!
//! Owns the grouping. Must not know labels: clusters follow meaning, what models make of them is a mean per cluster.

use super::prepared::Prepared;
use crate::random::Random;
use trunkline_embed::{DIMENSIONS, Embedding, Nearest, Precision};
use trunkline_route::learned::centres as indexed;

/// Rounds of moving centres; they have settled by then.
const ROUNDS: usize = 8;

/// Rows per cluster aimed for: few enough that searching three clusters stays within ten microseconds.
const ROWS_PER_CLUSTER: usize = 110;

/// The clusters of few rows at the most: all their centres are looked at in every decision.
const FEW_CLUSTERS: usize = 160;

/// Rows per cluster where there are many.
const ROWS_OF_MANY: usize = 150;

/// Groups of rows with their centres, none empty.
pub(super) struct Clusters {
    pub(super) centres: Vec<Embedding>,
    pub(super) members: Vec<Vec<usize>>,
}

/// Groups some rows.
pub(super) fn clusters(prepared: &Prepared, rows: &[usize], seed: u64) -> Clusters {
    let wanted = (rows.len() / ROWS_PER_CLUSTER).clamp(1, FEW_CLUSTERS).max(rows.len() / ROWS_OF_MANY);
    let mut order = rows.to_vec();
    Random::new(seed).shuffle(&mut order);
    let mut centres: Vec<Embedding> =
        order.iter().take(wanted).map(|row| prepared.vectors[*row].vector).collect();
    let mut members = Vec::new();
    for round in 0..=ROUNDS {
        members = gathered(prepared, rows, &centres);
        if round == ROUNDS {
            break;
        }
        for (centre, members) in centres.iter_mut().zip(&members) {
            if !members.is_empty() {
                *centre = mean(prepared, members);
            }
        }
    }
    let (centres, members) =
        centres.into_iter().zip(members).filter(|(_, members)| !members.is_empty()).unzip();
    Clusters { centres, members }
}

/// The rows of each centre, in order.
fn gathered(prepared: &Prepared, rows: &[usize], centres: &[Embedding]) -> Vec<Vec<usize>> {
    let index = indexed(centres.iter().map(<[f32; DIMENSIONS]>::as_slice), Precision::Full);
    let mut members = vec![Vec::new(); centres.len()];
    let mut found = Vec::new();
    for row in rows {
        let vector = &prepared.vectors[*row].vector;
        // What is no vector of the table is near nothing; there is none.
        let nearest = index.nearest_into(vector, 1, &mut found).ok().and_then(|()| found.first());
        members[nearest.map_or(0, |nearest| nearest.id as usize)].push(*row);
    }
    members
}

/// With one sum per lane, which the compiler turns into vector instructions.
fn product(one: &Embedding, other: &Embedding) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    for (one, other) in one.as_chunks::<LANES>().0.iter().zip(other.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += one[lane] * other[lane];
        }
    }
    lanes.iter().sum()
}

fn mean(prepared: &Prepared, members: &[usize]) -> Embedding {
    let mut sum = [0.0f32; DIMENSIONS];
    for row in members {
        for (sum, component) in sum.iter_mut().zip(&prepared.vectors[*row].vector) {
            *sum += component;
        }
    }
    let length = product(&sum, &sum).sqrt();
    if length > 0.0 { sum.map(|component| component / length) } else { sum }
}
