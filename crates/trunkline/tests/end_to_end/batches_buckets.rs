//! Batch APIs that read from a bucket of the user: lines go there once, through crashes, nothing is left behind, and what does not go
//! there goes by the queue.

use crate::batches::{ANN, CHAT, KEYS, begin, call, line, numbered, over, results, said, upload};
use crate::support::{Gateway, eventually};
use http::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use trunkline_model::money::{CostConfidence, NanoDollars};
use trunkline_model::record::AttemptKind;
use trunkline_sim::{BatchEnd, DialectName, Fault, ReceivedRequest, Rule, SimConfig, Simulator};

const MODEL: &str = "be/amazon.nova-lite-v1:0";
const SUBMIT: &str = "/model-invocation-job";
const ALONE: &str = "/converse";
const LINES: &str = "/lines.jsonl";
const RESULTS: &str = "/lines.jsonl.out";
/// Enough for a job.
const ENOUGH: usize = 120;

async fn bedrock() -> Simulator {
    let config = SimConfig { keep_requests: 4_096, ..SimConfig::new(DialectName::Converse) };
    Simulator::start(config.with_keys(&["AKIDTEST:hush-hush"])).await.unwrap()
}

fn configured(simulator: &Simulator, bucket: &str) -> String {
    let url = simulator.base_url();
    format!(
        "{KEYS}batches: {{ concurrency: 32 }}\nproviders:\n  be: {{ preset: bedrock, url: \"{url}\", region: eu-west-3, access_key: AKIDTEST, \
         secret_key: hush-hush, batch: {{ bucket: \"{bucket}\", role: \"arn:aws:iam::123456789012:role/batches\", url: \"{url}\" }} }}\n"
    )
}

async fn started(simulator: &Simulator) -> Gateway {
    Gateway::start(&configured(simulator, "s3://our-bucket/batches")).await
}

fn calls(simulator: &Simulator, method: &Method, end: &str) -> Vec<ReceivedRequest> {
    let all = simulator.requests().into_iter();
    all.filter(|request| request.method == *method && request.path.ends_with(end)).collect()
}

/// Submissions, and lines that went by themselves.
fn sent(simulator: &Simulator) -> (usize, usize) {
    (calls(simulator, &Method::POST, SUBMIT).len(), calls(simulator, &Method::POST, ALONE).len())
}

/// The batch is over, and every numbered line has the answer to its own number.
async fn check(gateway: &Gateway, id: &str, lines: usize) -> HashMap<String, Value> {
    let done = over(gateway, id).await;
    assert_eq!(done["request_counts"], json!({"total": lines, "completed": lines, "failed": 0}), "{done}");
    let output = results(gateway, &done["output_file_id"]).await;
    assert_eq!(output.len(), lines);
    for (name, line) in output.iter().filter(|(name, _)| name.parse::<u32>().is_ok()) {
        let answer = line["response"]["body"]["choices"][0]["message"]["content"].to_string();
        assert!(answer.contains(&format!("number {name}.")), "{name}: {answer}");
    }
    output
}

/// Waits until every object that was written or listed is deleted, and looks whether they all are.
async fn check_nothing_is_left(simulator: &Simulator, objects: usize) {
    eventually("an empty bucket", async || {
        (calls(simulator, &Method::DELETE, "").len() >= objects).then_some(())
    })
    .await;
    let deleted = calls(simulator, &Method::DELETE, "");
    assert_eq!(deleted.len(), objects);
    assert!(
        deleted.iter().all(|call| call.path.starts_with("/our-bucket/batches/trunkline-")),
        "{deleted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_through_a_bucket_at_the_price_of_batches() {
    let simulator = bedrock().await;
    let gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    let output = check(&gateway, &id, ENOUGH).await;
    assert_eq!(sent(&simulator), (1, 0));
    for line in output.values().take(5) {
        let record = gateway.record(line["response"]["request_id"].as_str().unwrap()).await;
        assert_eq!((record.attempts.len(), record.attempts[0].kind), (1, AttemptKind::Batch));
        // 3 cents a million tokens in, 12 cents out: half of the usual price.
        let nanos = record.usage.input * 30 + record.usage.output * 120;
        assert_eq!(record.cost.amount, Some(NanoDollars(i64::try_from(nanos).unwrap())), "{record:?}");
        assert_eq!((nanos > 0, record.cost.confidence), (true, CostConfidence::Exact));
    }
    check_nothing_is_left(&simulator, 3).await;
    let submitted = calls(&simulator, &Method::POST, SUBMIT);
    let order: Value = serde_json::from_slice(&submitted[0].body).unwrap();
    assert_eq!(
        (&order["modelId"], &order["modelInvocationType"], &order["roleArn"]),
        (
            &json!("amazon.nova-lite-v1:0"),
            &json!("Converse"),
            &json!("arn:aws:iam::123456789012:role/batches")
        )
    );
    let put = &calls(&simulator, &Method::PUT, LINES)[0];
    assert_eq!(order["inputDataConfig"]["s3InputDataConfig"]["s3Uri"], json!(format!("s3:/{}", put.path)));
    // The store learns what it needs to and nothing else.
    assert!(put.headers["authorization"].to_str().unwrap().contains("/eu-west-3/s3/aws4_request"));
    let names: Vec<&str> = put.headers.keys().map(|name| name.as_str()).collect();
    assert!(
        !names.iter().any(|name| name.starts_with("x-trunkline") || *name == "idempotency-key"),
        "{names:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_there_is_what_an_attempt_would_send_and_those_with_tools_go_alone() {
    let simulator = bedrock().await;
    let gateway = started(&simulator).await;
    let mut body = said(MODEL, "What is the weather?");
    body["tools"] = json!([{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]);
    let mut brief = said(MODEL, "Hello");
    brief["messages"].as_array_mut().unwrap().insert(0, json!({"role": "system", "content": "Be\nbrief."}));
    brief["max_tokens"] = json!(70);
    let content = numbered(MODEL, ENOUGH) + &line("tools", CHAT, &body) + &line("brief", CHAT, &brief);
    let id = begin(&gateway, &content, "24h").await;
    let output = check(&gateway, &id, ENOUGH + 2).await;
    assert!(output["tools"]["response"]["body"]["choices"][0]["message"].is_object(), "{}", output["tools"]);
    assert_eq!(sent(&simulator), (1, 1));
    let alone = calls(&simulator, &Method::POST, ALONE);
    assert!(String::from_utf8_lossy(&alone[0].body).contains("look_up"));
    call(&gateway, ANN, Method::POST, CHAT, Some(brief)).await;
    let alone = calls(&simulator, &Method::POST, ALONE).pop().unwrap();
    let alone: Value = serde_json::from_slice(&alone.body).unwrap();
    let put = String::from_utf8(calls(&simulator, &Method::PUT, LINES)[0].body.to_vec()).unwrap();
    let together = put.lines().find(|line| line.contains("brief")).unwrap();
    let together: Value = serde_json::from_str(together).unwrap();
    assert_eq!((together["modelInput"].clone(), put.lines().count()), (alone, ENOUGH + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_lines_for_a_job_go_by_the_queue() {
    let simulator = bedrock().await;
    let gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, 99), "24h").await;
    check(&gateway, &id, 99).await;
    assert_eq!((sent(&simulator), calls(&simulator, &Method::PUT, "").len()), ((0, 99), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_through_a_bucket_too() {
    let simulator = bedrock().await;
    let prices = "models: { be/amazon.titan-embed-text-v2:0: { batch_price: { input: \"0.01\" } } }\n";
    let gateway = Gateway::start(&format!("{}{prices}", configured(&simulator, "s3://our-bucket"))).await;
    let url = "/v1/embeddings";
    let body = json!({"model": "be/amazon.titan-embed-text-v2:0", "input": "a text"});
    let lines: String = (0..ENOUGH).map(|number| line(&number.to_string(), url, &body)).collect();
    let file = upload(&gateway, &lines, "batch").await.json();
    let order = json!({"input_file_id": file["id"], "endpoint": url, "completion_window": "24h"});
    let made = call(&gateway, ANN, Method::POST, "/v1/batches", Some(order)).await.json();
    let done = over(&gateway, made["id"].as_str().unwrap()).await;
    assert_eq!(done["request_counts"]["completed"], ENOUGH, "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    assert!(output["7"]["response"]["body"]["data"][0]["embedding"].is_array(), "{}", output["7"]);
    assert_eq!((sent(&simulator).0, calls(&simulator, &Method::POST, "/invoke").len()), (1, 0));
    let order: Value = serde_json::from_slice(&calls(&simulator, &Method::POST, SUBMIT)[0].body).unwrap();
    assert_eq!(order["modelInvocationType"], "InvokeModel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_or_a_job_that_is_refused_leaves_the_lines_to_the_queue() {
    let simulator = bedrock().await;
    let gateway = Gateway::start(&configured(&simulator, "s3://no-such-bucket")).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    check(&gateway, &id, ENOUGH).await;
    assert_eq!(sent(&simulator), (0, ENOUGH));
    let log = gateway.log();
    assert!(log.contains("NoSuchBucket: The specified bucket does not exist"), "{log}");
    assert!(!log.contains("hush-hush"));
    let simulator = bedrock().await;
    simulator.script(|script| {
        script.rules.push(Rule { path: Some(SUBMIT.to_owned()), ..Rule::always(Fault::Forbidden) });
    });
    let gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    check(&gateway, &id, ENOUGH).await;
    assert_eq!(sent(&simulator), (1, ENOUGH));
    check_nothing_is_left(&simulator, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_bucket_took_them_it_sends_them_once() {
    let simulator = bedrock().await;
    simulator.script(|script| {
        script.rules.push(Rule { path: Some(LINES.to_owned()), ..Rule::always(Fault::HangBeforeHeaders) });
    });
    let mut gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    simulator.wait_until(|counters| counters.requests >= 1).await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    check(&gateway, &id, ENOUGH).await;
    assert_eq!(sent(&simulator), (0, ENOUGH), "no job was ever made of them");
    check_nothing_is_left(&simulator, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_provider_took_them_it_finds_the_job() {
    let simulator = bedrock().await;
    // The answer never comes, and the job is there all the same.
    simulator.script(|script| {
        script.rules.push(Rule { path: Some(SUBMIT.to_owned()), ..Rule::always(Fault::HangBeforeHeaders) });
    });
    let mut gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    eventually("the submission", async || (sent(&simulator).0 == 1).then_some(())).await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    check(&gateway, &id, ENOUGH).await;
    assert_eq!(sent(&simulator), (1, 0), "it was not submitted again");
    check_nothing_is_left(&simulator, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_job_runs_or_its_results_are_fetched_it_goes_on() {
    let simulator = bedrock().await;
    simulator.script(|script| {
        script.batches.looks = 1_000;
        script.rules.push(Rule { path: Some(RESULTS.to_owned()), ..Rule::always(Fault::Stall(1)) });
    });
    let mut gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    eventually("a look at the job", async || {
        let looks = simulator.requests();
        looks.iter().any(|call| call.path.starts_with("/model-invocation-job/")).then_some(())
    })
    .await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.script(|script| script.batches.looks = 0);
    let mut gateway = gateway.again().await;
    eventually("some results", async || {
        let done = call(&gateway, ANN, Method::GET, &format!("/v1/batches/{id}"), None).await.json();
        (done["request_counts"]["completed"].as_u64()? > 0).then_some(())
    })
    .await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    check(&gateway, &id, ENOUGH).await;
    assert_eq!(sent(&simulator), (1, 0));
    let mut times: HashMap<String, usize> = HashMap::new();
    for record in gateway.records_now() {
        let line = record.tags.iter().find(|(tag, _)| &**tag == "batch_line").unwrap().1.to_string();
        *times.entry(line).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "a line was recorded twice: {times:?}");
    check_nothing_is_left(&simulator, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_stops_the_job() {
    let simulator = bedrock().await;
    simulator.script(|script| script.batches.looks = 1_000);
    let gateway = started(&simulator).await;
    let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
    eventually("the submission", async || (sent(&simulator).0 == 1).then_some(())).await;
    call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["status"], "cancelled", "{done}");
    assert_eq!((calls(&simulator, &Method::POST, "/stop").len(), sent(&simulator)), (1, (1, 0)));
    check_nothing_is_left(&simulator, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_did_not_get_to_is_sent_by_itself() {
    for (end, together) in [(BatchEnd::Failed, 0), (BatchEnd::Expired, ENOUGH / 2)] {
        let simulator = bedrock().await;
        simulator.script(|script| script.batches.end = end);
        let gateway = started(&simulator).await;
        let id = begin(&gateway, &numbered(MODEL, ENOUGH), "24h").await;
        check(&gateway, &id, ENOUGH).await;
        assert_eq!(sent(&simulator), (1, ENOUGH - together), "{end:?}");
    }
}
