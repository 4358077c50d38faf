//! Files and batches: over any provider, through crashes and limits, for their owners only.

use crate::support::{Answer, Gateway, eventually, provider, simulator};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;
use trunkline_sim::{Delay, DialectName, Fault, ReceivedRequest, SimConfig, Simulator};
use trunkline_store::{Batches, Results};

pub(crate) const ANN: &str = "sk-ann-0123456789abcdef";
const BOB: &str = "sk-bob-0123456789abcdef";
pub(crate) const KEYS: &str =
    "keys: { ann: { key: sk-ann-0123456789abcdef }, bob: { key: sk-bob-0123456789abcdef } }\n";
pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) async fn call(
    gateway: &Gateway,
    key: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    send(gateway, key, method, path, "application/json", body).await
}

async fn send(
    gateway: &Gateway,
    key: &str,
    method: Method,
    path: &str,
    content_type: &str,
    body: Bytes,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gateway")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", content_type)
        .body(Full::new(body));
    gateway.send(request.unwrap()).await
}

pub(crate) async fn get(gateway: &Gateway, path: &str) -> Answer {
    call(gateway, ANN, Method::GET, path, None).await
}

pub(crate) async fn upload(gateway: &Gateway, content: &str, purpose: &str) -> Answer {
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--x\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n--x--\r\n"
    );
    send(gateway, ANN, Method::POST, "/v1/files", "multipart/form-data; boundary=x", body.into()).await
}

pub(crate) fn line(name: &str, url: &str, body: &Value) -> String {
    json!({"custom_id": name, "method": "POST", "url": url, "body": body}).to_string() + "\n"
}

pub(crate) fn said(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// Lines that say their own number.
pub(crate) fn numbered(model: &str, count: usize) -> String {
    (1..=count)
        .map(|number| line(&number.to_string(), CHAT, &said(model, &format!("number {number}."))))
        .collect()
}

pub(crate) async fn begin(gateway: &Gateway, content: &str, window: &str) -> String {
    let file = upload(gateway, content, "batch").await;
    assert_eq!(file.status, 200, "{}", file.text());
    let order = json!({"input_file_id": file.json()["id"], "endpoint": CHAT, "completion_window": window});
    let batch = call(gateway, ANN, Method::POST, "/v1/batches", Some(order)).await;
    assert_eq!((batch.status, &batch.json()["status"]), (200, &json!("validating")), "{}", batch.text());
    batch.json()["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn batch(gateway: &Gateway, id: &str) -> Value {
    get(gateway, &format!("/v1/batches/{id}")).await.json()
}

/// Waits until a batch is over.
pub(crate) async fn over(gateway: &Gateway, id: &str) -> Value {
    eventually("the end of a batch", async || {
        let batch = batch(gateway, id).await;
        let is_over = ["completed", "failed", "expired", "cancelled"].contains(&batch["status"].as_str()?);
        is_over.then_some(batch)
    })
    .await
}

/// The lines of a result file by their names; each name must be there once.
pub(crate) async fn results(gateway: &Gateway, file: &Value) -> HashMap<String, Value> {
    let Some(id) = file.as_str() else { return HashMap::new() };
    let content = get(gateway, &format!("/v1/files/{id}/content")).await;
    assert_eq!((content.status, content.whole), (200, true));
    let mut found = HashMap::new();
    for line in content.text().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line["custom_id"].as_str().unwrap().to_owned();
        assert!(found.insert(name, line).is_none(), "a line is there twice");
    }
    found
}

/// How often each numbered line was sent to a simulator.
fn sent(simulator: &Simulator) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for request in simulator.requests() {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let number = text.split("number ").nth(1).and_then(|rest| rest.split('.').next()).map(str::to_owned);
        *times.entry(number.unwrap_or_default()).or_default() += 1;
    }
    times
}

pub(crate) async fn patient(script: impl FnOnce(&mut trunkline_sim::Script)) -> Simulator {
    let config = SimConfig { keep_requests: 4_096, ..SimConfig::new(DialectName::OpenAi) };
    let simulator = Simulator::start(config).await.unwrap();
    simulator.script(script);
    simulator
}

pub(crate) fn configured(simulator: &Simulator, settings: &str) -> String {
    format!("{KEYS}{settings}providers:\n{}", provider("oa", DialectName::OpenAi, &simulator.base_url()))
}

/// The calls of a simulator by a method to paths that end so.
pub(crate) fn calls(simulator: &Simulator, method: &Method, end: &str) -> Vec<ReceivedRequest> {
    let all = simulator.requests().into_iter();
    all.filter(|request| request.method == *method && request.path.ends_with(end)).collect()
}

/// The batch is over, and every numbered line has the answer to its own number.
pub(crate) async fn check(gateway: &Gateway, id: &str, lines: usize) -> HashMap<String, Value> {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_any_provider_and_belongs_to_its_key() {
    let anthropic = simulator(DialectName::Anthropic).await;
    let gemini = simulator(DialectName::Gemini).await;
    let gateway = Gateway::start(&format!(
        "{KEYS}batches: {{ upstream: never }}\nproviders:\n{}{}",
        provider("an", DialectName::Anthropic, &anthropic.base_url()),
        provider("ge", DialectName::Gemini, &gemini.base_url())
    ))
    .await;
    let content = line("a", CHAT, &said("an/claude-sonnet-4-5", "to one"))
        + &line("b", CHAT, &said("ge/gemini-2.5-flash", "to the other"))
        + &line("c", CHAT, &said("ge/nothing", "to nobody"));
    let id = begin(&gateway, &content, "24h").await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["request_counts"], json!({"total": 3, "completed": 2, "failed": 1}), "{done}");
    for time in ["created_at", "in_progress_at", "finalizing_at", "completed_at", "expires_at"] {
        assert!(done[time].is_u64(), "{time}: {done}");
    }
    let output_of = results(&gateway, &done["output_file_id"]).await;
    let output = &output_of;
    for (name, text) in [("a", "to one"), ("b", "to the other")] {
        let response = &output[name]["response"];
        assert_eq!(response["status_code"], 200);
        let answer = response["body"]["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(answer.contains(text), "{answer}");
        let record = gateway.record(response["request_id"].as_str().unwrap()).await;
        assert_eq!(record.key.as_deref(), Some("ann"));
        let tag = |name: &str| {
            record.tags.iter().find(|(tag, _)| &**tag == name).map(|(_, value)| value.to_string())
        };
        assert_eq!(tag("batch"), Some(id.clone()), "{record:?}");
        assert!(tag("batch_interrupted").is_none());
    }
    let errors = results(&gateway, &done["error_file_id"]).await;
    let error = &errors["c"]["response"];
    assert_eq!(
        (&error["status_code"], &error["body"]["error"]["code"]),
        (&json!(404), &json!("model_not_found"))
    );
    // Nothing of it is there for another key.
    let (input, output) = (done["input_file_id"].as_str().unwrap(), done["output_file_id"].as_str().unwrap());
    for (method, path) in [
        (Method::GET, format!("/v1/batches/{id}")),
        (Method::POST, format!("/v1/batches/{id}/cancel")),
        (Method::GET, format!("/v1/files/{input}")),
        (Method::GET, format!("/v1/files/{output}/content")),
        (Method::DELETE, format!("/v1/files/{input}")),
        (Method::GET, format!("/v1/messages/batches/{id}")),
    ] {
        let other = call(&gateway, BOB, method, &path, None).await;
        assert_eq!((other.status, other.error_code()), (404, "not_found"), "{path}");
    }
    assert_eq!(call(&gateway, BOB, Method::GET, "/v1/batches", None).await.json()["data"], json!([]));
    assert_eq!(call(&gateway, BOB, Method::GET, "/v1/files", None).await.json()["data"], json!([]));
    let nobody = call(&gateway, "sk-nobody", Method::GET, "/v1/batches", None).await;
    assert_eq!((nobody.status, nobody.error_code()), (401, "invalid_virtual_key"));
    let files = get(&gateway, "/v1/files").await.json();
    assert_eq!(files["data"].as_array().unwrap().len(), 3, "{files}");
    let deleted = call(&gateway, ANN, Method::DELETE, &format!("/v1/files/{output}"), None).await;
    assert_eq!(deleted.json()["deleted"], true);
    assert_eq!(get(&gateway, &format!("/v1/files/{output}/content")).await.status, 404);
    let told = |name: &str| output_of[name]["response"]["body"]["usage"]["total_tokens"].as_u64().unwrap();
    assert_eq!(done["usage"]["total_tokens"], json!(told("a") + told("b")), "{done}");
    let metrics = get(&gateway, "/metrics").await;
    assert!(
        metrics.text().contains("trunkline_batch_lines_ended_total{end=\"succeeded\"} 2"),
        "{}",
        metrics.text()
    );
    let shown = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["batches", "--database"])
        .arg(gateway.database())
        .arg("--json")
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&shown["id"], &shown["succeeded"], &shown["open"]), (&json!(id), &json!(2), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_messages_has_a_result_for_every_request() {
    let gemini = simulator(DialectName::Gemini).await;
    let gateway = Gateway::start(&format!(
        "{KEYS}providers:\n{}",
        provider("ge", DialectName::Gemini, &gemini.base_url())
    ))
    .await;
    let params = |text: &str| json!({"model": "ge/gemini-2.5-flash", "max_tokens": 50, "messages": [{"role": "user", "content": text}]});
    let requests = json!({"requests": [
        {"custom_id": "a", "params": params("Hello")},
        {"custom_id": "b", "params": {"model": "ge/gemini-2.5-flash"}},
        {"custom_id": "c", "params": {"max_tokens": 1}},
    ]});
    let made = call(&gateway, ANN, Method::POST, "/v1/messages/batches", Some(requests)).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["type"], &made["processing_status"]), (&json!("message_batch"), &json!("in_progress")));
    let path = format!("/v1/messages/batches/{}", made["id"].as_str().unwrap());
    let ended = eventually("the end of a batch", async || {
        let batch = get(&gateway, &path).await.json();
        (batch["processing_status"] == "ended").then_some(batch)
    })
    .await;
    let counts = json!({"processing": 0, "succeeded": 1, "errored": 2, "canceled": 0, "expired": 0});
    assert_eq!(ended["request_counts"], counts, "{ended}");
    assert_eq!(ended["results_url"], json!(format!("http://gateway{path}/results")));
    let results = get(&gateway, &format!("{path}/results")).await;
    let lines: Vec<Value> = results.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["result"]["message"]["role"], "assistant");
    for line in &lines[1..] {
        assert_eq!(line["result"]["type"], "errored", "{line}");
        assert_eq!(line["result"]["error"]["error"]["type"], "invalid_request_error", "{line}");
    }
    assert_eq!(call(&gateway, BOB, Method::GET, &format!("{path}/results"), None).await.status, 404);
    let deleted = call(&gateway, ANN, Method::DELETE, &path, None).await;
    assert_eq!(deleted.json()["type"], "message_batch_deleted");
    assert_eq!(get(&gateway, &path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_goes_on_and_sends_no_finished_line_again() {
    const LINES: usize = 60;
    let simulator = patient(|script| script.headers = Delay::constant(Duration::from_millis(40))).await;
    let mut gateway =
        Gateway::start(&configured(&simulator, "batches: { upstream: never, concurrency: 4 }\n")).await;
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", LINES), "24h").await;
    let mut finished = Vec::new();
    // Twice, so that the second life goes on with what the first one left.
    for least in [10, 30] {
        eventually("some answers", async || {
            let done = batch(&gateway, &id).await["request_counts"]["completed"].as_u64()?;
            (done >= least).then_some(())
        })
        .await;
        gateway.signal("KILL");
        gateway.ended().await;
        let store = Batches::look(&gateway.database()).unwrap().unwrap();
        let results = store.results(&id, Results::All, 0).unwrap().data;
        let before = sent(&simulator);
        for line in String::from_utf8_lossy(&results).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let name = line["custom_id"].as_str().unwrap().to_owned();
            finished.push((name.clone(), before[&name]));
        }
        assert!(finished.len() >= 10 && finished.len() < LINES * 2, "{}", finished.len());
        drop(store);
        gateway = gateway.again().await;
    }
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"], json!({"total": LINES, "completed": LINES, "failed": 0}), "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    assert_eq!(output.len(), LINES);
    for (name, line) in &output {
        let answer = line["response"]["body"]["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(answer.contains(&format!("number {name}.")), "{name}: {answer}");
    }
    let times = sent(&simulator);
    for (name, before) in finished {
        assert_eq!(times[&name], before, "line {name} had its result and was sent again");
    }
    let again: Vec<&String> = times.iter().filter(|(_, times)| **times > 1).map(|(name, _)| name).collect();
    assert!(again.len() <= 8, "more than what was under way at two kills: {again:?}");
    // What was sent twice says so in its record, and to the provider.
    for name in again {
        let record = gateway.record(output[name]["response"]["request_id"].as_str().unwrap()).await;
        assert!(record.tags.iter().any(|(tag, _)| &**tag == "batch_interrupted"), "{record:?}");
        let marks: Vec<String> = simulator
            .requests()
            .iter()
            .filter(|request| String::from_utf8_lossy(&request.body).contains(&format!("number {name}.")))
            .map(|request| request.header("idempotency-key").unwrap().to_owned())
            .collect();
        assert!(marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_lines_under_way_and_leaves_the_rest_for_later() {
    const LINES: usize = 40;
    let simulator = patient(|script| script.headers = Delay::constant(Duration::from_millis(100))).await;
    let mut gateway =
        Gateway::start(&configured(&simulator, "batches: { upstream: never, concurrency: 4 }\n")).await;
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", LINES), "24h").await;
    simulator.wait_until(|counters| counters.requests >= 6).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success(), "{}", gateway.log());
    let gateway = gateway.again().await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"]["completed"], LINES, "{done}");
    let times = sent(&simulator);
    assert_eq!((times.len(), times.values().max()), (LINES, Some(&1)), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_waited_for_and_live_requests_keep_their_room() {
    let simulator = patient(|_| ()).await;
    let settings = "batches: { upstream: never, headroom: 50% }\ndeployments:\n  small: { model: oa/gpt-4.1-mini, requests_per_minute: 20 }\n";
    let gateway = Gateway::start(&configured(&simulator, settings)).await;
    let id = begin(&gateway, &numbered("small", 30), "24h").await;
    // The queue stops of itself, with lines waiting and none under way.
    eventually("a pause", async || {
        let metrics = get(&gateway, "/metrics").await;
        let value = |name: &str| {
            let text = metrics.text().lines().find(|line| line.starts_with(name))?;
            text.rsplit(' ').next()?.parse::<u64>().ok()
        };
        let running = value("trunkline_batch_lines{state=\"running\"}")?;
        let waiting = value("trunkline_batch_lines{state=\"waiting\"}")?;
        let ended = value("trunkline_batch_lines_ended_total{end=\"succeeded\"}")?;
        (ended > 0 && waiting > 0 && running == 0).then_some(())
    })
    .await;
    let used = simulator.counters().requests;
    assert!(used < 20, "{used} of 20 requests a minute are used by the batch");
    let live = said("small", "Hello").to_string();
    let request = gateway.builder(CHAT).header("x-trunkline-timeout-ms", "5000");
    let mut request = request.body(Full::new(Bytes::from(live))).unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {ANN}").parse().unwrap());
    let live = gateway.send(request).await;
    assert_eq!(live.status, 200, "there is room for live requests: {}", live.text());
    let cancelled = call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(over(&gateway, &id).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_when_to_come_back_is_asked_then() {
    let simulator = patient(|_| ()).await;
    simulator.fail_next(3, Fault::RateLimitedRetryAfter(1));
    let gateway = Gateway::start(&configured(&simulator, "batches: { upstream: never }\n")).await;
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", 6), "24h").await;
    let done = over(&gateway, &id).await;
    assert_eq!(done["request_counts"], json!({"total": 6, "completed": 6, "failed": 0}), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_runs_out_and_batches_are_cancelled_with_what_they_have() {
    let simulator = patient(|script| script.headers = Delay::constant(Duration::from_millis(200))).await;
    let gateway =
        Gateway::start(&configured(&simulator, "batches: { upstream: never, concurrency: 1 }\n")).await;
    let late = begin(&gateway, &numbered("oa/gpt-4.1-mini", 100), "2s").await;
    let done = over(&gateway, &late).await;
    assert_eq!(done["status"], "expired", "{done}");
    assert!(done["expired_at"].is_u64(), "{done}");
    let (output, errors) =
        (results(&gateway, &done["output_file_id"]).await, results(&gateway, &done["error_file_id"]).await);
    assert!(!output.is_empty() && output.len() + errors.len() == 100, "{done}");
    assert!(errors.values().all(|line| line["error"]["code"] == "batch_expired"));
    let id = begin(&gateway, &numbered("oa/gpt-4.1-mini", 100), "24h").await;
    eventually("an answer", async || {
        (batch(&gateway, &id).await["request_counts"]["completed"].as_u64()? > 0).then_some(())
    })
    .await;
    let cancelling = call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
    assert_eq!(cancelling.json()["status"], "cancelling");
    let done = over(&gateway, &id).await;
    assert_eq!(done["status"], "cancelled", "{done}");
    assert!(done["cancelled_at"].is_u64() && done["cancelling_at"].is_u64(), "{done}");
    let output = results(&gateway, &done["output_file_id"]).await;
    assert_eq!(done["request_counts"]["completed"], output.len(), "{done}");
    let again = call(&gateway, ANN, Method::POST, &format!("/v1/batches/{id}/cancel"), None).await;
    assert_eq!(again.status, 409, "{}", again.text());
    let page = get(&gateway, "/v1/batches?limit=1").await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(id), &json!(true)));
    let page = get(&gateway, &format!("/v1/batches?limit=1&after={id}")).await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(late), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_in_the_client_s_own_form() {
    let simulator = simulator(DialectName::OpenAi).await;
    let settings = "server: { body_limit: 2kB }\nbatches: { max_file: 10kB, max_size: 20kB }\n";
    let gateway = Gateway::start(&configured(&simulator, settings)).await;
    let mut told = Vec::new();
    let mut tell = |what: &str, answer: Answer| told.push(format!("{what}: {}", answer.shown()));
    tell("too large", upload(&gateway, &"x".repeat(10_001), "batch").await);
    tell("purpose", upload(&gateway, "x", "fun").await);
    tell("empty", upload(&gateway, "", "batch").await);
    let json =
        send(&gateway, ANN, Method::POST, "/v1/files", "application/json", Bytes::from_static(b"{}")).await;
    tell("no form", json);
    let form = "multipart/form-data; boundary=x";
    let cut = Bytes::from_static(
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf",
    );
    tell("cut", send(&gateway, ANN, Method::POST, "/v1/files", form, cut).await);
    for _ in 0..2 {
        assert_eq!(upload(&gateway, &"x".repeat(9_000), "user_data").await.status, 200);
    }
    tell("full", upload(&gateway, &"x".repeat(9_000), "batch").await);
    let files = get(&gateway, "/v1/files").await.json();
    let kept = files["data"].as_array().unwrap();
    assert_eq!(kept.len(), 2, "what was refused is not there: {files}");
    let create = async |body: &str| {
        let body = Bytes::copy_from_slice(body.as_bytes());
        send(&gateway, ANN, Method::POST, "/v1/batches", "application/json", body).await
    };
    tell("not JSON", create("{").await);
    tell("no endpoint", create("{}").await);
    tell("endpoint", create(r#"{"endpoint": "/v1/messages"}"#).await);
    tell("window", create(r#"{"endpoint": "/v1/responses", "completion_window": "soon"}"#).await);
    let order =
        |id: &str| json!({"endpoint": CHAT, "completion_window": "24h", "input_file_id": id}).to_string();
    tell("no file", create(&order("file-none")).await);
    let other = kept[0]["id"].as_str().unwrap();
    let purpose = create(&order(other)).await;
    assert_eq!(purpose.status, 400, "{}", purpose.text());
    tell("page", get(&gateway, "/v1/batches?limit=0").await);
    tell("method", call(&gateway, ANN, Method::DELETE, "/v1/batches/batch_1", None).await);
    let path = "/v1/messages/batches";
    let create = async |body: Value| call(&gateway, ANN, Method::POST, path, Some(body)).await;
    tell("messages: none", create(json!({"requests": []})).await);
    let one = json!({"custom_id": "a", "params": {"model": "m"}});
    tell("messages: twice", create(json!({"requests": [one, one]})).await);
    tell(
        "messages: too large",
        create(json!({"requests": [{"custom_id": "a", "params": {"x": "y".repeat(3_000)}}]})).await,
    );
    tell("messages: unknown", get(&gateway, "/v1/messages/batches/msgbatch_1/results").await);
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(simulator.counters().requests, 0);
}
