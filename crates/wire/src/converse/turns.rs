//! An arranged conversation as Converse's system blocks and messages.
//!
//! Owns `system` and `messages`. The order is `conversation`'s, blocks themselves are `block_encode`'s. Must not change what is
//! said; what is added is reported.

use super::block_encode::{self, Names};
use crate::codec::EncodeError;
use crate::conversation::{Block, CacheMarks, Conversation, Manner, OPENING, Turn};
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::content::{CacheMark, Content};
use trunkline_model::dialect::Dialect;
use trunkline_model::warning::Warning;

/// Turns alternate and the user begins; Claude refuses blanks at the end of its own
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html>).
pub(super) const MANNER: Manner =
    Manner { dialect: Dialect::Converse, service: "Bedrock", assistant: "assistant", is_strict: true };

/// What is said of a cache point too many.
pub(super) const TOO_MANY_MARKS: &str = "Bedrock takes at most four cache points";

/// Writes a cache point as an element of its own.
pub(super) fn write_mark(mark: Option<CacheMark>, out: &mut BytesMut) {
    let Some(mark) = mark else { return };
    out.open_object();
    out.key("cachePoint");
    out.open_object();
    out.field("type", "default");
    if mark == CacheMark::Long {
        out.field("ttl", "1h");
    }
    out.close_object();
    out.close_object();
}

/// Writes `system` and `messages`.
pub(super) fn write(
    conversation: &Conversation<'_>,
    instruction: Option<&str>,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    write_system(conversation, instruction, marks, out, warnings)?;
    out.key("messages");
    out.open_array();
    if conversation.opening {
        out.open_object();
        out.raw(&format!(r#""role":"user","content":[{{"text":"{OPENING}"}}]"#));
        out.close_object();
    }
    let mut names = Names::default();
    for turn in &conversation.turns {
        out.open_object();
        out.field("role", turn.role);
        out.key("content");
        out.open_array();
        for block in turn.results.iter().chain(&turn.blocks) {
            block_encode::write(block, &conversation.call_ids, &mut names, marks, out, warnings)?;
        }
        if needs_words(turn) {
            // The service refuses a document without a text beside it.
            out.raw(r#"{"text":"See the document."}"#);
            let path = turn.blocks.first().map_or_else(String::new, Block::path);
            warnings.push(Warning::emulated(path, "a document needs a text beside it: one is added"));
        }
        out.close_array();
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
    out.open_array();
    for (block, text) in texts {
        out.open_object();
        out.field("text", text);
        out.close_object();
        write_mark(marks.take(block.part.cache, || block.path(), warnings), out);
    }
    if let Some(instruction) = instruction {
        out.open_object();
        out.field("text", instruction);
        out.close_object();
    }
    out.close_array();
    Ok(())
}

fn needs_words(turn: &Turn<'_>) -> bool {
    let has = |wanted: fn(&Content) -> bool| turn.blocks.iter().any(|block| wanted(&block.part.content));
    has(|content| matches!(content, Content::Document(_)))
        && !has(|content| matches!(content, Content::Text(_) | Content::Refusal(_)))
}
