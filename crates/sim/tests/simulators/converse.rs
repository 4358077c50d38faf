//! The Bedrock Converse dialect.

use serde_json::{Value, json};
use trunkline_sim::{DialectName, SimConfig, Simulator};

use super::client::{Answer, BEDROCK, post, question, send, start};

const CLAUDE: &str = "anthropic.claude-sonnet-4-5-20250929-v1%3A0";

async fn ask(simulator: &Simulator, verb: &str, body: &Value) -> Answer {
    send(simulator, post(&format!("/model/{CLAUDE}/{verb}"), body, BEDROCK)).await.unwrap()
}

fn said(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": text}]}]})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn weather() -> Value {
    json!({"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"]}}}}]})
}

fn thinking() -> Value {
    json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})
}

#[tokio::test]
async fn a_plain_answer_has_the_services_members_and_headers() {
    let simulator = start(DialectName::Converse).await;
    let answer = send(&simulator, question(DialectName::Converse, "Hello", false)).await.unwrap();
    let mut body = answer.json();
    body["metrics"]["latencyMs"] = json!(1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
}

#[tokio::test]
async fn the_messages_of_a_stream_are_in_order() {
    let simulator = start(DialectName::Converse).await;
    let body = with(said("get_weather in Rome"), "toolConfig", weather());
    let body = with(body, "additionalModelRequestFields", thinking());
    let body = with(body, "inferenceConfig", json!({"maxTokens": 4000}));
    let answer = ask(&simulator, "converse-stream", &body).await;
    assert_eq!(answer.header("content-type"), "application/vnd.amazon.eventstream");
    let (messages, torn) = answer.messages();
    assert_eq!(torn, 0);
    let mut names: Vec<&str> = messages.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let expected = [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ];
    assert_eq!(names, expected);
    let payloads: Vec<Value> =
        messages.iter().map(|(_, payload)| serde_json::from_str(payload).unwrap()).collect();
    let signed = |value: &&Value| value["delta"]["reasoningContent"]["signature"].is_string();
    assert_eq!(payloads.iter().filter(signed).count(), 1);
    let input: String =
        payloads.iter().filter_map(|value| value["delta"]["toolUse"]["input"].as_str()).collect();
    assert!(serde_json::from_str::<Value>(&input).unwrap()["city"].is_string());
}

#[tokio::test]
async fn reasoning_and_results_come_back_or_are_refused() {
    let simulator = start(DialectName::Converse).await;
    let more = |body| {
        let body = with(body, "toolConfig", weather());
        let body = with(body, "additionalModelRequestFields", thinking());
        with(body, "inferenceConfig", json!({"maxTokens": 4000}))
    };
    let first = more(said("get_weather in Rome"));
    let answer = ask(&simulator, "converse", &first).await.json();
    let message = answer["output"]["message"].clone();
    let id = message["content"][1]["toolUse"]["toolUseId"].clone();
    let result = json!({"role": "user", "content": [{"toolResult": {"toolUseId": id, "content": [{"text": "21 degrees"}]}}]});
    let talk =
        |message: &Value, result: &Value| more(json!({"messages": [first["messages"][0], message, result]}));
    let second = ask(&simulator, "converse", &talk(&message, &result)).await.json();
    let text = second["output"]["message"]["content"][1]["text"].as_str().unwrap();
    assert!(text.starts_with("The tool get_weather returned: 21 degrees."), "{text}");
    let mut forged = message.clone();
    forged["content"][0]["reasoningContent"]["reasoningText"]["text"] = json!("other thoughts");
    let mut bare = message.clone();
    bare["content"].as_array_mut().unwrap().remove(0);
    let nothing = json!({"role": "user", "content": [{"text": "well?"}]});
    let mut lines = Vec::new();
    for body in [talk(&forged, &result), talk(&bare, &result), talk(&message, &nothing)] {
        let answer = ask(&simulator, "converse", &body).await;
        lines.push(
            format!("{} {}", answer.status, answer.json()["message"].as_str().unwrap())
                .replace(id.as_str().unwrap(), "ID"),
        );
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn what_the_service_refuses_is_refused() {
    let simulator = start(DialectName::Converse).await;
    let user = |blocks: Value| json!({"messages": [{"role": "user", "content": blocks}]});
    let image = |source: Value| user(json!([{"text": "x"}, {"image": {"format": "png", "source": source}}]));
    let document =
        |name: &str| json!({"document": {"format": "pdf", "name": name, "source": {"bytes": "JVBERg=="}}});
    let turns = |roles: &[&str]| {
        let messages: Vec<Value> =
            roles.iter().map(|role| json!({"role": role, "content": [{"text": "x"}]})).collect();
        json!({"messages": messages})
    };
    let cases = [
        json!({"messages": []}),
        turns(&["assistant"]),
        turns(&["user", "user"]),
        turns(&["user", "tool"]),
        user(json!([])),
        user(json!([{"text": " "}])),
        user(json!([{"text": "a", "image": {}}])),
        image(json!({"url": "https://example.com/a.png"})),
        image(json!({"bytes": "not base64!"})),
        user(json!([document("a")])),
        user(json!([{"text": "x"}, document("report.pdf")])),
        user(json!([{"text": "x"}, document("a"), document("a")])),
        user(json!([{"toolResult": {"toolUseId": "t", "content": []}}])),
        with(said("x"), "model", json!("m")),
        with(said("x"), "inferenceConfig", json!({"temperature": 1.5})),
        with(said("x"), "inferenceConfig", json!({"max_tokens": 5})),
        with(said("x"), "toolConfig", json!({"tools": []})),
        with(
            said("x"),
            "toolConfig",
            json!({"tools": [{"toolSpec": {"name": "a.b", "inputSchema": {"json": {"type": "object"}}}}]}),
        ),
        with(said("x"), "toolConfig", with(weather(), "toolChoice", json!({"none": {}}))),
        with(said("x"), "system", json!([{"text": ""}])),
        with(
            said("x"),
            "additionalModelRequestFields",
            json!({"thinking": {"type": "enabled", "budget_tokens": 5}}),
        ),
        with(
            said("x"),
            "outputConfig",
            json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": {"type": "object"}}}}}),
        ),
        with(said("x"), "outputConfig", json!({"effort": "minimal"})),
    ];
    let mut lines = Vec::new();
    for body in &cases {
        let answer = ask(&simulator, "converse", body).await;
        let kind = answer.header("x-amzn-errortype").split(':').next().unwrap().to_owned();
        lines.push(format!("{} {kind}: {}", answer.status, answer.json()["message"].as_str().unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn tokens_are_counted_and_embeddings_made() {
    let simulator = start(DialectName::Converse).await;
    let count =
        ask(&simulator, "count-tokens", &json!({"input": {"converse": said("Hello there")}})).await.json();
    let usage = ask(&simulator, "converse", &said("Hello there")).await.json()["usage"].clone();
    assert_eq!(count["inputTokens"], usage["inputTokens"]);
    let embed = |model: &'static str, body: Value| {
        let simulator = &simulator;
        async move { send(simulator, post(&format!("/model/{model}/invoke"), &body, BEDROCK)).await.unwrap() }
    };
    let titan =
        embed("amazon.titan-embed-text-v2%3A0", json!({"inputText": "a", "dimensions": 256})).await.json();
    assert_eq!(titan["embedding"].as_array().unwrap().len(), 256);
    let cohere = json!({"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]});
    let cohere = embed("cohere.embed-v4%3A0", cohere).await;
    assert_eq!(cohere.json()["embeddings"]["float"].as_array().unwrap().len(), 2);
    assert_eq!(embed("meta.llama3-8b-instruct-v1%3A0", json!({})).await.status, 400);
}

#[tokio::test]
async fn keys_are_checked() {
    let config = SimConfig::new(DialectName::Converse).with_keys(&["good", "AKID:secret"]);
    let simulator = Simulator::start(config).await.unwrap();
    let path = format!("/model/{CLAUDE}/converse");
    let ask = |authorization: &'static str| {
        let headers: &[(&str, &str)] =
            if authorization.is_empty() { &[] } else { &[("authorization", authorization)] };
        let request = post(&path, &said("x"), headers);
        let simulator = &simulator;
        async move {
            let answer = send(simulator, request).await.unwrap();
            let kind = answer.headers.get("x-amzn-errortype").map_or("", |kind| kind.to_str().unwrap());
            format!("{} {}", answer.status, kind.split(':').next().unwrap())
        }
    };
    assert_eq!(ask("Bearer good").await, "200 ");
    assert_eq!(ask("Bearer bad").await, "403 UnrecognizedClientException");
    assert_eq!(ask("").await, "403 MissingAuthenticationTokenException");
    let forged = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";
    assert_eq!(ask(forged).await, "403 InvalidSignatureException");
}

fn ranking(arn: &str) -> Value {
    let source = |text: &str| json!({"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}});
    json!({
        "queries": [{"type": "TEXT", "textQuery": {"text": "weather in Oslo"}}],
        "sources": [source("the weather in Oslo"), source("how to bake bread"), source("Oslo weather today")],
        "rerankingConfiguration": {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": {
            "modelConfiguration": {"modelArn": arn}, "numberOfResults": 2}},
    })
}

#[tokio::test]
async fn documents_are_ordered_for_models_named_by_their_arn() {
    let simulator = start(DialectName::Converse).await;
    let arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0";
    let answer = send(&simulator, post("/rerank", &ranking(arn), BEDROCK)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let order: Vec<_> =
        body["results"].as_array().unwrap().iter().map(|result| result["index"].clone()).collect();
    assert_eq!(order, [0, 2]);
    let mut told = Vec::new();
    let mut wrong = vec![ranking("amazon.rerank-v1:0")];
    for (pointer, value) in [
        ("/queries/0/type", json!("IMAGE")),
        ("/sources/1/inlineDocumentSource/textDocument/text", json!("")),
        ("/sources", json!([])),
        ("/rerankingConfiguration/bedrockRerankingConfiguration/numberOfResults", json!(0)),
    ] {
        let mut body = ranking(arn);
        *body.pointer_mut(pointer).unwrap() = value;
        wrong.push(body);
    }
    wrong.push(with(ranking(arn), "documents", json!(["a"])));
    for body in wrong {
        let answer = send(&simulator, post("/rerank", &body, BEDROCK)).await.unwrap();
        told.push(format!("{} {}", answer.status, answer.json()["message"]));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn the_sister_service_takes_no_api_keys() {
    let config = SimConfig::new(DialectName::Converse).with_keys(&["sim-key", "AKID:secret"]);
    let simulator = Simulator::start(config).await.unwrap();
    let arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0";
    let answer = send(&simulator, post("/rerank", &ranking(arn), BEDROCK)).await.unwrap();
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.header("x-amzn-errortype").starts_with("AccessDeniedException"));
}
