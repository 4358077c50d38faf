//! Batches whose lines stand in the order, and whose results stand in the batch.
//!
//! Owns the order with its checks, the object and what is told when; lines are answered as the vendor's are ([`super::batches`]). Source:
//! OpenRouter's guide, <https://openrouter.ai/docs/batch-quickstart>, and its reference,
//! <https://openrouter.ai/docs/api/api-reference/batch/get-a-batch>.

use std::time::UNIX_EPOCH;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::batches::{made_of, missing, rest, status};
use super::{body, identifier};
use crate::batch_book::{KeptBatch, KeptFile, page};
use crate::dialect::{Context, Inbound, Output, Refusal};

/// The endpoints that batches may have here.
const ENDPOINTS: [&str; 3] = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"];
/// The longest name of a line.
const LONGEST_NAME: usize = 64;

/// Answers a request about batches.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = rest(&inbound.path, "/batches").unwrap_or_default();
    let (id, verb) = rest.split_once('/').unwrap_or((rest, ""));
    let unknown = || missing(&format!("Batch {id} not found"));
    let (code, object) = match (&inbound.method, id, verb) {
        (&Method::POST, "", "") => (StatusCode::ACCEPTED, told(&create(inbound, context)?, context)),
        (&Method::GET, "", "") => (StatusCode::OK, list(inbound, context)),
        (&Method::GET, _, "") => {
            let batch = context.batches.edit_batch(id, |batch| batch.looks += 1).ok_or_else(unknown)?;
            (StatusCode::OK, told(&batch, context))
        }
        (&Method::DELETE, _, "") => {
            let batch = context.batches.edit_batch(id, |_| ()).ok_or_else(unknown)?;
            if !is_over(status(&batch, context)) {
                return Err(Refusal::invalid("The batch is still in progress."));
            }
            context.batches.forget_batch(id);
            (StatusCode::OK, json!({"id": id, "object": "batch", "deleted": true}))
        }
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(code, &object, 0))
}

/// A page of all batches, without their results. A look at the list counts as a look at each.
fn list(inbound: &Inbound, context: &Context<'_>) -> Value {
    let limit = inbound.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
    let all = context.batches.batches("batch_").into_iter();
    let all = all.filter_map(|batch| context.batches.edit_batch(&batch.id, |batch| batch.looks += 1));
    let (found, has_more) = page(all.collect(), |batch| &batch.id, inbound.parameter("after"), limit);
    let id = |batch: Option<&KeptBatch>| batch.map(|batch| batch.id.clone());
    let (first, last) = (id(found.first()), id(found.last()));
    let data: Vec<Value> = found
        .iter()
        .map(|batch| {
            let mut object = told(batch, context);
            object["results"] = Value::Null;
            object
        })
        .collect();
    json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})
}

fn create(inbound: &Inbound, context: &Context<'_>) -> Result<KeptBatch, Refusal> {
    let order = body(inbound)?;
    let invalid = |message: String| Err(Refusal::invalid(message));
    let place = |name: &str| {
        let name = format!("\"{name}\"");
        inbound.body.windows(name.len()).position(|text| text == name.as_bytes())
    };
    // The body is read as it comes.
    if place("requests") < place("endpoint").max(place("model")) {
        return invalid("endpoint and model must come before requests".to_owned());
    }
    let known = ["endpoint", "model", "completion_window", "provider", "requests"];
    if let Some(unknown) = order.keys().find(|key| !known.contains(&key.as_str())) {
        return invalid(format!("Unrecognized key: {unknown}"));
    }
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    let (endpoint, model) = (text("endpoint"), text("model"));
    let Some(endpoint) = endpoint.filter(|endpoint| ENDPOINTS.contains(endpoint)) else {
        return invalid("Invalid endpoint".to_owned());
    };
    let lines = order.get("requests").and_then(Value::as_array).filter(|lines| !lines.is_empty());
    let Some(lines) = lines else { return invalid("requests must not be empty".to_owned()) };
    for line in lines {
        let name = line["custom_id"].as_str().unwrap_or_default();
        if name.is_empty() || name.len() > LONGEST_NAME {
            return invalid(format!("Invalid custom_id: {name}"));
        }
        if line["body"]["model"].as_str().is_some_and(|own| Some(own) != model) {
            return invalid(format!("{name}: model differs from the batch's"));
        }
        let text = line["body"].to_string();
        if ["\"image_url\"", "\"input_image\"", "\"input_audio\"", "\"input_file\""]
            .iter()
            .any(|part| text.contains(part))
        {
            return invalid(format!("{name}: only text is supported"));
        }
    }
    let content: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let input = identifier(&mut crate::chance::Chance::new(context.stamp.seed), "lines-", 22);
    let (name, purpose) = (String::new(), String::new());
    context.batches.keep_file(KeptFile { id: input.clone(), name, purpose, content: content.into() });
    let created = context.stamp.now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let object = json!({"object": "batch", "endpoint": endpoint, "model": model, "completion_window": "24h", "created_at": created});
    let made = made_of(&input, endpoint, object, inbound, context);
    context.batches.forget_file(&input);
    made
}

fn is_over(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "expired" | "cancelled")
}

/// A batch as it is told now: with its results once it is completed, and only then.
fn told(batch: &KeptBatch, context: &Context<'_>) -> Value {
    let status = status(batch, context);
    let mut object = batch.object.clone();
    let is_completed = status == "completed";
    let count = |lines: &[Value]| if is_completed { lines.len() } else { 0 };
    let failed = batch.failed.iter().map(|line| {
        let message = &line["response"]["body"]["error"]["message"];
        let error = json!({"code": "request_failed", "message": message});
        json!({"id": line["id"], "custom_id": line["custom_id"], "response": null, "error": error})
    });
    let results: Vec<Value> = batch.succeeded.iter().cloned().chain(failed).collect();
    let wrong = json!({"message": object.pointer("/errors/data/0/message").cloned().unwrap_or_else(|| json!("Validation failed"))});
    for (member, value) in [
        ("status", json!(status)),
        ("finalized_at", if is_over(status) { batch.object["created_at"].clone() } else { Value::Null }),
        (
            "request_counts",
            json!({"total": batch.succeeded.len() + batch.failed.len(), "completed": count(&batch.succeeded),
                "failed": count(&batch.failed)}),
        ),
        ("usage", Value::Null),
        ("results", if is_completed { Value::Array(results) } else { Value::Null }),
        ("error", if status == "failed" { wrong } else { Value::Null }),
    ] {
        object[member] = value;
    }
    if let Some(members) = object.as_object_mut() {
        members.remove("errors");
    }
    object
}
