//! Responses that outlive their request: stored, chained, running in the background.
//!
//! Owns what the responses API promises beyond one answer, so that it holds whatever provider is behind. Must not know how an
//! answer is made: requests are expanded before the pipeline's stages go on, answers are kept as they pass.

mod background;
mod conversations;
mod events;
mod keep;
mod retrieve;
mod turn;

pub(crate) use background::{Running, start};
pub(crate) use conversations::{ConversationCall, answer as answer_conversation, find as find_conversation};
pub(crate) use keep::{Keeper, Served, keep};
pub(crate) use retrieve::answer;
pub(crate) use turn::{Turn, expand};

use trunkline_model::error::{ClientError, ErrorCode};

/// Looks into the table on a thread that may wait for a disk.
///
/// # Errors
/// `internal_error` when the database cannot be read.
async fn look<T: Send + 'static>(
    search: impl FnOnce() -> Result<T, trunkline_store::StoreError> + Send + 'static,
) -> Result<T, ClientError> {
    let found = tokio::task::spawn_blocking(search).await;
    let failed = |message: String| ClientError::new(ErrorCode::Internal, message);
    found
        .map_err(|error| failed(format!("the search for a stored response failed: {error}")))?
        .map_err(|error| failed(format!("failed to {error}")))
}
