//! Files and batches: requests that clients leave here and come back for.
//!
//! Owns the endpoints of two protocols' batches and of files, the check of lines, and the worker that sends them. Must not know how
//! a request is answered: a line goes through the same stages as a request of a client, under the key of its batch. Everything is
//! in the store's own database, never in memory beyond what is under way; a batch belongs to the virtual key that made it, and for
//! others it is not there.

mod anthropic;
mod call;
mod check;
mod details;
mod download;
mod files;
mod handover;
mod headroom;
mod line;
mod openai;
mod upload;
mod validation;
mod worker;

pub(crate) use call::{BatchCall, find, is_ours};
pub(crate) use worker::{Queue, interrupt, settled, start};

use crate::accept;
use crate::authenticate;
use crate::body::AnswerBody;
use crate::respond;
use crate::state::Gateway;
use http::request::Parts;
use http::{HeaderMap, Response};
use hyper::body::Incoming;
use std::sync::Arc;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::{BatchStoreError, Batches};

/// What every call here needs: who asks, and for what.
struct Visit {
    gateway: Arc<Gateway>,
    /// The virtual key's name, empty where there are none.
    owner: String,
    headers: HeaderMap,
    query: Option<String>,
}

impl Visit {
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn store(&self) -> Batches {
        self.gateway.batches.clone()
    }
}

/// Answers a call.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    call: BatchCall,
    parts: Parts,
    body: Incoming,
) -> Response<AnswerBody> {
    let (dialect, id) = (call.dialect(), crate::case::new_id());
    let query = parts.uri.query().map(str::to_owned);
    let key = authenticate::check(&gateway.generation(), &parts.headers, query.as_deref(), dialect);
    let answered = match key {
        Ok(key) => {
            let owner = key.map(|key| key.name.to_string()).unwrap_or_default();
            let visit = Visit { gateway, owner, headers: parts.headers, query };
            perform(&visit, call, body).await
        }
        Err(error) => {
            accept::discard(body, &parts.headers).await;
            Err(error)
        }
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => return respond::error(dialect, id, &error),
    };
    respond::identify(response.headers_mut(), dialect, id);
    response
}

async fn perform(
    visit: &Visit,
    call: BatchCall,
    body: Incoming,
) -> Result<Response<AnswerBody>, ClientError> {
    match call {
        BatchCall::UploadFile => upload::upload(visit, body).await,
        BatchCall::ListFiles => files::list(visit).await,
        BatchCall::File(id) => files::show(visit, &id).await,
        BatchCall::DeleteFile(id) => files::delete(visit, &id).await,
        BatchCall::FileContent(id) => files::content(visit, &id).await,
        BatchCall::CreateBatch => openai::create(visit, body).await,
        BatchCall::ListBatches => openai::list(visit).await,
        BatchCall::Batch(id) => openai::show(visit, &id).await,
        BatchCall::CancelBatch(id) => openai::cancel(visit, &id).await,
        BatchCall::CreateMessageBatch => anthropic::create(visit, body).await,
        BatchCall::ListMessageBatches => anthropic::list(visit).await,
        BatchCall::MessageBatch(id) => anthropic::show(visit, &id).await,
        BatchCall::CancelMessageBatch(id) => anthropic::cancel(visit, &id).await,
        BatchCall::DeleteMessageBatch(id) => anthropic::delete(visit, &id).await,
        BatchCall::MessageBatchResults(id) => anthropic::results(visit, &id).await,
    }
}

/// Most batches that are not over.
const MOST_OPEN: u64 = 10_000;

/// A batch more may begin.
async fn admit_one_more(visit: &Visit) -> Result<(), ClientError> {
    let store = visit.store();
    if look(move || store.stats()).await?.open < MOST_OPEN {
        return Ok(());
    }
    let message = format!("{MOST_OPEN} batches are not over yet, the most there may be; try again later");
    let wait = Some(std::time::Duration::from_secs(60));
    Err(ClientError::new(ErrorCode::RateLimited, message).with_retry_after(wait))
}

/// Uses the store on a thread that may wait for a disk.
///
/// # Errors
/// 413 when there is no room, `internal_error` when the database fails.
async fn look<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, BatchStoreError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = tokio::task::spawn_blocking(act).await;
    let failed = |message: String| ClientError::new(ErrorCode::Internal, message);
    done.map_err(|error| failed(format!("the use of the store of batches failed: {error}")))?.map_err(
        |error| match &error {
            BatchStoreError::Full { .. } => {
                let message = format!(
                    "failed to {error}; delete files and batches, or ask the operator to raise `batches.max_size`"
                );
                ClientError::new(ErrorCode::RequestTooLarge, message)
            }
            BatchStoreError::Database { .. } | BatchStoreError::Lock { .. } => {
                tracing::error!(%error, "the store of batches failed");
                failed("the store of batches failed; the gateway's log holds the reason".to_owned())
            }
        },
    )
}

/// The last value of a query parameter.
fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .next_back()
        .filter(|value| !value.is_empty())
}

/// How many objects a page may have.
fn limit(query: Option<&str>, usual: usize, most: usize) -> Result<usize, ClientError> {
    let Some(text) = parameter(query, "limit") else { return Ok(usual) };
    text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
        let message = format!("`limit` takes a whole number from 1 to {most}");
        ClientError::new(ErrorCode::InvalidRequest, message).at("limit")
    })
}

/// What came from outside, short enough to be shown.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
