//! Faults after the commit point: never silent, never mistaken for an end.

use crate::support::{Face, Gateway, faulty, model, provider};
use futures_util::{StreamExt, stream};
use trunkline_model::record::Outcome;
use trunkline_sim::{DialectName, Fault, Phase};

fn breaking() -> impl Iterator<Item = Fault> {
    // Cut at a byte: far enough to be within the text of every dialect.
    let mapped =
        |fault: &Fault| if matches!(fault, Fault::CutAtByte(_)) { Fault::CutAtByte(1600) } else { *fault };
    Fault::ALL.iter().map(mapped).filter(|fault| fault.phase() == Phase::AfterFirstToken)
}

async fn every_break_is_told(dialect: DialectName) {
    let faults: Vec<Fault> = breaking().collect();
    let provider_simulator = faulty(dialect, &faults).await;
    let mut configuration =
        format!("providers:\n{}", provider("only", dialect, &provider_simulator.base_url()));
    let mut routes = String::new();
    configuration.push_str("deployments:\n");
    for (number, fault) in faults.iter().enumerate() {
        for face in Face::BOTH {
            let name = format!("{}-{number}", face.name());
            let model = model(dialect);
            configuration
                .push_str(&format!("  at-{name}: {{ model: only/{model}, key: fault-{fault}.{name} }}\n"));
            routes.push_str(&format!(
                "  {name}: {{ tiers: {{ one: {{ deployments: [at-{name}] }} }}, timeouts: {{ between_tokens: 2s }} }}\n"
            ));
        }
    }
    let gateway = Gateway::start(&format!("{configuration}routes:\n{routes}")).await;
    let asked: Vec<_> = faults
        .iter()
        .enumerate()
        .flat_map(|(number, fault)| Face::BOTH.map(|face| (number, *fault, face)))
        .collect();
    let failures: Vec<String> = stream::iter(asked)
        .map(|(number, fault, face)| {
            let gateway = &gateway;
            async move { told(gateway, face, &format!("{}-{number}", face.name()), fault).await }
        })
        .buffer_unordered(8)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    assert!(failures.is_empty(), "{} breaks were not told:\n{}", failures.len(), failures.join("\n"));
}

/// What went wrong, if anything did.
async fn told(gateway: &Gateway, face: Face, route: &str, fault: Fault) -> Option<String> {
    let answer = gateway.post(face.path(), face.body(route, "[[sim: words=200]]", true)).await;
    let complain = |what: &str| {
        Some(format!("{} {fault}: {what}: HTTP {} {}", face.name(), answer.status, answer.text()))
    };
    if answer.status != 200 {
        return complain("refused before it began");
    }
    if face.text(&answer).is_empty() {
        return complain("broke off before its first word");
    }
    if face.looks_finished(&answer) {
        return complain("looks finished");
    }
    let Some(error) = face.error_event(&answer) else { return complain("no error event at its end") };
    if error["message"].as_str().is_none_or(str::is_empty) || error["type"].as_str().is_none() {
        return complain("an error event that says nothing");
    }
    if !answer.whole {
        return complain("the connection broke");
    }
    let record = gateway.record(answer.id()).await;
    if record.outcome != Outcome::BrokenOff || record.attempts.last()?.failure.is_none() {
        return complain(&format!("recorded as {:?} {:?}", record.outcome, record.attempts));
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_an_openai_provider_that_breaks_ends_with_an_error_event() {
    every_break_is_told(DialectName::OpenAi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_an_anthropic_provider_that_breaks_ends_with_an_error_event() {
    every_break_is_told(DialectName::Anthropic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_gemini_provider_that_breaks_ends_with_an_error_event() {
    every_break_is_told(DialectName::Gemini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_bedrock_provider_that_breaks_ends_with_an_error_event() {
    every_break_is_told(DialectName::Converse).await;
}

/// A model that cannot spell its own call has given no answer, whatever the status: somebody else may, and nobody is told it is whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_its_provider_gives_up_is_none() {
    for dialect in [DialectName::Gemini, DialectName::Converse] {
        let (first, second) = (faulty(dialect, &[]).await, faulty(DialectName::OpenAi, &[]).await);
        let (own, other) = (model(dialect), model(DialectName::OpenAi));
        let gateway = Gateway::start(&format!(
            "providers:\n{}{}routes:\n  both:\n    tiers:\n      a: {{ deployments: [\"first/{own}\"] }}\n      b: {{ deployments: [second/{other}] }}\n    fallback: {{ error: [b] }}\n",
            provider("first", dialect, &first.base_url()),
            provider("second", DialectName::OpenAi, &second.base_url()),
        ))
        .await;
        let only = own.split(['-', '.']).next().unwrap_or(own);
        let prompt = format!("Where to? [[sim: malformed-call only={only}]]");
        for face in Face::BOTH {
            for streamed in [false, true] {
                let served = gateway.post(face.path(), face.body("both", &prompt, streamed)).await;
                assert_eq!(served.status, 200, "{} {}", face.name(), served.text());
                assert_eq!(served.headers["x-trunkline-provider"], "second", "{} {streamed}", face.name());
                assert!(!streamed || face.looks_finished(&served), "{}", served.text());
                let alone =
                    gateway.post(face.path(), face.body(&format!("first/{own}"), &prompt, streamed)).await;
                assert!(alone.status >= 500, "{} {streamed}: {} {}", face.name(), alone.status, alone.text());
            }
        }
    }
}
