//! A client that shows everything: status, headers, every byte, and how the answer ended.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use trunkline_sim::{DialectName, SimConfig, Simulator};

/// How long silence lasts before it counts as a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// An answer, as far as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Cut,
    Hang,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoConnection,
    NoAnswer,
    Hang,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// The data of every server-sent event.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let data =
            text.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The binary messages: type and payload. What is left over when the last one is torn.
    pub(crate) fn messages(&self) -> (Vec<(String, String)>, usize) {
        let number = |at: usize| u32::from_be_bytes(*self.body[at..].first_chunk().unwrap()) as usize;
        let mut messages = Vec::new();
        let mut at = 0;
        while self.body.len() >= at + 12 && self.body.len() >= at + number(at) {
            let (total, headers) = (number(at), number(at + 4));
            let head = String::from_utf8_lossy(&self.body[at + 12..at + 12 + headers]).into_owned();
            // `:event-type` or `:exception-type` is the first header; its value follows its type and two bytes of length.
            let (_, rest) = head.split_once("-type\u{7}\0").unwrap();
            let name = rest.chars().skip(1).take_while(|letter| letter.is_ascii_alphabetic()).collect();
            let payload = &self.body[at + 12 + headers..at + total - 4];
            messages.push((name, String::from_utf8_lossy(payload).into_owned()));
            at += total;
        }
        (messages, self.body.len() - at)
    }

    /// The names of the server-sent events.
    pub(crate) fn event_names(&self) -> Vec<String> {
        self.text().lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
    }
}

pub(crate) async fn start(dialect: DialectName) -> Simulator {
    Simulator::start(SimConfig::new(dialect)).await.unwrap()
}

/// A request of the dialect's main endpoint that is answered with the words of `prompt`.
pub(crate) fn question(dialect: DialectName, prompt: &str, stream: bool) -> Request<Full<Bytes>> {
    match dialect {
        DialectName::OpenAi => {
            let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}], "stream": stream});
            post("/v1/chat/completions", &body, &[("authorization", "Bearer sim-key")])
        }
        DialectName::Mistral => {
            let body = json!({"model": "mistral-small-latest", "messages": [{"role": "user", "content": prompt}],
                "stream": stream});
            post("/v1/chat/completions", &body, &[("authorization", "Bearer sim-key")])
        }
        DialectName::Anthropic => {
            let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 1000, "stream": stream,
                "messages": [{"role": "user", "content": prompt}]});
            post("/v1/messages", &body, ANTHROPIC)
        }
        DialectName::Gemini => {
            let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let body = json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]});
            post(&format!("/v1beta/models/gemini-2.0-flash:{method}"), &body, GOOGLE)
        }
        DialectName::Converse => {
            let verb = if stream { "converse-stream" } else { "converse" };
            let body = json!({"messages": [{"role": "user", "content": [{"text": prompt}]}]});
            post(&format!("/model/amazon.nova-pro-v1%3A0/{verb}"), &body, BEDROCK)
        }
    }
}

pub(crate) const ANTHROPIC: &[(&str, &str)] =
    &[("x-api-key", "sim-key"), ("anthropic-version", "2023-06-01")];
pub(crate) const BEDROCK: &[(&str, &str)] = &[("authorization", "Bearer sim-key")];
pub(crate) const GOOGLE: &[(&str, &str)] = &[("x-goog-api-key", "sim-key")];

pub(crate) fn post(path: &str, body: &Value, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    request(Method::POST, path, Bytes::from(body.to_string()), headers)
}

pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    request(Method::GET, path, Bytes::new(), headers)
}

pub(crate) fn request(
    method: Method,
    path: &str,
    body: Bytes,
    headers: &[(&str, &str)],
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body)).unwrap()
}

/// Sends one request over a connection of its own.
pub(crate) async fn send(simulator: &Simulator, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let stream = TcpStream::connect(simulator.addr()).await.map_err(|_| Failure::NoConnection)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::NoAnswer)?;
    let driver = tokio::spawn(connection);
    let answer = receive(tokio::time::timeout(PATIENCE, sender.send_request(request)).await).await;
    driver.abort();
    answer
}

/// Sends one request over HTTP/2 without TLS.
pub(crate) async fn send_http2(
    simulator: &Simulator,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Failure> {
    let stream = TcpStream::connect(simulator.addr()).await.map_err(|_| Failure::NoConnection)?;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| Failure::NoAnswer)?;
    let driver = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("{}{}", simulator.base_url(), parts.uri).parse().unwrap();
    parts.headers.remove("host");
    let request = Request::from_parts(parts, body);
    let answer = receive(tokio::time::timeout(PATIENCE, sender.send_request(request)).await).await;
    driver.abort();
    answer
}

type Reply = Result<hyper::Result<hyper::Response<Incoming>>, tokio::time::error::Elapsed>;

async fn receive(reply: Reply) -> Result<Answer, Failure> {
    let response = reply.map_err(|_| Failure::Hang)?.map_err(|_| Failure::NoAnswer)?;
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    let ending = loop {
        match tokio::time::timeout(PATIENCE, incoming.frame()).await {
            Err(_) => break Ending::Hang,
            Ok(None) => break Ending::Complete,
            Ok(Some(Err(_))) => break Ending::Cut,
            Ok(Some(Ok(frame))) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    };
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, ending })
}
