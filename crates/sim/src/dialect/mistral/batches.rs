//! Files and batch jobs of the Mistral dialect.
//!
//! Owns the two objects, the order and the lines of the result files. The lines are answered by the dialect itself. Source: the vendor's
//! OpenAPI document 1.0.0 and the types of its SDK 3.7.0.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::openai::form;
use super::{Mistral, body, error};
use crate::batch_book::{self, KeptBatch, KeptFile, Phase};
use crate::chance::{Chance, HEXADECIMAL};
use crate::dialect::{Context, Dialect, Inbound, Output, Refusal};
use crate::script::BatchEnd;

/// The endpoints that jobs may have here.
const ENDPOINTS: [&str; 2] = ["/v1/chat/completions", "/v1/embeddings"];
/// The most requests that may stand in the order itself.
const MOST_INLINED: usize = 10_000;

/// The path behind `/files` or `/batch/jobs`, if it is one of these.
pub(super) fn rest<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    let (_, rest) = path.trim_end_matches('/').split_once(root)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// Answers a request about files.
pub(super) fn files(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = rest(&inbound.path, "/files").unwrap_or_default();
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let find = || context.batches.file(id).ok_or(Refusal::UnknownPath);
    let object = match (&inbound.method, id, verb) {
        (&Method::POST, "", "") => file_object(&upload(inbound, context)?, context),
        (&Method::GET, "", "") => {
            let (purpose, search) = (inbound.parameter("purpose"), inbound.parameter("search"));
            let fits = |file: &KeptFile| {
                purpose.is_none_or(|purpose| file.purpose.starts_with(purpose))
                    && search.is_none_or(|search| file.name.contains(search))
            };
            let all: Vec<KeptFile> = context.batches.files().into_iter().filter(fits).collect();
            let data: Vec<Value> = paged(&all, inbound).map(|file| file_object(file, context)).collect();
            json!({"data": data, "object": "list", "total": all.len()})
        }
        (&Method::GET, _, "") => {
            let mut object = file_object(&find()?, context);
            object["deleted"] = json!(false);
            object
        }
        (&Method::DELETE, _, "") => {
            find()?;
            context.batches.forget_file(id);
            json!({"id": id, "object": "file", "deleted": true})
        }
        (&Method::GET, _, "content") => {
            return Ok(Output::whole(StatusCode::OK, "application/octet-stream", find()?.content, 0));
        }
        (_, _, "" | "content") => return Err(Refusal::WrongMethod),
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

/// Answers a request about jobs.
pub(super) fn jobs(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = rest(&inbound.path, "/batch/jobs").unwrap_or_default();
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let edit = |edit: fn(&mut KeptBatch)| context.batches.edit_batch(id, edit).ok_or(Refusal::UnknownPath);
    let object = match (&inbound.method, id, verb) {
        (&Method::POST, "", "") => create(body(inbound)?, inbound, context)?,
        (&Method::GET, "", "") => {
            let mut all: Vec<KeptBatch> = context.batches.batches("");
            all.retain(|batch| batch.object.get("input_files").is_some());
            if inbound.parameter("order_by") == Some("created") {
                all.reverse();
            }
            let data: Vec<Value> = paged(&all, inbound).map(|batch| told(batch, context, false)).collect();
            json!({"data": data, "object": "list", "total": all.len()})
        }
        (&Method::GET, _, "") => {
            let is_inline = inbound.parameter("inline") == Some("true");
            told(&edit(|batch| batch.looks += 1)?, context, is_inline)
        }
        (&Method::POST, _, "cancel") => {
            let before = status(&edit(|_| ())?, context);
            if !matches!(before, "QUEUED" | "RUNNING" | "CANCELLATION_REQUESTED") {
                return Err(Refusal::invalid(format!("Cannot cancel a job with status {before}")));
            }
            let cancelled = edit(KeptBatch::cancel)?;
            told(&cancelled, context, false)
        }
        (&Method::DELETE, _, "") => {
            edit(|_| ())?;
            context.batches.forget_batch(id);
            json!({"id": id, "object": "batch", "deleted": true})
        }
        (_, _, "" | "cancel") => return Err(Refusal::WrongMethod),
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

/// The page that a request asks for.
fn paged<'a, T>(all: &'a [T], inbound: &Inbound) -> impl Iterator<Item = &'a T> {
    let number = |name: &str, usual: usize| {
        inbound.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let (page, size): (usize, usize) = (number("page", 0), number("page_size", 100));
    all.iter().skip(page.saturating_mul(size)).take(size)
}

fn upload(inbound: &Inbound, context: &Context<'_>) -> Result<KeptFile, Refusal> {
    let parts = form::parts(inbound);
    let missing = || Refusal::parameter("file", Some("missing"), "Field required");
    let file = parts.iter().find(|part| part.name == "file").ok_or_else(missing)?;
    let file = KeptFile {
        id: uuid(&mut Chance::new(context.stamp.seed)),
        name: file.file_name.clone().unwrap_or_default(),
        purpose: form::text(&parts, "purpose").unwrap_or_else(|| "fine-tune".to_owned()),
        content: file.contents.clone().into(),
    };
    context.batches.keep_file(file.clone());
    Ok(file)
}

fn create(order: &Map<String, Value>, inbound: &Inbound, context: &Context<'_>) -> Result<Value, Refusal> {
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    let missing = |name: &'static str| Refusal::parameter(name, Some("missing"), "Field required");
    let endpoint = text("endpoint").ok_or_else(|| missing("endpoint"))?;
    if !ENDPOINTS.contains(&endpoint) {
        let message = format!("Input should be one of {ENDPOINTS:?}");
        return Err(Refusal::parameter("endpoint", Some("enum"), message));
    }
    let hours = order.get("timeout_hours").map_or(Some(24), Value::as_u64);
    if hours.is_none_or(|hours| !(1..=168).contains(&hours)) {
        return Err(Refusal::parameter(
            "timeout_hours",
            Some("less_than_equal"),
            "Input should be from 1 to 168",
        ));
    }
    let metadata = order.get("metadata").filter(|metadata| !metadata.is_null());
    for (name, value) in metadata.and_then(Value::as_object).into_iter().flatten() {
        if name.len() > 32 || value.as_str().is_none_or(|value| value.is_empty() || value.len() > 512) {
            return Err(Refusal::parameter("metadata", Some("string_too_long"), "Metadata is not valid"));
        }
    }
    let (lines, files) = lines(order, context)?;
    let mut chance = Chance::new(context.stamp.seed);
    let id = uuid(&mut chance);
    let mut batch = KeptBatch {
        id: id.clone(),
        object: json!({
            "id": id, "object": "batch", "input_files": files, "endpoint": endpoint, "model": order.get("model"), "agent_id": null,
            "metadata": metadata, "errors": [], "created_at": now(context),
        }),
        looks: 0,
        is_cancelled: false,
        succeeded: Vec::new(),
        failed: Vec::new(),
    };
    for line in &lines {
        let (status, answer) = answered(endpoint, line, text("model"), inbound, context);
        let result = json!({
            "id": chance.identifier("batch-", HEXADECIMAL, 20), "custom_id": line["custom_id"],
            "response": {"status_code": status.as_u16(), "body": answer}, "error": null,
        });
        if status == StatusCode::OK { &mut batch.succeeded } else { &mut batch.failed }.push(result);
    }
    let object = told(&batch, context, false);
    context.batches.keep_batch(batch);
    Ok(object)
}

/// The lines of an order and the files they are in.
fn lines(order: &Map<String, Value>, context: &Context<'_>) -> Result<(Vec<Value>, Vec<String>), Refusal> {
    let list = |name: &str| order.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    match (list("input_files"), list("requests")) {
        (Some(_), Some(_)) | (None, None) => {
            Err(Refusal::parameter("input_files", None, "Exactly one of input_files and requests is needed"))
        }
        (None, Some(requests)) if requests.len() > MOST_INLINED => {
            Err(Refusal::parameter("requests", Some("too_long"), "List should have at most 10000 items"))
        }
        (None, Some(requests)) => Ok((requests.clone(), Vec::new())),
        (Some(files), None) => {
            let mut lines = Vec::new();
            for (position, id) in files.iter().enumerate() {
                let file = id.as_str().and_then(|id| context.batches.file(id));
                let place = format!("input_files.{position}");
                let file = file.ok_or_else(|| Refusal::parameter(place, None, "No such file"))?;
                for line in batch_book::lines(&file.content) {
                    lines.push(serde_json::from_slice(line).map_err(|error| {
                        Refusal::parameter("input_files", None, format!("Not JSON lines: {error}"))
                    })?);
                }
            }
            let ids = files.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            Ok((lines, ids))
        }
    }
}

/// What the dialect answers to one line, for the job's model where the line names none.
fn answered(
    endpoint: &str,
    line: &Value,
    model: Option<&str>,
    inbound: &Inbound,
    context: &Context<'_>,
) -> (StatusCode, Value) {
    let mut asked = line["body"].clone();
    if let (Some(members), Some(model)) = (asked.as_object_mut(), model) {
        members.entry("model").or_insert_with(|| json!(model));
    }
    let body = Bytes::from(asked.to_string());
    let line = Inbound::new(Method::POST, endpoint.to_owned(), None, inbound.headers.clone(), body);
    let output = Mistral.answer(&line, context).unwrap_or_else(|refusal| error::output(&refusal, &line));
    (output.status, output.value())
}

/// How far a job is, by how often it was looked at.
fn status(batch: &KeptBatch, context: &Context<'_>) -> &'static str {
    match batch.phase(context.script.batches) {
        Phase::Waiting => "QUEUED",
        Phase::Running => "RUNNING",
        Phase::Stopping => "CANCELLATION_REQUESTED",
        Phase::Stopped => "CANCELLED",
        Phase::Over(BatchEnd::Complete) => "SUCCESS",
        Phase::Over(BatchEnd::Failed) => "FAILED",
        Phase::Over(BatchEnd::Expired) => "TIMEOUT_EXCEEDED",
    }
}

/// A job as it is told now; its files appear when it is over.
fn told(batch: &KeptBatch, context: &Context<'_>, is_inline: bool) -> Value {
    let mut object = batch.object.clone();
    let status = status(batch, context);
    // What its time was too short for has no line in either file.
    let answered = |lines: &[Value]| -> Vec<Value> {
        let step = if status == "TIMEOUT_EXCEEDED" { 2 } else { 1 };
        let is_told = matches!(status, "SUCCESS" | "TIMEOUT_EXCEEDED");
        lines.iter().step_by(step).filter(|_| is_told).cloned().collect()
    };
    let (succeeded, failed) = (answered(&batch.succeeded), answered(&batch.failed));
    object["status"] = json!(status);
    object["total_requests"] = json!(batch.succeeded.len() + batch.failed.len());
    object["completed_requests"] = json!(succeeded.len() + failed.len());
    object["succeeded_requests"] = json!(succeeded.len());
    object["failed_requests"] = json!(failed.len());
    let is_begun = !matches!(status, "QUEUED");
    object["started_at"] = if is_begun { json!(now(context)) } else { Value::Null };
    let is_over = !matches!(status, "QUEUED" | "RUNNING" | "CANCELLATION_REQUESTED");
    object["completed_at"] = if is_over { json!(now(context)) } else { Value::Null };
    if status == "FAILED" {
        object["errors"] = json!([{"message": "The job could not be run.", "count": 1}]);
    }
    object["output_file"] = results(batch, &succeeded, "output", context);
    object["error_file"] = results(batch, &failed, "error", context);
    let inline = is_inline && batch.object["input_files"].as_array().is_some_and(Vec::is_empty);
    object["outputs"] = if inline && is_over { json!(succeeded) } else { Value::Null };
    object
}

fn results(batch: &KeptBatch, lines: &[Value], name: &str, context: &Context<'_>) -> Value {
    if lines.is_empty() {
        return Value::Null;
    }
    // The same id whenever it is told.
    let seed = crate::chance::fingerprint(context.config.seed, format!("{} {name}", batch.id).as_bytes());
    let id = uuid(&mut Chance::new(seed));
    // One that was deleted does not come back.
    if context.batches.is_first(&id) {
        let content: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let name = format!("{}_{name}.jsonl", batch.id);
        let purpose = "batch".to_owned();
        context.batches.keep_file(KeptFile { id: id.clone(), name, purpose, content: content.into() });
    }
    json!(id)
}

fn file_object(file: &KeptFile, context: &Context<'_>) -> Value {
    let is_result = file.name.ends_with("_output.jsonl") || file.name.ends_with("_error.jsonl");
    let (kind, source) = match (is_result, file.name.ends_with("_error.jsonl")) {
        (false, _) => ("batch_request", "upload"),
        (true, false) => ("batch_result", "mistral"),
        (true, true) => ("batch_error", "mistral"),
    };
    let lines = batch_book::lines(&file.content).count();
    json!({
        "id": file.id, "object": "file", "bytes": file.content.len(), "created_at": context.config.created, "filename": file.name,
        "purpose": file.purpose, "sample_type": kind, "source": source, "num_lines": lines, "mimetype": "application/jsonl",
        "signature": null,
    })
}

fn now(context: &Context<'_>) -> u64 {
    context.stamp.now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// An identifier of the form of RFC 9562.
fn uuid(chance: &mut Chance) -> String {
    let mut part = |length| chance.identifier("", HEXADECIMAL, length);
    format!("{}-{}-4{}-a{}-{}", part(8), part(4), part(3), part(3), part(12))
}
