//! Batches that are jobs of predictions over a bucket.
//!
//! Owns the order, the job, the list of jobs and the lines of results. Must not know which provider speaks it, nor how objects get into
//! the bucket: that is [`super::bucket`]. Lines in one protocol have names of their own; those in the other have none, so that the name
//! goes into the labels of the request, which comes back with the answer. Source: Google's discovery document `aiplatform` v1,
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage> and
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/batch>.

use super::bucket::{self, reach, within};
use super::form::{
    Carriage, Form, Page, borrowed, encoded, get, json, named, part, post, quoted, read, readable,
    unknown_state, words,
};
use super::{BatchApi, BatchRequest, Order, Progress, TheirBatch, TheirEnd, TheirResult, Unreadable};
use crate::limits::rfc3339;
use crate::preset::Endpoint;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use trunkline_model::dialect::{Dialect, Operation};

/// The label that has the mark of a job.
const MARK: &str = "trunkline_handover";
/// The label that has the name of a line.
const LINE: &str = "trunkline_line";
/// What jobs are called; the mark follows.
const NAME: &str = "trunkline-";
/// How lines ask whose requests have labels, and lines with names of their own.
const LABELLED: &str = "generateContent";
const NAMED: &str = "rawPredict";

pub(super) struct Predictions;

impl Form for Predictions {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        match (dialect, operation) {
            (Dialect::Gemini, Operation::Chat) => Some((Endpoint::Chat, LABELLED)),
            (Dialect::Anthropic, Operation::Chat) => Some((Endpoint::Chat, NAMED)),
            _ => None,
        }
    }

    fn takes(&self, endpoint: &str, body: &dyn Fn() -> Vec<u8>) -> bool {
        // Labels of the client's own would stand there twice; and something must stand behind ours.
        #[derive(Deserialize)]
        struct Labelled {
            #[serde(rename = "contents")]
            _contents: IgnoredAny,
            labels: Option<IgnoredAny>,
        }
        endpoint != LABELLED
            || serde_json::from_slice::<Labelled>(&body()).is_ok_and(|body| body.labels.is_none())
    }

    fn frame(&self, _api: &BatchApi, endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        let head = match endpoint {
            LABELLED => "{\"request\":".to_owned(),
            _ => format!("{{\"custom_id\":{},\"request\":", quoted(name)),
        };
        (head, "}\n")
    }

    fn inside(&self, endpoint: &str, name: &str) -> Option<String> {
        (endpoint == LABELLED).then(|| format!("\"labels\":{{\"{LINE}\":{}}},", quoted(name)))
    }

    fn carriage(&self) -> &'static dyn Carriage {
        &bucket::IntoBucket
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let bucket = reach(api)?;
        let (name, model) = (quoted(&format!("{NAME}{}", order.mark)), quoted(&api.resource));
        let (input, output) =
            (quoted(&bucket.address(order.file?)), quoted(&bucket.folder_address(order.mark)));
        let order = format!(
            "{{\"displayName\":{name},\"model\":{model},\"labels\":{{\"{MARK}\":{}}},\
             \"inputConfig\":{{\"instancesFormat\":\"jsonl\",\"gcsSource\":{{\"uris\":[{input}]}}}},\
             \"outputConfig\":{{\"predictionsFormat\":\"jsonl\",\"gcsDestination\":{{\"outputUriPrefix\":{output}}}}}}}",
            quoted(order.mark)
        );
        post(&api.submit, vec![order.into()])
    }

    fn cancel(&self, api: &BatchApi, id: &str) -> Option<BatchRequest> {
        Some(BatchRequest { method: Method::POST, ..get(&api.batches, &[id], ":cancel", "")? })
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        let query = format!("pageSize=100&filter={}", encoded(&format!("labels.{MARK}:*")));
        Some(cursor.map_or(query.clone(), |cursor| format!("{query}&pageToken={}", encoded(cursor))))
    }

    fn is_newest_first(&self) -> bool {
        // Nobody says.
        false
    }

    fn read(&self, api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        Ok(within(read::<Job>(body)?, api))
    }

    fn read_page(&self, api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            // What is empty is left out.
            #[serde(default)]
            batch_prediction_jobs: Vec<Job>,
            next_page_token: Option<String>,
        }
        let list: List = json(body)?;
        let batches = readable(list.batch_prediction_jobs);
        Ok(Page {
            batches: batches.into_iter().map(|batch| within(batch, api)).collect(),
            next: list.next_page_token.filter(|token| !token.is_empty()),
        })
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        let Some(bucket) = reach(api) else { return Vec::new() };
        // Beside them stand those that grew while the job ran, and summaries of errors.
        let is_one = |name: &str| {
            let name = name.rsplit('/').next().unwrap_or_default();
            name.starts_with("prediction") && !name.contains("error")
        };
        let written = batch.results.iter().filter(|name| is_one(name));
        written.filter_map(|name| bucket.fetch(name)).collect()
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        #[derive(Deserialize)]
        struct Line<'a> {
            custom_id: Option<String>,
            request: Option<Request>,
            #[serde(borrow)]
            response: Option<&'a RawValue>,
            status: Option<Value>,
        }
        #[derive(Deserialize)]
        struct Request {
            #[serde(default)]
            labels: BTreeMap<String, Value>,
        }
        let read: Line<'_> = borrowed(line)?;
        let label = read.request.and_then(|mut request| request.labels.remove(LINE));
        let name = read.custom_id.or_else(|| label?.as_str().map(str::to_owned));
        let name = name.ok_or_else(|| Unreadable("a result without a name".to_owned()))?;
        let status =
            read.status.map(|status| status.as_str().map_or_else(|| status.to_string(), str::to_owned));
        let status = status.filter(|status| !status.is_empty() && status != "null");
        // Beside an error stands an empty answer.
        let response = read.response.filter(|response| !matches!(response.get(), "{}" | "null"));
        let end = match (response, status) {
            (Some(response), None) => TheirEnd::Answered(part(line, response), None),
            (_, status) => TheirEnd::Failed(words(status.as_deref())),
        };
        Ok(TheirResult { name, end })
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        let job = get(&api.batches, &[&batch.id], "", "").filter(|_| !batch.id.is_empty());
        bucket::objects(api, batch).into_iter().chain(job).collect()
    }
}

#[derive(Deserialize)]
struct Status {
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    name: String,
    state: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    create_time: Option<String>,
    error: Option<Status>,
    input_config: Option<Value>,
}

impl TryFrom<Job> for TheirBatch {
    type Error = Unreadable;

    fn try_from(mut job: Job) -> Result<Self, Unreadable> {
        let state = job.state.as_deref().unwrap_or("JOB_STATE_UNSPECIFIED");
        let progress = match state.strip_prefix("JOB_STATE_") {
            Some("UNSPECIFIED" | "QUEUED" | "PENDING" | "RUNNING" | "PAUSED" | "UPDATING") => {
                Progress::Running
            }
            Some("CANCELLING") => Progress::Stopping,
            Some("SUCCEEDED" | "PARTIALLY_SUCCEEDED" | "CANCELLED" | "EXPIRED") => Progress::Ended,
            Some("FAILED") => {
                Progress::Refused(words(job.error.as_ref().and_then(|error| error.message.as_deref())))
            }
            _ => return Err(unknown_state(state)),
        };
        let (_, id) = job.name.rsplit_once('/').unwrap_or(("", &job.name));
        let input = job.input_config.as_ref().and_then(|input| input.pointer("/gcsSource/uris/0"));
        Ok(Self {
            id: named(id)?,
            progress,
            mark: job.labels.remove(MARK),
            created: job.create_time.as_deref().and_then(rfc3339),
            lines: None,
            results: Vec::new(),
            input: input.and_then(Value::as_str).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests;
