//! A rule as a tree of typed operations over features.
//!
//! Owns the tree. Every combination of types in it was checked when it was made, so evaluation need not check again.

use super::foreign::Foreign;
use crate::features::{Feature, FeatureKind};
use regex::Regex;
use trunkline_model::id::Name;

/// One operation.
#[derive(Debug)]
pub(super) enum Node {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Name),
    Feature(Feature),
    /// The text of an entry of a map; a fault when there is none.
    Entry {
        map: Feature,
        key: Name,
    },
    HasEntry {
        map: Feature,
        key: Name,
    },
    /// Whether a feature is present and, for texts, not empty.
    Has(Feature),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Choose {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Compare {
        comparison: Comparison,
        left: Box<Node>,
        right: Box<Node>,
    },
    In {
        needle: Box<Node>,
        list: Vec<Node>,
    },
    Arithmetic {
        operation: Arithmetic,
        left: Box<Node>,
        right: Box<Node>,
    },
    TextTest {
        test: TextTest,
        text: Box<Node>,
        part: Box<Node>,
    },
    Matches {
        text: Box<Node>,
        pattern: Box<Regex>,
    },
    Size(Box<Node>),
    /// Something for the general interpreter; it gives true or false.
    Foreign(Box<Foreign>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// Whether values of two types can be compared.
pub(super) fn comparable(left: FeatureKind, right: FeatureKind) -> bool {
    left == right || (is_number(left) && is_number(right))
}

pub(super) fn is_number(kind: FeatureKind) -> bool {
    matches!(kind, FeatureKind::Int | FeatureKind::Double)
}
