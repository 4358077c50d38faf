//! An answer's body in pieces of a measure.
//!
//! Owns how much of a body is handed over at once. Must not know what is in it. The library below takes whatever it is handed
//! as soon as there is room for one byte of it, and keeps the rest: a large piece would be out of our hands, held for a client
//! that takes nothing, and its stream would look finished. So pieces are small, and the last byte of a larger one goes by
//! itself: when it finds room, so has all that came before it.

use super::stream::Flow;
use crate::body::BrokenOff;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The largest piece for a client that takes what comes.
const LARGEST: usize = 8 * 1024;
/// The largest piece for one that is slow.
const LARGEST_FOR_SLOW: usize = 1024;
/// What may be left with the library of a stream that looks finished, unless its client is slow.
const NEGLIGIBLE: usize = 1024;

pin_project! {
    /// A body cut into pieces.
    pub(crate) struct Pieces<B> {
        #[pin]
        body: B,
        rest: Bytes,
        flow: Arc<Flow>,
    }
}

impl<B> Pieces<B> {
    pub(super) const fn new(body: B, flow: Arc<Flow>) -> Self {
        Self { body, rest: Bytes::new(), flow }
    }
}

impl<B: Body<Data = Bytes, Error = BrokenOff>> Body for Pieces<B> {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.project();
        this.flow.asked();
        if this.rest.is_empty() {
            match this.body.poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    // Nothing waits for room that takes none.
                    Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(data) => *this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let piece = this.rest.split_to(length(this.rest.len(), this.flow.is_slow()));
        this.flow.gave();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        hint.exact().map_or(hint, |left| SizeHint::with_exact(left + self.rest.len() as u64))
    }
}

/// How much of what is left goes next.
const fn length(left: usize, is_slow: bool) -> usize {
    let (largest, whole) = if is_slow { (LARGEST_FOR_SLOW, 1) } else { (LARGEST, NEGLIGIBLE) };
    if left > largest {
        largest
    } else if left > whole {
        left - 1
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{AnswerBody, Rope};
    use crate::taker::Taking;
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn the_last_byte_of_much_goes_by_itself() {
        let lengths = [1, 2, 1_024, 1_025, 8_192, 8_193, 100_000];
        assert_eq!(lengths.map(|left| length(left, false)), [1, 2, 1_024, 1_024, 8_191, 8_192, 8_192]);
        assert_eq!(lengths.map(|left| length(left, true)), [1, 1, 1_023, 1_024, 1_024, 1_024, 1_024]);
    }

    proptest! {
        #[test]
        fn every_byte_arrives_in_order_and_in_measure(
            sizes in prop::collection::vec(1_usize..40_000, 1..6),
        ) {
            let whole: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|at| (at % 251) as u8).collect();
            let mut rest = Bytes::from(whole.clone());
            let rope: Rope = sizes.iter().map(|size| rest.split_to(*size)).collect();
            let flow = Arc::new(Flow::new(Taking::new(Duration::from_secs(1))));
            let mut body = Pieces::new(AnswerBody::rope(rope), flow);
            prop_assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
            let mut arrived = Vec::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut last = 0;
            while let Some(frame) = runtime.block_on(body.frame()) {
                let piece = frame.unwrap().into_data().unwrap();
                last = piece.len();
                prop_assert!(last <= LARGEST);
                arrived.extend_from_slice(&piece);
                prop_assert_eq!(body.is_end_stream(), arrived.len() == whole.len());
            }
            prop_assert!(last <= NEGLIGIBLE);
            prop_assert_eq!(arrived, whole);
        }
    }
}
