//! Batches whose lines and results are files.
//!
//! Owns the upload's form, the batch object and the lines. Must not know which provider speaks it. Source: OpenAI's API reference,
//! <https://platform.openai.com/docs/api-reference/batch>, and its OpenAPI document 2.3.0; providers that copied it say so.

use super::{
    BatchApi, BatchRequest, Progress, TheirBatch, TheirEnd, TheirResult, Unreadable, append, get, is_plain,
    part,
};
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What separates the parts of an upload. Lines cannot hold it: it stands behind a line break, and theirs are each followed by `{`.
const BOUNDARY: &str = "trunkline-lines-of-a-batch";
/// The name of our mark among a batch's metadata.
const MARK: &str = "trunkline_handover";

pub(super) fn write_line<'b>(
    endpoint: &str,
    name: &str,
    body: impl Iterator<Item = &'b [u8]>,
    lines: &mut Vec<u8>,
) {
    let (name, endpoint) = (Value::from(name), Value::from(endpoint));
    let head = format!("{{\"custom_id\":{name},\"method\":\"POST\",\"url\":{endpoint},\"body\":");
    lines.extend_from_slice(head.as_bytes());
    append(body, lines);
    lines.extend_from_slice(b"}\n");
}

fn file_name(mark: &str) -> String {
    format!("trunkline-{mark}.jsonl")
}

pub(super) fn upload(api: &BatchApi, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{BOUNDARY}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: application/jsonl\r\n\r\n",
        file_name(mark)
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={BOUNDARY}")).ok()?;
    Some(BatchRequest {
        method: Method::POST,
        content_type: Some(content_type),
        body: vec![head.into(), lines.clone(), tail.into()],
        ..get(&api.files, &[], "")?
    })
}

pub(super) fn read_upload(body: &[u8]) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct File {
        id: String,
    }
    let file: File = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    named(file.id)
}

fn named(id: String) -> Result<String, Unreadable> {
    if is_plain(&id) { Ok(id) } else { Err(Unreadable("an id that is no plain name".to_owned())) }
}

pub(super) fn submit(api: &BatchApi, mark: &str, endpoint: &str, file: &str) -> Option<BatchRequest> {
    let (file, endpoint, mark) = (Value::from(file), Value::from(endpoint), Value::from(mark));
    let order = format!(
        "{{\"input_file_id\":{file},\"endpoint\":{endpoint},\"completion_window\":\"24h\",\"metadata\":{{\"{MARK}\":{mark}}}}}"
    );
    Some(BatchRequest {
        method: Method::POST,
        content_type: Some(HeaderValue::from_static("application/json")),
        body: vec![order.into()],
        ..get(&api.batches, &[], "")?
    })
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    status: String,
    created_at: Option<u64>,
    metadata: Option<Value>,
    errors: Option<Value>,
    input_file_id: Option<String>,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    request_counts: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    total: Option<u64>,
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

pub(super) fn read(body: &[u8]) -> Result<TheirBatch, Unreadable> {
    let batch: Batch = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    told(batch)
}

fn told(batch: Batch) -> Result<TheirBatch, Unreadable> {
    let progress = match batch.status.as_str() {
        "validating" | "in_progress" | "finalizing" => Progress::Running,
        "cancelling" => Progress::Stopping,
        "completed" | "expired" | "cancelled" => Progress::Ended,
        "failed" => Progress::Refused(reason(batch.errors.as_ref())),
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(Unreadable(format!("the unknown status `{shown}`")));
        }
    };
    let mark = batch.metadata.as_ref().and_then(|metadata| metadata.get(MARK)).and_then(Value::as_str);
    Ok(TheirBatch {
        progress,
        mark: mark.map(str::to_owned),
        created: batch.created_at,
        lines: batch.request_counts.and_then(|counts| counts.total).filter(|total| *total > 0),
        results: [batch.output_file_id, batch.error_file_id].into_iter().flatten().collect(),
        input: batch.input_file_id,
        id: named(batch.id)?,
    })
}

/// Why a batch was refused, in the provider's words.
fn reason(errors: Option<&Value>) -> String {
    let first = errors.and_then(|errors| errors.get("data")?.get(0)?.get("message")?.as_str());
    first.unwrap_or("no reason was given").chars().take(300).collect()
}

pub(super) fn read_list(body: &[u8]) -> Result<(Vec<TheirBatch>, bool), Unreadable> {
    let list: List<Batch> = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    // A status nobody knows is another's batch: ours are read one by one.
    Ok((list.data.into_iter().filter_map(|batch| told(batch).ok()).collect(), list.has_more))
}

pub(super) fn read_result(line: &Bytes) -> Result<TheirResult, Unreadable> {
    #[derive(Deserialize)]
    struct Line<'a> {
        custom_id: String,
        #[serde(borrow)]
        response: Option<Response<'a>>,
        error: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Response<'a> {
        status_code: u16,
        request_id: Option<String>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
    }
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| Unreadable::json(&error))?;
    let end = match (read.response, read.error) {
        (Some(Response { status_code: 200, request_id, body: Some(body) }), None) => {
            TheirEnd::Answered(part(line, body), request_id)
        }
        (Some(response), _) => {
            let body = response.body.map_or("", RawValue::get);
            let shown: String = body.chars().take(300).collect();
            TheirEnd::Failed(format!("HTTP {}: {shown}", response.status_code))
        }
        (None, error) => {
            let word = |name: &str| error.as_ref().and_then(|error| error.get(name)?.as_str());
            match word("code") {
                Some("batch_expired" | "batch_cancelled") => TheirEnd::NotRun,
                code => {
                    let message = word("message").or(code).unwrap_or("no reason was given");
                    TheirEnd::Failed(message.chars().take(300).collect())
                }
            }
        }
    };
    Ok(TheirResult { name: read.custom_id, end })
}

pub(super) fn read_uploads(body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
    #[derive(Deserialize)]
    struct File {
        id: String,
        filename: Option<String>,
    }
    let list: List<File> = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    let name = file_name(mark);
    let ours = list.data.into_iter().filter(|file| file.filename.as_ref() == Some(&name));
    Ok(ours.map(|file| file.id).filter(|id| is_plain(id)).collect())
}
