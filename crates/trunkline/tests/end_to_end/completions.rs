//! The endpoint that continues a text: passed on where a provider has it, a conversation elsewhere.

use crate::support::{self, Gateway, simulator};
use serde_json::{Value, json};
use trunkline_model::money::CostConfidence;
use trunkline_sim::{DialectName, Fault};

const NATIVE: &str = "oa/gpt-3.5-turbo-instruct";

/// A provider; one of OpenAI's dialect also serves the model that continues texts, which is too old to be served unasked.
fn provider(name: &str, dialect: DialectName, base_url: &str) -> String {
    let text = support::provider(name, dialect, base_url);
    match dialect {
        DialectName::OpenAi => text.replace(" }", ", models: [gpt-3.5-turbo-instruct] }"),
        _ => text,
    }
}

fn body(model: &str, stream: bool) -> Value {
    json!({"model": model, "prompt": "Once upon a time", "max_tokens": 40, "stream": stream})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_continued_where_the_provider_can_and_is_metered() {
    let sim = simulator(DialectName::OpenAi).await;
    let gateway =
        Gateway::start(&format!("providers:\n{}", provider("oa", DialectName::OpenAi, &sim.base_url())))
            .await;
    let odd = |model: &str| {
        format!("{{ \"prompt\":\"gr\\u00fc\\u00df\" ,\n \"odd\" : 1e0, \"model\":\"{model}\"}} ")
    };
    let answer = gateway.post("/v1/completions", odd(NATIVE)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["object"], "text_completion");
    let received = sim.last_request().unwrap();
    assert_eq!(
        (received.path.as_str(), std::str::from_utf8(&received.body).unwrap()),
        ("/v1/completions", &*odd("gpt-3.5-turbo-instruct"))
    );
    let record = gateway.record(answer.id()).await;
    assert_eq!((record.operation.name(), record.cost.confidence), ("completions", CostConfidence::Exact));
    assert_eq!(record.usage.output, answer.json()["usage"]["completion_tokens"].as_u64().unwrap());
    // Usage is asked for upstream and kept from a client that did not ask.
    let streamed = gateway.post("/completions", body(NATIVE, true).to_string()).await;
    let events = streamed.events();
    assert_eq!((streamed.status, events.last().unwrap().1), (200, "[DONE]"), "{}", streamed.text());
    assert!(!streamed.text().contains("\"usage\":{"), "{}", streamed.text());
    let sent: Value = serde_json::from_slice(&sim.last_request().unwrap().body).unwrap();
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    let record = gateway.record(streamed.id()).await;
    assert!(record.usage.output > 0 && record.cost.confidence == CostConfidence::Exact, "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_stand_in_elsewhere_and_say_so() {
    let (openai, anthropic) = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}",
        provider("oa", DialectName::OpenAi, &openai.base_url()),
        provider("an", DialectName::Anthropic, &anthropic.base_url())
    ))
    .await;
    for (model, path, sim) in [
        ("oa/gpt-4.1-mini", "/v1/chat/completions", &openai),
        ("an/claude-sonnet-4-5", "/v1/messages", &anthropic),
    ] {
        let plain = gateway.post("/v1/completions", body(model, false).to_string()).await;
        let answer = plain.json();
        assert_eq!((plain.status, &answer["object"]), (200, &json!("text_completion")), "{answer}");
        assert!(answer["choices"][0]["text"].as_str().unwrap().len() > 5, "{answer}");
        assert!(plain.header("x-trunkline-warnings").contains("completions emulated"));
        assert_eq!(sim.last_request().unwrap().path, path);
        let streamed = gateway.post("/v1/completions", body(model, true).to_string()).await;
        let events = streamed.events();
        assert_eq!(events.last().unwrap().1, "[DONE]", "{}", streamed.text());
        let text: String = events
            .iter()
            .filter_map(|(_, data)| serde_json::from_str::<Value>(data).ok())
            .filter_map(|chunk| chunk["choices"][0]["text"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(json!(text), answer["choices"][0]["text"]);
        let mut echoed = body(model, false);
        echoed["echo"] = json!(true);
        let refused = gateway.post("/v1/completions", echoed.to_string()).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains("echo"), "{}", refused.text());
        let mut request =
            gateway.builder("/v1/completions").body(body(model, false).to_string().into()).unwrap();
        request.headers_mut().insert("x-trunkline-strict", "true".parse().unwrap());
        let strict = gateway.send(request).await;
        assert_eq!(strict.status, 400, "{}", strict.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_fail_over_before_the_first_token_and_end_in_an_error_event_after_it() {
    let (one, two) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}routes:\n  text: {{ tiers: {{ first: {{ deployments: [{NATIVE}] }}, second: {{ deployments: [{}] }} }} }}\n",
        provider("oa", DialectName::OpenAi, &one.base_url()),
        provider("ob", DialectName::OpenAi, &two.base_url()),
        NATIVE.replace("oa/", "ob/"),
    ))
    .await;
    one.fail_with(Fault::CutBeforeFirstToken);
    let answer = gateway.post("/v1/completions", body("text", true).to_string()).await;
    assert_eq!((answer.status, answer.header("x-trunkline-provider")), (200, "ob"), "{}", answer.text());
    assert_eq!(answer.events().last().unwrap().1, "[DONE]");
    one.fail_with(Fault::CutAfterFirstToken);
    let broken = gateway.post("/v1/completions", body("text", true).to_string()).await;
    let last: Value = serde_json::from_str(broken.events().last().unwrap().1).unwrap();
    assert!(last["error"]["code"].is_string(), "{}", broken.text());
    assert!(!broken.text().contains("[DONE]"));
}
