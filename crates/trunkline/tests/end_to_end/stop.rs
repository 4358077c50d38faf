//! The end of a drain: whoever still waits is told, however the answer was to come.

use crate::support::{
    Answer, Face, Gateway, KEY, PATIENCE, eventually, exchange, model, provider, simulator,
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkline_model::record::Outcome;
use trunkline_sim::{Delay, DialectName, Fault, Simulator};

const TOLD: &str = "the gateway was stopped before the answer was complete; send the request again";

fn silent(sim: &Simulator) {
    sim.script(|script| script.first_token = Delay::constant(Duration::from_secs(120)));
}

fn slow(sim: &Simulator) {
    sim.script(|script| script.token_gap = Delay::constant(Duration::from_millis(100)));
}

async fn gateway(drain: &str, providers: &str, rest: &str) -> Gateway {
    let keys = format!("keys: {{ app: {{ key: {KEY}, passthrough: [\"*\"] }} }}\n");
    Gateway::start(&format!("server: {{ drain: {drain} }}\n{keys}providers:\n{providers}{rest}")).await
}

fn request(gateway: &Gateway, path: &str, body: &Value) -> Request<Full<Bytes>> {
    gateway.builder(path).body(Full::new(body.to_string().into())).unwrap()
}

/// Sends the signal and waits for the end, which must say that something was cut.
async fn stop(gateway: &mut Gateway) {
    gateway.signal("TERM");
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(3), "{}", gateway.log());
}

async fn received(sim: &Simulator, number: usize) {
    eventually("the requests at the provider", async || (sim.requests().len() >= number).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_request_without_an_answer_is_refused_in_its_protocol() {
    let (openai, anthropic) = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    silent(&openai);
    silent(&anthropic);
    let providers = provider("oa", DialectName::OpenAi, &openai.base_url())
        + &provider("an", DialectName::Anthropic, &anthropic.base_url());
    let mut gateway = gateway("1s", &providers, "").await;
    let waiting: Vec<_> = [
        (Face::OpenAi, "/passthrough/oa/chat/completions", DialectName::OpenAi),
        (Face::Anthropic, "/passthrough/an/messages", DialectName::Anthropic),
    ]
    .into_iter()
    .map(|(face, path, dialect)| {
        let (address, request) =
            (gateway.address(), request(&gateway, path, &face.value(model(dialect), "Hello", false)));
        (face, tokio::spawn(async move { Answer::read(exchange(address, request).await.unwrap()).await }))
    })
    .collect();
    received(&openai, 1).await;
    received(&anthropic, 1).await;
    stop(&mut gateway).await;
    for (face, waiting) in waiting {
        let answer = waiting.await.unwrap();
        let status = if face == Face::OpenAi { 503 } else { 529 };
        assert_eq!((answer.status, answer.error_code()), (status, "overloaded"), "{}", answer.text());
        assert_eq!(answer.json()["error"]["message"], TOLD);
        let record = gateway.record(answer.id()).await;
        assert_eq!((record.status, record.attempts.len()), (status, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_answer_under_way_is_cut_off_and_not_ended() {
    let sim = simulator(DialectName::OpenAi).await;
    slow(&sim);
    let mut gateway = gateway("1s", &provider("oa", DialectName::OpenAi, &sim.base_url()), "").await;
    let body = Face::OpenAi.value(model(DialectName::OpenAi), "[[sim: words=5000]]", true);
    let request = request(&gateway, "/passthrough/oa/chat/completions", &body);
    let mut stream = exchange(gateway.address(), request).await.unwrap();
    stream.frame().await.unwrap().unwrap();
    stop(&mut gateway).await;
    let answer = Answer::read(stream).await;
    assert!(!answer.whole && !Face::OpenAi.looks_finished(&answer), "{}", answer.text());
    let record = gateway.record(answer.id()).await;
    assert_eq!((record.outcome, record.error_message.as_deref()), (Outcome::BrokenOff, Some(TOLD)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_another_deployment_takes_over_is_told() {
    for face in Face::BOTH {
        let (first, second) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
        first.fail_with(Fault::CutAfterFirstToken);
        silent(&second);
        let providers = provider("first", DialectName::OpenAi, &first.base_url())
            + &provider("second", DialectName::OpenAi, &second.base_url());
        let name = model(DialectName::OpenAi);
        let routes = format!(
            "routes:\n  main:\n    tiers: {{ one: {{ deployments: [first/{name}] }}, two: {{ deployments: [second/{name}] }} }}\n    \
             fallback: {{ error: [two] }}\n    continuation: true\n"
        );
        let mut gateway = gateway("1s", &providers, &routes).await;
        let request = request(&gateway, face.path(), &face.value("main", "[[sim: words=200]]", true));
        let stream = exchange(gateway.address(), request).await.unwrap();
        let reading = tokio::spawn(Answer::read(stream));
        received(&second, 1).await;
        stop(&mut gateway).await;
        let answer = reading.await.unwrap();
        assert!(answer.whole && !face.looks_finished(&answer), "{face:?}: {}", answer.text());
        let error = face.error_event(&answer).unwrap_or_else(|| panic!("{face:?}: {}", answer.text()));
        assert_eq!(error["message"], TOLD, "{face:?}");
        let record = gateway.record(answer.id()).await;
        let attempts: Vec<_> =
            record.attempts.iter().map(|attempt| attempt.failure.unwrap().name()).collect();
        assert_eq!(attempts, ["cut", "total_timeout"], "{face:?}");
    }
}

async fn create(
    gateway: &Gateway,
    name: &str,
    words: u32,
    stream: bool,
) -> http::Response<hyper::body::Incoming> {
    let input = format!("[[sim: words={words}]]");
    let body = json!({"model": name, "input": input, "background": true, "stream": stream});
    exchange(gateway.address(), request(gateway, "/v1/responses", &body)).await.unwrap()
}

async fn retrieve(gateway: &Gateway, id: &str) -> Value {
    let mut request = gateway.builder(&format!("/v1/responses/{id}")).body(Full::default()).unwrap();
    *request.method_mut() = Method::GET;
    gateway.send(request).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_in_the_background_is_waited_for() {
    let sim = simulator(DialectName::Anthropic).await;
    sim.script(|script| script.headers = Delay::constant(Duration::from_secs(1)));
    let mut gateway = gateway("20s", &provider("an", DialectName::Anthropic, &sim.base_url()), "").await;
    let created = Answer::read(create(&gateway, "an/claude-sonnet-4-5", 5, false).await).await.json();
    assert_eq!(created["status"], "queued", "{created}");
    received(&sim, 1).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success(), "{}", gateway.log());
    let again = gateway.again().await;
    let response = retrieve(&again, created["id"].as_str().unwrap()).await;
    assert_eq!(response["status"], "completed", "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_in_the_background_that_the_deadline_ends_says_so() {
    let (openai, anthropic) = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    slow(&openai);
    silent(&anthropic);
    let providers = provider("oa", DialectName::OpenAi, &openai.base_url())
        + &provider("an", DialectName::Anthropic, &anthropic.base_url());
    let mut gateway = gateway("1s", &providers, "").await;
    let polled = Answer::read(create(&gateway, "an/claude-sonnet-4-5", 5, false).await).await.json();
    let unanswered = create(&gateway, "an/claude-sonnet-4-5", 5, true).await;
    let mut followed = create(&gateway, "oa/gpt-4.1-mini", 5000, true).await;
    let begun = followed.frame().await.unwrap().unwrap().into_data().unwrap();
    received(&anthropic, 2).await;
    stop(&mut gateway).await;
    let again = gateway.again().await;
    let response = retrieve(&again, polled["id"].as_str().unwrap()).await;
    assert_eq!((&response["status"], &response["error"]["message"]), (&json!("failed"), &json!(TOLD)));
    for (begun, stream) in [(Bytes::new(), unanswered), (begun, followed)] {
        let answer = Answer::read(stream).await;
        let text = [&begun[..], &answer.body[..]].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(answer.whole && !text.contains("response.completed"), "{text}");
        let data: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
        let last = data.last().unwrap();
        // What a provider of the same protocol began ends with the protocol's error event.
        let told = if last["type"] == "error" { last } else { &last["response"]["error"] };
        assert_eq!(told["message"], TOLD, "{text}");
        let numbers: Vec<u64> = data.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let id = data.iter().find_map(|event| event["response"]["id"].as_str()).unwrap();
        let kept = retrieve(&again, id).await;
        assert_eq!((&kept["status"], &kept["error"]["message"]), (&json!("failed"), &json!(TOLD)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_under_way_is_refused() {
    let sim = simulator(DialectName::OpenAi).await;
    let mut gateway = gateway("1s", &provider("oa", DialectName::OpenAi, &sim.base_url()), "").await;
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\nexpect: 100-continue\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000\r\n\r\n"
    );
    let mut upload = TcpStream::connect(gateway.address()).await.unwrap();
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut wanted = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(PATIENCE, upload.read_exact(&mut wanted)).await.unwrap().unwrap();
    assert!(wanted.starts_with(b"HTTP/1.1 100 "), "the gateway waits for the body");
    stop(&mut gateway).await;
    let mut answer = Vec::new();
    timeout(PATIENCE, upload.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(TOLD), "{answer}");
}
