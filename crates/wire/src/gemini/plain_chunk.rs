//! Chunks of a stream that add a piece of text or of thought to one candidate, count tokens, and say nothing else: nearly all of them.
//!
//! Owns recognising them in one pass. Must not interpret anything else: whatever is not exactly so, or not sound, is left to the
//! readers of all chunks, and what they would refuse is not taken here. It exists because those readers allow for all that a candidate
//! can hold, in a chunk of 400 bytes of which six are new.

use super::usage::WireUsage;
use crate::scan::reader::{Escapes, Fault, Kind, Reader, Text};

/// A piece of text.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The candidate it belongs to.
    pub(super) index: u32,
    /// It is thought.
    pub(super) is_thought: bool,
    pub(super) text: Text<'a>,
    pub(super) usage: Option<WireUsage>,
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
    let (index, is_thought) = (look.index.unwrap_or(0), look.is_thought);
    look.text.map(|text| Piece { index, is_thought, text, usage: look.usage })
}

#[derive(Default)]
struct Look<'a> {
    index: Option<u32>,
    is_thought: bool,
    text: Option<Text<'a>>,
    usage: Option<WireUsage>,
    /// It is not plain.
    is_other: bool,
    /// A bit for each field seen: none may come twice.
    seen: u32,
}

impl<'a> Look<'a> {
    fn chunk(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, key| match key.raw {
            "candidates" => {
                self.once(0);
                self.only_element(reader, Self::candidate)
            }
            "usageMetadata" => {
                self.once(1);
                self.usage = WireUsage::read_plain(reader)?;
                self.is_other |= self.usage.is_none();
                Ok(())
            }
            "modelVersion" => self.passed(2, reader),
            "responseId" => self.passed(3, reader),
            "promptFeedback" => self.absent(4, reader),
            "error" => self.absent(5, reader),
            _ => self.unknown(key.escapes, reader),
        })
    }

    fn candidate(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, key| match key.raw {
            "content" => {
                self.once(6);
                self.content(reader)
            }
            "index" => {
                self.once(7);
                self.index = reader.skip()?.parse().ok();
                self.is_other |= self.index.is_none();
                Ok(())
            }
            "finishReason" => self.absent(8, reader),
            "logprobsResult" => self.absent(9, reader),
            "groundingMetadata" => self.absent(10, reader),
            "citationMetadata" => self.absent(11, reader),
            "urlContextMetadata" => self.absent(12, reader),
            _ => self.unknown(key.escapes, reader),
        })
    }

    fn content(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        if reader.kind() != Kind::Object {
            return self.other(reader);
        }
        reader.object(|reader, key| match key.raw {
            "parts" => {
                self.once(13);
                self.only_element(reader, Self::part)
            }
            _ => self.unknown(key.escapes, reader),
        })
    }

    fn part(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, key| match key.raw {
            "text" => {
                self.once(14);
                if reader.kind() != Kind::Text {
                    return self.other(reader);
                }
                let text = reader.string()?;
                // They may be halves of a character.
                self.is_other |= text.escapes == Escapes::Numbers;
                self.text = Some(text);
                Ok(())
            }
            "thought" => {
                self.once(15);
                if reader.kind() != Kind::Boolean {
                    return self.other(reader);
                }
                self.is_thought = reader.boolean()?;
                Ok(())
            }
            "thoughtSignature" => self.absent(16, reader),
            "functionCall" => self.absent(17, reader),
            "inlineData" => self.absent(18, reader),
            "fileData" => self.absent(19, reader),
            "executableCode" => self.absent(20, reader),
            "codeExecutionResult" => self.absent(21, reader),
            "toolCall" => self.absent(22, reader),
            "toolResponse" => self.absent(23, reader),
            _ => self.unknown(key.escapes, reader),
        })
    }

    /// An array of one object.
    fn only_element(
        &mut self,
        reader: &mut Reader<'a>,
        read: impl Fn(&mut Self, &mut Reader<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if reader.kind() != Kind::Array {
            return self.other(reader);
        }
        reader.array(|reader, index| {
            if index > 0 || reader.kind() != Kind::Object {
                return self.other(reader);
            }
            read(self, reader)
        })
    }

    /// Notes a field.
    fn once(&mut self, field: u32) {
        let bit = 1 << field;
        self.is_other |= self.seen & bit != 0;
        self.seen |= bit;
    }

    /// A value that makes the chunk another one.
    fn other(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.is_other = true;
        reader.skip().map(drop)
    }

    /// A field that was read of the first chunk, or never.
    fn passed(&mut self, field: u32, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.once(field);
        reader.skip().map(drop)
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
mod tests;
