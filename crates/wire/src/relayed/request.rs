//! Requests that are relayed: looked at once, edited in place.
//!
//! Owns what is read of forms, and which bytes change on the way to a deployment: the model, nothing else. Must not copy bodies.

use super::form;
use crate::codec::{BadRequest, Envelope, Field, Profile};
use crate::scan::{self, LongStrings};
use crate::splice::{Edit, Edits};
use bytes::Bytes;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::shape::Shape;

/// The form of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm<'a> {
    /// JSON.
    Json,
    /// A form with files, by its whole content type.
    Multipart(&'a str),
}

impl<'a> BodyForm<'a> {
    /// By the content type; JSON where there is none.
    #[must_use]
    pub fn of(content_type: Option<&'a str>) -> Self {
        match content_type {
            Some(text) if essence(text).eq_ignore_ascii_case("multipart/form-data") => Self::Multipart(text),
            _ => Self::Json,
        }
    }
}

/// The media type without its parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// What of a request its answer is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The operation.
    pub operation: Operation,
    /// A transcript may be bare text.
    pub takes_text: bool,
    /// Characters to be spoken.
    pub characters: u64,
}

/// Looks at a body in either form.
///
/// # Errors
/// What is wrong and where.
pub fn envelope(operation: Operation, form: BodyForm<'_>, body: &[u8]) -> Result<Envelope, BadRequest> {
    let mut envelope = match form {
        BodyForm::Json => {
            let envelope = scan::envelope(Dialect::OpenAi, operation, body, &Default::default())?;
            envelope.refuse_repeated(body)?;
            envelope
        }
        BodyForm::Multipart(content_type) => of_form(operation, content_type, body)?,
    };
    if operation == Operation::Speech {
        // Sound is worth something from its first byte on, whether it comes in events or not.
        envelope.shape.delivery = Delivery::Stream;
    }
    Ok(envelope)
}

fn of_form(operation: Operation, content_type: &str, body: &[u8]) -> Result<Envelope, BadRequest> {
    let fields = form::parts(content_type, body)?;
    let mut shape = Shape::new(Dialect::OpenAi, operation);
    shape.body_bytes = body.len() as u64;
    let mut has_model = false;
    for field in &fields {
        let value = &body[field.value.clone()];
        once(field, &fields, body)?;
        match &body[field.name.clone()] {
            b"model" => {
                shape.model = text("model", value)?.trim().to_owned();
                has_model = !shape.model.is_empty();
            }
            b"stream" => {
                shape.delivery = match text("stream", value)?.trim() {
                    "true" | "True" | "1" => Delivery::Stream,
                    "false" | "False" | "0" | "" => Delivery::Plain,
                    _ => return Err(BadRequest::at("stream", "stream: expected `true` or `false`")),
                };
            }
            b"user" => shape.user = Some(text("user", value)?.to_owned()),
            b"prompt" => {
                shape.text_bytes = value.len() as u64;
                shape.messages = 1;
            }
            b"n" => {
                let number = text("n", value)?.trim().parse().ok().filter(|number| *number > 0);
                shape.choices =
                    number.ok_or_else(|| BadRequest::at("n", "n: expected a whole number of at least 1"))?;
            }
            _ => {}
        }
    }
    if !has_model {
        return Err(BadRequest::at(
            "model",
            "model: the form has no such part; add the name of a model or route",
        ));
    }
    Ok(Envelope { shape, fields, wants_stream_usage: true, strings: LongStrings::default() })
}

/// Parts of which an endpoint takes one: another reader may take the first where this one takes the last.
const SINGLE: [&[u8]; 6] = [b"model", b"stream", b"user", b"prompt", b"n", b"response_format"];

fn once(field: &Field, fields: &[Field], body: &[u8]) -> Result<(), BadRequest> {
    let name = &body[field.name.clone()];
    let is_again = |other: &&Field| body[other.name.clone()] == *name;
    if SINGLE.contains(&name) && fields.iter().filter(is_again).count() > 1 {
        let name = String::from_utf8_lossy(name);
        return Err(BadRequest::at(&*name, format!("{name}: the form has more than one such part")));
    }
    Ok(())
}

fn text<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, BadRequest> {
    std::str::from_utf8(value).map_err(|_| BadRequest::at(name, format!("{name}: expected UTF-8 text")))
}

/// What changes of a body on its way to a deployment.
#[must_use]
pub fn pass_edits(form: BodyForm<'_>, envelope: &Envelope, body: &[u8], profile: &Profile) -> Edits {
    let mut edits = Edits::default();
    match form {
        BodyForm::Json => edits.set_string(envelope, body, "model", &profile.model),
        BodyForm::Multipart(_) => {
            let model = Bytes::copy_from_slice(profile.model.as_bytes());
            let named = envelope.fields.iter().filter(|field| &body[field.name.clone()] == b"model");
            edits.edits = named
                .map(|field| Edit::Replace { range: field.value.clone(), with: model.clone() })
                .collect();
        }
    }
    edits
}

/// What the answer is read by.
#[must_use]
pub fn asked(form: BodyForm<'_>, envelope: &Envelope, body: &[u8]) -> Asked {
    let operation = envelope.shape.operation;
    let field =
        |name: &str| envelope.field(body, name).and_then(|field: &Field| body.get(field.value.clone()));
    let hears = matches!(operation, Operation::Transcriptions | Operation::Translations);
    let format = field("response_format").unwrap_or_default();
    let format = if form == BodyForm::Json { format.trim_ascii() } else { format };
    let takes_text = hears && matches!(unquoted(format), b"text" | b"srt" | b"vtt");
    let characters = match (operation, field("input")) {
        (Operation::Speech, Some(input)) => {
            serde_json::from_slice::<String>(input).map_or(0, |text| text.chars().count() as u64)
        }
        _ => 0,
    };
    Asked { operation, takes_text, characters }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}
