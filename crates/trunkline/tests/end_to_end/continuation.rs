//! Opt-in continuation: a plain text that broke off is completed by another deployment, in one stream.

use crate::support::{Answer, Face, Gateway, faulty, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_model::money::Cost;
use trunkline_model::record::{AttemptKind, Outcome, RequestRecord};
use trunkline_sim::{DialectName, Fault, ReceivedRequest, Simulator};

const DIALECTS: [DialectName; 3] = [DialectName::OpenAi, DialectName::Anthropic, DialectName::Gemini];
const FAULTS: [Fault; 4] =
    [Fault::CutAfterFirstToken, Fault::Stall(3), Fault::QuotaMidStream(3), Fault::MalformedEvent];

/// Deployments that break off in every way, each with a route that continues on a healthy one of every dialect.
struct Stage {
    gateway: Gateway,
    _first: Simulator,
    seconds: Vec<Simulator>,
}

async fn stage(dialect: DialectName, settings: &str) -> Stage {
    let first = faulty(dialect, &FAULTS).await;
    let mut providers = provider("first", dialect, &first.base_url());
    let mut seconds = Vec::new();
    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        let second = simulator(dialect).await;
        providers.push_str(&provider(&format!("second-{number}"), dialect, &second.base_url()));
        seconds.push(second);
    }
    let mut deployments = String::new();
    let mut routes = String::new();
    for (fault_number, fault) in FAULTS.iter().enumerate() {
        for (number, second) in DIALECTS.into_iter().enumerate() {
            for face in Face::BOTH {
                let name = route(face, fault_number, number);
                deployments.push_str(&format!(
                    "  at-{name}: {{ model: first/{}, key: fault-{fault}.{name} }}\n",
                    model(dialect)
                ));
                routes.push_str(&format!(
                    "  {name}:\n    tiers: {{ one: {{ deployments: [at-{name}] }}, \
                     two: {{ deployments: [second-{number}/{}] }} }}\n    fallback: {{ error: [two] }}\n    \
                     timeouts: {{ between_tokens: 1s }}\n    {settings}\n",
                    model(second)
                ));
            }
        }
    }
    let gateway =
        Gateway::start(&format!("providers:\n{providers}deployments:\n{deployments}routes:\n{routes}")).await;
    Stage { gateway, _first: first, seconds }
}

fn route(face: Face, fault: usize, second: usize) -> String {
    format!("{}-{fault}-{second}", face.name())
}

fn body(face: Face, route: &str, text: &str) -> Value {
    let mut body = face.value(route, text, true);
    if face == Face::OpenAi {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

async fn every_break_is_continued(dialect: DialectName) {
    let stage = stage(dialect, "continuation: true").await;
    for (fault_number, fault) in FAULTS.iter().enumerate() {
        for (number, second) in DIALECTS.into_iter().enumerate() {
            for face in Face::BOTH {
                let name = route(face, fault_number, number);
                let answer = stage
                    .gateway
                    .post(face.path(), body(face, &name, "[[sim: words=200]]").to_string())
                    .await;
                println!("{fault} of {dialect:?}, continued by {second:?}, for {}", face.name());
                let request = stage.seconds[number].last_request().unwrap();
                let deployment = format!("second-{number}/{}", model(second));
                one_answer(face, &answer, &deployment);
                joined(&stage.gateway, face, &answer, &request, &deployment).await;
                recorded(&stage.gateway.record(answer.id()).await, &name, &deployment);
            }
        }
    }
}

/// The stream is that of one answer: begun once, ended once, marked.
fn one_answer(face: Face, answer: &Answer, deployment: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.whole && face.looks_finished(answer), "{}", answer.text());
    assert_eq!(face.error_event(answer), None);
    let mark = format!(": trunkline-continued deployment={deployment}\n\n");
    assert_eq!(answer.text().matches(&mark).count(), 1, "{}", answer.text());
    let values: Vec<Value> =
        answer.events().iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect();
    let count = |test: &dyn Fn(&Value) -> bool| values.iter().filter(|value| test(value)).count();
    let told = |value: &&Value| {
        value["trunkline"]["warnings"][0].as_str().is_some_and(|told| told.contains(deployment))
    };
    assert_eq!(values.iter().filter(told).count(), 1, "{}", answer.text());
    let once: Vec<usize> = match face {
        Face::OpenAi => vec![
            count(&|value| value["choices"][0]["delta"]["role"].is_string()),
            count(&|value| value["choices"][0]["finish_reason"].is_string()),
            count(&|value| value["usage"].is_object()),
            answer.events().iter().filter(|(_, data)| *data == "[DONE]").count(),
        ],
        Face::Anthropic => {
            ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
                .iter()
                .map(|name| count(&|value| value["type"] == *name))
                .collect()
        }
    };
    assert!(once.iter().all(|&number| number == 1), "{once:?}: {}", answer.text());
    if face == Face::OpenAi {
        assert_eq!(count(&|value| value["id"] != values[0]["id"]), 0, "{}", answer.text());
    }
}

/// The text is what the first had said and then what the second says to the same conversation.
async fn joined(gateway: &Gateway, face: Face, answer: &Answer, request: &ReceivedRequest, deployment: &str) {
    let whole = face.text(answer);
    let mut strings = Vec::new();
    leaves(&request.json(), &mut strings);
    let so_far = strings.iter().find(|text| !text.is_empty() && whole.starts_with(text.as_str()));
    let so_far = so_far.unwrap_or_else(|| panic!("{strings:?} hold no beginning of {whole:?}"));
    let instruction = strings.iter().find(|text| text.starts_with("Your last message was cut off")).unwrap();
    let again = json!({"model": deployment, "messages": [
        {"role": "user", "content": "[[sim: words=200]]"},
        {"role": "assistant", "content": so_far},
        {"role": "user", "content": instruction},
    ]});
    let rest = Face::OpenAi.text(&gateway.post(Face::OpenAi.path(), again.to_string()).await);
    assert!(!rest.is_empty());
    assert_eq!(whole, format!("{so_far}{rest}"));
}

fn leaves(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| leaves(value, strings)),
        Value::Object(members) => members.values().for_each(|value| leaves(value, strings)),
        _ => {}
    }
}

/// Both attempts are in the record, with what both cost.
fn recorded(record: &RequestRecord, name: &str, deployment: &str) {
    assert_eq!((record.outcome, record.status), (Outcome::Served, 200));
    assert_eq!(record.deployment.as_deref(), Some(deployment));
    assert_eq!(record.finish.as_deref(), Some("stop"));
    let attempts: Vec<_> =
        record.attempts.iter().map(|attempt| (&*attempt.deployment, attempt.kind)).collect();
    let first = format!("at-{name}");
    assert_eq!(attempts, [(first.as_str(), AttemptKind::First), (deployment, AttemptKind::Continuation)]);
    assert!(record.attempts[0].failure.is_some() && record.attempts[1].failure.is_none());
    let [one, two] = [record.attempts[0].cost, record.attempts[1].cost];
    assert!([one, two].iter().all(|cost| cost.amount.is_some() && *cost != Cost::NOTHING), "{one:?} {two:?}");
    assert_eq!(record.cost, one.plus(two));
    assert_eq!(record.usage, record.attempts[0].usage.plus(&record.attempts[1].usage));
    assert!(record.attempts.iter().all(|attempt| attempt.usage.output > 0), "{:?}", record.attempts);
    let warnings: Vec<String> = record.warnings.iter().map(ToString::to_string).collect();
    let expected = format!("continuation emulated: the answer broke off and was continued by {deployment}");
    assert!(warnings.contains(&expected), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_an_openai_provider_broke_off_is_continued_elsewhere() {
    every_break_is_continued(DialectName::OpenAi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_an_anthropic_provider_broke_off_is_continued_elsewhere() {
    every_break_is_continued(DialectName::Anthropic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_a_gemini_provider_broke_off_is_continued_elsewhere() {
    every_break_is_continued(DialectName::Gemini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_a_bedrock_provider_broke_off_is_continued_elsewhere() {
    every_break_is_continued(DialectName::Converse).await;
}

/// The client is told, as without continuation.
async fn told(stage: &Stage, face: Face, body: &Value, attempts: usize) {
    let answer = stage.gateway.post(face.path(), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!face.looks_finished(&answer), "{}", answer.text());
    assert!(face.error_event(&answer).is_some(), "{}", answer.text());
    assert!(!answer.text().contains("trunkline-continued"), "{}", answer.text());
    let record = stage.gateway.record(answer.id()).await;
    assert_eq!(record.outcome, Outcome::BrokenOff);
    assert_eq!(record.attempts.len(), attempts, "{:?}", record.attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_a_break_is_told() {
    let stage = stage(DialectName::Anthropic, "continuation: false").await;
    for face in Face::BOTH {
        told(&stage, face, &body(face, &route(face, 0, 0), "[[sim: words=200]]"), 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_plain_text_is_not_continued() {
    let stage = stage(DialectName::OpenAi, "continuation: true").await;
    let schema =
        json!({"type": "object", "properties": {"place": {"type": "string"}, "time": {"type": "string"}}});
    let mut call = body(Face::OpenAi, &route(Face::OpenAi, 0, 1), "[[sim: call=look]]");
    call["tools"] = json!([{"type": "function", "function": {"name": "look", "parameters": schema}}]);
    told(&stage, Face::OpenAi, &call, 1).await;
    let mut call = body(Face::Anthropic, &route(Face::Anthropic, 0, 0), "[[sim: call=look]]");
    call["tools"] = json!([{"name": "look", "input_schema": schema}]);
    told(&stage, Face::Anthropic, &call, 1).await;
    let mut structured = body(Face::OpenAi, &route(Face::OpenAi, 0, 2), "Where to? Answer in JSON.");
    structured["response_format"] = json!({"type": "json_object"});
    told(&stage, Face::OpenAi, &structured, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuation_that_fails_is_told() {
    let stage = stage(DialectName::OpenAi, "continuation: true").await;
    for (number, second) in stage.seconds.iter().enumerate() {
        for (fault_number, fault) in [Fault::ServerError, Fault::CutBeforeFirstToken].into_iter().enumerate()
        {
            for face in Face::BOTH {
                second.fail_next(1, fault);
                let name = route(face, fault_number, number);
                told(&stage, face, &body(face, &name, "[[sim: words=200]]"), 2).await;
            }
        }
    }
}

/// Google's own client takes a comment for a broken answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_gemini_is_told_of_a_continuation_without_a_comment() {
    let stage = stage(DialectName::OpenAi, "continuation: true").await;
    let path = format!("/v1beta/models/{}:streamGenerateContent?alt=sse", route(Face::OpenAi, 0, 0));
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "[[sim: words=200]]"}]}]});
    let answer = stage.gateway.post(&path, body.to_string()).await;
    let lines = answer.text();
    assert!(answer.status == 200 && answer.whole, "{lines}");
    assert!(lines.lines().all(|line| line.is_empty() || line.starts_with("data: ")), "{lines}");
    let last = lines.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{last}");
    let told = last["trunkline"]["warnings"][0].as_str().unwrap();
    assert!(told.starts_with("continuation emulated: ") && told.contains("second-0/"), "{told}");
}
