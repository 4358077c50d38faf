//! OpenAI chat messages read into canonical form.
//!
//! Owns roles, parts, tool calls and the fields in which provider state travels through this dialect, which has no slot of
//! its own for it: `thinking_blocks` (Anthropic) and `extra_content.google.thought_signature` (Gemini). Must not reorder
//! messages. Parts of an assistant message come in the order in which every maker requires them back: reasoning, text, calls.

use super::media::{audio_type, cache_mark, data_url, source_of_url};
use crate::carried;
use crate::codec::BadRequest;
use crate::scan::reader::Kind;
use crate::scan::tree::{Node, Place, parse_text};
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;

/// Reads the array of messages.
pub(super) fn messages(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<Message>, BadRequest> {
    let nodes = place.array(node)?;
    let mut messages: Vec<Message> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let at = place.index(index);
        let decoded = message(node, &at, index, &messages)?;
        messages.push(decoded);
    }
    Ok(messages)
}

fn message(
    node: &Node<'_>,
    place: &Place<'_>,
    index: usize,
    earlier: &[Message],
) -> Result<Message, BadRequest> {
    let role = match place.needed_text(place.object(node)?, "role")? {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => return assistant(node, place, index),
        "tool" => {
            let call_id = place.needed_text(node, "tool_call_id")?.to_owned();
            return tool_result(node, place, call_id);
        }
        "function" => {
            let name = place.needed_text(node, "name")?;
            return tool_result(node, place, legacy_call_id(earlier, name));
        }
        other => {
            return Err(place.key("role").wrong(format_args!(
                "expected `system`, `developer`, `user`, `assistant` or `tool`, found `{other}`"
            )));
        }
    };
    let mut parts = content(node, place)?;
    if parts.is_empty() && node.field("content").is_none() {
        return Err(place.key("content").missing("a string or an array of parts"));
    }
    mark_last(&mut parts, node);
    Ok(Message { role, parts, name: place.text_field(node, "name")?.map(str::to_owned) })
}

/// A cache mark on a whole message is one on its last part.
fn mark_last(parts: &mut [Part], node: &Node<'_>) {
    if let (Some(last), Some(mark)) = (parts.last_mut(), cache_mark(node)) {
        last.cache = Some(mark);
    }
}

/// `content`: a string, a list of parts, or nothing.
fn content(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<Part>, BadRequest> {
    let Some(content) = node.field("content") else { return Ok(Vec::new()) };
    let at = place.key("content");
    if let Some(text) = at.said(content) {
        return Ok(vec![Part::text(text)]);
    }
    if content.kind() != Kind::Array {
        return Err(at.expected("a string or an array of parts", content));
    }
    let nodes = at.array(content)?;
    let mut parts = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        parts.push(part(node, &at.index(index))?);
    }
    Ok(parts)
}

fn part(node: &Node<'_>, place: &Place<'_>) -> Result<Part, BadRequest> {
    // Some clients put bare strings into the list.
    if let Some(text) = place.said(node) {
        return Ok(Part::text(text));
    }
    let kind = place.needed_text(place.object(node)?, "type")?;
    let content = match kind {
        "text" | "input_text" | "output_text" => Content::Text(place.needed_said(node, "text")?),
        "image_url" => {
            let (url, detail) = url_of(node, place, "image_url")?;
            let (source, media_type) = source_of_url(url, place);
            Content::Image(Media { source, media_type, name: None, detail: detail.map(str::to_owned) })
        }
        "video_url" => {
            let (source, media_type) = source_of_url(url_of(node, place, "video_url")?.0, place);
            Content::Video(Media { source, media_type, name: None, detail: None })
        }
        "input_audio" => {
            let at = place.key("input_audio");
            let audio = node.field("input_audio").ok_or_else(|| at.missing("an object"))?;
            let data = at.needed_text(at.object(audio)?, "data")?;
            let media_type = at.text_field(audio, "format")?.map(audio_type);
            Content::Audio(Media {
                source: MediaSource::Base64(place.piece(data)),
                media_type,
                name: None,
                detail: None,
            })
        }
        "file" => file(node, place)?,
        "refusal" => Content::Refusal(place.needed_said(node, "refusal")?),
        "thinking" | "redacted_thinking" => return thinking_block(node, place),
        other => Content::Other { origin: Dialect::OpenAi, kind: other.to_owned(), json: node.json() },
    };
    Ok(Part { content, cache: cache_mark(node), opaque: None })
}

/// `{"url": …, "detail": …}`, or the URL alone as several clients send it.
fn url_of<'n>(
    node: &'n Node<'_>,
    place: &Place<'_>,
    key: &str,
) -> Result<(&'n str, Option<&'n str>), BadRequest> {
    let at = place.key(key);
    let holder = node.field(key).ok_or_else(|| at.missing("an object with a `url`"))?;
    if let Some(url) = holder.as_text() {
        return Ok((url, None));
    }
    Ok((at.needed_text(at.object(holder)?, "url")?, at.text_field(holder, "detail")?))
}

fn file(node: &Node<'_>, place: &Place<'_>) -> Result<Content, BadRequest> {
    let at = place.key("file");
    let file = node.field("file").ok_or_else(|| at.missing("an object"))?;
    at.object(file)?;
    let (source, media_type) = match (at.text_field(file, "file_data")?, at.text_field(file, "file_id")?) {
        (Some(data), _) => match data_url(data) {
            Some((media_type, data)) => (MediaSource::Base64(place.piece(data)), media_type),
            None if data.starts_with("http://") || data.starts_with("https://") => {
                (MediaSource::Url(data.to_owned()), None)
            }
            None => (MediaSource::Base64(place.piece(data)), None),
        },
        (None, Some(id)) => (MediaSource::FileId(id.to_owned()), None),
        (None, None) => return Err(at.missing("`file_data` or `file_id`")),
    };
    let name = at.text_field(file, "filename")?.map(str::to_owned);
    Ok(Content::Document(Media { source, media_type, name, detail: None }))
}

fn assistant(node: &Node<'_>, place: &Place<'_>, index: usize) -> Result<Message, BadRequest> {
    let mut parts = reasoning(node, place)?;
    let first_text = parts.len();
    parts.extend(content(node, place)?);
    if let Some(text) = place.text_field(node, "refusal")? {
        parts.push(Part::new(Content::Refusal(text.into())));
    }
    if let Some(signature) = google_signature(node) {
        // It belongs to the text; Gemini also signs an empty last part.
        if parts.len() == first_text {
            parts.push(Part::text(""));
        }
        if let Some(last) = parts.last_mut() {
            last.opaque = Some(signature);
        }
    }
    mark_last(&mut parts, node);
    if let Some(calls) = node.field("tool_calls") {
        let at = place.key("tool_calls");
        for (position, call) in at.array(calls)?.iter().enumerate() {
            parts.push(tool_call(call, &at.index(position), index, position)?);
        }
    }
    if let Some(call) = node.field("function_call") {
        let at = place.key("function_call");
        let id = legacy_id(index);
        parts.push(Part::new(Content::ToolCall(function_call(call, &at, id)?)));
    }
    Ok(Message { role: Role::Assistant, parts, name: place.text_field(node, "name")?.map(str::to_owned) })
}

/// `thinking_blocks` hold all there is; without them the plain text of `reasoning_content` or `reasoning`.
fn reasoning(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<Part>, BadRequest> {
    if let Some(blocks) = node.field("thinking_blocks") {
        let at = place.key("thinking_blocks");
        let nodes = at.array(blocks)?.iter().enumerate();
        return nodes.map(|(index, block)| thinking_block(block, &at.index(index))).collect();
    }
    for name in ["reasoning_content", "reasoning"] {
        if let Some(text) = node.field(name).and_then(Node::as_text).filter(|text| !text.is_empty()) {
            return Ok(vec![Part::new(Content::Thinking(text.to_owned()))]);
        }
    }
    Ok(Vec::new())
}

fn thinking_block(node: &Node<'_>, place: &Place<'_>) -> Result<Part, BadRequest> {
    let anthropic = |value: &str| {
        let own = || Opaque { origin: Dialect::Anthropic, value: value.to_owned() };
        carried::unpack(value).map_or_else(own, |(opaque, _)| opaque)
    };
    if place.text_field(place.object(node)?, "type")? == Some("redacted_thinking") {
        let data = place.needed_text(node, "data")?;
        return Ok(Part { content: Content::RedactedThinking, cache: None, opaque: Some(anthropic(data)) });
    }
    let thinking = node.field("thinking").ok_or_else(|| place.key("thinking").missing("a string"))?;
    let text = match thinking.as_text() {
        Some(text) => text.to_owned(),
        // Mistral writes a list of text chunks.
        None => {
            let at = place.key("thinking");
            let chunks = at.array(thinking)?.iter();
            chunks.filter_map(|chunk| chunk.field("text").and_then(Node::as_text)).collect()
        }
    };
    let signature = place.text_field(node, "signature")?.filter(|signature| !signature.is_empty());
    Ok(Part { content: Content::Thinking(text), cache: None, opaque: signature.map(anthropic) })
}

fn google_signature(node: &Node<'_>) -> Option<Opaque> {
    let google = node.field("extra_content")?.field("google")?;
    let value = google.field("thought_signature")?.as_text()?.to_owned();
    (!value.is_empty()).then_some(Opaque { origin: Dialect::Gemini, value })
}

fn tool_call(
    node: &Node<'_>,
    place: &Place<'_>,
    message: usize,
    position: usize,
) -> Result<Part, BadRequest> {
    let kind = place.text_field(place.object(node)?, "type")?.unwrap_or("function");
    if kind != "function" {
        let content = Content::Other { origin: Dialect::OpenAi, kind: kind.to_owned(), json: node.json() };
        return Ok(Part::new(content));
    }
    let id = match place.text_field(node, "id")? {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("call_{message}_{position}"),
    };
    let at = place.key("function");
    let function = node.field("function").ok_or_else(|| at.missing("an object"))?;
    let call = function_call(function, &at, id)?;
    Ok(Part { content: Content::ToolCall(call), cache: None, opaque: google_signature(node) })
}

fn function_call(node: &Node<'_>, place: &Place<'_>, id: String) -> Result<ToolCall, BadRequest> {
    let name = place.needed_text(place.object(node)?, "name")?.to_owned();
    let at = place.key("arguments");
    let arguments = match node.field("arguments") {
        None => Json::empty_object(),
        Some(arguments) => match arguments.as_text() {
            Some(text) => argument_text(text, &at)?,
            // Some clients send the object itself.
            None => at.object(arguments)?.json(),
        },
    };
    Ok(ToolCall { id, name, arguments })
}

/// Arguments as the JSON text that the dialect carries in a string; empty means none.
fn argument_text(text: &str, place: &Place<'_>) -> Result<Json, BadRequest> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed == "null" {
        return Ok(Json::empty_object());
    }
    match parse_text(trimmed, &[]) {
        Ok(node) if node.kind() == Kind::Object => Ok(node.json()),
        Ok(node) => {
            Err(place
                .wrong(format_args!("expected a JSON object as text, found {}", node.kind().described())))
        }
        Err(error) => Err(place.wrong(format_args!("expected a JSON object as text, found {error}"))),
    }
}

fn tool_result(node: &Node<'_>, place: &Place<'_>, call_id: String) -> Result<Message, BadRequest> {
    let mut parts = content(node, place)?;
    mark_last(&mut parts, node);
    let name = place.text_field(node, "name")?.map(str::to_owned);
    let result = ToolResult { call_id, name, parts, is_error: false };
    Ok(Message { role: Role::Tool, parts: vec![Part::new(Content::ToolResult(result))], name: None })
}

fn legacy_id(message: usize) -> String {
    format!("call_{message}")
}

/// The id of the last legacy call of that function: results of the legacy form name the function only.
fn legacy_call_id(earlier: &[Message], name: &str) -> String {
    let calls = earlier.iter().rev().flat_map(|message| message.parts.iter().rev());
    calls
        .filter_map(|part| match &part.content {
            Content::ToolCall(call) if call.name == name => Some(call.id.clone()),
            _ => None,
        })
        .next()
        .unwrap_or_else(|| format!("call_{name}"))
}
