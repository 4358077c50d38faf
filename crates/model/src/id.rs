//! Names and identifiers.
//!
//! Owns request and decision ids (16 bytes, time-ordered, made from arguments) and the cheap shared string that names
//! providers, deployments, routes and keys. Must not read a clock or draw randomness: both are passed in.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A shared immutable name: cloning costs one reference count, so records and decisions can hold them freely.
pub type Name = Arc<str>;

/// Identifies one request: 48 bits of Unix milliseconds, then 80 random bits, so that ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u128);

impl RequestId {
    /// Makes an id from the arrival time (milliseconds since the Unix epoch) and random bits; only the low 80 are used.
    #[must_use]
    pub const fn new(unix_milliseconds: u64, random: u128) -> Self {
        let time = (unix_milliseconds as u128) << 80;
        Self(time | (random & ((1 << 80) - 1)))
    }

    /// Rebuilds an id from its 128 bits, as stored.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits, for storage.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Arrival time in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_milliseconds(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// A 64-bit seed for decisions, derived from the random part.
    #[must_use]
    pub const fn seed(self) -> u64 {
        let low = self.0 as u64;
        // One round of mixing (splitmix64), because callers use single bits of the seed.
        let mixed = (low ^ (low >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    /// The text form without allocation: 26 characters of Crockford base 32, which sort like the id.
    #[must_use]
    pub fn encode(self) -> [u8; 26] {
        let mut text = [0u8; 26];
        let mut bits = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        text
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.encode();
        formatter.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RequestId({self})")
    }
}

/// A text that is not a request id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("read the id `{0}`: expected 26 characters of 0-9 and a-z without i, l, o, u")]
pub struct InvalidId(String);

impl FromStr for RequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId(text.chars().take(64).collect());
        let digits = text.strip_prefix("dec_").or_else(|| text.strip_prefix("req_")).unwrap_or(text);
        if digits.len() != 26 {
            return Err(invalid());
        }
        let mut bits: u128 = 0;
        for (position, byte) in digits.bytes().enumerate() {
            let lower = byte.to_ascii_lowercase();
            let digit = ALPHABET.iter().position(|&letter| letter == lower).ok_or_else(invalid)?;
            if position == 0 && digit > 7 {
                return Err(invalid());
            }
            bits = (bits << 5) | digit as u128;
        }
        Ok(Self(bits))
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_form_round_trips_and_sorts_like_the_id(a in any::<u128>(), b in any::<u128>()) {
            let (a, b) = (RequestId::from_bits(a), RequestId::from_bits(b));
            prop_assert_eq!(a.to_string().parse::<RequestId>().unwrap(), a);
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn time_is_kept(time in 0u64..(1 << 48), random in any::<u128>()) {
            prop_assert_eq!(RequestId::new(time, random).unix_milliseconds(), time);
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        insta::assert_snapshot!("hello".parse::<RequestId>().unwrap_err(), @"read the id `hello`: expected 26 characters of 0-9 and a-z without i, l, o, u");
        assert!("zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<RequestId>().is_err());
    }
}
