//! A client that asks like an official SDK, over plain HTTP.
//!
//! Owns the requests of the drill and the exchange over a socket. Must not judge what came back. It gives up after a limit of
//! its own, so that a gateway that never answers shows as such.

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_wire::codec::PathParts;

/// What every simulator answers: the words of the prompt, so that a missing one shows.
pub(super) const ANSWER: &str =
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike";

/// An endpoint of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Endpoint {
    /// OpenAI chat completions.
    #[serde(rename = "/v1/chat/completions")]
    ChatCompletions,
    /// Anthropic messages.
    #[serde(rename = "/v1/messages")]
    Messages,
    /// OpenAI embeddings.
    #[serde(rename = "/v1/embeddings")]
    Embeddings,
    /// Gemini generateContent and streamGenerateContent, the stream as events.
    #[serde(rename = "/v1beta/models/{model}:generateContent")]
    GenerateContent,
    /// Gemini streamGenerateContent, the stream as one JSON array.
    #[serde(rename = "/v1beta/models/{model}:streamGenerateContent")]
    GenerateArray,
    /// Gemini embedContent.
    #[serde(rename = "/v1beta/models/{model}:embedContent")]
    EmbedContent,
}

impl Endpoint {
    /// Every endpoint.
    pub(super) const ALL: [Self; 6] = [
        Self::ChatCompletions,
        Self::Messages,
        Self::Embeddings,
        Self::GenerateContent,
        Self::GenerateArray,
        Self::EmbedContent,
    ];

    /// Its path.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Embeddings => "/v1/embeddings",
            Self::GenerateContent => "/v1beta/models/{model}:generateContent",
            Self::GenerateArray => "/v1beta/models/{model}:streamGenerateContent",
            Self::EmbedContent => "/v1beta/models/{model}:embedContent",
        }
    }

    /// The path and query of a request for a route: some protocols put the model there, and how the answer travels.
    pub(super) fn target(self, route: &str, delivery: Delivery) -> String {
        let path = match (self, delivery) {
            (Self::GenerateContent, Delivery::Stream) => {
                "/v1beta/models/{model}:streamGenerateContent?alt=sse"
            }
            _ => self.path(),
        };
        path.replace("{model}", &escaped(route))
    }

    /// What the path says of a request.
    pub(super) fn path_parts(self, route: &str, delivery: Delivery) -> PathParts {
        match self.dialect() {
            Dialect::Gemini => PathParts { model: Some(route.to_owned()), delivery: Some(delivery) },
            _ => PathParts::default(),
        }
    }

    /// The protocol it belongs to.
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::Messages => Dialect::Anthropic,
            Self::ChatCompletions | Self::Embeddings => Dialect::OpenAi,
            Self::GenerateContent | Self::GenerateArray | Self::EmbedContent => Dialect::Gemini,
        }
    }

    /// What it does.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Embeddings | Self::EmbedContent => Operation::Embeddings,
            Self::ChatCompletions | Self::Messages | Self::GenerateContent | Self::GenerateArray => {
                Operation::Chat
            }
        }
    }

    /// The ways its answers can travel.
    pub(super) const fn deliveries(self) -> &'static [Delivery] {
        match self {
            Self::Embeddings | Self::EmbedContent => &[Delivery::Plain],
            Self::GenerateArray => &[Delivery::Stream],
            Self::ChatCompletions | Self::Messages | Self::GenerateContent => {
                &[Delivery::Stream, Delivery::Plain]
            }
        }
    }

    /// A request for a route.
    pub(super) fn body(self, route: &str, delivery: Delivery) -> Bytes {
        let prompt = format!("{ANSWER} [[sim: echo]]");
        let mut body = match self {
            Self::ChatCompletions => {
                json!({"model": route, "messages": [{"role": "user", "content": prompt}]})
            }
            Self::Messages => {
                json!({"model": route, "max_tokens": 512, "messages": [{"role": "user", "content": prompt}]})
            }
            Self::Embeddings => json!({"model": route, "input": ANSWER}),
            Self::GenerateContent | Self::GenerateArray => {
                json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]})
            }
            Self::EmbedContent => json!({"content": {"parts": [{"text": ANSWER}]}}),
        };
        if delivery.is_stream() && self.dialect() != Dialect::Gemini {
            body["stream"] = true.into();
        }
        Bytes::from(body.to_string())
    }
}

/// A name as part of a path.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Everything that came back.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Status and headers, if any came.
    pub(super) head: Option<(u16, HeaderMap)>,
    /// The body, as far as it came.
    pub(super) body: Bytes,
    /// How it ended.
    pub(super) end: End,
    /// From the first byte sent to the end.
    pub(super) took: Duration,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As HTTP says it should.
    Whole,
    /// The connection broke.
    Broken(String),
    /// The client gave up waiting.
    GivenUp,
}

/// Asks and reads to the end, at most for `limit`.
pub(super) async fn ask(gateway: SocketAddr, target: &str, body: Bytes, limit: Duration) -> Exchange {
    let start = Instant::now();
    let mut exchange = Exchange { head: None, body: Bytes::new(), end: End::Whole, took: Duration::ZERO };
    let mut received = BytesMut::new();
    exchange.end =
        match timeout_at(start + limit, converse(gateway, target, body, &mut exchange.head, &mut received))
            .await
        {
            Ok(Ok(())) => End::Whole,
            Ok(Err(error)) => End::Broken(error),
            Err(_) => End::GivenUp,
        };
    exchange.body = received.freeze();
    exchange.took = start.elapsed();
    exchange
}

async fn converse(
    gateway: SocketAddr,
    target: &str,
    body: Bytes,
    head: &mut Option<(u16, HeaderMap)>,
    received: &mut BytesMut,
) -> Result<(), String> {
    let stream = TcpStream::connect(gateway).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // The connection ends with the sender or the gateway; its error shows at the request too.
    tokio::spawn(connection);
    let request = Request::post(target)
        .header(HOST, gateway.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, "Bearer drill")
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, mut body) = response.into_parts();
    *head = Some((parts.status.as_u16(), parts.headers));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
            received.extend_from_slice(&data);
        }
    }
    Ok(())
}
