//! Ordering documents by what they have to do with a query.
//!
//! Owns the canonical request. Must not know who calls its parts what.

use crate::request::Extra;

/// Documents to be ordered.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RerankRequest {
    /// What the client put in `model`.
    pub model: String,
    /// What is looked for.
    pub query: String,
    /// The documents' texts, in the client's order.
    pub documents: Vec<String>,
    /// How many of the most relevant are wanted; all where it is absent.
    pub top: Option<u64>,
    /// The client wants the documents repeated in the answer.
    pub return_documents: bool,
    /// Tokens of a document that are read at the most.
    pub max_tokens_per_document: Option<u64>,
    /// Parameters without a canonical name.
    pub extras: Vec<Extra>,
}
