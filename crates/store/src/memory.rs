//! The log in memory: for tests, the demo and gateways that keep nothing.
//!
//! Owns a ring of the newest records. Must not grow beyond its bound.

use crate::query::{Page, Query};
use parking_lot::Mutex;
use std::collections::VecDeque;
use trunkline_model::record::RequestRecord;

/// The newest records.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    records: Mutex<VecDeque<RequestRecord>>,
    capacity: usize,
}

impl MemoryLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { records: Mutex::new(VecDeque::new()), capacity: capacity.max(1) }
    }

    pub(crate) fn append(&self, record: RequestRecord) {
        let mut records = self.records.lock();
        let oldest = if records.len() == self.capacity { records.pop_front() } else { None };
        records.push_back(record);
        drop(records);
        drop(oldest);
    }

    pub(crate) fn search(&self, query: &Query) -> Page {
        let limit = query.bounded_limit();
        let mut found: Vec<RequestRecord> =
            self.records.lock().iter().filter(|record| query.matches(record)).cloned().collect();
        found.sort_by_key(|record| std::cmp::Reverse(record.id));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = if more { found.last().map(|record| record.id) } else { None };
        Page { records: found, next }
    }
}
