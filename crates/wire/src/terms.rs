//! The terms that an answer says it was served on.
//!
//! Owns leniency: whatever is no word there is no word. Must not know prices, nor which dialect writes which word: they do not
//! contradict each other.

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use trunkline_model::usage::Terms;

/// The word of an answer for its service tier, as what it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToldTerms(pub(crate) Terms);

impl<'de> Deserialize<'de> for ToldTerms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl<'de> Visitor<'de> for Word {
            type Value = ToldTerms;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a service tier")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<ToldTerms, E> {
                Ok(ToldTerms(Terms::of(word)))
            }

            fn visit_unit<E: Error>(self) -> Result<ToldTerms, E> {
                Ok(ToldTerms::default())
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<ToldTerms, E> {
                Ok(ToldTerms::default())
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<ToldTerms, E> {
                Ok(ToldTerms::default())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<ToldTerms, E> {
                Ok(ToldTerms::default())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<ToldTerms, E> {
                Ok(ToldTerms::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<ToldTerms, A::Error> {
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(ToldTerms::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<ToldTerms, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ToldTerms::default())
            }
        }
        deserializer.deserialize_any(Word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_says_nothing() {
        for json in ["null", "1", "-1", "1.5", "true", "[\"flex\"]", "{\"type\":\"flex\"}", "\"default\""] {
            assert_eq!(serde_json::from_str::<ToldTerms>(json).unwrap().0, Terms::Usual, "{json}");
        }
        assert_eq!(serde_json::from_str::<ToldTerms>("\"fle\\u0078\"").unwrap().0, Terms::Flex);
        assert_eq!(serde_json::from_str::<ToldTerms>("\"scale\"").unwrap().0, Terms::Unlisted);
    }
}
