//! Batches whose lines and results are files.
//!
//! Owns the batch object and the order. Must not know which provider speaks it: what those who copied it changed is data
//! ([`super::manner`]). Source: OpenAI's API reference, <https://platform.openai.com/docs/api-reference/batch>, and its OpenAPI document
//! 2.3.0; providers that copied it say so.

use super::form::{Carriage, Form, Page, borrowed, json, named, post, quoted, unknown_state, words};
use super::manner::Manner;
use super::upload::AsForm;
use super::{BatchApi, BatchRequest, Order, Progress, TheirBatch, TheirResult, Unreadable, upload};
use crate::limits::rfc3339;
use crate::preset::Endpoint;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use trunkline_model::dialect::{Dialect, Operation};

/// The name of our mark among a batch's metadata.
pub(super) const MARK: &str = "trunkline_handover";

pub(super) struct Files;

impl Form for Files {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        Some(match (dialect, operation) {
            (Dialect::OpenAi, Operation::Chat) => (Endpoint::Chat, "/v1/chat/completions"),
            (Dialect::Responses, Operation::Chat) => (Endpoint::Responses, "/v1/responses"),
            (Dialect::OpenAi, Operation::Embeddings) => (Endpoint::Embeddings, "/v1/embeddings"),
            (Dialect::OpenAi, Operation::Completions) => (Endpoint::Completions, "/v1/completions"),
            _ => return None,
        })
    }

    fn frame(&self, api: &BatchApi, endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        let manner = &api.manner;
        if manner.bare_lines { upload::bare(name) } else { upload::framed(name, &manner.endpoint(endpoint)) }
    }

    fn carriage(&self) -> &'static dyn Carriage {
        const WAY: AsForm = AsForm { list: |api, _mark| Some(api.manner.list_files.clone()) };
        &WAY
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let manner = &api.manner;
        let (file, endpoint) = (quoted(order.file?), quoted(&manner.endpoint(order.endpoint)));
        let window = manner.window;
        let mark = if manner.keeps_metadata {
            format!(",\"metadata\":{{\"{MARK}\":{}}}", quoted(order.mark))
        } else {
            String::new()
        };
        let order = format!(
            "{{\"input_file_id\":{file},\"endpoint\":{endpoint},\"completion_window\":\"{window}h\"{mark}}}"
        );
        post(&api.submit, vec![order.into()])
    }

    fn list(&self, api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        let query = &api.manner.list_batches;
        match cursor {
            None => Some(query.clone()),
            Some(cursor) => Some(format!("{query}&after={}", named(cursor).ok()?)),
        }
    }

    fn read(&self, api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        made(body, &api.manner)?.told(&api.manner)
    }

    fn read_page(&self, api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Batch>,
            #[serde(default)]
            has_more: bool,
        }
        let is_bare = body.trim_ascii_start().first() == Some(&b'[');
        let list = if is_bare { List { data: json(body)?, has_more: false } } else { json(body)? };
        let has_more = list.has_more && !api.manner.list_batches.is_empty();
        let next = list.data.last().filter(|_| has_more).map(|batch| batch.id.clone());
        // What cannot be read is another's: ours are read one by one.
        let batches = list.data.into_iter().filter_map(|batch| batch.told(&api.manner).ok()).collect();
        Ok(Page { batches, next })
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        upload::results(api, batch)
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        upload::read_result(line)
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        upload::files(api, batch)
    }
}

/// The batch in an answer: the answer to an order may have it in a member.
fn made(body: &[u8], manner: &Manner) -> Result<Batch, Unreadable> {
    if let Some(member) = &manner.made_in {
        let members: BTreeMap<Cow<'_, str>, &RawValue> = borrowed(body)?;
        if let Some(batch) = members.get(member.as_str()) {
            return json(batch.get().as_bytes());
        }
    }
    json(body)
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    status: String,
    created_at: Option<Moment>,
    metadata: Option<Value>,
    errors: Option<Value>,
    error: Option<Value>,
    input_file_id: Option<String>,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    request_counts: Option<Value>,
}

/// Seconds, or a text of RFC 3339 as Azure's dated versions have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Seconds(u64),
    Text(String),
}

impl Moment {
    fn seconds(&self) -> Option<u64> {
        match self {
            Self::Seconds(seconds) => Some(*seconds),
            Self::Text(text) => rfc3339(text),
        }
    }
}

impl Batch {
    fn told(self, manner: &Manner) -> Result<TheirBatch, Unreadable> {
        // Some leave a file out that is not there, others have it with an empty name.
        let file = |name: Option<String>| name.filter(|name| !name.is_empty());
        let output = file(self.output_file_id);
        // Azure's dated versions write them with capitals, others with nothing but capitals.
        let status = self.status.to_ascii_lowercase();
        let progress = match status.as_str() {
            "validating" | "in_progress" | "finalizing" => Progress::Running,
            "cancelling" => Progress::Stopping,
            "completed" | "expired" | "cancelled" => Progress::Ended,
            // What was answered before it failed was answered.
            "failed" if output.is_some() => Progress::Ended,
            "failed" => Progress::Refused(reason(self.errors.as_ref(), self.error.as_ref())),
            other if manner.running.iter().any(|state| state == other) => Progress::Running,
            _ => return Err(unknown_state(&self.status)),
        };
        let mark = self.metadata.as_ref().and_then(|metadata| metadata.get(MARK)).and_then(Value::as_str);
        let total = self.request_counts.and_then(|counts| counts.get("total")?.as_u64());
        let results = [output, file(self.error_file_id)].into_iter().flatten();
        Ok(TheirBatch {
            progress,
            mark: mark.map(str::to_owned),
            created: self.created_at.and_then(|moment| moment.seconds()),
            lines: total.filter(|total| *total > 0),
            // One that cannot be fetched must not pass for none: its lines were answered.
            results: results.map(|name| named(&name)).collect::<Result<_, _>>()?,
            input: file(self.input_file_id),
            id: named(&self.id)?,
        })
    }
}

/// Why a batch was refused: the first of a list, or a text.
fn reason(errors: Option<&Value>, error: Option<&Value>) -> String {
    let first = errors.and_then(|errors| errors.get("data")?.get(0)?.get("message")?.as_str());
    let text = |value: Option<&'_ Value>| {
        value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    words(first.map(str::to_owned).or_else(|| text(errors)).or_else(|| text(error)).as_deref())
}
