//! Feedback in memory.
//!
//! Owns a map bounded by number; the feedback on the oldest request goes first.

use std::collections::BTreeMap;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::RequestId;

/// As many as the log keeps records in memory.
pub(super) const MOST: usize = 10_000;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<RequestId, Feedback>);

impl Table {
    pub(super) fn put(&mut self, feedback: Feedback) {
        self.0.insert(feedback.id, feedback);
        while self.0.len() > MOST {
            self.0.pop_first();
        }
    }

    pub(super) fn find(&self, id: RequestId) -> Option<Feedback> {
        self.0.get(&id).cloned()
    }
}
