//! Chunks of a stream that add a piece of text to one answer and say nothing else: nearly all of them.
//!
//! Owns recognising them in one pass. Must not interpret anything else: whatever is not exactly so, or not sound, is left to the reader
//! of all chunks, and what it would refuse is not taken here. It exists because that reader allows for all that look-alikes send, in a
//! chunk of 300 bytes of which six are new.

use crate::scan::reader::{Escapes, Fault, Kind, Reader};
use std::borrow::Cow;

/// A piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The answer it belongs to.
    pub(super) choice: u64,
    pub(super) text: Cow<'a, str>,
}

/// Reads a chunk; `None` for one that is not plain.
pub(super) fn read(data: &[u8]) -> Option<Piece<'_>> {
    let text = simdutf8::basic::from_utf8(data).ok()?;
    let mut look = Look::default();
    let mut reader = Reader::new(text);
    look.chunk(&mut reader).and_then(|()| reader.end()).ok()?;
    if look.is_other {
        return None;
    }
    look.text.map(|text| Piece { choice: look.choice.unwrap_or(0), text })
}

#[derive(Default)]
struct Look<'a> {
    choice: Option<u64>,
    text: Option<Cow<'a, str>>,
    /// It is not plain.
    is_other: bool,
    /// A bit for each field seen: none may come twice.
    seen: u32,
}

impl<'a> Look<'a> {
    fn chunk(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, key| match key.raw {
            "id" => self.word(0, reader).map(drop),
            "model" => self.word(1, reader).map(drop),
            "object" => {
                let name = self.word(2, reader)?;
                self.is_other |= name == "error";
                Ok(())
            }
            "created" => {
                self.once(3);
                self.is_other |= !matches!(reader.kind(), Kind::Number | Kind::Null);
                reader.skip().map(drop)
            }
            "choices" => {
                self.once(4);
                self.choices(reader)
            }
            "usage" => self.absent(5, reader),
            "error" => self.absent(6, reader),
            "x_groq" => self.absent(7, reader),
            _ => self.unknown(key.escapes, reader),
        })
    }

    fn choices(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        if reader.kind() != Kind::Array {
            self.is_other = true;
            return reader.skip().map(drop);
        }
        reader.array(|reader, index| {
            if index > 0 || reader.kind() != Kind::Object {
                self.is_other = true;
                return reader.skip().map(drop);
            }
            reader.object(|reader, key| match key.raw {
                "index" => {
                    self.once(8);
                    let digits = reader.skip()?;
                    self.choice = digits.parse().ok();
                    self.is_other |= self.choice.is_none();
                    Ok(())
                }
                "delta" => {
                    self.once(9);
                    self.delta(reader)
                }
                "message" => self.absent(10, reader),
                "finish_reason" => self.absent(11, reader),
                "stop_reason" => self.absent(12, reader),
                "logprobs" => self.absent(13, reader),
                _ => self.unknown(key.escapes, reader),
            })
        })
    }

    fn delta(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        if reader.kind() != Kind::Object {
            self.is_other = true;
            return reader.skip().map(drop);
        }
        reader.object(|reader, key| match key.raw {
            "content" => {
                self.once(14);
                if reader.kind() != Kind::Text {
                    self.is_other = true;
                    return reader.skip().map(drop);
                }
                let text = reader.string()?;
                // They may be halves of a character.
                self.is_other |= text.escapes == Escapes::Numbers;
                self.text = Some(text.resolve());
                Ok(())
            }
            "refusal" => self.absent(15, reader),
            "reasoning_content" => self.absent(16, reader),
            "reasoning" => self.absent(17, reader),
            "thinking_blocks" => self.absent(18, reader),
            "tool_calls" => self.absent(19, reader),
            "function_call" => self.absent(20, reader),
            "annotations" => self.absent(21, reader),
            "extra_content" => self.absent(22, reader),
            _ => self.unknown(key.escapes, reader),
        })
    }

    /// Notes a field.
    fn once(&mut self, field: u32) {
        let bit = 1 << field;
        self.is_other |= self.seen & bit != 0;
        self.seen |= bit;
    }

    /// A string, or nothing.
    fn word(&mut self, field: u32, reader: &mut Reader<'a>) -> Result<&'a str, Fault> {
        self.once(field);
        match reader.kind() {
            Kind::Text => {
                let text = reader.string()?;
                self.is_other |= text.escapes != Escapes::None;
                Ok(text.raw)
            }
            kind => {
                self.is_other |= kind != Kind::Null;
                reader.skip().map(|_| "")
            }
        }
    }

    /// A field whose content would have to be read.
    fn absent(&mut self, field: u32, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.once(field);
        self.is_other |= reader.kind() != Kind::Null;
        reader.skip().map(drop)
    }

    /// A field that nobody reads; its name may be another one in disguise.
    fn unknown(&mut self, escapes: Escapes, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.is_other |= escapes != Escapes::None;
        reader.skip().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer_decode::Decoder;
    use super::*;
    use crate::codec::{Decode, Frame};
    use proptest::prelude::*;
    use trunkline_model::dialect::{Delivery, Dialect};
    use trunkline_model::event::Event;
    use trunkline_model::failure::Failure;

    const FIRST: &str =
        r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;

    /// What the chunks are after a stream has begun.
    fn events(chunks: &[String]) -> Result<Vec<Event>, Failure> {
        let mut decoder = Decoder::new(Delivery::Stream, Dialect::OpenAi);
        let mut events = Vec::new();
        for chunk in std::iter::once(FIRST).chain(chunks.iter().map(String::as_str)) {
            decoder.frame(Frame { event: "", data: chunk.as_bytes() }, &mut events)?;
        }
        Ok(events)
    }

    fn piece(chunk: &str) -> Option<(u64, String)> {
        read(chunk.as_bytes()).map(|piece| (piece.choice, piece.text.into_owned()))
    }

    #[test]
    fn a_piece_of_text_is_read_and_whatever_else_is_said_is_left_alone() {
        let plain = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","service_tier":"default","system_fingerprint":null,"choices":[{"index":2,"delta":{"role":"assistant","content":" w\n\"é","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}"#;
        assert_eq!(piece(plain), Some((2, " w\n\"é".to_owned())));
        assert_eq!(piece(r#"{"choices":[{"delta":{"content":"x"}}]}"#), Some((0, "x".to_owned())));
        for (told, other) in [
            ("\"usage\":null", "\"usage\":{}"),
            ("\"usage\":null", "\"error\":{}"),
            ("\"usage\":null", "\"model\":\"n\""),
            ("\"usage\":null", "\"us\\u0061ge\":{}"),
            ("chat.completion.chunk", "error"),
            ("\"finish_reason\":null", "\"finish_reason\":\"stop\""),
            ("\"logprobs\":null", "\"logprobs\":{}"),
            ("\"refusal\":null", "\"refusal\":\"no\""),
            ("\"refusal\":null", "\"tool_calls\":[]"),
            ("\"refusal\":null", "\"content\":\"y\""),
            ("\"refusal\":null", "\"reasoning\":\"so\""),
            ("\"created\":1", "\"created\":{}"),
            ("\"index\":2", "\"index\":-1"),
            ("\\n", "\\ud83d"),
            ("\"obfuscation\":\"x\"}", "\"obfuscation\":\"x\""),
        ] {
            let chunk = plain.replacen(told, other, 1);
            assert_ne!(chunk, plain);
            assert_eq!(piece(&chunk), None, "{chunk}");
        }
        assert_eq!(read(b"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}"), None);
        assert_eq!(read(b"[DONE]"), None);
    }

    const BESIDE_THE_TEXT: &[&str] = &[
        "",
        "",
        r#","refusal":null"#,
        r#","role":"assistant""#,
        r#","odd":[1,{}]"#,
        r#","content":"again""#,
        r#","reasoning":"so""#,
        r#","refusal":"no""#,
    ];
    const BESIDE_THE_DELTA: &[&str] = &[
        "",
        "",
        r#","finish_reason":null"#,
        r#","finish_reason":"stop""#,
        r#","finish_reason":"""#,
        r#","logprobs":null"#,
        r#","index":0"#,
    ];
    const BESIDE_THE_CHOICES: &[&str] = &[
        "",
        "",
        r#","usage":null"#,
        r#","created":1"#,
        r#","created":[]"#,
        r#","id":7"#,
        r#","object":"error""#,
        r#","model":"\ud800""#,
        r#","x":1e999"#,
        ",",
        "]",
    ];

    proptest! {
        /// An empty object of a field that is null says nothing more, and sends a chunk the long way.
        #[test]
        fn the_short_way_and_the_long_one_lead_to_the_same(
            chunks in proptest::collection::vec((
                0usize..3,
                "[a-z \"\n\\\\é漢]{0,9}",
                proptest::sample::select(BESIDE_THE_TEXT),
                proptest::sample::select(BESIDE_THE_DELTA),
                proptest::sample::select(BESIDE_THE_CHOICES),
            ), 0..6),
        ) {
            let written = |long: &str| -> Vec<String> {
                let chunk = |(choice, text, delta, beside, around): &(usize, String, &str, &str, &str)| {
                    let text = serde_json::to_string(text).unwrap();
                    format!(
                        "{{\"choices\":[{{\"index\":{choice},\"delta\":{{\"content\":{text}{delta}}}{beside}}}]{long}{around}}}"
                    )
                };
                chunks.iter().map(chunk).collect()
            };
            let message = |found: Result<Vec<Event>, Failure>| found.map_err(|failure| (failure.class, failure.message));
            let (short, long) = (written(""), written(",\"x_groq\":{}"));
            prop_assert!(long.iter().all(|chunk| piece(chunk).is_none()));
            prop_assert_eq!(message(events(&short)), message(events(&long)));
        }
    }
}
