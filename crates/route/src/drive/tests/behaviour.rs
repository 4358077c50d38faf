//! What the machine does, situation by situation.

use super::super::*;
use super::*;
use crate::plan::{Hedge, HedgeDelay};
use crate::retry_budget::{RetryBudget, RetryBudgetPolicy};
use std::sync::Arc;
use trunkline_model::record::AttemptKind;

fn verdict(next: Next) -> Verdict {
    match next {
        Next::Fail(verdict) => verdict,
        other => panic!("expected the end, not {other:?}"),
    }
}

fn waited(next: &Next) -> Moment {
    match next {
        Next::Wait { until } => *until,
        other => panic!("expected a wait, not {other:?}"),
    }
}

#[test]
fn an_answer_ends_it() {
    let mut drive = drive(plan(&[3, 1]));
    let attempt = tried(drive.next(at(0), &Table::default(), 0));
    assert_eq!((index(&attempt), attempt.kind), (3, AttemptKind::First));
    assert_eq!(attempt.deadline, at(600_000));
    assert_eq!(drive.next(at(5), &Table::default(), 0), Next::Await);
    assert!(drive.leads(attempt.number).is_empty());
    assert!(drive.succeeded(attempt.number).is_empty());
    assert_eq!(drive.next(at(9), &Table::default(), 0), Next::Served);
}

#[test]
fn another_deployment_comes_at_once_and_the_same_after_a_back_off() {
    let mut drive = drive(plan(&[0, 1]));
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Connect)), 0);
    let second = tried(drive.next(at(10), &views, u64::MAX / 2));
    assert_eq!((index(&second), second.kind), (1, AttemptKind::Failover));
    drive.failed(second.number, failure(FailureClass::Server), Commit::Before, at(20));
    // Half of the first span of 200 ms, counted from the failure of the better one.
    let until = waited(&drive.next(at(20), &views, u64::MAX));
    assert_eq!(until, Moment::from_micros(99_999));
    let third = tried(drive.next(until, &views, 0));
    assert_eq!((index(&third), third.kind), (0, AttemptKind::Retry));
    drive.failed(third.number, failure(FailureClass::Server), Commit::Before, until);
    let fourth = tried(drive.next(at(300), &views, u64::MAX));
    assert_eq!((index(&fourth), fourth.kind), (1, AttemptKind::Retry));
}

#[test]
fn attempts_are_spent_over_all_deployments_together() {
    let mut drive = drive(plan(&[0, 1, 2, 3, 4, 5]));
    let views = Table::default();
    for expected in 0..4 {
        assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Server)), expected);
    }
    let end = verdict(drive.next(at(0), &views, 0));
    assert_eq!((end.why, end.failure.class, drive.attempts()), (Why::AttemptsSpent, FailureClass::Server, 4));
}

#[test]
fn after_a_rate_limit_the_others_come_first_and_then_the_wait() {
    let mut drive = drive(plan(&[0, 1]));
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), limited(5)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(100), limited(3)), 1);
    assert_eq!(waited(&drive.next(at(100), &views, 0)), at(3_100));
    assert_eq!(fail_next(&mut drive, &views, at(3_100), limited(60)), 1);
    assert_eq!(waited(&drive.next(at(3_100), &views, 0)), at(5_000));
    assert_eq!(fail_next(&mut drive, &views, at(5_000), limited(30)), 0);
    let end = verdict(drive.next(at(5_000), &views, 0));
    assert_eq!(end.failure.class, FailureClass::RateLimited);
    assert_eq!(end.failure.retry_after, Some(Duration::from_secs(30)), "the earliest of both");
}

#[test]
fn who_says_to_come_back_at_once_is_left_alone_for_a_back_off() {
    let mut drive = drive(plan(&[0]));
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), limited(0)), 0);
    assert_eq!(waited(&drive.next(at(0), &views, 0)), at(200));
    assert_eq!(fail_next(&mut drive, &views, at(200), limited(0)), 0);
    assert_eq!(waited(&drive.next(at(200), &views, 0)), at(400));
}

#[test]
fn a_wait_beyond_patience_or_deadline_is_relayed_instead() {
    let views = Table::default().with(1, Availability::RateLimited { until: at(40_000) });
    let mut impatient = drive(plan(&[0, 1]));
    assert_eq!(fail_next(&mut impatient, &views, at(0), limited(90)), 0);
    let end = verdict(impatient.next(at(0), &views, 0));
    assert_eq!(end.why, Why::WaitTooLong);
    assert_eq!(end.failure.retry_after, Some(Duration::from_secs(40)));

    let mut short = plan(&[0]);
    short.timeouts.total = Duration::from_secs(2);
    let mut short = drive(short);
    assert_eq!(fail_next(&mut short, &views, at(0), limited(2)), 0);
    assert_eq!(verdict(short.next(at(0), &views, 0)).why, Why::WaitTooLong);
}

#[test]
fn a_list_for_rate_limits_replaces_the_ordinary_one() {
    let mut listed = plan(&[0, 1]);
    listed.on_rate_limit = legs(&[7]);
    let mut drive = drive(listed);
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), limited(5)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(0), limited(600)), 7);
    // The other ordinary leg is not for this; what was limited is waited for.
    assert_eq!(waited(&drive.next(at(0), &views, 0)), at(5_000));
}

#[test]
fn a_rate_limit_that_others_ran_into_leads_to_the_list_at_once() {
    let mut listed = plan(&[0]);
    listed.on_rate_limit = legs(&[7]);
    let views = Table::default().with(0, Availability::RateLimited { until: at(2_000) });
    assert_eq!(index(&tried(drive(listed.clone()).next(at(0), &views, 0))), 7);
    let both = views.with(7, Availability::RateLimited { until: at(3_000) });
    assert_eq!(waited(&drive(listed.clone()).next(at(0), &both, 0)), at(2_000));
    // Without a limit in sight a back-off is no reason to leave the ordinary list.
    let mut failing = drive(listed);
    assert_eq!(fail_next(&mut failing, &Table::default(), at(0), failure(FailureClass::Server)), 0);
    assert_eq!(waited(&failing.next(at(0), &Table::default(), u64::MAX)), Moment::from_micros(199_999));
}

#[test]
fn after_a_rate_limit_a_server_error_leads_back_to_the_ordinary_list() {
    let mut listed = plan(&[0, 1]);
    listed.on_rate_limit = legs(&[7]);
    let mut drive = drive(listed);
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), limited(5)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Server)), 7);
    assert_eq!(index(&tried(drive.next(at(0), &views, 0))), 1);
}

#[test]
fn a_used_up_quota_is_not_asked_again() {
    let mut drive = drive(plan(&[0, 1]));
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::QuotaExhausted)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::QuotaExhausted)), 1);
    assert_eq!(verdict(drive.next(at(0), &views, 0)).why, Why::NothingLeft);
}

#[test]
fn when_everything_is_broken_the_least_bad_is_tried() {
    let broken = |until| Availability::Broken { until: at(until), probe: false };
    let views = Table::default()
        .with(0, Availability::CredentialsOut { until: at(1_000) })
        .with(1, broken(9_000))
        .with(2, Availability::Full);
    let mut drive = drive(plan(&[0, 1, 2]));
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Server)), 2);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Server)), 1);
    // By now a second look at the one that is merely full beats credentials that were rejected.
    assert_eq!(waited(&drive.next(at(0), &views, u64::MAX / 2)), Moment::from_micros(99_999));
}

#[test]
fn a_probe_may_be_a_first_attempt_but_not_a_rescue_while_others_are_open() {
    let views = Table::default().with(0, Availability::Broken { until: at(0), probe: true });
    assert_eq!(index(&tried(drive(plan(&[0, 1])).next(at(1), &views, 0))), 0);
    let mut drive = drive(plan(&[1, 0, 2]));
    assert_eq!(fail_next(&mut drive, &views, at(1), failure(FailureClass::Cut)), 1);
    assert_eq!(index(&tried(drive.next(at(1), &views, 0))), 2);
}

#[test]
fn a_short_rate_limit_is_waited_for_rather_than_a_broken_deployment_tried() {
    let limited_until = |until| {
        Table::default()
            .with(0, Availability::RateLimited { until: at(until) })
            .with(1, Availability::Broken { until: at(60_000), probe: false })
    };
    assert_eq!(waited(&drive(plan(&[0, 1])).next(at(0), &limited_until(2_000), 0)), at(2_000));
    assert_eq!(index(&tried(drive(plan(&[0, 1])).next(at(0), &limited_until(19_000), 0))), 1);
}

#[test]
fn rejected_credentials_rule_out_all_that_are_known_to_be_rejected() {
    let mut drive = drive(plan(&[0, 1, 2]));
    let out = Availability::CredentialsOut { until: at(60_000) };
    assert_eq!(fail_next(&mut drive, &Table::default(), at(0), failure(FailureClass::Credentials)), 0);
    let views = Table::default().with(0, out).with(1, out);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Credentials)), 2);
    let end = verdict(drive.next(at(0), &views, 0));
    assert_eq!((end.why, end.failure.class), (Why::NothingLeft, FailureClass::Credentials));
}

#[test]
fn a_prompt_too_long_goes_to_larger_windows_and_never_back() {
    let mut listed = plan(&[0, 1]);
    listed.on_context_length = legs(&[9, 8, 0]);
    let mut drive = drive(listed);
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::ContextTooLong)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Server)), 9);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::ContextTooLong)), 8);
    let until = waited(&drive.next(at(0), &views, 0));
    assert_eq!(index(&tried(drive.next(until, &views, 0))), 9, "the larger one again, after its back-off");
}

#[test]
fn the_largest_window_is_the_end_of_a_prompt_too_long() {
    let mut listed = plan(&[0]);
    listed.on_context_length = legs(&[9, 8]);
    let mut drive = drive(listed);
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::ContextTooLong)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::ContextTooLong)), 9);
    let end = verdict(drive.next(at(0), &views, 0));
    assert_eq!((end.why, end.failure.class), (Why::NothingLeft, FailureClass::ContextTooLong));
}

#[test]
fn refused_content_is_final_unless_the_policy_names_others() {
    let views = Table::default();
    let mut strict = drive(plan(&[0, 1]));
    assert_eq!(fail_next(&mut strict, &views, at(0), failure(FailureClass::ContentRefused)), 0);
    assert_eq!(verdict(strict.next(at(0), &views, 0)).why, Why::NotRetryable);

    let mut listed = plan(&[0, 1]);
    listed.on_content_filter = legs(&[5]);
    let mut lenient = drive(listed);
    assert_eq!(fail_next(&mut lenient, &views, at(0), failure(FailureClass::ContentRefused)), 0);
    assert_eq!(fail_next(&mut lenient, &views, at(0), failure(FailureClass::ContentRefused)), 5);
    assert_eq!(verdict(lenient.next(at(0), &views, 0)).failure.class, FailureClass::ContentRefused);
}

#[test]
fn what_was_not_sent_costs_no_attempt_and_is_not_asked_again() {
    let mut two = plan(&[0, 1, 2]);
    two.attempts = 1;
    let mut drive = drive(two);
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Unsupported)), 0);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::LocalLimit)), 1);
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::Server)), 2);
    assert_eq!((verdict(drive.next(at(0), &views, 0)).why, drive.attempts()), (Why::AttemptsSpent, 1));
}

#[test]
fn a_limit_of_ours_is_waited_for_once_when_it_says_when() {
    let mut drive = drive(plan(&[0]));
    let views = Table::default();
    let busy = || failure(FailureClass::LocalLimit).with_retry_after(Some(Duration::from_secs(4)));
    assert_eq!(fail_next(&mut drive, &views, at(0), busy()), 0);
    assert_eq!(waited(&drive.next(at(0), &views, 0)), at(4_000));
    assert_eq!(fail_next(&mut drive, &views, at(4_000), busy()), 0);
    let end = verdict(drive.next(at(4_000), &views, 0));
    assert_eq!((end.why, end.failure.retry_after), (Why::NothingLeft, Some(Duration::from_secs(4))));
}

#[test]
fn after_the_first_byte_nothing_is_tried_unless_the_plan_continues() {
    let views = Table::default();
    let mut plain = drive(plan(&[0, 1]));
    let attempt = tried(plain.next(at(0), &views, 0));
    plain.failed(attempt.number, failure(FailureClass::Cut), Commit::After, at(9));
    assert_eq!(verdict(plain.next(at(9), &views, 0)).why, Why::Committed);

    let mut continuing = plan(&[0, 1]);
    continuing.continuation = true;
    let mut continuing = drive(continuing);
    let attempt = tried(continuing.next(at(0), &views, 0));
    continuing.failed(attempt.number, failure(FailureClass::Cut), Commit::After, at(9));
    let rest = tried(continuing.next(at(9), &views, 0));
    assert_eq!((index(&rest), rest.kind, rest.hedge), (1, AttemptKind::Continuation, None));
    continuing.failed(rest.number, failure(FailureClass::Connect), Commit::Before, at(9));
    let end = verdict(continuing.next(at(9), &views, 0));
    assert_eq!((end.why, end.failure.class), (Why::Committed, FailureClass::Cut));
}

#[test]
fn a_continuation_never_goes_back_to_the_deployment_that_broke_off() {
    let mut alone = plan(&[0]);
    alone.continuation = true;
    let mut drive = drive(alone);
    let attempt = tried(drive.next(at(0), &Table::default(), 0));
    drive.failed(attempt.number, failure(FailureClass::Stall), Commit::After, at(9));
    assert_eq!(verdict(drive.next(at(9), &Table::default(), 0)).why, Why::NothingLeft);
}

#[test]
fn a_continuation_that_breaks_off_is_not_continued() {
    let mut drive = drive(Plan { continuation: true, ..plan(&[0, 1, 2]) });
    for _ in 0..2 {
        let attempt = tried(drive.next(at(0), &Table::default(), 0));
        drive.failed(attempt.number, failure(FailureClass::Cut), Commit::After, at(9));
    }
    assert_eq!(verdict(drive.next(at(9), &Table::default(), 0)).why, Why::Committed);
}

#[test]
fn patience_ends_with_a_provider_that_always_wants_a_moment_more() {
    struct Receding;
    impl Views for Receding {
        fn view(&self, _index: DeploymentIndex, now: Moment) -> View {
            let until = now + Duration::from_millis(1);
            View { availability: Availability::RateLimited { until }, ..View::FRESH }
        }
    }
    let mut drive = drive(plan(&[0]));
    let (mut now, mut waits) = (at(0), 0);
    let end = loop {
        match drive.next(now, &Receding, 0) {
            Next::Wait { until } => (now, waits) = (until, waits + 1),
            end => break verdict(end),
        }
    };
    assert_eq!((end.why, waits), (Why::WaitTooLong, 16));
}

fn hedged(indexes: &[u32]) -> Plan {
    Plan {
        hedge: Some(Hedge { after: HedgeDelay::Fixed(Duration::from_secs(2)), spend_cap: 0.05 }),
        ..plan(indexes)
    }
}

#[test]
fn a_hedge_runs_beside_and_the_first_to_speak_wins() {
    let mut drive = drive(hedged(&[0, 1, 2]));
    let views = Table::default().with(1, Availability::Full);
    let slow = tried(drive.next(at(0), &views, 0));
    assert_eq!(slow.hedge, Some(HedgeDelay::Fixed(Duration::from_secs(2))));
    let hedge = drive.hedge_due(at(2_000), &views).expect("there is an open deployment left");
    assert_eq!((index(&hedge), hedge.kind, hedge.hedge), (2, AttemptKind::Hedge, None));
    assert!(drive.hedge_due(at(2_001), &views).is_none(), "one hedge per request");
    assert_eq!(drive.leads(hedge.number).as_slice(), [slow.number]);
    assert!(drive.succeeded(slow.number).is_empty(), "the loser has nothing to say any more");
    assert_eq!(drive.next(at(2_002), &views, 0), Next::Await);
    drive.succeeded(hedge.number);
    assert_eq!((drive.next(at(3_000), &views, 0), drive.attempts()), (Next::Served, 2));
}

#[test]
fn a_failure_in_a_race_waits_for_the_other() {
    let mut drive = drive(hedged(&[0, 1, 2]));
    let views = Table::default();
    let slow = tried(drive.next(at(0), &views, 0));
    let hedge = drive.hedge_due(at(2_000), &views).expect("there is an open deployment left");
    drive.failed(slow.number, failure(FailureClass::BadRequest), Commit::Before, at(2_100));
    assert_eq!(drive.next(at(2_100), &views, 0), Next::Await);
    drive.failed(hedge.number, failure(FailureClass::Server), Commit::Before, at(2_200));
    let end = verdict(drive.next(at(2_200), &views, 0));
    assert_eq!((end.why, end.failure.class), (Why::NotRetryable, FailureClass::BadRequest));
}

#[test]
fn no_hedge_without_another_open_deployment_or_a_spare_attempt() {
    let full = Table::default().with(1, Availability::Full);
    let mut nowhere = drive(hedged(&[0, 1]));
    tried(nowhere.next(at(0), &full, 0));
    assert!(nowhere.hedge_due(at(2_000), &full).is_none());
    let mut last = drive(Plan { attempts: 1, ..hedged(&[0, 1]) });
    assert_eq!(tried(last.next(at(0), &Table::default(), 0)).hedge, None);
    assert!(last.hedge_due(at(2_000), &Table::default()).is_none());
}

#[test]
fn an_empty_retry_budget_fails_at_once_but_pays_no_attention_to_the_callers_own_faults() {
    let policy = RetryBudgetPolicy { ratio: 0.0, minimum_per_second: 0.0, window: Duration::from_secs(10) };
    let budget = Arc::new(RetryBudget::new(policy, at(0)));
    let views = Table::default();
    let mut storm = Drive::new(plan(&[0, 1]), at(0), DrivePolicy::default(), Some(Arc::clone(&budget)));
    assert_eq!(fail_next(&mut storm, &views, at(0), failure(FailureClass::Server)), 0);
    assert_eq!(verdict(storm.next(at(0), &views, 0)).why, Why::RetryBudgetEmpty);

    let mut listed = plan(&[0]);
    listed.on_context_length = legs(&[9]);
    let mut long = Drive::new(listed, at(0), DrivePolicy::default(), Some(budget));
    assert_eq!(fail_next(&mut long, &views, at(0), failure(FailureClass::ContextTooLong)), 0);
    assert_eq!(index(&tried(long.next(at(0), &views, 0))), 9);
}

#[test]
fn the_deadline_bounds_every_timeout_and_ends_it() {
    let mut short = plan(&[0, 1]);
    short.timeouts.total = Duration::from_secs(15);
    let mut drive = drive(short);
    let views = Table::default();
    assert_eq!(fail_next(&mut drive, &views, at(0), failure(FailureClass::FirstTokenTimeout)), 0);
    let second = tried(drive.next(at(10_000), &views, 0));
    let five = Duration::from_secs(5);
    assert_eq!((second.connect, second.first_token, second.between_tokens), (five, five, five));
    drive.failed(second.number, failure(FailureClass::Server), Commit::Before, at(14_990));
    let end = verdict(drive.next(at(14_990), &views, 0));
    assert_eq!((end.why, end.failure.class), (Why::Deadline, FailureClass::Server));
}

#[test]
fn the_client_is_told_the_most_telling_failure() {
    let told = |classes: &[FailureClass]| {
        let mut drive = drive(plan(&[0, 1, 2, 3]));
        for class in classes {
            fail_next(&mut drive, &Table::default(), at(0), failure(*class));
        }
        let attempt = tried(drive.next(at(0), &Table::default(), 0));
        drive.failed(attempt.number, failure(FailureClass::TotalTimeout), Commit::Before, at(0));
        verdict(drive.next(at(0), &Table::default(), 0)).failure.class
    };
    use FailureClass as Class;
    assert_eq!(told(&[Class::Connect, Class::Server, Class::RateLimited]), Class::Server);
    assert_eq!(told(&[Class::Credentials, Class::RateLimited]), Class::RateLimited);
    assert_eq!(told(&[Class::Unsupported, Class::Credentials, Class::NotFound]), Class::Credentials);
    assert_eq!(told(&[Class::Resolve, Class::Connect]), Class::Resolve);
    assert_eq!(told(&[]), Class::TotalTimeout);
}

#[test]
fn a_report_that_makes_no_sense_changes_nothing() {
    let mut drive = drive(plan(&[0, 1]));
    let views = Table::default();
    drive.failed(AttemptNumber(7), failure(FailureClass::BadRequest), Commit::After, at(0));
    assert!(drive.succeeded(AttemptNumber(1)).is_empty());
    let attempt = tried(drive.next(at(0), &views, 0));
    drive.failed(attempt.number, failure(FailureClass::Server), Commit::Before, at(0));
    drive.failed(attempt.number, failure(FailureClass::BadRequest), Commit::After, at(0));
    assert_eq!(index(&tried(drive.next(at(0), &views, 0))), 1);
}

#[test]
fn verdicts_without_any_attempt_and_all_reasons_in_words() {
    let views = Table::default()
        .with(0, Availability::RateLimited { until: at(90_000) })
        .with(1, Availability::RateLimited { until: at(42_000) });
    let describe = |plan: Plan, now: Moment| {
        let end = verdict(drive(plan).next(now, &views, 0));
        let wait = end.failure.retry_after;
        format!("{} | {} | {:?} | {}", end.why.name(), end.failure.class.name(), wait, end.failure.message)
    };
    let mut lines = vec![
        describe(plan(&[0, 1]), at(0)),
        describe(plan(&[5]), at(599_990)),
        describe(plan(&[]), at(0)),
        describe(Plan { attempts: 0, ..plan(&[5]) }, at(0)),
    ];
    lines.extend(
        [
            Why::NotRetryable,
            Why::AttemptsSpent,
            Why::Deadline,
            Why::NothingLeft,
            Why::WaitTooLong,
            Why::RetryBudgetEmpty,
            Why::Committed,
            Why::ClientGone,
        ]
        .map(|why| format!("{}: {why}", why.name())),
    );
    insta::assert_snapshot!(lines.join("\n"), @r"
    wait_too_long | rate_limited | Some(42s) | every deployment that could answer is rate limited
    deadline | total_timeout | None | the deadline of 600s passed before an attempt could start
    nothing_left | local_limit | None | the plan holds no deployment to try
    attempts_spent | local_limit | None | the plan allows no attempt
    not_retryable: no other attempt would change the outcome
    attempts_spent: all attempts of the request are used up
    deadline: the deadline of the request leaves no time for another attempt
    nothing_left: no deployment is left to try
    wait_too_long: every deployment that is left asks for a longer wait than the request may take
    retry_budget_empty: too many requests are being retried already
    committed: part of the answer was already sent
    client_gone: the client went away
    ");
}
