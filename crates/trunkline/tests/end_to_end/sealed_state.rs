//! State that only its maker can read: it leads the conversation back, and is taken out where the maker is gone.

use crate::support::{Answer, Face, Gateway, model, provider};
use serde_json::{Value, json};
use trunkline_sim::{DialectName, SimConfig, Simulator};

/// Two accounts whose state is not each other's.
async fn two(dialect: DialectName) -> (Simulator, Simulator, String) {
    let start = async |secret| {
        let mut config = SimConfig::new(dialect);
        config.secret = secret;
        Simulator::start(config).await.unwrap()
    };
    let (first, second) = (start(1).await, start(2).await);
    let providers =
        provider("first", dialect, &first.base_url()) + &provider("second", dialect, &second.base_url());
    (first, second, format!("providers:\n{providers}"))
}

fn thinking(face: Face, text: &str) -> Value {
    let mut body = face.value("both", text, false);
    match face {
        Face::OpenAi => body["reasoning_effort"] = json!("low"),
        Face::Anthropic => body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024}),
    }
    body["max_tokens"] = json!(4000);
    body
}

/// The conversation with the answer and a further question.
fn further(face: Face, body: &Value, answer: &Answer) -> Value {
    let answer = answer.json();
    let said = match face {
        Face::OpenAi => answer["choices"][0]["message"].clone(),
        Face::Anthropic => json!({"role": "assistant", "content": answer["content"]}),
    };
    let mut body = body.clone();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.extend([said, json!({"role": "user", "content": "Go on"})]);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_with_state_stays_with_its_maker() {
    let (_first, _second, providers) = two(DialectName::Anthropic).await;
    let name = model(DialectName::Anthropic);
    let gateway = Gateway::start(&format!(
        "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{name}, second/{name}], balance: round-robin }} }}\n"
    ))
    .await;
    for face in Face::BOTH {
        let mut makers = Vec::new();
        for _ in 0..4 {
            let mut body = thinking(face, "Hello");
            let opening = gateway.post(face.path(), body.to_string()).await;
            assert_eq!(opening.status, 200, "{}", opening.text());
            let maker = opening.header("x-trunkline-provider").to_owned();
            let mut last = opening;
            for _ in 0..2 {
                body = further(face, &body, &last);
                last = gateway.post(face.path(), body.to_string()).await;
                assert_eq!(last.status, 200, "{}", last.text());
                assert_eq!(last.header("x-trunkline-provider"), maker);
            }
            makers.push(maker);
        }
        makers.sort();
        makers.dedup();
        assert_eq!(makers, ["first", "second"], "conversations begin on both");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_taken_out_with_a_warning_when_its_maker_is_gone() {
    for dialect in [DialectName::Anthropic, DialectName::Converse] {
        for face in Face::BOTH {
            let (first, second, providers) = two(dialect).await;
            let name = model(dialect);
            let gateway = Gateway::start(&format!(
                "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{name}] }}, two: {{ deployments: [second/{name}] }} }}\n    fallback: {{ error: [two] }}\n"
            ))
            .await;
            let body = thinking(face, "Hello");
            let opening = gateway.post(face.path(), body.to_string()).await;
            assert_eq!(opening.header("x-trunkline-provider"), "first", "{}", opening.text());
            drop(first);
            let answer = gateway.post(face.path(), further(face, &body, &opening).to_string()).await;
            assert_eq!(answer.status, 200, "{dialect:?} {face:?}: {}", answer.text());
            assert_eq!(answer.header("x-trunkline-provider"), "second");
            let warnings = answer.header("x-trunkline-warnings");
            let sent = String::from_utf8(second.last_request().unwrap().body.to_vec()).unwrap();
            assert!(
                warnings.contains("made by another provider than the one that answers now"),
                "{dialect:?} {face:?}: {warnings}; {sent}"
            );
        }
    }
}
