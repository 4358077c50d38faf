//! Which endpoint a method and path name.
//!
//! Owns the table of paths. Must not read bodies. A plain match instead of a router: there are few paths, they are fixed, and
//! two of them (`/v1/models`) belong to several protocols, told apart by headers.

use crate::batches::{self, BatchCall};
use crate::responses::{ConversationCall, find_conversation};
use http::{HeaderMap, Method};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_wire::codec::PathParts;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Inference in a dialect.
    Inference {
        /// The protocol.
        dialect: Dialect,
        /// What is asked for.
        operation: Operation,
        /// What the path itself says.
        path: PathParts,
    },
    /// A stored response.
    Response(String, ResponseVerb),
    /// A stored conversation, or a new one.
    Conversations(ConversationCall),
    /// A file or a batch, or all of them.
    Batches(BatchCall),
    /// The list of models and routes.
    Models(Dialect),
    /// One model or route.
    Model(Dialect, String),
    /// The decision for a request, nothing sent.
    Explain,
    /// A past decision.
    Decision(String),
    /// What a client says of an answer.
    Feedback,
    /// The door itself, at which clients look whether somebody is there.
    Door,
    /// Alive.
    Health,
    /// Able to serve.
    Ready,
    /// Figures for Prometheus.
    Metrics,
}

/// How a client wants a stream framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamForm {
    /// Server-sent events.
    Events,
    /// One JSON array, element by element.
    Array,
}

impl StreamForm {
    /// What a request asks for: Gemini's streams are an array unless `alt=sse` says otherwise
    /// (<https://cloud.google.com/apis/docs/system-parameters>), all others are events.
    pub(crate) fn of(dialect: Dialect, query: Option<&str>) -> Self {
        let wants_events =
            |pair: &str| matches!(pair.split_once('='), Some(("alt" | "$alt" | "%24alt", "sse")));
        match dialect {
            Dialect::Gemini if !query.is_some_and(|query| query.split('&').any(wants_events)) => Self::Array,
            _ => Self::Events,
        }
    }
}

/// What is asked of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseVerb {
    /// The response, or its events.
    Retrieve,
    /// Forget it.
    Delete,
    /// Stop it.
    Cancel,
    /// What it was made from.
    InputItems,
}

/// Why a path names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoEndpoint {
    /// The path is known, the method is not.
    Method {
        /// The protocol the path belongs to.
        dialect: Dialect,
        /// The methods it takes, as the header `allow` lists them.
        allowed: String,
    },
    /// The path is unknown.
    Path {
        /// The protocol the caller seems to speak.
        dialect: Dialect,
    },
}

/// Finds the endpoint.
///
/// # Errors
/// What is wrong with method or path.
pub(crate) fn find(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Endpoint, NoEndpoint> {
    let (endpoint, allowed) = look(method, path, headers, query)?;
    if *method == allowed || (allowed == Method::GET && *method == Method::HEAD) {
        return Ok(endpoint);
    }
    let dialect = match &endpoint {
        Endpoint::Inference { dialect, .. } | Endpoint::Models(dialect) | Endpoint::Model(dialect, _) => {
            *dialect
        }
        Endpoint::Response(..) | Endpoint::Conversations(_) => Dialect::Responses,
        Endpoint::Batches(call) => call.dialect(),
        _ => spoken(headers, query),
    };
    let takes = |method: &Method| look(method, path, headers, query).is_ok_and(|(_, taken)| taken == *method);
    let allowed: Vec<Method> =
        [Method::GET, Method::POST, Method::DELETE].into_iter().filter(takes).collect();
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    Err(NoEndpoint::Method { dialect, allowed })
}

/// The endpoint of a path and the method it takes there: the one given, where it is one of several.
fn look(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(Endpoint, Method), NoEndpoint> {
    let spoken = || spoken(headers, query);
    Ok(match path {
        "/v1/chat/completions" | "/chat/completions" => {
            (inference(Dialect::OpenAi, Operation::Chat), Method::POST)
        }
        "/v1/completions" | "/completions" => {
            (inference(Dialect::OpenAi, Operation::Completions), Method::POST)
        }
        "/v1/embeddings" | "/embeddings" => (inference(Dialect::OpenAi, Operation::Embeddings), Method::POST),
        "/v1/rerank" | "/v2/rerank" | "/rerank" => {
            (inference(Dialect::Cohere, Operation::Rerank), Method::POST)
        }
        "/v1/responses" | "/responses" => (inference(Dialect::Responses, Operation::Chat), Method::POST),
        "/v1/responses/input_tokens" | "/responses/input_tokens" => {
            (inference(Dialect::Responses, Operation::CountTokens), Method::POST)
        }
        "/v1/messages" => (inference(Dialect::Anthropic, Operation::Chat), Method::POST),
        "/v1/messages/count_tokens" => (inference(Dialect::Anthropic, Operation::CountTokens), Method::POST),
        "/v1/models" | "/models" | "/v1beta/models" => {
            (Endpoint::Models(if path == "/v1beta/models" { Dialect::Gemini } else { spoken() }), Method::GET)
        }
        "/v1/explain" => (Endpoint::Explain, Method::POST),
        "/v1/feedback" => (Endpoint::Feedback, Method::POST),
        "/" => (Endpoint::Door, Method::GET),
        "/healthz" => (Endpoint::Health, Method::GET),
        "/readyz" => (Endpoint::Ready, Method::GET),
        "/metrics" => (Endpoint::Metrics, Method::GET),
        _ if path.contains("responses/") => match response(method, path) {
            Some(found) => found,
            None => return Err(NoEndpoint::Path { dialect: Dialect::Responses }),
        },
        _ if let Some((call, allowed)) = find_conversation(method, path) => {
            (Endpoint::Conversations(call), allowed)
        }
        _ if let Some(operation) = relayed(path) => (inference(Dialect::OpenAi, operation), Method::POST),
        _ if batches::is_ours(path, spoken()) => match batches::find(method, path) {
            Some((call, allowed)) => (Endpoint::Batches(call), allowed),
            None => return Err(NoEndpoint::Path { dialect: spoken() }),
        },
        _ => prefixed(method, path, spoken).ok_or_else(|| NoEndpoint::Path { dialect: spoken() })?,
    })
}

/// The endpoints whose bodies are relayed.
fn relayed(path: &str) -> Option<Operation> {
    Some(match path.strip_prefix("/v1").unwrap_or(path) {
        "/moderations" => Operation::Moderations,
        "/images/generations" => Operation::Images,
        "/images/edits" => Operation::ImageEdits,
        "/images/variations" => Operation::ImageVariations,
        "/audio/transcriptions" => Operation::Transcriptions,
        "/audio/translations" => Operation::Translations,
        "/audio/speech" => Operation::Speech,
        _ => return None,
    })
}

/// A stored response, by path and method: the same path can be read and deleted.
fn response(method: &Method, path: &str) -> Option<(Endpoint, Method)> {
    let rest = path.strip_prefix("/v1/responses/").or_else(|| path.strip_prefix("/responses/"))?;
    let (id, below) = rest.split_once('/').map_or((rest, None), |(id, below)| (id, Some(below)));
    if id.is_empty() {
        return None;
    }
    let (verb, allowed) = match below {
        // Nothing is posted to a response: this is another endpoint of the vendor.
        None if *method == Method::POST => return None,
        None if *method == Method::DELETE => (ResponseVerb::Delete, Method::DELETE),
        None => (ResponseVerb::Retrieve, Method::GET),
        Some("cancel") => (ResponseVerb::Cancel, Method::POST),
        Some("input_items") => (ResponseVerb::InputItems, Method::GET),
        Some(_) => return None,
    };
    Some((Endpoint::Response(decode(id), verb), allowed))
}

fn prefixed(method: &Method, path: &str, spoken: impl FnOnce() -> Dialect) -> Option<(Endpoint, Method)> {
    if let Some(id) = path.strip_prefix("/v1/decisions/") {
        return Some((Endpoint::Decision(id.to_owned()), Method::GET));
    }
    let (rest, versioned_gemini) = match path.strip_prefix("/v1beta/") {
        Some(rest) => (rest, true),
        None => (path.strip_prefix("/v1/")?, false),
    };
    let named = rest.strip_prefix("models/");
    // A client that takes a name with a slash for a whole resource name leaves `models/` out.
    let rest = decode(named.or_else(|| rest.contains('/').then_some(rest))?);
    if let Some((model, verb)) = rest.rsplit_once(':')
        && let Some((operation, delivery)) = gemini_verb(verb)
    {
        let path = PathParts { model: Some(model.to_owned()), delivery: Some(delivery) };
        return Some((Endpoint::Inference { dialect: Dialect::Gemini, operation, path }, Method::POST));
    }
    named?;
    if *method == Method::POST && rest.contains(':') {
        // A method of Gemini's that is not served: no model is made by posting.
        return None;
    }
    Some((Endpoint::Model(if versioned_gemini { Dialect::Gemini } else { spoken() }, rest), Method::GET))
}

fn gemini_verb(verb: &str) -> Option<(Operation, Delivery)> {
    Some(match verb {
        "generateContent" => (Operation::Chat, Delivery::Plain),
        "streamGenerateContent" => (Operation::Chat, Delivery::Stream),
        "embedContent" | "batchEmbedContents" => (Operation::Embeddings, Delivery::Plain),
        "countTokens" => (Operation::CountTokens, Delivery::Plain),
        _ => return None,
    })
}

fn inference(dialect: Dialect, operation: Operation) -> Endpoint {
    Endpoint::Inference { dialect, operation, path: PathParts::default() }
}

/// The protocol a caller speaks on paths that several share: told by the way it authenticates.
fn spoken(headers: &HeaderMap, query: Option<&str>) -> Dialect {
    if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else if headers.contains_key("x-goog-api-key")
        || query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key=")))
    {
        Dialect::Gemini
    } else {
        Dialect::OpenAi
    }
}

/// Resolves percent escapes; what is not one stays.
pub(crate) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: &Method, path: &str) -> Result<Endpoint, NoEndpoint> {
        find(method, path, &HeaderMap::new(), None)
    }

    #[test]
    fn gemini_paths_carry_model_and_delivery() {
        let expected = PathParts { model: Some("openai/gpt-5".into()), delivery: Some(Delivery::Stream) };
        let found = at(&Method::POST, "/v1beta/models/openai%2Fgpt-5:streamGenerateContent").unwrap();
        let expected =
            Endpoint::Inference { dialect: Dialect::Gemini, operation: Operation::Chat, path: expected };
        assert_eq!(found, expected);
        let bare = at(&Method::POST, "/v1beta/openai/gpt-5:streamGenerateContent").unwrap();
        assert_eq!(bare, found);
        for path in ["/v1beta/gpt-5:generateContent", "/v1beta/openai/gpt-5:else", "/v1/openai/gpt-5"] {
            assert_eq!(at(&Method::POST, path), Err(NoEndpoint::Path { dialect: Dialect::OpenAi }), "{path}");
        }
        assert_eq!(at(&Method::GET, "/v1/models/a:b"), Ok(Endpoint::Model(Dialect::OpenAi, "a:b".into())));
    }

    #[test]
    fn gemini_streams_are_an_array_unless_events_are_asked_for() {
        for query in [None, Some("key=x"), Some("alt=json"), Some("balt=sse")] {
            assert_eq!(StreamForm::of(Dialect::Gemini, query), StreamForm::Array, "{query:?}");
            assert_eq!(StreamForm::of(Dialect::OpenAi, query), StreamForm::Events, "{query:?}");
        }
        for query in ["alt=sse", "key=x&alt=sse", "$alt=sse", "%24alt=sse&key=x"] {
            assert_eq!(StreamForm::of(Dialect::Gemini, Some(query)), StreamForm::Events, "{query}");
        }
    }

    #[test]
    fn the_list_of_models_answers_in_the_caller_s_protocol() {
        let headers: HeaderMap =
            [(http::HeaderName::from_static("anthropic-version"), "2023-06-01".parse().unwrap())]
                .into_iter()
                .collect();
        assert_eq!(
            find(&Method::GET, "/v1/models", &headers, None),
            Ok(Endpoint::Models(Dialect::Anthropic))
        );
        let google = find(&Method::GET, "/v1/models", &HeaderMap::new(), Some("a=1&key=x"));
        assert_eq!(google, Ok(Endpoint::Models(Dialect::Gemini)));
    }

    #[test]
    fn relayed_endpoints_have_their_operation() {
        for (path, operation) in [
            ("/v1/moderations", Operation::Moderations),
            ("/images/generations", Operation::Images),
            ("/v1/audio/speech", Operation::Speech),
        ] {
            let path_parts = PathParts::default();
            let expected = Endpoint::Inference { dialect: Dialect::OpenAi, operation, path: path_parts };
            assert_eq!(at(&Method::POST, path), Ok(expected), "{path}");
        }
        assert_eq!(at(&Method::POST, "/v1/audio/other"), Err(NoEndpoint::Path { dialect: Dialect::OpenAi }));
    }

    #[test]
    fn wrong_methods_and_paths_are_told_apart() {
        assert_eq!(
            at(&Method::GET, "/v1/messages"),
            Err(NoEndpoint::Method { dialect: Dialect::Anthropic, allowed: "POST".to_owned() })
        );
        assert_eq!(at(&Method::GET, "/nothing"), Err(NoEndpoint::Path { dialect: Dialect::OpenAi }));
        let nowhere = Err(NoEndpoint::Path { dialect: Dialect::Responses });
        assert_eq!(at(&Method::POST, "/v1/responses/compact"), nowhere);
        let unserved = at(&Method::POST, "/v1beta/models/gemini-x:batchGenerateContent");
        assert_eq!(unserved, Err(NoEndpoint::Path { dialect: Dialect::OpenAi }));
        assert_eq!(at(&Method::HEAD, "/"), Ok(Endpoint::Door));
    }

    #[test]
    fn a_wrong_method_is_told_every_right_one() {
        for (path, methods) in [
            ("/v1/models", "GET"),
            ("/v1/files", "GET, POST"),
            ("/v1/files/file-x", "GET, DELETE"),
            ("/v1/batches", "GET, POST"),
            ("/v1/batches/batch_x/cancel", "POST"),
            ("/v1/conversations/conv_x", "GET, POST, DELETE"),
            ("/v1/responses/resp_x", "GET, DELETE"),
        ] {
            let Err(NoEndpoint::Method { allowed, .. }) = at(&Method::PATCH, path) else { panic!("{path}") };
            assert_eq!(allowed, methods, "{path}");
        }
    }
}
