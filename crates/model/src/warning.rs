//! What translation could not carry over one to one.
//!
//! Owns the shape of a warning as it reaches the `x-trunkline-warnings` header and the log. Must not decide policy: `strict`
//! turns warnings into refusals elsewhere.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// How a feature of the request was treated on its way to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// Reached with other means, same meaning as far as possible.
    Emulated,
    /// Left out.
    Dropped,
    /// Set to something else than the body says, by who may.
    Overridden,
}

/// One feature that did not pass unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The client's parameter, as a path in its own dialect, for example `logit_bias` or `messages[2].content[1]`.
    pub feature: Cow<'static, str>,
    /// What happened to it.
    pub treatment: Treatment,
    /// Why, in a short lower-case phrase.
    pub reason: Cow<'static, str>,
}

impl Warning {
    /// A feature that was left out.
    pub fn dropped(feature: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { feature: feature.into(), treatment: Treatment::Dropped, reason: reason.into() }
    }

    /// A feature that was set by someone else than the body.
    pub fn overridden(feature: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { feature: feature.into(), treatment: Treatment::Overridden, reason: reason.into() }
    }

    /// A feature that was reached with other means.
    pub fn emulated(feature: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { feature: feature.into(), treatment: Treatment::Emulated, reason: reason.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let treatment = match self.treatment {
            Treatment::Emulated => "emulated",
            Treatment::Dropped => "dropped",
            // The reason is the end of the sentence: `reasoning effort set to high by the route`.
            Treatment::Overridden => return write!(formatter, "{} {}", self.feature, self.reason),
        };
        write!(formatter, "{} {treatment}: {}", self.feature, self.reason)
    }
}
