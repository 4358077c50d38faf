//! Batches of messages of the Anthropic dialect.
//!
//! Owns the object and the lines of the results. The requests are answered by the dialect itself. Source: the types of the vendor's SDK
//! 2.11.0.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Anthropic, body, error};
use crate::batch_book::{KeptBatch, Phase, page};
use crate::chance::{ALPHANUMERIC, Chance};
use crate::dialect::{Context, Dialect, Inbound, Output, Refusal};
use crate::script::BatchEnd;
use crate::timestamp::rfc3339;

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    path.ends_with("/messages/batches") || path.contains("/messages/batches/")
}

/// Answers a request about batches of messages.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = inbound.path.split("/messages/batches").nth(1).unwrap_or_default().trim_matches('/');
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let look = |edit: fn(&mut KeptBatch)| {
        context.batches.edit_batch(id, edit).ok_or_else(|| Refusal::UnknownModel(id.to_owned()))
    };
    let object = match (&inbound.method, id, verb) {
        (&Method::POST, "", "") => create(inbound, context)?,
        (&Method::GET, "", "") => {
            let all = context.batches.batches("msgbatch_");
            let limit = inbound.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
            let (found, has_more) =
                page(all, |batch| batch.id.as_str(), inbound.parameter("after_id"), limit);
            let data: Vec<Value> = found.iter().map(|batch| told(batch, inbound, context)).collect();
            let id = |one: Option<&Value>| one.map(|one| one["id"].clone());
            json!({"first_id": id(data.first()), "last_id": id(data.last()), "has_more": has_more, "data": data})
        }
        (&Method::GET, _, "") => told(&look(|batch| batch.looks += 1)?, inbound, context),
        (&Method::POST, _, "cancel") => {
            if is_over(&look(|_| ())?, context) {
                return Err(Refusal::invalid("Message batch has already ended."));
            }
            let cancelled = look(KeptBatch::cancel)?;
            told(&cancelled, inbound, context)
        }
        (&Method::DELETE, _, "") => {
            if !is_over(&look(|_| ())?, context) {
                return Err(Refusal::invalid("Message batch cannot be deleted while it is in progress."));
            }
            context.batches.forget_batch(id);
            json!({"id": id, "type": "message_batch_deleted"})
        }
        (&Method::GET, _, "results") => {
            let batch = look(|_| ())?;
            if !is_over(&batch, context) {
                return Err(Refusal::UnknownModel(format!("results of {id}")));
            }
            let content: String = results(&batch, context).iter().map(|line| format!("{line}\n")).collect();
            return Ok(Output::whole(StatusCode::OK, "application/x-jsonl", content.into(), 0));
        }
        (_, _, "" | "cancel" | "results") => return Err(Refusal::WrongMethod),
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

fn create(inbound: &Inbound, context: &Context<'_>) -> Result<Value, Refusal> {
    let order = body(inbound)?;
    let requests = order.get("requests").and_then(Value::as_array).filter(|requests| !requests.is_empty());
    let requests = requests.ok_or_else(|| Refusal::invalid("requests: Field required"))?;
    let id = Chance::new(context.stamp.seed).identifier("msgbatch_01", ALPHANUMERIC, 22);
    let created = context.stamp.now;
    let expires = created + Duration::from_secs(86_400);
    let mut batch = KeptBatch {
        id: id.clone(),
        object: json!({
            "id": id, "type": "message_batch", "created_at": rfc3339(created), "expires_at": rfc3339(expires),
            "archived_at": null,
        }),
        looks: 0,
        is_cancelled: false,
        succeeded: Vec::new(),
        failed: Vec::new(),
    };
    let mut names = HashSet::new();
    for (position, request) in requests.iter().enumerate() {
        let name = request["custom_id"].as_str().unwrap_or_default().to_owned();
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) || !names.insert(name.clone()) {
            let message = format!(
                "requests.{position}.custom_id: must match ^[a-zA-Z0-9_-]{{1,64}}$ and be unique in its batch"
            );
            return Err(Refusal::invalid(message));
        }
        let line = Inbound::new(
            Method::POST,
            "/v1/messages".to_owned(),
            None,
            inbound.headers.clone(),
            Bytes::from(request["params"].to_string()),
        );
        match Anthropic.answer(&line, context) {
            Ok(output) => {
                let message = output.value();
                batch
                    .succeeded
                    .push(json!({"custom_id": name, "result": {"type": "succeeded", "message": message}}));
            }
            Err(refusal) => {
                let error = error::object(&refusal, &line, context.stamp).1;
                batch.failed.push(json!({"custom_id": name, "result": {"type": "errored", "error": error}}));
            }
        }
    }
    let object = told(&batch, inbound, context);
    context.batches.keep_batch(batch);
    Ok(object)
}

/// How often a batch is looked at before its processing has ended; a cancelled one ends with the next look.
fn is_over(batch: &KeptBatch, context: &Context<'_>) -> bool {
    matches!(batch.phase(context.script.batches), Phase::Stopped | Phase::Over(_))
}

/// The lines of the results, in the order of the requests as far as they were answered alike.
fn results(batch: &KeptBatch, context: &Context<'_>) -> Vec<Value> {
    let all = batch.succeeded.iter().chain(&batch.failed);
    let without =
        |line: &Value, kind: &str| json!({"custom_id": line["custom_id"], "result": {"type": kind}});
    if batch.is_cancelled {
        return all.map(|line| without(line, "canceled")).collect();
    }
    let is_expired = context.script.batches.end == BatchEnd::Expired;
    let ended = |(position, line): (usize, &Value)| {
        if is_expired && position % 2 == 1 { without(line, "expired") } else { line.clone() }
    };
    all.enumerate().map(ended).collect()
}

fn told(batch: &KeptBatch, inbound: &Inbound, context: &Context<'_>) -> Value {
    let mut object = batch.object.clone();
    let is_over = is_over(batch, context);
    let mut counts = json!({"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
    if is_over {
        for line in results(batch, context) {
            let count = &mut counts[line["result"]["type"].as_str().unwrap_or("errored")];
            *count = json!(count.as_u64().unwrap_or(0) + 1);
        }
    } else {
        // None of them is told before the whole batch has ended.
        counts["processing"] = json!(batch.succeeded.len() + batch.failed.len());
    }
    let status = match (is_over, batch.is_cancelled) {
        (true, _) => "ended",
        (false, true) => "canceling",
        (false, false) => "in_progress",
    };
    let host = inbound.header("host").unwrap_or("localhost");
    let url = format!("http://{host}/v1/messages/batches/{}/results", batch.id);
    object["processing_status"] = json!(status);
    object["request_counts"] = counts;
    let now = rfc3339(context.stamp.now);
    object["ended_at"] = if is_over { json!(now) } else { Value::Null };
    object["cancel_initiated_at"] = if batch.is_cancelled { json!(now) } else { Value::Null };
    object["results_url"] = if is_over { json!(url) } else { Value::Null };
    object
}
