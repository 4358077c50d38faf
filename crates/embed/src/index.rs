//! The exact scan: every entry is compared, so that no neighbour is missed. Owns the rows in memory and the best of a
//! scan, knows nothing of what the entries mean. Rows lie one behind the other, padded to whole blocks that the
//! compiler turns into vector instructions; at these sizes the time is that of streaming the rows from memory, which
//! is why they can be kept as bytes.

use std::collections::HashMap;

use crate::nearest::{self, IndexError, Nearest, Neighbor};

pub(crate) mod rows;

pub use rows::Precision;
use rows::{Query, Rows};

/// The most entries of an exact scan: at 256 components about 3 ms as bytes, 6 ms and more in full.
pub const MOST_ENTRIES: usize = 100_000;

/// An exact index of bounded size.
#[derive(Debug, Clone)]
pub struct Index {
    dimensions: usize,
    capacity: usize,
    rows: Rows,
    /// The identifier of each row.
    ids: Vec<u64>,
    /// The row of each identifier.
    places: HashMap<u64, usize>,
}

impl Index {
    /// An empty index for vectors of `dimensions` components (at most [`crate::MOST_DIMENSIONS`]) and `capacity` entries
    /// (at most [`MOST_ENTRIES`]). Memory is taken as entries come.
    ///
    /// # Errors
    /// When either is out of range.
    pub fn new(dimensions: usize, capacity: usize, precision: Precision) -> Result<Self, IndexError> {
        nearest::check(dimensions, capacity, MOST_ENTRIES)?;
        Ok(Self {
            dimensions,
            capacity,
            rows: Rows::new(dimensions, precision),
            ids: Vec::new(),
            places: HashMap::new(),
        })
    }

    /// Components of every vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The most entries.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Another capacity, for one that holds nothing yet.
    pub(crate) const fn limit(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// The identifiers of all entries, in no order that means anything.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// All entries with their vectors of unit length, as precise as they are kept, in no order that means anything.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Vec<f32>)> + '_ {
        self.ids.iter().enumerate().map(|(row, id)| (*id, self.rows.get(row, self.dimensions)))
    }
}

impl Nearest for Index {
    fn push(&mut self, id: u64, vector: &[f32]) -> Result<(), IndexError> {
        let unit = nearest::unit(vector, self.dimensions)?;
        if let Some(row) = self.places.get(&id) {
            self.rows.replace(*row, &unit);
            return Ok(());
        }
        if self.ids.len() >= self.capacity {
            return Err(IndexError::Full { capacity: self.capacity });
        }
        self.places.insert(id, self.ids.len());
        self.ids.push(id);
        self.rows.push(&unit);
        Ok(())
    }

    fn remove(&mut self, id: u64) -> bool {
        let Some(row) = self.places.remove(&id) else { return false };
        self.ids.swap_remove(row);
        self.rows.swap_remove(row);
        if let Some(moved) = self.ids.get(row) {
            self.places.insert(*moved, row);
        }
        true
    }

    fn nearest_into(
        &self,
        vector: &[f32],
        count: usize,
        found: &mut Vec<Neighbor>,
    ) -> Result<(), IndexError> {
        let query = Query::new(&nearest::unit(vector, self.dimensions)?);
        let mut best = Best::new(count.min(self.ids.len()), found);
        self.rows.scan(&query, |row, similarity| best.offer(Neighbor { id: self.ids[row], similarity }));
        best.finish();
        Ok(())
    }

    fn len(&self) -> usize {
        self.ids.len()
    }
}

/// The best so far. Candidates gather until there are twice as many as asked for, then the worse half goes: constant
/// time per candidate however many are asked for, and most are refused by one comparison.
struct Best<'a> {
    count: usize,
    gathered: &'a mut Vec<Neighbor>,
    /// What a candidate must not be below: the similarity of the worst that was kept.
    floor: f32,
}

impl<'a> Best<'a> {
    fn new(count: usize, gathered: &'a mut Vec<Neighbor>) -> Self {
        gathered.clear();
        gathered.reserve(count.saturating_mul(2));
        Self { count, gathered, floor: if count == 0 { f32::INFINITY } else { f32::NEG_INFINITY } }
    }

    fn offer(&mut self, candidate: Neighbor) {
        if candidate.similarity >= self.floor {
            self.gathered.push(candidate);
            if self.gathered.len() >= self.count * 2 {
                self.halve();
            }
        }
    }

    fn halve(&mut self) {
        if self.gathered.len() > self.count {
            let (_, worst, _) = self.gathered.select_nth_unstable_by(self.count - 1, Neighbor::rank);
            self.floor = worst.similarity;
            self.gathered.truncate(self.count);
        }
    }

    fn finish(mut self) {
        self.halve();
        self.gathered.sort_unstable_by(Neighbor::rank);
    }
}

#[cfg(test)]
mod tests;
