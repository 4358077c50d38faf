//! Decisions as JSON and as text.
//!
//! Owns the written forms: one compact JSON line for the log, the same JSON read back as an [`Explanation`], and that as text
//! for a terminal. Must not add anything that the decision does not hold, and must not depend on the live configuration: what
//! was logged last week reads as it did then. There is one JSON form only, so that the log, the endpoints and the command line
//! cannot tell different stories.

mod compact;
mod explanation;
mod recalled;
mod text;

pub use compact::REJECTION_LIMIT;
pub use explanation::{
    CandidateExplanation, ExpectationExplanation, Explanation, PlanExplanation, RejectionExplanation,
    StepExplanation,
};

pub use recalled::Recalled;

#[cfg(test)]
mod tests;
