//! Batches of Bedrock: jobs that read records from a bucket and write their answers beside them.
//!
//! Owns the order, the job, the list of jobs and what a job writes. Records are answered when the job is made, by the dialect itself;
//! what they come to is written when a look shows the job over. Source: the model of the service `bedrock` (2023-04-20, as in botocore
//! 1.44.5), <https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html> and
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-results.html>.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::{Context, Inbound, Output, Refusal, decode};
use super::{answer as answers, body, bucket, check, embeddings, error, request, signature};
use crate::batch_book::{KeptBatch, Phase, lines, page};
use crate::chance::{Chance, fingerprint};
use crate::script::BatchEnd;
use crate::timestamp::rfc3339;

/// Fewest records of a job.
const LEAST: usize = 100;
/// What the ids here begin with, so that they are told apart from other dialects' in the same book.
const PREFIX: &str = "br";
/// Members of an order.
const KNOWN: &[&str] = &[
    "jobName",
    "roleArn",
    "clientRequestToken",
    "modelId",
    "inputDataConfig",
    "outputDataConfig",
    "vpcConfig",
    "timeoutDurationInHours",
    "tags",
    "modelInvocationType",
];

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    path.split('/')
        .nth(1)
        .is_some_and(|part| matches!(part, "model-invocation-job" | "model-invocation-jobs"))
}

/// Answers a request about jobs.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let mut parts = inbound.path.split('/').skip(1);
    let (collection, id, verb) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    // An ARN is named whole or by its end.
    let id = id.map(decode).map(|id| id.rsplit('/').next().unwrap_or_default().to_owned());
    let edit = |id: &str, edit: fn(&mut KeptBatch)| {
        let missing =
            || Refusal::parameter("", Some("ResourceNotFoundException"), "Could not find the specified job.");
        context.batches.edit_batch(id, edit).ok_or_else(missing)
    };
    let object = match (&inbound.method, collection, id.as_deref(), verb) {
        (&Method::GET, "model-invocation-jobs", None, None) => list(inbound, context),
        (&Method::POST, "model-invocation-job", None, None) => create(body(inbound)?, inbound, context)?,
        (&Method::GET, "model-invocation-job", Some(id), None) => {
            told(&edit(id, |batch| batch.looks += 1)?, context)
        }
        (&Method::POST, "model-invocation-job", Some(id), Some("stop")) => {
            if is_over(state(&edit(id, |_| ())?, context)) {
                let message = "The job is in a state in which it cannot be stopped.";
                return Err(Refusal::parameter("", Some("ConflictException"), message));
            }
            edit(id, KeptBatch::cancel)?;
            json!({})
        }
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

fn list(inbound: &Inbound, context: &Context<'_>) -> Value {
    let most = inbound.parameter("maxResults").and_then(|most| most.parse().ok()).unwrap_or(100);
    let wanted = inbound.parameter("nameContains").map(decode).unwrap_or_default();
    let mut all = context.batches.batches(PREFIX);
    all.retain(|batch| batch.object["jobName"].as_str().is_some_and(|name| name.contains(&wanted)));
    if inbound.parameter("sortOrder") == Some("Ascending") {
        all.reverse();
    }
    let (found, has_more) = page(all, |batch| batch.id.as_str(), inbound.parameter("nextToken"), most);
    let jobs: Vec<Value> = found.iter().map(|batch| told(batch, context)).collect();
    let mut list = json!({"invocationJobSummaries": jobs});
    if let Some(last) = found.last().filter(|_| has_more) {
        list["nextToken"] = json!(last.id);
    }
    list
}

/// Makes a job, or finds the one of the same token.
fn create(order: &Map<String, Value>, inbound: &Inbound, context: &Context<'_>) -> Result<Value, Refusal> {
    check::known(order, KNOWN)?;
    let text = |name: &str| order.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let needed = |name: &str| text(name).ok_or_else(|| check::missing(name));
    let (name, role, model) = (needed("jobName")?, needed("roleArn")?, needed("modelId")?);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if name.len() > 63 || !name.as_bytes()[0].is_ascii_alphanumeric() || !name.bytes().all(fits) {
        let rule =
            "Member must satisfy regular expression pattern: [a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\\+\\-\\.]){0,63}";
        return Err(check::constraint(&json!(name), "jobName", rule));
    }
    if !(role.starts_with("arn:aws") && role.contains(":iam::") && role.contains(":role/")) {
        let rule =
            "Member must satisfy regular expression pattern: arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+";
        return Err(check::constraint(&json!(role), "roleArn", rule));
    }
    let hours = order.get("timeoutDurationInHours");
    if let Some(hours) =
        hours.filter(|hours| !hours.as_u64().is_some_and(|hours| (24..=168).contains(&hours)))
    {
        let rule = "Member must have value greater than or equal to 24";
        return Err(check::constraint(hours, "timeoutDurationInHours", rule));
    }
    let kind = text("modelInvocationType").unwrap_or("InvokeModel");
    if !matches!(kind, "InvokeModel" | "Converse") {
        let rule = "Member must satisfy enum value set: [InvokeModel, Converse]";
        return Err(check::constraint(&json!(kind), "modelInvocationType", rule));
    }
    check::admit(model, context.config)?;
    let place = |config: &str, inner: &str| -> Result<(String, String), Refusal> {
        let uri = order.get(config).and_then(|config| config.get(inner)?.get("s3Uri")?.as_str());
        let uri = uri.ok_or_else(|| check::missing(&format!("{config}.{inner}.s3Uri")))?;
        let rest = uri.strip_prefix("s3://").ok_or_else(|| {
            check::constraint(
                &json!(uri),
                &format!("{config}.{inner}.s3Uri"),
                "Member must satisfy regular expression pattern: s3://.*",
            )
        })?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Ok((bucket.to_owned(), key.to_owned()))
    };
    let (from, key) = place("inputDataConfig", "s3InputDataConfig")?;
    place("outputDataConfig", "s3OutputDataConfig")?;
    let known = context.batches.batches(PREFIX);
    let same = |batch: &&KeptBatch| batch.object["clientRequestToken"].as_str() == text("clientRequestToken");
    if let Some(batch) = text("clientRequestToken").and_then(|_| known.iter().find(same)) {
        return Ok(json!({"jobArn": batch.object["jobArn"]}));
    }
    let files: Vec<_> = bucket::names(context.batches, &from, &key)
        .into_iter()
        .filter(|(name, _)| {
            name.ends_with(".jsonl") && (*name == key || key.is_empty() || key.ends_with('/'))
        })
        .collect();
    if files.is_empty() {
        return Err(Refusal::invalid("Provided S3 path does not exist or has no JSONL file."));
    }
    let mut records = Vec::new();
    for (name, content) in &files {
        for line in lines(content) {
            let file = name.rsplit('/').next().unwrap_or_default();
            records.push(json!({"file": file, "record": answered(line, &Asked { number: records.len(), kind, model, inbound }, context)?}));
        }
    }
    let id = Chance::new(context.stamp.seed).identifier(PREFIX, b"0123456789abcdefghijklmnopqrstuvwxyz", 10);
    let region = signature::region(inbound).unwrap_or("us-east-1");
    let mut object = Value::Object(order.clone());
    let arn = format!("arn:aws:bedrock:{region}:123456789012:model-invocation-job/{id}");
    object["jobArn"] = json!(arn);
    object["submitTime"] = json!(rfc3339(context.stamp.now));
    object["modelInvocationType"] = json!(kind);
    context.batches.keep_batch(KeptBatch {
        id,
        object,
        looks: 0,
        is_cancelled: false,
        succeeded: records,
        failed: Vec::new(),
    });
    Ok(json!({"jobArn": arn}))
}

/// What is known of a record beside its line.
struct Asked<'a> {
    number: usize,
    kind: &'a str,
    model: &'a str,
    inbound: &'a Inbound,
}

/// A record with what the dialect answers to it.
fn answered(line: &[u8], asked: &Asked<'_>, context: &Context<'_>) -> Result<Value, Refusal> {
    let Asked { number, kind, model, inbound } = *asked;
    let mut record: Value = serde_json::from_slice(line)
        .map_err(|error| Refusal::invalid(format!("Record {number} is not valid JSON: {error}")))?;
    let input = record.get("modelInput").and_then(Value::as_object).cloned();
    let input = input.ok_or_else(|| Refusal::invalid(format!("Record {number} has no modelInput.")))?;
    if record.get("recordId").and_then(Value::as_str).is_none() {
        record["recordId"] = json!(format!("CALL{number:07}"));
    }
    let context = &Context { seed: fingerprint(context.seed, line), ..*context };
    let output = match kind {
        "Converse" if input.contains_key("toolConfig") => {
            Err(Refusal::invalid("Tool use is not supported in batch inference."))
        }
        "Converse" => {
            request::read(&input, model, context).map(|request| answers::message(&request, false, context))
        }
        _ => embeddings::invoke(&input, model),
    };
    match output {
        Ok(output) => {
            record["modelOutput"] = output.value();
        }
        Err(refusal) => {
            let (status, message) = error::told(&refusal, inbound);
            record["error"] = json!({"errorCode": status.as_u16(), "errorMessage": message});
        }
    }
    Ok(record)
}

/// How far a job is, by how often it was looked at.
fn state(batch: &KeptBatch, context: &Context<'_>) -> &'static str {
    match batch.phase(context.script.batches) {
        Phase::Waiting => "Submitted",
        Phase::Running if batch.looks == 1 => "Validating",
        Phase::Running => "InProgress",
        Phase::Stopping => "Stopping",
        Phase::Stopped if batch.looks == 1 => "Stopping",
        Phase::Stopped => "Stopped",
        Phase::Over(_) if batch.succeeded.len() < LEAST => "Failed",
        Phase::Over(BatchEnd::Complete) => "Completed",
        Phase::Over(BatchEnd::Failed) => "Failed",
        Phase::Over(BatchEnd::Expired) => "PartiallyCompleted",
    }
}

fn is_over(state: &str) -> bool {
    matches!(state, "Stopped" | "Failed" | "Completed" | "PartiallyCompleted")
}

/// The job as it is told now; what it came to is written when that is first told.
fn told(batch: &KeptBatch, context: &Context<'_>) -> Value {
    let state = state(batch, context);
    let (now, total) = (rfc3339(context.stamp.now), batch.succeeded.len());
    let mut job = batch.object.clone();
    job["status"] = json!(state);
    job["lastModifiedTime"] = json!(now);
    job["totalRecordCount"] = json!(total);
    let done: Vec<&Value> = match state {
        "Completed" => batch.succeeded.iter().collect(),
        "PartiallyCompleted" => batch.succeeded.iter().step_by(2).collect(),
        _ => Vec::new(),
    };
    let errors = done.iter().filter(|record| record["record"].get("error").is_some()).count();
    job["processedRecordCount"] = json!(done.len());
    job["successRecordCount"] = json!(done.len() - errors);
    job["errorRecordCount"] = json!(errors);
    if is_over(state) {
        job["endTime"] = json!(now);
    }
    if state == "Failed" {
        job["message"] = if total < LEAST {
            json!(format!(
                "Batch job {} contains less records ({total}) than the required minimum of: {LEAST}",
                job["jobArn"]
            ))
        } else {
            json!("The batch job failed.")
        };
    }
    // One that was deleted does not come back.
    if matches!(state, "Completed" | "PartiallyCompleted") && context.batches.is_first(&batch.id) {
        write(batch, &done, errors, context);
    }
    job
}

fn write(batch: &KeptBatch, done: &[&Value], errors: usize, context: &Context<'_>) {
    let uri = batch.object["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].as_str().unwrap_or_default();
    let rest = uri.strip_prefix("s3://").unwrap_or_default();
    let (name, folder) = rest.split_once('/').unwrap_or((rest, ""));
    let folder = format!("{}/{}/", folder.trim_end_matches('/'), batch.id);
    let folder = folder.trim_start_matches('/');
    let mut files: Vec<&str> = done.iter().filter_map(|record| record["file"].as_str()).collect();
    files.dedup();
    for file in files {
        let lines = done.iter().filter(|record| record["file"] == file);
        let content: String = lines.map(|record| format!("{}\n", record["record"])).collect();
        bucket::put(context.batches, name, &format!("{folder}{file}.out"), content.into());
    }
    let tokens = |name: &str| -> u64 {
        done.iter().filter_map(|record| record["record"]["modelOutput"]["usage"][name].as_u64()).sum()
    };
    let summary = json!({
        "totalRecordCount": batch.succeeded.len(), "processedRecordCount": done.len(),
        "successRecordCount": done.len() - errors, "errorRecordCount": errors,
        "inputTokenCount": tokens("inputTokens"), "outputTokenCount": tokens("outputTokens"),
    });
    bucket::put(context.batches, name, &format!("{folder}manifest.json.out"), summary.to_string().into());
}
