//! Providers' state in an answer of the dialect, which has no place for it: where clients' libraries pass it on.
//!
//! Owns its forms. Must not read it.

use crate::carried::{self, Place};
use crate::write::Object;
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;

pub(super) fn write_signature(out: &mut BytesMut, signature: &str) {
    let mut extra = Object::open(out);
    let mut google = Object::open(extra.key("google"));
    google.text("thought_signature", signature);
    google.close();
    extra.close();
}

pub(super) fn write_thinking_block(out: &mut BytesMut, text: &str, signature: &str) {
    let mut block = Object::open(out);
    block.text("type", "thinking");
    block.text("thinking", text);
    block.text("signature", signature);
    block.close();
}

/// What stands for a part's state: Anthropic's as it is, which the clients' own libraries pass on, another maker's by name, so
/// that it goes back to none but its maker.
pub(super) fn signature(opaque: &Opaque) -> Cow<'_, str> {
    match opaque.origin {
        Dialect::Anthropic => Cow::Borrowed(&opaque.value),
        _ => Cow::Owned(carried::carry(opaque, Place::Own)),
    }
}

pub(super) fn write_redacted_block(out: &mut BytesMut, data: &str) {
    let mut block = Object::open(out);
    block.text("type", "redacted_thinking");
    block.text("data", data);
    block.close();
}
