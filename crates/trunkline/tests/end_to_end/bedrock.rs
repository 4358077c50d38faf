//! Bedrock: signed requests, binary streams, state that comes back.

use crate::support::{Face, Gateway, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_sim::{DialectName, SimConfig, Simulator};

fn weather(face: Face) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    match face {
        Face::OpenAi => {
            json!([{"type": "function", "function": {"name": "get_weather", "parameters": schema}}])
        }
        Face::Anthropic => json!([{"name": "get_weather", "input_schema": schema}]),
    }
}

async fn signing_gateway(simulator: &Simulator, secret: &str) -> Gateway {
    let url = simulator.base_url();
    Gateway::start(&format!(
        "providers:\n  bedrock: {{ url: \"{url}\", region: eu-west-3, access_key: AKIDTEST, secret_key: {secret} }}\n"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_and_streams_read() {
    let config = SimConfig::new(DialectName::Converse).with_keys(&["AKIDTEST:the-secret"]);
    let simulator = Simulator::start(config).await.unwrap();
    let gateway = signing_gateway(&simulator, "the-secret").await;
    let name = format!("bedrock/{}", model(DialectName::Converse));
    for face in Face::BOTH {
        for streamed in [false, true] {
            let answer = gateway.post(face.path(), face.body(&name, "Grüße 日本", streamed)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(face.text(&answer).contains("\"Grüße 日本\""), "{}", answer.text());
            assert!(!streamed || face.looks_finished(&answer));
        }
    }
    let request = simulator.last_request().unwrap();
    let authorization = request.headers["authorization"].to_str().unwrap();
    assert!(authorization.contains("/eu-west-3/bedrock/aws4_request"), "{authorization}");
    assert!(request.path.ends_with("-v1%3A0/converse-stream"), "{}", request.path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_the_gateways_fault_and_is_not_shown() {
    let config = SimConfig::new(DialectName::Converse).with_keys(&["AKIDTEST:the-secret"]);
    let simulator = Simulator::start(config).await.unwrap();
    let gateway = signing_gateway(&simulator, "not-the-secret").await;
    let name = format!("bedrock/{}", model(DialectName::Converse));
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body(&name, "Hello", false)).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains("not-the-secret") && !gateway.log().contains("not-the-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_comes_back_signed_in_both_protocols() {
    let simulator = simulator(DialectName::Converse).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("only", DialectName::Converse, &simulator.base_url())
    ))
    .await;
    let name = format!("only/{}", model(DialectName::Converse));
    for face in Face::BOTH {
        let mut body = face.value(&name, "Use get_weather", false);
        body["tools"] = weather(face);
        body["max_tokens"] = json!(4000);
        match face {
            Face::OpenAi => body["reasoning_effort"] = json!("low"),
            Face::Anthropic => body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024}),
        }
        let first = gateway.post(face.path(), body.to_string()).await.json();
        let (turn, result) = match face {
            Face::OpenAi => {
                let turn = first["choices"][0]["message"].clone();
                let id = turn["tool_calls"][0]["id"].clone();
                (turn, json!({"role": "tool", "tool_call_id": id, "content": "21 degrees"}))
            }
            Face::Anthropic => {
                let content = first["content"].clone();
                let id = content[1]["id"].clone();
                let result = json!({"type": "tool_result", "tool_use_id": id, "content": "21 degrees"});
                (
                    json!({"role": "assistant", "content": content}),
                    json!({"role": "user", "content": [result]}),
                )
            }
        };
        let messages = body["messages"].as_array_mut().unwrap();
        messages.extend([turn, result]);
        let answer = gateway.post(face.path(), body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("21 degrees"), "{}", answer.text());
        let sent: Value = serde_json::from_slice(&simulator.last_request().unwrap().body).unwrap();
        let reasoning = &sent["messages"][1]["content"][0]["reasoningContent"]["reasoningText"];
        assert!(reasoning["signature"].is_string(), "{sent}");
        assert!(sent["additionalModelRequestFields"]["thinking"].is_object(), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bedrock_cannot_take_goes_elsewhere() {
    let bedrock = simulator(DialectName::Converse).await;
    let openai = simulator(DialectName::OpenAi).await;
    let providers = provider("first", DialectName::Converse, &bedrock.base_url())
        + &provider("second", DialectName::OpenAi, &openai.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{}] }}, two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two] }}\n",
        model(DialectName::Converse),
        model(DialectName::OpenAi)
    ))
    .await;
    let mut body = Face::OpenAi.value("both", "Hello", false);
    body["n"] = json!(2);
    let answer = gateway.post(Face::OpenAi.path(), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-trunkline-provider"), "second");
    assert_eq!(bedrock.requests().len(), 0);
}
