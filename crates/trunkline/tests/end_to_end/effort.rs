//! How deeply to reason, said by header, key, route, step or tier, and pins of keys: what providers get, and what clients are told.

use crate::support::{Answer, Gateway, KEY, provider, simulator};
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

struct Scene {
    gateway: Gateway,
    openai: Simulator,
    anthropic: Simulator,
    gemini: Simulator,
}

impl Scene {
    async fn new(route: &str, keys: &str) -> Self {
        let (openai, anthropic, gemini) = (
            simulator(DialectName::OpenAi).await,
            simulator(DialectName::Anthropic).await,
            simulator(DialectName::Gemini).await,
        );
        let providers = provider("openai", DialectName::OpenAi, &openai.base_url())
            + &provider("anthropic", DialectName::Anthropic, &anthropic.base_url())
            + &provider("gemini", DialectName::Gemini, &gemini.base_url());
        let gateway = Gateway::start(&format!("providers:\n{providers}{route}{keys}")).await;
        Self { gateway, openai, anthropic, gemini }
    }

    /// Sends a body with an effort in the header, where one is given.
    async fn send(&self, path: &str, body: &str, effort: Option<&str>) -> Answer {
        let mut request = self.gateway.builder(path);
        if path.contains("messages") {
            request = request.header("anthropic-version", "2023-06-01");
        }
        if let Some(effort) = effort {
            request = request.header("x-trunkline-effort", effort);
        }
        let answer = self.gateway.send(request.body(Full::from(body.to_owned())).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}

fn received(simulator: &Simulator) -> String {
    String::from_utf8(simulator.last_request().unwrap().body.to_vec()).unwrap()
}

fn warnings(answer: &Answer) -> &str {
    answer.headers.get("x-trunkline-warnings").map_or("", |value| value.to_str().unwrap())
}

const HEADER: &str = "reasoning effort set to high by the header";

#[tokio::test(flavor = "multi_thread")]
async fn the_header_sets_it_in_every_protocol_and_the_rest_passes_byte_for_byte() {
    let scene = Scene::new("", "").await;
    let chat = r#"{ "model":"openai/gpt-5", "reasoning_effort": "low","messages":[{"role":"user","content":"h\u0069"}] }"#;
    let answer = scene.send("/v1/chat/completions", chat, Some("high")).await;
    assert_eq!(received(&scene.openai), chat.replace("openai/gpt-5", "gpt-5").replace("\"low\"", "\"high\""));
    assert_eq!(warnings(&answer), HEADER);

    let turn = r#"{"model":"openai/gpt-5","input":"h\u0069","store":false,"reasoning": { "summary":"auto" ,"effort":"low"}}"#;
    let answer = scene.send("/v1/responses", turn, Some("high")).await;
    let body = received(&scene.openai);
    assert!(
        body.contains(r#""reasoning":{"summary":"auto","effort":"high"}"#)
            || body.contains(r#""reasoning": {"summary":"auto","effort":"high"}"#),
        "{body}"
    );
    assert!(body.contains(r"h\u0069"), "{body}");
    assert!(warnings(&answer).contains(HEADER), "{}", warnings(&answer));

    let message = r#"{"model":"anthropic/claude-sonnet-4-5","max_tokens":20000,"messages":[{"role":"user","content":"h\u0069"}]}"#;
    let answer = scene.send("/v1/messages", message, Some("high")).await;
    let body = received(&scene.anthropic);
    let expected = message
        .replace("anthropic/claude", "claude")
        .replace("\"}]}", "\"}],\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":16384}}");
    assert_eq!(body, expected);
    assert!(warnings(&answer).contains(HEADER), "{}", warnings(&answer));

    let generate = r#"{"contents":[{"role":"user","parts":[{"text":"h\u0069"}]}],"generationConfig":{ "topP": 0.50,"thinkingConfig":{"thinkingBudget":128}}}"#;
    let path = "/v1beta/models/gemini-2.5-flash:generateContent";
    let answer = scene.send(path, generate, Some("none")).await;
    let body = received(&scene.gemini);
    assert!(body.contains(r#""topP":0.50"#) && body.contains(r"h\u0069"), "{body}");
    let value: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(value.pointer("/generationConfig/thinkingConfig/thinkingBudget"), Some(&json!(0)), "{body}");
    assert!(
        warnings(&answer).contains("reasoning effort set to none by the header"),
        "{}",
        warnings(&answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_carried_into_other_protocols_and_left_out_where_a_model_cannot() {
    let scene = Scene::new("", "").await;
    let chat =
        |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let answer = scene.send("/v1/chat/completions", &chat("anthropic/claude-sonnet-4-5"), Some("low")).await;
    let value: Value = serde_json::from_str(&received(&scene.anthropic)).unwrap();
    assert_eq!(value["thinking"]["type"], "enabled", "{value}");
    assert!(warnings(&answer).contains("reasoning effort set to low by the header"), "{}", warnings(&answer));

    let answer = scene.send("/v1/chat/completions", &chat("gemini/gemini-2.5-flash"), Some("high")).await;
    let value: Value = serde_json::from_str(&received(&scene.gemini)).unwrap();
    assert!(value.pointer("/generationConfig/thinkingConfig").is_some(), "{value}");
    assert!(warnings(&answer).contains(HEADER), "{}", warnings(&answer));

    let answer = scene.send("/v1/chat/completions", &chat("openai/gpt-4.1-mini"), Some("high")).await;
    let value: Value = serde_json::from_str(&received(&scene.openai)).unwrap();
    assert_eq!(value.get("reasoning_effort"), None, "{value}");
    assert_eq!(
        warnings(&answer),
        "reasoning effort dropped: the header wants high, and the model cannot reason"
    );
    // Nothing to say where the body says the same.
    let mut same: Value = serde_json::from_str(&chat("openai/gpt-5")).unwrap();
    same["reasoning_effort"] = json!("high");
    let answer = scene.send("/v1/chat/completions", &same.to_string(), Some("high")).await;
    assert_eq!(warnings(&answer), "");
}

const ROUTE: &str = "routes:\n  main:\n    effort: low\n    tiers:\n      \
    cheap: { deployments: [openai/gpt-5-mini] }\n      strong: { deployments: [openai/gpt-5], effort: medium }\n    \
    decide:\n      - { when: \"request.tools > 0\", use: strong, effort: high }\n      \
    - { when: \"request.has_code\", use: strong }\n      - { use: cheap }\n";

#[tokio::test(flavor = "multi_thread")]
async fn key_header_step_tier_and_route_speak_in_this_order() {
    let keys = format!(
        "keys:\n  app: {{ key: {KEY} }}\n  frugal: {{ key: sk-frugal-0123456789abcdef, effort: minimal }}\n"
    );
    let scene = Scene::new(ROUTE, &keys).await;
    let body = |text: &str, tools: bool| {
        let mut body = json!({"model": "main", "messages": [{"role": "user", "content": text}]});
        if tools {
            body["tools"] =
                json!([{"type": "function", "function": {"name": "go", "parameters": {"type": "object"}}}]);
        }
        body.to_string()
    };
    let code = "```rust\nfn main() {}\n```";
    for (text, tools, header, effort, by) in [
        ("hi", false, None, "low", "route"),
        (code, false, None, "medium", "tier"),
        ("hi", true, None, "high", "step"),
        ("hi", true, Some("none"), "minimal", "header"),
    ] {
        let answer = scene.send("/v1/chat/completions", &body(text, tools), header).await;
        let value: Value = serde_json::from_str(&received(&scene.openai)).unwrap();
        assert_eq!(value["reasoning_effort"], effort, "{value}");
        let told = format!("reasoning effort set to {effort} by the {by}");
        assert!(warnings(&answer).starts_with(&told), "{}", warnings(&answer));
    }
    let request = scene.gateway.builder("/v1/chat/completions").header("x-trunkline-effort", "high");
    let mut request = request.body(Full::from(body("hi", true))).unwrap();
    request.headers_mut().insert("authorization", "Bearer sk-frugal-0123456789abcdef".parse().unwrap());
    let answer = scene.gateway.send(request).await;
    let value: Value = serde_json::from_str(&received(&scene.openai)).unwrap();
    assert_eq!(value["reasoning_effort"], "minimal", "{value}");
    assert!(warnings(&answer).contains("by the key"), "{}", warnings(&answer));

    let request = scene.gateway.builder("/v1/chat/completions").header("x-trunkline-effort", "much");
    let refused = scene.gateway.send(request.body(Full::from(body("hi", false))).unwrap()).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("x-trunkline-effort"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effort_that_contradicts_the_request_is_given_up_and_a_strict_request_is_not_refused_for_it() {
    let scene = Scene::new("", "").await;
    let forced = json!({
        "model": "anthropic/claude-sonnet-4-5", "max_tokens": 20_000, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "go", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"},
    });
    let answer = scene.send("/v1/messages", &forced.to_string(), Some("high")).await;
    let value: Value = serde_json::from_str(&received(&scene.anthropic)).unwrap();
    assert_eq!(value.get("thinking"), None, "{value}");
    assert!(warnings(&answer).starts_with("reasoning effort dropped"), "{}", warnings(&answer));

    let body = json!({"model": "openai/gpt-5", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let request = scene.gateway.builder("/v1/chat/completions");
    let request = request.header("x-trunkline-effort", "high").header("x-trunkline-strict", "true");
    let answer = scene.gateway.send(request.body(Full::from(body)).unwrap()).await;
    assert_eq!((answer.status, warnings(&answer)), (200, HEADER), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_key_uses_its_deployment_whatever_is_asked() {
    let route = "routes:\n  main:\n    tiers:\n      cheap: { deployments: [openai/gpt-5-mini] }\n      strong: { deployments: [openai/gpt-5] }\n    decide:\n      - { when: \"request.messages > 0\", use: strong }\n      - { pin: true }\n";
    let keys = format!(
        "keys:\n  app: {{ key: {KEY} }}\n  pinned: {{ key: sk-pinned-0123456789abcdef, pin: openai/gpt-5-mini }}\n"
    );
    let scene = Scene::new(route, &keys).await;
    let ask = async |key: &str, pin: Option<&str>, strict: bool| {
        let mut request = scene.gateway.builder("/v1/chat/completions");
        if let Some(pin) = pin {
            request = request.header("x-trunkline-pin", pin);
        }
        if strict {
            request = request.header("x-trunkline-strict", "true");
        }
        let body = json!({"model": "main", "messages": [{"role": "user", "content": "hi"}]});
        let mut request = request.body(Full::from(body.to_string())).unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        scene.gateway.send(request).await
    };
    let (key, mini) = ("sk-pinned-0123456789abcdef", "openai/gpt-5-mini");
    assert_eq!(ask(KEY, None, false).await.header("x-trunkline-model"), "gpt-5", "the first step decides");
    assert_eq!(ask(KEY, Some(mini), false).await.header("x-trunkline-model"), "gpt-5", "before the pin");
    let answer = ask(key, None, true).await;
    assert_eq!((answer.status, answer.header("x-trunkline-model")), (200, "gpt-5-mini"), "{}", answer.text());
    assert_eq!(warnings(&answer), "");
    let decision = answer.header("x-trunkline-decision").to_owned();
    for same in [mini, "gpt-5-mini"] {
        assert_eq!(warnings(&ask(key, Some(same), false).await), "", "the same deployment in other words");
    }
    let answer = ask(key, Some("openai/gpt-5"), false).await;
    assert_eq!(answer.header("x-trunkline-model"), "gpt-5-mini");
    assert_eq!(warnings(&answer), "pin set to openai/gpt-5-mini by the key");
    let answer = ask(key, Some("openai/gpt-5"), true).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    insta::assert_snapshot!(answer.shown());

    let path = format!("/v1/decisions/{decision}");
    let mut request = scene.gateway.builder(&path).body(Full::default()).unwrap();
    *request.method_mut() = http::Method::GET;
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    let told = scene.gateway.send(request).await.json();
    assert_eq!(told["decision"]["decided_by"], "key-pin", "{told}");
    assert_eq!(told["decision"]["plan"]["legs"], json!([mini]), "nothing stands in for it: {told}");
}
