//! Canonical messages written as items.
//!
//! Owns the items of each message, in its order. Must not send state that another kind of provider made.

use super::request_encode::unsupported;
use crate::codec::EncodeError;
use crate::names::{NameRule, fit};
use crate::write::{Object, Wording, array, escaped, string};
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::text::Text;
use trunkline_model::warning::Warning;

/// Why cache marks are left out.
pub(super) const NO_CACHE_MARKS: &str = "the target decides by itself what to cache";

/// Bytes of a picture by which it gets its id.
const FINGERPRINTED: usize = 4_096;

/// Longer ids of calls are refused.
const CALL_ID: NameRule = NameRule { length: 64, dots: true };

/// Writes the array of items.
pub(super) fn write(
    out: &mut Vec<u8>,
    messages: &[Message],
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let mut writer = Writer { out, warnings, is_first: true };
    writer.out.push(b'[');
    for (index, message) in messages.iter().enumerate() {
        writer.message(index, message)?;
    }
    writer.out.push(b']');
    let is_marked = |part: &Part| {
        let inside = match &part.content {
            Content::ToolResult(result) => result.parts.as_slice(),
            _ => &[],
        };
        part.cache.is_some() || inside.iter().any(|part| part.cache.is_some())
    };
    if messages.iter().flat_map(|message| &message.parts).any(is_marked) {
        warnings.push(Warning::dropped("cache_control", NO_CACHE_MARKS));
    }
    Ok(())
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    warnings: &'o mut Vec<Warning>,
    is_first: bool,
}

impl Writer<'_> {
    /// Opens an item.
    fn open(&mut self) -> Object<'_, Vec<u8>> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        Object::open(self.out)
    }

    fn message(&mut self, index: usize, message: &Message) -> Result<(), EncodeError> {
        for (position, part) in message.parts.iter().enumerate() {
            if let Content::ToolResult(result) = &part.content {
                self.result(&format!("messages[{index}].content[{position}]"), result)?;
            }
        }
        if message.name.is_some() {
            let feature = format!("messages[{index}].name");
            self.warnings.push(Warning::dropped(feature, "the target's items have no names"));
        }
        match message.role {
            Role::Tool => Ok(()),
            Role::Assistant => self.assistant(index, message),
            Role::System => self.prompt("system", index, message),
            Role::Developer => self.prompt("developer", index, message),
            Role::User => self.prompt("user", index, message),
        }
    }

    fn prompt(&mut self, role: &str, index: usize, message: &Message) -> Result<(), EncodeError> {
        if let [Part { content: Content::Text(text), .. }] = message.parts.as_slice() {
            let mut item = self.open();
            item.text("role", role);
            item.text("content", text);
            item.close();
            return Ok(());
        }
        // Items of this dialect that stand for themselves.
        let mut parts = Vec::new();
        for (position, part) in message.parts.iter().enumerate() {
            let path = format!("messages[{index}].content[{position}]");
            match &part.content {
                Content::ToolResult(_) => {}
                Content::Other { origin: Dialect::Responses, kind, json } if !kind.starts_with("input_") => {
                    self.other(json.text());
                }
                Content::Thinking(_) | Content::RedactedThinking | Content::ToolCall(_) => {
                    let reason = "only the assistant's messages can hold it";
                    self.warnings.push(Warning::dropped(path, reason));
                }
                _ => parts.push((path, part)),
            }
        }
        if parts.is_empty() && !message.parts.is_empty() {
            return Ok(());
        }
        let mut written = Vec::new();
        let list = content_list(&parts, &mut written, self.warnings);
        let mut item = self.open();
        item.text("role", role);
        item.key("content").extend_from_slice(&written);
        item.close();
        list
    }

    fn other(&mut self, json: &str) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(json.as_bytes());
    }

    fn assistant(&mut self, index: usize, message: &Message) -> Result<(), EncodeError> {
        for (position, part) in message.parts.iter().enumerate() {
            let path = || format!("messages[{index}].content[{position}]");
            let own = part.opaque.as_ref().filter(|opaque| opaque.origin == Dialect::Responses);
            if part.opaque.is_some() && own.is_none() {
                let reason = "made by another provider";
                self.warnings.push(Warning::dropped(format!("{} signature", path()), reason));
            }
            match (&part.content, own) {
                (Content::Thinking(text), Some(state)) => self.reasoning(text, state),
                (Content::RedactedThinking, Some(state)) => self.reasoning("", state),
                (Content::Thinking(_), None) if part.opaque.is_none() => {
                    let reason = "reasoning that is not sealed is nothing the target could go on with";
                    self.warnings.push(Warning::dropped(path(), reason));
                }
                (Content::Thinking(_) | Content::RedactedThinking | Content::ToolResult(_), _) => {}
                (Content::Text(text), _) if text.is_empty() => {}
                (Content::Text(text), _) => {
                    let mut item = self.open();
                    item.text("role", "assistant");
                    item.text("content", text);
                    item.close();
                }
                (Content::Refusal(text), _) => self.refusal(text),
                (Content::ToolCall(call), _) => self.call(call),
                (Content::Other { origin: Dialect::Responses, json, .. }, _) => self.other(json.text()),
                (Content::Image(Media { source: MediaSource::Base64(data), .. }), _) => self.picture(data),
                (
                    Content::Image(_)
                    | Content::Document(_)
                    | Content::Audio(_)
                    | Content::Video(_)
                    | Content::Other { .. },
                    _,
                ) => {
                    let reason = "the target's assistant messages cannot hold it";
                    self.warnings.push(Warning::dropped(path(), reason));
                }
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, text: &str, state: &Opaque) {
        let mut item = self.open();
        item.text("type", "reasoning");
        // The dialect demands an id; without a store it names nothing.
        item.text("id", &format!("rs_{:016x}", fingerprint(&state.value)));
        let texts: &[&str] = if text.is_empty() { &[] } else { &[text] };
        array(item.key("summary"), texts, |out, text| {
            let mut part = Object::open(out);
            part.text("type", "summary_text");
            part.text("text", text);
            part.close();
        });
        item.text("encrypted_content", &state.value);
        item.close();
    }

    /// A picture that a model made.
    fn picture(&mut self, data: &Text) {
        let beginning = data.get(..FINGERPRINTED).unwrap_or(data);
        let mut item = self.open();
        item.text("type", super::GENERATED);
        item.text("id", &format!("ig_{:016x}", fingerprint(beginning)));
        item.text("status", "completed");
        item.text("result", data);
        item.close();
    }

    fn refusal(&mut self, text: &str) {
        let mut item = self.open();
        item.text("type", "message");
        item.text("id", &format!("msg_{:016x}", fingerprint(text)));
        item.text("role", "assistant");
        item.text("status", "completed");
        array(item.key("content"), [text], |out, text| {
            let mut part = Object::open(out);
            part.text("type", "refusal");
            part.text("refusal", text);
            part.close();
        });
        item.close();
    }

    fn call(&mut self, call: &ToolCall) {
        let mut item = self.open();
        item.text("type", "function_call");
        item.text("call_id", &fit(&call.id, CALL_ID));
        item.text("name", &fit(&call.name, NameRule::STRICT_64));
        item.text("arguments", call.arguments.text());
        item.close();
    }

    fn result(&mut self, path: &str, result: &ToolResult) -> Result<(), EncodeError> {
        let failed = if result.is_error { "Error: " } else { "" };
        let mut written = Vec::new();
        let list = match result.parts.as_slice() {
            [] => {
                string(&mut written, failed.trim_end());
                Ok(())
            }
            [Part { content: Content::Text(text), .. }] => {
                written.push(b'"');
                escaped(&mut written, failed);
                text.write(&mut written);
                written.push(b'"');
                Ok(())
            }
            parts => {
                let note = Part::text("Error:");
                let note = result.is_error.then(|| (path.to_owned(), &note));
                let parts = parts.iter().enumerate();
                let parts = parts.map(|(position, part)| (format!("{path}.content[{position}]"), part));
                let parts: Vec<(String, &Part)> = note.into_iter().chain(parts).collect();
                content_list(&parts, &mut written, self.warnings)
            }
        };
        let mut item = self.open();
        item.text("type", "function_call_output");
        item.text("call_id", &fit(&result.call_id, CALL_ID));
        item.key("output").extend_from_slice(&written);
        item.close();
        if result.is_error {
            let reason = "the result's text begins with `Error:`";
            self.warnings.push(Warning::emulated(format!("{path}.is_error"), reason));
        }
        list
    }
}

/// Writes a list of input parts.
fn content_list(
    parts: &[(String, &Part)],
    out: &mut Vec<u8>,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    out.push(b'[');
    for (position, (path, part)) in parts.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write_part(path, part, out, warnings)?;
    }
    out.push(b']');
    Ok(())
}

fn write_part(
    path: &str,
    part: &Part,
    out: &mut Vec<u8>,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => write_text(out, text),
        Content::Image(media) => {
            let mut part = Object::open(out);
            part.text("type", "input_image");
            match &media.source {
                MediaSource::Url(url) => part.text("image_url", url),
                MediaSource::Base64(data) => data_url(part.key("image_url"), "image/png", media, data),
                MediaSource::FileId(id) if id.starts_with("file-") => part.text("file_id", id),
                MediaSource::FileId(_) | MediaSource::Text(_) => return Err(foreign_file(path)),
            }
            part.text("detail", media.detail.as_deref().unwrap_or("auto"));
            part.close();
        }
        Content::Document(Media { source: MediaSource::Text(text), .. }) => {
            warnings.push(Warning::emulated(path.to_owned(), "the document is sent as a text part"));
            write_text(out, text);
        }
        Content::Document(media) => {
            let mut part = Object::open(out);
            part.text("type", "input_file");
            match &media.source {
                MediaSource::Url(url) => part.text("file_url", url),
                MediaSource::Base64(data) => {
                    // The dialect demands a name beside the bytes.
                    part.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
                    data_url(part.key("file_data"), "application/pdf", media, data);
                }
                MediaSource::FileId(id) if id.starts_with("file-") => part.text("file_id", id),
                MediaSource::FileId(_) | MediaSource::Text(_) => return Err(foreign_file(path)),
            }
            part.close();
        }
        Content::Other { origin: Dialect::Responses, json, .. } => {
            out.extend_from_slice(json.text().as_bytes());
        }
        Content::Audio(_) => return Err(unsupported(path, "the target's dialect takes no sound")),
        Content::Video(_) => return Err(unsupported(path, "the target's dialect takes no moving pictures")),
        Content::Other { origin, kind, .. } => {
            let reason = format!("parts of type `{kind}` exist only for {origin} providers");
            return Err(unsupported(path, &reason));
        }
        Content::ToolCall(_) | Content::ToolResult(_) | Content::Thinking(_) | Content::RedactedThinking => {
            return Err(unsupported(path, "it cannot stand inside another part"));
        }
    }
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &Text) {
    let mut part = Object::open(out);
    part.text("type", "input_text");
    part.text("text", text);
    part.close();
}

fn data_url(out: &mut Vec<u8>, default_type: &str, media: &Media, data: &Text) {
    out.push(b'"');
    escaped(out, "data:");
    escaped(out, media.media_type.as_deref().unwrap_or(default_type));
    escaped(out, ";base64,");
    data.write(out);
    out.push(b'"');
}

fn foreign_file(path: &str) -> EncodeError {
    unsupported(path, "the file is in another provider's store")
}

/// FNV-1a: the same id for the same value, whenever and wherever it is sent.
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
