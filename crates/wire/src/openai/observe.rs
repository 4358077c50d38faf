//! Watching OpenAI answers pass to clients of the same dialect.
//!
//! Owns what the gateway must know of an answer it does not touch: that it is one, when its first token came, its usage, how
//! it ended. Must not build anything: frames are read in place. Whether a chunk may be hidden is decided here too, because
//! usage is asked for on every stream and not every client wants to see it.

use super::answer_decode::{cut, error_in};
use super::chunk::ChunkUsage;
use super::embeddings::{malformed, not_an_answer};
use super::finish::finish_of;
use crate::codec::{Frame, Observe, Seen, Summary};
use crate::scan::reader::{Fault, Kind, Reader};
use crate::terms::ToldTerms;
use smallvec::SmallVec;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::event::Finish;
use trunkline_model::failure::Failure;

const NOTHING: Seen = Seen { semantic: false, hide: false };
const SEMANTIC: Seen = Seen { semantic: true, hide: false };

/// Watches one answer.
pub(super) struct Observer {
    operation: Operation,
    delivery: Delivery,
    client_wants_usage: bool,
    summary: Summary,
    /// Choices begun and choices finished, one bit each.
    begun: u128,
    finished: u128,
    called: bool,
    /// The service tier, as far as it was told.
    told: ToldTerms,
}

impl Observer {
    pub(super) fn new(operation: Operation, delivery: Delivery, client_wants_usage: bool) -> Self {
        Self {
            operation,
            delivery,
            client_wants_usage,
            summary: Summary::default(),
            begun: 0,
            finished: 0,
            called: false,
            told: ToldTerms::default(),
        }
    }

    /// The numbers of vectors are skipped, but the structure is walked to its end: half a body can end in a brace too.
    fn embeddings(&mut self, text: &str) -> Result<Seen, Failure> {
        let mut vectors = Vectors::default();
        let read = vectors.read(&mut Reader::new(text));
        if read.is_err() || vectors.is_error || vectors.strange || vectors.number == 0 {
            return Err(not_an_answer(text.as_bytes()));
        }
        let usage = vectors.usage.and_then(ChunkUsage::read);
        self.summary.usage = usage.map(|usage| usage.classes(ToldTerms::default()));
        self.summary.complete = true;
        Ok(SEMANTIC)
    }

    fn chat(&mut self, text: &str, is_error_event: bool) -> Result<Seen, Failure> {
        let mut look = Look::default();
        let mut reader = Reader::new(text);
        look.read(&mut reader).map_err(|_| not_an_answer(text.as_bytes()))?;
        if look.is_error || is_error_event {
            return Err(error_in(text.as_bytes()));
        }
        let is_plain = self.delivery == Delivery::Plain;
        if is_plain && look.begun == 0 {
            return Err(malformed("the answer has no choices"));
        }
        if let Some(word) = look.service_tier {
            self.told = serde_json::from_str(word).unwrap_or_default();
        }
        let usage = look.usage.and_then(ChunkUsage::read);
        if let Some(usage) = &usage {
            self.summary.usage = Some(usage.classes(self.told));
        }
        self.begun |= look.begun;
        self.finished |= look.finished;
        self.called |= look.called;
        self.summary.output_bytes += look.output_bytes;
        // What tells its tokens needs no estimate.
        if self.summary.usage.is_none() {
            look.texts.iter().for_each(|text| self.summary.beginning.push(text));
        }
        if let Some(native) = look.finish {
            self.summary.finish.get_or_insert(finish_of(native, self.called));
        }
        if is_plain {
            self.summary.finish.get_or_insert(Finish::Stop);
            self.summary.complete = true;
        }
        Ok(Seen {
            semantic: is_plain || look.semantic || look.finish.is_some(),
            hide: !is_plain && usage.is_some() && look.begun == 0 && !self.client_wants_usage,
        })
    }
}

impl Observe for Observer {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(NOTHING);
        }
        if data == b"[DONE]" {
            self.summary.complete = true;
            return Ok(SEMANTIC);
        }
        let text = simdutf8::basic::from_utf8(data).map_err(|_| malformed("the body is not UTF-8"))?;
        if self.operation == Operation::Embeddings {
            return self.embeddings(text);
        }
        self.chat(text, frame.event == "error")
    }

    fn end(&mut self) -> Result<(), Failure> {
        // Look-alikes without `[DONE]`: every answer begun and finished is complete too.
        if self.summary.complete || (self.begun != 0 && self.begun == self.finished) {
            self.summary.complete = true;
            return Ok(());
        }
        Err(cut())
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// What one chunk shows.
#[derive(Default)]
struct Look<'a> {
    is_error: bool,
    semantic: bool,
    called: bool,
    begun: u128,
    finished: u128,
    finish: Option<&'a str>,
    usage: Option<&'a str>,
    service_tier: Option<&'a str>,
    output_bytes: u64,
    /// The texts of this chunk, the first few.
    texts: SmallVec<[&'a str; 4]>,
}

impl<'a> Look<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.blanks();
        if reader.kind() != Kind::Object {
            return Err(reader.unexpected("`{`"));
        }
        reader.object(|reader, key| match key.raw {
            "choices" if reader.kind() == Kind::Array => reader.array(|reader, _| self.choice(reader)),
            "usage" if reader.kind() == Kind::Object => {
                self.usage = Some(reader.skip()?);
                Ok(())
            }
            "service_tier" if reader.kind() == Kind::Text => {
                self.service_tier = Some(reader.skip()?);
                Ok(())
            }
            // Groq puts the usage of streams here.
            "x_groq" if reader.kind() == Kind::Object => reader.object(|reader, key| {
                let value = reader.skip()?;
                if key.raw == "usage" && value.starts_with('{') {
                    self.usage = Some(value);
                }
                Ok(())
            }),
            "error" => {
                self.is_error |= reader.skip()? != "null";
                Ok(())
            }
            "object" => {
                self.is_error |= reader.skip()? == "\"error\"";
                Ok(())
            }
            _ => reader.skip().map(drop),
        })?;
        reader.end()
    }

    fn choice(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        if reader.kind() != Kind::Object {
            return reader.skip().map(drop);
        }
        let mut index = 0;
        let mut is_finished = false;
        reader.object(|reader, key| match key.raw {
            "index" => {
                index = reader.skip()?.parse::<u32>().unwrap_or(0).min(127);
                Ok(())
            }
            "delta" | "message" if reader.kind() == Kind::Object => self.message(reader),
            // Of the endpoint that continues a bare text.
            "text" if reader.kind() == Kind::Text => {
                let text = reader.string()?.raw;
                self.semantic |= !text.is_empty();
                self.said(text);
                Ok(())
            }
            "finish_reason" if reader.kind() == Kind::Text => {
                let reason = reader.string()?.raw;
                if !reason.is_empty() {
                    is_finished = true;
                    self.finish.get_or_insert(reason);
                }
                Ok(())
            }
            _ => reader.skip().map(drop),
        })?;
        self.begun |= 1 << index;
        if is_finished {
            self.finished |= 1 << index;
        }
        Ok(())
    }

    fn said(&mut self, text: &'a str) {
        self.output_bytes += text.len() as u64;
        if self.texts.len() < self.texts.inline_size() {
            self.texts.push(text);
        }
    }

    fn message(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, key| {
            let value = reader.skip()?;
            let is_empty = matches!(value, "null" | "\"\"" | "[]" | "{}");
            match key.raw {
                "content" | "refusal" | "reasoning_content" | "reasoning" | "thinking_blocks" | "audio"
                | "annotations" | "extra_content"
                    if !is_empty =>
                {
                    self.semantic = true;
                    self.said(value.get(1..value.len() - 1).unwrap_or_default());
                }
                "tool_calls" | "function_call" if !is_empty => {
                    self.semantic = true;
                    self.called = true;
                    self.said(value);
                }
                _ => {}
            }
            Ok(())
        })
    }
}

/// What an answer with vectors shows.
#[derive(Default)]
struct Vectors<'a> {
    is_error: bool,
    number: usize,
    /// Something among the vectors is none.
    strange: bool,
    usage: Option<&'a str>,
}

impl<'a> Vectors<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.blanks();
        if reader.kind() != Kind::Object {
            return Err(reader.unexpected("`{`"));
        }
        reader.object(|reader, key| match key.raw {
            "data" if reader.kind() == Kind::Array => reader.array(|reader, _| self.vector(reader)),
            "usage" if reader.kind() == Kind::Object => {
                self.usage = Some(reader.skip()?);
                Ok(())
            }
            "error" => {
                self.is_error |= reader.skip()? != "null";
                Ok(())
            }
            _ => reader.skip().map(drop),
        })?;
        reader.end()
    }

    fn vector(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.number += 1;
        let mut is_vector = false;
        if reader.kind() == Kind::Object {
            reader.object(|reader, key| {
                is_vector |= key.raw == "embedding" && matches!(reader.kind(), Kind::Array | Kind::Text);
                reader.skip().map(drop)
            })?;
        } else {
            reader.skip()?;
        }
        self.strange |= !is_vector;
        Ok(())
    }
}
