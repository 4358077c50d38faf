//! What a text looks like: counts and hashed pieces of its letters and words.
//!
//! Owns the features beside the embedding and their order, because a trained file holds one weight per feature: a change here
//! is a new [`super::FORMAT`]. Must not know what the weights are. Bytes are read, not characters, in one pass over a bounded
//! prefix: prompts that are hard differ in numbers, symbols, choices and phrases, and none of that needs Unicode.

/// How much of a text is looked at, in bytes; its length is known all the same.
pub const LONGEST: usize = 8 << 10;

/// Buckets per kind of hashed piece.
pub const BUCKETS: usize = 8_192;

/// Both kinds together: words and pairs of words first, then runs of three and four letters.
pub const HASHED: usize = 2 * BUCKETS;

/// The features that are counted, in order.
pub const LEXICAL: [&str; 18] = [
    "length",
    "words",
    "word_length",
    "numbers",
    "digit_share",
    "symbols",
    "capital_share",
    "lines",
    "question_marks",
    "stem_length",
    "choice_length",
    "choice_spread",
    "longest_choice",
    "numeric_choices",
    "commas",
    "sentences",
    "distinct_words",
    "long_words",
];

/// The counted features of one text.
pub type Lexical = [f32; LEXICAL.len()];

/// What was found in one text. Kept between texts, so that nothing is allocated.
#[derive(Clone, Debug)]
pub struct TextFeatures {
    /// The counted features.
    pub lexical: Lexical,
    /// The text has lettered choices.
    pub has_choices: bool,
    /// Hashed pieces: bucket below [`HASHED`] and value; each kind is of unit length.
    pub hashed: Vec<(u16, f32)>,
    counts: Box<[i16]>,
    touched: Vec<u16>,
    lower: Vec<u8>,
    words: Vec<u32>,
}

impl Default for TextFeatures {
    fn default() -> Self {
        Self {
            lexical: [0.0; LEXICAL.len()],
            has_choices: false,
            hashed: Vec::new(),
            counts: vec![0; BUCKETS].into_boxed_slice(),
            touched: Vec::new(),
            lower: Vec::new(),
            words: Vec::new(),
        }
    }
}

impl TextFeatures {
    /// Reads a text.
    pub fn read(&mut self, text: &str) {
        let seen = &text[..text.floor_char_boundary(LONGEST)];
        self.hashed.clear();
        self.lower.clear();
        self.lower.extend(seen.bytes().map(|byte| byte.to_ascii_lowercase()));
        self.hash_words();
        self.hash_letters();
        self.count(seen, text.len());
    }

    /// Words, single digits and signs, alone and in pairs.
    fn hash_words(&mut self) {
        self.words.clear();
        let lower = &self.lower;
        let mut at = 0;
        while let Some(&byte) = lower.get(at) {
            let start = at;
            at += 1;
            if is_letter(byte) {
                while lower.get(at).is_some_and(|byte| is_letter(*byte)) {
                    at += 1;
                }
            } else if byte.is_ascii_whitespace() {
                continue;
            }
            self.words.push(hash(0x811c_9dc5, &lower[start..at]));
        }
        let (counts, touched) = (&mut self.counts, &mut self.touched);
        let mut previous = None;
        for &word in &self.words {
            tally(counts, touched, mixed(word));
            if let Some(previous) = previous {
                tally(
                    counts,
                    touched,
                    mixed(word ^ u32::rotate_left(previous, 13).wrapping_mul(0x9e37_79b1)),
                );
            }
            previous = Some(word);
        }
        self.flush(0);
    }

    /// Runs of three and four bytes.
    fn hash_letters(&mut self) {
        let (counts, touched) = (&mut self.counts, &mut self.touched);
        for run in self.lower.windows(3) {
            let packed = u32::from_le_bytes([run[0], run[1], run[2], 0]);
            tally(counts, touched, mixed(packed));
        }
        for run in self.lower.windows(4) {
            let packed = u32::from_le_bytes([run[0], run[1], run[2], run[3]]);
            tally(counts, touched, mixed(packed ^ 0x5bd1_e995));
        }
        self.flush(BUCKETS);
    }

    /// Moves the counts of one kind into the list: logarithms, so that repetition adds little, scaled to unit length.
    fn flush(&mut self, offset: usize) {
        let start = self.hashed.len();
        let mut squares = 0.0;
        for &bucket in &self.touched {
            let count = std::mem::take(&mut self.counts[usize::from(bucket)]);
            if count != 0 {
                let value = logarithm(count.unsigned_abs()).copysign(f32::from(count));
                squares += value * value;
                self.hashed.push((bucket + offset as u16, value));
            }
        }
        self.touched.clear();
        if squares > 0.0 {
            let factor = squares.sqrt().recip();
            for (_, value) in &mut self.hashed[start..] {
                *value *= factor;
            }
        }
    }

    fn count(&mut self, seen: &str, length: usize) {
        let bytes = seen.as_bytes();
        let size = bytes.len().max(1) as f32;
        let mut tally = Tally::default();
        for pair in bytes.windows(2) {
            tally.byte(pair[1], pair[0]);
        }
        if let Some(first) = bytes.first() {
            tally.byte(*first, b' ');
        }
        let words = Words::of(seen);
        let choices = Choices::of(seen);
        let stem = choices.stem.unwrap_or(length);
        let mean = choices.mean();
        self.has_choices = choices.count > 0;
        self.lexical = [
            log(length as f32),
            log(words.count),
            words.letters / words.count.max(1.0) / 10.0,
            log(tally.numbers),
            tally.digits / size,
            log(tally.symbols),
            tally.capitals / size,
            (tally.lines + 1.0).sqrt() / 4.0,
            log(tally.question_marks),
            log(stem as f32),
            log(mean),
            choices.spread(mean) / (mean + 5.0),
            log(choices.longest),
            f32::from(u8::from(choices.count > 0 && choices.numeric == choices.count)),
            log(tally.commas),
            log(bytes[..stem.min(bytes.len())].iter().filter(|byte| **byte == b'.').count() as f32),
            words.distinct / words.count.max(1.0),
            words.long / words.count.max(1.0),
        ];
    }
}

/// Counts over bytes.
#[derive(Default)]
struct Tally {
    digits: f32,
    numbers: f32,
    symbols: f32,
    capitals: f32,
    lines: f32,
    question_marks: f32,
    commas: f32,
}

impl Tally {
    fn byte(&mut self, byte: u8, before: u8) {
        match byte {
            b'0'..=b'9' => {
                self.digits += 1.0;
                if !before.is_ascii_digit() && before != b'.' {
                    self.numbers += 1.0;
                }
            }
            b'A'..=b'Z' => self.capitals += 1.0,
            b'\n' => self.lines += 1.0,
            b'?' => self.question_marks += 1.0,
            b',' => self.commas += 1.0,
            b'+' | b'-' | b'*' | b'/' | b'=' | b'^' | b'<' | b'>' | b'_' | b'\\' | b'{' | b'}' | b'('
            | b')' | b'[' | b']' | b'$' | b'%' => self.symbols += 1.0,
            _ => {}
        }
    }
}

/// Counts over words, which stand between blanks.
struct Words {
    count: f32,
    letters: f32,
    long: f32,
    distinct: f32,
}

impl Words {
    fn of(text: &str) -> Self {
        // Distinct words are counted by hash, in as many bits as texts this long need.
        let mut seen = [0u64; 128];
        let mut words = Self { count: 0.0, letters: 0.0, long: 0.0, distinct: 0.0 };
        for word in text.split_ascii_whitespace() {
            words.count += 1.0;
            words.letters += word.len() as f32;
            words.long += f32::from(u8::from(word.len() > 7));
            let bit = mixed(hash(0x811c_9dc5, word.as_bytes())) as usize & 8_191;
            if seen[bit >> 6] & 1 << (bit & 63) == 0 {
                seen[bit >> 6] |= 1 << (bit & 63);
                words.distinct += 1.0;
            }
        }
        words
    }
}

/// Lines such as `A. text` or `b) text`.
#[derive(Default)]
struct Choices {
    /// Bytes before the first.
    stem: Option<usize>,
    count: u32,
    numeric: u32,
    total: f32,
    squares: f32,
    longest: f32,
}

impl Choices {
    fn of(text: &str) -> Self {
        let mut choices = Self::default();
        let mut offset = 0;
        for line in text.split('\n') {
            if let [b'A'..=b'J' | b'a'..=b'j', b'.' | b')', b' ', rest @ ..] = line.as_bytes() {
                choices.stem.get_or_insert(offset);
                choices.count += 1;
                choices.numeric += u32::from(!rest.is_empty() && rest.iter().all(is_numeric));
                let length = rest.len() as f32;
                choices.total += length;
                choices.squares += length * length;
                choices.longest = choices.longest.max(length);
            }
            offset += line.len() + 1;
        }
        choices
    }

    fn mean(&self) -> f32 {
        self.total / self.count.max(1) as f32
    }

    fn spread(&self, mean: f32) -> f32 {
        (self.squares / self.count.max(1) as f32 - mean * mean).max(0.0).sqrt()
    }
}

const fn is_numeric(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'.' | b',' | b'$' | b'%' | b'/' | b' ')
}

/// Letters, and every byte of a character beyond ASCII.
const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte >= 0x80
}

/// FNV-1a.
fn hash(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The finisher of MurmurHash3: spreads neighbouring values over all bits.
const fn mixed(mut value: u32) -> u32 {
    value ^= value >> 16;
    value = value.wrapping_mul(0x85eb_ca6b);
    value ^= value >> 13;
    value = value.wrapping_mul(0xc2b2_ae35);
    value ^ value >> 16
}

/// Counts a piece, up or down by its highest bit, so that pieces sharing a bucket cancel on average.
fn tally(counts: &mut [i16], touched: &mut Vec<u16>, hash: u32) {
    let bucket = hash as usize % BUCKETS;
    let count = &mut counts[bucket];
    if *count == 0 {
        touched.push(bucket as u16);
    }
    *count += if hash >> 31 == 0 { 1 } else { -1 };
}

fn log(count: f32) -> f32 {
    count.ln_1p()
}

/// `ln(1 + count)`, from a table where counts mostly are.
fn logarithm(count: u16) -> f32 {
    const FIRST: [f32; 4] = [0.0, std::f32::consts::LN_2, 1.098_612_3, 2.0 * std::f32::consts::LN_2];
    FIRST.get(usize::from(count)).copied().unwrap_or_else(|| log(f32::from(count)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> TextFeatures {
        let mut features = TextFeatures::default();
        features.read(text);
        features
    }

    fn named(features: &TextFeatures, name: &str) -> f32 {
        features.lexical[LEXICAL.iter().position(|known| *known == name).unwrap()]
    }

    #[test]
    fn counts_are_what_they_are_called() {
        let features = read("What is 12 + 3.5?\nA. 15.5\nB. 9\nAnswer:");
        assert!(features.has_choices);
        assert_eq!(named(&features, "numeric_choices"), 1.0);
        assert_eq!(named(&features, "question_marks"), log(1.0));
        assert_eq!(named(&features, "numbers"), log(4.0));
        assert_eq!(named(&features, "stem_length"), log(18.0));
        assert_eq!(named(&features, "longest_choice"), log(4.0));
        assert_eq!(named(&features, "words"), log(10.0));
        assert!(!read("What is 12 + 3.5?").has_choices);
    }

    #[test]
    fn pieces_are_of_unit_length_and_buffers_carry_nothing_over() {
        let fresh = read("how do I reset my password");
        let mut used = TextFeatures::default();
        used.read("an entirely different text, of other words");
        used.read("how do I reset my password");
        assert_eq!((&used.hashed, used.lexical), (&fresh.hashed, fresh.lexical));
        for kind in [0..BUCKETS, BUCKETS..HASHED] {
            let squares: f32 = fresh
                .hashed
                .iter()
                .filter(|(bucket, _)| kind.contains(&usize::from(*bucket)))
                .map(|(_, value)| value * value)
                .sum();
            assert!((squares - 1.0).abs() < 1e-4, "{squares}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_finite_features_in_range(text in "\\PC{0,300}") {
            let features = read(&text);
            prop_assert!(features.lexical.iter().all(|value| value.is_finite()));
            prop_assert!(features.hashed.iter().all(|(bucket, value)| usize::from(*bucket) < HASHED && value.is_finite()));
            prop_assert!(features.counts.iter().all(|count| *count == 0));
        }
    }
}
