//! Opaque state a provider hands out and checks when it comes back: thinking signatures, thought signatures,
//! redacted thinking.
//!
//! Owns sealing and checking. The seal is keyed by the simulator's secret and covers the text it belongs to, so that an
//! altered, truncated, moved or foreign value is told from a genuine one. It is not cryptography; it detects mistakes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chance::{Chance, fingerprint};

/// Bytes of nonce in front, tag, and filling that gives the value the length clients see in practice.
const NONCE: usize = 8;
const TAG: usize = 24;
const FILLING: usize = 64;

/// Seals `text` for `purpose`.
pub(crate) fn seal(secret: u64, purpose: &str, text: &str, chance: &mut Chance) -> String {
    seal_with_nonce(secret, purpose, text, chance.next().to_le_bytes())
}

/// Whether `sealed` is what [`seal`] made of `text`, unaltered.
pub(crate) fn genuine(secret: u64, purpose: &str, text: &str, sealed: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(sealed) else { return false };
    let Some(nonce) = bytes.first_chunk::<NONCE>() else { return false };
    sealed == seal_with_nonce(secret, purpose, text, *nonce)
}

fn seal_with_nonce(secret: u64, purpose: &str, text: &str, nonce: [u8; NONCE]) -> String {
    let mut bytes = nonce.to_vec();
    bytes.extend_from_slice(&tag(secret, purpose, nonce, text));
    let mut filling = Chance::new(u64::from_le_bytes(nonce));
    while bytes.len() < NONCE + TAG + FILLING {
        bytes.extend_from_slice(&filling.next().to_le_bytes());
    }
    STANDARD.encode(bytes)
}

fn tag(secret: u64, purpose: &str, nonce: [u8; NONCE], text: &str) -> [u8; TAG] {
    let base = fingerprint(secret ^ u64::from_le_bytes(nonce), purpose.as_bytes());
    let mut tag = [0; TAG];
    for (index, word) in tag.chunks_mut(8).enumerate() {
        word.copy_from_slice(&fingerprint(base.wrapping_add(index as u64), text.as_bytes()).to_le_bytes());
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unaltered_value_for_the_same_text_is_genuine() {
        let sealed = seal(1, "thinking", "step by step", &mut Chance::new(9));
        assert!(genuine(1, "thinking", "step by step", &sealed));
        assert!(!genuine(1, "thinking", "step by stop", &sealed));
        assert!(!genuine(2, "thinking", "step by step", &sealed));
        assert!(!genuine(1, "other", "step by step", &sealed));
        assert!(!genuine(1, "thinking", "step by step", "not base64!"));
        for index in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII stays ASCII");
            assert!(!genuine(1, "thinking", "step by step", &altered), "byte {index}");
        }
    }
}
