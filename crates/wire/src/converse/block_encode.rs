//! Canonical parts as content blocks.
//!
//! Owns the block types of the request side. Must not know turns or their order. Media that the service cannot take is refused,
//! not left out: an answer about a picture nobody saw is worse than another attempt elsewhere.

use super::media;
use super::turns::write_mark;
use crate::call_ids::CallIds;
use crate::codec::EncodeError;
use crate::conversation::{Block, CacheMarks};
use crate::json_text::JsonText;
use crate::names::{self, NameRule};
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::content::{Content, Part, ToolCall, ToolResult};
use trunkline_model::json::Json;
use trunkline_model::text::Text;
use trunkline_model::warning::Warning;

/// The document names of a request: the service refuses two that are equal.
#[derive(Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// A name in the allowed characters that no other document of the request has.
    pub(super) fn fit(&mut self, wanted: Option<&str>) -> String {
        let base = media::document_name(wanted.unwrap_or_default());
        let mut name = base.clone();
        let mut number = 2;
        while self.0.contains(&name) {
            name = format!("{base} {number}");
            number += 1;
        }
        self.0.push(name.clone());
        name
    }
}

/// Writes one block of a turn, and its cache point.
pub(super) fn write(
    block: &Block<'_>,
    ids: &CallIds,
    names: &mut Names,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let path = || block.path();
    match &block.part.content {
        Content::Other { json, .. } => out.raw(json.text()),
        Content::Text(text) | Content::Refusal(text) => write_text(&block.shown(text), out),
        Content::ToolCall(call) => write_call(call, ids.at(block.place, &call.id), out),
        Content::ToolResult(result) => {
            let id = ids.at(block.place, &result.call_id);
            write_result(result, id, path, names, marks, out, warnings)?;
        }
        Content::Thinking(text) => write_thinking(text, state(block.part), out),
        Content::RedactedThinking => {
            out.open_object();
            out.key("reasoningContent");
            out.open_object();
            out.field("redactedContent", state(block.part));
            out.close_object();
            out.close_object();
        }
        media => media::write(media, &path, names, out, warnings)?,
    }
    // A cache point cannot stand right behind reasoning.
    if !matches!(block.part.content, Content::Thinking(_) | Content::RedactedThinking) {
        write_mark(marks.take(block.part.cache, path, warnings), out);
    }
    Ok(())
}

fn state(part: &Part) -> &str {
    part.opaque.as_ref().map(|opaque| opaque.value.as_str()).unwrap_or_default()
}

fn write_text(text: &Text, out: &mut BytesMut) {
    out.open_object();
    out.field("text", text);
    out.close_object();
}

fn write_thinking(text: &str, signature: &str, out: &mut BytesMut) {
    out.open_object();
    out.key("reasoningContent");
    out.open_object();
    out.key("reasoningText");
    out.open_object();
    out.field("text", text);
    out.field("signature", signature);
    out.close_object();
    out.close_object();
    out.close_object();
}

fn write_call(call: &ToolCall, id: &str, out: &mut BytesMut) {
    out.open_object();
    out.key("toolUse");
    out.open_object();
    out.field("toolUseId", &call_id(id));
    out.field("name", &tool_name(&call.name));
    out.key("input");
    write_object(&call.arguments, out);
    out.close_object();
    out.close_object();
}

/// Arguments as an object, whatever they are.
fn write_object(arguments: &Json, out: &mut BytesMut) {
    let text = arguments.text().trim_ascii();
    if arguments.is_object() {
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
    names: &mut Names,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    out.open_object();
    out.key("toolResult");
    out.open_object();
    out.field("toolUseId", &call_id(id));
    out.key("content");
    out.open_array();
    let mut mark = None;
    for (index, part) in result.parts.iter().enumerate() {
        let inner = || format!("{}.content[{index}]", path());
        match &part.content {
            Content::Text(text) | Content::Refusal(text) if text.is_blank() => {}
            Content::Text(text) | Content::Refusal(text) => write_text(text, out),
            media => media::write(media, &inner, names, out, warnings)?,
        }
        mark = part.cache.or(mark);
    }
    out.close_array();
    if result.is_error {
        out.field("status", "error");
    }
    out.close_object();
    out.close_object();
    // Inside a result there is no place for it: the next is right behind.
    write_mark(marks.take(mark, path, warnings), out);
    Ok(())
}

/// A tool's name as the service accepts it.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    names::fit(name, NameRule::STRICT_64)
}

/// A call's id as the service accepts it (`[a-zA-Z0-9_.:-]+`, at most 64); equal ids stay equal.
fn call_id(id: &str) -> Cow<'_, str> {
    names::fit(id, NameRule { length: 64, dots: true })
}
