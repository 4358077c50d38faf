//! Data-handling facts of a deployment and the requirements of a route, key or request.
//!
//! Owns the compliance vocabulary of the hard filter. Must not know who claims the facts. An unknown fact never satisfies a
//! requirement: that is the whole point of a hard limit.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is known of how a deployment handles data. `None` is unknown and satisfies nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Zero data retention is in force.
    pub zdr: Option<bool>,
    /// Requests may be used for training.
    pub train: Option<bool>,
    /// A business associate agreement covers it.
    pub baa: Option<bool>,
    /// Where the data is processed, lower case, for example `eu`, `us`, `us-east-1`.
    pub region: Option<String>,
}

/// A hard demand that every deployment in a plan must satisfy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// Zero data retention.
    Zdr,
    /// Not used for training.
    NoTrain,
    /// Covered by a business associate agreement.
    Baa,
    /// Processed in this region; `eu` also accepts `eu-west-1`.
    Region(String),
}

impl Requirement {
    /// Reads `zdr`, `no-train`, `baa` or `region:NAME`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text {
            "zdr" => Some(Self::Zdr),
            "no-train" | "no_train" => Some(Self::NoTrain),
            "baa" => Some(Self::Baa),
            _ => {
                let region = text.strip_prefix("region:")?.trim();
                (!region.is_empty()).then(|| Self::Region(region.to_ascii_lowercase()))
            }
        }
    }

    /// Whether the facts satisfy the demand; unknown does not.
    #[must_use]
    pub fn is_satisfied_by(&self, facts: &DataFacts) -> bool {
        match self {
            Self::Zdr => facts.zdr == Some(true),
            Self::NoTrain => facts.train == Some(false),
            Self::Baa => facts.baa == Some(true),
            Self::Region(wanted) => facts.region.as_deref().is_some_and(|region| {
                region
                    .strip_prefix(wanted.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            }),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zdr => formatter.write_str("zdr"),
            Self::NoTrain => formatter.write_str("no-train"),
            Self::Baa => formatter.write_str("baa"),
            Self::Region(region) => write!(formatter, "region:{region}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_facts_satisfy_nothing() {
        let unknown = DataFacts::default();
        for text in ["zdr", "no-train", "baa", "region:eu"] {
            let requirement = Requirement::parse(text).unwrap();
            assert!(!requirement.is_satisfied_by(&unknown), "{text}");
            assert_eq!(requirement.to_string(), text);
        }
    }

    #[test]
    fn a_region_accepts_its_parts_and_not_its_namesakes() {
        let eu = Requirement::parse("region:EU").unwrap();
        let facts = |region: &str| DataFacts { region: Some(region.into()), ..DataFacts::default() };
        assert!(eu.is_satisfied_by(&facts("eu-west-1")));
        assert!(eu.is_satisfied_by(&facts("eu")));
        assert!(!eu.is_satisfied_by(&facts("europe")));
        assert!(Requirement::parse("region:").is_none());
    }
}
