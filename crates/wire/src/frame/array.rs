//! A JSON array that arrives element by element.
//!
//! Owns finding where one element ends. Must not validate the elements: their decoder does. A bare object in place of the
//! array is taken as one element, because providers answer early errors that way.

use super::buffer::Buffer;
use super::{Data, RawFrame, too_large};
use bytes::Bytes;
use trunkline_model::failure::{Failure, FailureClass};

#[derive(Debug)]
pub(super) struct Array {
    buffer: Buffer,
    limit: usize,
    state: State,
    /// Bytes of the buffer already looked at.
    at: usize,
    /// Where the element starts, once it did.
    start: usize,
    depth: u32,
    in_string: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the bracket.
    Before,
    /// Between elements; `true` after a comma or the bracket, where an element may start.
    Between(bool),
    /// Inside an element of the array, or inside the lone object.
    Inside { lone: bool },
    /// After the closing bracket.
    After,
}

impl Array {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            buffer: Buffer::new(),
            limit,
            state: State::Before,
            at: 0,
            start: 0,
            depth: 0,
            in_string: false,
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    pub(super) fn pending(&self) -> usize {
        self.buffer.bytes().len()
    }

    pub(super) fn next(&mut self) -> Result<Option<RawFrame>, Failure> {
        while let Some(&byte) = self.buffer.bytes().get(self.at) {
            match (self.state, byte) {
                (State::Inside { lone }, _) => {
                    if !self.element() {
                        break;
                    }
                    self.state = if lone { State::After } else { State::Between(false) };
                    let data = Data::Within(self.start..self.at);
                    return self.give(data).map(Some);
                }
                (_, b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                (State::Before, b'[') => {
                    self.state = State::Between(true);
                    self.at += 1;
                }
                (State::Before | State::Between(true), b'{') => {
                    self.start = self.at;
                    self.state = State::Inside { lone: self.state == State::Before };
                }
                (State::Between(false), b',') => {
                    self.state = State::Between(true);
                    self.at += 1;
                }
                (State::Between(_), b']') => {
                    self.state = State::After;
                    self.at += 1;
                    return self.give(Data::Absent).map(Some);
                }
                _ => {
                    let message = "the provider's stream is not a JSON array of objects";
                    return Err(Failure::new(FailureClass::Malformed, message));
                }
            }
        }
        if self.pending() > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(None)
    }

    /// Moves to the end of the element; `false` when its end is not here yet.
    fn element(&mut self) -> bool {
        let bytes = self.buffer.bytes();
        while self.at < bytes.len() {
            if self.in_string {
                let Some(length) = memchr::memchr2(b'"', b'\\', &bytes[self.at..]) else {
                    self.at = bytes.len();
                    return false;
                };
                let found = self.at + length;
                if bytes[found] == b'"' {
                    self.in_string = false;
                    self.at = found + 1;
                } else if found + 1 < bytes.len() {
                    self.at = found + 2;
                } else {
                    // The escaped character is in the next chunk: look at the backslash again then.
                    self.at = found;
                    return false;
                }
                continue;
            }
            match bytes[self.at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            self.at += 1;
            if self.depth == 0 {
                return true;
            }
        }
        false
    }

    fn give(&mut self, data: Data) -> Result<RawFrame, Failure> {
        let length = std::mem::take(&mut self.at);
        self.start = 0;
        if length > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(RawFrame { raw: self.buffer.take(length), event: 0..0, data })
    }

    pub(super) fn finish(&mut self) -> Result<Option<RawFrame>, Failure> {
        if self.state != State::After {
            let message = "the provider's stream ended before its JSON array did";
            return Err(Failure::new(FailureClass::Cut, message));
        }
        if self.pending() == 0 {
            return Ok(None);
        }
        self.at = self.pending();
        self.give(Data::Absent).map(Some)
    }
}
