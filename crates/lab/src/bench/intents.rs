//! The seam to the measurement of intents.
//!
//! Owns the form of its figures only: the classifier and its heads are measured where they live, and handed in as a function.

use serde::Serialize;

/// Figures of intents on the public splits; `None` for what was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct IntentFigures {
    /// Accuracy on the 4,500 in-scope test queries of CLINC150.
    pub clinc150_accuracy: Option<f64>,
    /// Area under the curve telling out-of-scope from in-scope queries.
    pub clinc150_out_of_scope: Option<f64>,
    /// Accuracy on the 3,080 test queries of banking77.
    pub banking77_accuracy: Option<f64>,
}

/// Figures, or in words why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intents {
    /// Measured.
    Measured(IntentFigures),
    /// Not measured.
    Absent(String),
}

/// Measures intents.
pub type MeasureIntents<'a> = &'a dyn Fn() -> Intents;
