//! Sums that can be checked by hand, and every warning where it belongs and nowhere else.

use super::*;
use trunkline_model::comparison::{Comparison, ServedAnswer};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::failure::FailureClass;
use trunkline_model::id::Name;
use trunkline_model::money::{Cost, NanoDollars};
use trunkline_model::record::{AttemptKind, AttemptRecord, Outcome, PhaseTimes};
use trunkline_model::usage::UsageSource;

/// 23 November 2026, a Monday.
const MONDAY: u64 = 1_795_392_000_000;
const WEEK: u64 = 7 * 86_400_000;

fn attempt(deployment: &str, kind: AttemptKind, failure: Option<FailureClass>, cents: i64) -> AttemptRecord {
    AttemptRecord {
        deployment: Name::from(deployment),
        kind,
        failure,
        message: None,
        status: None,
        upstream_request_id: None,
        started_us: 0,
        phases: PhaseTimes::default(),
        usage: Usage { input: 1_000, output: 100, ..Usage::default() },
        usage_source: UsageSource::Reported,
        cost: Cost::exact(NanoDollars(cents * 10_000_000)),
    }
}

fn record(at: u64, attempts: Vec<AttemptRecord>, legs: &[&str]) -> RequestRecord {
    let mut record =
        RequestRecord::new(RequestId::new(at, u128::from(at)), Dialect::OpenAi, Operation::Chat, 1);
    record.route = Some(Name::from("main"));
    record.cost = attempts.iter().fold(Cost::NOTHING, |sum, attempt| sum.plus(attempt.cost));
    let answered = attempts.iter().rev().find(|attempt| attempt.failure.is_none());
    record.outcome = if answered.is_some() { Outcome::Served } else { Outcome::Failed };
    let last = attempts.last().expect("an attempt");
    record.deployment = Some(last.deployment.clone());
    record.provider = last.deployment.split('/').next().map(Name::from);
    let legs: Vec<String> = legs.iter().map(|leg| format!("\"{leg}\"")).collect();
    record.decision = Some(
        format!(
            r#"{{"id":"dec_{}","route":"main","decided_by":"default","plan":{{"legs":[{}],"attempts":4,"total_ms":1}},
            "candidates":[],"rejected":[],"steps":[],"features":{{}},"propensity":1.0,"seed":"0","config_version":"0"}}"#,
            record.id,
            legs.join(",")
        )
        .into_boxed_str(),
    );
    record.attempts = attempts;
    record
}

/// A cent for the cheap one, ten for the strong one; nobody knows the third.
fn price(deployment: &str, usage: &Usage) -> Option<f64> {
    let each = if usage.cache_read > 0 { 0.5 } else { 1.0 };
    match deployment {
        "a/cheap" => Some(0.01 * each),
        "b/strong" => Some(0.1 * each),
        _ => None,
    }
}

fn reported(records: &[RequestRecord], scores: &HashMap<RequestId, f64>) -> Report {
    report(records, &Inputs { price: &price, deployments: &|_| None, strong: None, scores })
}

fn first(deployment: &str, cents: i64) -> AttemptRecord {
    attempt(deployment, AttemptKind::First, None, cents)
}

fn mixed(number: u64) -> Vec<RequestRecord> {
    let legs = ["a/cheap", "b/strong"];
    (0..number)
        .map(|number| {
            let at = MONDAY + number * 1_000 + (number % 2) * WEEK;
            let answer = if number % 4 == 0 { first("b/strong", 10) } else { first("a/cheap", 1) };
            record(at, vec![answer], &legs)
        })
        .collect()
}

#[test]
fn savings_are_measured_against_the_dearest_deployment_of_the_route() {
    let mut records = mixed(100);
    for (number, record) in records.iter_mut().enumerate() {
        record.session = (number < 50).then(|| Name::from("one"));
    }
    let found = reported(&records, &HashMap::new());
    let route = &found.routes[0];
    assert_eq!((route.route.as_str(), route.strong.as_deref()), ("main", Some("b/strong")));
    let total = &route.total;
    // 25 at ten cents and 75 at one; all at ten would be ten dollars.
    assert!((total.spend_usd - 3.25).abs() < 1e-9 && (total.strong_usd.unwrap() - 10.0).abs() < 1e-9);
    assert!((total.saved_usd.unwrap() - 6.75).abs() < 1e-9);
    assert_eq!(total.tasks, 51);
    let weeks: Vec<(&str, u64)> =
        route.weeks.iter().map(|week| (week.week.as_str(), week.requests)).collect();
    assert_eq!(weeks, [("2026-W48", 50), ("2026-W49", 50)]);
    let parts: f64 = route.weeks.iter().map(|week| week.spend_usd).sum();
    assert!((parts - total.spend_usd).abs() < 1e-9);
    assert!(found.page().to_html().contains("2026-W49"));
}

#[test]
fn what_is_not_known_is_neither_saved_nor_free() {
    let mut records = mixed(60);
    for record in &mut records[..20] {
        record.cost = Cost::UNKNOWN;
    }
    let total = &reported(&records, &HashMap::new()).routes[0].total;
    assert_eq!(total.unknown_cost, 20);
    assert!((total.strong_usd.unwrap() - 4.0).abs() < 1e-9, "both sides cover the same 40 requests");
    let nobody: Vec<RequestRecord> =
        (0..60).map(|at| record(MONDAY + at, vec![first("c/unknown", 1)], &["c/unknown"])).collect();
    let route = &reported(&nobody, &HashMap::new()).routes[0];
    assert_eq!((route.total.strong_usd, route.total.saved_usd), (None, None));
}

#[test]
fn three_failures_in_a_row_are_an_incident() {
    let mut records = Vec::new();
    let mut add = |at: u64, failure| {
        let attempt = attempt("a/cheap", AttemptKind::First, failure, 0);
        records.push(record(MONDAY + at * 1_000, vec![attempt], &["a/cheap"]));
    };
    let server = Some(FailureClass::Server);
    // Two and a success: none. Three within two minutes: one. Rate limits and bad requests: none. Three far apart: none.
    let calls = [
        (0, server),
        (1, server),
        (2, None),
        (60, server),
        (120, server),
        (180, server),
        (200, None),
        (300, Some(FailureClass::RateLimited)),
        (301, Some(FailureClass::RateLimited)),
        (302, Some(FailureClass::RateLimited)),
        (303, Some(FailureClass::BadRequest)),
        (1_000, server),
        (2_000, server),
        (3_000, server),
    ];
    calls.into_iter().for_each(|(at, failure)| add(at, failure));
    let found = reported(&records, &HashMap::new());
    let provider = &found.providers[0];
    assert_eq!((provider.provider.as_str(), provider.calls, provider.failed), ("a", 14, 8));
    assert_eq!((provider.incidents, provider.rate_limited), (1, 3));
    assert!((provider.incident_minutes - 2.0).abs() < 1e-9);
}

#[test]
fn a_judge_is_paid_for_and_answers_nothing() {
    let mut judged = record(MONDAY, vec![first("a/cheap", 1)], &["a/cheap", "b/strong"]);
    let judge = attempt("b/strong", AttemptKind::Judge, None, 2);
    judged.cost = judged.cost.plus(judge.cost);
    judged.attempts.push(judge);
    let total = &reported(&[judged], &HashMap::new()).routes[0].total;
    assert!((total.overhead_usd - 0.02).abs() < 1e-9, "{total:?}");
    assert!((total.spend_usd - 0.03).abs() < 1e-9);
}

#[test]
fn prompt_caches_save_what_uncached_tokens_would_have_cost_more() {
    let mut cached = first("b/strong", 5);
    cached.usage.cache_read = 800;
    let found = reported(&[record(MONDAY, vec![cached], &["b/strong"])], &HashMap::new());
    assert!((found.routes[0].total.prompt_cache_saved_usd - 0.05).abs() < 1e-9);
}

#[test]
fn every_warning_is_given_where_it_belongs() {
    let one_provider: Vec<_> =
        (0..60).map(|at| record(MONDAY + at, vec![first("b/strong", 10)], &["b/strong"])).collect();
    let unused: Vec<_> = (0..60)
        .map(|at| record(MONDAY + at, vec![first("b/strong", 10)], &["b/strong", "a/cheap"]))
        .collect();
    let failing: Vec<_> = (0..60)
        .map(|at| {
            let lost = attempt("a/cheap", AttemptKind::First, Some(FailureClass::Server), 20);
            let saved = attempt("b/strong", AttemptKind::Failover, None, 10);
            record(MONDAY + at, vec![lost, saved], &["a/cheap", "b/strong"])
        })
        .collect();
    let wasteful: Vec<_> = (0..60)
        .map(|at| {
            let lost = attempt("a/cheap", AttemptKind::Hedge, Some(FailureClass::Overtaken), 5);
            record(MONDAY + at, vec![lost, first("a/cheap", 1)], &["a/cheap", "b/strong"])
        })
        .chain([record(MONDAY, vec![first("b/strong", 10)], &["b/strong"])])
        .collect();
    let mut broken = mixed(60);
    broken[..5].iter_mut().for_each(|record| record.outcome = Outcome::BrokenOff);
    broken.iter_mut().for_each(|record| record.overhead_us = 80_000);
    let told = |records: &[RequestRecord]| reported(records, &HashMap::new()).routes[0].warnings.join("\n");
    let all = [
        ("few", mixed(10)),
        ("well", mixed(100)),
        ("one provider", one_provider),
        ("an unused fallback", unused),
        ("failing over", failing),
        ("hedges", wasteful),
        ("broken off", broken),
    ];
    insta::assert_snapshot!(all.map(|(name, records)| format!("{name}:\n{}", told(&records))).join("\n\n"));
    let well = mixed(100);
    let scores = well.iter().map(|record| (record.id, 0.8)).collect();
    let route = &reported(&well, &scores).routes[0];
    assert_eq!((route.warnings.len(), route.measured), (0, 100), "{:?}", route.warnings);
}

/// A copy of the request of that number, whose answer agreed or not; `None` for one that failed.
fn copy(number: u64, agreed: Option<bool>) -> RequestRecord {
    let failure = agreed.is_none().then_some(FailureClass::Overloaded);
    let mut call = attempt("c/candidate", AttemptKind::Shadow, failure, 2);
    call.phases.total_us = 300_000;
    let mut record = record(MONDAY + number, vec![call], &["c/candidate"]);
    record.decision = None;
    record.shadow = Some(Box::new(Comparison {
        of: RequestId::new(MONDAY + number, 7),
        served: ServedAnswer {
            deployment: Some("b/strong".into()),
            cost: Cost::exact(NanoDollars(100_000_000)),
            first_token_us: None,
            total_us: Some(500_000),
            finish: None,
            in_form: Some(true),
        },
        similarity: agreed.map(|agreed| if agreed { 0.9 } else { 0.3 }),
        agreed,
        in_form: agreed,
        answers: None,
    }));
    record
}

#[test]
fn a_candidate_is_compared_in_pairs_and_counts_in_no_sum() {
    let mut records = mixed(100);
    records.extend((0..10).map(|number| copy(number, (number != 9).then_some(number % 3 != 0))));
    let found = reported(&records, &HashMap::new());
    assert_eq!(found.requests, 100);
    let route = &found.routes[0];
    assert_eq!((route.total.requests, route.deployments.contains_key("c/candidate")), (100, false));
    assert!((route.total.spend_usd - 3.25).abs() < 1e-9);
    let shadow = &route.shadows[0];
    assert_eq!((shadow.copies, shadow.answered), (10, 9));
    let dearer = shadow.dearer_usd.unwrap();
    assert!((dearer.value + 0.08).abs() < 1e-9);
    let agreement = shadow.agreement.unwrap();
    assert!(agreement.low < 6.0 / 9.0 && 6.0 / 9.0 < agreement.high);
    insta::assert_snapshot!(shadow.words());
    assert!(found.page().to_html().contains("Shadow c/candidate"));
}
