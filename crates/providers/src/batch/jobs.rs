//! Batches that are jobs for one model, over uploaded files.
//!
//! Owns the order, the job and the list of jobs. Must not know which provider speaks it. Files are those of [`super::upload`]. Source:
//! Mistral's OpenAPI document 1.0.0 (`/v1/batch/jobs`), its guide, <https://docs.mistral.ai/capabilities/batch>, and its SDK 3.7.0.

use super::files::MARK;
use super::form::{
    Carriage, Form, Page, get, json, named, post, quoted, read, readable, unknown_state, words,
};
use super::upload::{AsForm, file_name};
use super::{BatchApi, BatchRequest, Order, Progress, TheirBatch, TheirResult, Unreadable, upload};
use crate::preset::Endpoint;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use trunkline_model::dialect::{Dialect, Operation};

/// Jobs on a page.
const PAGE: usize = 100;

pub(super) struct Jobs;

impl Form for Jobs {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        match (dialect, operation) {
            (Dialect::Mistral, Operation::Chat) => Some((Endpoint::Chat, "/v1/chat/completions")),
            (Dialect::Mistral, Operation::Embeddings) => Some((Endpoint::Embeddings, "/v1/embeddings")),
            _ => None,
        }
    }

    fn frame(&self, _api: &BatchApi, _endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        upload::bare(name)
    }

    fn carriage(&self) -> &'static dyn Carriage {
        const WAY: AsForm = AsForm {
            list: |_api, mark| {
                let name = named(&file_name(mark)).ok()?;
                Some(format!("purpose=batch&page_size=100&search={name}"))
            },
        };
        &WAY
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let (file, endpoint, mark) = (quoted(order.file?), quoted(order.endpoint), quoted(order.mark));
        let model = quoted(&api.model);
        let order = format!(
            "{{\"input_files\":[{file}],\"endpoint\":{endpoint},\"model\":{model},\"timeout_hours\":24,\"metadata\":{{\"{MARK}\":{mark}}}}}"
        );
        post(&api.submit, vec![order.into()])
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        let page: usize = cursor.map_or(Some(0), |cursor| cursor.parse().ok())?;
        Some(format!("page={page}&page_size={PAGE}&order_by=-created"))
    }

    fn read(&self, _api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        read::<Job>(body)
    }

    fn read_page(&self, _api: &BatchApi, body: &[u8], cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            data: Vec<Job>,
        }
        let data = json::<List>(body)?.data;
        let page: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let next = (data.len() >= PAGE).then(|| (page + 1).to_string());
        Ok(Page { batches: readable(data), next })
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        upload::results(api, batch)
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        upload::read_result(line)
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        // The job goes last: it is what names the files.
        let job = get(&api.batches, &[&batch.id], "", "");
        upload::files(api, batch).into_iter().chain(job).collect()
    }
}

#[derive(Deserialize)]
struct Job {
    id: String,
    status: String,
    created_at: Option<u64>,
    metadata: Option<Value>,
    #[serde(default)]
    errors: Vec<Mistake>,
    #[serde(default)]
    input_files: Vec<String>,
    output_file: Option<String>,
    error_file: Option<String>,
    total_requests: Option<u64>,
}

#[derive(Deserialize)]
struct Mistake {
    message: Option<String>,
}

impl TryFrom<Job> for TheirBatch {
    type Error = Unreadable;

    fn try_from(job: Job) -> Result<Self, Unreadable> {
        let results: Vec<String> = [job.output_file, job.error_file].into_iter().flatten().collect();
        let progress = match job.status.as_str() {
            "QUEUED" | "RUNNING" => Progress::Running,
            "CANCELLATION_REQUESTED" => Progress::Stopping,
            "SUCCESS" | "TIMEOUT_EXCEEDED" | "CANCELLED" => Progress::Ended,
            // What was answered before it failed was answered.
            "FAILED" if !results.is_empty() => Progress::Ended,
            "FAILED" => {
                Progress::Refused(words(job.errors.first().and_then(|error| error.message.as_deref())))
            }
            other => return Err(unknown_state(other)),
        };
        let mark = job.metadata.as_ref().and_then(|metadata| metadata.get(MARK)).and_then(Value::as_str);
        Ok(Self {
            id: named(&job.id)?,
            progress,
            mark: mark.map(str::to_owned),
            created: job.created_at,
            lines: job.total_requests.filter(|total| *total > 0),
            results,
            input: job.input_files.into_iter().next(),
        })
    }
}
