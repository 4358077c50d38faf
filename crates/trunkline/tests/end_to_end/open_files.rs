//! Few files that the process may open: clients never take those that calls to providers need.

#![cfg(target_os = "linux")]

use crate::support::{Answer, Face, Gateway, exchange, provider, simulator};
use http_body_util::Full;
use std::time::Duration;
use tokio::task::JoinSet;
use trunkline_sim::{Delay, DialectName, Simulator};

const MODEL: &str = "only/gpt-4.1-mini";

async fn configured() -> (Simulator, String) {
    let simulator = simulator(DialectName::OpenAi).await;
    let providers = provider("only", DialectName::OpenAi, &simulator.base_url());
    (simulator, format!("providers:\n{providers}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn more_clients_than_files_wait_and_are_all_served() {
    let (simulator, configuration) = configured().await;
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let mut gateway = Gateway::start_with_open_files(&configuration, "128").await;
    assert_eq!(gateway.logged("the process may open few files").await["files"], 128);
    let most = gateway.logged("serving").await["most_requests"].as_u64().unwrap();
    assert_eq!(most, 25, "two fifths of what is not set aside");
    let address = gateway.address();
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let body = Face::OpenAi.body(MODEL, "[[sim: words=20]]", true);
        let request = gateway
            .builder(Face::OpenAi.path())
            .header("connection", "close")
            .body(Full::new(body.into()))
            .unwrap();
        clients.spawn(async move { Answer::read(exchange(address, request).await.unwrap()).await });
    }
    let mut served = 0;
    while let Some(answer) = clients.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.shown());
        assert!(Face::OpenAi.looks_finished(&answer), "{}", answer.shown());
        assert_eq!(answer.header("x-trunkline-attempts"), "1", "nothing was wrong upstream");
        served += 1;
    }
    assert_eq!(served, 100);
    gateway.logged("as many connections are open as there is room for").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_files_are_taken_as_the_system_allows() {
    let (_simulator, configuration) = configured().await;
    let mut gateway = Gateway::start_with_open_files(&configuration, "128:2048").await;
    assert_eq!(gateway.logged("serving").await["most_requests"], (2_048 - 64) * 2 / 5);
    assert!(!gateway.log().contains("few files"), "{}", gateway.log());
}
