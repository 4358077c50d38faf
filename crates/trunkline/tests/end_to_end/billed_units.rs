//! A provider that says what of a call it bills: the log has all of it, the cost only that.

use crate::support::{Gateway, provider, simulator};
use serde_json::json;
use trunkline_model::money::CostConfidence;
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
