//! The configuration's text as a tree whose every node knows its place.
//!
//! Owns reading YAML (one file or the files of a folder) into nodes with byte spans. Must not know any setting. The tree
//! exists beside the serde structs because serde stops at the first mistake and forgets where values stood: checks walk the
//! tree and report everything at once.

use crate::problem::{Place, Problem, Problems};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::ops::Range;

/// The longest text read, in bytes: a configuration is written by people, and every reload parses it.
pub const LONGEST_TEXT: usize = 4_000_000;

/// The deepest nesting read. The deepest setting stands at six; the reader recurses, so the bound guards its stack.
const DEEPEST: usize = 16;

/// Most nodes that aliases may add: shared settings, not bombs.
const MOST_ALIASED: usize = 50_000;

/// One text of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it was read from, as shown in messages.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands; for an alias, where the alias does.
    pub place: Place,
    /// The bytes of the same source where it is written out; differs from the place for an alias.
    pub written: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in order; keys are texts with places of their own.
    Map(Vec<(Key, Node)>),
}

/// The key of a map entry.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Where it stands.
    pub place: Place,
    /// The name.
    pub name: String,
}

impl Node {
    /// The node at a path of names and list positions; the nearest existing ancestor where the path goes on beyond.
    #[must_use]
    pub(crate) fn nearest(&self, path: &[&str]) -> &Self {
        self.walk(path).1
    }

    /// Where to point for the node at a path: a list or map begins with a bracket or nothing at all, so its name says more.
    #[must_use]
    pub(crate) fn shown_place(&self, path: &[&str]) -> Place {
        match self.walk(path) {
            (Some(key), Self { value: Value::List(_) | Value::Map(_) | Value::Null, .. }) => {
                key.place.clone()
            }
            (_, node) => node.place.clone(),
        }
    }

    /// The nearest node at a path, with its key if it has one.
    fn walk(&self, path: &[&str]) -> (Option<&Key>, &Self) {
        let mut found = (None, self);
        for step in path {
            let next = match &found.1.value {
                Value::Map(entries) => {
                    entries.iter().find(|(key, _)| key.name == *step).map(|(key, node)| (Some(key), node))
                }
                Value::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|position| items.get(position))
                    .map(|node| (None, node)),
                _ => None,
            };
            match next {
                Some(next) => found = next,
                None => break,
            }
        }
        found
    }

    /// What kind of value it is, in words.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// What the sources hold together.
pub(crate) struct Tree {
    /// The joined settings.
    pub root: Node,
    /// Whether every source could be read; where not, a name that is not there may stand in what could not.
    pub complete: bool,
}

/// Reads the sources into one tree. The top-level maps of several files are joined; the same name given twice is a mistake.
pub(crate) fn read(sources: &[Source], problems: &mut Problems) -> Tree {
    let mut entries: Vec<(Key, Node)> = Vec::new();
    let mut complete = true;
    for (position, source) in sources.iter().enumerate() {
        if source.text.trim().is_empty() {
            continue;
        }
        let Some(root) = read_one(position, source, problems) else {
            complete = false;
            continue;
        };
        match root.value {
            Value::Null => {}
            Value::Map(new) => {
                new.into_iter().for_each(|(key, node)| join(&mut entries, key, node, problems))
            }
            _ => {
                complete = false;
                problems.push(Problem::new(
                    root.place.clone(),
                    format!("the configuration must be a map of settings, found {}", root.kind()),
                ));
            }
        }
    }
    let root = Node { place: Place { source: 0, span: 0..0 }, written: 0..0, value: Value::Map(entries) };
    Tree { root, complete }
}

/// Joins one entry into the map: equal names are joined when both hold maps of different files, and are a mistake otherwise.
fn join(entries: &mut Vec<(Key, Node)>, key: Key, node: Node, problems: &mut Problems) {
    let Some((known, present)) = entries.iter_mut().find(|(known, _)| known.name == key.name) else {
        entries.push((key, node));
        return;
    };
    match (&mut present.value, node.value) {
        (Value::Map(inner), Value::Map(new)) if known.place.source != key.place.source => {
            new.into_iter().for_each(|(key, node)| join(inner, key, node, problems));
        }
        _ => problems.push(
            Problem::new(key.place, format!("`{}` is set twice", key.name)).hint("keep one of the two"),
        ),
    }
}

fn read_one(position: usize, source: &Source, problems: &mut Problems) -> Option<Node> {
    if source.text.len() > LONGEST_TEXT {
        let message = format!("the file has {} bytes, more than {LONGEST_TEXT}", source.text.len());
        problems.push(Problem::new(Place { source: position, span: 0..0 }, message));
        return None;
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(&source.text, options()) {
        Ok(raw) => Some(Placing { source: position, text: &source.text, problems }.node(raw)),
        Err(error) => {
            let span = error.location().map_or(0..0, |location| byte_span(&source.text, location));
            let message = format!("not valid YAML: {}", reason(&error.to_string()));
            problems.push(Problem::new(Place { source: position, span }, message));
            None
        }
    }
}

/// Keys given twice are let through and reported by the tree, all of them and at their places.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        budget: serde_saphyr::budget! { max_depth: DEEPEST, max_documents: 1 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_ALIASED },
    }
}

/// What the reader of YAML says, without the place (ours is better), the repeated text and the names of its own settings.
fn reason(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let text = match first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, text)) => text,
        None => first,
    };
    if text.contains("multiple YAML documents") || text.contains("Documents") {
        return "more than one document; keep one, without a second `---`".to_owned();
    }
    if text.contains("recursion limit") || text.contains("max_depth") || text.contains("Depth") {
        return format!("nested deeper than {DEEPEST} levels");
    }
    text.to_owned()
}

fn byte_span(text: &str, location: serde_saphyr::Location) -> Range<usize> {
    let line = usize::try_from(location.line()).unwrap_or(1).max(1);
    let column = usize::try_from(location.column()).unwrap_or(1).max(1);
    let start_of_line: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text[start_of_line..].split('\n').next().unwrap_or_default();
    let offset = rest.char_indices().nth(column - 1).map_or(rest.trim_end().len(), |(offset, _)| offset);
    let start = start_of_line + offset;
    start..start + text[start..].chars().next().filter(|letter| *letter != '\n').map_or(0, char::len_utf8)
}

/// Turns what was read into nodes with places.
struct Placing<'a> {
    source: usize,
    text: &'a str,
    problems: &'a mut Problems,
}

impl Placing<'_> {
    fn node(&mut self, raw: Spanned<Raw>) -> Node {
        let place = self.place(&raw.referenced);
        let mut written = self.place(&raw.defined).span;
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value),
            Raw::Integer(value) => Value::Integer(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Text(text) => Value::Text(text),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(self.entries(entries)),
        };
        let last = match &value {
            Value::List(items) => items.last(),
            Value::Map(entries) => entries.last().map(|(_, node)| node),
            _ => None,
        };
        // The reader marks where a list or map begins only.
        if let Some(last) = last {
            written.end = written.end.max(last.written.end);
        }
        Node { place, written, value }
    }

    fn entries(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>) -> Vec<(Key, Node)> {
        let mut entries: Vec<(Key, Node)> = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            let key = Key { place: self.place(&key.referenced), name: key.value };
            let node = self.node(value);
            join(&mut entries, key, node, self.problems);
        }
        entries
    }

    /// The bytes of a location, moved to the borders of characters: text is cut there, and cutting inside one would panic.
    fn place(&self, location: &serde_saphyr::Location) -> Place {
        let span = location.span();
        let (start, end) = match (span.byte_offset(), span.byte_len()) {
            (Some(offset), Some(length)) => {
                let start = usize::try_from(offset).unwrap_or(0);
                (start, start.saturating_add(usize::try_from(length).unwrap_or(0)))
            }
            _ => {
                let one = byte_span(self.text, *location);
                (one.start, one.end)
            }
        };
        let start = self.text.floor_char_boundary(start.min(self.text.len()));
        let end = self.text.ceil_char_boundary(end.clamp(start, self.text.len()));
        Place { source: self.source, span: start..end }
    }
}

enum Raw {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
