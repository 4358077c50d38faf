//! A whole body as one frame.
//!
//! Owns collecting it up to the limit. Must not look at it.

use super::buffer::Buffer;
use super::{Data, RawFrame, too_large};
use bytes::Bytes;
use trunkline_model::failure::Failure;

#[derive(Debug)]
pub(super) struct Body {
    buffer: Buffer,
    limit: usize,
}

impl Body {
    pub(super) const fn new(limit: usize) -> Self {
        Self { buffer: Buffer::new(), limit }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    pub(super) fn pending(&self) -> usize {
        self.buffer.bytes().len()
    }

    pub(super) fn next(&self) -> Result<Option<RawFrame>, Failure> {
        if self.pending() > self.limit { Err(too_large(self.limit)) } else { Ok(None) }
    }

    pub(super) fn finish(&mut self) -> Result<Option<RawFrame>, Failure> {
        self.next()?;
        let raw = self.buffer.take_all();
        if raw.is_empty() {
            return Ok(None);
        }
        let data = Data::Within(0..raw.len());
        Ok(Some(RawFrame { raw, event: 0..0, data }))
    }
}
