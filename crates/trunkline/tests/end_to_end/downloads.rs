//! Files and results in part: a download that broke off is gone on with.

use crate::batches::{ANN, KEYS, call, get, upload};
use crate::support::{Answer, Gateway, eventually, model, provider, simulator};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

async fn served() -> (Simulator, Gateway) {
    let simulator = simulator(DialectName::Anthropic).await;
    let provider = provider("only", DialectName::Anthropic, &simulator.base_url());
    (
        simulator,
        Gateway::start(&format!("{KEYS}batches: {{ upstream: never }}\nproviders:\n{provider}")).await,
    )
}

async fn part(gateway: &Gateway, path: &str, range: &str) -> Answer {
    let request = Request::get(path)
        .header("host", "gateway")
        .header("authorization", format!("Bearer {ANN}"))
        .header("range", range)
        .body(Full::default());
    gateway.send(request.unwrap()).await
}

async fn comes_in_parts(gateway: &Gateway, path: &str, whole: &[u8]) {
    let length = whole.len();
    let border = length / 2;
    for (range, start, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes={}-{}", border - 70, border + 69), border - 70, border + 70),
        (format!("bytes={border}-"), border, length),
        ("bytes=-50".to_owned(), length - 50, length),
    ] {
        let answer = part(gateway, path, &range).await;
        assert_eq!((answer.status, answer.whole), (206, true), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/{length}", end - 1));
        assert_eq!(answer.header("content-length"), (end - start).to_string());
        assert!(answer.body == whole[start..end], "{range}");
    }
    let beyond = part(gateway, path, &format!("bytes={length}-")).await;
    assert_eq!((beyond.status, beyond.error_code()), (416, "invalid_request"), "{}", beyond.text());
    let several = part(gateway, path, "bytes=0-1,3-4").await;
    assert!(several.status == 200 && several.body == whole, "several at once are not heeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_in_parts() {
    let (_simulator, gateway) = served().await;
    // More than one piece of the store, whose border is in the middle.
    let content: String = (0_u32..).map(|line| format!("{line:015}\n")).take((2 << 20) / 16).collect();
    let id = upload(&gateway, &content, "user_data").await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/files/{id}/content");
    let whole = get(&gateway, &path).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    comes_in_parts(&gateway, &path, content.as_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_in_parts() {
    let (_simulator, gateway) = served().await;
    let params = json!({"model": format!("only/{}", model(DialectName::Anthropic)), "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hello"}]});
    let requests: Vec<Value> =
        (0..5).map(|number| json!({"custom_id": number.to_string(), "params": params})).collect();
    let batch =
        call(&gateway, ANN, Method::POST, "/v1/messages/batches", Some(json!({"requests": requests}))).await;
    let path = format!("/v1/messages/batches/{}", batch.json()["id"].as_str().unwrap());
    eventually("the end of the batch", async || {
        (get(&gateway, &path).await.json()["processing_status"] == "ended").then_some(())
    })
    .await;
    let path = format!("{path}/results");
    let whole = get(&gateway, &path).await;
    assert_eq!(whole.text().lines().count(), 5);
    comes_in_parts(&gateway, &path, &whole.body).await;
}
