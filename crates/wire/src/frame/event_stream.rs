//! Binary messages of the `application/vnd.amazon.eventstream` encoding.
//!
//! Owns the prelude, both checksums and the headers that say what a message is. Must not know what messages there are. A
//! message is: length of the whole, length of the headers, CRC-32 of these eight bytes, headers, payload, CRC-32 of all before;
//! numbers are big-endian. The prelude's checksum is looked at as soon as it is there, so that bytes which are no event stream
//! fail at once instead of waiting for the megabytes their first four bytes announce.

use super::buffer::Buffer;
use super::{Data, RawFrame, too_large};
use crate::json_text::JsonText;
use bytes::{Bytes, BytesMut};
use std::ops::Range;
use trunkline_model::failure::{Failure, FailureClass};

/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const TRAILER: usize = 4;
/// The most bytes of headers, as the encoding's own libraries bound them.
const MOST_HEADERS: usize = 128 * 1024;
/// The type byte of a text header.
const TEXT: u8 = 7;

#[derive(Debug)]
pub(super) struct EventStream {
    buffer: Buffer,
    limit: usize,
    /// The current message's prelude, once it was read and verified.
    prelude: Option<Prelude>,
}

#[derive(Clone, Copy, Debug)]
struct Prelude {
    total: usize,
    headers: usize,
}

/// What the headers say, as ranges of the message.
#[derive(Default)]
struct Headers {
    message_type: Range<usize>,
    event_type: Range<usize>,
    exception_type: Range<usize>,
    error_code: Range<usize>,
    error_message: Range<usize>,
}

impl EventStream {
    pub(super) const fn new(limit: usize) -> Self {
        Self { buffer: Buffer::new(), limit, prelude: None }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    pub(super) fn pending(&self) -> usize {
        self.buffer.bytes().len()
    }

    pub(super) fn next(&mut self) -> Result<Option<RawFrame>, Failure> {
        let bytes = self.buffer.bytes();
        let prelude = match self.prelude {
            Some(prelude) => prelude,
            None => {
                let Some(start) = bytes.first_chunk() else { return Ok(None) };
                *self.prelude.insert(read_prelude(start, self.limit)?)
            }
        };
        let Some(message) = bytes.get(..prelude.total) else { return Ok(None) };
        let body = prelude.total - TRAILER;
        if number(message, body) != crc32fast::hash(&message[..body]) {
            return Err(broken("the checksum of a message is wrong"));
        }
        let payload = PRELUDE + prelude.headers;
        let headers = read_headers(message, PRELUDE..payload)?;
        let (event, data) = match &message[headers.message_type.clone()] {
            b"event" => (headers.event_type, Data::Within(payload..body)),
            b"exception" => (headers.exception_type, Data::Within(payload..body)),
            // A failure outside the service's model has its words in headers.
            b"error" => {
                let data = error_object(&message[headers.error_code], &message[headers.error_message]);
                (headers.message_type, Data::Joined(data))
            }
            _ => return Err(broken("a message says not what it is")),
        };
        self.prelude = None;
        Ok(Some(RawFrame { raw: self.buffer.take(prelude.total), event, data }))
    }

    pub(super) fn finish(&mut self) -> Result<Option<RawFrame>, Failure> {
        if self.pending() == 0 {
            return Ok(None);
        }
        Err(Failure::new(FailureClass::Cut, "the provider's stream ended inside a message"))
    }
}

fn read_prelude(bytes: &[u8; PRELUDE], limit: usize) -> Result<Prelude, Failure> {
    if number(bytes, 8) != crc32fast::hash(&bytes[..8]) {
        return Err(broken("it is not an event stream, or its checksum is wrong"));
    }
    let (total, headers) = (number(bytes, 0) as usize, number(bytes, 4) as usize);
    if headers > MOST_HEADERS || total < PRELUDE + headers + TRAILER {
        return Err(broken("the lengths of a message contradict each other"));
    }
    if total > limit {
        return Err(too_large(limit));
    }
    Ok(Prelude { total, headers })
}

/// The headers that matter; others are passed over, whatever their type.
fn read_headers(message: &[u8], range: Range<usize>) -> Result<Headers, Failure> {
    let mut headers = Headers::default();
    let mut at = range.start;
    while at < range.end {
        let (name, kind) = header_name(message, at, range.end).ok_or_else(cut_header)?;
        let value = header_value(message, name.end + 1, kind, range.end).ok_or_else(cut_header)?;
        at = value.end;
        if kind != TEXT {
            continue;
        }
        match &message[name] {
            b":message-type" => headers.message_type = value,
            b":event-type" => headers.event_type = value,
            b":exception-type" => headers.exception_type = value,
            b":error-code" => headers.error_code = value,
            b":error-message" => headers.error_message = value,
            _ => {}
        }
    }
    Ok(headers)
}

/// Where a header's name stands, and the type of its value.
fn header_name(message: &[u8], at: usize, end: usize) -> Option<(Range<usize>, u8)> {
    let length = usize::from(*message.get(at)?);
    let name = at + 1..at + 1 + length;
    if name.end >= end {
        return None;
    }
    Some((name.clone(), message[name.end]))
}

/// Where a header's value stands.
fn header_value(message: &[u8], at: usize, kind: u8, end: usize) -> Option<Range<usize>> {
    let value = match kind {
        // True and false.
        0 | 1 => at..at,
        // Numbers of one, two, four and eight bytes, a time, an identifier.
        2 => at..at + 1,
        3 => at..at + 2,
        4 => at..at + 4,
        5 | 8 => at..at + 8,
        9 => at..at + 16,
        // Bytes and texts, after their length.
        6 | TEXT => {
            let length = u16::from_be_bytes(*message.get(at..at + 2)?.first_chunk()?);
            at + 2..at + 2 + usize::from(length)
        }
        _ => return None,
    };
    (value.end <= end).then_some(value)
}

fn error_object(code: &[u8], message: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.open_object();
    out.field("__type", &String::from_utf8_lossy(code));
    out.field("message", &String::from_utf8_lossy(message));
    out.close_object();
    out.to_vec()
}

/// The big-endian number at a place that was checked to be there.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*bytes[at..].first_chunk().expect("the length was checked"))
}

#[cold]
fn cut_header() -> Failure {
    broken("a header of a message does not fit into it")
}

#[cold]
fn broken(what: &str) -> Failure {
    Failure::new(FailureClass::Malformed, format!("the provider's stream cannot be read: {what}"))
}
