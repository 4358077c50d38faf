//! The client goes away: its upstream call is cancelled and recorded as such.

use crate::support::{Face, Gateway, KEY, PATIENCE, exchange, model, provider, simulator};
use http_body_util::{BodyExt, Full};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use trunkline_model::record::Outcome;
use trunkline_sim::{Delay, DialectName, Fault, Progress, Simulator};

async fn one_provider(dialect: DialectName) -> (Simulator, Gateway) {
    let simulator = simulator(dialect).await;
    let gateway =
        Gateway::start(&format!("providers:\n{}", provider("only", dialect, &simulator.base_url()))).await;
    (simulator, gateway)
}

/// Waits for the simulator to notice and says how long that took since `gone`.
async fn noticed(simulator: &Simulator, gone: Instant) -> Duration {
    timeout(PATIENCE, simulator.wait_until(|counters| counters.disconnects == 1))
        .await
        .expect("the call is cancelled");
    let took = simulator.disconnects()[0].at.saturating_duration_since(gone);
    println!("the upstream call was cancelled after {took:?}");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_a_stream_cancels_the_upstream_call() {
    for dialect in [DialectName::OpenAi, DialectName::Anthropic] {
        let (simulator, gateway) = one_provider(dialect).await;
        // A token now and then, so that the stream is in the middle for as long as the test takes.
        simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(50)));
        let model = format!("only/{}", model(dialect));
        let body = Face::OpenAi.body(&model, "[[sim: words=5000]]", true);
        let request = gateway.builder(Face::OpenAi.path()).body(Full::new(body.into())).unwrap();
        let mut response = exchange(gateway.address(), request).await.unwrap();
        let id = response.headers()["x-trunkline-request-id"].to_str().unwrap().to_owned();
        response.frame().await.unwrap().unwrap();
        drop(response);
        noticed(&simulator, Instant::now()).await;
        assert!(matches!(simulator.disconnects()[0].progress, Progress::Body { bytes } if bytes > 0));
        let record = gateway.record(&id).await;
        assert_eq!(record.outcome, Outcome::ClientGone);
        assert_eq!(record.attempts.len(), 1);
        // What was generated is paid for, though nobody said how much it was.
        assert!(record.usage.completion() > 0, "{:?}", record.usage);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_begins_cancels_the_upstream_call() {
    for streamed in [false, true] {
        let (simulator, gateway) = one_provider(DialectName::OpenAi).await;
        simulator.fail_with(Fault::HangBeforeHeaders);
        let model = format!("only/{}", model(DialectName::OpenAi));
        let body = Face::Anthropic.body(&model, "Hello", streamed);
        let request = gateway.builder(Face::Anthropic.path()).body(Full::new(body.into())).unwrap();
        let asking = tokio::spawn(exchange(gateway.address(), request));
        timeout(PATIENCE, simulator.wait_until(|counters| counters.requests == 1)).await.unwrap();
        asking.abort();
        noticed(&simulator, Instant::now()).await;
        let records = gateway.records(1).await;
        assert_eq!(records.iter().map(|record| record.outcome).collect::<Vec<_>>(), [Outcome::ClientGone]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stays_and_takes_nothing_is_not_waited_for() {
    let simulator = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "server: {{ client_timeout: 1s }}\nproviders:\n{}",
        provider("only", DialectName::OpenAi, &simulator.base_url())
    ))
    .await;
    let model = format!("only/{}", model(DialectName::OpenAi));
    // Far more than the sockets on the way can hold.
    let body = Face::OpenAi.body(&model, "[[sim: words=300000]]", true);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        Face::OpenAi.path(),
        body.len()
    );
    stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await.unwrap();
    noticed(&simulator, Instant::now()).await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome, record.attempts.len()), (Outcome::ClientGone, 1));
    let told = "the client took nothing of its answer for 1000 ms";
    assert_eq!(record.error_message.as_deref(), Some(told));
    assert!(record.usage.completion() > 0, "{:?}", record.usage);
    drop(stream);
}
