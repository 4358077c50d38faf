//! Settings that do not exist or have the wrong form.

use crate::support::{errors, loaded};
use insta::assert_snapshot;
use trunkline_model::catalogue::{ServiceTier, TokenClass};

#[test]
fn unknown_settings_name_the_nearest() {
    assert_snapshot!(errors(
        "listn: 127.0.0.1:4000\nproviders:\n  openai: { kye: a, data: { zdrr: true } }\nroutes:\n  support:\n    teirs: { a: { deployments: [openai/gpt-5] } }\n    hedge: { afer: p95 }\nzzzzzz: 1\n"
    ));
}

#[test]
fn wrong_forms_say_what_was_expected() {
    assert_snapshot!(errors(
        "listen: 4000\nallow_unauthenticated: \"yes\"\nproviders: [openai]\nserver: { open_requests: many, client_timeout: 30 }\nlog: 30d\nroutes:\n  a:\n    tiers:\n      t: { deployments: openai/gpt-5, balance: fastest }\n    attempts: 4.5\n    strict: 1\n    max_input_price: [1]\n    sticky: true\nkeys:\n  k: { concurrency: -1, tags: { team: 5, tier: } }\ndeployments:\n  d: { model: openai/gpt-5, weight: 99999999999 }\n"
    ));
}

#[test]
fn nothing_in_a_list_is_a_mistake() {
    assert_snapshot!(errors(
        "providers: { openai: {} }\nroutes:\n  a:\n    require: [~]\n    tiers:\n      t: { deployments: [openai/gpt-5, ] }\n    decide:\n      -\n"
    ));
}

#[test]
fn a_setting_without_a_value_keeps_its_default_and_a_name_without_one_is_still_named() {
    let snapshot = loaded("listen:\nserver:\nroutes:\nproviders:\n  openai:\n").snapshot;
    assert_eq!(snapshot.server.listen.port(), 4000);
    assert_eq!(snapshot.providers.len(), 1);
}

#[test]
fn prices_may_be_numbers_and_keep_their_digits() {
    let text = "providers: { openai: {} }\nmodels:\n  openai/gpt-5: { price: { input: 0.1, output: 10, cache_read: \"0.005\" } }\n";
    let snapshot = loaded(text).snapshot;
    let index = snapshot.fleet.find("openai/gpt-5").unwrap();
    let entry = snapshot.fleet.deployment(index).entry.clone().unwrap();
    assert_snapshot!(format!("{:?}", entry.prices.standard.base));
}

#[test]
fn prices_for_batches_are_stated_apart() {
    let text = "providers: { groq: { key: k } }\nmodels:\n  groq/llama-3.3-70b-versatile: { batch_price: { input: 0.295, output: 0.395 } }\n";
    let snapshot = loaded(text).snapshot;
    let index = snapshot.fleet.find("groq/llama-3.3-70b-versatile").unwrap();
    let prices = snapshot.fleet.deployment(index).entry.clone().unwrap().prices.clone();
    let rate = |class, service| prices.rate(class, service, 0).map(|rate| rate.price.to_string());
    assert_eq!(rate(TokenClass::Input, ServiceTier::Batch).as_deref(), Some("$0.295/M"));
    assert_eq!(rate(TokenClass::Output, ServiceTier::Batch).as_deref(), Some("$0.395/M"));
    assert_ne!(
        rate(TokenClass::Input, ServiceTier::Standard).as_deref(),
        Some("$0.295/M"),
        "the usual one stays"
    );
    assert_snapshot!(errors(
        "providers: { groq: { key: k } }\nmodels: { groq/llama-3.3-70b-versatile: { batch_price: { input: cheap } } }\n"
    ));
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    assert_snapshot!(errors(include_str!("everything-wrong.yaml")));
}
