//! The keys of one object, so that none comes twice.
//!
//! Owns the memory of the keys seen and the telling of a repeated one, with its path. Two parsers need not agree which of two
//! duplicates counts: what is decided here could be decided by one of them while the provider reads the other. Nearly all objects
//! have few keys, none twice: those cost a bit each, and are compared only when the bits meet.

use super::reader::{Escapes, Fault, Kind, Reader, Text};
use crate::codec::BadRequest;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Objects of more keys are looked up in a tree, lest a body of nothing but keys cost their number squared.
const FEW: usize = 12;
/// The longest name and path that an error repeats, in characters.
const SHOWN: usize = 200;

/// The keys of an object so far.
pub(super) struct Keys<'a> {
    /// A bit for each key; a key whose bit is free was not seen.
    mask: u64,
    /// Where they start.
    few: SmallVec<[usize; FEW]>,
    /// Made when there are more.
    many: Option<BTreeMap<Cow<'a, str>, usize>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new() -> Self {
        Self { mask: 0, few: SmallVec::new(), many: None }
    }

    /// Notes a key of `text`; gives where it stood before, if it did.
    pub(super) fn note(&mut self, text: &'a str, key: Text<'a>) -> Option<usize> {
        if let Some(many) = &mut self.many {
            return many.insert(key.resolve(), key.start);
        }
        let bit = bit_of(key);
        if self.mask & bit != 0
            && let Some(before) = self.find(text, key)
        {
            return Some(before);
        }
        self.mask |= bit;
        if self.few.len() == FEW {
            let few = self.few.iter().map(|&start| (key_at(text, start).resolve(), start));
            let all = few.chain(std::iter::once((key.resolve(), key.start)));
            self.many = Some(all.collect());
        } else {
            self.few.push(key.start);
        }
        None
    }

    #[cold]
    fn find(&self, text: &'a str, key: Text<'a>) -> Option<usize> {
        let name = key.resolve();
        self.few.iter().copied().find(|&start| key_at(text, start).resolve() == name)
    }
}

/// A bit that depends on the name alone. An escaped spelling may be of any name: it sets and meets all bits.
fn bit_of(key: Text<'_>) -> u64 {
    if key.escapes != Escapes::None {
        return u64::MAX;
    }
    let bytes = key.raw.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let mixed = bytes.len() as u32 * 7
        + u32::from(at(0)) * 3
        + u32::from(at(bytes.len() / 2)) * 5
        + u32::from(at(bytes.len().wrapping_sub(1)));
    1 << (mixed & 63)
}

/// The key whose text starts there; it was read before.
fn key_at(text: &str, start: usize) -> Text<'_> {
    let mut reader = Reader::at(text, start.saturating_sub(1));
    reader.string().unwrap_or(Text { raw: "", escapes: Escapes::None, start })
}

/// A key that stands twice in an object.
#[cold]
pub(super) fn repeated(text: &str, key: Text<'_>, before: usize) -> Fault {
    let path = path_to(text, key.start).unwrap_or_else(|| key.resolve().into_owned());
    let path: String = path.chars().take(SHOWN).collect();
    let message = format!(
        "`{path}` stands in the body twice, at byte {before} and at byte {}; leave one out",
        key.start
    );
    Box::new(BadRequest { message, path: Some(path), offset: Some(key.start) })
}

/// The path of the key that starts at an offset, such as `messages[1].content[0].text`.
fn path_to(text: &str, offset: usize) -> Option<String> {
    let mut reader = Reader::new(text);
    reader.blanks();
    let mut path = String::new();
    // The visitors stop at the key with a fault of their own, and the path stays as far as it was written.
    find(&mut reader, offset, &mut path).err().map(|_| path)
}

/// Follows the value that begins here down to the offset; fails there. What ends before the offset is left behind.
fn find(reader: &mut Reader<'_>, offset: usize, path: &mut String) -> Result<(), Fault> {
    let length = path.len();
    match reader.kind() {
        Kind::Object => reader.object(|reader, key| {
            path.truncate(length);
            if length > 0 {
                path.push('.');
            }
            path.push_str(&key.resolve());
            if key.start == offset { Err(reader.unexpected("nothing")) } else { find(reader, offset, path) }
        }),
        Kind::Array => reader.array(|reader, index| {
            path.truncate(length);
            path.push_str(&format!("[{index}]"));
            find(reader, offset, path)
        }),
        _ => reader.skip().map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) -> Result<(), Fault> {
        let mut reader = Reader::strict(text);
        reader.blanks();
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_path() {
        let many: String = (0..30).map(|number| format!("\"k{number}\":{number},")).collect();
        let cases = [
            r#"{"x":{"a":1,"a":2}}"#.to_owned(),
            r#"{"x":{"a":1,"\u0061":2}}"#.to_owned(),
            r#"{"x":{"\u0061":1,"b":0,"a":2}}"#.to_owned(),
            r#"{"messages":[{"role":"user"},{"role":"user","content":[{"text":"a","type":"text","text":"b"}]}]}"#.to_owned(),
            r#"[[{"":0,"":1}]]"#.to_owned(),
            format!(r#"[{{{many}"k7":0}}]"#),
            format!(r#"{{"tools":{{{many}"k29":0}}}}"#),
        ];
        let report: Vec<String> = cases.iter().map(|case| check(case).unwrap_err().message).collect();
        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn the_same_key_in_other_objects_is_another() {
        for text in
            [r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#, "{}", r#"{"":1,"a":1,"A":1}"#]
        {
            assert!(check(text).is_ok(), "{text}");
        }
        assert!(Reader::new(r#"[{"a":1,"a":2}]"#).skip().is_ok(), "what is not a request is read as it is");
        assert!(check(r#"{"a":1,"a":2}"#).is_ok(), "the outermost object is its visitor's");
    }

    proptest! {
        #[test]
        fn exactly_the_objects_with_a_key_twice_are_refused(names in proptest::collection::vec("[a-c]{0,2}|[a-z]{1,12}", 0..40), escaped in any::<u64>()) {
            let spelled = |(index, name): (usize, &String)| match (escaped >> (index % 64) & 1, name.chars().next()) {
                (1, Some(first)) => format!("\"\\u{:04x}{}\":0", u32::from(first), &name[first.len_utf8()..]),
                _ => format!("\"{name}\":0"),
            };
            let text = format!("[{{{}}}]", names.iter().enumerate().map(spelled).collect::<Vec<_>>().join(","));
            let distinct = names.iter().collect::<std::collections::BTreeSet<_>>().len();
            prop_assert_eq!(check(&text).is_ok(), distinct == names.len(), "{}", text);
        }
    }
}
