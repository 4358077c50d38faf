//! The text of a prompt, for steps that must read it.
//!
//! Owns the trait through which text is asked for. Must not hold text: the gateway has the body, a replay has none, and a step
//! that needs text and gets none does not answer. Bounded by the reader: each method may cut what it returns.

use std::borrow::Cow;

/// Access to the text of one request.
pub trait Prompt {
    /// The text of the last turn of the user.
    fn last_user_text(&self) -> Cow<'_, str>;

    /// The text of the system prompt; empty when there is none.
    fn system_text(&self) -> Cow<'_, str>;
}
