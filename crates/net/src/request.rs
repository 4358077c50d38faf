//! What is sent: a request with its body as a rope of byte strings.
//!
//! Owns the body's framing for hyper: exact length, no copy, one frame for each piece. Knows nothing of connections.
//! A rope, because an edited body is the client's own bytes with a few replaced: joining them would copy the prompt.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Method, Uri};
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;

/// Stands for a length that nobody has told; no body is that long.
const UNKNOWN_LENGTH: u64 = u64::MAX;

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

/// A request body broke off: what sends it gave up before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the request body to its end: its sender gave up")]
pub struct Interrupted;

/// The part of a body that is not here yet.
type Rest = Pin<Box<dyn Stream<Item = Result<Bytes, Interrupted>> + Send>>;

/// A request body in pieces, sent in order and without copying. Its length is known exactly, but where it is read from somebody
/// who does not say.
///
/// Small in itself: hyper keeps room for 32 requests in each HTTP/1.1 connection's queue, used or not.
#[derive(Default)]
pub struct RequestBody {
    /// Those still to be sent.
    pieces: std::vec::IntoIter<Bytes>,
    remaining: u64,
    /// What comes after them, in time.
    rest: Option<Rest>,
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RequestBody");
        shown.field("remaining", &self.remaining).field("streamed", &self.rest.is_some()).finish()
    }
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
        Self { pieces: pieces.into_iter(), remaining, rest: None }
    }

    /// A body that is sent while it is read. It cannot be sent twice, nor signed. A `length` must be right: the transport
    /// announces it.
    pub fn streamed(
        rest: impl Stream<Item = Result<Bytes, Interrupted>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self {
            pieces: Vec::new().into_iter(),
            remaining: length.unwrap_or(UNKNOWN_LENGTH),
            rest: Some(Box::pin(rest)),
        }
    }

    /// The same once more, without copying a byte of it; `None` for one that is read while it is sent.
    pub(crate) fn again(&self) -> Option<Self> {
        let pieces = || self.pieces.as_slice().to_vec().into_iter();
        self.rest.is_none().then(|| Self { pieces: pieces(), remaining: self.remaining, rest: None })
    }

    /// Length in bytes; the largest number when it is not known.
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
    type Error = Interrupted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = self.get_mut();
        if let Some(rest) = &mut this.rest {
            let piece = std::task::ready!(rest.as_mut().poll_next(context));
            if let (Some(Ok(piece)), true) = (&piece, this.remaining != UNKNOWN_LENGTH) {
                this.remaining = this.remaining.saturating_sub(piece.len() as u64);
            }
            return Poll::Ready(piece.map(|piece| piece.map(Frame::data)));
        }
        Poll::Ready(this.pieces.next().map(|piece| {
            this.remaining -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            UNKNOWN_LENGTH => SizeHint::default(),
            exact => SizeHint::with_exact(exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_streamed_body_ends_where_its_source_does_and_fails_with_it() {
        let poll = |body: &mut RequestBody| {
            let mut context = Context::from_waker(std::task::Waker::noop());
            Pin::new(body)
                .poll_frame(&mut context)
                .map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().ok())))
        };
        let pieces = || vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))];
        let mut known = RequestBody::streamed(futures_util::stream::iter(pieces()), Some(3));
        assert_eq!(known.size_hint().exact(), Some(3));
        assert_eq!(poll(&mut known), Poll::Ready(Some(Ok(Some(Bytes::from_static(b"ab"))))));
        assert_eq!(known.size_hint().exact(), Some(1));
        assert_eq!(poll(&mut known), Poll::Ready(Some(Ok(Some(Bytes::from_static(b"c"))))));
        assert!(known.is_end_stream());
        let broken = pieces().into_iter().chain([Err(Interrupted)]).collect::<Vec<_>>();
        let mut broken = RequestBody::streamed(futures_util::stream::iter(broken), None);
        assert!(!broken.is_empty() && broken.size_hint().exact().is_none());
        assert!(matches!(poll(&mut broken), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(poll(&mut broken), Poll::Ready(Some(Ok(_)))));
        assert_eq!(poll(&mut broken), Poll::Ready(Some(Err(Interrupted))));
    }

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
