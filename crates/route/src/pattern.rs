//! Names with `*` in them, for allow-lists and deny-lists.
//!
//! Owns the pattern and its matching. Must not know what is named. `*` stands for any run of characters, slashes included, so
//! that `openai/*` and `*claude*` say what people expect; there is no other special character to escape.

use std::fmt;
use trunkline_model::id::Name;

/// A name in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Name);

/// The longest pattern, in bytes.
pub const LONGEST_PATTERN: usize = 256;

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing at all.
    #[error("read a name pattern: it is empty; `*` stands for every name")]
    Empty,
    /// Longer than any name.
    #[error("read a name pattern: it has {bytes} bytes, more than {LONGEST_PATTERN}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] when it is empty or longer than [`LONGEST_PATTERN`] bytes.
    pub fn new(text: impl Into<Name>) -> Result<Self, PatternError> {
        let text = text.into();
        match text.len() {
            0 => Err(PatternError::Empty),
            bytes if bytes > LONGEST_PATTERN => Err(PatternError::TooLong { bytes }),
            _ => Ok(Self(text)),
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a name fits it. Linear in the name for each star, without allocation.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut name_at) = (0, 0);
        // Where to resume when a literal fails: just behind the last star, one byte further in the name.
        let mut resume: Option<(usize, usize)> = None;
        while name_at < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    resume = Some((at + 1, name_at));
                    at += 1;
                }
                Some(byte) if *byte == name[name_at] => {
                    at += 1;
                    name_at += 1;
                }
                _ => match resume {
                    Some((after_star, from)) => {
                        at = after_star;
                        name_at = from + 1;
                        resume = Some((after_star, name_at));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).expect("a pattern").matches(name)
    }

    #[test]
    fn stars_stand_for_any_run() {
        assert!(matches("openai/*", "openai/gpt-5"));
        assert!(matches("*claude*", "bedrock/anthropic.claude-x"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("openai/*", "azure/gpt-5"));
        assert!(!matches("gpt-5", "gpt-5-mini"));
        assert!(!matches("a*b", "a-b-c"));
    }

    #[test]
    fn mistakes_are_named() {
        insta::assert_snapshot!(Pattern::new("").unwrap_err(), @"read a name pattern: it is empty; `*` stands for every name");
        insta::assert_snapshot!(Pattern::new("x".repeat(300)).unwrap_err(), @"read a name pattern: it has 300 bytes, more than 256");
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*]{1,8}", name in "[ab]{0,10}") {
            fn defined(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|skip| defined(rest, &name[skip..])),
                    Some((byte, rest)) => name.first() == Some(byte) && defined(rest, &name[1..]),
                }
            }
            prop_assert_eq!(matches(&pattern, &name), defined(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
