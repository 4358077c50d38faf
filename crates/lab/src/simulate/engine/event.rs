//! The agenda of a run: what happens when.
//!
//! Owns the order of events. Events of one moment happen in the order in which they were added, so that a run can be repeated.

use super::case::CaseKey;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use trunkline_model::moment::Moment;
use trunkline_route::drive::AttemptNumber;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A request comes.
    Arrival,
    /// A wait is over.
    Wake(CaseKey),
    /// It is time for a hedge beside a call.
    HedgeDue(CaseKey, AttemptNumber),
    /// The first token of a call comes.
    FirstToken(CaseKey, AttemptNumber),
    /// A call ends, well or not.
    Ended(CaseKey, AttemptNumber),
    /// A call's first token is no longer waited for.
    GivenUp(CaseKey, AttemptNumber),
}

/// What is to come.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    added: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Moment,
    order: u64,
    event: Event,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Moment, event: Event) {
        self.added += 1;
        self.entries.push(Reverse(Entry { at, order: self.added, event }));
    }

    pub(super) fn next(&mut self) -> Option<(Moment, Event)> {
        self.entries.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl Entry {
    const fn key(&self) -> (Moment, u64) {
        (self.at, self.order)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
