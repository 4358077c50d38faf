//! OpenAI chat completions and embeddings, and the many servers that speak them.
//!
//! Owns both sides of the dialect. Must not know which provider it talks to: what differs between look-alikes is in the
//! profile, and what they answer beyond the specification is accepted wherever it is met.

mod answer_decode;
mod answer_encode;
mod calls;
mod chunk;
pub(crate) mod citation;
mod embeddings;
pub(crate) mod error;
mod finish;
pub(crate) mod leftovers;
pub(crate) mod media;
mod message_decode;
mod message_encode;
mod observe;
mod pass;
mod plain_chunk;
mod request_decode;
mod request_encode;

#[cfg(test)]
mod tests;

use crate::codec::{Decode, Encode, EncodeContext, Observe};
use trunkline_model::dialect::{Delivery, Dialect, Operation};

pub(crate) use answer_decode::{cut, error_in};
pub(crate) use answer_encode::write_usage;
pub(crate) use embeddings::{malformed, not_an_answer};
pub use error::{decode_error, encode_error, encode_error_frame};
pub(crate) use finish::finish_word;
pub use pass::{may_pass, pass_edits};
pub use request_decode::decode_request;
pub(crate) use request_encode::effort_of;
pub use request_encode::encode_request;

/// An encoder of answers for a client of this dialect.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    match (operation, delivery) {
        (Operation::Embeddings, _) => Box::new(embeddings::Encoder::new(context)),
        (Operation::Rerank, _) => Box::new(crate::rerank::Encoder::new(context)),
        (Operation::Completions, _) => Box::new(crate::completions::Encoder::new(delivery, context)),
        (_, Delivery::Stream) => Box::new(answer_encode::StreamEncoder::new(context)),
        (_, Delivery::Plain) => Box::new(answer_encode::PlainEncoder::new(context)),
    }
}

/// A decoder of answers from a provider of this dialect.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    decoder_of(Dialect::Anthropic, operation, delivery)
}

/// A decoder of answers in this form whose thoughts, where they carry a signature, were signed by a provider of `signer`.
#[must_use]
pub(crate) fn decoder_of(signer: Dialect, operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    match operation {
        Operation::Embeddings => Box::new(embeddings::Decoder::default()),
        Operation::Rerank => Box::new(crate::rerank::Decoder::default()),
        _ => Box::new(answer_decode::Decoder::new(delivery, signer)),
    }
}

/// An observer of answers that pass through.
#[must_use]
pub fn observer(operation: Operation, delivery: Delivery, client_wants_usage: bool) -> Box<dyn Observe> {
    if operation == Operation::Rerank {
        return Box::new(crate::rerank::Observer::default());
    }
    Box::new(observe::Observer::new(operation, delivery, client_wants_usage))
}
