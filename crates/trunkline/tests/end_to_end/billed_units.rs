//! A provider that says what of a call it bills: the log has all of it, the cost only that.

use crate::support::{Gateway, provider, simulator};
use serde_json::json;
use trunkline_model::money::{Cost, CostConfidence};
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
