//! Everything that can go wrong between a request and the last byte of its response, as types.
//!
//! Owns the errors and the reading of hyper's and h2's errors into them. Does not decide what follows from one: the
//! caller maps them to its failure classes. Texts name the origin, never the path or the query, which may hold keys.

use std::error::Error;
use std::time::Duration;

use crate::OriginError;

/// Why a [`crate::Transport`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A value that is not usable as the `user-agent` header.
    #[error("use the user agent {0:?}: it holds characters that a header may not")]
    UserAgent(String),
    /// A text in `extra_roots` holds no certificate, or one that cannot be read.
    #[error("read the extra root certificate number {number}: {detail}")]
    ExtraRoot {
        /// Its place in the list, from 1.
        number: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// A limit of zero, with which no request could ever be sent.
    #[error("use the limit `{0}`: it must be at least 1")]
    ZeroLimit(&'static str),
    /// rustls refused its settings.
    #[error("set up tls: {0}")]
    Tls(String),
}

/// How far a dial had got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialPhase {
    /// Name resolution.
    Resolve,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// HTTP/2 preface.
    Handshake,
}

impl DialPhase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "name resolution",
            Self::Connect => "tcp connect",
            Self::Tls => "tls handshake",
            Self::Handshake => "http handshake",
        }
    }
}

/// Why a request has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The URL of the request cannot be dialed.
    #[error(transparent)]
    Url(#[from] OriginError),
    /// The host name has no address.
    #[error("resolve the host of {origin}: {detail}")]
    Resolve {
        /// Scheme, host and port.
        origin: String,
        /// What the resolver said.
        detail: String,
    },
    /// No address of the host accepted a connection.
    #[error("connect to {origin}: {detail}")]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// What the last address said.
        detail: String,
    },
    /// The TLS handshake failed, or the certificate is not one to trust.
    #[error("complete the tls handshake with {origin}: {detail}")]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// What rustls said.
        detail: String,
    },
    /// The connect deadline passed while a dial was under way.
    #[error("connect to {origin} in time: the {} did not end within {} ms", .phase.as_str(), .limit.as_millis())]
    ConnectTimeout {
        /// Scheme, host and port.
        origin: String,
        /// How far the dial had got.
        phase: DialPhase,
        /// The limit that passed.
        limit: Duration,
    },
    /// The connect deadline passed while every connection was busy.
    #[error(
        "get a connection to {origin} in time: all {open} allowed stayed busy for {} ms",
        .limit.as_millis()
    )]
    PoolTimeout {
        /// Scheme, host and port.
        origin: String,
        /// Open connections.
        open: usize,
        /// The limit that passed.
        limit: Duration,
    },
    /// Too many requests wait for a connection already, or too many origins are in use.
    #[error("queue for a connection to {origin}: {detail}")]
    PoolExhausted {
        /// Scheme, host and port.
        origin: String,
        /// Which bound was met.
        detail: String,
    },
    /// The response headers did not come in time.
    #[error("get response headers from {origin} in time: none within {} ms", .limit.as_millis())]
    HeadersTimeout {
        /// Scheme, host and port.
        origin: String,
        /// The limit that passed, counted from the hand-over of the request.
        limit: Duration,
    },
    /// The connection ended before a response.
    #[error("get a response from {origin}: {detail}")]
    Closed {
        /// Scheme, host and port.
        origin: String,
        /// False when not a byte of the request was sent, or when the server said that it has not taken it: it cannot have been
        /// processed.
        request_sent: bool,
        /// How it ended.
        detail: String,
    },
    /// The server reset the HTTP/2 stream.
    #[error("get a response from {origin}: the stream was reset ({reason})")]
    Reset {
        /// Scheme, host and port.
        origin: String,
        /// The HTTP/2 error code (RFC 9113, section 7).
        code: u32,
        /// The meaning of the code.
        reason: String,
    },
    /// What came back is not HTTP.
    #[error("understand the response of {origin}: {detail}")]
    Protocol {
        /// Scheme, host and port.
        origin: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Status line and headers are larger than allowed. HTTP/2 reports this as [`SendError::Protocol`].
    #[error("take the response headers of {origin}: more than {limit} bytes or more than 100 lines")]
    TooLargeHeaders {
        /// Scheme, host and port.
        origin: String,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// `REFUSED_STREAM`: the server promises not to have processed the request (RFC 9113, section 8.7).
const REFUSED_STREAM: u32 = 0x7;

impl SendError {
    /// True when the server cannot have processed the request, so that sending it again cannot do anything twice.
    #[must_use]
    pub fn is_unprocessed(&self) -> bool {
        match self {
            Self::Url(_)
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::ConnectTimeout { .. }
            | Self::PoolTimeout { .. }
            | Self::PoolExhausted { .. } => true,
            Self::Closed { request_sent, .. } => !request_sent,
            Self::Reset { code, .. } => *code == REFUSED_STREAM,
            Self::HeadersTimeout { .. } | Self::Protocol { .. } | Self::TooLargeHeaders { .. } => false,
        }
    }
}

/// Why a response body ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection ended in the middle of the body.
    #[error("read the response body: {0}")]
    Closed(String),
    /// The server reset the HTTP/2 stream.
    #[error("read the response body: the stream was reset ({reason})")]
    Reset {
        /// The HTTP/2 error code (RFC 9113, section 7).
        code: u32,
        /// The meaning of the code.
        reason: String,
    },
    /// The framing of the body is broken.
    #[error("read the response body: {0}")]
    Protocol(String),
}

/// Reads an error of a request that got no response. `returned` says whether hyper gave the request back unsent.
pub(crate) fn classify_send(
    error: &hyper::Error,
    origin: String,
    returned: bool,
    header_limit: usize,
) -> SendError {
    if returned || error.is_canceled() {
        let detail = "the connection closed before the request was sent".to_owned();
        return SendError::Closed { origin, request_sent: false, detail };
    }
    if error.is_parse_too_large() {
        return SendError::TooLargeHeaders { origin, limit: header_limit };
    }
    if let Some(h2) = find::<h2::Error>(error) {
        return classify_h2_send(h2, origin);
    }
    if error.is_parse() || error.is_user() {
        return SendError::Protocol { origin, detail: describe(error) };
    }
    let detail = if error.is_incomplete_message() {
        "the connection closed before a response came".to_owned()
    } else {
        describe(error)
    };
    SendError::Closed { origin, request_sent: true, detail }
}

fn classify_h2_send(error: &h2::Error, origin: String) -> SendError {
    match error.reason() {
        _ if error.is_io() => SendError::Closed { origin, request_sent: true, detail: describe_h2_io(error) },
        Some(reason) if error.is_remote() && error.is_reset() => {
            SendError::Reset { origin, code: reason.into(), reason: reason.description().to_owned() }
        }
        // A farewell fails only the streams that it does not cover, which the server promises not to have processed (RFC 9113,
        // section 6.8), and those that come after it.
        Some(reason) if error.is_remote() => SendError::Closed {
            origin,
            request_sent: false,
            detail: format!(
                "the server closed the connection before it took the request ({})",
                reason.description()
            ),
        },
        _ => SendError::Protocol { origin, detail: describe(error) },
    }
}

/// Whether the server said that it has not processed the request.
pub(crate) fn is_unprocessed(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Reads an error in the middle of a body.
pub(crate) fn classify_body(error: &hyper::Error) -> BodyError {
    if let Some(h2) = find::<h2::Error>(error) {
        return match h2.reason() {
            _ if h2.is_io() => BodyError::Closed(describe_h2_io(h2)),
            Some(reason) if h2.is_remote() && h2.is_reset() => {
                BodyError::Reset { code: reason.into(), reason: reason.description().to_owned() }
            }
            Some(reason) if h2.is_remote() => {
                BodyError::Closed(format!("the server is closing the connection ({})", reason.description()))
            }
            _ => BodyError::Protocol(describe(h2)),
        };
    }
    if let Some(io) = find::<std::io::Error>(error) {
        return match io.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                BodyError::Protocol(describe(error))
            }
            std::io::ErrorKind::UnexpectedEof => {
                BodyError::Closed("the connection closed before the end of the body".to_owned())
            }
            _ => BodyError::Closed(describe(error)),
        };
    }
    if error.is_incomplete_message() {
        return BodyError::Closed("the connection closed before the end of the body".to_owned());
    }
    BodyError::Closed(describe(error))
}

fn describe_h2_io(error: &h2::Error) -> String {
    error
        .get_io()
        .map_or_else(|| "the connection closed".to_owned(), |io| format!("the connection closed: {io}"))
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

/// The error and its causes, without repeating a cause that the text before it quotes already.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    while let Some(cause) = current {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        current = cause.source();
    }
    text
}
