//! Batches of messages of the Anthropic dialect.
//!
//! Owns the object and the lines of the results. The requests are answered by the dialect itself. Source: the types of the vendor's SDK
//! 2.11.0.

use std::collections::HashSet;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Anthropic, body, error};
use crate::batch_book::{KeptBatch, page};
use crate::chance::{ALPHANUMERIC, Chance};
use crate::dialect::{Context, Dialect, Inbound, Output, Refusal};

/// How often a batch is looked at before its processing has ended.
const LOOKS: u32 = 2;

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
            let data: Vec<Value> = found.iter().map(|batch| told(batch, inbound)).collect();
            let id = |one: Option<&Value>| one.map(|one| one["id"].clone());
            json!({"first_id": id(data.first()), "last_id": id(data.last()), "has_more": has_more, "data": data})
        }
        (&Method::GET, _, "") => told(&look(|batch| batch.looks += 1)?, inbound),
        (&Method::POST, _, "cancel") => {
            let cancelled = look(|batch| {
                batch.is_cancelled = true;
                batch.looks = batch.looks.min(LOOKS - 1);
            })?;
            told(&cancelled, inbound)
        }
        (&Method::DELETE, _, "") => {
            if look(|_| ())?.looks < LOOKS {
                return Err(Refusal::invalid("Message batch cannot be deleted while it is in progress."));
            }
            context.batches.forget_batch(id);
            json!({"id": id, "type": "message_batch_deleted"})
        }
        (&Method::GET, _, "results") => {
            let batch = look(|_| ())?;
            if batch.looks < LOOKS {
                return Err(Refusal::invalid("The batch has no results yet."));
            }
            let content: String = results(&batch).iter().map(|line| format!("{line}\n")).collect();
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
    let created = json!("2025-11-13T02:13:20Z");
    let mut batch = KeptBatch {
        id: id.clone(),
        object: json!({
            "id": id, "type": "message_batch", "created_at": created, "expires_at": "2025-11-14T02:13:20Z",
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
        if name.is_empty() || !names.insert(name.clone()) {
            let message = format!("requests.{position}.custom_id: must be there, and unique in its batch");
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
                let whole: Vec<u8> = output.pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
                let message: Value = serde_json::from_slice(&whole).unwrap_or_default();
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
    let object = told(&batch, inbound);
    context.batches.keep_batch(batch);
    Ok(object)
}

fn results(batch: &KeptBatch) -> Vec<Value> {
    let all = batch.succeeded.iter().chain(&batch.failed);
    if !batch.is_cancelled {
        return all.cloned().collect();
    }
    all.map(|line| json!({"custom_id": line["custom_id"], "result": {"type": "canceled"}})).collect()
}

fn told(batch: &KeptBatch, inbound: &Inbound) -> Value {
    let mut object = batch.object.clone();
    let is_over = batch.looks >= LOOKS;
    let total = batch.succeeded.len() + batch.failed.len();
    let (mut processing, mut succeeded, mut errored, mut canceled) = (total, 0, 0, 0);
    if is_over {
        processing = 0;
        (succeeded, errored, canceled) = match batch.is_cancelled {
            true => (0, 0, total),
            false => (batch.succeeded.len(), batch.failed.len(), 0),
        };
    }
    let status = match (is_over, batch.is_cancelled) {
        (true, _) => "ended",
        (false, true) => "canceling",
        (false, false) => "in_progress",
    };
    let host = inbound.header("host").unwrap_or("localhost");
    let url = format!("http://{host}/v1/messages/batches/{}/results", batch.id);
    object["processing_status"] = json!(status);
    object["request_counts"] = json!({
        "processing": processing, "succeeded": succeeded, "errored": errored, "canceled": canceled, "expired": 0,
    });
    object["ended_at"] = if is_over { json!("2025-11-13T02:14:20Z") } else { Value::Null };
    object["cancel_initiated_at"] =
        if batch.is_cancelled { json!("2025-11-13T02:13:40Z") } else { Value::Null };
    object["results_url"] = if is_over { json!(url) } else { Value::Null };
    object
}
