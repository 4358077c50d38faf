//! Gemini embeddings: `embedContent` and `batchEmbedContents`, both ways.
//!
//! Owns the dialect's third operation. Providers are asked in batch (older models of Vertex AI by `predict`); a client is answered in the form it asked in,
//! which only its body tells: one `content`, or a list of `requests`. Must not touch vectors beyond their spelling.

use super::error::{self, ErrorObject};
use super::leftovers;
use super::predict::{self, Metadata, Prediction};
use super::request_decode::{camel, model};
use super::usage::{self, WireUsage};
use crate::anthropic::malformed;
use crate::codec::{
    BadRequest, Decode, EmbeddingForm, EmbeddingsBy, Encode, EncodeContext, EncodeError, Encoded, Envelope,
    Frame, PathParts, Profile, whole,
};
use crate::cursor::At;
use crate::json_text::JsonText;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::event::Event;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::request::{EmbeddingInput, EmbeddingRequest, Extra};
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// The most vectors of one answer, as other dialects bound their inputs.
const MAX_VECTORS: usize = 2_048;
/// What vectors can be for (`google.ai.generativelanguage.v1beta.TaskType`).
const TASKS: [&str; 8] = [
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
];

/// How a client asked, by its body.
#[must_use]
pub fn embedding_form(envelope: &Envelope, body: &[u8]) -> EmbeddingForm {
    if envelope.field(body, "requests").is_some() { EmbeddingForm::Batch } else { EmbeddingForm::Single }
}

/// Reads a body of either form.
pub(super) fn decode(root: &At<'_>, path: &PathParts) -> Result<EmbeddingRequest, BadRequest> {
    let mut request = EmbeddingRequest::default();
    let Some(list) = root.optional("requests") else {
        request.model = model(root, path)?;
        one(root, &mut request, true)?;
        return Ok(request);
    };
    let items = list.items()?;
    if items.len() == 0 {
        return Err(list.wrong("expected at least one request"));
    }
    keep_others(root, &["requests", "model"], &mut request)?;
    for (index, item) in items.enumerate() {
        if index == 0 {
            request.model = model(&item, path)?;
        }
        one(&item, &mut request, index == 0)?;
    }
    Ok(request)
}

/// Reads one request; what all vectors share must be the same in all.
fn one(item: &At<'_>, request: &mut EmbeddingRequest, first: bool) -> Result<(), BadRequest> {
    let content = item.required("content", "a content with text parts")?;
    let mut text = String::new();
    keep_others(&content, &["role", "parts"], request)?;
    for part in content.required("parts", "an array of parts")?.one_or_more()? {
        keep_others(&part, &["text"], request)?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&part.required("text", "a string: only text can be embedded")?.text()?);
    }
    request.inputs.push(EmbeddingInput::Text(text));
    let (mut task, mut dimensions) = (None, None);
    for (name, value) in item.fields()? {
        if value.is_null() {
            continue;
        }
        match &*camel(name) {
            "model" | "content" => {}
            "taskType" => task = Some(value.string()?).filter(|task| task != "TASK_TYPE_UNSPECIFIED"),
            "outputDimensionality" => {
                dimensions = Some(value.unsigned_32()?);
                if dimensions == Some(0) {
                    return Err(value.wrong("expected a whole number, 1 or more"));
                }
            }
            other => {
                let extra = Extra { origin: Dialect::Gemini, name: other.to_owned(), value: value.json()? };
                if !request.extras.contains(&extra) {
                    request.extras.push(extra);
                }
            }
        }
    }
    if first {
        (request.task, request.dimensions) = (task, dimensions);
    } else if request.task != task || request.dimensions != dimensions {
        let what = "expected the same taskType and outputDimensionality in all requests of a batch";
        return Err(item.wrong(what));
    }
    Ok(())
}

/// Keeps what a value says besides under its path, so that it is not lost without a warning.
fn keep_others(
    value: &At<'_>,
    known: &'static [&'static str],
    request: &mut EmbeddingRequest,
) -> Result<(), BadRequest> {
    for other in value.others(known) {
        if request.extras.len() < leftovers::MOST {
            let extra = Extra { origin: Dialect::Gemini, name: other.path(), value: other.json()? };
            request.extras.push(extra);
        }
    }
    Ok(())
}

/// Writes the body of `batchEmbedContents`, or of what the target takes in its place.
pub(super) fn encode(request: &EmbeddingRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    if profile.embeddings_by == EmbeddingsBy::Instances {
        return predict::encode(request, profile);
    }
    let mut warnings = Vec::new();
    let task = task(request, profile, &mut warnings);
    let dimensions = match request.dimensions {
        // Vectors of another length than asked for are useless to the client.
        Some(_) if profile.refuses("outputDimensionality") => {
            return Err(EncodeError::Unsupported {
                feature: "dimensions".to_owned(),
                reason: "the target's vectors have a fixed length; leave it out or choose another model"
                    .to_owned(),
            });
        }
        dimensions => dimensions,
    };
    if request.user.is_some() {
        warnings.push(Warning::dropped("user", "Gemini has nothing like it"));
    }
    let mut own = Vec::new();
    for extra in &request.extras {
        // A name with a path in it is a leftover from inside another value; there is no place to put it back.
        let is_nested = extra.name.contains(['.', '[']);
        if extra.origin == Dialect::Gemini && !is_nested && !profile.refuses(&extra.name) {
            own.push(extra);
        } else {
            warnings.push(Warning::dropped(extra.name.clone(), "Gemini has nothing like it"));
        }
    }
    let model = format!("models/{}", profile.model);
    let mut out = BytesMut::with_capacity(256);
    out.open_object();
    out.key("requests");
    out.open_array();
    for (index, input) in request.inputs.iter().enumerate() {
        let text = text(index, input)?;
        out.open_object();
        if profile.embeddings_by == EmbeddingsBy::NamedBatch {
            out.field("model", &model);
        }
        out.key("content");
        out.open_object();
        out.key("parts");
        out.open_array();
        super::part_encode::write_text(text, &mut out);
        out.close_array();
        out.close_object();
        let settings = Settings { task: task.as_deref(), dimensions, own: &own };
        match profile.embeddings_by {
            EmbeddingsBy::PlainBatch if !settings.is_empty() => {
                out.key("embedContentConfig");
                out.open_object();
                settings.write_inside(&mut out);
                out.close_object();
            }
            EmbeddingsBy::PlainBatch => {}
            EmbeddingsBy::NamedBatch | EmbeddingsBy::Instances => settings.write_beside(&mut out),
        }
        out.close_object();
    }
    out.close_array();
    out.close_object();
    Ok(Encoded::new(out.freeze(), warnings))
}

/// An input as the text it must be, here and in `predict`.
pub(super) fn text(index: usize, input: &EmbeddingInput) -> Result<&str, EncodeError> {
    match input {
        EmbeddingInput::Text(text) => Ok(text),
        EmbeddingInput::Tokens(_) => Err(EncodeError::Unsupported {
            feature: format!("input[{index}]"),
            reason: "Gemini takes text and not token ids: send the text".to_owned(),
        }),
    }
}

/// Where a client puts settings in an object of their own.
const CONFIG: &str = "embedContentConfig";

/// What is said of vectors beside their content.
struct Settings<'a> {
    task: Option<&'a str>,
    dimensions: Option<u32>,
    /// Settings of the dialect without a canonical name.
    own: &'a [&'a Extra],
}

impl Settings<'_> {
    fn is_empty(&self) -> bool {
        self.task.is_none() && self.dimensions.is_none() && self.own.is_empty()
    }

    /// Writes them as members of the request.
    fn write_beside(&self, out: &mut BytesMut) {
        self.write_named(out);
        self.own.iter().for_each(|extra| out.field_raw(&extra.name, extra.value.text()));
    }

    /// Writes them as members of the configuration, with what the client wrote there; what it wrote beside goes first, as the
    /// newer place repeats the older one.
    fn write_inside(&self, out: &mut BytesMut) {
        self.write_named(out);
        let mut known: Vec<String> = Vec::new();
        known.extend(self.task.map(|_| "taskType".to_owned()));
        known.extend(self.dimensions.map(|_| "outputDimensionality".to_owned()));
        let (inner, outer): (Vec<&Extra>, Vec<&Extra>) =
            self.own.iter().copied().partition(|extra| extra.name == CONFIG);
        for extra in outer {
            out.field_raw(&extra.name, extra.value.text());
            known.push(extra.name.clone());
        }
        for extra in inner {
            let Ok(members) = extra.value.read::<BTreeMap<String, Box<RawValue>>>() else { continue };
            for (name, value) in members {
                if !known.contains(&camel(&name)) {
                    out.foreign_key(&name);
                    out.raw(value.get());
                }
            }
        }
    }

    fn write_named(&self, out: &mut BytesMut) {
        if let Some(task) = self.task {
            out.field("taskType", task);
        }
        if let Some(dimensions) = self.dimensions {
            out.field_unsigned("outputDimensionality", u64::from(dimensions));
        }
    }
}

/// What the vectors are for, in this dialect's words.
pub(super) fn task(
    request: &EmbeddingRequest,
    profile: &Profile,
    warnings: &mut Vec<Warning>,
) -> Option<String> {
    let given = request.task.as_deref()?;
    if profile.refuses("taskType") {
        warnings.push(Warning::dropped("input_type", "the target refuses it"));
        return None;
    }
    let word = match given.to_ascii_lowercase().as_str() {
        "query" | "search_query" => "RETRIEVAL_QUERY",
        "passage" | "document" | "search_document" => "RETRIEVAL_DOCUMENT",
        _ => {
            let known = TASKS.into_iter().find(|task| task.eq_ignore_ascii_case(given));
            if known.is_none() {
                let reason = format!("Gemini knows no task `{}`", given.chars().take(40).collect::<String>());
                warnings.push(Warning::dropped("input_type", reason));
            }
            known?
        }
    };
    Some(word.to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVectors {
    embeddings: Option<Vec<WireVector>>,
    embedding: Option<WireVector>,
    predictions: Option<Vec<Prediction>>,
    metadata: Option<Metadata>,
    usage_metadata: Option<WireUsage>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct WireVector {
    #[serde(default)]
    values: Vec<f32>,
}

/// Decodes an answer of either form.
#[derive(Default)]
pub(super) struct Decoder {
    seen: bool,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: WireVectors = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if let Some(error) = answer.error {
            return Err(error.into_failure(None));
        }
        let wrong = |what: &str| Failure::new(FailureClass::Malformed, what);
        let mut usage = answer.usage_metadata.and_then(|usage| usage.usage());
        let values = |vector: WireVector| vector.values;
        let vectors: Vec<Vec<f32>> = match (answer.embeddings, answer.embedding, answer.predictions) {
            (Some(vectors), ..) => vectors.into_iter().map(values).collect(),
            (None, Some(vector), _) => vec![values(vector)],
            (None, None, Some(predictions)) => {
                let (vectors, counted) = predict::read(predictions, answer.metadata.as_ref());
                usage = usage.or(counted);
                vectors
            }
            (None, None, None) => return Err(wrong("the provider's answer has no embeddings")),
        };
        if vectors.len() > MAX_VECTORS {
            return Err(wrong("the provider's answer has too many embeddings"));
        }
        self.seen = true;
        events.push(Event::Start { id: String::new(), model: String::new(), created: None });
        for (index, values) in (0_u32..).zip(vectors) {
            events.push(Event::Embedding { index, values });
        }
        events.extend(usage.map(Event::Usage));
        events.push(Event::End);
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        whole(self.seen)
    }
}

/// Encodes an answer in the form the client asked in.
pub(super) struct Encoder {
    context: EncodeContext,
    vectors: Vec<(u32, Vec<f32>)>,
    usage: Option<Usage>,
}

impl Encoder {
    pub(super) const fn new(context: EncodeContext) -> Self {
        Self { context, vectors: Vec::new(), usage: None }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, _out: &mut BytesMut) {
        match event {
            Event::Embedding { index, values } => self.vectors.push((*index, values.clone())),
            Event::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.vectors.sort_by_key(|(index, _)| *index);
        out.open_object();
        match (self.context.embedding_form, self.vectors.first()) {
            (EmbeddingForm::Single, Some((_, values))) => {
                out.key("embedding");
                write_vector(values, out);
            }
            _ => {
                out.key("embeddings");
                out.open_array();
                self.vectors.iter().for_each(|(_, values)| write_vector(values, out));
                out.close_array();
            }
        }
        if let Some(usage) = &self.usage {
            out.key("usageMetadata");
            usage::write(usage, out);
        }
        out.close_object();
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}

fn write_vector(values: &[f32], out: &mut BytesMut) {
    out.open_object();
    out.key("values");
    out.open_array();
    values.iter().for_each(|value| out.short_float(*value));
    out.close_array();
    out.close_object();
}
