//! Cohere embeddings: requests and answers.
//!
//! Owns the purpose of vectors, which Cohere insists on being told, and vectors by type: numbers are asked for, and the client's
//! side writes whatever it was asked for.

use super::answer::{Counts, Tokens, not_an_answer};
use super::{REFUSED, UNKNOWN, Warnings, unsupported};
use crate::codec::{Decode, EncodeError, Encoded, Frame, Profile};
use crate::write::{Object, array, string};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use trunkline_model::event::Event;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::request::{EmbeddingInput, EmbeddingRequest};

/// What Cohere knows besides, under its own names.
const EXTRAS: &[&str] = &["max_tokens", "priority", "truncate"];
/// The most vectors of one answer.
const VECTOR_LIMIT: usize = 2_048;

/// Writes an embedding request.
///
/// # Errors
/// When the input is token ids.
pub(super) fn encode(request: &EmbeddingRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    let mut texts = Vec::with_capacity(request.inputs.len());
    for (index, input) in request.inputs.iter().enumerate() {
        match input {
            EmbeddingInput::Text(text) => texts.push(text.as_str()),
            EmbeddingInput::Tokens(_) => {
                let reason = "the target takes texts, not the token ids of another model";
                return Err(unsupported(&format!("input[{index}]"), reason));
            }
        }
    }
    let mut warnings = Warnings::default();
    let mut out = Vec::with_capacity(256);
    let mut body = Object::open(&mut out);
    body.text("model", &profile.model);
    array(body.key("texts"), texts, string);
    body.text("input_type", purpose(request.task.as_deref(), &mut warnings));
    body.raw("embedding_types", r#"["float"]"#);
    if let Some(dimensions) = request.dimensions {
        if profile.refuses("dimensions") {
            return Err(unsupported("dimensions", "the target's vectors have a fixed length"));
        }
        body.whole("output_dimension", dimensions);
    }
    if request.user.is_some() {
        warnings.dropped("user", UNKNOWN);
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

/// What the vectors are for, in Cohere's words; other vendors' words are understood.
fn purpose<'t>(task: Option<&'t str>, warnings: &mut Warnings) -> &'t str {
    let Some(task) = task else {
        warnings.emulated("input_type", "none was given: the vectors are made for documents to be searched");
        return "search_document";
    };
    match task.to_ascii_lowercase().as_str() {
        "search_document" | "retrieval_document" | "document" | "passage" => "search_document",
        "search_query"
        | "retrieval_query"
        | "query"
        | "question_answering"
        | "fact_verification"
        | "code_retrieval_query" => "search_query",
        "classification" => "classification",
        "clustering" | "semantic_similarity" => "clustering",
        _ => task,
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    embeddings: ByType,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: Option<Tokens>,
    #[serde(default)]
    tokens: Option<Tokens>,
}

/// Reads answers.
#[derive(Default)]
pub(super) struct Decoder {
    has_ended: bool,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: Answer<'_> = serde_json::from_slice(frame.data).map_err(|_| not_an_answer(frame.data))?;
        let vectors = answer.embeddings.float;
        if vectors.is_empty() || vectors.len() > VECTOR_LIMIT {
            return Err(Failure::new(FailureClass::Malformed, "the answer has no vectors, or too many"));
        }
        events.push(Event::Start { id: answer.id.into_owned(), model: String::new(), created: None });
        for (index, values) in vectors.into_iter().enumerate() {
            events.push(Event::Embedding { index: index as u32, values });
        }
        let usage = answer.meta.and_then(|meta| Counts::of_meta(meta.billed_units, meta.tokens).classes());
        events.extend(usage.map(Event::Usage));
        events.push(Event::End);
        self.has_ended = true;
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Malformed, "the provider's answer is empty"))
    }
}
