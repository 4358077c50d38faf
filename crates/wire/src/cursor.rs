//! A way through the tree of a JSON body, with the path in hand.
//!
//! Owns the cursor that request decoders of the Anthropic and Gemini dialects share, which names the place of every mistake in the
//! client's own words. Must not know any dialect, nor parse. It refuses half a surrogate pair wherever a string is read: what these
//! dialects' providers would make of it is not known.

use crate::codec::BadRequest;
use crate::scan::reader::{Escapes, Kind};
use crate::scan::tree::{self, Node, Value};
use crate::scan::unescape::exact;
use crate::source::Source;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt::Write as _;
use trunkline_model::json::Json;
use trunkline_model::text::Text;

/// Parses a whole body.
///
/// # Errors
/// Invalid UTF-8, a syntax error, too deep nesting, too many values or half a surrogate pair in a name, with the byte offset.
pub(crate) fn parse<'a>(body: impl Into<Source<'a>>) -> Result<Node<'a>, BadRequest> {
    tree::parse_exactly(body.into())
}

/// A node and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct At<'t> {
    node: &'t Node<'t>,
    up: Option<&'t At<'t>>,
    step: Step<'t>,
    /// The body, where text can be a share of it.
    body: Option<&'t Bytes>,
}

#[derive(Clone, Copy)]
enum Step<'t> {
    Root,
    Field(&'t str),
    Index(usize),
}

impl<'t> At<'t> {
    /// The cursor at the top of a body.
    pub(crate) const fn root(node: &'t Node<'t>) -> Self {
        Self { node, up: None, step: Step::Root, body: None }
    }

    /// The same, of a body that text may be a share of.
    pub(crate) const fn shared(node: &'t Node<'t>, source: Source<'t>) -> Self {
        Self { node, up: None, step: Step::Root, body: source.shared() }
    }

    /// The path, for example `messages[2].content`.
    pub(crate) fn path(&self) -> String {
        let mut path = self.up.map(At::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Index(index) => write!(path, "[{index}]").expect("writing to a string cannot fail"),
        }
        path
    }

    /// A mistake at this place: `expected` is what should be here.
    pub(crate) fn expected(&self, expected: &str) -> BadRequest {
        self.wrong(&format!("expected {expected}, found {}", self.node.kind().described()))
    }

    /// A mistake at this place, in words.
    pub(crate) fn wrong(&self, what: &str) -> BadRequest {
        let path = self.path();
        if path.is_empty() {
            return BadRequest { message: what.to_owned(), path: None, offset: None };
        }
        BadRequest::at(path.clone(), format!("{path}: {what}"))
    }

    /// The JSON text as it came.
    pub(crate) const fn raw(&self) -> &'t str {
        self.node.raw
    }

    /// The value, kept as text.
    pub(crate) fn json(&self) -> Result<Json, BadRequest> {
        Json::parse(self.node.raw.to_owned()).map_err(|_| self.wrong("not valid JSON"))
    }

    /// An object, kept as text.
    pub(crate) fn object_json(&self) -> Result<Json, BadRequest> {
        if self.is_object() { self.json() } else { Err(self.expected("an object")) }
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    pub(crate) const fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_))
    }

    pub(crate) const fn is_object(&self) -> bool {
        matches!(self.node.kind(), Kind::Object)
    }

    pub(crate) const fn is_array(&self) -> bool {
        matches!(self.node.kind(), Kind::Array)
    }

    /// A string, borrowed where it has no escapes.
    pub(crate) fn text(&self) -> Result<Cow<'t, str>, BadRequest> {
        let Value::Text(said) = &self.node.value else { return Err(self.expected("a string")) };
        exact(self.node.inside(), said.escapes)
            .ok_or_else(|| self.wrong("the string holds half a surrogate pair"))
    }

    /// A string as text of the conversation, and a share of the body where it can be one.
    pub(crate) fn said(&self) -> Result<Text, BadRequest> {
        if matches!(&self.node.value, Value::Text(said) if said.escapes == Escapes::Letters)
            && let Some(text) = Text::escaped_part(self.body, self.node.raw)
        {
            return Ok(text);
        }
        Ok(match self.text()? {
            Cow::Borrowed(part) => Text::plain_part(self.body, part),
            Cow::Owned(text) => Text::from(text),
        })
    }

    /// A string of one's own.
    pub(crate) fn string(&self) -> Result<String, BadRequest> {
        self.text().map(Cow::into_owned)
    }

    pub(crate) fn boolean(&self) -> Result<bool, BadRequest> {
        if let Value::Boolean(value) = self.node.value { Ok(value) } else { Err(self.expected("a boolean")) }
    }

    /// A whole number from 0; `1.0` counts, because some clients write every number with a point.
    pub(crate) fn unsigned(&self) -> Result<u64, BadRequest> {
        let expected = "a whole number, 0 or more";
        if !matches!(self.node.value, Value::Number) {
            return Err(self.expected(expected));
        }
        if let Ok(value) = self.node.raw.parse::<u64>() {
            return Ok(value);
        }
        match self.node.raw.parse::<f64>() {
            Ok(value) if value >= 0.0 && value.fract() == 0.0 && value < 9.0e15 => Ok(value as u64),
            _ => Err(self.wrong(&format!("expected {expected}, found {}", shown(self.node.raw)))),
        }
    }

    /// A whole number that fits 32 bits.
    pub(crate) fn unsigned_32(&self) -> Result<u32, BadRequest> {
        u32::try_from(self.unsigned()?).map_err(|_| self.wrong("the number is too large"))
    }

    /// A whole number of either sign.
    pub(crate) fn signed(&self) -> Result<i64, BadRequest> {
        let expected = "a whole number";
        if !matches!(self.node.value, Value::Number) {
            return Err(self.expected(expected));
        }
        if let Ok(value) = self.node.raw.parse::<i64>() {
            return Ok(value);
        }
        match self.node.raw.parse::<f64>() {
            Ok(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => Ok(value as i64),
            _ => Err(self.wrong(&format!("expected {expected}, found {}", shown(self.node.raw)))),
        }
    }

    pub(crate) fn float(&self) -> Result<f64, BadRequest> {
        if !matches!(self.node.value, Value::Number) {
            return Err(self.expected("a number"));
        }
        match self.node.raw.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(self.wrong("the number is out of range")),
        }
    }

    /// The elements of an array.
    pub(crate) fn items(&'t self) -> Result<impl ExactSizeIterator<Item = At<'t>>, BadRequest> {
        let Value::Array(items) = &self.node.value else { return Err(self.expected("an array")) };
        Ok(items.iter().enumerate().map(move |(index, node)| At {
            node,
            up: Some(self),
            step: Step::Index(index),
            body: self.body,
        }))
    }

    /// The items of an array; an object alone is its only one.
    pub(crate) fn one_or_more(&'t self) -> Result<impl ExactSizeIterator<Item = At<'t>>, BadRequest> {
        let (nodes, is_alone) = match &self.node.value {
            Value::Object(_) => (std::slice::from_ref(self.node), true),
            Value::Array(nodes) => (nodes.as_slice(), false),
            _ => return Err(self.expected("an array")),
        };
        Ok(nodes.iter().enumerate().map(move |(index, node)| {
            if is_alone {
                return *self;
            }
            At { node, up: Some(self), step: Step::Index(index), body: self.body }
        }))
    }

    /// The text of an object that holds nothing else, under that name.
    pub(crate) fn lone_text(&'t self, name: &'t str) -> Option<At<'t>> {
        let Value::Object(fields) = &self.node.value else { return None };
        let [(found, node)] = fields.as_slice() else { return None };
        let text = At { node, up: Some(self), step: Step::Field(name), body: self.body };
        (found == name && text.is_text()).then_some(text)
    }

    /// The fields of an object, in order.
    pub(crate) fn fields(&'t self) -> Result<impl ExactSizeIterator<Item = (&'t str, At<'t>)>, BadRequest> {
        let Value::Object(fields) = &self.node.value else { return Err(self.expected("an object")) };
        Ok(fields.iter().map(move |(name, node)| {
            (&**name, At { node, up: Some(self), step: Step::Field(name), body: self.body })
        }))
    }

    /// A field that is there and not null; the last of duplicates counts. Anything but an object has no fields.
    pub(crate) fn optional(&'t self, name: &'t str) -> Option<At<'t>> {
        self.either(name, name)
    }

    /// A field under either of two spellings.
    pub(crate) fn either(&'t self, name: &'t str, other: &'t str) -> Option<At<'t>> {
        let Value::Object(fields) = &self.node.value else { return None };
        let (found, node) = fields.iter().rev().find(|(found, _)| found == name || found == other)?;
        if matches!(node.value, Value::Null) {
            return None;
        }
        Some(At { node, up: Some(self), step: Step::Field(found), body: self.body })
    }

    /// A field that must be there.
    pub(crate) fn required(&'t self, name: &'t str, expected: &str) -> Result<At<'t>, BadRequest> {
        if !self.is_object() {
            return Err(self.expected("an object"));
        }
        self.optional(name).ok_or_else(|| self.missing(name, expected))
    }

    /// The mistake of a field that is not there.
    pub(crate) fn missing(&self, name: &str, expected: &str) -> BadRequest {
        let path = self.path();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        BadRequest::at(path.clone(), format!("{path}: missing, expected {expected}"))
    }
}

fn shown(raw: &str) -> &str {
    raw.get(..40).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(body: &str) -> String {
        parse(body.as_bytes()).map(|_| "ok".to_owned()).unwrap_or_else(|error| error.message)
    }

    #[test]
    fn syntax_errors_name_the_byte() {
        let bodies = [
            "",
            "{\"a\":1,}",
            "{\"a\":}",
            "[1,2",
            "{\"a\" 1}",
            "\"abc",
            "{\"a\":tru}",
            "01",
            "-",
            "1.",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "{} x",
        ];
        let lines: Vec<String> = bodies.iter().map(|body| format!("{body:?}: {}", message(body))).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(message(&"[".repeat(300)), "JSON nested deeper than 128 levels at byte 128");
        assert_eq!(message("{\"\\ud83d\":1}"), "a field name holds half a surrogate pair (byte 1)");
        assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap_err().offset, Some(6));
    }

    #[test]
    fn places_are_named_by_path() {
        let node = parse(br#"{"a":[{"b":1,"c":"x\u00e9"}],"d":null}"#).unwrap();
        let root = At::root(&node);
        let array = root.optional("a").unwrap();
        let item = array.items().unwrap().next().unwrap();
        let number = item.required("b", "a string").unwrap();
        assert_eq!(number.text().unwrap_err().message, "a[0].b: expected a string, found a number");
        assert_eq!(item.required("z", "a thing").err().unwrap().message, "a[0].z: missing, expected a thing");
        assert_eq!(item.optional("c").unwrap().string().unwrap(), "xé");
        assert!(root.optional("d").is_none());
        assert_eq!(item.raw(), r#"{"b":1,"c":"x\u00e9"}"#);
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_and_its_stand_in_is_not() {
        let read = |text: &str| {
            let node = parse(text.as_bytes()).unwrap();
            let (said, string) = (At::root(&node).said().map(Text::into_string), At::root(&node).string());
            assert_eq!(said, string);
            string
        };
        let long = "x".repeat(80);
        let escaped = "so: \\n".repeat(40);
        for before in ["", &long] {
            assert!(read(&format!("\"{escaped}{before}\\ud83d\"")).is_err());
            assert!(read(&format!("\"{escaped}\\ud83d{escaped}\"")).is_err());
            assert!(read(&format!("\"{before}\\ud83d\"")).is_err());
            assert_eq!(read(&format!("\"{before}\\ufffd\\n\"")).unwrap(), format!("{before}\u{fffd}\n"));
            assert_eq!(read(&format!("\"{before}\\ud83d\\ude00\"")).unwrap(), format!("{before}😀"));
        }
    }

    proptest! {
        /// Strings longer than what is looked at together.
        #[test]
        fn long_strings_are_read_as_serde_reads_them(pieces in proptest::collection::vec(("[a-zé]{0,70}", "\\\\(n|\"|\\\\|u00e9)|"), 0..12), end in "(\"|\\\\|\u{1})?") {
            let raw: String = pieces.iter().flat_map(|(plain, escape)| [plain.as_str(), escape]).collect();
            let text = format!("\"{raw}{end}");
            let ours = parse(text.as_bytes()).ok().map(|node| At::root(&node).string().unwrap());
            prop_assert_eq!(ours, serde_json::from_str::<String>(&text).ok());
        }

        /// This parser and serde_json accept the same texts (but for half surrogates, refused when the string is read).
        #[test]
        fn accepts_what_serde_accepts(text in r#"[\[\]{}",:0-9eE.+\-\\ntrufalse ]{0,24}"#) {
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }
    }
}
