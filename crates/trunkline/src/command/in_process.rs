//! A gateway in this process, for commands that ask models as clients would.
//!
//! Owns its start on a free port, its end, and one exchange with it. Must not know what is asked: costs and answers come from
//! headers and bodies, as for everyone.

use super::serve;
use anyhow::Context;
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http::response::Parts;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trunkline_config::{KeyRing, Snapshot, Store};
use trunkline_gateway::server::{self, Drained};

/// Far more than any answer.
const LARGEST_ANSWER: usize = 64 << 20;

/// A gateway that serves this process.
pub(crate) struct InProcess {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Drained>,
}

/// A configuration as it is asked in this process: without virtual keys, and with a record of its own, since a running gateway
/// writes the configured one.
pub(crate) fn played(mut snapshot: Snapshot) -> Snapshot {
    snapshot.keys = KeyRing::new(snapshot.keys.pepper().clone());
    snapshot.server.store = Store::Memory;
    snapshot
}

impl InProcess {
    /// Starts it.
    ///
    /// # Errors
    /// No port, or a configuration that cannot be served.
    pub(crate) async fn start(snapshot: Snapshot) -> anyhow::Result<Self> {
        let gateway = serve::build(snapshot)?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on a port of 127.0.0.1")?;
        let address = listener.local_addr().context("read the address listened on")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server::run(gateway, listener, async {
            // A dropped sender stops it as well.
            let _ = stopped.await;
        }));
        Ok(Self { address, stop, server })
    }

    /// Stops it, once it has answered.
    ///
    /// # Errors
    /// When it broke down.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        // What of its own requests was open does not matter: they were answered, or given up.
        self.server.await.context("stop the gateway").map(|_| ())
    }
}

/// What an answer says of itself, and the answer.
pub(crate) struct Said {
    pub(crate) head: Parts,
    pub(crate) body: Result<Value, String>,
}

impl Said {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Dollars; `None` when unknown.
    pub(crate) fn cost_usd(&self) -> Option<f64> {
        let known = self.header("x-trunkline-cost-confidence") != Some("unknown");
        self.header("x-trunkline-cost-usd").and_then(|text| text.parse().ok()).filter(|_| known)
    }
}

/// Sends a body to a path, marked as coming from `source`, and reads the answer to the end.
///
/// # Errors
/// When there is no answer at all. One that breaks off or tells of an error is in [`Said::body`].
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    source: &str,
    body: &Value,
) -> Result<Said, String> {
    let failed = |error: hyper::Error| format!("the request failed: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors come out of the exchange as well.
    tokio::spawn(connection);
    let request = Request::post(path)
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header("x-trunkline-tags", format!("source={source}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| format!("no request: {error}"))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, LARGEST_ANSWER).collect().await;
    let body = collected.map_err(|error| format!("the answer broke off: {error}")).and_then(|collected| {
        let value: Value = serde_json::from_slice(&collected.to_bytes())
            .map_err(|error| format!("the answer is not JSON: {error}"))?;
        if head.status.is_success() {
            return Ok(value);
        }
        let error = &value["error"];
        let code = error["code"].as_str().unwrap_or("error");
        Err(format!("{} {code}: {}", head.status.as_u16(), error["message"].as_str().unwrap_or_default()))
    });
    Ok(Said { head, body })
}
