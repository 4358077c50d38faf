//! Items of a conversation read into canonical messages.
//!
//! Owns the list of items: what the assistant said, thought and called in one turn stands in items of its own, which become one
//! message. Must not reorder. Reasoning items carry state: this dialect's own, or another provider's that was written into its
//! place on the way out.

use super::custom;
use super::request_decode::json_of;
use crate::carried::{self, Place as Carried};
use crate::codec::BadRequest;
use crate::openai::media::{audio_type, data_url, source_of_url};
use crate::scan::reader::Kind;
use crate::scan::tree::{Node, Place, parse_text};
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;
use trunkline_model::text::Text;

/// Reads `input`: a text, or a list of items.
pub(super) fn input(
    node: &Node<'_>,
    place: &Place<'_>,
    messages: &mut Vec<Message>,
) -> Result<(), BadRequest> {
    if let Some(text) = place.said(node) {
        messages.push(Message::text(Role::User, text));
        return Ok(());
    }
    if node.kind() != Kind::Array {
        return Err(place.expected("a string or an array of items", node));
    }
    let nodes = place.array(node)?;
    messages.reserve(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        item(node, &place.index(index), index, messages)?;
    }
    Ok(())
}

fn item(
    node: &Node<'_>,
    place: &Place<'_>,
    index: usize,
    messages: &mut Vec<Message>,
) -> Result<(), BadRequest> {
    let kind = match place.text_field(place.object(node)?, "type")? {
        Some(kind) => kind,
        None if node.field("role").is_some() => "message",
        None if node.field("id").is_some() => "item_reference",
        None => return Err(place.key("type").missing("the type of the item")),
    };
    match kind {
        "message" => return message(node, place, messages),
        "reasoning" => reasoning(node, place, assistant(messages))?,
        "function_call" | "custom_tool_call" => {
            let call = call(node, place, index, kind == "custom_tool_call")?;
            assistant(messages).push(Part::new(Content::ToolCall(call)));
        }
        "function_call_output" | "custom_tool_call_output" => {
            let result = result(node, place)?;
            let parts = vec![Part::new(Content::ToolResult(result))];
            messages.push(Message { role: Role::Tool, parts, name: None });
        }
        super::GENERATED if said(node, place, "result")?.is_some() => {
            assistant(messages).push(Part::new(generated(node, place)?));
        }
        "item_reference" => {
            let id = place.needed_text(node, "id")?;
            return Err(place
                .wrong(format_args!("the item `{id}` is not among the stored ones; send the item itself")));
        }
        other => {
            let part = Part::new(Content::Other {
                origin: Dialect::Responses,
                kind: other.to_owned(),
                json: json_of(node),
            });
            if other.ends_with("_output") || other.ends_with("_response") {
                messages.push(Message { role: Role::User, parts: vec![part], name: None });
            } else {
                assistant(messages).push(part);
            }
        }
    }
    Ok(())
}

/// The parts of the assistant's turn under way.
fn assistant(messages: &mut Vec<Message>) -> &mut Vec<Part> {
    if messages.last().is_none_or(|message| message.role != Role::Assistant) {
        messages.push(Message { role: Role::Assistant, parts: Vec::new(), name: None });
    }
    let last = messages.len() - 1;
    &mut messages[last].parts
}

fn message(node: &Node<'_>, place: &Place<'_>, messages: &mut Vec<Message>) -> Result<(), BadRequest> {
    let role = match place.needed_text(node, "role")? {
        "user" => Role::User,
        "system" => Role::System,
        "developer" => Role::Developer,
        "assistant" => {
            let parts = content(node, place, "content")?;
            match messages.last_mut().filter(|last| last.role == Role::Assistant) {
                Some(last) => last.parts.extend(parts),
                None => messages.push(Message { role: Role::Assistant, parts, name: None }),
            }
            return Ok(());
        }
        other => {
            return Err(place.key("role").wrong(format_args!(
                "expected `user`, `assistant`, `system` or `developer`, found `{other}`"
            )));
        }
    };
    let parts = content(node, place, "content")?;
    messages.push(Message { role, parts, name: None });
    Ok(())
}

/// A string, or a list of parts.
fn content(node: &Node<'_>, place: &Place<'_>, key: &str) -> Result<Vec<Part>, BadRequest> {
    let at = place.key(key);
    let content = node.field(key).ok_or_else(|| at.missing("a string or an array of parts"))?;
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
    let kind = place.needed_text(place.object(node)?, "type")?;
    let content = match kind {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            Content::Text(place.needed_said(node, "text")?)
        }
        "refusal" => Content::Refusal(place.needed_said(node, "refusal")?),
        "input_image" => image(node, place)?,
        "input_file" => file(node, place)?,
        "input_audio" => {
            let at = place.key("input_audio");
            let audio = node.field("input_audio").ok_or_else(|| at.missing("an object"))?;
            Content::Audio(Media {
                source: MediaSource::Base64(at.needed_said(at.object(audio)?, "data")?),
                media_type: at.text_field(audio, "format")?.map(audio_type),
                name: None,
                detail: None,
            })
        }
        other => Content::Other { origin: Dialect::Responses, kind: other.to_owned(), json: json_of(node) },
    };
    Ok(Part::new(content))
}

/// A field's text; null is as good as not there.
fn said<'n>(node: &'n Node<'_>, place: &Place<'_>, key: &str) -> Result<Option<&'n str>, BadRequest> {
    match node.field(key).filter(|value| value.kind() != Kind::Null) {
        Some(value) => place.key(key).text(value).map(Some),
        None => Ok(None),
    }
}

fn image(node: &Node<'_>, place: &Place<'_>) -> Result<Content, BadRequest> {
    let (source, media_type) = match (said(node, place, "image_url")?, said(node, place, "file_id")?) {
        (Some(url), _) => source_of_url(url, place),
        (None, Some(id)) => (MediaSource::FileId(id.to_owned()), None),
        (None, None) => return Err(place.key("image_url").missing("`image_url` or `file_id`")),
    };
    let detail = said(node, place, "detail")?.filter(|detail| *detail != "auto").map(str::to_owned);
    Ok(Content::Image(Media { source, media_type, name: None, detail }))
}

/// A picture that the model made. The vendor's items say besides in which format it is.
fn generated(node: &Node<'_>, place: &Place<'_>) -> Result<Content, BadRequest> {
    let source = MediaSource::Base64(place.needed_said(node, "result")?);
    let media_type = said(node, place, "output_format")?.map(|format| format!("image/{format}"));
    Ok(Content::Image(Media { source, media_type, name: None, detail: None }))
}

fn file(node: &Node<'_>, place: &Place<'_>) -> Result<Content, BadRequest> {
    let data = said(node, place, "file_data")?;
    let (source, media_type) = match (data, said(node, place, "file_url")?, said(node, place, "file_id")?) {
        (Some(data), _, _) => match data_url(data) {
            Some((media_type, data)) => (MediaSource::Base64(place.piece(data)), media_type),
            None => (MediaSource::Base64(place.piece(data)), None),
        },
        (None, Some(url), _) => (MediaSource::Url(url.to_owned()), None),
        (None, None, Some(id)) => (MediaSource::FileId(id.to_owned()), None),
        (None, None, None) => {
            return Err(place.key("file_data").missing("`file_data`, `file_url` or `file_id`"));
        }
    };
    let name = said(node, place, "filename")?.map(str::to_owned);
    Ok(Content::Document(Media { source, media_type, name, detail: None }))
}

fn reasoning(node: &Node<'_>, place: &Place<'_>, parts: &mut Vec<Part>) -> Result<(), BadRequest> {
    let mut text = texts(node, place, "summary")?;
    if text.is_empty() {
        text = texts(node, place, "content")?;
    }
    let state = said(node, place, "encrypted_content")?.filter(|value| !value.is_empty()).map(|value| {
        let own = || (Opaque { origin: Dialect::Responses, value: value.to_owned() }, Carried::Own);
        carried::unpack(value).unwrap_or_else(own)
    });
    let (opaque, carried) = match state {
        Some((opaque, carried)) => (Some(opaque), carried),
        None => (None, Carried::Own),
    };
    let content = match (carried, opaque.is_some()) {
        (Carried::Before, _) => {
            if let Some(part) = parts.last_mut() {
                part.opaque = opaque;
            }
            return Ok(());
        }
        (Carried::Alone, _) => Content::Text(Text::default()),
        (Carried::Redacted, _) => Content::RedactedThinking,
        (Carried::Own, true) if text.is_empty() => {
            // Signed reasoning without a text is reasoning all the same, sealed reasoning is not.
            match &opaque {
                Some(opaque) if opaque.origin != Dialect::Responses => Content::Thinking(text),
                _ => Content::RedactedThinking,
            }
        }
        (Carried::Own, false) if text.is_empty() => return Ok(()),
        (Carried::Own, _) => Content::Thinking(text),
    };
    parts.push(Part { content, cache: None, opaque });
    Ok(())
}

/// The texts of a list of parts, paragraphs apart.
fn texts(node: &Node<'_>, place: &Place<'_>, key: &str) -> Result<String, BadRequest> {
    let at = place.key(key);
    let Some(list) = node.field(key).filter(|list| list.kind() != Kind::Null) else {
        return Ok(String::new());
    };
    let mut text = String::new();
    for (index, part) in at.array(list)?.iter().enumerate() {
        if index > 0 {
            text.push_str(super::PARAGRAPH);
        }
        text.push_str(at.index(index).needed_text(part, "text")?);
    }
    Ok(text)
}

fn call(node: &Node<'_>, place: &Place<'_>, index: usize, is_custom: bool) -> Result<ToolCall, BadRequest> {
    let id = match said(node, place, "call_id")? {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("call_{index}"),
    };
    let name = place.needed_text(node, "name")?.to_owned();
    if is_custom {
        let arguments = custom::arguments(place.needed_text(node, "input")?);
        return Ok(ToolCall { id, name, arguments });
    }
    let at = place.key("arguments");
    let arguments = match node.field("arguments") {
        None => Json::empty_object(),
        Some(arguments) => argument_text(at.text(arguments)?, &at)?,
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

fn result(node: &Node<'_>, place: &Place<'_>) -> Result<ToolResult, BadRequest> {
    let call_id = place.needed_text(node, "call_id")?.to_owned();
    let name = said(node, place, "name")?.map(str::to_owned);
    let parts = content(node, place, "output")?;
    Ok(ToolResult { call_id, name, parts, is_error: false })
}
