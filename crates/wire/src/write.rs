//! Writing JSON straight into bytes.
//!
//! Owns strings, numbers and the comma between fields. Must not know any dialect. Answers are written piece by piece on the
//! hot path: no value trees, no intermediate strings.

use crate::scan::reader::plain_prefix;
use bytes::BytesMut;

/// Why a request to see the reasoning is not passed on where the protocol has no word for it.
pub(crate) const SHOWN_BY_DEFAULT: &str = "the target shows reasoning or not as it does by default";
/// What becomes of leaving the amount of reasoning to the model where the protocol has no word for it.
pub(crate) const OWN_DEFAULT: &str = "how much is the model's own default";

/// Where JSON is written to.
pub(crate) trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut impl Sink, text: &str) {
    out.put(b"\"");
    escaped(out, text);
    out.put(b"\"");
}

/// Writes the inside of a string.
pub(crate) fn escaped(out: &mut impl Sink, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.put(&rest[..plain]);
        let Some(&special) = rest.get(plain) else { return };
        rest = &rest[plain + 1..];
        match special {
            b'"' => out.put(b"\\\""),
            b'\\' => out.put(b"\\\\"),
            b'\n' => out.put(b"\\n"),
            b'\r' => out.put(b"\\r"),
            b'\t' => out.put(b"\\t"),
            0x08 => out.put(b"\\b"),
            0x0c => out.put(b"\\f"),
            control => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digits = [DIGITS[usize::from(control >> 4)], DIGITS[usize::from(control & 15)]];
                out.put(b"\\u00");
                out.put(&digits);
            }
        }
    }
}

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
    pub(crate) fn text(&mut self, name: &str, value: &str) {
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
