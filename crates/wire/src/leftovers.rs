//! What a body says under names that nobody reads.
//!
//! Owns the walk over what decoders know, for the two dialects that are read from a tree of nodes. Must not know any dialect, nor judge
//! values. Each leftover is kept as an extra under its path, so that no encoder can lose it without a warning. A place is written only
//! where there is something to tell: there hardly ever is, and a conversation has many places.

use crate::scan::tree::{Node, Value};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Extra;

/// Most extras of a request: by then it has been said often enough that something is left out.
pub(crate) const MOST: usize = 64;

/// What is read of a cache mark.
pub(crate) const CACHE_MARK: Known = Known::flat(&["type", "ttl"]);

/// What is read of an object.
pub(crate) struct Known {
    /// The names of its fields.
    pub(crate) names: &'static [&'static str],
    /// What is read of the objects, and lists of objects, among them.
    pub(crate) inside: &'static [(&'static str, Known)],
}

impl Known {
    /// An object whose fields are not entered.
    pub(crate) const fn flat(names: &'static [&'static str]) -> Self {
        Self { names, inside: &[] }
    }
}

/// Keeps what an object says besides.
pub(crate) fn collect(
    origin: Dialect,
    node: &Node<'_>,
    known: &Known,
    place: &dyn Fn() -> String,
    extras: &mut Vec<Extra>,
) {
    for (name, value) in node.fields() {
        if known.names.contains(&name) {
            if matches!(value.value, Value::Object(_) | Value::Array(_))
                && let Some((_, inside)) = known.inside.iter().find(|(held, _)| *held == name)
            {
                each(origin, value, inside, &|| format!("{}.{name}", place()), extras);
            }
        } else if extras.len() < MOST && says_something(value) {
            extras.push(Extra { origin, name: format!("{}.{name}", place()), value: value.json() });
        }
    }
}

/// Keeps what an object says besides, or each of a list of objects.
pub(crate) fn each(
    origin: Dialect,
    node: &Node<'_>,
    known: &Known,
    place: &dyn Fn() -> String,
    extras: &mut Vec<Extra>,
) {
    if !matches!(node.value, Value::Array(_)) {
        return collect(origin, node, known, place, extras);
    }
    for (index, element) in elements(node).iter().enumerate() {
        collect(origin, element, known, &|| format!("{}[{index}]", place()), extras);
    }
}

/// The elements of a list; anything else has none.
pub(crate) fn elements<'n, 'a>(node: &'n Node<'a>) -> &'n [Node<'a>] {
    match &node.value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

/// What is empty says nothing.
fn says_something(node: &Node<'_>) -> bool {
    !matches!(node.raw, "null" | "[]" | "{}" | "\"\"")
}
