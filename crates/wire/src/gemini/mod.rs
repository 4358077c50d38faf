//! The Gemini dialect: `generateContent`, `streamGenerateContent`, `countTokens`, `embedContent` and `batchEmbedContents`,
//! both sides.
//!
//! Owns everything that is spelled Google's way. Must not know providers that speak it: what they need differently comes in
//! the profile. Model and verb are in the URL, so a body says little of what it is. Sources: Google's `generativelanguage`
//! v1beta protocol buffers and the types of its official SDKs.

mod answer_collect;
mod answer_decode;
mod answer_encode;
mod answer_part;
mod content_decode;
mod embeddings;
mod error;
mod generation_config;
mod grounding;
mod leftovers;
mod logprobs;
mod observe;
mod part_encode;
mod pass;
mod plain_chunk;
mod predict;
mod reasoning;
mod request_decode;
mod request_encode;
mod schema;
mod state;
mod turns;
mod usage;

use crate::codec::{Decode, Encode, EncodeContext, Observe};
use crate::count::{CountDecoder, CountObserver};
use trunkline_model::dialect::{Delivery, Operation};

pub use embeddings::embedding_form;
pub use error::{decode_error, encode_error, encode_error_frame};
pub use pass::{may_pass, pass_edits};
pub use request_decode::decode_request;
pub use request_encode::{encode_count_request, encode_request};
pub(crate) use state::{opaque, unwrapped};

/// The most parts an answer may have, over all its candidates.
const MAX_PARTS: u32 = 4_096;
/// The most candidates an answer may have.
const MAX_CHOICES: usize = 128;

/// Writes answers for clients of this dialect.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    match (operation, delivery) {
        (Operation::CountTokens, _) => Box::new(answer_collect::CountEncoder::new(context)),
        (Operation::Embeddings, _) => Box::new(embeddings::Encoder::new(context)),
        (Operation::Rerank, _) => Box::new(crate::rerank::Encoder::new(context)),
        (_, Delivery::Stream) => Box::new(answer_encode::StreamEncoder::new(context)),
        (_, Delivery::Plain) => Box::new(answer_collect::PlainEncoder::new(context)),
    }
}

/// Reads answers of providers of this dialect.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    match operation {
        Operation::CountTokens => Box::new(CountDecoder::new(answer_decode::counted)),
        Operation::Embeddings => Box::new(embeddings::Decoder::default()),
        Operation::Rerank => Box::new(crate::rerank::Decoder::default()),
        _ => Box::new(answer_decode::Decoder::new(delivery)),
    }
}

/// Watches answers pass between equals. Usage is always part of this dialect's answers, so none is ever hidden.
#[must_use]
pub fn observer(operation: Operation, delivery: Delivery, _client_wants_usage: bool) -> Box<dyn Observe> {
    match operation {
        Operation::CountTokens => Box::new(CountObserver::new(answer_decode::counted)),
        Operation::Embeddings => Box::new(observe::EmbeddingObserver::default()),
        Operation::Rerank => Box::new(crate::rerank::Observer::default()),
        _ => Box::new(observe::ChatObserver::new(delivery)),
    }
}

#[cfg(test)]
mod tests;
