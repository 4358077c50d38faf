//! Batches that are long-running operations, over uploaded files.
//!
//! Owns the upload's form, the order, the operation and the lines of results. Must not know which provider speaks it. Lines could stand in
//! the order, too; they are uploaded whatever their size, because the results of such an order stand whole in every later look at it, and
//! nothing bounds them: a file of results is read line by line. Source: Google's API reference,
//! <https://ai.google.dev/api/batch-api> and <https://ai.google.dev/api/files>, and its SDK 3.4.0.

use super::form::{
    Carriage, Form, Page, borrowed, encoded, get, json, named, part, post, quoted, read, readable,
    unknown_state, words,
};
use super::upload::{BOUNDARY, file_name};
use super::{BatchApi, BatchRequest, Order, Progress, TheirBatch, TheirEnd, TheirResult, Unreadable, Upload};
use crate::limits::rfc3339;
use crate::preset::Endpoint;
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trunkline_model::dialect::{Dialect, Operation};

/// `google.rpc.Code.CANCELLED`.
const CANCELLED: i64 = 1;

/// How lines ask that are for a vector.
const VECTORS: &str = "embedContent";

/// A request of the moment for vectors.
#[derive(Deserialize)]
struct Vectors<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
}

pub(super) struct Operations;

impl Form for Operations {
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)> {
        match (dialect, operation) {
            (Dialect::Gemini, Operation::Chat) => Some((Endpoint::Chat, "generateContent")),
            (Dialect::Gemini, Operation::Embeddings) => Some((Endpoint::Embeddings, VECTORS)),
            _ => None,
        }
    }

    fn takes(&self, endpoint: &str, body: &dyn Fn() -> Vec<u8>) -> bool {
        // A line is for one vector; a request of the moment may be for many.
        endpoint != VECTORS
            || serde_json::from_slice::<Vectors<'_>>(&body()).is_ok_and(|body| body.requests.len() == 1)
    }

    fn rewritten(
        &self,
        endpoint: &str,
        body: &mut dyn FnMut() -> Bytes,
    ) -> Result<Option<Bytes>, Unreadable> {
        if endpoint != VECTORS {
            return Ok(None);
        }
        let body = body();
        let Vectors { requests } = borrowed(&body)?;
        match requests.as_slice() {
            [request] => Ok(Some(part(&body, request))),
            _ => Err(Unreadable("a line that asks for more than one vector".to_owned())),
        }
    }

    fn frame(&self, _api: &BatchApi, _endpoint: &str, name: &str, _is_first: bool) -> (String, &'static str) {
        (format!("{{\"key\":{},\"request\":", quoted(name)), "}\n")
    }

    fn carriage(&self) -> &'static dyn Carriage {
        &Operations
    }

    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest> {
        let (name, file) = (quoted(&file_name(order.mark)), quoted(&format!("files/{}", order.file?)));
        let place = if order.endpoint == VECTORS { &api.submit_vectors } else { &api.submit };
        let order =
            format!("{{\"batch\":{{\"displayName\":{name},\"inputConfig\":{{\"fileName\":{file}}}}}}}");
        post(place, vec![order.into()])
    }

    fn cancel(&self, api: &BatchApi, id: &str) -> Option<BatchRequest> {
        Some(BatchRequest { method: Method::POST, ..get(&api.batches, &[id], ":cancel", "")? })
    }

    fn list(&self, _api: &BatchApi, cursor: Option<&str>) -> Option<String> {
        match cursor {
            None => Some("pageSize=20".to_owned()),
            Some(cursor) => Some(format!("pageSize=20&pageToken={}", encoded(cursor))),
        }
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
        #[serde(rename_all = "camelCase")]
        struct List {
            // What is empty is left out.
            #[serde(default)]
            operations: Vec<Batch>,
            next_page_token: Option<String>,
        }
        let list: List = json(body)?;
        let next = list.next_page_token.filter(|token| !token.is_empty());
        Ok(Page { batches: readable(list.operations), next })
    }

    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        let fetch = |file: &String| get(&api.files, &[file], ":download", "alt=media");
        batch.results.iter().filter_map(fetch).collect()
    }

    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        #[derive(Deserialize)]
        struct Line<'a> {
            key: String,
            #[serde(borrow)]
            response: Option<&'a RawValue>,
            error: Option<Status>,
        }
        let read: Line<'_> = borrowed(line)?;
        let end = match (read.response, read.error) {
            (Some(response), None) => TheirEnd::Answered(metered(part(line, response)), None),
            (_, Some(Status { code: Some(CANCELLED), .. })) => TheirEnd::NotRun,
            (_, error) => TheirEnd::Failed(words(error.and_then(|error| error.message).as_deref())),
        };
        Ok(TheirResult { name: read.key, end })
    }

    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
        let files = batch.input.iter().chain(&batch.results).map(|file| get(&api.files, &[file], "", ""));
        // The batch goes last: it is what names the files.
        files.chain([get(&api.batches, &[&batch.id], "", "")]).flatten().collect()
    }
}

impl Carriage for Operations {
    fn upload(&self, api: &BatchApi, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{{\"file\":{{\"displayName\":{}}}}}\r\n\
             --{BOUNDARY}\r\nContent-Type: application/jsonl\r\n\r\n",
            quoted(&file_name(mark))
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let content_type = HeaderValue::from_str(&format!("multipart/related; boundary={BOUNDARY}")).ok()?;
        Some(BatchRequest {
            method: Method::POST,
            content_type: Some(content_type),
            headers: &[("x-goog-upload-protocol", "multipart")],
            body: vec![head.into(), lines.clone(), tail.into()],
            ..get(&upload_address(&api.files)?, &[], "", "")?
        })
    }

    fn read_upload(&self, _api: &BatchApi, _mark: &str, body: &[u8]) -> Result<Upload, Unreadable> {
        #[derive(Deserialize)]
        struct Uploaded {
            file: File,
        }
        Ok(Upload { id: file_id(&json::<Uploaded>(body)?.file.name)?, is_ready: true })
    }

    fn uploads(&self, api: &BatchApi, _mark: &str) -> Option<BatchRequest> {
        get(&api.files, &[], "", "pageSize=100")
    }

    fn read_uploads(&self, _api: &BatchApi, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            files: Vec<File>,
        }
        let name = file_name(mark);
        let files = json::<List>(body)?.files.into_iter();
        let ours = files.filter(|file| file.display_name.as_ref() == Some(&name));
        Ok(ours.filter_map(|file| file_id(&file.name).ok()).collect())
    }
}

/// A vector with what it cost where every other answer tells it: a batch tells it as a number beside the vector.
fn metered(response: Bytes) -> Bytes {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted<'a> {
        #[serde(borrow)]
        embedding: &'a RawValue,
        token_count: Value,
    }
    let Ok(Counted { embedding, token_count }) = serde_json::from_slice::<Counted<'_>>(&response) else {
        return response;
    };
    // A number of 64 bits is a text.
    let Some(count) = token_count.as_u64().or_else(|| token_count.as_str()?.parse().ok()) else {
        return response;
    };
    let usage = format!("{{\"promptTokenCount\":{count},\"totalTokenCount\":{count}}}");
    format!("{{\"embedding\":{},\"usageMetadata\":{usage}}}", embedding.get()).into()
}

/// Uploads go to an address of their own: `/upload` stands before the version.
fn upload_address(files: &str) -> Option<String> {
    let (base, collection) = files.rsplit_once('/')?;
    let (before, version) = base.rsplit_once('/')?;
    // A base without a version would put it before the host.
    (!before.ends_with('/')).then(|| format!("{before}/upload/{version}/{collection}"))
}

/// The id in a file's name, `files/ID`.
fn file_id(name: &str) -> Result<String, Unreadable> {
    named(name.strip_prefix("files/").unwrap_or(name))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    name: String,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<i64>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Batch {
    name: String,
    #[serde(default)]
    metadata: Metadata,
    error: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    display_name: Option<String>,
    state: String,
    create_time: Option<String>,
    input_config: Option<Input>,
    output: Option<Output>,
    batch_stats: Option<Stats>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    file_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    responses_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    /// A text: JSON has no integers of this size.
    request_count: Option<Value>,
}

impl TryFrom<Batch> for TheirBatch {
    type Error = Unreadable;

    fn try_from(batch: Batch) -> Result<Self, Unreadable> {
        let Metadata { display_name, state, create_time, input_config, output, batch_stats } = batch.metadata;
        let results = output.and_then(|output| output.responses_file);
        let results: Vec<String> = results.iter().map(|name| file_id(name)).collect::<Result<_, _>>()?;
        let word = state.strip_prefix("BATCH_STATE_").or_else(|| state.strip_prefix("JOB_STATE_"));
        let progress = match word {
            Some("PENDING" | "RUNNING" | "QUEUED" | "UNSPECIFIED") => Progress::Running,
            // The file of the results may come later than the state.
            Some("SUCCEEDED") if results.is_empty() => Progress::Running,
            Some("SUCCEEDED" | "PARTIALLY_SUCCEEDED" | "CANCELLED" | "EXPIRED") => Progress::Ended,
            Some("CANCELLING") => Progress::Stopping,
            Some("FAILED") => {
                Progress::Refused(words(batch.error.and_then(|error| error.message).as_deref()))
            }
            _ => return Err(unknown_state(&state)),
        };
        let input = input_config.and_then(|input| input.file_name);
        let count = batch_stats.and_then(|stats| stats.request_count);
        let count = count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
        let mark = display_name.as_deref().and_then(|name| name.strip_prefix("trunkline-"));
        Ok(Self {
            id: named(batch.name.strip_prefix("batches/").unwrap_or(&batch.name))?,
            progress,
            mark: mark.and_then(|name| name.strip_suffix(".jsonl")).map(str::to_owned),
            created: create_time.as_deref().and_then(rfc3339),
            lines: count.filter(|count| *count > 0),
            results,
            input: input.and_then(|name| file_id(&name).ok()),
        })
    }
}
