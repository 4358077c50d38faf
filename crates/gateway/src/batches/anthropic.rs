//! Batches of messages as Anthropic's clients know them.
//!
//! Owns the batch object, its calls and the lines of its results. Must not send anything: it writes into the store and wakes the
//! worker. Sources: the vendor's API reference and the types of its SDK 2.11.0.

use super::check::target;
use super::details::{ANTHROPIC, Details, kept_headers};
use super::{Visit, admit_one_more, download, limit, look, parameter, shown};
use crate::accept;
use crate::body::AnswerBody;
use crate::clock;
use crate::respond;
use bytes::Bytes;
use http::header::HOST;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashSet;
use trunkline_model::catalogue::Date;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::{
    BatchCounts, BatchQuery, BatchStatus, BatchStoreError, BatchTimes, BatchUsage, Batches, Deletion,
    LineEnd, NewLine, StoredBatch,
};
use trunkline_wire::codec::BadRequest;
use trunkline_wire::scan;

/// Where lines go.
const ENDPOINT: &str = "/v1/messages";
/// Most requests of a batch.
const MOST_REQUESTS: usize = 100_000;
/// The longest `custom_id`.
const LONGEST_NAME: usize = 64;
/// How long a batch may take, in seconds.
const WINDOW: u64 = 86_400;
/// Lines written at a time.
const PAGE: usize = 500;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    requests: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Wanted<'a> {
    custom_id: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

pub(super) async fn create(visit: &Visit, body: Incoming) -> Result<Response<AnswerBody>, ClientError> {
    let body = accept::json_body(&visit.gateway.generation(), &visit.headers, body).await?;
    admit_one_more(visit).await?;
    crate::options::read(&visit.headers)?;
    let details = Details {
        endpoint: ENDPOINT.to_owned(),
        window: "24h".to_owned(),
        headers: kept_headers(&visit.headers),
        ..Details::default()
    };
    let created = clock::unix_seconds();
    let batch = StoredBatch {
        id: format!("msgbatch_{}", crate::case::new_id()),
        owner: visit.owner.clone(),
        kind: ANTHROPIC.to_owned(),
        status: BatchStatus::Validating,
        times: BatchTimes { created, expires: created + WINDOW, ..BatchTimes::default() },
        counts: BatchCounts::default(),
        usage: BatchUsage::default(),
        input_file: None,
        output_file: None,
        error_file: None,
        details: details.write(),
        errors: None,
    };
    let store = visit.store();
    let taken = look(move || take(&store, &batch, &body)).await??;
    visit.gateway.queue.wake();
    Ok(respond::json(StatusCode::OK, &object(&taken, visit)))
}

/// Takes a batch in, whole or not at all. May wait for a disk.
fn take(
    store: &Batches,
    batch: &StoredBatch,
    body: &Bytes,
) -> Result<Result<StoredBatch, ClientError>, BatchStoreError> {
    let requests = match read(body) {
        Ok(requests) => requests,
        Err(error) => return Ok(Err(error)),
    };
    store.create(batch)?;
    let mut number = 0;
    for page in requests.chunks(PAGE) {
        let lines: Vec<NewLine> = page
            .iter()
            .map(|(custom_id, params)| {
                number += 1;
                let request = body.slice_ref(params.get().as_bytes());
                let target = target(&batch.owner, &model_of(params));
                NewLine { number, custom_id: custom_id.clone(), target, request }
            })
            .collect();
        if let Err(error) = store.add_lines(&batch.id, &lines) {
            // As if it had never been: its maker is told that it was not taken.
            store.fail(&batch.id, batch.times.created, "[]")?;
            store.delete(&batch.owner, &batch.id)?;
            return Err(error);
        }
    }
    store.start(&batch.id, batch.times.created, &batch.details)?;
    Ok(Ok(store.batch(&batch.owner, &batch.id)?.unwrap_or_else(|| batch.clone())))
}

fn read(body: &Bytes) -> Result<Vec<(String, &RawValue)>, ClientError> {
    let unreadable = |why: &str| {
        let message = format!("the request body is not a JSON object with a list of `requests`: {why}");
        ClientError::new(ErrorCode::InvalidRequest, message)
    };
    scan::object(body).map_err(BadRequest::into_client_error)?;
    let order: Order<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let requests = order.requests.ok_or_else(|| wrong("requests", "Field required"))?;
    if requests.is_empty() || requests.len() > MOST_REQUESTS {
        let message = format!("a batch has 1 to {MOST_REQUESTS} requests, this one {}", requests.len());
        return Err(wrong("requests", &message));
    }
    let mut names = HashSet::with_capacity(requests.len());
    let mut read = Vec::with_capacity(requests.len());
    for (position, request) in requests.into_iter().enumerate() {
        let at = |name: &str| format!("requests.{position}.{name}");
        let is_object = request.get().starts_with('{');
        let request: Option<Wanted<'_>> = serde_json::from_str(request.get()).ok().filter(|_| is_object);
        let place = format!("requests.{position}");
        let request =
            request.ok_or_else(|| wrong(&place, "takes `custom_id`, a text, and `params`, an object"))?;
        let custom_id = request.custom_id.ok_or_else(|| wrong(&at("custom_id"), "Field required"))?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if custom_id.is_empty() || custom_id.len() > LONGEST_NAME || !custom_id.chars().all(fits) {
            let message = "takes 1 to 64 letters, digits, `_` and `-`";
            return Err(wrong(&at("custom_id"), message));
        }
        if !names.insert(custom_id.clone()) {
            let message =
                format!("`{custom_id}` is that of an earlier request; each must be unique in its batch");
            return Err(wrong(&at("custom_id"), &message));
        }
        let params = request.params.ok_or_else(|| wrong(&at("params"), "Field required"))?;
        if !params.get().starts_with('{') {
            return Err(wrong(&at("params"), "must be an object: the body of a message request"));
        }
        read.push((custom_id, params));
    }
    Ok(read)
}

/// The model a request asks for. One that names none becomes an errored result, as the vendor has it.
fn model_of(params: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Head {
        model: Option<String>,
    }
    serde_json::from_str::<Head>(params.get()).ok().and_then(|head| head.model).unwrap_or_default()
}

pub(super) async fn list(visit: &Visit) -> Result<Response<AnswerBody>, ClientError> {
    let query = BatchQuery {
        owner: Some(visit.owner.clone()),
        kind: Some(ANTHROPIC.to_owned()),
        after: parameter(visit.query(), "after_id").map(str::to_owned),
        before: parameter(visit.query(), "before_id").map(str::to_owned),
        limit: limit(visit.query(), 20, 1_000)?,
    };
    let store = visit.store();
    let (batches, has_more) = look(move || store.list(&query)).await?;
    let page = json!({
        "data": batches.iter().map(|batch| object(batch, visit)).collect::<Vec<_>>(),
        "has_more": has_more,
        "first_id": batches.first().map(|batch| &batch.id),
        "last_id": batches.last().map(|batch| &batch.id),
    });
    Ok(respond::json(StatusCode::OK, &page))
}

pub(super) async fn show(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    Ok(respond::json(StatusCode::OK, &object(&find(visit, id).await?, visit)))
}

pub(super) async fn cancel(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    find(visit, id).await?;
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    let found = look(move || store.cancel(&owner, &wanted, clock::unix_seconds())).await?;
    let batch = found.ok_or_else(|| unknown(id))?;
    visit.gateway.queue.wake();
    Ok(respond::json(StatusCode::OK, &object(&batch, visit)))
}

pub(super) async fn delete(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    find(visit, id).await?;
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    match look(move || store.delete(&owner, &wanted)).await? {
        Deletion::Done => {
            Ok(respond::json(StatusCode::OK, &json!({"id": id, "type": "message_batch_deleted"})))
        }
        Deletion::Unknown => Err(unknown(id)),
        Deletion::Busy => {
            let message = "the batch is still being processed; cancel it first";
            Err(ClientError::new(ErrorCode::InvalidRequest, message).at("message_batch_id"))
        }
    }
}

pub(super) async fn results(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    let batch = find(visit, id).await?;
    if !batch.status.is_over() {
        let message = format!("the batch `{}` has no results before its processing has ended", batch.id);
        return Err(ClientError::new(ErrorCode::InvalidRequest, message).at("message_batch_id"));
    }
    let (store, wanted) = (visit.store(), batch.id.clone());
    let length = look(move || store.results_length(&wanted, trunkline_store::Results::All)).await?;
    download::results(visit.store(), batch.id, length, &visit.headers)
}

async fn find(visit: &Visit, id: &str) -> Result<StoredBatch, ClientError> {
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    let found = look(move || store.batch(&owner, &wanted)).await?;
    found.filter(|batch| batch.kind == ANTHROPIC).ok_or_else(|| unknown(id))
}

/// A batch as its client sees it. Counts are told as they grow; the vendor holds them back until the end.
fn object(batch: &StoredBatch, visit: &Visit) -> Value {
    let (times, counts) = (&batch.times, &batch.counts);
    let status = match batch.status {
        BatchStatus::Validating | BatchStatus::InProgress => "in_progress",
        BatchStatus::Cancelling => "canceling",
        _ => "ended",
    };
    let url = times.ended.map(|_| {
        let path = format!("/v1/messages/batches/{}/results", batch.id);
        let host = visit.headers.get(HOST).and_then(|host| host.to_str().ok());
        let scheme = visit.headers.get("x-forwarded-proto").filter(|scheme| *scheme == "https");
        let scheme = if scheme.is_some() { "https" } else { "http" };
        host.map_or_else(|| path.clone(), |host| format!("{scheme}://{host}{path}"))
    });
    json!({
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": {
            "processing": counts.open(),
            "succeeded": counts.succeeded,
            "errored": counts.errored,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
        "created_at": time(times.created),
        "expires_at": time(times.expires),
        "ended_at": times.ended.map(time),
        "cancel_initiated_at": times.cancelling.map(time),
        "archived_at": null,
        "results_url": url,
    })
}

/// A moment as RFC 3339 has it.
fn time(unix_seconds: u64) -> String {
    let (day, rest) = (Date::from_unix_seconds(unix_seconds), unix_seconds % 86_400);
    format!("{day}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// A line of the results: what came of a request that was sent.
pub(super) fn answered(custom_id: &str, end: LineEnd, body: &[u8]) -> Vec<u8> {
    let name = Value::from(custom_id);
    let (kind, field) =
        if end == LineEnd::Succeeded { ("succeeded", "message") } else { ("errored", "error") };
    let mut line =
        format!("{{\"custom_id\":{name},\"result\":{{\"type\":\"{kind}\",\"{field}\":").into_bytes();
    super::line::append_in_one_line(&mut line, body);
    line.extend_from_slice(b"}}");
    line
}

/// A line of the results: nothing was sent.
pub(super) fn given_up(custom_id: &str, end: LineEnd) -> Vec<u8> {
    let kind = if end == LineEnd::Canceled { "canceled" } else { "expired" };
    json!({"custom_id": custom_id, "result": {"type": kind}}).to_string().into_bytes()
}

fn unknown(id: &str) -> ClientError {
    let message = format!("there is no message batch `{}`", shown(id));
    ClientError::new(ErrorCode::NotFound, message).at("message_batch_id")
}

fn wrong(parameter: &str, what: &str) -> ClientError {
    ClientError::new(ErrorCode::InvalidRequest, format!("{parameter}: {what}")).at(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_taken_whole_or_not_at_all() {
        let good =
            r#"{"requests":[{"custom_id":"a","params":{"model":"m"}},{"custom_id":"b-_1","params":{}}]}"#;
        let body = Bytes::from_static(good.as_bytes());
        let requests = read(&body).unwrap();
        assert_eq!(
            (requests.len(), model_of(requests[0].1).as_str(), model_of(requests[1].1).as_str()),
            (2, "m", "")
        );
        let wrong = [
            "{",
            "{}",
            r#"{"requests":[]}"#,
            r#"[[]]"#,
            r#"{"requests":[["a",{}]]}"#,
            r#"{"requests":[{"custom_id":1,"params":{}}]}"#,
            r#"{"requests":[{"params":{}}]}"#,
            r#"{"requests":[{"custom_id":"a b","params":{}}]}"#,
            r#"{"requests":[{"custom_id":"a"}]}"#,
            r#"{"requests":[{"custom_id":"a","params":[]}]}"#,
            r#"{"requests":[{"custom_id":"a","params":{}},{"custom_id":"a","params":{}}]}"#,
        ];
        let told = wrong.map(|text| read(&Bytes::from_static(text.as_bytes())).unwrap_err().message);
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn lines_of_results_are_as_documented() {
        let text = |line: Vec<u8>| String::from_utf8(line).unwrap();
        insta::assert_snapshot!(text(answered("a", LineEnd::Succeeded, b"{\"id\":\n1}")), @r#"{"custom_id":"a","result":{"type":"succeeded","message":{"id": 1}}}"#);
        insta::assert_snapshot!(text(answered("a", LineEnd::Errored, b"{}")), @r#"{"custom_id":"a","result":{"type":"errored","error":{}}}"#);
        insta::assert_snapshot!(text(given_up("a", LineEnd::Canceled)), @r#"{"custom_id":"a","result":{"type":"canceled"}}"#);
        assert_eq!(time(1_700_000_000), "2023-11-14T22:13:20Z");
    }
}
