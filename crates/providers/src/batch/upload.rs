//! Files that carry lines up and results down.
//!
//! Owns the upload's form, which three forms of batch API share, and the lines of their results. Must not know what a batch is. Source:
//! OpenAI's API reference, <https://platform.openai.com/docs/api-reference/files>; Mistral's is the same, <https://docs.mistral.ai/api>.

use super::form::{Carriage, borrowed, get, is_plain, json, named, part, quoted, words};
use super::{BatchApi, BatchRequest, TheirBatch, TheirEnd, TheirResult, Unreadable, Upload};
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What separates the parts of an upload. Lines cannot hold it: it stands behind a line break, and theirs are each followed by `{`.
pub(super) const BOUNDARY: &str = "trunkline-lines-of-a-batch";

/// The name of the file that a mark's lines are in.
pub(super) fn file_name(mark: &str) -> String {
    format!("trunkline-{mark}.jsonl")
}

/// Lines uploaded as a form.
pub(super) struct AsForm {
    /// The query of a list of files, those of a mark among them.
    pub(super) list: fn(&BatchApi, &str) -> Option<String>,
}

impl Carriage for AsForm {
    fn upload(&self, api: &BatchApi, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        let name = file_name(mark);
        let mut head = String::new();
        let mut field = |name: &str, value: &str| {
            head.push_str(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        };
        field("purpose", &api.manner.purpose);
        if api.manner.names_files {
            field("file_name", &name);
        }
        head.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/jsonl\r\n\r\n"
        ));
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let content_type =
            HeaderValue::from_str(&format!("multipart/form-data; boundary={BOUNDARY}")).ok()?;
        Some(BatchRequest {
            method: Method::POST,
            content_type: Some(content_type),
            body: vec![head.into(), lines.clone(), tail.into()],
            ..get(&api.upload, &[], "", "")?
        })
    }

    fn read_upload(&self, _api: &BatchApi, _mark: &str, body: &[u8]) -> Result<Upload, Unreadable> {
        let file: File = json(body)?;
        // Azure looks through a file after it took it.
        let is_ready = !matches!(file.status.as_deref(), Some("notRunning" | "pending" | "running"));
        Ok(Upload { id: named(&file.id)?, is_ready })
    }

    fn uploads(&self, api: &BatchApi, mark: &str) -> Option<BatchRequest> {
        get(&api.files, &[], "", &(self.list)(api, mark)?)
    }

    fn read_uploads(&self, _api: &BatchApi, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<File>,
        }
        let name = file_name(mark);
        let files = json::<List>(body)?.data.into_iter();
        let ours = files.filter(|file| file.filename.as_ref() == Some(&name));
        Ok(ours.map(|file| file.id).filter(|id| is_plain(id)).collect())
    }
}

/// What stands before a line's body that says where it goes, and behind it.
pub(super) fn framed(name: &str, endpoint: &str) -> (String, &'static str) {
    let (name, endpoint) = (quoted(name), quoted(endpoint));
    (format!("{{\"custom_id\":{name},\"method\":\"POST\",\"url\":{endpoint},\"body\":"), "}\n")
}

/// The same of one that is a name and a body only.
pub(super) fn bare(name: &str) -> (String, &'static str) {
    (format!("{{\"custom_id\":{},\"body\":", quoted(name)), "}\n")
}

#[derive(Deserialize)]
struct File {
    id: String,
    filename: Option<String>,
    status: Option<String>,
}

/// The calls that fetch the files of a batch's results.
pub(super) fn results(api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
    batch.results.iter().filter_map(|file| get(&api.files, &[file, "content"], "", "")).collect()
}

/// The files of a batch, as calls to look at them.
pub(super) fn files(api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
    let all = batch.input.iter().chain(&batch.results);
    all.filter_map(|file| get(&api.files, &[file], "", "")).collect()
}

/// Reads a line of results that tells status and body of an answer.
pub(super) fn read_result(line: &Bytes) -> Result<TheirResult, Unreadable> {
    #[derive(Deserialize)]
    struct Line<'a> {
        custom_id: String,
        #[serde(borrow)]
        response: Option<Response<'a>>,
        error: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Response<'a> {
        status_code: u16,
        request_id: Option<String>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
    }
    let read: Line<'_> = borrowed(line)?;
    let end = match (read.response, read.error) {
        (Some(Response { status_code: 200, request_id, body: Some(body) }), None) => {
            TheirEnd::Answered(part(line, body), request_id)
        }
        (Some(response), _) => {
            let body = response.body.map_or("", RawValue::get);
            let shown: String = body.chars().take(300).collect();
            TheirEnd::Failed(format!("HTTP {}: {shown}", response.status_code))
        }
        (None, error) => {
            let word = |name: &str| error.as_ref().and_then(|error| error.get(name)?.as_str());
            match word("code") {
                Some("batch_expired" | "batch_cancelled") => TheirEnd::NotRun,
                code => TheirEnd::Failed(words(word("message").or(code))),
            }
        }
    };
    Ok(TheirResult { name: read.custom_id, end })
}
