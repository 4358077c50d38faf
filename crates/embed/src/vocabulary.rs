//! The pieces words are made of and their identifiers. Owns the text of the vocabulary and the map over it, knows
//! nothing of characters or of sentences. The map is one flat table of numbers that points into the text: no piece is
//! copied, a look-up allocates nothing, and the hashes of all prefixes of a word come from one pass over it.

use std::borrow::Cow;

/// The piece that stands for a word that cannot be spelt.
const UNKNOWN: &str = "[UNK]";

/// What marks a piece that continues a word.
const CONTINUATION: &str = "##";

/// The longest piece in bytes; the bundled vocabulary's longest has 18.
const LONGEST_PIECE: usize = 64;

/// The most pieces: identifiers leave room in a slot for a fingerprint.
const MOST_PIECES: usize = u16::MAX as usize;

/// Whether a piece opens a word or continues one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    Inside,
}

/// Why a vocabulary was refused; reads after "failed to read the vocabulary: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// No line says `[UNK]`.
    #[error(
        "no line is `[UNK]`, the piece for words that cannot be spelt; is this the vocab.txt of a BERT model?"
    )]
    NoUnknown,
    /// Two lines hold the same piece.
    #[error("line {line} repeats the piece `{piece}`")]
    Repeated {
        /// The later line, counted from one.
        line: usize,
        /// The piece.
        piece: String,
    },
    /// A line is longer than any piece may be.
    #[error(
        "line {line} has {length} bytes, a piece has at most {LONGEST_PIECE}; is this a vocab.txt with one piece per line?"
    )]
    TooLong {
        /// The line, counted from one.
        line: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// More lines than identifiers.
    #[error("{lines} lines, at most {MOST_PIECES} are supported")]
    TooMany {
        /// How many lines there are.
        lines: usize,
    },
}

/// The pieces of a WordPiece vocabulary, one per line, the line's number (from zero) being the identifier.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    text: Cow<'static, str>,
    /// Where each line begins, and one more: where a further line would.
    starts: Vec<u32>,
    /// Open addressing: sixteen bits of the hash above the identifier plus one; zero is free.
    slots: Vec<u32>,
    /// How far a hash is shifted to become a slot.
    shift: u32,
    unknown: u32,
}

impl Vocabulary {
    pub(crate) fn parse(text: Cow<'static, str>) -> Result<Self, VocabularyError> {
        let starts = line_starts(&text)?;
        let lines = starts.len() - 1;
        let capacity = (lines * 2).next_power_of_two().max(2);
        let mut vocabulary = Self {
            text,
            starts,
            slots: vec![0; capacity],
            shift: 64 - capacity.trailing_zeros(),
            unknown: 0,
        };
        for id in 0..lines {
            vocabulary.enter(id)?;
        }
        vocabulary.unknown = vocabulary.id(UNKNOWN).ok_or(VocabularyError::NoUnknown)?;
        Ok(vocabulary)
    }

    /// How many pieces there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The identifier of the piece for words that cannot be spelt.
    pub(crate) fn unknown(&self) -> u32 {
        self.unknown
    }

    /// The piece with an identifier, continuation mark included.
    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        let at = usize::try_from(id).ok()?;
        let (start, end) = (*self.starts.get(at)? as usize, *self.starts.get(at + 1)? as usize);
        self.text.get(start..end).map(|line| line.trim_end_matches(['\n', '\r']))
    }

    /// The identifier of a piece that opens a word.
    pub(crate) fn id(&self, piece: &str) -> Option<u32> {
        self.find(hash(Place::Start, piece.as_bytes()), Place::Start, piece.as_bytes())
    }

    /// The longest piece that `rest`, the remainder of a word, begins with: its identifier and length in bytes.
    pub(crate) fn longest(&self, place: Place, rest: &[u8]) -> Option<(u32, usize)> {
        let rest = &rest[..rest.len().min(LONGEST_PIECE)];
        let mut hashes = [0; LONGEST_PIECE];
        let mut state = seed(place);
        for (hash, byte) in hashes.iter_mut().zip(rest) {
            state = mix(state, *byte);
            *hash = state;
        }
        // A prefix that ends inside a character cannot equal a piece, so character boundaries need no care here.
        (1..=rest.len()).rev().find_map(|length| {
            let id = self.find(hashes[length - 1], place, &rest[..length])?;
            Some((id, length))
        })
    }

    fn enter(&mut self, id: usize) -> Result<(), VocabularyError> {
        let number = u32::try_from(id).expect("the number of lines was checked");
        let piece = self.piece(number).expect("the line exists");
        let (place, spelling) = split(piece);
        let hash = hash(place, spelling.as_bytes());
        if self.find(hash, place, spelling.as_bytes()).is_some() {
            return Err(VocabularyError::Repeated { line: id + 1, piece: piece.to_owned() });
        }
        let mask = self.slots.len() - 1;
        let mut slot = self.slot(hash);
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = fingerprint(hash) | (number + 1);
        Ok(())
    }

    fn find(&self, hash: u64, place: Place, spelling: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let fingerprint = fingerprint(hash);
        let mut slot = self.slot(hash);
        loop {
            // At most half of the slots are taken, so that a free one ends every search.
            let entry = self.slots[slot];
            if entry == 0 {
                return None;
            }
            if entry & 0xffff_0000 == fingerprint {
                let id = (entry & 0xffff) - 1;
                if self
                    .piece(id)
                    .map(split)
                    .is_some_and(|(at, piece)| at == place && piece.as_bytes() == spelling)
                {
                    return Some(id);
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    fn slot(&self, hash: u64) -> usize {
        usize::try_from(hash >> self.shift).expect("the shift leaves fewer bits than the table has slots")
    }
}

/// Where lines begin. A last line without an end counts; an empty last line does not.
fn line_starts(text: &str) -> Result<Vec<u32>, VocabularyError> {
    let lines = text.lines().count();
    if lines >= MOST_PIECES {
        return Err(VocabularyError::TooMany { lines });
    }
    let mut starts = Vec::with_capacity(lines + 1);
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let length = line.trim_end_matches(['\n', '\r']).len();
        if length > LONGEST_PIECE {
            return Err(VocabularyError::TooLong { line: index + 1, length });
        }
        starts.push(at);
        at += u32::try_from(line.len()).expect("fewer than 65,536 lines of a few bytes each");
    }
    starts.push(at);
    Ok(starts)
}

/// Tells the continuation mark from the spelling. A piece that is nothing but the mark opens a word.
fn split(piece: &str) -> (Place, &str) {
    match piece.strip_prefix(CONTINUATION) {
        Some(spelling) if !spelling.is_empty() => (Place::Inside, spelling),
        _ => (Place::Start, piece),
    }
}

fn seed(place: Place) -> u64 {
    match place {
        Place::Start => 0,
        Place::Inside => 0x9e37_79b9_7f4a_7c15,
    }
}

/// One step of a rotate, exclusive-or and multiply hash, whose high bits are the good ones. The vocabulary is fixed,
/// so that hostile text cannot fill the table.
fn mix(state: u64, byte: u8) -> u64 {
    (state.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0xf135_7aea_2e62_a9c5)
}

fn hash(place: Place, spelling: &[u8]) -> u64 {
    spelling.iter().fold(seed(place), |state, byte| mix(state, *byte))
}

/// Sixteen bits of the hash that do not decide the slot, in the upper half of an entry.
fn fingerprint(hash: u64) -> u32 {
    u32::try_from((hash >> 24) & 0xffff).expect("sixteen bits") << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Result<Vocabulary, VocabularyError> {
        Vocabulary::parse(Cow::Borrowed(text))
    }

    #[test]
    fn the_longest_piece_wins_and_places_are_told_apart() {
        let vocabulary = parsed("[UNK]\nun\n##aff\n##able\nunaff\nable\n##\n#\n").unwrap();
        assert_eq!(vocabulary.len(), 8);
        assert_eq!(vocabulary.longest(Place::Start, b"unaffable"), Some((4, 5)));
        assert_eq!(vocabulary.longest(Place::Inside, b"able"), Some((3, 4)));
        assert_eq!(vocabulary.longest(Place::Start, b"able"), Some((5, 4)));
        assert_eq!(vocabulary.longest(Place::Inside, b"un"), None);
        assert_eq!(vocabulary.longest(Place::Start, b"##"), Some((6, 2)));
        assert_eq!(vocabulary.longest(Place::Start, b""), None);
        assert_eq!(vocabulary.piece(2), Some("##aff"));
        assert_eq!(vocabulary.piece(8), None);
    }

    #[test]
    fn every_piece_of_the_bundled_vocabulary_is_found() {
        let text = include_str!("../data/vocab.txt");
        let vocabulary = parsed(text).unwrap();
        assert_eq!(vocabulary.len(), 30_522);
        for (id, line) in (0..).zip(text.lines()) {
            let (place, spelling) = split(line);
            assert_eq!(vocabulary.longest(place, spelling.as_bytes()), Some((id, spelling.len())), "{line}");
        }
    }

    #[test]
    fn line_ends_of_another_system_change_nothing() {
        let vocabulary = parsed("[UNK]\r\none\r\n##two").unwrap();
        assert_eq!(vocabulary.id("one"), Some(1));
        assert_eq!(vocabulary.longest(Place::Inside, b"two"), Some((2, 3)));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let long = Cow::Owned(format!("[UNK]\n{}\n", "x".repeat(65)));
        let many = Cow::Owned((0..70_000).map(|line| format!("{line}\n")).collect());
        let shown: Vec<String> = [
            parsed("").unwrap_err(),
            parsed("one\ntwo\n").unwrap_err(),
            parsed("[UNK]\none\none\n").unwrap_err(),
            Vocabulary::parse(long).unwrap_err(),
            Vocabulary::parse(many).unwrap_err(),
        ]
        .iter()
        .map(|error| format!("failed to read the vocabulary: {error}"))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
