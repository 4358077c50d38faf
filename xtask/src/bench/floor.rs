//! The floor: a pass-through proxy by hyper and nothing else.
//!
//! Owns the least that a proxy in Rust does: accept, take a pooled connection, pass the head and the bytes on, both
//! ways. What the gateway costs is told as a ratio to it, because a ratio survives a change of machine. A second form
//! also reads `model` from the request and `usage` from the answer by serde, the least that anything which meters must
//! do without further thought.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::sync::Notify;

use super::subject;

type Passed = Either<Incoming, Full<Bytes>>;
type Pool = Client<HttpConnector, Passed>;

/// Why a request could not be passed on; hyper then closes the client's connection.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("failed to reach the upstream: {0}")]
    Upstream(#[from] hyper_util::client::legacy::Error),
    #[error("failed to read a body: {0}")]
    Body(#[from] hyper::Error),
    #[error("failed to read an answer: {0}")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to read JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("failed to make the upstream's address: {0}")]
    Address(#[from] http::Error),
}

/// What the proxy reads of what it passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reading {
    /// Nothing: bytes in, bytes out.
    Nothing,
    /// `model` of the request and `usage` of the answer, by serde.
    ModelAndUsage,
}

/// Serves until standard input ends.
///
/// # Errors
/// When no port can be had.
pub(super) fn run(upstream: SocketAddr, reading: Reading, polling: bool) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start")?;
    let upstream: Authority =
        upstream.to_string().parse().context("failed to read the upstream's address")?;
    runtime.block_on(async {
        let polling = if polling { Polling::begin() } else { Polling::default() };
        tokio::spawn(serve(upstream, reading, polling)).await.context("failed to serve")?
    })
}

/// While it is told of requests, and for a while after, a task that is always ready: the runtime then asks for events without
/// ever sleeping in it. In between it sleeps, because other servers have their turns on the same core.
#[derive(Debug, Clone, Default)]
struct Polling(Option<Arc<Notify>>);

impl Polling {
    /// How long it stays awake after a request.
    const LINGER: Duration = Duration::from_millis(2);

    fn begin() -> Self {
        let stirred = Arc::new(Notify::new());
        let polling = Self(Some(Arc::clone(&stirred)));
        tokio::spawn(async move {
            loop {
                stirred.notified().await;
                let begin = Instant::now();
                while begin.elapsed() < Self::LINGER {
                    tokio::task::yield_now().await;
                }
            }
        });
        polling
    }

    fn stir(&self) {
        if let Some(stirred) = &self.0 {
            stirred.notify_one();
        }
    }
}

async fn serve(upstream: Authority, reading: Reading, polling: Polling) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("failed to listen")?;
    subject::announce(listener.local_addr().context("failed to read the port")?);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
        let (pool, upstream, polling) = (pool.clone(), upstream.clone(), polling.clone());
        let service = hyper::service::service_fn(move |request| {
            polling.stir();
            let (pool, upstream) = (pool.clone(), upstream.clone());
            async move {
                match reading {
                    Reading::Nothing => pass(&pool, upstream, request.map(Either::Left)).await,
                    Reading::ModelAndUsage => read_and_pass(&pool, upstream, request).await,
                }
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // A connection that fails has a client that went away; the next one is served all the same.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn pass(
    pool: &Pool,
    upstream: Authority,
    mut request: Request<Passed>,
) -> Result<Response<Passed>, Failure> {
    *request.uri_mut() = towards(upstream, request.uri())?;
    drop_hop_headers(request.headers_mut());
    let mut response = pool.request(request).await?;
    drop_hop_headers(response.headers_mut());
    Ok(response.map(Either::Left))
}

async fn read_and_pass(
    pool: &Pool,
    upstream: Authority,
    request: Request<Incoming>,
) -> Result<Response<Passed>, Failure> {
    #[derive(Deserialize)]
    struct Call<'body> {
        #[serde(borrow)]
        model: Cow<'body, str>,
        #[serde(default)]
        stream: bool,
    }
    #[derive(Deserialize)]
    struct Answer {
        usage: Usage,
    }
    #[derive(Deserialize)]
    struct Usage {
        #[serde(alias = "prompt_tokens")]
        input_tokens: u64,
        #[serde(alias = "completion_tokens")]
        output_tokens: u64,
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call: Call<'_> = serde_json::from_slice(&body)?;
    std::hint::black_box(call.model.len());
    let stream = call.stream;
    let response = pass(pool, upstream, Request::from_parts(head, Either::Right(Full::new(body)))).await?;
    if stream || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(Failure::Answer)?.to_bytes();
    let answer: Answer = serde_json::from_slice(&body)?;
    std::hint::black_box(answer.usage.input_tokens + answer.usage.output_tokens);
    Ok(Response::from_parts(head, Either::Right(Full::new(body))))
}

fn towards(upstream: Authority, uri: &Uri) -> Result<Uri, http::Error> {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::builder().scheme(Scheme::HTTP).authority(upstream).path_and_query(path).build()
}

/// Headers that are about one connection only.
fn drop_hop_headers(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::HOST] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_their_path_and_get_the_upstreams_authority() {
        let uri = towards("127.0.0.1:80".parse().unwrap(), &"/v1/models?a=b".parse().unwrap()).unwrap();
        assert_eq!(uri, "http://127.0.0.1:80/v1/models?a=b");
    }

    #[test]
    fn headers_of_the_connection_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, "close".parse().unwrap());
        headers.insert(header::ACCEPT, "*/*".parse().unwrap());
        drop_hop_headers(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), [header::ACCEPT]);
    }
}
