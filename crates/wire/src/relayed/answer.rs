//! Answers that are relayed: watched, never changed.
//!
//! Owns telling an answer from nonsense, its first worthwhile byte, its end, and its cost. Must not hold what passes, but a whole
//! JSON body, which is looked at once.

use super::request::{Asked, essence};
use super::usage;
use crate::codec::{Frame, Observe, Seen, Summary};
use crate::frame::Framing;
use crate::openai::{cut, error_in, malformed, not_an_answer};
use crate::scan::reader::{Fault, Kind, Reader};
use trunkline_model::dialect::Operation;
use trunkline_model::event::Finish;
use trunkline_model::failure::Failure;
use trunkline_model::usage::{Media, Usage};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// One JSON body, or one text.
    Whole,
    /// Server-sent events.
    Events,
    /// Sound, byte by byte.
    Bytes,
}

impl AnswerForm {
    /// The form that a content type says.
    #[must_use]
    pub fn of(operation: Operation, content_type: Option<&str>) -> Self {
        let essence = essence(content_type.unwrap_or_default()).to_ascii_lowercase();
        match (operation, essence.as_str()) {
            (_, "text/event-stream") => Self::Events,
            (Operation::Speech, other) if !is_text(other) => Self::Bytes,
            _ => Self::Whole,
        }
    }

    /// How its bytes are cut.
    #[must_use]
    pub const fn framing(self) -> Framing {
        match self {
            Self::Whole => Framing::Body,
            Self::Events => Framing::Sse,
            Self::Bytes => Framing::Chunks,
        }
    }
}

fn is_text(essence: &str) -> bool {
    essence == "application/json" || essence.starts_with("text/")
}

/// An observer of an answer in that form.
#[must_use]
pub fn observer(asked: Asked, form: AnswerForm) -> Box<dyn Observe> {
    match form {
        AnswerForm::Whole => Box::new(Whole { asked, summary: Summary::default() }),
        AnswerForm::Events => Box::new(Events { asked, summary: Summary::default(), is_done: false }),
        AnswerForm::Bytes => Box::new(Sound { asked, summary: Summary::default() }),
    }
}

/// Watches a whole body.
struct Whole {
    asked: Asked,
    summary: Summary,
}

impl Observe for Whole {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        let text = simdutf8::basic::from_utf8(frame.data).map_err(|_| malformed("the body is not UTF-8"))?;
        let is_object = text.trim_ascii_start().starts_with('{');
        if self.asked.takes_text && !is_object {
            self.summary.output_bytes = text.len() as u64;
        } else {
            self.json(text)?;
        }
        self.summary.finish = Some(Finish::Stop);
        self.summary.complete = true;
        Ok(Seen { semantic: true, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.summary.complete { Ok(()) } else { Err(cut()) }
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl Whole {
    fn json(&mut self, text: &str) -> Result<(), Failure> {
        let mut look = Look::default();
        look.read(self.asked.operation, &mut Reader::new(text))
            .map_err(|_| not_an_answer(text.as_bytes()))?;
        if look.is_error {
            return Err(error_in(text.as_bytes()));
        }
        if !look.has_result {
            return Err(not_an_answer(text.as_bytes()));
        }
        self.summary.output_bytes = look.result_bytes;
        self.summary.usage = look.usage(self.asked.operation);
        Ok(())
    }
}

/// What a JSON answer shows.
#[derive(Default)]
struct Look<'a> {
    is_error: bool,
    has_result: bool,
    result_bytes: u64,
    images: u64,
    usage: Option<&'a str>,
    duration: Option<f64>,
}

impl<'a> Look<'a> {
    fn read(&mut self, operation: Operation, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.blanks();
        if reader.kind() != Kind::Object {
            return Err(reader.unexpected("`{`"));
        }
        reader.object(|reader, key| match (key.raw, reader.kind()) {
            ("results", Kind::Array) if operation == Operation::Moderations => self.list(reader),
            ("data", Kind::Array) if is_picture(operation) => {
                let before = reader.position();
                let mut is_strange = false;
                reader.array(|reader, _| {
                    self.images += 1;
                    is_strange |= reader.kind() != Kind::Object;
                    reader.skip().map(drop)
                })?;
                self.has_result = !is_strange;
                self.result_bytes = (reader.position() - before) as u64;
                Ok(())
            }
            ("text", Kind::Text) if is_hearing(operation) => {
                self.has_result = true;
                self.result_bytes = reader.string()?.raw.len() as u64;
                Ok(())
            }
            ("usage", Kind::Object) => {
                self.usage = Some(reader.skip()?);
                Ok(())
            }
            ("duration", _) if is_hearing(operation) => {
                // Written as a number, and by some as a text.
                self.duration = reader.skip()?.trim_matches('"').parse().ok();
                Ok(())
            }
            ("error", _) => {
                self.is_error |= reader.skip()? != "null";
                Ok(())
            }
            _ => reader.skip().map(drop),
        })?;
        reader.end()
    }

    fn list(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        let before = reader.position();
        reader.skip()?;
        self.has_result = true;
        self.result_bytes = (reader.position() - before) as u64;
        Ok(())
    }

    fn usage(&self, operation: Operation) -> Option<Usage> {
        let mut usage = self.usage.and_then(|json| usage::read(operation, json));
        if self.images > 0 {
            usage.get_or_insert_default().media.images = self.images;
        }
        if let Some(duration) = self.duration
            && usage.is_none()
        {
            let audio_milliseconds = usage::milliseconds(duration);
            let media = Media { audio_milliseconds, ..Media::default() };
            usage = Some(Usage { media, ..Usage::default() });
        }
        usage
    }
}

const fn is_picture(operation: Operation) -> bool {
    matches!(operation, Operation::Images | Operation::ImageEdits | Operation::ImageVariations)
}

const fn is_hearing(operation: Operation) -> bool {
    matches!(operation, Operation::Transcriptions | Operation::Translations)
}

/// Watches events: `transcript.text.*`, `image_generation.*`, `image_edit.*`, `speech.audio.*`.
struct Events {
    asked: Asked,
    summary: Summary,
    /// An event said that something is complete; more pictures may follow it.
    is_done: bool,
}

/// What an event shows.
#[derive(Default)]
struct EventLook<'a> {
    kind: &'a str,
    is_error: bool,
    usage: Option<&'a str>,
    payload_bytes: u64,
}

impl Observe for Events {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(Seen { semantic: false, hide: false });
        }
        if data == b"[DONE]" {
            self.summary.complete = true;
            return Ok(Seen { semantic: true, hide: false });
        }
        let text = simdutf8::basic::from_utf8(data).map_err(|_| malformed("the event is not UTF-8"))?;
        let mut look = EventLook::default();
        look.read(&mut Reader::new(text)).map_err(|_| not_an_answer(data))?;
        if look.is_error || look.kind == "error" || frame.event == "error" {
            return Err(error_in(data));
        }
        if look.kind.is_empty() {
            return Err(not_an_answer(data));
        }
        self.summary.output_bytes += look.payload_bytes;
        let is_end = look.kind.ends_with(".done") || look.kind.ends_with(".completed");
        if let Some(read) = look.usage.and_then(|json| usage::read(self.asked.operation, json)) {
            // Each picture is told apart, with its own tokens.
            let before = self.summary.usage.unwrap_or_default();
            self.summary.usage = Some(before.plus(&read));
        }
        if is_end {
            self.is_done = true;
            self.summary.finish = Some(Finish::Stop);
            if is_picture(self.asked.operation) {
                self.summary.usage.get_or_insert_default().media.images += 1;
            }
        }
        Ok(Seen { semantic: true, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        if !self.is_done && !self.summary.complete {
            return Err(cut());
        }
        self.summary.complete = true;
        Ok(())
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl<'a> EventLook<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.blanks();
        if reader.kind() != Kind::Object {
            return Err(reader.unexpected("`{`"));
        }
        reader.object(|reader, key| {
            match (key.raw, reader.kind()) {
                ("type", Kind::Text) => self.kind = reader.string()?.raw,
                ("usage", Kind::Object) => self.usage = Some(reader.skip()?),
                ("delta" | "audio" | "b64_json", Kind::Text) => {
                    self.payload_bytes = reader.string()?.raw.len() as u64;
                }
                ("error", _) => self.is_error |= reader.skip()? != "null",
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        reader.end()
    }
}

/// Watches sound: nothing tells its end but the end of its body.
struct Sound {
    asked: Asked,
    summary: Summary,
}

impl Observe for Sound {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        self.summary.output_bytes += frame.data.len() as u64;
        Ok(Seen { semantic: !frame.data.is_empty(), hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.summary.output_bytes == 0 {
            return Err(cut());
        }
        if self.asked.characters > 0 {
            let media = Media { characters: self.asked.characters, ..Media::default() };
            self.summary.usage = Some(Usage { media, ..Usage::default() });
        }
        self.summary.finish = Some(Finish::Stop);
        self.summary.complete = true;
        Ok(())
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}
