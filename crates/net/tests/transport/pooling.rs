//! Which connection a request goes to, how many there are, and when they go.

use std::sync::mpsc as blocking;
use std::time::Duration;

use futures_util::future::join_all;
use trunkline_net::{OriginStats, SendError, Transport, TransportConfig, UpstreamRequest};

use crate::support::*;

fn stats(transport: &Transport) -> OriginStats {
    transport.stats().pop().expect("one origin")
}

#[tokio::test]
async fn a_connection_is_used_again_and_the_phases_say_so() {
    let server = Server::start(Speaks::Http1, number).await;
    let transport = transport(&server.config());
    let first = transport.send(server.get()).await.expect("a response");
    let phases = first.phases;
    assert!(!phases.reused && phases.resolve.is_some() && phases.connect.is_some() && phases.tls.is_none());
    assert!(phases.sent <= phases.first_byte);
    assert_eq!(text(first.body).await, "0");
    let second = transport.send(server.get()).await.expect("a response");
    let phases = second.phases;
    assert!(phases.reused && phases.resolve.is_none() && phases.connect.is_none());
    assert_eq!(text(second.body).await, "0");
    let stats = stats(&transport);
    assert_eq!((stats.open, stats.idle, stats.dials, stats.reuses), (1, 1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_in_turn_need_one_connection() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let server = Server::start_tls(speaks, number).await;
        let transport = transport(&server.config());
        for _ in 0..200 {
            assert_eq!(ask(&transport, &server).await, "0");
        }
        assert_eq!(stats(&transport).dials, 1);
    }
}

#[tokio::test]
async fn a_body_without_a_length_returns_its_connection_at_its_end() {
    let (mut feeds, handler) = feeding();
    let server = Server::start(Speaks::Http1, handler).await;
    let transport = transport(&server.config());
    for _ in 0..3 {
        let response = transport.send(server.get()).await.expect("a response");
        assert_eq!(response.body.content_length(), None);
        drop(feeds.recv().await.expect("a feed"));
        assert_eq!(text(response.body).await, "0");
    }
    assert_eq!(stats(&transport).dials, 1);
}

#[tokio::test]
async fn a_reader_that_stops_at_the_last_event_keeps_the_connection() {
    let (hold, held) = blocking::channel::<()>();
    let address = raw(move |listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n[DONE]\r\n0\r\n\r\n");
        let _ = held.recv();
    });
    let transport = transport(&TransportConfig::default());
    let mut response = transport.send(post(address)).await.expect("a response");
    assert_eq!(next_text(&mut response).await, "[DONE]");
    // The empty last chunk has arrived with the others: the connection's next turn finds it.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert!(!response.body.is_ended());
    drop(response);
    assert_eq!(stats(&transport).idle, 1);
    drop(hold);
}

#[tokio::test]
async fn the_connection_used_last_is_used_first() {
    let (mut feeds, handler) = feeding();
    let server = Server::start(Speaks::Http1, handler).await;
    let transport = transport(&server.config());
    let mut open = Vec::new();
    for _ in 0..3 {
        let response = transport.send(server.get()).await.expect("a response");
        open.push((response, feeds.recv().await.expect("a feed")));
    }
    let (last, middle, first) = (open.pop(), open.pop(), open.pop());
    for (response, feed) in [first, last, middle].into_iter().flatten() {
        drop(feed);
        text(response.body).await;
    }
    let mut again = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut again).await, "1");
    let mut further = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut further).await, "2");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let mut server = Server::start_tls(speaks, number).await;
        let transport = transport(&server.config());
        assert_eq!(ask(&transport, &server).await, "0");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(100)).await;
        tokio::time::resume();
        server.wait_for(Event::Closed(0)).await;
        assert_eq!(ask(&transport, &server).await, "1");
    }
}

#[tokio::test]
async fn a_burst_over_tls_opens_one_connection_when_it_can_be_shared() {
    let server = Server::start_tls(Speaks::Http2, number).await;
    let transport = transport(&server.config());
    let answers = join_all((0..60).map(|_| ask(&transport, &server))).await;
    assert!(answers.iter().all(|answer| answer == "0"));
    assert_eq!(stats(&transport).dials, 1);
}

#[tokio::test]
async fn a_burst_over_tls_opens_one_for_each_when_it_cannot() {
    let (mut feeds, handler) = feeding();
    let server = Server::start_tls(Speaks::Http1, handler).await;
    let transport = transport(&server.config());
    let open = join_all((0..5).map(|_| transport.send(server.get()))).await;
    assert!(open.iter().all(Result::is_ok));
    for _ in 0..5 {
        feeds.recv().await.expect("a feed");
    }
    assert_eq!(stats(&transport).open, 5);
}

#[tokio::test]
async fn a_further_connection_opens_when_the_streams_run_out() {
    let (mut feeds, handler) = feeding();
    let server = Server::start_tls(Speaks::Http2, handler).await;
    let transport = transport(&TransportConfig { http2_max_streams_per_connection: 2, ..server.config() });
    let open = join_all((0..5).map(|_| transport.send(server.get()))).await;
    let mut connections = Vec::new();
    for response in open {
        let mut response = response.expect("a response");
        assert_eq!(response.version, http::Version::HTTP_2);
        connections.push((next_text(&mut response).await, response));
    }
    let mut numbers: Vec<_> = connections.iter().map(|(number, _)| number.as_str()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["0", "0", "1", "1", "2"]);
    let stats = stats(&transport);
    assert_eq!((stats.open, stats.streams), (3, 5));
    while let Ok(feed) = feeds.try_recv() {
        drop(feed);
    }
}

#[tokio::test]
async fn the_servers_own_limit_of_streams_is_respected() {
    let (mut feeds, handler) = feeding();
    let server = Server::start_tls(Speaks::Http2Limited(1), handler).await;
    let transport = transport(&server.config());
    // The first response shows the server's settings to have arrived.
    let first = transport.send(server.get()).await.expect("a response");
    drop(feeds.recv().await.expect("a feed"));
    text(first.body).await;
    let mut responses = Vec::new();
    for expected in ["0", "1", "2"] {
        let mut response = transport.send(server.get()).await.expect("a response");
        assert_eq!(next_text(&mut response).await, expected);
        responses.push((response, feeds.recv().await));
    }
}

#[tokio::test]
async fn a_connection_that_the_server_leaves_ends_its_streams_and_takes_no_more() {
    let (mut feeds, handler) = feeding();
    let server = Server::start_tls(Speaks::Http2, handler).await;
    let transport = transport(&server.config());
    let mut old = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut old).await, "0");
    let feed = feeds.recv().await.expect("a feed");
    server.leave.notify_one();
    // The farewell travels; until it has come, requests may still go to the first connection.
    let mut new = loop {
        let mut new = transport.send(server.get()).await.expect("a response");
        if next_text(&mut new).await == "1" {
            break new;
        }
    };
    feed.send(Ok("more".into())).expect("the body waits");
    drop(feed);
    assert_eq!(next_text(&mut old).await, "more");
    assert_eq!(text(old.body).await, "");
    while let Ok(feed) = feeds.try_recv() {
        drop(feed);
    }
    assert_eq!(new.body.chunk().await, None);
}

#[tokio::test]
async fn cleartext_http2_needs_prior_knowledge() {
    let server = Server::start(Speaks::Http2, number).await;
    let transport = transport(&server.prior_knowledge());
    let answers = join_all((0..10).map(|_| ask(&transport, &server))).await;
    assert!(answers.iter().all(|answer| answer == "0"));
}

/// Answers one request on each of two connections, and closes the first when told to.
fn closing_when_told() -> (std::net::SocketAddr, blocking::Sender<()>) {
    let (close, closing) = blocking::channel::<()>();
    let address = raw(move |listener| {
        let (mut first, _) = listener.accept().expect("a connection");
        read_request(&mut first);
        write(&mut first, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst");
        closing.recv().expect("the test runs");
        drop(first);
        let (mut second, _) = listener.accept().expect("a connection");
        let (_, body) = read_request(&mut second);
        assert_eq!(body, b"one two three");
        write(&mut second, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond");
    });
    (address, close)
}

fn post(address: std::net::SocketAddr) -> UpstreamRequest {
    let pieces = ["one ", "two ", "three"].map(|piece| piece.as_bytes().into());
    request(http::Method::POST, &format!("http://{address}/"), Vec::from(pieces).into())
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closes_is_not_used_again() {
    let (address, close) = closing_when_told();
    let transport = transport(&TransportConfig::default());
    let response = transport.send(post(address)).await.expect("a response");
    assert_eq!(text(response.body).await, "first");
    close.send(()).expect("the server runs");
    while stats(&transport).open > 0 {
        tokio::task::yield_now().await;
    }
    let response = transport.send(post(address)).await.expect("a response");
    assert!(!response.phases.reused);
    assert_eq!(text(response.body).await, "second");
}

#[tokio::test]
async fn a_connection_that_dies_in_our_hands_is_replaced_without_the_caller_noticing() {
    let (address, close) = closing_when_told();
    let transport = transport(&TransportConfig { max_connections_per_origin: 1, ..Default::default() });
    let first = transport.send(post(address)).await.expect("a response");
    let mut second = Box::pin(transport.send(post(address)));
    assert!(is_pending(&mut second).await);
    // The connection is granted to the second request, and closes before that has sent anything.
    assert_eq!(text(first.body).await, "first");
    close.send(()).expect("the server runs");
    while stats(&transport).open > 0 {
        tokio::task::yield_now().await;
    }
    let second = second.await.expect("a response");
    assert!(!second.phases.reused);
    assert_eq!(text(second.body).await, "second");
    assert_eq!(stats(&transport).dials, 2);
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let address = raw(move |listener| {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        read_request(&mut stream);
    });
    let transport = transport(&TransportConfig::default());
    let get = || {
        UpstreamRequest::new(
            http::Method::GET,
            format!("http://{address}/").parse().expect("a URL"),
            trunkline_net::RequestBody::empty(),
        )
    };
    transport.send(get()).await.expect("a response");
    let error = failure(&transport, get()).await;
    assert!(!error.is_unprocessed());
    assert_eq!(stats(&transport).dials, 1);
    insta::assert_snapshot!(shown(&error, address), @"get a response from http://127.0.0.1:PORT: the connection closed before a response came");
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let (mut feeds, handler) = feeding();
    let server = Server::start(Speaks::Http1, handler).await;
    let transport = transport(&TransportConfig {
        max_connections_per_origin: 1,
        max_waiting_per_origin: 1,
        ..server.config()
    });
    let first = transport.send(server.get()).await.expect("a response");
    let feed = feeds.recv().await.expect("a feed");

    tokio::time::pause();
    let error = failure(&transport, server.get()).await;
    insta::assert_snapshot!(shown(&error, server.address), @"get a connection to http://localhost:PORT in time: all 1 allowed stayed busy for 10000 ms");
    assert!(matches!(error, SendError::PoolTimeout { open: 1, .. }));
    tokio::time::resume();

    let mut waiting = Box::pin(transport.send(server.get()));
    assert!(is_pending(&mut waiting).await);
    let error = failure(&transport, server.get()).await;
    insta::assert_snapshot!(shown(&error, server.address), @"queue for a connection to http://localhost:PORT: 1 requests wait already");
    assert!(matches!(error, SendError::PoolExhausted { .. }));

    // Whoever gives up leaves its place.
    drop(waiting);
    let mut waiting = Box::pin(transport.send(server.get()));
    assert!(is_pending(&mut waiting).await);
    drop(feed);
    assert_eq!(text(first.body).await, "0");
    let mut second = waiting.await.expect("a response");
    assert_eq!(next_text(&mut second).await, "0");
    assert!(second.phases.reused);
}

#[tokio::test]
async fn a_grant_that_nobody_takes_returns() {
    let (mut feeds, handler) = feeding();
    let server = Server::start(Speaks::Http1, handler).await;
    let transport = transport(&TransportConfig { max_connections_per_origin: 1, ..server.config() });
    let first = transport.send(server.get()).await.expect("a response");
    let mut waiting = Box::pin(transport.send(server.get()));
    assert!(is_pending(&mut waiting).await);
    drop(feeds.recv().await.expect("a feed"));
    // The connection is granted to the waiting request, which is dropped before it can know.
    assert_eq!(text(first.body).await, "0");
    drop(waiting);
    let mut again = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut again).await, "0");
    assert_eq!(stats(&transport).dials, 1);
}

#[tokio::test]
async fn connections_close_with_the_last_clone_of_the_transport() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let mut server = Server::start_tls(speaks, number).await;
        let transport = transport(&server.config());
        assert_eq!(ask(&transport.clone(), &server).await, "0");
        assert_eq!(ask(&transport, &server).await, "0");
        drop(transport);
        server.wait_for(Event::Closed(0)).await;
    }
}

#[tokio::test]
async fn a_warm_origin_has_its_connection_before_the_first_request() {
    let mut server = Server::start(Speaks::Http1, number).await;
    let transport = transport(&server.config());
    transport.warm(&server.url("/").parse().expect("a URL")).expect("a good origin");
    server.wait_for(Event::Connected(0)).await;
    while stats(&transport).idle == 0 {
        tokio::task::yield_now().await;
    }
    let response = transport.send(server.get()).await.expect("a response");
    assert!(response.phases.reused);
}

#[tokio::test]
async fn origins_are_bounded_and_quiet_ones_make_room() {
    let (address, _socket) = refusing();
    let transport = transport(&TransportConfig { max_origins: 1, ..TransportConfig::default() });
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", address.port());
        let error =
            failure(&transport, request(http::Method::GET, &url, trunkline_net::RequestBody::empty())).await;
        assert!(matches!(error, SendError::Connect { .. }), "{error}");
    }
    assert_eq!(transport.stats().len(), 1);

    let server = Server::start(Speaks::Http1, number).await;
    let busy = crate::support::transport(&TransportConfig { max_origins: 1, ..server.config() });
    assert_eq!(ask(&busy, &server).await, "0");
    let url = format!("http://other.test:{}/", address.port());
    let error = failure(&busy, request(http::Method::GET, &url, trunkline_net::RequestBody::empty())).await;
    insta::assert_snapshot!(shown(&error, address), @"queue for a connection to http://other.test:PORT: 1 origins are in use already");
}
