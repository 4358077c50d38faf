//! Canonical parts as Gemini parts.
//!
//! Owns the part types of the request side. Must not know turns or their order. Media that the API cannot take is refused,
//! not left out: an answer about a picture nobody saw is worse than another attempt elsewhere.

use super::content_decode::is_own_store;
use super::reasoning::by_levels;
use super::state;
use super::turns::{Calls, MANNER};
use crate::call_ids::CallIds;
use crate::codec::{EncodeError, Profile};
use crate::conversation::Block;
use crate::json_text::JsonText;
use crate::names::{self, NameRule};
use crate::write::Wording;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::content::{Content, Media, MediaSource, Part, ToolCall, ToolResult};
use trunkline_model::json::Json;
use trunkline_model::text::Text;
use trunkline_model::warning::Warning;

/// What Google documents for calls that no Gemini model made (ai.google.dev/gemini-api/docs/thought-signatures).
const SKIP_CHECK: &str = "skip_thought_signature_validator";

/// What parts are written for.
pub(super) struct Target<'t, 'r> {
    pub(super) profile: &'t Profile,
    pub(super) calls: &'t Calls<'r>,
    /// What calls and results are called where the client has an id twice.
    pub(super) ids: &'t CallIds,
    /// Where the calls stand that need Google's value for calls that another model made.
    pub(super) foreign_calls: &'t [(usize, usize)],
    pub(super) warnings: &'t mut Vec<Warning>,
    /// Media of tool results, to be written after all results of the turn.
    pub(super) beside: BytesMut,
}

/// A tool's name as the API accepts it.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    names::fit(name, NameRule { length: 64, dots: true })
}

/// Writes a text part.
pub(super) fn write_text(text: &(impl Wording + ?Sized), out: &mut BytesMut) {
    out.open_object();
    out.field("text", text);
    out.close_object();
}

/// Writes one block of a turn; a tool result with pictures may become several parts.
pub(super) fn write(
    block: &Block<'_>,
    target: &mut Target<'_, '_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let path = || block.path();
    match &block.part.content {
        Content::Other { json, .. } => {
            out.raw(json.text());
            return Ok(());
        }
        Content::ToolResult(result) => {
            let id = target.ids.at(block.place, &result.call_id);
            return write_result(result, id, path, target, out);
        }
        _ => out.open_object(),
    }
    match &block.part.content {
        Content::Text(text) | Content::Refusal(text) => {
            out.field("text", &block.shown(text));
        }
        Content::Thinking(text) => {
            out.field("text", text);
            out.key("thought");
            out.boolean(true);
        }
        Content::RedactedThinking => {
            out.field("text", "");
            out.key("thought");
            out.boolean(true);
        }
        Content::ToolCall(call) => write_call(call, target.ids.at(block.place, &call.id), out),
        other => write_media(other, path, target, out)?,
    }
    match &block.part.opaque {
        Some(opaque) if MANNER.owns(block.part) => out.field("thoughtSignature", &opaque.value),
        _ if target.foreign_calls.contains(&block.place) => out.field("thoughtSignature", SKIP_CHECK),
        _ => {}
    }
    out.close_object();
    Ok(())
}

fn write_call(call: &ToolCall, id: &str, out: &mut BytesMut) {
    out.key("functionCall");
    out.open_object();
    write_id(id, out);
    out.field("name", &tool_name(&call.name));
    out.key("args");
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
    out.close_object();
}

/// Ids made up here are not sent: the call came without one.
fn write_id(id: &str, out: &mut BytesMut) {
    if !id.is_empty() && !state::is_made_up(id) {
        out.field("id", id);
    }
}

fn write_result(
    result: &ToolResult,
    id: &str,
    path: impl Fn() -> String,
    target: &mut Target<'_, '_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let called = target.calls.get(id).map(|(name, _)| *name);
    let Some(name) = called.or(result.name.as_deref()) else {
        return Err(EncodeError::Invalid {
            path: format!("{}.tool_call_id", path()),
            reason: format!("no call in the conversation has the id `{}`", result.call_id),
        });
    };
    let mut text: Cow<'_, Text> = Cow::default();
    let mut media = Vec::new();
    for (index, part) in result.parts.iter().enumerate() {
        match &part.content {
            Content::Text(more) | Content::Refusal(more) => {
                if text.is_empty() {
                    text = Cow::Borrowed(more);
                } else {
                    text.to_mut().push_str("\n");
                    text.to_mut().push_str(more);
                }
            }
            Content::Other { kind, .. } => {
                let feature = format!("{}.content[{index}]", path());
                target
                    .warnings
                    .push(Warning::dropped(feature, format!("`{kind}` has no place in a tool result")));
            }
            _ => media.push((index, part)),
        }
    }
    // Newer models take media inside the response; for others it follows in parts of its own.
    let nested = by_levels(target.profile);
    out.open_object();
    out.key("functionResponse");
    out.open_object();
    write_id(id, out);
    out.field("name", &tool_name(name));
    out.key("response");
    write_response(&text, result.is_error, out);
    if nested && !media.is_empty() {
        out.key("parts");
        out.open_array();
        write_all(&media, &path, target, out)?;
        out.close_array();
    }
    out.close_object();
    out.close_object();
    if !nested && !media.is_empty() {
        target.warnings.push(Warning::emulated(path(), "media of a tool result is sent beside it"));
        let mut beside = std::mem::take(&mut target.beside);
        let written = write_all(&media, &path, target, &mut beside);
        target.beside = beside;
        written?;
    }
    Ok(())
}

fn write_all(
    media: &[(usize, &Part)],
    path: &impl Fn() -> String,
    target: &mut Target<'_, '_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    for (index, part) in media {
        out.open_object();
        write_media(&part.content, || format!("{}.content[{index}]", path()), target, out)?;
        out.close_object();
    }
    Ok(())
}

/// The response must be an object: what is one already passes, anything else is wrapped.
fn write_response(text: &Text, is_error: bool, out: &mut BytesMut) {
    if !is_error
        && text.trim_ascii_start().starts_with('{')
        && let Ok(json) = Json::parse(text.as_str().to_owned())
    {
        out.raw(json.text());
        return;
    }
    out.open_object();
    out.field(if is_error { "error" } else { "result" }, text);
    out.close_object();
}

fn write_media(
    content: &Content,
    path: impl Fn() -> String,
    target: &mut Target<'_, '_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let refuse = |reason: &str| EncodeError::Unsupported { feature: path(), reason: reason.to_owned() };
    let (media, general) = match content {
        Content::Image(media) => (media, None),
        Content::Document(media) => (media, Some("application/pdf")),
        Content::Audio(media) | Content::Video(media) => (media, None),
        _ => return Err(refuse("Gemini has no such part here")),
    };
    if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
        let feature = format!("{}.detail", path());
        target.warnings.push(Warning::dropped(feature, "Gemini sets the resolution for the whole request"));
    }
    if matches!(content, Content::Document(_)) && media.name.is_some() {
        target.warnings.push(Warning::dropped(format!("{} name", path()), "Gemini's files have no names"));
    }
    match &media.source {
        MediaSource::Base64(data) => {
            let Some(media_type) = media.media_type.as_deref().or_else(|| type_of(data)).or(general) else {
                return Err(refuse("Gemini needs the MIME type of the data"));
            };
            write_blob(if media_type == "image/jpg" { "image/jpeg" } else { media_type }, data, out);
        }
        MediaSource::Text(text) => {
            let media_type = media.media_type.as_deref().unwrap_or("text/plain");
            write_blob(media_type, &STANDARD.encode(text.as_str()), out);
        }
        MediaSource::Url(_) if target.profile.image_urls == Support::No => {
            return Err(refuse("this target takes no URLs: send the bytes as base64"));
        }
        MediaSource::Url(url) if !url.starts_with("https://") => {
            return Err(refuse("Gemini reads public https URLs only: send the bytes as base64"));
        }
        MediaSource::Url(url) => write_file(url, media, out),
        MediaSource::FileId(id) if is_own_store(id) => write_file(id, media, out),
        MediaSource::FileId(_) => {
            return Err(refuse("the file is in another provider's store: send its bytes"));
        }
    }
    Ok(())
}

fn write_blob(media_type: &str, data: &(impl Wording + ?Sized), out: &mut BytesMut) {
    out.key("inlineData");
    out.open_object();
    out.field("mimeType", media_type);
    out.field("data", data);
    out.close_object();
}

fn write_file(uri: &str, media: &Media, out: &mut BytesMut) {
    out.key("fileData");
    out.open_object();
    let media_type = media.media_type.as_deref().or_else(|| type_of_url(uri));
    if let Some(media_type) = media_type {
        out.field("mimeType", media_type);
    }
    out.field("fileUri", uri);
    out.close_object();
}

fn type_of_url(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        _ => return None,
    })
}

/// The MIME type read from base64 of each format's first bytes.
fn type_of(data: &str) -> Option<&'static str> {
    let known = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", "application/pdf"),
    ];
    known.into_iter().find(|(start, _)| data.starts_with(start)).map(|(_, media_type)| media_type)
}
