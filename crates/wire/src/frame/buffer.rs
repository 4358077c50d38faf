//! The unconsumed bytes of a framer.
//!
//! Owns the choice between slicing a chunk and joining chunks. Must not look at the bytes. While nothing is left over, a
//! chunk is used as it came; a frame that spans chunks is joined in a growing buffer, so that even a frame that arrives in
//! thousands of pieces is copied an amortised constant number of times.

use bytes::{Bytes, BytesMut};

#[derive(Debug)]
pub(super) enum Buffer {
    Whole(Bytes),
    Joined(BytesMut),
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self::Whole(Bytes::new())
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.bytes().is_empty() {
            *self = Self::Whole(chunk);
            return;
        }
        match self {
            Self::Whole(left) => {
                let mut joined = BytesMut::with_capacity(left.len() + chunk.len());
                joined.extend_from_slice(left);
                joined.extend_from_slice(&chunk);
                *self = Self::Joined(joined);
            }
            Self::Joined(joined) => joined.extend_from_slice(&chunk),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }

    /// Takes the first `length` bytes out.
    pub(super) fn take(&mut self, length: usize) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.split_to(length),
            Self::Joined(bytes) => bytes.split_to(length).freeze(),
        }
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> Bytes {
        match std::mem::replace(self, Self::new()) {
            Self::Whole(bytes) => bytes,
            Self::Joined(bytes) => bytes.freeze(),
        }
    }
}
