//! Gemini contents and parts into canonical messages.
//!
//! Owns the part types of the request side. A user content that holds function responses becomes one tool message per
//! response, then a user message of the rest. Calls without ids get one from their place, and responses without ids answer
//! the oldest open call of their name. Consecutive model contents are one message: SDKs keep a streamed answer as one
//! content per chunk, and state written on a later chunk belongs to the text of those before it.

use super::request_decode::{camel, keep};
use super::{leftovers, state};
use crate::carried::Place;
use crate::codec::BadRequest;
use crate::conversation::push_user;
use crate::cursor::At;
use std::borrow::Cow;
use std::collections::VecDeque;
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;
use trunkline_model::request::ChatRequest;
use trunkline_model::text::Text;

const PARTS: &str = "an array of parts";
/// Fields that qualify a part and are not its content.
const QUALIFIERS: [&str; 5] =
    ["thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];

/// Reads the system instruction: a content, or a bare string as SDKs take it.
pub(super) fn system(content: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let mut parts = Vec::new();
    if content.is_text() {
        parts.push(Part::text(content.said()?));
    } else {
        leftovers::keep_others(content, leftovers::CONTENT, request)?;
        for part in content.required("parts", PARTS)?.one_or_more()? {
            leftovers::keep_others(&part, leftovers::INSTRUCTION, request)?;
            let Some(text) = part.optional("text") else {
                return Err(part.wrong("expected a text part: system instructions are text only"));
            };
            parts.push(Part::text(text.said()?));
        }
    }
    if !parts.is_empty() {
        request.messages.push(Message { role: Role::System, parts, name: None });
    }
    Ok(())
}

/// Reads the conversation. Where a list is declared Google's servers take an object alone as well, and its guides for Vertex AI write
/// contents and parts so.
pub(super) fn contents(contents: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let items = contents.one_or_more()?;
    if items.len() == 0 {
        return Err(contents.wrong("expected at least one content"));
    }
    request.messages.reserve(items.len());
    let mut calls = OpenCalls::default();
    for (index, content) in items.enumerate() {
        let role = content.optional("role");
        let is_model = match &role {
            None => false,
            Some(role) => match &*role.text()? {
                "model" => true,
                "user" | "function" | "" => false,
                _ => return Err(role.wrong("expected \"user\" or \"model\"")),
            },
        };
        leftovers::keep_others(&content, leftovers::CONTENT, request)?;
        let mut parts = Vec::new();
        // A content without parts is what a model that said nothing leaves behind.
        if let Some(list) = content.optional("parts") {
            let items = list.one_or_more()?;
            parts.reserve_exact(items.len());
            for (place, item) in items.enumerate() {
                // Most parts are a text and nothing else.
                if let Some(text) = item.lone_text("text") {
                    parts.push(Part::text(text.said()?));
                    continue;
                }
                let (part, at) = part(&item, request, &mut calls, (index, place), is_model)?;
                attach(&mut parts, part, at);
            }
        } else if content.fields().is_err() || !is_model {
            return Err(content.required("parts", PARTS).err().unwrap_or_else(|| content.expected(PARTS)));
        }
        if is_model { model(parts, request) } else { push_user(parts, &mut request.messages) }
    }
    Ok(())
}

/// Appends a part; state carried for the thoughts before it goes to them instead.
fn attach(parts: &mut Vec<Part>, part: Part, place: Place) {
    if place == Place::Before {
        while let [.., before, last] = &mut parts[..] {
            match (&mut before.content, &last.content, &before.opaque, &last.opaque) {
                (Content::Thinking(text), Content::Thinking(more), None, None) => text.push_str(more),
                _ => break,
            }
            parts.pop();
        }
        if let Some(last) = parts.last_mut().filter(|last| last.opaque.is_none()) {
            last.opaque = part.opaque;
            return;
        }
    }
    parts.push(part);
}

/// Adds a model content, joined with the one before it.
fn model(parts: Vec<Part>, request: &mut ChatRequest) {
    let Some(last) = request.messages.last_mut().filter(|last| last.role == Role::Assistant) else {
        request.messages.push(Message { role: Role::Assistant, parts, name: None });
        return;
    };
    for part in parts {
        let carried = match (&part.content, &part.opaque) {
            (Content::Thinking(text), Some(state)) => text.is_empty() && state.origin != Dialect::Gemini,
            _ => false,
        };
        match (last.parts.last_mut(), &part) {
            (
                Some(Part { content: Content::Text(text), opaque: None, .. }),
                Part { content: Content::Text(more), opaque: None, .. },
            ) => text.push_str(more),
            (
                Some(Part { content: Content::Thinking(text), opaque: None, .. }),
                Part { content: Content::Thinking(more), opaque: None, .. },
            ) => text.push_str(more),
            _ => attach(&mut last.parts, part, if carried { Place::Before } else { Place::Own }),
        }
    }
}

/// Calls not yet answered, oldest first.
#[derive(Default)]
struct OpenCalls(VecDeque<(String, String)>);

impl OpenCalls {
    /// The id a response answers: its own, or the oldest open call of its name.
    fn answer(&mut self, name: &str, id: Option<String>, place: (usize, usize)) -> String {
        let found = self.0.iter().position(|(open, open_name)| match &id {
            Some(id) => open == id,
            None => open_name == name,
        });
        let open = found.and_then(|found| self.0.remove(found)).map(|(open, _)| open);
        id.or(open).unwrap_or_else(|| state::made_up_id(place.0, place.1))
    }
}

fn part(
    item: &At<'_>,
    request: &mut ChatRequest,
    calls: &mut OpenCalls,
    place: (usize, usize),
    is_model: bool,
) -> Result<(Part, Place), BadRequest> {
    if item.fields().is_err() {
        return Err(item.expected("an object"));
    }
    let thought = item.optional("thought").map(|flag| flag.boolean()).transpose()?.unwrap_or(false);
    let signature =
        item.either("thoughtSignature", "thought_signature").map(|text| text.string()).transpose()?;
    let (opaque, at) = match signature.filter(|text| !text.is_empty()).map(state::opaque) {
        Some((opaque, at)) => (Some(opaque), at),
        None => (None, Place::Own),
    };
    let content = content(item, thought, opaque.as_ref(), at, calls, (place, is_model))?;
    for name in ["videoMetadata", "mediaResolution", "partMetadata"] {
        let spelled = snake(name);
        if let Some(leftover) = item.either(name, spelled) {
            keep(request, leftover.path(), &leftover)?;
        }
    }
    if !matches!(content, Content::Other { .. }) {
        leftovers::of_part(item, request)?;
    }
    Ok((Part { content, cache: None, opaque }, at))
}

fn snake(name: &str) -> &'static str {
    match name {
        "videoMetadata" => "video_metadata",
        "mediaResolution" => "media_resolution",
        _ => "part_metadata",
    }
}

fn content(
    item: &At<'_>,
    thought: bool,
    opaque: Option<&Opaque>,
    at: Place,
    calls: &mut OpenCalls,
    (place, is_model): ((usize, usize), bool),
) -> Result<Content, BadRequest> {
    if let Some(call) = item.either("functionCall", "function_call") {
        return function_call(&call, calls, place);
    }
    if let Some(response) = item.either("functionResponse", "function_response") {
        if is_model {
            return Err(response.wrong("function responses belong in a content of role \"user\""));
        }
        return function_response(&response, calls, place);
    }
    if let Some(blob) = item.either("inlineData", "inline_data") {
        return inline_data(&blob);
    }
    if let Some(file) = item.either("fileData", "file_data") {
        return file_data(&file);
    }
    if let Some(text) = item.optional("text") {
        return Ok(match (thought, at) {
            (true, Place::Redacted) => Content::RedactedThinking,
            (true, _) => Content::Thinking(text.string()?),
            (false, _) => Content::Text(text.said()?),
        });
    }
    for (name, value) in item.fields()? {
        let kind = camel(name);
        if !value.is_null() && !QUALIFIERS.contains(&&*kind) {
            return Ok(Content::Other { origin: Dialect::Gemini, json: item.object_json()?, kind });
        }
    }
    if opaque.is_some() {
        return Ok(if at == Place::Redacted {
            Content::RedactedThinking
        } else {
            Content::Text(Text::default())
        });
    }
    let expected = "expected one of text, inlineData, fileData, functionCall, functionResponse, found none";
    Err(item.wrong(expected))
}

fn function_call(call: &At<'_>, calls: &mut OpenCalls, place: (usize, usize)) -> Result<Content, BadRequest> {
    let name = call.required("name", "a string")?.string()?;
    let id = call.optional("id").map(|id| id.string()).transpose()?.filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(|| state::made_up_id(place.0, place.1));
    let arguments = match call.optional("args") {
        Some(args) => args.object_json()?,
        None => Json::empty_object(),
    };
    calls.0.push_back((id.clone(), name.clone()));
    Ok(Content::ToolCall(ToolCall { id, name, arguments }))
}

fn function_response(
    response: &At<'_>,
    calls: &mut OpenCalls,
    place: (usize, usize),
) -> Result<Content, BadRequest> {
    let name = response.required("name", "a string")?.string()?;
    let id = response.optional("id").map(|id| id.string()).transpose()?.filter(|id| !id.is_empty());
    let call_id = calls.answer(&name, id, place);
    let mut parts = Vec::new();
    let mut is_error = false;
    if let Some(value) = response.optional("response") {
        let mut fields = value.fields()?;
        // Google's keys for a plain output and for an error, and the one most clients use.
        let lone = match (fields.next(), fields.next()) {
            (Some((key @ ("result" | "output" | "error"), text)), None) if text.is_text() => {
                is_error = key == "error";
                Some(text.said()?)
            }
            _ => None,
        };
        parts.push(Part::text(match lone {
            Some(text) => text,
            None => value.json()?.text().into(),
        }));
    }
    if let Some(media) = response.optional("parts") {
        for item in media.items()? {
            let blob = item.either("inlineData", "inline_data").map(|blob| inline_data(&blob));
            let file = item.either("fileData", "file_data").map(|file| file_data(&file));
            let content = blob.or(file).ok_or_else(|| item.wrong("expected inlineData or fileData"))?;
            parts.push(Part::new(content?));
        }
    }
    Ok(Content::ToolResult(ToolResult { call_id, name: Some(name), parts, is_error }))
}

fn media(media_type: Option<String>, uri: &str, source: MediaSource, name: Option<String>) -> Content {
    let kind = media_type.as_deref().map_or_else(|| kind_of_uri(uri), kind_of_type);
    let media = Media { source, media_type, name, detail: None };
    match kind {
        Kind::Image => Content::Image(media),
        Kind::Audio => Content::Audio(media),
        Kind::Video => Content::Video(media),
        Kind::Document => Content::Document(media),
    }
}

enum Kind {
    Image,
    Audio,
    Video,
    Document,
}

fn kind_of_type(media_type: &str) -> Kind {
    match media_type.split_once('/').map(|(kind, _)| kind) {
        Some("image") => Kind::Image,
        Some("audio") => Kind::Audio,
        Some("video") => Kind::Video,
        _ => Kind::Document,
    }
}

/// What a URL without a type probably holds.
fn kind_of_uri(uri: &str) -> Kind {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    if path.contains("youtube.com/") || path.contains("youtu.be/") {
        return Kind::Video;
    }
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("png" | "jpg" | "jpeg" | "webp" | "gif" | "heic" | "heif") => Kind::Image,
        Some("mp3" | "wav" | "ogg" | "flac" | "aac" | "m4a") => Kind::Audio,
        Some("mp4" | "mov" | "webm" | "mpg" | "mpeg" | "avi") => Kind::Video,
        _ => Kind::Document,
    }
}

fn inline_data(blob: &At<'_>) -> Result<Content, BadRequest> {
    let Some(media_type) = blob.either("mimeType", "mime_type") else {
        return Err(blob.missing("mimeType", "a MIME type such as \"image/png\""));
    };
    let data = state::standard(blob.required("data", "a base64 string")?.said()?);
    let name = blob.either("displayName", "display_name").map(|name| name.string()).transpose()?;
    Ok(media(Some(media_type.string()?), "", MediaSource::Base64(data), name))
}

fn file_data(file: &At<'_>) -> Result<Content, BadRequest> {
    let Some(uri) = file.either("fileUri", "file_uri") else {
        return Err(file.missing("fileUri", "a string"));
    };
    let uri: Cow<'_, str> = uri.text()?;
    let media_type = file.either("mimeType", "mime_type").map(|text| text.string()).transpose()?;
    let name = file.either("displayName", "display_name").map(|name| name.string()).transpose()?;
    let source = if is_own_store(&uri) {
        MediaSource::FileId(uri.clone().into_owned())
    } else {
        MediaSource::Url(uri.clone().into_owned())
    };
    Ok(media(media_type, &uri, source, name))
}

/// Whether a file is in Google's own stores, which nobody else can read.
pub(super) fn is_own_store(uri: &str) -> bool {
    uri.starts_with("gs://")
        || uri.starts_with("files/")
        || uri.starts_with("https://generativelanguage.googleapis.com/")
}
