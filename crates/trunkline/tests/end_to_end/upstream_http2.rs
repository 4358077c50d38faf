//! Providers of HTTP/2 that leave, refuse and break, from frames written by hand.

use crate::support::{Answer, Face, Gateway, PATIENCE, exchange};
use http_body_util::Full;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trunkline_model::record::Outcome;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

const WHOLE: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,
    "message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

fn event(content: &str) -> String {
    let choice = format!(r#"{{"index":0,"delta":{{"content":"{content}"}},"finish_reason":null}}"#);
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{choice}]}}\n\n"
    )
}

const END: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// The provider's end of one connection.
struct Peer(TcpStream);

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        let mut peer = Self(stream);
        peer.write(SETTINGS, 0, 0, &[]).await;
        peer
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await.unwrap();
    }

    /// The stream of the next request, when it has come whole; `None` when none comes any more.
    async fn request(&mut self) -> Option<u32> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            match (head[3], head[4]) {
                (SETTINGS, 0) => self.write(SETTINGS, 1, 0, &[]).await,
                (HEADERS | DATA, flags) if flags & END_STREAM != 0 => {
                    return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
                }
                _ => {}
            }
        }
    }

    async fn begin(&mut self, stream: u32, content_type: &str) {
        // `:status: 200` of the static table, and `content-type` of it with a value of its own.
        let length = u8::try_from(content_type.len()).unwrap();
        let fields = [&[0x88, 0x0f, 0x10, length][..], content_type.as_bytes()].concat();
        self.write(HEADERS, END_HEADERS, stream, &fields).await;
    }

    async fn answer(&mut self, stream: u32) {
        self.begin(stream, "application/json").await;
        self.write(DATA, END_STREAM, stream, WHOLE.as_bytes()).await;
    }

    /// Says farewell to all streams after `last`.
    async fn leave(&mut self, last: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat()).await;
    }
}

async fn provider() -> (TcpListener, Gateway) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::start(&format!(
        "providers:\n  only: {{ preset: openai-compatible, url: \"http://{address}/v1\", key: k, models: [m], \
         http2_cleartext: true }}\nroutes:\n  main: {{ attempts: 1, tiers: {{ one: {{ deployments: [only/m] }} }} }}\n"
    ))
    .await;
    (listener, gateway)
}

fn ask(gateway: &Gateway, streamed: bool) -> JoinHandle<Answer> {
    let body = Face::OpenAi.body("main", "Hello", streamed);
    let request = gateway.builder(Face::OpenAi.path()).body(Full::new(body.into())).unwrap();
    let address: SocketAddr = gateway.address();
    tokio::spawn(async move { Answer::read(exchange(address, request).await.unwrap()).await })
}

async fn answered_in_one_attempt(gateway: &Gateway, asked: JoinHandle<Answer>) {
    let answer = timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert_eq!((answer.status, answer.header("x-trunkline-attempts")), (200, "1"), "{}", answer.text());
    let record = gateway.record(answer.id()).await;
    assert_eq!((record.outcome, record.attempts.len()), (Outcome::Served, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_processed_is_sent_again_and_counts_as_nothing() {
    for leaves in [true, false] {
        let (listener, gateway) = provider().await;
        let (first, second) = (ask(&gateway, false), ask(&gateway, false));
        let mut old = Peer::accept(&listener).await;
        let streams = [old.request().await.unwrap(), old.request().await.unwrap()];
        if leaves {
            old.leave(streams[0]).await;
        } else {
            old.write(RESET, 0, streams[1], &REFUSED_STREAM.to_be_bytes()).await;
        }
        let mut new = Peer::accept(&listener).await;
        let stream = new.request().await.unwrap();
        new.answer(stream).await;
        old.answer(streams[0]).await;
        answered_in_one_attempt(&gateway, first).await;
        answered_in_one_attempt(&gateway, second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_a_farewell_covers_goes_on_and_the_next_request_goes_elsewhere() {
    let (listener, gateway) = provider().await;
    let asked = ask(&gateway, true);
    let mut old = Peer::accept(&listener).await;
    let stream = old.request().await.unwrap();
    old.begin(stream, "text/event-stream").await;
    old.write(DATA, 0, stream, event("Hello ").as_bytes()).await;
    old.leave(stream).await;
    let next = ask(&gateway, false);
    // Where it is sent to the old one before the farewell has come, it is sent again.
    let mut new = Peer::accept(&listener).await;
    let other = new.request().await.unwrap();
    new.answer(other).await;
    answered_in_one_attempt(&gateway, next).await;
    old.write(DATA, 0, stream, event("there").as_bytes()).await;
    old.write(DATA, END_STREAM, stream, END.as_bytes()).await;
    let answer = timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{}", answer.text());
    assert_eq!(Face::OpenAi.text(&answer), "Hello there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_after_all_is_told_to_have_broken() {
    for resets in [true, false] {
        let (listener, gateway) = provider().await;
        let asked = ask(&gateway, true);
        let mut old = Peer::accept(&listener).await;
        let stream = old.request().await.unwrap();
        old.begin(stream, "text/event-stream").await;
        old.write(DATA, 0, stream, event("Hello ").as_bytes()).await;
        if resets {
            // Even without an error: the answer has not ended by its own words.
            old.write(RESET, 0, stream, &[0; 4]).await;
        } else {
            old.leave(stream).await;
            drop(old);
        }
        let answer = timeout(PATIENCE, asked).await.unwrap().unwrap();
        assert!(answer.whole && !Face::OpenAi.looks_finished(&answer), "{}", answer.text());
        assert!(Face::OpenAi.error_event(&answer).is_some(), "{}", answer.text());
        assert_eq!(gateway.record(answer.id()).await.outcome, Outcome::BrokenOff);
    }
}
