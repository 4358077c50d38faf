//! The vendors' dialects as clouds serve them: Azure's paths, Vertex's paths, their token services.

use serde_json::{Value, json};
use trunkline_sim::{DialectName, SimConfig, Simulator};

use super::client::{Answer, post, send, start};

const BEARER: &[(&str, &str)] = &[("authorization", "Bearer sim-access-token")];
const PLACE: &str = "/v1/projects/p/locations/us-east5/publishers";

async fn azure(simulator: &Simulator, path: &str, body: &Value) -> Answer {
    send(simulator, post(path, body, &[("api-key", "sim-key")])).await.unwrap()
}

#[tokio::test]
async fn azure_filters_contents_and_says_so() {
    let simulator = start(DialectName::OpenAi).await;
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let dated = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    let answer = azure(&simulator, dated, &body).await.json();
    assert_eq!(answer["model"], "gpt-4o");
    assert_eq!(answer["choices"][0]["content_filter_results"]["hate"]["severity"], "safe");
    let streamed =
        json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let events = azure(&simulator, "/openai/v1/chat/completions", &streamed).await.events();
    assert_eq!(events[0]["choices"], json!([]));
    assert_eq!(events[0]["prompt_filter_results"][0]["prompt_index"], 0);
    assert_eq!(events[1]["choices"][0]["delta"]["role"], "assistant");
}

#[tokio::test]
async fn azure_refuses_in_its_own_words() {
    let simulator = start(DialectName::OpenAi).await;
    let body = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
    let dated = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    let mut told = Vec::new();
    for (path, body) in [
        ("/openai/deployments/gpt-4o/chat/completions", body("Hi")),
        ("/openai/deployments/no-such-thing/chat/completions?api-version=2024-10-21", body("Hi")),
        (dated, body("[[sim: fault=rate-limited-retry-after=7]]")),
        (dated, body("[[sim: fault=content-filtered]]")),
        (dated, body("[[sim: fault=unauthorized]]")),
        (dated, body("[[sim: fault=context-too-long]]")),
    ] {
        let answer = azure(&simulator, path, &body).await;
        told.push(format!("{} {}", answer.status, answer.text()));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn vertex_serves_both_families_under_its_paths() {
    let config = SimConfig {
        dialects: vec![DialectName::Gemini, DialectName::Anthropic],
        ..SimConfig::new(DialectName::Gemini)
    };
    let simulator = Simulator::start(config.with_keys(&["sim-access-token"])).await.unwrap();
    let ask = |path: String, body: Value| {
        let simulator = &simulator;
        async move { send(simulator, post(&path, &body, BEARER)).await.unwrap() }
    };
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
    let gemini =
        ask(format!("{PLACE}/google/models/gemini-2.5-flash:generateContent"), contents).await.json();
    assert_eq!(gemini["candidates"][0]["finishReason"], "STOP");
    let messages = |more: Value| {
        let mut body = json!({"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]});
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    let raw = format!("{PLACE}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict");
    let version = json!({"anthropic_version": "vertex-2023-10-16"});
    let claude = ask(raw.clone(), messages(version)).await.json();
    assert_eq!(
        (&claude["type"], &claude["model"]),
        (&json!("message"), &json!("claude-sonnet-4-5@20250929"))
    );
    let mut told = Vec::new();
    for more in [
        json!({}),
        json!({"anthropic_version": "2023-06-01"}),
        json!({"anthropic_version": "vertex-2023-10-16", "model": "claude-sonnet-4-5"}),
        json!({"anthropic_version": "vertex-2023-10-16", "stream": true}),
    ] {
        let answer = ask(raw.clone(), messages(more)).await;
        told.push(format!("{} {}", answer.status, answer.json()["error"]["message"]));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    400 "anthropic_version: Field required"
    400 "anthropic_version: \"2023-06-01\" is not supported"
    400 "model: Extra inputs are not permitted"
    400 "stream: must fit the method of the path"
    "#);
    let count = json!({"anthropic_version": "vertex-2023-10-16", "model": "claude-sonnet-4-5",
        "messages": [{"role": "user", "content": "Hi"}]});
    let counted = ask(format!("{PLACE}/anthropic/models/count-tokens:rawPredict"), count).await.json();
    assert!(counted["input_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn tokens_are_given_for_proofs_alone() {
    let simulator = start(DialectName::Tokens).await;
    let ask = |body: &'static str| {
        let simulator = &simulator;
        let request = super::client::request(
            http::Method::POST,
            "/token",
            bytes::Bytes::from_static(body.as_bytes()),
            &[],
        );
        async move { send(simulator, request).await.unwrap() }
    };
    let fine = ask("grant_type=client_credentials&client_id=a&client_secret=b&scope=c").await;
    assert_eq!(fine.json()["access_token"], "sim-access-token");
    assert_eq!(ask("grant_type=client_credentials&client_id=a").await.json()["error"], "invalid_grant");
    let forged = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c";
    assert_eq!(ask(forged).await.json()["error"], "invalid_grant");
    assert_eq!(ask("grant_type=password").await.status, 400);
}

#[tokio::test]
async fn vertex_makes_vectors_in_its_own_forms() {
    let simulator = start(DialectName::Gemini).await;
    let ask = |model: &str, method: &str, body: Value| {
        let path = format!("{PLACE}/google/models/{model}:{method}");
        let simulator = &simulator;
        async move { send(simulator, post(&path, &body, BEARER)).await.unwrap() }
    };
    let instances = json!({"instances": [{"content": "one two", "task_type": "CLUSTERING"}, {"content": "three"}],
        "parameters": {"outputDimensionality": 4}});
    let answer = ask("text-embedding-005", "predict", instances).await.json();
    assert_eq!(answer["metadata"]["billableCharacterCount"], 11);
    let first = &answer["predictions"][0]["embeddings"];
    assert_eq!(first["values"].as_array().map(Vec::len), Some(4));
    assert!(first["statistics"]["token_count"].is_f64(), "{first}");
    let content = json!({"parts": [{"text": "one two"}]});
    let settings = json!({"outputDimensionality": 4, "taskType": "CLUSTERING"});
    let batch =
        json!({"requests": [{"content": content, "embedContentConfig": settings}, {"content": content}]});
    let answer = ask("gemini-embedding-001", "batchEmbedContents", batch).await.json();
    let lengths: Vec<_> = answer["embeddings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["values"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [4, 3072]);
    assert!(answer["usageMetadata"]["promptTokenCount"].as_u64() > Some(0), "{answer}");
    let named = json!({"requests": [{"model": "models/gemini-embedding-001", "content": content}]});
    let mut told = Vec::new();
    for (model, method, body) in [
        ("gemini-embedding-001", "batchEmbedContents", named.clone()),
        ("text-embedding-005", "batchEmbedContents", named),
        ("gemini-embedding-001", "predict", json!({"instances": [{"content": "a"}]})),
        ("text-embedding-005", "predict", json!({"instances": []})),
        ("text-embedding-005", "predict", json!({"instances": [{"text": "a"}]})),
        ("text-embedding-005", "predict", json!({"instances": [{"content": "a"}], "requests": []})),
    ] {
        let answer = ask(model, method, body).await;
        told.push(format!("{model}:{method} {} {}", answer.status, answer.json()["error"]["message"]));
    }
    insta::assert_snapshot!(told.join("\n"));
}
