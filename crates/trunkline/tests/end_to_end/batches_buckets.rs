//! Batch APIs that read from a bucket of the user: lines go there once, through crashes, nothing is left behind, and what does not go
//! there goes by the queue.

use crate::batches::{
    ANN, CHAT, KEYS, begin, call, calls, check, line, numbered, over, results, said, upload,
};
use crate::support::{Gateway, eventually};
use http::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use trunkline_model::money::{CostConfidence, NanoDollars};
use trunkline_model::record::AttemptKind;
use trunkline_sim::{BatchEnd, DialectName, Fault, ReceivedRequest, Rule, SimConfig, Simulator};

/// A provider whose batches go through a bucket.
#[derive(Clone, Copy)]
struct Case {
    preset: &'static str,
    model: &'static str,
    /// Where it is, behind the simulator's address, and how it knows who asks.
    place: &'static str,
    bucket: &'static str,
    /// Lines of a batch that is large enough.
    lines: usize,
    /// Where lines are written, submitted, asked one by one, fetched and cancelled.
    upload: &'static str,
    submit: &'static str,
    alone: &'static str,
    fetch: &'static str,
    cancel: &'static str,
    /// What a token costs, in and out, in nano-dollars.
    prices: (u64, u64),
    /// What is deleted after a job that was answered, and after one that was cancelled before.
    left: (usize, usize),
    /// What is said of a bucket that is not there.
    nowhere: &'static str,
}

const BEDROCK: Case = Case {
    preset: "bedrock",
    model: "it/amazon.nova-lite-v1:0",
    place: "\", region: eu-west-3, access_key: AKIDTEST, secret_key: hush-hush",
    bucket: "s3://our-bucket/batches\", role: \"arn:aws:iam::123456789012:role/batches",
    lines: 120,
    upload: "/lines.jsonl",
    submit: "/model-invocation-job",
    alone: "/converse",
    fetch: "/lines.jsonl.out",
    cancel: "/stop",
    prices: (30, 120),
    left: (3, 1),
    nowhere: "NoSuchBucket: The specified bucket does not exist",
};

const VERTEX: Case = Case {
    preset: "vertex",
    model: "it/gemini-3.5-flash-lite",
    place: "/v1/projects/p/locations/us-central1\", key: hush-hush",
    bucket: "gs://our-bucket/batches",
    lines: 66,
    upload: "/upload/storage/v1/b/our-bucket/o",
    submit: "/batchPredictionJobs",
    alone: ":generateContent",
    fetch: "%2Fpredictions.jsonl",
    cancel: ":cancel",
    prices: (150, 1_250),
    left: (4, 2),
    nowhere: "404: The specified bucket does not exist.",
};

const CLAUDE: Case = Case { model: "it/claude-haiku-5-5", alone: ":rawPredict", prices: (50, 250), ..VERTEX };

const CASES: [Case; 3] = [BEDROCK, VERTEX, CLAUDE];

impl Case {
    async fn simulator(self) -> Simulator {
        let dialects = match self.preset {
            "bedrock" => vec![DialectName::Converse],
            _ => vec![DialectName::Gemini, DialectName::Anthropic],
        };
        let config = SimConfig { keep_requests: 4_096, dialects, ..SimConfig::new(DialectName::Converse) };
        Simulator::start(config.with_keys(&["AKIDTEST:hush-hush", "hush-hush"])).await.unwrap()
    }

    fn configured(self, simulator: &Simulator) -> String {
        let url = simulator.base_url();
        let Self { preset, place, bucket, .. } = self;
        format!(
            "{KEYS}batches: {{ concurrency: 32 }}\nproviders:\n  it: {{ preset: {preset}, url: \"{url}{place}, batch: {{ bucket: \"{bucket}\", url: \"{url}\" }} }}\n"
        )
    }

    async fn gateway(self, simulator: &Simulator) -> Gateway {
        Gateway::start(&self.configured(simulator)).await
    }

    async fn begin(self, gateway: &Gateway) -> String {
        begin(gateway, &numbered(self.model, self.lines), "24h").await
    }

    /// Submissions, and lines that went by themselves.
    fn sent(self, simulator: &Simulator) -> (usize, usize) {
        (
            calls(simulator, &Method::POST, self.submit).len(),
            calls(simulator, &Method::POST, self.alone).len(),
        )
    }

    fn uploads(self, simulator: &Simulator) -> Vec<ReceivedRequest> {
        let all = simulator.requests().into_iter();
        all.filter(|call| {
            matches!(call.method, Method::PUT | Method::POST) && call.path.ends_with(self.upload)
        })
        .collect()
    }

    /// Waits until so much was deleted, and looks that it was nobody else's.
    async fn check_deleted(self, simulator: &Simulator, count: usize) {
        eventually("an empty bucket", async || {
            (calls(simulator, &Method::DELETE, "").len() >= count).then_some(())
        })
        .await;
        let deleted = calls(simulator, &Method::DELETE, "");
        assert_eq!(deleted.len(), count);
        let own = |path: &str| {
            path.replace("%2F", "/").contains("/our-bucket/batches/trunkline-")
                || path.replace("%2F", "/").contains("/our-bucket/o/batches/trunkline-")
                || path.contains("/batchPredictionJobs/")
        };
        assert!(deleted.iter().all(|call| own(&call.path)), "{deleted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_through_a_bucket_at_the_price_of_batches() {
    for case in CASES {
        let simulator = case.simulator().await;
        let gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway).await;
        let output = check(&gateway, &id, case.lines).await;
        assert_eq!((case.uploads(&simulator).len(), case.sent(&simulator)), (1, (1, 0)));
        for line in output.values().take(5) {
            let record = gateway.record(line["response"]["request_id"].as_str().unwrap()).await;
            assert_eq!((record.attempts.len(), record.attempts[0].kind), (1, AttemptKind::Batch));
            let usage = record.usage;
            let nanos = usage.input * case.prices.0 + (usage.output + usage.reasoning) * case.prices.1;
            assert_eq!(record.cost.amount, Some(NanoDollars(i64::try_from(nanos).unwrap())), "{record:?}");
            assert_eq!((nanos > 0, record.cost.confidence), (true, CostConfidence::Exact));
        }
        case.check_deleted(&simulator, case.left.0).await;
        // The store learns what it needs to and nothing else.
        let put = &case.uploads(&simulator)[0];
        let names: Vec<&str> = put.headers.keys().map(|name| name.as_str()).collect();
        assert!(
            !names.iter().any(|name| name.starts_with("x-trunkline") || *name == "idempotency-key"),
            "{names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_ordered_as_the_configuration_says() {
    let simulator = BEDROCK.simulator().await;
    let gateway = BEDROCK.gateway(&simulator).await;
    check(&gateway, &BEDROCK.begin(&gateway).await, BEDROCK.lines).await;
    let order: Value =
        serde_json::from_slice(&calls(&simulator, &Method::POST, BEDROCK.submit)[0].body).unwrap();
    assert_eq!(
        (&order["modelId"], &order["modelInvocationType"], &order["roleArn"]),
        (
            &json!("amazon.nova-lite-v1:0"),
            &json!("Converse"),
            &json!("arn:aws:iam::123456789012:role/batches")
        )
    );
    let put = &BEDROCK.uploads(&simulator)[0];
    assert_eq!(order["inputDataConfig"]["s3InputDataConfig"]["s3Uri"], json!(format!("s3:/{}", put.path)));
    assert!(put.headers["authorization"].to_str().unwrap().contains("/eu-west-3/s3/aws4_request"));
    for (case, model) in [
        (VERTEX, "publishers/google/models/gemini-3.5-flash-lite"),
        (CLAUDE, "publishers/anthropic/models/claude-haiku-5-5"),
    ] {
        let simulator = case.simulator().await;
        let gateway = case.gateway(&simulator).await;
        check(&gateway, &case.begin(&gateway).await, case.lines).await;
        let order: Value =
            serde_json::from_slice(&calls(&simulator, &Method::POST, case.submit)[0].body).unwrap();
        let name = case.uploads(&simulator)[0].query.clone().unwrap();
        let name = name.split("name=").nth(1).unwrap().replace("%2F", "/");
        assert_eq!(
            (&order["model"], &order["inputConfig"]["gcsSource"]["uris"]),
            (&json!(model), &json!([format!("gs://our-bucket/{name}")]))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_there_is_what_an_attempt_would_send() {
    for case in CASES {
        let simulator = case.simulator().await;
        let gateway = case.gateway(&simulator).await;
        let mut brief = said(case.model, "Hello");
        brief["messages"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"role": "system", "content": "Be\nbrief."}));
        brief["max_tokens"] = json!(70);
        let content = numbered(case.model, case.lines) + &line("brief", CHAT, &brief);
        check(&gateway, &begin(&gateway, &content, "24h").await, case.lines + 1).await;
        assert_eq!(case.sent(&simulator), (1, 0));
        call(&gateway, ANN, Method::POST, CHAT, Some(brief)).await;
        let alone = calls(&simulator, &Method::POST, case.alone).pop().unwrap();
        let alone: Value = serde_json::from_slice(&alone.body).unwrap();
        let put = String::from_utf8(case.uploads(&simulator)[0].body.to_vec()).unwrap();
        let together = put.lines().find(|line| line.contains("brief")).unwrap();
        let mut together: Value = serde_json::from_str(together).unwrap();
        let together = together.get_mut("modelInput").map_or(Value::Null, Value::take);
        let together = if together.is_null() { request_in(&put) } else { together };
        assert_eq!((together, put.lines().count()), (alone, case.lines + 1));
    }
}

/// The request of the line that says `brief`, without the label that names it.
fn request_in(lines: &str) -> Value {
    let line = lines.lines().find(|line| line.contains("brief")).unwrap();
    let mut line: Value = serde_json::from_str(line).unwrap();
    let mut request = line["request"].take();
    let labels = request.as_object_mut().unwrap().remove("labels");
    assert!(labels.is_some() != line["custom_id"].is_string(), "it has one name");
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_api_does_not_take_goes_by_the_queue() {
    let simulator = BEDROCK.simulator().await;
    let gateway = BEDROCK.gateway(&simulator).await;
    let id = begin(&gateway, &numbered(BEDROCK.model, 99), "24h").await;
    check(&gateway, &id, 99).await;
    assert_eq!(
        (BEDROCK.sent(&simulator), BEDROCK.uploads(&simulator).len()),
        ((0, 99), 0),
        "too few for a job"
    );
    let mut body = said(BEDROCK.model, "What is the weather?");
    let function = json!({"name": "look_up", "parameters": {"type": "object", "properties": {}}});
    body["tools"] = json!([{"type": "function", "function": function}]);
    let content = numbered(BEDROCK.model, BEDROCK.lines) + &line("tools", CHAT, &body);
    let output = check(&gateway, &begin(&gateway, &content, "24h").await, BEDROCK.lines + 1).await;
    assert!(output["tools"]["response"]["body"]["choices"][0]["message"].is_object(), "{}", output["tools"]);
    assert_eq!(BEDROCK.sent(&simulator), (1, 100));
    let alone = calls(&simulator, &Method::POST, BEDROCK.alone);
    assert!(alone.iter().any(|call| String::from_utf8_lossy(&call.body).contains("look_up")));
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_through_a_bucket_too() {
    let simulator = BEDROCK.simulator().await;
    let prices = "models: { it/amazon.titan-embed-text-v2:0: { batch_price: { input: \"0.01\" } } }\n";
    let gateway = Gateway::start(&format!("{}{prices}", BEDROCK.configured(&simulator))).await;
    let url = "/v1/embeddings";
    let body = json!({"model": "it/amazon.titan-embed-text-v2:0", "input": "a text"});
    let lines: String = (0..BEDROCK.lines).map(|number| line(&number.to_string(), url, &body)).collect();
    let file = upload(&gateway, &lines, "batch").await.json();
    let order = json!({"input_file_id": file["id"], "endpoint": url, "completion_window": "24h"});
    let made = call(&gateway, ANN, Method::POST, "/v1/batches", Some(order)).await.json();
    let done = over(&gateway, made["id"].as_str().unwrap()).await;
    assert_eq!(done["request_counts"]["completed"], BEDROCK.lines, "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    assert!(output["7"]["response"]["body"]["data"][0]["embedding"].is_array(), "{}", output["7"]);
    assert_eq!((BEDROCK.sent(&simulator).0, calls(&simulator, &Method::POST, "/invoke").len()), (1, 0));
    let order = &calls(&simulator, &Method::POST, BEDROCK.submit)[0];
    let order: Value = serde_json::from_slice(&order.body).unwrap();
    assert_eq!(order["modelInvocationType"], "InvokeModel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_or_a_job_that_is_refused_leaves_the_lines_to_the_queue() {
    for case in [BEDROCK, VERTEX] {
        let simulator = case.simulator().await;
        let nowhere = case.configured(&simulator).replace("our-bucket", "no-such-bucket");
        let gateway = Gateway::start(&nowhere).await;
        check(&gateway, &case.begin(&gateway).await, case.lines).await;
        assert_eq!(case.sent(&simulator), (0, case.lines));
        let log = gateway.log();
        assert!(log.contains(case.nowhere), "{log}");
        assert!(!log.contains("hush-hush"));
        let simulator = case.simulator().await;
        simulator.script(|script| {
            let refused = Rule { path: Some(case.submit.to_owned()), ..Rule::always(Fault::Forbidden) };
            script.rules.push(refused);
        });
        let gateway = case.gateway(&simulator).await;
        check(&gateway, &case.begin(&gateway).await, case.lines).await;
        assert_eq!(case.sent(&simulator), (1, case.lines));
        case.check_deleted(&simulator, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_bucket_took_them_it_sends_them_once() {
    for case in [BEDROCK, VERTEX] {
        let simulator = case.simulator().await;
        simulator.script(|script| {
            let hang = Rule { path: Some(case.upload.to_owned()), ..Rule::always(Fault::HangBeforeHeaders) };
            script.rules.push(hang);
        });
        let mut gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway).await;
        simulator.wait_until(|counters| counters.requests >= 1).await;
        gateway.signal("KILL");
        gateway.ended().await;
        simulator.heal();
        let gateway = gateway.again().await;
        check(&gateway, &id, case.lines).await;
        assert_eq!(case.sent(&simulator), (0, case.lines), "no job was ever made of them");
        case.check_deleted(&simulator, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_provider_took_them_it_finds_the_job() {
    for case in CASES {
        let simulator = case.simulator().await;
        // The answer never comes, and the job is there all the same.
        simulator.script(|script| {
            let hang = Rule { path: Some(case.submit.to_owned()), ..Rule::always(Fault::HangBeforeHeaders) };
            script.rules.push(hang);
        });
        let mut gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway).await;
        eventually("the submission", async || (case.sent(&simulator).0 == 1).then_some(())).await;
        gateway.signal("KILL");
        gateway.ended().await;
        simulator.heal();
        let gateway = gateway.again().await;
        check(&gateway, &id, case.lines).await;
        assert_eq!(case.sent(&simulator), (1, 0), "it was not submitted again");
        case.check_deleted(&simulator, case.left.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_job_runs_or_its_results_are_fetched_it_goes_on() {
    for case in CASES {
        let simulator = case.simulator().await;
        simulator.script(|script| {
            script.batches.looks = 1_000;
            script.rules.push(Rule { path: Some(case.fetch.to_owned()), ..Rule::always(Fault::Stall(1)) });
        });
        let mut gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway).await;
        eventually("a look at the job", async || {
            let looks = simulator.requests();
            let place = format!("{}/", case.submit);
            looks.iter().any(|call| call.path.contains(&place)).then_some(())
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
        check(&gateway, &id, case.lines).await;
        assert_eq!(case.sent(&simulator), (1, 0));
        let mut times: HashMap<String, usize> = HashMap::new();
        for record in gateway.records_now() {
            let line = record.tags.iter().find(|(tag, _)| &**tag == "batch_line").unwrap().1.to_string();
            *times.entry(line).or_default() += 1;
        }
        assert!(times.values().all(|times| *times == 1), "a line was recorded twice: {times:?}");
        case.check_deleted(&simulator, case.left.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_stops_the_job() {
    for case in [BEDROCK, VERTEX] {
        let simulator = case.simulator().await;
        simulator.script(|script| script.batches.looks = 1_000);
        let gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway).await;
        eventually("the submission", async || (case.sent(&simulator).0 == 1).then_some(())).await;
        call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
        let done = over(&gateway, &id).await;
        assert_eq!(done["status"], "cancelled", "{done}");
        assert_eq!((calls(&simulator, &Method::POST, case.cancel).len(), case.sent(&simulator)), (1, (1, 0)));
        case.check_deleted(&simulator, case.left.1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_did_not_get_to_is_sent_by_itself() {
    for case in [BEDROCK, VERTEX] {
        for (end, together) in [(BatchEnd::Failed, 0), (BatchEnd::Expired, case.lines / 2)] {
            let simulator = case.simulator().await;
            simulator.script(|script| script.batches.end = end);
            let gateway = case.gateway(&simulator).await;
            check(&gateway, &case.begin(&gateway).await, case.lines).await;
            assert_eq!(case.sent(&simulator), (1, case.lines - together), "{end:?}");
        }
    }
}
