//! Documents ordered: one client form, several provider forms, one attempt machine.

use crate::support::{Gateway, simulator};
use serde_json::{Value, json};
use trunkline_model::money::CostConfidence;
use trunkline_sim::{DialectName, Fault, SimConfig, Simulator};

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

/// A gateway in front of Bedrock that signs, and Cohere to stand in for it.
async fn signing_gateway(bedrock: &Simulator, cohere: &Simulator) -> Gateway {
    Gateway::start(&format!(
        "providers:\n  bedrock: {{ url: \"{}\", region: eu-west-3, access_key: AKIDTEST, secret_key: the-secret }}\n  \
         keyed: {{ preset: bedrock, url: \"{}\", key: k }}\n  co: {{ preset: cohere, url: \"{}\", key: k }}\n\
         routes:\n  order: {{ tiers: {{ first: {{ deployments: [\"bedrock/cohere.rerank-v3-5:0\"] }}, second: {{ deployments: [co/rerank-v3.5] }} }} }}\n",
        bedrock.base_url(),
        bedrock.base_url(),
        cohere.base_url(),
    ))
    .await
}

async fn bedrock() -> Simulator {
    let config = SimConfig::new(DialectName::Converse).with_keys(&["AKIDTEST:the-secret"]);
    Simulator::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_orders_documents_for_signed_requests() {
    let (bedrock, cohere) = (bedrock().await, simulator(DialectName::Cohere).await);
    let gateway = signing_gateway(&bedrock, &cohere).await;
    let mut asked = body("bedrock/cohere.rerank-v3-5:0");
    asked["return_documents"] = json!(true);
    let answer = gateway.post("/v2/rerank", asked.to_string()).await;
    assert_eq!((answer.status, order(&answer.json())), (200, vec![0, 2]), "{}", answer.text());
    assert!(answer.header("x-trunkline-warnings").contains("return_documents"), "{:?}", answer.headers);
    assert_eq!(
        answer.json()["meta"]["billed_units"],
        Value::Null,
        "what the provider does not count is not made up"
    );
    let sent = bedrock.last_request().unwrap();
    assert_eq!(sent.path, "/rerank");
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        sent["rerankingConfiguration"]["bedrockRerankingConfiguration"]["modelConfiguration"]["modelArn"],
        "arn:aws:bedrock:eu-west-3::foundation-model/cohere.rerank-v3-5:0"
    );
    let record = gateway.record(answer.id()).await;
    // One search of two dollars for a thousand; the answer does not say so.
    let amount = record.cost.amount.map(|amount| amount.0);
    assert_eq!((amount, record.cost.confidence), (Some(2_000_000), CostConfidence::Estimated), "{record:?}");
    let many: Vec<String> = (0..101).map(|number| format!("document {number}")).collect();
    let answer = gateway
        .post(
            "/v1/rerank",
            json!({"model": "bedrock/amazon.rerank-v1:0", "query": "q", "documents": many}).to_string(),
        )
        .await;
    assert_eq!((answer.status, order(&answer.json()).len()), (200, 101), "{}", answer.text());
    let record = gateway.record(answer.id()).await;
    assert_eq!((record.usage.searches, record.cost.amount.map(|amount| amount.0)), (2, Some(2_000_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bedrock_does_not_take_goes_elsewhere_and_keys_are_not_tried() {
    let (bedrock, cohere) = (bedrock().await, simulator(DialectName::Cohere).await);
    let gateway = signing_gateway(&bedrock, &cohere).await;
    let asked = json!({"model": "order", "query": "weather in Oslo", "documents": ["", "Oslo weather"]});
    let answer = gateway.post("/v1/rerank", asked.to_string()).await;
    assert_eq!((answer.status, answer.header("x-trunkline-provider")), (200, "co"), "{}", answer.text());
    assert_eq!(bedrock.requests().len(), 0);
    bedrock.fail_with(Fault::RateLimited);
    let answer = gateway.post("/v1/rerank", body("order").to_string()).await;
    assert_eq!((answer.status, answer.header("x-trunkline-provider")), (200, "co"), "{}", answer.text());
    let keyed = gateway.post("/v1/rerank", body("keyed/cohere.rerank-v3-5:0").to_string()).await;
    assert_eq!(keyed.status, 400, "{}", keyed.text());
    assert!(keyed.text().contains("rerank"), "{}", keyed.text());
    assert_eq!(bedrock.requests().len(), 1);
}
