//! Configurations that load: none at all, and one that uses everything.

use crate::support::{load_all, loaded};
use std::time::Duration;
use trunkline_config::{Store, from_environment};
use trunkline_model::facts::Requirement;
use trunkline_route::balance::Balance;
use trunkline_route::plan::HedgeDelay;
use trunkline_route::policy::TierPosition;

#[test]
fn without_a_file_the_keys_in_the_environment_make_one() {
    let source = from_environment(&|name| {
        matches!(name, "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" | "GEMINI_API_KEY")
            .then(|| format!("sk-{name}"))
    });
    let source = source.unwrap();
    insta::assert_snapshot!(source.text);
    let text = source.text.replace("${GEMINI_API_KEY}", "written-out");
    let snapshot = load_all(&[("environment", &text)]).unwrap().snapshot;
    assert_eq!(snapshot.providers.len(), 3);
    let auto = snapshot.routes.find("auto").unwrap();
    let named = |tier: usize| -> Vec<String> {
        auto.tiers()[tier]
            .deployments
            .iter()
            .map(|index| snapshot.fleet.deployment(*index).id.to_string())
            .collect()
    };
    assert_eq!(named(0), ["anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "openai/gpt-5-mini"]);
    assert_eq!(named(1), ["anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-pro", "openai/gpt-5"]);
    assert_eq!(auto.fallback.error.len(), 2);
}

#[test]
fn without_any_key_there_is_no_configuration() {
    assert!(from_environment(&|_| None).is_none());
    assert!(from_environment(&|name| (name == "OPENAI_API_KEY").then(|| " ".to_owned())).is_none());
}

#[test]
fn a_full_example_means_what_it_says() {
    let snapshot = loaded(include_str!("full.yaml")).snapshot;
    assert_eq!(snapshot.server.listen.to_string(), "0.0.0.0:4000");
    assert_eq!(snapshot.server.store, Store::Sqlite("trunkline.db".into()));
    assert_eq!(snapshot.server.log_keep, Duration::from_secs(30 * 86_400));
    assert_eq!(snapshot.server.body_limit, 32_000_000);
    let route = snapshot.routes.find("support").unwrap();
    assert_eq!(route.require, [Requirement::Zdr]);
    assert!(matches!(route.tiers()[0].balance, Balance::LeastOutstanding));
    assert!(matches!(route.tiers()[1].balance, Balance::RoundRobin));
    assert_eq!(route.steps().len(), 3);
    assert_eq!(route.fallback.context_length, [TierPosition(1)]);
    assert_eq!(route.timeouts.total, Duration::from_secs(120));
    assert_eq!(route.attempts, 4);
    let hedge = route.hedge.unwrap();
    assert_eq!((hedge.after, hedge.spend_cap), (HedgeDelay::Quantile(0.95), 0.05));
    let eu = snapshot.fleet.deployment(snapshot.fleet.find("gpt-5-eu").unwrap());
    assert_eq!((eu.weight, eu.limits.requests_per_minute), (2, Some(600)));
    let key = snapshot.keys.find("sk-trunk-0123456789abcdef").unwrap();
    assert_eq!((key.limits.requests_per_minute, key.limits.concurrency), (Some(60), Some(8)));
}
