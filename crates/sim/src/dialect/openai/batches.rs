//! Files and batches of the OpenAI dialect.
//!
//! Owns the two objects and the lines of the result files. The lines are answered by the dialect itself. What those who copied it changed is
//! in [`super::manner`]. Source: the vendor's OpenAPI document 2.3.0.

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::azure::{Call, is_batch_deployment};
use super::{OpenAi, body, error, form, identifier};
use crate::batch_book::{KeptBatch, KeptFile, page};
use crate::dialect::refusal::Invalid;
use crate::dialect::{Context, Dialect, Inbound, Output, Refusal};
use crate::script::{BatchEnd, BatchManner};

/// The endpoints that batches may have here.
const ENDPOINTS: [&str; 4] = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions"];

/// The path behind `/files` or `/batches`, if it is one of these.
pub(super) fn rest<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    let (_, rest) = path.trim_end_matches('/').split_once(root)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// Answers a request about files.
pub(super) fn files(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    checked_version(inbound)?;
    let rest = rest(&inbound.path, "/files").unwrap_or_default();
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let find = || context.batches.file(id).ok_or_else(|| missing(&format!("No such File object: {id}")));
    let object = match (&inbound.method, id, verb) {
        (method, id, "") if context.script.batches.manner.uploads_at(method, id) => {
            return upload(inbound, context);
        }
        (&Method::POST, "", "") => return Err(Refusal::UnknownPath),
        (&Method::GET, "", "") => {
            let all = context.batches.files();
            let purpose = inbound.parameter("purpose");
            let fits = |file: &KeptFile| purpose.is_none_or(|purpose| file.purpose == purpose);
            let all: Vec<KeptFile> = all.into_iter().filter(fits).collect();
            let limit = inbound.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10_000);
            let (files, has_more) = page(all, |file| file.id.as_str(), inbound.parameter("after"), limit);
            let data: Vec<Value> = files.iter().map(|file| file_object(file, context)).collect();
            listed(data, has_more)
        }
        (&Method::GET, _, "") => {
            let file = find()?;
            context.batches.is_first(&processed(&file.id));
            file_object(&file, context)
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

/// Answers a request about batches.
pub(super) fn batches(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    checked_version(inbound)?;
    let rest = rest(&inbound.path, "/batches").unwrap_or_default();
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let unknown = || missing(&format!("No batch found with id '{id}'."));
    let manner = context.script.batches.manner;
    let object = match (&inbound.method, id, verb) {
        (&Method::POST, "", "") => {
            let (status, made) = manner.made(create(inbound, context)?);
            return Ok(Output::json(status, &made, 0));
        }
        (&Method::GET, "", "") => {
            let all = context.batches.batches("batch_");
            let limit = inbound.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
            let (found, has_more) = page(all, |batch| batch.id.as_str(), inbound.parameter("after"), limit);
            manner.listed(listed(found.iter().map(|batch| told(batch, context)).collect(), has_more))
        }
        (&Method::GET, _, "") => {
            let batch = context.batches.edit_batch(id, |batch| batch.looks += 1).ok_or_else(unknown)?;
            told(&batch, context)
        }
        (&Method::POST, _, "cancel") => {
            let before = context.batches.edit_batch(id, |_| ()).ok_or_else(unknown)?;
            let status = status(&before, context);
            if !matches!(status, "validating" | "in_progress" | "finalizing" | "cancelling") {
                return Err(Refusal::invalid(format!("Cannot cancel a batch with status '{status}'.")));
            }
            let cancelled = context.batches.edit_batch(id, |batch| {
                batch.is_cancelled = true;
                batch.looks = 0;
            });
            told(&cancelled.ok_or_else(unknown)?, context)
        }
        (_, _, "" | "cancel") => return Err(Refusal::WrongMethod),
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

/// Azure's paths without `v1` need a version.
fn checked_version(inbound: &Inbound) -> Result<(), Refusal> {
    let is_dated = Call::is_for_batches(inbound) && !inbound.path.contains("/openai/v1/");
    if is_dated && inbound.parameter("api-version").is_none_or(str::is_empty) {
        return Err(Refusal::UnknownPath);
    }
    Ok(())
}

fn upload(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let parts = form::parts(inbound);
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let required = |name: &str| Refusal::parameter(name, None, format!("'{name}' is a required property"));
    let file = part("file").ok_or_else(|| required("file"))?;
    let purpose = form::text(&parts, "purpose").ok_or_else(|| required("purpose"))?;
    context.script.batches.manner.checked_upload(&parts)?;
    let id = identifier(&mut crate::chance::Chance::new(context.stamp.seed), "file-", 22);
    let file = KeptFile {
        id,
        name: file.file_name.clone().unwrap_or_default(),
        purpose,
        content: file.contents.clone().into(),
    };
    let mut object = file_object(&file, context);
    // Azure looks through a file first: a later look finds it ready.
    if Call::is_for_batches(inbound) {
        object["status"] = json!("pending");
    }
    context.batches.keep_file(file);
    Ok(Output::json(StatusCode::OK, &object, 0))
}

/// What notes that a file was looked at.
fn processed(id: &str) -> String {
    format!("processed {id}")
}

fn create(inbound: &Inbound, context: &Context<'_>) -> Result<Value, Refusal> {
    let order = body(inbound)?;
    let text = |name: &str| {
        let missing = || Refusal::parameter(name, None, format!("Missing required parameter: '{name}'."));
        order.get(name).and_then(Value::as_str).ok_or_else(missing)
    };
    let manner = context.script.batches.manner;
    let ordered = text("endpoint")?;
    let endpoint = &*manner.checked_order(&Value::Object(order.clone()))?;
    if !ENDPOINTS.contains(&endpoint) {
        let message = format!("Invalid value: '{endpoint}'.");
        return Err(Refusal::parameter("endpoint", Some("invalid_value"), message));
    }
    if manner == BatchManner::OpenAi && text("completion_window")? != "24h" {
        let message = "Invalid value: 'completion_window' must be '24h'.";
        return Err(Refusal::parameter("completion_window", Some("invalid_value"), message));
    }
    let input = text("input_file_id")?;
    let object = json!({
        "object": "batch", "endpoint": ordered, "input_file_id": input, "completion_window": "24h",
        "created_at": now(context), "expires_at": now(context) + 86_400, "metadata": order.get("metadata"),
    });
    Ok(told(&made_of(input, endpoint, object, inbound, context)?, context))
}

/// Makes a batch of the lines in a file, all of which are answered at once.
pub(super) fn made_of(
    input: &str,
    endpoint: &str,
    object: Value,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Result<KeptBatch, Refusal> {
    let file =
        context.batches.file(input).ok_or_else(|| missing(&format!("No such File object: {input}")))?;
    let manner = context.script.batches.manner;
    let ordered = object["endpoint"].as_str().unwrap_or(endpoint).to_owned();
    let is_azure = Call::is_for_batches(inbound);
    if is_azure && context.batches.is_first(&processed(input)) {
        return Err(Refusal::invalid("The specified file is not ready to be used."));
    }
    let mut chance = crate::chance::Chance::new(context.stamp.seed);
    let id = identifier(&mut chance, "batch_", 24);
    let mut batch = KeptBatch {
        id: id.clone(),
        object: with_id(object, &id),
        looks: 0,
        is_cancelled: false,
        succeeded: Vec::new(),
        failed: Vec::new(),
    };
    let mut names = HashSet::new();
    let mut mistakes = Vec::new();
    let lines = file.content.split(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let mistake = |code: &str, message: &str| json!({"code": code, "message": message, "param": null, "line": number + 1});
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            mistakes.push(mistake("invalid_json_line", "This line is not parseable as valid JSON."));
            continue;
        };
        let name = line["custom_id"].as_str().unwrap_or_default().to_owned();
        if !names.insert(name.clone()) {
            mistakes.push(mistake("duplicate_custom_id", "The custom_id for this request is a duplicate."));
            continue;
        }
        if !manner.is_line(&line, &ordered) {
            mistakes.push(mistake("mismatched_endpoint", "The URL does not match the batch's endpoint."));
            continue;
        }
        if is_azure && !line["body"]["model"].as_str().is_some_and(is_batch_deployment) {
            let message = "The model deployment is not of a type that takes batches.";
            mistakes.push(mistake("invalid_deployment_type", message));
            continue;
        }
        let (status, answer) = answered(endpoint, &line["body"], inbound, context);
        let request_id = identifier(&mut chance, "", 32);
        let result = json!({
            "id": identifier(&mut chance, "batch_req_", 24), "custom_id": name,
            "response": {"status_code": status.as_u16(), "request_id": request_id, "body": answer}, "error": null,
        });
        if status == StatusCode::OK { &mut batch.succeeded } else { &mut batch.failed }.push(result);
    }
    if !mistakes.is_empty() {
        batch.object["errors"] = json!({"object": "list", "data": mistakes});
    }
    context.batches.keep_batch(batch.clone());
    Ok(batch)
}

fn with_id(mut object: Value, id: &str) -> Value {
    object["id"] = json!(id);
    object
}

/// What the dialect answers to one line.
fn answered(endpoint: &str, body: &Value, inbound: &Inbound, context: &Context<'_>) -> (StatusCode, Value) {
    let body = Bytes::from(body.to_string());
    let line = Inbound::new(Method::POST, endpoint.to_owned(), None, inbound.headers.clone(), body);
    let output =
        OpenAi.answer(&line, context).unwrap_or_else(|refusal| error::output(&refusal, &line, context.stamp));
    (output.status, output.value())
}

fn now(context: &Context<'_>) -> u64 {
    context.stamp.now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// How far a batch is, by how often it was looked at.
pub(super) fn status(batch: &KeptBatch, context: &Context<'_>) -> &'static str {
    let script = context.script.batches;
    let is_wrong = batch.object.get("errors").is_some() || script.end == BatchEnd::Failed;
    match batch.looks {
        looks if batch.is_cancelled => {
            if looks == 0 {
                "cancelling"
            } else {
                "cancelled"
            }
        }
        0 if script.looks > 0 => "validating",
        _ if is_wrong => "failed",
        looks if looks >= script.looks => match script.end {
            BatchEnd::Expired => "expired",
            _ => "completed",
        },
        looks if looks > 1 && looks + 1 == script.looks => "finalizing",
        _ => "in_progress",
    }
}

/// The lines of the two result files of a batch that is over.
pub(super) fn ended(batch: &KeptBatch, status: &str) -> (Vec<Value>, Vec<Value>) {
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    let lines = batch.succeeded.iter().map(|line| (line, true));
    for (position, (line, is_fine)) in lines.chain(batch.failed.iter().map(|line| (line, false))).enumerate()
    {
        if status == "expired" && position % 2 == 1 {
            let message = "This request could not be executed before the completion window expired.";
            let error = json!({"code": "batch_expired", "message": message});
            let (id, name) = (&line["id"], &line["custom_id"]);
            failed.push(json!({"id": id, "custom_id": name, "response": null, "error": error}));
        } else {
            if is_fine { &mut succeeded } else { &mut failed }.push(line.clone());
        }
    }
    (succeeded, failed)
}

/// A batch as it is told now; its files appear when it is over.
fn told(batch: &KeptBatch, context: &Context<'_>) -> Value {
    let mut object = batch.object.clone();
    let status = status(batch, context);
    object["status"] = json!(status);
    match status {
        "failed" if object.get("errors").is_none() => {
            let message =
                "Enqueued token limit reached for this model. Please try again once some batches are done.";
            let error =
                json!({"code": "token_limit_exceeded", "message": message, "param": null, "line": null});
            object["errors"] = json!({"object": "list", "data": [error]});
        }
        "failed" => {}
        _ => object["errors"] = Value::Null,
    }
    let is_over = matches!(status, "completed" | "expired");
    let (succeeded, failed) = if is_over { ended(batch, status) } else { (Vec::new(), Vec::new()) };
    // Lines are counted once they were checked.
    let is_counted = !matches!(status, "validating" | "failed");
    let total = if is_counted { batch.succeeded.len() + batch.failed.len() } else { 0 };
    object["request_counts"] = json!({"total": total, "completed": succeeded.len(), "failed": failed.len()});
    if matches!(status, "completed" | "expired" | "cancelled" | "failed") {
        object[&format!("{status}_at")] = json!(now(context));
    }
    if is_over {
        object["output_file_id"] = results(batch, &succeeded, "output", context);
        object["error_file_id"] = results(batch, &failed, "error", context);
    }
    context.script.batches.manner.told(object)
}

fn results(batch: &KeptBatch, lines: &[Value], name: &str, context: &Context<'_>) -> Value {
    if lines.is_empty() {
        return Value::Null;
    }
    let id = format!("file-{name}-{}", batch.id.trim_start_matches("batch_"));
    // One that was deleted does not come back.
    if context.batches.is_first(&id) {
        let manner = context.script.batches.manner;
        let content: String = lines.iter().map(|line| format!("{}\n", manner.result(line))).collect();
        let name = format!("{}_{name}.jsonl", batch.id);
        let purpose = "batch_output".to_owned();
        context.batches.keep_file(KeptFile { id: id.clone(), name, purpose, content: content.into() });
    }
    json!(id)
}

fn file_object(file: &KeptFile, context: &Context<'_>) -> Value {
    json!({
        "id": file.id, "object": "file", "bytes": file.content.len(), "created_at": context.config.created,
        "filename": file.name, "purpose": file.purpose, "status": "processed",
    })
}

fn listed(data: Vec<Value>, has_more: bool) -> Value {
    let id = |one: Option<&Value>| one.map(|one| one["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    json!({"object": "list", "first_id": first, "last_id": last, "has_more": has_more, "data": Value::Array(data)})
}

pub(super) fn missing(message: &str) -> Refusal {
    Refusal::Invalid(Invalid { message: message.to_owned(), param: None, code: Some(error::MISSING) })
}
