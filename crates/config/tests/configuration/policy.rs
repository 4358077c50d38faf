//! Routes: names, steps, fallbacks, bounds, and settings that would have no effect.

use crate::support::{errors, loaded, route, warnings};
use insta::assert_snapshot;
use trunkline_route::policy::TierPosition;

const TIERS: &str = "tiers:\n  cheap: { deployments: [openai/gpt-5-mini] }\n  strong: { deployments: [openai/gpt-5, anthropic/claude-sonnet-4-6] }\n";
const ONE: &str = "tiers: { only: { deployments: [openai/gpt-5, anthropic/claude-sonnet-4-6] } }\n";

fn with_tiers(settings: &str) -> String {
    route(&format!("{TIERS}{settings}"))
}

#[test]
fn unknown_deployments_and_tiers_name_the_nearest() {
    assert_snapshot!(
        "deployment",
        errors(&route(
            "tiers: { a: { deployments: [openai/gpt5-mini, gpt-5, mistral/mistral-small-latest] } }"
        ))
    );
    assert_snapshot!("tier", errors(&with_tiers("decide: [{ use: stong }]\nfallback: { error: [cheep] }")));
}

#[test]
fn weights_that_no_balancing_reads_are_told() {
    let with = |balance: &str, weight: &str| {
        format!(
            "providers: {{ openai: {{}} }}\ndeployments: {{ eu: {{ model: openai/gpt-5, url: \"https://eu.example\", weight: {weight} }} }}\nroutes: {{ a: {{ tiers: {{ fast: {{ deployments: [openai/gpt-5-mini, eu], balance: {balance} }} }} }} }}\n"
        )
    };
    assert_snapshot!("weights", warnings(&with("latency", "3")));
    for (balance, weight) in
        [("weighted", "3"), ("round-robin", "3"), ("least-outstanding", "3"), ("latency", "0")]
    {
        assert_eq!(warnings(&with(balance, weight)), "0 errors, 0 warnings\n", "{balance} {weight}");
    }
}

#[test]
fn routes_need_tiers_and_tiers_deployments() {
    assert_snapshot!("no_tiers", errors(&route("attempts: 2")));
    assert_snapshot!("no_deployments", errors(&route("tiers: { a: { deployments: [] } }")));
    assert_snapshot!("twice", errors(&route("tiers: { a: { deployments: [openai/gpt-5, openai/gpt-5] } }")));
    assert_snapshot!(
        "name",
        errors(
            "providers: { openai: {} }\nroutes: { openai/gpt-5: { tiers: { a: { deployments: [openai/gpt-5] } } }, \" a\": { tiers: { a: { deployments: [openai/gpt-5] } } } }\n"
        )
    );
}

#[test]
fn steps_have_one_of_three_forms_and_must_be_reachable() {
    assert_snapshot!(
        "forms",
        errors(&with_tiers(
            "decide:\n  - {}\n  - { when: \"request.has_images\" }\n  - { pin: false }\n  - { pin: true, use: cheap }\n  - { use: cheap }"
        ))
    );
    assert_snapshot!(
        "unreachable",
        errors(&with_tiers("decide:\n  - { use: cheap }\n  - { when: \"request.has_images\", use: strong }"))
    );
}

#[test]
fn rules_are_checked_when_the_file_is_and_the_place_is_in_the_rule() {
    assert_snapshot!(errors(&with_tiers(
        "decide:\n  - { when: \"request.has_imagess\", use: strong }\n  - { when: \"request.input_tokens >\", use: strong }\n  - { when: \"request.input_tokens\", use: strong }\n  - { when: request.model == 5, use: strong }\n  - { when: \"\", use: strong }\n  - { when: \"nonsense(1)\", use: strong }"
    )));
}

#[test]
fn a_fallback_that_can_never_fire_is_a_mistake() {
    assert_snapshot!(
        "one_tier",
        errors(&route(&format!("{ONE}fallback: {{ error: [only], rate_limit: [only] }}")))
    );
    assert_snapshot!(
        "chosen_tier_only",
        errors(&with_tiers(
            "decide: [{ use: cheap }]\nfallback: { error: [cheap], context_length: [cheap], content_filter: [cheap] }"
        ))
    );
    assert_snapshot!("one_attempt", errors(&with_tiers("attempts: 1\nfallback: { error: [strong] }")));
    assert_snapshot!("fallback_twice", errors(&with_tiers("fallback: { error: [strong, cheap, strong] }")));
}

#[test]
fn a_refusal_may_go_on_inside_the_only_tier() {
    let snapshot =
        loaded(&route(&format!("{ONE}fallback: {{ content_filter: [only], context_length: [only] }}")))
            .snapshot;
    let route = snapshot.routes.find("support").unwrap();
    assert_eq!(route.fallback.content_filter, [TierPosition(0)]);
}

#[test]
fn without_a_fallback_every_tier_stands_in_except_after_a_refusal() {
    let snapshot = loaded(&with_tiers("")).snapshot;
    let fallback = &snapshot.routes.find("support").unwrap().fallback;
    assert_eq!(fallback.error, [TierPosition(0), TierPosition(1)]);
    assert_eq!(fallback.rate_limit, fallback.error);
    assert!(fallback.content_filter.is_empty());
}

#[test]
fn bad_times_shares_prices_and_counts_are_reported() {
    assert_snapshot!(errors(&with_tiers(
        "max_input_price: cheap\nmax_output_price: -1\ntimeouts: { connect: \"10\", first_token: 1 parsec, between_tokens: 0s, total: \"\" }\nattempts: 21\nhedge: { after: p10, spend_cap: lots }"
    )));
}

#[test]
fn settings_without_effect_are_mistakes() {
    assert_snapshot!(
        "timeouts",
        errors(&with_tiers("timeouts: { connect: 3m, first_token: 3m, between_tokens: 3m, total: 2m }"))
    );
    assert_snapshot!("hedge", errors(&with_tiers("hedge: { after: 5m, spend_cap: 0% }")));
    assert_snapshot!(
        "hedge_alone",
        errors(&route("tiers: { a: { deployments: [openai/gpt-5] } }\nhedge: {}"))
    );
    assert_snapshot!("hedge_one_attempt", errors(&with_tiers("attempts: 1\nhedge: {}")));
    assert_snapshot!("log", errors("providers: { openai: {} }\nstore: memory\nlog: { keep: 1d }\n"));
    assert_snapshot!("require", errors(&route(&format!("require: [baa]\n{ONE}"))));
    assert_snapshot!(
        "require_tier",
        errors(
            "providers: { openai: { data: { baa: true } }, anthropic: {} }\nroutes:\n  support:\n    require: [baa]\n    tiers: { one: { deployments: [openai/gpt-5] }, two: { deployments: [anthropic/claude-sonnet-4-6] } }\n"
        )
    );
}

#[test]
fn what_is_odd_but_works_is_a_warning() {
    assert_snapshot!(
        "balance",
        warnings(&route("tiers: { a: { deployments: [openai/gpt-5], balance: latency } }\nsticky: user"))
    );
    assert_snapshot!(
        "unused_tier",
        warnings(&with_tiers("decide: [{ use: cheap }]\nfallback: { error: [] }"))
    );
    assert_snapshot!("loopback", warnings("providers: { openai: {} }\nallow_unauthenticated: true\n"));
}

#[test]
fn a_model_that_retires_soon_is_a_warning() {
    assert_snapshot!(warnings(&route("tiers: { a: { deployments: [anthropic/claude-sonnet-4-5] } }")));
}

#[test]
fn a_letter_of_several_bytes_in_a_rule_is_marked_whole() {
    assert_snapshot!(errors(&with_tiers("decide: [{ when: \"é > 1\", use: strong }, { use: cheap }]")));
}

#[test]
fn a_cascade_that_cannot_help_is_a_mistake() {
    assert_snapshot!("cascade", errors(&with_tiers("cascade: { from: cheap, to: cheap }")));
    let all = "cascade:
  from: cheap
  to: stron
  matches: \"(\"
  condition: \"answer.length > 3\"
  confidence: 0.5
  agreement: { samples: 9, at_least: 2.0 }
  judge: { deployments: [openai/gpt-nope], at_least: 11 }
  streams: precheck
  spend_cap: lots
  audit: { share: 0% }
attempts: 1
answer: { repair: true }
downgrade: [tools, tools]";
    assert_snapshot!("cascade_all", errors(&with_tiers(all)));
    assert_snapshot!(
        "cascade_precheck",
        errors(&with_tiers(
            "cascade: { from: cheap, to: strong, unless: [json], precheck: \"request.turns > 1\" }"
        ))
    );
}
