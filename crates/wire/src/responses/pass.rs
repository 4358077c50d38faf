//! Same dialect on both sides: which fields of the body change.
//!
//! Owns these edits. Must not rewrite what the target takes as it is. What the gateway serves itself (the store, the chain of
//! responses, the background) was edited before by whoever serves it.

use crate::carried::MARK;
use crate::codec::{Envelope, Profile};
use crate::splice::Edits;
use bytes::Bytes;
use memchr::memmem;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::warning::Warning;

/// Why a refused parameter was left out.
const REFUSED: &str = "the target refuses it";

/// Whether a body may pass: state that another kind of provider made must be taken out by translation first.
#[must_use]
pub fn may_pass(_operation: Operation, _envelope: &Envelope, body: &[u8]) -> bool {
    memmem::find(body, b"\"encrypted_content\"").is_none() || memmem::find(body, MARK.as_bytes()).is_none()
}

/// What changes of a body on its way to a target of the same dialect.
#[must_use]
pub fn pass_edits(envelope: &Envelope, body: &[u8], profile: &Profile, delivery: Delivery) -> Edits {
    let mut edits = Edits::default();
    edits.set_string(envelope, body, "model", &profile.model);
    if envelope.shape.delivery != delivery {
        let flag: &[u8] = if delivery.is_stream() { b"true" } else { b"false" };
        edits.set(envelope, body, "stream", Bytes::from_static(flag));
    }
    let value = |name: &str| envelope.field(body, name).and_then(|field| body.get(field.value.clone()));
    for name in &profile.refused {
        let ours = value(name).is_some_and(|given| is_ours(name, given));
        if name != "model" && name != "stream" && edits.remove(envelope, body, name) && !ours {
            edits.warnings.push(Warning::dropped(name.clone(), REFUSED));
        }
    }
    if profile.sampling == Support::No {
        for name in ["temperature", "top_p"] {
            // One is what such models do anyway, and they accept it said.
            let harmless = matches!(value(name), None | Some(b"1" | b"1.0" | b"null"));
            if !harmless && !profile.refuses(name) && edits.remove(envelope, body, name) {
                let reason = "the model does not take sampling parameters";
                edits.warnings.push(Warning::dropped(name, reason));
            }
        }
    }
    if let (Some(limit), Some(most)) = (envelope.shape.max_output_tokens, profile.max_output_tokens)
        && limit > most
        && most > 0
    {
        edits.set(envelope, body, "max_output_tokens", most.to_string());
        let reason = format!("limited to {most}, the most the model generates");
        edits.warnings.push(Warning::emulated("max_output_tokens", reason));
    }
    edits
}

/// Whether leaving a field out loses nothing: the gateway keeps the response, and asked for what it keeps.
fn is_ours(name: &str, value: &[u8]) -> bool {
    name == "store" || (name == "include" && value == br#"["reasoning.encrypted_content"]"#)
}
