//! State of other providers in Gemini's `thoughtSignature`, and ids for calls that have none.
//!
//! Owns two spellings that only this dialect needs. `thoughtSignature` is a protobuf `bytes` field: SDKs decode it from
//! base64 and write it again in either alphabet, so what is carried there must be base64 itself. Gemini's calls may have no
//! id: one is made from their place, and its prefix tells that it is not the provider's.

use crate::carried::{self, MARK, Place};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;
use std::fmt::Display;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::text::Text;

/// What ids made up here start with.
const CALL_PREFIX: &str = "call_gemini_";
/// Base64 of [`MARK`], as far as its bytes alone decide it.
const MARK_BASE64: &str = "dHJ1bmtsaW5lO";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 in the standard alphabet, whichever it came in. Python's SDK writes the URL-safe one.
pub(super) fn standard(data: Text) -> Text {
    if memchr::memchr2(b'-', b'_', data.as_bytes()).is_none() && data.len().is_multiple_of(4) {
        return data;
    }
    let mut text = data.replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text.into()
}

/// The text of a signature as a part of a Gemini client gets it.
pub(super) fn signature(opaque: &Opaque, place: Place) -> Cow<'_, str> {
    if opaque.origin == Dialect::Gemini {
        return Cow::Borrowed(&opaque.value);
    }
    Cow::Owned(LENIENT.encode(carried::carry(opaque, place)))
}

/// The state a client's signature stands for: Gemini's own, or another's that was written there.
pub(crate) fn opaque(signature: String) -> (Opaque, Place) {
    let carried = unwrapped(&signature).and_then(|text| carried::unpack(&text));
    carried.unwrap_or((Opaque { origin: Dialect::Gemini, value: signature }, Place::Own))
}

/// The text in base64 that a signature is where it carries another's state.
pub(crate) fn unwrapped(signature: &str) -> Option<String> {
    let text = signature.starts_with(MARK_BASE64).then(|| standard(signature.into()))?;
    String::from_utf8(LENIENT.decode(text.as_str()).ok()?).ok()
}

/// Whether a body holds state of another provider.
pub(super) fn is_carried_in(body: &[u8]) -> bool {
    debug_assert!(MARK.len() == 10);
    memchr::memmem::find(body, MARK_BASE64.as_bytes()).is_some()
}

/// An id for a call that came without one.
pub(super) fn made_up_id(scope: impl Display, number: impl Display) -> String {
    format!("{CALL_PREFIX}{scope}_{number}")
}

/// Whether an id was made up here, so that the call is sent without one, as it came.
pub(super) fn is_made_up(id: &str) -> bool {
    id.starts_with(CALL_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn state_of_others_survives_both_alphabets(value in "\\PC{0,40}", url_safe in any::<bool>()) {
            let made = Opaque { origin: Dialect::Anthropic, value };
            let mut text = signature(&made, Place::Own).into_owned();
            if url_safe {
                text = text.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
            }
            prop_assert!(is_carried_in(text.as_bytes()));
            prop_assert_eq!(opaque(text), (made, Place::Own));
        }
    }

    #[test]
    fn own_signatures_are_not_touched() {
        let own = "CpcHAdHtim9+q4rstcbvQC0ic4x1/vqQlCJWgE+UZ6dTLYGHMMBkF/AxqL5UmP6SYtlh";
        let (state, place) = opaque(own.to_owned());
        assert_eq!((state.origin, state.value.as_str(), place), (Dialect::Gemini, own, Place::Own));
        assert_eq!(signature(&state, Place::Own), own);
    }

    #[test]
    fn base64_is_brought_to_the_standard_alphabet() {
        assert_eq!(standard("_-8".into()), "/+8=");
        assert_eq!(standard("AAAA".into()), "AAAA");
    }
}
