//! Bad input from clients of the responses API, of Gemini's and of rerank, at embeddings and token counts: told as chat clients are
//! told, in each client's own error object.

use crate::support::{Gateway, model, provider, simulator};
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

const KEYS: &str = "keys:\n  app: { key: sk-test-0123456789abcdef }\n  old: { key: sk-revoked-0123456789abcdef, revoked: true }\n  \
     narrow: { key: sk-narrow-0123456789abcdef, routes: [other] }\n";

/// A way to ask, beside chat: where, with what, and by which members its body is told apart from a wrong one.
struct Endpoint {
    path: &'static str,
    good: Value,
    /// The member without which nothing can be answered.
    essential: &'static str,
    /// Bodies that are wrong in ways only this endpoint knows.
    wrong: Vec<(&'static str, Value)>,
}

fn with(good: &Value, pointer: &str, value: Value) -> Value {
    let mut body = good.clone();
    match body.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => body[pointer.trim_start_matches('/')] = value,
    }
    body
}

fn responses() -> Endpoint {
    let good = json!({"model": "support", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]});
    let wrong = vec![
        ("an input that is a number", with(&good, "/input", json!(7))),
        ("an item that is a number", with(&good, "/input/0", json!(1))),
        ("a role nobody has", with(&good, "/input/0/role", json!("oracle"))),
        ("a part without a type", with(&good, "/input/0/content/0", json!({"text": "Hello"}))),
        ("stream that is a text", with(&good, "/stream", json!("yes"))),
        ("a limit that is a text", with(&good, "/max_output_tokens", json!("many"))),
        ("no model", with(&good, "/model", Value::Null)),
        ("an unknown model", with(&good, "/model", json!("suport"))),
        ("an answer before that nobody has", with(&good, "/previous_response_id", json!("resp_nobody"))),
    ];
    Endpoint { path: "/v1/responses", good, essential: "input", wrong }
}

fn gemini() -> Endpoint {
    let good = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
    let wrong = vec![
        ("contents that are a text", with(&good, "/contents", json!("Hello"))),
        ("a content that is a number", with(&good, "/contents/0", json!(1))),
        ("parts that are a number", with(&good, "/contents/0/parts", json!(5))),
        ("a role nobody has", with(&good, "/contents/0/role", json!("oracle"))),
        ("a limit that is a text", with(&good, "/generationConfig", json!({"maxOutputTokens": "many"}))),
        ("settings that are a list", with(&good, "/generationConfig", json!([1]))),
        ("tools that are an object", with(&good, "/tools", json!({"functionDeclarations": 1}))),
    ];
    Endpoint { path: "/v1beta/models/support:generateContent", good, essential: "contents", wrong }
}

fn rerank() -> Endpoint {
    let good = json!({"model": "order", "query": "Hello", "documents": ["a", "b"]});
    let wrong = vec![
        ("a query that is a list", with(&good, "/query", json!(["Hello"]))),
        ("documents that are a text", with(&good, "/documents", json!("a"))),
        ("no documents at all", with(&good, "/documents", json!([]))),
        ("a document that is a number", with(&good, "/documents/1", json!(3))),
        ("an unknown model", with(&good, "/model", json!("ordr"))),
        ("a model that does not order", with(&good, "/model", json!("support"))),
    ];
    Endpoint { path: "/v2/rerank", good, essential: "documents", wrong }
}

fn embeddings() -> Endpoint {
    let good = json!({"model": "vectors", "input": ["Hello"]});
    let wrong = vec![
        ("an input that is an object", with(&good, "/input", json!({"text": "Hello"}))),
        ("a form nobody has", with(&good, "/encoding_format", json!("words"))),
        ("a number of dimensions that is a text", with(&good, "/dimensions", json!("many"))),
        ("an unknown model", with(&good, "/model", json!("vektors"))),
        ("a model that does not embed", with(&good, "/model", json!("support"))),
    ];
    Endpoint { path: "/v1/embeddings", good, essential: "input", wrong }
}

fn counting() -> Endpoint {
    let good = json!({"model": "support", "messages": [{"role": "user", "content": "Hello"}]});
    let wrong = vec![
        ("messages that are a text", with(&good, "/messages", json!("Hello"))),
        ("a model that is a number", with(&good, "/model", json!(7))),
        ("an unknown model", with(&good, "/model", json!("suport"))),
    ];
    Endpoint { path: "/v1/messages/count_tokens", good, essential: "messages", wrong }
}

/// Bodies that are wrong whatever is asked for.
fn broken(endpoint: &Endpoint) -> Vec<(&'static str, Vec<u8>)> {
    let good = endpoint.good.to_string();
    let mut without = endpoint.good.clone();
    without.as_object_mut().unwrap().remove(endpoint.essential);
    let before = |member: &str| good.replacen('{', &format!("{{{member},"), 1).into_bytes();
    let mut invalid_text = good.clone().into_bytes();
    let at = good.find("Hello").unwrap();
    invalid_text[at] = 0xff;
    vec![
        ("no body", Vec::new()),
        ("not JSON", b"model=support".to_vec()),
        ("a comma too many", before("")),
        ("cut off", good.as_bytes()[..good.len() * 2 / 3].to_vec()),
        ("two documents", [good.clone(), good.clone()].concat().into_bytes()),
        ("a list", b"[1, 2]".to_vec()),
        ("the essential missing", without.to_string().into_bytes()),
        ("a field twice", before(&format!("\"{}\": []", endpoint.essential))),
        ("a field twice further in", before("\"metadata\": {\"a\": {\"b\": 1, \"\\u0062\": 2}}")),
        ("invalid UTF-8", invalid_text),
        ("deep nesting", before(&format!("\"x\": {}{}", "[".repeat(20_000), "]".repeat(20_000)))),
        ("too large", before(&format!("\"x\": \"{}\"", "x".repeat(110_000)))),
    ]
}

async fn gateway() -> (Vec<Simulator>, Gateway) {
    let chat = simulator(DialectName::OpenAi).await;
    let ordering = simulator(DialectName::Cohere).await;
    let providers = [
        provider("only", DialectName::OpenAi, &chat.base_url()),
        provider("orders", DialectName::Cohere, &ordering.base_url()),
    ]
    .concat();
    let configuration = format!(
        "{KEYS}server: {{ body_limit: 100kB, client_timeout: 1s }}\nproviders:\n{providers}routes:\n  \
         support: {{ tiers: {{ one: {{ deployments: [only/{}] }} }} }}\n  \
         order: {{ tiers: {{ one: {{ deployments: [orders/rerank-v3.5] }} }} }}\n  \
         vectors: {{ tiers: {{ one: {{ deployments: [only/text-embedding-3-small] }} }} }}\n  \
         other: {{ tiers: {{ one: {{ deployments: [only/gpt-4.1] }} }} }}\n",
        model(DialectName::OpenAi)
    );
    let gateway = Gateway::start(&configuration).await;
    (vec![chat, ordering], gateway)
}

async fn refusals(endpoint: Endpoint) -> String {
    let (simulators, gateway) = gateway().await;
    let sent = || simulators.iter().map(|simulator| simulator.counters().requests).sum::<u64>();
    let mut shown = String::new();
    let own = endpoint.wrong.iter().map(|(what, body)| (*what, body.to_string().into_bytes()));
    for (what, body) in broken(&endpoint).into_iter().chain(own) {
        let before = sent();
        let answer = gateway.post(endpoint.path, body).await;
        assert!(answer.status >= 400 && answer.whole, "{what}: {answer:?}");
        // What passes through unchanged is judged by the provider where it is not read here.
        let judge = if sent() > before { " (the provider's word)" } else { "" };
        shown.push_str(&format!("## {what}{judge}\n{}\n\n", answer.shown()));
    }
    let before = sent();
    let heads: [(&str, &str, &str); 6] = [
        ("no key", "authorization", ""),
        ("an unknown key", "authorization", "Bearer sk-unknown"),
        ("a revoked key", "authorization", "Bearer sk-revoked-0123456789abcdef"),
        ("a key that may not use this route", "authorization", "Bearer sk-narrow-0123456789abcdef"),
        ("a wrong content type", "content-type", "text/plain"),
        ("a wrong option", "x-trunkline-timeout-ms", "soon"),
    ];
    for (what, name, value) in heads {
        let body = endpoint.good.to_string();
        let mut request = gateway.builder(endpoint.path).body(Full::new(body.into())).unwrap();
        request
            .headers_mut()
            .insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        shown.push_str(&format!("## {what}\n{}\n\n", gateway.send(request).await.shown()));
    }
    let mut request = gateway.builder(endpoint.path).body(Full::default()).unwrap();
    *request.method_mut() = http::Method::PUT;
    let answer = gateway.send(request).await;
    let allowed = answer.header("allow").to_owned();
    shown.push_str(&format!("## a wrong method\nallow: {allowed}\n{}\n\n", answer.shown()));
    assert_eq!(sent(), before, "nothing of these may reach a provider");
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_responses_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(responses()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_clients_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(gemini()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rerank_clients_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(rerank()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_embeddings_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(embeddings()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_count_tokens_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(counting()).await);
}

/// A forced tool and thoughts cannot go together on Claude, whichever protocol asks for them.
#[tokio::test(flavor = "multi_thread")]
async fn combinations_that_cannot_be_are_explained_to_clients_of_every_protocol() {
    let simulator = simulator(DialectName::Anthropic).await;
    let providers = provider("only", DialectName::Anthropic, &simulator.base_url());
    let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
    let named = format!("only/{}", model(DialectName::Anthropic));
    let schema = json!({"type": "object"});
    let asked = [
        (
            "/v1/responses".to_owned(),
            json!({"model": named, "input": "Hello", "reasoning": {"effort": "high"}, "tool_choice": "required",
                "tools": [{"type": "function", "name": "look", "parameters": schema, "strict": false}]}),
        ),
        (
            format!("/v1beta/models/{}:generateContent", named.replace('/', "%2F")),
            json!({"contents": [{"parts": [{"text": "Hello"}]}],
                "generationConfig": {"thinkingConfig": {"thinkingBudget": 2000}},
                "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
                "tools": [{"functionDeclarations": [{"name": "look", "description": "Looks"}]}]}),
        ),
    ];
    let mut shown = String::new();
    for (path, body) in asked {
        let answer = gateway.post(&path, body.to_string()).await;
        shown.push_str(&format!("## {path}\n{}\n\n", answer.shown()));
    }
    assert_eq!(simulator.requests().len(), 0);
    insta::assert_snapshot!(shown);
}

/// Which of two values counts is nobody's guess, on no endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_given_twice_is_refused_wherever_bodies_are_json() {
    let simulator = simulator(DialectName::OpenAi).await;
    let providers = provider("only", DialectName::OpenAi, &simulator.base_url());
    let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
    let mut shown = String::new();
    for (path, body) in [
        ("/v1/moderations", json!({"model": "only/omni-moderation-latest", "input": "Hello"})),
        ("/v1/images/generations", json!({"model": "only/gpt-image-2", "prompt": "A cat"})),
        ("/v1/audio/speech", json!({"model": "only/gpt-4o-mini-tts", "input": "Hello", "voice": "alloy"})),
        (
            "/v1/batches",
            json!({"completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": "f"}),
        ),
        ("/v1/messages/batches", json!({"requests": []})),
        ("/v1/conversations", json!({"metadata": {}})),
        ("/v1/feedback", json!({"score": 1})),
    ] {
        let text = body.to_string();
        let (name, value) = body.as_object().unwrap().iter().next().unwrap();
        let twice = format!("{}, \"{name}\": {value}}}", &text[..text.len() - 1]);
        let answer = gateway.post(path, twice).await;
        shown.push_str(&format!("## {path}\n{}\n\n", answer.shown()));
    }
    assert_eq!(simulator.requests().len(), 0);
    insta::assert_snapshot!(shown);
}
