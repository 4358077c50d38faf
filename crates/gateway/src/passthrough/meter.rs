//! What a passed answer says it cost, as far as that can be seen from outside.
//!
//! Owns two bounded pieces of the answer: its beginning, where the model stands, and its end, where usage stands. Must not hold
//! more, whatever the answer's length.

use bytes::{Bytes, BytesMut};
use trunkline_model::usage::Usage;
use trunkline_wire::relayed;

/// Bytes kept of the beginning.
const HEAD: usize = 4 * 1024;
/// Bytes kept of the end.
const TAIL: usize = 64 * 1024;

/// Watches bytes pass.
#[derive(Debug, Default)]
pub(super) struct Meter {
    head: BytesMut,
    tail: BytesMut,
    bytes: u64,
}

impl Meter {
    /// Takes note of a piece.
    pub(super) fn passed(&mut self, piece: &Bytes) {
        self.bytes += piece.len() as u64;
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() >= TAIL {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - TAIL..]);
            return;
        }
        if self.tail.len() + piece.len() > 2 * TAIL {
            let kept = self.tail.split_off(self.tail.len() - TAIL);
            self.tail = kept;
        }
        self.tail.extend_from_slice(piece);
    }

    /// Bytes that passed.
    #[must_use]
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The usage the answer tells, if it has a known shape.
    #[must_use]
    pub(super) fn usage(&self) -> Option<Usage> {
        relayed::usage_told(&self.tail)
    }

    /// The model the answer names.
    #[must_use]
    pub(super) fn model(&self) -> Option<String> {
        relayed::model_told(&self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_are_held_at_both_ends_only() {
        let mut meter = Meter::default();
        meter.passed(&Bytes::from_static(br#"{"model":"gpt-5","choices":["#));
        let filling = Bytes::from(vec![b' '; 50_000]);
        for _ in 0..100 {
            meter.passed(&filling);
        }
        meter.passed(&Bytes::from_static(br#"],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#));
        assert_eq!(meter.bytes(), 29 + 5_000_000 + 51);
        assert!(meter.head.len() <= HEAD && meter.tail.len() <= 2 * TAIL);
        assert_eq!(meter.model().as_deref(), Some("gpt-5"));
        assert_eq!(meter.usage(), Some(Usage { input: 3, output: 2, ..Usage::default() }));
        meter.passed(&Bytes::from(vec![b'x'; 200_000]));
        assert_eq!(meter.usage(), None, "it is too far from the end to be the answer's own");
    }
}
