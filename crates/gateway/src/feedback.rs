//! What clients say of answers: `POST /v1/feedback`.
//!
//! Owns the way from the body to the store: who may speak of which request, and an answer that is true: 200 means that it is
//! kept. Must not be in the path of requests. A virtual key speaks of its own requests only; another's are as good as not there.

use crate::accept;
use crate::body::AnswerBody;
use crate::explain;
use crate::heard;
use crate::respond;
use crate::state::Gateway;
use crate::{authenticate, clock};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::feedback::Feedback;
use trunkline_store::NotKept;
use trunkline_wire::codec::BadRequest;
use trunkline_wire::scan;

/// The largest body: the longest label and comment with every character escaped.
const LARGEST_BODY: usize = 32 * 1024;

/// Takes feedback.
pub(crate) async fn take(
    gateway: Arc<Gateway>,
    headers: HeaderMap,
    query: Option<String>,
    body: Incoming,
) -> Response<AnswerBody> {
    let own = crate::case::new_id();
    match keep(&gateway, &headers, query.as_deref(), body).await {
        Ok(feedback) => {
            let mut response = respond::json(StatusCode::OK, &feedback);
            respond::identify(response.headers_mut(), Dialect::OpenAi, own);
            response
        }
        Err(error) => respond::error(Dialect::OpenAi, own, &error),
    }
}

async fn keep(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    query: Option<&str>,
    body: Incoming,
) -> Result<Feedback, ClientError> {
    let generation = gateway.generation();
    let key = match authenticate::check(&generation, headers, query, Dialect::OpenAi) {
        Ok(key) => key,
        Err(error) => {
            accept::discard(body, headers).await;
            return Err(error);
        }
    };
    let silence = generation.snapshot.server.client_timeout;
    let body = accept::read_small(body, headers, LARGEST_BODY, silence).await?;
    let mut feedback = read(&body)?;
    let named = feedback.id.to_string();
    let record = explain::record_of(gateway, &named, key.as_ref().map(|key| &*key.name)).await?;
    feedback.given = clock::unix_milliseconds();
    feedback.key = key.map(|key| Arc::clone(&key.name));
    let (learning, given) = (gateway.learning.clone(), feedback.clone());
    let before = tokio::task::spawn_blocking(move || {
        // What was said before is taken back; where it cannot be read, that it cannot be written will be said.
        let before = learning.feedback(given.id).ok().flatten();
        learning.give(given).map(|()| before)
    })
    .await
    .map_err(|error| {
        ClientError::new(ErrorCode::Internal, format!("the feedback could not be kept: {error}"))
    })?
    .map_err(|error| not_kept(&error))?;
    heard::given(gateway, &record, before.as_ref(), &feedback);
    gateway.metrics.feedback(record.route.as_deref().unwrap_or_default(), feedback.word());
    Ok(feedback)
}

fn read(body: &Bytes) -> Result<Feedback, ClientError> {
    scan::object(body).map_err(BadRequest::into_client_error)?;
    let value = serde_json::from_slice(body).map_err(|error| {
        ClientError::new(ErrorCode::InvalidRequest, format!("the body is not valid JSON: {error}"))
    })?;
    Feedback::read(&value).map_err(|error| {
        let told = match error.field {
            "" => format!("the feedback cannot be read: {error}"),
            field => format!("`{field}`: {error}"),
        };
        let told = ClientError::new(ErrorCode::InvalidRequest, told);
        if error.field.is_empty() { told } else { told.at(error.field) }
    })
}

/// Nothing is pretended: what was not kept is to be given again.
fn not_kept(error: &NotKept) -> ClientError {
    tracing::warn!(%error, "feedback was not kept");
    let reason = match error {
        NotKept::Busy | NotKept::Slow => format!("failed to {error}"),
        // What the database says is for the operator.
        NotKept::Refused(_) => "failed to keep the feedback: its database cannot be written now".to_owned(),
    };
    ClientError::new(ErrorCode::Overloaded, format!("{reason}; give it again later"))
        .with_retry_after(Some(Duration::from_secs(5)))
}
