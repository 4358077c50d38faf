//! Records on their way from requests to disk, written already.
//!
//! Owns the memory that waiting records lie in. Must not know queues, threads or the database. A record is written as the entry
//! of a block while everything it names is still at hand, and what it was made of is freed where it was made: kept as it is for a
//! tenth of a second it would come back cold, piece by piece, on another thread, which costs the request more than the writing.

use crate::block::{self, BlockError, Entry};
use std::cell::RefCell;
use std::ops::Range;
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;

/// Bytes of a piece of memory: entries are a kilobyte or two, and growing never copies what is there.
const PIECE: usize = 128 * 1_024;
/// Pieces kept for the next records: about what a tenth of a second at full load fills.
const KEPT_PIECES: usize = 32;
/// Places kept for the next records.
const KEPT_PLACES: usize = 2_000;
/// Memory kept by a thread for writing, in bytes.
const LARGEST_SCRATCH: usize = 64 * 1_024;

/// Written records, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    places: Vec<Place>,
    /// The first `used` of them hold entries.
    pieces: Vec<Vec<u8>>,
    used: usize,
}

#[derive(Debug)]
struct Place {
    id: RequestId,
    piece: usize,
    range: Range<usize>,
}

/// A record written as the entry of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    /// Its id.
    pub(crate) id: RequestId,
    /// The entry.
    pub(crate) bytes: &'a [u8],
}

impl Written<'_> {
    /// The record.
    pub(crate) fn read(&self) -> Result<RequestRecord, BlockError> {
        Entry::of(self.bytes)?.read()
    }
}

/// Writes a record and shows it. The record is handed over only because its decision is set aside while the rest is written.
pub(crate) fn written<T>(
    record: &mut RequestRecord,
    show: impl FnOnce(Written<'_>) -> T,
) -> Result<T, BlockError> {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|bytes| {
        bytes.clear();
        block::write_entry(bytes, record)?;
        let shown = show(Written { id: record.id, bytes });
        bytes.shrink_to(LARGEST_SCRATCH);
        Ok(shown)
    })
}

impl Batch {
    /// The same records, written.
    pub(crate) fn of(records: &mut [RequestRecord]) -> Result<Self, BlockError> {
        let mut batch = Self::default();
        for record in records {
            written(record, |written| batch.push(written))?;
        }
        Ok(batch)
    }

    /// Records in it.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, written: Written<'_>) {
        let length = written.bytes.len();
        let has_room = |piece: &Vec<u8>| piece.capacity() - piece.len() >= length;
        if !self.used.checked_sub(1).is_some_and(|last| has_room(&self.pieces[last])) {
            if !self.pieces.get(self.used).is_some_and(has_room) {
                self.pieces.insert(self.used, Vec::with_capacity(length.max(PIECE)));
            }
            self.used += 1;
        }
        let index = self.used - 1;
        let piece = &mut self.pieces[index];
        let start = piece.len();
        piece.extend_from_slice(written.bytes);
        self.places.push(Place { id: written.id, piece: index, range: start..piece.len() });
    }

    /// The records of a range.
    pub(crate) fn records(&self, range: Range<usize>) -> Vec<Written<'_>> {
        let shown =
            |place: &Place| Written { id: place.id, bytes: &self.pieces[place.piece][place.range.clone()] };
        self.places[range].iter().map(shown).collect()
    }

    /// Forgets the first records; their memory is kept until all are gone.
    pub(crate) fn forget(&mut self, first: usize) {
        self.places.drain(..first);
    }

    /// Puts other records behind these.
    pub(crate) fn append(&mut self, other: Self) {
        self.pieces.truncate(self.used);
        let offset = self.pieces.len();
        self.pieces.extend(other.pieces.into_iter().take(other.used));
        self.used = self.pieces.len();
        self.places
            .extend(other.places.into_iter().map(|place| Place { piece: place.piece + offset, ..place }));
    }

    /// Forgets all records, and keeps a bounded part of the memory.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.places.shrink_to(KEPT_PLACES);
        // What was made for one large record goes; so does what only a burst needed.
        self.pieces.retain(|piece| piece.capacity() <= PIECE);
        self.pieces.truncate(KEPT_PIECES);
        self.pieces.iter_mut().for_each(Vec::clear);
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_model::dialect::{Dialect, Operation};

    fn record(number: u64, size: usize) -> RequestRecord {
        let id = RequestId::new(number, u128::from(number));
        let mut record = RequestRecord::new(id, Dialect::OpenAi, Operation::Chat, 1);
        record.error_message = Some("x".repeat(size));
        record.decision = Some("{\"why\":\"\"}".into());
        record
    }

    fn read(batch: &Batch) -> Vec<RequestRecord> {
        batch.records(0..batch.len()).iter().map(|written| written.read().unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_pushed_comes_back_in_order_whatever_happens_in_between(
            sizes in prop::collection::vec(prop_oneof![4 => 0usize..4_000, 1 => 100_000usize..300_000], 0..60),
            split in 0usize..60, forgotten in 0usize..60,
        ) {
            let mut records: Vec<_> =
                sizes.iter().enumerate().map(|(number, &size)| record(number as u64, size)).collect();
            // A batch that was used before keeps memory, and gives it to other records.
            let mut first = Batch::of(&mut records).unwrap();
            first.clear();
            prop_assert!(first.is_empty() && first.pieces.len() <= KEPT_PIECES);
            let split = split.min(records.len());
            for record in &mut records[..split] {
                written(record, |written| first.push(written)).unwrap();
            }
            let second = Batch::of(&mut records[split..]).unwrap();
            first.append(second);
            prop_assert_eq!(read(&first), &records[..]);
            let forgotten = forgotten.min(records.len());
            first.forget(forgotten);
            prop_assert_eq!(first.len(), records.len() - forgotten);
            prop_assert_eq!(read(&first), &records[forgotten..]);
        }
    }
}
