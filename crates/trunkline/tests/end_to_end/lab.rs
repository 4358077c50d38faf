//! The lab's commands on a log that real requests left.

use crate::support::{Face, Gateway, model, provider, simulator};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use trunkline_sim::{DialectName, Fault, Simulator};

fn configuration(simulators: &(Simulator, Simulator), threshold: u32) -> String {
    let (cheap, strong) = (model(DialectName::OpenAi), model(DialectName::Anthropic));
    format!(
        "providers:\n{}{}routes:\n  main:\n    tiers: {{ cheap: {{ deployments: [first/{cheap}] }}, strong: {{ deployments: \
         [second/{strong}] }} }}\n    decide:\n      - {{ when: 'request.input_tokens > {threshold}', use: strong }}\n      \
         - {{ use: cheap }}\n    fallback: {{ error: [cheap, strong] }}\n",
        provider("first", DialectName::OpenAi, &simulators.0.base_url()),
        provider("second", DialectName::Anthropic, &simulators.1.base_url()),
    )
}

fn trunkline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trunkline")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = trunkline(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Thirty requests, ten of them long enough for the strong tier; during three of the short ones the first provider is down.
async fn traffic(simulators: &(Simulator, Simulator)) -> Gateway {
    let gateway = Gateway::start(&configuration(simulators, 200)).await;
    for number in 0..30 {
        let length = if number % 3 == 0 { 1_600 } else { 40 };
        let face = Face::BOTH[number % 2];
        if number == 10 {
            simulators.0.fail_with(Fault::ServerError);
        }
        if number == 14 {
            simulators.0.heal();
        }
        let answer =
            gateway.post(face.path(), face.body("main", &"word".repeat(length / 4), number % 4 < 2)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    gateway.records(30).await;
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_decided_again_by_its_own_and_by_another_policy() {
    let simulators = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let gateway = traffic(&simulators).await;
    let (log, own) = (gateway.database(), gateway.configuration());
    let same = json(&["replay", "--json", "--log", text(&log), "--policy", text(&own)]);
    assert_eq!(
        (&same["requests"], &same["replayed"], &same["changed"]),
        (&30.into(), &30.into(), &0.into()),
        "{same:#}"
    );
    let other = own.with_file_name("other.yaml");
    let all_strong = std::fs::read_to_string(&own).unwrap().replace("> 200", "> 0");
    std::fs::write(&other, all_strong).unwrap();
    let html = own.with_file_name("replay.html");
    let arguments =
        ["replay", "--json", "--log", text(&log), "--policy", text(&other), "--html", text(&html)];
    let found = json(&arguments);
    assert_eq!(
        (&found["replayed"], &found["changed"], &found["tier_changed"]),
        (&30.into(), &20.into(), &20.into())
    );
    let cost = |name: &str| found["cost"][name].as_f64().unwrap();
    assert!(cost("replayed_usd") > cost("logged_usd"), "{found:#}");
    let change = &found["changes"][0];
    assert_eq!((&change["from_tier"], &change["to_tier"]), (&"cheap".into(), &"strong".into()));
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg") && page.contains("Changed decisions") && !page.contains("http"), "{page}");
    let wrong = trunkline(&["replay", "--log", "nowhere.db", "--policy", text(&other)]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there is no such file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_log_says_what_was_saved() {
    let simulators = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let gateway = traffic(&simulators).await;
    let (log, own) = (gateway.database(), gateway.configuration());
    let html = own.with_file_name("report.html");
    let arguments = [
        "report",
        "--json",
        "--log",
        text(&log),
        "--config",
        text(&own),
        "--weeks",
        "2",
        "--html",
        text(&html),
    ];
    let found = json(&arguments);
    let route = &found["routes"][0];
    assert_eq!(
        (&route["route"], &route["strong"]),
        (&"main".into(), &"second/claude-sonnet-4-5".into()),
        "{found:#}"
    );
    let total = |name: &str| route["total"][name].as_f64().unwrap();
    let spent: f64 =
        gateway.records_now().iter().filter_map(|record| Some(record.cost.amount?.to_f64())).sum();
    assert!((total("spend_usd") - spent).abs() < 1e-9 && spent > 0.0);
    assert!(total("saved_usd") > 0.0 && total("saved_usd") < total("strong_usd"));
    assert_eq!(total("requests"), 30.0);
    assert!(total("failed_over") > 0.0, "{route:#}");
    let first =
        found["providers"].as_array().unwrap().iter().find(|each| each["provider"] == "first").unwrap();
    assert!(first["failed"].as_u64().unwrap() > 0, "{first:#}");
    assert!(std::fs::read_to_string(html).unwrap().contains("Route main"));
    let without = json(&["report", "--json", "--log", text(&log)]);
    assert_eq!(without["requests"], 30, "prices of the catalogue do without a configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_simulated_with_the_traffic_of_its_log() {
    let simulators = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let gateway = traffic(&simulators).await;
    let (log, own) = (gateway.database(), gateway.configuration());
    let arguments = [
        "simulate",
        "--json",
        "--config",
        text(&own),
        "--route",
        "main",
        "--log",
        text(&log),
        "--requests",
        "500",
        "--rate",
        "5",
    ];
    let found = json(&arguments);
    let comparison = &found["comparisons"][0];
    assert_eq!(comparison["scenario"], "main");
    let names: Vec<&str> = comparison["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| outcome["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["as it is", "no failover", "hedge at p95"]);
    let assumptions = comparison["assumptions"].to_string();
    assert!(assumptions.contains("second/claude-sonnet-4-5"), "it answered too seldom: {assumptions}");
    let shares = &comparison["outcomes"][0]["shares"];
    assert!(shares["first/gpt-4.1-mini"].as_f64().unwrap() > 0.5, "the log's sizes decide: {shares}");
}
