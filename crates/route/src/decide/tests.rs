//! What decisions promise: the first answer counts, nothing filtered is planned, the same input gives the same decision.

use super::*;
use crate::balance::Balance;
use crate::caller::{AllowList, Fallbacks, PinnedBy, Preferences, Sort};
use crate::cel::Condition;
use crate::decision::{NoAnswer, StepOutcome};
use crate::fixture::{Case, available, can, deployment, fleet, tier, use_tier};
use crate::pattern::Pattern;
use crate::policy::{Fallback, TierPosition};
use crate::steps::{DecideStep, ScoredDeployment, Step, StepAnswer, StepInput, StepKind, Target};
use crate::sticky::Sticky;
use crate::view::{Availability, View};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::facts::Requirement;

const NAMES: [&str; 5] = ["acme/small", "beta/small", "acme/large", "core/large", "data/huge"];

/// Two tiers, a rule for pictures, fallbacks to both.
fn support() -> Case {
    let fleet = fleet(&NAMES);
    let tiers = vec![
        tier(&fleet, "cheap", &NAMES[..2], Balance::LeastOutstanding),
        tier(&fleet, "strong", &NAMES[2..4], Balance::LeastOutstanding),
        tier(&fleet, "long", &NAMES[4..], Balance::Weighted),
    ];
    let condition = Condition::compile("request.has_images").expect("a rule");
    let pictures = StepKind::When { condition, then: Target::Tier(TierPosition(1)) };
    let steps = vec![Step { name: "pictures".into(), kind: pictures }, use_tier(0)];
    let mut route = Route::new("support".into(), tiers, steps).expect("a route");
    route.fallback.error = vec![TierPosition(0), TierPosition(1)];
    Case::new(fleet, route)
}

/// A support case whose deployments are always ranked by cost, hence in a known order.
fn ordered() -> Case {
    let mut case = support();
    case.caller.preferences.order = vec!["acme".into()];
    case
}

fn set(case: &mut Case, name: &str, availability: Availability) {
    let index = case.fleet.find(name).expect("in the fleet").position();
    case.views.0.resize(case.fleet.len(), View::FRESH);
    case.views.0[index] = available(availability);
}

fn change(case: &mut Case, name: &str, change: impl FnOnce(&mut crate::fleet::Deployment)) {
    let mut all: Vec<_> = case.fleet.iter().map(|(_, deployment)| deployment.clone()).collect();
    change(all.iter_mut().find(|deployment| &*deployment.id == name).expect("in the fleet"));
    case.fleet = Arc::new(Fleet::new(all));
}

fn names(decision: &Decision, legs: &[crate::plan::Leg]) -> Vec<String> {
    legs.iter().map(|leg| decision.deployment_name(leg.deployment.index()).to_string()).collect()
}

#[test]
fn the_first_step_that_answers_decides() {
    let mut case = ordered();
    let decision = case.decide();
    assert_eq!((decision.tier.as_deref(), decision.decided_by.name()), (Some("cheap"), "use-0"));
    assert_eq!(case.legs(), ["acme/small", "beta/small", "acme/large", "core/large"]);
    assert_eq!(decision.steps[0].outcome, StepOutcome::NoAnswer(NoAnswer::ConditionFalse));
    case.shape.images = 1;
    let decision = case.decide();
    assert_eq!((decision.tier.as_deref(), decision.decided_by.name()), (Some("strong"), "pictures"));
    assert_eq!(case.legs(), ["acme/large", "core/large", "acme/small", "beta/small"]);
}

#[test]
fn a_tier_with_nothing_to_offer_leaves_the_question_to_the_next_step() {
    let mut case = support();
    case.shape.images = 1;
    for name in ["acme/large", "core/large"] {
        change(&mut case, name, |deployment| deployment.weight = 0);
    }
    let decision = case.decide();
    assert_eq!(decision.tier.as_deref(), Some("cheap"));
    let why = NoAnswer::NothingEligible { target: "strong".into() };
    assert_eq!(decision.steps[0].outcome, StepOutcome::NoAnswer(why));
    for name in ["acme/small", "beta/small"] {
        change(&mut case, name, |deployment| deployment.weight = 0);
    }
    let decision = case.decide();
    assert_eq!((decision.tier.as_deref(), decision.decided_by.name()), (Some("long"), "default"));
}

#[test]
fn a_rule_that_cannot_be_told_is_passed_over_and_recorded() {
    let mut case = support();
    let condition = Condition::compile("request.max_output_tokens > 100").expect("a rule");
    let kind = StepKind::When { condition, then: Target::Tier(TierPosition(1)) };
    let tiers = case.route.tiers().to_vec();
    let steps = vec![Step { name: "long answers".into(), kind }, use_tier(0)];
    case.route = Route::new("support".into(), tiers, steps).expect("a route");
    let decision = case.decide();
    let StepOutcome::NoAnswer(why) = &decision.steps[0].outcome else { panic!("it answered") };
    insta::assert_snapshot!(why, @"its condition cannot be told: `request.max_output_tokens` is not set for this request");
    assert_eq!(decision.tier.as_deref(), Some("cheap"));
}

#[test]
fn what_cannot_be_used_goes_last_and_still_belongs_to_the_plan() {
    let until = |seconds| Moment::ORIGIN + Duration::from_secs(seconds);
    let mut case = ordered();
    set(&mut case, "acme/small", Availability::Broken { until: until(30), probe: false });
    set(&mut case, "beta/small", Availability::RateLimited { until: until(9) });
    assert_eq!(case.legs(), ["acme/large", "core/large", "beta/small", "acme/small"]);
    set(&mut case, "acme/large", Availability::Full);
    set(&mut case, "core/large", Availability::Broken { until: until(20), probe: false });
    assert_eq!(case.legs(), ["acme/large", "beta/small", "core/large", "acme/small"]);
    set(&mut case, "core/large", Availability::Broken { until: until(20), probe: true });
    assert_eq!(case.legs()[0], "core/large");
}

#[test]
fn a_tier_that_is_rate_limited_already_goes_where_rate_limits_go() {
    let mut case = ordered();
    case.route.fallback =
        Fallback { rate_limit: vec![TierPosition(2), TierPosition(1)], ..Fallback::default() };
    let decision = case.decide();
    let plan = decision.plan.as_ref().expect("a plan");
    assert_eq!(names(&decision, &plan.legs), ["acme/small", "beta/small"]);
    assert_eq!(names(&decision, &plan.on_rate_limit), ["data/huge", "acme/large", "core/large"]);
    let until = Moment::ORIGIN + Duration::from_secs(9);
    set(&mut case, "acme/small", Availability::RateLimited { until });
    set(&mut case, "beta/small", Availability::RateLimited { until });
    assert_eq!(case.legs()[..3], ["data/huge", "acme/large", "core/large"]);
}

#[test]
fn too_long_a_prompt_goes_to_larger_windows_and_refused_content_to_other_models() {
    let mut case = ordered();
    for (name, window) in [("acme/small", 8_000), ("beta/small", 8_000), ("acme/large", 200_000)] {
        change(&mut case, name, |deployment| deployment.context_window = Some(window));
    }
    change(&mut case, "core/large", |deployment| deployment.context_window = Some(400_000));
    let decision = case.decide();
    let plan = decision.plan.as_ref().expect("a plan");
    assert_eq!(names(&decision, &plan.on_context_length), ["core/large", "acme/large"]);
    assert!(plan.on_content_filter.is_empty(), "a refusal is final unless the policy says otherwise");
    case.route.fallback.context_length = vec![TierPosition(0), TierPosition(2)];
    case.route.fallback.content_filter = vec![TierPosition(0), TierPosition(1)];
    let decision = case.decide();
    let plan = decision.plan.as_ref().expect("a plan");
    assert_eq!(names(&decision, &plan.on_context_length), ["beta/small", "data/huge"]);
    assert_eq!(names(&decision, &plan.on_content_filter), ["acme/large", "core/large", "beta/small"]);
}

#[test]
fn a_pin_goes_past_the_policy_and_not_past_the_filter() {
    let mut case = support();
    case.caller.pin = Some("data/huge".into());
    let decision = case.decide();
    assert_eq!(decision.decided_by.name(), "pin");
    assert_eq!(case.legs(), ["data/huge"]);
    case.caller.pin = Some("large".into());
    let legs: BTreeSet<String> = case.legs().into_iter().collect();
    assert_eq!(legs, BTreeSet::from(["acme/large".to_owned(), "core/large".to_owned()]));
    case.caller.pin = Some("data/huge".into());
    case.caller.requirements = vec![Requirement::Zdr];
    let refusal = case.decide().refusal().expect("a refusal");
    insta::assert_snapshot!(refusal, @"the pinned `data/huge` may not serve this request: `data/huge`: `zdr` is required and nobody has stated that it complies");
    case.caller.pin = Some("nothing".into());
    insta::assert_snapshot!(case.decide().refusal().expect("a refusal"), @"the pin `nothing` names no deployment or model");
}

#[test]
fn a_route_may_say_where_pins_are_honoured() {
    let mut case = support();
    let mut steps = case.route.steps().to_vec();
    steps.insert(1, Step { name: "pinned".into(), kind: StepKind::Pin });
    case.route = Route::new("support".into(), case.route.tiers().to_vec(), steps).expect("a route");
    assert_eq!(case.decide().steps[1].outcome, StepOutcome::NoAnswer(NoAnswer::NoPin));
    case.caller.pin = Some("data/huge".into());
    assert_eq!(case.legs(), ["data/huge"]);
    case.shape.images = 1;
    assert_eq!(case.decide().tier.as_deref(), Some("strong"), "the rule stands before the pin");
    case.caller.pinned_by = PinnedBy::Key;
    assert_eq!(case.legs(), ["data/huge"], "a key's pin stands before every rule");
    let decision = case.decide();
    assert_eq!((decision.decided_by.name(), decision.steps.len()), ("key-pin", 0));
    case.caller.requirements = vec![Requirement::Zdr];
    assert!(case.decide().plan.is_err(), "and never before the filter");
}

#[test]
fn refusals_tell_their_reasons() {
    let mut case = support();
    case.route.require = vec![Requirement::Baa];
    let mut lines = vec![case.decide().refusal().expect("a refusal")];
    case.caller.allow =
        AllowList { routes: vec![Pattern::new("other").expect("a pattern")], ..AllowList::default() };
    lines.push(case.decide().refusal().expect("a refusal"));
    case.route = Route::direct("acme/small".into(), case.fleet.named("acme/small"));
    lines.push(case.decide().refusal().expect("a refusal"));
    case.caller = crate::caller::Caller::default();
    assert!(case.decide().refusal().is_none());
    case.route = Route::direct("unheard/of".into(), case.fleet.named("unheard/of"));
    lines.push(case.decide().refusal().expect("a refusal"));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_model_named_directly_is_served_by_all_that_have_it() {
    let mut case = support();
    case.route = Route::direct("large".into(), case.fleet.named("large"));
    let legs: BTreeSet<String> = case.legs().into_iter().collect();
    assert_eq!(legs, BTreeSet::from(["acme/large".to_owned(), "core/large".to_owned()]));
    assert_eq!(case.decide().decided_by.name(), "default");
}

#[test]
fn preferences_of_the_request_are_honoured() {
    let mut case = support();
    let prefer = |case: &mut Case, preferences: Preferences| {
        case.caller.preferences = preferences;
        case.legs()
    };
    let order = vec!["beta".into(), "core".into()];
    let legs = prefer(&mut case, Preferences { order: order.clone(), ..Preferences::default() });
    assert_eq!(
        legs,
        ["beta/small", "acme/small", "core/large", "acme/large"],
        "the order holds inside each tier"
    );
    let fallbacks = Fallbacks::Refused;
    let legs = prefer(&mut case, Preferences { order, fallbacks, ..Preferences::default() });
    assert_eq!(legs, ["beta/small", "core/large"]);
    let legs = prefer(&mut case, Preferences { fallbacks, ..Preferences::default() });
    assert_eq!(legs.len(), 1);
    let models = vec!["data/huge".into(), "unheard/of".into(), "small".into()];
    let legs = prefer(&mut case, Preferences { models, ..Preferences::default() });
    assert_eq!((legs.len(), legs[4].as_str()), (5, "data/huge"));
    case.views.0 = vec![View { outstanding: 9, ..View::FRESH }, View::FRESH, View::FRESH];
    change(&mut case, "beta/small", |beta| {
        *beta = {
            let mut made = deployment("beta", "small");
            made.entry = None;
            made
        }
    });
    let legs = prefer(&mut case, Preferences { sort: Some(Sort::Price), ..Preferences::default() });
    assert_eq!(legs[0], "acme/small", "the only known price of the tier");
}

#[test]
fn a_caller_shortens_the_deadline_and_never_lengthens_it() {
    let mut case = support();
    for (asked, total) in [(5, 5), (100_000, 600)] {
        case.caller.total_timeout = Some(Duration::from_secs(asked));
        let plan = case.decide().plan.expect("a plan");
        assert_eq!(plan.timeouts.total, Duration::from_secs(total));
    }
}

#[test]
fn a_session_stays_where_it_is() {
    let mut case = support();
    let mut tiers = case.route.tiers().to_vec();
    tiers[0].sticky = Some(Sticky::Session);
    case.route = Route::new("support".into(), tiers, vec![use_tier(0)]).expect("a route");
    case.caller.session = Some("session-7".into());
    let home = case.legs()[0].clone();
    for seed in 0..50 {
        case.seed = seed;
        assert_eq!(case.legs()[0], home);
    }
    set(&mut case, &home, Availability::Full);
    assert_ne!(case.legs()[0], home);
}

/// A step that answers whatever it is told to.
#[derive(Debug)]
struct Told(fn(&StepInput<'_>) -> StepAnswer);

impl DecideStep for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn decide(&self, input: &StepInput<'_>) -> StepAnswer {
        (self.0)(input)
    }
}

fn told(answer: fn(&StepInput<'_>) -> StepAnswer) -> Case {
    let mut case = support();
    let custom = Step { name: "learned".into(), kind: StepKind::Custom(Arc::new(Told(answer))) };
    let tiers = case.route.tiers().to_vec();
    case.route = Route::new("support".into(), tiers, vec![custom, use_tier(0)]).expect("a route");
    case
}

#[test]
fn steps_from_outside_choose_tiers_rank_deployments_or_say_why_not() {
    let case = told(|_| StepAnswer::Tier { tier: TierPosition(2), propensity: 0.25 });
    let decision = case.decide();
    assert_eq!((decision.tier.as_deref(), decision.decided_by.name()), (Some("long"), "learned"));
    assert!((decision.propensity - 0.25).abs() < 1e-12);

    let case = told(|input| {
        let scored = |(number, entry): (usize, &crate::filter::EligibleEntry)| ScoredDeployment {
            deployment: entry.deployment(),
            score: number as f64,
        };
        let order = input.eligible.iter().enumerate().map(scored).collect();
        StepAnswer::Ranking { order, propensity: 0.5 }
    });
    assert_eq!(case.legs(), ["acme/large", "acme/small", "beta/small", "core/large", "data/huge"]);
    assert_eq!(case.decide().tier.as_deref(), Some("learned"));

    for answer in [
        (|_: &StepInput<'_>| StepAnswer::Tier { tier: TierPosition(9), propensity: 1.0 })
            as fn(&StepInput<'_>) -> StepAnswer,
        |_| StepAnswer::Ranking { order: Vec::new(), propensity: 1.0 },
        |_| StepAnswer::NoAnswer { why: "the prompt is like none it knows".into() },
    ] {
        let decision = told(answer).decide();
        assert_eq!(decision.tier.as_deref(), Some("cheap"));
        assert!(matches!(decision.steps[0].outcome, StepOutcome::NoAnswer(_)));
    }
}

/// Any policy over any fleet in any state.
fn any_case() -> impl Strategy<Value = Case> {
    let member = (0u32..3, any::<bool>(), 0u8..7, proptest::option::of(50u64..400), 0u32..3);
    let tiers = proptest::collection::vec((proptest::collection::vec(0usize..5, 1..4), 0usize..6), 1..4);
    let fallbacks = proptest::collection::vec(proptest::collection::vec(0u16..3, 0..4), 4);
    let wishes = (any::<bool>(), any::<bool>(), proptest::option::of(0usize..5), any::<bool>(), 0u8..4);
    (proptest::collection::vec(member, 5), tiers, fallbacks, wishes, any::<(u64, u64)>(), any::<bool>())
        .prop_map(|(members, tiers, fallbacks, wishes, (seed, turn), sticky)| {
            let made = NAMES.iter().zip(&members).map(|(name, (weight, zdr, _, window, _))| {
                let (provider, model) = name.split_once('/').expect("provider/model");
                let mut made = deployment(provider, model);
                (made.weight, made.facts.zdr, made.context_window) = (*weight, Some(*zdr), *window);
                made
            });
            let fleet = Arc::new(Fleet::new(made.collect()));
            let count = tiers.len() as u16;
            let tiers = tiers.into_iter().enumerate().map(|(number, (members, balance))| {
                let ids: Vec<&str> = members.into_iter().map(|member| NAMES[member]).collect();
                let balance = Balance::parse(Balance::NAMES[balance]).expect("known");
                let mut made = tier(&fleet, &format!("tier-{number}"), &ids, balance);
                made.sticky = sticky.then_some(Sticky::User);
                made
            });
            let condition = Condition::compile("fleet.eligible > 2").expect("a rule");
            let rule = StepKind::When { condition, then: Target::Tier(TierPosition(count - 1)) };
            let steps = vec![Step { name: "rule".into(), kind: rule }, use_tier(0)];
            let mut route = Route::new("any".into(), tiers.collect(), steps).expect("a route");
            let mut lists = fallbacks.into_iter().map(|list| -> Vec<TierPosition> {
                list.into_iter().filter(|tier| *tier < count).map(TierPosition).collect()
            });
            let mut next = || lists.next().unwrap_or_default();
            route.fallback = Fallback {
                error: next(),
                rate_limit: next(),
                context_length: next(),
                content_filter: next(),
            };
            let mut case = Case::new(fleet, route);
            case.views.0 = members
                .iter()
                .map(|(_, _, state, _, outstanding)| {
                    let until = Moment::from_micros(u64::from(*state) * 1_000_000);
                    let availability = match state {
                        0 => Availability::Full,
                        1 => Availability::RateLimited { until },
                        2 => Availability::Broken { until, probe: false },
                        3 if *outstanding % 2 == 0 => Availability::QuotaExhausted { until },
                        3 => Availability::CredentialsOut { until },
                        _ => Availability::Open,
                    };
                    View { availability, outstanding: *outstanding, ..View::FRESH }
                })
                .collect();
            let (zdr, refuse, pin, models, order) = wishes;
            case.caller.user = Some("someone".into());
            case.caller.pin = pin.map(|pin| NAMES[pin].into());
            case.caller.preferences = Preferences {
                zdr,
                fallbacks: if refuse { Fallbacks::Refused } else { Fallbacks::Allowed },
                models: if models { vec!["large".into(), "data/huge".into()] } else { Vec::new() },
                order: if order == 0 { vec!["core".into()] } else { Vec::new() },
                ..Preferences::default()
            };
            (case.seed, case.turn) = (seed, turn);
            case
        })
}

proptest! {
    #[test]
    fn a_filtered_deployment_is_in_no_list_of_any_plan(case in any_case()) {
        let decision = case.decide();
        let rejected: BTreeSet<_> = decision.rejections.iter().map(|one| one.deployment).collect();
        let eligible: BTreeSet<_> = decision.candidates.iter().map(|one| one.ranked.deployment.index()).collect();
        prop_assert!(rejected.is_disjoint(&eligible));
        prop_assert_eq!(eligible.len(), decision.candidates.len(), "every candidate once");
        let Ok(plan) = &decision.plan else {
            prop_assert!(eligible.is_empty() || case.caller.pin.is_some() || decision.refusal().is_some());
            return Ok(());
        };
        prop_assert!(!plan.legs.is_empty());
        for list in [&plan.legs, &plan.on_rate_limit, &plan.on_context_length, &plan.on_content_filter] {
            let indexes: BTreeSet<_> = list.iter().map(|leg| leg.deployment.index()).collect();
            prop_assert_eq!(indexes.len(), list.len(), "no leg twice");
            for index in indexes {
                prop_assert!(eligible.contains(&index));
                let facts = case.fleet.deployment(index);
                prop_assert!(facts.weight > 0);
                prop_assert!(!case.caller.preferences.zdr || facts.facts.zdr == Some(true));
                let state = case.views.0[index.position()].availability;
                prop_assert_ne!(state.name(), "credentials_out");
                prop_assert_ne!(state.name(), "quota_exhausted");
            }
            let states: Vec<_> =
                list.iter().map(|leg| case.views.0[leg.deployment.index().position()].availability).collect();
            prop_assert!(states.is_sorted_by(|one, next| one.compare(*next).is_le()), "{states:?}");
        }
        for (leg, candidate) in plan.legs.iter().zip(&decision.candidates) {
            prop_assert_eq!(leg.deployment, candidate.ranked.deployment);
            prop_assert!(candidate.planned);
        }
        prop_assert!(decision.propensity > 0.0 && decision.propensity <= 1.0);
    }

    #[test]
    fn the_same_input_gives_the_same_decision(case in any_case()) {
        prop_assert_eq!(case.decide().to_json(), case.decide().to_json());
    }
}

fn cannot(case: &mut Case, name: &str, lacking: &[Capability]) {
    change(case, name, |deployment| {
        lacking.iter().for_each(|lacks| can(deployment, *lacks, Support::No));
    });
}

#[test]
fn reasoning_is_given_up_where_nobody_can_and_nothing_is_demanded() {
    let mut case = ordered();
    case.shape.wants_reasoning = true;
    for name in &NAMES[1..] {
        cannot(&mut case, name, &[Capability::Reasoning]);
    }
    let whole = case.decide().plan.expect("one can");
    assert!(whole.conceded.is_empty());
    cannot(&mut case, NAMES[0], &[Capability::Reasoning]);
    let plan = case.decide().plan.expect("without reasoning all can");
    assert_eq!(plan.conceded.as_slice(), [Concession::Reasoning]);
    case.caller.pin = Some(NAMES[2].into());
    assert!(case.decide().plan.is_ok_and(|plan| plan.conceded.as_slice() == [Concession::Reasoning]));
    for demand in [|caller: &mut Caller| caller.strict = true, |caller: &mut Caller| caller.whole = true] {
        let mut demanding = case.clone();
        demand(&mut demanding.caller);
        assert!(demanding.decide().plan.is_err());
    }
}

#[test]
fn a_schema_is_left_to_translation_where_nobody_follows_one() {
    let mut case = ordered();
    (case.shape.wants_schema, case.shape.wants_reasoning) = (true, true);
    for name in &NAMES[1..] {
        cannot(&mut case, name, &[Capability::JsonSchema]);
    }
    let conceded = |case: &Case| case.decide().plan.map(|plan| plan.conceded.to_vec());
    assert_eq!(conceded(&case), Ok(vec![]), "one follows it");
    cannot(&mut case, NAMES[0], &[Capability::JsonSchema]);
    assert_eq!(conceded(&case), Ok(vec![Concession::NativeSchema]));
    case.caller.whole = true;
    assert_eq!(conceded(&case), Ok(vec![Concession::NativeSchema]), "an emulation counts as support");
    for name in NAMES {
        cannot(&mut case, name, &[Capability::Reasoning]);
    }
    assert!(conceded(&case).is_err());
    case.caller.whole = false;
    assert_eq!(conceded(&case), Ok(vec![Concession::NativeSchema, Concession::Reasoning]));
    case.caller.strict = true;
    assert!(conceded(&case).is_err());
}

#[test]
fn nothing_is_given_up_that_somebody_can_do() {
    let mut case = ordered();
    (case.shape.wants_reasoning, case.shape.tools) = (true, 1);
    case.route.downgrade = vec![Concession::Tools, Concession::Length];
    for name in NAMES {
        cannot(&mut case, name, &[Capability::Tools]);
    }
    let conceded = |case: &Case| case.decide().plan.map(|plan| plan.conceded.to_vec());
    assert_eq!(conceded(&case), Ok(vec![Concession::Tools]), "reasoning is kept");
    for name in NAMES {
        cannot(&mut case, name, &[Capability::Reasoning]);
    }
    assert_eq!(conceded(&case), Ok(vec![Concession::Reasoning, Concession::Tools]));
    case.route.downgrade = vec![Concession::Tools, Concession::Reasoning];
    assert_eq!(conceded(&case), Ok(vec![Concession::Tools, Concession::Reasoning]), "in the order stated");
    case.route.downgrade.clear();
    assert!(conceded(&case).is_err());
}
