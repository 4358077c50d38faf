//! Answers that cite their sources: what has no place in the client's protocol is told in every form of answer, and a conversation
//! goes on with what was cited.

use crate::support::{Answer, Gateway, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_sim::DialectName;

const CITE: &str = "What is the weather like? [[sim: cite]]";
const TOLD: &str = "citations emulated: they stand at the part of the answer that they are in";

fn asked(model: &str, streamed: bool) -> Value {
    json!({"model": model, "max_tokens": 500, "stream": streamed, "messages": [{"role": "user", "content": CITE}]})
}

fn warned(answer: &Answer) -> &str {
    answer.headers.get("x-trunkline-warnings").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_no_place_for_is_told_plain_streamed_and_in_the_record() {
    let upstream = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("first", DialectName::OpenAi, &upstream.base_url())
    ))
    .await;
    let name = format!("first/{}", model(DialectName::OpenAi));
    let plain = gateway.post("/v1/messages", asked(&name, false).to_string()).await;
    assert_eq!(plain.status, 200, "{}", plain.text());
    assert!(warned(&plain).starts_with(TOLD), "{:?}", plain.headers);
    let streamed = gateway.post("/v1/messages", asked(&name, true).to_string()).await;
    assert!(streamed.text().contains(&format!("\n: trunkline-warnings {TOLD}")), "{}", streamed.text());
    assert!(streamed.text().ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    for answer in [&plain, &streamed] {
        let record = gateway.record(answer.id()).await;
        let warnings: Vec<String> = record.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning.starts_with(TOLD)), "{warnings:?}");
    }
    // The same protocol on both sides has a place for everything.
    let passed = gateway.post("/v1/chat/completions", asked(&name, false).to_string()).await;
    assert_eq!(warned(&passed), "");
    assert_eq!(passed.json()["choices"][0]["message"]["annotations"].as_array().map(Vec::len), Some(2));
}

/// The provider refuses an index that it did not make.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_elsewhere_with_what_was_cited() {
    let first = simulator(DialectName::OpenAi).await;
    let second = simulator(DialectName::Anthropic).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}",
        provider("first", DialectName::OpenAi, &first.base_url()),
        provider("second", DialectName::Anthropic, &second.base_url())
    ))
    .await;
    let elsewhere = format!("second/{}", model(DialectName::Anthropic));
    for maker in [format!("first/{}", model(DialectName::OpenAi)), elsewhere.clone()] {
        let mut request = asked(&maker, false);
        let content = gateway.post("/v1/messages", request.to_string()).await.json()["content"].clone();
        assert!(content.to_string().contains("web_search_result_location"), "{content}");
        request["model"] = json!(elsewhere);
        let messages = request["messages"].as_array_mut().expect("it was made as one");
        messages.push(json!({"role": "assistant", "content": content}));
        messages.push(json!({"role": "user", "content": "And tomorrow?"}));
        let answer = gateway.post("/v1/messages", request.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let is_told = warned(&answer).contains("messages[1].content[0].citations dropped");
        assert_eq!(is_told, maker != elsewhere, "{:?}", answer.headers);
    }
}
