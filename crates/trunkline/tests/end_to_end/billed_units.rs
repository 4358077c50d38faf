//! A provider that says what of a call it bills: the log has all of it, the cost only that.

use crate::support::{Gateway, provider, simulator};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use trunkline_model::money::{Cost, CostConfidence};
use trunkline_model::usage::UsageSource;
use trunkline_sim::DialectName;

#[tokio::test(flavor = "multi_thread")]
async fn what_went_through_the_model_is_shown_and_what_is_billed_is_charged() {
    let cohere = simulator(DialectName::Cohere).await;
    let gateway =
        Gateway::start(&format!("providers:\n{}", provider("co", DialectName::Cohere, &cohere.base_url())))
            .await;
    for streamed in [false, true] {
        let body = json!({"model": "co/command-a-03-2025", "stream": streamed, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "Hello there"}]});
        let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = gateway.record(answer.id()).await;
        let usage = record.usage;
        // The simulated preamble has sixty tokens.
        assert_eq!((usage.unbilled.prompt, usage.unbilled.completion), (60, 0), "{usage:?}");
        let told = if streamed {
            let usage = answer.events().iter().rev().find_map(|(_, data)| {
                let value: serde_json::Value = serde_json::from_str(data).ok()?;
                value["usage"]["prompt_tokens"].as_u64()
            });
            usage.unwrap_or_default()
        } else {
            answer.json()["usage"]["prompt_tokens"].as_u64().unwrap()
        };
        assert_eq!(told, usage.prompt(), "the client sees what went through the model");
        // Two and a half dollars and ten dollars for a million tokens.
        let expected = i64::try_from((usage.prompt() - 60) * 2_500 + usage.completion() * 10_000).unwrap();
        let amount = record.cost.amount.map(|amount| amount.0);
        assert_eq!((amount, record.cost.confidence), (Some(expected), CostConfidence::Exact), "{record:?}");
    }
}

/// A server that answers every call alike.
async fn server(content_type: &'static str, body: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            // The body of a request ends with the brace of its object, and every call here is small.
            while !request.ends_with(b"}") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
        }
    });
    address
}

/// Servers that fill `usage` with zeros, or with what the protocol does not have, do not give their answers away.
#[tokio::test(flavor = "multi_thread")]
async fn usage_of_zeros_does_not_make_an_answer_free() {
    let plain = server(
        "application/json",
        r#"{"id":"1","object":"chat.completion","created":1,"model":"mine","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there, how are you today?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":-10,"completion_tokens":0,"total_tokens":"12"}}"#,
    )
    .await;
    let streamed = server(
        "text/event-stream",
        "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mine\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there, how are you today?\"},\"finish_reason\":\"stop\"}]}\n\n\
         data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mine\",\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}}\n\n\
         data: [DONE]\n\n",
    )
    .await;
    let own = |name: &str, address| {
        format!(
            "  {name}: {{ preset: openai-compatible, url: \"http://{address}/v1\", key: k, models: [mine] }}\n"
        )
    };
    let price = "price: { input: 1, output: 2 }";
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}models:\n  plain/mine: {{ {price} }}\n  streamed/mine: {{ {price} }}\n",
        own("plain", plain),
        own("streamed", streamed)
    ))
    .await;
    for (name, is_stream) in [("plain", false), ("streamed", true)] {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let body = json!({"model": format!("{name}/mine"), "stream": is_stream, "max_tokens": 100,
                "messages": [{"role": "user", "content": "Hello, who is there?"}]});
            let answer = gateway.post(path, body.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let record = gateway.record(answer.id()).await;
            assert!(record.usage.prompt() > 3 && record.usage.completion() > 3, "{path} {record:?}");
            assert_eq!(record.usage_source, UsageSource::Estimated, "{path} {record:?}");
            assert_eq!(record.cost.confidence, CostConfidence::Estimated, "{path} {record:?}");
            assert!(record.cost.amount.is_some_and(|amount| amount.0 > 0), "{path} {record:?}");
        }
    }
}

/// Keys, sums and bytes are no words, and no single tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_without_spaces_is_not_estimated_as_a_word() {
    let address = server(
        "application/json",
        r#"{"id":"1","object":"chat.completion","created":1,"model":"mine","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#,
    )
    .await;
    let gateway = Gateway::start(&format!(
        "providers:\n  own: {{ preset: openai-compatible, url: \"http://{address}/v1\", key: k, models: [mine] }}\n"
    ))
    .await;
    let body = json!({"model": "own/mine", "messages": [{"role": "user", "content": "q83vEjRWeJq83vEjRWeJ".repeat(200)}]});
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = gateway.record(answer.id()).await;
    assert_eq!(record.usage_source, UsageSource::Estimated);
    assert!((800..8_000).contains(&record.usage.prompt()), "{record:?}");
}

/// An answer as its provider would send it, whole and in pieces; what comes of it must be priced alike.
async fn costs(
    provider: &str,
    model: &str,
    answers: [(&'static str, String); 2],
    expected: (i64, CostConfidence),
) {
    for (content_type, body) in answers {
        let address = server(content_type, body.leak()).await;
        let url = format!("http://{address}");
        let gateway =
            Gateway::start(&format!("providers:\n  {provider}: {{ url: \"{url}\", key: k }}\n")).await;
        // The vendor has an endpoint of its own for responses.
        let paths = ["/v1/chat/completions", "/v1/messages", "/v1/responses"];
        for path in &paths[..if provider == "openai" { 2 } else { 3 }] {
            let mut body =
                json!({"model": format!("{provider}/{model}"), "stream": content_type.starts_with("text/")});
            if *path == "/v1/responses" {
                body["input"] = json!("Hi");
            } else {
                body["max_tokens"] = json!(100);
                body["messages"] = json!([{"role": "user", "content": "Hi"}]);
            }
            let answer = gateway.post(path, body.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let record = gateway.record(answer.id()).await;
            let cost = (record.cost.amount.map_or(-1, |amount| amount.0), record.cost.confidence);
            assert_eq!(cost, expected, "{path} {content_type} {:?}", record.usage);
        }
    }
}

/// An answer of OpenAI's protocol with this at its top and this usage.
fn completion(more: &str, usage: &str) -> [(&'static str, String); 2] {
    let head = format!(r#""id":"1","created":1,"model":"m"{more}"#);
    let whole = format!(
        r#"{{{head},"object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hi"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
    );
    let stream = format!(
        "data: {{{head},\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"Hi\"}},\"finish_reason\":\"stop\"}}]}}\n\n\
         data: {{{head},\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
    );
    [("application/json", whole), ("text/event-stream", stream)]
}

/// Who asks for no tier, or for `auto`, learns from the answer alone which one it was.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_tier_that_an_answer_tells_is_the_one_that_is_billed() {
    let usage = r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":400}}"#;
    // Dollars for a million tokens: 1.25, 0.125 from the cache, 10; half of that flexible, twice with priority.
    for (tier, nanos, confidence) in [
        ("default", 1_800_000, CostConfidence::Exact),
        ("flex", 900_000, CostConfidence::Exact),
        ("priority", 3_600_000, CostConfidence::Exact),
        ("scale", 1_800_000, CostConfidence::Estimated),
    ] {
        let answers = completion(&format!(r#","service_tier":"{tier}""#), usage);
        costs("openai", "gpt-5", answers, (nanos, confidence)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_in_a_conversation_has_its_own_price() {
    let usage = r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500,"prompt_tokens_details":{"audio_tokens":600},"completion_tokens_details":{"audio_tokens":400}}"#;
    // 400 x 2.5 + 600 x 32 + 100 x 10 + 400 x 64 millionths of a dollar.
    costs("openai", "gpt-audio", completion("", usage), (46_800_000, CostConfidence::Exact)).await;
    let answer = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":100,"totalTokenCount":1100,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":600},{"modality":"TEXT","tokenCount":400}]}}"#;
    let answers =
        [("application/json", answer.to_owned()), ("text/event-stream", format!("data: {answer}\n\n"))];
    // 400 x 0.3 + 600 x 1 + 100 x 2.5 millionths.
    costs("gemini", "gemini-2.5-flash", answers, (970_000, CostConfidence::Exact)).await;
}

/// The end of a response says all of it, also what tools ran that are billed beside tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_billed_by_its_service_tier_and_never_surely_beside_tools() {
    let search = r#"{"type":"web_search_call","id":"ws","status":"completed","action":{"type":"search","query":"q"}},"#;
    for (tier, tool, nanos, confidence) in [
        ("flex", "", 1_125_000, CostConfidence::Exact),
        ("priority", "", 4_500_000, CostConfidence::Exact),
        ("default", search, 2_250_000, CostConfidence::Estimated),
    ] {
        let answer = format!(
            r#"{{"id":"r","object":"response","created_at":1,"status":"completed","model":"gpt-5","service_tier":"{tier}","output":[{tool}{{"type":"message","id":"m","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"Hi","annotations":[]}}]}}],"usage":{{"input_tokens":1000,"output_tokens":100,"total_tokens":1100}}}}"#
        );
        let address = server("application/json", answer.leak()).await;
        let gateway =
            Gateway::start(&format!("providers:\n  openai: {{ url: \"http://{address}\", key: k }}\n")).await;
        let body = json!({"model": "openai/gpt-5", "input": "Hi"});
        let answer = gateway.post("/v1/responses", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = gateway.record(answer.id()).await;
        let cost = (record.cost.amount.map_or(-1, |amount| amount.0), record.cost.confidence);
        assert_eq!(cost, (nanos, confidence), "{tier} {:?}", record.usage);
    }
}

/// Tools that a provider runs cost beside tokens.
#[tokio::test(flavor = "multi_thread")]
async fn searches_of_the_web_are_billed_beside_the_tokens() {
    let message = |usage: &str| {
        let head = r#""id":"m","type":"message","role":"assistant","model":"m","stop_sequence":null"#;
        let whole = format!(
            r#"{{{head},"content":[{{"type":"text","text":"Hi"}}],"stop_reason":"end_turn","usage":{usage}}}"#
        );
        let stream = [
            (
                "message_start",
                format!(
                    r#""message":{{{head},"content":[],"stop_reason":null,"usage":{{"input_tokens":1000,"output_tokens":1}}}}"#
                ),
            ),
            ("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#.to_owned()),
            ("content_block_delta", r#""index":0,"delta":{"type":"text_delta","text":"Hi"}"#.to_owned()),
            ("content_block_stop", r#""index":0"#.to_owned()),
            (
                "message_delta",
                format!(r#""delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{usage}"#),
            ),
        ];
        let stream =
            stream.map(|(name, rest)| format!("event: {name}\ndata: {{\"type\":\"{name}\",{rest}}}\n\n"));
        let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        [("application/json", whole), ("text/event-stream", stream.concat() + end)]
    };
    // 1,000 x 5 + 100 x 25 millionths of a dollar, and ten dollars for a thousand searches.
    let searched =
        message(r#"{"input_tokens":1000,"output_tokens":100,"server_tool_use":{"web_search_requests":2}}"#);
    costs("anthropic", "claude-opus-4-6", searched, (27_500_000, CostConfidence::Exact)).await;
    // Some regions and the faster mode cost more than any list says.
    for more in [r#""inference_geo":"us""#, r#""speed":"fast""#] {
        let apart = message(&format!(r#"{{"input_tokens":1000,"output_tokens":100,{more}}}"#));
        costs("anthropic", "claude-opus-4-6", apart, (7_500_000, CostConfidence::Estimated)).await;
    }
    let usual = message(
        r#"{"input_tokens":1000,"output_tokens":100,"inference_geo":"global","service_tier":"standard","speed":"standard","server_tool_use":null}"#,
    );
    costs("anthropic", "claude-opus-4-6", usual, (7_500_000, CostConfidence::Exact)).await;
}

/// An answer of Gemini's protocol with this at its candidate, a thousand tokens in and a hundred out.
fn generated(more: &str) -> [(&'static str, String); 2] {
    let answer = format!(
        r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"Hi"}}]}},"finishReason":"STOP","index":0{more}}}],"usageMetadata":{{"promptTokenCount":1000,"candidatesTokenCount":100,"totalTokenCount":1100}}}}"#
    );
    [("application/json", answer.clone()), ("text/event-stream", format!("data: {answer}\n\n"))]
}

/// Gemini's own API has no word for it in the body.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_tier_in_the_head_of_an_answer_is_billed() {
    // 1,000 x 0.3 + 100 x 2.5 millionths; half of that flexible, nearly twice with priority.
    for (heads, nanos) in [
        (
            [
                "application/json\r\nx-gemini-service-tier: flex",
                "text/event-stream\r\nx-gemini-service-tier: flex",
            ],
            275_000,
        ),
        (
            [
                "application/json\r\nx-gemini-service-tier: priority",
                "text/event-stream\r\nx-gemini-service-tier: priority",
            ],
            990_000,
        ),
        (
            [
                "application/json\r\nx-gemini-service-tier: standard",
                "text/event-stream\r\nx-gemini-service-tier: standard",
            ],
            550_000,
        ),
    ] {
        let [(_, whole), (_, stream)] = generated("");
        let answers = [(heads[0], whole), (heads[1], stream)];
        costs("gemini", "gemini-2.5-flash", answers, (nanos, CostConfidence::Exact)).await;
    }
}

/// By request where a model always searches, by query or by request that searched where it may; some of those are free.
#[tokio::test(flavor = "multi_thread")]
async fn searches_are_billed_by_what_the_list_counts() {
    let usage = r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#;
    // 1,000 x 2.5 + 100 x 10 millionths of a dollar, and 25 dollars for a thousand requests.
    let always = (28_500_000, CostConfidence::Exact);
    costs("openai", "gpt-4o-search-preview", completion("", usage), always).await;
    let searched = r#","groundingMetadata":{"webSearchQueries":["a","","b","a"],"groundingChunks":[]}"#;
    // 1,000 x 0.3 + 100 x 2.5, and 35 dollars for a thousand requests.
    let request = (35_550_000, CostConfidence::Estimated);
    costs("gemini", "gemini-2.5-flash", generated(searched), request).await;
    // 1,000 x 0.5 + 100 x 3, and 14 dollars for a thousand queries.
    let queries = (28_800_000, CostConfidence::Estimated);
    costs("gemini", "gemini-3-flash-preview", generated(searched), queries).await;
    let none = r#","groundingMetadata":{"groundingChunks":[]}"#;
    costs("gemini", "gemini-2.5-flash", generated(none), (550_000, CostConfidence::Exact)).await;
}

/// A zero would read as a price: in the record, in the metrics, and to whatever learns from them.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_prices_is_unknown_everywhere_and_never_zero() {
    let sim = simulator(DialectName::OpenAi).await;
    let own = format!(
        "  own: {{ preset: openai-compatible, url: \"{}/v1\", key: k, models: [mine] }}\n",
        sim.base_url()
    );
    let providers = provider("oa", DialectName::OpenAi, &sim.base_url()) + &own;
    let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let asked = [
        ("/v1/moderations", json!({"model": "oa/omni-moderation-latest", "input": "Hello"})),
        ("/v1/chat/completions", json!({"model": "own/mine", "messages": messages})),
        ("/v1/chat/completions", json!({"model": "own/mine", "messages": messages, "stream": true})),
    ];
    for (path, body) in asked {
        let answer = gateway.post(path, body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.headers.contains_key("x-trunkline-cost-usd"));
        let record = gateway.record(answer.id()).await;
        assert_eq!(record.cost, Cost::UNKNOWN, "{path}");
        let decision = gateway.get(&format!("/v1/decisions/{}", answer.id())).await.json();
        assert_eq!(decision["cost"]["amount"], json!(null), "{decision}");
        if path == "/v1/moderations" {
            assert_eq!(record.usage.output, 0, "nothing was generated: {:?}", record.usage);
        }
    }
    let metrics = gateway.get("/metrics").await;
    let lines = |name: &str| -> Vec<&str> {
        metrics.text().lines().filter(|line| line.starts_with(name) && line.contains("route=")).collect()
    };
    assert!(lines("trunkline_cost_dollars_total").is_empty(), "{:?}", lines("trunkline_cost_dollars_total"));
    let unknown = lines("trunkline_unknown_cost_requests_total");
    let counted: Vec<&str> = unknown.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(
        (unknown.len(), counted.contains(&"1"), counted.contains(&"2")),
        (2, true, true),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_of_the_day_is_charged() {
    let sim = simulator(DialectName::OpenAi).await;
    let models = "models:\n  oa/gpt-4.1-mini:\n    price: { input: 1, output: 1 }\n    changes:\n    \
        - { effective_at: 2020-01-01, price: { input: 1000, output: 1000 } }\n    \
        - { effective_at: 2999-01-01, price: { input: 7, output: 7 } }\n";
    let providers = provider("oa", DialectName::OpenAi, &sim.base_url());
    let gateway = Gateway::start(&format!("providers:\n{providers}{models}")).await;
    let body = json!({"model": "oa/gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]});
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    let record = gateway.record(answer.id()).await;
    let nanos = i64::try_from(record.usage.total() * 1_000_000).unwrap();
    assert_eq!(
        (record.cost.amount.map(|amount| amount.0), record.cost.confidence),
        (Some(nanos), CostConfidence::Exact)
    );
}
