//! Hedging: a slow first deployment is overtaken by a second one, and both are paid for.

use crate::support::{Face, Gateway, PATIENCE, model, provider, simulator};
use std::time::Duration;
use tokio::time::timeout;
use trunkline_model::failure::FailureClass;
use trunkline_model::money::Cost;
use trunkline_model::record::{AttemptKind, Outcome};
use trunkline_sim::{Delay, DialectName};

async fn the_faster_one_answers(streamed: bool) {
    let first = simulator(DialectName::OpenAi).await;
    let second = simulator(DialectName::Anthropic).await;
    let providers = provider("first", DialectName::OpenAi, &first.base_url())
        + &provider("second", DialectName::Anthropic, &second.base_url());
    let names = [
        format!("first/{}", model(DialectName::OpenAi)),
        format!("second/{}", model(DialectName::Anthropic)),
    ];
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  main:\n    tiers: {{ one: {{ deployments: [{}] }}, \
         two: {{ deployments: [{}] }} }}\n    fallback: {{ error: [two] }}\n    \
         hedge: {{ after: 50ms, spend_cap: 100% }}\n",
        names[0], names[1]
    ))
    .await;
    let face = Face::OpenAi;
    // Hedges are paid from a share of what was spent before.
    for number in 1..=5 {
        let answer = gateway.post(face.path(), face.body("main", "[[sim: words=900]]", false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(gateway.records(number).await.len(), number);
    }
    first.script(|script| script.first_token = Delay::constant(Duration::from_secs(20)));
    let cancelled_before = first.counters().disconnects;

    let answer = gateway.post(face.path(), face.body("main", "Anyone?", streamed)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(face.text(&answer).contains("Anyone?"), "{}", answer.text());
    assert_eq!(answer.header("x-trunkline-provider"), "second");
    assert_eq!(answer.header("x-trunkline-attempts"), "2");
    timeout(PATIENCE, first.wait_until(|counters| counters.disconnects > cancelled_before))
        .await
        .expect("the slow call is cancelled");

    let record = gateway.record(answer.id()).await;
    assert_eq!(record.outcome, Outcome::Served);
    assert_eq!(record.deployment.as_deref(), Some(names[1].as_str()));
    let attempts: Vec<_> =
        record.attempts.iter().map(|attempt| (&*attempt.deployment, attempt.kind, attempt.failure)).collect();
    let loser = (names[0].as_str(), AttemptKind::First, Some(FailureClass::Overtaken));
    assert_eq!(attempts, [loser, (names[1].as_str(), AttemptKind::Hedge, None)]);
    assert_eq!(record.attempts[0].message.as_deref(), Some("cancelled: another attempt was faster"));
    // The provider read the prompt of the one that lost: that is not free.
    let [lost, won] = [record.attempts[0].cost, record.attempts[1].cost];
    assert!(lost.amount > Cost::NOTHING.amount && won.amount > Cost::NOTHING.amount, "{lost:?} {won:?}");
    assert_eq!(record.cost, lost.plus(won));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stream_is_overtaken() {
    the_faster_one_answers(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_plain_answer_is_overtaken() {
    the_faster_one_answers(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_streams_take_says_nothing_of_whole_answers() {
    let first = simulator(DialectName::OpenAi).await;
    let second = simulator(DialectName::Anthropic).await;
    let providers = provider("first", DialectName::OpenAi, &first.base_url())
        + &provider("second", DialectName::Anthropic, &second.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  main:\n    tiers: {{ one: {{ deployments: [first/{}] }}, \
         two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two] }}\n    \
         hedge: {{ after: p95, spend_cap: 100% }}\n",
        model(DialectName::OpenAi),
        model(DialectName::Anthropic)
    ))
    .await;
    let face = Face::OpenAi;
    for number in 1..=25 {
        let answer = gateway.post(face.path(), face.body("main", "[[sim: words=50]]", true)).await;
        // The slowest of them may be overtaken, as one in twenty is.
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(gateway.records(number).await.len(), number);
    }
    // Far longer than the first token of any of those, and nobody overtakes it.
    first.script(|script| script.first_token = Delay::constant(Duration::from_millis(1_500)));
    let answer = gateway.post(face.path(), face.body("main", "Anyone?", false)).await;
    assert_eq!(
        (answer.header("x-trunkline-provider"), answer.header("x-trunkline-attempts")),
        ("first", "1"),
        "{}",
        answer.text()
    );
    first.script(|script| script.first_token = Delay::constant(Duration::from_secs(20)));
    let answer = gateway.post(face.path(), face.body("main", "Anyone?", true)).await;
    assert_eq!(
        (answer.header("x-trunkline-provider"), answer.header("x-trunkline-attempts")),
        ("second", "2"),
        "{}",
        answer.text()
    );
    // In the metrics too, a whole answer has no first token.
    gateway.records(27).await;
    let metrics = gateway.get("/metrics").await;
    let count = |name: &str| -> u32 {
        let counts = metrics.text().lines().filter(|line| line.starts_with(name));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum()
    };
    assert_eq!(count("trunkline_first_token_seconds_count"), 26, "{}", metrics.text());
    assert_eq!(count("trunkline_request_seconds_count"), 27, "{}", metrics.text());
}
