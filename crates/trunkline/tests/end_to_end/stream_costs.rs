//! What a stream cost stands in the event that carries its usage, in every dialect, and is what the log says.

use crate::support::{Answer, Face, Gateway, model, provider, simulator};
use serde_json::{Value, json};
use trunkline_model::money::CostConfidence;
use trunkline_sim::{DialectName, Fault};

/// The protocols of clients.
const DIALECTS: [DialectName; 3] = [DialectName::OpenAi, DialectName::Anthropic, DialectName::Gemini];

/// A streamed request with usage, as a client of the dialect sends it.
fn request(client: DialectName, model: &str) -> (String, Value) {
    match client {
        DialectName::OpenAi => {
            let mut body = Face::OpenAi.value(model, "Hello", true);
            body["stream_options"] = json!({"include_usage": true});
            (Face::OpenAi.path().to_owned(), body)
        }
        DialectName::Anthropic => {
            (Face::Anthropic.path().to_owned(), Face::Anthropic.value(model, "Hello", true))
        }
        DialectName::Gemini => (
            format!("/v1beta/models/{}:streamGenerateContent?alt=sse", model.replace('/', "%2F")),
            json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}),
        ),
        other => unreachable!("no client speaks {other}"),
    }
}

/// The events of a stream, whatever its line ends.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text().replace("\r\n", "\n");
    let data =
        text.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data:")));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// The one event with the cost, which must be the last one with usage.
fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = events(answer);
    let with_cost: Vec<&Value> = events.iter().filter(|event| event.get("trunkline").is_some()).collect();
    assert_eq!(with_cost.len(), 1, "{}", answer.text());
    let with_usage = |event: &&Value| {
        event.get("usage").is_some_and(Value::is_object) || event.get("usageMetadata").is_some()
    };
    assert_eq!(events.iter().rfind(with_usage), Some(with_cost[0]), "{}", answer.text());
    with_cost[0]["trunkline"].clone()
}

async fn is_what_the_log_says(gateway: &Gateway, answer: &Answer, attempts: usize) {
    let told = told(answer);
    let record = gateway.record(answer.id()).await;
    assert_eq!(told["request_id"], answer.id());
    assert_eq!(told["attempts"].as_u64().unwrap(), attempts as u64);
    assert_eq!(record.attempts.len(), attempts);
    assert_eq!(record.cost.confidence, CostConfidence::Exact);
    assert_eq!(told["cost_confidence"], "exact");
    let logged: f64 = record.cost.amount.unwrap().decimal().to_string().parse().unwrap();
    assert!(logged > 0.0);
    assert!((told["cost_usd"].as_f64().unwrap() - logged).abs() < 1e-12, "{told} is not {logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_is_told_the_cost_by_every_provider() {
    let providers = DialectName::ALL.iter().copied().filter(|dialect| *dialect != DialectName::Tokens);
    for dialect in providers {
        let simulator = simulator(dialect).await;
        let gateway =
            Gateway::start(&format!("providers:\n{}", provider("only", dialect, &simulator.base_url())))
                .await;
        for client in DIALECTS {
            let (path, body) = request(client, &format!("only/{}", model(dialect)));
            let answer = gateway.post(&path, body.to_string()).await;
            is_what_the_log_says(&gateway, &answer, 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_the_cost_and_count_are_those_of_all_attempts() {
    let first = simulator(DialectName::Anthropic).await;
    let second = simulator(DialectName::OpenAi).await;
    let providers = provider("first", DialectName::Anthropic, &first.base_url())
        + &provider("second", DialectName::OpenAi, &second.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  main:\n    tiers: {{ one: {{ deployments: [first/{}] }}, \
         two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two] }}\n",
        model(DialectName::Anthropic),
        model(DialectName::OpenAi)
    ))
    .await;
    first.fail_with(Fault::ServerError);
    for client in DIALECTS {
        let (path, body) = request(client, "main");
        let answer = gateway.post(&path, body.to_string()).await;
        is_what_the_log_says(&gateway, &answer, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_prices_the_cost_is_unknown_and_never_zero() {
    let simulator = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  own: {{ preset: openai-compatible, url: \"{}/v1\", key: k, models: [mine] }}\n",
        simulator.base_url()
    ))
    .await;
    for client in DIALECTS {
        let (path, body) = request(client, "own/mine");
        let told = told(&gateway.post(&path, body.to_string()).await);
        assert_eq!((&told["cost_usd"], &told["cost_confidence"]), (&Value::Null, &json!("unknown")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asked_for_no_usage_gets_no_event_more() {
    let simulator = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("only", DialectName::OpenAi, &simulator.base_url())
    ))
    .await;
    let body = Face::OpenAi.body(&format!("only/{}", model(DialectName::OpenAi)), "Hello", true);
    let answer = gateway.post(Face::OpenAi.path(), body).await;
    assert!(
        !answer.text().contains("trunkline") && !answer.text().contains("prompt_tokens"),
        "{}",
        answer.text()
    );
    assert!(gateway.record(answer.id()).await.cost.amount.unwrap().0 > 0, "it is metered all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_told_no_cost_it_does_not_know() {
    let simulator = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("only", DialectName::OpenAi, &simulator.base_url())
    ))
    .await;
    simulator.fail_with(Fault::MalformedEvent);
    for client in DIALECTS {
        let (path, body) = request(client, &format!("only/{}", model(DialectName::OpenAi)));
        let answer = gateway.post(&path, body.to_string()).await;
        assert!(!answer.text().contains("cost_usd"), "{}", answer.text());
    }
}
