//! Batches that are jobs over a bucket, each line an invocation of one model.
//!
//! Owns the order, the job, the list of jobs and the lines of results. Must not know which provider speaks it, nor how objects get into
//! the bucket: that is [`super::bucket`]. What a job wrote is found by looking into its folder. Source: the model of AWS's service
//! `bedrock` (2023-04-20, as in botocore 1.44.5), <https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html> and
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-results.html>.

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
use trunkline_model::dialect::{Dialect, Operation};

/// What the names of our jobs begin with; the mark follows.
const NAME: &str = "trunkline-";
/// How lines ask for conversations.
const CONVERSE: &str = "Converse";

pub(super) struct Invocations;

impl Form for Invocations {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        match (dialect, operation) {
            (Dialect::Converse, Operation::Chat) => Some((Endpoint::Chat, CONVERSE)),
            (Dialect::Converse, Operation::Embeddings) => Some((Endpoint::Embeddings, "InvokeModel")),
            _ => None,
        }
    }

    fn takes(&self, endpoint: &str, body: &dyn Fn() -> Vec<u8>) -> bool {
        // Conversations with tools are answered one by one only
        // (https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference.html).
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Tools {
            tool_config: Option<IgnoredAny>,
        }
        endpoint != CONVERSE
            || serde_json::from_slice::<Tools>(&body()).is_ok_and(|body| body.tool_config.is_none())
    }

    fn frame(&self, _api: &BatchApi, _endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        (format!("{{\"recordId\":{},\"modelInput\":", quoted(name)), "}\n")
    }

    fn carriage(&self) -> &'static dyn Carriage {
        &bucket::IntoBucket
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let bucket = reach(api)?;
        let (mark, role) = (order.mark, quoted(bucket.role()));
        let (name, model, kind) =
            (quoted(&format!("{NAME}{mark}")), quoted(&api.model), quoted(order.endpoint));
        let (input, output) = (quoted(&bucket.address(order.file?)), quoted(&bucket.folder_address(mark)));
        let order = format!(
            "{{\"jobName\":{name},\"clientRequestToken\":{},\"roleArn\":{role},\"modelId\":{model},\"modelInvocationType\":{kind},\
             \"inputDataConfig\":{{\"s3InputDataConfig\":{{\"s3InputFormat\":\"JSONL\",\"s3Uri\":{input}}}}},\
             \"outputDataConfig\":{{\"s3OutputDataConfig\":{{\"s3Uri\":{output}}}}},\"timeoutDurationInHours\":24}}",
            quoted(mark)
        );
        post(&api.submit, vec![order.into()])
    }

    fn cancel(&self, api: &BatchApi, id: &str) -> Option<BatchRequest> {
        Some(BatchRequest { method: Method::POST, ..get(&api.batches, &[id, "stop"], "", "")? })
    }

    fn listed_at(&self, api: &BatchApi) -> String {
        format!("{}s", api.batches)
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        let query = format!("maxResults=100&nameContains={NAME}&sortBy=CreationTime&sortOrder=Descending");
        Some(cursor.map_or(query.clone(), |cursor| format!("{query}&nextToken={}", encoded(cursor))))
    }

    fn read(&self, api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        Ok(within(read::<Job>(body)?, api))
    }

    fn read_page(&self, api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            #[serde(default)]
            invocation_job_summaries: Vec<Job>,
            next_token: Option<String>,
        }
        let list: List = json(body)?;
        let batches = readable(list.invocation_job_summaries);
        Ok(Page {
            batches: batches.into_iter().map(|batch| within(batch, api)).collect(),
            next: list.next_token.filter(|token| !token.is_empty()),
        })
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        let Some(bucket) = reach(api) else { return Vec::new() };
        let written = batch.results.iter().filter(|name| name.ends_with(".jsonl.out"));
        written.filter_map(|name| bucket.fetch(name)).collect()
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Line<'a> {
            record_id: String,
            #[serde(borrow)]
            model_output: Option<&'a RawValue>,
            error: Option<Mistake>,
        }
        let read: Line<'_> = borrowed(line)?;
        let end = match (read.model_output, read.error) {
            (Some(output), None) => TheirEnd::Answered(part(line, output), None),
            (_, error) => TheirEnd::Failed(error.map_or_else(|| words(None), |error| error.words())),
        };
        Ok(TheirResult { name: read.record_id, end })
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        // Jobs stay: there is no call that deletes one.
        bucket::objects(api, batch)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mistake {
    error_code: Option<Value>,
    error_message: Option<String>,
}

impl Mistake {
    fn words(&self) -> String {
        let message = words(self.error_message.as_deref());
        self.error_code.as_ref().map_or_else(|| message.clone(), |code| format!("{code}: {message}"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_arn: String,
    job_name: Option<String>,
    /// The answer to an order has none.
    status: Option<String>,
    message: Option<String>,
    submit_time: Option<String>,
    input_data_config: Option<Value>,
    total_record_count: Option<u64>,
    success_record_count: Option<u64>,
}

impl TryFrom<Job> for TheirBatch {
    type Error = Unreadable;

    fn try_from(job: Job) -> Result<Self, Unreadable> {
        let has_answers = job.success_record_count.is_some_and(|count| count > 0);
        let progress = match job.status.as_deref() {
            None | Some("Submitted" | "Validating" | "Scheduled" | "InProgress") => Progress::Running,
            Some("Stopping") => Progress::Stopping,
            Some("Completed" | "PartiallyCompleted" | "Stopped" | "Expired") => Progress::Ended,
            // What was answered before it failed was answered.
            Some("Failed") if has_answers => Progress::Ended,
            Some("Failed") => Progress::Refused(words(job.message.as_deref())),
            Some(other) => return Err(unknown_state(other)),
        };
        let (_, id) = job.job_arn.rsplit_once('/').unwrap_or(("", &job.job_arn));
        let mark = job.job_name.as_deref().and_then(|name| name.strip_prefix(NAME));
        let input =
            job.input_data_config.as_ref().and_then(|input| input.pointer("/s3InputDataConfig/s3Uri"));
        Ok(Self {
            id: named(id)?,
            progress,
            mark: mark.map(str::to_owned),
            created: job.submit_time.as_deref().and_then(rfc3339),
            lines: job.total_record_count.filter(|total| *total > 0),
            results: Vec::new(),
            input: input.and_then(Value::as_str).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests;
