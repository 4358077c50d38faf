//! Decisions, told.
//!
//! Owns the answers of dry runs, `POST /v1/explain` and `GET /v1/decisions/{id}`. Must not decide: it shows what `decide` made.

use crate::admit::Admitted;
use crate::body::AnswerBody;
use crate::case::Case;
use crate::planning;
use crate::respond;
use crate::state::Gateway;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;
use trunkline_route::decision::Decision;
use trunkline_store::Query;

/// The dialect of a body to be explained: `?dialect=anthropic` and so on, OpenAI's when not said.
#[must_use]
pub(crate) fn dialect(query: Option<&str>) -> Dialect {
    let named =
        query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("dialect="));
    Dialect::ALL.into_iter().find(|dialect| Some(dialect.name()) == named).unwrap_or(Dialect::OpenAi)
}

/// Answers a dry run with its decision.
#[must_use]
pub(crate) fn dry_run(mut case: Case, decision: &Decision) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::text(decision.to_json()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    respond::identify(response.headers_mut(), case.record.client, case.id());
    case.forget();
    response
}

/// Answers with a past decision, its attempts and what became of it.
pub(crate) async fn past(
    gateway: Arc<Gateway>,
    id: String,
    headers: HeaderMap,
    query: Option<String>,
) -> Response<AnswerBody> {
    let own = crate::case::new_id();
    match find(&gateway, &id, &headers, query.as_deref()).await {
        Ok(value) => respond::json(StatusCode::OK, &value),
        Err(error) => respond::error(Dialect::OpenAi, own, &error),
    }
}

async fn find(
    gateway: &Arc<Gateway>,
    id: &str,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<serde_json::Value, ClientError> {
    let generation = gateway.generation();
    let key = crate::authenticate::check(&generation, headers, query, Dialect::OpenAi)?;
    let record = record_of(gateway, id, key.as_ref().map(|key| &*key.name)).await?;
    let (learning, asked) = (gateway.learning.clone(), record.id);
    let feedback = tokio::task::spawn_blocking(move || learning.feedback(asked))
        .await
        .map_err(|error| failed(format!("the search of the feedback failed: {error}")))?
        .map_err(|error| failed(format!("failed to {error}")))?;
    let decision = record.decision.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut value = serde_json::to_value(&record).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("decision".to_owned(), decision.unwrap_or(serde_json::Value::Null));
        if let Some(feedback) = feedback {
            map.insert("feedback".to_owned(), serde_json::to_value(&feedback).unwrap_or_default());
        }
    }
    Ok(value)
}

/// What a client is told that wants a request to be served as another one was decided.
pub(crate) fn only_dry() -> ClientError {
    let message = "the header `x-trunkline-as` goes with `x-trunkline-dry-run: true` or `POST /v1/explain`: providers are asked by \
                   decisions of now";
    ClientError::new(ErrorCode::InvalidRequest, message).at("x-trunkline-as")
}

/// Decides a request as another one was decided: with the seed, the time and the state that its decision tells of.
///
/// # Errors
/// There is no such decision, or it is another key's.
pub(crate) async fn again(
    gateway: &Arc<Gateway>,
    admitted: &Admitted,
    id: &str,
) -> Result<Decision, ClientError> {
    let record = record_of(gateway, id, admitted.caller.key.as_deref()).await?;
    let old = record.decision.as_deref().and_then(|decision| serde_json::from_str(decision).ok());
    let Some(old) = old else {
        let message = format!("the request `{id}` was refused before anything was decided");
        return Err(ClientError::new(ErrorCode::NotFound, message).at("x-trunkline-as"));
    };
    Ok(planning::decide_as(gateway, admitted, &record, &old))
}

/// The record of a past request, as far as a key may see it. Reads the log.
///
/// # Errors
/// There is none, or it is another key's; or the log cannot be read.
pub(crate) async fn record_of(
    gateway: &Arc<Gateway>,
    id: &str,
    key: Option<&str>,
) -> Result<RequestRecord, ClientError> {
    let unknown = || {
        let shown: String = id.chars().take(64).collect();
        ClientError::new(
            ErrorCode::NotFound,
            format!(
                "there is no decision `{shown}` in the log; ids are in the `x-trunkline-decision` header"
            ),
        )
    };
    let parsed: RequestId = id.parse().map_err(|_| unknown())?;
    let for_search = Arc::clone(gateway);
    let page = tokio::task::spawn_blocking(move || {
        let query = Query { id: Some(parsed), limit: 1, ..Query::default() };
        let found = for_search.recorder.search(&query)?;
        if found.records.is_empty() {
            // It may be on its way to the log.
            for_search.recorder.flush();
            return for_search.recorder.search(&query);
        }
        Ok(found)
    })
    .await
    .map_err(|error| failed(format!("the search of the log failed: {error}")))?
    .map_err(|error| failed(format!("failed to {error}")))?;
    let record = page.records.into_iter().next().ok_or_else(unknown)?;
    // A key sees its own requests: another's are as good as not there.
    if key.is_some_and(|key| record.key.as_deref() != Some(key)) {
        return Err(unknown());
    }
    Ok(record)
}

fn failed(message: String) -> ClientError {
    ClientError::new(ErrorCode::Internal, message)
}
