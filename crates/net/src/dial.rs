//! From an origin to a connection that can carry requests: resolve, connect, TLS, HTTP handshake.
//!
//! Owns the order of these steps, their time limits and their timing. Knows nothing of pools.
//!
//! Several addresses are tried as RFC 8305 describes, in a simple form: a next attempt starts when the one before has
//! failed or has been silent for 250 ms, and the first to connect wins. The stagger spares a host whose IPv6 route is
//! dead the full connect timeout.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::describe;
use crate::joined::Joined;
use crate::request::RequestBody;
use crate::resolve::{Addresses, Resolver};
use crate::stream::Stream;
use crate::tls::TlsSettings;
use crate::transport::now;
use crate::{DialPhase, Origin, Scheme, SendError, TransportConfig, TransportError};

/// Silence of one address after which the next is tried as well (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How long an unanswered HTTP/2 ping may stay so.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Read buffer of an HTTP/1.1 connection at its largest, in bytes.
const READ_BUFFER: usize = 128 * 1024;
/// Flow-control window of a whole HTTP/2 connection at its largest, in bytes.
const MAX_CONNECTION_WINDOW: u64 = 16 * 1024 * 1024;

pub(crate) type Http1Connection = http1::Connection<TokioIo<Stream>, RequestBody>;
pub(crate) type Http2Connection = http2::Connection<TokioIo<Stream>, RequestBody, TokioExecutor>;

/// A connection and the task-to-be that moves its bytes.
pub(crate) enum Connection {
    Http1(http1::SendRequest<RequestBody>, Box<Http1Connection>),
    Http2(http2::SendRequest<RequestBody>, Box<Http2Connection>),
}

/// A dialed connection.
pub(crate) struct Dialed {
    pub(crate) connection: Connection,
    pub(crate) times: DialTimes,
}

/// What each step of a dial took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DialTimes {
    pub(crate) resolve: Duration,
    pub(crate) connect: Duration,
    pub(crate) tls: Option<Duration>,
}

/// How far the latest dial has got, for the message of whoever stops waiting for it.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) fn phase(&self) -> DialPhase {
        match self.0.load(Ordering::Relaxed) {
            0 => DialPhase::Resolve,
            1 => DialPhase::Connect,
            2 => DialPhase::Tls,
            _ => DialPhase::Handshake,
        }
    }

    fn enter(&self, phase: DialPhase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

/// Dials for every origin of one transport.
#[derive(Debug)]
pub(crate) struct Dialer {
    connect_timeout: Duration,
    tls_timeout: Duration,
    tcp_keep_alive: Option<Duration>,
    prior_knowledge: Vec<Origin>,
    resolver: Resolver,
    tls: TlsSettings,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Dialer {
    pub(crate) fn new(config: &TransportConfig) -> Result<Self, TransportError> {
        Ok(Self {
            connect_timeout: config.connect_timeout,
            tls_timeout: config.tls_timeout,
            tcp_keep_alive: config.tcp_keep_alive,
            prior_knowledge: config.http2_prior_knowledge.clone(),
            resolver: Resolver::new(config.dns_overrides.clone(), config.dns_ttl, config.guard.clone()),
            tls: TlsSettings::new(config)?,
            http1: http1_builder(config),
            http2: http2_builder(config),
        })
    }

    /// True when a cleartext origin is known to speak HTTP/2.
    pub(crate) fn has_prior_knowledge(&self, origin: &Origin) -> bool {
        self.prior_knowledge.contains(origin)
    }

    /// Dials within the connect timeout.
    pub(crate) async fn dial(&self, origin: &Origin, progress: &Progress) -> Result<Dialed, SendError> {
        match timeout(self.connect_timeout, self.steps(origin, progress)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::ConnectTimeout {
                origin: origin.to_string(),
                phase: progress.phase(),
                limit: self.connect_timeout,
            }),
        }
    }

    async fn steps(&self, origin: &Origin, progress: &Progress) -> Result<Dialed, SendError> {
        let start = now();
        progress.enter(DialPhase::Resolve);
        let addresses = self
            .resolver
            .resolve(origin.host(), origin.port())
            .await
            .map_err(|detail| SendError::Resolve { origin: origin.to_string(), detail })?;
        let resolved = now();
        progress.enter(DialPhase::Connect);
        let tcp = connect(addresses)
            .await
            .map_err(|detail| SendError::Connect { origin: origin.to_string(), detail })?;
        self.set_options(&tcp);
        let connected = now();
        let mut times = DialTimes { resolve: resolved - start, connect: connected - resolved, tls: None };
        let (stream, is_http2) = match origin.scheme() {
            Scheme::Http => (Stream::Plain(Joined::new(tcp)), self.has_prior_knowledge(origin)),
            Scheme::Https => {
                progress.enter(DialPhase::Tls);
                let secured = self.secure(origin, tcp).await?;
                times.tls = Some(now() - connected);
                secured
            }
        };
        progress.enter(DialPhase::Handshake);
        let connection = self.shake_hands(stream, is_http2).await.map_err(|error| SendError::Closed {
            origin: origin.to_string(),
            request_sent: false,
            detail: describe(&error),
        })?;
        Ok(Dialed { connection, times })
    }

    fn set_options(&self, tcp: &TcpStream) {
        // Without it the first token of a stream can wait 40 ms for an acknowledgement.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "failed to set tcp_nodelay");
        }
        if let Some(time) = self.tcp_keep_alive {
            let keep_alive = TcpKeepalive::new().with_time(time).with_interval(time);
            if let Err(error) = SockRef::from(tcp).set_tcp_keepalive(&keep_alive) {
                tracing::debug!(%error, "failed to set tcp keep-alive");
            }
        }
    }

    async fn secure(&self, origin: &Origin, tcp: TcpStream) -> Result<(Stream, bool), SendError> {
        let refuse = |detail: String| SendError::Tls { origin: origin.to_string(), detail };
        let name =
            ServerName::try_from(origin.host().to_owned()).map_err(|error| refuse(error.to_string()))?;
        let connector = TlsConnector::from(self.tls.for_host(origin.host()));
        let tls = match timeout(self.tls_timeout, connector.connect(name, tcp)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return Err(refuse(describe(&error))),
            Err(_) => {
                return Err(SendError::ConnectTimeout {
                    origin: origin.to_string(),
                    phase: DialPhase::Tls,
                    limit: self.tls_timeout,
                });
            }
        };
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Stream::Tls(Box::new(tls)), is_http2))
    }

    async fn shake_hands(&self, stream: Stream, is_http2: bool) -> hyper::Result<Connection> {
        let io = TokioIo::new(stream);
        if is_http2 {
            let (sender, connection) = self.http2.handshake(io).await?;
            Ok(Connection::Http2(sender, Box::new(connection)))
        } else {
            let (sender, connection) = self.http1.handshake(io).await?;
            Ok(Connection::Http1(sender, Box::new(connection)))
        }
    }
}

fn http1_builder(config: &TransportConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(READ_BUFFER.max(config.max_response_header_bytes))
        .max_header_size(config.max_response_header_bytes);
    builder
}

fn http2_builder(config: &TransportConfig) -> http2::Builder<TokioExecutor> {
    let streams = config.http2_max_streams_per_connection as u64;
    let stream_window = config.http2_stream_window.clamp(16 * 1024, 0x7fff_ffff);
    // Room for every stream at once as far as it goes: otherwise a few slow readers hold up all others.
    let connection_window = (u64::from(stream_window) * streams)
        .clamp(u64::from(stream_window), MAX_CONNECTION_WINDOW.max(u64::from(stream_window)));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(u32::try_from(connection_window).unwrap_or(0x7fff_ffff))
        .max_header_list_size(u32::try_from(config.max_response_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(config.http2_keep_alive)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// The first address that accepts wins; the text tells of the last failure when none does.
async fn connect(addresses: Addresses) -> Result<TcpStream, String> {
    let count = addresses.len();
    let mut untried = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = "no address".to_owned();
    loop {
        match untried.next() {
            Some(address) => attempts.push(connect_one(address)),
            None if attempts.is_empty() => break,
            None => {}
        }
        tokio::select! {
            biased;
            Some(outcome) = attempts.next() => match outcome {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last_error = error,
            },
            () = tokio::time::sleep(STAGGER), if untried.len() > 0 => {}
        }
    }
    Err(if count > 1 {
        format!("none of {count} addresses accepted, the last: {last_error}")
    } else {
        last_error
    })
}

async fn connect_one(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| format!("{error} ({address})"))
}
