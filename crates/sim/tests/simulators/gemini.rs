//! The Gemini dialect.

use serde_json::{Value, json};
use trunkline_sim::{DialectName, SimConfig, Simulator};

use super::client::{Answer, GOOGLE, get, post, question, send, start};

async fn ask(simulator: &Simulator, model: &str, mut body: Value) -> Answer {
    let members = body.as_object_mut().unwrap();
    members.entry("contents").or_insert_with(|| json!([{"role": "user", "parts": [{"text": "Hi"}]}]));
    send(simulator, post(&format!("/v1beta/models/{model}:generateContent"), &body, GOOGLE)).await.unwrap()
}

fn weather() -> Value {
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]});
    json!([{"functionDeclarations": [{"name": "get_weather", "description": "", "parameters": schema},
        {"name": "get_time", "description": ""}]}])
}

#[tokio::test]
async fn a_plain_answer_has_the_vendors_members() {
    let simulator = start(DialectName::Gemini).await;
    let answer = send(&simulator, question(DialectName::Gemini, "Hello", false)).await.unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer.json()).unwrap());
    let thinking = ask(&simulator, "gemini-2.5-flash", json!({})).await.json();
    let count = |name: &str| thinking["usageMetadata"][name].as_u64().unwrap();
    let sum = count("promptTokenCount") + count("candidatesTokenCount") + count("thoughtsTokenCount");
    assert_eq!(count("totalTokenCount"), sum);
}

#[tokio::test]
async fn a_stream_is_events_or_an_array() {
    let simulator = start(DialectName::Gemini).await;
    let events = send(&simulator, question(DialectName::Gemini, "a b [[sim: echo]]", true)).await.unwrap();
    insta::assert_snapshot!(events.text());
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "a b [[sim: echo]]"}]}]});
    let array = send(&simulator, post("/v1/models/gemini-2.0-flash:streamGenerateContent", &body, GOOGLE))
        .await
        .unwrap();
    let chunks = array.json();
    let text =
        |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(chunks.as_array().unwrap().iter().map(text).collect::<String>(), "a b");
}

#[tokio::test]
async fn log_probabilities_come_with_the_text_they_are_of() {
    let simulator = start(DialectName::Gemini).await;
    let contents = json!([{"role": "user", "parts": [{"text": "a b c [[sim: echo]]"}]}]);
    let body = json!({"contents": contents, "generationConfig": {"responseLogprobs": true, "logprobs": 2, "seed": 1}});
    let plain = ask(&simulator, "gemini-2.0-flash", body.clone()).await.json();
    let candidate = &plain["candidates"][0];
    let tokens = candidate["logprobsResult"]["chosenCandidates"].as_array().unwrap();
    let token = |entry: &Value| entry["token"].as_str().unwrap().to_owned();
    assert_eq!(tokens.iter().map(token).collect::<String>(), "a b c");
    let alternatives = candidate["logprobsResult"]["topCandidates"].as_array().unwrap();
    assert_eq!(alternatives.len(), tokens.len());
    assert!(alternatives.iter().all(|step| step["candidates"].as_array().unwrap().len() == 2));
    assert!(candidate["avgLogprobs"].as_f64().unwrap() < 0.0);
    let request = post("/v1/models/gemini-2.0-flash:streamGenerateContent", &body, GOOGLE);
    let chunks = send(&simulator, request).await.unwrap().json();
    let streamed = |chunk: &Value| chunk["candidates"][0]["logprobsResult"]["chosenCandidates"].clone();
    let streamed: Vec<Value> = chunks
        .as_array()
        .unwrap()
        .iter()
        .map(streamed)
        .filter_map(|list| list.as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(&streamed, tokens);
    let alone = ask(&simulator, "gemini-2.0-flash", json!({"generationConfig": {"logprobs": 2}})).await;
    assert_eq!(alone.status, 400);
}

#[tokio::test]
async fn an_error_inside_an_array_keeps_it_whole() {
    let simulator = start(DialectName::Gemini).await;
    for fault in ["quota-before-first-token", "quota-mid-stream=1"] {
        let body = json!({"contents": [{"parts": [{"text": format!("a b [[sim: fault={fault}]]")}]}]});
        let request = post("/v1beta/models/gemini-2.0-flash:streamGenerateContent", &body, GOOGLE);
        let chunks = send(&simulator, request).await.unwrap().json();
        assert_eq!(chunks.as_array().unwrap().last().unwrap()["error"]["status"], "RESOURCE_EXHAUSTED");
    }
}

#[tokio::test]
async fn calls_of_the_third_generation_need_their_signature_back() {
    let simulator = start(DialectName::Gemini).await;
    let model = "gemini-3-pro-preview";
    let question = json!({"role": "user", "parts": [{"text": "get_weather and get_time"}]});
    let first = ask(&simulator, model, json!({"contents": [question], "tools": weather()})).await.json();
    assert_eq!(first["candidates"][0]["finishReason"], "STOP");
    let parts = first["candidates"][0]["content"]["parts"].clone();
    assert!(parts[0]["thoughtSignature"].is_string() && parts[1].get("thoughtSignature").is_none());
    let response = |index: usize| {
        let call = &parts[index]["functionCall"];
        json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"result": "mild"}}})
    };
    let turns = |parts: &Value, responses: Vec<Value>| json!({"tools": weather(), "contents": [question, {"role": "model", "parts": parts}, {"role": "user", "parts": responses}]});
    let fine = ask(&simulator, model, turns(&parts, vec![response(0), response(1)])).await;
    assert!(fine.text().contains("get_time returned: mild"), "{}", fine.text());
    let mut bare = parts.clone();
    bare[0].as_object_mut().unwrap().remove("thoughtSignature");
    let missing = ask(&simulator, model, turns(&bare, vec![response(0), response(1)])).await;
    assert_eq!(missing.status, 400);
    assert!(missing.text().contains("missing a thought_signature"));
    let mut moved = bare;
    moved[1]["thoughtSignature"] = parts[0]["thoughtSignature"].clone();
    moved[0]["thoughtSignature"] = parts[0]["thoughtSignature"].clone();
    assert_eq!(ask(&simulator, model, turns(&moved, vec![response(0), response(1)])).await.status, 400);
    let too_few = ask(&simulator, model, turns(&parts, vec![response(0)])).await;
    assert!(too_few.text().contains("number of function response parts"));
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_vendors_words() {
    let simulator = start(DialectName::Gemini).await;
    let parameters =
        |schema: Value| json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]});
    let cases = [
        ("gemini-2.5-flash", json!({"contents": []})),
        ("gemini-2.5-flash", json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]})),
        ("gemini-2.5-flash", json!({"contents": [{"role": "user", "parts": []}]})),
        ("gemini-2.5-flash", json!({"messages": []})),
        ("gemini-2.5-flash", json!({"generationConfig": {"max_tokens": 5}})),
        ("gemini-2.5-flash", json!({"generationConfig": {"temperature": 3}})),
        ("gemini-2.5-flash", json!({"generationConfig": {"stopSequences": ["1", "2", "3", "4", "5", "6"]}})),
        ("gemini-2.5-flash", json!({"generationConfig": {"responseSchema": {"type": "OBJECT"}}})),
        (
            "gemini-2.5-flash",
            json!({"generationConfig": {"responseMimeType": "application/json"}, "tools": weather()}),
        ),
        ("gemini-2.5-flash", parameters(json!({"type": "object", "additionalProperties": false}))),
        ("gemini-2.5-flash", parameters(json!({"type": ["string", "null"]}))),
        ("gemini-2.5-flash", json!({"tools": [{"functionDeclarations": [{"name": "bad name"}]}]})),
        (
            "gemini-2.5-flash",
            json!({"tools": weather(), "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["get_time"]}}}),
        ),
        (
            "gemini-2.5-flash",
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
        ),
        (
            "gemini-2.5-flash",
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}]}),
        ),
        ("gemini-2.5-flash", json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}})),
        ("gemini-2.5-pro", json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}})),
        ("gemini-2.0-flash", json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 100}}})),
        ("no-such-model", json!({})),
    ];
    let mut errors = String::new();
    for (model, case) in cases {
        let answer = ask(&simulator, model, case).await;
        let error = &answer.json()["error"];
        assert_eq!(error["code"], answer.status);
        errors.push_str(&format!("{} {}: {}\n", answer.status, error["status"], error["message"]));
    }
    insta::assert_snapshot!(errors);
}

#[tokio::test]
async fn keys_come_in_a_header_or_the_query() {
    let simulator =
        Simulator::start(SimConfig::new(DialectName::Gemini).with_keys(&["sim-key"])).await.unwrap();
    let status = |request| {
        let simulator = &simulator;
        async move { send(simulator, request).await.unwrap() }
    };
    assert_eq!(status(get("/v1beta/models", GOOGLE)).await.status, 200);
    assert_eq!(status(get("/v1/models?key=sim-key", &[])).await.status, 200);
    assert_eq!(status(get("/v1beta/models", &[])).await.status, 403);
    let wrong = status(get("/v1beta/models?key=other", &[])).await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]["details"][0]["reason"]),
        (400, &json!("API_KEY_INVALID"))
    );
}

#[tokio::test]
async fn a_limit_says_when_to_come_back_and_a_blocked_prompt_has_no_candidates() {
    let simulator = start(DialectName::Gemini).await;
    let prompt = |text: &str| json!({"contents": [{"parts": [{"text": text}]}]});
    let limited =
        ask(&simulator, "gemini-2.5-flash", prompt("[[sim: fault=rate-limited-retry-after=33]]")).await;
    assert_eq!(limited.json()["error"]["details"][1]["retryDelay"], "33s");
    let blocked = ask(&simulator, "gemini-2.5-flash", prompt("[[sim: fault=content-filtered]]")).await;
    assert_eq!(blocked.json()["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
    assert!(blocked.json().get("candidates").is_none());
}

#[tokio::test]
async fn tokens_are_counted_and_texts_embedded() {
    let simulator = start(DialectName::Gemini).await;
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
    let count = send(&simulator, post("/v1beta/models/gemini-2.5-flash:countTokens", &contents, GOOGLE))
        .await
        .unwrap()
        .json();
    let used = ask(&simulator, "gemini-2.5-flash", contents).await.json();
    assert_eq!(count["totalTokens"], used["usageMetadata"]["promptTokenCount"]);
    let one = json!({"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 3});
    let path = "/v1beta/models/gemini-embedding-001";
    let single = send(&simulator, post(&format!("{path}:embedContent"), &one, GOOGLE)).await.unwrap().json();
    assert_eq!(single["embedding"]["values"].as_array().unwrap().len(), 3);
    let mut named = one;
    named["model"] = json!("models/gemini-embedding-001");
    let batch = json!({"requests": [named, named]});
    let both =
        send(&simulator, post(&format!("{path}:batchEmbedContents"), &batch, GOOGLE)).await.unwrap().json();
    assert_eq!(both["embeddings"].as_array().unwrap().len(), 2);
}
