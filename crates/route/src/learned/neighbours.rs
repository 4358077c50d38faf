//! The nearest training prompts and what is left of their quality after the head.
//!
//! Owns the search (the nearest clusters, then their rows) and the estimate. Must not know the head. Rows are bytes, so that
//! twenty thousand prompts take five megabytes; a few clusters instead of all rows, so that a decision stays within
//! microseconds, at the price of missing a neighbour that lies across a border.

use super::artefact::NeighbourFacts;
use trunkline_embed::{DIMENSIONS, Embedding};

/// How neighbours are looked for and weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Clusters that are searched.
    pub clusters: usize,
    /// Neighbours that count.
    pub neighbours: usize,
    /// How fast a neighbour's weight falls with its distance: `exp((similarity - 1) * sharpness)`.
    pub sharpness: f32,
}

impl Settings {
    /// What training and inference both use.
    pub const FIXED: Self = Self { clusters: 3, neighbours: 24, sharpness: 8.0 };

    /// From this similarity on a prompt counts as one that was asked before: rows are bytes, so that a repetition is not quite 1.
    pub const REPEATED: f32 = 0.995;

    /// Neighbours whose mean similarity the guard looks at.
    pub const SUPPORT: usize = 5;
}

/// The training prompts, ready to be searched.
#[derive(Clone, Debug)]
pub struct Neighbours {
    models: usize,
    facts: NeighbourFacts,
}

/// What the neighbours say.
#[derive(Clone, Debug, Default)]
pub struct LocalEstimate {
    /// Per model, the residual to add.
    pub residuals: Vec<f32>,
    /// Mean similarity of the nearest few: how well the training data covers this place.
    pub similarity: f32,
    /// Sum of the neighbours' weights.
    pub support: f32,
    query: Query,
    near: Vec<(f32, u32)>,
}

impl Neighbours {
    /// Over checked facts.
    #[must_use]
    pub const fn new(models: usize, facts: NeighbourFacts) -> Self {
        Self { models, facts }
    }

    /// How many bytes it keeps.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        let facts = &self.facts;
        facts.rows.0.len()
            + facts.residuals.0.len()
            + facts.centres.0.len()
            + 4 * (facts.row_scales.0.len() + facts.centre_scales.0.len() + facts.cluster_residuals.0.len())
    }

    /// Estimates at a place. `without` is a row to leave out: a training prompt asked about itself.
    pub fn estimate(&self, vector: &Embedding, without: Option<u32>, estimate: &mut LocalEstimate) {
        let LocalEstimate { residuals, similarity, support, query, near } = estimate;
        query.set(vector);
        let facts = &self.facts;
        near.clear();
        let centres = facts.centres.0.as_chunks::<DIMENSIONS>().0.iter().zip(&facts.centre_scales.0);
        near.extend((0..).zip(centres).map(|(number, (row, scale))| (query.similarity(row, *scale), number)));
        let probed = Settings::FIXED.clusters.min(near.len());
        nearest_first(near, probed);
        let mut clusters = [0u32; Settings::FIXED.clusters];
        for (place, (_, cluster)) in clusters.iter_mut().zip(near.iter().take(probed)) {
            *place = *cluster;
        }
        near.clear();
        let rows = facts.rows.0.as_chunks::<DIMENSIONS>().0;
        for &cluster in &clusters[..probed] {
            let cluster = cluster as usize;
            for row in facts.starts[cluster]..facts.starts[cluster + 1] {
                if Some(row) != without {
                    let place = row as usize;
                    near.push((query.similarity(&rows[place], facts.row_scales.0[place]), row));
                }
            }
        }
        nearest_first(near, Settings::FIXED.neighbours);
        near.truncate(Settings::FIXED.neighbours);
        let counted = near.len().min(Settings::SUPPORT);
        *similarity = near.iter().take(counted).map(|(near, _)| near).sum::<f32>() / counted.max(1) as f32;
        self.weigh(clusters[0] as usize, near, residuals, support);
    }

    fn weigh(&self, cluster: usize, near: &[(f32, u32)], residuals: &mut Vec<f32>, support: &mut f32) {
        let (facts, models) = (&self.facts, self.models);
        residuals.clear();
        let mean = &facts.cluster_residuals.0[cluster * models..][..models];
        residuals.extend(mean.iter().map(|mean| mean * facts.prior));
        *support = 0.0;
        for &(similarity, row) in near {
            let weight = ((similarity - 1.0) * Settings::FIXED.sharpness).exp();
            *support += weight;
            let own = &facts.residuals.0[row as usize * models..][..models];
            for (sum, own) in residuals.iter_mut().zip(own) {
                *sum += weight * f32::from(*own) * 0.01;
            }
        }
        let factor = facts.blend / (*support + facts.prior).max(1e-6);
        // What was asked before is not estimated but known, as far as an answer tells of the next: one repetition counts two
        // thirds.
        let repeated = near.iter().take_while(|(similarity, _)| *similarity >= Settings::REPEATED).count();
        let known = 1.0 / (repeated as f32 + 0.5);
        let trust = repeated as f32 * known;
        for (model, residual) in residuals.iter_mut().enumerate() {
            let answers =
                near.iter().take(repeated).map(|(_, row)| facts.residuals.0[*row as usize * models + model]);
            let answered: f32 = answers.map(|residual| f32::from(residual) * 0.01).sum();
            *residual = *residual * factor * (1.0 - trust) + answered * known;
        }
    }
}

/// Brings the `count` most similar to the front, in order.
fn nearest_first(near: &mut [(f32, u32)], count: usize) {
    let order = |one: &(f32, u32), other: &(f32, u32)| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1));
    if count > 0 && count < near.len() {
        near.select_nth_unstable_by(count - 1, order);
    }
    let count = count.min(near.len());
    near[..count].sort_unstable_by(order);
}

/// A vector to compare rows with: sixteen bits per component, so that only the rows are rounded.
#[derive(Clone, Debug)]
struct Query {
    components: Box<[i16; DIMENSIONS]>,
    scale: f32,
}

impl Default for Query {
    fn default() -> Self {
        Self { components: Box::new([0; DIMENSIONS]), scale: 0.0 }
    }
}

impl Query {
    fn set(&mut self, vector: &Embedding) {
        let largest = vector.iter().fold(0.0f32, |largest, component| largest.max(component.abs()));
        // Below 2^31 for any row of bytes: 256 components, 127 and 4,095.
        let steps = if largest > 0.0 { 4_095.0 / largest } else { 0.0 };
        for (place, component) in self.components.iter_mut().zip(vector) {
            *place = (component * steps).round() as i16;
        }
        self.scale = if largest > 0.0 { largest / 4_095.0 } else { 0.0 };
    }

    fn similarity(&self, row: &[i8; DIMENSIONS], scale: f32) -> f32 {
        const LANES: usize = 16;
        let mut total = 0i32;
        let blocks = row.as_chunks::<LANES>().0.iter().zip(self.components.as_chunks::<LANES>().0);
        for (row, query) in blocks {
            for lane in 0..LANES {
                total += i32::from(row[lane]) * i32::from(query[lane]);
            }
        }
        total as f32 * (scale * self.scale)
    }
}

/// A vector as bytes, and what to multiply them by.
#[must_use]
pub fn quantized(vector: &[f32]) -> (Vec<i8>, f32) {
    let largest = vector.iter().fold(0.0f32, |largest, component| largest.max(component.abs()));
    if largest == 0.0 {
        return (vec![0; vector.len()], 0.0);
    }
    let steps = 127.0 / largest;
    (vector.iter().map(|component| (component * steps).round() as i8).collect(), steps.recip())
}
