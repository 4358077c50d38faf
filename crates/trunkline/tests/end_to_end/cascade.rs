//! Cascades, demands on answers and concessions: what the client gets, what it costs, what the record says.

use crate::support::{Answer, Face, Gateway, KEY, eventually, model, provider, simulator};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_model::failure::FailureClass;
use trunkline_model::money::NanoDollars;
use trunkline_model::record::{AttemptKind, Outcome, RequestRecord};
use trunkline_model::usage::UsageSource;
use trunkline_sim::{DialectName, Fault, Rule, Simulator};

/// A cheap simulator, a strong one of another dialect, a judge, and a route over them.
struct Scene {
    gateway: Gateway,
    _cheap: Simulator,
    strong: Simulator,
    _judge: Simulator,
}

const CHEAP: &str = "gpt-4.1-mini";

impl Scene {
    async fn new(route: &str) -> Self {
        Self::with(DialectName::OpenAi, DialectName::Anthropic, route).await
    }

    async fn with(cheap: DialectName, dear: DialectName, route: &str) -> Self {
        let judge = DialectName::OpenAi;
        let (first, strong, grader) = (simulator(cheap).await, simulator(dear).await, simulator(judge).await);
        let judge = provider("judge", judge, &grader.base_url()).replace(" }", ", models: [judge-model] }");
        let providers = provider("cheap", cheap, &first.base_url())
            + &provider("strong", dear, &strong.base_url())
            + &judge;
        let gateway = Gateway::start(&format!(
            "providers:\n{providers}routes:\n  main:\n    tiers:\n      \
             cheap: {{ deployments: [cheap/{}] }}\n      strong: {{ deployments: [strong/{}] }}\n    \
             decide: [{{ use: cheap }}]\n{route}",
            model(cheap),
            model(dear),
        ))
        .await;
        Self { gateway, _cheap: first, strong, _judge: grader }
    }

    async fn ask(&self, face: Face, text: &str, streamed: bool) -> Answer {
        let answer = self.gateway.post(face.path(), face.body("main", text, streamed)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    async fn record(&self, answer: &Answer) -> RequestRecord {
        self.gateway.record(answer.id()).await
    }
}

fn kinds(record: &RequestRecord) -> Vec<(AttemptKind, Option<FailureClass>)> {
    record.attempts.iter().map(|attempt| (attempt.kind, attempt.failure)).collect()
}

/// A prompt that the cheap model answers so, and the strong one in its ordinary way.
fn cheaply(words: &str) -> String {
    format!("Where to? [[sim: only={CHEAP} {words}]]")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_cheap_model_is_answered_by_the_strong_one() {
    let pairs = [
        (DialectName::OpenAi, DialectName::Anthropic),
        (DialectName::Anthropic, DialectName::OpenAi),
        (DialectName::Gemini, DialectName::OpenAi),
    ];
    for (cheap, dear) in pairs {
        let route = "    cascade: { from: cheap, to: strong, unless: [not_refusal, complete] }\n";
        let scene = Scene::with(cheap, dear, route).await;
        let prompt = format!("Where to? [[sim: only={} refuse]]", model(cheap));
        for (face, streamed) in [(Face::OpenAi, false), (Face::OpenAi, true), (Face::Anthropic, true)] {
            let answer = scene.ask(face, &prompt, streamed).await;
            assert!(face.text(&answer).contains(model(dear)), "{}", answer.text());
            assert_eq!(answer.header("x-trunkline-tier"), "strong");
            assert_eq!(answer.header("x-trunkline-attempts"), "2");
            assert!(!streamed || face.looks_finished(&answer), "{}", answer.text());
            let record = scene.record(&answer).await;
            let bad = Some(FailureClass::BadAnswer);
            assert_eq!(kinds(&record), [(AttemptKind::First, bad), (AttemptKind::Cascade, None)]);
            // Both answers came whole, and both are paid for as reported.
            assert!(record.attempts.iter().all(|attempt| attempt.cost.amount > Some(NanoDollars::ZERO)));
            assert_eq!(record.cost, record.attempts[0].cost.plus(record.attempts[1].cost));
            assert_eq!(record.attempts[0].usage_source, UsageSource::Reported);
        }
        let good = scene.ask(Face::OpenAi, "Where to?", true).await;
        assert_eq!(good.header("x-trunkline-tier"), "cheap");
        assert!(Face::OpenAi.looks_finished(&good));
        assert_eq!(kinds(&scene.record(&good).await), [(AttemptKind::First, None)]);
    }
}

fn with_schema(text: &str, streamed: bool) -> Value {
    let mut body = Face::OpenAi.value("main", text, streamed);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {
        "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false}}});
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_the_schema_escalates() {
    let scene = Scene::new("    cascade: { from: cheap, to: strong, unless: [json_schema] }\n").await;
    for streamed in [false, true] {
        let body = with_schema(&cheaply("say={\"n\":\"one\"}"), streamed).to_string();
        let answer = scene.gateway.post("/v1/chat/completions", body).await;
        assert_eq!((answer.status, answer.header("x-trunkline-tier")), (200, "strong"), "{}", answer.text());
        let value: Value = serde_json::from_str(&Face::OpenAi.text(&answer)).unwrap();
        assert!(value["n"].is_i64(), "{value}");
        let record = scene.record(&answer).await;
        assert_eq!(
            record.attempts[0].message.as_deref(),
            Some("the answer was found wanting: json_schema: the JSON breaks the schema at /n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demanded_answer_is_repaired_or_asked_for_elsewhere() {
    let scene = Scene::new("    answer: { must: [json_schema] }\n    fallback: { error: [strong] }\n").await;
    for streamed in [false, true] {
        let body = with_schema(&cheaply("fence"), streamed).to_string();
        let answer = scene.gateway.post("/v1/chat/completions", body).await;
        let text = Face::OpenAi.text(&answer);
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        assert!(!streamed || Face::OpenAi.looks_finished(&answer));
        assert_eq!(answer.header("x-trunkline-tier"), "cheap");
        assert!(answer.header("x-trunkline-warnings").contains("answer emulated"), "{}", answer.text());

        let body = with_schema(&cheaply("say=nothing"), streamed).to_string();
        let answer = scene.gateway.post("/v1/chat/completions", body).await;
        assert_eq!((answer.status, answer.header("x-trunkline-tier")), (200, "strong"), "{}", answer.text());
        assert_eq!(kinds(&scene.record(&answer).await)[0].1, Some(FailureClass::BadAnswer));
    }
    // Nobody gives what is demanded: the client gets an error and not a bad answer.
    let body = with_schema("Where to? [[sim: say=nothing]]", false).to_string();
    let answer = scene.gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("found wanting"), "{}", answer.text());
}

const JUDGED: &str = "    cascade:\n      from: cheap\n      to: strong\n      \
    judge: { deployments: [judge/judge-model], rubric: \"Correct.\", at_least: 6 }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_decides_and_its_cost_is_part_of_the_request() {
    let scene = Scene::new(JUDGED).await;
    for (said, tier, attempts) in
        [("{\"score\":9}", "cheap", 2), ("{\"score\":2}", "strong", 3), ("{\"score\":60}", "cheap", 2)]
    {
        let prompt = format!("Where to? [[sim: only=judge say={said}]]");
        let answer = scene.ask(Face::OpenAi, &prompt, false).await;
        assert_eq!(answer.header("x-trunkline-tier"), tier, "{said}: {}", answer.text());
        let record = scene.record(&answer).await;
        assert_eq!(record.attempts.len(), attempts, "{record:?}");
        let judged: Vec<_> =
            record.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Judge).collect();
        assert_eq!(judged.len(), 1);
        assert_eq!(&*judged[0].deployment, "judge/judge-model");
        assert!(judged[0].usage.total() > 0);
        let scores: Vec<_> =
            record.judged.iter().map(|judged| (&*judged.tier, &*judged.deployment, judged.score)).collect();
        let expected = match said {
            "{\"score\":9}" => vec![("cheap", "cheap/gpt-4.1-mini", 0.9)],
            "{\"score\":2}" => vec![("cheap", "cheap/gpt-4.1-mini", 0.2)],
            _ => Vec::new(),
        };
        assert_eq!(scores, expected, "what a judge said is kept, and no nonsense");
    }
    let unsure = scene.ask(Face::OpenAi, "Where to? [[sim: only=judge say=fine]]", false).await;
    let warnings = unsure.header("x-trunkline-warnings").to_owned();
    assert!(warnings.contains("the judge could not tell"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_agree_let_the_cheap_answer_pass() {
    let scene =
        Scene::new("    cascade: { from: cheap, to: strong, agreement: { samples: 3, at_least: 0.9 } }\n")
            .await;
    let answer = scene.ask(Face::OpenAi, "Where to?", false).await;
    assert_eq!(answer.header("x-trunkline-tier"), "cheap");
    let record = scene.record(&answer).await;
    let samples = record.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Sample).count();
    assert_eq!((samples, record.attempts.len()), (2, 3));
    assert!(record.attempts.iter().all(|attempt| attempt.cost.amount > Some(NanoDollars::ZERO)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_cap_and_a_dead_strong_tier_leave_the_cheap_answer() {
    let capped = Scene::new(
        "    cascade: { from: cheap, to: strong, unless: [not_refusal], spend_cap: \"0.0000001\" }\n",
    )
    .await;
    let answer = capped.ask(Face::OpenAi, &cheaply("refuse"), false).await;
    assert_eq!((answer.header("x-trunkline-tier"), answer.header("x-trunkline-attempts")), ("cheap", "1"));
    assert!(answer.header("x-trunkline-warnings").contains("spend cap"), "{}", answer.text());

    let scene = Scene::new("    cascade: { from: cheap, to: strong, unless: [not_refusal] }\n").await;
    scene.strong.script(|script| script.rules = vec![Rule::always(Fault::ServerError)]);
    for streamed in [false, true] {
        let answer = scene.ask(Face::OpenAi, &cheaply("refuse"), streamed).await;
        assert!(answer.header("x-trunkline-warnings").contains("no better answer came"), "{}", answer.text());
        assert!(!streamed || Face::OpenAi.looks_finished(&answer));
        let record = scene.record(&answer).await;
        assert_eq!(record.outcome, Outcome::Served);
        assert_eq!(record.tier.as_deref(), Some("cheap"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_measure_what_the_checks_let_through() {
    let scene = Scene::new(
        "    cascade: { from: cheap, to: strong, unless: [complete], audit: { share: 100%, agree: 0.9 } }\n",
    )
    .await;
    for (prompt, result) in [("Where to? [[sim: say=Paris]]", "agreed"), (&*cheaply("say=Paris"), "differed")]
    {
        let answer = scene.ask(Face::OpenAi, prompt, false).await;
        assert_eq!(answer.header("x-trunkline-tier"), "cheap");
        let id = answer.id().to_owned();
        let sample = format!("trunkline_cascade_audits_total{{route=\"main\",result=\"{result}\"}} 1");
        eventually("the audit", async || {
            scene.gateway.get("/metrics").await.text().contains(&sample).then_some(())
        })
        .await;
        let of = ("audit_of".to_owned(), id);
        let audited = eventually("the audit's record", async || {
            scene.gateway.records_now().into_iter().find(|record| {
                record.tags.iter().any(|(name, value)| (name.to_string(), value.to_string()) == of)
            })
        })
        .await;
        assert_eq!(audited.decided_by.as_deref(), Some("audit"));
        assert_eq!(audited.tier.as_deref(), Some("strong"));
        assert!(audited.cost.amount > Some(NanoDollars::ZERO));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_fails_over_like_any_request() {
    let (cheap, down, strong) = (
        simulator(DialectName::OpenAi).await,
        simulator(DialectName::OpenAi).await,
        simulator(DialectName::Anthropic).await,
    );
    down.fail_with(Fault::ServerError);
    let providers = provider("cheap", DialectName::OpenAi, &cheap.base_url())
        + &provider("down", DialectName::OpenAi, &down.base_url())
        + &provider("strong", DialectName::Anthropic, &strong.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  main:\n    tiers:\n      cheap: {{ deployments: [cheap/{CHEAP}] }}\n      \
         strong: {{ deployments: [down/{CHEAP}, strong/{}], balance: cost }}\n    decide: [{{ use: cheap }}]\n    \
         cascade: {{ from: cheap, to: strong, unless: [complete], audit: {{ share: 100% }} }}\n",
        model(DialectName::Anthropic)
    ))
    .await;
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Where to?", true)).await;
    assert_eq!((answer.status, answer.header("x-trunkline-attempts")), (200, "1"), "{}", answer.text());
    let id = answer.id().to_owned();
    let audit = eventually("the audit's record", async || {
        gateway.records_now().into_iter().find(|record| record.tags.iter().any(|(_, of)| **of == *id))
    })
    .await;
    let last = audit.attempts.last().unwrap();
    assert_eq!((audit.outcome, last.failure), (Outcome::Served, None), "{audit:?}");
    assert!(audit.attempts.len() > 1 && audit.attempts[0].failure == Some(FailureClass::Server), "{audit:?}");
    assert!(last.deployment.starts_with("strong/"), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_can_be_sent_to_the_strong_tier_before_their_first_byte() {
    let scene = Scene::new(
        "    cascade: { from: cheap, to: strong, unless: [not_refusal], streams: precheck, \
         precheck: \"request.input_tokens > 100\" }\n",
    )
    .await;
    let long = "word ".repeat(200);
    let answer = scene.ask(Face::OpenAi, &long, true).await;
    assert_eq!(answer.header("x-trunkline-tier"), "strong");
    assert_eq!(scene.record(&answer).await.decided_by.as_deref(), Some("cascade-precheck"));
    let short = scene.ask(Face::OpenAi, &cheaply("refuse"), true).await;
    assert_eq!(short.header("x-trunkline-tier"), "cheap", "streams are not held");
    let plain = scene.ask(Face::OpenAi, &long, false).await;
    assert_eq!(plain.header("x-trunkline-tier"), "cheap", "plain answers are checked instead");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_deployment_can_do_is_given_up_in_the_order_stated() {
    let cheap = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}models:\n  cheap/plain: {{ capabilities: {{ tools: false, reasoning: false }}, max_output_tokens: 64 }}\n\
         routes:\n  main:\n    tiers: {{ only: {{ deployments: [cheap/plain] }} }}\n    \
         downgrade: [length, reasoning, tools]\n  hard:\n    tiers: {{ only: {{ deployments: [cheap/plain] }} }}\n",
        provider("cheap", DialectName::OpenAi, &cheap.base_url())
            .replace(" }\n", ", models: [plain] }\n"),
    ))
    .await;
    let mut body = Face::OpenAi.value("main", "Where to?", false);
    body["tools"] =
        json!([{"type": "function", "function": {"name": "go", "parameters": {"type": "object"}}}]);
    body["max_tokens"] = json!(4_000);
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let warnings = answer.header("x-trunkline-warnings").to_owned();
    assert!(warnings.contains("length dropped") && warnings.contains("tools dropped"), "{warnings}");
    assert!(!warnings.contains("reasoning"), "nobody asked for it: {warnings}");
    body["model"] = json!("hard");
    let refused = gateway.post("/v1/chat/completions", body.to_string()).await;
    assert_eq!((refused.status, refused.error_code()), (400, "unsupported_parameter"), "{}", refused.text());
    body["model"] = json!("main");
    let strict = Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {KEY}"))
        .header("x-trunkline-strict", "true")
        .body(Full::from(body.to_string()))
        .unwrap();
    let strict = gateway.send(strict).await;
    assert_ne!(strict.status, 200, "{}", strict.text());
}
