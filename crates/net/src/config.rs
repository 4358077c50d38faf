//! The settings of a transport: limits, timeouts, trust.
//!
//! Owns plain values with safe defaults; reads no environment and no file. Everything that grows at run time has its
//! bound here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::Origin;
use crate::media::Guard;

/// How a [`crate::Transport`] dials, pools and trusts.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Limit of name resolution, TCP connect and TLS handshake together, and of the wait for a pooled connection.
    /// A request may ask for less. Default 10 s.
    pub connect_timeout: Duration,
    /// Limit of the TLS handshake alone, within `connect_timeout`. Default 5 s.
    pub tls_timeout: Duration,
    /// A connection without a request is closed after this time. Default 90 s.
    pub pool_idle_timeout: Duration,
    /// Idle HTTP/1.1 connections kept for one origin; the longest idle goes first. Default 256.
    pub max_idle_per_origin: usize,
    /// Open connections to one origin, idle or not. Default 4,096.
    pub max_connections_per_origin: usize,
    /// Requests that may wait for a connection to one origin; further ones fail at once. Default 4,096.
    pub max_waiting_per_origin: usize,
    /// Origins with a pool; a further one displaces one without connections, or fails. Default 1,024.
    pub max_origins: usize,
    /// Streams on one HTTP/2 connection before another is opened; the peer's own limit is respected when it is lower.
    /// Default 100, the limit that most servers announce.
    pub http2_max_streams_per_connection: usize,
    /// A ping goes out after this time without traffic on an HTTP/2 connection with open streams; unanswered for 20 s,
    /// the connection is given up. `None` turns it off. Default 30 s.
    pub http2_keep_alive: Option<Duration>,
    /// Flow-control window of one HTTP/2 stream, in bytes: what a slow reader makes us hold. Default 256 KiB.
    pub http2_stream_window: u32,
    /// TCP keep-alive probes start after this time without traffic. `None` turns them off. Default 30 s.
    pub tcp_keep_alive: Option<Duration>,
    /// Bytes of response status line and headers. Default 64 KiB.
    pub max_response_header_bytes: usize,
    /// The `user-agent` of requests that bring none. Default `trunkline/VERSION`.
    pub user_agent: String,
    /// Whether HTTP/2 is offered in the TLS handshake.
    pub http2: Http2,
    /// Cleartext origins that speak HTTP/2 without negotiation.
    pub http2_prior_knowledge: Vec<Origin>,
    /// The certificate authorities to trust.
    pub roots: Roots,
    /// PEM texts of further certificate authorities to trust, each with one certificate or more.
    pub extra_roots: Vec<String>,
    /// Hosts whose certificates are accepted unseen. Each is logged as a warning when the transport is made. For
    /// simulators and laboratories.
    pub insecure_hosts: Vec<String>,
    /// Addresses to use in place of name resolution, by host (lower case). The port of the address counts, so that a
    /// public name can be played by a local port. An empty list is a name that does not resolve.
    pub dns_overrides: HashMap<String, Vec<SocketAddr>>,
    /// How long a resolved name is used again. Default 30 s.
    pub dns_ttl: Duration,
    /// Judges every address before it is dialed; a refused one is as good as a name without addresses. Default none.
    pub guard: Option<Arc<Guard>>,
}

/// Whether HTTP/2 is offered in the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http2 {
    /// Offer it and let the server choose.
    #[default]
    Offer,
    /// HTTP/1.1 only.
    Off,
}

/// The certificate authorities to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roots {
    /// Mozilla's list as compiled in, and those of the operating system.
    #[default]
    BundledAndNative,
    /// Mozilla's list as compiled in.
    Bundled,
    /// Nothing but `extra_roots`.
    ExtraOnly,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            tls_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(90),
            max_idle_per_origin: 256,
            max_connections_per_origin: 4096,
            max_waiting_per_origin: 4096,
            max_origins: 1024,
            http2_max_streams_per_connection: 100,
            http2_keep_alive: Some(Duration::from_secs(30)),
            http2_stream_window: 256 * 1024,
            tcp_keep_alive: Some(Duration::from_secs(30)),
            max_response_header_bytes: 64 * 1024,
            user_agent: concat!("trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
            http2: Http2::Offer,
            http2_prior_knowledge: Vec::new(),
            roots: Roots::BundledAndNative,
            extra_roots: Vec::new(),
            insecure_hosts: Vec::new(),
            dns_overrides: HashMap::new(),
            dns_ttl: Duration::from_secs(30),
            guard: None,
        }
    }
}
