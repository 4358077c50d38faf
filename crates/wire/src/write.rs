//! Writing JSON straight into bytes.
//!
//! Owns strings, numbers and the comma between fields. Must not know any dialect. Answers are written piece by piece on the
//! hot path: no value trees, no intermediate strings.

use crate::pieces;
use crate::scan::specials::{STEP, specials_of_step};
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::request::{ChatRequest, Reasoning, Visibility};
use trunkline_model::text::Text;

/// Why a request to see the reasoning is not passed on where the protocol has no word for it.
pub(crate) const SHOWN_BY_DEFAULT: &str = "the target shows reasoning or not as it does by default";
/// What becomes of a wish not to see it there.
pub(crate) const HIDDEN_HERE: &str =
    "the target has no word for it: the gateway leaves reasoning out of its answer";
/// What becomes of leaving the amount of reasoning to the model where the protocol has no word for it.
pub(crate) const OWN_DEFAULT: &str = "how much is the model's own default";

/// Why what is said of the use of tools is not passed on.
pub(crate) const NO_TOOLS: &str = "there are no tools";
/// Why a wish for one call at a time is not passed on where no call is allowed.
pub(crate) const NO_CALLS: &str = "no tool may be called";

/// What an answer's schema is described by, where it has a place apart.
pub(crate) const SCHEMA_DESCRIPTION: &str = "response_format.json_schema.description";

/// What becomes of a wish to see reasoning, or not to, where the protocol has no word for it.
pub(crate) fn without_a_word_for(reasoning: &Reasoning) -> Option<&'static str> {
    if reasoning.is_hidden() {
        return Some(HIDDEN_HERE);
    }
    (reasoning.visibility == Visibility::Shown).then_some(SHOWN_BY_DEFAULT)
}

/// The parameters by which a request says how tools are to be used.
pub(crate) fn said_of_tools(chat: &ChatRequest) -> impl Iterator<Item = &'static str> {
    let said = [
        ("tool_choice", chat.tool_choice.is_some()),
        ("parallel_tool_calls", chat.parallel_tool_calls.is_some()),
    ];
    said.into_iter().filter_map(|(name, is_said)| is_said.then_some(name))
}

/// Where JSON is written to.
pub(crate) trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
    /// How many there are.
    fn length(&self) -> usize;
    /// Cuts off the end, or appends zeros.
    fn resize(&mut self, length: usize);
    /// What was written from a place on.
    fn from(&mut self, start: usize) -> &mut [u8];
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn length(&self) -> usize {
        self.len()
    }

    fn resize(&mut self, length: usize) {
        Vec::resize(self, length, 0);
    }

    fn from(&mut self, start: usize) -> &mut [u8] {
        &mut self[start..]
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn length(&self) -> usize {
        self.len()
    }

    fn resize(&mut self, length: usize) {
        BytesMut::resize(self, length, 0);
    }

    fn from(&mut self, start: usize) -> &mut [u8] {
        &mut self[start..]
    }
}

/// What can stand in a JSON string.
pub(crate) trait Wording {
    /// Writes it without quotes.
    fn write(&self, out: &mut impl Sink);
}

impl Wording for str {
    fn write(&self, out: &mut impl Sink) {
        escaped(out, self);
    }
}

impl Wording for String {
    fn write(&self, out: &mut impl Sink) {
        escaped(out, self);
    }
}

impl<T: Wording + ToOwned + ?Sized> Wording for Cow<'_, T> {
    fn write(&self, out: &mut impl Sink) {
        (**self).write(out);
    }
}

impl Wording for Text {
    /// As it was written, where that is known.
    fn write(&self, out: &mut impl Sink) {
        match (self.mark(), self.written()) {
            (Some(number), _) => pieces::put_mark(out, number),
            (None, Some(written)) => out.put(written),
            (None, None) => escaped(out, self),
        }
    }
}

/// Words of either kind.
pub(crate) enum Words<'t> {
    /// Any string.
    Plain(&'t str),
    /// Text of the conversation.
    Text(&'t Text),
}

impl Wording for Words<'_> {
    fn write(&self, out: &mut impl Sink) {
        match self {
            Self::Plain(text) => text.write(out),
            Self::Text(text) => text.write(out),
        }
    }
}

impl<T: Wording + ?Sized> Wording for &T {
    fn write(&self, out: &mut impl Sink) {
        (*self).write(out);
    }
}

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut impl Sink, text: &(impl Wording + ?Sized)) {
    out.put(b"\"");
    text.write(out);
    out.put(b"\"");
}

/// Writes the inside of a string.
pub(crate) fn escaped(out: &mut impl Sink, text: &str) {
    let mut rest = text.as_bytes();
    while rest.len() >= STEP {
        let start = out.length();
        // Room for some escapes; where there are more it goes on with the rest.
        out.resize(start + rest.len() + rest.len() / 8 + LONGEST_ESCAPE);
        let (read, written) = escape_steps(rest, out.from(start));
        out.resize(start + written);
        rest = &rest[read..];
    }
    let plain = rest.iter().position(|&byte| ESCAPES[usize::from(byte)] != 0).unwrap_or(rest.len());
    out.put(&rest[..plain]);
    for &byte in &rest[plain..] {
        let (escape, length) = escape(byte);
        out.put(&escape[..length]);
    }
}

/// Bytes of the longest escape.
const LONGEST_ESCAPE: usize = 6;

/// Escapes step by step while a whole step is left and has room; gives the bytes read and written. Each step is moved whole and
/// then counted up to its first special byte: two instructions where a copy of exact length is a call.
fn escape_steps(text: &[u8], out: &mut [u8]) -> (usize, usize) {
    let (mut from, mut to) = (0, 0);
    while let Some(step) = text[from..].first_chunk::<STEP>()
        && let Some(room) = out[to..].first_chunk_mut::<{ STEP + LONGEST_ESCAPE }>()
    {
        room[..STEP].copy_from_slice(step);
        let specials = specials_of_step(step);
        if specials == 0 {
            (from, to) = (from + STEP, to + STEP);
            continue;
        }
        let plain = specials.trailing_zeros() as usize;
        let (escape, length) = escape(step[plain]);
        room[plain..plain + LONGEST_ESCAPE].copy_from_slice(&escape);
        (from, to) = (from + plain + 1, to + plain + length);
    }
    (from, to)
}

/// A byte as it stands in a string, and how long that is.
fn escape(byte: u8) -> ([u8; LONGEST_ESCAPE], usize) {
    match ESCAPES[usize::from(byte)] {
        0 => ([byte, 0, 0, 0, 0, 0], 1),
        b'u' => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            ([b'\\', b'u', b'0', b'0', digits[0], digits[1]], 6)
        }
        letter => ([b'\\', letter, 0, 0, 0, 0], 2),
    }
}

/// What must be escaped in a string: 0 nothing, `u` as `\u00XX`, else the letter after the backslash.
const ESCAPES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Writes a whole number.
pub(crate) fn whole(out: &mut impl Sink, number: impl itoa::Integer) {
    out.put(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a number; what JSON cannot say becomes null.
pub(crate) fn float(out: &mut impl Sink, number: f64) {
    if !number.is_finite() {
        out.put(b"null");
    } else if number.fract() == 0.0 && number.abs() < 1e15 {
        whole(out, number as i64);
    } else {
        out.put(ryu::Buffer::new().format_finite(number).as_bytes());
    }
}

/// Writes a 32-bit float in its own shortest form.
pub(crate) fn float32(out: &mut impl Sink, number: f32) {
    if number.is_finite() {
        out.put(ryu::Buffer::new().format_finite(number).as_bytes());
    } else {
        out.put(b"null");
    }
}

/// An object being written.
pub(crate) struct Object<'o, S: Sink> {
    /// Where it goes; values are written here right after `key`.
    pub(crate) out: &'o mut S,
    is_first: bool,
}

impl<'o, S: Sink> Object<'o, S> {
    /// Opens the brace.
    pub(crate) fn open(out: &'o mut S) -> Self {
        out.put(b"{");
        Self { out, is_first: true }
    }

    /// Goes on with an object whose first fields are written already.
    pub(crate) fn continued(out: &'o mut S) -> Self {
        Self { out, is_first: false }
    }

    /// Writes comma, name and colon; the value comes next. Gives the sink.
    pub(crate) fn key(&mut self, name: &str) -> &mut S {
        self.out.put(if self.is_first { b"\"" } else { b",\"" });
        self.is_first = false;
        escaped(self.out, name);
        self.out.put(b"\":");
        self.out
    }

    /// A string field.
    pub(crate) fn text(&mut self, name: &str, value: &(impl Wording + ?Sized)) {
        string(self.key(name), value);
    }

    /// A field whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.key(name).put(json.as_bytes());
    }

    /// A whole number field.
    pub(crate) fn whole(&mut self, name: &str, value: impl itoa::Integer) {
        whole(self.key(name), value);
    }

    /// A boolean field.
    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    /// Closes the brace.
    pub(crate) fn close(self) {
        self.out.put(b"}");
    }
}

/// Writes an array, an element per item.
pub(crate) fn array<S: Sink, T>(
    out: &mut S,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut S, T),
) {
    out.put(b"[");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.put(b",");
        }
        write(out, item);
    }
    out.put(b"]");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn long_strings_read_back(pieces in proptest::collection::vec(("[ -~é漢]{0,40}", "[\u{0}-\u{1f}\"\\\\\u{7f}]{0,9}"), 0..12)) {
            let text: String = pieces.iter().flat_map(|(plain, special)| [plain.as_str(), special]).collect();
            let mut out = Vec::new();
            string(&mut out, &text);
            let expected = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
        }

        #[test]
        fn strings_and_numbers_read_back(text in any::<String>(), number in any::<f64>(), single in any::<f32>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            if number.is_finite() {
                let mut out = Vec::new();
                float(&mut out, number);
                // Any JSON reader's parse is within rounding; the standard library's is exact.
                prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap(), number);
            }
            if single.is_finite() {
                let mut out = Vec::new();
                float32(&mut out, single);
                prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f32>().unwrap(), single);
            }
        }
    }

    #[test]
    fn objects_and_arrays_have_commas_between() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.text("a", "x\u{1}");
        array(object.key("b"), [1, 2], whole);
        object.boolean("c", true);
        object.close();
        assert_eq!(out, br#"{"a":"x\u0001","b":[1,2],"c":true}"#);
    }
}
