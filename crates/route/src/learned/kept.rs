//! A prompt as the log keeps it, to train on later.
//!
//! Owns the two forms and their bytes: what the prompt looks like (the counted features and the vector, a few hundred bytes, from
//! which no text can be read back), or its text. Must not know where they are kept. The first byte names form and version: what
//! another version wrote is refused and not guessed at.

use super::text::{LEXICAL, Lexical, TextFeatures};
use crate::features::{PromptVector, embed};
use trunkline_embed::{Coverage, DIMENSIONS};

/// What is kept of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeepPrompts {
    /// Vector and counted features.
    Vectors,
    /// The text of the user's last turn.
    Text,
}

/// The longest text that is kept, in bytes: as much as is embedded.
pub const LONGEST_TEXT: usize = 32 << 10;

const FEATURES: u8 = 1;
const TEXT: u8 = 2;

/// One kept prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptPrompt {
    /// What it looks like.
    Features(Box<PromptFeatures>),
    /// Its text, cut at [`LONGEST_TEXT`].
    Text(String),
}

/// What a prompt looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptFeatures {
    /// Bytes of the whole text.
    pub length: u32,
    /// The counted features.
    pub lexical: Lexical,
    /// The text has lettered choices.
    pub has_choices: bool,
    /// Its vector.
    pub vector: PromptVector,
}

/// Bytes that are no kept prompt. Reads after "failed to".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a kept prompt: it was written in another form than this version knows, or is cut")]
pub struct UnknownForm;

impl PromptFeatures {
    /// Reads a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut features = TextFeatures::default();
        features.read(text);
        Self {
            length: u32::try_from(text.len()).unwrap_or(u32::MAX),
            lexical: features.lexical,
            has_choices: features.has_choices,
            vector: embed(text),
        }
    }
}

impl KeptPrompt {
    /// What is to be kept of a text.
    #[must_use]
    pub fn of(text: &str, keep: KeepPrompts) -> Self {
        match keep {
            KeepPrompts::Vectors => Self::Features(Box::new(PromptFeatures::of(text))),
            KeepPrompts::Text => Self::Text(text[..text.floor_char_boundary(LONGEST_TEXT)].to_owned()),
        }
    }

    /// The bytes. Of vectors each number is kept as a signed byte beside one scale for all, which costs a hundredth of their
    /// direction at the most.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => {
                let mut bytes = Vec::with_capacity(text.len() + 1);
                bytes.push(TEXT);
                bytes.extend_from_slice(text.as_bytes());
                bytes
            }
            Self::Features(features) => {
                let mut bytes = Vec::with_capacity(18 + 4 * LEXICAL.len() + DIMENSIONS);
                bytes.push(FEATURES);
                bytes.extend(features.length.to_le_bytes());
                bytes.push(u8::from(features.has_choices) | u8::from(features.vector.coverage.cut) << 1);
                let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
                bytes.extend(count(features.vector.coverage.pieces));
                bytes.extend(count(features.vector.coverage.unknown));
                bytes.extend(features.lexical.iter().flat_map(|value| value.to_le_bytes()));
                let largest = features.vector.vector.iter().fold(0.0f32, |most, value| most.max(value.abs()));
                let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                let rounded = features.vector.vector.iter().map(|value| (value * scale).round() as i8);
                bytes.extend(rounded.map(i8::cast_unsigned));
                bytes
            }
        }
    }

    /// Reads the bytes again.
    ///
    /// # Errors
    /// Bytes of another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UnknownForm> {
        match bytes.split_first() {
            Some((&TEXT, text)) => {
                std::str::from_utf8(text).map(|text| Self::Text(text.to_owned())).map_err(|_| UnknownForm)
            }
            Some((&FEATURES, rest)) => {
                features(rest).map(|features| Self::Features(Box::new(features))).ok_or(UnknownForm)
            }
            _ => Err(UnknownForm),
        }
    }
}

fn features(bytes: &[u8]) -> Option<PromptFeatures> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let (flags, bytes) = bytes.split_first()?;
    let (pieces, bytes) = bytes.split_first_chunk()?;
    let (unknown, bytes) = bytes.split_first_chunk()?;
    let (lexical, vector) = bytes.split_at_checked(4 * LEXICAL.len())?;
    let mut counted = [0.0; LEXICAL.len()];
    for (value, bytes) in counted.iter_mut().zip(lexical.as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    let signed: &[u8; DIMENSIONS] = vector.try_into().ok()?;
    let mut vector = signed.map(|byte| f32::from(byte.cast_signed()));
    let length_of_vector = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length_of_vector > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length_of_vector);
    }
    counted.iter().all(|value| value.is_finite()).then(|| PromptFeatures {
        length: u32::from_le_bytes(*length),
        lexical: counted,
        has_choices: flags & 1 == 1,
        vector: PromptVector {
            vector,
            coverage: Coverage {
                pieces: u32::from_le_bytes(*pieces) as usize,
                unknown: u32::from_le_bytes(*unknown) as usize,
                cut: flags & 2 == 2,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn features_of(text: &str) -> PromptFeatures {
        let bytes = KeptPrompt::of(text, KeepPrompts::Vectors).to_bytes();
        assert!(bytes.len() < 400, "{}", bytes.len());
        match KeptPrompt::from_bytes(&bytes).unwrap() {
            KeptPrompt::Features(features) => *features,
            KeptPrompt::Text(_) => panic!("features were kept"),
        }
    }

    #[test]
    fn what_is_kept_is_nearly_what_is_seen_and_no_text() {
        let text = "Which of these is prime?\nA. 91\nB. 97";
        let (seen, kept) = (PromptFeatures::of(text), features_of(text));
        assert_eq!((kept.length, kept.has_choices, kept.lexical), (seen.length, true, seen.lexical));
        assert_eq!(kept.vector.coverage, seen.vector.coverage);
        let cosine: f32 =
            kept.vector.vector.iter().zip(&seen.vector.vector).map(|(one, other)| one * other).sum();
        assert!(cosine > 0.999, "{cosine}");
        let bytes = KeptPrompt::of(text, KeepPrompts::Vectors).to_bytes();
        assert!(!bytes.windows(5).any(|window| window == b"prime"));
        let empty = features_of("");
        assert_eq!(empty.vector.vector, [0.0; DIMENSIONS]);
    }

    #[test]
    fn a_text_is_kept_as_it_is_up_to_its_bound() {
        let long = "ü".repeat(LONGEST_TEXT);
        let KeptPrompt::Text(kept) =
            KeptPrompt::from_bytes(&KeptPrompt::of(&long, KeepPrompts::Text).to_bytes()).unwrap()
        else {
            panic!("text was kept")
        };
        assert_eq!(kept.len(), LONGEST_TEXT);
        assert!(long.starts_with(&kept));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(kept) = KeptPrompt::from_bytes(&bytes) {
                let again = KeptPrompt::from_bytes(&kept.to_bytes()).unwrap();
                if let KeptPrompt::Text(_) = kept {
                    prop_assert_eq!(again, kept);
                }
            }
        }

        #[test]
        fn any_text_survives(text in "\\PC{0,200}") {
            let kept = KeptPrompt::of(&text, KeepPrompts::Text);
            prop_assert_eq!(KeptPrompt::from_bytes(&kept.to_bytes()).unwrap(), kept);
            features_of(&text);
        }
    }
}
