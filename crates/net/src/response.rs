//! What comes back: status, headers, a body to be polled, and the time that each phase took.
//!
//! Owns the end of a body: read to it, the connection returns to the pool by itself; dropped before it, the request is
//! cancelled at once. Does not interpret a byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::BodyError;
use crate::error::classify_body;
use crate::pool::{Lease, Protocol};

/// A response whose headers have come.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// The protocol of the connection.
    pub version: Version,
    /// The body, still coming.
    pub body: UpstreamBody,
    /// What took how long.
    pub phases: Phases,
}

/// What took how long, for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    /// The wait for a connection, apart from what its dial took.
    pub queue: Duration,
    /// Name resolution; `None` when the request did not wait for a dial.
    pub resolve: Option<Duration>,
    /// TCP connect; `None` when the request did not wait for a dial.
    pub connect: Option<Duration>,
    /// TLS handshake; `None` when the request did not wait for a dial, or on cleartext.
    pub tls: Option<Duration>,
    /// From the call of `send` until the request was handed to its connection. When the last byte of it has left is
    /// not known.
    pub sent: Duration,
    /// From the call of `send` until the response headers.
    pub first_byte: Duration,
    /// True when the connection was open already. Requests that shared in one dial count as not reused.
    pub reused: bool,
}

/// A response body.
///
/// Dropping it before its end cancels the request: an HTTP/1.1 connection is closed, an HTTP/2 stream is reset. If the
/// end has arrived but has not been polled for, the connection is kept all the same.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    /// Present until the body ends.
    lease: Option<Lease>,
    content_length: Option<u64>,
}

impl UpstreamBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease) -> Self {
        let content_length = incoming.size_hint().exact();
        let mut body = Self { incoming, lease: Some(lease), content_length };
        body.finish_if_ended();
        body
    }

    /// Length of the whole body in bytes, when the server has told it.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// True when the whole body has been read, or reading it has failed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.lease.is_none()
    }

    /// The next bytes as they came from the connection; `None` at the end of the body and after an error.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// As [`UpstreamBody::chunk`].
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        while self.lease.is_some() {
            let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            match frame {
                Some(Ok(frame)) => {
                    self.finish_if_ended();
                    // What is not data is trailers, and no provider says anything in those.
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(classify_body(&error))));
                }
                None => self.finish(),
            }
        }
        Poll::Ready(None)
    }

    fn finish_if_ended(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(context)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // A reader that stops at the protocol's own last event has not seen the last, empty chunk of HTTP/1.1.
        if self.lease.as_ref().is_some_and(|lease| lease.protocol() == Protocol::Exclusive) {
            let mut context = Context::from_waker(std::task::Waker::noop());
            if let Poll::Ready(None) = Pin::new(&mut self.incoming).poll_frame(&mut context) {
                self.finish();
            }
        }
    }
}
