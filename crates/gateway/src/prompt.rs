//! A request's text for the steps that read it.
//!
//! Owns the lazy second look at the body. Must not run for routes whose steps read no text: nothing is looked at before a step
//! asks, and then once.

use std::borrow::Cow;
use std::cell::OnceCell;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_route::features::Prompt;
use trunkline_wire::codec::Envelope;
use trunkline_wire::dispatch::{self, PromptText};

/// The text of one request, read from its body when asked for.
pub struct BodyPrompt<'a> {
    dialect: Dialect,
    operation: Operation,
    envelope: &'a Envelope,
    body: &'a [u8],
    found: OnceCell<PromptText<'a>>,
}

impl<'a> BodyPrompt<'a> {
    /// The text of a body, not looked for yet.
    #[must_use]
    pub const fn new(dialect: Dialect, operation: Operation, envelope: &'a Envelope, body: &'a [u8]) -> Self {
        Self { dialect, operation, envelope, body, found: OnceCell::new() }
    }

    fn found(&self) -> &PromptText<'a> {
        self.found
            .get_or_init(|| dispatch::prompt_text(self.dialect, self.operation, self.envelope, self.body))
    }
}

impl Prompt for BodyPrompt<'_> {
    fn last_user_text(&self) -> Cow<'_, str> {
        self.found().last_user()
    }

    fn system_text(&self) -> Cow<'_, str> {
        self.found().system()
    }
}
