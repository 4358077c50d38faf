//! Golden data sets against deployments and routes.
//!
//! Owns the form of a data set, grading an answer, and the comparison of targets. Must not ask anybody: the binary sends the
//! requests through the gateway and hands the answers in. The checks are those of cascades, so that what is measured here is what
//! would be checked there.

mod dataset;
mod grade;
mod labels;
mod mistake;
mod show;
mod summary;

pub use dataset::{Defaults, LONGEST_LINE, Row, RowCheck, parse};
pub use grade::{CheckResult, Grade, Judged, grade};
pub use labels::labelled_lines;
pub use mistake::{Mistake, Mistakes};
pub use summary::{Asked, Evaluation, Minimum, Outcome, Summary, summarize};

#[cfg(test)]
mod tests;
