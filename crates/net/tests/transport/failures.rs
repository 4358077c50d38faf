//! Each way to fail, as its own error, with its text.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use trunkline_net::{
    BodyError, DialPhase, RequestBody, Roots, SendError, Transport, TransportConfig, TransportError,
    UpstreamRequest,
};

use crate::support::*;

fn get(url: &str) -> UpstreamRequest {
    request(http::Method::GET, url, RequestBody::empty())
}

fn to(address: SocketAddr) -> UpstreamRequest {
    get(&format!("http://{address}/v1?key=s3cret"))
}

/// One connection, one answer, then the connection closes.
fn answering(answer: &'static str) -> SocketAddr {
    raw(move |listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        write(&mut stream, answer);
    })
}

#[tokio::test]
async fn refused() {
    let (address, _socket) = refusing();
    let transport = transport(&TransportConfig::default());
    let error = failure(&transport, to(address)).await;
    assert!(matches!(error, SendError::Connect { .. }) && error.is_unprocessed());
    insta::assert_snapshot!(shown(&error, address), @"connect to http://127.0.0.1:PORT: Connection refused (os error 111) (127.0.0.1:PORT)");
}

#[tokio::test]
async fn every_address_is_tried() {
    let (closed, _socket) = refusing();
    let server = Server::start(Speaks::Http1, number).await;
    let overrides = |addresses: Vec<SocketAddr>| TransportConfig {
        dns_overrides: [("api.test".to_owned(), addresses)].into(),
        ..TransportConfig::default()
    };
    let good = transport(&overrides(vec![closed, server.address]));
    let response = good.send(get("http://api.test/")).await.expect("the second address answers");
    assert_eq!(text(response.body).await, "0");
    let bad = transport(&overrides(vec![closed, closed]));
    let error = failure(&bad, get("http://api.test/")).await;
    insta::assert_snapshot!(shown(&error, closed), @"connect to http://api.test: none of 2 addresses accepted, the last: Connection refused (os error 111) (127.0.0.1:PORT)");
}

#[tokio::test]
async fn unresolvable() {
    let transport = transport(&TransportConfig {
        dns_overrides: [("gone.test".to_owned(), Vec::new())].into(),
        ..TransportConfig::default()
    });
    let error = failure(&transport, get("https://gone.test/v1?key=s3cret")).await;
    assert!(matches!(error, SendError::Resolve { .. }) && error.is_unprocessed());
    insta::assert_snapshot!(error, @"resolve the host of https://gone.test: no address (overridden)");
    // Through the system's resolver; its text differs between systems.
    let error = failure(&transport, get("https://no-such-host.invalid/")).await;
    assert!(matches!(error, SendError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn a_bad_url() {
    let transport = transport(&TransportConfig::default());
    let error = failure(&transport, get("/v1/chat?key=s3cret")).await;
    insta::assert_snapshot!(error, @"read the URL `/v1/chat`: it needs a scheme and a host, as in `https://api.example.com/v1`");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted() {
    let server = Server::start_tls(Speaks::Http2, number).await;
    let untrusting =
        transport(&TransportConfig { roots: Roots::Bundled, extra_roots: Vec::new(), ..server.config() });
    let error = failure(&untrusting, server.get()).await;
    assert!(matches!(error, SendError::Tls { .. }) && error.is_unprocessed());
    insta::assert_snapshot!(shown(&error, server.address), @"complete the tls handshake with https://localhost:PORT: invalid peer certificate: UnknownIssuer");

    let config = TransportConfig {
        dns_overrides: [("other.test".to_owned(), vec![server.address])].into(),
        ..server.config()
    };
    let error = failure(&transport(&config), get("https://other.test/")).await;
    insta::assert_snapshot!(error, @r#"complete the tls handshake with https://other.test: invalid peer certificate: certificate not valid for name "other.test"; certificate is only valid for DnsName("localhost")"#);

    let named = TransportConfig {
        insecure_hosts: vec!["LOCALHOST".to_owned()],
        extra_roots: Vec::new(),
        ..server.config()
    };
    assert_eq!(ask(&transport(&named), &server).await, "2", "unless the host is named as insecure");
}

#[tokio::test]
async fn no_tls_at_the_other_end() {
    let address = raw(|listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut hello = [0; 1024];
        let _ = stream.read(&mut hello);
        write(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = failure(&transport(&TransportConfig::default()), get(&format!("https://{address}/"))).await;
    assert!(matches!(error, SendError::Tls { .. }));
    insta::assert_snapshot!(shown(&error, address), @"complete the tls handshake with https://127.0.0.1:PORT: received corrupt message of type InvalidContentType");
}

/// Accepts, and never says a word.
fn mute() -> (SocketAddr, std::sync::mpsc::Sender<()>) {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let address = raw(move |listener| {
        let accepted: Vec<_> = listener.incoming().take(1).collect();
        let _ = held.recv();
        drop(accepted);
    });
    (address, hold)
}

#[tokio::test]
async fn a_hang_in_the_tls_handshake() {
    let (address, _hold) = mute();
    let config = TransportConfig { tls_timeout: Duration::from_millis(40), ..TransportConfig::default() };
    let error = failure(&transport(&config), get(&format!("https://{address}/"))).await;
    assert!(
        matches!(error, SendError::ConnectTimeout { phase: DialPhase::Tls, .. }) && error.is_unprocessed()
    );
    insta::assert_snapshot!(shown(&error, address), @"connect to https://127.0.0.1:PORT in time: the tls handshake did not end within 40 ms");

    let (address, _hold) = mute();
    let hurried = UpstreamRequest {
        connect_timeout: Some(Duration::from_millis(30)),
        ..get(&format!("https://{address}/"))
    };
    let error = failure(&transport(&TransportConfig::default()), hurried).await;
    assert!(matches!(error, SendError::ConnectTimeout { phase: DialPhase::Tls, .. }), "{error}");
}

#[tokio::test]
async fn headers_that_do_not_come() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let mut server = Server::start_tls(speaks, silence).await;
        let transport = transport(&server.config());
        let patient = UpstreamRequest { headers_timeout: Some(Duration::from_millis(30)), ..server.get() };
        let error = failure(&transport, patient).await;
        assert!(!error.is_unprocessed());
        insta::allow_duplicates! {
            insta::assert_snapshot!(shown(&error, server.address), @"get response headers from https://localhost:PORT in time: none within 30 ms");
        }
        server.wait_for(Event::Cancelled(0)).await;
    }
}

#[tokio::test]
async fn no_answer_at_all() {
    let transport = transport(&TransportConfig::default());
    let address = answering("");
    let error = failure(&transport, to(address)).await;
    assert!(matches!(error, SendError::Closed { request_sent: true, .. }));
    insta::assert_snapshot!(shown(&error, address), @"get a response from http://127.0.0.1:PORT: the connection closed before a response came");
    let address = answering("HTTP/1.1 200 OK\r\ncontent-");
    let error = failure(&transport, to(address)).await;
    assert!(matches!(error, SendError::Closed { request_sent: true, .. }));
}

#[tokio::test]
async fn an_answer_that_is_not_http() {
    let transport = transport(&TransportConfig::default());
    let address = answering("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    let error = failure(&transport, to(address)).await;
    assert!(matches!(error, SendError::Protocol { .. }));
    insta::assert_snapshot!(shown(&error, address), @"understand the response of http://127.0.0.1:PORT: invalid HTTP version parsed");
    let address = answering("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    let error = failure(&transport, to(address)).await;
    insta::assert_snapshot!(shown(&error, address), @"understand the response of http://127.0.0.1:PORT: it switches protocols without having been asked");
}

#[tokio::test]
async fn headers_beyond_the_limit() {
    let address = raw(|listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        let large = "x".repeat(9000);
        write(&mut stream, &format!("HTTP/1.1 200 OK\r\nlarge: {large}\r\ncontent-length: 0\r\n\r\n"));
    });
    let config = TransportConfig { max_response_header_bytes: 4096, ..TransportConfig::default() };
    let error = failure(&transport(&config), to(address)).await;
    assert!(matches!(error, SendError::TooLargeHeaders { .. }), "{error}");
    insta::assert_snapshot!(shown(&error, address), @"take the response headers of http://127.0.0.1:PORT: more than 4096 bytes or more than 100 lines");

    let server = Server::start(Speaks::Http2, |_| {
        Box::pin(async {
            let mut response = full("");
            let large = http::HeaderValue::from_str(&"x".repeat(9000)).expect("a value");
            response.headers_mut().insert("large", large);
            response
        })
    })
    .await;
    let config = TransportConfig { max_response_header_bytes: 4096, ..server.prior_knowledge() };
    let error = failure(&transport(&config), server.get()).await;
    assert!(matches!(error, SendError::Protocol { .. }), "{error}");
}

async fn body_failure(transport: &Transport, request: UpstreamRequest) -> BodyError {
    let mut response = transport.send(request).await.expect("headers");
    loop {
        match response.body.chunk().await.expect("an error comes before the end") {
            Ok(_) => {}
            Err(error) => {
                assert!(response.body.is_ended());
                assert!(response.body.chunk().await.is_none());
                return error;
            }
        }
    }
}

#[tokio::test]
async fn a_body_cut_in_the_middle() {
    let transport = transport(&TransportConfig::default());
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
    ] {
        let error = body_failure(&transport, to(answering(answer))).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"read the response body: the connection closed before the end of the body");
        }
        assert!(matches!(error, BodyError::Closed(_)));
    }
    let broken = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n";
    let error = body_failure(&transport, to(answering(broken))).await;
    assert!(matches!(error, BodyError::Protocol(_)), "{error:?}");
    insta::assert_snapshot!(error, @"read the response body: error reading a body from connection: Invalid chunk size line: missing size digit");
}

#[tokio::test]
async fn a_body_reset_in_the_middle() {
    let (mut feeds, handler) = feeding();
    let server = Server::start(Speaks::Http2, handler).await;
    let transport = transport(&server.prior_knowledge());
    let mut response = transport.send(server.get()).await.expect("headers");
    assert_eq!(next_text(&mut response).await, "0");
    let feed = feeds.recv().await.expect("a feed");
    feed.send(Err(std::io::Error::other("told to"))).expect("the body waits");
    let error = response.body.chunk().await.expect("an error").expect_err("the reset");
    assert!(matches!(error, BodyError::Reset { .. }), "{error:?}");
    insta::assert_snapshot!(error, @"read the response body: the stream was reset (unexpected internal error encountered)");
    // The connection has not suffered.
    let mut again = transport.send(server.get()).await.expect("headers");
    assert_eq!(next_text(&mut again).await, "0");
}

#[test]
fn settings_that_cannot_be_used() {
    let refused = |config: TransportConfig| Transport::new(&config).expect_err("refused").to_string();
    insta::assert_snapshot!(refused(TransportConfig { user_agent: "a\nb".to_owned(), ..Default::default() }), @r#"use the user agent "a\nb": it holds characters that a header may not"#);
    insta::assert_snapshot!(refused(TransportConfig { extra_roots: vec!["nothing".to_owned()], ..Default::default() }), @"read the extra root certificate number 1: no certificate in the text");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    insta::assert_snapshot!(refused(TransportConfig { extra_roots: vec![broken], ..Default::default() }), @"read the extra root certificate number 1: invalid peer certificate: BadEncoding");
    insta::assert_snapshot!(refused(TransportConfig { max_connections_per_origin: 0, ..Default::default() }), @"use the limit `max_connections_per_origin`: it must be at least 1");
    insta::assert_snapshot!(TransportError::Tls("no cipher suite".to_owned()), @"set up tls: no cipher suite");
}

/// Texts of errors that take a network fault to produce.
#[test]
fn texts() {
    let origin = || "https://api.example.com".to_owned();
    let limit = Duration::from_secs(10);
    for phase in [DialPhase::Resolve, DialPhase::Connect, DialPhase::Handshake] {
        assert!(SendError::ConnectTimeout { origin: origin(), phase, limit }.is_unprocessed());
    }
    insta::assert_snapshot!(SendError::ConnectTimeout { origin: origin(), phase: DialPhase::Resolve, limit }, @"connect to https://api.example.com in time: the name resolution did not end within 10000 ms");
    insta::assert_snapshot!(SendError::ConnectTimeout { origin: origin(), phase: DialPhase::Connect, limit }, @"connect to https://api.example.com in time: the tcp connect did not end within 10000 ms");
    insta::assert_snapshot!(SendError::ConnectTimeout { origin: origin(), phase: DialPhase::Handshake, limit }, @"connect to https://api.example.com in time: the http handshake did not end within 10000 ms");
    let refused = SendError::Reset { origin: origin(), code: 7, reason: "refused stream".to_owned() };
    assert!(refused.is_unprocessed());
    insta::assert_snapshot!(refused, @"get a response from https://api.example.com: the stream was reset (refused stream)");
    let unsent =
        SendError::Closed { origin: origin(), request_sent: false, detail: "the pool is gone".to_owned() };
    assert!(unsent.is_unprocessed());
    insta::assert_snapshot!(unsent, @"get a response from https://api.example.com: the pool is gone");
}
