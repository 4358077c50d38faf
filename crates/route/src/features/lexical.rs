//! What the words of a prompt tell without understanding them.
//!
//! Owns the counts that rules and the complexity score read: code, maths, the kind of question, cue words, the form and the
//! length that are asked for. Must not allocate per word. English words only where words are looked for; counts of signs hold in
//! any language. Bounded: the first bytes of a long text settle all of it.

/// Bytes of a text that are looked at.
const LOOKED_AT: usize = 16 << 10;
/// Bytes whose language is told: a paragraph is enough, and the time grows with it.
const LANGUAGE_BYTES: usize = 600;
/// Longest word that can be a cue, in bytes.
const LONGEST_CUE: usize = 15;

/// The counts of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lexical {
    /// Words: runs of letters and digits.
    pub words: u32,
    /// Sentences: ends of sentence and lines.
    pub sentences: u32,
    /// Fenced blocks of code.
    pub code_blocks: u32,
    /// Signs that are common in code and rare in prose.
    pub code_signs: u32,
    /// Signs and commands of mathematics.
    pub maths_signs: u32,
    /// Digits.
    pub digits: u32,
    /// Letters in upper case.
    pub capitals: u32,
    /// Question marks.
    pub question_marks: u32,
    /// Words that ask for reasoning: prove, derive, why.
    pub cues: u32,
    /// The kind of question.
    pub question: Question,
    /// The form asked for in words.
    pub format: Format,
    /// The length asked for in words: `in 200 words`.
    pub asked_words: Option<u32>,
}

/// What a text asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word it begins with")]
pub enum Question {
    #[default]
    None,
    What,
    Why,
    How,
    Who,
    When,
    Where,
    Which,
    YesNo,
}

impl Question {
    /// The word used in rules; empty for a text that asks nothing.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::What => "what",
            Self::Why => "why",
            Self::How => "how",
            Self::Who => "who",
            Self::When => "when",
            Self::Where => "where",
            Self::Which => "which",
            Self::YesNo => "yes_no",
        }
    }

    fn of(word: &[u8]) -> Self {
        match word {
            b"what" | b"whats" => Self::What,
            b"why" => Self::Why,
            b"how" => Self::How,
            b"who" | b"whom" | b"whose" => Self::Who,
            b"when" => Self::When,
            b"where" => Self::Where,
            b"which" => Self::Which,
            b"is" | b"are" | b"was" | b"were" | b"do" | b"does" | b"did" | b"can" | b"could" | b"will"
            | b"would" | b"should" | b"has" | b"have" => Self::YesNo,
            _ => Self::None,
        }
    }
}

/// The form an answer is asked for in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own name")]
pub enum Format {
    #[default]
    None,
    Json,
    Yaml,
    Xml,
    Csv,
    Table,
    List,
    Code,
}

impl Format {
    /// The word used in rules; empty when no form is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Xml => "xml",
            Self::Csv => "csv",
            Self::Table => "table",
            Self::List => "list",
            Self::Code => "code",
        }
    }

    fn of(word: &[u8]) -> Self {
        match word {
            b"json" => Self::Json,
            b"yaml" => Self::Yaml,
            b"xml" => Self::Xml,
            b"csv" => Self::Csv,
            b"table" => Self::Table,
            b"list" | b"bullets" | b"bullet" => Self::List,
            b"function" | b"script" | b"program" | b"code" | b"snippet" => Self::Code,
            _ => Self::None,
        }
    }
}

impl Lexical {
    /// The counts of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(LOOKED_AT)];
        let bytes = text.as_bytes();
        let mut counts = Self {
            code_blocks: (memchr::memmem::find_iter(bytes, b"```").count() as u32).div_ceil(2),
            ..Self::default()
        };
        let mut words = Words::default();
        for byte in bytes {
            counts.sign(*byte);
            if byte.is_ascii_alphanumeric() || *byte >= 0x80 {
                words.push(*byte);
            } else {
                words.end(&mut counts);
            }
        }
        words.end(&mut counts);
        counts
    }

    /// Whether the text holds code.
    #[must_use]
    pub const fn has_code(&self) -> bool {
        self.code_blocks > 0 || self.code_signs >= 6
    }

    /// Whether the text holds mathematics.
    #[must_use]
    pub const fn has_maths(&self) -> bool {
        self.maths_signs >= 2 && !self.has_code()
    }

    const fn sign(&mut self, byte: u8) {
        match byte {
            b'{' | b'}' | b';' | b'<' | b'>' | b'_' | b'|' | b'&' | b'#' => self.code_signs += 1,
            b'=' => {
                self.code_signs += 1;
                self.maths_signs += 1;
            }
            b'^' | b'+' | b'*' | b'/' | b'\\' | b'$' | b'%' => self.maths_signs += 1,
            b'0'..=b'9' => self.digits += 1,
            b'A'..=b'Z' => self.capitals += 1,
            b'?' => {
                self.question_marks += 1;
                self.sentences += 1;
            }
            b'.' | b'!' | b'\n' => self.sentences += 1,
            _ => {}
        }
    }
}

/// Words as they go by, in lower case.
#[derive(Default)]
struct Words {
    word: [u8; LONGEST_CUE],
    length: usize,
    number: Option<u32>,
}

impl Words {
    const fn push(&mut self, byte: u8) {
        if self.length < LONGEST_CUE {
            self.word[self.length] = byte.to_ascii_lowercase();
        }
        self.length += 1;
    }

    fn end(&mut self, counts: &mut Lexical) {
        if self.length == 0 {
            return;
        }
        counts.words += 1;
        let number = if self.length <= LONGEST_CUE { self.look(counts) } else { None };
        self.number = number;
        self.length = 0;
    }

    /// Looks at a word that is short enough to mean something here; gives it back as a number if it is one.
    fn look(&self, counts: &mut Lexical) -> Option<u32> {
        let word = &self.word[..self.length];
        if counts.question == Question::None {
            counts.question = Question::of(word);
        }
        if counts.format == Format::None {
            counts.format = Format::of(word);
        }
        match word {
            b"prove" | b"proof" | b"derive" | b"explain" | b"why" | b"analyze" | b"analyse" | b"compare"
            | b"evaluate" | b"step" | b"steps" | b"justify" | b"optimize" | b"optimise" | b"design"
            | b"debug" | b"reason" | b"reasoning" | b"calculate" | b"compute" | b"solve" | b"critique"
            | b"refactor" | b"theorem" | b"hypothesis" => counts.cues += 1,
            b"words" | b"word" if counts.asked_words.is_none() => counts.asked_words = self.number,
            _ => {}
        }
        std::str::from_utf8(word).ok()?.parse().ok()
    }
}

/// The language of a text, as its ISO 639-3 code; empty when it cannot be told.
#[must_use]
pub fn language(text: &str) -> &'static str {
    let head = &text[..text.floor_char_boundary(LANGUAGE_BYTES)];
    whatlang::detect(head).filter(whatlang::Info::is_reliable).map_or("", |found| found.lang().code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_told_by_its_words_and_signs() {
        let counts =
            Lexical::of("Why does x^2 + 3 = 7 hold? Prove it step by step, in 200 words, as a table.");
        assert_eq!(
            (counts.question, counts.format, counts.asked_words),
            (Question::Why, Format::Table, Some(200))
        );
        assert_eq!((counts.cues, counts.question_marks), (4, 1));
        assert!(counts.has_maths() && !counts.has_code());
        let code = Lexical::of("fix this\n```rust\nfn main() { println!(\"{x}\"); }\n```\n");
        assert_eq!(code.code_blocks, 1);
        assert!(code.has_code() && !code.has_maths());
        assert_eq!(Lexical::of("good morning").question, Question::None);
        assert_eq!(Lexical::of("Can you come?").question, Question::YesNo);
    }

    #[test]
    fn languages_are_told_from_a_sentence() {
        assert_eq!(language("How do I reset the password of my account? I have forgotten it again."), "eng");
        assert_eq!(
            language("Wie setze ich das Passwort meines Kontos zurück? Ich habe es wieder vergessen."),
            "deu"
        );
        assert_eq!(language("パスワードを忘れてしまいました。どうすればいいですか。"), "jpn");
        assert_eq!(language(""), "");
    }

    proptest! {
        #[test]
        fn any_text_can_be_counted(text in "\\PC{0,400}") {
            let counts = Lexical::of(&text);
            prop_assert!(counts.words as usize <= text.len());
            let _ = language(&text);
        }
    }
}
