//! The Anthropic dialect.

use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

use super::client::{ANTHROPIC, Answer, get, post, question, send, start};

async fn ask(simulator: &Simulator, mut body: Value) -> Answer {
    let members = body.as_object_mut().unwrap();
    members.entry("model").or_insert_with(|| json!("claude-sonnet-4-5"));
    members.entry("max_tokens").or_insert_with(|| json!(4096));
    members.entry("messages").or_insert_with(|| json!([{"role": "user", "content": "Hi"}]));
    send(simulator, post("/v1/messages", &body, ANTHROPIC)).await.unwrap()
}

fn weather() -> Value {
    json!([{"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}},
        "required": ["city"]}}])
}

#[tokio::test]
async fn a_plain_answer_has_the_vendors_members_and_headers() {
    let simulator = start(DialectName::Anthropic).await;
    let answer = send(&simulator, question(DialectName::Anthropic, "Hello", false)).await.unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer.json()).unwrap());
    assert!(answer.header("request-id").starts_with("req_01"));
    assert!(answer.header("anthropic-ratelimit-requests-reset").ends_with('Z'));
}

#[tokio::test]
async fn the_events_of_a_stream_are_named_and_in_order() {
    let simulator = start(DialectName::Anthropic).await;
    let body = json!({"stream": true, "thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": weather(),
        "messages": [{"role": "user", "content": "get_weather in Rome"}]});
    let answer = ask(&simulator, body).await;
    let mut names = answer.event_names();
    names.dedup();
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    let deltas: Vec<_> = answer
        .events()
        .iter()
        .filter_map(|event| event["delta"]["type"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(deltas.iter().filter(|kind| *kind == "signature_delta").count(), 1);
    let input: String = answer
        .events()
        .iter()
        .filter_map(|event| event["delta"]["partial_json"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(input, r#"{"city":"Rome"}"#);
}

#[tokio::test]
async fn a_short_stream_in_full() {
    let simulator = start(DialectName::Anthropic).await;
    let answer = send(&simulator, question(DialectName::Anthropic, "a b [[sim: echo]]", true)).await.unwrap();
    insta::assert_snapshot!(answer.text());
}

#[tokio::test]
async fn thoughts_must_come_back_as_they_were() {
    let simulator = start(DialectName::Anthropic).await;
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let question = json!({"role": "user", "content": "get_weather"});
    let first = ask(&simulator, json!({"thinking": thinking, "tools": weather(), "messages": [question]}))
        .await
        .json();
    let blocks = first["content"].clone();
    assert_eq!([&blocks[0]["type"], &blocks[1]["type"]], ["thinking", "tool_use"]);
    let result = json!({"type": "tool_result", "tool_use_id": blocks[1]["id"], "content": "mild"});
    let second = |blocks: Value| {
        json!({"thinking": thinking, "tools": weather(), "messages": [question, {"role": "assistant", "content": blocks},
            {"role": "user", "content": [result]}]})
    };
    let fine = ask(&simulator, second(blocks.clone())).await;
    assert!(fine.text().contains("get_weather returned: mild"), "{}", fine.text());
    let mut altered = blocks.clone();
    altered[0]["thinking"] = json!("something else");
    let refused = ask(&simulator, second(altered)).await;
    assert_eq!(
        refused.json()["error"]["message"],
        "messages.1.content.0: Invalid `signature` in `thinking` block"
    );
    let bare = ask(&simulator, second(json!([blocks[1]]))).await;
    assert!(bare.text().contains("must start with a thinking block"), "{}", bare.text());
    let redacted = ask(
        &simulator,
        json!({"thinking": thinking, "messages": [{"role": "user", "content": "[[sim: redacted]]"}]}),
    )
    .await;
    assert_eq!(redacted.json()["content"][0]["type"], "redacted_thinking");
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_vendors_words() {
    let simulator = start(DialectName::Anthropic).await;
    let said = |content: Value| json!([{"role": "user", "content": content}]);
    let image = |kind: &str| json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": "AAAA"}});
    let cached = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let cases = [
        json!({"max_tokens": null}),
        json!({"max_tokens": 0}),
        json!({"messages": []}),
        json!({"messages": [{"role": "robot", "content": "x"}]}),
        json!({"messages": said(json!([{"type": "text", "text": ""}]))}),
        json!({"messages": said(json!(""))}),
        json!({"messages": said(json!([image("image/bmp")]))}),
        json!({"messages": said(json!([{"type": "tool_result", "tool_use_id": "a", "content": "x"}]))}),
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "so "}]}),
        json!({"messages": said(json!([cached, cached, cached, cached, cached]))}),
        json!({"model": "claude-opus-5", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "so"}]}),
        json!({"model": "claude-opus-5", "temperature": 0.5}),
        json!({"model": "claude-opus-5", "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        json!({"thinking": {"type": "adaptive"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 100}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 9000}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": weather(), "tool_choice": {"type": "any"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.5}),
        json!({"temperature": 0.5, "top_p": 0.9}),
        json!({"temperature": 1.5}),
        json!({"stop_sequences": [" "]}),
        json!({"tools": [{"name": "bad name", "input_schema": {"type": "object"}}]}),
        json!({"tool_choice": {"type": "auto"}}),
        json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}}),
        json!({"n": 2}),
        json!({"model": "no-such-model"}),
    ];
    let mut errors = String::new();
    for mut case in cases {
        if case["max_tokens"].is_null() && case.get("max_tokens").is_some() {
            case["max_tokens"] = json!("many");
        }
        let answer = ask(&simulator, case).await;
        let body = answer.json();
        assert_eq!(
            (&body["type"], body["request_id"].as_str()),
            (&json!("error"), Some(answer.header("request-id")))
        );
        errors.push_str(&format!(
            "{} {}: {}\n",
            answer.status, body["error"]["type"], body["error"]["message"]
        ));
    }
    insta::assert_snapshot!(errors);
}

#[tokio::test]
async fn the_newer_api_version_takes_no_sampling_parameters() {
    let simulator = start(DialectName::Anthropic).await;
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 10, "temperature": 1.0,
        "messages": [{"role": "user", "content": "Hi"}]});
    let newer = [("authorization", "Bearer sim-key"), ("anthropic-version", "2026-10-21")];
    assert_eq!(send(&simulator, post("/v1/messages", &body, &newer)).await.unwrap().status, 400);
    assert_eq!(send(&simulator, post("/v1/messages", &body, ANTHROPIC)).await.unwrap().status, 200);
    let unversioned = [("x-api-key", "sim-key")];
    let answer = send(&simulator, post("/v1/messages", &body, &unversioned)).await.unwrap();
    assert_eq!(answer.json()["error"]["message"], "anthropic-version: header is required");
}

#[tokio::test]
async fn cached_tokens_are_counted_apart() {
    let simulator = start(DialectName::Anthropic).await;
    let system = json!([{"type": "text", "text": "word ".repeat(1500), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
    let first = ask(&simulator, json!({"system": system})).await.json()["usage"].clone();
    let second = ask(&simulator, json!({"system": system})).await.json()["usage"].clone();
    let count = |usage: &Value, name: &str| usage[name].as_u64().unwrap();
    assert_eq!(count(&first, "cache_read_input_tokens"), 0);
    assert_eq!(count(&first, "cache_creation_input_tokens"), count(&second, "cache_read_input_tokens"));
    assert_eq!(count(&second, "cache_creation_input_tokens"), 0);
    assert_eq!(count(&first, "input_tokens"), count(&second, "input_tokens"));
    assert_eq!(first["cache_creation"]["ephemeral_1h_input_tokens"], first["cache_creation_input_tokens"]);
}

#[tokio::test]
async fn counting_agrees_with_usage_and_models_are_listed() {
    let simulator = start(DialectName::Anthropic).await;
    let body = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}], "tools": weather()});
    let counted = send(&simulator, post("/v1/messages/count_tokens", &body, ANTHROPIC)).await.unwrap().json();
    let used = ask(&simulator, json!({"tools": weather()})).await.json();
    assert_eq!(counted["input_tokens"], used["usage"]["input_tokens"]);
    let list = send(&simulator, get("/v1/models", ANTHROPIC)).await.unwrap().json();
    assert_eq!(list["data"][0]["type"], "model");
}
