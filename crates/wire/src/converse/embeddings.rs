//! Embeddings through InvokeModel, whose body each family of models defines for itself.
//!
//! Owns Titan's body (one text, one vector) and Cohere's (many). Must not touch vectors beyond their spelling. Answers tell by
//! their fields which family they are of.

use super::family::Family;
use crate::anthropic::malformed;
use crate::codec::{Decode, EncodeError, Encoded, Frame, Profile, whole};
use crate::json_text::JsonText;
use bytes::BytesMut;
use serde::Deserialize;
use trunkline_model::event::Event;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::request::{EmbeddingInput, EmbeddingRequest};
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// The most texts Cohere's models take at once.
const MOST_TEXTS: usize = 96;

/// Writes an InvokeModel body.
pub(super) fn encode(request: &EmbeddingRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    let mut warnings = Vec::new();
    if request.user.is_some() {
        warnings.push(Warning::dropped("user", "Bedrock has nothing like it"));
    }
    for extra in &request.extras {
        warnings.push(Warning::dropped(extra.name.clone(), "Bedrock has nothing like it"));
    }
    let texts = texts(request)?;
    let body = match Family::of(&profile.model) {
        Family::Titan => titan(request, &texts, &mut warnings)?,
        Family::Cohere => cohere(request, &texts, profile)?,
        _ => {
            return Err(EncodeError::Unsupported {
                feature: "embeddings".to_owned(),
                reason: "the form of this model's embeddings is not known: Titan and Cohere are".to_owned(),
            });
        }
    };
    Ok(Encoded::new(body.freeze(), warnings))
}

fn texts(request: &EmbeddingRequest) -> Result<Vec<&str>, EncodeError> {
    let text = |(index, input): (usize, &'_ EmbeddingInput)| match input {
        EmbeddingInput::Text(_) => Ok(index),
        EmbeddingInput::Tokens(_) => Err(EncodeError::Unsupported {
            feature: format!("input[{index}]"),
            reason: "Bedrock takes text and not token ids: send the text".to_owned(),
        }),
    };
    request.inputs.iter().enumerate().try_for_each(|input| text(input).map(|_| ()))?;
    Ok(request
        .inputs
        .iter()
        .filter_map(|input| if let EmbeddingInput::Text(text) = input { Some(text.as_str()) } else { None })
        .collect())
}

fn titan(
    request: &EmbeddingRequest,
    texts: &[&str],
    warnings: &mut Vec<Warning>,
) -> Result<BytesMut, EncodeError> {
    let [text] = texts else {
        return Err(EncodeError::Unsupported {
            feature: "input".to_owned(),
            reason: "Titan takes one text per request: send them one by one, or choose a model of Cohere"
                .to_owned(),
        });
    };
    if request.task.is_some() {
        warnings.push(Warning::dropped("task", "Titan makes one kind of vector"));
    }
    let mut out = BytesMut::with_capacity(text.len() + 64);
    out.open_object();
    out.field("inputText", text);
    if let Some(dimensions) = request.dimensions {
        out.field_unsigned("dimensions", dimensions.into());
    }
    out.close_object();
    Ok(out)
}

fn cohere(request: &EmbeddingRequest, texts: &[&str], profile: &Profile) -> Result<BytesMut, EncodeError> {
    if texts.len() > MOST_TEXTS {
        return Err(EncodeError::Unsupported {
            feature: "input".to_owned(),
            reason: format!("Cohere's models take at most {MOST_TEXTS} texts per request"),
        });
    }
    let mut out = BytesMut::with_capacity(256);
    out.open_object();
    out.key("texts");
    out.open_array();
    for text in texts {
        out.string(text);
    }
    out.close_array();
    out.field("input_type", task(request.task.as_deref()));
    out.field_raw("embedding_types", r#"["float"]"#);
    if let Some(dimensions) = request.dimensions {
        // Version 3 has one length only; a vector of another than asked for would be useless.
        if profile.model.contains("-v3") {
            return Err(EncodeError::Unsupported {
                feature: "dimensions".to_owned(),
                reason: "the model's vectors have a fixed length: leave it out or choose another model"
                    .to_owned(),
            });
        }
        out.field_unsigned("output_dimension", dimensions.into());
    }
    out.close_object();
    Ok(out)
}

/// What vectors are for, in Cohere's words.
fn task(task: Option<&str>) -> &'static str {
    match task {
        Some("RETRIEVAL_QUERY" | "QUESTION_ANSWERING" | "CODE_RETRIEVAL_QUERY" | "search_query") => {
            "search_query"
        }
        Some("CLASSIFICATION" | "classification") => "classification",
        Some("CLUSTERING" | "SEMANTIC_SIMILARITY" | "clustering") => "clustering",
        _ => "search_document",
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVectors {
    /// Titan's one vector.
    embedding: Option<Vec<f32>>,
    input_text_token_count: Option<u64>,
    /// Cohere's vectors: a list, or lists by type where types were asked for.
    embeddings: Option<Vectors>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vectors {
    List(Vec<Vec<f32>>),
    ByType { float: Vec<Vec<f32>> },
}

/// Decodes the answer of either family.
#[derive(Default)]
pub(super) struct VectorDecoder {
    seen: bool,
}

impl Decode for VectorDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let wire: WireVectors = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        let vectors = match (wire.embedding, wire.embeddings) {
            (Some(vector), _) => vec![vector],
            (None, Some(Vectors::List(vectors) | Vectors::ByType { float: vectors })) => vectors,
            (None, None) => {
                return Err(Failure::new(FailureClass::Malformed, "the provider's answer holds no vector"));
            }
        };
        events.push(Event::Start { id: String::new(), model: String::new(), created: None });
        for (index, values) in (0u32..).zip(vectors) {
            events.push(Event::Embedding { index, values });
        }
        if let Some(input) = wire.input_text_token_count {
            events.push(Event::Usage(Usage { input, ..Usage::default() }));
        }
        events.push(Event::End);
        self.seen = true;
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        whole(self.seen)
    }
}
