//! From an HTTP request to the stage that answers it.
//!
//! Owns the dispatch over endpoints, the bound on open requests and the net under panics. Must not know how any endpoint
//! works.

use crate::accept::Arrival;
use crate::body::AnswerBody;
use crate::endpoint::{self, Endpoint, NoEndpoint};
use crate::state::Gateway;
use crate::taker::Taking;
use crate::{
    batches, elsewhere, explain, exposition, feedback, models, passthrough, pipeline, respond, responses,
};
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};

/// What whoever knocks is told.
const DOOR: &str = "Trunkline serves here; GET /v1/models lists what a key may ask for\n";

/// Answers one HTTP request, whatever it is.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    taking: Arc<Taking>,
) -> Response<AnswerBody> {
    let has_one_at_a_time = request.version() < Version::HTTP_2;
    let caught = AssertUnwindSafe(dispatch(Arc::clone(&gateway), request, taking)).catch_unwind().await;
    let mut response = caught.unwrap_or_else(|_| {
        let id = crate::case::new_id();
        tracing::error!(request_id = %id, "a request ended in a panic; this is a defect in Trunkline");
        let error = ClientError::new(
            ErrorCode::Internal,
            "the gateway failed on this request; its log holds the reason",
        );
        respond::error(Dialect::OpenAi, id, &error)
    });
    if matches!(response.body(), AnswerBody::Known { .. }) {
        step_back().await;
    }
    if has_one_at_a_time && gateway.is_draining() {
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}

/// Lets whoever is ready go first. Under load the answers of many connections are then written one right after the other,
/// and a client that sleeps is woken once for all of them: waking it is the dearest part of a write. Not for streams, whose
/// first token is waited for.
async fn step_back() {
    let mut stepped = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Makes a future in the box it lives in. Boxed after it was made, the nine kilobytes of the pipeline's are copied, and what
/// lies in the processor's first cache has to leave for them.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

/// The pipeline's future is boxed: it is large, and a connection would carry room for it through every idle second.
async fn dispatch(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    taking: Arc<Taking>,
) -> Response<AnswerBody> {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with("/passthrough/") {
        let most = gateway.most_open();
        let Some(place) = gateway.enter(most) else { return overloaded(Dialect::OpenAi, most) };
        let place = place.taken_by(taking);
        return boxed(|| passthrough::serve(gateway, parts, body, place)).await;
    }
    let query = parts.uri.query();
    let endpoint = match endpoint::find(&parts.method, parts.uri.path(), &parts.headers, query) {
        Ok(endpoint) => endpoint,
        Err(none) => return no_endpoint(&none, parts.uri.path(), &parts.method),
    };
    match endpoint {
        Endpoint::Inference { dialect, operation, path } => {
            let most = gateway.most_open();
            let Some(place) = gateway.enter(most) else { return overloaded(dialect, most) };
            let query = query.map(ToOwned::to_owned);
            let arrival =
                Arrival { dialect, operation, path, query, headers: parts.headers, body, dry_run: false };
            let place = place.taken_by(taking);
            boxed(|| pipeline::serve(gateway, arrival, place)).await
        }
        Endpoint::Explain => {
            let most = gateway.most_open();
            let dialect = explain::dialect(query);
            let Some(place) = gateway.enter(most) else { return overloaded(dialect, most) };
            let query = query.map(ToOwned::to_owned);
            let operation = trunkline_model::dialect::Operation::Chat;
            let path = trunkline_wire::codec::PathParts::default();
            let arrival =
                Arrival { dialect, operation, path, query, headers: parts.headers, body, dry_run: true };
            let place = place.taken_by(taking);
            boxed(|| pipeline::serve(gateway, arrival, place)).await
        }
        Endpoint::Response(id, verb) => {
            let answering = responses::answer(Arc::clone(&gateway), &id, verb, &parts.headers, query);
            before_stop(&gateway, Dialect::Responses, answering).await
        }
        Endpoint::Conversations(call) => {
            let answering = responses::answer_conversation(Arc::clone(&gateway), call, parts, body);
            placed(&gateway, Dialect::Responses, answering).await
        }
        Endpoint::Batches(call) => {
            let dialect = call.dialect();
            let answering = batches::answer(Arc::clone(&gateway), call, parts, body);
            placed(&gateway, dialect, answering).await
        }
        Endpoint::Models(dialect) => models::answer(&gateway, dialect, None, &parts.headers, query),
        Endpoint::Model(dialect, name) => {
            models::answer(&gateway, dialect, Some(&name), &parts.headers, query)
        }
        Endpoint::Decision(id) => {
            let query = query.map(ToOwned::to_owned);
            let answering = explain::past(Arc::clone(&gateway), id, parts.headers, query);
            before_stop(&gateway, Dialect::OpenAi, answering).await
        }
        Endpoint::Feedback => {
            let query = query.map(ToOwned::to_owned);
            let answering = feedback::take(Arc::clone(&gateway), parts.headers, query, body);
            placed(&gateway, Dialect::OpenAi, answering).await
        }
        Endpoint::Door => respond::text(StatusCode::OK, DOOR),
        Endpoint::Health => respond::text(StatusCode::OK, "ok\n"),
        Endpoint::Ready if gateway.is_draining() => {
            respond::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        }
        Endpoint::Ready if gateway.generation().snapshot.fleet.is_empty() => {
            respond::text(StatusCode::SERVICE_UNAVAILABLE, "no deployment is configured\n")
        }
        Endpoint::Ready => respond::text(StatusCode::OK, "ready\n"),
        Endpoint::Metrics => {
            let mut response = respond::text(StatusCode::OK, exposition::text(&gateway));
            let format =
                http::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(http::header::CONTENT_TYPE, format);
            response
        }
    }
}

/// As [`before_stop`], for a request whose body has to be waited for.
async fn placed(
    gateway: &Arc<Gateway>,
    dialect: Dialect,
    answering: impl Future<Output = Response<AnswerBody>>,
) -> Response<AnswerBody> {
    let most = gateway.most_open();
    let Some(_place) = gateway.enter(most) else { return overloaded(dialect, most) };
    before_stop(gateway, dialect, Box::pin(answering)).await
}

/// Waits for an answer of an endpoint without a record of its own, but not past the stop.
async fn before_stop(
    gateway: &Gateway,
    dialect: Dialect,
    answering: impl Future<Output = Response<AnswerBody>>,
) -> Response<AnswerBody> {
    match gateway.stop.before(answering).await {
        Ok(response) => response,
        Err(stopped) => respond::error(dialect, crate::case::new_id(), &stopped.error()),
    }
}

fn no_endpoint(none: &NoEndpoint, path: &str, method: &Method) -> Response<AnswerBody> {
    let id = crate::case::new_id();
    let path: String = path.chars().take(200).collect();
    match none {
        NoEndpoint::Method { dialect, allowed } => {
            let message = format!("`{path}` takes {}, not {method}", allowed.replace(", ", " or "));
            let mut response =
                respond::error(*dialect, id, &ClientError::new(ErrorCode::MethodNotAllowed, message));
            if let Ok(allowed) = http::HeaderValue::from_str(allowed) {
                response.headers_mut().insert(http::header::ALLOW, allowed);
            }
            response
        }
        NoEndpoint::Path { dialect } => {
            if let Some(advice) = elsewhere::advice(&path, *dialect) {
                let message = format!("`{path}` is not served here: {advice}");
                return respond::error(*dialect, id, &ClientError::new(ErrorCode::NotFound, message));
            }
            let message = format!(
                "there is no endpoint `{path}`; there are /v1/chat/completions, /v1/responses, /v1/conversations, /v1/messages, /v1/completions, /v1/embeddings, /v1/rerank, /v1/moderations, /v1/images/*, /v1/audio/*, /v1/files, /v1/batches, /v1/messages/batches, /v1/models, the Gemini methods under /v1beta/models and /passthrough/PROVIDER/"
            );
            respond::error(*dialect, id, &ClientError::new(ErrorCode::NotFound, message))
        }
    }
}

fn overloaded(dialect: Dialect, most: u32) -> Response<AnswerBody> {
    let message = format!("the gateway serves {most} requests already, its limit; try again in a moment");
    let error = ClientError::new(ErrorCode::Overloaded, message)
        .with_retry_after(Some(std::time::Duration::from_secs(1)));
    respond::error(dialect, crate::case::new_id(), &error)
}
