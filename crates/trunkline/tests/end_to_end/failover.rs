//! Faults before the commit point: a healthy second deployment hides every one of them.

use crate::support::{Face, Gateway, eventually, faulty, model, provider, simulator};
use futures_util::{StreamExt, stream};
use std::time::Duration;
use trunkline_model::record::{AttemptKind, Outcome};
use trunkline_sim::{Delay, DialectName, Fault, Phase};

/// Requests at the same time: as many as keep two cores busy without making anybody late.
const AT_ONCE: usize = 8;

/// Faults that a policy with every fallback survives, streamed or plain. A plain answer commits only when it is whole, so that
/// for it every fault comes before the commit point.
fn survivable(streamed: bool) -> impl Iterator<Item = Fault> {
    Fault::ALL.iter().copied().filter(move |fault| {
        let before = if streamed { fault.before_commit() } else { fault.phase() != Phase::Complete };
        // The caller's own fault is told, not tried elsewhere.
        before && *fault != Fault::BadRequest
    })
}

fn slug(fault: Fault) -> String {
    fault.to_string().replace('=', "-")
}

/// A deployment and a route for each fault, so that none sees the breaker that another one opened.
async fn configuration(dialect: DialectName, first: &trunkline_sim::Simulator, second: &str) -> String {
    let path = match dialect {
        DialectName::Gemini => "/v1beta",
        DialectName::Converse => "",
        DialectName::OpenAi | DialectName::Anthropic | DialectName::Mistral => "/v1",
        DialectName::Cohere | DialectName::Tokens => "",
    };
    let mut deployments = String::from("deployments:\n");
    let mut routes = String::from("routes:\n");
    for fault in Fault::ALL {
        let name = slug(*fault);
        let url = first.address_for(*fault).unwrap();
        for kind in ["plain", "stream"] {
            deployments.push_str(&format!(
                "  at-{name}-{kind}: {{ model: first/{}, url: \"{url}{path}\", key: fault-{fault}.{kind} }}\n",
                model(dialect)
            ));
            routes.push_str(&format!(
                "  {name}-{kind}:\n    tiers: {{ first: {{ deployments: [at-{name}-{kind}] }}, \
                 second: {{ deployments: [second/{}] }} }}\n    \
                 fallback: {{ error: [second], rate_limit: [second], context_length: [second], content_filter: [second] }}\n    \
                 timeouts: {{ connect: 2s, first_token: 2s, whole_answer: 2s, between_tokens: 2s }}\n",
                model(DialectName::OpenAi)
            ));
        }
    }
    let providers =
        provider("first", dialect, &first.base_url()) + &provider("second", DialectName::OpenAi, second);
    format!("providers:\n{providers}{deployments}{routes}")
}

async fn every_fault_is_hidden(dialect: DialectName) {
    let first = faulty(dialect, Fault::ALL).await;
    let second = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&configuration(dialect, &first, &second.base_url()).await).await;
    let asked = [false, true]
        .into_iter()
        .flat_map(|streamed| survivable(streamed).map(move |fault| (fault, streamed)));
    let face = |index: usize| Face::BOTH[index % 2];
    let failures: Vec<String> = stream::iter(asked.enumerate())
        .map(|(index, (fault, streamed))| {
            let gateway = &gateway;
            async move { hidden(gateway, face(index), fault, streamed).await }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    assert!(failures.is_empty(), "{} faults showed:\n{}", failures.len(), failures.join("\n"));
}

/// What went wrong, if anything did.
async fn hidden(gateway: &Gateway, face: Face, fault: Fault, streamed: bool) -> Option<String> {
    let kind = if streamed { "stream" } else { "plain" };
    let name = format!("{}-{kind}", slug(fault));
    let answer = gateway.post(face.path(), face.body(&name, "Where to?", streamed)).await;
    let complain = |what: &str| {
        Some(format!("{} {name}: {what}: HTTP {} {}", face.name(), answer.status, answer.text()))
    };
    if answer.status != 200 {
        return complain("not answered");
    }
    if !face.text(&answer).contains("Where to?") || !answer.whole {
        return complain("not answered in full");
    }
    if streamed && !face.looks_finished(&answer) {
        return complain("not ended");
    }
    if answer.header("x-trunkline-provider") != "second" || answer.header("x-trunkline-attempts") != "2" {
        return complain("not by the second attempt");
    }
    let record = gateway.record(answer.id()).await;
    let kinds: Vec<AttemptKind> = record.attempts.iter().map(|attempt| attempt.kind).collect();
    if kinds != [AttemptKind::First, AttemptKind::Failover] || record.attempts[0].failure.is_none() {
        return complain(&format!("recorded as {:?}", record.attempts));
    }
    (record.outcome != Outcome::Served).then(|| format!("{name}: recorded as {:?}", record.outcome))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_deployment_hides_every_fault_of_an_openai_provider() {
    every_fault_is_hidden(DialectName::OpenAi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_deployment_hides_every_fault_of_an_anthropic_provider() {
    every_fault_is_hidden(DialectName::Anthropic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_deployment_hides_every_fault_of_a_gemini_provider() {
    every_fault_is_hidden(DialectName::Gemini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_deployment_hides_every_fault_of_a_bedrock_provider() {
    every_fault_is_hidden(DialectName::Converse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_fail_over_too() {
    let first = simulator(DialectName::OpenAi).await;
    let second = simulator(DialectName::OpenAi).await;
    let providers = provider("first", DialectName::OpenAi, &first.base_url())
        + &provider("second", DialectName::OpenAi, &second.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  vectors:\n    tiers: {{ one: {{ deployments: [first/text-embedding-3-small] }}, \
         two: {{ deployments: [second/text-embedding-3-small] }} }}\n    fallback: {{ error: [two] }}\n"
    ))
    .await;
    first.fail_with(Fault::ServerError);
    let answer = gateway.post("/v1/embeddings", r#"{"model":"vectors","input":["one","two"]}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(answer.header("x-trunkline-provider"), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_goes_away_and_comes_back_is_used_again() {
    let first = simulator(DialectName::OpenAi).await;
    let second = simulator(DialectName::Anthropic).await;
    let providers = provider("first", DialectName::OpenAi, &first.base_url())
        + &provider("second", DialectName::Anthropic, &second.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  main:\n    tiers: {{ one: {{ deployments: [first/{}] }}, \
         two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two], rate_limit: [two] }}\n",
        model(DialectName::OpenAi),
        model(DialectName::Anthropic)
    ))
    .await;
    let ask = async |streamed: bool| {
        let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Anyone?", streamed)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(Face::OpenAi.text(&answer).contains("Anyone?"), "{}", answer.text());
        answer.header("x-trunkline-provider").to_owned()
    };
    assert_eq!(ask(false).await, "first");
    first.fail_with(Fault::Refused);
    for number in 0..20 {
        assert_eq!(ask(number % 2 == 0).await, "second");
    }
    first.heal();
    // A breaker that opened lets a probe through after a while.
    eventually("the return to the first provider", async || (ask(true).await == "first").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attempt_budget_of_a_route_is_kept_whoever_is_left() {
    let down = simulator(DialectName::OpenAi).await;
    let healthy = simulator(DialectName::Anthropic).await;
    down.fail_with(Fault::ServerError);
    for (attempts, is_served) in [(2, false), (3, true), (4, true)] {
        let providers: String = ["one", "two"]
            .map(|name| provider(name, DialectName::OpenAi, &down.base_url()))
            .into_iter()
            .chain([provider("three", DialectName::Anthropic, &healthy.base_url())])
            .collect();
        let openai = model(DialectName::OpenAi);
        let gateway = Gateway::start(&format!(
            "providers:\n{providers}routes:\n  main:\n    attempts: {attempts}\n    tiers:\n      \
             a: {{ deployments: [one/{openai}] }}\n      b: {{ deployments: [two/{openai}] }}\n      \
             c: {{ deployments: [three/{}] }}\n    decide: [{{ use: a }}]\n    fallback: {{ error: [b, c] }}\n",
            model(DialectName::Anthropic)
        ))
        .await;
        for (face, streamed) in [(Face::OpenAi, false), (Face::Anthropic, true)] {
            down.clear_requests();
            healthy.clear_requests();
            let answer = gateway.post(face.path(), face.body("main", "Hi", streamed)).await;
            let (failed, served) = (down.requests().len(), healthy.requests().len());
            if is_served {
                assert_eq!((answer.status, failed, served), (200, 2, 1), "{attempts}: {}", answer.text());
                assert_eq!(answer.header("x-trunkline-attempts"), "3");
            } else {
                assert_eq!(
                    (answer.status, failed, served),
                    (502, attempts, 0),
                    "{attempts}: {}",
                    answer.text()
                );
                assert_eq!(answer.error_code(), "upstream_failed");
                assert!(answer.text().contains("after 2 attempts"), "{}", answer.text());
            }
            let record = gateway.record(answer.id()).await;
            assert_eq!(record.attempts.len(), if is_served { 3 } else { attempts });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_has_more_time_than_a_first_token() {
    let slow = simulator(DialectName::OpenAi).await;
    slow.script(|script| script.headers = Delay::constant(Duration::from_secs(1)));
    let gateway = Gateway::start(&format!(
        "providers:\n{}routes:\n  main:\n    tiers: {{ one: {{ deployments: [slow/{}] }} }}\n    \
         timeouts: {{ first_token: 100ms, total: 1m }}\n    attempts: 1\n",
        provider("slow", DialectName::OpenAi, &slow.base_url()),
        model(DialectName::OpenAi)
    ))
    .await;
    for face in Face::BOTH {
        let whole = gateway.post(face.path(), face.body("main", "Hello", false)).await;
        assert_eq!(whole.status, 200, "it comes when its last token is made: {}", whole.shown());
        let streamed = gateway.post(face.path(), face.body("main", "Hello", true)).await;
        assert_eq!((streamed.status, streamed.error_code()), (504, "timeout"), "{}", streamed.shown());
    }
}

/// Servers of one's own often have the same key, or none: what one of them rejects is its own affair.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_rejects_a_key_keeps_nobody_from_others_that_take_it() {
    let strict = trunkline_sim::SimConfig::new(DialectName::OpenAi).with_keys(&["another"]);
    let strict = trunkline_sim::Simulator::start(strict).await.unwrap();
    let open = simulator(DialectName::OpenAi).await;
    let own = |name: &str, url: &str| {
        format!("  {name}: {{ preset: openai-compatible, key: shared, url: \"{url}/v1\", models: [mine] }}\n")
    };
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}routes:\n  own:\n    tiers:\n      a: {{ deployments: [strict/mine] }}\n      b: {{ deployments: [open/mine] }}\n    fallback: {{ error: [b] }}\n",
        own("strict", &strict.base_url()),
        own("open", &open.base_url()),
    ))
    .await;
    // The second request does not ask the server that rejects the key.
    for attempts in [2, 1] {
        let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("own", "Hello", false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["x-trunkline-provider"], "open");
        let record = gateway.record(answer.id()).await;
        assert_eq!(record.attempts.len(), attempts, "{record:?}");
    }
    let alone = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("open/mine", "Hello", false)).await;
    assert_eq!(alone.status, 200, "{}", alone.text());
}
