//! Anthropic content blocks into canonical messages and parts.
//!
//! Owns the block types of the request side. Must not know the other parameters. A user message that holds tool results
//! becomes one tool message per result, then a user message of the rest: results live in messages of their own in canonical
//! form, whatever the dialect.

use super::request_decode::keep;
use crate::carried::{self, Place};
use crate::codec::BadRequest;
use crate::conversation::push_user;
use crate::cursor::At;
use trunkline_model::content::{
    CacheMark, Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::ChatRequest;
use trunkline_model::text::Text;

const CONTENT: &str = "a string or an array of content blocks";

/// What is read of blocks, of whatever type. Who may make a call is about an answer that is over.
const BLOCK: &[&str] = &[
    "type",
    "text",
    "citations",
    "source",
    "title",
    "context",
    "id",
    "name",
    "input",
    "caller",
    "tool_use_id",
    "content",
    "is_error",
    "thinking",
    "signature",
    "data",
    "cache_control",
];
/// What is read of sources, by where the bytes are.
const SOURCES: &[(&str, &[&str])] = &[
    ("base64", &["type", "media_type", "data"]),
    ("text", &["type", "media_type", "data"]),
    ("url", &["type", "media_type", "url"]),
    ("file", &["type", "media_type", "file_id"]),
];
/// Most extras of a request: by then it has been said often enough that something is left out.
const MOST_EXTRAS: usize = 64;

/// Reads the content of a user message.
pub(super) fn user(content: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let parts = parts(content, request)?;
    push_user(parts, &mut request.messages);
    Ok(())
}

/// Reads the content of an assistant message.
pub(super) fn assistant(content: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let parts = parts(content, request)?;
    request.messages.push(Message { role: Role::Assistant, parts, name: None });
    Ok(())
}

fn parts(content: &At<'_>, request: &mut ChatRequest) -> Result<Vec<Part>, BadRequest> {
    if content.is_text() {
        return Ok(vec![Part::text(content.said()?)]);
    }
    if !content.is_array() {
        return Err(content.expected(CONTENT));
    }
    let items = content.items()?;
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        block(&item, request, &mut parts)?;
    }
    Ok(parts)
}

/// Reads one block; a block that only carries state for its neighbour adds no part.
pub(super) fn block(
    block: &At<'_>,
    request: &mut ChatRequest,
    parts: &mut Vec<Part>,
) -> Result<(), BadRequest> {
    let kind = block.required("type", "a string")?.text()?;
    let mut opaque = None;
    let content = match &*kind {
        "text" => {
            if let Some(citations) = block.optional("citations") {
                keep(request, citations.path(), &citations)?;
            }
            Content::Text(block.required("text", "a string")?.said()?)
        }
        "image" => Content::Image(media(block)?),
        "document" => match document(block)? {
            Some(media) => {
                document_leftovers(block, request)?;
                Content::Document(media)
            }
            None => other(block, &kind)?,
        },
        "tool_use" => Content::ToolCall(ToolCall {
            id: block.required("id", "a string")?.string()?,
            name: block.required("name", "a string")?.string()?,
            arguments: block.required("input", "an object")?.object_json()?,
        }),
        "tool_result" => Content::ToolResult(tool_result(block, request)?),
        "thinking" => {
            let signature = block.optional("signature").map(|text| text.string()).transpose()?;
            opaque = signature.filter(|value| !value.is_empty()).map(|value| state(value).0);
            Content::Thinking(block.required("thinking", "a string")?.string()?)
        }
        "redacted_thinking" => {
            let (state, place) = state(block.required("data", "a string")?.string()?);
            match place {
                Place::Before => {
                    if let Some(part) = parts.last_mut() {
                        part.opaque = Some(state);
                    }
                    return Ok(());
                }
                Place::Alone => {
                    opaque = Some(state);
                    Content::Text(Text::default())
                }
                Place::Own | Place::Redacted => {
                    opaque = Some(state);
                    Content::RedactedThinking
                }
            }
        }
        _ => other(block, &kind)?,
    };
    // A block kept whole keeps its own cache mark, and whatever else it says.
    let is_whole = matches!(content, Content::Other { .. });
    if !is_whole {
        keep_others(block, BLOCK, request)?;
    }
    if matches!(content, Content::Image(_) | Content::Document(_)) {
        source_leftovers(block, request)?;
    }
    let cache = if is_whole { None } else { cache_mark(block, request)? };
    parts.push(Part { content, cache, opaque });
    Ok(())
}

/// Keeps what a value says under names that nobody reads, so that it is not lost without a warning.
pub(super) fn keep_others(
    value: &At<'_>,
    known: &'static [&'static str],
    request: &mut ChatRequest,
) -> Result<(), BadRequest> {
    for other in value.others(known) {
        if request.extras.len() < MOST_EXTRAS {
            keep(request, other.path(), &other)?;
        }
    }
    Ok(())
}

/// State as the client returned it: this dialect's own, or another's that we wrote into its slot.
fn state(value: String) -> (Opaque, Place) {
    carried::unpack(&value).unwrap_or((Opaque { origin: Dialect::Anthropic, value }, Place::Own))
}

fn other(block: &At<'_>, kind: &str) -> Result<Content, BadRequest> {
    Ok(Content::Other { origin: Dialect::Anthropic, kind: kind.to_owned(), json: block.object_json()? })
}

/// Reads a `cache_control` mark.
pub(super) fn cache_mark(block: &At<'_>, request: &mut ChatRequest) -> Result<Option<CacheMark>, BadRequest> {
    let Some(control) = block.optional("cache_control") else { return Ok(None) };
    let kind = control.required("type", "\"ephemeral\"")?;
    if kind.text()? != "ephemeral" {
        return Err(kind.wrong("expected \"ephemeral\""));
    }
    keep_others(&control, &["type", "ttl"], request)?;
    let Some(ttl) = control.optional("ttl") else { return Ok(Some(CacheMark::Short)) };
    match &*ttl.text()? {
        "5m" => Ok(Some(CacheMark::Short)),
        "1h" => Ok(Some(CacheMark::Long)),
        _ => Err(ttl.wrong("expected \"5m\" or \"1h\"")),
    }
}

fn media(block: &At<'_>) -> Result<Media, BadRequest> {
    let source = block.required("source", "an object")?;
    let kind = source.required("type", "\"base64\", \"url\" or \"file\"")?;
    let mut media_type = source.optional("media_type").map(|text| text.string()).transpose()?;
    let place = match &*kind.text()? {
        "base64" => {
            media_type = Some(source.required("media_type", "a MIME type such as \"image/png\"")?.string()?);
            MediaSource::Base64(source.required("data", "a base64 string")?.said()?)
        }
        "url" => MediaSource::Url(source.required("url", "a string")?.string()?),
        "file" => MediaSource::FileId(source.required("file_id", "a string")?.string()?),
        _ => return Err(kind.wrong("expected \"base64\", \"url\" or \"file\"")),
    };
    Ok(Media { source: place, media_type, name: None, detail: None })
}

/// Reads a document; `None` for one made of content blocks, which has no equal elsewhere.
fn document(block: &At<'_>) -> Result<Option<Media>, BadRequest> {
    let source = block.required("source", "an object")?;
    let kind = source.required("type", "\"base64\", \"url\", \"text\" or \"file\"")?;
    let mut media = match &*kind.text()? {
        "text" => Media {
            source: MediaSource::Text(source.required("data", "a string")?.said()?),
            media_type: Some("text/plain".to_owned()),
            name: None,
            detail: None,
        },
        "content" => return Ok(None),
        "base64" | "url" | "file" => media(block)?,
        _ => return Err(kind.wrong("expected \"base64\", \"url\", \"text\" or \"file\"")),
    };
    media.name = block.optional("title").map(|title| title.string()).transpose()?;
    Ok(Some(media))
}

fn document_leftovers(block: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    for name in ["citations", "context"] {
        if let Some(leftover) = block.optional(name) {
            keep(request, leftover.path(), &leftover)?;
        }
    }
    Ok(())
}

fn source_leftovers(block: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let source = block.required("source", "an object")?;
    let kind = source.required("type", "a string")?.text()?;
    match SOURCES.iter().find(|(name, _)| *name == kind) {
        Some((_, known)) => keep_others(&source, known, request),
        None => Ok(()),
    }
}

fn tool_result(block: &At<'_>, request: &mut ChatRequest) -> Result<ToolResult, BadRequest> {
    let call_id = block.required("tool_use_id", "a string")?.string()?;
    let is_error = block.optional("is_error").map(|flag| flag.boolean()).transpose()?.unwrap_or(false);
    let parts = match block.optional("content") {
        Some(content) => parts(&content, request)?,
        None => Vec::new(),
    };
    Ok(ToolResult { call_id, name: None, parts, is_error })
}
