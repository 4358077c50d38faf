//! What clients have open at this moment.
//!
//! Owns two counts: requests whose answers have not been handed to their connections, and connections whose sockets are full.
//! Must not know what is asked. Whether a drain is complete is read from these and not from connections: clients keep those for
//! later, and a later that never comes is nothing cut off.

use crate::body::BrokenOff;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: AtomicU32,
    full: AtomicU32,
}

impl Traffic {
    /// A request comes in.
    #[must_use]
    pub(crate) fn request(self: &Arc<Self>) -> Underway {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Underway(Arc::clone(self))
    }

    /// A socket takes no more for now.
    #[must_use]
    pub(crate) fn full_socket(self: &Arc<Self>) -> Full {
        self.full.fetch_add(1, Ordering::AcqRel);
        Full(Arc::clone(self))
    }

    /// Whether every request has been answered and every answer has left.
    pub(crate) fn is_over(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0 && self.full.load(Ordering::Acquire) == 0
    }
}

/// A request that has not been answered; dropped with the last of its answer.
#[derive(Debug)]
pub(crate) struct Underway(Arc<Traffic>);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A socket that is full.
#[derive(Debug)]
pub(crate) struct Full(Arc<Traffic>);

impl Drop for Full {
    fn drop(&mut self) {
        self.0.full.fetch_sub(1, Ordering::AcqRel);
    }
}

pin_project! {
    /// The body of an answer, under way until its end.
    pub(crate) struct Carried<B> {
        #[pin]
        body: B,
        _underway: Underway,
    }
}

impl<B> Carried<B> {
    pub(crate) const fn new(body: B, underway: Underway) -> Self {
        Self { body, _underway: underway }
    }
}

impl<B: Body<Data = Bytes, Error = BrokenOff>> Body for Carried<B> {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::AnswerBody;

    #[test]
    fn a_request_is_under_way_until_its_answer_is_gone() {
        let traffic = Arc::new(Traffic::default());
        assert!(traffic.is_over());
        let body = Carried::new(AnswerBody::text("hello"), traffic.request());
        let full = traffic.full_socket();
        assert!(!traffic.is_over());
        assert_eq!(body.size_hint().exact(), Some(5));
        drop(body);
        assert!(!traffic.is_over(), "what was written has not left");
        drop(full);
        assert!(traffic.is_over());
    }
}
