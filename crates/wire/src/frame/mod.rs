//! Cutting an answer's bytes into frames, incrementally.
//!
//! Owns the framings (server-sent events, binary messages, a streamed JSON array, one whole body) and their one property: how the
//! network cut the bytes never shows in the frames. Must not know what a frame means. A frame keeps its exact bytes, so that
//! the same dialect on both sides forwards what came; frames within one chunk are slices of it, only those that span chunks
//! are copied, once.

mod array;
mod body;
mod buffer;
mod chunks;
mod event_stream;
mod sse;

use crate::codec::Frame;
use bytes::Bytes;
use std::ops::Range;
use trunkline_model::failure::{Failure, FailureClass};

/// The usual bound on one frame: larger than any inline picture a provider answers with.
pub const FRAME_LIMIT: usize = 32 << 20;

/// How an answer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events (WHATWG HTML, "Server-sent events").
    Sse,
    /// A JSON array whose elements are the frames (Gemini without `alt=sse`).
    JsonArray,
    /// Binary messages with checksums (`application/vnd.amazon.eventstream`).
    EventStream,
    /// The whole body is one frame.
    Body,
    /// Every chunk is one: sound has no frames.
    Chunks,
}

/// Bytes in, frames out.
#[derive(Debug)]
pub struct Framer(Kind);

#[derive(Debug)]
enum Kind {
    Sse(sse::Sse),
    Array(array::Array),
    Messages(event_stream::EventStream),
    Body(body::Body),
    Chunks(chunks::Chunks),
}

impl Framer {
    /// A framer that refuses frames of more than `limit` bytes.
    #[must_use]
    pub const fn new(framing: Framing, limit: usize) -> Self {
        Self(match framing {
            Framing::Sse => Kind::Sse(sse::Sse::new(limit)),
            Framing::JsonArray => Kind::Array(array::Array::new(limit)),
            Framing::EventStream => Kind::Messages(event_stream::EventStream::new(limit)),
            Framing::Body => Kind::Body(body::Body::new(limit)),
            Framing::Chunks => Kind::Chunks(chunks::Chunks::new()),
        })
    }

    /// Takes the next chunk. Call `next` until it gives `None` before pushing again, or the chunks are joined.
    pub fn push(&mut self, chunk: Bytes) {
        match &mut self.0 {
            Kind::Sse(sse) => sse.push(chunk),
            Kind::Array(array) => array.push(chunk),
            Kind::Messages(messages) => messages.push(chunk),
            Kind::Body(body) => body.push(chunk),
            Kind::Chunks(chunks) => chunks.push(chunk),
        }
    }

    /// The next complete frame, if there is one.
    ///
    /// # Errors
    /// `Malformed` when a frame exceeds the limit or the bytes cannot be frames at all.
    #[expect(clippy::should_implement_trait, reason = "None means `not yet`, not `never again`")]
    pub fn next(&mut self) -> Result<Option<RawFrame>, Failure> {
        match &mut self.0 {
            Kind::Sse(sse) => sse.next(),
            Kind::Array(array) => array.next(),
            Kind::Messages(messages) => messages.next(),
            Kind::Body(body) => body.next(),
            Kind::Chunks(chunks) => Ok(chunks.next()),
        }
    }

    /// The body ended: gives the last frame, if the end completes one.
    ///
    /// # Errors
    /// `Cut` when the body ended inside a frame.
    pub fn finish(&mut self) -> Result<Option<RawFrame>, Failure> {
        match &mut self.0 {
            Kind::Sse(sse) => sse.finish(),
            Kind::Array(array) => array.finish(),
            Kind::Messages(messages) => messages.finish(),
            Kind::Body(body) => body.finish(),
            Kind::Chunks(chunks) => Ok(chunks.next()),
        }
    }

    /// Bytes taken and not yet given out.
    #[must_use]
    pub fn pending(&self) -> usize {
        match &self.0 {
            Kind::Sse(sse) => sse.pending(),
            Kind::Array(array) => array.pending(),
            Kind::Messages(messages) => messages.pending(),
            Kind::Body(body) => body.pending(),
            Kind::Chunks(chunks) => chunks.pending(),
        }
    }
}

/// One frame: its exact bytes and what they say. Frames follow each other without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    raw: Bytes,
    event: Range<usize>,
    data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Data {
    /// None: a comment, a heartbeat, separators.
    Absent,
    /// A range of the raw bytes.
    Within(Range<usize>),
    /// Several data lines, joined.
    Joined(Vec<u8>),
}

impl RawFrame {
    /// The exact bytes, terminator and separators included.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The exact bytes, given away.
    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// Whether there is a payload; a frame without one (comment, heartbeat) is not for decoders or observers.
    #[must_use]
    pub const fn has_data(&self) -> bool {
        !matches!(self.data, Data::Absent)
    }

    /// What a decoder or observer is to see.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        let data = match &self.data {
            Data::Absent => &[],
            Data::Within(range) => &self.raw[range.clone()],
            Data::Joined(joined) => joined.as_slice(),
        };
        // An event name that is not UTF-8 is nobody's event.
        let event = std::str::from_utf8(&self.raw[self.event.clone()]).unwrap_or_default();
        Frame { event, data }
    }
}

/// A frame that grew beyond the limit.
#[cold]
fn too_large(limit: usize) -> Failure {
    Failure::new(FailureClass::Malformed, format!("the provider sent a frame of more than {limit} bytes"))
}

#[cfg(test)]
mod tests;
