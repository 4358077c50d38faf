//! Batches over an uploaded file whose results are pages of a list.
//!
//! Owns the order, the batch with its counts and the pages of results. Must not know which provider speaks it; lines and uploads are those of
//! [`super::upload`]. A batch has no state: its counts tell how far it is. Source: xAI's guide,
//! <https://docs.x.ai/developers/advanced-api-usage/batch-api>, and its reference,
//! <https://docs.x.ai/developers/rest-api-reference/inference/batches>.

use super::form::{
    Carriage, Form, Page, borrowed, encoded, get, json, named, part, post, quoted, read, readable, words,
};
use super::upload::AsForm;
use super::{
    BatchApi, BatchRequest, Order, Progress, ResultPage, TheirBatch, TheirEnd, TheirResult, Unreadable,
    upload,
};
use crate::limits::rfc3339;
use crate::preset::Endpoint;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use trunkline_model::dialect::{Dialect, Operation};

/// What batches are called; the mark follows.
const NAME: &str = "trunkline-";
/// What is said of a line that was not begun.
const CANCELLED: &str = "Batch cancelled";

pub(super) struct Pages;

impl Form for Pages {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        let fits = (dialect, operation) == (Dialect::OpenAi, Operation::Chat);
        fits.then_some((Endpoint::Chat, "/v1/chat/completions"))
    }

    fn takes(&self, _endpoint: &str, body: &dyn Fn() -> Vec<u8>) -> bool {
        // What the provider searches by itself comes back as turns of a conversation, and no limit of time is told for files.
        serde_json::from_slice::<Asked>(&body()).is_ok_and(|asked| asked.is_plain())
    }

    fn frame(&self, _api: &BatchApi, endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        upload::framed(name, endpoint)
    }

    fn carriage(&self) -> &'static dyn Carriage {
        const WAY: AsForm = AsForm { list: |_api, _mark| Some(String::new()) };
        &WAY
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let (name, file) = (quoted(&format!("{NAME}{}", order.mark)), quoted(order.file?));
        post(&api.submit, vec![format!("{{\"name\":{name},\"input_file_id\":{file}}}").into()])
    }

    fn cancel(&self, api: &BatchApi, id: &str) -> Option<BatchRequest> {
        Some(BatchRequest { method: Method::POST, ..get(&api.batches, &[id], ":cancel", "")? })
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        Some(page_at(cursor))
    }

    fn is_newest_first(&self) -> bool {
        // Nobody says.
        false
    }

    fn read(&self, _api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        read::<Batch>(body)
    }

    fn read_page(&self, _api: &BatchApi, body: &[u8], _cursor: Option<&str>) -> Result<Page, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            batches: Vec<Batch>,
            pagination_token: Option<String>,
        }
        let list: List = json(body)?;
        // A token behind an empty page leads nowhere.
        let next = list.pagination_token.filter(|token| !token.is_empty() && !list.batches.is_empty());
        Ok(Page { batches: readable(list.batches), next })
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        Vec::from_iter(get(&api.batches, &[&batch.id, "results"], "", &page_at(None)))
    }

    fn has_result_pages(&self) -> bool {
        true
    }

    fn read_result_page(
        &self,
        api: &BatchApi,
        batch: &TheirBatch,
        body: &Bytes,
    ) -> Result<ResultPage, Unreadable> {
        #[derive(Deserialize)]
        struct Found<'a> {
            #[serde(borrow, default)]
            results: Vec<&'a RawValue>,
            pagination_token: Option<String>,
        }
        let Found { results, pagination_token } = borrowed(body)?;
        let next = pagination_token.filter(|token| !token.is_empty() && !results.is_empty());
        let next =
            next.and_then(|token| get(&api.batches, &[&batch.id, "results"], "", &page_at(Some(&token))));
        let results = results.into_iter().map(|result| self.read_result(&part(body, result)));
        Ok(ResultPage { results: results.collect(), next })
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        #[derive(Deserialize)]
        struct Found<'a> {
            batch_request_id: String,
            #[serde(borrow)]
            batch_result: Told<'a>,
        }
        #[derive(Deserialize)]
        struct Told<'a> {
            /// One member, named after what was asked for.
            #[serde(borrow)]
            response: Option<BTreeMap<String, &'a RawValue>>,
            error: Option<Value>,
        }
        let read: Found<'_> = borrowed(line)?;
        let answer = read.batch_result.response.and_then(|response| response.into_values().next());
        let end = match (answer, read.batch_result.error) {
            (Some(answer), None) => TheirEnd::Answered(part(line, answer), None),
            (_, error) => {
                let error = error.unwrap_or_default();
                let told = error.as_str().or_else(|| error.get("message")?.as_str());
                if told == Some(CANCELLED) { TheirEnd::NotRun } else { TheirEnd::Failed(words(told)) }
            }
        };
        Ok(TheirResult { name: read.batch_request_id, end })
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        // Batches stay until their time is over: no call deletes one.
        upload::files(api, batch)
    }
}

/// The query of a page.
fn page_at(cursor: Option<&str>) -> String {
    cursor.map_or_else(
        || "limit=100".to_owned(),
        |cursor| format!("limit=100&pagination_token={}", encoded(cursor)),
    )
}

/// What a line asks for, as far as not every batch answers it as a request of the moment is answered.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Tool>,
    search_parameters: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Value>,
}

#[derive(Deserialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: String,
}

impl Asked {
    fn is_plain(&self) -> bool {
        let is_text = |part: &Value| part.get("type").and_then(Value::as_str) == Some("text");
        let is_plain = |message: &Message| match &message.content {
            Some(Value::Array(parts)) => parts.iter().all(is_text),
            _ => true,
        };
        self.search_parameters.is_none()
            && self.tools.iter().all(|tool| tool.kind == "function")
            && self.messages.iter().all(is_plain)
    }
}

#[derive(Deserialize)]
struct Batch {
    batch_id: String,
    name: Option<String>,
    create_time: Option<String>,
    cancel_time: Option<String>,
    cancel_by_xai_message: Option<String>,
    #[serde(default)]
    state: Counts,
    input_file_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    num_requests: u64,
    num_pending: u64,
    num_success: u64,
    num_error: u64,
}

impl TryFrom<Batch> for TheirBatch {
    type Error = Unreadable;

    fn try_from(batch: Batch) -> Result<Self, Unreadable> {
        let Counts { num_requests, num_pending, num_success, num_error } = batch.state;
        let is_cancelled = batch.cancel_time.is_some();
        let progress = match batch.cancel_by_xai_message {
            // What was answered before it was refused was answered.
            Some(reason) if num_success == 0 && num_error == 0 => Progress::Refused(words(Some(&reason))),
            _ if num_pending > 0 && is_cancelled => Progress::Stopping,
            // The file is looked through before its lines are counted.
            _ if num_pending > 0 || num_requests == 0 && !is_cancelled => Progress::Running,
            _ => Progress::Ended,
        };
        let mark = batch.name.as_deref().and_then(|name| name.strip_prefix(NAME));
        Ok(Self {
            id: named(&batch.batch_id)?,
            progress,
            mark: mark.map(str::to_owned),
            created: batch.create_time.as_deref().and_then(rfc3339),
            lines: Some(num_requests).filter(|count| *count > 0),
            results: Vec::new(),
            input: batch.input_file_id.filter(|file| !file.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests;
