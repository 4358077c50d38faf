//! The listening side: connections in, drained at the end.
//!
//! Owns the accept loop, per-connection limits and the graceful stop. Must not know what requests mean. HTTP/1.1 and HTTP/2
//! share one port; a client that sends its head too slowly, or too much of it, is cut off.

use crate::service;
use crate::state::Gateway;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The largest request head, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// Most headers of a request.
const MOST_HEADERS: usize = 128;
/// Most streams of one HTTP/2 connection.
const MOST_STREAMS: u32 = 1_000;
/// How long to pause when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(builder(gateway.generation().snapshot.server.client_timeout));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it small pieces of a stream wait for the peer's acknowledgement, up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let for_requests = Arc::clone(&gateway);
        let service = service_fn(move |request| {
            let gateway = Arc::clone(&for_requests);
            async move { Ok::<_, Infallible>(service::answer(gateway, request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended with an error");
            }
        });
    }
    drop(listener);
    drain(&gateway, graceful).await
}

async fn drain(gateway: &Gateway, graceful: GracefulShutdown) -> Drained {
    gateway.drain();
    let limit = gateway.generation().snapshot.server.drain;
    tracing::info!(open = gateway.open_requests(), limit_s = limit.as_secs(), "draining");
    match tokio::time::timeout(limit, graceful.shutdown()).await {
        Ok(()) => Drained::Completely,
        Err(_) => {
            tracing::warn!(open = gateway.open_requests(), "the drain deadline cut off open requests");
            Drained::Cut
        }
    }
}

fn builder(client_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(client_timeout)
        .max_buf_size(LARGEST_HEAD.max(256 * 1024))
        .max_headers(MOST_HEADERS)
        .pipeline_flush(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MOST_STREAMS)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
