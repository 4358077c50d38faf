//! The record: what the log says of a request is what happened to it.

use crate::support::{Face, Gateway, eventually, model, provider, simulator};
use http_body_util::Full;
use serde_json::Value;
use std::process::Command;
use trunkline_model::failure::FailureClass;
use trunkline_model::money::CostConfidence;
use trunkline_model::record::{AttemptKind, Outcome};
use trunkline_model::usage::UsageSource;
use trunkline_sim::{DialectName, Fault, Simulator};

async fn two_providers() -> (Simulator, Simulator, Gateway) {
    let first = simulator(DialectName::OpenAi).await;
    let second = simulator(DialectName::Anthropic).await;
    let providers = provider("first", DialectName::OpenAi, &first.base_url())
        + &provider("second", DialectName::Anthropic, &second.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  main:\n    tiers: {{ one: {{ deployments: [first/{}] }}, \
         two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two] }}\n",
        model(DialectName::OpenAi),
        model(DialectName::Anthropic)
    ))
    .await;
    (first, second, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_over_request_is_recorded_with_both_attempts_tokens_and_cost() {
    let (first, _second, gateway) = two_providers().await;
    first.fail_with(Fault::ServerError);
    for streamed in [false, true] {
        let body = Face::OpenAi.body("main", "Hello", streamed);
        let request = gateway
            .builder(Face::OpenAi.path())
            .header("x-trunkline-tags", "feature=search")
            .header("x-trunkline-user", "ann")
            .header("x-trunkline-session", "s-1");
        let answer = gateway.send(request.body(Full::new(body.into())).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = gateway.record(answer.id()).await;
        let names =
            [&record.key, &record.user, &record.session, &record.route, &record.deployment, &record.finish];
        let names = names.map(|name| name.as_deref().unwrap_or_default());
        assert_eq!(names, ["app", "ann", "s-1", "main", "second/claude-sonnet-4-5", "stop"]);
        assert_eq!(record.tags, [("feature".into(), "search".into())]);
        assert_eq!((record.outcome, record.status), (Outcome::Served, 200));
        let attempts: Vec<_> = record
            .attempts
            .iter()
            .map(|attempt| (&*attempt.deployment, attempt.kind, attempt.failure, attempt.status))
            .collect();
        assert_eq!(
            attempts,
            [
                ("first/gpt-4.1-mini", AttemptKind::First, Some(FailureClass::Server), Some(500)),
                ("second/claude-sonnet-4-5", AttemptKind::Failover, None, Some(200)),
            ]
        );
        // 3 dollars a million in, 15 out.
        let usage = record.usage;
        assert!(usage.input > 0 && usage.output > 0, "{usage:?}");
        let expected = usage.input * 3_000 + usage.output * 15_000;
        assert_eq!(u64::try_from(record.cost.amount.unwrap().0).unwrap(), expected);
        assert_eq!(
            (record.cost.confidence, record.usage_source),
            (CostConfidence::Exact, UsageSource::Reported)
        );
        assert!(record.first_token_us.unwrap() <= record.total_us && record.overhead_us <= record.total_us);
        assert!(
            record.attempts[1].phases.first_byte_us.is_some()
                && record.attempts[1].upstream_request_id.is_some()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_in_the_answer_is_the_cost_in_the_log() {
    let (_first, _second, gateway) = two_providers().await;
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", false)).await;
    let told: f64 = answer.header("x-trunkline-cost-usd").parse().unwrap();
    let usage = answer.json()["usage"].clone();
    let record = gateway.record(answer.id()).await;
    assert_eq!(record.usage.prompt(), usage["prompt_tokens"].as_u64().unwrap());
    assert_eq!(record.usage.completion(), usage["completion_tokens"].as_u64().unwrap());
    let logged: f64 = record.cost.amount.unwrap().decimal().to_string().parse().unwrap();
    assert!((told - logged).abs() < 1e-12, "{told} is not {logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_recorded_without_attempts() {
    let (_first, _second, gateway) = two_providers().await;
    let answer = gateway.post(Face::Anthropic.path(), Face::Anthropic.body("nobody", "Hello", false)).await;
    assert_eq!(answer.status, 404);
    let record = gateway.record(answer.id()).await;
    assert_eq!((record.outcome, record.status), (Outcome::Refused, 404));
    assert_eq!(record.error_code.as_deref(), Some("model_not_found"));
    assert!(record.attempts.is_empty() && record.cost.amount.is_some_and(|amount| amount.0 == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_searches_the_log() {
    let (first, _second, gateway) = two_providers().await;
    let served = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", false)).await;
    first.fail_with(Fault::ServerError);
    let failed_over = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", true)).await;
    gateway.records(2).await;
    let log = |arguments: &[&str]| -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.args(["log", "--json", "--config"]).arg(gateway.configuration()).args(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let ids = |arguments: &[&str]| -> Vec<String> {
        log(arguments).iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&[]), [failed_over.id(), served.id()]);
    assert_eq!(ids(&["--failed-over"]), [failed_over.id()]);
    assert_eq!(ids(&["--provider", "first"]), [served.id()]);
    assert_eq!(ids(&["--id", served.id()]), [served.id()]);
    assert_eq!(ids(&["--outcome", "refused"]), [""; 0]);
    assert_eq!(ids(&["--since", "1h", "--limit", "1"]), [failed_over.id()]);
    // The decision is there to be read, not as a text within a text.
    let decision = &log(&["--id", served.id()])[0]["decision"];
    assert_eq!(decision["plan"]["legs"][0], log(&["--id", served.id()])[0]["deployment"], "{decision}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_searched_by_who_asked_and_what_they_were_told() {
    let (_first, _second, gateway) = two_providers().await;
    let ask = async |user: &str, session: &str, tags: &str, model: &str| {
        let request = gateway
            .builder(Face::OpenAi.path())
            .header("x-trunkline-user", user)
            .header("x-trunkline-session", session)
            .header("x-trunkline-tags", tags)
            .body(Full::new(Face::OpenAi.body(model, "Hello", false).into()))
            .unwrap();
        gateway.send(request).await.id().to_owned()
    };
    let ann = ask("ann", "s-1", "team=web,plan=pro", "main").await;
    let bob = ask("bob", "s-2", "team=web,plan=free", "main").await;
    let eve = ask("ann \"the\" eve", "s-1", "team=api", "nowhere").await;
    gateway.records(3).await;
    let log = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.arg("log").args(arguments).arg("--config").arg(gateway.configuration());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let ids = |arguments: &[&str]| -> Vec<String> {
        let text = log(&[&["--json"], arguments].concat()).1;
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&["--user", "ann"]), [&*ann]);
    assert_eq!(ids(&["--user", "ann \"the\" eve"]), [&*eve]);
    assert_eq!(ids(&["--session", "s-1"]), [&*eve, &*ann]);
    assert_eq!(ids(&["--tag", "team=web"]), [&*bob, &*ann]);
    assert_eq!(ids(&["--tag", "team=web", "--tag", "plan=free"]), [&*bob]);
    assert_eq!(ids(&["--tag", "web=team"]), [""; 0]);
    assert_eq!(ids(&["--error", "model_not_found"]), [&*eve]);
    let (code, told) = log(&["--user", "nobody"]);
    let file = gateway.database().display().to_string();
    assert_eq!((code, told.replace(&file, "FILE").trim_end()), (Some(1), "no request in FILE matches"));
    let (code, told) = log(&["--tag", "team"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("a tag is a name and a value: NAME=VALUE"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_served() {
    let (first, _second, gateway) = two_providers().await;
    for streamed in [false, true] {
        gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", streamed)).await;
    }
    first.fail_with(Fault::ServerError);
    gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", false)).await;
    gateway.records(3).await;
    let metrics = gateway.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for sample in &samples {
        let value = sample.rsplit_once(' ').unwrap().1;
        assert!(value.parse::<f64>().is_ok(), "{sample}");
    }
    let sum = |name: &str, label: &str| -> f64 {
        let own = samples
            .iter()
            .filter(|sample| sample.split(['{', ' ']).next() == Some(name) && sample.contains(label));
        own.map(|sample| sample.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    assert_eq!(sum("trunkline_requests_total", "outcome=\"served\""), 3.0, "{text}");
    assert_eq!(sum("trunkline_attempts_total", ""), 4.0, "{text}");
    let records = gateway.records_now();
    let tokens: u64 = records.iter().map(|record| record.usage.total()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred tokens")]
    let tokens = tokens as f64;
    assert_eq!(sum("trunkline_tokens_total", ""), tokens, "{text}");
    assert!(
        sum("trunkline_cost_usd_total", "") > 0.0 || sum("trunkline_cost_dollars_total", "") > 0.0,
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_delays_the_log_and_no_request() {
    let (_first, _second, gateway) = two_providers().await;
    let lock = rusqlite::Connection::open(gateway.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut ids = Vec::new();
    for number in 0..40 {
        let face = Face::BOTH[number % 2];
        let answer = gateway.post(face.path(), face.body("main", "Hello", number % 4 < 2)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.push(answer.id().to_owned());
    }
    assert_eq!(gateway.records_now().len(), 0, "the lock holds");
    eventually("a counted failure of the log", async || {
        let metrics = gateway.get("/metrics").await;
        let failed = metrics
            .text()
            .lines()
            .any(|line| line.strip_prefix("trunkline_log_errors_total ").is_some_and(|value| value != "0"));
        failed.then_some(())
    })
    .await;
    lock.execute_batch("ROLLBACK").unwrap();
    let mut logged: Vec<String> =
        gateway.records(40).await.iter().map(|record| record.id.to_string()).collect();
    logged.sort();
    ids.sort();
    assert_eq!(logged, ids, "every request once");
}
