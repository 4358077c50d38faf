//! The shell around one origin's book: its lock, its tasks, its counters.
//!
//! Owns the carrying out of the book's effects, always after the lock is let go: a grant that nobody receives any more
//! comes back through the same lock. Decides nothing itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderValue;
use http::uri::Authority;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::book::{
    Acquired, Book, ConnectionId, Effect, Effects, Freshness, Grant, Limits, Look, Protocol, WaiterId,
};
use super::lease::{Exclusive, Lease, Shared};
use crate::dial::{Connection, DialTimes, Dialed, Dialer, Progress};
use crate::driver::{Http1Driver, Http2Driver, Nudge, Seat};
use crate::transport::now;
use crate::{Origin, OriginError, Scheme, SendError};

type Waiter = oneshot::Sender<Result<Granted, SendError>>;
type OriginBook = Book<Exclusive, Shared, Waiter>;
type OriginEffects = Effects<Exclusive, Shared, Waiter>;

/// A lease, and what its dial took when the request waited for one.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) lease: Lease,
    pub(crate) dialed: Option<DialTimes>,
}

/// What a pool holds and has done, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginStats {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Open connections.
    pub open: usize,
    /// Open connections without a request.
    pub idle: usize,
    /// Open HTTP/2 streams.
    pub streams: usize,
    /// Dials under way.
    pub dialing: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Dials begun since the start.
    pub dials: u64,
    /// Dials failed since the start.
    pub dial_failures: u64,
    /// Requests since the start that found a connection open.
    pub reuses: u64,
}

pub(crate) struct OriginPool {
    origin: Origin,
    /// Host and port for the pseudo-header of HTTP/2.
    authority: Authority,
    /// The same for the header of HTTP/1.1.
    host: HeaderValue,
    dialer: Arc<Dialer>,
    book: Mutex<OriginBook>,
    progress: Arc<Progress>,
    idle_timeout: Duration,
    has_reaper: AtomicBool,
    dials: AtomicU64,
    dial_failures: AtomicU64,
    reuses: AtomicU64,
}

impl fmt::Debug for OriginPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OriginPool({})", self.origin)
    }
}

impl OriginPool {
    pub(crate) fn new(origin: Origin, limits: Limits, dialer: Arc<Dialer>) -> Result<Self, OriginError> {
        let malformed = |detail: String| OriginError::Malformed { url: origin.to_string(), detail };
        let authority = origin.authority().map_err(|error| malformed(error.to_string()))?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| malformed(error.to_string()))?;
        let protocol = match origin.scheme() {
            Scheme::Https => Protocol::Unknown,
            Scheme::Http if dialer.has_prior_knowledge(&origin) => Protocol::Shared,
            Scheme::Http => Protocol::Exclusive,
        };
        Ok(Self {
            authority,
            host,
            dialer,
            idle_timeout: limits.idle_timeout,
            book: Mutex::new(Book::new(limits, protocol)),
            progress: Arc::default(),
            has_reaper: AtomicBool::new(false),
            dials: AtomicU64::new(0),
            dial_failures: AtomicU64::new(0),
            reuses: AtomicU64::new(0),
            origin,
        })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    pub(crate) fn stats(&self) -> OriginStats {
        let counts = self.book.lock().counts();
        OriginStats {
            origin: self.origin.clone(),
            open: counts.open,
            idle: counts.idle,
            streams: counts.streams,
            dialing: counts.dialing,
            waiting: counts.waiting,
            dials: self.dials.load(Ordering::Relaxed),
            dial_failures: self.dial_failures.load(Ordering::Relaxed),
            reuses: self.reuses.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.book.lock().is_quiet()
    }

    /// Dials ahead of the first request.
    pub(crate) fn warm(self: &Arc<Self>) {
        self.with_book(|book, effects| book.warm(effects));
    }

    /// A connection at once, or a place in the queue until `limit` has passed.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        freshness: Freshness,
        limit: Duration,
    ) -> Result<Granted, SendError> {
        let granted = match self.acquire_now(freshness)? {
            Immediate::Granted(granted) => granted,
            // Boxed, so that requests that need not wait do not carry the room for it.
            Immediate::Waiting(id, receiver) => Box::pin(self.wait(id, receiver, limit)).await?,
        };
        if granted.dialed.is_none() {
            self.reuses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(granted)
    }

    fn acquire_now(self: &Arc<Self>, freshness: Freshness) -> Result<Immediate, SendError> {
        loop {
            let mut receiver = None;
            let acquired = self.with_book(|book, effects| {
                let waiter = || {
                    let (sender, waiting) = oneshot::channel();
                    receiver = Some(waiting);
                    sender
                };
                book.acquire(now(), freshness, waiter, effects)
            });
            let lease = match (acquired, receiver) {
                (Acquired::Granted(grant), _) => self.lease(grant),
                (Acquired::Waiting(id), Some(receiver)) => return Ok(Immediate::Waiting(id, receiver)),
                (Acquired::Waiting(_) | Acquired::Refused, _) => {
                    let waiting = self.book.lock().counts().waiting;
                    return Err(SendError::PoolExhausted {
                        origin: self.origin.to_string(),
                        detail: format!("{waiting} requests wait already"),
                    });
                }
            };
            if lease.is_closed() {
                lease.discard();
                continue;
            }
            return Ok(Immediate::Granted(Granted { lease, dialed: None }));
        }
    }

    async fn wait(
        self: &Arc<Self>,
        id: WaiterId,
        receiver: oneshot::Receiver<Result<Granted, SendError>>,
        limit: Duration,
    ) -> Result<Granted, SendError> {
        let _place = Place { pool: self, id };
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(granted)) => granted,
            Ok(Err(_)) => Err(SendError::Closed {
                origin: self.origin.to_string(),
                request_sent: false,
                detail: "the pool is gone".to_owned(),
            }),
            Err(_) => {
                let counts = self.book.lock().counts();
                let origin = self.origin.to_string();
                Err(if counts.dialing > 0 {
                    SendError::ConnectTimeout { origin, phase: self.progress.phase(), limit }
                } else {
                    SendError::PoolTimeout { origin, open: counts.open, limit }
                })
            }
        }
    }

    /// An HTTP/1.1 connection whose response has been read, or that was not used after all.
    pub(super) fn release_exclusive(self: &Arc<Self>, id: ConnectionId, handle: Exclusive) {
        if handle.sender.is_closed() {
            return;
        }
        self.with_book(|book, effects| {
            if handle.sender.is_ready() {
                return book.release_exclusive(id, handle, now(), effects);
            }
            let nudge = handle.nudge.clone();
            book.settle(id, handle, now(), effects);
            // Its driver is about to end the poll in which it becomes ready, or has ended it: it looks again.
            nudge.ask();
        });
    }

    /// The driver has polled a connection that was not ready when it was released.
    pub(crate) fn look(self: &Arc<Self>, id: ConnectionId, nudge: &Nudge) {
        self.with_book(|book, effects| {
            if book.look(id, |handle| handle.sender.is_ready(), now(), effects) == Look::Settled {
                nudge.answer();
            }
        });
    }

    pub(super) fn release_shared(self: &Arc<Self>, id: ConnectionId) {
        self.with_book(|book, effects| book.release_shared(id, now(), effects));
    }

    pub(super) fn discard_shared(self: &Arc<Self>, id: ConnectionId) {
        self.with_book(|book, effects| {
            book.drain(id);
            book.release_shared(id, now(), effects);
        });
    }

    pub(crate) fn limit_streams(self: &Arc<Self>, id: ConnectionId, limit: usize) {
        self.with_book(|book, effects| book.limit_streams(id, limit, effects));
    }

    pub(crate) fn closed(self: &Arc<Self>, id: ConnectionId) {
        self.with_book(|book, effects| book.closed(id, effects));
    }

    fn with_book<T>(self: &Arc<Self>, act: impl FnOnce(&mut OriginBook, &mut OriginEffects) -> T) -> T {
        let mut effects = OriginEffects::new();
        let value = act(&mut self.book.lock(), &mut effects);
        if !effects.is_empty() {
            self.perform(effects, None, None);
        }
        value
    }

    fn perform(
        self: &Arc<Self>,
        effects: OriginEffects,
        dialed: Option<DialTimes>,
        error: Option<&SendError>,
    ) {
        for effect in effects {
            match effect {
                Effect::Grant(waiter, grant) => {
                    // Whoever has stopped waiting drops the lease, which returns it.
                    let _ = waiter.send(Ok(Granted { lease: self.lease(grant), dialed }));
                }
                Effect::Fail(waiter) => {
                    let error = error.cloned().unwrap_or_else(|| self.given_up());
                    let _ = waiter.send(Err(error));
                }
                Effect::Dial => self.start_dial(),
                // An idle connection is shut down politely when its handle goes; one that is busy might never be.
                Effect::Close(handle) if handle.sender.is_ready() => drop(handle),
                Effect::Close(handle) => handle.abort.abort(),
            }
        }
    }

    fn lease(self: &Arc<Self>, grant: Grant<Exclusive, Shared>) -> Lease {
        match grant {
            Grant::Exclusive(id, handle) => Lease::exclusive(self.clone(), id, handle),
            Grant::Shared(id, handle) => Lease::shared(self.clone(), id, handle),
        }
    }

    fn start_dial(self: &Arc<Self>) {
        self.dials.fetch_add(1, Ordering::Relaxed);
        if !self.has_reaper.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
        // In its own task, so that a request that is cancelled leaves the others the connection they count on.
        let mut pending = PendingDial { pool: Arc::downgrade(self) };
        let (dialer, origin, progress) = (self.dialer.clone(), self.origin.clone(), self.progress.clone());
        tokio::spawn(async move {
            let outcome = dialer.dial(&origin, &progress).await;
            let Some(pool) = pending.settle() else { return };
            match outcome {
                Ok(dialed) => pool.dialed(dialed),
                Err(error) => pool.dial_failed(&error),
            }
        });
    }

    fn dialed(self: &Arc<Self>, dialed: Dialed) {
        let mut effects = OriginEffects::new();
        match dialed.connection {
            Connection::Http1(sender, connection) => {
                let id = self.book.lock().opening(Protocol::Exclusive);
                let nudge = Arc::new(Nudge::default());
                let driver = Http1Driver::new(*connection, nudge.clone(), Seat::new(self, id));
                let abort = tokio::spawn(driver).abort_handle();
                let handle = Exclusive { sender, abort, nudge };
                self.book.lock().publish_exclusive(id, handle, now(), &mut effects);
            }
            Connection::Http2(sender, connection) => {
                let id = self.book.lock().opening(Protocol::Shared);
                let nudge = Arc::new(Nudge::default());
                tokio::spawn(Http2Driver::new(*connection, nudge.clone(), Seat::new(self, id)));
                self.book.lock().publish_shared(id, Shared { sender, nudge }, now(), &mut effects);
            }
        }
        self.perform(effects, Some(dialed.times), None);
    }

    fn dial_failed(self: &Arc<Self>, error: &SendError) {
        tracing::debug!(%error, "a dial failed");
        self.dial_failures.fetch_add(1, Ordering::Relaxed);
        let mut effects = OriginEffects::new();
        self.book.lock().dial_failed(&mut effects);
        self.perform(effects, None, Some(error));
    }

    fn given_up(&self) -> SendError {
        let detail = "the dial was given up".to_owned();
        SendError::Connect { origin: self.origin.to_string(), detail }
    }

    fn sweep(self: &Arc<Self>) -> Sweep {
        self.with_book(|book, effects| {
            book.sweep(now(), effects);
            if book.is_quiet() {
                // Under the lock: a request that comes after it will see that there is no reaper.
                self.has_reaper.store(false, Ordering::Release);
                Sweep::Over
            } else {
                Sweep::Again
            }
        })
    }
}

enum Immediate {
    Granted(Granted),
    Waiting(WaiterId, oneshot::Receiver<Result<Granted, SendError>>),
}

enum Sweep {
    Again,
    Over,
}

/// A place in the queue, given up when dropped.
struct Place<'a> {
    pool: &'a Arc<OriginPool>,
    id: WaiterId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.book.lock().cancel(self.id);
    }
}

/// Reports a dial that ended without an outcome, which only a panic or the end of the runtime can do.
struct PendingDial {
    /// Of nothing once the outcome is known.
    pool: Weak<OriginPool>,
}

impl PendingDial {
    fn settle(&mut self) -> Option<Arc<OriginPool>> {
        std::mem::take(&mut self.pool).upgrade()
    }
}

impl Drop for PendingDial {
    fn drop(&mut self) {
        if let Some(pool) = self.settle() {
            let error = pool.given_up();
            pool.dial_failed(&error);
        }
    }
}

/// Closes idle connections in time while there are any. Holds the pool only while it sweeps.
async fn reap(pool: Weak<OriginPool>, idle_timeout: Duration) {
    let period = (idle_timeout / 2).clamp(Duration::from_millis(100), Duration::from_secs(30));
    loop {
        tokio::time::sleep(period).await;
        let Some(pool) = pool.upgrade() else { return };
        if let Sweep::Over = pool.sweep() {
            return;
        }
    }
}
