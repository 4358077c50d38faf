//! A client that asks like an official SDK, over plain HTTP.
//!
//! Owns the exchange over a socket. Must not know what is asked, or judge what came back. It gives up after a limit of
//! its own, so that a gateway that never answers shows as such.

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Everything that came back.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Status and headers, if any came.
    pub(super) head: Option<(u16, HeaderMap)>,
    /// The body, as far as it came.
    pub(super) body: Bytes,
    /// How it ended.
    pub(super) end: End,
    /// From the first byte sent to the end.
    pub(super) took: Duration,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As HTTP says it should.
    Whole,
    /// The connection broke.
    Broken(String),
    /// The client gave up waiting.
    GivenUp,
}

/// A request as it goes out.
pub(super) struct Asked<'a> {
    /// Path and query.
    pub(super) target: &'a str,
    /// What the body is.
    pub(super) content_type: &'static str,
    /// The body.
    pub(super) body: Bytes,
}

/// Asks and reads to the end, at most for `limit`.
pub(super) async fn ask(gateway: SocketAddr, asked: Asked<'_>, limit: Duration) -> Exchange {
    let start = Instant::now();
    let mut exchange = Exchange { head: None, body: Bytes::new(), end: End::Whole, took: Duration::ZERO };
    let mut received = BytesMut::new();
    exchange.end =
        match timeout_at(start + limit, converse(gateway, asked, &mut exchange.head, &mut received)).await {
            Ok(Ok(())) => End::Whole,
            Ok(Err(error)) => End::Broken(error),
            Err(_) => End::GivenUp,
        };
    exchange.body = received.freeze();
    exchange.took = start.elapsed();
    exchange
}

async fn converse(
    gateway: SocketAddr,
    asked: Asked<'_>,
    head: &mut Option<(u16, HeaderMap)>,
    received: &mut BytesMut,
) -> Result<(), String> {
    let stream = TcpStream::connect(gateway).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // The connection ends with the sender or the gateway; its error shows at the request too.
    tokio::spawn(connection);
    let request = Request::post(asked.target)
        .header(HOST, gateway.to_string())
        .header(CONTENT_TYPE, asked.content_type)
        .header(AUTHORIZATION, "Bearer drill")
        .body(Full::new(asked.body))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, mut body) = response.into_parts();
    *head = Some((parts.status.as_u16(), parts.headers));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
            received.extend_from_slice(&data);
        }
    }
    Ok(())
}
