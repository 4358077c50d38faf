//! Batches whose lines and results are files.
//!
//! Owns the batch object and the order. Must not know which provider speaks it. Source: OpenAI's API reference,
//! <https://platform.openai.com/docs/api-reference/batch>, and its OpenAPI document 2.3.0; providers that copied it say so.

use super::form::{Form, Page, get, named, post, quoted, read, read_page, unknown_state, words};
use super::{BatchApi, BatchRequest, Order, Progress, TheirBatch, TheirResult, Unreadable, Upload, upload};
use crate::limits::rfc3339;
use crate::preset::Endpoint;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use trunkline_model::dialect::{Dialect, Operation};

/// The name of our mark among a batch's metadata.
pub(super) const MARK: &str = "trunkline_handover";

pub(super) struct Files;

impl Form for Files {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        Some(match (dialect, operation) {
            (Dialect::OpenAi, Operation::Chat) => (Endpoint::Chat, "/v1/chat/completions"),
            (Dialect::Responses, Operation::Chat) => (Endpoint::Responses, "/v1/responses"),
            (Dialect::OpenAi, Operation::Embeddings) => (Endpoint::Embeddings, "/v1/embeddings"),
            (Dialect::OpenAi, Operation::Completions) => (Endpoint::Completions, "/v1/completions"),
            _ => return None,
        })
    }

    fn frame(&self, endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        let (name, endpoint) = (quoted(name), quoted(endpoint));
        (format!("{{\"custom_id\":{name},\"method\":\"POST\",\"url\":{endpoint},\"body\":"), "}\n")
    }

    fn upload(&self, api: &BatchApi, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        upload::upload(api, mark, lines)
    }

    fn read_upload(&self, _api: &BatchApi, _mark: &str, body: &[u8]) -> Result<Upload, Unreadable> {
        upload::read_upload(body)
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let (file, endpoint, mark) = (quoted(order.file?), quoted(order.endpoint), quoted(order.mark));
        let order = format!(
            "{{\"input_file_id\":{file},\"endpoint\":{endpoint},\"completion_window\":\"24h\",\"metadata\":{{\"{MARK}\":{mark}}}}}"
        );
        post(&api.submit, vec![order.into()])
    }

    fn list(&self, cursor: Option<&str>) -> Option<String> {
        match cursor {
            None => Some("limit=100".to_owned()),
            Some(cursor) => Some(format!("limit=100&after={}", named(cursor).ok()?)),
        }
    }

    fn read(&self, _api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        read::<Batch>(body)
    }

    fn read_page(&self, _api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        read_page(body, |batch: &Batch| &batch.id)
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        upload::results(api, batch)
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        upload::read_result(line)
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        upload::files(api, batch)
    }

    fn uploads(&self, api: &BatchApi, _mark: &str) -> Option<BatchRequest> {
        get(&api.files, &[], "", "purpose=batch&limit=1000")
    }

    fn read_uploads(&self, _api: &BatchApi, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        upload::read_uploads(body, mark)
    }
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    status: String,
    created_at: Option<Moment>,
    metadata: Option<Value>,
    errors: Option<Value>,
    input_file_id: Option<String>,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    request_counts: Option<Counts>,
}

/// Seconds, or a text of RFC 3339 as Azure's dated versions have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Seconds(u64),
    Text(String),
}

impl Moment {
    fn seconds(&self) -> Option<u64> {
        match self {
            Self::Seconds(seconds) => Some(*seconds),
            Self::Text(text) => rfc3339(text),
        }
    }
}

#[derive(Deserialize)]
struct Counts {
    total: Option<u64>,
}

impl TryFrom<Batch> for TheirBatch {
    type Error = Unreadable;

    fn try_from(batch: Batch) -> Result<Self, Unreadable> {
        // Azure's dated versions write them with capitals.
        let progress = match batch.status.to_ascii_lowercase().as_str() {
            "validating" | "in_progress" | "finalizing" => Progress::Running,
            "cancelling" => Progress::Stopping,
            "completed" | "expired" | "cancelled" => Progress::Ended,
            "failed" => {
                let errors = batch.errors.as_ref();
                let first = errors.and_then(|errors| errors.get("data")?.get(0)?.get("message")?.as_str());
                Progress::Refused(words(first))
            }
            other => return Err(unknown_state(other)),
        };
        let mark = batch.metadata.as_ref().and_then(|metadata| metadata.get(MARK)).and_then(Value::as_str);
        Ok(Self {
            progress,
            mark: mark.map(str::to_owned),
            created: batch.created_at.and_then(|moment| moment.seconds()),
            lines: batch.request_counts.and_then(|counts| counts.total).filter(|total| *total > 0),
            results: [batch.output_file_id, batch.error_file_id].into_iter().flatten().collect(),
            input: batch.input_file_id,
            id: named(&batch.id)?,
        })
    }
}
