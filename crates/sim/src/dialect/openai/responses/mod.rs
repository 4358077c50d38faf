//! The responses endpoint of the OpenAI dialect.
//!
//! Owns its paths and the responses it has stored; requests are read in `request`, answers written in `answer`. Source:
//! `CreateResponse`, `Response` and `ResponseStreamEvent` of the vendor's OpenAPI document, and its guide on conversation state.

mod answer;
mod items;
mod request;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::refusal::Invalid;
use super::super::{Context, Inbound, Output, Refusal};
use super::error;

/// Answers `POST /responses`.
pub(super) fn answer(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    let request = request::read(body, context)?;
    Ok(answer::write(&request, body, context))
}

/// What `TokenCountsBody` knows.
const COUNTED: [&str; 12] = [
    "model",
    "input",
    "previous_response_id",
    "tools",
    "text",
    "reasoning",
    "truncation",
    "instructions",
    "personality",
    "conversation",
    "tool_choice",
    "parallel_tool_calls",
];

/// Answers `POST /responses/input_tokens`.
pub(super) fn count(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    if let Some(unknown) = body.keys().find(|name| !COUNTED.contains(&name.as_str())) {
        let message = format!("Unknown parameter: '{unknown}'.");
        return Err(Refusal::parameter(unknown.as_str(), Some("unknown_parameter"), message));
    }
    let tokens = request::read(body, context)?.prompt.tokens();
    Ok(Output::json(StatusCode::OK, &json!({"object": "response.input_tokens", "input_tokens": tokens}), 0))
}

/// Answers requests about a stored response.
pub(super) fn stored(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = inbound.path.split("/responses/").nth(1).unwrap_or_default().trim_end_matches('/');
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let missing = || {
        let message = format!("Response with id '{id}' not found.");
        Refusal::Invalid(Invalid { message, param: None, code: Some(error::MISSING) })
    };
    let found = context.book.find(id).ok_or_else(missing)?;
    let object = match (&inbound.method, verb) {
        (&Method::GET, "") => found.object,
        (&Method::DELETE, "") => {
            context.book.forget(id);
            json!({"id": id, "object": "response", "deleted": true})
        }
        (&Method::POST, "cancel") => {
            if found.object.get("background") != Some(&Value::Bool(true)) {
                return Err(Refusal::invalid("Cannot cancel a synchronous response."));
            }
            found.object
        }
        (&Method::GET, "input_items") => {
            let items: Vec<&Value> = found.input.iter().rev().collect();
            let id_of = |item: Option<&&Value>| item.and_then(|item| item.get("id")).cloned();
            json!({"object": "list", "first_id": id_of(items.first()), "last_id": id_of(items.last()), "has_more": false, "data": items})
        }
        (_, "" | "cancel" | "input_items") => return Err(Refusal::WrongMethod),
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

/// A named server-sent event.
fn event(name: &str, value: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}

/// An error inside an open stream.
pub(super) fn error_event(object: &Value) -> Bytes {
    let error = &object["error"];
    let value = json!({"type": "error", "code": error["code"], "message": error["message"], "param": error["param"],
        "sequence_number": 0});
    event("error", &value)
}
