//! What goes on on one HTTP/2 connection.
//!
//! Owns the number of its open streams and of all that began, since when there is none, and how much was heard of its client. Must not know frames:
//! the library that reads them tells no numbers, so they are counted where streams become tasks and where bytes are read.

use super::stream::Flow;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use tokio::time::{Duration, Instant};

/// The state of a connection, shared by its streams.
#[derive(Debug)]
pub(super) struct Presence {
    born: Instant,
    open: AtomicU32,
    /// How many began, around the clock of its number.
    begun: AtomicU32,
    /// Who waits for the last to end.
    leaving: AtomicWaker,
    /// Microseconds from birth to the end of the stream that ended last.
    ended: AtomicU64,
    reads: AtomicU32,
    /// The stream whose request was handed out last and whose task does not exist yet.
    coming: Mutex<Option<Arc<Flow>>>,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            open: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            leaving: AtomicWaker::new(),
            ended: AtomicU64::new(0),
            reads: AtomicU32::new(0),
            coming: Mutex::new(None),
        }
    }

    /// A stream begins. The connection makes its task right after it has asked for its answer.
    pub(super) fn announce(&self, flow: Arc<Flow>) {
        *self.coming.lock() = Some(flow);
    }

    /// The task of the stream announced last is made.
    pub(super) fn begin(self: &Arc<Self>) -> Option<(Arc<Flow>, Visit)> {
        let flow = self.coming.lock().take()?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
        Some((flow, Visit(Arc::clone(self))))
    }

    /// Whether no stream is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// How many streams began, around the clock of its number.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Wakes a task when no stream is open any more.
    pub(super) fn wake_when_empty(&self, waker: &Waker) {
        self.leaving.register(waker);
    }

    /// Since when no stream is open; `None` while one is.
    pub(super) fn empty_since(&self) -> Option<Instant> {
        let ended = Duration::from_micros(self.ended.load(Ordering::Acquire));
        self.is_empty().then(|| self.born + ended)
    }

    /// Something came from the client.
    pub(super) fn heard(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something came, around the clock of its number.
    pub(super) fn reads(&self) -> u32 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// An open stream.
#[derive(Debug)]
pub(super) struct Visit(Arc<Presence>);

impl Drop for Visit {
    fn drop(&mut self) {
        // First the time: who sees no open stream must not see an older one.
        let since_birth = u64::try_from(self.0.born.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.ended.fetch_max(since_birth, Ordering::AcqRel);
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.leaving.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taker::Taking;

    #[test]
    fn a_connection_is_empty_from_the_end_of_its_last_stream() {
        let presence = Arc::new(Presence::new());
        assert_eq!(presence.empty_since(), Some(presence.born), "nothing has come");
        assert!(presence.begin().is_none(), "no stream was announced");
        let flow = || Arc::new(Flow::new(Taking::new(Duration::from_secs(1))));
        presence.announce(flow());
        let (_, first) = presence.begin().expect("it was announced");
        presence.announce(flow());
        let (_, second) = presence.begin().expect("it was announced");
        drop(first);
        assert_eq!(presence.empty_since(), None);
        let before = Instant::now();
        drop(second);
        let since = presence.empty_since().expect("none is open");
        assert!(since + Duration::from_micros(1) >= before && since <= Instant::now());
    }
}
