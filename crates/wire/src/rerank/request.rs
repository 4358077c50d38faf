//! Rerank requests, read and written.
//!
//! Owns the members of both forms.

use crate::codec::{BadRequest, EncodeError, Encoded, Envelope, Profile};
use crate::leftovers::{self, Known};
use crate::scan::tree::{self, Node, Place, Value};
use crate::write::{Object, array, string};
use bytes::Bytes;
use serde_json::value::RawValue;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Extra;
use trunkline_model::rerank::RerankRequest;
use trunkline_model::warning::Warning;

/// Whose form a request is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Cohere's, version 2: it repeats no documents.
    Cohere,
    /// That of Jina, Voyage, Together and others.
    Compatible,
}

/// What Cohere knows besides.
const COHERE_EXTRAS: &[&str] = &["priority", "relevant_spans"];

/// Reads a client's request, version 1 or 2.
///
/// # Errors
/// What is wrong with the body, by path.
pub(crate) fn decode(body: &[u8]) -> Result<RerankRequest, BadRequest> {
    let root = tree::parse(body, &[])?;
    let place = Place::ROOT;
    let mut request = RerankRequest {
        model: place.needed_text(&root, "model")?.to_owned(),
        query: place.needed_text(&root, "query")?.to_owned(),
        ..RerankRequest::default()
    };
    for (name, node) in root.fields() {
        if matches!(node.value, Value::Null) {
            continue;
        }
        let at = place.key(name);
        match name {
            "model" | "query" => {}
            "documents" => {
                let documents = at.array(node)?.iter().enumerate();
                let texts = documents.map(|(index, document)| text_of(document, &at.index(index)));
                request.documents = texts.collect::<Result<_, _>>()?;
                of_documents(node, &mut request.extras);
            }
            "top_n" => request.top = Some(at.whole(node, "a whole number of at least 0")?),
            "return_documents" => request.return_documents = at.boolean(node)?,
            "max_tokens_per_doc" => {
                request.max_tokens_per_document = Some(at.whole(node, "a whole number of at least 0")?);
            }
            _ => request.extras.push(Extra {
                origin: Dialect::Cohere,
                name: name.to_owned(),
                value: node.json(),
            }),
        }
    }
    if request.documents.is_empty() {
        return Err(place.key("documents").missing("a non-empty array of texts"));
    }
    Ok(request)
}

/// A document: its text, or an object that holds it.
fn text_of(node: &Node<'_>, place: &Place<'_>) -> Result<String, BadRequest> {
    if let Some(text) = node.as_text() {
        return Ok(text.to_owned());
    }
    match node.field("text").and_then(Node::as_text) {
        Some(text) => Ok(text.to_owned()),
        None => Err(place.expected("a string, or an object with a `text`", node)),
    }
}

/// Keeps what objects among the documents hold besides their texts; each name once, because there are many of them.
fn of_documents(documents: &Node<'_>, extras: &mut Vec<Extra>) {
    const DOCUMENT: Known = Known::flat(&["text"]);
    let field = |extra: &Extra| extra.name.rsplit('.').next().map(str::to_owned);
    for (index, document) in leftovers::elements(documents).iter().enumerate() {
        let mut others = Vec::new();
        let place = || format!("documents[{index}]");
        leftovers::collect(Dialect::Cohere, document, &DOCUMENT, &place, &mut others);
        for other in others {
            let is_told = extras.iter().any(|told| field(told) == field(&other));
            if !is_told && extras.len() < leftovers::MOST {
                extras.push(other);
            }
        }
    }
}

/// Writes a request.
///
/// # Errors
/// None at present: what cannot pass is reported.
pub(crate) fn encode(form: Form, request: &RerankRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    const UNKNOWN: &str = "the target's dialect has nothing like it";
    let mut warnings = Vec::new();
    let mut out = Vec::with_capacity(256);
    let mut body = Object::open(&mut out);
    let named = |name: &'static str| {
        profile.renamed.iter().find(|(ours, _)| ours == name).map_or(name, |(_, theirs)| theirs.as_str())
    };
    body.text("model", &profile.model);
    body.text("query", &request.query);
    array(body.key("documents"), &request.documents, string);
    if let Some(top) = request.top {
        body.whole(named("top_n"), top);
    }
    if request.return_documents {
        match form {
            Form::Compatible if !profile.refuses("return_documents") => {
                body.boolean(named("return_documents"), true);
            }
            _ => warnings.push(Warning::dropped("return_documents", UNKNOWN)),
        }
    }
    if let Some(most) = request.max_tokens_per_document {
        match form {
            Form::Cohere => body.whole("max_tokens_per_doc", most),
            Form::Compatible => warnings.push(Warning::dropped("max_tokens_per_doc", UNKNOWN)),
        }
    }
    for extra in &request.extras {
        // What else objects among the documents hold has no place: only their texts are sent.
        let known = (form == Form::Compatible && !extra.name.contains(['.', '[']))
            || COHERE_EXTRAS.contains(&extra.name.as_str());
        if known && !profile.refuses(&extra.name) {
            body.raw(&extra.name, extra.value.text());
        } else {
            warnings.push(Warning::dropped(extra.name.clone(), UNKNOWN));
        }
    }
    body.close();
    Ok(Encoded::new(Bytes::from(out), warnings))
}

/// Whether a client's body is one of version 2 already: then it passes as it is, but for the model.
pub(crate) fn may_pass(envelope: &Envelope, body: &[u8]) -> bool {
    if ["return_documents", "rank_fields", "max_chunks_per_doc"]
        .iter()
        .any(|name| envelope.field(body, name).is_some())
    {
        return false;
    }
    let Some(field) = envelope.field(body, "documents") else { return false };
    let documents: Result<Vec<&RawValue>, _> = serde_json::from_slice(&body[field.value.clone()]);
    documents.is_ok_and(|documents| documents.iter().all(|document| document.get().starts_with('"')))
}
