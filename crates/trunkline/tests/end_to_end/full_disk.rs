//! A disk that is full: requests go on, it is logged and counted, and when there is room again the log is whole.
//!
//! The process is forbidden to write files beyond a size, which needs no privileges and no file system of its own. The limit
//! is a soft one, so that it can be lifted while the process runs.

#![cfg(target_os = "linux")]

use crate::support::{Face, Gateway, eventually, model, provider, simulator};
use trunkline_sim::DialectName;

/// A sample of `/metrics`.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.get("/metrics").await;
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_delays_the_log_and_no_request() {
    let only = simulator(DialectName::OpenAi).await;
    let configuration = format!("providers:\n{}", provider("only", DialectName::OpenAi, &only.base_url()));
    // Room for the database as it is made, and little more: its log of changes and the journal run into the limit.
    let mut gateway = Gateway::start_with_largest_file(&configuration, 256 * 1_024).await;
    let mut ids = Vec::new();
    let ask = async |ids: &mut Vec<String>| {
        let number = ids.len();
        let face = Face::BOTH[number % 2];
        let name = format!("only/{}", model(DialectName::OpenAi));
        let answer = gateway.post(face.path(), face.body(&name, "Hello", number % 4 < 2)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!face.text(&answer).is_empty());
        ids.push(answer.id().to_owned());
    };
    // Until the database fails, the journal is full as well, and records wait in memory.
    while !gateway.log().contains("the journal of the request log cannot be written either") {
        ask(&mut ids).await;
        assert!(ids.len() < 5_000, "the limit was never reached");
    }
    // The database may make a little room in its log of changes once more: what waits is only sure to stay when that is used up.
    while metric(&gateway, "trunkline_log_queued").await < 20 {
        ask(&mut ids).await;
        assert!(ids.len() < 5_000, "records never waited in memory");
    }
    assert!(metric(&gateway, "trunkline_log_errors_total").await > 0);
    assert!(metric(&gateway, "trunkline_log_spilled_total").await > 0, "the journal took what it could");
    assert_eq!(metric(&gateway, "trunkline_log_lost_total").await, 0);
    gateway.lift_largest_file();
    for _ in 0..4 {
        ask(&mut ids).await;
    }
    gateway.logged("the request log cannot be written").await;
    gateway.logged("the request log can be written again").await;
    let mut logged: Vec<String> =
        gateway.records(ids.len()).await.iter().map(|record| record.id.to_string()).collect();
    logged.sort();
    ids.sort();
    assert_eq!(logged, ids, "every request once");
    eventually("an empty journal", async || {
        (metric(&gateway, "trunkline_log_journal_bytes").await == 0).then_some(())
    })
    .await;
    assert_eq!(metric(&gateway, "trunkline_log_lost_total").await, 0);
}
