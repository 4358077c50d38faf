//! Every chunk a frame of its own, for answers that have no frames.
//!
//! Owns nothing but the chunk under way. Must not hold more: what passes here is as long as it likes.

use super::{Data, RawFrame};
use bytes::{Bytes, BytesMut};

#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunk: Bytes,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { chunk: Bytes::new() }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
            return;
        }
        // Only when nobody asked for the frame in between.
        let mut joined = BytesMut::from(&self.chunk[..]);
        joined.extend_from_slice(&chunk);
        self.chunk = joined.freeze();
    }

    pub(super) fn pending(&self) -> usize {
        self.chunk.len()
    }

    pub(super) fn next(&mut self) -> Option<RawFrame> {
        if self.chunk.is_empty() {
            return None;
        }
        let raw = std::mem::take(&mut self.chunk);
        let data = Data::Within(0..raw.len());
        Some(RawFrame { raw, event: 0..0, data })
    }
}
