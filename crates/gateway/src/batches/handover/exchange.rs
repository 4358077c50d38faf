//! One call of a provider's batch API.
//!
//! Owns its limits in time and size, and the one question that matters when it fails: may the provider have done what it was asked? Must
//! not know what is asked. A refusal does not count against the deployment's health: requests of the moment have limits of their own.

use super::backoff;
use crate::attempt::{body_failure, send_failure};
use crate::clock;
use crate::patience;
use crate::state::Gateway;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use std::time::Duration;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_net::{RequestBody, UpstreamBody, UpstreamRequest};
use trunkline_providers::batch::{BatchRequest, Service};
use trunkline_providers::upstream::Upstream;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest wait for the head of an answer: an upload is read whole before it is answered.
const HEAD: Duration = Duration::from_secs(120);
/// The longest silence inside of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// The largest answer that is read whole: a page of batches or files.
const LARGEST: usize = 16 << 20;

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What went wrong.
    pub(super) failure: Failure,
    /// The provider may have done what it was asked.
    pub(super) may_be_done: bool,
}

impl Trouble {
    /// There is nothing of that name there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.failure.status, Some(404 | 410))
    }

    /// How long to wait before the next try.
    pub(super) fn wait(&self, troubles: u32) -> Duration {
        backoff(troubles, self.failure.retry_after)
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self { failure: Failure::new(FailureClass::Malformed, message.into()), may_be_done: true }
    }
}

/// Makes a call; `None` stands for one that cannot be made, because a name from outside would lead elsewhere.
pub(super) async fn call(
    gateway: &Gateway,
    upstream: &Upstream,
    request: Option<BatchRequest>,
    more: &HeaderMap,
) -> Result<UpstreamBody, Trouble> {
    let Some(request) = request else {
        let failure = Failure::new(FailureClass::Malformed, "a name the provider gave fits into no address");
        return Err(Trouble { failure, may_be_done: false });
    };
    let mut outgoing =
        UpstreamRequest::new(request.method, request.uri, RequestBody::from_pieces(request.body));
    let service = request.service;
    let signing = match service {
        Service::Api => {
            outgoing.headers.clone_from(&upstream.headers);
            for (name, value) in more {
                outgoing.headers.insert(name, HeaderValue::clone(value));
            }
            &upstream.signing
        }
        // What is said to the provider is none of the store's business.
        Service::Store => {
            outgoing.headers.clone_from(&upstream.store_headers);
            &upstream.store_signing
        }
    };
    for (name, value) in request.headers {
        outgoing.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    match request.content_type {
        Some(content_type) => outgoing.headers.insert(CONTENT_TYPE, content_type),
        None => outgoing.headers.remove(CONTENT_TYPE),
    };
    outgoing.connect_timeout = Some(CONNECT);
    outgoing.headers_timeout = Some(HEAD);
    if let Some(signing) = signing {
        crate::sign::sign(gateway, signing, &mut outgoing, CONNECT)
            .await
            .map_err(|failure| Trouble { failure, may_be_done: false })?;
    }
    let response = gateway
        .transport
        .send(outgoing)
        .await
        .map_err(|error| Trouble { failure: send_failure(&error), may_be_done: !error.is_unprocessed() })?;
    if response.status.is_success() {
        return Ok(response.body);
    }
    let status = response.status;
    let told = read(response.body, 64 * 1024).await.unwrap_or_default();
    let (code, now) = (status.as_u16(), clock::unix_seconds());
    let failure = match service {
        Service::Api => upstream.failure(code, &response.headers, &told, now),
        // A bucket that may not be used says nothing about the credential, which requests of the moment live on.
        Service::Store => upstream.store_failure(code, &response.headers, &told, now),
    };
    let rejected = service == Service::Api && failure.class == FailureClass::Credentials;
    if let Some(signing) = signing.as_ref().filter(|_| rejected) {
        gateway.credentials.rejected(&signing.source);
    }
    // What answers for a provider that is down may have let the request through to it.
    let may_be_done = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    Err(Trouble { failure, may_be_done })
}

/// Makes a call whose answer is small.
pub(super) async fn whole(
    gateway: &Gateway,
    upstream: &Upstream,
    request: Option<BatchRequest>,
    more: &HeaderMap,
) -> Result<Bytes, Trouble> {
    whole_within(gateway, upstream, request, more, LARGEST).await
}

/// Makes a call whose answer is of so many bytes at the most.
pub(super) async fn whole_within(
    gateway: &Gateway,
    upstream: &Upstream,
    request: Option<BatchRequest>,
    more: &HeaderMap,
    most: usize,
) -> Result<Bytes, Trouble> {
    let body = call(gateway, upstream, request, more).await?;
    read(body, most).await.map_err(|failure| Trouble { failure, may_be_done: true })
}

async fn read(mut body: UpstreamBody, most: usize) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = next(&mut body).await? {
        if whole.len() + chunk.len() > most {
            return Err(Failure::new(FailureClass::Malformed, "the provider's answer is far too large"));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// The next piece of an answer.
pub(super) async fn next(body: &mut UpstreamBody) -> Result<Option<Bytes>, Failure> {
    match patience::during(SILENCE, body.chunk()).await {
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(body_failure(&error)),
        Ok(None) => Ok(None),
        Err(_) => Err(crate::attempt::stall(SILENCE)),
    }
}

/// The header by which a provider that looks at it knows a repetition.
pub(super) fn marked(mark: &str) -> HeaderMap {
    let value = HeaderValue::from_str(mark).ok();
    value.map(|value| (HeaderName::from_static("idempotency-key"), value)).into_iter().collect()
}
