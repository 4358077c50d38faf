//! Neighbours of any number: exact as long as a scan has time, approximate beyond.
//!
//! Owns the change from the one to the other, which happens once, when an entry comes that is one too many. Must not change what
//! an answer looks like. It does not go back: an index around the threshold would be built again and again. Where the threshold
//! lies is the owner's to say: a scan has the better answer, a walk through a graph the better time from a few thousand entries on.

use crate::graph::{Graph, MOST_GRAPH_ENTRIES};
use crate::index::{Index, MOST_ENTRIES, Precision};
use crate::nearest::{self, IndexError, Nearest, Neighbor};

/// A bounded collection that is exact up to [`MOST_ENTRIES`] and approximate above.
#[derive(Debug)]
pub struct Collection {
    capacity: usize,
    threshold: usize,
    candidates: Option<usize>,
    seed: u64,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Exact(Index),
    Approximate(Box<Graph>),
}

impl Collection {
    /// An empty collection for vectors of `dimensions` components and `capacity` entries (at most
    /// [`crate::MOST_GRAPH_ENTRIES`]). Up to [`MOST_ENTRIES`] it is an [`Index`] of that precision. The change to a graph enters
    /// all of them anew, while the caller waits (`examples/index_speed.rs` prints how long).
    ///
    /// # Errors
    /// When either is out of range.
    pub fn new(
        dimensions: usize,
        capacity: usize,
        precision: Precision,
        seed: u64,
    ) -> Result<Self, IndexError> {
        nearest::check(dimensions, capacity, MOST_GRAPH_ENTRIES)?;
        let index = Index::new(dimensions, capacity.min(MOST_ENTRIES), precision)?;
        Ok(Self { capacity, threshold: MOST_ENTRIES, candidates: None, seed, held: Held::Exact(index) })
    }

    /// The same, exact up to so many entries (at most [`MOST_ENTRIES`]). To be said before the first entry comes.
    #[must_use]
    pub fn exact_to(mut self, entries: usize) -> Self {
        self.threshold = entries.min(MOST_ENTRIES);
        if let Held::Exact(index) = &mut self.held {
            index.limit(self.capacity.min(self.threshold));
        }
        self
    }

    /// The same, looking at so many candidates where it is a graph: see [`Graph::looking_at`]. To be said before the first entry
    /// comes.
    #[must_use]
    pub const fn looking_at(mut self, candidates: usize) -> Self {
        self.candidates = Some(candidates);
        self
    }

    /// Whether every entry is compared.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        matches!(self.held, Held::Exact(_))
    }
}

impl Nearest for Collection {
    fn push(&mut self, id: u64, vector: &[f32]) -> Result<(), IndexError> {
        let index = match &mut self.held {
            Held::Approximate(graph) => return graph.push(id, vector),
            Held::Exact(index) => index,
        };
        match index.push(id, vector) {
            Err(IndexError::Full { .. }) if self.capacity > self.threshold => {
                let mut graph = Graph::new(index.dimensions(), self.capacity, self.seed)?;
                if let Some(candidates) = self.candidates {
                    graph = graph.looking_at(candidates);
                }
                for (id, vector) in index.entries() {
                    graph.push(id, &vector)?;
                }
                graph.push(id, vector)?;
                self.held = Held::Approximate(Box::new(graph));
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn remove(&mut self, id: u64) -> bool {
        match &mut self.held {
            Held::Approximate(graph) => graph.remove(id),
            Held::Exact(index) => index.remove(id),
        }
    }

    fn nearest_into(
        &self,
        vector: &[f32],
        count: usize,
        found: &mut Vec<Neighbor>,
    ) -> Result<(), IndexError> {
        match &self.held {
            Held::Exact(index) => index.nearest_into(vector, count, found),
            Held::Approximate(graph) => graph.nearest_into(vector, count, found),
        }
    }

    fn len(&self) -> usize {
        match &self.held {
            Held::Exact(index) => index.len(),
            Held::Approximate(graph) => graph.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_once_and_forgets_nothing() {
        let vector = |number: u64| {
            let angle = number as f32 * 0.02;
            [angle.cos(), angle.sin(), 0.3]
        };
        let mut entries = Collection::new(3, 200, Precision::Byte, 1).unwrap().exact_to(100).looking_at(64);
        for id in 0..100 {
            entries.push(id, &vector(id)).unwrap();
        }
        assert!(entries.is_exact() && entries.remove(7));
        entries.push(7, &vector(7)).unwrap();
        entries.push(3, &vector(3)).unwrap();
        assert!(entries.is_exact(), "a replaced entry is none too many");
        let before: Vec<u64> = entries.nearest(&vector(50), 5).unwrap().iter().map(|near| near.id).collect();
        entries.push(100, &vector(100)).unwrap();
        assert!(!entries.is_exact());
        assert_eq!(entries.len(), 101);
        let after: Vec<u64> = entries.nearest(&vector(50), 5).unwrap().iter().map(|near| near.id).collect();
        assert_eq!(before[0], after[0]);
        for id in 101..200 {
            entries.push(id, &vector(id)).unwrap();
        }
        assert!(matches!(entries.push(200, &vector(200)), Err(IndexError::Full { capacity: 200 })));
        assert_eq!(entries.nearest(&vector(150), 1).unwrap()[0].id, 150);
        let mut small = Collection::new(3, 2, Precision::Full, 1).unwrap().exact_to(100);
        small.push(1, &vector(1)).unwrap();
        small.push(2, &vector(2)).unwrap();
        assert!(small.push(3, &vector(3)).is_err() && small.is_exact());
    }
}
