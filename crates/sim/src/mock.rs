//! A mock upstream for benchmarks: fixed answers as precomputed bytes, at the least cost of CPU time.
//!
//! Owns a small HTTP/1.1 server of its own instead of hyper: it finds the end of a request, throws the body away and
//! writes bytes that were made when it started. It must not be taken for a simulator: it checks nothing. HTTP/2 is not
//! spoken.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::dialect::DialectName;
use crate::dialect::converse::message;
use crate::script::contains;

/// The largest request head accepted, in bytes.
const HEAD_LIMIT: usize = 64 << 10;

/// What a mock answers.
#[derive(Clone, Debug)]
pub struct MockConfig {
    /// Form of the answers.
    pub dialect: DialectName,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Characters of text in a plain answer.
    pub answer_length: usize,
    /// Pieces of text in a streamed answer.
    pub chunks: usize,
    /// Time between two pieces; zero sends all of them at once.
    pub gap: Duration,
    /// Time before the answer to every request.
    pub delay: Duration,
    /// Which answer a request gets.
    pub mode: MockMode,
}

/// Which answer a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MockMode {
    /// Always the plain one.
    Plain,
    /// Always the stream.
    Stream,
    /// The stream if the body says `"stream":true` (Gemini: if the path says so).
    AsAsked,
}

impl MockConfig {
    /// A mock of `dialect` on a free port: 500 characters, or 100 chunks in a burst, as asked.
    #[must_use]
    pub fn new(dialect: DialectName) -> Self {
        Self {
            dialect,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            answer_length: 500,
            chunks: 100,
            gap: Duration::ZERO,
            delay: Duration::ZERO,
            mode: MockMode::AsAsked,
        }
    }
}

/// A running mock; dropping it ends it.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Mock {
    /// Starts a mock on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(config: MockConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicU64::new(0));
        let answers = Arc::new(Answers::new(&config));
        let task = tokio::spawn(accept(listener, answers, Arc::clone(&requests)));
        Ok(Self { address, requests, task })
    }

    /// The address listened on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests answered so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answers as they go over the wire.
#[derive(Debug)]
struct Answers {
    plain: Bytes,
    /// Head of a streamed answer with what comes before its text.
    opening: Bytes,
    /// One piece of text, in its HTTP chunk.
    piece: Bytes,
    /// What comes after the text, with the last HTTP chunk.
    ending: Bytes,
    /// All of a stream, for bursts.
    burst: Bytes,
    chunks: usize,
    gap: Duration,
    delay: Duration,
    mode: MockMode,
}

impl Answers {
    fn new(config: &MockConfig) -> Self {
        let text = "trunk ".repeat(config.answer_length / 6 + 1);
        let body = plain_body(config.dialect, &text[..config.answer_length]).to_string();
        let identity = match config.dialect {
            DialectName::OpenAi | DialectName::Mistral => {
                "x-request-id: req_mock\r\nopenai-processing-ms: 1\r\n"
            }
            DialectName::Anthropic => "request-id: req_mock\r\n",
            DialectName::Gemini | DialectName::Converse => "",
        };
        let plain = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{identity}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let kind = match config.dialect {
            DialectName::Converse => message::CONTENT_TYPE,
            _ => "text/event-stream",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{identity}transfer-encoding: chunked\r\n\r\n"
        );
        let (before, piece, after) = stream_bytes(config.dialect, config.chunks);
        let opening = [head.as_bytes(), &chunks(&before)].concat();
        let piece = chunks(&[piece]);
        let ending = [&chunks(&after), &b"0\r\n\r\n"[..]].concat();
        let burst = [&opening[..], &piece.repeat(config.chunks), &ending].concat();
        Self {
            plain: Bytes::from(plain),
            opening: Bytes::from(opening),
            piece: Bytes::from(piece),
            ending: Bytes::from(ending),
            burst: Bytes::from(burst),
            chunks: config.chunks,
            gap: config.gap,
            delay: config.delay,
            mode: config.mode,
        }
    }
}

/// Each as an HTTP chunk of its own.
fn chunks(pieces: &[Bytes]) -> Vec<u8> {
    let filled = pieces.iter().filter(|piece| !piece.is_empty());
    filled.flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).collect()
}

/// What comes before the text, one piece of text, what comes after.
fn stream_bytes(dialect: DialectName, chunks: usize) -> (Vec<Bytes>, Bytes, Vec<Bytes>) {
    if dialect == DialectName::Converse {
        let event = |name: &str, value: Value| message::event(name, value.to_string().as_bytes());
        let delta = json!({"contentBlockIndex": 0, "delta": {"text": " trunk"}, "p": "abcdefgh"});
        let usage = json!({"inputTokens": 100, "outputTokens": chunks, "totalTokens": 100 + chunks});
        let after = vec![
            event("contentBlockStop", json!({"contentBlockIndex": 0})),
            event("messageStop", json!({"stopReason": "end_turn"})),
            event("metadata", json!({"usage": usage, "metrics": {"latencyMs": 1}})),
        ];
        let before = vec![event("messageStart", json!({"role": "assistant"}))];
        return (before, event("contentBlockDelta", delta), after);
    }
    let bytes = |events: Vec<String>| events.into_iter().map(Bytes::from).collect();
    let (before, piece, after) = stream_body(dialect, chunks);
    (bytes(before), Bytes::from(piece), bytes(after))
}

fn plain_body(dialect: DialectName, text: &str) -> Value {
    match dialect {
        DialectName::OpenAi | DialectName::Mistral => {
            json!({"id": "chatcmpl-mock", "object": "chat.completion", "created": 1_763_000_000,
            "model": "gpt-4o-mini", "choices": [{"index": 0, "message": {"role": "assistant", "content": text,
            "refusal": null}, "logprobs": null, "finish_reason": "stop"}], "usage": {"prompt_tokens": 100,
            "completion_tokens": 125, "total_tokens": 225, "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0}}, "system_fingerprint": "fp_mock"})
        }
        DialectName::Anthropic => json!({"id": "msg_mock", "type": "message", "role": "assistant",
            "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 100, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 125}}),
        DialectName::Gemini => {
            json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"},
            "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 100,
            "candidatesTokenCount": 125, "totalTokenCount": 225}, "modelVersion": "gemini-2.5-flash"})
        }
        DialectName::Converse => {
            json!({"output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": "end_turn", "metrics": {"latencyMs": 1},
            "usage": {"inputTokens": 100, "outputTokens": 125, "totalTokens": 225}})
        }
    }
}

/// As [`stream_bytes`], for dialects that stream text.
fn stream_body(dialect: DialectName, chunks: usize) -> (Vec<String>, String, Vec<String>) {
    match dialect {
        DialectName::OpenAi | DialectName::Mistral => {
            let event = |delta: Value, finish: Value| {
                let data = json!({"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1_763_000_000,
                    "model": "gpt-4o-mini", "system_fingerprint": "fp_mock",
                    "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]});
                format!("data: {data}\n\n")
            };
            let usage = json!({"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1_763_000_000,
                "model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 100,
                "completion_tokens": chunks, "total_tokens": 100 + chunks}});
            let after = vec![
                event(json!({}), json!("stop")),
                format!("data: {usage}\n\n"),
                "data: [DONE]\n\n".to_owned(),
            ];
            let before = vec![event(json!({"role": "assistant", "content": ""}), Value::Null)];
            (before, event(json!({"content": " trunk"}), Value::Null), after)
        }
        DialectName::Anthropic => {
            let event = |data: Value| {
                format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
            };
            let message = json!({"id": "msg_mock", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                "content": [], "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": 100, "output_tokens": 1}});
            let before = vec![
                event(json!({"type": "message_start", "message": message})),
                event(
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
                event(json!({"type": "ping"})),
            ];
            let delta = json!({"type": "text_delta", "text": " trunk"});
            let piece = event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
            let after = vec![
                event(json!({"type": "content_block_stop", "index": 0})),
                event(
                    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": chunks}}),
                ),
                event(json!({"type": "message_stop"})),
            ];
            (before, piece, after)
        }
        DialectName::Gemini => {
            let event = |candidate: Value| {
                let usage = json!({"promptTokenCount": 100, "candidatesTokenCount": chunks, "totalTokenCount": 100 + chunks});
                let data = json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"});
                format!("data: {data}\r\n\r\n")
            };
            let content = |text: &str| json!({"parts": [{"text": text}], "role": "model"});
            let piece = event(json!({"content": content(" trunk"), "index": 0}));
            (
                Vec::new(),
                piece,
                vec![event(json!({"content": content(""), "finishReason": "STOP", "index": 0}))],
            )
        }
        DialectName::Converse => (Vec::new(), String::new(), Vec::new()),
    }
}

async fn accept(listener: TcpListener, answers: Arc<Answers>, requests: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    // Without this every small write of a stream waits for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(converse(stream, Arc::clone(&answers), Arc::clone(&requests)));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Answers the requests of one connection until it ends.
async fn converse(mut stream: TcpStream, answers: Arc<Answers>, requests: Arc<AtomicU64>) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    while let Some(streamed) = receive(&mut stream, &mut buffer).await? {
        requests.fetch_add(1, Ordering::Relaxed);
        if !answers.delay.is_zero() {
            tokio::time::sleep(answers.delay).await;
        }
        let streamed = match answers.mode {
            MockMode::Plain => false,
            MockMode::Stream => true,
            MockMode::AsAsked => streamed,
        };
        if !streamed {
            stream.write_all(&answers.plain).await?;
        } else if answers.gap.is_zero() {
            stream.write_all(&answers.burst).await?;
        } else {
            pace(&mut stream, &answers).await?;
        }
    }
    Ok(())
}

async fn pace(stream: &mut TcpStream, answers: &Answers) -> io::Result<()> {
    let mut ticks = tokio::time::interval(answers.gap);
    stream.write_all(&answers.opening).await?;
    for _ in 0..answers.chunks {
        ticks.tick().await;
        stream.write_all(&answers.piece).await?;
    }
    stream.write_all(&answers.ending).await
}

/// Reads one request and says whether it asks for a stream; nothing if the connection ended.
async fn receive(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<bool>> {
    let malformed = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if buffer.len() > HEAD_LIMIT {
            return Err(malformed("the head is too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = std::str::from_utf8(&buffer[..end]).map_err(|_| malformed("the head is not text"))?;
    let mut streamed =
        head.split_whitespace().nth(1).is_some_and(|path| path.contains(":streamGenerateContent"));
    let (mut length, mut chunked) = (0_usize, false);
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| malformed("the length is not a number"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("expect") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
    }
    buffer.advance(end);
    let asks = |data: &[u8]| contains(data, b"\"stream\":true") || contains(data, b"\"stream\": true");
    if chunked {
        loop {
            let data = receive_chunk(stream, buffer).await?;
            streamed |= asks(&data);
            if data.is_empty() {
                return Ok(Some(streamed));
            }
        }
    }
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    streamed |= asks(&buffer[..length]);
    buffer.advance(length);
    Ok(Some(streamed))
}

/// Reads one HTTP chunk; the last one is empty.
async fn receive_chunk(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the chunk has no size");
    let line = loop {
        if let Some(line) = memchr::memmem::find(buffer, b"\r\n") {
            break line;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let size = std::str::from_utf8(&buffer[..line]).map_err(|_| malformed())?;
    let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
        .map_err(|_| malformed())?;
    buffer.advance(line + 2);
    while buffer.len() < size + 2 {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let data = buffer.split_to(size).freeze();
    buffer.advance(2);
    Ok(data)
}
