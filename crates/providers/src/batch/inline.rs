//! Batches whose lines stand in the request that makes them.
//!
//! Owns the order, the batch object and the lines of results. Must not know which provider speaks it. Source: Anthropic's API reference,
//! <https://docs.claude.com/en/api/creating-message-batches>, and the types of its SDK 2.11.0.

use super::form::{
    Carriage, Form, Page, borrowed, get, json, named, part, post, quoted, read, readable, unknown_state,
    words,
};
use super::{BatchApi, BatchRequest, Order, Progress, TheirBatch, TheirEnd, TheirResult, Unreadable, Upload};
use crate::limits::rfc3339;
use crate::preset::Endpoint;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trunkline_model::dialect::{Dialect, Operation};

pub(super) struct Inline;

impl Form for Inline {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        let fits = (dialect, operation) == (Dialect::Anthropic, Operation::Chat);
        fits.then_some((Endpoint::Chat, "/v1/messages"))
    }

    fn frame(&self, _api: &BatchApi, _endpoint: &str, name: &str, is_first: bool) -> (String, &'static str) {
        let comma = if is_first { "" } else { "," };
        (format!("{comma}{{\"custom_id\":{},\"params\":", quoted(name)), "}")
    }

    fn carriage(&self) -> &'static dyn Carriage {
        &Inline
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let (head, tail) = (Bytes::from_static(b"{\"requests\":["), Bytes::from_static(b"]}"));
        post(&api.submit, vec![head, order.lines.clone(), tail])
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        match cursor {
            None => Some("limit=100".to_owned()),
            Some(cursor) => Some(format!("limit=100&after_id={}", named(cursor).ok()?)),
        }
    }

    fn read(&self, _api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        read::<Batch>(body)
    }

    fn read_page(&self, _api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Batch>,
            #[serde(default)]
            has_more: bool,
        }
        let list: List = json(body)?;
        let next = list.data.last().filter(|_| list.has_more).map(|batch| batch.id.clone());
        Ok(Page { batches: readable(list.data), next })
    }

    fn keeps_marks(&self) -> bool {
        false
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        // The address in the answer is not followed: the credential goes where the configuration says, and nowhere else.
        Vec::from_iter(get(&api.batches, &[&batch.id, "results"], "", ""))
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        #[derive(Deserialize)]
        struct Line<'a> {
            custom_id: String,
            #[serde(borrow)]
            result: Outcome<'a>,
        }
        #[derive(Deserialize)]
        struct Outcome<'a> {
            #[serde(rename = "type")]
            kind: String,
            #[serde(borrow)]
            message: Option<&'a RawValue>,
            error: Option<Value>,
        }
        let read: Line<'_> = borrowed(line)?;
        let end = match (read.result.kind.as_str(), read.result.message) {
            ("succeeded", Some(message)) => TheirEnd::Answered(part(line, message), None),
            ("canceled" | "expired", _) => TheirEnd::NotRun,
            (kind, _) => {
                let error = read.result.error.unwrap_or_default();
                // The error stands in an error object, as in the answer to a single request.
                let said =
                    error.pointer("/error/message").or_else(|| error.get("message")).and_then(Value::as_str);
                TheirEnd::Failed(words(said.or(Some(kind))))
            }
        };
        Ok(TheirResult { name: read.custom_id, end })
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        Vec::from_iter(get(&api.batches, &[&batch.id], "", ""))
    }
}

/// Lines stand in the order: there is nothing before it.
impl Carriage for Inline {
    fn upload(&self, _api: &BatchApi, _mark: &str, _lines: &Bytes) -> Option<BatchRequest> {
        None
    }

    fn read_upload(&self, _api: &BatchApi, _mark: &str, _body: &[u8]) -> Result<Upload, Unreadable> {
        Err(Unreadable("an upload, where there are none".to_owned()))
    }

    fn uploads(&self, _api: &BatchApi, _mark: &str) -> Option<BatchRequest> {
        None
    }

    fn read_uploads(&self, _api: &BatchApi, _body: &[u8], _mark: &str) -> Result<Vec<String>, Unreadable> {
        Ok(Vec::new())
    }
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    processing_status: String,
    created_at: Option<String>,
    request_counts: Option<Counts>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    processing: u64,
    succeeded: u64,
    errored: u64,
    canceled: u64,
    expired: u64,
}

impl TryFrom<Batch> for TheirBatch {
    type Error = Unreadable;

    fn try_from(batch: Batch) -> Result<Self, Unreadable> {
        let progress = match batch.processing_status.as_str() {
            "in_progress" => Progress::Running,
            "canceling" => Progress::Stopping,
            "ended" => Progress::Ended,
            other => return Err(unknown_state(other)),
        };
        let lines = batch.request_counts.map(|counts| {
            let Counts { processing, succeeded, errored, canceled, expired } = counts;
            [succeeded, errored, canceled, expired]
                .iter()
                .fold(processing, |sum, count| sum.saturating_add(*count))
        });
        Ok(Self {
            id: named(&batch.id)?,
            progress,
            mark: None,
            created: batch.created_at.as_deref().and_then(rfc3339),
            lines,
            results: Vec::new(),
            input: None,
        })
    }
}
