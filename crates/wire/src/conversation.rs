//! Canonical messages as the turns that three protocols want.
//!
//! Owns the order they share: leading instructions apart, consecutive messages of one side merged into a turn, all tool results of
//! a turn first, nothing that says nothing, instructions alone sent as a turn. Must not know how anything is written. Whatever is
//! moved or left out is reported.

use crate::call_ids::CallIds;
use crate::codec::EncodeError;
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::content::{CacheMark, Content, Message, Part, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::text::Text;
use trunkline_model::warning::Warning;

/// What stands before instructions that come in the middle of a conversation.
const NOTE: &str = "[System instruction] ";
/// What the user says where the conversation would begin with the model.
pub(crate) const OPENING: &str = "Continue.";

/// Adds what a client's user says, in protocols whose user also gives the results of tools: those become messages of their own, before
/// the rest.
pub(crate) fn push_user(parts: Vec<Part>, messages: &mut Vec<Message>) {
    let is_result = |part: &Part| matches!(part.content, Content::ToolResult(_));
    if !parts.iter().any(is_result) {
        messages.push(Message { role: Role::User, parts, name: None });
        return;
    }
    let (results, rest): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(is_result);
    for result in results {
        messages.push(Message { role: Role::Tool, parts: vec![result], name: None });
    }
    if !rest.is_empty() {
        messages.push(Message { role: Role::User, parts: rest, name: None });
    }
}

/// Refuses a conversation that ends with words of the model where the model does not go on from them. `thinks` says whether it is to
/// think first, which it cannot do in the middle of an answer.
///
/// # Errors
/// The place of those words, and what to do instead.
pub(crate) fn check_end(messages: &[Message], prefill: Support, thinks: bool) -> Result<(), EncodeError> {
    let Some(index) = begun_answer(messages) else { return Ok(()) };
    let path = format!("messages[{index}]");
    if prefill == Support::No {
        let reason = "the model does not go on from words of its own: end with a user message".to_owned();
        return Err(EncodeError::Unsupported { feature: path, reason });
    }
    if thinks {
        let reason =
            "Claude does not go on from words of its own while it thinks: end with a user message, or turn \
                      reasoning off"
                .to_owned();
        return Err(EncodeError::Invalid { path, reason });
    }
    Ok(())
}

/// The last message, if it is the beginning of an answer: text of the model, and not a call of a tool, or a turn that the provider's
/// tools interrupted.
fn begun_answer(messages: &[Message]) -> Option<usize> {
    let text = |part: &Part| match &part.content {
        Content::Text(text) | Content::Refusal(text) => Some(!text.is_blank()),
        _ => None,
    };
    for (index, message) in messages.iter().enumerate().rev() {
        let last = message.parts.iter().rev().find(|part| text(part) != Some(false));
        if let Some(last) = last {
            let begins = message.role == Role::Assistant && text(last) == Some(true);
            return begins.then_some(index);
        }
    }
    None
}

const fn is_file(content: &Content) -> bool {
    matches!(content, Content::Image(_) | Content::Document(_) | Content::Audio(_) | Content::Video(_))
}

/// What a protocol asks of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whose state and content types are its own.
    pub(crate) dialect: Dialect,
    /// Its name in warnings.
    pub(crate) service: &'static str,
    /// The model's role.
    pub(crate) assistant: &'static str,
    /// It refuses blank texts, blanks at the end of a final turn of the model, and a conversation that the model begins.
    pub(crate) is_strict: bool,
}

/// A part on its way into a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'r> {
    /// What is to be written.
    pub(crate) part: &'r Part,
    /// Position of its message and its own in there.
    pub(crate) place: (usize, usize),
    /// Instructions said in the middle of the conversation.
    noted: bool,
    /// Trailing blanks are cut.
    cut: bool,
}

impl Block<'_> {
    /// Path in canonical form.
    pub(crate) fn path(&self) -> String {
        format!("messages[{}].content[{}]", self.place.0, self.place.1)
    }

    /// A text with what its place asks for.
    pub(crate) fn shown<'t>(&self, text: &'t Text) -> Cow<'t, Text> {
        if self.noted {
            let text = if self.cut { text.trim_end() } else { text };
            return Cow::Owned(format!("{NOTE}{text}").into());
        }
        if self.cut { Cow::Owned(text.trim_end().into()) } else { Cow::Borrowed(text) }
    }
}

/// What one side says until the other speaks.
#[derive(Clone, Debug)]
pub(crate) struct Turn<'r> {
    /// `user`, or what the protocol calls the model.
    pub(crate) role: &'static str,
    /// Results of tools, in the order of the messages.
    pub(crate) results: Vec<Block<'r>>,
    /// Everything else.
    pub(crate) blocks: Vec<Block<'r>>,
}

/// The arranged conversation.
#[derive(Clone, Debug)]
pub(crate) struct Conversation<'r> {
    manner: Manner,
    system: Vec<Block<'r>>,
    /// At least one.
    pub(crate) turns: Vec<Turn<'r>>,
    /// [`OPENING`] comes first.
    pub(crate) opening: bool,
    /// What calls and results are called where the client has an id twice.
    pub(crate) call_ids: CallIds,
}

impl<'r> Conversation<'r> {
    /// Arranges messages.
    ///
    /// # Errors
    /// A conversation that says nothing.
    pub(crate) fn arrange(
        messages: &'r [Message],
        manner: Manner,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, EncodeError> {
        let turns = Vec::with_capacity(messages.len());
        let call_ids = CallIds::of(messages);
        let mut conversation = Self { manner, system: Vec::new(), turns, opening: false, call_ids };
        for (index, message) in messages.iter().enumerate() {
            if message.name.is_some() {
                let reason = format!("{} has no participant names", manner.service);
                warnings.push(Warning::dropped(format!("messages[{index}].name"), reason));
            }
            conversation.take(index, message, warnings);
        }
        conversation.finish(warnings)?;
        Ok(conversation)
    }

    /// The leading instructions.
    ///
    /// # Errors
    /// Instructions that are not text.
    pub(crate) fn system(&self) -> Result<Vec<(&Block<'r>, &'r Text)>, EncodeError> {
        let text = |block: &Block<'r>| match &block.part.content {
            Content::Text(text) | Content::Refusal(text) => Some(text),
            _ => None,
        };
        let texts = self.system.iter().map(|block| {
            text(block).map(|text| (block, text)).ok_or_else(|| EncodeError::Unsupported {
                feature: block.path(),
                reason: format!("{} takes system instructions as text only", self.manner.service),
            })
        });
        texts.collect()
    }

    fn take(&mut self, message: usize, source: &'r Message, warnings: &mut Vec<Warning>) {
        let instructs = matches!(source.role, Role::System | Role::Developer);
        let leading = self.turns.is_empty();
        if instructs && !leading {
            let reason = "instructions in mid-conversation are sent as user text with a note";
            warnings.push(Warning::emulated(format!("messages[{message}]"), reason));
        }
        for (index, part) in source.parts.iter().enumerate() {
            let block = Block { part, place: (message, index), noted: instructs && !leading, cut: false };
            if !self.manner.takes(&block, warnings) {
                continue;
            }
            if self.manner.is_strict && source.role == Role::Assistant && is_file(&part.content) {
                let reason = format!("{} takes no files in the model's own turns", self.manner.service);
                warnings.push(Warning::dropped(block.path(), reason));
                continue;
            }
            if instructs && leading {
                self.system.push(block);
                continue;
            }
            let role = if source.role == Role::Assistant { self.manner.assistant } else { "user" };
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
        let Manner { service, assistant, is_strict, .. } = self.manner;
        let Some(first) = self.turns.first() else { return self.speak_instructions(warnings) };
        if !is_strict {
            return Ok(());
        }
        self.opening = first.role == assistant;
        if let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == assistant)
            && let Some(last) = turn.blocks.last_mut()
            && let Content::Text(text) = &last.part.content
            && text.trim_end().len() < text.len()
        {
            last.cut = true;
            let reason = "blanks at the end of a final assistant message are cut";
            warnings.push(Warning::emulated(last.path(), reason));
        }
        if self.opening {
            let reason =
                format!("{service} wants the user to speak first: a short user turn is put before it");
            warnings.push(Warning::emulated("messages[0]", reason));
        }
        Ok(())
    }

    /// A user turn is needed: of instructions alone, the last message becomes it.
    fn speak_instructions(&mut self, warnings: &mut Vec<Warning>) -> Result<(), EncodeError> {
        let Some(last) = self.system.iter().map(|block| block.place.0).max() else {
            return Err(EncodeError::Invalid {
                path: "messages".to_owned(),
                reason: "nothing is said: at least one message must have content".to_owned(),
            });
        };
        let (blocks, system) =
            std::mem::take(&mut self.system).into_iter().partition(|block| block.place.0 == last);
        self.system = system;
        self.turns.push(Turn { role: "user", results: Vec::new(), blocks });
        let reason = format!("{} needs a user turn: the instructions are sent as one", self.manner.service);
        warnings.push(Warning::emulated(format!("messages[{last}]"), reason));
        Ok(())
    }
}

impl Manner {
    /// Whether a part carries the protocol's own state.
    pub(crate) fn owns(&self, part: &Part) -> bool {
        part.opaque.as_ref().is_some_and(|opaque| opaque.origin == self.dialect)
    }

    /// Whether a part can be sent at all; what cannot is reported, except text that says nothing.
    fn takes(&self, block: &Block<'_>, warnings: &mut Vec<Warning>) -> bool {
        let owns = self.owns(block.part);
        let is_foreign = block.part.opaque.is_some() && !owns;
        if is_foreign {
            let feature = format!("{} signature", block.path());
            warnings.push(Warning::dropped(feature, "made by another provider"));
        }
        match &block.part.content {
            Content::Text(text) | Content::Refusal(text) if self.is_strict => !text.is_blank(),
            Content::Text(text) | Content::Refusal(text) => owns || !text.is_empty(),
            Content::Thinking(_) | Content::RedactedThinking if !owns => {
                if !is_foreign {
                    let reason = "reasoning without a signature cannot be sent back";
                    warnings.push(Warning::dropped(block.path(), reason));
                }
                false
            }
            Content::Other { origin, kind, .. } if *origin != self.dialect => {
                let reason = format!("`{kind}` is known to {origin} only");
                warnings.push(Warning::dropped(block.path(), reason));
                false
            }
            _ => true,
        }
    }
}

/// The most cache marks that a request may have: more are refused.
const MOST_MARKS: u8 = 4;

/// The cache marks still allowed.
#[derive(Debug)]
pub(crate) struct CacheMarks {
    left: u8,
    /// Who allows them, and what they are called there.
    refusal: &'static str,
}

impl CacheMarks {
    /// All of them; `refusal` says that there are at most four.
    pub(crate) const fn new(refusal: &'static str) -> Self {
        Self { left: MOST_MARKS, refusal }
    }

    /// A mark, if it may be written; else it is reported that there were too many.
    pub(crate) fn take(
        &mut self,
        mark: Option<CacheMark>,
        path: impl FnOnce() -> String,
        warnings: &mut Vec<Warning>,
    ) -> Option<CacheMark> {
        let mark = mark?;
        if self.left == 0 {
            warnings.push(Warning::dropped(format!("{}.cache_control", path()), self.refusal));
            return None;
        }
        self.left -= 1;
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::content::ToolCall;

    fn message(role: Role, texts: &[&str]) -> Message {
        let parts = texts.iter().map(|text| Part::new(Content::Text((*text).into()))).collect();
        Message { role, parts, name: None }
    }

    #[test]
    fn only_words_of_the_model_at_the_end_begin_an_answer() {
        let user = message(Role::User, &["Hi"]);
        let begun = message(Role::Assistant, &["{"]);
        let silent = message(Role::Assistant, &["", " "]);
        assert_eq!(begun_answer(&[user.clone(), begun.clone()]), Some(1));
        assert_eq!(begun_answer(&[user.clone(), begun.clone(), silent.clone()]), Some(1));
        assert_eq!(begun_answer(&[begun.clone(), user.clone()]), None);
        assert_eq!(begun_answer(&[user.clone(), silent]), None);
        let mut called = begun.clone();
        let arguments = trunkline_model::json::Json::empty_object();
        let call = ToolCall { id: "1".to_owned(), name: "f".to_owned(), arguments };
        called.parts.push(Part::new(Content::ToolCall(call)));
        assert_eq!(begun_answer(&[user.clone(), called]), None);
        let instructed = message(Role::System, &["Be brief"]);
        assert_eq!(begun_answer(&[user, begun, instructed]), None);
    }

    #[test]
    fn whoever_cannot_go_on_from_them_is_not_asked() {
        let messages = [message(Role::User, &["Hi"]), message(Role::Assistant, &["{"])];
        assert!(check_end(&messages, Support::Unknown, false).is_ok());
        assert!(check_end(&messages[..1], Support::No, true).is_ok());
        let refused = check_end(&messages, Support::No, false).unwrap_err();
        assert!(matches!(&refused, EncodeError::Unsupported { feature, .. } if feature == "messages[1]"));
        let thinking = check_end(&messages, Support::Yes, true).unwrap_err();
        assert!(matches!(&thinking, EncodeError::Invalid { path, .. } if path == "messages[1]"));
    }
}
