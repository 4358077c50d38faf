//! Server-sent events, as the WHATWG HTML standard parses them.
//!
//! Owns lines, fields and blank-line dispatch. Must not know event names. Two leniencies beyond the standard, both for the
//! last event only: servers that close right after `data: [DONE]` without the blank line, or without any line end, are
//! understood.

use super::buffer::Buffer;
use super::{Data, RawFrame, too_large};
use bytes::Bytes;
use std::ops::Range;
use trunkline_model::failure::{Failure, FailureClass};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
pub(super) struct Sse {
    buffer: Buffer,
    limit: usize,
    /// Everything below is relative to the first byte of the buffer, which is the first of the current event.
    line_start: usize,
    /// Bytes of the current line already searched for its end.
    searched: usize,
    event: Range<usize>,
    data: Option<Range<usize>>,
    joined: Option<Vec<u8>>,
    at_start: bool,
}

impl Sse {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            buffer: Buffer::new(),
            limit,
            line_start: 0,
            searched: 0,
            event: 0..0,
            data: None,
            joined: None,
            at_start: true,
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    pub(super) fn pending(&self) -> usize {
        self.buffer.bytes().len()
    }

    pub(super) fn next(&mut self) -> Result<Option<RawFrame>, Failure> {
        while let Some((line, next)) = self.line() {
            if line.is_empty() {
                if next > self.limit {
                    return Err(too_large(self.limit));
                }
                return Ok(Some(self.dispatch(next)));
            }
            self.field(line);
            self.line_start = next;
            self.searched = next;
        }
        if self.pending() > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(None)
    }

    /// The next complete line, without its end, and where the one after it starts.
    fn line(&mut self) -> Option<(Range<usize>, usize)> {
        let bytes = self.buffer.bytes();
        let mut start = self.line_start;
        let Some(length) = memchr::memchr2(b'\n', b'\r', &bytes[self.searched..]) else {
            self.searched = bytes.len();
            return None;
        };
        let end = self.searched + length;
        let next = match (bytes[end], bytes.get(end + 1)) {
            (b'\r', Some(b'\n')) => end + 2,
            (b'\r', None) => {
                // Whether a line feed belongs to this line end is not known yet.
                self.searched = end;
                return None;
            }
            _ => end + 1,
        };
        if self.at_start {
            self.at_start = false;
            if bytes.starts_with(BYTE_ORDER_MARK) {
                start = BYTE_ORDER_MARK.len();
            }
        }
        Some((start..end, next))
    }

    fn field(&mut self, line: Range<usize>) {
        let bytes = &self.buffer.bytes()[line.clone()];
        let Some(value) = field_value(bytes) else { return };
        let name = &bytes[..value.name];
        let range = line.start + value.start..line.end;
        match name {
            b"data" => match (&mut self.joined, &self.data) {
                (Some(joined), _) => {
                    joined.push(b'\n');
                    joined.extend_from_slice(&bytes[value.start..]);
                }
                (None, None) => self.data = Some(range),
                (None, Some(first)) => {
                    let mut joined = self.buffer.bytes()[first.clone()].to_vec();
                    joined.push(b'\n');
                    joined.extend_from_slice(&bytes[value.start..]);
                    self.joined = Some(joined);
                }
            },
            b"event" => self.event = range,
            // `id` and `retry` are for reconnecting, which an answer cannot do; unknown fields are ignored by the standard.
            _ => {}
        }
    }

    /// Gives the current event, which ends before `length`.
    fn dispatch(&mut self, length: usize) -> RawFrame {
        self.line_start = 0;
        self.searched = 0;
        let event = std::mem::replace(&mut self.event, 0..0);
        let data = match (self.joined.take(), self.data.take()) {
            (Some(joined), _) => Data::Joined(joined),
            (None, Some(range)) => Data::Within(range),
            (None, None) => Data::Absent,
        };
        RawFrame { raw: self.buffer.take(length), event, data }
    }

    pub(super) fn finish(&mut self) -> Result<Option<RawFrame>, Failure> {
        let length = self.pending();
        if length == 0 {
            return Ok(None);
        }
        // The lone carriage return that `line` waited on was a line end after all; any other rest is an unfinished line.
        let end = if self.buffer.bytes().ends_with(b"\r") { length - 1 } else { length };
        let line = self.line_start.min(end)..end;
        if !line.is_empty() {
            self.field(line);
        }
        let frame = self.dispatch(length);
        let data = frame.frame().data.trim_ascii();
        if !frame.has_data() || data == b"[DONE]" || (data.starts_with(b"{") && data.ends_with(b"}")) {
            return Ok(Some(frame));
        }
        Err(Failure::new(FailureClass::Cut, "the provider's stream ended inside an event"))
    }
}

struct FieldValue {
    /// Length of the name.
    name: usize,
    /// Where the value starts.
    start: usize,
}

/// Splits a line at its colon; `None` for comments.
fn field_value(line: &[u8]) -> Option<FieldValue> {
    // The two names that matter are short: no search over a line that may be megabytes.
    let colon = line.iter().take(16).position(|&byte| byte == b':').unwrap_or(line.len());
    if colon == 0 {
        return None;
    }
    let start = match line.get(colon + 1) {
        Some(b' ') => colon + 2,
        Some(_) => colon + 1,
        None => line.len(),
    };
    Some(FieldValue { name: colon, start })
}
