//! The nearest training prompts and what is left of their quality after the head.
//!
//! Owns the search (the nearest clusters, then their rows) and the estimate. Must not know the head. Rows are bytes, so that
//! twenty thousand prompts take five megabytes; a few clusters instead of all rows, so that a decision stays within
//! microseconds, at the price of missing a neighbour that lies across a border. The centres of the clusters are a collection: all
//! of them are compared while they are few, and a graph leads to the nearest of many, so that half a million prompts cost a
//! decision little more than twenty thousand.

use super::artefact::NeighbourFacts;
use std::sync::Arc;
use trunkline_embed::{Collection, DIMENSIONS, Embedding, Nearest, Neighbor, Precision};

/// How neighbours are looked for and weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Clusters that are searched at the least; see [`Settings::probed`].
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

    /// How many clusters are searched, of so many: more where each is a smaller part of the whole.
    #[must_use]
    pub fn probed(clusters: usize) -> usize {
        (clusters / 16).isqrt().clamp(Self::FIXED.clusters, MOST_PROBED)
    }
}

/// The most clusters that are searched.
const MOST_PROBED: usize = 16;

/// Centres up to which all are compared: so long that takes less time than a walk through a graph.
const MOST_COMPARED: usize = 1_000;

/// Candidates of such a walk: four times the clusters that are searched at the most.
const CANDIDATES: usize = 64;

/// Which centres bear the upper layers of the graph. Fixed, so that a file always gives the same predictions.
const SEED: u64 = 1;

/// The centres of clusters, each under its number.
///
/// # Panics
/// Never, for at most as many clusters as a checked file has.
#[must_use]
pub fn centres<'a>(vectors: impl ExactSizeIterator<Item = &'a [f32]>, precision: Precision) -> Collection {
    indexed(vectors, precision, MOST_COMPARED)
}

fn indexed<'a>(
    vectors: impl ExactSizeIterator<Item = &'a [f32]>,
    precision: Precision,
    most_compared: usize,
) -> Collection {
    let mut centres = Collection::new(DIMENSIONS, vectors.len(), precision, SEED)
        .expect("there are fewer clusters than rows, and fewer rows than a graph holds")
        .exact_to(most_compared)
        .looking_at(CANDIDATES);
    for (number, vector) in (0..).zip(vectors) {
        centres.push(number, vector).expect("centres are vectors of the table, and there is room for each");
    }
    centres
}

/// The training prompts, ready to be searched.
#[derive(Clone, Debug)]
pub struct Neighbours {
    models: usize,
    facts: NeighbourFacts,
    centres: Arc<Collection>,
    probed: usize,
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
    clusters: Vec<Neighbor>,
    near: Vec<(f32, u32)>,
}

impl Neighbours {
    /// Over checked facts.
    #[must_use]
    pub fn new(models: usize, facts: NeighbourFacts) -> Self {
        Self::comparing(models, facts, MOST_COMPARED)
    }

    fn comparing(models: usize, facts: NeighbourFacts, most_compared: usize) -> Self {
        let rows = facts.centres.0.as_chunks::<DIMENSIONS>().0.iter().zip(&facts.centre_scales.0);
        let vectors: Vec<Embedding> =
            rows.map(|(row, scale)| row.map(|byte| f32::from(byte) * scale)).collect();
        let centres =
            indexed(vectors.iter().map(<[f32; DIMENSIONS]>::as_slice), Precision::Byte, most_compared);
        let probed = Settings::probed(vectors.len()).min(vectors.len());
        Self { models, facts, centres: Arc::new(centres), probed }
    }

    /// Sets how much the neighbours say, and how much the cluster counts: see [`NeighbourFacts`].
    pub const fn set_strength(&mut self, blend: f32, prior: f32) {
        self.facts.blend = blend;
        self.facts.prior = prior;
    }

    /// What it was made of.
    #[must_use]
    pub fn into_facts(self) -> NeighbourFacts {
        self.facts
    }

    /// How many bytes it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let facts = &self.facts;
        let centres = facts.centres.0.len();
        // Centres lie in the collection once more: as bytes, or in full with their links.
        let indexed = if self.centres.is_exact() { centres } else { centres * 4 + self.centres.len() * 512 };
        facts.rows.0.len()
            + facts.residuals.0.len()
            + centres
            + indexed
            + 4 * (facts.row_scales.0.len() + facts.centre_scales.0.len() + facts.cluster_residuals.0.len())
    }

    /// Estimates at a place. `without` is a row to leave out: a training prompt asked about itself.
    pub fn estimate(&self, vector: &Embedding, without: Option<u32>, estimate: &mut LocalEstimate) {
        let LocalEstimate { residuals, similarity, support, query, clusters, near } = estimate;
        query.set(vector);
        let facts = &self.facts;
        if self.centres.nearest_into(vector, self.probed, clusters).is_err() {
            // A vector with something that is no number is near nothing.
            clusters.clear();
        }
        near.clear();
        let rows = facts.rows.0.as_chunks::<DIMENSIONS>().0;
        for cluster in clusters.iter() {
            let cluster = cluster.id as usize;
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
        let cluster = clusters.first().map_or(0, |cluster| cluster.id as usize);
        self.weigh(cluster, near, residuals, support);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::embed;

    /// Sixty clusters of four made-up questions each, one residual per row.
    fn facts() -> NeighbourFacts {
        let mut facts =
            NeighbourFacts { blend: 1.0, prior: 0.3, starts: vec![0], ..NeighbourFacts::default() };
        for cluster in 0..60u16 {
            let text = |row: u16| {
                format!("question {row} on subject {} of year {}", cluster * 37 % 61, 1900 + cluster)
            };
            let vectors: Vec<Embedding> = (0..4).map(|row| embed(&text(row)).vector).collect();
            let (bytes, scale) = quantized(&vectors[0]);
            facts.centres.0.extend(bytes);
            facts.centre_scales.0.push(scale);
            for (row, vector) in vectors.iter().enumerate() {
                let (bytes, scale) = quantized(vector);
                facts.rows.0.extend(bytes);
                facts.row_scales.0.push(scale);
                facts.residuals.0.push((cluster as i8 - 30) * 2 + row as i8);
            }
            facts.cluster_residuals.0.push(0.0);
            facts.starts.push(facts.starts.last().unwrap() + 4);
        }
        facts
    }

    #[test]
    fn a_graph_over_the_centres_says_what_comparing_them_all_says() {
        let compared = Neighbours::new(1, facts());
        let (walked, again) = (Neighbours::comparing(1, facts(), 20), Neighbours::comparing(1, facts(), 20));
        assert!(compared.centres.is_exact() && !walked.centres.is_exact());
        let (mut one, mut other, mut third) = Default::default();
        let mut same = 0;
        for number in 0..100u16 {
            let text = format!("which subject {} was asked in year {}", number % 61, 1895 + number);
            let vector = embed(&text).vector;
            compared.estimate(&vector, None, &mut one);
            walked.estimate(&vector, None, &mut other);
            again.estimate(&vector, None, &mut third);
            assert_eq!((&other.residuals, other.similarity), (&third.residuals, third.similarity));
            same += usize::from((one.residuals[0] - other.residuals[0]).abs() < 1e-3);
        }
        assert!(same >= 98, "{same} of 100");
        assert!(walked.bytes() > compared.bytes());
    }

    #[test]
    fn more_clusters_are_searched_where_there_are_many() {
        let probed = [1, 160, 667, 3_334, 20_000].map(Settings::probed);
        assert_eq!(probed, [3, 3, 6, 14, 16]);
        // Fewer clusters than are searched, and none of the vector's kind.
        let mut few = facts();
        few.starts.truncate(2);
        few.centres.0.truncate(DIMENSIONS);
        few.centre_scales.0.truncate(1);
        let few = Neighbours::new(1, few);
        let mut estimate = LocalEstimate::default();
        few.estimate(&[0.0; DIMENSIONS], None, &mut estimate);
        assert_eq!(estimate.near.len(), 4);
    }
}
