//! Warnings and refusals name what they are about by the fields and the count of the client's own body.

use crate::support::{Answer, Gateway, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn stage() -> (Simulator, Simulator, Gateway) {
    let (claude, open) = (simulator(DialectName::Anthropic).await, simulator(DialectName::OpenAi).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}",
        provider("claude", DialectName::Anthropic, &claude.base_url()),
        provider("open", DialectName::OpenAi, &open.base_url())
    ))
    .await;
    (claude, open, gateway)
}

fn claude() -> String {
    format!("claude/{}", model(DialectName::Anthropic))
}

fn open() -> String {
    format!("open/{}", model(DialectName::OpenAi))
}

fn warned(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let warnings = answer.header("x-trunkline-warnings");
    let names = warnings.split("; ").filter_map(|one| one.split_once(' '));
    names.map(|(name, _)| name.to_owned()).collect()
}

fn all_named(answer: &Answer, expected: &[&str]) {
    let named = warned(answer);
    for name in expected {
        assert!(named.iter().any(|one| one == name), "{name} not in {named:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_names_the_field_of_the_clients_protocol() {
    let (_claude, _open, gateway) = stage().await;
    let messages = json!({"model": open(), "max_tokens": 100, "system": "Be brief",
        "messages": [
            {"role": "user", "content": "Use look"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "dark", "is_error": true},
                {"type": "text", "text": "And now?", "cache_control": {"type": "ephemeral"}}]}],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}]});
    let answer = gateway.post("/v1/messages", messages.to_string()).await;
    all_named(&answer, &["messages[2].content[0].is_error", "messages[2].content[1].cache_control"]);

    let google = json!({"systemInstruction": {"parts": [{"text": "Be brief"}]},
        "generation_config": {"seed": 3, "stopSequences": [" "], "thinkingConfig": {"thinkingLevel": "low"}},
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
    let path = format!("/v1beta/models/{}:generateContent", claude().replace('/', "%2F"));
    let answer = gateway.post(&path, google.to_string()).await;
    all_named(
        &answer,
        &[
            "generation_config.seed",
            "generation_config.stopSequences",
            "generation_config.thinkingConfig.thinkingLevel",
        ],
    );

    let responses = json!({"model": claude(), "instructions": "Be brief", "reasoning": {"effort": "low"}, "max_output_tokens": 4000,
        "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "Hello"},
            {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "high"}]}]});
    let answer = gateway.post("/v1/responses", responses.to_string()).await;
    all_named(&answer, &["input[0].content[1].detail", "reasoning.effort"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_was_stored_is_not_counted() {
    let (_claude, _open, gateway) = stage().await;
    let first = gateway.post("/v1/responses", json!({"model": claude(), "input": "Hello"}).to_string()).await;
    let image =
        json!({"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "high"});
    let next = |content: Value| {
        json!({"model": claude(), "previous_response_id": first.json()["id"],
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "And this?"}, content]}]})
    };
    let answer = gateway.post("/v1/responses", next(image).to_string()).await;
    all_named(&answer, &["input[0].content[1].detail"]);
    // So is what the target cannot take, and what nobody can read.
    let file = json!({"type": "input_file", "file_id": "file-1"});
    let refused = gateway.post("/v1/responses", next(file).to_string()).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"]["param"], "input[0].content[1]", "{}", refused.text());
    assert!(
        refused.json()["error"]["message"].as_str().unwrap().contains("input[0].content[1]"),
        "{}",
        refused.text()
    );
    let wrong = gateway.post("/v1/responses", next(json!({"type": "input_text"})).to_string()).await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]["param"]),
        (400, &json!("input[0].content[1].text")),
        "{}",
        wrong.text()
    );
}
