//! Busy polling: a core stays awake after a request where the configuration says so, and sleeps where it does not.

use crate::support::{Face, Gateway, eventually, model, provider, simulator};
use std::time::Duration;
use trunkline_sim::{DialectName, Simulator};

fn configuration(simulator: &Simulator, busy_poll: &str) -> String {
    format!(
        "server: {{ busy_poll: {busy_poll} }}\nproviders:\n{}routes:\n  main: {{ tiers: {{ one: {{ deployments: [p/{}] }} }} }}\n",
        provider("p", DialectName::OpenAi, &simulator.base_url()),
        model(DialectName::OpenAi)
    )
}

/// Processor time of the process so far, in the operating system's ticks (a hundredth of a second): fields 14 and 15 of its line.
fn ticks(gateway: &Gateway) -> u64 {
    let line = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
    let after_name = line.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

async fn ask(gateway: &Gateway) {
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", false)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Waits until the process takes no processor time to speak of.
async fn sleeping(gateway: &Gateway) {
    eventually("sleep", async || {
        let before = ticks(gateway);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (ticks(gateway) - before <= 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_stays_awake_after_requests_for_as_long_as_configured() {
    let simulator = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&configuration(&simulator, "1h")).await;
    sleeping(&gateway).await;
    ask(&gateway).await;
    let before = ticks(&gateway);
    eventually("half a second of polling", async || (ticks(&gateway) >= before + 50).then_some(())).await;
    ask(&gateway).await;
    gateway.configure(&configuration(&simulator, "0s"));
    sleeping(&gateway).await;
    ask(&gateway).await;
    sleeping(&gateway).await;
    gateway.configure(&configuration(&simulator, "1h"));
    eventually("polling again", async || {
        ask(&gateway).await;
        let before = ticks(&gateway);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (ticks(&gateway) >= before + 15).then_some(())
    })
    .await;
}
