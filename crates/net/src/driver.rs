//! The task of one connection: moves its bytes and tells the pool what becomes of it.
//!
//! Owns hyper's connection future. Wrapping it costs a comparison for each poll and spares a spawn for each request:
//! hyper says that an HTTP/1.1 connection is ready again by the end of one of these polls, so the poll is the place to
//! look, and the number of streams that an HTTP/2 peer allows can only be asked of the connection future itself.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::dial::{Http1Connection, Http2Connection};
use crate::pool::{ConnectionId, OriginPool};

/// A connection's entry in its pool's book; dropping it reports the end of the connection.
pub(crate) struct Seat {
    pool: Weak<OriginPool>,
    id: ConnectionId,
}

impl Seat {
    pub(crate) fn new(pool: &Arc<OriginPool>, id: ConnectionId) -> Self {
        Self { pool: Arc::downgrade(pool), id }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.closed(self.id);
        }
    }
}

/// Has a driver look at its connection, by the end of a poll that is sure to come.
#[derive(Debug, Default)]
pub(crate) struct Nudge {
    /// A request was handed over since the last poll.
    handed: AtomicBool,
    asked: AtomicBool,
    waker: AtomicWaker,
    looked: Notify,
}

impl Nudge {
    /// Asks, and does not wait.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Says that a request is about to be handed to the connection.
    pub(crate) fn hand_over(&self) {
        self.handed.store(true, Ordering::Relaxed);
    }

    /// Asks and waits for the look, the first time; later calls cost a load.
    pub(crate) async fn ask_once(&self) {
        if self.asked.load(Ordering::Relaxed) || self.asked.swap(true, Ordering::SeqCst) {
            return;
        }
        self.waker.wake();
        // The look may come before the wait: `notify_one` is kept for it.
        self.looked.notified().await;
    }

    /// The look that was asked for has been given.
    pub(crate) fn answer(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }
}

/// Drives an HTTP/1.1 connection.
pub(crate) struct Http1Driver {
    // Dropped before the seat: the socket is closed when the pool hears of it.
    connection: Http1Connection,
    /// Asks whether the connection is ready for its next request.
    nudge: Arc<Nudge>,
    seat: Seat,
}

impl Http1Driver {
    pub(crate) fn new(connection: Http1Connection, nudge: Arc<Nudge>, seat: Seat) -> Self {
        Self { connection, nudge, seat }
    }
}

impl Future for Http1Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.nudge.waker.register(context.waker());
        if self.nudge.handed.load(Ordering::Relaxed) {
            // Whoever else is ready goes first, so that under load the requests of many connections are written one right
            // after the other: a server that sleeps is then woken once for all of them. Waking it is the dearest part of
            // a write. With nobody else ready this costs a fraction of a microsecond.
            self.nudge.handed.store(false, Ordering::Relaxed);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match Pin::new(&mut self.connection).poll(context) {
            Poll::Pending => {
                if self.nudge.asked.load(Ordering::SeqCst)
                    && let Some(pool) = self.seat.pool.upgrade()
                {
                    pool.look(self.seat.id, &self.nudge);
                }
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "an upstream connection ended with an error");
                }
                Poll::Ready(())
            }
        }
    }
}

/// Drives an HTTP/2 connection.
///
/// The peer's limit of streams is looked at on each poll, that is with each request and once before the first response
/// is handed on. Not seen in between: a limit that changes while no request is sent, and the first limit before the
/// first response; until then hyper assumes 100, and requests beyond the true limit queue inside hyper.
pub(crate) struct Http2Driver {
    connection: Http2Connection,
    /// Asks for a look at the peer's settings, when the first response shows that they have arrived.
    nudge: Arc<Nudge>,
    peer_limit: usize,
    seat: Seat,
}

impl Http2Driver {
    pub(crate) fn new(connection: Http2Connection, nudge: Arc<Nudge>, seat: Seat) -> Self {
        Self { connection, nudge, peer_limit: usize::MAX, seat }
    }
}

impl Future for Http2Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.nudge.waker.register(context.waker());
        let is_asked = self.nudge.asked.load(Ordering::SeqCst);
        match Pin::new(&mut self.connection).poll(context) {
            Poll::Pending => {
                let limit = self.connection.current_max_send_streams();
                if limit != self.peer_limit {
                    self.peer_limit = limit;
                    if let Some(pool) = self.seat.pool.upgrade() {
                        pool.limit_streams(self.seat.id, limit);
                    }
                }
                if is_asked {
                    self.nudge.looked.notify_one();
                }
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "an upstream connection ended with an error");
                }
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Http2Driver {
    fn drop(&mut self) {
        // Whoever waits for a look must not wait for ever.
        self.nudge.looked.notify_one();
    }
}
