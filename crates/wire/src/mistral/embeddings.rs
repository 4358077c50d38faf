//! Mistral embeddings: requests; answers are those of the OpenAI dialect.
//!
//! Owns the fields: texts only, the vectors' length is `output_dimension`.

use super::{REFUSED, UNKNOWN, Warnings, unsupported};
use crate::codec::{EncodeError, Encoded, Profile};
use crate::write::{Object, array, string};
use bytes::Bytes;
use trunkline_model::request::{EmbeddingInput, EmbeddingRequest, VectorEncoding};

/// What Mistral knows besides, under its own names.
const EXTRAS: &[&str] = &["metadata", "output_dimension", "output_dtype"];

/// Writes an embedding request.
///
/// # Errors
/// When the input is token ids, which only their maker's tokenizer can read.
pub(super) fn encode(request: &EmbeddingRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    let mut texts = Vec::with_capacity(request.inputs.len());
    for (index, input) in request.inputs.iter().enumerate() {
        match input {
            EmbeddingInput::Text(text) => texts.push(text.as_str()),
            EmbeddingInput::Tokens(_) => {
                return Err(unsupported(
                    &format!("input[{index}]"),
                    "the target takes texts, not the token ids of another model",
                ));
            }
        }
    }
    let mut warnings = Warnings::default();
    let mut out = Vec::with_capacity(256);
    let mut body = Object::open(&mut out);
    body.text("model", &profile.model);
    array(body.key("input"), texts, string);
    if let Some(dimensions) = request.dimensions {
        if profile.refuses("dimensions") || profile.refuses("output_dimension") {
            return Err(unsupported("dimensions", "the target's vectors have a fixed length"));
        }
        body.whole("output_dimension", dimensions);
    }
    if request.encoding == VectorEncoding::Base64 && !profile.refuses("encoding_format") {
        body.text("encoding_format", "base64");
    }
    for (name, value) in [("input_type", &request.task), ("user", &request.user)] {
        if value.is_some() {
            warnings.dropped(name, UNKNOWN);
        }
    }
    for extra in &request.extras {
        if !EXTRAS.contains(&extra.name.as_str()) {
            warnings.dropped(extra.name.clone(), UNKNOWN);
        } else if profile.refuses(&extra.name) {
            warnings.dropped(extra.name.clone(), REFUSED);
        } else {
            body.raw(&extra.name, extra.value.text());
        }
    }
    body.close();
    Ok(Encoded::new(Bytes::from(out), warnings.list))
}
