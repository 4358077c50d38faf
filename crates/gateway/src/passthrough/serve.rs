//! The life of a passed request.
//!
//! Owns the order of its stages: whether it may, the sending, the answer or the error. One attempt and no more: a call
//! whose meaning nobody knows may not be made twice, and only the transport may dial again for one that was never sent.

use super::permit::{self, Asked, Permitted};
use super::pump::{self, NUMBER, Passing, Sent};
use super::upload::{self, Upload};
use super::{aim, headers, target};
use crate::accept;
use crate::attempt::send_failure;
use crate::body::AnswerBody;
use crate::case::{self, Case};
use crate::limit_headers;
use crate::respond;
use crate::state::{Gateway, Generation, Place};
use http::request::Parts;
use http::{Method, Response};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::error::ClientError;
use trunkline_model::failure::FailureClass;
use trunkline_model::record::{AttemptKind, Outcome};
use trunkline_model::usage::Usage;
use trunkline_net::UpstreamRequest;

/// The longest wait for an answer to begin: whole files are worked on before it does.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// The longest wait for a connection.
const LONGEST_DIAL: Duration = Duration::from_secs(10);

/// Serves one passed request.
pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    parts: Parts,
    body: Incoming,
    place: Place,
) -> Response<AnswerBody> {
    let generation = gateway.generation();
    let version = generation.snapshot.version;
    let provider = target::split(parts.uri.path()).map(|(provider, _)| provider);
    let found = provider.and_then(|name| permit::find(&generation, name));
    let dialect = found.map_or(Dialect::OpenAi, |(_, upstream)| spoken(upstream.dialect));
    let mut case =
        Case::open(Arc::clone(&gateway), place, case::new_id(), dialect, Operation::Passthrough, version);
    let asked = Asked { method: parts.method, uri: parts.uri, headers: parts.headers, dialect };
    let stages = async {
        match permit::permit(&gateway, &generation, &asked, &body, &mut case) {
            Ok(permitted) => Box::pin(send(&gateway, &generation, asked, permitted, body, &mut case)).await,
            Err(error) => {
                accept::discard(body, &asked.headers).await;
                Err(error)
            }
        }
    };
    let passed = match gateway.stop.before(stages).await {
        Ok(passed) => passed,
        Err(stopped) => {
            case.stopped(stopped);
            Err(stopped.error())
        }
    };
    match passed {
        Ok(passing) => passing.into_response(gateway, case, dialect),
        Err(error) => {
            let mut response = respond::error(dialect, case.id(), &error);
            limit_headers::put(response.headers_mut(), &generation, &case);
            let last = case.record.attempts.last().and_then(|attempt| attempt.failure);
            if last == Some(FailureClass::ClientGone) {
                case.note_error(&error);
                case.finish(Outcome::ClientGone);
            } else {
                case.refused(&error);
            }
            response
        }
    }
}

/// The dialect in which a client of a provider reads errors.
fn spoken(provider: Dialect) -> Dialect {
    if Dialect::CLIENTS.contains(&provider) || provider == Dialect::Cohere {
        provider
    } else {
        Dialect::OpenAi
    }
}

/// Sends the request, once.
async fn send(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    asked: Asked,
    permitted: Permitted,
    body: Incoming,
    case: &mut Case,
) -> Result<Passing, ClientError> {
    let Permitted { provider, upstream, uri, deadline } = permitted;
    let server = &generation.snapshot.server;
    let upload = Arc::new(Upload::default());
    let body = upload::body(server, &upstream, body, &asked.headers, &upload).await?;
    let aimed = aim::by_path(generation, &provider, &uri);
    let mut request = UpstreamRequest::new(asked.method.clone(), uri, body);
    request.headers = headers::request(&asked.headers, &upstream.headers, !request.body.is_empty());
    let left = pump::left_until(deadline, case.now());
    request.connect_timeout = Some(left.min(LONGEST_DIAL));
    request.headers_timeout = Some(left.min(LONGEST_WAIT));
    if let Some(signing) = &upstream.signing {
        crate::sign::sign(gateway, signing, &mut request, left.min(LONGEST_DIAL))
            .await
            .map_err(|failure| ClientError::from_failure(&failure, Vec::new()))?;
    }
    case.begin(NUMBER, &provider, AttemptKind::First, None, Usage::default());
    let answered = gateway.transport.send(request).await;
    case.record.request_bytes = upload.bytes();
    match answered {
        Ok(response) => {
            let is_head = asked.method == Method::HEAD;
            let named = || aim::by_model(generation, &provider, &upload.model()?);
            let sent = Sent { aimed: aimed.or_else(named), upload: Arc::clone(&upload), deadline, is_head };
            Ok(Passing::new(gateway, Arc::clone(generation), provider, &upstream, response, sent))
        }
        Err(error) => {
            let (told, failure) = upload.failure(server.client_timeout).unwrap_or_else(|| {
                let failure = send_failure(&error);
                let attempts = vec![format!("{provider}: {}", failure.message)];
                (ClientError::from_failure(&failure, attempts), failure)
            });
            case.end(NUMBER, pump::ended(failure, !error.is_unprocessed()));
            Err(told)
        }
    }
}
