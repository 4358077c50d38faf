//! The written forms of decisions, and that both JSON writers agree.

use super::*;
use crate::balance::Balance;
use crate::cel::Condition;
use crate::fixture::{Case, available, deployment, fleet, tier, use_tier};
use crate::fleet::Fleet;
use crate::policy::{Route, TierPosition};
use crate::steps::{Step, StepKind, Target};
use crate::view::{Availability, View};
use proptest::prelude::*;
use std::sync::Arc;
use trunkline_model::facts::Requirement;
use trunkline_model::moment::Moment;

fn support() -> Case {
    let names = ["acme/small", "beta/small", "core/large", "data/huge", "east/huge"];
    let mut all: Vec<_> = fleet(&names).iter().map(|(_, deployment)| deployment.clone()).collect();
    for made in &mut all {
        made.facts.zdr = Some(&*made.provider != "east");
    }
    all[1].entry = None;
    let fleet = Arc::new(Fleet::new(all));
    let tiers = vec![
        tier(&fleet, "cheap", &names[..2], Balance::RoundRobin),
        tier(&fleet, "strong", &names[2..3], Balance::Latency),
        tier(&fleet, "huge", &names[3..], Balance::Cost),
    ];
    let step = |name: &str, rule: &str, tier| {
        let condition = Condition::compile(rule).expect("a rule");
        Step { name: name.into(), kind: StepKind::When { condition, then: Target::Tier(TierPosition(tier)) } }
    };
    let steps = vec![
        step("long answers", "request.max_output_tokens > 4000", 1),
        step("gold", "caller.team == 'gold \"x\"' && request.messages > 5", 1),
        use_tier(0),
    ];
    let mut route = Route::new("support".into(), tiers, steps).expect("a route");
    route.require = vec![Requirement::Zdr];
    route.fallback.error = vec![TierPosition(0), TierPosition(1)];
    route.fallback.content_filter = vec![TierPosition(1)];
    let mut case = Case::new(fleet, route);
    case.caller.team = Some("gold \"x\"".into());
    let until = Moment::from_micros(9_000_000);
    case.views.0 = vec![View::FRESH, View::FRESH, available(Availability::RateLimited { until })];
    case.turn = 1;
    case
}

#[test]
fn a_decision_explains_itself_in_json_and_in_text() {
    let decision = support().decide();
    let explanation = Explanation::of(&decision).expect("its own JSON");
    let pretty = serde_json::to_string_pretty(&explanation).expect("JSON");
    insta::assert_snapshot!("decision_json", pretty);
    insta::assert_snapshot!("decision_text", explanation.to_string());
}

#[test]
fn a_refusal_explains_itself_too() {
    let mut case = support();
    case.route.require = vec![Requirement::Region("mars".into())];
    let explanation = Explanation::of(&case.decide()).expect("its own JSON");
    assert_eq!(explanation.plan, None);
    insta::assert_snapshot!("refusal_text", explanation.to_string());
}

#[test]
fn long_lists_are_cut_and_counted() {
    let made = (0..120).map(|number| {
        let mut made = deployment(&format!("p{number:03}"), "m");
        made.facts.zdr = Some(number < 60);
        made
    });
    let fleet = Arc::new(Fleet::new(made.collect()));
    let mut route = Route::direct("m".into(), fleet.named("m"));
    route.require = vec![Requirement::Zdr];
    let explanation = Explanation::of(&Case::new(fleet, route).decide()).expect("its own JSON");
    assert_eq!((explanation.candidates.len(), explanation.candidates_more), (50, 10));
    assert_eq!((explanation.rejected.len(), explanation.rejected_more), (50, 10));
    assert!(explanation.to_string().contains("and 10 more"));
}

proptest! {
    #[test]
    fn the_compact_line_is_what_serde_would_write(
        team in "\\PC{0,200}", step in "[\\x00-\\x7f]{1,20}", seed: u64, messages in 0u32..9, latency in 0u64..5_000_000,
    ) {
        let mut case = support();
        case.caller.team = Some(team.into());
        let mut steps = case.route.steps().to_vec();
        steps[0].name = step.into();
        let (require, fallback) = (case.route.require.clone(), case.route.fallback.clone());
        case.route = Route::new("support".into(), case.route.tiers().to_vec(), steps).expect("a route");
        (case.route.require, case.route.fallback) = (require, fallback);
        let latency = Some(std::time::Duration::from_micros(latency));
        case.views.0[2] = View { latency, whole_latency: latency, ..View::FRESH };
        (case.seed, case.shape.messages) = (seed, messages);
        let line = case.decide().to_json();
        let explanation: Explanation =
            serde_json::from_str(&line).map_err(|error| TestCaseError::fail(format!("{error}: {line}")))?;
        prop_assert_eq!(serde_json::to_string(&explanation).expect("JSON"), line);
    }
}
