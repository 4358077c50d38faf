//! Encrypted reasoning that must not reach a provider which did not make it.
//!
//! Owns taking it out. Must not know who made it: the caller does, and asks only when the request goes elsewhere. Two providers of
//! one dialect refuse each other's state like strangers.

use trunkline_model::content::Content;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;

/// Takes this dialect's own state out of a conversation, and says so.
pub fn strip_state(request: &mut Request) -> Vec<Warning> {
    let Request::Chat(chat) = request else { return Vec::new() };
    let mut stripped = 0;
    for message in &mut chat.messages {
        message.parts.retain_mut(|part| {
            if part.opaque.as_ref().is_none_or(|opaque| opaque.origin != Dialect::Responses) {
                return true;
            }
            stripped += 1;
            part.opaque = None;
            !matches!(part.content, Content::RedactedThinking)
        });
    }
    if stripped == 0 {
        return Vec::new();
    }
    let reason = format!("{stripped} pieces made by another provider than the one that answers now");
    vec![Warning::dropped("input[].encrypted_content", reason)]
}
