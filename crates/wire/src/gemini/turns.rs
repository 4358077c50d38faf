//! Canonical messages as Gemini's system instruction and contents.
//!
//! Owns the order the API wants: leading instructions hoisted, only `user` and `model`, consecutive messages of one side
//! merged, function responses first in their turn and in the order of their calls, no empty parts. Parts themselves are
//! `part_encode`'s. Must not change what is said; everything moved or left out is reported.

use super::part_encode::{self, Target};
use super::reasoning;
use crate::codec::{EncodeError, Profile};
use crate::json_text::JsonText;
use bytes::BytesMut;
use std::collections::HashMap;
use trunkline_model::content::{Content, Message, Part, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::warning::Warning;

/// What stands before instructions that come in the middle of a conversation.
const NOTE: &str = "[System instruction] ";

/// A part on its way into a turn.
pub(super) struct Block<'r> {
    pub(super) part: &'r Part,
    message: usize,
    index: usize,
    /// Instructions said in the middle of the conversation.
    noted: bool,
    /// The call needs Google's value for calls that another model made.
    pub(super) foreign_call: bool,
}

impl Block<'_> {
    /// Path in canonical form.
    pub(super) fn path(&self) -> String {
        format!("messages[{}].content[{}]", self.message, self.index)
    }

    /// What stands before a text of this block.
    pub(super) const fn note(&self) -> &'static str {
        if self.noted { NOTE } else { "" }
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
    /// Name and number of every call, by id.
    calls: HashMap<&'r str, (&'r str, usize)>,
}

impl<'r> Conversation<'r> {
    /// Arranges messages.
    ///
    /// # Errors
    /// A conversation that says nothing.
    pub(super) fn arrange(
        messages: &'r [Message],
        profile: &Profile,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, EncodeError> {
        let mut conversation = Self { system: Vec::new(), turns: Vec::new(), calls: HashMap::new() };
        let mut cached = None;
        for (index, message) in messages.iter().enumerate() {
            if message.name.is_some() {
                let feature = format!("messages[{index}].name");
                warnings.push(Warning::dropped(feature, "Gemini has no participant names"));
            }
            conversation.take(index, message, warnings);
            if message.parts.iter().any(|part| part.cache.is_some()) {
                cached.get_or_insert(index);
            }
        }
        if let Some(index) = cached {
            let feature = format!("messages[{index}].cache_control");
            warnings.push(Warning::dropped(feature, "Gemini caches by itself, without marks"));
        }
        conversation.finish(warnings)?;
        if reasoning::by_levels(profile) {
            conversation.mark_foreign_calls(warnings);
        }
        Ok(conversation)
    }

    fn take(&mut self, message: usize, source: &'r Message, warnings: &mut Vec<Warning>) {
        let instructs = matches!(source.role, Role::System | Role::Developer);
        let leading = self.turns.is_empty();
        if instructs && !leading {
            let reason = "instructions in mid-conversation are sent as user text with a note";
            warnings.push(Warning::emulated(format!("messages[{message}]"), reason));
        }
        for (index, part) in source.parts.iter().enumerate() {
            let noted = instructs && !leading;
            let block = Block { part, message, index, noted, foreign_call: false };
            if !usable(&block, warnings) {
                continue;
            }
            if let Content::ToolCall(call) = &part.content {
                let number = self.calls.len();
                self.calls.insert(&call.id, (&call.name, number));
            }
            if instructs && leading {
                self.system.push(block);
                continue;
            }
            let role = if source.role == Role::Assistant { "model" } else { "user" };
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
        let calls = &self.calls;
        for turn in &mut self.turns {
            // Results without ids are matched by order.
            turn.results.sort_by_key(|block| match &block.part.content {
                Content::ToolResult(result) => {
                    calls.get(result.call_id.as_str()).map_or(usize::MAX, |(_, number)| *number)
                }
                _ => usize::MAX,
            });
        }
        if !self.turns.is_empty() {
            return Ok(());
        }
        // The API wants contents: instructions alone become them.
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
        let reason = "Gemini needs a user turn: the instructions are sent as one";
        warnings.push(Warning::emulated(format!("messages[{last}]"), reason));
        Ok(())
    }

    /// Marks the first call of each model content since the user last spoke, where it is not signed: this generation of
    /// models refuses it without Google's own signature or the value Google documents for calls made elsewhere.
    fn mark_foreign_calls(&mut self, warnings: &mut Vec<Warning>) {
        let spoke = self.turns.iter().rposition(|turn| turn.role == "user" && !turn.blocks.is_empty());
        for turn in self.turns.iter_mut().skip(spoke.unwrap_or_default()) {
            if turn.role != "model" {
                continue;
            }
            let call =
                turn.blocks.iter_mut().find(|block| matches!(block.part.content, Content::ToolCall(_)));
            let Some(call) = call.filter(|call| !is_own(call.part)) else { continue };
            call.foreign_call = true;
            let feature = format!("{} signature", call.path());
            let reason = "the call was not signed by Gemini: sent with the value that skips the check";
            warnings.push(Warning::emulated(feature, reason));
        }
    }

    /// Writes `systemInstruction` and `contents`.
    ///
    /// # Errors
    /// A part that Gemini cannot take.
    pub(super) fn write(
        &self,
        instruction: Option<&str>,
        profile: &Profile,
        out: &mut BytesMut,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), EncodeError> {
        self.write_system(instruction, out)?;
        out.key("contents");
        out.open_array();
        let mut target = Target { profile, calls: &self.calls, warnings, beside: BytesMut::new() };
        for turn in &self.turns {
            out.open_object();
            out.field("role", turn.role);
            out.key("parts");
            out.open_array();
            for block in &turn.results {
                part_encode::write(block, &mut target, out)?;
            }
            if !target.beside.is_empty() {
                out.extend_from_slice(b",");
                out.extend_from_slice(&target.beside);
                target.beside.clear();
            }
            for block in &turn.blocks {
                part_encode::write(block, &mut target, out)?;
            }
            out.close_array();
            out.close_object();
        }
        out.close_array();
        Ok(())
    }

    fn write_system(&self, instruction: Option<&str>, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.system.is_empty() && instruction.is_none() {
            return Ok(());
        }
        out.key("systemInstruction");
        out.open_object();
        out.key("parts");
        out.open_array();
        for block in &self.system {
            let (Content::Text(text) | Content::Refusal(text)) = &block.part.content else {
                return Err(EncodeError::Unsupported {
                    feature: block.path(),
                    reason: "Gemini takes system instructions as text only".to_owned(),
                });
            };
            part_encode::write_text(text, out);
        }
        if let Some(instruction) = instruction {
            part_encode::write_text(instruction, out);
        }
        out.close_array();
        out.close_object();
        Ok(())
    }
}

/// Whether a part carries Gemini's own state.
pub(super) fn is_own(part: &Part) -> bool {
    part.opaque.as_ref().is_some_and(|opaque| opaque.origin == Dialect::Gemini)
}

/// Whether a part can be sent at all; what cannot is reported, except text that says nothing.
fn usable(block: &Block<'_>, warnings: &mut Vec<Warning>) -> bool {
    let own = is_own(block.part);
    if block.part.opaque.is_some() && !own {
        let feature = format!("{} signature", block.path());
        warnings.push(Warning::dropped(feature, "made by another provider"));
    }
    match &block.part.content {
        Content::Text(text) | Content::Refusal(text) => own || !text.is_empty(),
        Content::Thinking(_) if block.part.opaque.is_none() => {
            let reason = "a thought that Gemini did not sign is nothing it could go on with";
            warnings.push(Warning::dropped(block.path(), reason));
            false
        }
        Content::Thinking(_) | Content::RedactedThinking => own,
        Content::Other { origin, kind, .. } if *origin != Dialect::Gemini => {
            let reason = format!("`{kind}` is known to {origin} only");
            warnings.push(Warning::dropped(block.path(), reason));
            false
        }
        _ => true,
    }
}
