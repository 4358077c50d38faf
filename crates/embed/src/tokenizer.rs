//! Text to WordPiece identifiers, as the uncased BERT tokenizer does it. Owns the passes over the text, knows nothing
//! of vectors. Each pass is a stage of one walk: the reference makes a new string per pass, which costs more than the
//! whole embedding may. ASCII is classed byte by byte; only runs of other characters are decomposed, which is exact
//! because no ASCII character decomposes or moves in canonical ordering.

use std::borrow::Cow;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::category::{self, ASCII, Ascii, Raw};
use crate::vocabulary::{Place, Vocabulary, VocabularyError};

/// Words of more characters are unknown, as in the reference.
const LONGEST_WORD: usize = 100;

/// Literals that are recognised in the raw text before anything else, as in the reference.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

static BUNDLED: LazyLock<Tokenizer> = LazyLock::new(|| {
    Tokenizer::from_vocabulary(include_str!("../data/vocab.txt"))
        .expect("a test reads the bundled vocabulary")
});

/// The uncased BERT WordPiece tokenizer: control characters dropped, ideographs set apart, accents stripped, lower
/// case, split at white space and punctuation, then the longest pieces from the left.
///
/// Equal to the reference (`tokenizers` 0.23 with the `tokenizer.json` of all-MiniLM-L6-v2, without its special
/// tokens) on every Unicode character and on the corpus in `tests/golden`.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    special: [Option<u32>; SPECIAL.len()],
}

impl Tokenizer {
    /// The tokenizer of the bundled table. The map over the vocabulary (0.4 MB) is built on first use.
    pub fn bundled() -> &'static Self {
        &BUNDLED
    }

    /// A tokenizer over the text of another `vocab.txt`: one piece per line, `##` before pieces that continue a word.
    ///
    /// # Errors
    /// When the text is not such a vocabulary.
    pub fn from_vocabulary(text: impl Into<Cow<'static, str>>) -> Result<Self, VocabularyError> {
        let vocabulary = Vocabulary::parse(text.into())?;
        let special = SPECIAL.map(|literal| vocabulary.id(literal));
        Ok(Self { vocabulary, special })
    }

    /// The identifiers of the pieces of `text`, as the reference's `encode(text, add_special_tokens=False)`.
    ///
    /// Unbounded and allocating: for tests and tools. An [`Embedder`](crate::Embedder) bounds the text and keeps its
    /// buffers.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut scratch = Scratch::default();
        self.encode_into(text, usize::MAX, &mut scratch);
        scratch.ids
    }

    /// The piece with an identifier; `##` marks one that continues a word.
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.vocabulary.piece(id)
    }

    /// How many pieces the vocabulary has.
    pub fn pieces(&self) -> usize {
        self.vocabulary.len()
    }

    /// The identifier that words get which no pieces spell.
    pub fn unknown(&self) -> u32 {
        self.vocabulary.unknown()
    }

    /// Appends the identifiers of `text` to `scratch.ids` until there are `limit`; they are the first `limit` of the
    /// unbounded answer.
    pub(crate) fn encode_into(&self, text: &str, limit: usize, scratch: &mut Scratch) {
        Walk { tokenizer: self, scratch, limit }.text(text);
    }
}

/// Buffers that live from text to text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    pub(crate) ids: Vec<u32>,
    /// The word being read, normalised: at most one character more than a word may have.
    word: Vec<u8>,
    /// Characters of the word, also those no longer stored.
    characters: usize,
}

/// One walk over a text.
struct Walk<'a> {
    tokenizer: &'a Tokenizer,
    scratch: &'a mut Scratch,
    limit: usize,
}

impl Walk<'_> {
    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.is_full() {
                break;
            }
            match ASCII[usize::from(*byte)] {
                Ascii::Letter(letter) => self.byte(letter),
                Ascii::Space => self.end_word(),
                Ascii::Dropped => {}
                Ascii::Punctuation => {
                    if *byte == b'['
                        && let Some((id, length)) = self.special(&bytes[at..])
                    {
                        self.end_word();
                        self.scratch.ids.push(id);
                        at += length;
                        continue;
                    }
                    self.end_word();
                    self.byte(*byte);
                    self.end_word();
                }
                Ascii::Longer => {
                    let run = longer_run(&text[at..]);
                    self.run(run);
                    at += run.len();
                    continue;
                }
            }
            at += 1;
        }
        self.end_word();
        self.scratch.ids.truncate(self.limit);
    }

    /// The special literal that the rest of the text begins with: its identifier and length.
    fn special(&self, rest: &[u8]) -> Option<(u32, usize)> {
        let known = SPECIAL.iter().zip(self.tokenizer.special);
        known
            .filter(|(literal, _)| rest.starts_with(literal.as_bytes()))
            .find_map(|(literal, id)| Some((id?, literal.len())))
    }

    /// A run of characters beyond ASCII: cleaned, ideographs spaced out, decomposed, stripped, lower-cased, split.
    fn run(&mut self, run: &str) {
        let cleaned = run.chars().flat_map(|character| match category::raw(character) {
            Raw::Dropped => [None, None, None],
            Raw::Space => [Some(' '), None, None],
            Raw::Ideograph => [Some(' '), Some(character), Some(' ')],
            Raw::Kept => [Some(character), None, None],
        });
        let stripped = cleaned.flatten().nfd().filter(|character| !category::is_accent(*character));
        for character in stripped.flat_map(char::to_lowercase) {
            if self.is_full() {
                break;
            }
            if category::is_space(character) {
                self.end_word();
            } else if category::is_punctuation(character) {
                self.end_word();
                self.character(character);
                self.end_word();
            } else {
                self.character(character);
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.scratch.characters <= LONGEST_WORD {
            self.scratch.word.push(byte);
        }
        self.scratch.characters += 1;
    }

    fn character(&mut self, character: char) {
        if self.scratch.characters <= LONGEST_WORD {
            self.scratch.word.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.scratch.characters += 1;
    }

    /// Spells the word with the longest pieces from the left; one that cannot be spelt is unknown as a whole.
    fn end_word(&mut self) {
        let Scratch { ids, word, characters } = &mut *self.scratch;
        if *characters == 0 {
            return;
        }
        let vocabulary = &self.tokenizer.vocabulary;
        let first = ids.len();
        let mut rest = word.as_slice();
        let mut place = Place::Start;
        while !rest.is_empty() {
            let found = if *characters > LONGEST_WORD { None } else { vocabulary.longest(place, rest) };
            let Some((id, length)) = found else {
                ids.truncate(first);
                ids.push(vocabulary.unknown());
                break;
            };
            ids.push(id);
            rest = &rest[length..];
            place = Place::Inside;
        }
        word.clear();
        *characters = 0;
    }

    fn is_full(&self) -> bool {
        self.scratch.ids.len() >= self.limit
    }
}

/// The run that a text beginning beyond ASCII opens with. Dropped ASCII characters do not end it: what stands around
/// them is decomposed and ordered together.
fn longer_run(text: &str) -> &str {
    let ends = |byte: &u8| !matches!(ASCII[usize::from(*byte)], Ascii::Longer | Ascii::Dropped);
    let end = text.as_bytes().iter().position(ends).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&'static str> {
        let tokenizer = Tokenizer::bundled();
        tokenizer.encode(text).into_iter().map(|id| tokenizer.piece(id).unwrap()).collect()
    }

    #[test]
    fn words_are_split_cleaned_and_spelt() {
        assert_eq!(pieces("Unaffable, HELLO!"), ["una", "##ffa", "##ble", ",", "hello", "!"]);
        assert_eq!(pieces("caf\u{e9} cafe\u{301} ca\u{0}fe\u{200b}"), ["cafe", "cafe", "cafe"]);
        assert_eq!(pieces("it\u{2019}s"), ["it", "\u{2019}", "s"]);
        assert_eq!(pieces("a\u{4e2d}b"), ["a", "\u{4e2d}", "b"]);
        assert_eq!(pieces("[MASK][mask]"), ["[MASK]", "[", "mask", "]"]);
        assert!(pieces(" \t\r\n\u{a0}\u{3000}").is_empty());
    }

    #[test]
    fn words_of_more_than_a_hundred_characters_are_unknown() {
        assert_eq!(pieces(&"a".repeat(101)), ["[UNK]"]);
        assert!(!pieces(&"a".repeat(100)).contains(&"[UNK]"));
        assert_eq!(pieces(&"\u{e9}".repeat(101)), ["[UNK]"]);
        assert!(!pieces(&"\u{e9}".repeat(100)).contains(&"[UNK]"));
    }

    #[test]
    fn a_limit_cuts_the_answer_and_nothing_else() {
        let text = "unaffable \u{e9}\u{e9}\u{4e2d}\u{4e2d} [SEP] unaffable.";
        let all = Tokenizer::bundled().encode(text);
        for limit in 0..=all.len() + 1 {
            let mut scratch = Scratch::default();
            Tokenizer::bundled().encode_into(text, limit, &mut scratch);
            assert_eq!(scratch.ids, all[..limit.min(all.len())]);
            assert_eq!((scratch.word.len(), scratch.characters), (0, 0));
        }
    }
}
