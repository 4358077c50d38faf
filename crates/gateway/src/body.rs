//! Bodies of answers.
//!
//! Owns the one body type of the server: a known text, or a stream of pieces. Must not know what is in them.

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Pieces of one answer, in order, sent without being copied together.
pub(crate) type Rope = SmallVec<[Bytes; 4]>;

/// The stream behind a streamed answer. It cannot fail: what goes wrong is told to the client inside the protocol.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The stream behind an answer that has no words for a failure: it fails itself.
pub(crate) type FrailPieces = Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>;

/// An answer ends before it is complete, and only the connection can say so: it closes without the last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("finish the answer: its provider broke off")]
pub(crate) struct BrokenOff;

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// Known pieces.
    Known {
        /// What is left to send.
        pieces: Rope,
        /// How many of them are sent.
        sent: usize,
        /// Bytes left.
        left: u64,
    },
    /// Pieces that come with time.
    Streamed(Pieces),
    /// Bytes that come with time and may break off.
    Frail(FrailPieces),
}

impl AnswerBody {
    /// A body of one text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let mut pieces = Rope::new();
        pieces.push(text.into());
        Self::rope(pieces)
    }

    /// A body of known pieces.
    #[must_use]
    pub(crate) fn rope(pieces: Rope) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self::Known { pieces, sent: 0, left }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Known { pieces, sent, left } => {
                while let Some(piece) = pieces.get_mut(*sent) {
                    *sent += 1;
                    let piece = std::mem::take(piece);
                    if !piece.is_empty() {
                        *left -= piece.len() as u64;
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Poll::Ready(None)
            }
            Self::Streamed(stream) => {
                stream.as_mut().poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
            Self::Frail(stream) => {
                stream.as_mut().poll_next(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Known { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Known { left, .. } => SizeHint::with_exact(*left),
            Self::Streamed(_) | Self::Frail(_) => SizeHint::default(),
        }
    }
}
