//! Evaluating a rule.
//!
//! Owns the meaning of each operation. Must not allocate for what holds or does not hold. `&&` and `||` follow the language:
//! a side that decides the outcome does so even when the other cannot be told.

use super::node::{Arithmetic, Comparison, Node, TextTest};
use crate::features::{Feature, FeatureSource, Value};
use std::cmp::Ordering;
use trunkline_model::id::Name;

/// Why a rule could not be evaluated for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The request leaves a feature open.
    #[error("`{}` is not set for this request", .feature.name())]
    Absent {
        /// The feature.
        feature: Feature,
    },
    /// A map has no such entry.
    #[error("`{}` has no entry `{key}`", .map.name())]
    NoEntry {
        /// The map.
        map: Feature,
        /// The name looked for.
        key: Name,
    },
    /// Division or remainder by zero.
    #[error("it divides by zero")]
    DivisionByZero,
    /// A whole number left its range.
    #[error("a whole number overflows")]
    Overflow,
    /// What the general interpreter said, at most 200 characters.
    #[error("{0}")]
    Interpreter(Box<str>),
}

/// A value without a map: what operations work on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
}

impl Node {
    /// Whether a node of type bool holds.
    pub(super) fn holds(&self, features: &FeatureSource<'_>) -> Result<bool, Fault> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Not(inner) => inner.holds(features).map(|value| !value),
            Self::And(left, right) => decided_by(false, left.holds(features), || right.holds(features)),
            Self::Or(left, right) => decided_by(true, left.holds(features), || right.holds(features)),
            Self::Has(feature) => Ok(match features.value(*feature) {
                None => false,
                Some(Value::Text(text)) => !text.is_empty(),
                Some(_) => true,
            }),
            Self::HasEntry { map, key } => Ok(entry(features, *map, key).is_ok()),
            Self::Compare { comparison, left, right } => {
                let ordering = compare(left.scalar(features)?, right.scalar(features)?);
                Ok(comparison.accepts(ordering))
            }
            Self::In { needle, list } => {
                let needle = needle.scalar(features)?;
                // The language makes the list first, so an item that cannot be told spoils it even behind a match.
                list.iter().try_fold(false, |found, item| {
                    Ok(found | (compare(needle, item.scalar(features)?) == Some(Ordering::Equal)))
                })
            }
            Self::TextTest { test, text, part } => {
                let (text, part) = (text.text(features)?, part.text(features)?);
                Ok(match test {
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                })
            }
            Self::Matches { text, pattern } => Ok(pattern.is_match(text.text(features)?)),
            Self::Foreign(foreign) => foreign.holds(features),
            Self::Choose { condition, then, otherwise } => {
                if condition.holds(features)? {
                    then.holds(features)
                } else {
                    otherwise.holds(features)
                }
            }
            Self::Feature(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Entry { .. }
            | Self::Negate(_)
            | Self::Arithmetic { .. }
            | Self::Size(_) => match self.scalar(features)? {
                Scalar::Bool(value) => Ok(value),
                _ => Ok(false),
            },
        }
    }

    fn scalar<'a>(&'a self, features: &'a FeatureSource<'_>) -> Result<Scalar<'a>, Fault> {
        Ok(match self {
            Self::Int(number) => Scalar::Int(*number),
            Self::Double(number) => Scalar::Double(*number),
            Self::Text(text) => Scalar::Text(text),
            Self::Feature(feature) => match features.value(*feature) {
                Some(Value::Bool(value)) => Scalar::Bool(value),
                Some(Value::Int(value)) => Scalar::Int(value),
                Some(Value::Double(value)) => Scalar::Double(value),
                Some(Value::Text(value)) => Scalar::Text(value),
                Some(Value::Map(_)) | None => return Err(Fault::Absent { feature: *feature }),
            },
            Self::Entry { map, key } => Scalar::Text(entry(features, *map, key)?),
            Self::Negate(inner) => match inner.scalar(features)? {
                Scalar::Int(number) => Scalar::Int(number.checked_neg().ok_or(Fault::Overflow)?),
                Scalar::Double(number) => Scalar::Double(-number),
                other => other,
            },
            Self::Arithmetic { operation, left, right } => {
                operation.apply(left.scalar(features)?, right.scalar(features)?)?
            }
            Self::Size(inner) => match inner.as_ref() {
                Self::Feature(feature) => match features.value(*feature) {
                    Some(Value::Map(entries)) => count(entries.len()),
                    Some(Value::Text(text)) => count(text.chars().count()),
                    _ => return Err(Fault::Absent { feature: *feature }),
                },
                other => count(other.text(features)?.chars().count()),
            },
            Self::Choose { condition, then, otherwise } => {
                if condition.holds(features)? {
                    then.scalar(features)?
                } else {
                    otherwise.scalar(features)?
                }
            }
            _ => Scalar::Bool(self.holds(features)?),
        })
    }

    fn text<'a>(&'a self, features: &'a FeatureSource<'_>) -> Result<&'a str, Fault> {
        match self.scalar(features)? {
            Scalar::Text(text) => Ok(text),
            _ => Ok(""),
        }
    }
}

/// `&&` and `||`: the side equal to `decisive` decides, even beside one that cannot be told.
fn decided_by(
    decisive: bool,
    left: Result<bool, Fault>,
    right: impl FnOnce() -> Result<bool, Fault>,
) -> Result<bool, Fault> {
    match left {
        Ok(value) if value == decisive => Ok(decisive),
        Ok(_) => right(),
        Err(fault) => match right() {
            Ok(value) if value == decisive => Ok(decisive),
            _ => Err(fault),
        },
    }
}

fn entry<'a>(features: &'a FeatureSource<'_>, map: Feature, key: &Name) -> Result<&'a str, Fault> {
    if let Some(Value::Map(entries)) = features.value(map)
        && let Some((_, value)) = entries.iter().find(|(name, _)| name == key)
    {
        return Ok(value);
    }
    Err(Fault::NoEntry { map, key: key.clone() })
}

fn count(length: usize) -> Scalar<'static> {
    Scalar::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

/// The order of two values; none when one is not a number.
fn compare(left: Scalar<'_>, right: Scalar<'_>) -> Option<Ordering> {
    match (left, right) {
        (Scalar::Bool(left), Scalar::Bool(right)) => Some(left.cmp(&right)),
        (Scalar::Int(left), Scalar::Int(right)) => Some(left.cmp(&right)),
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        (Scalar::Double(left), Scalar::Double(right)) => left.partial_cmp(&right),
        (Scalar::Int(left), Scalar::Double(right)) => compare_mixed(left, right),
        (Scalar::Double(left), Scalar::Int(right)) => compare_mixed(right, left).map(Ordering::reverse),
        _ => None,
    }
}

/// Compares by value, without the rounding that a conversion of a large whole number would bring.
fn compare_mixed(whole: i64, number: f64) -> Option<Ordering> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() {
        return None;
    }
    if number >= BOUND {
        return Some(Ordering::Less);
    }
    if number < -BOUND {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bounds were checked and the fraction is compared next"
    )]
    let truncated = number.trunc() as i64;
    let fraction = number.fract();
    Some(whole.cmp(&truncated).then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal)))
}

impl Comparison {
    fn accepts(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Equal => ordering == Some(Ordering::Equal),
            Self::NotEqual => ordering != Some(Ordering::Equal),
            Self::Less => ordering == Some(Ordering::Less),
            Self::LessOrEqual => ordering.is_some_and(Ordering::is_le),
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
        }
    }
}

impl Arithmetic {
    fn apply<'a>(self, left: Scalar<'a>, right: Scalar<'a>) -> Result<Scalar<'a>, Fault> {
        match (left, right) {
            (Scalar::Int(left), Scalar::Int(right)) => self.whole(left, right).map(Scalar::Int),
            (Scalar::Double(left), Scalar::Double(right)) => Ok(Scalar::Double(match self {
                Self::Add => left + right,
                Self::Subtract => left - right,
                Self::Multiply => left * right,
                Self::Divide => left / right,
                Self::Remainder => left % right,
            })),
            (left, _) => Ok(left),
        }
    }

    fn whole(self, left: i64, right: i64) -> Result<i64, Fault> {
        let result = match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            Self::Divide | Self::Remainder if right == 0 => return Err(Fault::DivisionByZero),
            Self::Divide => left.checked_div(right),
            Self::Remainder => left.checked_rem(right),
        };
        result.ok_or(Fault::Overflow)
    }
}
