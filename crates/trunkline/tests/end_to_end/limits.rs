//! Limits of virtual keys: held, told truly, given back.

use crate::support::{Answer, Face, Gateway, PATIENCE, eventually, exchange, provider, simulator};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;
use trunkline_sim::{Delay, DialectName, Simulator};

const MODEL: &str = "only/gpt-4.1-mini";

async fn gateway(limits: &str) -> (Simulator, Gateway) {
    let simulator = simulator(DialectName::OpenAi).await;
    let providers = provider("only", DialectName::OpenAi, &simulator.base_url());
    let keys = format!("keys:\n  app: {{ key: sk-test-0123456789abcdef, {limits} }}\n");
    let gateway = Gateway::start(&format!("providers:\n{providers}{keys}")).await;
    (simulator, gateway)
}

async fn ask(gateway: &Gateway, face: Face) -> Answer {
    gateway.post(face.path(), face.body(MODEL, "Hello", false)).await
}

const fn names(face: Face) -> [&'static str; 3] {
    match face {
        Face::OpenAi => {
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]
        }
        Face::Anthropic => [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
    }
}

/// The minute, and the slice of it in which the last request fell; a moment in the protocol's own form.
fn all_is_back_within_a_minute(face: Face, answer: &Answer) {
    let [_, _, reset] = names(face);
    let reset = answer.header(reset);
    match face {
        Face::OpenAi => {
            let text = reset.strip_suffix('s').unwrap();
            let (minutes, seconds) = text.split_once('m').unwrap_or(("0", text));
            let time = minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap();
            assert!((1.0..=62.0).contains(&time), "{reset}");
        }
        Face::Anthropic => {
            let (day, time) = reset.split_once('T').unwrap();
            assert_eq!((day.len(), time.len(), time.ends_with('Z')), (10, 9, true), "{reset}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_limit_are_told_when_to_come_back() {
    for face in Face::BOTH {
        let (simulator, gateway) = gateway("requests_per_minute: 3").await;
        for left in [2, 1, 0] {
            let answer = ask(&gateway, face).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let [_, remaining, _] = names(face);
            assert_eq!(answer.header(remaining), left.to_string());
            all_is_back_within_a_minute(face, &answer);
        }
        let refused = ask(&gateway, face).await;
        assert_eq!((refused.status, refused.error_code()), (429, "rate_limited"));
        // Who is refused is told where it stands, too.
        let [limit, remaining, _] = names(face).map(|name| refused.header(name).to_owned());
        assert_eq!((&*limit, &*remaining), ("3", "0"));
        all_is_back_within_a_minute(face, &refused);
        let wait = |answer: &Answer| answer.header("retry-after-ms").parse::<u64>().unwrap();
        // The minute since the first request, and the slice of it in which that fell.
        assert!((1..=62_000).contains(&wait(&refused)), "{refused:?}");
        assert_eq!(refused.header("retry-after"), wait(&refused).div_ceil(1000).to_string());
        // The moment it names does not move away.
        let again = ask(&gateway, face).await;
        assert!(wait(&again) <= wait(&refused), "{again:?}");
        assert_eq!(simulator.counters().requests, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_over_the_limit_are_refused_before_anything_is_sent() {
    let (simulator, gateway) = gateway("tokens_per_minute: 500").await;
    let mut body = Face::OpenAi.value(MODEL, "Hello", false);
    body["max_tokens"] = 100_000.into();
    let refused = gateway.post(Face::OpenAi.path(), body.to_string()).await;
    assert_eq!((refused.status, refused.error_code()), (429, "rate_limited"), "{}", refused.text());
    assert_eq!(simulator.counters().requests, 0);
    // The worst case is what counts at the door; what was really used is what counts afterwards.
    body["max_tokens"] = 400.into();
    for _ in 0..3 {
        let answer = gateway.post(Face::OpenAi.path(), body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        gateway.record(answer.id()).await;
    }
}

async fn open(gateway: &Gateway) -> hyper::Response<Incoming> {
    let body = Face::OpenAi.body(MODEL, "[[sim: words=5000]]", true);
    let request = gateway.builder(Face::OpenAi.path()).body(Full::new(body.into())).unwrap();
    exchange(gateway.address(), request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrency_is_held_while_a_stream_runs_and_given_back_when_it_ends() {
    let (simulator, gateway) = gateway("concurrency: 2").await;
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let mut first = open(&gateway).await;
    let second = open(&gateway).await;
    first.frame().await.unwrap().unwrap();
    let refused = ask(&gateway, Face::OpenAi).await;
    assert_eq!((refused.status, refused.error_code()), (429, "rate_limited"), "{}", refused.text());
    drop(first);
    let served = eventually("a free place", async || {
        Some(open(&gateway).await).filter(|answer| answer.status() == 200)
    });
    drop(timeout(PATIENCE, served).await.unwrap());
    drop(second);
}
