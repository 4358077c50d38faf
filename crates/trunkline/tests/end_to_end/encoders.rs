//! Larger encoders on the real binary: examples that are learned beside requests, vectors that are asked for once, and what
//! happens when nobody gives any.

use crate::support::{Answer, Face, Gateway, eventually, provider, simulator};
use serde_json::{Value, json};
use trunkline_model::money::NanoDollars;
use trunkline_model::record::{AttemptKind, RequestRecord};
use trunkline_sim::{DialectName, Fault, Simulator};

struct Scene {
    gateway: Gateway,
    encoder: Simulator,
    _models: Simulator,
}

const ROUTES: &str = "encoders:
  big: { deployment: vectors/text-embedding-3-small, dimensions: 64, timeout: 20s }
intents:
  topics:
    encoder: big
    examples:
      billing: [why was I charged twice this month, I want a refund for my last invoice, how do I update my credit card, can I get a receipt for my payment, my card was declined at checkout, which payment methods do you accept]
      legal: [please review this contract clause, is the liability limit enforceable, draft a non-disclosure agreement, does this license allow commercial use, explain the termination clause of the agreement, summarize the terms of the lease]
routes:
  meant:
    tiers:
      cheap: { deployments: [models/gpt-4.1-mini] }
      strong: { deployments: [models/gpt-4.1] }
    decide:
      - { semantic: topics, map: { billing: cheap, legal: strong }, sure: 0.4 }
      - { use: cheap }
";

impl Scene {
    async fn new(fault: Option<Fault>) -> Self {
        let (models, encoder) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
        if let Some(fault) = fault {
            encoder.fail_with(fault);
        }
        let providers = provider("models", DialectName::OpenAi, &models.base_url())
            + &provider("vectors", DialectName::OpenAi, &encoder.base_url());
        let gateway = Gateway::start(&format!("providers:\n{providers}{ROUTES}")).await;
        Self { gateway, encoder, _models: models }
    }

    async fn ask(&self, text: &str) -> Answer {
        let answer = self.gateway.post(Face::OpenAi.path(), Face::OpenAi.body("meant", text, false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    async fn explained(&self, text: &str) -> Value {
        let body = json!({ "model": "meant", "messages": [{ "role": "user", "content": text }] });
        self.gateway.post("/v1/explain", body.to_string()).await.json()
    }

    async fn record(&self, answer: &Answer) -> RequestRecord {
        self.gateway.record(answer.id()).await
    }

    fn encoded(&self) -> u64 {
        self.encoder.counters().requests
    }
}

const CLAUSE: &str = "please review the termination clause of this contract";

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_encoded_once_and_each_text_once() {
    let mut scene = Scene::new(None).await;
    scene.gateway.logged("examples are learned").await;
    assert_eq!(scene.encoded(), 1, "one batch");
    let batch = eventually("the batch in the log", async || {
        let mut records = scene.gateway.records_now().into_iter();
        records.find(|record| record.decided_by.as_deref() == Some("encoder"))
    })
    .await;
    assert_eq!((batch.status, batch.attempts.len()), (200, 1));
    assert!(batch.cost.amount > Some(NanoDollars::ZERO), "{:?}", batch.cost);

    let dry = scene.explained(CLAUSE).await;
    assert_eq!(dry["steps"][0]["no_answer"], "its text was not encoded, and no kept vector is there");
    assert_eq!(scene.encoded(), 1, "an explanation costs nothing");

    let answer = scene.ask(CLAUSE).await;
    assert_eq!(answer.header("x-trunkline-tier"), "strong");
    let record = scene.record(&answer).await;
    let kinds: Vec<AttemptKind> = record.attempts.iter().map(|attempt| attempt.kind).collect();
    assert_eq!(kinds, [AttemptKind::Encoder, AttemptKind::First]);
    assert!(record.attempts[0].cost.amount > Some(NanoDollars::ZERO), "{:?}", record.attempts[0]);
    assert_eq!(scene.encoded(), 2);

    let again = scene.ask(CLAUSE).await;
    assert_eq!(again.header("x-trunkline-tier"), "strong");
    assert_eq!((scene.record(&again).await.attempts.len(), scene.encoded()), (1, 2), "it was kept");
    let dry = scene.explained(CLAUSE).await;
    assert_eq!(dry["steps"][0]["answer"], "strong", "{dry}");
    let refund = scene.ask("I want a refund, my card was charged twice").await;
    let decision: Value = serde_json::from_str(&scene.record(&refund).await.decision.unwrap()).unwrap();
    assert_eq!(
        (decision["decided_by"].as_str(), refund.header("x-trunkline-tier")),
        (Some("semantic-0"), "cheap")
    );

    // The same examples under another configuration are not encoded again.
    let asked = scene.encoded();
    let path = scene.gateway.configuration();
    let text = std::fs::read_to_string(&path).unwrap().replace("sure: 0.4", "sure: 0.41");
    std::fs::write(&path, text).unwrap();
    scene.gateway.signal("HUP");
    scene.gateway.logged("the configuration was reloaded").await;
    assert_eq!(scene.ask(CLAUSE).await.header("x-trunkline-tier"), "strong");
    assert_eq!(scene.encoded(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_vectors_the_next_step_decides_and_it_is_tried_again() {
    let mut scene = Scene::new(Some(Fault::ServerError)).await;
    scene.gateway.logged("examples could not be encoded").await;
    let answer = scene.ask(CLAUSE).await;
    let decision: Value = serde_json::from_str(&scene.record(&answer).await.decision.unwrap()).unwrap();
    assert_eq!(decision["steps"][0]["no_answer"], "its examples are not encoded yet");
    assert_eq!(decision["decided_by"], "use-1");
    scene.encoder.heal();
    scene.gateway.logged("examples are learned").await;
    assert_eq!(scene.ask(CLAUSE).await.header("x-trunkline-tier"), "strong");

    scene.encoder.fail_with(Fault::ServerError);
    let answer = scene.ask("is this lease enforceable").await;
    let record = scene.record(&answer).await;
    let decision: Value = serde_json::from_str(record.decision.as_deref().unwrap()).unwrap();
    let why = decision["steps"][0]["no_answer"].as_str().unwrap();
    assert!(why.starts_with("the encoder gave no vector: "), "{why}");
    assert_eq!((decision["decided_by"].as_str(), record.attempts.len()), (Some("use-1"), 2));
}
