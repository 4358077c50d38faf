//! Larger encoders on the real binary: examples that are learned beside requests, vectors that are asked for once, and what
//! happens when nobody gives any.

use crate::support::{Answer, Face, Gateway, eventually, provider, simulator};
use serde_json::{Value, json};
use std::process::Command;
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
async fn examples_are_not_encoded_again_after_a_restart() {
    let mut scene = Scene::new(None).await;
    scene.gateway.logged("examples are learned").await;
    assert_eq!(scene.encoded(), 1, "one batch");
    scene.gateway.signal("TERM");
    scene.gateway.ended().await;
    scene.gateway = scene.gateway.again().await;
    scene.gateway.logged("examples are learned").await;
    assert_eq!(scene.encoded(), 1, "they were kept");
    assert_eq!(scene.ask(CLAUSE).await.header("x-trunkline-tier"), "strong");
    assert_eq!(scene.encoded(), 2, "of requests nothing is kept");
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

/// Prompts whose hard words only some rows have: enough to learn from.
fn rows(path: &std::path::Path) {
    let hard = ["theorem", "integral", "lemma", "matrix", "proof"];
    let easy = ["breakfast", "garden", "weather", "kettle", "shoes"];
    let line = |number: usize| {
        let is_hard = number.is_multiple_of(2);
        let word = if is_hard { hard } else { easy }[number / 2 % 5];
        let prompt = format!("Tell me in a few words about the {word} of number {}", number % 23);
        let models = json!({"models/gpt-4.1-mini": u8::from(!is_hard), "models/gpt-4.1": 1});
        format!("{}\n", json!({"prompt": prompt, "models": models}))
    };
    std::fs::write(path, (0..130).map(line).collect::<String>()).unwrap();
}

/// The tier that served a text, its decision, and the calls made for it.
async fn decided(gateway: &Gateway, text: &str) -> (String, Value, Vec<AttemptKind>) {
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", text, false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = gateway.record(answer.id()).await;
    let decision = serde_json::from_str(record.decision.as_deref().unwrap()).unwrap();
    let kinds = record.attempts.iter().map(|attempt| attempt.kind).collect();
    (answer.header("x-trunkline-tier").to_owned(), decision, kinds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_is_trained_and_decides_by_an_encoder_and_by_length_without_it() {
    let (models, vectors) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let providers = provider("models", DialectName::OpenAi, &models.base_url())
        + &provider("vectors", DialectName::OpenAi, &vectors.base_url());
    let top = "encoders:\n  big: { deployment: vectors/text-embedding-3-small, dimensions: 32 }\n";
    let tiers = "routes:\n  main:\n    tiers:\n      cheap: { deployments: [models/gpt-4.1-mini] }\n      strong: { deployments: [models/gpt-4.1] }\n";
    let mut gateway = Gateway::start(&format!("providers:\n{providers}{top}{tiers}")).await;
    let path = gateway.configuration();
    rows(&path.with_file_name("rows.jsonl"));
    let train = |encoder: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["train", "--data", "rows.jsonl", "--out", "q.json", "--encoder", encoder, "--config"])
            .arg(&path)
            .current_dir(path.parent().unwrap())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), text)
    };
    let (trained, told) = train("bigg");
    assert!(!trained && told.contains("no encoder `bigg`") && told.contains("there is big"), "{told}");
    let (trained, told) = train("big");
    assert!(trained && told.contains("130 prompts encoded by `big`, for $0.0"), "{told}");
    assert_eq!(vectors.counters().requests, 3, "batches of 64");
    let file: Value = serde_json::from_slice(&std::fs::read(path.with_file_name("q.json")).unwrap()).unwrap();
    assert_eq!((&file["encoder"]["name"], &file["encoder"]["dimensions"]), (&json!("big"), &json!(32)));

    let learned = "learned: { quality: { file: q.json, encoder: big } }\n";
    let decide = "    decide: [{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.5 }, { use: cheap }]\n";
    gateway.configure(&format!("providers:\n{providers}{top}{learned}{tiers}{decide}"));
    gateway.logged("the configuration was reloaded").await;
    let hard = "Tell me in a few words about the lemma of number 40";
    let (tier, decision, kinds) = decided(&gateway, hard).await;
    assert_eq!((&*tier, &decision["decided_by"]), ("strong", &json!("learned-0")), "{decision}");
    assert_eq!(kinds, [AttemptKind::Encoder, AttemptKind::First]);
    let (tier, decision, _) = decided(&gateway, "Tell me in a few words about the kettle of number 40").await;
    assert_eq!(tier, "cheap", "{decision}");

    vectors.fail_with(Fault::ServerError);
    let (_, decision, kinds) = decided(&gateway, "Tell me in a few words about the proof of number 41").await;
    assert_eq!(decision["decided_by"], "learned-0", "{decision}");
    let note = decision["steps"][0]["note"].as_str().unwrap();
    assert!(
        note.starts_with("not predicted, the encoder gave no vector: ")
            && note.ends_with("the prompt's length decides"),
        "{note}"
    );
    assert_eq!(kinds[0], AttemptKind::Encoder);

    // With another encoder under that name the file is refused, and what was in force stays.
    let other = format!("providers:\n{providers}{top}{learned}{tiers}{decide}")
        .replace("dimensions: 32", "dimensions: 16");
    gateway.configure(&other);
    let refused = gateway.logged("the configuration was not reloaded").await;
    let why = refused["message"].as_str().unwrap();
    assert!(why.contains("`q.json` was trained with the encoder big (32 components"), "{why}");
    vectors.heal();
    assert_eq!(decided(&gateway, hard).await.0, "strong");
}
