//! JSON, written fast.
//!
//! Owns a serializer that writes the same bytes as the general one. Must not know which fields a record has, so that a new one
//! needs nothing here. It exists because writing the record is most of what keeping one costs, and this is a third of the
//! general serializer's share: names of fields need no escaping, and whether a text does is found many bytes at a time.

use serde::ser::{self, Serialize};
use std::fmt::{self, Write as _};

/// Why a value cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompactError {
    /// A key of a map that is no text.
    #[error("write a map whose keys are not texts")]
    Key,
    /// What the value itself said.
    #[error("{0}")]
    Value(String),
}

impl ser::Error for CompactError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }
}

/// Appends a value as JSON.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), CompactError> {
    value.serialize(Compact { out })
}

struct Compact<'a> {
    out: &'a mut Vec<u8>,
}

/// A struct or a list under way.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    close: u8,
    /// It is inside an object of one member, named as its variant.
    variant: bool,
    any: bool,
}

/// For each byte: 0, or the letter after the backslash, `u` for the long form.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 32 {
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

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        match ESCAPES[usize::from(byte)] {
            0 => out.push(byte),
            b'u' => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
    }
}

/// Whether nothing needs an escape, eight bytes at a time: most texts of a record are names of a dozen letters.
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The classic zero-byte test, which errs only above a byte that is meant.
    let special = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        ((word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash))
            & HIGH
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | special(word));
    // The last bytes together with some that were seen, where there are any.
    let last = bytes.last_chunk::<8>().filter(|_| !rest.is_empty()).map_or(0, special);
    let few = bytes.len() < 8 && bytes.iter().any(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
    found | last == 0 && !few
}

/// Shown text, escaped as it comes.
struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

impl<'a> Compact<'a> {
    fn whole(self, number: impl itoa::Integer) -> Result<(), CompactError> {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    /// What is rare is left to the general serializer.
    fn general<T: ?Sized + Serialize>(self, value: &T) -> Result<(), CompactError> {
        serde_json::to_writer(self.out, value).map_err(ser::Error::custom)
    }

    fn open(self, open: u8, close: u8) -> Members<'a> {
        self.out.push(open);
        Members { out: self.out, close, variant: false, any: false }
    }

    fn open_variant(self, name: &str, open: u8, close: u8) -> Members<'a> {
        self.out.push(b'{');
        push_text(self.out, name);
        self.out.push(b':');
        Members { variant: true, ..self.open(open, close) }
    }
}

macro_rules! whole {
    ($($name:ident: $kind:ty),*) => { $(
        fn $name(self, value: $kind) -> Result<(), CompactError> {
            self.whole(value)
        }
    )* };
}

impl<'a> ser::Serializer for Compact<'a> {
    type Ok = ();
    type Error = CompactError;
    type SerializeSeq = Members<'a>;
    type SerializeTuple = Members<'a>;
    type SerializeTupleStruct = Members<'a>;
    type SerializeTupleVariant = Members<'a>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    whole!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    );

    fn serialize_bool(self, value: bool) -> Result<(), CompactError> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), CompactError> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        self.general(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), CompactError> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        self.general(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), CompactError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), CompactError> {
        push_text(self.out, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), CompactError> {
        self.general(value)
    }

    fn serialize_none(self) -> Result<(), CompactError> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), CompactError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), CompactError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CompactError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), CompactError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), CompactError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CompactError> {
        self.out.push(b'{');
        push_text(self.out, variant);
        self.out.push(b':');
        value.serialize(Compact { out: self.out })?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'a>, CompactError> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Members<'a>, CompactError> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, CompactError> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a>, CompactError> {
        Ok(self.open_variant(variant, b'[', b']'))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, CompactError> {
        Ok(self.open(b'{', b'}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, CompactError> {
        Ok(self.open(b'{', b'}'))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a>, CompactError> {
        Ok(self.open_variant(variant, b'{', b'}'))
    }

    fn collect_str<T: ?Sized + fmt::Display>(self, value: &T) -> Result<(), CompactError> {
        self.out.push(b'"');
        write!(Escaping(self.out), "{value}").map_err(ser::Error::custom)?;
        self.out.push(b'"');
        Ok(())
    }
}

impl Members<'_> {
    fn item<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), CompactError> {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        value.serialize(Compact { out: self.out })
    }

    fn field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), CompactError> {
        // Names of fields need no escaping: one reservation for all of it.
        self.out.reserve(key.len() + 24);
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Compact { out: self.out })
    }

    fn close(self) {
        self.out.push(self.close);
        if self.variant {
            self.out.push(b'}');
        }
    }
}

macro_rules! members {
    ($($kind:ident: $method:ident),*) => { $(
        impl ser::$kind for Members<'_> {
            type Ok = ();
            type Error = CompactError;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), CompactError> {
                self.item(value)
            }

            fn end(self) -> Result<(), CompactError> {
                self.close();
                Ok(())
            }
        }
    )* };
}

members!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! fields {
    ($($kind:ident),*) => { $(
        impl ser::$kind for Members<'_> {
            type Ok = ();
            type Error = CompactError;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), CompactError> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), CompactError> {
                self.close();
                Ok(())
            }
        }
    )* };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Members<'_> {
    type Ok = ();
    type Error = CompactError;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), CompactError> {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        let start = self.out.len();
        key.serialize(Compact { out: self.out })?;
        if self.out.get(start) == Some(&b'"') { Ok(()) } else { Err(CompactError::Key) }
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), CompactError> {
        self.out.push(b':');
        value.serialize(Compact { out: self.out })
    }

    fn end(self) -> Result<(), CompactError> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;
    use trunkline_model::dialect::{Dialect, Operation};
    use trunkline_model::id::{Name, RequestId};
    use trunkline_model::money::{Cost, NanoDollars};
    use trunkline_model::record::{AttemptKind, AttemptRecord, PhaseTimes, RequestRecord};
    use trunkline_model::usage::{Usage, UsageSource};
    use trunkline_model::warning::Warning;

    fn both(value: &impl Serialize) -> (String, String) {
        let mut out = Vec::new();
        write(&mut out, value).unwrap();
        (String::from_utf8(out).unwrap(), serde_json::to_string(value).unwrap())
    }

    proptest! {
        #[test]
        fn texts_are_written_as_the_general_serializer_writes_them(text in any::<String>(), low in 0u8..=255) {
            let (own, general) = both(&text);
            prop_assert_eq!(own, general);
            let (own, general) = both(&char::from(low));
            prop_assert_eq!(own, general);
        }

        #[test]
        fn records_are_written_as_the_general_serializer_writes_them(
            bits in any::<u128>(),
            number in any::<u64>(),
            text in prop::option::of(any::<String>()),
            status in any::<u16>(),
            amount in any::<i64>(),
        ) {
            let mut record = RequestRecord::new(RequestId::from_bits(bits), Dialect::Gemini, Operation::Embeddings, number);
            record.key = text.as_deref().map(Name::from);
            record.status = status;
            record.cost = Cost::exact(NanoDollars(amount));
            record.error_message = text.clone();
            record.usage = Usage { input: number, ..Usage::default() };
            if let Some(text) = &text {
                record.tags = vec![(Name::from(&**text), "x".into()), ("y".into(), "z".into())];
                record.warnings = vec![Warning::dropped(text.clone(), text.clone())];
                record.attempts = vec![AttemptRecord {
                    deployment: Name::from(&**text),
                    kind: AttemptKind::Hedge,
                    failure: Some(trunkline_model::failure::FailureClass::Server),
                    message: Some(text.clone()),
                    status: Some(status),
                    upstream_request_id: None,
                    started_us: number,
                    phases: PhaseTimes { tls_us: Some(number), ..PhaseTimes::default() },
                    usage: record.usage,
                    usage_source: UsageSource::Estimated,
                    cost: Cost::NOTHING,
                }];
            }
            let (own, general) = both(&record);
            prop_assert_eq!(own, general);
        }
    }

    /// Every kind of value that a serializer can meet.
    #[derive(Serialize)]
    enum Kind {
        Nothing,
        One(f64),
        Two(f32, Option<bool>),
        Named { map: std::collections::BTreeMap<String, Vec<i64>>, unit: (), letter: char },
    }

    proptest! {
        #[test]
        fn every_kind_of_value_is_written_as_the_general_serializer_writes_it(
            fraction in any::<f64>(),
            single in any::<f32>(),
            map in prop::collection::btree_map(any::<String>(), prop::collection::vec(any::<i64>(), 0..4), 0..4),
            letter in any::<char>(),
        ) {
            let kinds = (
                Kind::Nothing,
                Kind::One(fraction),
                Kind::Two(single, None),
                [Kind::Named { map, unit: (), letter }],
            );
            let (own, general) = both(&kinds);
            prop_assert_eq!(own, general);
        }
    }

    #[test]
    fn a_map_without_texts_as_keys_is_an_error() {
        let map = std::collections::BTreeMap::from([(1, 1)]);
        let error = write(&mut Vec::new(), &map).unwrap_err();
        insta::assert_snapshot!(error, @"write a map whose keys are not texts");
    }
}
