//! The Anthropic messages dialect: `/v1/messages` and `/v1/messages/count_tokens`, both sides.
//!
//! Owns everything that is spelled Anthropic's way. Must not know providers that speak it (Anthropic itself, look-alikes,
//! clouds): what they need differently comes in the profile. Sources: Anthropic's API reference and the types of its
//! official SDKs.

mod answer_collect;
mod answer_decode;
mod answer_encode;
mod answer_plain;
mod block_decode;
mod block_encode;
mod citation;
mod embeddings;
pub(crate) mod error;
mod observe;
mod pass;
pub(crate) mod reasoning;
mod request_decode;
mod request_encode;
pub(crate) mod schema;
mod turns;
mod usage;

use crate::codec::{Decode, Encode, EncodeContext, Observe};
use crate::count::{CountDecoder, CountObserver};
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::failure::{Failure, FailureClass};

pub use error::{decode_error, encode_error, encode_error_frame};
pub use pass::{may_pass, pass_edits};
pub use request_decode::decode_request;
pub use request_encode::{encode_count_request, encode_request};

/// The tool that stands for a JSON answer where a model takes no schema. The decoder unwraps calls of it into text, so the
/// name is reserved: no client would choose it.
pub(crate) const ANSWER_TOOL: &str = "json_answer_by_trunkline";
/// The most parts an answer may have.
pub(crate) const MAX_PARTS: u32 = 4_096;

/// Writes answers for clients of this dialect.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    match (operation, delivery) {
        (Operation::CountTokens, _) => Box::new(answer_collect::CountEncoder::new(context)),
        (Operation::Embeddings, _) => Box::new(embeddings::Absent::new(context)),
        (Operation::Rerank, _) => Box::new(crate::rerank::Encoder::new(context)),
        (_, Delivery::Stream) => Box::new(answer_encode::StreamEncoder::new(context)),
        (_, Delivery::Plain) => Box::new(answer_collect::PlainEncoder::new(context)),
    }
}

/// Reads answers of providers of this dialect.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    match (operation, delivery) {
        (Operation::CountTokens, _) => Box::new(CountDecoder::new(answer_plain::counted)),
        (Operation::Embeddings, _) => Box::new(embeddings::NoAnswer::default()),
        (Operation::Rerank, _) => Box::new(crate::rerank::Decoder::default()),
        (_, Delivery::Stream) => Box::new(answer_decode::StreamDecoder::default()),
        (_, Delivery::Plain) => Box::new(answer_plain::PlainDecoder::default()),
    }
}

/// Watches answers pass between equals. Usage is always part of this dialect's answers, so none is ever hidden.
#[must_use]
pub fn observer(operation: Operation, delivery: Delivery, _client_wants_usage: bool) -> Box<dyn Observe> {
    match (operation, delivery) {
        (Operation::CountTokens, _) => Box::new(CountObserver::new(answer_plain::counted)),
        (Operation::Embeddings, _) => Box::new(embeddings::NoAnswer::default()),
        (Operation::Rerank, _) => Box::new(crate::rerank::Observer::default()),
        (_, Delivery::Stream) => Box::new(observe::StreamObserver::default()),
        (_, Delivery::Plain) => Box::new(observe::PlainObserver::default()),
    }
}

/// Nonsense from the provider, without any of its text.
pub(crate) fn malformed(error: &serde_json::Error) -> Failure {
    let what = match error.classify() {
        serde_json::error::Category::Data => "has a field of the wrong type",
        serde_json::error::Category::Eof => "ends in the middle of its JSON",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "is not valid JSON",
    };
    let place = format!("line {} column {}", error.line(), error.column());
    Failure::new(FailureClass::Malformed, format!("the provider's answer {what} ({place})"))
}

#[cfg(test)]
mod tests;
