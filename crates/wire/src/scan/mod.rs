//! One pass over a request body: valid JSON or not, what is asked for, and where its top-level fields lie.
//!
//! Owns the making of `Envelope` and what all dialects share in it. Must not build a tree of the body nor keep any of the
//! prompt: the pass is what every request pays, also those whose bytes go through untouched. What the keys of a dialect
//! mean lives in one file per dialect.

mod anthropic;
mod gemini;
mod keys;
mod openai;
mod prompt;
pub(crate) mod reader;
mod responses;
pub(crate) mod specials;
mod strings;
mod text;
pub(crate) mod tree;
mod types;
pub(crate) mod unescape;

use crate::codec::{BadRequest, Envelope, Field, PathParts};
use prompt::Tally;
use reader::{Fault, Kind, Reader, wrong_type};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::shape::Shape;

pub use strings::LongStrings;
pub use text::{PromptText, prompt_text};

/// Looks at a body.
///
/// # Errors
/// What is wrong and where: a byte offset for syntax, a path for the essentials (model, stream, conversation) that are
/// missing or of the wrong type and for a key that stands twice in its object. Everything else is left to the decoder or to the
/// provider.
pub fn envelope(
    dialect: Dialect,
    operation: Operation,
    body: &[u8],
    path: &PathParts,
) -> Result<Envelope, BadRequest> {
    let text = utf8(body)?;
    let mut facts = Facts::new(dialect, operation, path);
    let (fields, strings) = facts.read(text).map_err(|fault| *fault)?;
    facts.finish(body, fields, strings)
}

/// Looks at a body that is no request of a dialect: whether it is one JSON object, and none of its objects has a key twice.
///
/// # Errors
/// What is wrong and where.
pub fn object(body: &[u8]) -> Result<(), BadRequest> {
    let mut reader = Reader::strict(utf8(body)?);
    reader.blanks();
    if reader.kind() != Kind::Object {
        return Err(*reader.unexpected("`{`: the body is a JSON object"));
    }
    let mut fields = Vec::new();
    let read = reader.object(|reader, key| {
        let start = reader.position();
        reader.skip()?;
        fields.push(Field { name: key.range(), value: start..reader.position() });
        Ok(())
    });
    read.and_then(|()| reader.end()).map_err(|fault| *fault)?;
    // The strict reader leaves the outermost keys to its visitor.
    let shape = Shape::new(Dialect::OpenAi, Operation::Chat);
    Envelope { shape, fields, wants_stream_usage: false, strings: LongStrings::default() }
        .refuse_repeated(body)
}

/// The body as text.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, BadRequest> {
    simdutf8::basic::from_utf8(body).map_err(|_| {
        let offset = simdutf8::compat::from_utf8(body).err().map_or(0, |error| error.valid_up_to());
        BadRequest {
            message: format!("invalid JSON at byte {offset}: expected UTF-8 text"),
            path: None,
            offset: Some(offset),
        }
    })
}

/// What the visitors of the dialects fill. The prompt is tallied by section.
struct Facts {
    shape: Shape,
    has_model: bool,
    wants_stream_usage: bool,
    /// Messages, contents or inputs.
    conversation: Option<Tally>,
    system: Tally,
    tools: Tally,
    max_completion_tokens: Option<u64>,
}

impl Facts {
    fn new(dialect: Dialect, operation: Operation, path: &PathParts) -> Self {
        let mut shape = Shape::new(dialect, operation);
        shape.model = path.model.clone().unwrap_or_default();
        shape.delivery = path.delivery.unwrap_or(Delivery::Plain);
        Self {
            shape,
            has_model: path.model.is_some(),
            // Usage is always part of the stream in this dialect.
            wants_stream_usage: dialect == Dialect::Responses,
            conversation: None,
            system: Tally::default(),
            tools: Tally::default(),
            max_completion_tokens: None,
        }
    }

    fn read(&mut self, text: &str) -> Result<(Vec<Field>, LongStrings), Fault> {
        let mut reader = Reader::strict(text);
        reader.blanks();
        if reader.kind() != Kind::Object {
            return Err(reader.unexpected("`{`: the body is a JSON object"));
        }
        let mut fields = Vec::with_capacity(16);
        let (dialect, operation) = (self.shape.dialect, self.shape.operation);
        reader.object(|reader, key| {
            let start = reader.position();
            let name = key.resolve();
            types::check(dialect, operation, &name, reader)?;
            match dialect {
                Dialect::OpenAi | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => {
                    openai::field(self, &name, reader)?
                }
                Dialect::Responses => responses::field(self, &name, reader)?,
                Dialect::Anthropic => anthropic::field(self, &name, reader)?,
                Dialect::Gemini => gemini::field(self, &name, reader)?,
            }
            fields.push(Field { name: key.range(), value: start..reader.position() });
            Ok(())
        })?;
        reader.end()?;
        Ok((fields, reader.into_strings()))
    }

    fn finish(
        mut self,
        body: &[u8],
        fields: Vec<Field>,
        strings: LongStrings,
    ) -> Result<Envelope, BadRequest> {
        let shape = &mut self.shape;
        if let Some(model) = openai::default_model(shape.operation).filter(|_| !self.has_model) {
            model.clone_into(&mut shape.model);
        } else if !self.has_model {
            return Err(BadRequest::at("model", "model: missing; expected the name of a model or route"));
        }
        // Pictures are made from pictures alone, and sounds from sounds.
        let takes_nothing = shape.operation.takes_forms() && shape.operation != Operation::ImageEdits;
        let nothing = takes_nothing.then(Tally::default);
        let Some(conversation) = self.conversation.or(nothing) else {
            let (path, expected) = match (shape.dialect, shape.operation) {
                (_, Operation::Rerank) => ("documents", "an array of texts"),
                (_, Operation::Moderations) => ("input", "a string or an array to judge"),
                (_, Operation::Speech) => ("input", "the text to speak"),
                (_, Operation::Completions) => ("prompt", "the text to continue"),
                (_, Operation::Images | Operation::ImageEdits) => ("prompt", "what the picture shows"),
                (Dialect::OpenAi, Operation::Embeddings) => ("input", "a string or an array to embed"),
                (Dialect::Gemini, Operation::Embeddings) => ("content", "the content to embed"),
                (Dialect::Responses, _) => ("input", "a string or an array of items"),
                (Dialect::Gemini, _) => ("contents", "an array of contents"),
                _ => ("messages", "an array of messages"),
            };
            return Err(BadRequest::at(path, format!("{path}: missing; expected {expected}")));
        };
        shape.body_bytes = body.len() as u64;
        shape.messages = conversation.messages;
        for tally in [&conversation, &self.system, &self.tools] {
            tally.add_to(shape);
        }
        shape.tools = self.tools.declarations;
        shape.max_output_tokens = self.max_completion_tokens.or(shape.max_output_tokens);
        Ok(Envelope { shape: self.shape, fields, wants_stream_usage: self.wants_stream_usage, strings })
    }

    /// Reads the model's name.
    fn model(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        if reader.kind() == Kind::Null {
            return Err(wrong_type("model", "the name of a model or route", "null"));
        }
        if let Some(name) = reader.optional_string("model")? {
            self.shape.model.clear();
            self.shape.model.push_str(&name.resolve());
            self.has_model = true;
        }
        Ok(())
    }

    /// Reads the `stream` flag.
    fn stream(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let stream = reader.optional_boolean("stream")?.unwrap_or(false);
        self.shape.delivery = Delivery::from_stream_flag(stream);
        Ok(())
    }
}

/// Reads an object field by field, or skips whatever else is there.
fn fields_of<'a>(
    reader: &mut Reader<'a>,
    visit: impl FnMut(&mut Reader<'a>, reader::Text<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if reader.kind() == Kind::Object { reader.object(visit) } else { reader.skip().map(drop) }
}

/// Reads a string, or skips whatever else is there.
fn string_of<'a>(reader: &mut Reader<'a>) -> Result<Option<reader::Text<'a>>, Fault> {
    if reader.kind() == Kind::Text { reader.string().map(Some) } else { reader.skip().map(|_| None) }
}

#[cfg(test)]
mod tests;
