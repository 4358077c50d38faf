//! Stored conversations: made, gone on with by whoever answers, looked at, changed, and nobody else's.

use crate::support::{Answer, Gateway, model, provider, simulator};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Fault, Simulator};

const ANN: &str = "sk-ann-0123456789abcdef";
const BOB: &str = "sk-bob-0123456789abcdef";
const KINDS: [(&str, DialectName); 4] = [
    ("oa", DialectName::OpenAi),
    ("an", DialectName::Anthropic),
    ("ge", DialectName::Gemini),
    ("mi", DialectName::Mistral),
];

async fn stage() -> (Vec<Simulator>, Gateway) {
    let mut simulators = Vec::new();
    let mut text = format!("keys: {{ ann: {{ key: {ANN} }}, bob: {{ key: {BOB} }} }}\nproviders:\n");
    for (name, dialect) in KINDS {
        let simulator = simulator(dialect).await;
        text.push_str(&provider(name, dialect, &simulator.base_url()));
        simulators.push(simulator);
    }
    (simulators, Gateway::start(&text).await)
}

fn named(name: &str, dialect: DialectName) -> String {
    format!("{name}/{}", model(dialect))
}

async fn ask(gateway: &Gateway, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gateway")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::new(body));
    gateway.send(request.unwrap()).await
}

async fn done(gateway: &Gateway, method: Method, path: &str, body: Option<Value>) -> Value {
    let answer = ask(gateway, ANN, method, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn made(gateway: &Gateway) -> String {
    let items = json!([{"type": "message", "role": "user", "content": "My name is Ann."}]);
    let body = json!({"metadata": {"topic": "demo"}, "items": items});
    let conversation = done(gateway, Method::POST, "/v1/conversations", Some(body)).await;
    assert_eq!(conversation["object"], "conversation");
    assert_eq!(conversation["metadata"], json!({"topic": "demo"}));
    assert!(conversation["created_at"].is_u64() && conversation.get("items").is_none(), "{conversation}");
    conversation["id"].as_str().unwrap().to_owned()
}

/// What is said in a conversation, oldest first.
async fn said(gateway: &Gateway, id: &str) -> Vec<String> {
    let path = format!("/v1/conversations/{id}/items?order=asc&limit=100");
    let page = done(gateway, Method::GET, &path, None).await;
    let items = page["data"].as_array().unwrap();
    assert!(items.iter().all(|item| item["id"].is_string()), "{page}");
    let texts = items.iter().filter_map(|item| item["content"][0]["text"].as_str());
    texts.map(|text| text.chars().take(15).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_with_whoever_answers() {
    let (simulators, gateway) = stage().await;
    let id = made(&gateway).await;
    for ((name, dialect), streamed) in KINDS.into_iter().zip([false, true, false, true]) {
        let body = json!({"model": named(name, dialect), "conversation": id, "input": format!("To {name}"), "stream": streamed});
        let answer = ask(&gateway, ANN, Method::POST, "/v1/responses", Some(body)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let shown = format!("\"conversation\":{{\"id\":\"{id}\"}}");
        assert!(answer.text().contains(&shown), "{name}: {}", answer.text());
    }
    // The next request finds the answer before it, however soon it comes.
    let said = said(&gateway, &id).await;
    let asked: Vec<&str> = said.iter().map(String::as_str).filter(|text| text.starts_with("To ")).collect();
    assert_eq!(asked, ["To oa", "To an", "To ge", "To mi"]);
    assert_eq!((said.len(), said[0].as_str()), (9, "My name is Ann."), "{said:?}");
    for (simulator, before) in simulators.iter().zip([1, 3, 5, 7]) {
        let sent = String::from_utf8(simulator.last_request().unwrap().body.to_vec()).unwrap();
        assert!(sent.contains("My name is Ann.") && !sent.contains(&id), "{sent}");
        let texts = sent.matches("To ").count();
        assert!(texts >= before.min(4) / 2, "{sent}");
    }
    // As an object too, and counted with what it holds.
    let short = json!({"model": named("oa", DialectName::OpenAi), "input": "Hello"});
    let mut long = short.clone();
    long["conversation"] = json!({"id": id});
    let count =
        async |body: Value| done(&gateway, Method::POST, "/v1/responses/input_tokens", Some(body)).await;
    let (short, long) = (count(short).await, count(long).await);
    assert!(long["input_tokens"].as_u64() > short["input_tokens"].as_u64(), "{long} {short}");
    assert!(long.get("conversation").is_none(), "{long}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_looked_at_and_changed() {
    let (_simulators, gateway) = stage().await;
    let id = made(&gateway).await;
    let at = |rest: &str| format!("/v1/conversations/{id}{rest}");
    let changed = json!({"metadata": {"topic": "other"}});
    done(&gateway, Method::POST, &at(""), Some(changed.clone())).await;
    assert_eq!(done(&gateway, Method::GET, &at(""), None).await["metadata"], changed["metadata"]);
    let more =
        json!({"items": [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]});
    let added = done(&gateway, Method::POST, &at("/items"), Some(more)).await;
    assert_eq!(
        (added["object"].as_str(), added["data"].as_array().unwrap().len()),
        (Some("list"), 2),
        "{added}"
    );
    assert_eq!(said(&gateway, &id).await, ["My name is Ann.", "One", "Two"]);
    let newest = done(&gateway, Method::GET, &at("/items?limit=1"), None).await;
    assert_eq!(
        (&newest["data"][0]["id"], &newest["has_more"]),
        (&added["last_id"], &json!(true)),
        "{newest}"
    );
    let item = added["first_id"].as_str().unwrap();
    assert_eq!(
        done(&gateway, Method::GET, &at(&format!("/items/{item}")), None).await["content"][0]["text"],
        "One"
    );
    let left = done(&gateway, Method::DELETE, &at(&format!("/items/{item}")), None).await;
    assert_eq!(left["id"], *id, "{left}");
    assert_eq!(said(&gateway, &id).await, ["My name is Ann.", "Two"]);
    // What an answer without a word of its own stored adds all the same.
    let unkept = json!({"model": named("an", DialectName::Anthropic), "conversation": id, "input": "Three", "store": false});
    done(&gateway, Method::POST, "/v1/responses", Some(unkept)).await;
    assert_eq!(said(&gateway, &id).await.len(), 4);
    let gone = done(&gateway, Method::DELETE, &at(""), None).await;
    assert_eq!(gone, json!({"id": id, "object": "conversation.deleted", "deleted": true}));
    for (method, rest) in [(Method::GET, ""), (Method::GET, "/items"), (Method::DELETE, "")] {
        assert_eq!(ask(&gateway, ANN, method, &at(rest), None).await.status, 404, "{rest}");
    }
    let body = json!({"model": named("an", DialectName::Anthropic), "conversation": id, "input": "Four"});
    let answer = ask(&gateway, ANN, Method::POST, "/v1/responses", Some(body)).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_its_keys_own_and_survives_a_restart() {
    let (_simulators, mut gateway) = stage().await;
    let id = made(&gateway).await;
    let path = format!("/v1/conversations/{id}");
    let body = |model: String| json!({"model": model, "conversation": id, "input": "Hello"});
    let ours = body(named("ge", DialectName::Gemini));
    done(&gateway, Method::POST, "/v1/responses", Some(ours.clone())).await;
    for (method, path) in
        [(Method::GET, path.clone()), (Method::DELETE, path.clone()), (Method::GET, format!("{path}/items"))]
    {
        assert_eq!(ask(&gateway, BOB, method, &path, None).await.status, 404, "{path}");
    }
    assert_eq!(ask(&gateway, BOB, Method::POST, "/v1/responses", Some(ours.clone())).await.status, 404);
    assert_eq!(ask(&gateway, "sk-nobody", Method::GET, &path, None).await.status, 401);
    // It is no response, whoever asks for it as one.
    assert_eq!(ask(&gateway, ANN, Method::GET, &format!("/v1/responses/{id}"), None).await.status, 404);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    gateway = gateway.again().await;
    assert_eq!(said(&gateway, &id).await.len(), 3);
    done(&gateway, Method::POST, "/v1/responses", Some(ours)).await;
    assert_eq!(said(&gateway, &id).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_or_contradicts_itself_adds_nothing() {
    let (simulators, gateway) = stage().await;
    let id = made(&gateway).await;
    let model = named("an", DialectName::Anthropic);
    simulators[1].fail_with(Fault::Unavailable);
    let body = json!({"model": model, "conversation": id, "input": "Hello"});
    let failed = ask(&gateway, ANN, Method::POST, "/v1/responses", Some(body.clone())).await;
    assert_eq!(failed.status, 503, "{}", failed.text());
    simulators[1].heal();
    let mut both = body.clone();
    both["previous_response_id"] = json!("resp_1");
    let mut wrong = body.clone();
    wrong["conversation"] = json!(7);
    for (body, param) in [(both, "previous_response_id"), (wrong, "conversation")] {
        let refused = ask(&gateway, ANN, Method::POST, "/v1/responses", Some(body)).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["param"]),
            (400, &json!(param)),
            "{}",
            refused.text()
        );
    }
    for (path, body, param) in [
        ("/v1/conversations".to_owned(), json!({"items": 1}), "items"),
        ("/v1/conversations".to_owned(), json!({"metadata": {"a": 1}}), "metadata"),
        (format!("/v1/conversations/{id}/items"), json!({"items": []}), "items"),
    ] {
        let refused = ask(&gateway, ANN, Method::POST, &path, Some(body)).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["param"]),
            (400, &json!(param)),
            "{}",
            refused.text()
        );
    }
    assert_eq!(said(&gateway, &id).await, ["My name is Ann."]);
}
