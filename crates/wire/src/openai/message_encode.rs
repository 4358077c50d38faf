//! Canonical messages written for a target that speaks this dialect.
//!
//! Owns roles, parts and where pictures in tool results go: the dialect's tool messages hold text only, so they follow in
//! a user message after the last result of the turn. Must not send provider state: no target of this dialect made it.

use super::media::audio_format;
use super::request_encode::Warnings;
use crate::codec::{EncodeError, OutputLimitName, Profile};
use crate::names::{NameRule, fit};
use crate::write::{Object, Wording, Words, escaped, string};
use trunkline_model::capability::Support;
use trunkline_model::content::{Content, Media, MediaSource, Message, Part, Role, ToolCall, ToolResult};
use trunkline_model::dialect::Dialect;
use trunkline_model::text::Text;

/// Why cache marks are left out.
pub(super) const NO_CACHE_MARKS: &str = "the target decides by itself what to cache";

/// OpenAI refuses longer ids of tool calls.
const CALL_ID: NameRule = NameRule { length: 40, dots: true };

/// Writes the array of messages.
pub(super) fn write(
    out: &mut Vec<u8>,
    messages: &[Message],
    profile: &Profile,
    warnings: &mut Warnings,
) -> Result<(), EncodeError> {
    let mut writer = Writer { out, profile, warnings, is_first: true, leftover: Vec::new(), marks: false };
    writer.out.push(b'[');
    for (index, message) in messages.iter().enumerate() {
        if message.role != Role::Tool {
            writer.flush_leftover()?;
        }
        writer.message(index, message)?;
    }
    writer.flush_leftover()?;
    writer.out.push(b']');
    if writer.marks {
        writer.warnings.dropped("cache_control", NO_CACHE_MARKS);
    }
    Ok(())
}

struct Writer<'o, 'm> {
    out: &'o mut Vec<u8>,
    profile: &'o Profile,
    warnings: &'o mut Warnings,
    is_first: bool,
    /// Media of tool results that still need a user message, with their paths.
    leftover: Vec<(String, &'m Part)>,
    marks: bool,
}

impl<'m> Writer<'_, 'm> {
    fn message(&mut self, index: usize, message: &'m Message) -> Result<(), EncodeError> {
        self.marks |= message.parts.iter().any(|part| part.cache.is_some());
        // Results may also stand among a user's parts, should a decoder leave them there.
        for (position, part) in message.parts.iter().enumerate() {
            if let Content::ToolResult(result) = &part.content {
                self.tool_result(&format!("messages[{index}].content[{position}]"), result)?;
            }
        }
        match message.role {
            Role::Tool => Ok(()),
            Role::Assistant => self.assistant(index, message),
            Role::System | Role::Developer | Role::User => {
                let is_only_results = !message.parts.is_empty()
                    && message.parts.iter().all(|part| matches!(part.content, Content::ToolResult(_)));
                if is_only_results {
                    return Ok(());
                }
                self.flush_leftover()?;
                self.prompt(index, message)
            }
        }
    }

    fn open(&mut self, role: &str) {
        let comma: &[u8] = if self.is_first { b"{\"role\":\"" } else { b",{\"role\":\"" };
        self.is_first = false;
        self.out.extend_from_slice(comma);
        self.out.extend_from_slice(role.as_bytes());
        self.out.push(b'"');
    }

    fn prompt(&mut self, index: usize, message: &Message) -> Result<(), EncodeError> {
        let role = match message.role {
            // Look-alikes know no `developer`; OpenAI itself, whose newer models want the newer limit's name too, does.
            Role::Developer if self.profile.output_limit == OutputLimitName::MaxCompletionTokens => {
                "developer"
            }
            Role::System | Role::Developer => "system",
            _ => "user",
        };
        self.open(role);
        self.out.extend_from_slice(b",\"content\":");
        if let [Part { content: Content::Text(text), .. }] = message.parts.as_slice() {
            string(self.out, text);
        } else {
            self.out.push(b'[');
            let mut is_first = true;
            for (position, part) in message.parts.iter().enumerate() {
                let path = format!("messages[{index}].content[{position}]");
                self.part(&path, part, &mut is_first)?;
            }
            self.out.push(b']');
        }
        self.name(message);
        self.out.push(b'}');
        Ok(())
    }

    fn name(&mut self, message: &Message) {
        if let Some(name) = &message.name {
            self.out.extend_from_slice(b",\"name\":");
            string(self.out, name);
        }
    }

    /// Writes one part of a prompt.
    fn part(&mut self, path: &str, part: &Part, is_first: &mut bool) -> Result<(), EncodeError> {
        if matches!(part.content, Content::ToolResult(_)) {
            return Ok(());
        }
        if matches!(part.content, Content::Thinking(_) | Content::RedactedThinking | Content::ToolCall(_)) {
            self.warnings.dropped(path.to_owned(), "only the assistant's messages can hold it");
            return Ok(());
        }
        if !*is_first {
            self.out.push(b',');
        }
        *is_first = false;
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => write_text(self.out, text),
            Content::Image(media) => self.image(path, media)?,
            Content::Video(media) => {
                let url = self.url(path, "video/mp4", media)?;
                let mut part = Object::open(&mut *self.out);
                part.text("type", "video_url");
                write_url(part.key("video_url"), &url, None);
                part.close();
            }
            Content::Audio(media) => self.audio(path, media)?,
            Content::Document(media) => self.document(path, media)?,
            Content::Other { origin: Dialect::OpenAi, json, .. } => {
                self.out.extend_from_slice(json.text().as_bytes());
            }
            Content::Other { origin, kind, .. } => {
                return Err(unsupported(
                    path,
                    format!("parts of type `{kind}` exist only for {origin} providers"),
                ));
            }
            Content::ToolResult(_)
            | Content::ToolCall(_)
            | Content::Thinking(_)
            | Content::RedactedThinking => {}
        }
        Ok(())
    }

    fn image(&mut self, path: &str, media: &Media) -> Result<(), EncodeError> {
        if matches!(media.source, MediaSource::Url(_)) && self.profile.image_urls == Support::No {
            return Err(unsupported(path, "the target takes pictures inline only, as base64".to_owned()));
        }
        let url = self.url(path, "image/png", media)?;
        let mut part = Object::open(&mut *self.out);
        part.text("type", "image_url");
        write_url(part.key("image_url"), &url, media.detail.as_deref());
        part.close();
        Ok(())
    }

    /// The URL of a file: its own, or a `data:` URL of its bytes.
    fn url<'u>(&self, path: &str, default_type: &'u str, media: &'u Media) -> Result<Url<'u>, EncodeError> {
        match &media.source {
            MediaSource::Url(url) => Ok(Url { media_type: None, text: Words::Plain(url) }),
            MediaSource::Base64(data) => {
                let media_type = Some(media.media_type.as_deref().unwrap_or(default_type));
                Ok(Url { media_type, text: Words::Text(data) })
            }
            MediaSource::FileId(_) | MediaSource::Text(_) => Err(unsupported(
                path,
                "the target takes it as base64 or by URL, not as a stored file".to_owned(),
            )),
        }
    }

    fn audio(&mut self, path: &str, media: &Media) -> Result<(), EncodeError> {
        let MediaSource::Base64(data) = &media.source else {
            return Err(unsupported(path, "the target takes sound inline only, as base64".to_owned()));
        };
        let mut part = Object::open(&mut *self.out);
        part.text("type", "input_audio");
        let mut audio = Object::open(part.key("input_audio"));
        audio.text("data", data);
        audio.text("format", audio_format(media.media_type.as_deref()));
        audio.close();
        part.close();
        Ok(())
    }

    fn document(&mut self, path: &str, media: &Media) -> Result<(), EncodeError> {
        match &media.source {
            MediaSource::Text(text) => {
                self.warnings.emulated(path.to_owned(), "the document is sent as a text part");
                write_text(self.out, text);
                return Ok(());
            }
            MediaSource::Url(_) => {
                return Err(unsupported(
                    path,
                    "the target takes documents inline only, as base64".to_owned(),
                ));
            }
            // OpenAI's ids begin with `file-`; another provider's would name a file that does not exist there.
            MediaSource::FileId(id) if !id.starts_with("file-") => {
                return Err(unsupported(path, format!("the file `{id}` is in another provider's store")));
            }
            MediaSource::FileId(_) | MediaSource::Base64(_) => {}
        }
        let mut part = Object::open(&mut *self.out);
        part.text("type", "file");
        let mut file = Object::open(part.key("file"));
        match &media.source {
            MediaSource::FileId(id) => file.text("file_id", id),
            MediaSource::Base64(data) => {
                // The dialect demands a name beside the bytes.
                file.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
                let media_type = Some(media.media_type.as_deref().unwrap_or("application/pdf"));
                Url { media_type, text: Words::Text(data) }.write(file.key("file_data"));
            }
            MediaSource::Url(_) | MediaSource::Text(_) => {}
        }
        file.close();
        part.close();
        Ok(())
    }

    fn assistant(&mut self, index: usize, message: &Message) -> Result<(), EncodeError> {
        let mut texts = Vec::new();
        let mut refusal: Option<&str> = None;
        let mut calls = Vec::new();
        for (position, part) in message.parts.iter().enumerate() {
            let path = || format!("messages[{index}].content[{position}]");
            if part.opaque.is_some() {
                self.warnings.dropped(format!("{} signature", path()), "made by another provider");
            }
            match &part.content {
                Content::Text(text) if text.is_empty() && part.opaque.is_some() => {}
                Content::Text(text) => texts.push(text),
                Content::Refusal(text) => refusal = Some(text),
                Content::ToolCall(call) => calls.push(Call::Function(call)),
                Content::Thinking(_) if part.opaque.is_none() => {
                    self.warnings.dropped(path(), "the target takes no reasoning back");
                }
                Content::Thinking(_) | Content::RedactedThinking | Content::ToolResult(_) => {}
                // Calls of the dialect's custom tools.
                Content::Other { origin: Dialect::OpenAi, kind, json } if kind == "custom" => {
                    calls.push(Call::Custom(json.text()));
                }
                Content::Image(_)
                | Content::Document(_)
                | Content::Audio(_)
                | Content::Video(_)
                | Content::Other { .. } => {
                    self.warnings.dropped(path(), "the target's assistant messages cannot hold it");
                }
            }
        }
        self.open("assistant");
        self.out.extend_from_slice(b",\"content\":");
        match texts.as_slice() {
            [] if calls.is_empty() && refusal.is_none() => string(self.out, ""),
            [] => self.out.extend_from_slice(b"null"),
            [one] => string(self.out, one),
            several => crate::write::array(self.out, several, write_text),
        }
        if let Some(refusal) = refusal {
            self.out.extend_from_slice(b",\"refusal\":");
            string(self.out, refusal);
        }
        if !calls.is_empty() {
            self.out.extend_from_slice(b",\"tool_calls\":");
            crate::write::array(self.out, calls, |out, call| match call {
                Call::Function(call) => write_call(out, call),
                Call::Custom(json) => out.extend_from_slice(json.as_bytes()),
            });
        }
        self.name(message);
        self.out.push(b'}');
        Ok(())
    }

    fn tool_result(&mut self, path: &str, result: &'m ToolResult) -> Result<(), EncodeError> {
        self.open("tool");
        self.out.extend_from_slice(b",\"tool_call_id\":");
        string(self.out, &fit(&result.call_id, CALL_ID));
        self.out.extend_from_slice(b",\"content\":");
        let mut texts: Vec<&Text> = Vec::new();
        for (position, part) in result.parts.iter().enumerate() {
            self.marks |= part.cache.is_some();
            match &part.content {
                Content::Text(text) => texts.push(text),
                _ => self.leftover.push((format!("{path}.content[{position}]"), part)),
            }
        }
        let failed = if result.is_error { "Error: " } else { "" };
        match texts.as_slice() {
            several @ [_, _, ..] if failed.is_empty() => {
                crate::write::array(self.out, several, write_text);
            }
            texts => {
                self.out.push(b'"');
                escaped(self.out, failed);
                for (position, text) in texts.iter().enumerate() {
                    if position > 0 {
                        escaped(self.out, "\n");
                    }
                    text.write(self.out);
                }
                if texts.is_empty() && !result.parts.is_empty() {
                    escaped(self.out, ATTACHED);
                }
                self.out.push(b'"');
            }
        }
        if result.is_error {
            self.warnings.emulated(format!("{path}.is_error"), "the result's text begins with `Error: `");
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Sends the media of tool results in a user message of their own.
    fn flush_leftover(&mut self) -> Result<(), EncodeError> {
        let leftover = std::mem::take(&mut self.leftover);
        if leftover.is_empty() {
            return Ok(());
        }
        self.open("user");
        self.out.extend_from_slice(b",\"content\":[");
        let mut is_first = true;
        for (path, part) in leftover {
            self.part(&path, part, &mut is_first)?;
            self.warnings.emulated(path, "sent in a user message after the tool's result");
        }
        self.out.extend_from_slice(b"]}");
        Ok(())
    }
}

/// The text of a result that is media only.
const ATTACHED: &str = "The result is attached in the next message.";

enum Call<'m> {
    Function(&'m ToolCall),
    /// A call of a custom tool, as it came.
    Custom(&'m str),
}

fn write_text(out: &mut Vec<u8>, text: &(impl Wording + ?Sized)) {
    let mut part = Object::open(out);
    part.text("type", "text");
    part.text("text", text);
    part.close();
}

fn write_call(out: &mut Vec<u8>, call: &ToolCall) {
    let mut object = Object::open(out);
    object.text("id", &fit(&call.id, CALL_ID));
    object.text("type", "function");
    let mut function = Object::open(object.key("function"));
    function.text("name", &fit(&call.name, NameRule::STRICT_64));
    function.text("arguments", call.arguments.text());
    function.close();
    object.close();
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

fn write_url(out: &mut Vec<u8>, url: &Url<'_>, detail: Option<&str>) {
    let mut object = Object::open(out);
    url.write(object.key("url"));
    if let Some(detail) = detail {
        object.text("detail", detail);
    }
    object.close();
}

fn unsupported(path: &str, reason: String) -> EncodeError {
    EncodeError::Unsupported { feature: path.to_owned(), reason }
}
