//! The OpenAI dialect.

use serde_json::{Value, json};
use trunkline_sim::{DialectName, Flavor, SimConfig, Simulator};

use super::client::{Answer, get, post, question, request, send, start};

const KEY: &[(&str, &str)] = &[("authorization", "Bearer sim-key")];

async fn chat(simulator: &Simulator, mut body: Value) -> Answer {
    let members = body.as_object_mut().unwrap();
    members.entry("model").or_insert_with(|| json!("gpt-4o"));
    members.entry("messages").or_insert_with(|| json!([{"role": "user", "content": "Hi"}]));
    send(simulator, post("/v1/chat/completions", &body, KEY)).await.unwrap()
}

/// The error of a request, on one line.
async fn error(simulator: &Simulator, body: Value) -> String {
    let answer = chat(simulator, body).await;
    let error = &answer.json()["error"];
    assert!(["message", "type", "param", "code"].iter().all(|key| error.get(key).is_some()), "{error}");
    format!("{} {} {} {}: {}", answer.status, error["type"], error["param"], error["code"], error["message"])
}

#[tokio::test]
async fn a_plain_answer_has_the_vendors_members_and_headers() {
    let simulator = start(DialectName::OpenAi).await;
    let answer = send(&simulator, question(DialectName::OpenAi, "Hello", false)).await.unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer.json()).unwrap());
    let names = ["openai-processing-ms", "openai-version", "x-request-id", "x-ratelimit-limit-requests"];
    assert!(names.iter().all(|name| answer.headers.contains_key(*name)));
    assert_eq!(answer.header("x-ratelimit-reset-requests"), "6ms");
    let again = send(&simulator, question(DialectName::OpenAi, "Hello", false)).await.unwrap();
    assert_eq!(again.body, answer.body, "the same request has the same answer");
    assert_ne!(again.header("x-request-id"), answer.header("x-request-id"));
}

#[tokio::test]
async fn a_stream_opens_with_the_role_and_ends_with_usage_and_done() {
    let simulator = start(DialectName::OpenAi).await;
    let messages = json!([{"role": "user", "content": "a b [[sim: echo]]"}]);
    let options = json!({"include_usage": true, "include_obfuscation": false});
    let answer =
        chat(&simulator, json!({"messages": messages, "stream": true, "stream_options": options})).await;
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    insta::assert_snapshot!(answer.text());
}

#[tokio::test]
async fn parallel_calls_stream_their_arguments_in_pieces() {
    let simulator = start(DialectName::OpenAi).await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    let body = json!({"stream": true, "tools": [tool("get_weather"), tool("get_time")],
        "messages": [{"role": "user", "content": "get_weather and get_time in Oslo"}]});
    let answer = chat(&simulator, body).await;
    let mut arguments = [String::new(), String::new()];
    let mut opened = Vec::new();
    for event in answer.events() {
        for call in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if let Some(name) = call["function"]["name"].as_str() {
                assert!(call["id"].as_str().unwrap().starts_with("call_"));
                opened.push(name.to_owned());
            }
            arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    assert_eq!(opened, ["get_weather", "get_time"]);
    assert_eq!(arguments, [r#"{"city":"Oslo"}"#, r#"{"city":"Oslo"}"#]);
    assert!(answer.text().contains(r#""finish_reason":"tool_calls""#));
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_vendors_words() {
    let simulator = start(DialectName::OpenAi).await;
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let cases = [
        json!({"messages": []}),
        json!({"messages": [{"role": "robot", "content": "x"}]}),
        json!({"messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]}),
        json!({"messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "x"}]}),
        json!({"messages": user(json!([{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AAAA"}}]))}),
        json!({"temperature": 3}),
        json!({"stop": ["a", "b", "c", "d", "e"]}),
        json!({"n": 0}),
        json!({"stream_options": {"include_usage": true}}),
        json!({"top_logprobs": 2}),
        json!({"parallel_tool_calls": true}),
        json!({"tool_choice": "auto"}),
        json!({"tools": [{"type": "function", "function": {"name": "bad name"}}]}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true,
            "schema": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": false}}}}),
        json!({"thinking": {"type": "enabled"}}),
        json!({"model": "gpt-5", "max_tokens": 5}),
        json!({"model": "o3", "temperature": 0.5}),
        json!({"model": "o4-mini", "stop": "x"}),
        json!({"model": "no-such-model"}),
    ];
    let mut errors = String::new();
    for case in cases {
        errors.push_str(&error(&simulator, case).await);
        errors.push('\n');
    }
    insta::assert_snapshot!(errors);
}

#[tokio::test]
async fn keys_paths_methods_and_bodies_are_checked() {
    let simulator =
        Simulator::start(SimConfig::new(DialectName::OpenAi).with_keys(&["sim-key"])).await.unwrap();
    let status = |request| {
        let simulator = &simulator;
        async move {
            let answer = send(simulator, request).await.unwrap();
            (answer.status, answer.json()["error"]["code"].clone())
        }
    };
    assert_eq!(status(get("/v1/models", &[])).await, (401, Value::Null));
    assert_eq!(
        status(get("/v1/models", &[("authorization", "Bearer no")])).await,
        (401, json!("invalid_api_key"))
    );
    assert_eq!(status(get("/v1/nothing", KEY)).await.0, 404);
    assert_eq!(status(get("/v1/chat/completions", KEY)).await.0, 405);
    let broken = request(http::Method::POST, "/v1/chat/completions", "{\"a\":".into(), KEY);
    assert_eq!(status(broken).await.0, 400);
    assert_eq!(status(get("/v1/models/unheard-of", KEY)).await, (404, json!("model_not_found")));
}

#[tokio::test]
async fn a_schema_is_obeyed_and_usage_counts_reasoning() {
    let simulator = start(DialectName::OpenAi).await;
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    let answer = chat(&simulator, json!({"response_format": format})).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], r#"{"n":3}"#);
    let usage =
        &chat(&simulator, json!({"model": "gpt-5", "reasoning_effort": "high"})).await.json()["usage"];
    assert!(usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap())
    );
}

#[tokio::test]
async fn a_repeated_long_prompt_is_cached() {
    let simulator = start(DialectName::OpenAi).await;
    let body = json!({"messages": [{"role": "system", "content": "word ".repeat(2000)}, {"role": "user", "content": "Hi"}]});
    let cached =
        |answer: Answer| answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert_eq!(cached(chat(&simulator, body.clone()).await), 0);
    let second = cached(chat(&simulator, body).await);
    assert!(second >= 1920 && second.is_multiple_of(128), "{second}");
}

#[tokio::test]
async fn a_compatible_service_shows_its_reasoning_and_takes_unknown_parameters() {
    let config = SimConfig { flavor: Flavor::Compatible, ..SimConfig::new(DialectName::OpenAi) };
    let simulator = Simulator::start(config).await.unwrap();
    let answer = chat(&simulator, json!({"model": "deepseek-reasoner", "top_k": 5})).await.json();
    assert!(answer["choices"][0]["message"]["reasoning_content"].as_str().unwrap().contains("The user says"));
    assert!(answer.get("system_fingerprint").is_none());
}

#[tokio::test]
async fn the_older_completions_endpoint_answers_and_streams() {
    let simulator = start(DialectName::OpenAi).await;
    let body = json!({"model": "gpt-3.5-turbo-instruct", "prompt": "a b [[sim: echo]]"});
    let answer = send(&simulator, post("/v1/completions", &body, KEY)).await.unwrap().json();
    assert_eq!(answer["choices"][0]["text"], "a b");
    let body = json!({"model": "gpt-3.5-turbo-instruct", "prompt": "a b [[sim: echo]]", "stream": true});
    let stream = send(&simulator, post("/v1/completions", &body, KEY)).await.unwrap();
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn embeddings_come_as_floats_and_as_base64() {
    let simulator = start(DialectName::OpenAi).await;
    let ask = |format: &'static str| json!({"model": "text-embedding-3-small", "input": "x", "dimensions": 4, "encoding_format": format});
    let floats = send(&simulator, post("/v1/embeddings", &ask("float"), KEY)).await.unwrap().json();
    assert_eq!(floats["data"][0]["embedding"].as_array().unwrap().len(), 4);
    let encoded = send(&simulator, post("/v1/embeddings", &ask("base64"), KEY)).await.unwrap().json();
    assert_eq!(encoded["data"][0]["embedding"].as_str().unwrap().len(), 24);
    let wrong = json!({"model": "text-embedding-3-small", "input": []});
    assert_eq!(send(&simulator, post("/v1/embeddings", &wrong, KEY)).await.unwrap().status, 400);
}
