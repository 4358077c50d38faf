//! The batch APIs of providers: what is asked of them and what they answer, as bytes.
//!
//! Owns the forms such APIs come in, one module each, and what a preset says of a provider's. Must not send anything, nor know what is
//! in a line beyond its name: requests and answers are bytes that the codecs make and read. An API is described by calls
//! ([`BatchRequest`]), so that whoever sends them needs to know no form.

mod files;
mod inline;

use crate::preset::Endpoint;
use bytes::Bytes;
use http::{HeaderValue, Method, Uri};
use serde::Deserialize;
use trunkline_model::dialect::{Dialect, Operation};

/// What a preset says of its provider's batch API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSupport {
    /// How it is spoken to.
    pub form: BatchForm,
    /// What lines may ask for.
    pub endpoints: Vec<Endpoint>,
    /// Most lines of one batch.
    pub most_lines: usize,
    /// Most bytes of one batch.
    pub most_bytes: usize,
    /// The page that says so.
    pub source: String,
}

/// A form of batch API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchForm {
    /// Lines go up as a file, results come down as files (`/files` and `/batches` of OpenAI).
    Files,
    /// Lines go up in the request, results come down as JSON lines (`/messages/batches` of Anthropic).
    Inline,
}

/// The batch API behind a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchApi {
    form: BatchForm,
    /// The addresses of all batches and all files, without a closing slash.
    batches: String,
    files: String,
    endpoints: Vec<Endpoint>,
    /// Most lines of one batch.
    pub most_lines: usize,
    /// Most bytes of one batch.
    pub most_bytes: usize,
}

/// One call of a batch API, without the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// The method.
    pub method: Method,
    /// Where.
    pub uri: Uri,
    /// What the body is; `None` for calls without one.
    pub content_type: Option<HeaderValue>,
    /// The body, in pieces.
    pub body: Vec<Bytes>,
}

/// A provider's batch as it was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TheirBatch {
    /// Its id there.
    pub id: String,
    /// How far it is.
    pub progress: Progress,
    /// The mark it was made with, where the API keeps one.
    pub mark: Option<String>,
    /// When it was made, in Unix seconds.
    pub created: Option<u64>,
    /// Lines in it, once they are counted.
    pub lines: Option<u64>,
    /// Files of its results, where they are files.
    pub results: Vec<String>,
    /// The file of its lines, where they are a file.
    pub input: Option<String>,
}

/// How far a provider's batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is under way.
    Running,
    /// It was told to stop, and is about to.
    Stopping,
    /// It is over, in whichever way; what was answered can be fetched.
    Ended,
    /// It was refused as a whole: no line was answered.
    Refused(String),
}

/// What came of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TheirResult {
    /// The name it was given.
    pub name: String,
    /// What came of it.
    pub end: TheirEnd,
}

/// What came of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TheirEnd {
    /// The body of the answer, and the provider's name for the request.
    Answered(Bytes, Option<String>),
    /// It was refused or failed; why.
    Failed(String),
    /// It was not begun: the batch was cancelled or its time ran out.
    NotRun,
}

/// An answer of a batch API that is not what its form says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the batch API's answer: {0}")]
pub struct Unreadable(String);

impl Unreadable {
    fn json(error: &serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl BatchApi {
    /// The API a preset describes, `address` giving the address of an endpoint; `None` where it serves no batches.
    pub(crate) fn new(support: &BatchSupport, address: impl Fn(Endpoint) -> Option<String>) -> Option<Self> {
        let address = |endpoint| address(endpoint).map(|address| address.trim_end_matches('/').to_owned());
        let batches = address(Endpoint::Batches)?;
        let files = match support.form {
            BatchForm::Files => address(Endpoint::Files)?,
            BatchForm::Inline => String::new(),
        };
        Some(Self {
            form: support.form,
            batches,
            files,
            endpoints: support.endpoints.clone(),
            most_lines: support.most_lines,
            most_bytes: support.most_bytes,
        })
    }

    /// The name under which lines ask for an operation in a protocol; `None` when the API takes no such lines.
    #[must_use]
    pub fn endpoint(&self, dialect: Dialect, operation: Operation) -> Option<&'static str> {
        let (endpoint, name) = match (self.form, dialect, operation) {
            (BatchForm::Files, Dialect::OpenAi, Operation::Chat) => (Endpoint::Chat, "/v1/chat/completions"),
            (BatchForm::Files, Dialect::Responses, Operation::Chat) => (Endpoint::Responses, "/v1/responses"),
            (BatchForm::Files, Dialect::OpenAi, Operation::Embeddings) => {
                (Endpoint::Embeddings, "/v1/embeddings")
            }
            (BatchForm::Files, Dialect::OpenAi, Operation::Completions) => {
                (Endpoint::Completions, "/v1/completions")
            }
            (BatchForm::Inline, Dialect::Anthropic, Operation::Chat) => (Endpoint::Chat, "/v1/messages"),
            _ => return None,
        };
        self.endpoints.contains(&endpoint).then_some(name)
    }

    /// Appends a line to what is to be submitted.
    pub fn write_line<'b>(
        &self,
        endpoint: &str,
        name: &str,
        body: impl Iterator<Item = &'b [u8]>,
        lines: &mut Vec<u8>,
    ) {
        match self.form {
            BatchForm::Files => files::write_line(endpoint, name, body, lines),
            BatchForm::Inline => inline::write_line(name, body, lines),
        }
    }

    /// The call that must come before [`BatchApi::submit`], where there is one: its answer names the file.
    #[must_use]
    pub fn upload(&self, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        match self.form {
            BatchForm::Files => files::upload(self, mark, lines),
            BatchForm::Inline => None,
        }
    }

    /// The name of an uploaded file.
    ///
    /// # Errors
    /// When the answer names none.
    pub fn read_upload(body: &[u8]) -> Result<String, Unreadable> {
        files::read_upload(body)
    }

    /// The call that begins a batch.
    #[must_use]
    pub fn submit(
        &self,
        mark: &str,
        endpoint: &str,
        file: Option<&str>,
        lines: &Bytes,
    ) -> Option<BatchRequest> {
        match self.form {
            BatchForm::Files => files::submit(self, mark, endpoint, file?),
            BatchForm::Inline => inline::submit(self, lines),
        }
    }

    /// The call that asks how far a batch is.
    #[must_use]
    pub fn look(&self, id: &str) -> Option<BatchRequest> {
        get(&self.batches, &[id], "")
    }

    /// The call that stops a batch.
    #[must_use]
    pub fn cancel(&self, id: &str) -> Option<BatchRequest> {
        let request = get(&self.batches, &[id, "cancel"], "")?;
        Some(BatchRequest { method: Method::POST, ..request })
    }

    /// Reads a batch from the answer to [`BatchApi::submit`], [`BatchApi::look`] or [`BatchApi::cancel`].
    ///
    /// # Errors
    /// When it is none.
    pub fn read(&self, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        match self.form {
            BatchForm::Files => files::read(body),
            BatchForm::Inline => inline::read(body),
        }
    }

    /// The call that lists batches, newest first.
    #[must_use]
    pub fn list(&self, after: Option<&str>) -> Option<BatchRequest> {
        let name = match self.form {
            BatchForm::Files => "after",
            BatchForm::Inline => "after_id",
        };
        match after {
            None => get(&self.batches, &[], "?limit=100"),
            Some(after) if is_plain(after) => get(&self.batches, &[], &format!("?limit=100&{name}={after}")),
            Some(_) => None,
        }
    }

    /// Reads a page of batches, and whether there are more.
    ///
    /// # Errors
    /// When it is no page.
    pub fn read_list(&self, body: &[u8]) -> Result<(Vec<TheirBatch>, bool), Unreadable> {
        match self.form {
            BatchForm::Files => files::read_list(body),
            BatchForm::Inline => inline::read_list(body),
        }
    }

    /// Whether a listed batch was made with a mark: `None` when the API keeps no marks, so that it cannot be told.
    #[must_use]
    pub fn is_marked(&self, batch: &TheirBatch, mark: &str) -> Option<bool> {
        match self.form {
            BatchForm::Files => Some(batch.mark.as_deref() == Some(mark)),
            BatchForm::Inline => None,
        }
    }

    /// The calls that fetch a batch's results: JSON lines.
    #[must_use]
    pub fn results(&self, batch: &TheirBatch) -> Vec<BatchRequest> {
        match self.form {
            BatchForm::Files => {
                batch.results.iter().filter_map(|file| get(&self.files, &[file, "content"], "")).collect()
            }
            // The address in the answer is not followed: the credential goes where the configuration says, and nowhere else.
            BatchForm::Inline => get(&self.batches, &[&batch.id, "results"], "").into_iter().collect(),
        }
    }

    /// Reads a line of results.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        match self.form {
            BatchForm::Files => files::read_result(line),
            BatchForm::Inline => inline::read_result(line),
        }
    }

    /// The calls that delete what a batch left there; one that answers "not found" has nothing left to do.
    #[must_use]
    pub fn discard(&self, batch: &TheirBatch) -> Vec<BatchRequest> {
        let found = match self.form {
            BatchForm::Files => {
                let all = batch.input.iter().chain(&batch.results);
                all.filter_map(|file| get(&self.files, &[file], "")).collect()
            }
            BatchForm::Inline => Vec::from_iter(get(&self.batches, &[&batch.id], "")),
        };
        found.into_iter().map(|request| BatchRequest { method: Method::DELETE, ..request }).collect()
    }

    /// The call that lists uploaded files, where there are any.
    #[must_use]
    pub fn uploads(&self) -> Option<BatchRequest> {
        match self.form {
            BatchForm::Files => get(&self.files, &[], "?purpose=batch&limit=1000"),
            BatchForm::Inline => None,
        }
    }

    /// The files in a list that were uploaded under a mark.
    ///
    /// # Errors
    /// When it is no list.
    pub fn read_uploads(body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        files::read_uploads(body, mark)
    }
}

/// A call without a body; `None` when a part is no plain name, since it would lead elsewhere.
fn get(root: &str, parts: &[&str], query: &str) -> Option<BatchRequest> {
    let mut text = root.to_owned();
    for part in parts {
        if !is_plain(part) {
            return None;
        }
        text.push('/');
        text.push_str(part);
    }
    text.push_str(query);
    Some(BatchRequest { method: Method::GET, uri: text.parse().ok()?, content_type: None, body: Vec::new() })
}

/// Whether a name from outside may stand in a path.
fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(fits)
}

/// Appends a body to a line: line breaks in JSON are blanks between its tokens, since no string holds one.
fn append<'b>(body: impl Iterator<Item = &'b [u8]>, lines: &mut Vec<u8>) {
    for piece in body {
        lines.extend(piece.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    }
}

/// The part of a line that a value of it stands in, without a copy.
fn part(line: &Bytes, value: &serde_json::value::RawValue) -> Bytes {
    line.slice_ref(value.get().as_bytes())
}

#[cfg(test)]
mod tests;
