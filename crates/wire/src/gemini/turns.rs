//! An arranged conversation as Gemini's system instruction and contents.
//!
//! Owns `systemInstruction`, `contents`, the order of function responses (that of their calls) and which calls need the value that
//! skips the check of signatures. The rest of the order is `conversation`'s, parts themselves are `part_encode`'s. Must not change
//! what is said; everything left out is reported.

use super::part_encode::{self, Target};
use super::reasoning;
use crate::codec::{EncodeError, Profile};
use crate::conversation::{Block, Conversation, Manner};
use crate::json_text::JsonText;
use bytes::BytesMut;
use std::borrow::Cow;
use std::collections::HashMap;
use trunkline_model::content::{Content, Message};
use trunkline_model::dialect::Dialect;
use trunkline_model::warning::Warning;

/// Blank texts are taken and the model may begin (<https://ai.google.dev/api/generate-content>).
pub(super) const MANNER: Manner =
    Manner { dialect: Dialect::Gemini, service: "Gemini", assistant: "model", is_strict: false };

/// Name and number of every call, by id.
pub(super) type Calls<'r> = HashMap<Cow<'r, str>, (&'r str, usize)>;

/// The contents, arranged for Gemini.
pub(super) struct Contents<'r> {
    conversation: Conversation<'r>,
    /// Name and number of every call, by id.
    calls: Calls<'r>,
    /// Where the calls stand that need Google's value for calls that another model made.
    foreign_calls: Vec<(usize, usize)>,
}

impl<'r> Contents<'r> {
    /// Arranges messages.
    ///
    /// # Errors
    /// A conversation that says nothing.
    pub(super) fn arrange(
        messages: &'r [Message],
        profile: &Profile,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, EncodeError> {
        let mut conversation = Conversation::arrange(messages, MANNER, warnings)?;
        let is_marked = |message: &Message| message.parts.iter().any(|part| part.cache.is_some());
        if let Some(index) = messages.iter().position(is_marked) {
            let feature = format!("messages[{index}].cache_control");
            warnings.push(Warning::dropped(feature, "Gemini caches by itself, without marks"));
        }
        let mut calls = Calls::new();
        let ids = std::mem::take(&mut conversation.call_ids);
        for block in conversation.turns.iter().flat_map(|turn| &turn.blocks) {
            if let Content::ToolCall(call) = &block.part.content {
                let number = calls.len();
                calls.insert(ids.shared(block.place, &call.id), (call.name.as_str(), number));
            }
        }
        for turn in &mut conversation.turns {
            // Results without ids are matched by order.
            turn.results.sort_by_key(|block| match &block.part.content {
                Content::ToolResult(result) => {
                    calls.get(ids.at(block.place, &result.call_id)).map_or(usize::MAX, |(_, number)| *number)
                }
                _ => usize::MAX,
            });
        }
        conversation.call_ids = ids;
        let mut contents = Self { conversation, calls, foreign_calls: Vec::new() };
        if reasoning::by_levels(profile) {
            contents.mark_foreign_calls(warnings);
        }
        Ok(contents)
    }

    /// Marks the first call of each model content since the user last spoke, where it is not signed: this generation of
    /// models refuses it without Google's own signature or the value Google documents for calls made elsewhere.
    fn mark_foreign_calls(&mut self, warnings: &mut Vec<Warning>) {
        let turns = &self.conversation.turns;
        let spoke = turns.iter().rposition(|turn| turn.role == "user" && !turn.blocks.is_empty());
        let is_call = |block: &&Block<'_>| matches!(block.part.content, Content::ToolCall(_));
        for turn in turns.iter().skip(spoke.unwrap_or_default()).filter(|turn| turn.role == MANNER.assistant)
        {
            let Some(call) = turn.blocks.iter().find(is_call).filter(|call| !MANNER.owns(call.part)) else {
                continue;
            };
            self.foreign_calls.push(call.place);
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
        let (calls, foreign_calls) = (&self.calls, self.foreign_calls.as_slice());
        let ids = &self.conversation.call_ids;
        let mut target = Target { profile, ids, calls, foreign_calls, warnings, beside: BytesMut::new() };
        for turn in &self.conversation.turns {
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
        let texts = self.conversation.system()?;
        if texts.is_empty() && instruction.is_none() {
            return Ok(());
        }
        out.key("systemInstruction");
        out.open_object();
        out.key("parts");
        out.open_array();
        for (_, text) in texts {
            part_encode::write_text(text, out);
        }
        if let Some(text) = instruction {
            part_encode::write_text(text, out);
        }
        out.close_array();
        out.close_object();
        Ok(())
    }
}
