//! Responses in the background that do not come to their own end: cancelled, deleted, stopped. Who follows their events is told, and
//! what is deleted is gone.

use crate::support::{Answer, Gateway, PATIENCE, eventually, exchange, model, provider, simulator};
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use trunkline_sim::{Delay, DialectName, Simulator};

/// A provider whose answers pass, and one whose answers are translated.
const DIALECTS: [DialectName; 2] = [DialectName::OpenAi, DialectName::Anthropic];

async fn served(dialect: DialectName) -> (Simulator, Gateway) {
    let simulator = simulator(dialect).await;
    let providers = provider("only", dialect, &simulator.base_url());
    let gateway = Gateway::start(&format!("server: {{ drain: 1s }}\nproviders:\n{providers}")).await;
    (simulator, gateway)
}

async fn ask(gateway: &Gateway, method: Method, path: &str) -> Answer {
    let mut request = gateway.builder(path).body(Full::default()).unwrap();
    *request.method_mut() = method;
    gateway.send(request).await
}

/// Creates a streamed response, and reads its events until its text has begun; also returns its path.
async fn begun(gateway: &Gateway, dialect: DialectName, words: u32) -> (Response<Incoming>, String) {
    let text = format!("[[sim: words={words}]]");
    let body = json!({"model": format!("only/{}", model(dialect)), "input": text, "background": true, "stream": true});
    let request = gateway.builder("/v1/responses").body(Full::new(body.to_string().into())).unwrap();
    let mut response = exchange(gateway.address(), request).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("output_text.delta") {
        let frame = timeout(PATIENCE, response.frame()).await.unwrap().unwrap().unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let id = seen.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
    (response, format!("/v1/responses/{id}"))
}

/// The rest of a stream must end with an event that says how the response ended, numbered behind the one before it.
async fn ends_as(response: Response<Incoming>, status: &str) {
    let rest = timeout(PATIENCE, Answer::read(response)).await.unwrap();
    let events: Vec<Value> =
        rest.events().iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    let end = events.iter().rfind(|event| event["type"] != "error").expect("events");
    assert!(rest.whole, "{}", rest.text());
    assert_eq!(
        (&end["type"], &end["response"]["status"]),
        (&json!("response.failed"), &json!(status)),
        "{}",
        rest.text()
    );
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_is_told_that_it_was_cancelled() {
    for dialect in DIALECTS {
        let (simulator, gateway) = served(dialect).await;
        simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(50)));
        let (response, path) = begun(&gateway, dialect, 5_000).await;
        let other = gateway.builder(&format!("{path}?stream=true&starting_after=1"));
        let other = other.method(Method::GET).body(Full::default()).unwrap();
        let other = exchange(gateway.address(), other).await.unwrap();
        let cancelled = ask(&gateway, Method::POST, &format!("{path}/cancel")).await;
        assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text());
        ends_as(response, "cancelled").await;
        ends_as(other, "cancelled").await;
        assert_eq!(gateway.get(&path).await.json()["status"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_it_runs_does_not_come_back() {
    for dialect in DIALECTS {
        let (simulator, mut gateway) = served(dialect).await;
        simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(50)));
        let (response, path) = begun(&gateway, dialect, 5_000).await;
        assert_eq!(ask(&gateway, Method::DELETE, &path).await.json()["deleted"], true);
        ends_as(response, "cancelled").await;
        eventually("the call upstream to be dropped", async || {
            (simulator.counters().disconnects > 0).then_some(())
        })
        .await;
        assert_eq!(gateway.get(&path).await.status, 404);
        gateway.signal("TERM");
        gateway.ended().await;
        let gateway = gateway.again().await;
        assert_eq!(gateway.get(&path).await.status, 404, "nor after a restart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_when_it_is_done_cannot_be_followed_any_more() {
    for dialect in DIALECTS {
        let (_simulator, gateway) = served(dialect).await;
        let (response, path) = begun(&gateway, dialect, 5).await;
        let rest = timeout(PATIENCE, Answer::read(response)).await.unwrap();
        assert!(rest.text().contains("response.completed"), "{}", rest.text());
        assert_eq!(ask(&gateway, Method::DELETE, &path).await.status, 200);
        let followed = gateway.get(&format!("{path}?stream=true")).await;
        assert_eq!(followed.status, 404, "{}", followed.text());
        assert_eq!(ask(&gateway, Method::POST, &format!("{path}/cancel")).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_is_told_of_the_stop() {
    for dialect in DIALECTS {
        let (simulator, mut gateway) = served(dialect).await;
        simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(50)));
        let (response, path) = begun(&gateway, dialect, 5_000).await;
        gateway.signal("TERM");
        let rest = timeout(PATIENCE, Answer::read(response)).await.unwrap();
        assert!(rest.whole && rest.text().contains("the gateway was stopped"), "{}", rest.text());
        gateway.ended().await;
        let gateway = gateway.again().await;
        let kept = gateway.get(&path).await.json();
        assert_eq!(
            (&kept["status"], &kept["error"]["code"]),
            (&json!("failed"), &json!("server_error")),
            "{kept}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_takes_no_place_from_what_comes() {
    let (_simulator, gateway) = served(DialectName::OpenAi).await;
    let gateway = Arc::new(gateway);
    let body = json!({"model": format!("only/{}", model(DialectName::OpenAi)), "input": "Hello", "background": true, "stream": true});
    // One more than there may be at the same time, each looked at to its end.
    let left = Arc::new(AtomicUsize::new(2_049));
    let asking = (0..8).map(|_| {
        let (gateway, left, body) = (Arc::clone(&gateway), Arc::clone(&left), body.to_string());
        tokio::spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let answer = gateway.post("/v1/responses", body.clone()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(answer.text().contains("response.completed"), "{}", answer.text());
            }
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
}
