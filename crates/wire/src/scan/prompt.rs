//! Tallying a conversation: how much text, which media, what history.
//!
//! Owns the walk through messages that all dialects share, steered by what a key means in the dialect. Must not keep text.
//! Tool arguments and schemas are measured whole and not entered, because their keys are the client's own words: an
//! argument called `signature` is not a signature.

use super::reader::{Fault, Kind, Reader};
use super::string_of;
use memchr::memmem::Finder;
use std::sync::LazyLock;
use trunkline_model::dialect::Dialect;
use trunkline_model::shape::Shape;

/// Made once: making it takes longer than looking through a call.
static SIGNATURE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"thought_signature\""));

/// What was counted in one section of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) text_bytes: u64,
    pub(super) messages: u32,
    pub(super) declarations: u32,
    pub(super) images: u32,
    pub(super) documents: u32,
    pub(super) audio: u32,
    pub(super) videos: u32,
    pub(super) has_tool_history: bool,
    pub(super) has_opaque_state: bool,
}

impl Tally {
    /// Adds the counts to a shape.
    pub(super) const fn add_to(&self, shape: &mut Shape) {
        shape.text_bytes += self.text_bytes;
        shape.images += self.images;
        shape.documents += self.documents;
        shape.audio += self.audio;
        shape.videos += self.videos;
        shape.has_tool_history |= self.has_tool_history;
        shape.has_opaque_state |= self.has_opaque_state;
    }

    /// Walks one message or system prompt.
    pub(super) fn walk(&mut self, dialect: Dialect, reader: &mut Reader<'_>) -> Result<(), Fault> {
        match reader.kind() {
            Kind::Text => {
                self.text_bytes += reader.string()?.raw.len() as u64;
                Ok(())
            }
            Kind::Array => reader.array(|reader, _| self.walk(dialect, reader)),
            Kind::Object => reader.object(|reader, key| {
                let name = key.resolve();
                let meaning = match dialect {
                    Dialect::OpenAi | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => {
                        openai_meaning(&name)
                    }
                    Dialect::Responses => responses_meaning(&name),
                    Dialect::Anthropic => anthropic_meaning(&name),
                    Dialect::Gemini => gemini_meaning(&name),
                };
                self.apply(dialect, meaning, reader)
            }),
            _ => reader.skip().map(drop),
        }
    }

    fn apply(&mut self, dialect: Dialect, meaning: Meaning, reader: &mut Reader<'_>) -> Result<(), Fault> {
        match meaning {
            Meaning::Walk => return self.walk(dialect, reader),
            Meaning::Ignore => {
                reader.skip()?;
            }
            Meaning::Measure => {
                self.text_bytes += reader.skip()?.len() as u64;
            }
            Meaning::History => {
                let value = reader.skip()?;
                if !matches!(value, "null" | "[]") {
                    self.has_tool_history = true;
                    self.text_bytes += value.len() as u64;
                }
                // Look-alikes hang thought signatures on tool calls.
                self.has_opaque_state |= SIGNATURE.find(value.as_bytes()).is_some();
            }
            Meaning::Opaque => {
                self.has_opaque_state |= !matches!(reader.skip()?, "null" | "\"\"" | "[]");
            }
            Meaning::Image => self.media(reader, |tally| &mut tally.images)?,
            Meaning::Document => self.media(reader, |tally| &mut tally.documents)?,
            Meaning::Audio => self.media(reader, |tally| &mut tally.audio)?,
            Meaning::Video => self.media(reader, |tally| &mut tally.videos)?,
            Meaning::TypeName => self.type_name(reader)?,
            Meaning::TypedMedia => self.typed_media(reader)?,
        }
        Ok(())
    }

    fn media(
        &mut self,
        reader: &mut Reader<'_>,
        counter: impl Fn(&mut Self) -> &mut u32,
    ) -> Result<(), Fault> {
        if reader.skip()? != "null" {
            let count = counter(self);
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// The `type` of an Anthropic block or of a responses item, or OpenAI's `role`.
    fn type_name(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let Some(name) = string_of(reader)? else { return Ok(()) };
        match name.raw {
            "image" | "input_image" => self.images = self.images.saturating_add(1),
            "document" | "input_file" => self.documents = self.documents.saturating_add(1),
            "input_audio" => self.audio = self.audio.saturating_add(1),
            "tool_use" | "tool_result" | "server_tool_use" | "tool" | "function" => {
                self.has_tool_history = true
            }
            "function_call" | "function_call_output" | "custom_tool_call" | "custom_tool_call_output" => {
                self.has_tool_history = true
            }
            "redacted_thinking" => self.has_opaque_state = true,
            _ => {}
        }
        Ok(())
    }

    /// Gemini's `inlineData` and `fileData`: the MIME type tells what it is.
    fn typed_media(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let mut counter: fn(&mut Self) -> &mut u32 = |tally| &mut tally.documents;
        super::fields_of(reader, |reader, key| {
            if !matches!(key.raw, "mimeType" | "mime_type") {
                return reader.skip().map(drop);
            }
            if let Some(media_type) = string_of(reader)? {
                counter = match media_type.raw.split('/').next() {
                    Some("image") => |tally| &mut tally.images,
                    Some("audio") => |tally| &mut tally.audio,
                    Some("video") => |tally| &mut tally.videos,
                    _ => |tally| &mut tally.documents,
                };
            }
            Ok(())
        })?;
        let count = counter(self);
        *count = count.saturating_add(1);
        Ok(())
    }
}

/// What the value of a key is good for.
#[derive(Clone, Copy)]
enum Meaning {
    /// More of the conversation.
    Walk,
    /// Neither text nor fact.
    Ignore,
    /// Text in some form of its own.
    Measure,
    /// A tool call or result.
    History,
    /// Provider state.
    Opaque,
    Image,
    Document,
    Audio,
    Video,
    /// The name of a block's type or a role.
    TypeName,
    /// A file whose MIME type says what it is.
    TypedMedia,
}

fn openai_meaning(key: &str) -> Meaning {
    match key {
        "type" | "id" | "tool_call_id" | "name" | "detail" | "cache_control" | "annotations" => {
            Meaning::Ignore
        }
        "role" => Meaning::TypeName,
        "image_url" => Meaning::Image,
        "input_audio" => Meaning::Audio,
        "audio" => Meaning::Ignore,
        "file" => Meaning::Document,
        "video_url" => Meaning::Video,
        "tool_calls" | "function_call" => Meaning::History,
        "signature" | "thought_signature" | "encrypted_content" | "thinking_blocks" => Meaning::Opaque,
        _ => Meaning::Walk,
    }
}

fn anthropic_meaning(key: &str) -> Meaning {
    match key {
        "type" => Meaning::TypeName,
        "role" | "id" | "tool_use_id" | "cache_control" | "source" | "citations" => Meaning::Ignore,
        "input" => Meaning::Measure,
        "signature" | "encrypted_content" | "encrypted_index" | "data" => Meaning::Opaque,
        _ => Meaning::Walk,
    }
}

fn responses_meaning(key: &str) -> Meaning {
    match key {
        "type" => Meaning::TypeName,
        "arguments" | "input" => Meaning::Measure,
        "encrypted_content" => Meaning::Opaque,
        "role" | "id" | "call_id" | "status" | "name" | "detail" | "file_id" | "filename" | "image_url"
        | "file_data" | "file_url" | "input_audio" | "annotations" | "logprobs" | "phase"
        // A picture that a model made, as base64.
        | "result" => Meaning::Ignore,
        _ => Meaning::Walk,
    }
}

fn gemini_meaning(key: &str) -> Meaning {
    match key {
        "role" | "thought" | "videoMetadata" | "video_metadata" => Meaning::Ignore,
        "inlineData" | "inline_data" | "fileData" | "file_data" => Meaning::TypedMedia,
        "functionCall" | "functionResponse" | "function_call" | "function_response" => Meaning::History,
        "thoughtSignature" | "thought_signature" => Meaning::Opaque,
        _ => Meaning::Walk,
    }
}
