//! What the worker remembers of handovers between two looks.
//!
//! Owns which deployments' batch APIs are left alone for a while, when each handover is looked at next, and the figures. All of it may be
//! forgotten: what must survive is in the store.

use super::carrier::Carried;
use super::decision::is_cheaper;
use super::has_time;
use crate::clock;
use crate::state::Generation;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trunkline_config::file::BatchUpstream;
use trunkline_store::{HandoverState, HandoverStats, StoredBatch, StoredHandover};

/// Most handovers that are looked at, fetched or cleaned up at the same time.
const AT_ONCE: usize = 8;
/// Most deployments that are left alone at the same time.
const MOST_HELD: usize = 1_000;
/// How long a batch API is left alone that failed, unless it says when to come back.
const HOLD: Duration = Duration::from_secs(600);
/// The shortest and the longest it is.
const HOLDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// How long nothing is gathered after there was nothing to gather.
const REST: Duration = Duration::from_millis(400);

/// What handovers share, as the rest of the gateway sees it.
#[derive(Default)]
pub(crate) struct Desk {
    held: Mutex<HashMap<String, Instant>>,
    stats: Mutex<HandoverStats>,
    /// Batches that providers took.
    pub(super) submitted: AtomicU64,
    /// Lines that came back with an answer.
    pub(super) answered: AtomicU64,
    /// Lines that came back without one.
    pub(super) returned: AtomicU64,
    /// Calls that failed.
    pub(super) failed: AtomicU64,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeskFigures {
    /// What is in the store.
    pub(crate) stats: HandoverStats,
    /// Batches that providers took.
    pub(crate) submitted: u64,
    /// Lines that came back with an answer.
    pub(crate) answered: u64,
    /// Lines that came back without one.
    pub(crate) returned: u64,
    /// Calls that failed.
    pub(crate) failed: u64,
}

impl Desk {
    /// Whether a deployment's batch API is left alone now.
    pub(super) fn is_held(&self, deployment: &str) -> bool {
        self.held.lock().get(deployment).is_some_and(|until| *until > Instant::now())
    }

    /// Leaves a deployment's batch API alone for a while.
    pub(super) fn hold(&self, deployment: &str, asked: Option<Duration>) {
        let now = Instant::now();
        let mut held = self.held.lock();
        held.retain(|_, until| *until > now);
        if held.len() < MOST_HELD {
            held.insert(deployment.to_owned(), now + asked.unwrap_or(HOLD).clamp(HOLDS.0, HOLDS.1));
        }
    }

    pub(super) fn count(&self, counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> DeskFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeskFigures {
            stats: *self.stats.lock(),
            submitted: read(&self.submitted),
            answered: read(&self.answered),
            returned: read(&self.returned),
            failed: read(&self.failed),
        }
    }
}

/// When what is looked at.
#[derive(Default)]
pub(crate) struct Calendar {
    due: HashMap<String, Entry>,
    running: usize,
    is_gathering: bool,
    /// When it is looked for lines again.
    rested: Option<Instant>,
    /// Whether a configuration, by its version, has any deployment with a cheaper batch API.
    capable: Option<(u64, bool)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    is_running: bool,
    troubles: u32,
}

impl Calendar {
    /// The batches whose lines may be handed over, as far as configuration and time go.
    pub(crate) fn candidates<'b>(
        &mut self,
        generation: &Generation,
        open: &'b [StoredBatch],
    ) -> Vec<&'b StoredBatch> {
        let snapshot = &generation.snapshot;
        if snapshot.server.batches.upstream == BatchUpstream::Never {
            return Vec::new();
        }
        let capable = match self.capable {
            Some((version, capable)) if version == snapshot.version => capable,
            _ => snapshot.fleet.iter().any(|(index, deployment)| {
                snapshot.upstreams[index.position()].batch.is_some()
                    && deployment.entry.as_deref().is_some_and(is_cheaper)
            }),
        };
        self.capable = Some((snapshot.version, capable));
        let now = clock::unix_seconds();
        if capable { open.iter().filter(|batch| has_time(batch, now)).collect() } else { Vec::new() }
    }

    /// Whether lines may be gathered now; if so, they are until [`Calendar::gathered`].
    pub(crate) fn begin_gathering(&mut self) -> bool {
        let may_begin = !self.is_gathering && self.rested.is_none_or(|at| at <= Instant::now());
        self.is_gathering |= may_begin;
        may_begin
    }

    /// Lines were gathered, or there were none: then it is not looked again at once.
    pub(crate) fn gathered(&mut self, found_any: bool) {
        self.is_gathering = false;
        self.rested = (!found_any).then(|| Instant::now() + REST);
    }

    /// Notes the figures, and takes those handovers whose time has come, with how often looking at them failed. One that is being
    /// prepared is left to whoever prepares it.
    pub(crate) fn take_due(
        &mut self,
        desk: &Desk,
        all: Vec<StoredHandover>,
        stats: HandoverStats,
    ) -> Vec<(StoredHandover, u32)> {
        *desk.stats.lock() = stats;
        self.due.retain(|id, entry| entry.is_running || all.iter().any(|handover| handover.id == *id));
        let now = Instant::now();
        let mut taken = Vec::new();
        for handover in all {
            if self.running >= AT_ONCE {
                break;
            }
            if self.is_gathering && handover.state == HandoverState::Preparing {
                continue;
            }
            let new = Entry { at: now, is_running: false, troubles: 0 };
            let entry = self.due.entry(handover.id.clone()).or_insert(new);
            if entry.is_running || entry.at > now {
                continue;
            }
            entry.is_running = true;
            self.running += 1;
            taken.push((handover, entry.troubles));
        }
        taken
    }

    /// A handover was looked at.
    pub(crate) fn carried(&mut self, id: &str, carried: Carried) {
        self.running = self.running.saturating_sub(1);
        match carried {
            Carried::Gone => drop(self.due.remove(id)),
            Carried::Again(wait) => {
                let at = Instant::now() + wait;
                self.due.insert(id.to_owned(), Entry { at, is_running: false, troubles: 0 });
            }
            Carried::Failed(wait, troubles) => {
                let at = Instant::now() + wait;
                self.due.insert(id.to_owned(), Entry { at, is_running: false, troubles });
            }
        }
    }

    /// Handovers there are, as far as is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover(id: &str, state: HandoverState) -> StoredHandover {
        StoredHandover {
            id: id.to_owned(),
            batch: "b".to_owned(),
            deployment: "one/model".to_owned(),
            state,
            made: 1,
            upstream: None,
            lines: 1,
            details: String::new(),
        }
    }

    fn taken(calendar: &mut Calendar, desk: &Desk, all: &[StoredHandover]) -> Vec<(String, u32)> {
        let due = calendar.take_due(desk, all.to_vec(), HandoverStats::default());
        due.into_iter().map(|(handover, troubles)| (handover.id, troubles)).collect()
    }

    #[test]
    fn each_is_looked_at_by_one_and_only_when_it_is_due() {
        let (mut calendar, desk) = (Calendar::default(), Desk::default());
        let all = [handover("a", HandoverState::Preparing), handover("b", HandoverState::Submitted)];
        assert!(calendar.begin_gathering() && !calendar.begin_gathering());
        assert_eq!(
            taken(&mut calendar, &desk, &all),
            [("b".to_owned(), 0)],
            "the other one is being prepared"
        );
        calendar.gathered(false);
        assert!(!calendar.begin_gathering(), "there was nothing");
        assert_eq!(taken(&mut calendar, &desk, &all), [("a".to_owned(), 0)]);
        calendar.carried("a", Carried::Again(Duration::from_secs(60)));
        calendar.carried("b", Carried::Failed(Duration::ZERO, 3));
        assert_eq!(taken(&mut calendar, &desk, &all), [("b".to_owned(), 3)]);
        calendar.carried("b", Carried::Gone);
        assert!(!calendar.is_empty());
        assert!(taken(&mut calendar, &desk, &[]).is_empty() && calendar.is_empty());
    }

    #[test]
    fn few_are_looked_at_at_the_same_time() {
        let (mut calendar, desk) = (Calendar::default(), Desk::default());
        let all: Vec<_> = (0..20).map(|number| handover(&number.to_string(), HandoverState::Over)).collect();
        assert_eq!(taken(&mut calendar, &desk, &all).len(), AT_ONCE);
        assert!(taken(&mut calendar, &desk, &all).is_empty());
        calendar.carried("0", Carried::Gone);
        assert_eq!(taken(&mut calendar, &desk, &all[1..]).len(), 1);
    }

    #[test]
    fn an_api_that_failed_is_left_alone_for_a_while() {
        let desk = Desk::default();
        desk.hold("one/model", Some(Duration::from_secs(60)));
        desk.hold("two/model", Some(Duration::ZERO));
        assert!(desk.is_held("one/model") && desk.is_held("two/model") && !desk.is_held("three/model"));
    }
}
