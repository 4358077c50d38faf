//! From a connection's bytes to a request that is known to be well-formed.
//!
//! Owns reading the body within its bounds and the one-pass look at it. Must not decide anything. Errors are the caller's own
//! faults, named by place.

use crate::case::Case;
use crate::endpoint::StreamForm;
use crate::options::{self, Options};
use crate::patience;
use crate::responses::Turn;
use crate::state::{Gateway, Generation};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::Name;
use trunkline_wire::codec::{BadRequest, Envelope, PathParts};
use trunkline_wire::dispatch;
use trunkline_wire::relayed::{self, BodyForm};

/// A request whose head has been read.
pub(crate) struct Arrival {
    /// The protocol, by its path.
    pub dialect: Dialect,
    /// What is asked for.
    pub operation: Operation,
    /// What the path says.
    pub path: PathParts,
    /// The query.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, still to be read.
    pub body: Incoming,
    /// Send nothing, answer with the decision.
    pub dry_run: bool,
}

/// A request whose body is here and well-formed.
pub(crate) struct Accepted {
    /// The protocol.
    pub dialect: Dialect,
    /// What is asked for.
    pub operation: Operation,
    /// What the path says.
    pub path: PathParts,
    /// How a stream is framed.
    pub stream_form: StreamForm,
    /// The client's headers.
    pub headers: HeaderMap,
    /// What it says in our own headers.
    pub options: Options,
    /// The body as it came.
    pub body: Bytes,
    /// The look at it.
    pub envelope: Envelope,
    /// What it is beyond its conversation, in the responses API.
    pub turn: Option<Box<Turn>>,
}

/// The longest `model` kept in the record, in bytes.
const LONGEST_MODEL: usize = 200;
/// The announced length that is believed before anything has come of it, in bytes.
const BELIEVED: usize = 256 * 1024;
/// The most bytes of a refused body that are read for the sake of the answer.
const MOST_DISCARDED: usize = 64 * 1024 * 1024;
/// The longest time that takes.
const LONGEST_DISCARD: Duration = Duration::from_secs(3);

/// Reads and checks the body.
///
/// # Errors
/// Wrong content type, too large, cut, too slow, or not what the dialect asks for.
pub(crate) async fn accept(
    gateway: &Gateway,
    generation: &Generation,
    arrival: Arrival,
    case: &mut Case,
) -> Result<Accepted, ClientError> {
    let mut options = options::read(&arrival.headers)?;
    options.dry_run |= arrival.dry_run;
    check_head(&arrival.headers, arrival.operation)?;
    let server = &generation.snapshot.server;
    let (limit, silence) = (server.body_limit, server.client_timeout);
    let Arrival { dialect, operation, path, query, headers, body, .. } = arrival;
    let body = read_body(body, &headers, limit, silence).await?;
    let accepted = understand(gateway, Written { dialect, operation, path, headers }, options, body, case)?;
    Ok(Accepted { stream_form: StreamForm::of(dialect, query.as_deref()), ..accepted })
}

/// A request without its body: what its path and headers say.
pub(crate) struct Written {
    /// The protocol.
    pub dialect: Dialect,
    /// What is asked for.
    pub operation: Operation,
    /// What the path says.
    pub path: PathParts,
    /// The headers.
    pub headers: HeaderMap,
}

/// Looks at a body that is here, and notes it in the record.
///
/// # Errors
/// Not what the dialect asks for.
pub(crate) fn understand(
    gateway: &Gateway,
    written: Written,
    options: Options,
    body: Bytes,
    case: &mut Case,
) -> Result<Accepted, ClientError> {
    let Written { dialect, operation, path, headers } = written;
    case.record.request_bytes = body.len() as u64;
    let looked = if operation.is_relayed() {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        relayed::envelope(operation, BodyForm::of(content_type), &body)
    } else {
        dispatch::envelope(dialect, operation, &body, &path).and_then(|envelope| {
            envelope.refuse_repeated(&body)?;
            Ok(envelope)
        })
    };
    let envelope = looked.map_err(BadRequest::into_client_error)?;
    let shape = &envelope.shape;
    case.record.delivery = shape.delivery;
    case.record.requested_model = clipped(&shape.model).into();
    case.record.user =
        options.user.clone().or_else(|| shape.user.as_deref().map(|user| Name::from(clipped(user))));
    case.record.session.clone_from(&options.session);
    gateway.metrics.accepted(body.len());
    let stream_form = StreamForm::of(dialect, None);
    Ok(Accepted { dialect, operation, path, stream_form, headers, options, body, envelope, turn: None })
}

/// Reads a body of JSON for an endpoint that is not inference.
///
/// # Errors
/// Wrong content type, too large, cut or too slow.
pub(crate) async fn json_body(
    generation: &Generation,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Bytes, ClientError> {
    check_head(headers, Operation::Chat)?;
    let server = &generation.snapshot.server;
    read_body(body, headers, server.body_limit, server.client_timeout).await
}

fn check_head(headers: &HeaderMap, operation: Operation) -> Result<(), ClientError> {
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is_form = operation.takes_forms() && essence.eq_ignore_ascii_case("multipart/form-data");
        if !is_form && !essence.eq_ignore_ascii_case("application/json") {
            let wanted = if operation.takes_forms() { "multipart/form-data" } else { "application/json" };
            let message = format!("the content type `{essence}` is not taken here; send `{wanted}`");
            return Err(ClientError::new(ErrorCode::UnsupportedMediaType, message).at("content-type"));
        }
    }
    match headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default()) {
        None | Some("" | "identity") => Ok(()),
        Some(encoding) => {
            let message =
                format!("the content encoding `{encoding}` is not taken here; send the body uncompressed");
            Err(ClientError::new(ErrorCode::UnsupportedMediaType, message).at("content-encoding"))
        }
    }
}

/// Reads a body with a small bound of its own, whatever the configured one is.
///
/// # Errors
/// As for any body.
pub(crate) async fn read_small(
    body: Incoming,
    headers: &HeaderMap,
    limit: usize,
    silence: Duration,
) -> Result<Bytes, ClientError> {
    check_head(headers, Operation::Chat)?;
    read_body(body, headers, limit, silence).await.map_err(|error| match error.code {
        ErrorCode::RequestTooLarge => {
            let message = format!("the body is larger than the {limit} bytes that are taken here");
            ClientError { message, ..error }
        }
        _ => error,
    })
}

pub(crate) async fn read_body(
    mut body: Incoming,
    headers: &HeaderMap,
    limit: usize,
    silence: Duration,
) -> Result<Bytes, ClientError> {
    let too_large = || {
        let message = format!(
            "the request body is larger than the limit of {limit} bytes; the operator can raise `server.body_limit`"
        );
        ClientError::new(ErrorCode::RequestTooLarge, message)
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        discard(body, headers).await;
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    loop {
        let frame = match patience::during(silence, body.frame()).await {
            Err(_) => {
                let message = format!(
                    "the request body stopped for more than {} s before it was complete",
                    silence.as_secs()
                );
                let mut error = ClientError::new(ErrorCode::InvalidRequest, message);
                error.status = Some(408);
                return Err(error);
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                let message = format!("the request body could not be read to its end: {error}");
                return Err(ClientError::new(ErrorCode::InvalidRequest, message));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let so_far = joined.as_ref().map_or_else(|| first.as_ref().map_or(0, Bytes::len), BytesMut::len);
        if so_far + data.len() > limit {
            drop((first, joined));
            discard(body, headers).await;
            return Err(too_large());
        }
        match (&mut joined, first.take()) {
            (Some(joined), _) => {
                if joined.capacity() - joined.len() < data.len() {
                    let promised = announced.unwrap_or(0).saturating_sub(joined.len());
                    joined.reserve(promised.max(data.len()));
                }
                joined.extend_from_slice(&data);
            }
            (None, None) => first = Some(data),
            (None, Some(before)) => {
                // The announced length is believed once a part of it has come, so that a lie alone reserves no memory. From
                // then on there is room for all of it: a buffer that grows copies a large body several times.
                let capacity = announced.unwrap_or(0).min(BELIEVED);
                let mut buffer = BytesMut::with_capacity(capacity.max(before.len() + data.len()));
                buffer.extend_from_slice(&before);
                buffer.extend_from_slice(&data);
                joined = Some(buffer);
            }
        }
    }
    Ok(joined.map_or_else(|| first.unwrap_or_default(), BytesMut::freeze))
}

/// Reads on without keeping anything, within bounds. A connection that closes on a client which is still sending loses the
/// answer too: what the client sees is a reset, not whose fault it was.
pub(crate) async fn discard(mut body: Incoming, headers: &HeaderMap) {
    if headers.contains_key(EXPECT) {
        // The client waits to be asked for its body, and is not.
        return;
    }
    let mut left = MOST_DISCARDED;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if length > left {
                break;
            }
            left -= length;
        }
    };
    // Out of time is as good as done: the answer goes out either way.
    let _ = tokio::time::timeout(LONGEST_DISCARD, reading).await;
}

fn clipped(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_MODEL);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
