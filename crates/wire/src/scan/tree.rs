//! A borrowed tree of a request body, for decoders that must name the place of a mistake.
//!
//! Owns the tree and the typed access to it with paths. Must not know any dialect. A tree and not typed structs, because
//! the fields of a part may come in any order, duplicates are legal, and "messages[2].content[0].image_url.url: expected
//! a string, found a number" is the message a client can use. Strings without escapes and raw values are not copied.

use super::reader::{self, Escapes, Fault, Kind, Reader, wrong_type};
use super::unescape::{exact, unescape};
use crate::codec::BadRequest;
use crate::source::Source;
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::ops::RangeInclusive;
use trunkline_model::json::Json;
use trunkline_model::text::Text;

/// The most values one body may hold: bounds the memory of the tree to some 80 MB.
const NODE_LIMIT: usize = 1 << 20;

/// A value and its text.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// The text of the value, as it came.
    pub(crate) raw: &'a str,
    /// What it is.
    pub(crate) value: Value<'a>,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    /// Its text is the node's.
    Number,
    Text(Said),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// Checked but not entered: a value under one of the opaque keys.
    Opaque(Kind),
}

/// A string: what it reads as is found when somebody asks.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its escapes.
    pub(crate) escapes: Escapes,
    resolved: OnceCell<Box<str>>,
}

/// Reads a body; values under `opaque` keys (schemas, tool arguments) are kept as text.
///
/// # Errors
/// Syntax errors with their byte offset; too many values.
pub(crate) fn parse<'a>(body: impl Into<Source<'a>>, opaque: &[&str]) -> Result<Node<'a>, BadRequest> {
    read(body.into(), opaque, Names::AsTheyAre)
}

/// As `parse`, all of it entered, of a body in whose names no half of a surrogate pair may stand.
pub(crate) fn parse_exactly(body: Source<'_>) -> Result<Node<'_>, BadRequest> {
    read(body, &[], Names::Exact)
}

/// As `parse`, of text.
pub(crate) fn parse_text<'a>(text: &'a str, opaque: &[&str]) -> Result<Node<'a>, BadRequest> {
    build(Reader::new(text), opaque, Names::AsTheyAre)
}

fn read<'a>(source: Source<'a>, opaque: &[&str], names: Names) -> Result<Node<'a>, BadRequest> {
    let text = super::utf8(source.bytes())?;
    build(Reader::knowing(text, source.strings()), opaque, names)
}

fn build<'a>(mut reader: Reader<'a>, opaque: &[&str], names: Names) -> Result<Node<'a>, BadRequest> {
    let mut builder = Builder { opaque, names, left: NODE_LIMIT };
    reader.blanks();
    let mut node = Node::EMPTY;
    builder.fill(&mut reader, &mut node).map_err(|fault| *fault)?;
    reader.end().map_err(|fault| *fault)?;
    Ok(node)
}

/// What names may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Half a surrogate pair reads as U+FFFD.
    AsTheyAre,
    /// Half a surrogate pair is a mistake.
    Exact,
}

struct Builder<'k> {
    opaque: &'k [&'k str],
    names: Names,
    left: usize,
}

impl Builder<'_> {
    /// Reads the value that comes next into its place. What is made elsewhere and then moved is waited for: it would be read back as
    /// soon as it is written.
    fn fill<'a>(&mut self, reader: &mut Reader<'a>, node: &mut Node<'a>) -> Result<(), Fault> {
        let start = reader.position();
        self.left = self.left.checked_sub(1).ok_or_else(|| too_many(start))?;
        match reader.kind() {
            Kind::Text => {
                let escapes = reader.string()?.escapes;
                node.value = Value::Text(Said { escapes, resolved: OnceCell::new() });
            }
            Kind::Object => {
                // Most are a role and what is said.
                let room = if self.left + 1 == NODE_LIMIT { 12 } else { 2 };
                node.value = Value::Object(Vec::with_capacity(room));
                let Value::Object(fields) = &mut node.value else { unreachable!("it was made one above") };
                reader.object(|reader, key| self.field(reader, key, fields))?;
            }
            Kind::Array => {
                node.value = Value::Array(Vec::new());
                let Value::Array(elements) = &mut node.value else { unreachable!("it was made one above") };
                reader.array(|reader, _| {
                    elements.push(Node::EMPTY);
                    let element = elements.last_mut().expect("one was pushed");
                    self.fill(reader, element)
                })?;
            }
            // It is null already.
            Kind::Null => reader.word("null")?,
            Kind::Boolean => node.value = Value::Boolean(reader.boolean()?),
            Kind::Number => {
                reader.number()?;
                node.value = Value::Number;
            }
            Kind::Invalid => return Err(reader.unexpected("a JSON value")),
        }
        node.raw = reader.since(start);
        Ok(())
    }

    fn field<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        key: reader::Text<'a>,
        fields: &mut Vec<(Cow<'a, str>, Node<'a>)>,
    ) -> Result<(), Fault> {
        fields.push((Cow::Borrowed(""), Node::EMPTY));
        let (name, node) = fields.last_mut().expect("one was pushed");
        if key.escapes == Escapes::None {
            *name = Cow::Borrowed(key.raw);
        } else {
            *name = self.name(key)?;
        }
        let kind = reader.kind();
        if matches!(kind, Kind::Array | Kind::Object) && self.opaque.contains(&name.as_ref()) {
            *node = Node { raw: reader.skip()?, value: Value::Opaque(kind) };
            return Ok(());
        }
        self.fill(reader, node)
    }

    fn name<'a>(&self, key: reader::Text<'a>) -> Result<Cow<'a, str>, Fault> {
        if self.names == Names::AsTheyAre {
            return Ok(key.resolve());
        }
        exact(key.raw, key.escapes).ok_or_else(|| {
            let offset = key.start - 1;
            let message = format!("a field name holds half a surrogate pair (byte {offset})");
            Box::new(BadRequest { message, path: None, offset: Some(offset) })
        })
    }
}

#[cold]
fn too_many(offset: usize) -> Fault {
    Box::new(BadRequest {
        message: format!("the body holds more than {NODE_LIMIT} JSON values"),
        path: None,
        offset: Some(offset),
    })
}

impl<'a> Node<'a> {
    /// A place for a value that is still to be read.
    const EMPTY: Self = Self { raw: "", value: Value::Null };

    /// What it is.
    pub(crate) const fn kind(&self) -> Kind {
        match &self.value {
            Value::Null => Kind::Null,
            Value::Boolean(_) => Kind::Boolean,
            Value::Number => Kind::Number,
            Value::Text(_) => Kind::Text,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
            Value::Opaque(kind) => *kind,
        }
    }

    /// The last field of that name; a null counts as absent.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Object(fields) => fields
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, node)| node)
                .filter(|node| !matches!(node.value, Value::Null)),
            _ => None,
        }
    }

    /// The fields of an object that are not shadowed by a later field of the same name.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        let fields: &[(Cow<'a, str>, Self)] = match &self.value {
            Value::Object(fields) => fields,
            _ => &[],
        };
        fields
            .iter()
            .enumerate()
            .filter(move |(index, (key, _))| !fields[index + 1..].iter().any(|(later, _)| later == key))
            .map(|(_, (key, node))| (key.as_ref(), node))
    }

    /// The text of a string.
    pub(crate) fn as_text(&self) -> Option<&str> {
        let Value::Text(said) = &self.value else { return None };
        Some(match said.escapes {
            Escapes::None => self.inside(),
            _ => said.resolved.get_or_init(|| unescape(self.inside()).into()),
        })
    }

    /// What stands between the quotes of a string.
    pub(crate) fn inside(&self) -> &'a str {
        self.raw.get(1..self.raw.len() - 1).unwrap_or_default()
    }

    /// The value as canonical JSON text.
    pub(crate) fn json(&self) -> Json {
        Json::parse(self.raw.to_owned()).unwrap_or_else(|_| Json::null())
    }
}

/// Where a node is; a chain on the stack, written out only for errors.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
    /// The body, where text can be a share of it.
    body: Option<&'p Bytes>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl Place<'static> {
    /// A body that is not shared.
    pub(crate) const ROOT: Self = Self { parent: None, step: Step::Root, body: None };
}

impl<'p> Place<'p> {
    /// The body itself.
    pub(crate) const fn root(source: Source<'p>) -> Self {
        Self { parent: None, step: Step::Root, body: source.shared() }
    }

    /// A field of this place.
    pub(crate) const fn key(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Key(name), body: self.body }
    }

    /// An element of this place.
    pub(crate) const fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index), body: self.body }
    }

    /// A value of the wrong kind here.
    pub(crate) fn expected(&self, expected: &str, found: &Node<'_>) -> BadRequest {
        let described = found.kind().described();
        *wrong_type(&self.to_string(), expected, described)
    }

    /// A value missing here.
    pub(crate) fn missing(&self, expected: &str) -> BadRequest {
        self.wrong(format_args!("missing; expected {expected}"))
    }

    /// Anything else that is wrong here.
    pub(crate) fn wrong(&self, what: impl fmt::Display) -> BadRequest {
        BadRequest::at(self.to_string(), format!("{self}: {what}"))
    }

    /// Reads a string.
    pub(crate) fn text<'n>(&self, node: &'n Node<'_>) -> Result<&'n str, BadRequest> {
        node.as_text().ok_or_else(|| self.expected("a string", node))
    }

    /// Reads a boolean.
    pub(crate) fn boolean(&self, node: &Node<'_>) -> Result<bool, BadRequest> {
        match node.value {
            Value::Boolean(flag) => Ok(flag),
            _ => Err(self.expected("a boolean", node)),
        }
    }

    /// Reads a number.
    pub(crate) fn number(&self, node: &Node<'_>) -> Result<f64, BadRequest> {
        match node.value {
            Value::Number => match node.raw.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(*wrong_type(&self.to_string(), "a finite number", node.raw)),
            },
            _ => Err(self.expected("a number", node)),
        }
    }

    /// Reads a number of things of which there is one at least.
    pub(crate) fn positive(&self, node: &Node<'_>) -> Result<u64, BadRequest> {
        self.within(node, 1..=u64::MAX, "a whole number of at least 1")
    }

    /// Reads a number of answers.
    pub(crate) fn choices(&self, node: &Node<'_>) -> Result<u32, BadRequest> {
        self.within(node, 1..=128, "a whole number from 1 to 128")
    }

    fn within<T>(&self, node: &Node<'_>, range: RangeInclusive<T>, expected: &str) -> Result<T, BadRequest>
    where
        T: TryFrom<i128> + PartialOrd,
    {
        let number = self.whole(node, expected)?;
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(*wrong_type(&self.to_string(), expected, node.raw))
        }
    }

    /// Reads a whole number; `10.0` is one.
    pub(crate) fn whole<T: TryFrom<i128>>(&self, node: &Node<'_>, expected: &str) -> Result<T, BadRequest> {
        let Value::Number = node.value else { return Err(self.expected(expected, node)) };
        let wrong = || *wrong_type(&self.to_string(), expected, node.raw);
        let whole = match node.raw.parse::<i128>() {
            Ok(whole) => whole,
            Err(_) => {
                let number: f64 = node.raw.parse().map_err(|_| wrong())?;
                // Beyond 2^53 a float cannot tell which whole number was meant.
                if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
                    return Err(wrong());
                }
                number as i128
            }
        };
        T::try_from(whole).map_err(|_| wrong())
    }

    /// Reads an array.
    pub(crate) fn array<'n, 'a>(&self, node: &'n Node<'a>) -> Result<&'n [Node<'a>], BadRequest> {
        match &node.value {
            Value::Array(elements) => Ok(elements),
            _ => Err(self.expected("an array", node)),
        }
    }

    /// Checks for an object.
    pub(crate) fn object<'n, 'a>(&self, node: &'n Node<'a>) -> Result<&'n Node<'a>, BadRequest> {
        match node.kind() {
            Kind::Object => Ok(node),
            _ => Err(self.expected("an object", node)),
        }
    }

    /// Reads a field as a string, if it is there.
    pub(crate) fn text_field<'n>(
        &self,
        node: &'n Node<'_>,
        name: &str,
    ) -> Result<Option<&'n str>, BadRequest> {
        node.field(name).map(|field| self.key(name).text(field)).transpose()
    }

    /// A string as text of the conversation, and a share of the body where it can be one.
    pub(crate) fn said(&self, node: &Node<'_>) -> Option<Text> {
        let Value::Text(said) = &node.value else { return None };
        let read = || node.as_text().unwrap_or_default().into();
        Some(match said.escapes {
            Escapes::None => Text::plain_part(self.body, node.inside()),
            Escapes::Letters => Text::escaped_part(self.body, node.raw).unwrap_or_else(read),
            Escapes::Numbers => read(),
        })
    }

    /// A piece of a string, as text of the conversation.
    pub(crate) fn piece(&self, text: &str) -> Text {
        Text::plain_part(self.body, text)
    }

    /// Reads a field as text of the conversation that must be there.
    pub(crate) fn needed_said(&self, node: &Node<'_>, name: &str) -> Result<Text, BadRequest> {
        let at = self.key(name);
        let field = node.field(name).ok_or_else(|| at.missing("a string"))?;
        at.said(field).ok_or_else(|| at.expected("a string", field))
    }

    /// Reads a field as a string that must be there.
    pub(crate) fn needed_text<'n>(&self, node: &'n Node<'_>, name: &str) -> Result<&'n str, BadRequest> {
        self.text_field(node, name)?.ok_or_else(|| self.key(name).missing("a string"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_first = match self.parent {
            Some(parent) => {
                parent.fmt(formatter)?;
                matches!(parent.step, Step::Root)
            }
            None => true,
        };
        match self.step {
            Step::Root => Ok(()),
            Step::Key(name) if is_first => formatter.write_str(name),
            Step::Key(name) => write!(formatter, ".{name}"),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_duplicate_fields_wins() {
        let node = parse(br#"{"a":1,"b":2,"a":3}"#, &[]).unwrap();
        assert_eq!(node.field("a").unwrap().raw, "3");
        let names: Vec<_> = node.fields().map(|(name, node)| format!("{name}={}", node.raw)).collect();
        assert_eq!(names, ["b=2", "a=3"]);
    }

    #[test]
    fn places_read_like_paths() {
        let messages = Place::ROOT.key("messages");
        let message = messages.index(2);
        let content = message.key("content");
        assert_eq!(content.to_string(), "messages[2].content");
    }

    #[test]
    fn whole_numbers_are_read_exactly_or_refused() {
        let read = |text: &str| {
            let node = parse_text(text, &[]).unwrap();
            Place::ROOT.key("seed").whole::<i64>(&node, "a whole number")
        };
        assert_eq!(read("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(read("10.0"), Ok(10));
        assert_eq!(read("1e3"), Ok(1000));
        let counted = |text: &str| Place::ROOT.key("n").positive(&parse_text(text, &[]).unwrap());
        assert_eq!(counted("1"), Ok(1));
        assert_eq!(counted("0").unwrap_err().message, "n: expected a whole number of at least 1, found 0");
        let errors: Vec<String> = ["1.5", "1e40", "9223372036854775808", "\"7\""]
            .iter()
            .map(|text| read(text).unwrap_err().message)
            .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn escapes_by_number_are_read_at_once_and_others_when_somebody_asks() {
        let letters = "so: \\n".repeat(40);
        for (before, escape, expected) in [
            ("", "\\ud800", "\u{fffd}"),
            (letters.as_str(), "\\ud800", "\u{fffd}"),
            (
                letters.as_str(),
                "\\u0041 and more than a block of letters before the text comes to its end, as is right",
                "A and",
            ),
            (letters.as_str(), "\\n", "\n"),
        ] {
            let body = format!("\"{before}{}{escape}\"", "a".repeat(100));
            let said = Place::ROOT.said(&parse_text(&body, &[]).unwrap()).unwrap();
            assert_eq!(said.written().is_some(), !escape.contains("\\u"), "{body}");
            assert!(said.as_str().contains(&format!("a{expected}")), "{body}");
        }
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let body = format!("[{}0]", "0,".repeat(NODE_LIMIT));
        insta::assert_snapshot!(parse(body.as_bytes(), &[]).unwrap_err(), @"the body holds more than 1048576 JSON values");
    }
}
