//! A request that nobody wants any more ends at the server, at once.

use bytes::Bytes;

use crate::support::*;

#[tokio::test]
async fn http1_closes_the_connection_when_the_wait_for_headers_is_dropped() {
    for tls in [false, true] {
        let mut server = if tls {
            Server::start_tls(Speaks::Http1, silence).await
        } else {
            Server::start(Speaks::Http1, silence).await
        };
        let transport = transport(&server.config());
        let sending = tokio::spawn({
            let (transport, get) = (transport.clone(), server.get());
            async move { transport.send(get).await.map(|response| response.status) }
        });
        server.wait_for(Event::Requested(0)).await;
        sending.abort();
        server.wait_for(Event::Cancelled(0)).await;
        server.wait_for(Event::Closed(0)).await;
        assert_eq!(transport.stats()[0].idle, 0);
    }
}

#[tokio::test]
async fn http1_closes_the_connection_when_the_body_is_dropped() {
    let (mut feeds, handler) = feeding();
    let mut server = Server::start(Speaks::Http1, handler).await;
    let transport = transport(&server.config());
    let mut response = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut response).await, "0");
    let _feed = feeds.recv().await.expect("a feed");
    drop(response);
    server.wait_for(Event::Cancelled(0)).await;
    server.wait_for(Event::Closed(0)).await;
}

#[tokio::test]
async fn http2_resets_the_stream_and_keeps_the_connection_when_the_wait_is_dropped() {
    let mut server = Server::start_tls(Speaks::Http2, |asked| {
        if asked.request.uri().path() == "/silent" { silence(asked) } else { number(asked) }
    })
    .await;
    let transport = transport(&server.config());
    let silent = request(http::Method::GET, &server.url("/silent"), trunkline_net::RequestBody::empty());
    let sending = tokio::spawn({
        let transport = transport.clone();
        async move { transport.send(silent).await.map(|response| response.status) }
    });
    server.wait_for(Event::Requested(0)).await;
    sending.abort();
    server.wait_for(Event::Cancelled(0)).await;
    assert_eq!(ask(&transport, &server).await, "0");
    let stats = &transport.stats()[0];
    assert_eq!((stats.open, stats.streams), (1, 0));
}

#[tokio::test]
async fn http2_resets_the_stream_and_keeps_the_connection_when_the_body_is_dropped() {
    let (mut feeds, handler) = feeding();
    let mut server = Server::start_tls(Speaks::Http2, handler).await;
    let transport = transport(&server.config());
    let mut response = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut response).await, "0");
    let _feed = feeds.recv().await.expect("a feed");
    drop(response);
    server.wait_for(Event::Cancelled(0)).await;
    let mut again = transport.send(server.get()).await.expect("a response");
    assert_eq!(next_text(&mut again).await, "0");
    assert_eq!(transport.stats()[0].dials, 1);
}

#[tokio::test]
async fn a_cancelled_wait_for_a_dial_leaves_the_connection_to_the_next() {
    let mut server = Server::start_tls(Speaks::Http2, number).await;
    let transport = transport(&server.config());
    let mut sending = Box::pin(transport.send(server.get()));
    assert!(is_pending(&mut sending).await);
    drop(sending);
    server.wait_for(Event::Connected(0)).await;
    assert_eq!(ask(&transport, &server).await, "0");
    assert_eq!(transport.stats()[0].dials, 1);
}

#[tokio::test]
async fn cancelling_in_the_middle_of_an_upload_closes_at_once() {
    let mut server = Server::start_tls(Speaks::Http1, silence).await;
    let transport = transport(&server.config());
    // More than any socket buffer holds, to a server that does not read it.
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let upload = request(http::Method::POST, &server.url("/"), body.into());
    let sending = tokio::spawn({
        let transport = transport.clone();
        async move { transport.send(upload).await.map(|response| response.status) }
    });
    server.wait_for(Event::Requested(0)).await;
    sending.abort();
    while transport.stats()[0].open > 0 {
        tokio::task::yield_now().await;
    }
}

/// Requests dropped at every stage, over a pool too small for them: the others are served, and nothing is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_in_which_every_third_gives_up_leaves_nothing_behind() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let server = Server::start_tls(speaks, number).await;
        let transport = transport(&trunkline_net::TransportConfig {
            max_connections_per_origin: 4,
            http2_max_streams_per_connection: 3,
            ..server.config()
        });
        let tasks: Vec<_> = (0..600usize)
            .map(|index| {
                let (transport, get) = (transport.clone(), server.get());
                tokio::spawn(async move {
                    let exchange = async {
                        let response = transport.send(get).await.expect("a response");
                        text(response.body).await
                    };
                    if index % 3 > 0 {
                        return Some(exchange.await);
                    }
                    let patience = async {
                        for _ in 0..index {
                            tokio::task::yield_now().await;
                        }
                    };
                    tokio::select! {
                        text = exchange => Some(text),
                        () = patience => None,
                    }
                })
            })
            .collect();
        for (index, task) in tasks.into_iter().enumerate() {
            let answer = task.await.expect("no panic");
            assert!(answer.is_some() || index % 3 == 0);
        }
        // What was cancelled is still closing.
        let stats = loop {
            let stats = transport.stats().pop().expect("one origin");
            if stats.dialing == 0 && stats.open == stats.idle {
                break stats;
            }
            tokio::task::yield_now().await;
        };
        assert!(stats.open <= 4);
        assert_eq!((stats.streams, stats.waiting), (0, 0));
    }
}
