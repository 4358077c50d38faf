//! Positions in a text that was not kept: bytes of UTF-8 as characters, and back.
//!
//! Owns a record of how many bytes the characters of a text take, as runs of equal width: one run for all of an English text, few for
//! most others. Must not keep the text. It is bounded: positions beyond what it holds are not known, which is said, not guessed.

/// The most runs kept of one text, of two bytes each.
const MOST_RUNS: usize = 16_384;
/// The most characters of one run.
const LONGEST: usize = (1 << 14) - 1;

/// Characters of one width, up to [`LONGEST`]: how many, and above them their width less one.
#[derive(Clone, Copy, Debug)]
struct Run(u16);

impl Run {
    const fn new(count: usize, width: u8) -> Self {
        Self((width as u16 - 1) << 14 | count as u16)
    }

    const fn count(self) -> usize {
        self.0 as usize & LONGEST
    }

    const fn width(self) -> usize {
        (self.0 >> 14) as usize + 1
    }
}

/// How wide the characters of a text are.
#[derive(Debug, Default)]
pub(crate) struct Widths {
    runs: Vec<Run>,
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

    fn run(&mut self, mut count: usize, width: u8) {
        while count > 0 && !self.is_full {
            let room = self.runs.len() < MOST_RUNS;
            let last = self.runs.last_mut().filter(|last| last.width() == usize::from(width));
            let taken = match last {
                Some(last) if last.count() < LONGEST => {
                    let taken = count.min(LONGEST - last.count());
                    *last = Run::new(last.count() + taken, width);
                    taken
                }
                _ if room => {
                    let taken = count.min(LONGEST);
                    self.runs.push(Run::new(taken, width));
                    taken
                }
                _ => {
                    self.is_full = true;
                    return;
                }
            };
            count -= taken;
            self.bytes += taken * usize::from(width);
        }
    }

    /// The characters before a byte; one inside a character counts as its beginning.
    pub(crate) fn characters_before(&self, byte: usize) -> Option<usize> {
        let (mut left, mut characters) = (byte, 0);
        for run in &self.runs {
            let (count, width) = (run.count(), run.width());
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
        for run in &self.runs {
            let (count, width) = (run.count(), run.width());
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
    fn long_texts_of_one_width_take_few_runs() {
        let mut widths = Widths::default();
        widths.push(&"a".repeat(3 * LONGEST));
        (0..LONGEST).for_each(|_| widths.push("é"));
        assert_eq!(widths.runs.len(), 4);
        assert_eq!(widths.characters_before(3 * LONGEST + 4), Some(3 * LONGEST + 2));
        assert_eq!(widths.bytes_before(4 * LONGEST), Some(5 * LONGEST));
        assert_eq!(widths.bytes(), 5 * LONGEST);
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
