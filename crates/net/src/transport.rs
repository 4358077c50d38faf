//! The client itself: finds the pool of an origin, sends, and retries the one case that is safe.
//!
//! Owns the map of pools and the rewriting of a request for HTTP/1.1 or HTTP/2. Knows no provider.
//!
//! The one retry: a connection from the pool may have been closed by the server in the moment it was taken. hyper then
//! gives the request back, which proves that not a byte of it was sent. In HTTP/2 the server says itself which requests it
//! has not processed: those its farewell does not cover, and streams that it refuses. Everything else is the caller's to
//! repeat.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::{Authority, Parts, PathAndQuery};
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use hyper::body::Incoming;
use parking_lot::RwLock;

use crate::dial::Dialer;
use crate::error::classify_send;
use crate::origin::OriginView;
use crate::pool::{Exchange, Freshness, Granted, Lease, Limits, OriginPool, OriginStats, Protocol};
use crate::request::RequestBody;
use crate::{
    Origin, Phases, SendError, TransportConfig, TransportError, UpstreamBody, UpstreamRequest,
    UpstreamResponse,
};

/// The HTTP client. Cheap to clone; all clones share their connections, which close when the last clone is gone and
/// their responses are read.
#[derive(Debug, Clone)]
pub struct Transport {
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By the hash of the origin, ascending. A search over a few words beats hashing into a map, and no key is built.
    pools: RwLock<Vec<(u64, Arc<OriginPool>)>>,
    dialer: Arc<Dialer>,
    limits: Limits,
    max_origins: usize,
    connect_timeout: Duration,
    header_limit: usize,
    user_agent: HeaderValue,
    config: TransportConfig,
}

impl Transport {
    /// A transport without connections. Reads the operating system's root certificates if so configured.
    ///
    /// # Errors
    /// [`TransportError`] when a setting cannot be used.
    pub fn new(config: &TransportConfig) -> Result<Self, TransportError> {
        for (name, value) in [
            ("max_connections_per_origin", config.max_connections_per_origin),
            ("max_waiting_per_origin", config.max_waiting_per_origin),
            ("max_origins", config.max_origins),
            ("http2_max_streams_per_connection", config.http2_max_streams_per_connection),
            ("max_response_header_bytes", config.max_response_header_bytes),
        ] {
            if value == 0 {
                return Err(TransportError::ZeroLimit(name));
            }
        }
        let user_agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| TransportError::UserAgent(config.user_agent.clone()))?;
        let limits = Limits {
            max_connections: config.max_connections_per_origin,
            max_idle: config.max_idle_per_origin,
            max_waiting: config.max_waiting_per_origin,
            max_streams: config.http2_max_streams_per_connection,
            idle_timeout: config.pool_idle_timeout,
        };
        Ok(Self {
            shared: Arc::new(Inner {
                pools: RwLock::new(Vec::new()),
                dialer: Arc::new(Dialer::new(config)?),
                limits,
                max_origins: config.max_origins,
                connect_timeout: config.connect_timeout,
                header_limit: config.max_response_header_bytes,
                user_agent,
                config: config.clone(),
            }),
        })
    }

    /// Sends a request and waits for the response headers. Dropping the future cancels the request.
    ///
    /// # Errors
    /// [`SendError`] says how far it came; [`SendError::is_unprocessed`] whether it may be sent again blindly.
    pub fn send(
        &self,
        request: UpstreamRequest,
    ) -> impl Future<Output = Result<UpstreamResponse, SendError>> + Send + '_ {
        // Prepared here and not in the future, which would carry the request in both its forms.
        let start = now();
        let connect_timeout = request.connect_timeout.unwrap_or(self.shared.connect_timeout);
        let headers_timeout = request.headers_timeout;
        let pool = self.pool(&request.uri);
        let mut outgoing = self.outgoing(request);
        async move {
            let pool = pool?;
            let (mut freshness, mut limit) = (Freshness::Any, connect_timeout);
            loop {
                let Granted { mut lease, dialed } = pool.acquire(freshness, limit).await?;
                address(&mut outgoing, lease.protocol(), &pool);
                let sent = now() - start;
                match lease.exchange(outgoing, headers_timeout).await {
                    Exchange::Response(response) => {
                        let first_byte = now() - start;
                        let mut phases = Phases {
                            queue: sent,
                            resolve: None,
                            connect: None,
                            tls: None,
                            sent,
                            first_byte,
                            reused: dialed.is_none(),
                        };
                        if let Some(times) = dialed {
                            let dial = times.resolve + times.connect + times.tls.unwrap_or_default();
                            phases.queue = sent.saturating_sub(dial);
                            phases.resolve = Some(times.resolve);
                            phases.connect = Some(times.connect);
                            phases.tls = times.tls;
                        }
                        return accept(response, lease, phases);
                    }
                    Exchange::Unprocessed { request, error, was_sent } => {
                        lease.discard();
                        if freshness == Freshness::New {
                            return Err(self.failure(&error, &pool, !was_sent));
                        }
                        freshness = Freshness::New;
                        limit = connect_timeout.saturating_sub(now() - start);
                        outgoing = *request;
                    }
                    Exchange::Failed(error) => return Err(self.failure(&error, &pool, false)),
                    Exchange::TimedOut(limit) => {
                        return Err(SendError::HeadersTimeout { origin: pool.origin().to_string(), limit });
                    }
                }
            }
        }
    }

    /// Dials the origin if there is no connection to it, without waiting. A failure shows with the first request.
    ///
    /// # Errors
    /// [`SendError`] when the origin cannot have a pool.
    pub fn warm(&self, origin: &Uri) -> Result<(), SendError> {
        self.pool(origin)?.warm();
        Ok(())
    }

    /// The settings it was made with.
    pub(crate) fn config(&self) -> &TransportConfig {
        &self.shared.config
    }

    /// What each pool holds and has done.
    #[must_use]
    pub fn stats(&self) -> Vec<OriginStats> {
        self.shared.pools.read().iter().map(|(_, pool)| pool.stats()).collect()
    }

    fn pool(&self, uri: &Uri) -> Result<Arc<OriginPool>, SendError> {
        let view = OriginView::of(uri)?;
        let hash = view.hash();
        if let Some(pool) = find(&self.shared.pools.read(), hash, &view) {
            return Ok(pool.clone());
        }
        let origin = Origin::of(uri)?;
        let mut pools = self.shared.pools.write();
        if let Some(pool) = find(&pools, hash, &view) {
            return Ok(pool.clone());
        }
        if pools.len() >= self.shared.max_origins {
            pools.retain(|(_, pool)| Arc::strong_count(pool) > 1 || !pool.is_quiet());
        }
        if pools.len() >= self.shared.max_origins {
            return Err(SendError::PoolExhausted {
                origin: origin.to_string(),
                detail: format!("{} origins are in use already", pools.len()),
            });
        }
        let pool = OriginPool::new(origin, self.shared.limits.clone(), self.shared.dialer.clone())?;
        let pool = Arc::new(pool);
        let position = pools.partition_point(|(other, _)| *other < hash);
        pools.insert(position, (hash, pool.clone()));
        Ok(pool)
    }

    fn outgoing(&self, request: UpstreamRequest) -> Request<RequestBody> {
        let mut outgoing = Request::new(request.body);
        *outgoing.method_mut() = request.method;
        *outgoing.uri_mut() = request.uri;
        let has_empty_body = outgoing.body().is_empty();
        let mut headers = request.headers;
        // The framing is hyper's, from the exact length of the body.
        headers.remove(CONTENT_LENGTH);
        if has_empty_body && matches!(*outgoing.method(), Method::POST | Method::PUT | Method::PATCH) {
            // hyper leaves it out, and some servers wait for a body then (RFC 9110, section 8.6).
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONNECTION);
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        headers.entry(USER_AGENT).or_insert_with(|| self.shared.user_agent.clone());
        *outgoing.headers_mut() = headers;
        outgoing
    }

    fn failure(&self, error: &hyper::Error, pool: &OriginPool, returned: bool) -> SendError {
        classify_send(error, pool.origin().to_string(), returned, self.shared.header_limit)
    }
}

/// The monotonic clock, as tokio sees it: tests can stop it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn find<'a>(
    pools: &'a [(u64, Arc<OriginPool>)],
    hash: u64,
    view: &OriginView<'_>,
) -> Option<&'a Arc<OriginPool>> {
    let first = pools.partition_point(|(other, _)| *other < hash);
    pools[first..]
        .iter()
        .take_while(|(other, _)| *other == hash)
        .map(|(_, pool)| pool)
        .find(|pool| view.matches(pool.origin()))
}

fn accept(
    response: http::Response<Incoming>,
    lease: Lease,
    phases: Phases,
) -> Result<UpstreamResponse, SendError> {
    let (head, incoming) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let detail = "it switches protocols without having been asked".to_owned();
        return Err(SendError::Protocol { origin: lease.origin().to_string(), detail });
    }
    Ok(UpstreamResponse {
        status: head.status,
        headers: head.headers,
        version: head.version,
        body: UpstreamBody::new(incoming, lease),
        phases,
    })
}

/// Gives the request the form its connection's protocol wants; safe to repeat for another protocol.
fn address(request: &mut Request<RequestBody>, protocol: Protocol, pool: &OriginPool) {
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if protocol == Protocol::Shared {
        // A host chosen by the caller becomes the pseudo-header.
        let own = request.headers_mut().remove(HOST);
        let authority = own
            .and_then(|host| Authority::try_from(host.as_bytes()).ok())
            .unwrap_or_else(|| pool.authority().clone());
        let mut parts = Parts::default();
        parts.scheme = Some(pool.origin().scheme().to_uri_scheme());
        parts.authority = Some(authority);
        parts.path_and_query = Some(path);
        *request.uri_mut() = Uri::from_parts(parts).expect("scheme, authority and path make a URI");
        *request.version_mut() = Version::HTTP_2;
    } else {
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().entry(HOST).or_insert_with(|| pool.host().clone());
    }
}
