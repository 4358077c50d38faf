//! Ordering documents by what they have to do with a query.
//!
//! Owns the canonical request. Must not know who calls its parts what.

use crate::request::Extra;

/// The most documents that one search is billed for. The vendors that bill by searches agree on it: Cohere (<https://cohere.com/pricing>)
/// and Amazon Bedrock (<https://aws.amazon.com/bedrock/pricing/>), which count longer documents as several.
pub const DOCUMENTS_PER_SEARCH: u64 = 100;

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
