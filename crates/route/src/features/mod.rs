//! What rules and steps may read of a request, its caller, the fleet and the time.
//!
//! Owns the closed list of features with their names, types and meaning, how each is read, and the record of which were read.
//! Must not decide anything. Features are lazy: nothing is worked out before a rule asks for it, so that a policy pays only
//! for what it reads. The list is one table, because the names that rules may use, the reference page and the values in an
//! explanation must never disagree.

mod lexical;
mod list;
mod prompt;
mod value;

pub use lexical::{Format, Lexical, Question, language};
pub use list::{Feature, FeatureCost, FeatureKind};
pub use prompt::{Prompt, PromptVector, embed};
pub use value::{FeatureSet, FeatureSource, FleetFacts, Value, WallClock, Weekday};
