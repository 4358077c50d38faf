//! Writing JSON straight into an output buffer.
//!
//! Owns commas, escapes and numbers. Must not know any dialect. It keeps no state: whether a comma is due is seen from the
//! last byte written, so that encoders can write any piece at any time without carrying a writer around.

use crate::write::Wording;
use bytes::BytesMut;

/// JSON pieces appended to a buffer.
pub(crate) trait JsonText {
    /// `{`, as an element or the value of the key before.
    fn open_object(&mut self);
    /// `}`.
    fn close_object(&mut self);
    /// `[`.
    fn open_array(&mut self);
    /// `]`.
    fn close_array(&mut self);
    /// A field name; it must need no escapes.
    fn key(&mut self, name: &str);
    /// A field name that somebody else chose.
    fn foreign_key(&mut self, name: &str);
    /// A string value.
    fn string(&mut self, text: &(impl Wording + ?Sized));
    /// A piece of a string whose quotes are written elsewhere.
    fn escaped(&mut self, text: &str);
    /// A value that is JSON already. Line breaks between its tokens are left out: a stream event is one line.
    fn raw(&mut self, json: &str);
    /// A whole number.
    fn unsigned(&mut self, value: u64);
    /// A whole number of either sign.
    fn signed(&mut self, value: i64);
    /// A number; anything that is not finite becomes `null`.
    fn float(&mut self, value: f64);
    /// A 32-bit number, with the digits a 32-bit number needs.
    fn short_float(&mut self, value: f32);
    /// `true` or `false`.
    fn boolean(&mut self, value: bool);
    /// `null`.
    fn null(&mut self);
    /// A key and a string value.
    fn field(&mut self, name: &str, text: &(impl Wording + ?Sized)) {
        self.key(name);
        self.string(text);
    }
    /// A key and a whole number.
    fn field_unsigned(&mut self, name: &str, value: u64) {
        self.key(name);
        self.unsigned(value);
    }
    /// A key and ready JSON. The key may be a client's: it is escaped, lest it bring fields of its own.
    fn field_raw(&mut self, name: &str, json: &str) {
        self.foreign_key(name);
        self.raw(json);
    }
}

/// A comma, unless what was written last opens something or is not JSON.
fn separate(out: &mut BytesMut) {
    if !matches!(out.last(), None | Some(b'{' | b'[' | b':' | b' ' | b'\n')) {
        out.extend_from_slice(b",");
    }
}

impl JsonText for BytesMut {
    fn open_object(&mut self) {
        separate(self);
        self.extend_from_slice(b"{");
    }

    fn close_object(&mut self) {
        self.extend_from_slice(b"}");
    }

    fn open_array(&mut self) {
        separate(self);
        self.extend_from_slice(b"[");
    }

    fn close_array(&mut self) {
        self.extend_from_slice(b"]");
    }

    fn key(&mut self, name: &str) {
        separate(self);
        self.extend_from_slice(b"\"");
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b"\":");
    }

    fn foreign_key(&mut self, name: &str) {
        separate(self);
        self.extend_from_slice(b"\"");
        self.escaped(name);
        self.extend_from_slice(b"\":");
    }

    fn string(&mut self, text: &(impl Wording + ?Sized)) {
        separate(self);
        self.extend_from_slice(b"\"");
        text.write(self);
        self.extend_from_slice(b"\"");
    }

    fn escaped(&mut self, text: &str) {
        crate::write::escaped(self, text);
    }

    fn raw(&mut self, json: &str) {
        separate(self);
        let json = json.trim_ascii();
        if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
            self.extend_from_slice(json.as_bytes());
            return;
        }
        // Inside a string a line break would be an escape, so a raw one is only layout.
        for piece in json.split(['\n', '\r']) {
            self.extend_from_slice(piece.as_bytes());
        }
    }

    fn unsigned(&mut self, value: u64) {
        separate(self);
        self.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn signed(&mut self, value: i64) {
        separate(self);
        self.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn float(&mut self, value: f64) {
        separate(self);
        if !value.is_finite() {
            self.extend_from_slice(b"null");
        } else if value.fract() == 0.0 && value.abs() < 1e15 {
            self.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            self.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
        }
    }

    fn short_float(&mut self, value: f32) {
        separate(self);
        if value.is_finite() {
            self.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.extend_from_slice(b"null");
        }
    }

    fn boolean(&mut self, value: bool) {
        separate(self);
        self.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn null(&mut self) {
        separate(self);
        self.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_come_by_themselves() {
        let mut out = BytesMut::from(&b"data: "[..]);
        out.open_object();
        out.field("a", "x\"\n\u{1}");
        out.key("b");
        out.open_array();
        out.unsigned(1);
        out.float(1.5);
        out.float(2.0);
        out.boolean(true);
        out.null();
        out.open_object();
        out.close_object();
        out.close_array();
        out.field_raw("c", " {\n \"d\": 1\r\n} ");
        out.close_object();
        assert_eq!(out, &br#"data: {"a":"x\"\n\u0001","b":[1,1.5,2,true,null,{}],"c":{ "d": 1}}"#[..]);
    }

    proptest! {
        #[test]
        fn strings_read_back(text in ".*") {
            let mut out = BytesMut::new();
            out.string(&text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn numbers_read_back(value in proptest::num::f64::NORMAL) {
            let mut out = BytesMut::new();
            out.float(value);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
