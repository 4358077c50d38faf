//! The listening side: connections in, drained at the end.
//!
//! Owns the accept loop, the bound of open connections, per-connection limits and the graceful stop. Must not know what requests
//! mean. HTTP/1.1 and HTTP/2 share one port; a client that sends its head too slowly, or too much of it, is cut off.

use crate::batches;
use crate::multiplex::{self, Served};
use crate::patience;
use crate::polling;
use crate::service;
use crate::state::Gateway;
use crate::stop::Bell;
use crate::taker::{Taker, Taking};
use crate::traffic::Carried;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trunkline_net::Joined;

/// The largest request head, in bytes.
const LARGEST_HEAD: u32 = 64 * 1024;
/// Most headers of a request.
const MOST_HEADERS: usize = 128;
/// What one connection of HTTP/1.1 may hold of a request's head, and of an answer.
const BUFFER: usize = 256 * 1024;
/// How long to pause when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long to wait before the first bytes of a connection are looked at again where they are too few.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often the same trouble with new connections is told at the most.
const TOLD: Duration = Duration::from_secs(10);

/// How long clients have to take the error that tells them of the stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was finished.
    Completely,
    /// The drain deadline cut some off.
    Cut,
}

/// Serves until `stop` resolves, then finishes what is open, at most until the drain deadline.
pub async fn run(gateway: Arc<Gateway>, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
    gateway.warm_credentials();
    gateway.learn_examples();
    batches::start(&gateway);
    let _polling = polling::begin(&gateway);
    let graceful = GracefulShutdown::new();
    let client_timeout = gateway.generation().snapshot.server.client_timeout;
    let bell = gateway.stop.bell();
    let single = Arc::new(single(client_timeout, &bell));
    // Whoever has not said a word when the stop comes is not waited for: the receivers see the end of the sender.
    let (listening, not_stopped) = tokio::sync::watch::channel(());
    let mut door = Door::new(gateway.room.most());
    tokio::pin!(stop);
    loop {
        let (stream, place) = tokio::select! {
            biased;
            accepted = door.accept(&listener) => accepted,
            () = &mut stop => break,
        };
        // Without it small pieces of a stream wait for the peer's acknowledgement, up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let (gateway, single, bell) = (Arc::clone(&gateway), Arc::clone(&single), bell.clone());
        let (watcher, mut not_stopped) = (graceful.watcher(), not_stopped.clone());
        tokio::spawn(bell.clone().waking(async move {
            let _place = place;
            let opening = tokio::select! {
                // Who has said something by now is served.
                biased;
                opening = patience::during(client_timeout, opening(&stream)) => opening,
                _ = not_stopped.changed() => return,
            };
            let ended = match opening {
                Err(_) | Ok(None) => return,
                Ok(Some(Opening::Two)) => {
                    // The drain waits for this connection as long as there is a watcher, though it watches by itself.
                    let _watcher = watcher;
                    let served =
                        Served { socket: stream, patience: client_timeout, largest_head: LARGEST_HEAD };
                    let stopping = async move {
                        // Whether the sender said so or is gone, it stops.
                        let _ = not_stopped.changed().await;
                    };
                    // Boxed: those of HTTP/1.1 are many, and would carry the room for it.
                    let ended = Box::pin(multiplex::serve(gateway, served, bell, stopping)).await;
                    ended.map_err(Into::into)
                }
                Ok(Some(Opening::One)) => {
                    drop((not_stopped, bell));
                    let taking = Arc::new(Taking::new(client_timeout));
                    let socket =
                        Taker::new(Joined::new(stream), Arc::clone(&taking), Arc::clone(&gateway.traffic));
                    let service = service_fn(move |request| {
                        let (gateway, taking) = (Arc::clone(&gateway), Arc::clone(&taking));
                        let underway = gateway.traffic.request();
                        // Boxed: a connection keeps the room for its request's future as long as it lives, also while an
                        // answer streams.
                        Box::pin(async move {
                            let response = service::answer(gateway, request, taking).await;
                            Ok::<_, Infallible>(response.map(|body| Carried::new(body, underway)))
                        })
                    });
                    // One expression: what is named before it is awaited is held twice for as long as the connection lives.
                    watcher.watch(single.serve_connection(TokioIo::new(socket), service).into_owned()).await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended with an error");
            }
        }));
    }
    drop(listening);
    drop(listener);
    drain(&gateway, graceful).await
}

/// Lets connections in, no more than there is room for: those that come beyond wait to be accepted.
struct Door {
    places: Arc<Semaphore>,
    most: u32,
    told: Option<Instant>,
}

impl Door {
    fn new(most: u32) -> Self {
        let places = usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), most, told: None }
    }

    /// The next connection and its place. Nothing is lost when this is dropped half-way.
    async fn accept(&mut self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            if self.places.available_permits() == 0 && self.may_tell() {
                let most = self.most;
                tracing::warn!(
                    most,
                    "as many connections are open as there is room for, further ones wait; let the process open more files"
                );
            }
            let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the semaphore");
            match listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) => {
                    if self.may_tell() {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Whether trouble is told again: a flood of connections must not become a flood of lines.
    fn may_tell(&mut self) -> bool {
        let now = Instant::now();
        let tells = self.told.is_none_or(|told| now.duration_since(told) >= TOLD);
        if tells {
            self.told = Some(now);
        }
        tells
    }
}

async fn drain(gateway: &Gateway, graceful: GracefulShutdown) -> Drained {
    gateway.drain();
    let limit = gateway.generation().snapshot.server.drain;
    tracing::info!(open = gateway.open_requests(), limit_s = limit.as_secs(), "draining");
    let (settled, graceful) = (AtomicBool::new(false), graceful.shutdown());
    let everything = async {
        let work = async {
            tokio::join!(batches::settled(gateway), gateway.running.settled());
            settled.store(true, Ordering::Release);
        };
        tokio::join!(graceful, work)
    };
    tokio::pin!(everything);
    if tokio::time::timeout(limit, &mut everything).await.is_ok() {
        return Drained::Completely;
    }
    if settled.load(Ordering::Acquire) && gateway.traffic.is_over() {
        tracing::info!("connections without a request were left open by their clients");
        return Drained::Completely;
    }
    tracing::warn!(open = gateway.open_requests(), "the drain deadline cut off open requests");
    gateway.stop.come();
    // Who does not read by now is not told.
    let _ = tokio::time::timeout(FAREWELL, everything).await;
    batches::interrupt(gateway).await;
    Drained::Cut
}

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// HTTP/1.1.
    One,
    /// HTTP/2 without negotiation.
    Two,
}

impl Opening {
    /// HTTP/2 begins with these (RFC 9113, section 3.4), and no HTTP/1.1 method does.
    const PREFACE: [u8; 4] = *b"PRI ";

    /// `None` when there are too few bytes to tell.
    fn read(bytes: &[u8]) -> Option<Self> {
        let matching = bytes.iter().zip(&Self::PREFACE).take_while(|(one, other)| one == other).count();
        match matching {
            4 => Some(Self::Two),
            matching if matching == bytes.len() => None,
            _ => Some(Self::One),
        }
    }
}

/// Looks at the first bytes without taking them; `None` when there will be none. A builder that finds out by itself hands
/// them to the connection as a read of their own, after which it holds a second buffer for as long as it lives.
async fn opening(stream: &TcpStream) -> Option<Opening> {
    let mut bytes = [0; Opening::PREFACE.len()];
    loop {
        let length = stream.peek(&mut bytes).await.ok().filter(|length| *length > 0)?;
        if let Some(opening) = Opening::read(&bytes[..length]) {
            return Some(opening);
        }
        // There is something to read already, so the socket would not wake anybody when there is more.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What serves connections of HTTP/1.1.
fn single(client_timeout: Duration, bell: &Bell) -> Builder<Bell> {
    let mut builder = Builder::new(bell.clone()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(client_timeout)
        .max_buf_size(BUFFER)
        .max_headers(MOST_HEADERS)
        .pipeline_flush(false);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_version() {
        let openings = ["PRI * HTTP/2.0", "PRI ", "POST", "PUT ", "GET /", "P", "PR", "G"]
            .map(|text| Opening::read(text.as_bytes()));
        let (one, two) = (Some(Opening::One), Some(Opening::Two));
        assert_eq!(openings, [two, two, one, one, one, None, None, one]);
    }
}
