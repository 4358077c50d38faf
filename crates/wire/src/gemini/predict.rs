//! Vectors by `predict`, which Vertex AI's older models for texts take in place of `batchEmbedContents`.
//!
//! Owns the instances that are sent and the predictions that come back. Must not touch vectors beyond their spelling. Source:
//! the reference of Vertex AI's text embeddings (<https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>)
//! and what Google's own client sends.

use super::embeddings::{task, text};
use crate::codec::{EncodeError, Encoded, Profile};
use crate::json_text::JsonText;
use bytes::BytesMut;
use serde::Deserialize;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::EmbeddingRequest;
use trunkline_model::usage::{Media, Usage};
use trunkline_model::warning::Warning;

/// The most texts of one request.
const MOST_TEXTS: usize = 250;

/// Writes the body of `predict`.
pub(super) fn encode(request: &EmbeddingRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    if request.inputs.len() > MOST_TEXTS {
        return Err(EncodeError::Unsupported {
            feature: "input".to_owned(),
            reason: format!("the model takes at most {MOST_TEXTS} texts per request"),
        });
    }
    let mut warnings = Vec::new();
    let task = task(request, profile, &mut warnings);
    if request.user.is_some() {
        warnings.push(Warning::dropped("user", "the model's endpoint has nothing like it"));
    }
    let (mut title, mut truncate) = (None, None);
    for extra in &request.extras {
        match extra.name.as_str() {
            "title" if extra.origin == Dialect::Gemini => title = Some(extra.value.text()),
            "autoTruncate" if extra.origin == Dialect::Gemini => truncate = Some(extra.value.text()),
            name => {
                warnings.push(Warning::dropped(name.to_owned(), "the model's endpoint has nothing like it"));
            }
        }
    }
    let mut out = BytesMut::with_capacity(256);
    out.open_object();
    out.key("instances");
    out.open_array();
    for (index, input) in request.inputs.iter().enumerate() {
        let text = text(index, input)?;
        out.open_object();
        out.field("content", text);
        if let Some(task) = &task {
            out.field("task_type", task);
        }
        if let Some(title) = title {
            out.field_raw("title", title);
        }
        out.close_object();
    }
    out.close_array();
    if request.dimensions.is_some() || truncate.is_some() {
        out.key("parameters");
        out.open_object();
        if let Some(dimensions) = request.dimensions {
            out.field_unsigned("outputDimensionality", u64::from(dimensions));
        }
        if let Some(truncate) = truncate {
            out.field_raw("autoTruncate", truncate);
        }
        out.close_object();
    }
    out.close_object();
    Ok(Encoded::new(out.freeze(), warnings))
}

/// One prediction.
#[derive(Deserialize)]
pub(super) struct Prediction {
    embeddings: PredictedVector,
}

#[derive(Deserialize)]
struct PredictedVector {
    values: Vec<f32>,
    #[serde(default)]
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    /// Google writes whole numbers as `4.0` at times.
    #[serde(default)]
    token_count: Option<f64>,
}

/// What is told of all predictions together.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    billable_character_count: Option<f64>,
}

/// The vectors, and what they cost: tokens where every prediction tells them, characters where these are billed.
pub(super) fn read(
    predictions: Vec<Prediction>,
    metadata: Option<&Metadata>,
) -> (Vec<Vec<f32>>, Option<Usage>) {
    let count = |number: f64| if number >= 0.0 { number as u64 } else { 0 };
    let tokens: Option<u64> = predictions
        .iter()
        .map(|prediction| prediction.embeddings.statistics.as_ref()?.token_count.map(count))
        .try_fold(0_u64, |sum, tokens| Some(sum.saturating_add(tokens?)));
    let characters = metadata.and_then(|metadata| metadata.billable_character_count).map(count);
    let usage = (tokens.is_some() || characters.is_some()).then(|| Usage {
        input: tokens.unwrap_or(0),
        media: Media { characters: characters.unwrap_or(0), ..Media::default() },
        ..Usage::default()
    });
    (predictions.into_iter().map(|prediction| prediction.embeddings.values).collect(), usage)
}

#[cfg(test)]
mod tests {
    use super::super::{decoder, encode_request};
    use super::*;
    use crate::codec::{EmbeddingsBy, Frame};
    use proptest::prelude::*;
    use trunkline_model::dialect::{Delivery, Operation};
    use trunkline_model::event::Event;
    use trunkline_model::json::Json;
    use trunkline_model::request::{EmbeddingInput, Extra, Request};

    fn profile(way: EmbeddingsBy) -> Profile {
        Profile { embeddings_by: way, ..Profile::new("text-embedding-005") }
    }

    fn extra(name: &str, value: &str) -> Extra {
        let value = Json::parse(value.to_owned()).unwrap();
        Extra { origin: Dialect::Gemini, name: name.to_owned(), value }
    }

    fn request() -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: ["one", "two \"2\""].map(|text| EmbeddingInput::Text(text.to_owned())).to_vec(),
            task: Some("search_query".to_owned()),
            dimensions: Some(256),
            user: Some("u".to_owned()),
            extras: vec![
                extra("title", "\"t\""),
                extra("autoTruncate", "false"),
                extra("embedContentConfig", r#"{"documentOcr":true,"taskType":"CLUSTERING"}"#),
            ],
            ..EmbeddingRequest::default()
        }
    }

    fn written(request: EmbeddingRequest, way: EmbeddingsBy) -> Result<String, String> {
        let encoded = encode_request(&Request::Embeddings(request), &profile(way), Delivery::Plain)
            .map_err(|error| error.to_string())?;
        let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
        Ok(format!("{}\n{}", String::from_utf8_lossy(&encoded.body), warnings.join("\n")))
    }

    fn told(body: &str) -> Result<String, String> {
        let mut events = Vec::new();
        let mut decoder = decoder(Operation::Embeddings, Delivery::Plain);
        let frame = Frame { event: "", data: body.as_bytes() };
        decoder.frame(frame, &mut events).map_err(|failure| failure.message)?;
        let told = events.iter().filter_map(|event| match event {
            Event::Embedding { index, values } => Some(format!("{index} {values:?}")),
            Event::Usage(usage) => {
                Some(format!("{} tokens, {} characters", usage.input, usage.media.characters))
            }
            _ => None,
        });
        Ok(told.collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn each_way_writes_the_same_request_in_its_own_form() {
        let all = [EmbeddingsBy::NamedBatch, EmbeddingsBy::PlainBatch, EmbeddingsBy::Instances];
        let written = all.map(|way| format!("{way:?}\n{}", written(request(), way).unwrap()));
        insta::assert_snapshot!(written.join("\n\n"));
    }

    #[test]
    fn what_the_endpoint_refuses_is_not_sent() {
        let many = vec![EmbeddingInput::Text("a".to_owned()); MOST_TEXTS + 1];
        let tokens = vec![EmbeddingInput::Tokens(vec![1])];
        let told = [many, tokens].map(|inputs| {
            written(EmbeddingRequest { inputs, ..EmbeddingRequest::default() }, EmbeddingsBy::Instances)
                .unwrap_err()
        });
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn predictions_are_vectors_and_what_is_billed_is_counted() {
        let answer = r#"{"predictions":[
            {"embeddings":{"values":[0.5,1],"statistics":{"token_count":4.0,"truncated":false}}},
            {"embeddings":{"statistics":{"truncated":true,"token_count":2},"values":[2]}}],
            "metadata":{"billableCharacterCount":17}}"#;
        assert_eq!(told(answer).unwrap(), "0 [0.5, 1.0]; 1 [2.0]; 6 tokens, 17 characters");
        let uncounted = r#"{"predictions":[{"embeddings":{"values":[1]}}]}"#;
        assert_eq!(told(uncounted).unwrap(), "0 [1.0]");
        for nonsense in [r#"{"predictions":[{"values":[1]}]}"#, "{}", r#"{"predictions":"x"}"#] {
            assert!(told(nonsense).is_err(), "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_one_instance(texts in prop::collection::vec(".{0,20}", 1..5)) {
            let inputs = texts.iter().cloned().map(EmbeddingInput::Text).collect();
            let request = EmbeddingRequest { inputs, ..EmbeddingRequest::default() };
            let body = encode(&request, &profile(EmbeddingsBy::Instances)).unwrap().body;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let contents: Vec<&str> =
                body["instances"].as_array().unwrap().iter().filter_map(|one| one["content"].as_str()).collect();
            prop_assert_eq!(contents, texts);
        }
    }
}
