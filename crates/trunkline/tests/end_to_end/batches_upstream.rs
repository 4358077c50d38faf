//! Lines that go to a provider's own batch API: for less, once, through crashes, and back into the queue where that does not work.

use crate::batches::{
    ANN, CHAT, KEYS, batch, begin, call, configured, get, line, numbered, over, patient, results, said,
};
use crate::support::{self, Gateway, eventually, provider};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use std::collections::HashMap;
use trunkline_model::money::{CostConfidence, NanoDollars};
use trunkline_model::record::{AttemptKind, RequestRecord};
use trunkline_sim::{BatchEnd, DialectName, Fault, Rule, SimConfig, Simulator};

/// How often a simulator was called so.
fn called(simulator: &Simulator, method: &Method, end: &str) -> usize {
    let fits = |path: &str| path == end || path.ends_with(end);
    simulator.requests().iter().filter(|request| request.method == *method && fits(&request.path)).count()
}

/// The numbers in a metric's lines.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = get(gateway, "/metrics").await;
    let text = metrics.text();
    let line =
        text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

fn tag<'r>(record: &'r RequestRecord, name: &str) -> Option<&'r str> {
    record.tags.iter().find(|(tag, _)| &**tag == name).map(|(_, value)| &**value)
}

/// Every numbered line has the answer to its own number.
fn check_answers(output: &HashMap<String, Value>, count: usize) {
    assert_eq!(output.len(), count);
    for (name, line) in output {
        let answer = line["response"]["body"]["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(answer.contains(&format!("number {name}.")), "{name}: {answer}");
    }
}

async fn anthropic() -> Simulator {
    let config = SimConfig { keep_requests: 4_096, ..SimConfig::new(DialectName::Anthropic) };
    Simulator::start(config).await.unwrap()
}

fn over_anthropic(simulator: &Simulator) -> String {
    format!("{KEYS}providers:\n{}", provider("an", DialectName::Anthropic, &simulator.base_url()))
}

/// The results of a batch of messages, in their order.
async fn message_batch(gateway: &Gateway, params: &[Value]) -> Vec<Value> {
    let requests: Vec<Value> = (params.iter().enumerate())
        .map(|(number, params)| json!({"custom_id": number.to_string(), "params": params}))
        .collect();
    let order = json!({"requests": requests});
    let made = call(gateway, ANN, Method::POST, "/v1/messages/batches", Some(order)).await.json();
    message_results(gateway, &made).await
}

async fn message_results(gateway: &Gateway, made: &Value) -> Vec<Value> {
    let path = format!("/v1/messages/batches/{}", made["id"].as_str().unwrap());
    eventually("the end of a batch", async || {
        (get(gateway, &path).await.json()["processing_status"] == "ended").then_some(())
    })
    .await;
    let results = get(gateway, &format!("{path}/results")).await;
    results
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["result"].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_answered_together_at_the_price_of_batches() {
    let simulator = patient(|_| ()).await;
    let gateway = Gateway::start(&configured(&simulator, "")).await;
    let content = numbered("oa/gpt-4.1-mini", 5)
        + &line("wrong", CHAT, &json!({"model": "oa/gpt-4.1-mini", "messages": "nonsense"}));
    let id = begin(&gateway, &content, "24h").await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"], json!({"total": 6, "completed": 5, "failed": 1}), "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    check_answers(&output, 5);
    let errors = results(&gateway, &done["error_file_id"]).await;
    assert_eq!(errors["wrong"]["response"]["status_code"], 400, "{errors:?}");
    assert_eq!(
        (called(&simulator, &Method::POST, "/v1/batches"), called(&simulator, &Method::POST, "/v1/files")),
        (1, 1)
    );
    assert!(
        called(&simulator, &Method::POST, CHAT) <= 1,
        "at most the line that is wrong was sent by itself"
    );
    let told = |line: &Value, name: &str| line["response"]["body"]["usage"][name].as_u64().unwrap();
    let total: u64 = output.values().map(|line| told(line, "total_tokens")).sum();
    assert_eq!((total > 0, &done["usage"]["total_tokens"]), (true, &json!(total)), "{done}");
    for line in output.values() {
        let record = gateway.record(line["response"]["request_id"].as_str().unwrap()).await;
        let attempt = &record.attempts[0];
        assert_eq!(
            (record.attempts.len(), attempt.kind, record.key.as_deref()),
            (1, AttemptKind::Batch, Some("ann"))
        );
        assert_eq!(tag(&record, "batch"), Some(id.as_str()));
        assert!(tag(&record, "batch_api").is_some_and(|name| name.starts_with("batch_")), "{record:?}");
        // 20 cents for a million tokens in and 80 for a million out, half of the usual price.
        let usage = record.usage;
        let nanos = usage.input * 200 + usage.output * 800;
        assert_eq!(record.cost.amount, Some(NanoDollars(i64::try_from(nanos).unwrap())), "{record:?}");
        assert_eq!(record.cost.confidence, CostConfidence::Exact);
        assert_eq!((record.status, record.route.is_some(), record.decision.is_some()), (200, true, true));
    }
    // What was left there is deleted, and nothing is at a provider any more.
    eventually("the end of the handover", async || {
        let deleted = simulator.requests().iter().filter(|request| request.method == Method::DELETE).count();
        (deleted == 2 && metric(&gateway, "trunkline_batches_upstream_open ").await == 0).then_some(())
    })
    .await;
    assert_eq!(metric(&gateway, "trunkline_batches_upstream_submitted_total").await, 1);
    assert_eq!(metric(&gateway, "trunkline_batches_upstream_lines_ended_total{end=\"answered\"}").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_translated_on_their_way_there_and_back() {
    let anthropic = anthropic().await;
    let openai = patient(|_| ()).await;
    let gateway = Gateway::start(&format!(
        "{}{}",
        over_anthropic(&anthropic),
        provider("oa", DialectName::OpenAi, &openai.base_url())
    ))
    .await;
    let id = begin(&gateway, &numbered("an/claude-sonnet-4-5", 3), "24h").await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"]["completed"], 3, "{done}");
    check_answers(&results(&gateway, &done["output_file_id"]).await, 3);
    assert_eq!(called(&anthropic, &Method::POST, "/v1/messages/batches"), 1);
    assert_eq!(called(&anthropic, &Method::POST, "/v1/messages"), 0);
    // Untouched, where both speak the same.
    let params = |text: &str| json!({"model": "an/claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": text}]});
    let ended = message_batch(&gateway, &[params("to one"), params("to two")]).await;
    assert!(ended[0].to_string().contains("to one") && ended[1].to_string().contains("to two"), "{ended:?}");
    assert_eq!(called(&anthropic, &Method::POST, "/v1/messages/batches"), 2);
    // And the other way round, in the other protocol.
    let params = |text: &str| json!({"model": "oa/gpt-4.1-mini", "max_tokens": 50, "messages": [{"role": "user", "content": text}]});
    for result in message_batch(&gateway, &[params("Hello"), params("Bye")]).await {
        assert_eq!((&result["type"], &result["message"]["role"]), (&json!("succeeded"), &json!("assistant")));
    }
    assert_eq!((called(&openai, &Method::POST, "/v1/batches"), called(&openai, &Method::POST, CHAT)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_before_its_provider_had_the_lines_sends_them_once() {
    let simulator = patient(|script| {
        script.rules.push(Rule::always(Fault::HangBeforeHeaders).for_header("content-type", "multipart"));
    })
    .await;
    let mut gateway = Gateway::start(&configured(&simulator, "")).await;
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", 6), "24h").await;
    simulator.wait_until(|counters| counters.requests >= 1).await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"], json!({"total": 6, "completed": 6, "failed": 0}), "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    check_answers(&output, 6);
    assert_eq!(
        (called(&simulator, &Method::POST, "/v1/batches"), called(&simulator, &Method::POST, CHAT)),
        (0, 6)
    );
    let record = gateway.record(output["1"]["response"]["request_id"].as_str().unwrap()).await;
    assert_eq!(tag(&record, "batch_interrupted"), Some("1"), "nobody can know that they were not answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_while_its_provider_took_the_lines_finds_them_there() {
    // The answer never comes, and the batch is there all the same.
    let hang = Rule::always(Fault::HangBeforeHeaders).for_header("idempotency-key", "");
    let openai = patient(|script| script.rules.push(hang.clone())).await;
    let anthropic = anthropic().await;
    anthropic.script(|script| script.rules.push(hang));
    for (simulator, configuration, model, path) in [
        (&openai, configured(&openai, ""), "oa/gpt-4.1-mini", "/v1/batches"),
        (&anthropic, over_anthropic(&anthropic), "an/claude-sonnet-4-5", "/v1/messages/batches"),
    ] {
        let mut gateway = Gateway::start(&configuration).await;
        let id = begin(&gateway, &numbered(model, 6), "24h").await;
        eventually("the submission", async || (called(simulator, &Method::POST, path) == 1).then_some(()))
            .await;
        gateway.signal("KILL");
        gateway.ended().await;
        simulator.heal();
        let gateway = gateway.again().await;
        // An API that keeps no marks shows whose a batch is by its results, which come when somebody looks at it.
        let listed = eventually("a look at the list", async || {
            simulator
                .requests()
                .iter()
                .rev()
                .find(|request| request.method == Method::GET && request.path.ends_with(path))
                .cloned()
        })
        .await;
        assert_eq!(listed.query.as_deref(), Some("limit=100"));
        if path.ends_with("/messages/batches") {
            simulator.script(|script| script.batches.looks = 0);
        }
        let done = over(&gateway, &id).await;
        assert_eq!(done["request_counts"], json!({"total": 6, "completed": 6, "failed": 0}), "{done}");
        check_answers(&results(&gateway, &done["output_file_id"]).await, 6);
        assert_eq!(called(simulator, &Method::POST, path), 1, "it was not submitted again");
        assert_eq!(
            called(simulator, &Method::POST, CHAT) + called(simulator, &Method::POST, "/v1/messages"),
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_while_it_fetches_goes_on_where_it_was() {
    const LINES: usize = 150;
    let simulator = patient(|script| {
        script.rules.push(Rule { path: Some("/content".to_owned()), ..Rule::always(Fault::Stall(1)) });
    })
    .await;
    let mut gateway = Gateway::start(&configured(&simulator, "")).await;
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", LINES), "24h").await;
    let before = eventually("some results", async || {
        let done = batch(&gateway, &id).await["request_counts"]["completed"].as_u64()?;
        (done > 0).then_some(done)
    })
    .await;
    assert!(before < LINES as u64, "{before}: the other half never came");
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"], json!({"total": LINES, "completed": LINES, "failed": 0}), "{done}");
    check_answers(&results(&gateway, &done["output_file_id"]).await, LINES);
    assert_eq!(
        (called(&simulator, &Method::POST, "/v1/batches"), called(&simulator, &Method::POST, CHAT)),
        (1, 0)
    );
    let mut times: HashMap<String, usize> = HashMap::new();
    for record in gateway.records_now() {
        *times.entry(tag(&record, "batch_line").unwrap().to_owned()).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "a line was recorded twice: {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_whose_answer_is_an_error_is_looked_for_before_anything_is_sent_again() {
    // The provider's front door fails, behind it the batch was made.
    let simulator = patient(|script| {
        let rule = Rule::always(Fault::BadGateway).for_header("idempotency-key", "");
        script.rules.push(rule.nth(&[2]));
    })
    .await;
    let gateway = Gateway::start(&configured(&simulator, "")).await;
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", 4), "24h").await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"]["completed"], 4, "{done}");
    assert_eq!(
        (called(&simulator, &Method::POST, "/v1/batches"), called(&simulator, &Method::POST, CHAT)),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_api_that_fails_leaves_its_lines_to_the_queue() {
    for fault in [Fault::Unauthorized, Fault::RateLimited, Fault::ServerError, Fault::NotFound] {
        let simulator = patient(|script| {
            script.rules.push(Rule::always(fault).for_header("content-type", "multipart"));
        })
        .await;
        let gateway = Gateway::start(&configured(&simulator, "")).await;
        for round in 1..=2 {
            let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", 3), "24h").await;
            let done = over(&gateway, &id).await;
            assert_eq!(done["request_counts"]["completed"], 3, "{fault}: {done}");
            check_answers(&results(&gateway, &done["output_file_id"]).await, 3);
            assert_eq!(called(&simulator, &Method::POST, CHAT), 3 * round, "{fault}");
        }
        assert_eq!(
            called(&simulator, &Method::POST, "/v1/files"),
            1,
            "{fault}: it is left alone for a while"
        );
        assert!(metric(&gateway, "trunkline_batches_upstream_failures_total").await > 0);
        assert!(gateway.log().contains("failed to submit lines of a batch"), "{}", gateway.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_did_not_get_to_is_sent_by_itself() {
    for (end, together) in [(BatchEnd::Failed, 0), (BatchEnd::Expired, 2)] {
        let simulator = patient(|script| script.batches.end = end).await;
        let gateway = Gateway::start(&configured(&simulator, "")).await;
        let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", 4), "24h").await;
        let done = over(&gateway, &id).await;
        assert_eq!(
            done["request_counts"],
            json!({"total": 4, "completed": 4, "failed": 0}),
            "{end:?}: {done}"
        );
        check_answers(&results(&gateway, &done["output_file_id"]).await, 4);
        assert_eq!(called(&simulator, &Method::POST, CHAT), 4 - together, "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_passes_on() {
    let openai = patient(|script| script.batches.looks = 1_000).await;
    let anthropic = anthropic().await;
    anthropic.script(|script| script.batches.looks = 1_000);
    let gateway = Gateway::start(&format!(
        "{}{}",
        over_anthropic(&anthropic),
        provider("oa", DialectName::OpenAi, &openai.base_url())
    ))
    .await;
    for (simulator, model) in [(&openai, "oa/gpt-4.1-mini"), (&anthropic, "an/claude-sonnet-4-5")] {
        let id = begin(&gateway, &numbered(model, 3), "24h").await;
        eventually("a look at the provider's batch", async || {
            let looks = simulator.requests();
            looks
                .iter()
                .any(|request| request.method == Method::GET && request.path.contains("batch_"))
                .then_some(())
        })
        .await;
        let cancelling = call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
        assert_eq!(cancelling.json()["status"], "cancelling");
        let done = over(&gateway, &id).await;
        assert_eq!(done["status"], "cancelled", "{done}");
        assert_eq!(called(simulator, &Method::POST, "/cancel"), 1, "{model}");
        assert_eq!(
            called(simulator, &Method::POST, CHAT) + called(simulator, &Method::POST, "/v1/messages"),
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_there_goes_by_the_queue() {
    let simulator = patient(|_| ()).await;
    let settings = configured(&simulator, "batches: { upstream_least: 3 }\n");
    let kept =
        provider("kept", DialectName::OpenAi, &simulator.base_url()).replace(" }", ", data: { zdr: true } }");
    let gateway = Gateway::start(&format!("{settings}{kept}")).await;
    for (lines, window) in [(5, "1h"), (2, "24h")] {
        let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", lines), window).await;
        let done = over(&gateway, &id).await;
        assert_eq!(done["request_counts"]["completed"], lines, "{done}");
    }
    let request = gateway.builder("/v1/messages/batches").header("x-trunkline-require", "zdr");
    let params = json!({"model": "kept/gpt-4.1-mini", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]});
    let named = ["a", "b", "c"].map(|name| json!({"custom_id": name, "params": params}));
    let secret = json!({"requests": named});
    let mut request = request.body(Full::new(Bytes::from(secret.to_string()))).unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {ANN}").parse().unwrap());
    let made = gateway.send(request).await.json();
    assert_eq!(message_results(&gateway, &made).await[0]["type"], "succeeded");
    let unpriced = line("a", CHAT, &said("oa/gpt-unheard-of", "Hello"));
    let done = over(&gateway, &begin(&gateway, &unpriced, "24h").await).await;
    assert_eq!(done["request_counts"]["failed"], 1, "{done}");
    assert_eq!(
        (called(&simulator, &Method::POST, "/v1/files"), called(&simulator, &Method::POST, CHAT)),
        (0, 10)
    );
    let gemini = support::simulator(DialectName::Gemini).await;
    let gateway = Gateway::start(&format!(
        "{KEYS}providers:\n{}",
        provider("ge", DialectName::Gemini, &gemini.base_url())
    ))
    .await;
    let id = begin(&gateway, &numbered("ge/gemini-2.5-flash", 2), "24h").await;
    assert_eq!(over(&gateway, &id).await["request_counts"]["completed"], 2);
}
