//! The OpenAI responses dialect: `/v1/responses`, both sides.
//!
//! Owns everything that is spelled this dialect's way. Must not know providers that speak it: what they need differently comes
//! in the profile. Must not know where responses are stored either: a request that names an earlier one is expanded before it
//! gets here. Source: `CreateResponse`, `Response` and `ResponseStreamEvent` of the vendor's OpenAPI document.

mod answer_collect;
mod answer_decode;
mod answer_encode;
mod citation;
mod count;
mod custom;
mod echo;
mod error;
mod item_decode;
mod item_encode;
mod leftovers;
mod observe;
mod output;
mod pass;
mod request_decode;
mod request_encode;
mod stored;
mod usage;

#[cfg(test)]
mod tests;

use crate::codec::{Decode, Encode, EncodeContext, Observe};
use crate::count::{CountDecoder, CountObserver};
use crate::openai;
use crate::token_ids;
use bytes::{Bytes, BytesMut};
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::json::Json;

pub use count::encode_count_request;
pub use echo::Echo;
pub use error::{decode_error, encode_error, encode_error_frame};
pub use pass::{may_pass, pass_edits};
pub use request_decode::decode_request;
pub use request_encode::encode_request;
pub use stored::{Patch, failed, input_items, patch_event, patch_response, replay, response_id, stable_tail};

/// What stands between the parts of a summary that become one text.
const PARAGRAPH: &str = "\n\n";

/// The type of the item that holds a picture the model made.
const GENERATED: &str = "image_generation_call";
/// What happens to such an item, in the order in which the vendor tells it.
const GENERATED_STEPS: [&str; 3] = [
    "response.image_generation_call.in_progress",
    "response.image_generation_call.generating",
    "response.image_generation_call.completed",
];

/// The entries of log-probabilities, one text each; another dialect's form has none.
fn logprobs(json: &Json) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Logprobs {
        content: Option<Vec<Json>>,
    }
    let entries = json.read::<Logprobs>().ok().and_then(|logprobs| logprobs.content).unwrap_or_default();
    entries.iter().filter_map(complete).collect()
}

/// An entry with the members that the specification demands; look-alikes leave some out.
fn complete(entry: &Json) -> Option<String> {
    let mut value = entry.value();
    token_ids::leave_out(&mut value);
    let fields = value.as_object_mut()?;
    let bytes = fields.get("token")?.as_str()?.as_bytes().to_vec();
    if fields.get("bytes").is_none_or(serde_json::Value::is_null) {
        fields.insert("bytes".to_owned(), bytes.into());
    }
    if fields.get("top_logprobs").is_none_or(serde_json::Value::is_null) {
        fields.insert("top_logprobs".to_owned(), serde_json::Value::Array(Vec::new()));
    }
    Some(value.to_string())
}

/// Whether an extra is an item of this dialect: its name is its type.
fn is_item(name: &str, json: &Json) -> bool {
    let is_ours = name.ends_with("_call") || name.ends_with("_call_output") || name.starts_with("mcp_");
    is_ours && json.value().get("type").and_then(serde_json::Value::as_str) == Some(name)
}

/// An encoder of answers for a client of this dialect. Embeddings are those of the other OpenAI dialect, which clients of this
/// one use beside it.
#[must_use]
pub fn encoder(operation: Operation, delivery: Delivery, context: EncodeContext) -> Box<dyn Encode> {
    match operation {
        Operation::Embeddings | Operation::Rerank => openai::encoder(operation, delivery, context),
        Operation::CountTokens => Box::new(count::Encoder::new(context)),
        _ => Box::new(answer_encode::Encoder::new(delivery, context)),
    }
}

/// A response object of which there is nothing yet.
#[must_use]
pub fn begun(context: &EncodeContext) -> Bytes {
    let mut out = BytesMut::new();
    output::Output::new(context).write(&output::Status::InProgress, &mut out);
    out.freeze()
}

/// A decoder of answers from a provider of this dialect.
#[must_use]
pub fn decoder(operation: Operation, delivery: Delivery) -> Box<dyn Decode> {
    match (operation, delivery) {
        (Operation::Embeddings | Operation::Rerank, _) => openai::decoder(operation, delivery),
        (Operation::CountTokens, _) => Box::new(CountDecoder::new(count::counted)),
        (_, Delivery::Stream) => Box::new(answer_decode::Decoder::default()),
        (_, Delivery::Plain) => Box::new(answer_collect::Decoder::default()),
    }
}

/// An observer of answers that pass through.
#[must_use]
pub fn observer(operation: Operation, delivery: Delivery, client_wants_usage: bool) -> Box<dyn Observe> {
    match operation {
        Operation::Embeddings | Operation::Rerank => {
            openai::observer(operation, delivery, client_wants_usage)
        }
        Operation::CountTokens => Box::new(CountObserver::new(count::counted)),
        _ => Box::new(observe::Observer::new(delivery)),
    }
}
