//! What a configuration says of models: at once, from a day on, and of those that are switched off.

use crate::support::{errors, load_one, loaded, warnings};
use insta::assert_snapshot;
use trunkline_config::Snapshot;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, UnitKind, price};

fn with(models: &str) -> String {
    format!(
        "providers: {{ edge: {{ preset: openai-compatible, url: 'http://127.0.0.1:1/v1', models: [own] }} }}\nmodels:\n  edge/own:\n{models}"
    )
}

/// What a million tokens of prompt cost, in dollars.
fn input(snapshot: &Snapshot, service: ServiceTier) -> String {
    let index = snapshot.fleet.find("edge/own").expect("it is configured");
    let entry = snapshot.fleet.deployment(index).entry.clone().expect("its facts are stated");
    price(&entry, service, &TokenCounts { input: 1_000_000, ..TokenCounts::default() }).to_string()
}

/// Today is 2026-11-20 here.
#[test]
fn a_change_holds_from_its_day_on_and_the_next_one_is_known() {
    let text = with(
        "    price: { input: 1, output: 4 }\n    changes:\n    \
         - { effective_at: 2026-12-01, price: { input: 5 } }\n    \
         - { effective_at: 2026-11-20, price: { input: 3 }, flex_price: { input: 1.5 }, per: { image_out: 0.04 } }\n    \
         - { effective_at: 2026-10-01, price: { input: 2 }, context_window: 1000 }\n",
    );
    let snapshot = loaded(&text).snapshot;
    assert_eq!(input(&snapshot, ServiceTier::Standard), "$3.00", "of two that are due the later one holds");
    assert_eq!(input(&snapshot, ServiceTier::Flex), "$1.50");
    let entry = snapshot.fleet.deployment(snapshot.fleet.find("edge/own").unwrap()).entry.clone().unwrap();
    assert_eq!(entry.context_window, Some(1000), "what a later change does not state stays");
    assert_eq!(entry.prices.unit(UnitKind::ImageOut).unwrap().decimal().to_string(), "40000");
    assert_eq!(snapshot.next_change.map(|day| day.to_string()).as_deref(), Some("2026-12-01"));
    let without = loaded(&with("    price: { input: 1 }\n")).snapshot;
    assert_eq!(without.next_change, None);
    let due = text.replace("2026-12-01", "2026-11-19");
    assert_ne!(loaded(&due).snapshot.version, snapshot.version);
}

#[test]
fn mistakes_in_changes_are_told_before_their_day() {
    assert_snapshot!(errors(&with(
        "    retires: soon\n    per: { picture: '1' }\n    changes:\n    - { price: { input: 1 } }\n    \
         - { effective_at: tomorrow }\n    - { effective_at: 2027-01-01, price: { input: cheap }, capabilities: { thinking: true } }\n    \
         - { effective_at: 2027-01-01, per: { page: -1 } }\n",
    )));
}

#[test]
fn a_model_that_is_switched_off_is_told_of_wherever_it_is_named() {
    assert_snapshot!(warnings(
        "providers: { openai: { models: [gpt-3.5-turbo-0125] }, anthropic: {} }\n\
         deployments: { old: { model: anthropic/claude-sonnet-4-5 } }\n\
         models: { openai/gpt-5: { retires: 2026-12-24 } }\n\
         routes: { main: { tiers: { a: { deployments: [old, openai/gpt-5, openai/gpt-5-mini] } } } }\n"
    ));
    assert!(load_one(&with("    retires: 2028-01-01\n")).unwrap().problems.is_empty());
}
