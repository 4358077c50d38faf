//! What exactly goes over the wire, and what comes back.

use std::sync::mpsc as blocking;

use bytes::Bytes;
use http::{Method, header};
use http_body_util::BodyExt;
use trunkline_net::{RequestBody, TransportConfig, UpstreamRequest};

use crate::support::*;

/// Sends one request to a bare socket and shows its head and body.
async fn on_the_wire(make: impl FnOnce(&str) -> UpstreamRequest) -> (String, String) {
    let (seen, sees) = blocking::channel();
    let address = raw(move |listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        seen.send(read_request(&mut stream)).expect("the test runs");
        write(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    let response = transport(&TransportConfig::default())
        .send(make(&format!("http://{address}")))
        .await
        .expect("a response");
    assert!(response.body.is_ended(), "204 has no body");
    let (head, body) = sees.recv().expect("a request");
    (shown(&head, address).replace("\r\n", "\n"), String::from_utf8(body).expect("text"))
}

#[tokio::test]
async fn a_rope_is_sent_whole_with_its_exact_length() {
    let (head, body) = on_the_wire(|base| {
        let pieces = ["{\"model\":", "", "\"m\"", ",\"messages\":[]}"]
            .map(|piece| Bytes::from_static(piece.as_bytes()));
        let mut request =
            request(Method::POST, &format!("{base}/v1/chat?beta=1"), RequestBody::from_pieces(pieces));
        request.headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static("Bearer k"));
        // Framing is not the caller's.
        request.headers.insert(header::CONTENT_LENGTH, http::HeaderValue::from_static("3"));
        request.headers.insert(header::TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"));
        request.headers.insert(header::CONNECTION, http::HeaderValue::from_static("close"));
        request
    })
    .await;
    insta::assert_snapshot!(head.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#"
    POST /v1/chat?beta=1 HTTP/1.1
    authorization: Bearer k
    accept-encoding: identity
    user-agent: trunkline/VERSION
    host: 127.0.0.1:PORT
    content-length: 27
    "#);
    assert_eq!(body, r#"{"model":"m","messages":[]}"#);
}

#[tokio::test]
async fn without_a_body() {
    let (head, _) = on_the_wire(|base| {
        let mut request = request(Method::GET, base, RequestBody::empty());
        request.headers.insert(header::HOST, http::HeaderValue::from_static("chosen.test"));
        request.headers.insert(header::ACCEPT_ENCODING, http::HeaderValue::from_static("gzip"));
        request.headers.insert(header::USER_AGENT, http::HeaderValue::from_static("own"));
        request
    })
    .await;
    insta::assert_snapshot!(head, @r#"
    GET / HTTP/1.1
    host: chosen.test
    accept-encoding: gzip
    user-agent: own
    "#);
    let (head, _) = on_the_wire(|base| request(Method::POST, base, RequestBody::empty())).await;
    assert!(head.contains("content-length: 0\n"), "{head}");
}

#[tokio::test]
async fn http2_carries_the_same_request() {
    let server = Server::start_tls(Speaks::Http2, |asked| {
        Box::pin(async move {
            let (head, body) = asked.request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let text = String::from_utf8(body.to_vec()).expect("text");
            full(format!("{} {} {:?} {text}", head.method, head.uri, head.headers))
        })
    })
    .await;
    let pieces = vec![Bytes::from_static(b"one "), Bytes::from_static(b"two")];
    let mut post = request(Method::POST, &server.url("/v1/chat?beta=1"), pieces.into());
    post.headers.insert(header::HOST, http::HeaderValue::from_static("chosen.test"));
    let response = transport(&server.config()).send(post).await.expect("a response");
    assert!(response.phases.tls.is_some());
    let text = text(response.body).await.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(text, @r#"POST https://chosen.test/v1/chat?beta=1 {"user-agent": "trunkline/VERSION", "accept-encoding": "identity", "content-length": "7"} one two"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_both_ways() {
    for (speaks, tls) in
        [(Speaks::Http1, false), (Speaks::Http1, true), (Speaks::Http2, true), (Speaks::Http2, false)]
    {
        let prior_knowledge = matches!(speaks, Speaks::Http2) && !tls;
        let echo = |asked: Asked| -> Answer {
            Box::pin(
                async move { full(asked.request.into_body().collect().await.expect("a body").to_bytes()) },
            )
        };
        let server =
            if tls { Server::start_tls(speaks, echo).await } else { Server::start(speaks, echo).await };
        let config = if prior_knowledge { server.prior_knowledge() } else { server.config() };
        let transport = transport(&config);
        let pieces: Vec<Bytes> = (0..64u8).map(|piece| Bytes::from(vec![piece; 65_537])).collect();
        let whole = pieces.concat();
        let post = request(Method::POST, &server.url("/"), pieces.into());
        let mut response = transport.send(post).await.expect("a response");
        assert_eq!(response.body.content_length(), Some(whole.len() as u64));
        let mut echoed = Vec::new();
        while let Some(chunk) = response.body.chunk().await {
            echoed.extend_from_slice(&chunk.expect("good"));
        }
        assert!(echoed == whole, "the echo differs");
        // The task of the connection gives it back, a moment after the last byte was read here.
        while transport.stats()[0].idle != 1 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_response_until_the_connection_closes_is_whole() {
    let address = raw(|listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        write(&mut stream, "HTTP/1.1 200 OK\r\n\r\nto the end");
    });
    let transport = transport(&TransportConfig::default());
    let get = request(Method::GET, &format!("http://{address}/"), RequestBody::empty());
    let response = transport.send(get).await.expect("a response");
    assert_eq!(text(response.body).await, "to the end");
}

#[tokio::test]
async fn trailers_and_interim_responses_are_passed_over() {
    let address = raw(|listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        write(&mut stream, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: t\r\n\r\n");
        write(&mut stream, "4\r\nbody\r\n0\r\nt: 1\r\n\r\n");
        let _ = read_request(&mut stream);
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nagain");
    });
    let transport = transport(&TransportConfig::default());
    for expected in ["body", "again"] {
        let get = request(Method::GET, &format!("http://{address}/"), RequestBody::empty());
        let response = transport.send(get).await.expect("a response");
        assert_eq!(text(response.body).await, expected);
    }
}
