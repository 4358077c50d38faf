//! Batches whose lines stand in the request that makes them, and whose results stand in the batch itself.
//!
//! Owns the order, the batch with its results, and which lines it answers as a request of the moment is answered. Must not know which
//! provider speaks it; a result is that of [`super::upload`]. No call stops a batch. Source: OpenRouter's guide,
//! <https://openrouter.ai/docs/batch-quickstart>, and its reference, <https://openrouter.ai/docs/api/api-reference/batch/get-a-batch>.

use super::form::{
    Carriage, Form, Page, borrowed, get, json, named, part, post, quoted, read, readable, unknown_state,
    words,
};
use super::inline::Inline;
use super::{
    BatchApi, BatchRequest, Order, Progress, ResultPage, TheirBatch, TheirResult, Unreadable, upload,
};
use crate::preset::Endpoint;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trunkline_model::dialect::{Dialect, Operation};

/// How long after it was made a batch may not be found, in seconds: clients saw that, though no page says it.
const UNSEEN: u64 = 60;
/// Members that mean something else in a batch, or nothing: what is not text, and who else may answer.
const APART: [&str; 7] = ["modalities", "audio", "image_config", "provider", "models", "plugins", "route"];
/// How the names of models begin whose batches have one form of answer for all lines.
const ONE_FORM: &str = "google/";

pub(super) struct Bundles;

impl Form for Bundles {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        Some(match (dialect, operation) {
            (Dialect::OpenAi, Operation::Chat) => (Endpoint::Chat, "/v1/chat/completions"),
            (Dialect::Responses, Operation::Chat) => (Endpoint::Responses, "/v1/responses"),
            (Dialect::OpenAi, Operation::Embeddings) => (Endpoint::Embeddings, "/v1/embeddings"),
            _ => return None,
        })
    }

    fn takes(&self, _endpoint: &str, body: &dyn Fn() -> Vec<u8>) -> bool {
        serde_json::from_slice(&body()).is_ok_and(|asked| is_plain(&asked))
    }

    fn frame(&self, _api: &BatchApi, _endpoint: &str, name: &str, is_first: bool) -> (String, &'static str) {
        let comma = if is_first { "" } else { "," };
        (format!("{comma}{{\"custom_id\":{},\"body\":", quoted(name)), "}")
    }

    fn carriage(&self) -> &'static dyn Carriage {
        &Inline
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        // It is read as it comes: what says how to read the lines stands before them.
        let (endpoint, model) = (quoted(order.endpoint), quoted(&api.model));
        let head = format!("{{\"endpoint\":{endpoint},\"model\":{model},\"requests\":[");
        post(&api.submit, vec![head.into(), order.lines.clone(), Bytes::from_static(b"]}")])
    }

    fn cancel(&self, _api: &BatchApi, _id: &str) -> Option<BatchRequest> {
        None
    }

    fn unseen(&self) -> u64 {
        UNSEEN
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        match cursor {
            None => Some("limit=100".to_owned()),
            Some(cursor) => Some(format!("limit=100&after={}", named(cursor).ok()?)),
        }
    }

    fn read(&self, _api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        read::<Batch>(body)
    }

    fn read_page(&self, _api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Batch>,
            #[serde(default)]
            has_more: bool,
        }
        let list: List = json(body)?;
        let next = list.data.last().filter(|_| list.has_more).map(|batch| batch.id.clone());
        Ok(Page { batches: readable(list.data), next })
    }

    fn keeps_marks(&self) -> bool {
        false
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        Vec::from_iter(api.look(&batch.id))
    }

    fn has_result_pages(&self) -> bool {
        true
    }

    fn read_result_page(
        &self,
        _api: &BatchApi,
        _batch: &TheirBatch,
        body: &Bytes,
    ) -> Result<ResultPage, Unreadable> {
        #[derive(Deserialize)]
        struct Found<'a> {
            #[serde(borrow)]
            results: Option<Vec<&'a RawValue>>,
        }
        // Without results it is over before any line was answered.
        let Found { results } = borrowed(body)?;
        let results = results.into_iter().flatten().map(|result| self.read_result(&part(body, result)));
        Ok(ResultPage { results: results.collect(), next: None })
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        upload::read_result(line)
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        Vec::from_iter(get(&api.batches, &[&batch.id], "", ""))
    }
}

/// Whether a line is about text alone, and asks for nothing that a batch refuses or is charged for otherwise.
fn is_plain(asked: &Value) -> bool {
    let listed = |name: &str| asked.get(name).and_then(Value::as_array).into_iter().flatten();
    let kind = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
    let is_text = |part: &Value| {
        kind(part).is_some_and(|kind| matches!(&*kind, "text" | "input_text" | "output_text" | "refusal"))
    };
    let is_text_only = |turn: &Value| match turn.get("content") {
        Some(Value::Array(parts)) => parts.iter().all(is_text),
        _ => true,
    };
    let has_form = asked.get("response_format").is_some() || asked.pointer("/text/format").is_some();
    let is_of_one_form =
        asked.get("model").and_then(Value::as_str).is_some_and(|model| model.starts_with(ONE_FORM));
    APART.iter().all(|name| asked.get(*name).is_none())
        && listed("tools").all(|tool| kind(tool).as_deref() == Some("function"))
        && listed("messages").chain(listed("input")).all(is_text_only)
        && !(has_form && is_of_one_form)
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    status: String,
    created_at: Option<u64>,
    #[serde(default)]
    request_counts: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Counts {
    total: u64,
}

impl TryFrom<Batch> for TheirBatch {
    type Error = Unreadable;

    fn try_from(batch: Batch) -> Result<Self, Unreadable> {
        let told =
            |error: Value| error.as_str().or_else(|| error.get("message")?.as_str()).map(str::to_owned);
        let progress = match batch.status.as_str() {
            "validating" | "in_progress" | "finalizing" => Progress::Running,
            "cancelling" => Progress::Stopping,
            "completed" | "expired" | "cancelled" => Progress::Ended,
            "failed" => Progress::Refused(words(batch.error.and_then(told).as_deref())),
            other => return Err(unknown_state(other)),
        };
        Ok(Self {
            id: named(&batch.id)?,
            progress,
            mark: None,
            created: batch.created_at,
            lines: batch.request_counts.map(|counts| counts.total).filter(|total| *total > 0),
            results: Vec::new(),
            input: None,
        })
    }
}

#[cfg(test)]
mod tests;
