//! Canonical messages as system blocks and alternating turns.
//!
//! Owns the order the service wants: leading instructions hoisted, consecutive messages of one side merged, all tool results of
//! a turn first, no blank text, no turn without blocks, the user first. Blocks themselves are `block_encode`'s. Must not change
//! what is said; everything moved or left out is reported.

use super::block_encode::{self, Names};
use crate::codec::EncodeError;
use crate::json_text::JsonText;
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::content::{CacheMark, Content, Message, Part, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::ChatRequest;
use trunkline_model::warning::Warning;

/// What stands before instructions that come in the middle of a conversation.
const NOTE: &str = "[System instruction] ";
/// What the user says where the conversation would begin with the model.
const OPENING: &str = "Continue.";

/// The cache points still allowed: the models that take any refuse more than four.
pub(super) struct CacheMarks {
    left: u8,
}

impl CacheMarks {
    pub(super) const fn new() -> Self {
        Self { left: 4 }
    }

    /// Writes a cache point as an element of its own, or reports that there were too many.
    pub(super) fn write(
        &mut self,
        mark: Option<CacheMark>,
        out: &mut BytesMut,
        path: impl FnOnce() -> String,
        warnings: &mut Vec<Warning>,
    ) {
        let Some(mark) = mark else { return };
        if self.left == 0 {
            let feature = format!("{}.cache_control", path());
            warnings.push(Warning::dropped(feature, "Bedrock takes at most four cache points"));
            return;
        }
        self.left -= 1;
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
}

/// A part on its way into a turn.
pub(super) struct Block<'r> {
    pub(super) part: &'r Part,
    message: usize,
    index: usize,
    /// Instructions said in the middle of the conversation.
    noted: bool,
    /// Trailing blanks are cut: Claude refuses them at the end of a final assistant turn.
    cut: bool,
}

impl Block<'_> {
    /// Path in canonical form.
    pub(super) fn path(&self) -> String {
        format!("messages[{}].content[{}]", self.message, self.index)
    }

    /// A text with what its place asks for.
    pub(super) fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = if self.cut { text.trim_end() } else { text };
        if self.noted { Cow::Owned(format!("{NOTE}{text}")) } else { Cow::Borrowed(text) }
    }
}

struct Turn<'r> {
    role: &'static str,
    results: Vec<Block<'r>>,
    blocks: Vec<Block<'r>>,
}

/// The arranged conversation.
pub(super) struct Conversation<'r> {
    system: Vec<Block<'r>>,
    turns: Vec<Turn<'r>>,
    opening: bool,
}

impl<'r> Conversation<'r> {
    /// Arranges a request's messages.
    pub(super) fn arrange(
        request: &'r ChatRequest,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, EncodeError> {
        let mut conversation = Self { system: Vec::new(), turns: Vec::new(), opening: false };
        for (index, message) in request.messages.iter().enumerate() {
            if message.name.is_some() {
                let feature = format!("messages[{index}].name");
                warnings.push(Warning::dropped(feature, "Bedrock has no participant names"));
            }
            conversation.take(index, message, warnings);
        }
        conversation.finish(warnings)?;
        Ok(conversation)
    }

    /// Writes `system` and `messages`.
    pub(super) fn write(
        &self,
        instruction: Option<&str>,
        marks: &mut CacheMarks,
        out: &mut BytesMut,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), EncodeError> {
        self.write_system(instruction, marks, out, warnings)?;
        out.key("messages");
        out.open_array();
        if self.opening {
            out.open_object();
            out.raw(&format!(r#""role":"user","content":[{{"text":"{OPENING}"}}]"#));
            out.close_object();
        }
        let mut names = Names::default();
        for turn in &self.turns {
            out.open_object();
            out.field("role", turn.role);
            out.key("content");
            out.open_array();
            for block in turn.results.iter().chain(&turn.blocks) {
                block_encode::write(block, &mut names, marks, out, warnings)?;
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

    fn take(&mut self, message: usize, source: &'r Message, warnings: &mut Vec<Warning>) {
        let instructs = matches!(source.role, Role::System | Role::Developer);
        let leading = self.turns.is_empty();
        if instructs && !leading {
            let reason = "instructions in mid-conversation are sent as user text with a note";
            warnings.push(Warning::emulated(format!("messages[{message}]"), reason));
        }
        for (index, part) in source.parts.iter().enumerate() {
            let block = Block { part, message, index, noted: instructs && !leading, cut: false };
            if !usable(&block, warnings) {
                continue;
            }
            if instructs && leading {
                self.system.push(block);
                continue;
            }
            let role = if source.role == Role::Assistant { "assistant" } else { "user" };
            if self.turns.last().is_none_or(|turn| turn.role != role) {
                self.turns.push(Turn { role, results: Vec::new(), blocks: Vec::new() });
            }
            let turn = self.turns.last_mut().expect("a turn was pushed when there was none");
            if matches!(part.content, Content::ToolResult(_)) {
                turn.results.push(block);
            } else {
                turn.blocks.push(block);
            }
        }
    }

    fn finish(&mut self, warnings: &mut Vec<Warning>) -> Result<(), EncodeError> {
        if let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == "assistant")
            && let Some(last) = turn.blocks.last_mut()
            && let Content::Text(text) = &last.part.content
            && text.trim_end().len() < text.len()
        {
            last.cut = true;
            let reason = "blanks at the end of a final assistant message are cut";
            warnings.push(Warning::emulated(last.path(), reason));
        }
        if self.turns.is_empty() {
            // A user turn is needed: instructions alone become it.
            if self.system.is_empty() {
                return Err(EncodeError::Invalid {
                    path: "messages".to_owned(),
                    reason: "nothing is said: at least one message must have content".to_owned(),
                });
            }
            let last = self.system.iter().map(|block| block.message).max().unwrap_or_default();
            let (blocks, system) =
                std::mem::take(&mut self.system).into_iter().partition(|block| block.message == last);
            self.system = system;
            self.turns.push(Turn { role: "user", results: Vec::new(), blocks });
            let reason = "Bedrock needs a user turn: the instructions are sent as one";
            warnings.push(Warning::emulated(format!("messages[{last}]"), reason));
        } else if self.turns[0].role == "assistant" {
            self.opening = true;
            let reason = "Bedrock wants the user to speak first: a short user turn is put before it";
            warnings.push(Warning::emulated("messages[0]", reason));
        }
        Ok(())
    }

    fn write_system(
        &self,
        instruction: Option<&str>,
        marks: &mut CacheMarks,
        out: &mut BytesMut,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), EncodeError> {
        if self.system.is_empty() && instruction.is_none() {
            return Ok(());
        }
        out.key("system");
        out.open_array();
        for block in &self.system {
            let (Content::Text(text) | Content::Refusal(text)) = &block.part.content else {
                return Err(EncodeError::Unsupported {
                    feature: block.path(),
                    reason: "Bedrock takes system instructions as text only".to_owned(),
                });
            };
            out.open_object();
            out.field("text", text);
            out.close_object();
            marks.write(block.part.cache, out, || block.path(), warnings);
        }
        if let Some(instruction) = instruction {
            out.open_object();
            out.field("text", instruction);
            out.close_object();
        }
        out.close_array();
        Ok(())
    }
}

fn needs_words(turn: &Turn<'_>) -> bool {
    let has = |wanted: fn(&Content) -> bool| turn.blocks.iter().any(|block| wanted(&block.part.content));
    has(|content| matches!(content, Content::Document(_)))
        && !has(|content| matches!(content, Content::Text(_) | Content::Refusal(_)))
}

/// Whether a part can be sent at all; what cannot is reported, except text that says nothing.
fn usable(block: &Block<'_>, warnings: &mut Vec<Warning>) -> bool {
    let state = block.part.opaque.as_ref();
    let own_state = state.is_some_and(|opaque| opaque.origin == Dialect::Converse);
    if state.is_some() && !own_state {
        let feature = format!("{} signature", block.path());
        warnings.push(Warning::dropped(feature, "made by another provider"));
    }
    match &block.part.content {
        Content::Text(text) | Content::Refusal(text) => !text.trim().is_empty(),
        Content::Thinking(_) | Content::RedactedThinking if !own_state => {
            if state.is_none() {
                let reason = "reasoning without a signature cannot be sent back";
                warnings.push(Warning::dropped(block.path(), reason));
            }
            false
        }
        Content::Other { origin, kind, .. } if *origin != Dialect::Converse => {
            let reason = format!("`{kind}` is known to {origin} only");
            warnings.push(Warning::dropped(block.path(), reason));
            false
        }
        _ => true,
    }
}
