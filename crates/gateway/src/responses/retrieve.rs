//! Stored responses, looked at, deleted, cancelled.
//!
//! Owns `/v1/responses/{id}` and what is below it. Must not make answers. Another key's response is as good as not there.

use super::background::{event_stream, follow, follow_after};
use super::look;
use super::turn::items_before;
use crate::authenticate;
use crate::body::AnswerBody;
use crate::endpoint::ResponseVerb;
use crate::respond;
use crate::state::Gateway;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_wire::responses::replay;

/// Most items of one page.
const LONGEST_PAGE: usize = 100;
/// Items of a page where the client does not say.
const USUAL_PAGE: usize = 20;

/// Answers a request about a stored response.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    id: &str,
    verb: ResponseVerb,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Response<AnswerBody> {
    let own = crate::case::new_id();
    let mut response = match perform(&gateway, id, verb, headers, query).await {
        Ok(response) => response,
        Err(error) => return respond::error(Dialect::Responses, own, &error),
    };
    respond::identify(response.headers_mut(), Dialect::Responses, own);
    response
}

async fn perform(
    gateway: &Arc<Gateway>,
    id: &str,
    verb: ResponseVerb,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Response<AnswerBody>, ClientError> {
    let key = authenticate::check(&gateway.generation(), headers, query, Dialect::Responses)?;
    let owner = key.map(|key| key.name.to_string()).unwrap_or_default();
    let live = gateway.running.find(&owner, id);
    let responses = gateway.responses.clone();
    let (wanted, whose) = (id.to_owned(), owner.clone());
    match verb {
        ResponseVerb::Retrieve => {
            let is_stream = parameter(query, "stream") == Some("true");
            let after = number(query, "starting_after")?;
            if let Some(live) = live {
                if is_stream && live.is_streamed() {
                    return Ok(after.map_or_else(
                        || follow(Arc::clone(&live), 0),
                        |after| follow_after(Arc::clone(&live), after),
                    ));
                }
                if !live.is_over() {
                    return if is_stream { Err(not_streamed()) } else { Ok(object(live.object())) };
                }
            }
            let found = look(move || responses.find(&whose, &wanted)).await?.ok_or_else(|| unknown(id))?;
            if is_stream {
                return Ok(event_stream(AnswerBody::text(replay(&found.object, after))));
            }
            Ok(object(found.object.clone()))
        }
        ResponseVerb::Delete => {
            if let Some(live) = live {
                // What its task would still write must not bring it back.
                live.cancel().await;
                gateway.running.forget(&owner, id);
            }
            if !look(move || responses.delete(&whose, &wanted)).await? {
                return Err(unknown(id));
            }
            Ok(respond::json(StatusCode::OK, &json!({"id": id, "object": "response", "deleted": true})))
        }
        ResponseVerb::Cancel => {
            if let Some(live) = live {
                return Ok(object(live.cancel().await));
            }
            let found = look(move || responses.find(&whose, &wanted)).await?.ok_or_else(|| unknown(id))?;
            let value: Value = serde_json::from_slice(&found.object).unwrap_or_default();
            if value.get("background") != Some(&Value::Bool(true)) {
                let message = format!(
                    "the response `{id}` does not run in the background: it ends with its connection"
                );
                return Err(ClientError::new(ErrorCode::InvalidRequest, message).at("response_id"));
            }
            Ok(object(found.object.clone()))
        }
        ResponseVerb::InputItems => {
            let chain = look(move || {
                let whole = responses.conversation(&whose, &wanted)?;
                // With a hole before it a response still has an input of its own.
                Ok(match whole {
                    Some(chain) => Some(chain),
                    None => responses.find(&whose, &wanted)?.map(|response| vec![response]),
                })
            });
            let chain = chain.await?.ok_or_else(|| unknown(id))?;
            page(items_before(&chain), query).map(|page| respond::json(StatusCode::OK, &page))
        }
    }
}

fn unknown(id: &str) -> ClientError {
    let shown: String = id.chars().take(100).collect();
    let message = format!("Response with id '{shown}' not found.");
    ClientError::new(ErrorCode::NotFound, message).at("response_id")
}

fn not_streamed() -> ClientError {
    let message = "the response was not created with `stream: true`: poll it until it is complete";
    ClientError::new(ErrorCode::InvalidRequest, message).at("stream")
}

fn object(json: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::text(json));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()
}

fn number(query: Option<&str>, name: &str) -> Result<Option<u64>, ClientError> {
    let wrong = |_| {
        let message = format!("`{name}` takes a whole number of at least 0");
        ClientError::new(ErrorCode::InvalidRequest, message).at(name)
    };
    parameter(query, name).map(str::parse).transpose().map_err(wrong)
}

/// A page of items, newest first unless the client wants it otherwise.
pub(super) fn page(mut items: Vec<Value>, query: Option<&str>) -> Result<Value, ClientError> {
    let limit =
        number(query, "limit")?.map_or(USUAL_PAGE, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if !(1..=LONGEST_PAGE).contains(&limit) {
        let message = format!("`limit` takes a whole number from 1 to {LONGEST_PAGE}");
        return Err(ClientError::new(ErrorCode::InvalidRequest, message).at("limit"));
    }
    if parameter(query, "order") != Some("asc") {
        items.reverse();
    }
    let id_of = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
    if let Some(after) = parameter(query, "after") {
        let position = items.iter().position(|item| id_of(item).as_deref() == Some(after));
        items.drain(..position.map_or(items.len(), |position| position + 1));
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let (first, last) = (items.first().and_then(id_of), items.last().and_then(id_of));
    Ok(json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}))
}
