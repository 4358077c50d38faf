//! What is sent: a request with its body as a rope of byte strings.
//!
//! Owns the body's framing for hyper: exact length, no copy, one frame for each piece. Knows nothing of connections.
//! A rope, because an edited body is the client's own bytes with a few replaced: joining them would copy the prompt.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;

/// One request to a provider.
#[derive(Debug)]
pub struct UpstreamRequest {
    /// The method.
    pub method: Method,
    /// An absolute URL.
    pub uri: Uri,
    /// End-to-end headers. `connection`, `transfer-encoding` and `content-length` are the transport's and are replaced;
    /// `host`, `user-agent` and `accept-encoding` are added when absent.
    pub headers: HeaderMap,
    /// The body.
    pub body: RequestBody,
    /// Limit of the wait for a connection, a dial included; the transport's own when `None`.
    pub connect_timeout: Option<Duration>,
    /// Limit from the hand-over of the request to a connection until the response headers; `None` is no limit.
    pub headers_timeout: Option<Duration>,
}

impl UpstreamRequest {
    /// A request without headers and without its own timeouts.
    #[must_use]
    pub fn new(method: Method, uri: Uri, body: RequestBody) -> Self {
        Self { method, uri, headers: HeaderMap::new(), body, connect_timeout: None, headers_timeout: None }
    }
}

/// A request body in pieces, sent in order and without copying, its length known exactly.
///
/// Small in itself: hyper keeps room for 32 requests in each HTTP/1.1 connection's queue, used or not.
#[derive(Debug, Default, Clone)]
pub struct RequestBody {
    /// Those still to be sent.
    pieces: std::vec::IntoIter<Bytes>,
    remaining: u64,
}

impl RequestBody {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The pieces in order; empty ones are dropped.
    #[must_use]
    pub fn from_pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: Vec<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let remaining = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into_iter(), remaining }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.remaining
    }

    /// The pieces that are still to be sent, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.as_slice().iter().map(AsRef::as_ref)
    }

    /// True when there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::from_pieces([bytes])
    }
}

impl From<SmallVec<[Bytes; 4]>> for RequestBody {
    fn from(pieces: SmallVec<[Bytes; 4]>) -> Self {
        Self::from_pieces(pieces)
    }
}

impl From<Vec<Bytes>> for RequestBody {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self::from_pieces(pieces)
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        Poll::Ready(this.pieces.next().map(|piece| {
            this.remaining -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_length_is_exact_at_every_step(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let whole = pieces.concat();
            let mut body = RequestBody::from_pieces(pieces.into_iter().map(Bytes::from));
            prop_assert_eq!(body.len(), whole.len() as u64);
            let mut context = Context::from_waker(std::task::Waker::noop());
            let mut seen = Vec::new();
            while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
                let data = frame.expect("infallible").into_data().expect("only data frames");
                prop_assert!(!data.is_empty());
                seen.extend_from_slice(&data);
                prop_assert_eq!(body.size_hint().exact(), Some((whole.len() - seen.len()) as u64));
            }
            prop_assert!(body.is_end_stream());
            prop_assert_eq!(seen, whole);
        }
    }
}
