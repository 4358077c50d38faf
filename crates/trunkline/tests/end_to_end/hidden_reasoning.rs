//! A client that asks not to see any reasoning sees none, whoever answers; what is signed comes back all the same.

use crate::support::{Answer, Face, Gateway, model, provider, simulator};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Flavor, Script, SimConfig, Simulator};

/// How a thought of the simulated model begins.
const THOUGHT: &str = "The user says";
/// What a client is told where the target has no word for its wish.
const LEFT_OUT: &str = "the gateway leaves reasoning out of its answer";

/// A provider that shows what its model thinks, and whose protocol has no word for not showing it.
async fn open_hearted() -> (Simulator, Gateway) {
    let script = Script { piece_tokens: 1000, ..Script::default() };
    let mut config = SimConfig::new(DialectName::OpenAi).with_script(script);
    config.flavor = Flavor::Compatible;
    let simulator = Simulator::start(config).await.unwrap();
    let gateway = Gateway::start(&format!(
        "providers:\n  own: {{ preset: openai-compatible, url: \"{}/v1\", key: k, models: [big-thinking] }}\n",
        simulator.base_url()
    ))
    .await;
    (simulator, gateway)
}

/// A question in each client protocol that has words for the wish: without it, and with it.
fn questions(model: &str, streamed: bool) -> Vec<(String, Value, Value)> {
    let mut chat = Face::OpenAi.value(model, "Hello", streamed);
    chat["reasoning"] = json!({"effort": "high"});
    let mut messages = Face::Anthropic.value(model, "Hello", streamed);
    messages["max_tokens"] = json!(4000);
    messages["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 2000}}});
    let with = |body: &Value, place: &str, name: &str, value: Value| {
        let mut body = body.clone();
        body.pointer_mut(place).unwrap()[name] = value;
        body
    };
    let verb = if streamed { "streamGenerateContent?alt=sse" } else { "generateContent" };
    vec![
        (Face::OpenAi.path().to_owned(), chat.clone(), with(&chat, "/reasoning", "exclude", json!(true))),
        (
            Face::Anthropic.path().to_owned(),
            messages.clone(),
            with(&messages, "/thinking", "display", json!("omitted")),
        ),
        (
            format!("/v1beta/models/{}:{verb}", model.replace('/', "%2F")),
            google.clone(),
            with(&google, "/generationConfig/thinkingConfig", "includeThoughts", json!(false)),
        ),
    ]
}

fn warnings(answer: &Answer) -> &str {
    answer.headers.get("x-trunkline-warnings").map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_are_left_out_where_the_target_would_show_them() {
    let (simulator, gateway) = open_hearted().await;
    for streamed in [false, true] {
        for (path, shown, hidden) in questions("own/big-thinking", streamed) {
            let answer = gateway.post(&path, shown.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains(THOUGHT), "{path}: the target shows them: {}", answer.text());
            assert!(!warnings(&answer).contains(LEFT_OUT), "{}", warnings(&answer));
            let record = gateway.record(answer.id()).await;

            let answer = gateway.post(&path, hidden.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(!answer.text().contains(THOUGHT), "{path}: {}", answer.text());
            for empty in ["\"thought\":", "\"thinking\"", "reasoning_content"] {
                assert!(!answer.text().contains(empty), "{path}: no empty thoughts: {}", answer.text());
            }
            assert!(warnings(&answer).contains(LEFT_OUT), "{path}: {}", warnings(&answer));
            // The text is there, and its tokens were paid for.
            let quiet = gateway.record(answer.id()).await;
            assert_eq!(quiet.usage, record.usage, "{path}");
            assert!(quiet.usage.reasoning > 0);
            assert!(quiet.response_bytes < record.response_bytes, "{path}");
        }
    }
    // What passes as it is still does: only the answer is changed.
    let asked = simulator.requests();
    let sent = asked.iter().find(|request| request.json()["reasoning"]["exclude"] == true).unwrap();
    assert_eq!(sent.json()["reasoning"], json!({"effort": "high", "exclude": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_as_it_would_without_the_wish() {
    let (_simulator, gateway) = open_hearted().await;
    for face in Face::BOTH {
        let (path, _, hidden) =
            questions("own/big-thinking", true).into_iter().find(|(path, ..)| path == face.path()).unwrap();
        let answer = gateway.post(&path, hidden.to_string()).await;
        assert!(face.looks_finished(&answer) && answer.whole, "{}", answer.text());
        assert!(!face.text(&answer).is_empty(), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_request_is_refused_where_nobody_has_the_word() {
    let (_simulator, gateway) = open_hearted().await;
    for (path, _, hidden) in questions("own/big-thinking", false) {
        let request = gateway.builder(&path).header("x-trunkline-strict", "true");
        let answer = gateway.send(request.body(Full::new(Bytes::from(hidden.to_string()))).unwrap()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(LEFT_OUT), "{}", answer.text());
    }
}

/// A provider with the word is told it, and the signature that it gives without the thought leads its model on.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_word_is_told_and_gets_its_state_back() {
    let simulator = simulator(DialectName::Anthropic).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("claude", DialectName::Anthropic, &simulator.base_url())
    ))
    .await;
    let tool =
        json!({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}});
    let mut body = json!({"model": format!("claude/{}", model(DialectName::Anthropic)), "max_tokens": 4000, "tools": [tool],
        "messages": [{"role": "user", "content": "Use get_weather"}], "reasoning": {"max_tokens": 2000, "exclude": true}});
    let answer = gateway.post(Face::OpenAi.path(), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!warnings(&answer).contains(LEFT_OUT), "{}", warnings(&answer));
    let said = answer.json()["choices"][0]["message"].clone();
    assert!(said["thinking_blocks"][0]["signature"].is_string(), "{said}");
    assert_eq!(said["thinking_blocks"][0]["thinking"], "", "{said}");
    let call = said["tool_calls"][0]["id"].clone();
    let result = json!({"role": "tool", "tool_call_id": call, "content": "Sunny"});
    body["messages"].as_array_mut().unwrap().extend([said, result]);
    let answer = gateway.post(Face::OpenAi.path(), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent: Vec<Value> = simulator.requests().iter().map(|request| request.json()).collect();
    assert!(sent.iter().all(|body| body["thinking"]["display"] == "omitted"), "{sent:?}");
    assert_eq!(sent[1]["messages"][1]["content"][0]["type"], "thinking", "{}", sent[1]);
}
