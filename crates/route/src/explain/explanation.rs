//! A decision read back from its JSON.
//!
//! Owns the form that outlives the process: names instead of indexes, texts instead of reasons. Unknown fields are ignored, so
//! that an older binary reads a newer log.

use crate::decision::Decision;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trunkline_model::money::Cost;

/// A decision with all its reasons. Its JSON is that of [`Decision::write_compact`], field for field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// `dec_` and the request's id.
    pub id: String,
    /// The route, or the model that was named directly.
    pub route: String,
    /// The chosen tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The step that chose it, `pin`, `default` or `nothing`.
    pub decided_by: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanExplanation>,
    /// Why nothing can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_plan: Option<String>,
    /// Deployments that may serve; those with a tier are planned, in that order.
    pub candidates: Vec<CandidateExplanation>,
    /// How many more of them there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub candidates_more: u64,
    /// Deployments that may not serve.
    pub rejected: Vec<RejectionExplanation>,
    /// How many more of them there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected_more: u64,
    /// The steps that were asked, in order.
    pub steps: Vec<StepExplanation>,
    /// The features that were read, with their values; null for what is absent or has parts.
    pub features: Map<String, Value>,
    /// The probability of this first choice.
    pub propensity: f64,
    /// What the first leg is expected to bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectationExplanation>,
    /// What the second leg would have brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<ExpectationExplanation>,
    /// The deployment that gets a copy of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// The seed, 16 hexadecimal digits.
    pub seed: String,
    /// The turn of round robin, if one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// Fingerprint of the configuration, 16 hexadecimal digits.
    pub config_version: String,
}

/// The plan, deployments by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanExplanation {
    /// In the order of preference.
    pub legs: Vec<String>,
    /// Where to go instead when rate limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_rate_limit: Vec<String>,
    /// Where to go instead when the prompt is too long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_context_length: Vec<String>,
    /// Where to go instead when the content was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_content_filter: Vec<String>,
    /// Upstream calls at the most.
    pub attempts: u32,
    /// The deadline of the whole request in milliseconds.
    pub total_ms: u64,
}

/// A deployment that may serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateExplanation {
    /// Its name.
    pub deployment: String,
    /// The tier it is planned in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The measure it was ranked by: lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it takes requests.
    pub availability: String,
}

/// A deployment that may not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectionExplanation {
    /// Its name.
    pub deployment: String,
    /// The stable name of the reason.
    pub reason: String,
    /// The reason in words.
    pub text: String,
}

/// A step that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepExplanation {
    /// Its name.
    pub step: String,
    /// What it chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why it chose nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<String>,
    /// How it came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it measured, by name: probabilities of classes, scores, thresholds.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub measures: Map<String, Value>,
}

/// What a leg is expected to bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpectationExplanation {
    /// The deployment.
    pub deployment: String,
    /// Estimated cost.
    pub cost: Cost,
    /// Predicted quality, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
}

impl Explanation {
    /// The explanation of a decision.
    ///
    /// # Errors
    /// None that a decision of this release can cause; the JSON of a decision is what this type reads.
    pub fn of(decision: &Decision) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&decision.to_json())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
