//! Canonical parts as Anthropic content blocks.
//!
//! Owns the block types of the request side. Must not know turns or their order. Media that the API cannot take is refused,
//! not left out: an answer about a picture nobody saw is worse than another attempt elsewhere.

use super::request_encode::write_mark;
use super::turns;
use crate::call_ids::CallIds;
use crate::codec::{EncodeError, Profile};
use crate::conversation::{Block, CacheMarks};
use crate::json_text::JsonText;
use crate::write::Wording;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use trunkline_model::capability::Support;
use trunkline_model::content::{Content, Media, MediaSource, Part, ToolCall, ToolResult};
use trunkline_model::dialect::Dialect;
use trunkline_model::text::Text;
use trunkline_model::warning::Warning;

/// What a file id of this provider's store starts with; ids of other stores mean nothing here.
const FILE_PREFIX: &str = "file_";

/// Writes one block of a turn.
pub(super) fn write(
    block: &Block<'_>,
    ids: &CallIds,
    profile: &Profile,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let path = || block.path();
    if let Content::Other { json, .. } = &block.part.content {
        out.raw(json.text());
        return Ok(());
    }
    out.open_object();
    match &block.part.content {
        Content::Text(text) | Content::Refusal(text) => write_text(&block.shown(text), out),
        Content::ToolCall(call) => write_call(call, ids.at(block.place, &call.id), out),
        Content::ToolResult(result) => {
            let id = ids.at(block.place, &result.call_id);
            write_result(result, id, path, profile, marks, out, warnings)?;
        }
        Content::Thinking(text) => {
            out.field("type", "thinking");
            out.field("thinking", text);
            out.field("signature", state(block.part));
        }
        Content::RedactedThinking => {
            out.field("type", "redacted_thinking");
            out.field("data", state(block.part));
        }
        other => write_media(other, path, profile, out, warnings)?,
    }
    // The API refuses marks on thinking.
    if !matches!(block.part.content, Content::Thinking(_) | Content::RedactedThinking) {
        write_mark(marks.take(block.part.cache, path, warnings), out);
    }
    out.close_object();
    Ok(())
}

fn state(part: &Part) -> &str {
    part.opaque.as_ref().map(|opaque| opaque.value.as_str()).unwrap_or_default()
}

fn write_text(text: &Text, out: &mut BytesMut) {
    out.field("type", "text");
    out.field("text", text);
}

fn write_call(call: &ToolCall, id: &str, out: &mut BytesMut) {
    out.field("type", "tool_use");
    out.field("id", &turns::call_id(id));
    out.field("name", &turns::tool_name(&call.name));
    out.key("input");
    let text = call.arguments.text().trim_ascii();
    if call.arguments.is_object() {
        out.raw(text);
    } else if matches!(text, "" | "null" | "\"\"") {
        out.raw("{}");
    } else {
        out.open_object();
        out.field_raw("arguments", text);
        out.close_object();
    }
}

fn write_result(
    result: &ToolResult,
    id: &str,
    path: impl Fn() -> String,
    profile: &Profile,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    out.field("type", "tool_result");
    out.field("tool_use_id", &turns::call_id(id));
    let said = |part: &&Part| !matches!(&part.content, Content::Text(text) | Content::Refusal(text) if text.is_empty());
    let mut parts = result.parts.iter().filter(said);
    match (parts.next(), parts.next()) {
        (None, _) => {}
        (Some(Part { content: Content::Text(text), cache: None, .. }), None) => out.field("content", text),
        _ => {
            out.key("content");
            out.open_array();
            for (index, part) in result.parts.iter().enumerate() {
                if !said(&part) {
                    continue;
                }
                let inner = || format!("{}.content[{index}]", path());
                match &part.content {
                    Content::Other { origin: Dialect::Anthropic, json, .. } => {
                        out.raw(json.text());
                        continue;
                    }
                    Content::Text(text) | Content::Refusal(text) => {
                        out.open_object();
                        write_text(text, out);
                    }
                    other => {
                        out.open_object();
                        write_media(other, inner, profile, out, warnings)?;
                    }
                }
                write_mark(marks.take(part.cache, inner, warnings), out);
                out.close_object();
            }
            out.close_array();
        }
    }
    if result.is_error {
        out.key("is_error");
        out.boolean(true);
    }
    Ok(())
}

fn write_media(
    content: &Content,
    path: impl Fn() -> String,
    profile: &Profile,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let refuse = |reason: &str| EncodeError::Unsupported { feature: path(), reason: reason.to_owned() };
    match content {
        Content::Image(media) => {
            if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
                let feature = format!("{}.detail", path());
                warnings.push(Warning::dropped(feature, "Anthropic has nothing like it"));
            }
            write_image(media, profile, refuse, out)
        }
        Content::Document(media) => write_document(media, profile, refuse, out),
        Content::Audio(_) => Err(refuse("Anthropic takes no sound")),
        Content::Video(_) => Err(refuse("Anthropic takes no video")),
        _ => Err(refuse("Anthropic has no such part here")),
    }
}

fn write_image(
    media: &Media,
    profile: &Profile,
    refuse: impl Fn(&str) -> EncodeError,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    out.field("type", "image");
    out.key("source");
    out.open_object();
    match &media.source {
        MediaSource::Base64(data) => {
            let Some(media_type) = image_type(media.media_type.as_deref(), data) else {
                return Err(refuse("Anthropic takes pictures as JPEG, PNG, GIF or WebP"));
            };
            write_base64(media_type, data, out);
        }
        source => write_reference(source, profile, refuse, out)?,
    }
    out.close_object();
    Ok(())
}

fn write_base64(media_type: &str, data: &(impl Wording + ?Sized), out: &mut BytesMut) {
    out.field("type", "base64");
    out.field("media_type", media_type);
    out.field("data", data);
}

fn write_reference(
    source: &MediaSource,
    profile: &Profile,
    refuse: impl Fn(&str) -> EncodeError,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    match source {
        MediaSource::Url(_) if profile.image_urls == Support::No => {
            return Err(refuse("this target takes no URLs: send the bytes as base64"));
        }
        MediaSource::Url(url) => {
            out.field("type", "url");
            out.field("url", url);
        }
        MediaSource::FileId(id) if id.starts_with(FILE_PREFIX) => {
            out.field("type", "file");
            out.field("file_id", id);
        }
        MediaSource::FileId(_) => {
            return Err(refuse("the file is in another provider's store: send its bytes"));
        }
        MediaSource::Base64(_) | MediaSource::Text(_) => {
            return Err(refuse("this form of the data is not a file Anthropic takes"));
        }
    }
    Ok(())
}

fn write_document(
    media: &Media,
    profile: &Profile,
    refuse: impl Fn(&str) -> EncodeError,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    out.field("type", "document");
    out.key("source");
    out.open_object();
    match (&media.source, media.media_type.as_deref()) {
        (MediaSource::Text(text), _) => write_plain(text, out),
        (MediaSource::Base64(data), Some("application/pdf") | None) => {
            write_base64("application/pdf", data, out);
        }
        (MediaSource::Base64(data), Some(kind)) if is_textual(kind) => {
            let Some(text) = decoded_text(data) else {
                return Err(refuse("the document is not valid base64 of UTF-8 text"));
            };
            write_plain(&text, out);
        }
        (MediaSource::Base64(_), Some(_)) => {
            return Err(refuse("Anthropic takes documents as PDF or plain text"));
        }
        (source, _) => write_reference(source, profile, refuse, out)?,
    }
    out.close_object();
    if let Some(title) = &media.name {
        out.field("title", title);
    }
    Ok(())
}

fn write_plain(text: &str, out: &mut BytesMut) {
    out.field("type", "text");
    out.field("media_type", "text/plain");
    out.field("data", text);
}

fn is_textual(media_type: &str) -> bool {
    media_type.starts_with("text/") || matches!(media_type, "application/json" | "application/xml")
}

fn decoded_text(data: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

/// The MIME type as the API spells it, read from the first bytes where the client gives none.
fn image_type(given: Option<&str>, data: &str) -> Option<&'static str> {
    let known = match given {
        Some("image/jpg" | "image/jpeg") => "image/jpeg",
        Some("image/png") => "image/png",
        Some("image/gif") => "image/gif",
        Some("image/webp") => "image/webp",
        Some(_) => return None,
        // Base64 of each format's magic bytes.
        None if data.starts_with("iVBORw0KGgo") => "image/png",
        None if data.starts_with("/9j/") => "image/jpeg",
        None if data.starts_with("R0lGOD") => "image/gif",
        None if data.starts_with("UklGR") => "image/webp",
        None => return None,
    };
    Some(known)
}
