//! Steps beside rules on the real binary: meaning, a classifier model, experiments, and what explanations say of them.

use crate::support::{Answer, Face, Gateway, provider, simulator};
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_model::record::AttemptKind;
use trunkline_sim::{DialectName, Simulator};

struct Scene {
    gateway: Gateway,
    judge: Simulator,
    _models: Simulator,
}

const ROUTES: &str = "intents:
  topics:
    examples:
      billing: [why was I charged twice this month, I want a refund for my last invoice, how do I update my credit card, can I get a receipt for my payment, my card was declined at checkout, which payment methods do you accept]
      legal: [please review this contract clause, is the liability limit enforceable, draft a non-disclosure agreement, does this license allow commercial use, explain the termination clause of the agreement, summarize the terms of the lease]
classifiers:
  effort:
    deployment: judge/judge-model
    labels: { simple: small talk, hard: needs several steps }
    timeout: 5s
routes:
  meant:
    tiers: &tiers
      cheap: { deployments: [models/gpt-4.1-mini] }
      strong: { deployments: [models/gpt-4.1] }
    decide:
      - { semantic: topics, map: { billing: cheap, legal: strong } }
      - { when: \"request.question == 'where' || caller.session_requests > 1\", use: strong }
      - { use: cheap }
  asked:
    tiers: *tiers
    decide:
      - { classifier: effort, map: { hard: strong } }
      - { use: cheap }
  split:
    tiers: *tiers
    decide:
      - { experiment: { name: half, by: user, shares: { cheap: 50%, strong: 50% } } }
";

async fn scene() -> Scene {
    let (models, judge) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let grader = provider("judge", DialectName::OpenAi, &judge.base_url());
    let providers = provider("models", DialectName::OpenAi, &models.base_url())
        + &grader.replace(" }", ", models: [judge-model] }");
    let gateway = Gateway::start(&format!("providers:\n{providers}{ROUTES}")).await;
    Scene { gateway, judge, _models: models }
}

impl Scene {
    async fn ask(&self, route: &str, text: &str, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = self.gateway.builder(Face::OpenAi.path());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Face::OpenAi.body(route, text, false);
        self.gateway.send(request.body(Full::new(body.into())).unwrap()).await
    }

    async fn explained(&self, route: &str, text: &str) -> Value {
        let body = json!({ "model": route, "messages": [{ "role": "user", "content": text }] });
        let answer = self.gateway.post("/v1/explain", body.to_string()).await;
        serde_json::from_str(answer.text()).unwrap()
    }

    fn judged(&self) -> u64 {
        self.judge.counters().requests
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_goes_where_its_meaning_says_and_the_unknown_goes_on() {
    let scene = scene().await;
    let tier = async |text| scene.ask("meant", text, &[]).await.header("x-trunkline-tier").to_owned();
    assert_eq!(tier("is this contract clause about liability enforceable?").await, "strong");
    assert_eq!(tier("I was charged twice, please refund my invoice").await, "cheap");
    assert_eq!(tier("where zebras graze near volcanic lakes at dawn").await, "strong");
    let explained = scene.explained("meant", "I was charged twice, please refund my invoice").await;
    let step = &explained["steps"][0];
    assert_eq!((step["step"].as_str(), step["answer"].as_str()), (Some("semantic-0"), Some("cheap")));
    assert!(step["measures"]["billing"].as_f64().unwrap() > 0.5, "{step}");
    assert!(step["measures"]["scope"].is_f64() && step["measures"]["scope threshold"].is_f64(), "{step}");
    let unknown = scene.explained("meant", "zebras graze near volcanic lakes at dawn").await;
    assert_eq!(unknown["steps"][0]["no_answer"], "out of scope: the text is unlike all examples");
    assert_eq!(unknown["features"]["request.question"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_remembered_for_rules_that_read_it() {
    let scene = scene().await;
    let mut tiers = Vec::new();
    for _ in 0..3 {
        let answer = scene.ask("meant", "zebras graze at dawn", &[("x-trunkline-session", "s1")]).await;
        tiers.push(answer.header("x-trunkline-tier").to_owned());
        scene.gateway.record(answer.id()).await;
    }
    assert_eq!(tiers, ["cheap", "cheap", "strong"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_is_asked_once_per_text_and_charged_to_the_request() {
    let scene = scene().await;
    let text = "Prove it. [[sim: only=judge say={\"label\":\"hard\"}]]";
    let before = scene.explained("asked", text).await;
    assert_eq!(before["steps"][0]["no_answer"], "its classifier was not asked, and no kept answer is there");
    assert_eq!((before["tier"].as_str(), scene.judged()), (Some("cheap"), 0));
    let first = scene.ask("asked", text, &[]).await;
    assert_eq!(first.header("x-trunkline-tier"), "strong", "{}", first.text());
    let record = scene.gateway.record(first.id()).await;
    let kinds: Vec<_> = record.attempts.iter().map(|attempt| attempt.kind).collect();
    assert_eq!(kinds, [AttemptKind::Classifier, AttemptKind::First]);
    assert_eq!(&*record.attempts[0].deployment, "judge/judge-model");
    assert!(record.usage.total() > record.attempts[1].usage.total());
    assert_eq!(record.decided_by.as_deref(), Some("classifier-0"));
    let second = scene.ask("asked", text, &[]).await;
    assert_eq!((second.header("x-trunkline-tier"), scene.judged()), ("strong", 1));
    let after = scene.explained("asked", text).await;
    assert_eq!((after["tier"].as_str(), scene.judged()), (Some("strong"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_that_fails_or_answers_nonsense_leaves_the_request_to_the_next_step() {
    let scene = scene().await;
    for (text, why) in [
        ("Hm. [[sim: only=judge say=purple]]", "which is none of its labels"),
        ("Hm. [[sim: only=judge say={\"label\":\"simple\"}]]", "`simple` is mapped to no tier"),
    ] {
        let answer = scene.ask("asked", text, &[]).await;
        assert_eq!((answer.status, answer.header("x-trunkline-tier")), (200, "cheap"));
        let record = scene.gateway.record(answer.id()).await;
        let decision = record.decision.unwrap();
        assert!(decision.contains(why), "{decision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_keeps_its_users_and_logs_their_chance() {
    let scene = scene().await;
    let mut seen = std::collections::BTreeSet::new();
    for user in ["ann", "bob", "eve", "joe", "kim", "lea", "max", "zoe"] {
        let first = scene.ask("split", "hello", &[("x-trunkline-user", user)]).await;
        let again = scene.ask("split", "other", &[("x-trunkline-user", user)]).await;
        assert_eq!(first.header("x-trunkline-tier"), again.header("x-trunkline-tier"));
        seen.insert(first.header("x-trunkline-tier").to_owned());
        let record = scene.gateway.record(first.id()).await;
        let decision: Value = serde_json::from_str(&record.decision.unwrap()).unwrap();
        assert_eq!(decision["propensity"], 0.5);
    }
    assert_eq!(seen.len(), 2, "eight users fall on both sides");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_whose_money_is_spent_is_not_asked() {
    let (models, judge) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let providers = provider("models", DialectName::OpenAi, &models.base_url())
        + &provider("judge", DialectName::OpenAi, &judge.base_url());
    // A question can cost no more than some 0.00008 dollars, and costs less: a few of them fit.
    let routes = ROUTES.replace("judge/judge-model", "judge/gpt-5-nano\n    spend_cap: \"0.0001\"");
    let gateway = Gateway::start(&format!("providers:\n{providers}{routes}")).await;
    let mut scene = Scene { gateway, judge, _models: models };
    let mut tiers = Vec::new();
    for number in 0..12 {
        let text = format!("Prove number {number}. [[sim: only=gpt-5-nano say={{\"label\":\"hard\"}}]]");
        let answer = scene.ask("asked", &text, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        tiers.push(answer.header("x-trunkline-tier").to_owned());
        let record = scene.gateway.record(answer.id()).await;
        let asked = record.attempts.iter().any(|attempt| attempt.kind == AttemptKind::Classifier);
        assert_eq!(asked, tiers[number] == "strong");
        if !asked {
            let decision = record.decision.unwrap();
            assert!(decision.contains("spend cap of $0.0001 for the day is used up"), "{decision}");
        }
    }
    let strong = tiers.iter().filter(|tier| *tier == "strong").count();
    assert!(strong > 0 && strong < 12 && scene.judged() == strong as u64, "{tiers:?}");
    assert!(tiers[..strong].iter().all(|tier| tier == "strong"), "{tiers:?}");

    scene.gateway.signal("TERM");
    scene.gateway.ended().await;
    scene.gateway = scene.gateway.again().await;
    let text = "Prove one more. [[sim: only=gpt-5-nano say={\"label\":\"hard\"}]]";
    let answer = scene.ask("asked", text, &[]).await;
    assert_ne!(answer.header("x-trunkline-tier"), "strong");
    assert_eq!(scene.judged(), strong as u64, "a restart earns no money");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_classifier_answered_is_written_and_a_replay_decides_by_it() {
    let scene = scene().await;
    for (label, tier) in [("hard", "strong"), ("simple", "cheap")] {
        let text = format!("Prove it. [[sim: only=judge say={{\"label\":\"{label}\"}}]]");
        let answer = scene.ask("asked", &text, &[]).await;
        assert_eq!(answer.header("x-trunkline-tier"), tier);
        let decision: Value =
            serde_json::from_str(&scene.gateway.record(answer.id()).await.decision.unwrap()).unwrap();
        assert_eq!(decision["steps"][0]["measures"][format!("label {label}")], 1.0, "{decision}");
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["replay", "--json", "--log"])
        .arg(scene.gateway.database())
        .arg("--policy")
        .arg(scene.gateway.configuration())
        .output()
        .unwrap();
    let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&replayed["replayed"], replayed["changes"].as_array().map(Vec::len)),
        (&json!(2), Some(0)),
        "{replayed}"
    );
}
