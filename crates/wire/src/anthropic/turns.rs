//! An arranged conversation as Anthropic's system blocks and messages.
//!
//! Owns `system` and `messages`. The order is `conversation`'s, blocks themselves are `block_encode`'s. Must not change what is
//! said.

use super::block_encode;
use super::request_encode::write_mark;
use crate::codec::{EncodeError, Profile};
use crate::conversation::{Block, CacheMarks, Conversation, Manner, OPENING};
use crate::json_text::JsonText;
use crate::names::{self, NameRule};
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::content::{Content, Part};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::ChatRequest;
use trunkline_model::warning::Warning;

/// Consecutive turns must alternate and the user begins
/// (<https://docs.anthropic.com/en/api/messages>).
const MANNER: Manner =
    Manner { dialect: Dialect::Anthropic, service: "Anthropic", assistant: "assistant", is_strict: true };

/// What is said of a cache mark too many.
pub(super) const TOO_MANY_MARKS: &str = "Anthropic takes at most four cache marks";

/// Writes `system` and `messages`.
pub(super) fn write(
    request: &ChatRequest,
    profile: &Profile,
    instruction: Option<&str>,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let conversation = Conversation::arrange(&request.messages, MANNER, warnings)?;
    write_system(&conversation, instruction, marks, out, warnings)?;
    out.key("messages");
    out.open_array();
    if conversation.opening {
        out.raw(&format!(r#"{{"role":"user","content":"{OPENING}"}}"#));
    }
    for turn in &conversation.turns {
        out.open_object();
        out.field("role", turn.role);
        out.key("content");
        let mut all = turn.results.iter().chain(&turn.blocks);
        match (all.next(), all.next()) {
            // One plain text is written as a string, as people write it.
            (
                Some(block @ Block { part: Part { content: Content::Text(text), cache: None, .. }, .. }),
                None,
            ) => {
                out.string(&block.shown(text));
            }
            _ => {
                out.open_array();
                for block in turn.results.iter().chain(&turn.blocks) {
                    block_encode::write(block, &conversation.call_ids, profile, marks, out, warnings)?;
                }
                out.close_array();
            }
        }
        out.close_object();
    }
    out.close_array();
    Ok(())
}

fn write_system(
    conversation: &Conversation<'_>,
    instruction: Option<&str>,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let texts = conversation.system()?;
    if texts.is_empty() && instruction.is_none() {
        return Ok(());
    }
    out.key("system");
    if let ([(block, text)], None) = (&texts[..], instruction)
        && block.part.cache.is_none()
    {
        out.string(text);
        return Ok(());
    }
    out.open_array();
    for (block, text) in texts {
        out.open_object();
        out.field("type", "text");
        out.field("text", text);
        write_mark(marks.take(block.part.cache, || block.path(), warnings), out);
        out.close_object();
    }
    if let Some(instruction) = instruction {
        out.open_object();
        out.field("type", "text");
        out.field("text", instruction);
        out.close_object();
    }
    out.close_array();
    Ok(())
}

/// A tool's name as the API accepts it.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    names::fit(name, NameRule::STRICT_128)
}

/// A call's id as the API accepts it; equal ids stay equal.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    names::fit_id(id)
}
