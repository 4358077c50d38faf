//! A client that hides nothing: one connection per request, no retries, bytes as they are.
//!
//! Owns the sockets of tests. Must not know what is asked.

use super::{Answer, PATIENCE};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An open connection. It closes when this is dropped and the response's body is read or dropped.
async fn connect(address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// An open HTTP/2 connection, for as many requests at once as its clones send.
pub(crate) async fn connect_multiplexed(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a request and reads the head of the answer; an error is what the connection said instead.
pub(crate) async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let mut sender = connect(address).await;
    timeout(PATIENCE, sender.send_request(request)).await.expect("an answer begins in time")
}

/// Writes bytes, half-closes if `ended`, and returns all that comes back until the other side closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8], ended: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read everything: that is an answer too.
    let written = stream.write_all(bytes).await;
    if ended && written.is_ok() {
        let _ = stream.shutdown().await;
    }
    let mut received = Vec::new();
    let reading = async {
        let mut piece = [0; 4096];
        while let Ok(length) = stream.read(&mut piece).await {
            if length == 0 {
                break;
            }
            received.extend_from_slice(&piece[..length]);
        }
    };
    timeout(PATIENCE, reading).await.expect("the connection is closed in time");
    String::from_utf8(received).unwrap()
}

impl super::Gateway {
    /// A request with the usual headers.
    pub(crate) fn builder(&self, path: &str) -> http::request::Builder {
        Request::post(path)
            .header("host", self.address().to_string())
            .header("authorization", format!("Bearer {}", super::KEY))
            .header("content-type", "application/json")
    }

    /// Posts a body and reads the whole answer.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(self.builder(path).body(Full::new(body.into())).unwrap()).await
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = exchange(self.address(), request).await.unwrap();
        timeout(PATIENCE, Answer::read(response)).await.expect("an answer ends in time")
    }

    /// Gets a path with the usual headers.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let mut request = self.builder(path).body(Full::default()).unwrap();
        *request.method_mut() = http::Method::GET;
        self.send(request).await
    }
}
