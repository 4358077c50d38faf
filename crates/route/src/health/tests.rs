//! Tests of a deployment's health from outside: calls go in, views come out.

use super::*;
use crate::fleet::{Deployment, DeploymentIndex, DeploymentLimits, Fleet};
use crate::limit::Limits;
use crate::plan::HedgeDelay;
use crate::view::{Availability, Views};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::capability::Capabilities;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::facts::DataFacts;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::moment::Moment;

fn at(milliseconds: u64) -> Moment {
    Moment::from_micros(milliseconds * 1_000)
}

fn identity(deployment: &str, credential: &str) -> Identity {
    Identity { deployment: deployment.into(), upstream: "upstream".into(), credential: credential.into() }
}

fn health() -> Arc<DeploymentHealth> {
    limited(Limits::default())
}

fn limited(limits: Limits) -> Arc<DeploymentHealth> {
    let credential = Arc::default();
    Arc::new(DeploymentHealth::new(identity("a/b", "key"), credential, HealthPolicy::default(), limits, 42))
}

fn call(health: &Arc<DeploymentHealth>, now: Moment) -> Call {
    health.begin(100, Delivery::Stream, now).expect("there are no limits")
}

fn fail(health: &Arc<DeploymentHealth>, failure: &Failure, now: Moment) {
    call(health, now).failed(failure, None, now);
}

fn succeed(health: &Arc<DeploymentHealth>, start: Moment, milliseconds: u64) {
    let now = start + Duration::from_millis(milliseconds);
    call(health, start).succeeded(Some(10), now);
}

fn failure(class: FailureClass) -> Failure {
    Failure::new(class, "it happened")
}

fn trip(health: &Arc<DeploymentHealth>, now: Moment) -> Moment {
    for _ in 0..5 {
        fail(health, &failure(FailureClass::Connect), now);
    }
    match health.view(now).availability {
        Availability::Broken { until, probe: false } => until,
        other => panic!("expected it broken, not {other:?}"),
    }
}

#[test]
fn calls_are_counted_however_they_end() {
    let health = health();
    let calls: Vec<Call> = (0..5).map(|_| call(&health, at(0))).collect();
    assert_eq!(health.view(at(0)).outstanding, 5);
    for (position, call) in calls.into_iter().enumerate() {
        match position {
            0 => call.succeeded(None, at(1)),
            1 => call.failed(&failure(FailureClass::Server), None, at(1)),
            2 => call.cancelled(None, at(1)),
            3 => call.not_sent(),
            _ => drop(call),
        }
    }
    assert_eq!(health.view(at(1)).outstanding, 0);
}

#[test]
fn a_row_of_failures_trips_it_and_one_probe_at_a_time_may_heal_it() {
    let health = health();
    let until = trip(&health, at(1_000));
    assert!(until >= at(2_500) && until < at(3_500), "two seconds, a quarter more or less");
    assert_eq!(health.view(until).availability, Availability::Broken { until, probe: true });
    let mut probe = call(&health, until);
    assert!(probe.is_probe());
    assert_eq!(health.view(until).availability, Availability::Broken { until, probe: false });
    assert!(!call(&health, until).is_probe());
    probe.first_token(until + Duration::from_millis(300));
    assert_eq!(health.view(until).availability, Availability::Open);
    assert_eq!(health.view(until).failures, 0);
}

#[test]
fn a_probe_that_disappears_frees_its_place_and_one_that_fails_doubles_the_wait() {
    let health = health();
    let first = trip(&health, at(0));
    drop(call(&health, first));
    assert_eq!(health.view(first).availability, Availability::Broken { until: first, probe: true });
    fail(&health, &failure(FailureClass::FirstTokenTimeout), first);
    let Availability::Broken { until: second, probe: false } = health.view(first).availability else {
        panic!("expected it open again");
    };
    assert!(second.since(first) >= Duration::from_secs(3) && second.since(first) < Duration::from_secs(5));
    let snapshot = health.snapshot(first);
    assert_eq!((snapshot.breaker, snapshot.trip, snapshot.trips), (BreakerState::Open, Some(Trip::Probe), 2));
    assert_eq!(health.snapshot(second).breaker, BreakerState::HalfOpen);
}

#[test]
fn a_success_of_the_least_bad_closes_it_but_not_one_from_before_the_trip() {
    let health = health();
    let before = call(&health, at(0));
    trip(&health, at(10));
    before.succeeded(None, at(20));
    assert!(matches!(health.view(at(20)).availability, Availability::Broken { .. }));
    succeed(&health, at(30), 5);
    assert_eq!(health.view(at(40)).availability, Availability::Open);
}

#[test]
fn a_low_success_rate_trips_it_only_after_enough_calls() {
    let health = health();
    let server = failure(FailureClass::Server);
    for round in 0..6u64 {
        fail(&health, &server, at(round));
        fail(&health, &server, at(round));
        succeed(&health, at(round), 1);
    }
    fail(&health, &server, at(10));
    assert_eq!(health.view(at(10)).availability, Availability::Open, "19 calls say too little");
    fail(&health, &server, at(11));
    assert_eq!(health.snapshot(at(11)).trip, Some(Trip::SuccessRate));
}

#[test]
fn failures_of_long_ago_do_not_count() {
    let health = health();
    let server = failure(FailureClass::Server);
    for round in 0..30u64 {
        // Two of three fail, but never 20 calls within the window of 30 s.
        let now = at(round * 9_000);
        fail(&health, &server, now);
        fail(&health, &server, now);
        succeed(&health, now, 1);
    }
    assert_eq!(health.snapshot(at(270_000)).trips, 0);
}

#[test]
fn the_requests_own_faults_change_nothing() {
    let health = health();
    for class in [
        FailureClass::BadRequest,
        FailureClass::ContextTooLong,
        FailureClass::RequestTooLarge,
        FailureClass::ContentRefused,
        FailureClass::BadAnswer,
        FailureClass::Unsupported,
        FailureClass::LocalLimit,
        FailureClass::TotalTimeout,
        FailureClass::Overtaken,
        FailureClass::ClientGone,
    ] {
        for _ in 0..30 {
            fail(&health, &failure(class), at(0));
        }
    }
    assert_eq!(health.view(at(0)), crate::view::View::FRESH);
}

#[test]
fn a_rate_limit_holds_until_the_providers_own_time_and_does_not_break() {
    let health = health();
    let limit = failure(FailureClass::RateLimited).with_retry_after(Some(Duration::from_secs(30)));
    for _ in 0..50 {
        fail(&health, &limit, at(0));
    }
    assert_eq!(health.view(at(29_999)).availability, Availability::RateLimited { until: at(30_000) });
    assert_eq!(health.view(at(30_000)).availability, Availability::Open);
    assert_eq!(health.snapshot(at(0)).trips, 0);
    // The penalty starts to fade only when the wait is over.
    assert_eq!(health.view(at(30_000)).latency, Some(Duration::from_secs(5)));
    assert!(health.view(at(60_000)).latency < Some(Duration::from_millis(300)));
}

#[test]
fn an_unexplained_rate_limit_is_guessed_longer_each_time_until_a_success() {
    let health = health();
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        fail(&health, &failure(FailureClass::RateLimited), now);
        let Availability::RateLimited { until } = health.view(now).availability else {
            panic!("expected it limited");
        };
        waits.push(until.since(now).as_secs());
        now = until;
    }
    assert!(
        waits
            .iter()
            .zip([1, 2, 4, 8, 16, 32, 60, 60])
            .all(|(wait, least)| (least..=least * 5 / 4).contains(wait))
    );
    succeed(&health, now, 10);
    fail(&health, &failure(FailureClass::RateLimited), now);
    assert!(
        matches!(health.view(now).availability, Availability::RateLimited { until } if until.since(now) < Duration::from_secs(2))
    );
}

#[test]
fn a_rate_limit_during_a_probe_closes_the_breaker() {
    let health = health();
    let until = trip(&health, at(0));
    let limit = failure(FailureClass::RateLimited).with_retry_after(Some(Duration::from_secs(3)));
    fail(&health, &limit, until);
    let later = until + Duration::from_secs(3);
    assert_eq!(health.view(until).availability, Availability::RateLimited { until: later });
    assert_eq!(health.view(later).availability, Availability::Open);
}

#[test]
fn an_unbelievable_retry_after_is_capped() {
    let health = health();
    fail(&health, &failure(FailureClass::RateLimited).with_retry_after(Some(Duration::MAX)), at(0));
    assert_eq!(health.view(at(0)).availability, Availability::RateLimited { until: at(3_600_000) });
}

#[test]
fn a_rejected_credential_takes_out_everyone_who_uses_it_but_403_only_one() {
    let fleet = fleet(&["a", "b", "c"]);
    let credential =
        |deployment: &Deployment| identity(&deployment.id, if &*deployment.id == "c" { "2" } else { "1" });
    let health = FleetHealth::new(&fleet, credential, HealthPolicy::default(), None, 7);
    let available = |now: Moment| {
        [0, 1, 2].map(|index| health.view(DeploymentIndex(index), now).availability == Availability::Open)
    };
    let first = health.deployment(DeploymentIndex(0));
    fail(first, &failure(FailureClass::Credentials).with_status(403), at(0));
    assert_eq!(available(at(0)), [false, true, true]);
    fail(first, &failure(FailureClass::Credentials).with_status(401), at(1_000));
    assert_eq!(available(at(1_000)), [false, false, true]);
    let snapshot = first.snapshot(at(1_000));
    assert_eq!(snapshot.credentials_out_for, Some(Duration::from_secs(60)));
    assert_eq!(snapshot.credentials_reason.expect("it was rejected").status, Some(401));
    // The first call after the cool-down is the test; its first token brings all of them back.
    assert_eq!(available(at(61_000)), [true, true, true]);
    let mut test = call(health.deployment(DeploymentIndex(1)), at(61_000));
    assert_eq!(available(at(61_000)), [false, false, true]);
    test.first_token(at(61_500));
    assert_eq!(available(at(61_500)), [true, true, true]);
}

#[test]
fn the_latency_jumps_up_comes_down_slowly_and_fades_when_nothing_is_sent() {
    let health = health();
    assert_eq!(health.view(at(0)).latency, None);
    succeed(&health, at(0), 400);
    succeed(&health, at(1_000), 2_000);
    let peak = health.view(at(3_000)).latency.expect("it was observed");
    assert_eq!(peak, Duration::from_secs(2));
    succeed(&health, at(5_600), 400);
    let slower = health.view(at(6_000)).latency.expect("it was observed");
    assert!(slower > Duration::from_millis(1_700) && slower < peak);
    assert!(health.view(at(180_000)).latency < Some(Duration::from_millis(10)));
}

#[test]
fn a_lost_race_counts_as_at_least_that_slow_and_never_as_quick() {
    let health = health();
    succeed(&health, at(0), 1_000);
    call(&health, at(2_000)).cancelled(None, at(2_100));
    assert!(health.view(at(2_100)).latency > Some(Duration::from_millis(900)));
    call(&health, at(3_000)).cancelled(None, at(9_000));
    assert_eq!(health.view(at(9_000)).latency, Some(Duration::from_secs(6)));
    call(&health, at(10_000)).failed(&failure(FailureClass::TotalTimeout), None, at(18_000));
    assert_eq!(health.view(at(18_000)).latency, Some(Duration::from_secs(8)));
}

#[test]
fn a_hedge_is_due_after_the_observed_quantile_or_the_fixed_time() {
    let health = health();
    let p95 = HedgeDelay::Quantile(0.95);
    for each in 0..19u64 {
        succeed(&health, at(each * 1_000), 500);
        assert_eq!(health.hedge_delay(p95, Delivery::Stream), None);
    }
    succeed(&health, at(20_000), 8_000);
    let delay = health.hedge_delay(p95, Delivery::Stream).expect("enough was observed");
    assert!(delay >= Duration::from_millis(500) && delay < Duration::from_millis(600));
    assert!(health.hedge_delay(HedgeDelay::Quantile(1.0), Delivery::Stream) >= Some(Duration::from_secs(8)));
    assert_eq!(
        health.hedge_delay(HedgeDelay::Fixed(Duration::from_secs(1)), Delivery::Stream),
        Some(Duration::from_secs(1))
    );
}

#[test]
fn headroom_grows_back_until_the_reset() {
    let health = health();
    let headroom = Headroom {
        requests_remaining: Some(20),
        requests_limit: Some(100),
        reset_at: Some(at(50_000)),
        ..Headroom::default()
    };
    health.observe(&headroom, at(10_000));
    let share = |now| (health.view(now).headroom * 100.0).round();
    assert_eq!(share(at(10_000)), 20.0);
    assert_eq!(share(at(30_000)), 60.0);
    assert_eq!(share(at(50_000)), 100.0);
}

#[test]
fn limits_of_ours_refuse_with_a_true_wait_and_show_in_views() {
    let limits = Limits { requests_per_minute: Some(2), tokens_per_minute: None, concurrency: Some(1) };
    let health = limited(limits);
    let running = call(&health, at(0));
    assert_eq!(health.view(at(0)).availability, Availability::Full);
    let full = health.begin(1, Delivery::Stream, at(0)).expect_err("one runs already");
    drop(running);
    drop(call(&health, at(0)));
    assert_eq!(health.view(at(0)).availability, Availability::RateLimited { until: at(61_000) });
    assert_eq!(health.view(at(0)).headroom, 0.0);
    let spent = health.begin(1, Delivery::Stream, at(1_000)).expect_err("two were sent");
    let words =
        [full, spent].map(|failure| format!("{} (retry after {:?})", failure.message, failure.retry_after));
    insta::assert_snapshot!(words.join("\n"), @r"
    a/b: the limit of 1 requests at the same time is reached (retry after None)
    a/b: the limit of 2 requests per minute is reached (retry after Some(60s))
    ");
}

#[test]
fn health_outlives_a_reload_unless_the_deployment_is_another_one() {
    let before =
        FleetHealth::new(&fleet(&["a", "b"]), |d| identity(&d.id, "1"), HealthPolicy::default(), None, 7);
    trip(before.deployment(DeploymentIndex(0)), at(0));
    trip(before.deployment(DeploymentIndex(1)), at(0));
    let rejected = failure(FailureClass::Credentials).with_status(401);
    fail(before.deployment(DeploymentIndex(1)), &rejected, at(0));
    let moved = |deployment: &Deployment| Identity {
        upstream: if &*deployment.id == "b" { "elsewhere" } else { "upstream" }.into(),
        ..identity(&deployment.id, "1")
    };
    let after = FleetHealth::new(&fleet(&["0", "a", "b"]), moved, HealthPolicy::default(), Some(&before), 7);
    let failures = [0, 1, 2].map(|index| after.view(DeploymentIndex(index), at(0)).failures);
    assert_eq!(failures, [0, 5, 0]);
    // The credential is still the rejected one, wherever it is used.
    let out = after
        .iter()
        .all(|health| matches!(health.view(at(0)).availability, Availability::CredentialsOut { .. }));
    assert!(out);
    assert_eq!(after.snapshot(at(0)).len(), 3);
}

fn fleet(ids: &[&str]) -> Fleet {
    let deployment = |id: &&str| Deployment {
        id: (*id).into(),
        provider: "provider".into(),
        model: "model".into(),
        dialect: Dialect::OpenAi,
        operations: vec![Operation::Chat],
        weight: 1,
        facts: DataFacts::default(),
        capabilities: Capabilities::default(),
        context_window: None,
        max_input_tokens: None,
        max_output_tokens: None,
        entry: None,
        limits: DeploymentLimits::default(),
    };
    Fleet::new(ids.iter().map(deployment).collect())
}

#[test]
fn whole_answers_and_streams_are_measured_apart() {
    let health = health();
    let p95 = HedgeDelay::Quantile(0.95);
    let plain = |start: Moment, milliseconds: u64| {
        let call = health.begin(100, Delivery::Plain, start).expect("there are no limits");
        call.succeeded(Some(10), start + Duration::from_millis(milliseconds));
    };
    for each in 0..40u64 {
        succeed(&health, at(each * 100), 500);
        plain(at(each * 100), 30_000);
    }
    let now = at(34_000);
    let delay = |delivery| health.hedge_delay(p95, delivery).expect("enough of both was observed");
    assert!(delay(Delivery::Stream) < Duration::from_millis(600), "{:?}", delay(Delivery::Stream));
    assert!(delay(Delivery::Plain) >= Duration::from_secs(30), "{:?}", delay(Delivery::Plain));
    let view = health.view(now);
    assert!(view.latency.expect("streams came") < Duration::from_secs(1), "{view:?}");
    assert!(view.whole_latency.expect("whole answers came") > Duration::from_secs(20), "{view:?}");
    assert_eq!(view.seen_for(Delivery::Plain).latency, view.whole_latency);
    assert_eq!(view.seen_for(Delivery::Stream), view);
    let snapshot = health.snapshot(now);
    assert!(snapshot.first_token_p95 < snapshot.whole_median);
    // One that was cancelled is a lower bound for its own kind only.
    let call = health.begin(100, Delivery::Plain, now).expect("there are no limits");
    call.cancelled(None, now + Duration::from_secs(90));
    let view = health.view(now + Duration::from_secs(90));
    assert_eq!(view.whole_latency, Some(Duration::from_secs(90)));
    assert!(view.latency < Some(Duration::from_secs(1)));
    // A refusal makes both wait.
    fail(&health, &failure(FailureClass::RateLimited), now + Duration::from_secs(90));
    let view = health.view(now + Duration::from_secs(90));
    assert!(view.latency >= Some(Duration::from_secs(1)), "{view:?}");
}

#[test]
fn enough_of_one_kind_says_nothing_of_the_other() {
    let health = health();
    for each in 0..40u64 {
        succeed(&health, at(each * 100), 500);
    }
    let delay = HedgeDelay::Quantile(0.95);
    assert!(health.hedge_delay(delay, Delivery::Stream).is_some());
    assert_eq!(health.hedge_delay(delay, Delivery::Plain), None);
    assert_eq!(health.view(at(4_000)).whole_latency, None);
}
