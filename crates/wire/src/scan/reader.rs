//! A pull reader over JSON text that validates and never builds.
//!
//! Owns the grammar of RFC 8259: values are visited in place, by span. Must not know any dialect's keys. Whether a key may come
//! twice is the caller's choice: answers are read as they are, requests are not. Strings are the
//! bulk of every prompt: how they are passed over is `specials`' own matter.

use super::keys::{Keys, repeated};
use super::specials::{STEP, pass_text, specials_of_step};
use super::strings::{LongStrings, Strings};
use super::unescape::unescape;
use crate::codec::BadRequest;
use std::borrow::Cow;
use std::ops::Range;

/// The deepest nesting accepted.
pub(crate) const DEPTH_LIMIT: u32 = 128;

/// Boxed, because results are returned at every step and errors once.
pub(crate) type Fault = Box<BadRequest>;

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
    /// Not the start of a value.
    Invalid,
}

impl Kind {
    /// The kind with its article, for error messages.
    pub(crate) const fn described(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Invalid => "no value",
        }
    }
}

/// The escapes of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// It reads as it is written.
    None,
    /// All are a letter after a backslash, which every reader takes alike.
    Letters,
    /// Some are by number, and may be halves of a character.
    Numbers,
}

/// A string in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The text between the quotes, escapes not resolved.
    pub(crate) raw: &'a str,
    /// Whether there are escapes to resolve.
    pub(crate) escapes: Escapes,
    /// Offset of the first byte after the opening quote.
    pub(crate) start: usize,
}

impl<'a> Text<'a> {
    /// The text with escapes resolved; borrowed where there are none. Lone surrogates become U+FFFD.
    pub(crate) fn resolve(&self) -> Cow<'a, str> {
        match self.escapes {
            Escapes::None => Cow::Borrowed(self.raw),
            Escapes::Letters | Escapes::Numbers => Cow::Owned(unescape(self.raw)),
        }
    }

    /// The place of the raw text in the body.
    pub(crate) const fn range(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }
}

/// The reader.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Whether a key that an object has twice is a mistake.
    is_strict: bool,
    strings: Strings<'a>,
}

impl<'a> Reader<'a> {
    /// Starts before the first byte.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, is_strict: false, strings: Strings::Unknown }
    }

    /// As `new`, for what must not have a key twice in any of its objects but the outermost, whose visitor sees them all.
    /// Notes where long strings are.
    pub(crate) fn strict(text: &'a str) -> Self {
        let strings = Strings::Noted(LongStrings::of(text.as_bytes()));
        Self { text, at: 0, depth: 0, is_strict: true, strings }
    }

    /// As `new`, for a text whose long strings may be known.
    pub(crate) fn knowing(text: &'a str, strings: Option<&'a LongStrings>) -> Self {
        Self { text, at: 0, depth: 0, is_strict: false, strings: Strings::known(strings) }
    }

    /// The long strings that were noted.
    pub(super) fn into_strings(self) -> LongStrings {
        if let Strings::Noted(strings) = self.strings { strings } else { LongStrings::default() }
    }

    /// Starts at a byte.
    pub(super) const fn at(text: &'a str, at: usize) -> Self {
        Self { text, at, depth: 0, is_strict: false, strings: Strings::Unknown }
    }

    /// The offset of the next byte.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Text read so far, from an earlier position.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips blanks.
    pub(crate) fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// What comes next, blanks skipped before.
    pub(crate) fn kind(&self) -> Kind {
        match self.byte() {
            Some(b'"') => Kind::Text,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Invalid,
        }
    }

    /// A syntax error here.
    #[cold]
    pub(crate) fn unexpected(&self, expected: &str) -> Fault {
        syntax_error(self.text, self.at, expected)
    }

    /// Nothing but blanks may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.unexpected("nothing after the end of the JSON value"))
        }
    }

    /// Reads a string; the next byte is its quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.at + 1;
        let escapes = self.pass_string()?;
        Ok(Text { raw: &self.text[start..self.at - 1], escapes, start })
    }

    /// Passes over a string. What is returned fits registers: what went through memory is waited for.
    #[inline(never)]
    fn pass_string(&mut self) -> Result<Escapes, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        // Keys and other short strings end within the first step.
        if let Some(step) = bytes.get(start..).and_then(|rest| rest.first_chunk::<STEP>()) {
            let specials = specials_of_step(step);
            let end = start + specials.trailing_zeros() as usize;
            if specials != 0 && bytes[end] == b'"' {
                self.at = end + 1;
                return Ok(Escapes::None);
            }
        }
        if let Some((end, escapes)) = self.strings.end_of(start)
            && bytes.get(end) == Some(&b'"')
        {
            self.at = end + 1;
            return Ok(escapes);
        }
        let mut by_numbers = false;
        let passed = pass_text(bytes, start, |backslash| {
            by_numbers |= bytes.get(backslash + 1) == Some(&b'u');
            self.check_escape(backslash)
        })?;
        let escapes = match passed.has_escapes {
            false => Escapes::None,
            true if by_numbers => Escapes::Numbers,
            true => Escapes::Letters,
        };
        match bytes.get(passed.end) {
            Some(b'"') => {
                self.strings.ended(start, passed.end, escapes);
                self.at = passed.end + 1;
                Ok(escapes)
            }
            Some(_) => {
                Err(syntax_error(self.text, passed.end, "control characters in strings to be escaped"))
            }
            None => Err(syntax_error(self.text, passed.end, "`\"` at the end of a string")),
        }
    }

    /// Checks the escape whose backslash is at `at`.
    fn check_escape(&self, at: usize) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let digits = bytes.get(at + 2..at + 6).unwrap_or_default();
                if digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit) {
                    Ok(())
                } else {
                    let valid = digits.iter().take_while(|digit| digit.is_ascii_hexdigit()).count();
                    Err(syntax_error(self.text, at + 2 + valid, "four hexadecimal digits after `\\u`"))
                }
            }
            _ => Err(syntax_error(self.text, at + 1, "one of `\" \\ / b f n r t u` after a backslash")),
        }
    }

    /// Reads a number; the next byte starts it.
    pub(crate) fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.some_digits("a digit after the decimal point")?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.some_digits("a digit of the exponent")?;
        }
        Ok(self.since(start))
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, expected: &str) -> Result<(), Fault> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.unexpected(expected)) } else { Ok(()) }
    }

    /// Reads `true` or `false`; the next byte starts it.
    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        if self.byte() == Some(b't') {
            self.word("true")?;
            Ok(true)
        } else {
            self.word("false")?;
            Ok(false)
        }
    }

    /// Reads one of the three words; the next byte starts it.
    pub(crate) fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        for expected in word.bytes() {
            if self.byte() != Some(expected) {
                return Err(self.unexpected(&format!("`{word}`")));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Visits the fields of an object; anything but its brace is a syntax error. The visitor must read the value, which comes next.
    pub(crate) fn object(
        &mut self,
        mut visit: impl FnMut(&mut Self, Text<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.descend(b'{')?;
        self.blanks();
        if self.byte() == Some(b'}') {
            return self.ascend();
        }
        let mut keys = Keys::new();
        loop {
            if self.byte() != Some(b'"') {
                return Err(self.unexpected("`\"` at the start of a key"));
            }
            let key = self.string()?;
            if self.is_strict
                && self.depth > 1
                && let Some(before) = keys.note(self.text, key)
            {
                return Err(repeated(self.text, key, before));
            }
            self.blanks();
            if self.byte() != Some(b':') {
                return Err(self.unexpected("`:` after a key"));
            }
            self.at += 1;
            self.blanks();
            visit(self, key)?;
            self.blanks();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => return self.ascend(),
                _ => return Err(self.unexpected("`,` or `}` after a value")),
            }
            self.blanks();
        }
    }

    /// Visits the elements of an array; anything but its bracket is a syntax error. The visitor must read the element, which comes next.
    pub(crate) fn array(
        &mut self,
        mut visit: impl FnMut(&mut Self, usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.descend(b'[')?;
        self.blanks();
        if self.byte() == Some(b']') {
            return self.ascend();
        }
        let mut index = 0;
        loop {
            visit(self, index)?;
            index += 1;
            self.blanks();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => return self.ascend(),
                _ => return Err(self.unexpected("`,` or `]` after an element")),
            }
            self.blanks();
        }
    }

    fn descend(&mut self, bracket: u8) -> Result<(), Fault> {
        if self.byte() != Some(bracket) {
            return Err(self.unexpected("a JSON value"));
        }
        if self.depth == DEPTH_LIMIT {
            return Err(Box::new(BadRequest {
                message: format!("JSON nested deeper than {DEPTH_LIMIT} levels at byte {}", self.at),
                path: None,
                offset: Some(self.at),
            }));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the counterpart of descend ends the visitors in tail position"
    )]
    fn ascend(&mut self) -> Result<(), Fault> {
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    /// Checks any value and gives its text.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.kind() {
            Kind::Text => {
                self.string()?;
            }
            Kind::Number => {
                self.number()?;
            }
            Kind::Boolean => {
                self.boolean()?;
            }
            Kind::Null => self.word("null")?,
            Kind::Array => self.array(|reader, _| reader.skip().map(drop))?,
            Kind::Object => self.object(|reader, _| reader.skip().map(drop))?,
            Kind::Invalid => return Err(self.unexpected("a JSON value")),
        }
        Ok(self.since(start))
    }

    /// Reads a string or null; another kind is an error at that path.
    pub(crate) fn optional_string(&mut self, path: &str) -> Result<Option<Text<'a>>, Fault> {
        match self.kind() {
            Kind::Text => self.string().map(Some),
            kind => self.only_null(kind, path, "a string").map(|()| None),
        }
    }

    /// Reads a boolean or null; another kind is an error at that path.
    pub(crate) fn optional_boolean(&mut self, path: &str) -> Result<Option<bool>, Fault> {
        match self.kind() {
            Kind::Boolean => self.boolean().map(Some),
            kind => self.only_null(kind, path, "a boolean").map(|()| None),
        }
    }

    /// Reads a whole number of at least zero, or null; another kind or value is an error at that path.
    pub(crate) fn optional_count(&mut self, path: &str) -> Result<Option<u64>, Fault> {
        const EXPECTED: &str = "a whole number of at least 0";
        if self.kind() != Kind::Number {
            return self.only_null(self.kind(), path, EXPECTED).map(|()| None);
        }
        let digits = self.number()?;
        match digits.parse() {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(wrong_type(path, EXPECTED, digits)),
        }
    }

    fn only_null(&mut self, kind: Kind, path: &str, expected: &str) -> Result<(), Fault> {
        match kind {
            Kind::Null => self.word("null"),
            Kind::Invalid => Err(self.unexpected("a JSON value")),
            kind => Err(wrong_type(path, expected, kind.described())),
        }
    }
}

/// A value of the wrong kind.
#[cold]
pub(crate) fn wrong_type(path: &str, expected: &str, found: &str) -> Fault {
    Box::new(BadRequest::at(path, format!("{path}: expected {expected}, found {found}")))
}

/// The body is not JSON.
#[cold]
fn syntax_error(text: &str, at: usize, expected: &str) -> Fault {
    let found = match text.as_bytes().get(at) {
        None => "the end of the body".to_owned(),
        Some(byte @ 0x21..=0x7e) => format!("`{}`", char::from(*byte)),
        Some(byte) => format!("byte 0x{byte:02x}"),
    };
    Box::new(BadRequest {
        message: format!("invalid JSON at byte {at}: expected {expected}, found {found}"),
        path: None,
        offset: Some(at),
    })
}

#[cfg(test)]
mod tests;
