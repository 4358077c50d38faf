//! Fingerprints in JSON.
//!
//! Owns the text form of a 64-bit fingerprint: 16 hexadecimal digits. Must not know what it is the fingerprint of. Numbers are
//! read as well, because records were written with them once.

use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use std::fmt;

/// Writes the digits.
///
/// # Errors
/// The serializer's.
pub(crate) fn serialize<S: Serializer>(fingerprint: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (place, digit) in text.iter_mut().enumerate() {
        *digit = DIGITS[(fingerprint >> (60 - place * 4) & 15) as usize];
    }
    serializer.serialize_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
}

/// Reads the digits, or the number of older records.
///
/// # Errors
/// Anything else.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Fingerprint)
}

struct Fingerprint;

impl Visitor<'_> for Fingerprint {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a fingerprint of up to 16 hexadecimal digits")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        u64::from_str_radix(text, 16).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super::super::fingerprint")]
        version: u64,
    }

    proptest! {
        #[test]
        fn digits_and_numbers_are_both_read(version in any::<u64>()) {
            let text = serde_json::to_string(&Holder { version }).expect("it has a JSON form");
            prop_assert_eq!(&text, &format!("{{\"version\":\"{version:016x}\"}}"));
            prop_assert_eq!(serde_json::from_str::<Holder>(&text).expect("digits"), Holder { version });
            let number = format!("{{\"version\":{version}}}");
            prop_assert_eq!(serde_json::from_str::<Holder>(&number).expect("a number"), Holder { version });
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let error = serde_json::from_str::<Holder>("{\"version\":\"xyz\"}").expect_err("no digits");
        insta::assert_snapshot!(error, @r#"invalid value: string "xyz", expected a fingerprint of up to 16 hexadecimal digits at line 1 column 16"#);
    }
}
