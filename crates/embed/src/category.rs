//! Which class a character belongs to for the tokenizer. Owns the questions and their data, knows nothing of words or
//! of the vocabulary. The classes are asked of the reference tokenizer rather than taken from a crate of Unicode data:
//! it follows an old Unicode version with peculiarities of its own, and every difference would change embeddings.

mod boundaries;

/// What the first pass over the raw text does with a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    /// Removed without ending the word.
    Dropped,
    /// Ends the word and is removed.
    Space,
    /// Goes on to decomposition, as a word of its own.
    Ideograph,
    /// Goes on to decomposition.
    Kept,
}

/// The class of a character of the raw text.
pub(crate) fn raw(character: char) -> Raw {
    if within(&boundaries::DROPPED, character) {
        Raw::Dropped
    } else if is_space(character) {
        Raw::Space
    } else if within(&boundaries::IDEOGRAPHS, character) {
        Raw::Ideograph
    } else {
        Raw::Kept
    }
}

/// Whether a character ends a word and is removed.
pub(crate) fn is_space(character: char) -> bool {
    character == ' ' || within(&boundaries::SPACES, character)
}

/// Whether a decomposed character is an accent, which is removed.
pub(crate) fn is_accent(character: char) -> bool {
    within(&boundaries::ACCENTS, character)
}

/// Whether a decomposed, lower-case character is punctuation, which is a word of its own.
pub(crate) fn is_punctuation(character: char) -> bool {
    within(&boundaries::PUNCTUATION, character)
}

/// What becomes of an ASCII character, and where a byte is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ascii {
    /// Removed without ending the word.
    Dropped,
    /// Ends the word and is removed.
    Space,
    /// A word of its own.
    Punctuation,
    /// Part of a word, in lower case.
    Letter(u8),
    /// The first byte of a longer character.
    Longer,
}

/// The class of every byte: the short cut for the characters that most prompts are made of.
pub(crate) static ASCII: [Ascii; 256] = {
    let mut table = [Ascii::Longer; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        table[at] = match byte {
            b'\t' | b'\n' | b'\r' | b' ' => Ascii::Space,
            _ if byte.is_ascii_control() => Ascii::Dropped,
            _ if byte.is_ascii_punctuation() => Ascii::Punctuation,
            _ => Ascii::Letter(byte.to_ascii_lowercase()),
        };
        at += 1;
    }
    table
};

/// Membership changes at each boundary, so that an odd number of boundaries lies at or below a member.
fn within(boundaries: &[u32], character: char) -> bool {
    let code = u32::from(character);
    boundaries.partition_point(|boundary| *boundary <= code) % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_cut_for_ascii_agrees_with_the_tables() {
        for character in (0..128u8).map(char::from) {
            let expected = match raw(character) {
                Raw::Dropped => Ascii::Dropped,
                Raw::Space => Ascii::Space,
                Raw::Ideograph => panic!("no ASCII character is an ideograph"),
                Raw::Kept if is_punctuation(character) => Ascii::Punctuation,
                Raw::Kept => Ascii::Letter(u8::try_from(character.to_ascii_lowercase()).unwrap()),
            };
            assert_eq!(ASCII[character as usize], expected, "{character:?}");
            assert!(!is_accent(character));
        }
        assert!(ASCII[128..].iter().all(|class| *class == Ascii::Longer));
    }

    #[test]
    fn boundaries_ascend_and_close() {
        use boundaries::{ACCENTS, DROPPED, IDEOGRAPHS, PUNCTUATION, SPACES};
        for table in [&DROPPED[..], &SPACES, &IDEOGRAPHS, &ACCENTS, &PUNCTUATION] {
            assert!(table.is_sorted_by(|before, after| before < after));
            assert_eq!(table.len() % 2, 0);
        }
    }
}
