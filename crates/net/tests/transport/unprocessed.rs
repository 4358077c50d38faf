//! Requests that a server of HTTP/2 says it has not processed, from frames written by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use trunkline_net::{Origin, RequestBody, SendError, Transport, TransportConfig};

use crate::support::{failure, request, shown, text, transport};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

/// A frame by its type, flags, stream and payload.
type Frame = (u8, u8, u32, Vec<u8>);

/// The server's end of one connection.
struct Peer(TcpStream);

impl Peer {
    /// Takes the next connection and greets it, with settings if there are any.
    fn accept(listener: &TcpListener, settings: &[u8]) -> Self {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).expect("a preface");
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut peer = Self(stream);
        peer.write(SETTINGS, 0, 0, settings);
        peer
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).expect("writable");
    }

    /// The next frame; `None` at the end of the connection.
    fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// The stream of the next request, when it has come whole.
    fn request(&mut self) -> u32 {
        loop {
            match self.read().expect("a request") {
                (SETTINGS, flags, ..) if flags & ACKNOWLEDGED == 0 => {
                    self.write(SETTINGS, ACKNOWLEDGED, 0, &[])
                }
                (HEADERS | DATA, flags, stream, _) if flags & END_STREAM != 0 => return stream,
                _ => {}
            }
        }
    }

    /// Answers 200 with a text.
    fn answer(&mut self, stream: u32, text: &str) {
        // `:status: 200`, the eighth entry of the static table.
        self.write(HEADERS, END_HEADERS, stream, &[0x88]);
        self.write(DATA, END_STREAM, stream, text.as_bytes());
    }

    fn reset(&mut self, stream: u32, code: u32) {
        self.write(RESET, 0, stream, &code.to_be_bytes());
    }

    /// Says farewell to all streams after `last`.
    fn leave(&mut self, last: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    }

    /// Reads until the other side has gone.
    fn outlast(mut self) {
        while self.read().is_some() {}
    }
}

fn serving(serve: impl FnOnce(TcpListener) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || serve(listener));
    address
}

fn client(address: SocketAddr) -> Transport {
    let origin = Origin::of(&format!("http://{address}").parse().expect("a URL")).expect("an origin");
    transport(&TransportConfig { http2_prior_knowledge: vec![origin], ..Default::default() })
}

fn post(address: SocketAddr, body: &'static str) -> trunkline_net::UpstreamRequest {
    request(http::Method::POST, &format!("http://{address}/"), RequestBody::from(Bytes::from(body)))
}

async fn answers(transport: &Transport, address: SocketAddr, number: usize) -> Vec<String> {
    let mut answers = join_all((0..number).map(|_| async {
        text(transport.send(post(address, "hello")).await.expect("a response").body).await
    }))
    .await;
    answers.sort();
    answers
}

#[tokio::test]
async fn what_a_farewell_does_not_cover_is_sent_again_elsewhere() {
    let address = serving(|listener| {
        let mut old = Peer::accept(&listener, &[]);
        let streams = [old.request(), old.request(), old.request()];
        old.leave(streams[0]);
        let mut new = Peer::accept(&listener, &[]);
        for _ in 0..2 {
            let stream = new.request();
            new.answer(stream, "new");
        }
        // What it does cover is answered to its end.
        old.answer(streams[0], "old");
        old.outlast();
        new.outlast();
    });
    let transport = client(address);
    assert_eq!(answers(&transport, address, 3).await, ["new", "new", "old"]);
    assert_eq!(transport.stats()[0].dials, 2);
}

#[tokio::test]
async fn a_stream_that_is_refused_is_sent_again_elsewhere() {
    let address = serving(|listener| {
        let mut full = Peer::accept(&listener, &[]);
        let streams = [full.request(), full.request()];
        full.reset(streams[1], REFUSED_STREAM);
        let mut other = Peer::accept(&listener, &[]);
        let stream = other.request();
        other.answer(stream, "other");
        full.answer(streams[0], "full");
        full.outlast();
        other.outlast();
    });
    let transport = client(address);
    assert_eq!(answers(&transport, address, 2).await, ["full", "other"]);
}

#[tokio::test]
async fn what_is_refused_again_and_what_cannot_be_repeated_is_told() {
    let refuse = |listener: &TcpListener| {
        let mut peer = Peer::accept(listener, &[]);
        let stream = peer.request();
        peer.reset(stream, REFUSED_STREAM);
        peer
    };
    let address = serving(move |listener| {
        let peers = [refuse(&listener), refuse(&listener), refuse(&listener)];
        peers.into_iter().for_each(Peer::outlast);
    });
    let transport = client(address);
    let error = failure(&transport, post(address, "hello")).await;
    assert!(error.is_unprocessed(), "{error:?}");
    insta::assert_snapshot!(shown(&error, address), @"get a response from http://127.0.0.1:PORT: the stream was reset (refused stream before processing any application logic)");
    let read_once = RequestBody::streamed(futures_util::stream::iter([Ok(Bytes::from("once"))]), None);
    let once = request(http::Method::POST, &format!("http://{address}/"), read_once);
    let error = failure(&transport, once).await;
    assert!(matches!(error, SendError::Reset { code: REFUSED_STREAM, .. }), "{error:?}");
    assert_eq!(transport.stats()[0].dials, 3);
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again() {
    let address = serving(|listener| {
        for last in [true, false] {
            let mut peer = Peer::accept(&listener, &[]);
            let stream = peer.request();
            if last {
                // Covered by the farewell, and then the connection ends.
                peer.leave(stream);
                drop(peer);
            } else {
                // INTERNAL_ERROR says nothing of how far it came.
                peer.reset(stream, 2);
                peer.outlast();
            }
        }
    });
    let transport = client(address);
    for _ in 0..2 {
        let error = failure(&transport, post(address, "hello")).await;
        assert!(!error.is_unprocessed(), "{error:?}");
    }
    assert_eq!(transport.stats()[0].dials, 2);
}

#[tokio::test]
async fn a_server_that_takes_fewer_streams_from_now_on_gets_no_more() {
    let (counts, counted) = mpsc::channel();
    let address = serving(move |listener| {
        let mut peer = Peer::accept(&listener, &[]);
        let first = peer.request();
        // MAX_CONCURRENT_STREAMS is 1 from here on.
        peer.write(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]);
        peer.answer(first, "one");
        let second = peer.request();
        let mut other = Peer::accept(&listener, &[]);
        let third = other.request();
        counts.send([second, third]).expect("the test runs");
        peer.answer(second, "one");
        other.answer(third, "other");
        peer.outlast();
        other.outlast();
    });
    let transport = client(address);
    assert_eq!(answers(&transport, address, 1).await, ["one"]);
    assert_eq!(answers(&transport, address, 2).await, ["one", "other"]);
    assert_eq!(counted.recv().expect("they came"), [3, 1]);
}

#[tokio::test]
async fn a_request_larger_than_the_window_waits_for_room_and_takes_what_a_change_of_settings_gives() {
    let body: &'static str = Box::leak("x".repeat(300_000).into_boxed_str());
    let address = serving(|listener| {
        // INITIAL_WINDOW_SIZE is 0 at first.
        let mut peer = Peer::accept(&listener, &[0, 4, 0, 0, 0, 0]);
        let mut received = 0;
        let stream = loop {
            match peer.read().expect("a request") {
                (SETTINGS, flags, ..) if flags & ACKNOWLEDGED == 0 => {
                    peer.write(SETTINGS, ACKNOWLEDGED, 0, &[]);
                }
                (HEADERS, ..) => {
                    // Room by a change of settings for the stream, and by a frame for the connection.
                    thread::sleep(Duration::from_millis(20));
                    peer.write(SETTINGS, 0, 0, &[0, 4, 0, 16, 0, 0]);
                    peer.write(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes());
                }
                (DATA, flags, stream, payload) => {
                    received += payload.len();
                    if flags & END_STREAM != 0 {
                        break stream;
                    }
                }
                _ => {}
            }
        };
        peer.answer(stream, &received.to_string());
        peer.outlast();
    });
    let transport = client(address);
    let response = transport.send(post(address, body)).await.expect("a response");
    assert_eq!(text(response.body).await, "300000");
}

#[tokio::test]
async fn interim_answers_and_trailers_are_passed_over() {
    let address = serving(|listener| {
        let mut peer = Peer::accept(&listener, &[]);
        let stream = peer.request();
        // `:status` of the static table with the value 103, then a field of its own behind the body.
        peer.write(HEADERS, END_HEADERS, stream, &[0x08, 3, b'1', b'0', b'3']);
        peer.write(HEADERS, END_HEADERS, stream, &[0x88]);
        peer.write(DATA, 0, stream, b"body");
        peer.write(HEADERS, END_HEADERS | END_STREAM, stream, &[0, 1, b't', 1, b'1']);
        let stream = peer.request();
        peer.answer(stream, "again");
        peer.outlast();
    });
    let transport = client(address);
    for expected in ["body", "again"] {
        let response = transport.send(post(address, "hello")).await.expect("a response");
        assert_eq!(text(response.body).await, expected);
    }
    assert_eq!(transport.stats()[0].dials, 1);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_was_sent_wholly_is_read() {
    let body: &'static str = Box::leak("x".repeat(1_000_000).into_boxed_str());
    let address = serving(|listener| {
        let mut peer = Peer::accept(&listener, &[]);
        let stream = loop {
            match peer.read().expect("a request") {
                (SETTINGS, flags, ..) if flags & ACKNOWLEDGED == 0 => {
                    peer.write(SETTINGS, ACKNOWLEDGED, 0, &[]);
                }
                (HEADERS, _, stream, _) => break stream,
                _ => {}
            }
        };
        // Nothing of the body is wanted: RFC 9113, section 8.1, has this end with NO_ERROR.
        peer.answer(stream, "enough");
        peer.reset(stream, 0);
        // What was sent of the body took room on the connection.
        peer.write(WINDOW_UPDATE, 0, 0, &65_535_u32.to_be_bytes());
        let next = loop {
            match peer.read().expect("a request") {
                (DATA, flags, next, _) if next != stream && flags & END_STREAM != 0 => break next,
                _ => {}
            }
        };
        peer.answer(next, "next");
        peer.outlast();
    });
    let transport = client(address);
    let response = transport.send(post(address, body)).await.expect("a response");
    assert_eq!(text(response.body).await, "enough");
    let response = transport.send(post(address, "hello")).await.expect("a response");
    assert_eq!(text(response.body).await, "next");
}
