//! What the forms of batch APIs have in common, and what each must say of itself.
//!
//! Owns the seam between [`super::BatchApi`] and the forms, and what all of them do alike: addresses made of names from outside, batches
//! and lists read from JSON, lines put around bodies that are not copied. Must not know any form.

use super::{BatchApi, BatchRequest, Order, Service, TheirBatch, TheirResult, Unreadable, Upload};
use crate::preset::Endpoint;
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use trunkline_model::dialect::{Dialect, Operation};

/// A form: where it differs from the others. Whatever comes from outside may be nonsense.
pub(super) trait Form: Sync {
    /// The endpoint that lines of a kind ask for, and the name under which they do.
    fn asks(&self, dialect: Dialect, operation: Operation) -> Option<(Endpoint, &'static str)>;

    /// Whether a line of an endpoint may have a body, which is put together when it is asked for.
    fn takes(&self, _endpoint: &str, _body: &dyn Fn() -> Vec<u8>) -> bool {
        true
    }

    /// The body of a line, where it is not that of a request of the moment, which is put together when it is asked for; of one that
    /// [`Form::takes`].
    fn rewritten(
        &self,
        _endpoint: &str,
        _body: &mut dyn FnMut() -> Bytes,
    ) -> Result<Option<Bytes>, Unreadable> {
        Ok(None)
    }

    /// What stands before a line's body, and behind it.
    fn frame(&self, api: &BatchApi, endpoint: &str, name: &str, is_first: bool) -> (String, &'static str);

    /// What a line's name adds to its body, as members before those that are there, with a comma behind each.
    fn inside(&self, _endpoint: &str, _name: &str) -> Option<String> {
        None
    }

    /// How its lines get to the provider.
    fn carriage(&self) -> &'static dyn Carriage;

    /// See [`BatchApi::submit`].
    fn submit(&self, api: &BatchApi, order: &Order<'_>) -> Option<BatchRequest>;

    /// See [`BatchApi::cancel`].
    fn cancel(&self, api: &BatchApi, id: &str) -> Option<BatchRequest> {
        Some(BatchRequest { method: Method::POST, ..get(&api.batches, &[id, "cancel"], "", "")? })
    }

    /// See [`BatchApi::unseen`].
    fn unseen(&self) -> u64 {
        0
    }

    /// Where batches are listed.
    fn listed_at(&self, api: &BatchApi) -> String {
        api.batches.clone()
    }

    /// The query of a list of batches, and of its page behind a cursor.
    fn list(&self, api: &BatchApi, cursor: Option<&str>) -> Option<String>;

    /// See [`BatchApi::is_newest_first`].
    fn is_newest_first(&self) -> bool {
        true
    }

    /// See [`BatchApi::read`].
    fn read(&self, api: &BatchApi, body: &[u8]) -> Result<TheirBatch, Unreadable>;

    /// See [`BatchApi::read_page`].
    fn read_page(&self, api: &BatchApi, body: &[u8], cursor: Option<&str>) -> Result<Page, Unreadable>;

    /// Whether a batch tells the mark it was made with.
    fn keeps_marks(&self) -> bool {
        true
    }

    /// See [`BatchApi::results`].
    fn results(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest>;

    /// See [`BatchApi::has_result_pages`].
    fn has_result_pages(&self) -> bool {
        false
    }

    /// See [`BatchApi::read_result_page`].
    fn read_result_page(
        &self,
        _api: &BatchApi,
        _batch: &TheirBatch,
        _body: &Bytes,
    ) -> Result<ResultPage, Unreadable> {
        Err(Unreadable("a page of results, where there are lines".to_owned()))
    }

    /// See [`BatchApi::read_result`].
    fn read_result(&self, line: &Bytes) -> Result<TheirResult, Unreadable>;

    /// What a batch leaves at the provider, as calls to look at it.
    fn remains(&self, api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest>;
}

/// How lines get to a provider before they are ordered, and are found there again: several forms have one way.
pub(super) trait Carriage: Sync {
    /// See [`BatchApi::upload`].
    fn upload(&self, api: &BatchApi, mark: &str, lines: &Bytes) -> Option<BatchRequest>;

    /// See [`BatchApi::read_upload`].
    fn read_upload(&self, api: &BatchApi, mark: &str, body: &[u8]) -> Result<Upload, Unreadable>;

    /// See [`BatchApi::uploads`].
    fn uploads(&self, api: &BatchApi, mark: &str) -> Option<BatchRequest>;

    /// See [`BatchApi::read_uploads`].
    fn read_uploads(&self, api: &BatchApi, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable>;

    /// See [`BatchApi::leaves_objects`].
    fn leaves_objects(&self) -> bool {
        false
    }
}

/// A page of a provider's batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The batches whose state is known; one that nobody knows is another's.
    pub batches: Vec<TheirBatch>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A page of a batch's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPage {
    /// The results, each of which may be none.
    pub results: Vec<Result<TheirResult, Unreadable>>,
    /// The call for the next page, if there is one.
    pub next: Option<BatchRequest>,
}

/// Reads a batch.
pub(super) fn read<B>(body: &[u8]) -> Result<TheirBatch, Unreadable>
where
    B: DeserializeOwned + TryInto<TheirBatch, Error = Unreadable>,
{
    json::<B>(body)?.try_into()
}

/// Those of a list that can be read: what cannot be is another's, ours are read one by one.
pub(super) fn readable<B>(batches: Vec<B>) -> Vec<TheirBatch>
where
    B: TryInto<TheirBatch, Error = Unreadable>,
{
    batches.into_iter().filter_map(|batch| batch.try_into().ok()).collect()
}

/// Reads JSON.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))
}

/// Reads JSON whose texts are shares of it.
pub(super) fn borrowed<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))
}

/// A state that the form does not know.
pub(super) fn unknown_state(state: &str) -> Unreadable {
    Unreadable(format!("the unknown status `{}`", shown(state, 40)))
}

/// A name that may stand in a path.
pub(super) fn named(id: &str) -> Result<String, Unreadable> {
    if is_plain(id) { Ok(id.to_owned()) } else { Err(Unreadable("an id that is no plain name".to_owned())) }
}

/// Words of a provider, of a bounded length.
pub(super) fn words(words: Option<&str>) -> String {
    shown(words.unwrap_or("no reason was given"), 300)
}

fn shown(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A call that sends JSON to `root`, in pieces that are not copied.
pub(super) fn post(root: &str, body: Vec<Bytes>) -> Option<BatchRequest> {
    Some(BatchRequest {
        method: Method::POST,
        content_type: Some(HeaderValue::from_static("application/json")),
        body,
        ..get(root, &[], "", "")?
    })
}

/// A call without a body, to the parts below `root`, with a verb behind them and a query besides the one that `root` may have; `None` when
/// a part is no plain name, since it would lead elsewhere.
pub(super) fn get(root: &str, parts: &[&str], verb: &str, query: &str) -> Option<BatchRequest> {
    let (path, fixed) = root.split_once('?').unwrap_or((root, ""));
    let mut text = path.to_owned();
    for part in parts {
        if !is_plain(part) {
            return None;
        }
        text.push('/');
        text.push_str(part);
    }
    text.push_str(verb);
    for (at, query) in [fixed, query].into_iter().filter(|query| !query.is_empty()).enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(query);
    }
    let (method, uri) = (Method::GET, text.parse().ok()?);
    let service = Service::Api;
    Some(BatchRequest { service, method, uri, content_type: None, headers: &[], body: Vec::new() })
}

/// Whether a name from outside may stand in a path.
pub(super) fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(fits)
}

/// The part of a line that a value of it stands in, without a copy.
pub(super) fn part(line: &Bytes, value: &RawValue) -> Bytes {
    line.slice_ref(value.get().as_bytes())
}

/// A text as it stands in a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> Value {
    Value::from(text)
}
