//! The names a rule may use, and the nearest to those it may not.
//!
//! Owns the spelling of names in the parsed text. Must not resolve them to values.

use super::Problem;
use crate::features::{Feature, FeatureKind};
use cel::common::ast::Expr;
use trunkline_model::nearest::nearest;

/// The functions of the language that rules may call, macros included.
pub(super) const FUNCTIONS: [&str; 16] = [
    "all",
    "bool",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "has",
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
];

/// The groups of features, each with one of its names.
const GROUPS: [(&str, &str); 4] = [
    ("request", "request.input_tokens"),
    ("caller", "caller.team"),
    ("fleet", "fleet.open"),
    ("time", "time.hour"),
];

/// `a.b.c` for a chain of selections on a bare name.
pub(super) fn path(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            path(&select.operand.expr).map(|operand| format!("{operand}.{}", select.field))
        }
        _ => None,
    }
}

/// The problem with a name that is no feature.
pub(super) fn unknown(name: &str) -> Problem {
    if let Some((_, example)) = GROUPS.iter().find(|(group, _)| *group == name) {
        return Problem::Group { name: name.to_owned(), example };
    }
    let features = Feature::ALL.iter().map(|feature| feature.name());
    let mut near: Vec<String> = nearest(name, features, 2).into_iter().map(str::to_owned).collect();
    if near.is_empty() {
        // A field under the wrong group, or without one: `team`, `request.team`.
        let field = name.rsplit('.').next().unwrap_or(name);
        let fields = Feature::ALL.iter().filter(|feature| feature.kind() != FeatureKind::Map);
        near = fields
            .filter(|feature| feature.name().rsplit('.').next() == Some(field))
            .map(|feature| feature.name().to_owned())
            .collect();
    }
    Problem::UnknownName { name: name.to_owned(), near }
}

pub(super) fn nearest_functions(name: &str) -> Vec<String> {
    nearest(name, FUNCTIONS, 2).into_iter().map(str::to_owned).collect()
}
