//! Batch APIs of other forms than the first two: lines go there once, through crashes, and back into the queue where that does not work.

use crate::batches::{ANN, CHAT, KEYS, begin, call, calls, check, numbered, over, results, upload};
use crate::support::{Gateway, eventually};
use http::Method;
use serde_json::{Value, json};
use trunkline_model::money::{CostConfidence, NanoDollars};
use trunkline_model::record::AttemptKind;
use trunkline_sim::{BatchEnd, BatchManner, DialectName, Fault, Rule, SimConfig, Simulator};

/// A provider with a batch API.
#[derive(Clone, Copy)]
struct Case {
    preset: &'static str,
    dialect: DialectName,
    manner: BatchManner,
    model: &'static str,
    /// What the configuration says of the model.
    settings: &'static str,
    /// Where it is, behind the simulator's address.
    place: &'static str,
    /// The time of a batch that goes there.
    window: &'static str,
    /// Where lines are uploaded, submitted, asked one by one, fetched (nowhere a line at a time, where there is nothing) and cancelled.
    upload: &'static str,
    submit: &'static str,
    alone: &'static str,
    fetch: &'static str,
    cancel: &'static str,
    /// What a token costs, in and out, in nano-dollars.
    prices: (u64, u64),
    /// What an expired batch answered of four lines.
    expired: usize,
    /// What is deleted there after all.
    left: usize,
}

const GEMINI: Case = Case {
    preset: "gemini",
    dialect: DialectName::Gemini,
    manner: BatchManner::OpenAi,
    model: "gemini-2.5-flash-lite",
    settings: "",
    place: "/v1beta",
    window: "24h",
    upload: "/upload/v1beta/files",
    submit: ":batchGenerateContent",
    alone: ":generateContent",
    fetch: ":download",
    cancel: ":cancel",
    prices: (50, 200),
    expired: 0,
    left: 3,
};

const MISTRAL: Case = Case {
    preset: "mistral",
    dialect: DialectName::Mistral,
    model: "mistral-small-latest",
    place: "/v1",
    upload: "/v1/files",
    submit: "/v1/batch/jobs",
    alone: "/v1/chat/completions",
    fetch: "/content",
    cancel: "/cancel",
    prices: (75, 300),
    expired: 2,
    ..GEMINI
};

/// Those who copied the vendor's form and changed something.
const TOGETHER: Case = Case {
    preset: "together",
    dialect: DialectName::OpenAi,
    manner: BatchManner::Together,
    model: "a-model",
    settings: "models: { it/a-model: { price: { input: 1, output: 2 }, batch_price: { input: \"0.5\", output: 1 } } }\n",
    upload: "/v1/files/upload",
    submit: "/v1/batches",
    prices: (500, 1_000),
    left: 2,
    ..MISTRAL
};

const NOVITA: Case = Case {
    preset: "novita",
    manner: BatchManner::Novita,
    place: "",
    window: "2d",
    upload: "/v1/files",
    alone: "/chat/completions",
    ..TOGETHER
};

const ZHIPU: Case = Case {
    preset: "zhipu",
    manner: BatchManner::Zhipu,
    model: "glm-4-plus",
    settings: "models: { it/glm-4-plus: { price: { input: 1, output: 2 } } }\n",
    place: "/api/paas/v4",
    window: "24h",
    upload: "/v4/files",
    submit: "/v4/batches",
    ..NOVITA
};

const PARASAIL: Case = Case {
    preset: "parasail",
    manner: BatchManner::OpenAi,
    model: "a-model",
    settings: "models: { it/a-model: { price: { input: 1, output: 2 } } }\n",
    place: "/v1",
    upload: "/v1/files",
    submit: "/v1/batches",
    ..ZHIPU
};

const XAI: Case = Case {
    preset: "xai",
    manner: BatchManner::Xai,
    model: "grok-4.3",
    settings: "",
    fetch: "",
    cancel: ":cancel",
    prices: (1_000, 2_000),
    left: 1,
    ..PARASAIL
};

/// Lines stand in the order, and results in the batch: nothing is uploaded, and nothing stops it.
const OPENROUTER: Case = Case {
    preset: "openrouter",
    manner: BatchManner::OpenRouter,
    model: "one/a-model",
    settings: "models: { it/one/a-model: { price: { input: 1, output: 2 }, batch_price: { input: \"0.5\", output: 1 } } }\n",
    place: "/api/v1",
    upload: "/v1/batches",
    submit: "/v1/batches",
    cancel: "",
    prices: (500, 1_000),
    expired: 0,
    ..XAI
};

/// One that copied the form as it is, and whose prices the configuration states.
const DOUBLEWORD: Case = Case { preset: "doubleword", expired: 2, ..TOGETHER_LIKE };

const TOGETHER_LIKE: Case = Case { settings: TOGETHER.settings, prices: TOGETHER.prices, ..PARASAIL };

const CASES: [Case; 9] = [GEMINI, MISTRAL, TOGETHER, NOVITA, ZHIPU, PARASAIL, XAI, OPENROUTER, DOUBLEWORD];

impl Case {
    fn uploads(self) -> bool {
        self.upload != self.submit
    }

    async fn simulator(self) -> Simulator {
        let config = SimConfig { keep_requests: 4_096, ..SimConfig::new(self.dialect) };
        let simulator = Simulator::start(config).await.unwrap();
        simulator.script(|script| script.batches.manner = self.manner);
        simulator
    }

    async fn gateway(self, simulator: &Simulator) -> Gateway {
        let (preset, place, settings) = (self.preset, self.place, self.settings);
        let url = format!("{}{place}", simulator.base_url());
        // A model that the catalogue does not have is named.
        let models = if settings.is_empty() { String::new() } else { format!(", models: [{}]", self.model) };
        let provider = format!("  it: {{ preset: {preset}, url: \"{url}\", key: sim-key-it{models} }}\n");
        Gateway::start(&format!("{KEYS}{settings}providers:\n{provider}")).await
    }

    async fn begin(self, gateway: &Gateway, lines: usize) -> String {
        begin(gateway, &numbered(&format!("it/{}", self.model), lines), self.window).await
    }
}

/// Submissions, and lines that went by themselves.
fn sent(simulator: &Simulator, case: Case) -> (usize, usize) {
    (calls(simulator, &Method::POST, case.submit).len(), calls(simulator, &Method::POST, case.alone).len())
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_together_in_other_forms_too() {
    for case in CASES {
        let simulator = case.simulator().await;
        let gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway, 5).await;
        let output = check(&gateway, &id, 5).await;
        assert_eq!(
            (calls(&simulator, &Method::POST, case.upload).len(), sent(&simulator, case)),
            (1, (1, 0))
        );
        for line in output.values() {
            let record = gateway.record(line["response"]["request_id"].as_str().unwrap()).await;
            assert_eq!((record.attempts.len(), record.attempts[0].kind), (1, AttemptKind::Batch));
            let nanos = record.usage.input * case.prices.0 + record.usage.output * case.prices.1;
            assert_eq!(record.cost.amount, Some(NanoDollars(i64::try_from(nanos).unwrap())), "{record:?}");
            assert_eq!((nanos > 0, record.cost.confidence), (true, CostConfidence::Exact));
        }
        // The lines, the results and the batch are deleted.
        eventually("an empty provider", async || {
            let deleted = simulator.requests().iter().filter(|call| call.method == Method::DELETE).count();
            (deleted == case.left).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_from_a_batch_too() {
    let case = MISTRAL;
    let simulator = case.simulator().await;
    let gateway = case.gateway(&simulator).await;
    let body = json!({"model": "it/mistral-embed", "input": ["one", "two"]});
    let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": body}).to_string();
    let file = upload(&gateway, &line, "batch").await.json();
    let order =
        json!({"input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"});
    let made = call(&gateway, ANN, Method::POST, "/v1/batches", Some(order)).await.json();
    let done = over(&gateway, made["id"].as_str().unwrap()).await;
    assert_eq!(done["request_counts"]["completed"], 1, "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    let answer = &output["a"]["response"]["body"];
    assert_eq!((&answer["data"][1]["index"], &answer["object"]), (&json!(1), &json!("list")), "{answer}");
    assert_eq!((sent(&simulator, case).0, calls(&simulator, &Method::POST, "/v1/embeddings").len()), (1, 0));
    let record = gateway.record(output["a"]["response"]["request_id"].as_str().unwrap()).await;
    assert_eq!(record.attempts[0].kind, AttemptKind::Batch);
    // Half of ten cents a million tokens.
    let nanos = i64::try_from(record.usage.input * 50).unwrap();
    assert_eq!((nanos > 0, record.cost.amount), (true, Some(NanoDollars(nanos))), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_with_one_text_goes_where_lines_are_for_one_vector() {
    let simulator = GEMINI.simulator().await;
    simulator.script(|script| {
        script.rules.push(Rule::always(Fault::HangBeforeHeaders).for_header("idempotency-key", ""));
    });
    let mut gateway = GEMINI.gateway(&simulator).await;
    let said = |name: &str, input: Value| {
        let body = json!({"model": "it/gemini-embedding-2", "input": input, "dimensions": 8});
        json!({"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body}).to_string() + "\n"
    };
    let lines = [said("a", json!("one")), said("b", json!(["two"])), said("c", json!(["three", "four"]))];
    let file = upload(&gateway, &lines.concat(), "batch").await.json();
    let order =
        json!({"input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"});
    let made = call(&gateway, ANN, Method::POST, "/v1/batches", Some(order)).await.json();
    let submitted = || calls(&simulator, &Method::POST, ":asyncBatchEmbedContent").len();
    eventually("the submission", async || (submitted() == 1).then_some(())).await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    let done = over(&gateway, made["id"].as_str().unwrap()).await;
    assert_eq!(done["request_counts"], json!({"total": 3, "completed": 3, "failed": 0}), "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    for (name, texts) in [("a", 1), ("b", 1), ("c", 2)] {
        let answer = &output[name]["response"]["body"];
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(texts), "{answer}");
        assert_eq!(answer["data"][texts - 1]["embedding"].as_array().map(Vec::len), Some(8), "{answer}");
    }
    for name in ["a", "b"] {
        let record = gateway.record(output[name]["response"]["request_id"].as_str().unwrap()).await;
        assert_eq!(record.attempts.last().unwrap().kind, AttemptKind::Batch, "{name}");
        // Ten cents a million tokens, half of the usual price, and counted by the provider.
        let nanos = i64::try_from(record.usage.input * 100).unwrap();
        assert_eq!((nanos > 0, record.cost.amount), (true, Some(NanoDollars(nanos))), "{record:?}");
        assert_eq!(record.cost.confidence, CostConfidence::Exact);
    }
    // One with two texts went by itself, before the end or after it.
    assert!(!calls(&simulator, &Method::POST, ":batchEmbedContents").is_empty());
    assert_eq!(submitted(), 1, "it was not submitted again");
    let upload = calls(&simulator, &Method::POST, GEMINI.upload).pop().unwrap();
    let upload = String::from_utf8(upload.body.to_vec()).unwrap();
    assert!(upload.contains(r#""request":{"model":"models/gemini-embedding-2","content":{"#), "{upload}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_they_refuse_goes_line_by_line() {
    for case in CASES {
        let simulator = case.simulator().await;
        let gateway = case.gateway(&simulator).await;
        simulator.script(|script| {
            script.rules.push(Rule { path: Some(case.submit.to_owned()), ..Rule::always(Fault::BadRequest) });
        });
        let id = case.begin(&gateway, 3).await;
        check(&gateway, &id, 3).await;
        assert_eq!(sent(&simulator, case), (1, 3), "a batch that is refused goes line by line");
        assert!(gateway.log().contains("failed to submit lines of a batch"), "{}", gateway.log());
        if !case.uploads() {
            continue;
        }
        // What was uploaded for it does not stay.
        eventually("an empty provider", async || {
            simulator.requests().iter().any(|call| call.method == Method::DELETE).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_upload_was_answered_it_sends_them_once() {
    // A list that does not show a batch is believed after a while: they wait for it together.
    let together = tokio::task::LocalSet::new();
    let cases = CASES.into_iter().filter(|case| case.uploads());
    let all: Vec<_> =
        cases.map(|case| together.spawn_local(killed_before_the_upload_was_answered(case))).collect();
    together.await;
    for one in all {
        one.await.unwrap();
    }
}

async fn killed_before_the_upload_was_answered(case: Case) {
    let simulator = case.simulator().await;
    simulator.script(|script| {
        let hang = Rule::always(Fault::HangBeforeHeaders).for_header("content-type", "multipart");
        script.rules.push(hang);
    });
    let mut gateway = case.gateway(&simulator).await;
    let id = case.begin(&gateway, 4).await;
    simulator.wait_until(|counters| counters.requests >= 1).await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    check(&gateway, &id, 4).await;
    assert_eq!(sent(&simulator, case), (0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_provider_took_them_it_finds_them_by_their_mark() {
    for case in CASES {
        let simulator = case.simulator().await;
        // The answer never comes, and the batch is there all the same.
        simulator.script(|script| {
            script.rules.push(Rule::always(Fault::HangBeforeHeaders).for_header("idempotency-key", ""));
        });
        let mut gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway, 4).await;
        eventually("the submission", async || (sent(&simulator, case).0 == 1).then_some(())).await;
        gateway.signal("KILL");
        gateway.ended().await;
        simulator.heal();
        let gateway = gateway.again().await;
        check(&gateway, &id, 4).await;
        assert_eq!(sent(&simulator, case), (1, 0), "it was not submitted again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_they_are_there_or_fetched_it_goes_on() {
    const LINES: usize = 150;
    for case in CASES {
        let simulator = case.simulator().await;
        simulator.script(|script| {
            script.batches.looks = 1_000;
            if !case.fetch.is_empty() {
                let stall = Rule::always(Fault::Stall(1));
                script.rules.push(Rule { path: Some(case.fetch.to_owned()), ..stall });
            }
        });
        let mut gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway, LINES).await;
        eventually("a look at the batch", async || {
            let all = simulator.requests();
            let submitted = all.iter().position(|call| call.path.ends_with(case.submit))?;
            all[submitted..].iter().any(|call| call.method == Method::GET).then_some(())
        })
        .await;
        gateway.signal("KILL");
        gateway.ended().await;
        simulator.script(|script| script.batches.looks = 0);
        let mut gateway = gateway.again().await;
        if !case.fetch.is_empty() {
            eventually("some results", async || {
                let path = format!("/v1/batches/{id}");
                let done = call(&gateway, ANN, Method::GET, &path, None).await.json();
                (done["request_counts"]["completed"].as_u64()? > 0).then_some(())
            })
            .await;
            gateway.signal("KILL");
            gateway.ended().await;
            simulator.heal();
            gateway = gateway.again().await;
        }
        check(&gateway, &id, LINES).await;
        assert_eq!(sent(&simulator, case), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_reaches_them() {
    for case in CASES.into_iter().filter(|case| !case.cancel.is_empty()) {
        let simulator = case.simulator().await;
        simulator.script(|script| script.batches.looks = 1_000);
        let gateway = case.gateway(&simulator).await;
        let id = case.begin(&gateway, 3).await;
        eventually("the submission", async || (sent(&simulator, case).0 == 1).then_some(())).await;
        call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
        let done = over(&gateway, &id).await;
        assert_eq!(done["status"], "cancelled", "{done}");
        assert_eq!(calls(&simulator, &Method::POST, case.cancel).len(), 1);
        assert_eq!(sent(&simulator, case), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_did_not_get_to_is_sent_by_itself() {
    for case in CASES {
        for (end, together) in [(BatchEnd::Failed, 0), (BatchEnd::Expired, case.expired)] {
            let simulator = case.simulator().await;
            simulator.script(|script| script.batches.end = end);
            let gateway = case.gateway(&simulator).await;
            let id = case.begin(&gateway, 4).await;
            check(&gateway, &id, 4).await;
            assert_eq!(sent(&simulator, case), (1, 4 - together), "{end:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_any_form_is_what_an_attempt_would_send() {
    for case in CASES {
        let simulator = case.simulator().await;
        let gateway = case.gateway(&simulator).await;
        let model = format!("it/{}", case.model);
        let body = json!({"model": model, "messages": [{"role": "system", "content": "Be\nbrief."}, {"role": "user", "content": "Hello"}],
            "max_tokens": 7});
        let line = json!({"custom_id": "a", "method": "POST", "url": CHAT, "body": body}).to_string() + "\n";
        let id = begin(&gateway, &line, case.window).await;
        assert_eq!(over(&gateway, &id).await["request_counts"]["completed"], 1);
        call(&gateway, ANN, Method::POST, CHAT, Some(body)).await;
        let all = simulator.requests();
        let alone = all.iter().find(|call| call.path.ends_with(case.alone)).unwrap();
        let alone: Value = serde_json::from_slice(&alone.body).unwrap();
        let upload = all.iter().find(|call| call.path.ends_with(case.upload)).unwrap();
        let upload = String::from_utf8(upload.body.to_vec()).unwrap();
        let line = upload.lines().find(|line| line.contains("brief")).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        let together = line.get("request").or_else(|| line.get("body"));
        let together = together.or_else(|| line.pointer("/requests/0/body")).unwrap();
        assert_eq!(together, &alone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_provider_may_take_longer_than_a_batch_has_lines_go_by_themselves() {
    let simulator = NOVITA.simulator().await;
    let gateway = NOVITA.gateway(&simulator).await;
    let id = begin(&gateway, &numbered("it/a-model", 2), "24h").await;
    check(&gateway, &id, 2).await;
    assert_eq!(sent(&simulator, NOVITA), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_stops_is_waited_for_and_kept() {
    let simulator = OPENROUTER.simulator().await;
    simulator.script(|script| script.batches.looks = 1_000);
    let gateway = OPENROUTER.gateway(&simulator).await;
    let id = OPENROUTER.begin(&gateway, 3).await;
    eventually("the submission", async || (sent(&simulator, OPENROUTER).0 == 1).then_some(())).await;
    call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
    let looks = || calls(&simulator, &Method::GET, "").len();
    let before = looks();
    eventually("another look", async || (looks() > before + 1).then_some(())).await;
    simulator.script(|script| script.batches.looks = 0);
    let done = over(&gateway, &id).await;
    assert_eq!(
        (&done["status"], &done["request_counts"]["completed"]),
        (&json!("cancelled"), &json!(3)),
        "{done}"
    );
    assert_eq!(sent(&simulator, OPENROUTER), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_stay_where_batches_are_of_text_alone() {
    let simulator = OPENROUTER.simulator().await;
    let gateway = OPENROUTER.gateway(&simulator).await;
    let model = format!("it/{}", OPENROUTER.model);
    let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}});
    let body = json!({"model": model, "messages": [{"role": "user", "content": [picture]}]});
    let line = json!({"custom_id": "a", "method": "POST", "url": CHAT, "body": body}).to_string() + "\n";
    let id = begin(&gateway, &line, OPENROUTER.window).await;
    assert_eq!(over(&gateway, &id).await["request_counts"]["completed"], 1);
    assert_eq!(sent(&simulator, OPENROUTER), (0, 1));
}
