//! A request without its dialect: what the planner looks at.
//!
//! Owns the vocabulary between dialects and planner.

use serde_json::Value;

use crate::prompt_cache::{Prefix, PrefixBuilder};
use crate::tokens;

/// Tokens that a message costs beside its text.
const MESSAGE_TOKENS: u64 = 3;
/// Tokens of an image, whatever its size.
const IMAGE_TOKENS: u64 = 85;
/// Tokens of a document, whatever its size.
const DOCUMENT_TOKENS: u64 = 250;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt {
    pub(crate) model: String,
    pub(crate) system: String,
    /// Text of the last message of the user.
    pub(crate) user: String,
    /// How many messages there are.
    pub(crate) messages: usize,
    pub(crate) tools: Vec<Offer>,
    pub(crate) choice: Choice,
    /// Whether one turn may hold several calls.
    pub(crate) one_call_only: bool,
    /// Results of tools that came after the model's last turn.
    pub(crate) outcomes: Vec<ToolOutcome>,
    pub(crate) format: Format,
    /// Tokens to reason with; 0 means not to.
    pub(crate) reasoning: u64,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) images: usize,
    pub(crate) documents: usize,
    pub(crate) seed: u64,
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) builder: PrefixBuilder,
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// Which tools may or must be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    /// One of these, or of all if empty.
    Required(Vec<String>),
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolOutcome {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) failed: bool,
}

/// What form the answer must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
    Schema(Value),
}

impl Prompt {
    /// Counts a text of the prompt.
    pub(crate) fn count(&mut self, text: &str) {
        self.builder.push(text.as_bytes(), tokens::count(text));
    }

    /// Counts the frame of a message.
    pub(crate) fn count_message(&mut self, role: &str) {
        self.messages += 1;
        self.builder.push(role.as_bytes(), MESSAGE_TOKENS);
    }

    /// Counts an image; `identity` tells it from others.
    pub(crate) fn count_image(&mut self, identity: &str) {
        self.images += 1;
        self.builder.push(identity.as_bytes(), IMAGE_TOKENS);
    }

    /// Counts a document; `identity` tells it from others.
    pub(crate) fn count_document(&mut self, identity: &str) {
        self.documents += 1;
        self.builder.push(identity.as_bytes(), DOCUMENT_TOKENS);
    }

    /// Ends a prefix that caching may remember.
    pub(crate) fn mark(&mut self) {
        self.prefixes.push(self.builder.mark());
    }

    /// Tokens counted so far.
    pub(crate) fn tokens(&self) -> u64 {
        self.builder.mark().tokens
    }

    /// Starts a new user turn: what was said before is no longer "the last message".
    pub(crate) fn begin_user(&mut self) {
        self.user.clear();
    }

    /// Adds to the last message of the user.
    pub(crate) fn push_user(&mut self, text: &str) {
        push_line(&mut self.user, text);
    }

    /// Adds to the system prompt.
    pub(crate) fn push_system(&mut self, text: &str) {
        push_line(&mut self.system, text);
    }
}

fn push_line(target: &mut String, text: &str) {
    if !target.is_empty() {
        target.push('\n');
    }
    target.push_str(text);
}
