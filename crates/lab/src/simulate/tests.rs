//! What simulations must show: the known results, the machines' promises under load, and the same figures every time.

use super::*;

fn built_in(name: &str) -> Scenario {
    let found = BUILT_IN.iter().find(|scenario| scenario.name == name).expect("a built-in scenario");
    let file = ScenarioFile::read(name, found.text).unwrap_or_else(|error| panic!("{error}"));
    Scenario::of_file(&file).unwrap_or_else(|error| panic!("{error}"))
}

fn outcome<'a>(comparison: &'a Comparison, name: &str) -> &'a Outcome {
    comparison.outcomes.iter().find(|outcome| outcome.name == name).expect("a compared policy")
}

fn compared(name: &str, requests: u64) -> Comparison {
    compare(&built_in(name), requests, 1, &mut |_| {})
}

#[test]
fn strategies_that_do_not_look_lose_the_tail_when_speeds_differ() {
    let comparison = compared("speeds", 40_000);
    for name in ["round-robin", "random"] {
        let difference =
            comparison.differences.iter().find(|difference| difference.name == name).expect("compared");
        let interval = difference.interval.expect("long enough");
        assert!(
            difference.first_token_p99 > 0.02 && interval.low > 0.0,
            "{name} loses to {}: {difference:?}",
            difference.against
        );
    }
    for outcome in &comparison.outcomes {
        assert_eq!(outcome.served, outcome.requests, "{}", outcome.name);
    }
}

#[test]
fn failover_carries_requests_through_an_outage() {
    let comparison = compared("outage", 20_000);
    let (with, without) = (outcome(&comparison, "failover"), outcome(&comparison, "no failover"));
    assert!(with.served_share() > 0.999, "{:?}", with.failed);
    assert!(without.served_share() < with.served_share(), "{:?}", without.failed);
    assert_eq!((without.failovers, without.retries), (0, 0));
    assert!(with.failovers > 0 && with.breaker_trips > 0);
}

#[test]
fn a_hedge_cuts_the_tail_within_its_cap() {
    let comparison = compared("slow-tail", 20_000);
    let (none, hedged) = (outcome(&comparison, "no hedge"), outcome(&comparison, "hedge at p95"));
    assert_eq!(none.hedges, 0);
    assert!(hedged.hedges_won > 0 && hedged.hedges >= hedged.hedges_won);
    assert!(hedged.first_token_ms.p99 < none.first_token_ms.p99 * 0.8);
    let capped = outcome(&comparison, "hedge at p95, cap 1 %");
    assert!(capped.hedges < hedged.hedges);
    for (outcome, cap) in [(hedged, 0.1), (capped, 0.01)] {
        assert!(outcome.hedge_cost_share.expect("there are prices") <= cap + 1e-9, "{}", outcome.name);
    }
}

#[test]
fn looking_at_announced_limits_avoids_running_into_them() {
    let comparison = compared("rate-limits", 20_000);
    let calls_each = |name: &str| {
        let outcome = outcome(&comparison, name);
        outcome.attempts as f64 / outcome.requests as f64
    };
    assert!(calls_each("headroom") < calls_each("round-robin"));
    assert!(outcome(&comparison, "round-robin, one attempt").served_share() < 1.0);
}

#[test]
fn a_run_can_be_repeated_and_another_seed_differs() {
    let scenario = built_in("outage");
    let json = |seed| {
        let comparison = compare(&scenario, 3_000, seed, &mut |_| {});
        serde_json::to_string(&comparison.outcomes).expect("outcomes are JSON")
    };
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn every_request_is_accounted_for() {
    for built_in_scenario in BUILT_IN {
        for outcome in compared(built_in_scenario.name, 2_000).outcomes {
            let failed: u64 = outcome.failed.values().sum();
            assert_eq!(outcome.served + failed, 2_000, "{} {}", built_in_scenario.name, outcome.name);
            assert!((outcome.shares.values().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
}

#[test]
fn mistakes_in_a_scenario_are_told_with_their_place() {
    let usual = "name: mine\nproviders:\n  a: { first_token: { median: 1s, p99: 2s } }\n";
    let told =
        |text: &str| match ScenarioFile::read("mine.yaml", text).and_then(|file| Scenario::of_file(&file)) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => format!("failed to {error}"),
        };
    let cases = [
        "name: mine".to_owned(),
        "name: mine\nprovidres: {}\n".to_owned(),
        usual.replace("1s", "1 minute"),
        usual.replace("1s", "3s"),
        format!("{usual}policy: {{ hedge: often }}\n"),
        format!("{usual}policy: {{ balance: fastest }}\n"),
        format!("{usual}requests: {{ per_second: 0 }}\n"),
        format!("{usual}troubles: [{{ provider: b, kind: outage, from: 10%, to: 20% }}]\n"),
        format!("{usual}troubles: [{{ provider: a, kind: outage, from: 30%, to: 20% }}]\n"),
        format!("{usual}troubles: [{{ provider: a, kind: slow, from: 10%, to: 20% }}]\n"),
        format!("{usual}troubles: [{{ provider: a, kind: outage, from: 110%, to: 20% }}]\n"),
    ];
    insta::assert_snapshot!(cases.map(|text| told(&text)).join("\n\n"));
}

#[test]
fn a_page_shows_every_policy() {
    let comparison = compared("slow-tail", 1_000);
    let mut page = crate::page::Page::new("Simulation");
    comparison.show(&mut page);
    let html = page.to_html();
    for outcome in &comparison.outcomes {
        assert!(html.contains(&outcome.name), "{}", outcome.name);
    }
}
