//! One HTTP/2 connection from its first byte to its last.
//!
//! Owns its limits and its end: a client that opens no stream for too long, or any when the gateway stops, is told to go
//! (GOAWAY). Must not know requests. The library waits for the client to confirm that it was told, for as long as the connection
//! lives; a client that rests does not read, so it confirms nothing, and a rest would outlast a whole drain. Here a short
//! silence with nothing open is enough. And some clients that do not read while they rest fail their next request when they
//! then find the library's farewell, which promises to take more; what ends their rest is the ping that they do not answer,
//! after which the farewell says what was taken, and they ask again elsewhere. Others (Python's h2, and so all that is built on
//! httpx) read nothing more once they were told, not even what came in the same read (<https://github.com/python-hyper/h2/issues/1181>).
//! So at a stop a client is told a moment after its last stream has ended, or when it opens another: it must learn where not to ask.

use super::farewell::Farewell;
use super::pieces::Pieces;
use super::presence::Presence;
use super::stream::{Flow, Streams};
use crate::body::AnswerBody;
use crate::service;
use crate::state::Gateway;
use crate::stop::Bell;
use crate::taker::{Taker, Taking};
use crate::traffic::Carried;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, Sleep, sleep};
use trunkline_net::Joined;

/// Most streams of one connection.
const MOST_STREAMS: u32 = 1_000;
/// The least time that a client has to answer a ping: one that is short of processor time has not gone.
const LEAST_PATIENCE_WITH_PONGS: Duration = Duration::from_secs(5);
/// How long a client that was told to go, has nothing open and says nothing is waited for.
const GRACE: Duration = Duration::from_secs(1);
/// What comes this long after the end of a stream is not read together with it.
const APART: Duration = Duration::from_millis(500);

/// Who is served.
pub(crate) struct Served {
    /// The socket.
    pub socket: TcpStream,
    /// How long a client may rest, say nothing and take nothing.
    pub patience: Duration,
    /// The largest head of a request, in bytes.
    pub largest_head: u32,
}

/// Serves a connection to its end. `stopping` resolves when the gateway begins to stop.
///
/// # Errors
/// What the connection broke with.
pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    served: Served,
    bell: Bell,
    stopping: impl Future<Output = ()>,
) -> Result<(), hyper::Error> {
    let Served { socket, patience, largest_head } = served;
    let presence = Arc::new(Presence::new());
    let taking = Arc::new(Taking::new(patience));
    let taker = Taker::new(Joined::new(socket), Arc::clone(&taking), Arc::clone(&gateway.traffic));
    let socket = Farewell::new(taker, Arc::clone(&presence));
    let (streams, for_streams) = (Arc::clone(&presence), Arc::clone(&taking));
    let service = service_fn(move |request| {
        let flow = Arc::new(Flow::new(Taking::stream(&for_streams)));
        streams.announce(Arc::clone(&flow));
        let (gateway, underway) = (Arc::clone(&gateway), gateway.traffic.request());
        Box::pin(async move {
            let response = service::answer(gateway, request, Arc::clone(flow.taking())).await;
            let body = |body: AnswerBody| Pieces::new(Carried::new(body, underway), flow);
            Ok::<_, Infallible>(response.map(body))
        })
    });
    let mut builder = Builder::new(Streams::new(bell, Arc::clone(&presence)));
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(largest_head)
        .max_concurrent_streams(MOST_STREAMS)
        .keep_alive_interval(patience)
        .keep_alive_timeout(patience.max(LEAST_PATIENCE_WITH_PONGS));
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    Tended {
        connection,
        stopping,
        presence,
        taking,
        patience,
        timer: Box::pin(sleep(patience)),
        looked: 0,
        leaving: None,
        told: None,
    }
    .await
}

pin_project! {
    /// A connection that is told when to go.
    struct Tended<C, S> {
        #[pin]
        connection: C,
        #[pin]
        stopping: S,
        presence: Arc<Presence>,
        taking: Arc<Taking>,
        patience: Duration,
        timer: Pin<Box<Sleep>>,
        // How often it had been heard when that was last looked at.
        looked: u32,
        // The gateway stops; how many streams had begun by then.
        leaving: Option<u32>,
        // It was told to go; how often it had been heard when that was last looked at.
        told: Option<u32>,
    }
}

impl<C: GracefulConnection, S: Future<Output = ()>> Future for Tended<C, S> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        if this.told.is_none() && this.leaving.is_none() && this.stopping.poll(context).is_ready() {
            *this.leaving = Some(this.presence.begun());
        }
        if this.told.is_none() && this.leaving.is_some() {
            this.presence.wake_when_empty(context.waker());
        }
        loop {
            // Asked first: what a stream leaves as it ends is written by the poll that follows.
            let is_empty = this.presence.is_empty();
            if let Poll::Ready(ended) = this.connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            if this.told.is_none()
                && let Some(begun) = *this.leaving
            {
                let empty_since = this.presence.empty_since().filter(|_| is_empty && !this.taking.is_full());
                let apart = empty_since.map(|since| since + APART);
                let now = Instant::now();
                if this.presence.begun() != begun || apart.is_some_and(|apart| apart <= now) {
                    this.connection.as_mut().graceful_shutdown();
                    *this.told = Some(this.presence.reads());
                    this.timer.as_mut().reset(now + GRACE);
                    continue;
                }
                if let Some(apart) = apart.filter(|apart| *apart < this.timer.deadline()) {
                    this.timer.as_mut().reset(apart);
                }
            }
            if this.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            let due = if let Some(before) = *this.told {
                let reads = this.presence.reads();
                let empty_since = this.presence.empty_since().filter(|_| is_empty && !this.taking.is_full());
                // Talk without a request is listened to for a while, not for ever.
                if empty_since.is_some_and(|since| reads == before || now >= since + *this.patience) {
                    return Poll::Ready(Ok(()));
                }
                *this.told = Some(reads);
                now + GRACE
            } else {
                let reads = this.presence.reads();
                let was_heard = std::mem::replace(this.looked, reads) != reads;
                let pong = (*this.patience).max(LEAST_PATIENCE_WITH_PONGS);
                match this.presence.empty_since() {
                    None => now + *this.patience,
                    Some(since) if since + *this.patience > now => since + *this.patience,
                    // It reads while it rests, or has not even begun: who never answers a ping is ended before.
                    Some(since) if was_heard || since + *this.patience + pong * 2 <= now => {
                        this.connection.as_mut().graceful_shutdown();
                        *this.told = Some(reads);
                        now + GRACE
                    }
                    Some(_) => now + GRACE,
                }
            };
            this.timer.as_mut().reset(due);
        }
    }
}
