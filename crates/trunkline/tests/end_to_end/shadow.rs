//! Copies for a candidate: what it sees, what the client sees, what they cost, what is kept.

use crate::support::{Answer, Face, Gateway, KEY, eventually, model, provider, simulator};
use serde_json::{Value, json};
use std::process::Command;
use trunkline_model::money::NanoDollars;
use trunkline_model::record::{AttemptKind, Outcome, RequestRecord};
use trunkline_sim::{DialectName, Fault, Simulator};
use trunkline_store::LearningFile;

/// What serves, and a candidate of another dialect that gets copies on these terms.
struct Scene {
    gateway: Gateway,
    served: Simulator,
    candidate: Simulator,
}

const AMPLE: &str = "share: 100%, spend_per_day: \"1000\"";

impl Scene {
    async fn new(terms: &str, candidate: DialectName) -> Self {
        Self::with_keys(terms, candidate, "").await
    }

    async fn with_keys(terms: &str, dialect: DialectName, keys: &str) -> Self {
        let (served, candidate) = (simulator(DialectName::OpenAi).await, simulator(dialect).await);
        let providers = provider("served", DialectName::OpenAi, &served.base_url())
            + &provider("candidate", dialect, &candidate.base_url());
        let gateway = Gateway::start(&format!(
            "providers:\n{providers}routes:\n  main:\n    tiers: {{ only: {{ deployments: [served/{}] }} }}\n    \
             shadow: {{ deployment: candidate/{}, {terms} }}\n{keys}",
            model(DialectName::OpenAi),
            model(dialect),
        ))
        .await;
        Self { gateway, served, candidate }
    }

    async fn ask(&self, face: Face, text: &str, streamed: bool) -> Answer {
        let answer = self.gateway.post(face.path(), face.body("main", text, streamed)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// The record of the copy of a request.
    async fn copy_of(&self, answer: &Answer) -> RequestRecord {
        let id = answer.id().to_owned();
        eventually("the copy's record", async || {
            self.gateway.records_now().into_iter().find(|record| {
                record.shadow.as_ref().is_some_and(|comparison| comparison.of.to_string() == id)
            })
        })
        .await
    }

    /// Waits until a metric says this.
    async fn counted(&self, line: &str) {
        let what = format!("the metric {line}");
        eventually(&what, async || {
            let text = self.gateway.get("/metrics").await;
            text.text().lines().any(|found| found == line).then_some(())
        })
        .await;
    }
}

fn copies(result: &str, count: u32) -> String {
    format!("trunkline_shadow_copies_total{{route=\"main\",result=\"{result}\"}} {count}")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_see_the_request_and_the_client_sees_one_answer() {
    for dialect in [DialectName::Anthropic, DialectName::OpenAi, DialectName::Gemini] {
        let scene = Scene::new(&format!("{AMPLE}, keep_answers: true"), dialect).await;
        for (number, (face, streamed)) in
            [(Face::OpenAi, false), (Face::OpenAi, true), (Face::Anthropic, true)].into_iter().enumerate()
        {
            let answer = scene.ask(face, "Where to? [[sim: say=Paris]]", streamed).await;
            assert_eq!(face.text(&answer), "Paris");
            assert!(!streamed || face.looks_finished(&answer));
            assert_eq!(answer.header("x-trunkline-attempts"), "1");
            let copy = scene.copy_of(&answer).await;
            assert_eq!(
                (scene.served.requests().len(), scene.candidate.requests().len()),
                (number + 1, number + 1)
            );
            let comparison = copy.shadow.as_ref().unwrap();
            assert_eq!((comparison.similarity, comparison.agreed), (Some(1.0), Some(true)));
            let texts = comparison.answers.as_ref().unwrap();
            assert_eq!((texts.served.as_str(), texts.candidate.as_str()), ("Paris", "Paris"));
            assert_eq!(copy.outcome, Outcome::Served);
            assert_eq!(copy.decided_by.as_deref(), Some("shadow"));
            assert_eq!(copy.delivery.is_stream(), streamed);
            assert_eq!(copy.attempts[0].kind, AttemptKind::Shadow);
            assert!(copy.cost.amount > Some(NanoDollars::ZERO));
            assert!(copy.tags.iter().any(|(name, of)| &**name == "shadow_of" && **of == *answer.id()));
            assert_eq!((copy.key.as_deref(), copy.error_message.as_deref()), (None, None));
            let own = scene.gateway.record(answer.id()).await;
            assert_eq!(own.attempts.len(), 1, "the copy is no attempt of the request");
            assert_eq!(comparison.served.cost, own.cost);
            assert_eq!((&comparison.served.finish, &copy.finish), (&own.finish, &own.finish));
            assert!(comparison.served.total_us.is_some() && copy.first_token_us.is_some());
        }
        scene.counted(&copies("agreed", 3)).await;
        let metrics = scene.gateway.get("/metrics").await;
        let requests: Vec<&str> = metrics
            .text()
            .lines()
            .filter(|line| line.starts_with("trunkline_requests_total{route=\"main\""))
            .collect();
        let sum: u32 =
            requests.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum();
        assert_eq!(sum, 3, "copies are nobody's requests: {requests:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_differ_are_told_and_texts_are_only_kept_when_asked_for() {
    let scene = Scene::new(AMPLE, DialectName::Anthropic).await;
    let schema = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {
        "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false}}});
    let mut body = Face::OpenAi.value("main", "Where to? [[sim: only=claude say=nowhere]]", false);
    body["response_format"] = schema;
    let answer = scene.gateway.post(Face::OpenAi.path(), body.to_string()).await;
    assert!(serde_json::from_str::<Value>(&Face::OpenAi.text(&answer)).is_ok(), "{}", answer.text());
    let copy = scene.copy_of(&answer).await;
    let comparison = copy.shadow.as_ref().unwrap();
    assert_eq!(
        (comparison.agreed, comparison.in_form, comparison.served.in_form),
        (Some(false), Some(false), Some(true))
    );
    assert_eq!(comparison.answers, None);
    scene.counted(&copies("differed", 1)).await;

    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline")).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let database = scene.gateway.database();
    let database = database.to_str().unwrap();
    let log = run(&["log", "--database", database, "--shadow"]);
    assert_eq!(log.lines().filter(|line| line.contains("differs")).count(), 1, "{log}");
    let report = run(&["report", "--log", database]);
    assert!(report.contains("Shadow candidate/claude-sonnet-4-5: 1 copies, 1 answered"), "{report}");
    assert!(report.contains("It agrees with what was served in 0 %"), "{report}");
    assert!(report.contains("1 requests from"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_is_down_or_silent_changes_nothing_for_the_client() {
    let scene = Scene::new(AMPLE, DialectName::Anthropic).await;
    scene.candidate.fail_with(Fault::ServerError);
    let answer = scene.ask(Face::OpenAi, "Where to? [[sim: say=Paris]]", true).await;
    assert_eq!(Face::OpenAi.text(&answer), "Paris");
    let copy = scene.copy_of(&answer).await;
    assert_eq!((copy.outcome, copy.attempts.len()), (Outcome::Failed, 1));
    let message = copy.error_message.as_deref().unwrap();
    assert!(message.starts_with("the candidate gave no answer"), "{message}");
    assert_eq!(copy.shadow.as_ref().unwrap().similarity, None);
    scene.counted(&copies("failed", 1)).await;

    // Its breaker opens like anybody's; what is drawn then is not sent.
    eventually("the breaker opens", async || {
        scene.ask(Face::OpenAi, "Where to?", false).await;
        let metrics = scene.gateway.get("/metrics").await;
        metrics.text().contains("result=\"unavailable\"").then_some(())
    })
    .await;

    let silent = Scene::new(AMPLE, DialectName::Anthropic).await;
    silent.candidate.fail_with(Fault::HangBeforeHeaders);
    for streamed in [false, true] {
        // The answer is whole while the candidate says nothing at all.
        let answer = silent.ask(Face::OpenAi, "Where to? [[sim: say=Paris]]", streamed).await;
        assert_eq!(Face::OpenAi.text(&answer), "Paris");
    }
    silent.candidate.wait_until(|counters| counters.requests == 2).await;
    assert!(silent.gateway.records_now().iter().all(|record| record.shadow.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_without_room_sends_no_copy() {
    for cap in ["spend_per_day: \"0.0000001\"", "spend_cap: 1%"] {
        let scene = Scene::new(&format!("share: 100%, {cap}"), DialectName::Anthropic).await;
        for number in 1..=2 {
            let answer = scene.ask(Face::Anthropic, "Where to?", number == 2).await;
            assert_eq!(answer.status, 200);
            scene.counted(&copies("capped", number)).await;
        }
        assert!(scene.candidate.requests().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_set_aside_stays_spent() {
    // Room for one copy of a thousand tokens and not for two.
    let mut scene = Scene::new("share: 100%, spend_per_day: \"0.02\"", DialectName::Anthropic).await;
    scene.candidate.fail_with(Fault::HangBeforeHeaders);
    scene.ask(Face::Anthropic, "Where to?", false).await;
    scene.candidate.wait_until(|counters| counters.requests == 1).await;
    let database = scene.gateway.database();
    let kept = eventually("the account is kept", async || {
        let accounts = LearningFile::beside(&database).unwrap()?.accounts().unwrap();
        accounts
            .into_iter()
            .find(|account| account.kind == "shadow" && !account.state.contains("\"spent\":0"))
    })
    .await;
    assert_eq!(kept.name, "main");
    scene.gateway.signal("KILL");
    scene.gateway.ended().await;
    scene.gateway = scene.gateway.again().await;
    scene.ask(Face::Anthropic, "Where to?", false).await;
    scene.counted(&copies("capped", 1)).await;
    assert_eq!(scene.candidate.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_use_none_of_the_keys_limits() {
    let keys = format!("keys: {{ app: {{ key: {KEY}, requests_per_minute: 3, concurrency: 1 }} }}\n");
    let scene = Scene::with_keys(AMPLE, DialectName::Anthropic, &keys).await;
    scene.candidate.fail_with(Fault::HangBeforeHeaders);
    for left in [2, 1, 0] {
        let answer = scene.ask(Face::OpenAi, "Where to?", false).await;
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left.to_string());
    }
    scene.candidate.wait_until(|counters| counters.requests == 3).await;
    let refused =
        scene.gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Where to?", false)).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(scene.candidate.requests().len(), 3, "what was refused is not copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_the_candidate_and_copies_nothing() {
    let scene = Scene::new(AMPLE, DialectName::Anthropic).await;
    let request = scene.gateway.builder(Face::OpenAi.path()).header("x-trunkline-dry-run", "true");
    let body = http_body_util::Full::from(Face::OpenAi.body("main", "Where to?", false));
    let dry = scene.gateway.send(request.body(body).unwrap()).await;
    assert!(dry.text().contains("\"shadow\":\"candidate/claude-sonnet-4-5\""), "{}", dry.text());
    assert!(scene.served.requests().is_empty() && scene.candidate.requests().is_empty());
}
