//! The steps of a renewal, done: files read, addresses called, both bounded in size and time.
//!
//! Owns nothing between steps. Must not interpret what it read.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};
use tokio::io::AsyncReadExt;
use trunkline_model::credential::{Answer, CredentialSource, Fetch, Issued, Step};
use trunkline_model::secret::Secret;

use crate::{RequestBody, Transport, UpstreamRequest};

/// The most bytes of a file or a response.
const LARGEST: usize = 64 * 1024;
/// The most steps of one renewal.
const MOST_STEPS: usize = 16;
/// The most a file may take.
const FILE_PATIENCE: Duration = Duration::from_secs(5);

/// Obtains a credential, or says why not.
pub(super) async fn obtain(
    transport: &Transport,
    source: &dyn CredentialSource,
    now: fn() -> u64,
) -> Result<Issued, String> {
    let mut renewal = source.renewal();
    let mut answer = Answer::Start;
    for _ in 0..MOST_STEPS {
        answer = match renewal.next(answer, now()) {
            Step::Read(path) => read(&path).await,
            Step::Fetch(fetch) => call(transport, fetch).await,
            Step::Done(issued) => return Ok(issued),
            Step::Failed(reason) => return Err(reason),
        };
    }
    Err(format!("no credential after {MOST_STEPS} steps"))
}

async fn read(path: &str) -> Answer {
    let reading = async {
        let file = tokio::fs::File::open(path).await?;
        let mut text = String::new();
        file.take(LARGEST as u64).read_to_string(&mut text).await?;
        std::io::Result::Ok(text)
    };
    match tokio::time::timeout(FILE_PATIENCE, reading).await {
        Ok(Ok(text)) => Answer::File(Secret::new(text)),
        Ok(Err(error)) => Answer::Unavailable(format!("failed to read {path}: {error}")),
        Err(_) => Answer::Unavailable(format!("failed to read {path}: it takes too long")),
    }
}

async fn call(transport: &Transport, fetch: Fetch) -> Answer {
    let (url, patience) = (fetch.url.clone(), fetch.patience);
    match tokio::time::timeout(patience, exchange(transport, fetch)).await {
        Ok(Ok((status, body))) => Answer::Response { status, body },
        Ok(Err(reason)) => Answer::Unavailable(format!("failed to call {url}: {reason}")),
        Err(_) => Answer::Unavailable(format!("failed to call {url}: no answer within {patience:?}")),
    }
}

async fn exchange(transport: &Transport, fetch: Fetch) -> Result<(u16, Secret), String> {
    let method = Method::from_bytes(fetch.method.as_bytes()).map_err(|error| error.to_string())?;
    let uri: Uri = fetch.url.parse().map_err(|_| "it is not a URL".to_owned())?;
    let body = Bytes::copy_from_slice(fetch.body.expose().as_bytes());
    let mut request = UpstreamRequest::new(method, uri, RequestBody::from(body));
    request.connect_timeout = Some(fetch.patience);
    for (name, value) in &fetch.headers {
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| format!("the value of `{name}` fits into no header"))?;
        value.set_sensitive(true);
        request.headers.insert(HeaderName::from_static(name), value);
    }
    let mut response = transport.send(request).await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.body.chunk().await {
        bytes.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
        if bytes.len() > LARGEST {
            return Err(format!("its answer has more than {LARGEST} bytes"));
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "its answer is not text".to_owned())?;
    Ok((response.status.as_u16(), Secret::new(text)))
}
