//! Feedback on the real binary: kept when it says so, shown, counted, and nobody's but the key's own.

use crate::support::{Answer, Face, Gateway, KEY, model, provider, raw, simulator};
use http_body_util::Full;
use serde_json::{Value, json};
use std::process::Command;
use trunkline_sim::{DialectName, Simulator};

const OTHER: &str = "sk-other-0123456789abcdef";

async fn scene() -> (Simulator, Gateway) {
    let simulator = simulator(DialectName::OpenAi).await;
    let providers = provider("only", DialectName::OpenAi, &simulator.base_url());
    let gateway = Gateway::start(&format!(
        "keys:\n  app: {{ key: {KEY} }}\n  other: {{ key: {OTHER} }}\nproviders:\n{providers}routes:\n  \
         main: {{ tiers: {{ one: {{ deployments: [only/{}] }} }} }}\n",
        model(DialectName::OpenAi)
    ))
    .await;
    (simulator, gateway)
}

async fn asked(gateway: &Gateway) -> String {
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Hello", false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-trunkline-decision").to_owned()
}

async fn give(gateway: &Gateway, body: Value) -> Answer {
    gateway.post("/v1/feedback", body.to_string()).await
}

fn trunkline(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(arguments)
        .arg("--database")
        .arg(gateway.database())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_kept_shown_counted_and_survives_a_killed_process() {
    let (_simulator, mut gateway) = scene().await;
    let id = asked(&gateway).await;
    let first = give(&gateway, json!({"decision": id, "label": "bad", "comment": "the wrong city"})).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!((&first.json()["id"], &first.json()["key"]), (&json!(id), &json!("app")));
    let second = give(&gateway, json!({"request_id": id, "score": 0.75, "label": "billing"})).await;
    assert_eq!(second.status, 200, "{}", second.text());
    gateway.signal("KILL");
    gateway.ended().await;
    let gateway = gateway.again().await;
    let told = gateway.get(&format!("/v1/decisions/{id}")).await.json()["feedback"].clone();
    assert_eq!(told, second.json());
    assert_eq!(
        (&told["score"], &told["label"], &told["comment"]),
        (&json!(0.75), &json!("billing"), &Value::Null)
    );
    let (_, shown) = trunkline(&gateway, &["log", "--id", &id]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["feedback"], &shown["outcome"]), (&told, &json!("served")));
    let (_, table) = trunkline(&gateway, &["log"]);
    assert!(table.contains("feedback") && table.contains("0.75 billing"), "{table}");
    give(&gateway, json!({"decision": id, "label": "legal"})).await;
    let metrics = gateway.get("/metrics").await.text().to_owned();
    let line = "trunkline_feedback_total{route=\"main\",result=\"class\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_and_nothing_is_kept_of_them() {
    let (_simulator, gateway) = scene().await;
    let id = asked(&gateway).await;
    let unknown = "01m7y3sqa53de31pj0tbt9nq1m";
    let mut told = String::new();
    for (what, body) in [
        ("unknown", json!({"decision": unknown, "score": 1})),
        ("no id", json!({"score": 1})),
        ("nothing said", json!({"decision": id})),
        ("range", json!({"decision": id, "score": 7})),
        ("type", json!({"decision": id, "score": "high"})),
        ("typo", json!({"decision": id, "scores": 1})),
        ("not an object", json!(["good"])),
    ] {
        let answer = give(&gateway, body).await;
        told += &format!("{what}: {}\n", answer.shown());
    }
    let broken = gateway.post("/v1/feedback", "{\"decision\": ").await;
    told += &format!("not JSON: {}\n", broken.shown());
    let long = give(&gateway, json!({"decision": id, "score": 1, "comment": "x".repeat(40_000)})).await;
    told += &format!("too long: {}\n", long.shown());
    let wrong_method = gateway.get("/v1/feedback").await;
    told += &format!("method: {}\n", wrong_method.shown());
    insta::assert_snapshot!(told);
    let nobody = "POST /v1/feedback HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let refused = raw(gateway.address(), nobody.as_bytes(), false).await;
    assert!(refused.contains(" 401 ") && refused.contains("missing_virtual_key"), "{refused}");
    assert!(gateway.get(&format!("/v1/decisions/{id}")).await.json().get("feedback").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_speaks_of_its_own_requests_only() {
    let (_simulator, gateway) = scene().await;
    let id = asked(&gateway).await;
    let request = http::Request::post("/v1/feedback")
        .header("host", "x")
        .header("authorization", format!("Bearer {OTHER}"))
        .header("content-type", "application/json")
        .body(Full::new(json!({"decision": id, "score": 0}).to_string().into()))
        .unwrap();
    let answer = gateway.send(request).await;
    assert_eq!((answer.status, answer.error_code()), (404, "not_found"), "{}", answer.text());
    assert!(gateway.get(&format!("/v1/decisions/{id}")).await.json().get("feedback").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_answered_with_503() {
    let (_simulator, gateway) = scene().await;
    let id = asked(&gateway).await;
    gateway.record(&id).await;
    let file = trunkline_store::learning_file(&gateway.database());
    let script = format!(
        "import sqlite3, sys\nheld = sqlite3.connect({:?}, isolation_level=None)\nheld.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\nsys.stdin.read()\n",
        file.to_str().unwrap()
    );
    let mut holder = Command::new("python3")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "held\n");
    let refused = give(&gateway, json!({"decision": id, "score": 1})).await;
    assert_eq!((refused.status, refused.error_code()), (503, "overloaded"), "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "5");
    asked(&gateway).await;
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let kept = give(&gateway, json!({"decision": id, "score": 1})).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
}

/// The bodies of the documentation, and its file.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_feedback_shows_what_is_so() {
    let page = include_str!("../../../../docs/feedback.md");
    let (_simulator, gateway) = scene().await;
    let id = asked(&gateway).await;
    let named = "01m7y3sqa53de31pj0tbt9nq1m";
    let blocks: Vec<(&str, String)> = page
        .split("\n```json ")
        .skip(1)
        .map(|block| {
            let (info, rest) = block.split_once('\n').unwrap();
            (info, rest.split("\n```").next().unwrap().replace(named, &id))
        })
        .collect();
    assert_eq!(blocks.len(), 4);
    for (info, body) in &blocks {
        let answer = gateway.post("/v1/feedback", body.clone()).await;
        assert_eq!(answer.status, 200, "{info}: {}", answer.text());
    }
    let said = gateway.configuration().with_file_name("said.jsonl");
    std::fs::write(&said, &blocks[3].1).unwrap();
    let (imported, output) = trunkline(&gateway, &["feedback", "import", said.to_str().unwrap()]);
    assert!(imported && output.contains("feedback on 1 requests is kept beside"), "{output}");
    let told = gateway.get(&format!("/v1/decisions/{id}")).await.json()["feedback"].clone();
    assert_eq!((&told["label"], told.get("key")), (&json!("good"), None));
    std::fs::write(&said, format!("{}\n{{\"decision\": 5}}\nhello\n", blocks[3].1)).unwrap();
    let (imported, output) = trunkline(&gateway, &["feedback", "import", said.to_str().unwrap()]);
    assert!(
        !imported && output.contains("line 2, field `decision`") && output.contains("line 3: not JSON"),
        "{output}"
    );
    std::fs::write(&said, format!("{{\"decision\": \"{named}\", \"score\": 1}}")).unwrap();
    let (imported, output) = trunkline(&gateway, &["feedback", "import", said.to_str().unwrap()]);
    assert!(!imported && output.contains("1 requests are not in the log"), "{output}");
}
