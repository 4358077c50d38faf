//! What servers and proxies of HTTP/1.1 do beside the usual, and are allowed to.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;

use bytes::Bytes;
use http::Method;
use trunkline_net::{RequestBody, TransportConfig, UpstreamRequest};

use crate::support::{raw, read_request, request, text, transport, write};

fn post(address: SocketAddr, body: impl Into<Bytes>) -> UpstreamRequest {
    request(Method::POST, &format!("http://{address}/"), RequestBody::from(body.into()))
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_was_sent_wholly_is_read() {
    let (answered, is_read) = mpsc::channel::<()>();
    let address = raw(move |listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut some = [0; 1_000];
        assert!(stream.read(&mut some).expect("readable") > 0);
        write(&mut stream, "HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nno");
        // The rest of the request is never read.
        is_read.recv().expect("the test runs");
        drop(stream);
        let (mut next, _) = listener.accept().expect("a connection");
        read_request(&mut next);
        write(&mut next, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes");
    });
    let transport = transport(&TransportConfig::default());
    let response = transport.send(post(address, vec![b'x'; 16_000_000])).await.expect("a response");
    assert_eq!((response.status.as_u16(), response.headers["retry-after"].as_bytes()), (429, &b"7"[..]));
    assert_eq!(text(response.body).await, "no");
    answered.send(()).expect("the server runs");
    // The connection holds half a request: the next one goes elsewhere.
    let response = transport.send(post(address, "hello")).await.expect("a response");
    assert_eq!(text(response.body).await, "yes");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_read_though_the_server_closes_at_once() {
    let address = raw(|listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut some = [0; 1_000];
        assert!(stream.read(&mut some).expect("readable") > 0);
        write(&mut stream, "HTTP/1.1 413 Too Much\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
        stream.shutdown(std::net::Shutdown::Write).expect("a socket");
        // As servers do that know of it: what still comes is read and thrown away for a while.
        while stream.read(&mut some).is_ok_and(|count| count > 0) {}
    });
    let transport = transport(&TransportConfig::default());
    let response = transport.send(post(address, vec![b'x'; 4_000_000])).await.expect("a response");
    assert_eq!(response.status.as_u16(), 413);
    assert_eq!(text(response.body).await, "no");
}

#[tokio::test]
async fn interim_answers_chunk_extensions_and_trailers_are_passed_over() {
    let address = raw(|listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        for _ in 0..2 {
            read_request(&mut stream);
            write(&mut stream, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
            write(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n");
            write(&mut stream, "5;name=value;other=\"quoted\"\r\nhello\r\n6 ;x\r\n world\r\n");
            write(&mut stream, "0;last\r\nx-checksum: 1\r\n\r\n");
        }
    });
    let transport = transport(&TransportConfig::default());
    for _ in 0..2 {
        let response = transport.send(post(address, "hello")).await.expect("a response");
        assert_eq!(text(response.body).await, "hello world");
    }
    assert_eq!(transport.stats()[0].dials, 1);
}

#[tokio::test]
async fn old_servers_that_end_by_closing_are_understood() {
    let address = raw(|listener| {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("a connection");
            read_request(&mut stream);
            write(&mut stream, "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end");
        }
    });
    let transport = transport(&TransportConfig::default());
    for _ in 0..2 {
        let response = transport.send(post(address, "hello")).await.expect("a response");
        assert_eq!(text(response.body).await, "to the end");
    }
}

#[tokio::test]
async fn a_farewell_on_an_idle_connection_is_no_answer_to_the_next_request() {
    let (say, is_told) = mpsc::channel::<()>();
    let address = raw(move |listener| {
        let (mut first, _) = listener.accept().expect("a connection");
        read_request(&mut first);
        write(&mut first, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst");
        is_told.recv().expect("the test runs");
        // Proxies say so before they close a connection that has rested for too long.
        write(&mut first, "HTTP/1.1 408 Request Time-out\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        drop(first);
        let (mut second, _) = listener.accept().expect("a connection");
        read_request(&mut second);
        second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond").expect("writable");
    });
    let transport = transport(&TransportConfig::default());
    let response = transport.send(post(address, "hello")).await.expect("a response");
    assert_eq!(text(response.body).await, "first");
    say.send(()).expect("the server runs");
    while transport.stats()[0].open > 0 {
        tokio::task::yield_now().await;
    }
    let response = transport.send(post(address, "hello")).await.expect("a response");
    assert_eq!(text(response.body).await, "second");
}
