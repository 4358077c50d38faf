//! Gemini's streams as one JSON array: what a client gets that does not ask for events.

use crate::support::{Answer, Gateway, faulty, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_model::record::Outcome;
use trunkline_sim::{DialectName, Fault, Phase};

const DIALECTS: [DialectName; 3] = [DialectName::OpenAi, DialectName::Anthropic, DialectName::Gemini];

async fn ask(gateway: &Gateway, model: &str, text: &str) -> Answer {
    let path = format!("/v1beta/models/{}:streamGenerateContent", model.replace('/', "%2F"));
    let body = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    gateway.post(&path, body.to_string()).await
}

/// The text of the first candidate over all elements.
fn text(elements: &[Value]) -> String {
    let parts =
        elements.iter().filter_map(|element| element.pointer("/candidates/0/content/parts")?.as_array());
    parts.flatten().filter_map(|part| part["text"].as_str()).collect()
}

/// The elements of an array that may be unfinished, read one by one as they come.
fn elements(body: &str) -> (Vec<Value>, bool) {
    let mut rest = body.strip_prefix('[').unwrap_or_else(|| panic!("no array: {body}")).trim_start();
    let mut elements = Vec::new();
    while !rest.is_empty() && !rest.starts_with(']') {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        elements.push(values.next().unwrap().unwrap_or_else(|error| panic!("{error}: {rest}")));
        let at = values.byte_offset();
        rest = rest[at..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    (elements, rest == "]")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_is_a_whole_array_from_every_provider() {
    for dialect in DIALECTS {
        let simulator = simulator(dialect).await;
        let gateway =
            Gateway::start(&format!("providers:\n{}", provider("only", dialect, &simulator.base_url())))
                .await;
        let prompt = "one two three four [[sim: echo]]";
        let answer = ask(&gateway, &format!("only/{}", model(dialect)), prompt).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
        let Value::Array(whole) = answer.json() else { panic!("no array: {}", answer.text()) };
        assert!(whole.len() > 1, "element by element: {}", answer.text());
        assert_eq!(text(&whole).trim(), "one two three four");
        let last = whole.last().unwrap();
        assert_eq!(last.pointer("/candidates/0/finishReason"), Some(&json!("STOP")), "{last}");
        assert!(last["usageMetadata"]["totalTokenCount"].as_u64() > Some(0), "{last}");
        assert_eq!(last["trunkline"]["request_id"], answer.id());
        assert_eq!(gateway.record(answer.id()).await.outcome, Outcome::Served);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_answer_is_an_array_that_is_never_closed_and_ends_with_the_error() {
    let faults: Vec<Fault> = Fault::ALL
        .iter()
        .map(|fault| if matches!(fault, Fault::CutAtByte(_)) { Fault::CutAtByte(1600) } else { *fault })
        .filter(|fault| fault.phase() == Phase::AfterFirstToken)
        .collect();
    for dialect in DIALECTS {
        let provider_simulator = faulty(dialect, &faults).await;
        let mut deployments = String::from("deployments:\n");
        let mut routes = String::from("routes:\n");
        for (number, fault) in faults.iter().enumerate() {
            deployments.push_str(&format!(
                "  at-{number}: {{ model: only/{}, key: fault-{fault}.{number} }}\n",
                model(dialect)
            ));
            routes.push_str(&format!(
                "  route-{number}: {{ tiers: {{ one: {{ deployments: [at-{number}] }} }}, timeouts: {{ between_tokens: 2s }} }}\n"
            ));
        }
        let providers = provider("only", dialect, &provider_simulator.base_url());
        let gateway = Gateway::start(&format!("providers:\n{providers}{deployments}{routes}")).await;
        for (number, fault) in faults.iter().enumerate() {
            let answer = ask(&gateway, &format!("route-{number}"), "[[sim: words=200]]").await;
            let told = format!("{} {fault}: {}", dialect.name(), answer.text());
            assert_eq!(answer.status, 200, "{told}");
            assert!(answer.whole, "{told}");
            let (elements, closed) = elements(answer.text());
            assert!(!closed && serde_json::from_slice::<Value>(&answer.body).is_err(), "{told}");
            let (error, before) = elements.split_last().unwrap();
            assert!(!text(before).is_empty(), "{told}");
            assert!(error["error"]["code"].is_u64() && error["error"]["message"].is_string(), "{told}");
            assert!(
                before.iter().all(|element| element.pointer("/candidates/0/finishReason").is_none()),
                "{told}"
            );
            assert_eq!(gateway.record(answer.id()).await.outcome, Outcome::BrokenOff, "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_candidates_come_streamed_and_plain() {
    for dialect in [DialectName::Gemini, DialectName::OpenAi] {
        let simulator = simulator(dialect).await;
        let gateway =
            Gateway::start(&format!("providers:\n{}", provider("only", dialect, &simulator.base_url())))
                .await;
        let name = format!("only%2F{}", model(dialect));
        let body = json!({
            "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
            "generationConfig": {"candidateCount": 3},
        })
        .to_string();
        let plain = gateway.post(&format!("/v1beta/models/{name}:generateContent"), body.clone()).await;
        let plain = plain.json();
        let streamed = gateway.post(&format!("/v1beta/models/{name}:streamGenerateContent"), body).await;
        let Value::Array(elements) = streamed.json() else { panic!("no array: {}", streamed.text()) };
        assert_eq!(plain["candidates"].as_array().map(Vec::len), Some(3), "{plain}");
        for index in 0..3u64 {
            let own = |candidate: &&Value| candidate["index"].as_u64().unwrap_or(0) == index;
            let of = |element: &Value| -> Vec<Value> {
                element["candidates"].as_array().into_iter().flatten().filter(own).cloned().collect()
            };
            let said = |candidates: &[Value]| -> String {
                let parts =
                    candidates.iter().filter_map(|candidate| candidate.pointer("/content/parts")?.as_array());
                parts.flatten().filter_map(|part| part["text"].as_str()).collect()
            };
            let streamed: Vec<Value> = elements.iter().flat_map(of).collect();
            let whole = of(&plain);
            assert!(!said(&whole).is_empty(), "{index}: {plain}");
            assert_eq!(said(&streamed), said(&whole), "{index}");
            let ends = streamed.iter().filter(|candidate| candidate["finishReason"] == "STOP").count();
            assert_eq!(ends, 1, "{index}: {elements:?}");
        }
    }
}
