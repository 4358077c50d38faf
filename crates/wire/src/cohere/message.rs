//! Canonical messages written for Cohere.
//!
//! Owns roles and contents: what the assistant says beside tool calls is their plan; results of tools are texts. Must not send
//! another provider's state: Cohere has none of its own.

use super::{UNKNOWN, Warnings, unsupported};
use crate::codec::{EncodeError, Profile};
use crate::names::{NameRule, fit, fit_id};
use crate::write::{Object, Wording, array, escaped, string};
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::content::{Content, Media, MediaSource, Message, Part, Role, ToolCall, ToolResult};
use trunkline_model::text::Text;

/// Why cache marks are left out.
pub(super) const NO_CACHE_MARKS: &str = "the target decides by itself what to cache";
const FOREIGN: &str = "made by another provider";

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
        writer.message(index, message)?;
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
    fn message(&mut self, index: usize, message: &Message) -> Result<(), EncodeError> {
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
            Role::Assistant => {
                self.assistant(index, message);
                Ok(())
            }
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
            let mut is_first = true;
            self.out.push(b'[');
            for (position, part) in message.parts.iter().enumerate() {
                self.part(&format!("messages[{index}].content[{position}]"), part, &mut is_first)?;
            }
            self.out.push(b']');
        }
        self.out.push(b'}');
        Ok(())
    }

    fn part(&mut self, path: &str, part: &Part, is_first: &mut bool) -> Result<(), EncodeError> {
        let text = match &part.content {
            Content::ToolResult(_) => return Ok(()),
            Content::Text(text) | Content::Refusal(text) => Some(text),
            Content::Document(Media { source: MediaSource::Text(text), .. }) => {
                self.warnings.emulated(path.to_owned(), "the document is sent as a text part");
                Some(text)
            }
            Content::Image(_) => None,
            Content::Document(_) => {
                return Err(unsupported(path, "the target reads documents as text only"));
            }
            Content::Audio(_) | Content::Video(_) => {
                return Err(unsupported(path, "the target takes texts and pictures only"));
            }
            Content::Other { origin, kind, .. } => {
                let reason = format!("parts of type `{kind}` exist only for {origin} providers");
                return Err(unsupported(path, reason));
            }
            Content::Thinking(_) | Content::RedactedThinking | Content::ToolCall(_) => {
                self.warnings.dropped(path.to_owned(), "only the assistant's messages can hold it");
                return Ok(());
            }
        };
        if !*is_first {
            self.out.push(b',');
        }
        *is_first = false;
        match (text, &part.content) {
            (Some(text), _) => write_text(self.out, text),
            (None, Content::Image(media)) => self.image(path, media)?,
            (None, _) => {}
        }
        Ok(())
    }

    fn image(&mut self, path: &str, media: &Media) -> Result<(), EncodeError> {
        let (media_type, text) = match &media.source {
            MediaSource::Url(_) if self.profile.image_urls == Support::No => {
                return Err(unsupported(path, "the target takes pictures inline only, as base64"));
            }
            MediaSource::Url(url) => (None, url.as_str().into()),
            MediaSource::Base64(data) => {
                (Some(media.media_type.as_deref().unwrap_or("image/png")), data.clone())
            }
            MediaSource::FileId(_) | MediaSource::Text(_) => {
                return Err(unsupported(
                    path,
                    "the target takes it as base64 or by URL, not as a stored file",
                ));
            }
        };
        let mut part = Object::open(&mut *self.out);
        part.text("type", "image_url");
        let mut inner = Object::open(part.key("image_url"));
        let out = inner.key("url");
        out.push(b'"');
        if let Some(media_type) = media_type {
            escaped(out, "data:");
            escaped(out, media_type);
            escaped(out, ";base64,");
        }
        text.write(out);
        out.push(b'"');
        if let Some(detail) = &media.detail {
            inner.text("detail", detail);
        }
        inner.close();
        part.close();
        Ok(())
    }

    fn assistant(&mut self, index: usize, message: &Message) {
        let mut said: Vec<(&'static str, Cow<'_, Text>)> = Vec::new();
        let mut calls: Vec<&ToolCall> = Vec::new();
        for (position, part) in message.parts.iter().enumerate() {
            let path = || format!("messages[{index}].content[{position}]");
            match &part.content {
                Content::Thinking(_) | Content::RedactedThinking if part.opaque.is_some() => {
                    self.warnings.dropped(path(), FOREIGN);
                    continue;
                }
                Content::Thinking(text) => said.push(("thinking", Cow::Owned(Text::from(text)))),
                Content::Text(text) | Content::Refusal(text) if !text.is_empty() => {
                    said.push(("text", Cow::Borrowed(text)));
                }
                Content::ToolCall(call) => calls.push(call),
                Content::Text(_) | Content::Refusal(_) | Content::ToolResult(_) => {}
                _ => self.warnings.dropped(path(), "the target's assistant messages cannot hold it"),
            }
            if part.opaque.is_some() {
                self.warnings.dropped(format!("{} signature", path()), FOREIGN);
            }
        }
        self.open("assistant");
        if calls.is_empty() {
            self.out.extend_from_slice(b",\"content\":");
            match said.as_slice() {
                [] => self.out.extend_from_slice(b"\"\""),
                [("text", text)] => string(self.out, text),
                several => array(self.out, several, |out, (kind, text)| {
                    let mut part = Object::open(out);
                    part.text("type", kind);
                    part.text(kind, text);
                    part.close();
                }),
            }
        } else {
            // What was said before the calls is their plan.
            if !said.is_empty() {
                self.out.extend_from_slice(b",\"tool_plan\":\"");
                for (position, (_, text)) in said.iter().enumerate() {
                    escaped(self.out, if position > 0 { "\n" } else { "" });
                    text.write(self.out);
                }
                self.out.push(b'"');
            }
            self.out.extend_from_slice(b",\"tool_calls\":");
            array(self.out, calls, write_call);
        }
        self.out.push(b'}');
    }

    fn tool_result(&mut self, path: &str, result: &ToolResult) -> Result<(), EncodeError> {
        self.open("tool");
        self.out.extend_from_slice(b",\"tool_call_id\":");
        string(self.out, &fit_id(&result.call_id));
        self.out.extend_from_slice(b",\"content\":\"");
        escaped(self.out, if result.is_error { "Error: " } else { "" });
        let mut is_first = true;
        for (position, part) in result.parts.iter().enumerate() {
            self.marks |= part.cache.is_some();
            let text = match &part.content {
                Content::Text(text) | Content::Document(Media { source: MediaSource::Text(text), .. }) => {
                    text
                }
                _ => {
                    let path = format!("{path}.content[{position}]");
                    return Err(unsupported(&path, "the target's results of tools hold text only"));
                }
            };
            escaped(self.out, if is_first { "" } else { "\n" });
            text.write(self.out);
            is_first = false;
        }
        self.out.extend_from_slice(b"\"}");
        if result.is_error {
            self.warnings.emulated(format!("{path}.is_error"), "the result's text begins with `Error: `");
        }
        Ok(())
    }
}

fn write_text(out: &mut Vec<u8>, text: &Text) {
    let mut part = Object::open(out);
    part.text("type", "text");
    part.text("text", text);
    part.close();
}

fn write_call(out: &mut Vec<u8>, call: &ToolCall) {
    let mut object = Object::open(out);
    object.text("id", &fit_id(&call.id));
    object.text("type", "function");
    let mut function = Object::open(object.key("function"));
    function.text("name", &fit(&call.name, NameRule::STRICT_64));
    function.text("arguments", call.arguments.text());
    function.close();
    object.close();
}
