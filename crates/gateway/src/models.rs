//! The list of routes and models, in each protocol's own form.
//!
//! Owns those lists. A key sees what it may use. Must not be slow on a fleet of thousands: it is built per call, straight into
//! JSON, and nobody calls it in a loop.

use crate::authenticate;
use crate::body::AnswerBody;
use crate::endpoint::decode;
use crate::respond;
use crate::state::{Gateway, Generation};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use trunkline_config::VirtualKey;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::error::{ClientError, ErrorCode};

/// One thing a client can put in `model`.
struct Entry<'a> {
    id: &'a str,
    owner: &'a str,
    released: u64,
    input_limit: Option<u64>,
    output_limit: Option<u64>,
    operations: &'a [Operation],
}

/// Answers with the list, or with one entry of it.
#[must_use]
pub(crate) fn answer(
    gateway: &Gateway,
    dialect: Dialect,
    one: Option<&str>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Response<AnswerBody> {
    let generation = gateway.generation();
    let id = crate::case::new_id();
    let key = match authenticate::check(&generation, headers, query, dialect) {
        Ok(key) => key,
        Err(error) => return respond::error(dialect, id, &error),
    };
    let entries = entries(&generation, key.as_ref());
    let mut response = match one {
        None => match Page::of(dialect, &entries, query) {
            Ok(page) => respond::json(StatusCode::OK, &list(dialect, &page)),
            Err(error) => return respond::error(dialect, id, &error),
        },
        Some(name) => match entries.iter().find(|entry| entry.id == name) {
            Some(entry) => respond::json(StatusCode::OK, &item(dialect, entry)),
            None => {
                let message =
                    format!("there is no model or route `{name}`; GET /v1/models lists what there is");
                return respond::error(
                    dialect,
                    id,
                    &ClientError::new(ErrorCode::ModelNotFound, message).at("model"),
                );
            }
        },
    };
    respond::identify(response.headers_mut(), dialect, id);
    response
}

fn entries<'a>(generation: &'a Generation, key: Option<&Arc<VirtualKey>>) -> Vec<Entry<'a>> {
    let snapshot = &generation.snapshot;
    let routes =
        snapshot.routes.iter().filter(|(name, _)| key.is_none_or(|key| key.allow.allows_route(name))).map(
            |(name, _)| Entry {
                id: name,
                owner: "trunkline",
                released: 0,
                input_limit: None,
                output_limit: None,
                operations: &[Operation::Chat],
            },
        );
    let allowed = |index| {
        key.is_none_or(|key| {
            key.allow.allows_direct()
                && (key.allow.models.is_empty()
                    || key.allow.models.iter().any(|pattern| snapshot.fleet.matches(index, pattern)))
        })
    };
    let deployments =
        snapshot.fleet.iter().filter(|(index, _)| allowed(*index)).map(|(_, deployment)| Entry {
            id: &deployment.id,
            owner: &deployment.provider,
            released: deployment
                .entry
                .as_ref()
                .and_then(|entry| entry.released)
                .and_then(|date| u64::try_from(date.unix_days()).ok())
                .unwrap_or(0)
                * 86_400,
            input_limit: deployment.context_window,
            output_limit: deployment.max_output_tokens,
            operations: &deployment.operations,
        });
    routes.chain(deployments).collect()
}

/// The part of the list that a client asks for. All of it, if it does not say.
struct Page<'a> {
    entries: &'a [Entry<'a>],
    /// There are more on the side to which it goes on.
    has_more: bool,
}

impl<'a> Page<'a> {
    /// OpenAI's list has no pages. Anthropic's is gone through by the names at either end
    /// (<https://docs.claude.com/en/api/models-list>), Gemini's by a token (<https://ai.google.dev/api/models#method:-models.list>).
    fn of(dialect: Dialect, entries: &'a [Entry<'a>], query: Option<&str>) -> Result<Self, ClientError> {
        match dialect {
            Dialect::Anthropic => {
                let limit = limit(query, "limit")?;
                if let Some(before) = parameter(query, "before_id") {
                    let left = &entries[..position(entries, &before, "before_id")?];
                    let start = left.len().saturating_sub(limit);
                    return Ok(Self { entries: &left[start..], has_more: start > 0 });
                }
                let start = match parameter(query, "after_id") {
                    Some(after) => position(entries, &after, "after_id")? + 1,
                    None => 0,
                };
                Ok(Self::first(&entries[start..], limit))
            }
            Dialect::Gemini => {
                let limit = limit(query, "pageSize")?;
                let start = match parameter(query, "pageToken") {
                    Some(token) => position(entries, &token, "pageToken")? + 1,
                    None => 0,
                };
                Ok(Self::first(&entries[start..], limit))
            }
            _ => Ok(Self::first(entries, usize::MAX)),
        }
    }

    fn first(entries: &'a [Entry<'a>], limit: usize) -> Self {
        let length = entries.len().min(limit);
        Self { entries: &entries[..length], has_more: length < entries.len() }
    }
}

/// A query parameter's last value that is not empty, with its escapes resolved.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()?;
    (!value.is_empty()).then(|| decode(value))
}

fn limit(query: Option<&str>, name: &str) -> Result<usize, ClientError> {
    let Some(text) = parameter(query, name) else { return Ok(usize::MAX) };
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
        let message = format!("`{name}` takes a whole number of at least 1");
        ClientError::new(ErrorCode::InvalidRequest, message).at(name)
    })
}

fn position(entries: &[Entry<'_>], id: &str, name: &str) -> Result<usize, ClientError> {
    entries.iter().position(|entry| entry.id == id).ok_or_else(|| {
        let message = format!("`{name}` names none of the models in this list");
        ClientError::new(ErrorCode::InvalidRequest, message).at(name)
    })
}

fn list(dialect: Dialect, page: &Page<'_>) -> Value {
    let Page { entries, has_more } = *page;
    let items: Vec<Value> = entries.iter().map(|entry| item(dialect, entry)).collect();
    match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => {
            json!({ "object": "list", "data": items })
        }
        Dialect::Anthropic => json!({
            "data": items,
            "has_more": has_more,
            "first_id": entries.first().map(|entry| entry.id),
            "last_id": entries.last().map(|entry| entry.id),
        }),
        Dialect::Gemini => match entries.last().filter(|_| has_more) {
            Some(last) => json!({ "models": items, "nextPageToken": last.id }),
            None => json!({ "models": items }),
        },
    }
}

fn item(dialect: Dialect, entry: &Entry<'_>) -> Value {
    match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => {
            json!({
                "id": entry.id,
                "object": "model",
                "created": entry.released,
                "owned_by": entry.owner,
            })
        }
        Dialect::Anthropic => json!({
            "type": "model",
            "id": entry.id,
            "display_name": entry.id,
            "created_at": trunkline_model::catalogue::Date::from_unix_seconds(entry.released).to_string() + "T00:00:00Z",
            "max_input_tokens": entry.input_limit,
            "max_tokens": entry.output_limit,
        }),
        Dialect::Gemini => {
            let mut model = json!({
                "name": format!("models/{}", entry.id),
                "displayName": entry.id,
                "version": "1",
                "supportedGenerationMethods": entry.operations.iter().map(|operation| match operation {
                    Operation::Chat => "generateContent",
                    Operation::Embeddings => "embedContent",
                    Operation::CountTokens => "countTokens",
                    // The protocol has no method for the others.
                    other => other.name(),
                }).collect::<Vec<_>>(),
            });
            // What is not known is left out: a zero would be a limit.
            let limits = [("inputTokenLimit", entry.input_limit), ("outputTokenLimit", entry.output_limit)];
            for (name, limit) in limits {
                if let Some(limit) = limit {
                    model[name] = limit.into();
                }
            }
            model
        }
    }
}
