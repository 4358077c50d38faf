//! The batch APIs of providers: what is asked of them and what they answer, as bytes.
//!
//! Owns the forms such APIs come in, one module each, and what a preset says of a provider's. Must not send anything, nor know what is
//! in a line beyond its name: requests and answers are bytes that the codecs make and read. An API is described by calls
//! ([`BatchRequest`]), so that whoever sends them needs to know no form.

mod bucket;
mod bundles;
mod files;
mod form;
mod inline;
mod invocations;
mod jobs;
mod manner;
mod operations;
mod pages;
mod predictions;
mod upload;

pub use bucket::{BatchStore, Bucket, BucketMistake, BucketSettings, StoreKind, store_refusal};
pub use form::{Page, ResultPage};
pub use manner::Manner;

use crate::preset::Endpoint;
use bucket::Reach;
use bytes::Bytes;
use form::{Form, get};
use http::{HeaderValue, Method, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use trunkline_model::catalogue::{ModelEntry, Rates, Schedule, ServiceTier, TokenClass};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::money::PricePerMillion;

/// What a preset says of its provider's batch API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSupport {
    /// How it is spoken to.
    pub form: BatchForm,
    /// What lines may ask for.
    pub endpoints: Vec<Endpoint>,
    /// Fewest lines of one batch.
    #[serde(default = "one")]
    pub least_lines: usize,
    /// Most lines of one batch.
    pub most_lines: usize,
    /// Most bytes of one batch.
    pub most_bytes: usize,
    /// The store it reads lines from and writes results to, where that is a bucket of the user.
    pub store: Option<BatchStore>,
    /// That bucket. The configuration's, never a preset's; without one the API is not used.
    #[serde(skip)]
    pub bucket: Option<Bucket>,
    /// The path at which batches are made, `{model}` standing for the model, where that is not where they are looked at.
    pub submit: Option<String>,
    /// The same for batches of vectors, where those are made elsewhere.
    pub submit_embeddings: Option<String>,
    /// How its files and batches differ from the form `files`.
    #[serde(default)]
    pub manner: Manner,
    /// Whether batches are answered by deployments of their own, which answer nothing else: lines go to those the configuration names.
    #[serde(default)]
    pub apart: bool,
    /// Those deployments, by the names under which models are served otherwise. The configuration's, never a preset's.
    #[serde(skip)]
    pub deployments: BTreeMap<String, String>,
    /// What a line costs, in percent of a request by itself, where the provider says so of all its models or of some. A price that the catalogue
    /// states for a model goes before.
    pub percent: Option<u8>,
    /// The models of which it says so; all where there are none.
    #[serde(default)]
    pub percent_of: Vec<String>,
    /// The page that says so.
    pub source: String,
}

impl BatchSupport {
    /// States the price of batches for a model that has none, where the provider has one share for all of them: of what goes in and
    /// comes out. What a cache saves on top nobody says.
    pub fn price(&self, entry: &mut ModelEntry) {
        let Some(percent) = self.percent else { return };
        if !self.percent_of.is_empty() && !self.percent_of.iter().any(|model| model == entry.model()) {
            return;
        }
        if entry.prices.service(ServiceTier::Batch).is_some_and(|schedule| !schedule.is_empty()) {
            return;
        }
        let share = |price: PricePerMillion| {
            PricePerMillion(u64::try_from(u128::from(price.0) * u128::from(percent) / 100).unwrap_or(price.0))
        };
        let reduced = |rates: &Rates| -> Rates {
            let plain =
                rates.stated().filter(|(class, _)| matches!(class, TokenClass::Input | TokenClass::Output));
            plain.map(|(class, price)| (class, share(price))).collect()
        };
        let standard = &entry.prices.standard;
        let above = standard.above.iter().map(|(threshold, rates)| (*threshold, reduced(rates)));
        let schedule = Schedule { base: reduced(&standard.base), above: above.collect() };
        if !schedule.is_empty() {
            *entry.prices.service_mut(ServiceTier::Batch) = schedule;
        }
    }
}

/// A form of batch API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchForm {
    /// Lines go up as a file, results come down as files (`/files` and `/batches` of OpenAI).
    Files,
    /// Lines go up in the request, results come down as JSON lines (`/messages/batches` of Anthropic).
    Inline,
    /// Lines go up as a file, a long-running operation answers them with one (`:batchGenerateContent` of Gemini).
    Operations,
    /// Lines go up as a file, a job for one model answers them with files (`/batch/jobs` of Mistral).
    Jobs,
    /// Lines go up as a file, results come down as pages of a list (`/batches/{id}/results` of xAI).
    Pages,
    /// Lines go up in the request, results come down in the batch itself (`/batches` of OpenRouter).
    Bundles,
    /// Lines go into a bucket, a job invokes one model for each and writes beside them (`/model-invocation-job` of Bedrock).
    Invocations,
    /// The same with jobs that predict (`/batchPredictionJobs` of Vertex).
    Predictions,
}

impl BatchForm {
    /// Whether lines go up as files.
    #[must_use]
    pub const fn needs_files(self) -> bool {
        !matches!(self, Self::Inline | Self::Bundles) && !self.needs_bucket()
    }

    /// Whether lines go into a bucket of the user.
    #[must_use]
    pub const fn needs_bucket(self) -> bool {
        matches!(self, Self::Invocations | Self::Predictions)
    }

    fn form(self) -> &'static dyn Form {
        match self {
            Self::Files => &files::Files,
            Self::Inline => &inline::Inline,
            Self::Operations => &operations::Operations,
            Self::Jobs => &jobs::Jobs,
            Self::Pages => &pages::Pages,
            Self::Bundles => &bundles::Bundles,
            Self::Invocations => &invocations::Invocations,
            Self::Predictions => &predictions::Predictions,
        }
    }
}

/// The batch API behind a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchApi {
    form: BatchForm,
    /// The addresses of all batches, of where they are made, and of all files, without a closing slash.
    batches: String,
    submit: String,
    submit_vectors: String,
    files: String,
    /// Where files are uploaded.
    upload: String,
    manner: Manner,
    /// The model that lines ask for, as the provider names it.
    model: String,
    /// The path at which requests of the moment name it, up to the verb, without an opening slash.
    resource: String,
    /// Whether that is another than requests of the moment ask for.
    is_apart: bool,
    endpoints: Vec<Endpoint>,
    bucket: Option<Reach>,
    /// Fewest lines of one batch.
    pub least_lines: usize,
    /// Most lines of one batch.
    pub most_lines: usize,
    /// Most bytes of one batch.
    pub most_bytes: usize,
    /// How long a batch may take, in seconds.
    pub window: u64,
}

/// Whom a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The batch API itself.
    Api,
    /// The store that holds its lines and results.
    Store,
}

/// One call of a batch API, without the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// Whom it goes to.
    pub service: Service,
    /// The method.
    pub method: Method,
    /// Where.
    pub uri: Uri,
    /// What the body is; `None` for calls without one.
    pub content_type: Option<HeaderValue>,
    /// Headers that it has besides, names and values.
    pub headers: &'static [(&'static str, &'static str)],
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

impl TheirBatch {
    /// A batch that was never made: what was uploaded for it may be left.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            id: String::new(),
            progress: Progress::Ended,
            mark: None,
            created: None,
            lines: None,
            results: Vec::new(),
            input: None,
        }
    }
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

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// Whether a batch may be made of it already.
    pub is_ready: bool,
}

/// What is submitted.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// What it is found by again.
    pub mark: &'a str,
    /// The name under which its lines ask.
    pub endpoint: &'a str,
    /// The file of its lines, where they were uploaded.
    pub file: Option<&'a str>,
    /// The lines.
    pub lines: &'a Bytes,
}

impl BatchApi {
    /// The API a preset describes, for one model: `paths` gives the path of an endpoint below `base`; `None` where it serves no batches.
    pub(crate) fn new<'p>(
        support: &BatchSupport,
        base: &str,
        model: (&str, &str),
        region: Option<&str>,
        paths: impl Fn(Endpoint) -> Option<&'p str>,
    ) -> Option<Self> {
        let (model, encoded) = model;
        let model = if support.apart { support.deployments.get(model)?.as_str() } else { model };
        let address = |path: &str| format!("{base}{}", path.trim_end_matches('/'));
        let batches = address(paths(Endpoint::Batches)?);
        let files = if support.form.needs_files() { address(paths(Endpoint::Files)?) } else { String::new() };
        let bucket = match (support.form.needs_bucket(), &support.store, &support.bucket) {
            (true, Some(store), Some(bucket)) => Some(Reach::new(store, bucket, region)?),
            (true, ..) => return None,
            (false, ..) => None,
        };
        let made_at = |path: &String| address(&path.replace("{model}", encoded));
        let submit = support.submit.as_ref().map_or_else(|| batches.clone(), made_at);
        let submit_vectors = support.submit_embeddings.as_ref().map_or_else(|| submit.clone(), made_at);
        let manner = support.manner.clone();
        Some(Self {
            form: support.form,
            submit,
            submit_vectors,
            batches,
            upload: manner.upload.as_ref().map_or_else(|| files.clone(), |path| address(path)),
            files,
            window: manner.window.saturating_mul(3_600),
            manner,
            resource: resource(paths(Endpoint::Chat).unwrap_or_default(), model),
            model: model.to_owned(),
            is_apart: support.apart,
            endpoints: support.endpoints.clone(),
            bucket,
            least_lines: support.least_lines,
            most_lines: support.most_lines,
            most_bytes: support.most_bytes,
        })
    }

    fn form(&self) -> &'static dyn Form {
        self.form.form()
    }

    /// The name under which lines ask for an operation in a protocol; `None` when the API takes no such lines.
    #[must_use]
    pub fn endpoint(&self, dialect: Dialect, operation: Operation) -> Option<&'static str> {
        let (endpoint, name) = self.form().asks(dialect, operation)?;
        self.endpoints.contains(&endpoint).then_some(name)
    }

    /// The body of a line, where it is not that of a request of the moment: because another deployment answers it, or because a line asks in
    /// other words.
    ///
    /// # Errors
    /// When the body is none that can be changed so.
    pub fn addressed<'b>(
        &self,
        endpoint: &str,
        body: impl Iterator<Item = &'b [u8]>,
    ) -> Result<Option<Vec<Bytes>>, Unreadable> {
        #[derive(Deserialize)]
        struct Asked<'a> {
            #[serde(borrow)]
            model: &'a RawValue,
        }
        let mut body = Some(body);
        let mut whole = || -> Bytes {
            let body: Vec<u8> = body.take().into_iter().flatten().flatten().copied().collect();
            body.into()
        };
        if !self.is_apart {
            return Ok(self.form().rewritten(endpoint, &mut whole)?.map(|body| vec![body]));
        }
        let whole = whole();
        let asked: Asked<'_> = form::borrowed(&whole)?;
        let model = form::part(&whole, asked.model);
        let start = model.as_ptr() as usize - whole.as_ptr() as usize;
        let name = Bytes::from(form::quoted(&self.model).to_string());
        Ok(Some(vec![whole.slice(..start), name, whole.slice(start + model.len()..)]))
    }

    /// Whether a line may have this body: what one request is answered, not every batch is.
    #[must_use]
    pub fn takes(&self, endpoint: &str, body: &dyn Fn() -> Vec<u8>) -> bool {
        self.form().takes(endpoint, body)
    }

    /// Appends a line to what is to be submitted.
    pub fn write_line<'b>(
        &self,
        endpoint: &str,
        name: &str,
        body: impl Iterator<Item = &'b [u8]>,
        lines: &mut Vec<u8>,
    ) {
        let (head, tail) = self.form().frame(self, endpoint, name, lines.is_empty());
        lines.extend_from_slice(head.as_bytes());
        let start = lines.len();
        append(body, lines);
        let opening = lines[start..].iter().position(|byte| *byte == b'{');
        if let (Some(at), Some(inside)) = (opening, self.form().inside(endpoint, name)) {
            let at = start + at + 1;
            lines.splice(at..at, inside.into_bytes());
        }
        lines.extend_from_slice(tail.as_bytes());
    }

    /// The call that uploads lines, where they are uploaded.
    #[must_use]
    pub fn upload(&self, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        self.form().carriage().upload(self, mark, lines)
    }

    /// Reads the file that was uploaded under a mark from the answer to [`BatchApi::upload`] or [`BatchApi::look_at_upload`].
    ///
    /// # Errors
    /// When the answer names none.
    pub fn read_upload(&self, mark: &str, body: &[u8]) -> Result<Upload, Unreadable> {
        self.form().carriage().read_upload(self, mark, body)
    }

    /// The call that asks whether an uploaded file is ready.
    #[must_use]
    pub fn look_at_upload(&self, file: &str) -> Option<BatchRequest> {
        get(&self.files, &[file], "", "")
    }

    /// The call that makes a batch; `None` when the file it needs is missing.
    #[must_use]
    pub fn submit(&self, order: &Order<'_>) -> Option<BatchRequest> {
        self.form().submit(self, order)
    }

    /// The call that asks how far a batch is.
    #[must_use]
    pub fn look(&self, id: &str) -> Option<BatchRequest> {
        get(&self.batches, &[id], "", "")
    }

    /// The call that stops a batch; `None` where nothing does.
    #[must_use]
    pub fn cancel(&self, id: &str) -> Option<BatchRequest> {
        self.form().cancel(self, id)
    }

    /// How long after it was made a batch may not be found, in seconds.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        self.form().unseen()
    }

    /// Reads a batch from the answer to [`BatchApi::submit`] or [`BatchApi::look`].
    ///
    /// # Errors
    /// When it is none.
    pub fn read(&self, body: &[u8]) -> Result<TheirBatch, Unreadable> {
        self.form().read(self, body)
    }

    /// The call that lists batches, from the first page on or from [`Page::next`].
    #[must_use]
    pub fn list(&self, cursor: Option<&str>) -> Option<BatchRequest> {
        get(&self.form().listed_at(self), &[], "", &self.form().list(self, cursor)?)
    }

    /// Whether the list begins with the newest, so that one need not read on behind an old one.
    #[must_use]
    pub fn is_newest_first(&self) -> bool {
        self.form().is_newest_first()
    }

    /// Reads a page of batches, the one at `cursor`.
    ///
    /// # Errors
    /// When it is no page.
    pub fn read_page(&self, body: &[u8], cursor: Option<&str>) -> Result<Page, Unreadable> {
        self.form().read_page(self, body, cursor)
    }

    /// Whether a listed batch was made with a mark: `None` when the API keeps no marks, so that it cannot be told.
    #[must_use]
    pub fn is_marked(&self, batch: &TheirBatch, mark: &str) -> Option<bool> {
        self.form().keeps_marks().then(|| batch.mark.as_deref() == Some(mark))
    }

    /// Whether results are objects beside the lines, which only a look at [`BatchApi::uploads`] shows.
    #[must_use]
    pub fn leaves_objects(&self) -> bool {
        self.form().carriage().leaves_objects()
    }

    /// The calls that fetch a batch's results: JSON lines.
    #[must_use]
    pub fn results(&self, batch: &TheirBatch) -> Vec<BatchRequest> {
        self.form().results(self, batch)
    }

    /// Whether results come as pages ([`BatchApi::read_result_page`]) instead of lines.
    #[must_use]
    pub fn has_result_pages(&self) -> bool {
        self.form().has_result_pages()
    }

    /// Reads a page of a batch's results.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_result_page(&self, batch: &TheirBatch, body: &Bytes) -> Result<ResultPage, Unreadable> {
        self.form().read_result_page(self, batch, body)
    }

    /// Reads a line of results.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable> {
        self.form().read_result(line)
    }

    /// The calls that delete what a batch left there, itself last; one that answers "not found" has nothing left to do.
    #[must_use]
    pub fn discard(&self, batch: &TheirBatch) -> Vec<BatchRequest> {
        let found = self.form().remains(self, batch);
        found.into_iter().map(|request| BatchRequest { method: Method::DELETE, ..request }).collect()
    }

    /// The call that lists uploaded files, those of a mark among them, where there are any.
    #[must_use]
    pub fn uploads(&self, mark: &str) -> Option<BatchRequest> {
        self.form().carriage().uploads(self, mark)
    }

    /// The files in a list that were uploaded under a mark.
    ///
    /// # Errors
    /// When it is no list.
    pub fn read_uploads(&self, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        self.form().carriage().read_uploads(self, body, mark)
    }
}

/// The name of a model as a resource, from the path of an endpoint that it serves.
fn resource(path: &str, model: &str) -> String {
    let (place, _) = path.split_once(':').unwrap_or((path, ""));
    place.trim_start_matches('/').replace("{model}", model)
}

/// Serde wants a function for a default of 1.
const fn one() -> usize {
    1
}

/// Appends a body to a line: line breaks in JSON are blanks between its tokens, since no string holds one.
fn append<'b>(body: impl Iterator<Item = &'b [u8]>, lines: &mut Vec<u8>) {
    for piece in body {
        lines.extend(piece.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    }
}

#[cfg(test)]
mod tests;
