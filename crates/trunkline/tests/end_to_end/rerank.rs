//! Documents ordered: one client form, several provider forms, one attempt machine.

use crate::support::{Gateway, simulator};
use serde_json::{Value, json};
use trunkline_model::money::CostConfidence;
use trunkline_sim::{DialectName, Fault};

const DOCUMENTS: [&str; 3] = ["the weather in Oslo", "how to bake bread", "Oslo weather today"];

fn body(model: &str) -> Value {
    json!({"model": model, "query": "weather in Oslo", "documents": DOCUMENTS, "top_n": 2})
}

fn order(answer: &Value) -> Vec<u64> {
    answer["results"].as_array().unwrap().iter().map(|result| result["index"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn either_kind_of_provider_orders_documents_and_is_metered() {
    let cohere = simulator(DialectName::Cohere).await;
    let other = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  co: {{ preset: cohere, url: \"{}\", key: k }}\n  ji: {{ preset: jina, url: \"{}/v1\", key: k, models: [reranker] }}\n",
        cohere.base_url(),
        other.base_url(),
    ))
    .await;
    for path in ["/v1/rerank", "/v2/rerank"] {
        let answer = gateway.post(path, body("co/rerank-v3.5").to_string()).await;
        assert_eq!((answer.status, order(&answer.json())), (200, vec![0, 2]), "{}", answer.text());
        assert_eq!(answer.json()["meta"]["billed_units"]["search_units"], 1);
        let record = gateway.record(answer.id()).await;
        assert_eq!(record.operation.name(), "rerank");
        // Two dollars for a thousand searches, by the catalogue.
        let amount = record.cost.amount.map(|amount| amount.0);
        assert_eq!((amount, record.cost.confidence), (Some(2_000_000), CostConfidence::Exact), "{record:?}");
    }
    let mut with_documents = body("ji/reranker");
    with_documents["return_documents"] = json!(true);
    let answer = gateway.post("/v1/rerank", with_documents.to_string()).await;
    assert_eq!((answer.status, order(&answer.json())), (200, vec![0, 2]), "{}", answer.text());
    assert_eq!(answer.json()["results"][0]["document"]["text"], DOCUMENTS[0]);
    let record = gateway.record(answer.id()).await;
    assert!(record.usage.input > 0);
    assert_eq!(record.cost.confidence, CostConfidence::Unknown, "nobody knows what it costs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_version_two_passes_unchanged_but_for_the_model() {
    let cohere = simulator(DialectName::Cohere).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  co: {{ preset: cohere, url: \"{}\", key: k }}\n",
        cohere.base_url()
    ))
    .await;
    let odd = |model: &str| {
        format!(
            "{{ \"query\":\"gr\\u00fc\\u00dfe\" ,\n \"model\":\"{model}\", \"documents\" :[ \"a\",\"b\" ]}} "
        )
    };
    let answer = gateway.post("/v2/rerank", odd("co/rerank-v3.5")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = cohere.last_request().unwrap();
    assert_eq!(String::from_utf8(received.body.to_vec()).unwrap(), odd("rerank-v3.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_stands_in() {
    let cohere = simulator(DialectName::Cohere).await;
    cohere.fail_with(Fault::ServerError);
    let other = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  co: {{ preset: cohere, url: \"{}\", key: k }}\n  ji: {{ preset: jina, url: \"{}/v1\", key: k, models: [reranker] }}\n\
         routes:\n  order: {{ tiers: {{ first: {{ deployments: [co/rerank-v3.5] }}, second: {{ deployments: [ji/reranker] }} }} }}\n",
        cohere.base_url(),
        other.base_url(),
    ))
    .await;
    let answer = gateway.post("/v2/rerank", body("order").to_string()).await;
    assert_eq!((answer.status, order(&answer.json())), (200, vec![0, 2]), "{}", answer.text());
    assert_eq!(answer.header("x-trunkline-provider"), "ji");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_in_the_client_s_form() {
    let cohere = simulator(DialectName::Cohere).await;
    let gateway = Gateway::start(&format!(
        "providers:\n  co: {{ preset: cohere, url: \"{}\", key: k }}\n",
        cohere.base_url()
    ))
    .await;
    let mut told = Vec::new();
    for wrong in [
        json!({"model": "co/rerank-v3.5", "query": "q"}),
        json!({"model": "co/rerank-v3.5", "query": "q", "documents": "a"}),
        json!({"model": "co/rerank-v3.5", "documents": [{"text": "a"}]}),
        json!({"model": "co/command-a-plus-05-2026", "query": "q", "documents": ["a"]}),
    ] {
        let answer = gateway.post("/v2/rerank", wrong.to_string()).await;
        let body = answer.json();
        assert_eq!(body["id"], answer.id());
        told.push(format!("{} {}: {}", answer.status, body["code"], body["message"]));
    }
    insta::assert_snapshot!(told.join("\n"));
}
