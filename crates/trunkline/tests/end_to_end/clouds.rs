//! Providers behind a cloud's own paths and tokens: the same dialects, addressed and authenticated differently.

use crate::support::{Face, Gateway};
use serde_json::json;
use trunkline_model::money::CostConfidence;
use trunkline_sim::{DialectName, SimConfig, Simulator};

/// A key made for tests; it opens nothing.
const KEY: &str = include_str!("../../../providers/src/signing/token/test_key.pem");

async fn started(dialects: &[DialectName], keys: &[&str]) -> Simulator {
    let config = SimConfig { dialects: dialects.to_vec(), ..SimConfig::new(dialects[0]) };
    Simulator::start(config.with_keys(keys)).await.unwrap()
}

async fn ask(gateway: &Gateway, model: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for face in Face::BOTH {
        for streamed in [false, true] {
            let answer = gateway.post(face.path(), face.body(model, "Where to?", streamed)).await;
            assert_eq!(answer.status, 200, "{model} {}: {}", face.name(), answer.text());
            assert!(face.text(&answer).contains("Where to?"), "{model} {}: {}", face.name(), answer.text());
            assert!(!streamed || face.looks_finished(&answer), "{model} {}: {}", face.name(), answer.text());
            ids.push(answer.id().to_owned());
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_is_reached_by_either_kind_of_path() {
    let simulator = started(&[DialectName::OpenAi], &["sim-key"]).await;
    let url = simulator.base_url();
    let gateway = Gateway::start(&format!(
        "providers:\n  \
         new: {{ preset: azure, url: \"{url}\", key: sim-key, models: [gpt-4.1-mini] }}\n  \
         old: {{ preset: azure, url: \"{url}\", key: sim-key, api_version: 2024-10-21, served_as: {{ gpt-4.1-mini: small-one }} }}\n"
    ))
    .await;
    for (model, path, served) in [
        ("new/gpt-4.1-mini", "/openai/v1/chat/completions", Some("gpt-4.1-mini")),
        ("old/gpt-4.1-mini", "/openai/deployments/small-one/chat/completions", None),
    ] {
        let ids = ask(&gateway, model).await;
        let request = simulator.last_request().unwrap();
        assert_eq!((request.path.as_str(), request.header("api-key")), (path, Some("sim-key")));
        assert_eq!(request.query.as_deref(), served.is_none().then_some("api-version=2024-10-21"));
        if let Some(served) = served {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["model"], served);
        }
        for id in ids {
            let record = gateway.record(&id).await;
            // The catalogue knows the model, whatever the deployment is called.
            assert!(record.cost.amount.is_some() && record.usage.total() > 0, "{record:?}");
        }
    }
    let body = Face::OpenAi.body("old/gpt-4.1-mini", "[[sim: fault=content-filtered]]", false);
    let refused = gateway.post(Face::OpenAi.path(), body).await;
    assert_eq!((refused.status, refused.error_code()), (400, "content_filter"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_takes_tokens_of_its_directory() {
    let tokens = started(&[DialectName::Tokens], &[]).await;
    let simulator = started(&[DialectName::OpenAi], &["sim-access-token"]).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  cloud:\n    preset: azure\n    url: \"{}\"\n    models: [gpt-4.1-mini]\n    identity: {{ url: \"{}/t/oauth2/v2.0/token\", tenant: t, client_id: c, client_secret: hush-hush }}\n",
        simulator.base_url(),
        tokens.base_url(),
    ))
    .await;
    ask(&gateway, "cloud/gpt-4.1-mini").await;
    let request = simulator.last_request().unwrap();
    assert_eq!(
        (request.header("authorization"), request.header("api-key")),
        (Some("Bearer sim-access-token"), None)
    );
    // One token serves them all, and neither it nor the secret is in the log.
    assert_eq!(tokens.requests().len(), 1);
    let log = gateway.log();
    assert!(!log.contains("sim-access-token") && !log.contains("hush-hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn vertex_serves_each_family_in_its_own_protocol() {
    let tokens = started(&[DialectName::Tokens], &[]).await;
    let dialects = [DialectName::Gemini, DialectName::Anthropic, DialectName::OpenAi];
    let simulator = started(&dialects, &["sim-access-token"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let account = json!({"type": "service_account", "client_email": "robot@p.example", "private_key": KEY,
        "private_key_id": "k", "token_uri": format!("{}/token", tokens.base_url())});
    std::fs::write(&file, account.to_string()).unwrap();
    let gateway = Gateway::start(&format!(
        "providers:\n  cloud:\n    preset: vertex\n    url: \"{}/v1/projects/p/locations/global\"\n    identity: {{ file: \"{}\" }}\n    models: [gemini-3.5-flash, \"claude-opus-4-6@default\", meta/llama-3.3-70b-instruct-maas]\n",
        simulator.base_url(),
        file.display(),
    ))
    .await;
    let place = "/v1/projects/p/locations/global";
    for (model, path) in [
        ("gemini-3.5-flash", "publishers/google/models/gemini-3.5-flash:streamGenerateContent"),
        ("claude-opus-4-6@default", "publishers/anthropic/models/claude-opus-4-6@default:streamRawPredict"),
        ("meta/llama-3.3-70b-instruct-maas", "endpoints/openapi/chat/completions"),
    ] {
        ask(&gateway, &format!("cloud/{model}")).await;
        let request = simulator.last_request().unwrap();
        assert_eq!(request.path, format!("{place}/{path}"));
        assert_eq!(request.header("authorization"), Some("Bearer sim-access-token"));
    }
    let count =
        json!({"model": "cloud/claude-opus-4-6@default", "messages": [{"role": "user", "content": "Hi"}]});
    let counted = gateway.post("/v1/messages/count_tokens", count.to_string()).await;
    assert!(counted.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{}", counted.text());
    assert_eq!(tokens.requests().len(), 1);
    assert!(!gateway.log().contains("sim-access-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_application_is_told_whose_fault_it_is() {
    let simulator = started(&[DialectName::OpenAi], &["sim-access-token"]).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  cloud:\n    preset: azure\n    url: \"{url}\"\n    models: [gpt-4.1-mini]\n    identity: {{ url: \"{url}/nowhere\", tenant: t, client_id: c, client_secret: s }}\n",
        url = simulator.base_url(),
    ))
    .await;
    let answer =
        gateway.post(Face::OpenAi.path(), Face::OpenAi.body("cloud/gpt-4.1-mini", "Hi", false)).await;
    assert_eq!(
        (answer.status, answer.error_code()),
        (502, "upstream_credentials_rejected"),
        "{}",
        answer.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn vertex_makes_vectors_in_the_form_of_each_model() {
    let simulator = started(&[DialectName::Gemini], &["sim-access-token"]).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  cloud: {{ preset: vertex, url: \"{}/v1/projects/p/locations/us-central1\", key: sim-access-token }}\n",
        simulator.base_url(),
    ))
    .await;
    for (model, method, form) in [
        ("text-embedding-005", "predict", "instances"),
        ("text-multilingual-embedding-002", "predict", "instances"),
        ("gemini-embedding-001", "batchEmbedContents", "requests"),
    ] {
        let name = format!("cloud/{model}");
        let openai = json!({"model": name, "input": ["one", "two three"], "dimensions": 8});
        let answer = gateway.post("/v1/embeddings", openai.to_string()).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let vectors = answer.json()["data"].as_array().unwrap().clone();
        assert_eq!(vectors[1]["embedding"].as_array().map(Vec::len), Some(8), "{model}");
        let request = simulator.last_request().unwrap();
        assert!(
            request.path.ends_with(&format!("/publishers/google/models/{model}:{method}")),
            "{}",
            request.path
        );
        let sent: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent[form].as_array().map(Vec::len), Some(2), "{sent}");
        let record = gateway.record(answer.id()).await;
        assert!(record.usage.input > 0, "{record:?}");
        assert_eq!(record.cost.confidence, CostConfidence::Exact, "{record:?}");
        // A client of Gemini's asks in its own form, which the cloud does not take as it is.
        let content = json!({"parts": [{"text": "one two"}]});
        let requests =
            json!([{"model": format!("models/{name}"), "content": content, "taskType": "CLUSTERING"}]);
        let path = format!("/v1beta/models/{}:batchEmbedContents", name.replace('/', "%2F"));
        let answer = gateway.post(&path, json!({"requests": requests}).to_string()).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        assert!(answer.json()["embeddings"][0]["values"].is_array(), "{}", answer.text());
        let sent = String::from_utf8(simulator.last_request().unwrap().body.to_vec()).unwrap();
        assert!(sent.contains("CLUSTERING") && !sent.contains("models/"), "{sent}");
    }
    // Eleven characters without blanks, at two hundredths and a half of a dollar for a million.
    let answer = gateway
        .post(
            "/v1/embeddings",
            json!({"model": "cloud/text-embedding-005", "input": "hello world x"}).to_string(),
        )
        .await;
    let record = gateway.record(answer.id()).await;
    assert_eq!(record.usage.media.characters, 11);
    assert_eq!(record.cost.amount.map(|amount| amount.0), Some(275));
}
