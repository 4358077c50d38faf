//! Where the long strings of a body begin and end, noted by the one pass that every request pays.
//!
//! Owns the list and the question whether it is of the body at hand. Must not keep text. Strings are the bulk of every prompt: a
//! decoder that knows where they end reads a conversation without going over its words again. What is not in the list (short
//! strings, those beyond its bound) is looked for, so that nothing but time depends on it.

use super::reader::Escapes;
use smallvec::SmallVec;
use trunkline_model::excerpt::Excerpt;

/// Shorter strings are as soon passed over as looked up, in bytes.
const LONG: usize = 64;
/// The most that are noted, which bounds the list at 12 kB.
const MOST: usize = 1_024;

/// The long strings of one body, in order.
#[derive(Clone, Debug, Default)]
pub struct LongStrings {
    /// Of the body: its first byte's address and its length. A body that was changed is another one.
    address: usize,
    length: usize,
    list: SmallVec<[Long; 3]>,
}

/// A long string.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long {
    /// Offset of the first byte after the opening quote.
    start: u32,
    /// Bytes up to the closing quote.
    length: u32,
    escapes: Escapes,
}

impl LongStrings {
    /// None yet, of a body.
    pub(super) fn of(body: &[u8]) -> Self {
        Self { address: body.as_ptr().addr(), length: body.len(), list: SmallVec::new() }
    }

    /// Whether they are those of a body.
    pub(crate) fn are_of(&self, body: &[u8]) -> bool {
        self.length == body.len() && self.address == body.as_ptr().addr()
    }

    /// How the longest of them begins, as it stands in the body; `None` where none is long, or of another body.
    #[must_use]
    pub fn longest(&self, body: &[u8]) -> Option<Excerpt> {
        if !self.are_of(body) {
            return None;
        }
        let longest = self.list.iter().max_by_key(|long| long.length)?;
        let start = longest.start as usize;
        let kept = body.get(start..start + (longest.length as usize).min(Excerpt::LONGEST))?;
        // A character that is cut at the end is left out.
        Some(Excerpt::from(kept.utf8_chunks().next()?.valid()))
    }

    /// Notes a string that was read.
    fn note(&mut self, start: usize, end: usize, escapes: Escapes) {
        if end - start >= LONG
            && self.list.len() < MOST
            && let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(end - start))
        {
            self.list.push(Long { start, length, escapes });
        }
    }
}

/// What a reader has to do with them.
#[derive(Debug)]
pub(super) enum Strings<'a> {
    /// It finds every end by itself.
    Unknown,
    /// It notes them.
    Noted(LongStrings),
    /// It is told: those still to come.
    Known(&'a [Long]),
}

impl<'a> Strings<'a> {
    /// Those of a list.
    pub(super) fn known(strings: Option<&'a LongStrings>) -> Self {
        strings.map_or(Self::Unknown, |strings| Self::Known(&strings.list))
    }

    /// Where the string that starts there ends, if that is known, and its escapes. Strings are asked for in order.
    pub(super) fn end_of(&mut self, start: usize) -> Option<(usize, Escapes)> {
        let Self::Known(list) = self else { return None };
        while let Some((long, later)) = list.split_first() {
            let found = long.start as usize;
            if found > start {
                return None;
            }
            *list = later;
            if found == start {
                return Some((start + long.length as usize, long.escapes));
            }
        }
        None
    }

    /// A string was read to its end.
    pub(super) fn ended(&mut self, start: usize, end: usize, escapes: Escapes) {
        if let Self::Noted(strings) = self {
            strings.note(start, end, escapes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PathParts;
    use crate::dispatch;
    use crate::source::Source;
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use trunkline_model::dialect::{Dialect, Operation};

    fn path() -> PathParts {
        PathParts { model: Some("m".to_owned()), ..PathParts::default() }
    }

    /// A conversation of these texts, in each client's words.
    fn body(dialect: Dialect, texts: &[String], is_pretty: bool) -> Bytes {
        let turn = |(index, text): (usize, &String)| {
            let role = if index % 2 == 0 { "user" } else { "assistant" };
            match dialect {
                Dialect::Gemini => {
                    json!({"role": if index % 2 == 0 { "user" } else { "model" }, "parts": [{"text": text}]})
                }
                Dialect::Responses if index % 2 == 0 => {
                    json!({"role": role, "content": [{"type": "input_text", "text": text}]})
                }
                _ if index % 3 == 0 => json!({"role": role, "content": [{"type": "text", "text": text}]}),
                _ => json!({"role": role, "content": text}),
            }
        };
        let turns: Vec<Value> = texts.iter().enumerate().map(turn).collect();
        let said = texts.first().map_or("", String::as_str);
        let body = match dialect {
            Dialect::Gemini => json!({"systemInstruction": {"parts": [{"text": said}]}, "contents": turns}),
            Dialect::Responses => json!({"model": "m", "instructions": said, "input": turns}),
            _ => {
                json!({"model": "m", "max_tokens": 9, "messages": turns, "stop_sequences": [said], "stop": [said]})
            }
        };
        Bytes::from(if is_pretty { format!("{body:#}") } else { body.to_string() })
    }

    proptest! {
        #[test]
        fn what_is_decoded_does_not_depend_on_what_was_noted(
            texts in proptest::collection::vec("[ -~]{0,90}|[a-z\"\n\\\\é漢]{0,200}|(so it is: \"thus\"\n){0,30}", 1..9),
            is_pretty in any::<bool>(),
        ) {
            for dialect in Dialect::CLIENTS {
                let body = body(dialect, &texts, is_pretty);
                let envelope = dispatch::envelope(dialect, Operation::Chat, &body, &path()).unwrap();
                let known = Source::seen(&body, &envelope);
                prop_assert!(known.strings().is_some());
                let decode = |source: Source<'_>| dispatch::decode_request(dialect, Operation::Chat, source, &path());
                prop_assert_eq!(decode(known), decode(Source::from(&body[..])));
            }
        }

        #[test]
        fn only_what_is_long_is_noted_and_all_of_that(texts in proptest::collection::vec("[a-z\"]{0,150}", 0..20)) {
            let body = Bytes::from(json!({"model": "m", "messages": [], "texts": texts}).to_string());
            let envelope = dispatch::envelope(Dialect::OpenAi, Operation::Chat, &body, &path()).unwrap();
            let inside = |text: &String| serde_json::to_string(text).unwrap().len() - 2;
            let expected: Vec<usize> = texts.iter().map(inside).filter(|length| *length >= LONG).collect();
            let found: Vec<usize> = envelope.strings.list.iter().map(|long| long.length as usize).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn another_body_is_looked_at_for_itself() {
        let texts = vec!["so it was said ".repeat(20); 3];
        let first = body(Dialect::OpenAi, &texts, false);
        let envelope = dispatch::envelope(Dialect::OpenAi, Operation::Chat, &first, &path()).unwrap();
        let same = Bytes::copy_from_slice(&first);
        assert!(Source::seen(&first.slice(..), &envelope).strings().is_some(), "a share is the same body");
        assert!(Source::seen(&same, &envelope).strings().is_none());
        assert!(Source::seen(&first.slice(1..), &envelope).strings().is_none());
    }

    #[test]
    fn the_list_is_bounded_and_what_is_beyond_is_found_all_the_same() {
        let texts = vec!["x".repeat(LONG); MOST + 50];
        for dialect in Dialect::CLIENTS {
            let body = body(dialect, &texts, false);
            let envelope = dispatch::envelope(dialect, Operation::Chat, &body, &path()).unwrap();
            assert_eq!(envelope.strings.list.len(), MOST);
            let decode = |source: Source<'_>| {
                dispatch::decode_request(dialect, Operation::Chat, source, &path()).unwrap()
            };
            assert_eq!(decode(Source::seen(&body, &envelope)), decode(Source::from(&body)));
        }
    }

    #[test]
    fn a_list_that_is_wrong_is_not_believed() {
        let text = "\"short\"";
        let wrong = LongStrings {
            list: SmallVec::from_elem(Long { start: 1, length: 4, escapes: Escapes::None }, 1),
            ..LongStrings::default()
        };
        let mut reader = super::super::reader::Reader::knowing(text, Some(&wrong));
        assert_eq!(reader.string().unwrap().raw, "short");
    }
}
