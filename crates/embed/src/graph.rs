//! The approximate index: a graph of neighbours (HNSW: Malkov and Yashunin, 2016, <https://arxiv.org/abs/1603.09320>) for more
//! entries than a scan has time for.
//!
//! Owns identifiers, removals and the translation between similarities and distances; the graph itself is a library's. Must give
//! the same answers for the same entries in the same order: the graph's one source of chance is seeded. Removed entries stay in
//! the graph as places to walk through and are left out of answers; when they are as many as the others it is built anew.

use crate::nearest::{self, IndexError, Nearest, Neighbor};
use fast_hnsw::distance::Distance;
use fast_hnsw::{Builder, Hnsw, PruneStrategy};
use std::collections::HashMap;

/// The most entries of a graph: at 256 components some 1.3 KB each.
pub const MOST_GRAPH_ENTRIES: usize = 2_000_000;

/// Neighbours of each entry in the graph.
const LINKS: usize = 16;
/// Candidates that are looked at when an entry comes: more make a better graph and take longer.
const CANDIDATES_ON_ENTRY: usize = 128;
/// Candidates that are looked at when neighbours are asked for, where nothing else is said.
const CANDIDATES: usize = 192;

const LANES: usize = 16;

/// The distance of unit vectors: the square root of what their cosine lacks to one, doubled, which is Euclid's.
#[derive(Clone, Copy, Debug)]
struct Between;

impl Distance for Between {
    fn distance(&self, one: &[f32], other: &[f32]) -> f32 {
        let mut lanes = [0.0f32; LANES];
        let ((one, one_rest), (other, other_rest)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
        for (one, other) in one.iter().zip(other) {
            for lane in 0..LANES {
                lanes[lane] += one[lane] * other[lane];
            }
        }
        let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
        (2.0 - 2.0 * (lanes.iter().sum::<f32>() + rest)).max(0.0).sqrt()
    }
}

/// An approximate index of bounded size.
pub struct Graph {
    dimensions: usize,
    capacity: usize,
    candidates: usize,
    seed: u64,
    graph: Hnsw<Between>,
    /// The identifier at each place of the graph; `None` for one that was removed or replaced.
    ids: Vec<Option<u64>>,
    /// The place of each identifier.
    places: HashMap<u64, usize>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Graph").field("entries", &self.places.len()).finish_non_exhaustive()
    }
}

impl Graph {
    /// An empty index for vectors of `dimensions` components (at most [`crate::MOST_DIMENSIONS`]) and `capacity` entries (at most
    /// [`MOST_GRAPH_ENTRIES`]). `seed` decides which entries bear the upper layers.
    ///
    /// # Errors
    /// When either is out of range.
    pub fn new(dimensions: usize, capacity: usize, seed: u64) -> Result<Self, IndexError> {
        nearest::check(dimensions, capacity, MOST_GRAPH_ENTRIES)?;
        let (graph, ids, places) = (empty(seed), Vec::new(), HashMap::new());
        Ok(Self { dimensions, capacity, candidates: CANDIDATES, seed, graph, ids, places })
    }

    /// The same, looking at so many candidates when neighbours are asked for: fewer take less time and miss more.
    #[must_use]
    pub const fn looking_at(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// Entries in the graph that are no more.
    fn removed(&self) -> usize {
        self.ids.len() - self.places.len()
    }

    /// Builds the graph anew, in the order in which the entries came, once most of it is gone.
    fn rebuild(&mut self) {
        if self.removed() <= self.places.len().max(LINKS) {
            return;
        }
        let before = std::mem::replace(&mut self.graph, empty(self.seed));
        let ids = std::mem::take(&mut self.ids);
        for (place, id) in ids.into_iter().enumerate() {
            if let Some(id) = id {
                self.places.insert(id, self.graph.insert(before.get_vector(place).to_vec()));
                self.ids.push(Some(id));
            }
        }
    }
}

fn empty(seed: u64) -> Hnsw<Between> {
    // Texts lie in clusters: links that are merely the shortest never leave theirs, and half of the neighbours are not found.
    let builder = Builder::new().m(LINKS).ef_construction(CANDIDATES_ON_ENTRY).seed(seed);
    builder.keep_pruned(false).prune_strategy(PruneStrategy::Heuristic).build(Between)
}

impl Nearest for Graph {
    fn push(&mut self, id: u64, vector: &[f32]) -> Result<(), IndexError> {
        let unit = nearest::unit(vector, self.dimensions)?;
        if !self.places.contains_key(&id) && self.places.len() >= self.capacity {
            return Err(IndexError::Full { capacity: self.capacity });
        }
        if let Some(place) = self.places.insert(id, self.graph.insert(unit)) {
            self.ids[place] = None;
        }
        self.ids.push(Some(id));
        self.rebuild();
        Ok(())
    }

    fn remove(&mut self, id: u64) -> bool {
        let Some(place) = self.places.remove(&id) else { return false };
        self.ids[place] = None;
        self.rebuild();
        true
    }

    fn nearest_into(
        &self,
        vector: &[f32],
        count: usize,
        found: &mut Vec<Neighbor>,
    ) -> Result<(), IndexError> {
        let unit = nearest::unit(vector, self.dimensions)?;
        found.clear();
        let count = count.min(self.places.len());
        if count == 0 {
            return Ok(());
        }
        // What was removed takes places among the candidates, at most as many as there are others.
        let mut candidates = self.candidates.max(2 * count);
        if self.removed() > 0 {
            candidates *= 2;
        }
        let near = self.graph.search(&unit, candidates, candidates);
        let neighbors = near.into_iter().filter_map(|near| {
            let id = self.ids.get(near.id).copied().flatten()?;
            Some(Neighbor { id, similarity: 1.0 - near.distance * near.distance / 2.0 })
        });
        found.extend(neighbors);
        found.sort_unstable_by(|one, other| {
            other.similarity.total_cmp(&one.similarity).then(one.id.cmp(&other.id))
        });
        found.truncate(count);
        Ok(())
    }

    fn len(&self) -> usize {
        self.places.len()
    }
}
