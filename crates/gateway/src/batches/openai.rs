//! Batches as OpenAI's clients know them.
//!
//! Owns the batch object, its calls and the lines of its output and error files. Must not send anything: it writes into the store
//! and wakes the worker. Sources: the vendor's OpenAPI document 2.3.0 and its API reference.

use super::details::{self, Details, OPENAI, kept_headers};
use super::{Visit, admit_one_more, files, limit, look, parameter, shown};
use crate::accept;
use crate::body::AnswerBody;
use crate::clock;
use crate::respond;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::{
    BatchCounts, BatchQuery, BatchStatus, BatchTimes, BatchUsage, LineEnd, ResultFiles, StoredBatch,
};
use trunkline_wire::codec::BadRequest;
use trunkline_wire::scan;

/// The shortest and longest time a batch may be given. The vendor takes `24h` only; so does every client that knows no other.
const WINDOWS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
/// Most pairs of metadata, and the longest name and value, in characters.
const MOST_METADATA: usize = 16;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 512;

pub(super) async fn create(visit: &Visit, body: Incoming) -> Result<Response<AnswerBody>, ClientError> {
    let body = accept::json_body(&visit.gateway.generation(), &visit.headers, body).await?;
    admit_one_more(visit).await?;
    scan::object(&body).map_err(BadRequest::into_client_error)?;
    let order: Value = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("the request body is not valid JSON: {error}");
        ClientError::new(ErrorCode::InvalidRequest, message)
    })?;
    let endpoint = text(&order, "endpoint")?;
    if !details::is_target(endpoint, OPENAI) {
        let message = format!(
            "`{}` is not an endpoint of batches; there are {}",
            shown(endpoint),
            details::targets(OPENAI).join(", ")
        );
        return Err(wrong("endpoint", &message));
    }
    let window = text(&order, "completion_window")?;
    let time = trunkline_config::duration(window)
        .ok()
        .filter(|time| WINDOWS.contains(time))
        .ok_or_else(|| wrong("completion_window", "takes `24h`, or another time from 1 s to 30 days"))?;
    let file = text(&order, "input_file_id")?;
    let found = files::find(visit, file).await.map_err(|error| error.at("input_file_id"))?;
    if found.purpose != "batch" {
        let message = format!("the file was uploaded with purpose `{}`, not `batch`", found.purpose);
        return Err(wrong("input_file_id", &message));
    }
    let headers = kept_headers(&visit.headers);
    crate::options::read(&visit.headers)?;
    let details = Details {
        endpoint: endpoint.to_owned(),
        window: window.to_owned(),
        metadata: metadata(order.get("metadata"))?,
        keep: life(order.get("output_expires_after"))?,
        model: None,
        headers,
    };
    let created = clock::unix_seconds();
    let batch = StoredBatch {
        id: format!("batch_{}", crate::case::new_id()),
        owner: visit.owner.clone(),
        kind: OPENAI.to_owned(),
        status: BatchStatus::Validating,
        times: BatchTimes { created, expires: created + time.as_secs().max(1), ..BatchTimes::default() },
        counts: BatchCounts::default(),
        usage: BatchUsage::default(),
        input_file: Some(found.id),
        output_file: None,
        error_file: None,
        details: details.write(),
        errors: None,
    };
    let (store, new) = (visit.store(), batch.clone());
    look(move || store.create(&new)).await?;
    visit.gateway.queue.wake();
    Ok(respond::json(StatusCode::OK, &object(&batch)))
}

pub(super) async fn list(visit: &Visit) -> Result<Response<AnswerBody>, ClientError> {
    let query = BatchQuery {
        owner: Some(visit.owner.clone()),
        kind: Some(OPENAI.to_owned()),
        after: parameter(visit.query(), "after").map(str::to_owned),
        before: None,
        limit: limit(visit.query(), 20, 100)?,
    };
    let store = visit.store();
    let (batches, has_more) = look(move || store.list(&query)).await?;
    let page = json!({
        "object": "list",
        "data": batches.iter().map(object).collect::<Vec<_>>(),
        "first_id": batches.first().map(|batch| &batch.id),
        "last_id": batches.last().map(|batch| &batch.id),
        "has_more": has_more,
    });
    Ok(respond::json(StatusCode::OK, &page))
}

pub(super) async fn show(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    let found = look(move || store.batch(&owner, &wanted)).await?;
    let batch = found.filter(|batch| batch.kind == OPENAI).ok_or_else(|| unknown(id))?;
    Ok(respond::json(StatusCode::OK, &object(&batch)))
}

pub(super) async fn cancel(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    show(visit, id).await?;
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    let found = look(move || store.cancel(&owner, &wanted, clock::unix_seconds())).await?;
    let batch = found.ok_or_else(|| unknown(id))?;
    if batch.status.is_over() {
        let message = format!("the batch is {} already and cannot be cancelled", batch.status.name());
        return Err(ClientError { status: Some(409), ..wrong("batch_id", &message) });
    }
    visit.gateway.queue.wake();
    Ok(respond::json(StatusCode::OK, &object(&batch)))
}

/// A batch as its client sees it.
fn object(batch: &StoredBatch) -> Value {
    let details = Details::read(&batch.details);
    let times = &batch.times;
    let ended = |status: BatchStatus| times.ended.filter(|_| batch.status == status);
    let finalizing = times.ended.filter(|_| batch.status != BatchStatus::Failed);
    let errors: Option<Value> = batch.errors.as_deref().and_then(|errors| serde_json::from_str(errors).ok());
    let mut object = json!({
        "id": batch.id,
        "object": "batch",
        "endpoint": details.endpoint,
        "model": details.model,
        "errors": errors,
        "input_file_id": batch.input_file,
        "completion_window": details.window,
        "status": batch.status.name(),
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": times.created,
        "in_progress_at": times.started,
        "expires_at": times.expires,
        "finalizing_at": finalizing,
        "completed_at": ended(BatchStatus::Completed),
        "failed_at": ended(BatchStatus::Failed),
        "expired_at": ended(BatchStatus::Expired),
        "cancelling_at": times.cancelling,
        "cancelled_at": ended(BatchStatus::Cancelled),
        "request_counts": {
            // Lines are counted once they are known to be right.
            "total": if batch.status == BatchStatus::Validating { 0 } else { batch.counts.total },
            "completed": batch.counts.succeeded,
            "failed": batch.counts.errored + batch.counts.expired,
        },
        "metadata": details.metadata,
    });
    if let Some(usage) = usage(batch) {
        object["usage"] = usage;
    }
    object
}

/// The tokens of a batch that is over; `None` when those of any answer are not known, since less than all would be taken for all.
fn usage(batch: &StoredBatch) -> Option<Value> {
    let BatchUsage { metered, sum } = batch.usage;
    let is_known = batch.status.is_over() && metered > 0 && metered == batch.counts.succeeded;
    is_known.then(|| {
        json!({
            "input_tokens": sum.input,
            "input_tokens_details": {"cached_tokens": sum.cached},
            "output_tokens": sum.output,
            "output_tokens_details": {"reasoning_tokens": sum.reasoning},
            "total_tokens": sum.input.saturating_add(sum.output),
        })
    })
}

/// A line of an output or error file: an HTTP answer, whatever its status.
pub(super) fn answered(request_id: &str, custom_id: &str, status: u16, body: &[u8]) -> Vec<u8> {
    let name = Value::from(custom_id);
    let mut line = format!(
        "{{\"id\":\"batch_req_{request_id}\",\"custom_id\":{name},\"response\":{{\"status_code\":{status},\"request_id\":\"{request_id}\",\"body\":"
    )
    .into_bytes();
    super::line::append_in_one_line(&mut line, body);
    line.extend_from_slice(b"},\"error\":null}");
    line
}

/// A line of the error file: nothing was sent.
pub(super) fn given_up(batch: &str, number: u64, custom_id: &str, end: LineEnd) -> Vec<u8> {
    let (code, message) = match end {
        LineEnd::Canceled => ("batch_cancelled", "The batch was cancelled before this request was sent."),
        _ => ("batch_expired", "This request could not be executed before the completion window expired."),
    };
    let id = format!("batch_req_{}_{number}", batch.trim_start_matches("batch_"));
    let line = json!({"id": id, "custom_id": custom_id, "response": null, "error": {"code": code, "message": message}});
    line.to_string().into_bytes()
}

/// The files a batch gets at its end.
pub(super) fn result_files(batch: &StoredBatch, keep: Duration, now: u64) -> ResultFiles {
    let life = Details::read(&batch.details).keep.unwrap_or(u64::MAX).min(keep.as_secs());
    let id = || format!("file-{}", crate::case::new_id());
    ResultFiles { output: id(), errors: id(), expires: Some(now.saturating_add(life)) }
}

fn text<'v>(order: &'v Value, name: &str) -> Result<&'v str, ClientError> {
    match order.get(name) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Err(wrong(name, "is missing")),
        Some(_) => Err(wrong(name, "must be a text")),
    }
}

fn metadata(value: Option<&Value>) -> Result<Option<Box<RawValue>>, ClientError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let fits = |name: &str, value: &Value| {
        name.chars().count() <= LONGEST_NAME
            && value.as_str().is_some_and(|text| text.chars().count() <= LONGEST_VALUE)
    };
    let pairs = value.as_object().filter(|pairs| pairs.len() <= MOST_METADATA);
    if !pairs.is_some_and(|pairs| pairs.iter().all(|(name, value)| fits(name, value))) {
        let message = "takes at most 16 texts of at most 512 characters, named with at most 64";
        return Err(wrong("metadata", message));
    }
    Ok(serde_json::value::to_raw_value(value).ok())
}

fn life(value: Option<&Value>) -> Result<Option<u64>, ClientError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let is_created = value.get("anchor").and_then(Value::as_str) == Some("created_at");
    let seconds = value.get("seconds").and_then(Value::as_u64);
    seconds.filter(|seconds| is_created && (3_600..=2_592_000).contains(seconds)).map(Some).ok_or_else(|| {
        let message = "takes `anchor`: `created_at`, and `seconds` from 3600 to 2592000";
        wrong("output_expires_after", message)
    })
}

fn unknown(id: &str) -> ClientError {
    let message = format!("No batch found with id '{}'.", shown(id));
    ClientError::new(ErrorCode::NotFound, message).at("batch_id")
}

fn wrong(parameter: &str, what: &str) -> ClientError {
    ClientError::new(ErrorCode::InvalidRequest, format!("{parameter}: {what}")).at(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_files_are_as_documented() {
        let line = answered("01abc", "a \"b\"", 200, b"{\n  \"id\": 1\n}");
        insta::assert_snapshot!(String::from_utf8(line).unwrap(), @r#"{"id":"batch_req_01abc","custom_id":"a \"b\"","response":{"status_code":200,"request_id":"01abc","body":{   "id": 1 }},"error":null}"#);
        let line = given_up("batch_01x", 7, "a", LineEnd::Expired);
        insta::assert_snapshot!(String::from_utf8(line).unwrap(), @r#"{"id":"batch_req_01x_7","custom_id":"a","response":null,"error":{"code":"batch_expired","message":"This request could not be executed before the completion window expired."}}"#);
    }

    #[test]
    fn metadata_and_lives_are_bounded() {
        assert!(metadata(Some(&json!({"a": "b"}))).unwrap().is_some());
        assert!(metadata(Some(&Value::Null)).unwrap().is_none());
        for value in [json!([]), json!({"a": 1}), json!({"a".repeat(65): "b"}), json!({"a": "b".repeat(513)})]
        {
            assert!(metadata(Some(&value)).is_err(), "{value}");
        }
        assert_eq!(life(Some(&json!({"anchor": "created_at", "seconds": 3600}))).unwrap(), Some(3_600));
        assert!(life(Some(&json!({"anchor": "created_at", "seconds": 1}))).is_err());
        assert!(life(Some(&json!({"seconds": 3600}))).is_err());
    }
}
