//! Editing a few fields of a body that otherwise passes through.
//!
//! Owns edits by place and the rope they make of a body: slices of what came, between them what is new. Must not know which
//! fields a dialect edits. The body is never copied; what is not edited reaches the provider byte for byte, also where the
//! client's spelling is odd.

use crate::codec::Envelope;
use bytes::Bytes;
use smallvec::SmallVec;
use std::ops::Range;
use trunkline_model::warning::Warning;

/// A body in pieces, in order.
pub type Rope = SmallVec<[Bytes; 8]>;

/// One change of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// New bytes in place of a range (a value, or part of one).
    Replace {
        /// What goes.
        range: Range<usize>,
        /// What comes.
        with: Bytes,
    },
    /// A top-level field goes, with its comma.
    Remove {
        /// Its index in `Envelope::fields`.
        field: usize,
    },
    /// A top-level field comes, after all others.
    Append {
        /// Its name, without quotes; must need no escapes.
        name: String,
        /// Its value, as JSON.
        value: Bytes,
    },
}

/// What a pass-through changes of a body, and what the client is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The changes, in any order; ranges do not overlap.
    pub edits: Vec<Edit>,
    /// What did not pass unchanged in meaning.
    pub warnings: Vec<Warning>,
}

impl Edits {
    /// Sets a top-level field, wherever and however often it stands, or appends it. Every occurrence is set, because not
    /// all parsers agree on which of two duplicates counts.
    pub fn set(&mut self, envelope: &Envelope, body: &[u8], name: &str, value: impl Into<Bytes>) {
        let value = value.into();
        let mut found = false;
        for (_, place) in occurrences(envelope, body, name) {
            found = true;
            if body.get(place.clone()) != Some(&value[..]) {
                self.edits.push(Edit::Replace { range: place, with: value.clone() });
            }
        }
        if !found {
            self.edits.push(Edit::Append { name: name.to_owned(), value });
        }
    }

    /// Sets a top-level field to a string.
    pub fn set_string(&mut self, envelope: &Envelope, body: &[u8], name: &str, value: &str) {
        self.set(envelope, body, name, json_string(value));
    }

    /// Removes a top-level field, wherever and however often it stands; tells whether it was there.
    pub fn remove(&mut self, envelope: &Envelope, body: &[u8], name: &str) -> bool {
        let before = self.edits.len();
        self.edits.extend(occurrences(envelope, body, name).map(|(field, _)| Edit::Remove { field }));
        self.edits.len() > before
    }

    /// Gives a top-level field another name; tells whether it was there. Should the other name be there already, the
    /// renamed field wins.
    pub fn rename(&mut self, envelope: &Envelope, body: &[u8], from: &str, to: &str) -> bool {
        if envelope.field(body, from).is_none() {
            return false;
        }
        self.remove(envelope, body, to);
        let names: Vec<Range<usize>> = envelope
            .fields
            .iter()
            .filter(|field| field_name_is(body, &field.name, from))
            .map(|field| field.name.clone())
            .collect();
        let to = Bytes::copy_from_slice(to.as_bytes());
        self.edits.extend(names.into_iter().map(|range| Edit::Replace { range, with: to.clone() }));
        true
    }

    /// Whether the body passes as it came.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Makes the changed body, of which `envelope` is the scan.
    #[must_use]
    pub fn apply(&self, body: &Bytes, envelope: &Envelope) -> Rope {
        if self.edits.is_empty() {
            return Rope::from_elem(body.clone(), 1);
        }
        let mut patches: SmallVec<[(Range<usize>, Bytes); 8]> = SmallVec::new();
        let mut removed: SmallVec<[usize; 8]> = SmallVec::new();
        let mut appended = Vec::new();
        for edit in &self.edits {
            match edit {
                Edit::Replace { range, with } => patches.push((range.clone(), with.clone())),
                Edit::Remove { field } if *field < envelope.fields.len() => removed.push(*field),
                Edit::Remove { .. } => {}
                Edit::Append { name, value } => append(&mut appended, name, value),
            }
        }
        removed.sort_unstable();
        removed.dedup();
        patches.extend(removals(envelope, &removed).into_iter().map(|range| (range, Bytes::new())));
        if !appended.is_empty() {
            let (place, is_first) = match envelope.fields.last() {
                Some(last) => (last.value.end, removed.len() == envelope.fields.len()),
                None => (memchr::memchr(b'{', body).map_or(0, |brace| brace + 1), true),
            };
            // Each appended field was written with a comma before it; the first of an object has none.
            let text = Bytes::from(appended);
            patches.push((place..place, if is_first { text.slice(1..) } else { text }));
        }
        // At the same start the removal of what stands there comes before what is appended: the sort is stable.
        patches.sort_by_key(|(range, _)| (range.start, range.end));
        join(body, &patches)
    }
}

/// A string as JSON.
#[must_use]
pub fn json_string(text: &str) -> Bytes {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    crate::write::string(&mut quoted, text);
    Bytes::from(quoted)
}

/// A rope as one piece: without a copy where it is one already.
#[must_use]
pub fn join_rope(rope: &Rope) -> Bytes {
    match rope.as_slice() {
        [one] => one.clone(),
        pieces => Bytes::from(pieces.concat()),
    }
}

fn occurrences<'e>(
    envelope: &'e Envelope,
    body: &'e [u8],
    name: &'e str,
) -> impl Iterator<Item = (usize, Range<usize>)> + 'e {
    envelope
        .fields
        .iter()
        .enumerate()
        .filter(move |(_, field)| field_name_is(body, &field.name, name))
        .map(|(index, field)| (index, field.value.clone()))
}

/// Compares a raw name; one with escapes (nobody writes them, but they are legal) is resolved first.
fn field_name_is(body: &[u8], raw: &Range<usize>, name: &str) -> bool {
    let Some(raw) = body.get(raw.clone()) else { return false };
    if !raw.contains(&b'\\') {
        return raw == name.as_bytes();
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).is_ok_and(|resolved| resolved == name)
}

fn append(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

/// The ranges that take fields out together with the commas that separated them.
fn removals(envelope: &Envelope, removed: &[usize]) -> SmallVec<[Range<usize>; 8]> {
    let fields = &envelope.fields;
    let mut ranges: SmallVec<[Range<usize>; 8]> = SmallVec::new();
    let mut index = 0;
    while index < removed.len() {
        // A run of neighbours is one range.
        let first = removed[index];
        let mut last = first;
        while removed.get(index + 1) == Some(&(last + 1)) {
            index += 1;
            last += 1;
        }
        index += 1;
        let start = fields[first].name.start - 1;
        ranges.push(match (fields.get(last + 1), first.checked_sub(1)) {
            // Up to the quote of the next name: the comma in between goes too.
            (Some(next), _) => start..next.name.start - 1,
            // The last run takes the comma before it.
            (None, Some(before)) => fields[before].value.end..fields[last].value.end,
            (None, None) => start..fields[last].value.end,
        });
    }
    ranges
}

/// Lays patches, sorted by place, over a body. A patch inside an earlier one (a change of a removed field) is void.
fn join(body: &Bytes, patches: &[(Range<usize>, Bytes)]) -> Rope {
    let mut rope = Rope::new();
    let mut at = 0;
    for (range, with) in patches {
        if range.start < at || range.end < range.start || range.end > body.len() {
            // What is appended goes in even where the range it stands at was removed.
            if range.is_empty() && range.start <= body.len() {
                rope.push(with.clone());
            }
            continue;
        }
        if range.start > at {
            rope.push(body.slice(at..range.start));
        }
        if !with.is_empty() {
            rope.push(with.clone());
        }
        at = range.end;
    }
    if at < body.len() {
        rope.push(body.slice(at..));
    }
    rope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PathParts;
    use crate::scan;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use trunkline_model::dialect::{Dialect, Operation};

    fn scan(body: &str) -> Envelope {
        // Gemini embeddings with the model in the path demand the fewest fields.
        let path = PathParts { model: Some("m".to_owned()), delivery: None };
        scan::envelope(Dialect::Gemini, Operation::Embeddings, body.as_bytes(), &path).unwrap()
    }

    fn apply(body: &str, edits: &Edits) -> String {
        let rope = edits.apply(&Bytes::copy_from_slice(body.as_bytes()), &scan(body));
        String::from_utf8(join_rope(&rope).to_vec()).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize),
        Remove(usize),
    }

    proptest! {
        #[test]
        fn edits_mean_what_editing_a_tree_means(
            mut names in proptest::collection::vec("[a-f]", 0..6),
            blanks in proptest::collection::vec("[ \n]{0,2}", 4),
            steps in proptest::collection::btree_map(0usize..8, any::<bool>(), 0..8),
        ) {
            names.sort();
            names.dedup();
            names.push("content".to_owned());
            let mut tree = Map::new();
            let fields: Vec<String> = names.iter().enumerate().map(|(index, name)| {
                tree.insert(name.clone(), json!([index]));
                format!("\"{name}\"{}:{}[{index}]", blanks[0], blanks[1])
            }).collect();
            let body = format!("{{{}{}{}}}", blanks[2], fields.join(&format!("{},{}", blanks[3], blanks[0])), blanks[1]);
            let envelope = scan(&body);
            let mut edits = Edits::default();
            let alphabet = ["a", "b", "c", "d", "e", "f", "content", "fresh"];
            let steps: Vec<Step> = steps.iter()
                .map(|(index, set)| if *set { Step::Set(*index) } else { Step::Remove(*index) }).collect();
            for step in &steps {
                match step {
                    Step::Set(index) => {
                        edits.set_string(&envelope, body.as_bytes(), alphabet[*index], "né\"w");
                        tree.insert(alphabet[*index].to_owned(), json!("né\"w"));
                    }
                    Step::Remove(index) => {
                        let was_there = edits.remove(&envelope, body.as_bytes(), alphabet[*index]);
                        prop_assert_eq!(was_there, tree.shift_remove(alphabet[*index]).is_some());
                    }
                }
            }
            let edited = apply(&body, &edits);
            let value: Value = serde_json::from_str(&edited).unwrap();
            prop_assert_eq!(value.to_string(), Value::Object(tree).to_string(), "{}", edited);
            if steps.is_empty() {
                prop_assert_eq!(edited, body);
            }
        }
    }

    #[test]
    fn untouched_bytes_stay_as_they_were() {
        let body = "{ \"content\" : [ 1.0e0 , \"\\u0041\" ] ,\n \"x\":1 , \"model\" : \"a\" }\n";
        let mut edits = Edits::default();
        edits.set_string(&scan(body), body.as_bytes(), "model", "b");
        edits.remove(&scan(body), body.as_bytes(), "x");
        edits.edits.push(Edit::Append { name: "z".to_owned(), value: Bytes::from_static(b"true") });
        let expected = "{ \"content\" : [ 1.0e0 , \"\\u0041\" ] ,\n \"model\" : \"b\",\"z\":true }\n";
        assert_eq!(apply(body, &edits), expected);
    }

    #[test]
    fn every_duplicate_is_set_whatever_its_spelling() {
        let body = r#"{"model":"a","content":1,"mod\u0065l":"c"}"#;
        let mut edits = Edits::default();
        edits.set_string(&scan(body), body.as_bytes(), "model", "b");
        assert_eq!(apply(body, &edits), r#"{"model":"b","content":1,"mod\u0065l":"b"}"#);
    }

    #[test]
    fn the_body_is_not_copied() {
        let body = Bytes::from_static(br#"{"content":"a long prompt","model":"a"}"#);
        let envelope = scan(std::str::from_utf8(&body).unwrap());
        let mut edits = Edits::default();
        edits.set_string(&envelope, &body, "model", "b");
        let rope = edits.apply(&body, &envelope);
        assert_eq!(rope.len(), 3);
        assert_eq!(rope[0].as_ptr(), body.as_ptr());
    }

    #[test]
    fn renaming_keeps_the_value_and_wins_over_the_other_name() {
        let body = r#"{"content":1,"max_completion_tokens":9,"max_tokens":5}"#;
        let mut edits = Edits::default();
        assert!(edits.rename(&scan(body), body.as_bytes(), "max_tokens", "max_completion_tokens"));
        assert!(!edits.rename(&scan(body), body.as_bytes(), "n", "m"));
        assert_eq!(apply(body, &edits), r#"{"content":1,"max_completion_tokens":5}"#);
    }

    #[test]
    fn the_only_field_can_be_removed_and_another_appended() {
        let body = r#"{ "content":1 }"#;
        let mut edits = Edits::default();
        edits.remove(&scan(body), body.as_bytes(), "content");
        assert_eq!(apply(body, &edits), "{  }");
        edits.set_string(&scan(body), body.as_bytes(), "a", "x");
        edits.set_string(&scan(body), body.as_bytes(), "b", "y");
        assert_eq!(apply(body, &edits), r#"{ "a":"x","b":"y" }"#);
    }
}
