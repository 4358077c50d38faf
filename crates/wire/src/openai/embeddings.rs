//! OpenAI embeddings: requests and answers, both ways.
//!
//! Owns the dialect's one other operation. Must not touch vectors beyond their spelling: base64 of little-endian 32-bit
//! floats is what official SDKs ask for by default, JSON numbers what most others send.

use super::error::from_object;
use super::request_decode::extra;
use super::request_encode::{REFUSED, Warnings, write_extras};
use crate::codec::{BadRequest, Decode, Encode, EncodeContext, EncodeError, Encoded, Frame, Profile};
use crate::scan::reader::Kind;
use crate::scan::tree::{self, Node, Place, Value};
use crate::write::{Object, array, float32, string, whole};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::error::ClientError;
use trunkline_model::event::Event;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::request::{EmbeddingInput, EmbeddingRequest, VectorEncoding};
use trunkline_model::usage::Usage;

/// The most vectors of one answer: OpenAI's own bound on inputs.
const VECTOR_LIMIT: usize = 2_048;

pub(super) fn decode(root: &Node<'_>, place: &Place<'_>) -> Result<EmbeddingRequest, BadRequest> {
    let mut request = EmbeddingRequest {
        model: place.needed_text(root, "model")?.to_owned(),
        ..EmbeddingRequest::default()
    };
    for (name, node) in root.fields() {
        if matches!(node.value, Value::Null) {
            continue;
        }
        let at = place.key(name);
        match name {
            "model" => {}
            "input" => request.inputs = inputs(node, &at)?,
            "dimensions" => request.dimensions = Some(at.whole(node, "a whole number of at least 0")?),
            "encoding_format" => {
                request.encoding = match at.text(node)? {
                    "float" => VectorEncoding::Float,
                    "base64" => VectorEncoding::Base64,
                    other => {
                        return Err(at.wrong(format_args!("expected `float` or `base64`, found `{other}`")));
                    }
                };
            }
            // What the vectors are for, as several look-alikes name it.
            "input_type" => request.task = Some(at.text(node)?.to_owned()),
            "user" => request.user = Some(at.text(node)?.to_owned()),
            _ => request.extras.push(extra(name, node)),
        }
    }
    if request.inputs.is_empty() {
        return Err(place.key("input").missing("a string or a non-empty array to embed"));
    }
    Ok(request)
}

fn inputs(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<EmbeddingInput>, BadRequest> {
    if let Some(text) = node.as_text() {
        return Ok(vec![EmbeddingInput::Text(text.to_owned())]);
    }
    if node.kind() != Kind::Array {
        return Err(place.expected("a string, an array of strings, or an array of token ids", node));
    }
    let elements = place.array(node)?;
    if elements.first().is_some_and(|first| first.kind() == Kind::Number) {
        return tokens(node, place).map(|tokens| vec![EmbeddingInput::Tokens(tokens)]);
    }
    let each = elements.iter().enumerate().map(|(index, element)| {
        let at = place.index(index);
        match element.kind() {
            Kind::Text => Ok(EmbeddingInput::Text(at.text(element)?.to_owned())),
            Kind::Array => tokens(element, &at).map(EmbeddingInput::Tokens),
            _ => Err(at.expected("a string or token ids", element)),
        }
    });
    each.collect()
}

fn tokens(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<u32>, BadRequest> {
    let ids = place.array(node)?.iter().enumerate();
    ids.map(|(index, id)| place.index(index).whole(id, "a token id")).collect()
}

pub(super) fn encode(request: &EmbeddingRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    let mut warnings = Warnings::default();
    let mut out = Vec::with_capacity(256);
    let mut body = Object::open(&mut out);
    body.text("model", &profile.model);
    write_inputs(body.key("input"), &request.inputs);
    if let Some(dimensions) = request.dimensions {
        // Vectors of another length than asked for are useless to the client.
        if profile.refuses("dimensions") {
            return Err(EncodeError::Unsupported {
                feature: "dimensions".to_owned(),
                reason: "the target's vectors have a fixed length; leave it out or choose another model"
                    .to_owned(),
            });
        }
        body.whole("dimensions", dimensions);
    }
    // Numbers are the default. A target that refuses base64 sends numbers too, and the client's side writes base64 itself.
    if request.encoding == VectorEncoding::Base64 && !profile.refuses("encoding_format") {
        body.text("encoding_format", "base64");
    }
    for (name, value) in [("input_type", &request.task), ("user", &request.user)] {
        match value {
            Some(_) if profile.refuses(name) => warnings.dropped(name, REFUSED),
            Some(value) => body.text(name, value),
            None => {}
        }
    }
    write_extras(&mut body, &request.extras, profile, &mut warnings);
    body.close();
    Ok(Encoded::new(Bytes::from(out), warnings.list))
}

fn write_inputs(out: &mut Vec<u8>, inputs: &[EmbeddingInput]) {
    let write = |out: &mut Vec<u8>, input: &EmbeddingInput| match input {
        EmbeddingInput::Text(text) => string(out, text),
        EmbeddingInput::Tokens(tokens) => array(out, tokens, |out, token| whole(out, *token)),
    };
    match inputs {
        // A lone input is written bare: look-alikes without batches accept nothing else.
        [one] => write(out, one),
        several => array(out, several, write),
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Vec<Vector<'a>>,
    #[serde(default)]
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
struct Vector<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct AnswerUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    total_tokens: u64,
}

/// Reads an answer; there are no streams of vectors.
#[derive(Default)]
pub(super) struct Decoder {
    is_complete: bool,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: Answer<'_> = match serde_json::from_slice(frame.data) {
            Ok(answer) => answer,
            Err(_) => return Err(not_an_answer(frame.data)),
        };
        if answer.data.len() > VECTOR_LIMIT {
            return Err(malformed(format!("more than {VECTOR_LIMIT} vectors")));
        }
        let model = answer.model.unwrap_or_default().into_owned();
        events.push(Event::Start { id: String::new(), model, created: None });
        for (position, vector) in answer.data.iter().enumerate() {
            let values = values(vector.embedding.get())
                .ok_or_else(|| malformed(format!("data[{position}].embedding is no vector")))?;
            let index = vector.index.unwrap_or(u32::try_from(position).unwrap_or(u32::MAX));
            events.push(Event::Embedding { index, values });
        }
        if let Some(usage) = answer.usage {
            // Some look-alikes give the total only.
            let prompt = if usage.prompt_tokens == 0 { usage.total_tokens } else { usage.prompt_tokens };
            events.push(Event::Usage(Usage { input: prompt, ..Usage::default() }));
        }
        events.push(Event::End);
        self.is_complete = true;
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.is_complete {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Cut, "the provider's answer has no body"))
    }
}

/// What a body is that is no answer: an error object sent with status 200, or nonsense.
pub(crate) fn not_an_answer(data: &[u8]) -> Failure {
    match tree::parse(data, &[]) {
        Ok(root) if root.field("error").is_some() => from_object(200, &root),
        Ok(_) => malformed("the JSON is not an answer of this protocol"),
        Err(_) => malformed("the body is not JSON"),
    }
}

/// A malformed answer.
pub(crate) fn malformed(what: impl std::fmt::Display) -> Failure {
    Failure::new(FailureClass::Malformed, format!("the provider's answer cannot be read: {what}"))
}

/// A vector written as numbers or as base64 of little-endian floats.
fn values(raw: &str) -> Option<Vec<f32>> {
    let Some(quoted) = raw.strip_prefix('"') else { return serde_json::from_str(raw).ok() };
    let base64 = quoted.strip_suffix('"')?;
    let bytes = if base64.contains('\\') {
        // An escaped slash is the only escape base64 can need.
        STANDARD.decode(base64.replace("\\/", "/")).ok()?
    } else {
        STANDARD.decode(base64).ok()?
    };
    let (floats, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
}

/// Writes an answer.
pub(super) struct Encoder {
    context: EncodeContext,
    model: Option<String>,
    vectors: Vec<(u32, Vec<f32>)>,
    usage: Usage,
}

impl Encoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self { context, model: None, vectors: Vec::new(), usage: Usage::default() }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, _: &mut BytesMut) {
        match event {
            Event::Start { model, .. } if !model.is_empty() => self.model = Some(model.clone()),
            Event::Embedding { index, values } => self.vectors.push((*index, values.clone())),
            Event::Usage(usage) => self.usage = *usage,
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.vectors.sort_by_key(|(index, _)| *index);
        let mut body = Object::open(out);
        body.text("object", "list");
        let encoding = self.context.encoding;
        array(body.key("data"), &self.vectors, |out, (index, values)| {
            let mut vector = Object::open(out);
            vector.text("object", "embedding");
            vector.whole("index", *index);
            write_vector(vector.key("embedding"), values, encoding);
            vector.close();
        });
        body.text("model", self.model.as_deref().unwrap_or(&self.context.model));
        let mut usage = Object::open(body.key("usage"));
        usage.whole("prompt_tokens", self.usage.prompt());
        usage.whole("total_tokens", self.usage.total());
        usage.close();
        body.close();
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&super::encode_error(error, self.context.request_id));
    }
}

fn write_vector(out: &mut BytesMut, values: &[f32], encoding: VectorEncoding) {
    match encoding {
        VectorEncoding::Float => array(out, values, |out, value| float32(out, *value)),
        VectorEncoding::Base64 => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            string(out, &STANDARD.encode(bytes));
        }
    }
}
