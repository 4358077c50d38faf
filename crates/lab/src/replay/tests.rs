//! A replay of an unchanged policy changes nothing; of another one it shows what changes, and says what it does not know.

use super::*;
use std::sync::Arc;
use trunkline_config::{Inputs, Labelled, Source};
use trunkline_model::asked::Asked;
use trunkline_model::catalogue::Date;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::Name;
use trunkline_model::money::{Cost, NanoDollars};
use trunkline_model::record::{AttemptKind, AttemptRecord, Outcome, PhaseTimes};
use trunkline_model::usage::{Usage, UsageSource};
use trunkline_route::balance::Rotation;
use trunkline_route::decide::{DecideInput, decide};
use trunkline_route::features::WallClock;
use trunkline_route::view::AllFresh;

const POLICY: &str = "
providers: { openai: { key: first }, anthropic: { key: second } }
routes:
  support:
    tiers:
      cheap: { deployments: [openai/gpt-5-mini, openai/gpt-4.1-mini], balance: weighted }
      strong: { deployments: [anthropic/claude-sonnet-4-5] }
    decide:
      - { when: 'request.input_tokens > 1000', use: strong }
      - { use: cheap }
";

fn policy(text: &str) -> Snapshot {
    let source = Source { path: "policy.yaml".to_owned(), text: text.to_owned() };
    let inputs = Inputs {
        environment: &|_| None,
        files: &|_| Err("no files here".to_owned()),
        labelled: &|_| Labelled { file: String::new(), texts: Ok(Vec::new()) },
        today: Date::from_unix_seconds(1_795_303_800),
    };
    trunkline_config::load(vec![source], &inputs).unwrap_or_else(|invalid| panic!("{invalid}")).snapshot
}

/// Records as the gateway writes them: decided by the policy, answered by the first choice.
fn log(policy: &Snapshot, number: u64) -> Vec<RequestRecord> {
    (0..number)
        .map(|number| {
            let id = RequestId::new(
                1_795_303_800_000 + number,
                u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c_c060,
            );
            let mut record = RequestRecord::new(id, Dialect::OpenAi, Operation::Chat, policy.version);
            record.route = Some(Name::from("support"));
            record.requested_model = Name::from("support");
            let tokens = if number % 4 == 0 { 2_000 } else { 100 };
            record.asked = Some(Box::new(Asked { text_bytes: tokens * 4, messages: 1, ..Asked::default() }));
            let (shape, caller) = (crate::past::shape(&record), crate::past::caller(&record));
            let decision = decide(&DecideInput {
                id,
                fleet: &policy.fleet,
                views: &AllFresh,
                route: policy.routes.find("support").unwrap(),
                shape: &shape,
                prompt: None,
                caller: &caller,
                clock: WallClock::from_unix(id.unix_milliseconds() / 1_000, 0),
                now: trunkline_model::moment::Moment::ORIGIN,
                seed: id.seed(),
                rotation: Rotation::Fixed(0),
                config_version: policy.version,
            });
            let first = decision.plan.as_ref().unwrap().legs[0].deployment.index();
            let deployment = policy.fleet.deployment(first);
            record.tier.clone_from(&decision.tier);
            record.deployment = Some(Arc::clone(&deployment.id));
            record.decision = Some(decision.to_json().into_boxed_str());
            record.outcome = Outcome::Served;
            record.first_token_us = Some(400_000 + number % 100);
            record.cost = Cost::exact(NanoDollars(1_000_000 + i64::try_from(number).unwrap()));
            record.attempts.push(AttemptRecord {
                deployment: Arc::clone(&deployment.id),
                kind: AttemptKind::First,
                failure: None,
                message: None,
                status: Some(200),
                upstream_request_id: None,
                started_us: 0,
                phases: PhaseTimes {
                    first_token_us: Some(400_000),
                    total_us: 900_000,
                    ..PhaseTimes::default()
                },
                usage: Usage { input: tokens, output: 100, ..Usage::default() },
                usage_source: UsageSource::Reported,
                cost: record.cost,
            });
            record
        })
        .collect()
}

fn replayed(records: &[RequestRecord], policy: &Snapshot) -> Replay {
    let settings = Settings { listed: 1_000, ..Settings::default() };
    replay(records, policy, &HashMap::new(), &|_| None, &settings, &mut |_| {})
}

#[test]
fn an_unchanged_policy_changes_no_decision() {
    let policy = policy(POLICY);
    let records = log(&policy, 400);
    let found = replayed(&records, &policy);
    assert_eq!(
        (found.requests, found.replayed, found.changed, found.refused),
        (400, 400, 0, 0),
        "{:?}",
        found.left_out
    );
    assert!((found.cost.logged_usd - found.cost.replayed_usd).abs() < 1e-12);
    let served = found.measures.served.expect("enough rows");
    assert!((served.effective_size - 400.0).abs() < 1.0, "every weight is one: {served:?}");
}

#[test]
fn a_policy_that_sends_more_to_the_strong_tier_costs_more() {
    let before = policy(POLICY);
    let records = log(&before, 400);
    let after = policy(&POLICY.replace("> 1000", "> 50"));
    let found = replayed(&records, &after);
    assert_eq!((found.replayed, found.changed, found.tier_changed), (400, 300, 300));
    let tier = |name: &str| {
        found.tiers.iter().find(|tier| tier.name == name).map(|tier| (tier.logged, tier.replayed))
    };
    assert_eq!((tier("cheap"), tier("strong")), (Some((300, 0)), Some((100, 400))));
    let change = &found.changes[0];
    assert_eq!(change.to.as_deref(), Some("anthropic/claude-sonnet-4-5"));
    // 100 tokens at 3 dollars a million and 100 at 15: as the catalogue prices it.
    assert!((change.expected_cost_usd.unwrap() - 0.0018).abs() < 1e-12, "{change:?}");
    assert!(
        found.warnings.iter().any(|warning| warning.contains("quality is not known")),
        "{:?}",
        found.warnings
    );
}

#[test]
fn what_the_log_does_not_hold_is_left_out_by_name() {
    let policy = policy(POLICY);
    let mut records = log(&policy, 8);
    records[0].decision = None;
    records[1].asked = None;
    records[2].asked.as_mut().unwrap().more = true;
    records[3].route = Some(Name::from("gone"));
    records[4].decision = Some("{}".into());
    let found = replayed(&records, &policy);
    assert_eq!(found.replayed, 3);
    insta::assert_yaml_snapshot!(found.left_out);
}

#[test]
fn without_exploration_the_estimates_carry_a_warning() {
    let single = POLICY.replace("openai/gpt-5-mini, openai/gpt-4.1-mini", "openai/gpt-5-mini");
    let before = policy(&single);
    let records = log(&before, 200);
    let found = replayed(&records, &policy(&single.replace("gpt-5-mini]", "gpt-4.1-mini]")));
    assert_eq!(found.changed, 150);
    let all = found.warnings.join("\n");
    assert!(all.contains("explored nothing") && all.contains("never tried"), "{all}");
    assert!(found.page().to_html().contains("never tried"));
}

#[test]
fn scores_are_estimated_by_deployment() {
    let policy = policy(POLICY);
    let records = log(&policy, 600);
    let scores: HashMap<RequestId, f64> = records
        .iter()
        .map(|record| {
            (record.id, if record.deployment.as_deref() == Some("openai/gpt-5-mini") { 0.9 } else { 0.3 })
        })
        .collect();
    let only = self::policy(&POLICY.replace("openai/gpt-5-mini, openai/gpt-4.1-mini", "openai/gpt-5-mini"));
    let settings = Settings { listed: 10, ..Settings::default() };
    let found = replay(&records, &only, &scores, &|_| None, &settings, &mut |_| {});
    let quality = found.measures.quality.expect("there are scores");
    // A quarter goes to the strong tier with 0.3, the rest would all go to the one with 0.9.
    assert!((quality.doubly_robust.value - 0.75).abs() < 0.02, "{quality:?}");
    assert!((quality.snips.unwrap().value - 0.75).abs() < 0.05, "{quality:?}");
    assert_eq!(found.changes.len() as u64 + found.changes_more, found.changed);
}

const READING: &str = "
providers: { openai: { key: first }, anthropic: { key: second } }
intents:
  topics:
    examples:
      billing: [why was I charged twice this month, I want a refund for my last invoice, how do I update my credit card, can I get a receipt for my payment, my card was declined at checkout]
      legal: [please review this contract clause, is the liability limit enforceable, draft a non-disclosure agreement, does this license allow commercial use, explain the termination clause of the agreement]
routes:
  support:
    tiers:
      cheap: { deployments: [openai/gpt-5-mini, openai/gpt-4.1-mini], balance: weighted }
      strong: { deployments: [anthropic/claude-sonnet-4-5] }
    decide:
      - { semantic: topics, map: { billing: cheap, legal: strong }, sure: 0.3 }
      - { use: cheap }
";

#[test]
fn what_reads_the_prompt_is_decided_again_where_the_prompt_was_kept() {
    let reading = policy(READING);
    let records = log(&policy(POLICY), 40);
    let kept = |id: RequestId| {
        let position = records.iter().position(|record| record.id == id)?;
        let text = match position % 4 {
            0 => "please review the termination clause of this contract",
            1 => "I want a refund, my card was charged twice",
            2 => "zebras graze near volcanic lakes at dawn",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let settings = Settings { listed: 100, ..Settings::default() };
    let found = replay(&records, &reading, &HashMap::new(), &kept, &settings, &mut |_| {});
    assert_eq!((found.requests, found.replayed), (40, 30), "{:?}", found.left_out);
    let why: Vec<&String> = found.left_out.keys().collect();
    assert!(why.len() == 1 && why[0].contains("hangs on the step `semantic-0`"), "{why:?}");
    // Every fourth prompt was long and went to strong; those are the contracts, which still do. A text that is told apart from all
    // examples is decided by the step behind, truly.
    assert_eq!((found.tier_changed, found.refused), (0, 0));
    let other = |_: RequestId| Some("please review the termination clause of this contract".to_owned());
    let found = replay(&records, &reading, &HashMap::new(), &other, &settings, &mut |_| {});
    assert_eq!((found.replayed, found.tier_changed), (40, 30));
    assert!(found.changes.iter().all(|change| change.decided_by == "semantic-0"));
}
