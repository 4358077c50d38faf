//! Clients of HTTP/2 that rest: between requests, in the middle of an answer, for ever.

use crate::support::{
    Answer, Face, Gateway, KEY, PATIENCE, connect_multiplexed, eventually, exchange, model, provider,
    simulator,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trunkline_model::record::{Outcome, RequestRecord};
use trunkline_sim::{Delay, DialectName, Simulator};

/// What HTTP/2 begins with, and settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn served(server: &str) -> (Simulator, Gateway) {
    let simulator = simulator(DialectName::OpenAi).await;
    let provider = provider("only", DialectName::OpenAi, &simulator.base_url());
    let gateway = Gateway::start(&format!("server: {{ {server} }}\nproviders:\n{provider}")).await;
    (simulator, gateway)
}

fn request(gateway: &Gateway, text: &str, streamed: bool) -> Request<Full<Bytes>> {
    let face = Face::OpenAi;
    let body = face.body(&format!("only/{}", model(DialectName::OpenAi)), text, streamed);
    Request::post(format!("http://{}{}", gateway.address(), face.path()))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A client's socket that can stop to be read.
struct Deaf {
    socket: TcpStream,
    is_deaf: Arc<AtomicBool>,
}

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_deaf.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// A connection, and what makes its client deaf: it stays, and answers no ping.
async fn hearing(gateway: &Gateway) -> (http2::SendRequest<Full<Bytes>>, Arc<AtomicBool>) {
    let socket = TcpStream::connect(gateway.address()).await.unwrap();
    let is_deaf = Arc::new(AtomicBool::new(false));
    let socket = Deaf { socket, is_deaf: Arc::clone(&is_deaf) };
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    (sender, is_deaf)
}

async fn stops_well(mut gateway: Gateway, within: Duration) {
    let begun = Instant::now();
    gateway.signal("TERM");
    let status = gateway.ended().await;
    assert!(status.success(), "{status:?}\n{}", gateway.log());
    assert!(begun.elapsed() < within, "{:?}\n{}", begun.elapsed(), gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_rests_does_not_hold_up_a_stop() {
    let (_simulator, gateway) = served("drain: 5m").await;
    // A client without a thread of its own reads only while it waits for an answer.
    let (mut resting, is_deaf) = hearing(&gateway).await;
    let asked = request(&gateway, "Hello", false);
    assert!(Answer::read(resting.send_request(asked).await.unwrap()).await.whole);
    is_deaf.store(true, Ordering::Release);
    let mut reading = connect_multiplexed(gateway.address()).await;
    let asked = request(&gateway, "Hello", false);
    assert!(Answer::read(reading.send_request(asked).await.unwrap()).await.whole);
    let mut single = TcpStream::connect(gateway.address()).await.unwrap();
    single.write_all(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    assert!(single.read(&mut [0; 512]).await.unwrap() > 0);
    stops_well(gateway, PATIENCE).await;
    drop(resting);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_nothing_cut_off() {
    let (_simulator, gateway) = served("drain: 1s, client_timeout: 5m").await;
    // Half a head, in both versions.
    let mut halves = Vec::new();
    for half in [&b"POST /v1/chat/completions HTTP/1.1\r\nhost: gate"[..], &PREFACE[..20]] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(half).await.unwrap();
        halves.push(stream);
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
    stops_well(gateway, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_streams_end_and_takes_what_was_on_its_way() {
    let (simulator, mut gateway) = served("drain: 5m").await;
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let mut connection = connect_multiplexed(gateway.address()).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let asked = request(&gateway, "[[sim: words=150]]", true);
        let mut stream = connection.send_request(asked).await.unwrap();
        stream.frame().await.unwrap().unwrap();
        open.push(stream);
    }
    gateway.signal("TERM");
    gateway.logged("draining").await;
    for stream in open {
        let answer = timeout(PATIENCE, Answer::read(stream)).await.unwrap();
        assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{answer:?}");
    }
    assert!(gateway.ended().await.success(), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_has_its_answer_to_the_last_byte_though_the_gateway_stops() {
    let (_simulator, mut gateway) = served("drain: 5m").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(gateway.address()).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let asked = request(&gateway, "[[sim: words=20000]]", false);
    let response = sender.send_request(asked).await.unwrap();
    gateway.signal("TERM");
    gateway.logged("draining").await;
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.unwrap() {
        length += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(gateway.is_running() || length > 60_000);
    }
    assert!(length > 80_000, "{length}");
    drop(sender);
    assert!(gateway.ended().await.success(), "{}", gateway.log());
}

/// The type of the next frame, and its payload; `None` at the end of the connection.
async fn frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    flagged_frame(stream).await.map(|(kind, _, payload)| (kind, payload))
}

/// The same with the frame's flags.
async fn flagged_frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap().ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut payload)).await.unwrap().ok()?;
    Some((head[3], head[4], payload))
}

/// A streamed request as the first stream of a connection, in frames.
fn framed(text: &str) -> Vec<u8> {
    let text_of = |index: &[u8], value: &str| {
        let length = u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("a short value");
        [index, &[length], value.as_bytes()].concat()
    };
    // Entries of HPACK's static table: the method, the scheme, then names with values of our own.
    let head = [
        vec![0x83, 0x86],
        text_of(&[0x04], Face::OpenAi.path()),
        text_of(&[0x01], "gateway"),
        text_of(&[0x0f, 0x08], &format!("Bearer {KEY}")),
        text_of(&[0x0f, 0x10], "application/json"),
    ]
    .concat();
    let body = Face::OpenAi.body(&format!("only/{}", model(DialectName::OpenAi)), text, true);
    let framed = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    [PREFACE.to_vec(), framed(1, 4, 1, &head), framed(0, 1, 1, body.as_bytes())].concat()
}

/// Python's h2 reads nothing more once it was told to go.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_of_a_stop_behind_the_end_of_its_streams() {
    const DATA: u8 = 0;
    const GOAWAY: u8 = 7;
    let (simulator, mut gateway) = served("drain: 5m").await;
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(&framed("[[sim: words=60]]")).await.unwrap();
    while flagged_frame(&mut stream).await.expect("a stream").0 != DATA {}
    gateway.signal("TERM");
    gateway.logged("draining").await;
    let (mut has_ended, mut is_told) = (false, false);
    while let Some((kind, flags, _)) = flagged_frame(&mut stream).await {
        has_ended |= kind == DATA && flags & 1 == 1;
        is_told |= kind == GOAWAY;
        assert!(has_ended || !is_told, "told before the end");
    }
    assert!(has_ended && is_told, "ended: {has_ended}, told: {is_told}");
    assert!(gateway.ended().await.success(), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_goes_on_is_told_to_go() {
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let (_simulator, gateway) = served("client_timeout: 1s").await;
    for confirms in [true, false] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let mut kinds = Vec::new();
        while let Some((kind, payload)) = frame(&mut stream).await {
            kinds.push(kind);
            match kind {
                PING if confirms => {
                    let _ = stream.write_all(&[&b"\0\0\x08\x06\x01\0\0\0\0"[..], &payload].concat()).await;
                }
                GOAWAY => assert_eq!(payload[4..8], [0; 4], "no error: {payload:?}"),
                _ => {}
            }
        }
        assert!(kinds.contains(&SETTINGS) && kinds.contains(&GOAWAY), "{confirms}: {kinds:?}");
    }
    // Nor is one waited for that never says what it wants.
    let mut silent = TcpStream::connect(gateway.address()).await.unwrap();
    silent.write_all(&PREFACE[..20]).await.unwrap();
    while frame(&mut silent).await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lives_as_long_as_its_streams_and_a_client_that_vanished_does_not() {
    let (simulator, gateway) = served("client_timeout: 1s").await;
    simulator.script(|script| script.first_token = Delay::constant(Duration::from_secs(4)));
    let mut connection = connect_multiplexed(gateway.address()).await;
    let asked = request(&gateway, "Hello", true);
    let waited = connection.send_request(asked).await.unwrap();
    let answer = Answer::read(waited).await;
    assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{answer:?}");
    // One whose machine is gone answers no ping.
    simulator.script(|script| script.first_token = Delay::constant(Duration::from_secs(120)));
    let (mut sender, is_deaf) = hearing(&gateway).await;
    let asked = request(&gateway, "Hello", true);
    let waiting = tokio::spawn(async move { sender.send_request(asked).await.map(|_| ()) });
    eventually("the call", async || (simulator.requests().len() == 2).then_some(())).await;
    is_deaf.store(true, Ordering::Release);
    timeout(PATIENCE, simulator.wait_until(|counters| counters.disconnects == 1)).await.unwrap();
    let record = gateway.records(2).await.pop().unwrap();
    assert_eq!(record.outcome, Outcome::ClientGone);
    waiting.abort();
}

/// A connection with the smallest window that the specification has for a start, and an answer that is begun and not read on.
async fn unread(
    gateway: &Gateway,
    asked: Request<Full<Bytes>>,
) -> (http2::SendRequest<Full<Bytes>>, Response<Incoming>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(16 * 1024 * 1024);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(asked).await.unwrap();
    (sender, response, connection)
}

fn took_nothing(record: &RequestRecord) {
    assert_eq!((record.outcome, record.attempts.len()), (Outcome::ClientGone, 1), "{record:?}");
    let told = record.error_message.as_deref().unwrap();
    assert_eq!(told, "the client took nothing of its answer for 2000 ms");
    assert_eq!(record.attempts[0].message.as_deref(), Some(told));
    assert!(record.usage.completion() > 0, "{:?}", record.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_ends_and_its_neighbours_live_on() {
    let (simulator, gateway) = served("client_timeout: 2s").await;
    let long = request(&gateway, "[[sim: words=8000]]", true);
    let (mut sender, unread, connection) = unread(&gateway, long).await;
    let id = unread.headers()["x-trunkline-request-id"].to_str().unwrap().to_owned();
    // A neighbour that goes on for longer than the patience with the other.
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(50)));
    let asked = request(&gateway, "[[sim: words=100]]", true);
    let neighbour = tokio::spawn(Answer::read(sender.send_request(asked).await.unwrap()));
    timeout(PATIENCE, simulator.wait_until(|counters| counters.disconnects == 1)).await.unwrap();
    took_nothing(&gateway.record(&id).await);
    let answer = timeout(PATIENCE, neighbour).await.unwrap().unwrap();
    assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{answer:?}");
    assert!(!connection.is_finished());
    let reset = Answer::read(unread).await;
    assert!(!reset.whole && !Face::OpenAi.looks_finished(&reset), "the client is told that it is not whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_answer_gives_back_what_it_held() {
    let simulator = simulator(DialectName::OpenAi).await;
    let provider = provider("only", DialectName::OpenAi, &simulator.base_url());
    let gateway = Gateway::start(&format!(
        "server: {{ client_timeout: 2s, open_requests: 1 }}\nproviders:\n{provider}"
    ))
    .await;
    let long = request(&gateway, "[[sim: words=8000]]", true);
    let (_sender, _unread, _connection) = unread(&gateway, long).await;
    let asked = || gateway.builder(Face::OpenAi.path()).body(request(&gateway, "Hello", false).into_body());
    let refused = Answer::read(exchange(gateway.address(), asked().unwrap()).await.unwrap()).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    eventually("room for another request", async || {
        let answer = Answer::read(exchange(gateway.address(), asked().unwrap()).await.unwrap()).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_answers_that_nobody_reads_end_too() {
    let (_simulator, gateway) = served("client_timeout: 2s").await;
    let long = request(&gateway, "[[sim: words=60000]]", false);
    let (mut sender, unread, _connection) = unread(&gateway, long).await;
    let length: usize = unread.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 200_000);
    // The connection goes on meanwhile.
    for _ in 0..8 {
        let asked = request(&gateway, "Hello", false);
        assert!(Answer::read(sender.send_request(asked).await.unwrap()).await.whole);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let answer = timeout(PATIENCE, Answer::read(unread)).await.unwrap();
    assert!(!answer.whole && answer.body.len() < length, "{} of {length}", answer.body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_little_by_little_has_all_of_it() {
    let (_simulator, gateway) = served("client_timeout: 2s").await;
    let long = request(&gateway, "[[sim: words=40000]]", false);
    let (_sender, response, _connection) = unread(&gateway, long).await;
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = response.into_body();
    let mut taken = 0;
    // A pause shorter than the patience after each window.
    let mut pause = 0;
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.unwrap() {
        taken += frame.unwrap().into_data().unwrap().len();
        if taken / 65_535 > pause {
            pause = taken / 65_535;
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
    }
    assert_eq!(taken, length);
}
