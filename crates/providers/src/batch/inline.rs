//! Batches whose lines stand in the request that makes them.
//!
//! Owns the order, the batch object and the lines of results. Must not know which provider speaks it. Source: Anthropic's API reference,
//! <https://docs.claude.com/en/api/creating-message-batches>, and the types of its SDK 2.11.0.

use super::{
    BatchApi, BatchRequest, Progress, TheirBatch, TheirEnd, TheirResult, Unreadable, append, get, is_plain,
    part,
};
use crate::limits::rfc3339;
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub(super) fn write_line<'b>(name: &str, body: impl Iterator<Item = &'b [u8]>, lines: &mut Vec<u8>) {
    if !lines.is_empty() {
        lines.push(b',');
    }
    lines.extend_from_slice(format!("{{\"custom_id\":{},\"params\":", Value::from(name)).as_bytes());
    append(body, lines);
    lines.push(b'}');
}

pub(super) fn submit(api: &BatchApi, lines: &Bytes) -> Option<BatchRequest> {
    Some(BatchRequest {
        method: Method::POST,
        content_type: Some(HeaderValue::from_static("application/json")),
        body: vec![Bytes::from_static(b"{\"requests\":["), lines.clone(), Bytes::from_static(b"]}")],
        ..get(&api.batches, &[], "")?
    })
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    processing_status: String,
    created_at: Option<String>,
    request_counts: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Counts {
    processing: u64,
    succeeded: u64,
    errored: u64,
    canceled: u64,
    expired: u64,
}

pub(super) fn read(body: &[u8]) -> Result<TheirBatch, Unreadable> {
    let batch: Batch = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    told(batch)
}

fn told(batch: Batch) -> Result<TheirBatch, Unreadable> {
    let progress = match batch.processing_status.as_str() {
        "in_progress" => Progress::Running,
        "canceling" => Progress::Stopping,
        "ended" => Progress::Ended,
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(Unreadable(format!("the unknown status `{shown}`")));
        }
    };
    if !is_plain(&batch.id) {
        return Err(Unreadable("an id that is no plain name".to_owned()));
    }
    let lines = batch.request_counts.map(|counts| {
        let Counts { processing, succeeded, errored, canceled, expired } = counts;
        [succeeded, errored, canceled, expired]
            .iter()
            .fold(processing, |sum, count| sum.saturating_add(*count))
    });
    Ok(TheirBatch {
        id: batch.id,
        progress,
        mark: None,
        created: batch.created_at.as_deref().and_then(rfc3339),
        lines,
        results: Vec::new(),
        input: None,
    })
}

pub(super) fn read_list(body: &[u8]) -> Result<(Vec<TheirBatch>, bool), Unreadable> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Batch>,
        #[serde(default)]
        has_more: bool,
    }
    let list: List = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    Ok((list.data.into_iter().filter_map(|batch| told(batch).ok()).collect(), list.has_more))
}

pub(super) fn read_result(line: &Bytes) -> Result<TheirResult, Unreadable> {
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
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| Unreadable::json(&error))?;
    let end = match (read.result.kind.as_str(), read.result.message) {
        ("succeeded", Some(message)) => TheirEnd::Answered(part(line, message), None),
        ("canceled" | "expired", _) => TheirEnd::NotRun,
        (kind, _) => {
            let error = read.result.error.unwrap_or_default();
            // The error stands in an error object, as in the answer to a single request.
            let words =
                error.pointer("/error/message").or_else(|| error.get("message")).and_then(Value::as_str);
            TheirEnd::Failed(words.unwrap_or(kind).chars().take(300).collect())
        }
    };
    Ok(TheirResult { name: read.custom_id, end })
}
