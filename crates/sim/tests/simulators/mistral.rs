//! The Mistral dialect.

use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

use super::client::{Answer, get, post, question, send, start};

const KEY: &[(&str, &str)] = &[("authorization", "Bearer sim-key")];

async fn chat(simulator: &Simulator, mut body: Value) -> Answer {
    let members = body.as_object_mut().unwrap();
    members.entry("model").or_insert_with(|| json!("mistral-large-latest"));
    members.entry("messages").or_insert_with(|| json!([{"role": "user", "content": "Hi"}]));
    send(simulator, post("/v1/chat/completions", &body, KEY)).await.unwrap()
}

#[tokio::test]
async fn a_plain_answer_has_the_vendors_members_and_headers() {
    let simulator = start(DialectName::Mistral).await;
    let answer = send(&simulator, question(DialectName::Mistral, "Hello", false)).await.unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer.json()).unwrap());
    assert_eq!(answer.header("mistral-correlation-id").len(), 32);
}

#[tokio::test]
async fn usage_stands_in_the_last_event_unasked() {
    let simulator = start(DialectName::Mistral).await;
    let messages = json!([{"role": "user", "content": "a b [[sim: echo]]"}]);
    let answer = chat(&simulator, json!({"messages": messages, "stream": true})).await;
    insta::assert_snapshot!(answer.text());
}

#[tokio::test]
async fn thoughts_are_chunks_of_the_content() {
    let simulator = start(DialectName::Mistral).await;
    let answer = chat(&simulator, json!({"reasoning_effort": "low"})).await.json();
    let content = &answer["choices"][0]["message"]["content"];
    assert_eq!(content[0]["type"], "thinking");
    assert_eq!(content[0]["thinking"][0]["type"], "text");
    assert_eq!(content[1]["type"], "text");
}

#[tokio::test]
async fn calls_come_whole_and_their_results_are_checked() {
    let simulator = start(DialectName::Mistral).await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    let tools = json!([tool("get_weather"), tool("get_time")]);
    let user = json!({"role": "user", "content": "get_weather and get_time"});
    let first = chat(&simulator, json!({"tools": tools, "messages": [user]})).await.json();
    let said = first["choices"][0]["message"].clone();
    assert_eq!(first["choices"][0]["finish_reason"], "tool_calls");
    let ids: Vec<&str> =
        said["tool_calls"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| id.len() == 9), "{ids:?}");
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "fine"});
    let second = json!({"tools": tools, "messages": [user, said, result(ids[0]), result(ids[1])]});
    let text = chat(&simulator, second).await.json()["choices"][0]["message"]["content"].to_string();
    assert!(text.contains("get_weather returned: fine"), "{text}");
    let missing = chat(&simulator, json!({"tools": tools, "messages": [user, said, result(ids[0])]})).await;
    assert_eq!(missing.status, 422);
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_vendors_words() {
    let simulator = start(DialectName::Mistral).await;
    let wrong = [
        json!({"stream_options": {"include_usage": true}}),
        json!({"max_completion_tokens": 5}),
        json!({"seed": 1}),
        json!({"temperature": 1.6}),
        json!({"top_p": 0.0}),
        json!({"random_seed": -1}),
        json!({"reasoning_effort": "max"}),
        json!({"messages": [{"role": "user", "content": "x", "name": "joe"}]}),
        json!({"messages": [{"role": "developer", "content": "x"}]}),
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}),
        json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}]}),
        json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
        json!({"tool_choice": "force"}),
        json!({"model": "no-such-model"}),
    ];
    let mut told = Vec::new();
    for body in wrong {
        let answer = chat(&simulator, body).await;
        told.push(format!("{} {}", answer.status, answer.text()));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn embeddings_and_models_are_served() {
    let simulator = start(DialectName::Mistral).await;
    let body = json!({"model": "mistral-embed", "input": ["a", "b"], "output_dimension": 8});
    let answer = send(&simulator, post("/v1/embeddings", &body, KEY)).await.unwrap().json();
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 8);
    let tokens = json!({"model": "mistral-embed", "input": [[1, 2]]});
    assert_eq!(send(&simulator, post("/v1/embeddings", &tokens, KEY)).await.unwrap().status, 422);
    let models = send(&simulator, get("/v1/models", KEY)).await.unwrap().json();
    assert_eq!(models["data"][0]["object"], "model");
}
