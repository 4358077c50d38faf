//! Positions in a text that was not kept: bytes of UTF-8 as characters, and back.
//!
//! Owns a record of how many bytes the characters of a text take, as runs of equal width: one run for all of an English text, few for
//! most others. Must not keep the text. It is bounded: positions beyond what it holds are not known, which is said, not guessed.

/// The most runs kept of one text, of 8 bytes each.
const MOST_RUNS: usize = 16_384;

/// How wide the characters of a text are.
#[derive(Debug, Default)]
pub(crate) struct Widths {
    /// How many characters of which width follow each other.
    runs: Vec<(u32, u8)>,
    bytes: usize,
    is_full: bool,
}

impl Widths {
    /// Bytes so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// More text.
    pub(crate) fn push(&mut self, text: &str) {
        if text.is_ascii() {
            self.run(text.len(), 1);
            return;
        }
        for character in text.chars() {
            self.run(1, character.len_utf8() as u8);
        }
    }

    fn run(&mut self, count: usize, width: u8) {
        if count == 0 || self.is_full {
            return;
        }
        let room = self.runs.len() < MOST_RUNS;
        match (self.runs.last_mut(), u32::try_from(count)) {
            (Some((known, same)), Ok(more)) if *same == width && known.checked_add(more).is_some() => {
                *known += more;
            }
            (_, Ok(count)) if room => self.runs.push((count, width)),
            _ => {
                self.is_full = true;
                return;
            }
        }
        self.bytes += count * usize::from(width);
    }

    /// The characters before a byte; one inside a character counts as its beginning.
    pub(crate) fn characters_before(&self, byte: usize) -> Option<usize> {
        let (mut left, mut characters) = (byte, 0);
        for (count, width) in &self.runs {
            let (count, width) = (*count as usize, usize::from(*width));
            if left < count * width {
                return Some(characters + left / width);
            }
            left -= count * width;
            characters += count;
        }
        (left == 0).then_some(characters)
    }

    /// The bytes before a character.
    pub(crate) fn bytes_before(&self, character: usize) -> Option<usize> {
        let (mut left, mut bytes) = (character, 0);
        for (count, width) in &self.runs {
            let (count, width) = (*count as usize, usize::from(*width));
            if left < count {
                return Some(bytes + left * width);
            }
            left -= count;
            bytes += count * width;
        }
        (left == 0).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_are_those_of_the_text(pieces in proptest::collection::vec("[a-z é漢😀]{0,9}", 0..9)) {
            let mut widths = Widths::default();
            pieces.iter().for_each(|piece| widths.push(piece));
            let text = pieces.concat();
            let places = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
            for (character, byte) in places.enumerate() {
                prop_assert_eq!(widths.characters_before(byte), Some(character));
                prop_assert_eq!(widths.bytes_before(character), Some(byte));
            }
            prop_assert_eq!(widths.bytes(), text.len());
            prop_assert_eq!(widths.characters_before(text.len() + 1), None);
            prop_assert_eq!(widths.bytes_before(text.chars().count() + 1), None);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_beyond_is_unknown() {
        let mut widths = Widths::default();
        (0..MOST_RUNS).for_each(|_| widths.push("aé"));
        assert_eq!(widths.runs.len(), MOST_RUNS);
        assert_eq!(widths.characters_before(3), Some(2));
        assert_eq!(widths.characters_before(MOST_RUNS * 3), None);
    }
}
