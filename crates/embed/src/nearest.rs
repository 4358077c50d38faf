//! The questions asked of any collection of vectors. Owns the trait, its answer and its refusals, knows nothing of how
//! vectors are kept: the exact scan is one way, an approximate index for larger collections can become another.

use crate::embedder::normalize;
use std::cmp::Ordering;

/// The most components of a vector.
pub const MOST_DIMENSIONS: usize = 4_096;

/// An entry found and how much alike it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbor {
    /// The identifier that the entry was pushed with.
    pub id: u64,
    /// The cosine of the angle to the vector asked for: 1 for the same direction, 0 for nothing in common.
    pub similarity: f32,
}

impl Neighbor {
    /// The order of answers: the most similar first, of equals the lower identifier.
    pub fn rank(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.id.cmp(&other.id))
    }
}

/// Why an index refused; reads after "failed to use the index: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Vectors of a length that is not supported.
    #[error("vectors of {dimensions} components; between 1 and {most} are supported")]
    Dimensions {
        /// Components asked for.
        dimensions: usize,
        /// The most components.
        most: usize,
    },
    /// More entries than the index is made for.
    #[error("a capacity of {capacity} entries; at most {most} are supported")]
    Capacity {
        /// Entries asked for.
        capacity: usize,
        /// The most entries.
        most: usize,
    },
    /// A vector of another length.
    #[error("a vector of {found} components in an index of {expected}; were both made by the same encoder?")]
    Length {
        /// Components of the index's vectors.
        expected: usize,
        /// Components of the vector.
        found: usize,
    },
    /// A vector with a component that is not a number.
    #[error("component {at} of the vector is not a finite number")]
    NotFinite {
        /// The component, counted from zero.
        at: usize,
    },
    /// No room for another entry.
    #[error("all {capacity} places are taken; remove an entry first")]
    Full {
        /// The capacity.
        capacity: usize,
    },
}

/// Whether an index of this size can be.
pub(crate) const fn check(dimensions: usize, capacity: usize, most: usize) -> Result<(), IndexError> {
    if dimensions == 0 || dimensions > MOST_DIMENSIONS {
        return Err(IndexError::Dimensions { dimensions, most: MOST_DIMENSIONS });
    }
    if capacity > most {
        return Err(IndexError::Capacity { capacity, most });
    }
    Ok(())
}

/// A vector of an index with so many dimensions, at unit length.
pub(crate) fn unit(vector: &[f32], dimensions: usize) -> Result<Vec<f32>, IndexError> {
    if vector.len() != dimensions {
        return Err(IndexError::Length { expected: dimensions, found: vector.len() });
    }
    if let Some(at) = vector.iter().position(|component| !component.is_finite()) {
        return Err(IndexError::NotFinite { at });
    }
    let mut unit = vector.to_vec();
    normalize(&mut unit);
    Ok(unit)
}

/// A bounded collection of vectors that answers which entries are most like one.
pub trait Nearest {
    /// Enters a vector, or replaces the one with the same identifier. Its length in space does not matter.
    ///
    /// # Errors
    /// When the vector is not one of the index, or there is no room.
    fn push(&mut self, id: u64, vector: &[f32]) -> Result<(), IndexError>;

    /// Removes an entry; tells whether there was one.
    fn remove(&mut self, id: u64) -> bool;

    /// Writes the `count` entries most like `vector` into `found`, best first, of equals the lower identifier first.
    ///
    /// # Errors
    /// When the vector is not one of the index.
    fn nearest_into(&self, vector: &[f32], count: usize, found: &mut Vec<Neighbor>)
    -> Result<(), IndexError>;

    /// How many entries there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Nearest::nearest_into`], into a new vector.
    ///
    /// # Errors
    /// When the vector is not one of the index.
    fn nearest(&self, vector: &[f32], count: usize) -> Result<Vec<Neighbor>, IndexError> {
        let mut found = Vec::new();
        self.nearest_into(vector, count, &mut found)?;
        Ok(found)
    }
}
