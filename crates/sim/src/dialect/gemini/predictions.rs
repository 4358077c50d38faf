//! Batches of the cloud: jobs of predictions that read lines from a bucket and write answers beside them.
//!
//! Owns the order, the job, the list of jobs and what a job writes. Lines are answered when the job is made, by the dialect of the model's
//! publisher; what they come to is written when a look shows the job over, in another order than they were asked. Source: the discovery
//! document `aiplatform` v1 and
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage>.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::{Context, DialectName, Inbound, Output, Refusal, decode};
use super::{bucket, check, error};
use crate::batch_book::{KeptBatch, Phase, lines, page};
use crate::chance::{Chance, fingerprint};
use crate::script::BatchEnd;
use crate::timestamp::rfc3339;

/// What the ids here begin with, so that they are told apart from other dialects' in the same book.
const PREFIX: &str = "77";
/// Members of an order.
const KNOWN: &[&str] = &["displayName", "model", "inputConfig", "outputConfig", "labels", "modelParameters"];

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    place(path).is_some()
}

/// `projects/P/locations/L` of a path, and what stands behind `/batchPredictionJobs`.
fn place(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix("/v1/").or_else(|| path.strip_prefix("/v1beta1/"))?;
    let (place, rest) = path.split_once("/batchPredictionJobs")?;
    let fits = place.starts_with("projects/") && place.contains("/locations/");
    fits.then(|| (place, rest.trim_start_matches('/')))
}

/// Answers a request about jobs.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let (place, rest) = place(&inbound.path).ok_or(Refusal::UnknownPath)?;
    let (id, verb) = rest.split_once(':').unwrap_or((rest, ""));
    let edit = |edit: fn(&mut KeptBatch)| context.batches.edit_batch(id, edit).ok_or(Refusal::UnknownPath);
    let object = match (&inbound.method, id, verb) {
        (&Method::GET, "", "") => list(inbound, context),
        (&Method::POST, "", "") => create(super::body(inbound)?, place, inbound, context)?,
        (&Method::GET, _, "") => told(&edit(|batch| batch.looks += 1)?, context),
        (&Method::POST, _, "cancel") => {
            if is_over(state(&edit(|_| ())?, context)) {
                return Err(Refusal::invalid("The job is in a state in which it cannot be cancelled."));
            }
            edit(KeptBatch::cancel)?;
            json!({})
        }
        (&Method::DELETE, _, "") => {
            if !is_over(state(&edit(|_| ())?, context)) {
                return Err(Refusal::invalid("The job must be in a terminal state to be deleted."));
            }
            context.batches.forget_batch(id);
            json!({"name": format!("{place}/operations/1"), "done": true})
        }
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

fn list(inbound: &Inbound, context: &Context<'_>) -> Value {
    let most = inbound.parameter("pageSize").and_then(|most| most.parse().ok()).unwrap_or(100);
    let filter = inbound.parameter("filter").map(decode).unwrap_or_default();
    let label = filter.strip_prefix("labels.").and_then(|rest| rest.strip_suffix(":*"));
    let mut all = context.batches.batches(PREFIX);
    all.retain(|batch| label.is_none_or(|label| batch.object["labels"].get(label).is_some()));
    let (found, has_more) = page(all, |batch| batch.id.as_str(), inbound.parameter("pageToken"), most);
    let jobs: Vec<Value> = found.iter().map(|batch| told(batch, context)).collect();
    let mut list = if jobs.is_empty() { json!({}) } else { json!({"batchPredictionJobs": jobs}) };
    if let Some(last) = found.last().filter(|_| has_more) {
        list["nextPageToken"] = json!(last.id);
    }
    list
}

/// The bucket and the name at an address.
fn located(address: &str) -> Option<(&str, &str)> {
    address.strip_prefix("gs://")?.split_once('/')
}

fn create(
    order: &Map<String, Value>,
    place: &str,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Result<Value, Refusal> {
    check::names(order, KNOWN, "batch_prediction_job")?;
    let whole = Value::Object(order.clone());
    let text = |pointer: &str| whole.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let needed = |pointer: &str| {
        text(pointer).ok_or_else(|| Refusal::invalid(format!("Required field is not set: {pointer}")))
    };
    needed("/displayName")?;
    let model = needed("/model")?.trim_start_matches(place).trim_start_matches('/').to_owned();
    for (pointer, format) in
        [("/inputConfig/instancesFormat", "jsonl"), ("/outputConfig/predictionsFormat", "jsonl")]
    {
        if needed(pointer)? != format {
            return Err(Refusal::invalid(format!("{pointer} must be `{format}` for Cloud Storage.")));
        }
    }
    let labels = order.get("labels").and_then(Value::as_object);
    if labels.is_some_and(|labels| !labels.iter().all(is_label)) {
        return Err(Refusal::invalid(
            "Labels have keys and values of lower-case letters, digits, `_` and `-`.",
        ));
    }
    let output = needed("/outputConfig/gcsDestination/outputUriPrefix")?;
    located(output).ok_or_else(|| Refusal::invalid("outputUriPrefix is no address in Cloud Storage."))?;
    let input = needed("/inputConfig/gcsSource/uris/0")?;
    let content = located(input).and_then(|(name, key)| bucket::object(context.batches, name, key));
    let content = content.ok_or_else(|| Refusal::invalid(format!("The file {input} does not exist.")))?;
    let answered: Vec<Value> = lines(&content)
        .map(|line| answered(line, place, &model, inbound, context))
        .collect::<Result<_, _>>()?;
    let id = Chance::new(context.stamp.seed).identifier(PREFIX, b"0123456789", 17);
    let mut object = whole.clone();
    object["name"] = json!(format!(
        "projects/123456789/{}/batchPredictionJobs/{id}",
        &place[place.find("locations").unwrap_or(0)..]
    ));
    object["createTime"] = json!(rfc3339(context.stamp.now));
    let batch =
        KeptBatch { id, object, looks: 0, is_cancelled: false, succeeded: answered, failed: Vec::new() };
    let told = told(&batch, context);
    context.batches.keep_batch(batch);
    Ok(told)
}

/// Whether a label has the form that all resources' have.
fn is_label((key, value): (&String, &Value)) -> bool {
    let fits = |text: &str| {
        text.len() <= 63
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    key.starts_with(|first: char| first.is_ascii_lowercase()) && fits(key) && value.as_str().is_some_and(fits)
}

/// A line with what its model's publisher answers.
fn answered(
    line: &[u8],
    place: &str,
    model: &str,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Result<Value, Refusal> {
    let mut result: Value = serde_json::from_slice(line)
        .map_err(|error| Refusal::invalid(format!("Failed to parse the input file: {error}")))?;
    let mut request = result.get("request").and_then(Value::as_object).cloned().unwrap_or_default();
    let is_claude = model.starts_with("publishers/anthropic/");
    if let Some(Value::Object(labels)) = request.remove("labels").filter(|_| !is_claude)
        && !labels.iter().all(is_label)
    {
        return Err(Refusal::invalid(
            "Labels have keys and values of lower-case letters, digits, `_` and `-`.",
        ));
    }
    let (name, verb) = if is_claude {
        (DialectName::Anthropic, "rawPredict")
    } else {
        (DialectName::Gemini, "generateContent")
    };
    let line_inbound = Inbound::new(
        Method::POST,
        format!("/v1/{place}/{model}:{verb}"),
        None,
        inbound.headers.clone(),
        Bytes::from(Value::Object(request).to_string()),
    );
    let context = &Context { seed: fingerprint(context.seed, line), ..*context };
    let dialect = name.dialect();
    let (response, status) = match dialect.answer(&line_inbound, context) {
        Ok(output) => (output.value(), String::new()),
        Err(refusal) => {
            let (_, body) = error::object(&refusal, &line_inbound);
            (json!({}), format!("Bad Request: {body}"))
        }
    };
    result["response"] = response;
    result["status"] = json!(status);
    result["processed_time"] = json!(rfc3339(context.stamp.now));
    Ok(result)
}

/// How far a job is, by how often it was looked at.
fn state(batch: &KeptBatch, context: &Context<'_>) -> &'static str {
    match batch.phase(context.script.batches) {
        Phase::Waiting => "JOB_STATE_PENDING",
        Phase::Running => "JOB_STATE_RUNNING",
        Phase::Stopping => "JOB_STATE_CANCELLING",
        Phase::Stopped if batch.looks == 1 => "JOB_STATE_CANCELLING",
        Phase::Stopped => "JOB_STATE_CANCELLED",
        Phase::Over(BatchEnd::Complete) => "JOB_STATE_SUCCEEDED",
        Phase::Over(BatchEnd::Failed) => "JOB_STATE_FAILED",
        Phase::Over(BatchEnd::Expired) => "JOB_STATE_PARTIALLY_SUCCEEDED",
    }
}

fn is_over(state: &str) -> bool {
    matches!(
        state,
        "JOB_STATE_CANCELLED" | "JOB_STATE_SUCCEEDED" | "JOB_STATE_FAILED" | "JOB_STATE_PARTIALLY_SUCCEEDED"
    )
}

/// The job as it is told now; what it came to is written when that is first told.
fn told(batch: &KeptBatch, context: &Context<'_>) -> Value {
    let state = state(batch, context);
    let now = rfc3339(context.stamp.now);
    let mut job = batch.object.clone();
    job["state"] = json!(state);
    job["updateTime"] = json!(now);
    if is_over(state) {
        job["endTime"] = json!(now);
    }
    if state == "JOB_STATE_FAILED" {
        job["error"] = json!({"code": 13, "message": "The batch job failed."});
    }
    let done: Vec<&Value> = match state {
        "JOB_STATE_SUCCEEDED" => batch.succeeded.iter().rev().collect(),
        "JOB_STATE_PARTIALLY_SUCCEEDED" => batch.succeeded.iter().step_by(2).collect(),
        _ => return job,
    };
    let failed = done.iter().filter(|line| line["status"] != "").count();
    // Numbers of 64 bits are texts.
    job["completionStats"] =
        json!({"successfulCount": (done.len() - failed).to_string(), "failedCount": failed.to_string()});
    let prefix = batch.object.pointer("/outputConfig/gcsDestination/outputUriPrefix");
    let prefix = prefix.and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
    let directory =
        format!("{prefix}/prediction-model-{}", batch.object["createTime"].as_str().unwrap_or_default());
    job["outputInfo"] = json!({"gcsOutputDirectory": directory});
    // One that was deleted does not come back.
    if let Some((name, folder)) = located(&directory).filter(|_| context.batches.is_first(&batch.id)) {
        let content: String = done.iter().map(|line| format!("{line}\n")).collect();
        let content = Bytes::from(content);
        for file in ["incremental_predictions.jsonl", "predictions.jsonl"] {
            bucket::put(context.batches, name, &format!("{folder}/{file}"), content.clone());
        }
    }
    job
}
