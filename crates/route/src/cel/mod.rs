//! Rules: conditions in the Common Expression Language, compiled when a configuration loads.
//!
//! Owns the condition and everything that can be said against its text. Must not run anything at load time that a request has
//! not asked for, nor fail a request: a rule that cannot be evaluated gives no answer.
//!
//! The `cel` crate parses. What a rule means is worked out here, against the list of features, so that an unknown name or a
//! comparison of a number with a text is a mistake in the configuration and not a surprise at night; and because names are
//! resolved to features once, evaluation costs nanoseconds where a general interpreter looks every name up in a map and
//! allocates on the way (measured by the example `rule_speed`). What is left to the general interpreter is what its macros and
//! text building express: `exists`, `all`, `map`, `filter`, `+` on texts.

mod check;
mod error;
mod evaluate;
mod foreign;
mod node;
mod outlook;

pub use error::{ConditionError, Problem};
pub use evaluate::Fault;
pub use outlook::Outlook;

use crate::features::{FeatureSet, FeatureSource};
use node::Node;
use std::fmt;
use std::sync::Arc;
use trunkline_model::id::Name;

/// Parses an expression over these names for the general interpreter, within the bounds of rules.
///
/// # Errors
/// [`ConditionError`] when the text is too long, no expression, or names anything else.
pub(crate) fn program(source: &str, names: &[&str]) -> Result<cel::Program, ConditionError> {
    check::program(source, names)
}

/// The longest rule, in bytes.
pub const LONGEST_RULE: usize = 4_096;

/// A compiled rule.
#[derive(Clone)]
pub struct Condition {
    source: Name,
    node: Arc<Node>,
    features: FeatureSet,
    headers: Arc<[Name]>,
}

impl Condition {
    /// Compiles the text of a rule.
    ///
    /// # Errors
    /// [`ConditionError`] when the text is too long, no expression, names what does not exist, combines types that do not go
    /// together, or gives something other than true or false.
    pub fn compile(source: &str) -> Result<Self, ConditionError> {
        let checked = check::compile(source)?;
        Ok(Self {
            source: source.into(),
            node: Arc::new(checked.node),
            features: checked.features,
            headers: checked.headers.into(),
        })
    }

    /// Whether the rule holds for a request.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be told, because something it needs is absent.
    pub fn holds(&self, features: &FeatureSource<'_>) -> Result<bool, Fault> {
        self.node.holds(features)
    }

    /// What can be said of it before any request. Only a rule that reads nothing is said to hold always: a feature may be absent.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        match self.node.outlook() {
            Outlook::Always if self.features != FeatureSet::EMPTY => Outlook::Open,
            outlook => outlook,
        }
    }

    /// The rule as written.
    #[must_use]
    pub fn source(&self) -> &Name {
        &self.source
    }

    /// The features it may read.
    #[must_use]
    pub const fn features(&self) -> FeatureSet {
        self.features
    }

    /// The headers it names, in lower case, sorted.
    #[must_use]
    pub fn headers(&self) -> &[Name] {
        &self.headers
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Condition").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests;
