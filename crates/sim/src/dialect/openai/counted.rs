//! Batches whose counts tell how far they are, and whose results are pages of a list.
//!
//! Owns the order, the object and the pages; lines are checked and answered as the vendor's are ([`super::batches`]). Source: xAI's guide,
//! <https://docs.x.ai/developers/advanced-api-usage/batch-api>, and its reference.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::batches::{ended, made_of, missing, rest, status};
use super::body;
use crate::batch_book::{KeptBatch, page};
use crate::dialect::{Context, Inbound, Output, Refusal};

/// Answers a request about batches.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = rest(&inbound.path, "/batches").unwrap_or_default();
    let (id, verb) = rest.split_once(['/', ':']).unwrap_or((rest, ""));
    let unknown = || missing(&format!("Batch {id} not found."));
    let limit = inbound.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100);
    let after = inbound.parameter("pagination_token");
    let object = match (&inbound.method, id, verb) {
        (&Method::POST, "", "") => told(&create(inbound, context)?, context),
        (&Method::GET, "", "") => {
            let all = context.batches.batches("batch_");
            let (found, has_more) = page(all, |batch| batch.id.as_str(), after, limit);
            let token = found.last().filter(|_| has_more).map(|batch| batch.id.clone());
            let batches: Vec<Value> = found.iter().map(|batch| told(batch, context)).collect();
            json!({"batches": batches, "pagination_token": token})
        }
        (&Method::GET, _, "") => {
            let batch = context.batches.edit_batch(id, |batch| batch.looks += 1).ok_or_else(unknown)?;
            told(&batch, context)
        }
        (&Method::GET, _, "results") => {
            let batch = context.batches.edit_batch(id, |_| ()).ok_or_else(unknown)?;
            let (found, has_more) = page(results(&batch, context), |line| name(line), after, limit);
            let token = found.last().filter(|_| has_more).map(|line| name(line).to_owned());
            json!({"results": found, "pagination_token": token})
        }
        (&Method::POST, _, "cancel") => {
            let cancelled = context.batches.edit_batch(id, |batch| {
                batch.is_cancelled = true;
                batch.looks = 0;
            });
            told(&cancelled.ok_or_else(unknown)?, context)
        }
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

fn create(inbound: &Inbound, context: &Context<'_>) -> Result<KeptBatch, Refusal> {
    let order = body(inbound)?;
    let text = |name: &str| {
        let wrong = || Refusal::invalid(format!("missing field `{name}`"));
        order.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(wrong)
    };
    let (name, input) = (text("name")?, text("input_file_id")?);
    if let Some(unknown) = order.keys().find(|key| !["name", "input_file_id"].contains(&key.as_str())) {
        return Err(Refusal::invalid(format!("unknown field `{unknown}`")));
    }
    let object = json!({"name": name, "input_file_id": input});
    made_of(input, "/v1/chat/completions", object, inbound, context)
}

fn name(line: &Value) -> &str {
    line["batch_request_id"].as_str().unwrap_or_default()
}

/// All results there are now, by their names.
fn results(batch: &KeptBatch, context: &Context<'_>) -> Vec<Value> {
    let status = status(batch, context);
    let (succeeded, failed) = match status {
        "completed" | "expired" => ended(batch, status),
        "cancelled" => (Vec::new(), [&batch.succeeded[..], &batch.failed[..]].concat()),
        _ => return Vec::new(),
    };
    let answered = succeeded.into_iter().map(|line| {
        let answer = json!({"response": {"chat_get_completion": line["response"]["body"]}});
        json!({"batch_request_id": line["custom_id"], "batch_result": answer})
    });
    let refused = failed.into_iter().map(|line| {
        let told = &line["response"]["body"]["error"]["message"];
        let error = if status == "completed" { told.clone() } else { json!("Batch cancelled") };
        json!({"batch_request_id": line["custom_id"], "batch_result": {"error": error}})
    });
    let mut all: Vec<Value> = answered.chain(refused).collect();
    all.sort_by(|one, other| name(one).cmp(name(other)));
    all
}

/// A batch as it is told now.
fn told(batch: &KeptBatch, context: &Context<'_>) -> Value {
    let status = status(batch, context);
    let all = batch.succeeded.len() + batch.failed.len();
    let (succeeded, failed) = match status {
        "completed" | "expired" => ended(batch, status),
        _ => (Vec::new(), Vec::new()),
    };
    let (success, error) = (succeeded.len(), if status == "completed" { failed.len() } else { 0 });
    let is_counted = !matches!(status, "validating" | "failed");
    let is_pending = matches!(status, "in_progress" | "finalizing" | "cancelling");
    let pending = if is_pending { all } else { 0 };
    let state = if is_counted {
        json!({"num_requests": all, "num_pending": pending, "num_success": success, "num_error": error,
            "num_cancelled": all - pending - success - error})
    } else {
        json!({"num_requests": 0, "num_pending": 0, "num_success": 0, "num_error": 0, "num_cancelled": 0})
    };
    let is_stopped = matches!(status, "cancelling" | "cancelled" | "expired" | "failed");
    // It says the day of what happened, and no more.
    let day = "2026-08-28";
    let wrong = batch.object.pointer("/errors/data/0/message").cloned();
    let message =
        wrong.unwrap_or_else(|| json!("JSONL file validation failed: line 1: model is not supported."));
    let mut object = Map::new();
    for (member, value) in [
        ("batch_id", json!(batch.id)),
        ("name", batch.object["name"].clone()),
        ("create_time", json!(day)),
        ("expire_time", json!("2026-09-27")),
        ("cancel_time", if is_stopped { json!(day) } else { Value::Null }),
        ("cancel_by_xai_message", if status == "failed" { message } else { Value::Null }),
        ("input_file_id", batch.object["input_file_id"].clone()),
        ("state", state),
    ] {
        object.insert(member.to_owned(), value);
    }
    Value::Object(object)
}
