//! Conversations whose calls of tools share ids, as clients make them up for providers that have none.

use crate::support::{Face, Gateway, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_sim::DialectName;

const TARGETS: [(&str, DialectName); 4] = [
    ("an", DialectName::Anthropic),
    ("be", DialectName::Converse),
    ("ge", DialectName::Gemini),
    ("oa", DialectName::OpenAi),
];

/// Two turns of calls, the second with two side by side, all with one id.
fn conversation(model: &str) -> Value {
    let call = json!({"id": "call_0", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let result = |text: &str| json!({"role": "tool", "tool_call_id": "call_0", "content": text});
    json!({
        "model": model,
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "user", "content": "Look around"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            result("dark"),
            {"role": "assistant", "content": null, "tool_calls": [call, call]},
            result("light"),
            result("bright"),
            {"role": "user", "content": "And now?"},
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_stand_twice_are_taken_by_every_provider() {
    let (mut simulators, mut text) = (Vec::new(), String::from("providers:\n"));
    for (name, dialect) in TARGETS {
        let simulator = simulator(dialect).await;
        text.push_str(&provider(name, dialect, &simulator.base_url()));
        simulators.push(simulator);
    }
    let gateway = Gateway::start(&text).await;
    for (name, dialect) in TARGETS {
        let body = conversation(&format!("{name}/{}", model(dialect))).to_string();
        let answer = gateway.post(Face::OpenAi.path(), body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    // A body that passes is not touched.
    let passed = simulators[3].last_request().unwrap().json();
    assert_eq!(passed["messages"], conversation("x")["messages"]);
    let claude = simulators[0].last_request().unwrap().json();
    let ids: Vec<&Value> =
        ["/messages/1/content/0/id", "/messages/3/content/0/id", "/messages/3/content/1/id"]
            .iter()
            .filter_map(|place| claude.pointer(place))
            .collect();
    assert_eq!(ids, ["call_0", "call_0_2", "call_0_3"]);
}
