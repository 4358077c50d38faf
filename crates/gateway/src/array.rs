//! A stream as one JSON array.
//!
//! Owns the form in which Gemini's clients get a stream when they do not ask for events (`alt=sse`): `[` before the first
//! element, a comma before each further one, `]` after the last. Must not know what the elements say. It works on the finished
//! events, because only few clients want this and no other should pay for it. An answer that breaks off is never closed: its
//! last element is the error, and a parser that reads the whole array fails.

use crate::body::Rope;
use bytes::Bytes;
use trunkline_wire::frame::{Framer, Framing};

/// The largest element.
const LARGEST_ELEMENT: usize = 64 * 1024 * 1024;

/// An array on its way.
pub(crate) struct ArrayForm {
    framer: Framer,
    begun: bool,
}

impl ArrayForm {
    pub(crate) fn new() -> Self {
        Self { framer: Framer::new(Framing::Sse, LARGEST_ELEMENT), begun: false }
    }

    /// Takes events and gives the same as elements; what carries no data has no place in an array.
    pub(crate) fn elements(&mut self, events: Rope) -> Rope {
        let mut out = Rope::new();
        for piece in events {
            self.framer.push(piece);
        }
        while let Ok(Some(frame)) = self.framer.next() {
            self.element(frame.frame().data, &mut out);
        }
        out
    }

    /// The end of an answer that is complete.
    pub(crate) fn close(mut self) -> Rope {
        let mut out = Rope::new();
        // A provider may leave out the blank line after its last event.
        if let Ok(Some(frame)) = self.framer.finish() {
            self.element(frame.frame().data, &mut out);
        }
        out.push(Bytes::from_static(if self.begun { b"]" } else { b"[]" }));
        out
    }

    fn element(&mut self, data: &[u8], out: &mut Rope) {
        if data.is_empty() {
            return;
        }
        out.push(Bytes::from_static(if self.begun { b",\r\n" } else { b"[" }));
        self.begun = true;
        out.push(Bytes::copy_from_slice(data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(pieces: &Rope) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    fn rope(text: &str) -> Rope {
        Rope::from_iter([Bytes::copy_from_slice(text.as_bytes())])
    }

    #[test]
    fn nothing_said_is_an_empty_array() {
        assert_eq!(text(&ArrayForm::new().close()), "[]");
    }

    #[test]
    fn an_array_that_is_not_closed_is_no_json() {
        let mut form = ArrayForm::new();
        let mut out = text(&form.elements(rope("data: {\"a\":1}\r\n\r\n: waiting\n\n")));
        out += &text(&form.elements(rope("data: {\"error\":{}}\n\n")));
        assert_eq!(out, "[{\"a\":1},\r\n{\"error\":{}}");
        assert!(serde_json::from_str::<serde_json::Value>(&out).is_err());
    }

    proptest! {
        #[test]
        fn however_events_are_cut_the_array_holds_them_all(
            numbers in prop::collection::vec(any::<u32>(), 0..20),
            cuts in prop::collection::vec(1usize..40, 1..20),
            last_is_open in any::<bool>(),
        ) {
            let mut events: String = numbers.iter().map(|number| format!("data: {{\"n\":{number}}}\r\n\r\n")).collect();
            if last_is_open {
                events.truncate(events.trim_end().len());
            }
            let mut form = ArrayForm::new();
            let mut out = String::new();
            let mut rest = events.as_str();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                out += &text(&form.elements(rope(piece)));
                rest = later;
            }
            out += &text(&form.close());
            let array: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
            let found: Vec<u64> = array.iter().map(|element| element["n"].as_u64().unwrap()).collect();
            prop_assert_eq!(found, numbers.iter().map(|number| u64::from(*number)).collect::<Vec<_>>());
        }
    }
}
