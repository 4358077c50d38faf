//! Batches of the Gemini dialect: `batchGenerateContent`, `asyncBatchEmbedContent` and the operations they make.
//!
//! Owns the order, the operation and the results, inlined or as a file. The requests are answered by the dialect itself. Source: the
//! vendor's API reference (<https://ai.google.dev/api/batch-api>) and its SDK 3.4.0.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::{Context, Dialect, Inbound, Output, Refusal};
use super::files::GENERATED;
use super::{Gemini, embeddings, error, member, member_of};
use crate::batch_book::{KeptBatch, KeptFile, lines, page};
use crate::chance::Chance;
use crate::script::BatchEnd;
use crate::timestamp::rfc3339;

/// What messages' kinds begin with.
const KINDS: &str = "type.googleapis.com/google.ai.generativelanguage.v1main.";
/// What the ids here begin with, so that they are told apart from other dialects' in the same book.
const PREFIX: &str = "gb";

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    rest(path).is_some()
}

/// What stands behind `/batches`.
fn rest(path: &str) -> Option<&str> {
    let (version, rest) = path.strip_prefix('/')?.split_once("/batches")?;
    let fits = matches!(version, "v1" | "v1beta" | "v1alpha") && (rest.is_empty() || rest.starts_with('/'));
    fits.then(|| rest.trim_start_matches('/'))
}

/// Answers a request about batches that are there.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = rest(&inbound.path).unwrap_or_default();
    let (id, verb) = rest.split_once(':').unwrap_or((rest, ""));
    let edit = |edit: fn(&mut KeptBatch)| context.batches.edit_batch(id, edit).ok_or(Refusal::UnknownPath);
    let object = match (&inbound.method, id, verb) {
        (&Method::GET, "", "") => {
            let limit = inbound.parameter("pageSize").and_then(|size| size.parse().ok()).unwrap_or(50);
            // As it arrives, encoded: what it means is nobody's business but ours.
            let after = inbound.parameter("pageToken").map(|token| token.trim_end_matches("%3D"));
            let all = context.batches.batches(PREFIX);
            let (found, has_more) = page(all, |batch| batch.id.as_str(), after, limit);
            let operations: Vec<Value> = found.iter().map(|batch| told(batch, context)).collect();
            let mut list = if operations.is_empty() { json!({}) } else { json!({"operations": operations}) };
            if let Some(last) = found.last().filter(|_| has_more) {
                list["nextPageToken"] = json!(format!("{}==", last.id));
            }
            list
        }
        (&Method::GET, _, "") => told(&edit(|batch| batch.looks += 1)?, context),
        (&Method::POST, _, "cancel") => {
            if is_over(state(&edit(|_| ())?, context)) {
                return Err(Refusal::invalid("The batch is over already."));
            }
            edit(|batch| {
                batch.is_cancelled = true;
                batch.looks = 0;
            })?;
            json!({})
        }
        (&Method::DELETE, _, "") => {
            edit(|_| ())?;
            context.batches.forget_batch(id);
            json!({})
        }
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

/// What the lines of a batch are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Contents,
    Vectors,
}

impl Purpose {
    /// The method that answers one line.
    const fn method(self) -> &'static str {
        match self {
            Self::Contents => "generateContent",
            Self::Vectors => "embedContent",
        }
    }

    /// The message that a batch is.
    const fn message(self) -> &'static str {
        match self {
            Self::Contents => "GenerateContentBatch",
            Self::Vectors => "EmbedContentBatch",
        }
    }

    /// Where inlined answers stand.
    const fn inlined(self) -> &'static str {
        match self {
            Self::Contents => "inlinedResponses",
            Self::Vectors => "inlinedEmbedContentResponses",
        }
    }

    fn of(batch: &KeptBatch) -> Self {
        let is_of_vectors =
            batch.object.get("@type").and_then(Value::as_str).is_some_and(|kind| kind.contains("Embed"));
        if is_of_vectors { Self::Vectors } else { Self::Contents }
    }
}

/// Makes a batch.
pub(super) fn create(
    order: &Map<String, Value>,
    purpose: Purpose,
    model: &str,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Result<Output, Refusal> {
    let missing = |field: &str| Refusal::invalid(format!("* {field}: {field} is not specified\n"));
    let batch = member_of(order, "batch").ok_or_else(|| missing("BatchGenerateContentRequest.batch"))?;
    let name = member(batch, "displayName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| missing("BatchGenerateContentRequest.batch.display_name"))?;
    let input = member(batch, "inputConfig")
        .ok_or_else(|| missing("BatchGenerateContentRequest.batch.input_config"))?;
    let id = Chance::new(context.stamp.seed).identifier(PREFIX, b"0123456789abcdefghijklmnopqrstuvwxyz", 34);
    let file = member(input, "fileName").and_then(Value::as_str);
    let results = match file {
        Some(file) => of_file(file, purpose, model, inbound, context)?,
        None => {
            let inlined = member(input, "requests").and_then(|requests| member(requests, "requests"));
            let inlined = inlined.and_then(Value::as_array).filter(|requests| !requests.is_empty());
            let inlined =
                inlined.ok_or_else(|| missing("BatchGenerateContentRequest.batch.input_config.source"))?;
            let result = |line: &Value| {
                let mut result = answered(member(line, "request"), purpose, model, inbound, context);
                if let Some(metadata) = member(line, "metadata") {
                    result["metadata"] = metadata.clone();
                }
                result
            };
            inlined.iter().map(result).collect()
        }
    };
    let mut object = json!({
        "model": format!("models/{model}"), "displayName": name, "createTime": rfc3339(context.stamp.now),
        "name": format!("batches/{id}"), "@type": format!("{KINDS}{}", purpose.message()),
    });
    if let Some(file) = file {
        object["inputConfig"] = json!({"fileName": file});
    }
    let batch =
        KeptBatch { id, object, looks: 0, is_cancelled: false, succeeded: results, failed: Vec::new() };
    let told = told(&batch, context);
    context.batches.keep_batch(batch);
    Ok(Output::json(StatusCode::OK, &told, 0))
}

fn of_file(
    name: &str,
    purpose: Purpose,
    model: &str,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Result<Vec<Value>, Refusal> {
    let id = name.strip_prefix("files/").unwrap_or(name);
    let file = context.batches.file(id).ok_or(Refusal::Forbidden)?;
    let mut results = Vec::new();
    for line in lines(&file.content) {
        let line: Value = serde_json::from_slice(line)
            .map_err(|error| Refusal::invalid(format!("Failed to parse the input file: {error}")))?;
        let mut result = answered(member(&line, "request"), purpose, model, inbound, context);
        if let Some(key) = member(&line, "key") {
            result["key"] = key.clone();
        }
        results.push(result);
    }
    Ok(results)
}

/// What the dialect answers to one request: `{"response": ...}` or `{"error": ...}`.
fn answered(
    request: Option<&Value>,
    purpose: Purpose,
    model: &str,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Value {
    let mut request = request.cloned().unwrap_or_else(|| json!({}));
    if let Some(members) = request.as_object_mut() {
        members.remove("model");
    }
    let line = Inbound::new(
        Method::POST,
        format!("/v1beta/models/{model}:{}", purpose.method()),
        None,
        inbound.headers.clone(),
        Bytes::from(request.to_string()),
    );
    match Gemini.answer(&line, context) {
        Ok(output) => {
            let mut response = output.value();
            if purpose == Purpose::Vectors {
                response["tokenCount"] = json!(embeddings::spent(&request).to_string());
            }
            json!({"response": response})
        }
        Err(refusal) => {
            let (_, body) = error::object(&refusal, &line);
            json!({"error": {"code": code(body["error"]["status"].as_str()), "message": body["error"]["message"]}})
        }
    }
}

/// The number of a status' name, of `google.rpc.Code`.
fn code(name: Option<&str>) -> u32 {
    match name {
        Some("INVALID_ARGUMENT") => 3,
        Some("DEADLINE_EXCEEDED") => 4,
        Some("NOT_FOUND") => 5,
        Some("PERMISSION_DENIED") => 7,
        Some("RESOURCE_EXHAUSTED") => 8,
        Some("INTERNAL") => 13,
        Some("UNAVAILABLE") => 14,
        _ => 2,
    }
}

/// How far a batch is, by how often it was looked at.
fn state(batch: &KeptBatch, context: &Context<'_>) -> &'static str {
    let script = context.script.batches;
    match batch.looks {
        looks if batch.is_cancelled => {
            if looks == 0 {
                "BATCH_STATE_RUNNING"
            } else {
                "BATCH_STATE_CANCELLED"
            }
        }
        0 if script.looks > 0 => "BATCH_STATE_PENDING",
        looks if looks < script.looks => "BATCH_STATE_RUNNING",
        _ => match script.end {
            BatchEnd::Complete => "BATCH_STATE_SUCCEEDED",
            BatchEnd::Failed => "BATCH_STATE_FAILED",
            BatchEnd::Expired => "BATCH_STATE_EXPIRED",
        },
    }
}

fn is_over(state: &str) -> bool {
    !matches!(state, "BATCH_STATE_PENDING" | "BATCH_STATE_RUNNING")
}

/// The operation as it is told now.
fn told(batch: &KeptBatch, context: &Context<'_>) -> Value {
    let state = state(batch, context);
    let all = batch.succeeded.len();
    let mut metadata = batch.object.clone();
    metadata["state"] = json!(state);
    metadata["updateTime"] = json!(rfc3339(context.stamp.now));
    // Numbers of 64 bits are texts, and zeros are left out.
    let mut stats = json!({"requestCount": all.to_string()});
    let mut operation = json!({"name": metadata["name"]});
    match state {
        "BATCH_STATE_SUCCEEDED" => {
            let failed = batch.succeeded.iter().filter(|result| result.get("error").is_some()).count();
            for (name, count) in [("successfulRequestCount", all - failed), ("failedRequestCount", failed)] {
                if count > 0 {
                    stats[name] = json!(count.to_string());
                }
            }
            let output = output(batch, context);
            metadata["output"] = output.clone();
            operation["response"] = output;
            let kind = format!("{KINDS}{}Output", Purpose::of(batch).message());
            operation["response"]["@type"] = json!(kind);
        }
        "BATCH_STATE_FAILED" => operation["error"] = json!({"code": 13, "message": "The batch job failed."}),
        "BATCH_STATE_CANCELLED" => {
            operation["error"] = json!({"code": 1, "message": "The operation was cancelled."});
        }
        "BATCH_STATE_EXPIRED" => operation["error"] = json!({"code": 4, "message": "The batch job expired."}),
        _ => stats["pendingRequestCount"] = json!(all.to_string()),
    }
    if is_over(state) {
        metadata["endTime"] = metadata["updateTime"].clone();
        operation["done"] = json!(true);
    }
    metadata["batchStats"] = stats;
    operation["metadata"] = metadata;
    operation
}

fn output(batch: &KeptBatch, context: &Context<'_>) -> Value {
    if batch.object.get("inputConfig").is_none() {
        let place = Purpose::of(batch).inlined();
        return json!({place: {"inlinedResponses": batch.succeeded}});
    }
    let id = format!("batch-{}", batch.id);
    // One that was deleted does not come back.
    if context.batches.is_first(&id) {
        let content: String = batch.succeeded.iter().map(|line| format!("{line}\n")).collect();
        let purpose = GENERATED.to_owned();
        context.batches.keep_file(KeptFile {
            id: id.clone(),
            name: String::new(),
            purpose,
            content: content.into(),
        });
    }
    json!({"responsesFile": format!("files/{id}")})
}
