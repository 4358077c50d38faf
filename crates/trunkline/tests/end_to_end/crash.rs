//! `kill -9` under load: what a client received in full is in the log, once.

use crate::support::{Answer, Face, Gateway, exchange, provider, simulator};
use http_body_util::Full;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use trunkline_model::record::Outcome;
use trunkline_sim::DialectName;

/// Clients that ask one after the other.
const CLIENTS: usize = 4;
/// What is promised: older than this, it is on disk.
const PROMISE: Duration = Duration::from_secs(1);

/// Ids of answers that came in full, with the moment of their last byte.
type Received = Arc<Mutex<Vec<(String, Instant)>>>;

async fn client(
    gateway_address: std::net::SocketAddr,
    number: usize,
    received: Received,
    stopped: Arc<AtomicBool>,
) {
    let face = Face::BOTH[number % 2];
    let mut turn = number;
    while !stopped.load(Ordering::Relaxed) {
        turn += 1;
        let body = face.body("only/gpt-4.1-mini", "Hello", turn.is_multiple_of(2));
        let request = http::Request::post(face.path())
            .header("host", "gateway")
            .header("authorization", format!("Bearer {}", crate::support::KEY))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        let Ok(response) = exchange(gateway_address, request).await else { return };
        let answer = Answer::read(response).await;
        if answer.whole && answer.status == 200 && !face.text(&answer).is_empty() {
            received.lock().unwrap().push((answer.id().to_owned(), Instant::now()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_nothing_older_than_a_second_and_repeats_nothing() {
    let simulator = simulator(DialectName::OpenAi).await;
    let mut gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("only", DialectName::OpenAi, &simulator.base_url())
    ))
    .await;
    let mut crashed_before = 0;
    // Twice, so that the second life starts on what the first one left.
    for _ in 0..2 {
        let received: Received = Arc::default();
        let stopped = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(client(gateway.address(), number, Arc::clone(&received), Arc::clone(&stopped)));
        }
        // Long enough for answers on both sides of the promise.
        tokio::time::sleep(PROMISE * 3).await;
        let killed = Instant::now();
        gateway.signal("KILL");
        stopped.store(true, Ordering::Relaxed);
        gateway.ended().await;
        // A client whose connection is refused panics in `connect`: that is the end of its work.
        while clients.join_next().await.is_some() {}
        gateway = gateway.again().await;
        let received = received.lock().unwrap().clone();
        let promised: Vec<&str> =
            received.iter().filter(|(_, at)| *at + PROMISE < killed).map(|(id, _)| id.as_str()).collect();
        assert!(promised.len() > 20, "only {} answers before the kill", promised.len());
        let records = gateway.records(crashed_before + promised.len()).await;
        let mut counted: HashMap<String, usize> = HashMap::new();
        for record in &records {
            *counted.entry(record.id.to_string()).or_default() += 1;
        }
        let missing: Vec<&&str> = promised.iter().filter(|id| !counted.contains_key(**id)).collect();
        assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), promised.len());
        assert!(counted.values().all(|times| *times == 1), "recorded more than once: {counted:?}");
        assert!(records.iter().all(|record| matches!(record.outcome, Outcome::Served | Outcome::ClientGone)));
        crashed_before = records.len();
    }
}
