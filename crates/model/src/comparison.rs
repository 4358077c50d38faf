//! How the answer to a copied request compares with the one the client got.
//!
//! Owns the figures that are kept of a copy. Must not know how similarity is measured. The texts are only in it where the route
//! says so: a record is otherwise free of prompts and answers.

use crate::id::{Name, RequestId};
use crate::money::Cost;
use serde::{Deserialize, Serialize};

/// A copy's comparison with what was served. What the candidate cost, how long it took and how it ended is in the copy's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The request that was copied.
    pub of: RequestId,
    /// What the client got.
    pub served: ServedAnswer,
    /// How like the two answers are, 0 to 1; `None` when the candidate gave none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub similarity: Option<f64>,
    /// Whether that is enough to count as agreeing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agreed: Option<bool>,
    /// Whether the candidate's answer has the form that the request asked for; `None` when it asked for none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub in_form: Option<bool>,
    /// The texts, where the route keeps them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<Box<KeptAnswers>>,
}

/// The answer the client got, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedAnswer {
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deployment: Option<Name>,
    /// What the answering call cost; failed calls before it are not counted.
    pub cost: Cost,
    /// From sending that call to its first token, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_us: Option<u64>,
    /// From its start to its end, in microseconds. A stream ends when the client has read it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_us: Option<u64>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish: Option<Name>,
    /// Whether it has the form that the request asked for; `None` when it asked for none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub in_form: Option<bool>,
}

/// Both texts, tool calls included, each cut to a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswers {
    /// What the client got.
    pub served: String,
    /// What the candidate said; empty when it gave no answer.
    pub candidate: String,
}
