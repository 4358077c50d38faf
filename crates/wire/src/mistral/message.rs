//! Canonical messages written for Mistral.
//!
//! Owns roles and chunks: Mistral's tool messages hold pictures too, its assistant messages thoughts, and a conversation that
//! ends with the assistant is continued from there when that message is marked as a prefix. Must not send another provider's
//! state, nor a member its schema lacks (a participant's name, cache marks).

use super::{UNKNOWN, Warnings, unsupported};
use crate::codec::{EncodeError, Profile, ReasoningStyle};
use crate::names::{NameRule, fit};
use crate::write::{Object, Wording, Words, escaped, string};
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::content::{Content, Media, MediaSource, Message, Part, Role, ToolCall, ToolResult};
use trunkline_model::dialect::Dialect;

/// Why cache marks are left out.
pub(super) const NO_CACHE_MARKS: &str = "the target decides by itself what to cache";

/// Writes the array of messages.
pub(super) fn write(
    out: &mut Vec<u8>,
    messages: &[Message],
    profile: &Profile,
    warnings: &mut Warnings,
) -> Result<(), EncodeError> {
    let mut writer = Writer { out, profile, warnings, is_first: true, marks: false };
    writer.out.push(b'[');
    for (index, message) in messages.iter().enumerate() {
        writer.message(index, message, index + 1 == messages.len())?;
    }
    writer.out.push(b']');
    if writer.marks {
        writer.warnings.dropped("cache_control", NO_CACHE_MARKS);
    }
    Ok(())
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    profile: &'o Profile,
    warnings: &'o mut Warnings,
    is_first: bool,
    marks: bool,
}

impl Writer<'_> {
    fn message(&mut self, index: usize, message: &Message, is_last: bool) -> Result<(), EncodeError> {
        self.marks |= message.parts.iter().any(|part| part.cache.is_some());
        if message.name.is_some() {
            self.warnings.dropped(format!("messages[{index}].name"), UNKNOWN);
        }
        let mut results = 0;
        for (position, part) in message.parts.iter().enumerate() {
            if let Content::ToolResult(result) = &part.content {
                results += 1;
                self.tool_result(&format!("messages[{index}].content[{position}]"), result)?;
            }
        }
        match message.role {
            Role::Tool => Ok(()),
            _ if results > 0 && results == message.parts.len() => Ok(()),
            Role::Assistant => self.assistant(index, message, is_last),
            Role::System | Role::Developer => self.prompt("system", index, message),
            Role::User => self.prompt("user", index, message),
        }
    }

    fn open(&mut self, role: &str) {
        let comma: &[u8] = if self.is_first { b"{\"role\":\"" } else { b",{\"role\":\"" };
        self.is_first = false;
        self.out.extend_from_slice(comma);
        self.out.extend_from_slice(role.as_bytes());
        self.out.push(b'"');
    }

    fn prompt(&mut self, role: &str, index: usize, message: &Message) -> Result<(), EncodeError> {
        self.open(role);
        self.out.extend_from_slice(b",\"content\":");
        if let [Part { content: Content::Text(text), .. }] = message.parts.as_slice() {
            string(self.out, text);
        } else {
            let mut chunks = Chunks::open(self.out);
            for (position, part) in message.parts.iter().enumerate() {
                let path = format!("messages[{index}].content[{position}]");
                chunks.part(&path, part, self.profile, self.warnings)?;
            }
            chunks.close();
        }
        self.out.push(b'}');
        Ok(())
    }

    fn assistant(&mut self, index: usize, message: &Message, is_last: bool) -> Result<(), EncodeError> {
        self.open("assistant");
        self.out.extend_from_slice(b",\"content\":");
        let is_call = |part: &Part| matches!(part.content, Content::ToolCall(_));
        let said: Vec<&Part> = message.parts.iter().filter(|part| !is_call(part)).collect();
        match said.as_slice() {
            [Part { content: Content::Text(text), opaque, .. }] => {
                if opaque.is_some() {
                    self.warnings.dropped(format!("messages[{index}] signature"), FOREIGN);
                }
                string(self.out, text);
            }
            [] => self.out.extend_from_slice(b"\"\""),
            _ => {
                let mut chunks = Chunks::open(self.out);
                for (position, part) in message.parts.iter().enumerate() {
                    let path = format!("messages[{index}].content[{position}]");
                    chunks.said(&path, part, self.profile, self.warnings);
                }
                chunks.close();
            }
        }
        let calls: Vec<&ToolCall> = message
            .parts
            .iter()
            .filter_map(|part| if let Content::ToolCall(call) = &part.content { Some(call) } else { None })
            .collect();
        if message.parts.iter().any(|part| is_call(part) && part.opaque.is_some()) {
            self.warnings.dropped(format!("messages[{index}] signature"), FOREIGN);
        }
        if !calls.is_empty() {
            self.out.extend_from_slice(b",\"tool_calls\":");
            crate::write::array(self.out, calls, write_call);
        } else if is_last {
            // Mistral refuses a conversation that ends with its own turn, unless it is told to go on from there.
            self.out.extend_from_slice(b",\"prefix\":true");
        }
        self.out.push(b'}');
        Ok(())
    }

    fn tool_result(&mut self, path: &str, result: &ToolResult) -> Result<(), EncodeError> {
        self.open("tool");
        self.out.extend_from_slice(b",\"tool_call_id\":");
        string(self.out, &call_id(&result.call_id));
        if let Some(name) = &result.name {
            self.out.extend_from_slice(b",\"name\":");
            string(self.out, &fit(name, NameRule::STRICT_64));
        }
        self.out.extend_from_slice(b",\"content\":");
        self.marks |= result.parts.iter().any(|part| part.cache.is_some());
        let is_text = |part: &Part| matches!(part.content, Content::Text(_));
        if result.parts.iter().all(is_text) && (result.is_error || result.parts.len() <= 1) {
            self.out.push(b'"');
            escaped(self.out, if result.is_error { FAILED } else { "" });
            for (position, part) in result.parts.iter().enumerate() {
                if let Content::Text(text) = &part.content {
                    escaped(self.out, if position > 0 { "\n" } else { "" });
                    text.write(self.out);
                }
            }
            self.out.push(b'"');
        } else {
            let mut chunks = Chunks::open(self.out);
            if result.is_error {
                chunks.text(FAILED.trim_end());
            }
            for (position, part) in result.parts.iter().enumerate() {
                let path = format!("{path}.content[{position}]");
                chunks.part(&path, part, self.profile, self.warnings)?;
            }
            chunks.close();
        }
        if result.is_error {
            self.warnings.emulated(format!("{path}.is_error"), "the result's text begins with `Error: `");
        }
        self.out.push(b'}');
        Ok(())
    }
}

const FOREIGN: &str = "made by another provider";
const FAILED: &str = "Error: ";

/// A list of chunks being written.
struct Chunks<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Chunks<'o> {
    fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, is_first: true }
    }

    fn close(self) {
        self.out.push(b']');
    }

    fn sound(&mut self, text: &(impl Wording + ?Sized)) {
        let mut chunk = self.chunk("input_audio");
        chunk.text("input_audio", text);
        chunk.close();
    }

    fn chunk(&mut self, kind: &str) -> Object<'_, Vec<u8>> {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        let mut chunk = Object::open(&mut *self.out);
        chunk.text("type", kind);
        chunk
    }

    fn text(&mut self, text: &(impl Wording + ?Sized)) {
        let mut chunk = self.chunk("text");
        chunk.text("text", text);
        chunk.close();
    }

    /// A part of a prompt or of a tool's result.
    fn part(
        &mut self,
        path: &str,
        part: &Part,
        profile: &Profile,
        warnings: &mut Warnings,
    ) -> Result<(), EncodeError> {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => self.text(text),
            Content::Image(media) => {
                if matches!(media.source, MediaSource::Url(_)) && profile.image_urls == Support::No {
                    return Err(unsupported(path, "the target takes pictures inline only, as base64"));
                }
                let url = url(path, "image/png", media)?;
                let mut chunk = self.chunk("image_url");
                let mut inner = Object::open(chunk.key("image_url"));
                url.write(inner.key("url"));
                if let Some(detail) =
                    media.detail.as_deref().filter(|word| ["low", "auto", "high"].contains(word))
                {
                    inner.text("detail", detail);
                }
                inner.close();
                chunk.close();
            }
            Content::Document(Media { source: MediaSource::Text(text), .. }) => {
                warnings.emulated(path.to_owned(), "the document is sent as a text part");
                self.text(text);
            }
            Content::Document(media) => {
                let url = url(path, "application/pdf", media)?;
                let mut chunk = self.chunk("document_url");
                url.write(chunk.key("document_url"));
                if let Some(name) = &media.name {
                    chunk.text("document_name", name);
                }
                chunk.close();
            }
            Content::Audio(Media { source: MediaSource::Base64(data), .. }) => self.sound(data),
            Content::Audio(Media { source: MediaSource::Url(url), .. }) => self.sound(url),
            Content::Audio(_) => {
                return Err(unsupported(path, "the target takes sound as base64 or by URL"));
            }
            Content::Video(_) => return Err(unsupported(path, "the target cannot watch moving pictures")),
            Content::Other { origin, kind, .. } => {
                return Err(unsupported(
                    path,
                    format!("parts of type `{kind}` exist only for {origin} providers"),
                ));
            }
            Content::Thinking(_) | Content::RedactedThinking | Content::ToolCall(_) => {
                warnings.dropped(path.to_owned(), "only the assistant's messages can hold it");
            }
            Content::ToolResult(_) => {}
        }
        Ok(())
    }

    /// A part of the assistant's message.
    fn said(&mut self, path: &str, part: &Part, profile: &Profile, warnings: &mut Warnings) {
        let foreign = part.opaque.as_ref().filter(|opaque| opaque.origin != Dialect::Mistral);
        match &part.content {
            Content::Text(text) if text.is_empty() && foreign.is_some() => {
                warnings.dropped(format!("{path} signature"), FOREIGN);
            }
            Content::Text(text) | Content::Refusal(text) => {
                if foreign.is_some() {
                    warnings.dropped(format!("{path} signature"), FOREIGN);
                }
                self.text(text);
            }
            Content::Thinking(_) | Content::RedactedThinking if foreign.is_some() => {
                warnings.dropped(path.to_owned(), FOREIGN);
            }
            Content::Thinking(_) if profile.reasoning == ReasoningStyle::None => {
                warnings.dropped(path.to_owned(), "the model cannot reason");
            }
            Content::Thinking(text) => {
                let mut chunk = self.chunk("thinking");
                let mut inner = Chunks::open(chunk.key("thinking"));
                inner.text(text);
                inner.close();
                if let Some(opaque) = &part.opaque {
                    chunk.text("signature", &opaque.value);
                }
                chunk.close();
            }
            Content::ToolCall(_) | Content::ToolResult(_) => {}
            _ => warnings.dropped(path.to_owned(), "the target's assistant messages cannot hold it"),
        }
    }
}

/// A URL to be written without building it first.
struct Url<'u> {
    media_type: Option<&'u str>,
    text: Words<'u>,
}

impl Url<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        if let Some(media_type) = self.media_type {
            escaped(out, "data:");
            escaped(out, media_type);
            escaped(out, ";base64,");
        }
        self.text.write(out);
        out.push(b'"');
    }
}

/// The URL of a file: its own, or a `data:` URL of its bytes.
fn url<'u>(path: &str, default_type: &'u str, media: &'u Media) -> Result<Url<'u>, EncodeError> {
    match &media.source {
        MediaSource::Url(url) => Ok(Url { media_type: None, text: Words::Plain(url) }),
        MediaSource::Base64(data) => {
            let media_type = Some(media.media_type.as_deref().unwrap_or(default_type));
            Ok(Url { media_type, text: Words::Text(data) })
        }
        MediaSource::FileId(_) | MediaSource::Text(_) => {
            Err(unsupported(path, "the target takes it as base64 or by URL, not as a stored file"))
        }
    }
}

fn write_call(out: &mut Vec<u8>, call: &ToolCall) {
    let mut object = Object::open(out);
    object.text("id", &call_id(&call.id));
    object.text("type", "function");
    let mut function = Object::open(object.key("function"));
    function.text("name", &fit(&call.name, NameRule::STRICT_64));
    function.text("arguments", call.arguments.text());
    function.close();
    object.close();
}

/// Characters of Mistral's identifiers of calls.
const CALL_ID: usize = 9;

/// An identifier of a call as Mistral takes it: nine letters and digits. One that is so already stays; for others the same nine
/// are made of the same text every time, so that a call and its result still belong together. None has to be turned back:
/// Mistral's answers name no calls but their own.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    if id.len() == CALL_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // FNV-1a, stable over releases and machines, its upper half mixed into the lower: 62^9 needs 54 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 29;
    let digits = (0..CALL_ID).map(|_| {
        let digit = DIGITS[(hash % 62) as usize];
        hash /= 62;
        char::from(digit)
    });
    Cow::Owned(digits.collect())
}
