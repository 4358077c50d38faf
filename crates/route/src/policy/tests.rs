//! What a compiled route refuses and knows, and what names stand for.

use super::*;
use crate::cel::Condition;
use crate::fixture::{fleet, tier, use_tier};

#[test]
fn parts_that_do_not_fit_are_refused() {
    let fleet = fleet(&["a/m", "b/m"]);
    let cheap = || tier(&fleet, "cheap", &["a/m"], Balance::Weighted);
    let empty = Tier { deployments: Vec::new(), ..cheap() };
    let error = |tiers, steps| Route::new("support".into(), tiers, steps).expect_err("a mistake").to_string();
    let mut route = Route::new("support".into(), vec![cheap()], vec![use_tier(0)]).expect("a route");
    route.fallback.content_filter = vec![TierPosition(1)];
    let lines = [
        error(Vec::new(), Vec::new()),
        error(vec![cheap(), empty], Vec::new()),
        error(vec![cheap(), cheap()], Vec::new()),
        error(vec![cheap()], vec![use_tier(3)]),
        error(vec![cheap()], vec![use_tier(0), use_tier(0)]),
        route.check().expect_err("a mistake").to_string(),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_route_knows_its_candidates_tiers_and_headers() {
    let fleet = fleet(&["a/m", "b/m", "c/m"]);
    let tiers = vec![
        tier(&fleet, "cheap", &["b/m", "a/m"], Balance::Weighted),
        tier(&fleet, "strong", &["b/m"], Balance::Latency),
    ];
    let condition = Condition::compile("headers['X-Plan'] == 'pro'").expect("a rule");
    let target = Target::Deployments { name: "c/m".into(), deployments: fleet.named("c/m").to_vec() };
    let step = Step { name: "pro".into(), kind: StepKind::When { condition, then: target } };
    let route = Route::new("support".into(), tiers, vec![step, use_tier(0)]).expect("a route");
    assert_eq!(route.candidates(), [DeploymentIndex(0), DeploymentIndex(1), DeploymentIndex(2)]);
    assert_eq!(route.find_tier("strong"), Some(TierPosition(1)));
    assert_eq!(route.find_tier("weak"), None);
    assert_eq!(route.headers().as_slice(), [Name::from("x-plan")]);
}

#[test]
fn names_stand_for_an_id_a_path_or_every_deployment_of_a_model() {
    let mut named = crate::fixture::deployment("azure", "gpt");
    named.id = "main".into();
    let mut shadow = crate::fixture::deployment("other", "large");
    shadow.id = "gpt".into();
    let fleet = crate::fleet::Fleet::new(vec![
        named,
        crate::fixture::deployment("openai", "mini"),
        crate::fixture::deployment("groq", "mini"),
        shadow,
    ]);
    let ids = |name: &str| -> Vec<String> {
        fleet.named(name).iter().map(|index| fleet.deployment(*index).id.to_string()).collect()
    };
    assert_eq!(ids("main"), ["main"]);
    assert_eq!(ids("azure/gpt"), ["main"]);
    assert_eq!(ids("mini"), ["groq/mini", "openai/mini"]);
    assert_eq!(ids("openai/mini"), ["openai/mini"]);
    assert_eq!(ids("gpt"), ["gpt"], "an id beats a model name");
    assert!(ids("nothing").is_empty());
    let pattern = |text: &str| Pattern::new(text).expect("a pattern");
    let main = fleet.find("main").expect("in the fleet");
    for text in ["main", "azure/*", "gpt"] {
        assert!(fleet.matches(main, &pattern(text)), "{text}");
    }
    assert!(!fleet.matches(main, &pattern("openai/*")));
}
