//! Steps beside rules: what they name, what they demand, and every mistake with its place.

use crate::support::{errors, load_one, loaded, route, warnings};
use insta::assert_snapshot;
use trunkline_model::catalogue::ReasoningEffort;
use trunkline_model::money::NanoDollars;
use trunkline_route::learned::KeepPrompts;
use trunkline_route::shadow::ShadowCaps;

const TIERS: &str =
    "tiers:\n  cheap: { deployments: [openai/gpt-5-mini] }\n  strong: { deployments: [openai/gpt-5] }\n";

const EXAMPLES: &str = "intents:\n  topics:\n    examples:\n      billing: [where is my refund, why was I charged twice, update my credit card]\n      legal: [review this contract, is this clause enforceable, draft an agreement]\nclassifiers:\n  judge:\n    deployment: openai/gpt-5-nano\n    labels: { simple: small talk, hard: needs several steps }\n";

/// A configuration with examples, a classifier and these steps.
fn steps(steps: &str) -> String {
    format!("{}{EXAMPLES}", route(&format!("{TIERS}decide:\n{steps}")))
}

#[test]
fn every_kind_of_step_loads_and_keeps_its_kind_as_name() {
    let text = steps(
        "  - { semantic: topics, map: { billing: cheap, legal: strong }, sure: 0.6 }\n  - { hybrid: { intents: topics, classifier: judge, sure: 0.9 }, map: { billing: cheap, hard: strong } }\n  - { classifier: judge, map: { hard: strong } }\n  - { complexity: { above: 0.8, use: strong } }\n  - { experiment: { name: newer, by: session, shares: { cheap: 10%, strong: 5% } } }\n  - { bandit: { tiers: [cheap, strong], explore: 5%, lambda: 2 } }\n  - { use: cheap }",
    );
    let snapshot = loaded(&text).snapshot;
    let route = snapshot.routes.find("support").unwrap();
    let names: Vec<&str> = route.steps().iter().map(|step| &*step.name).collect();
    assert_eq!(
        names,
        ["semantic-0", "hybrid-1", "classifier-2", "complexity-3", "experiment-4", "bandit-5", "use-6"]
    );
}

#[test]
fn a_shadow_is_kept_with_its_bounds() {
    let kept = |settings: &str| {
        let text = route(&format!("{TIERS}shadow: {{ deployment: openai/gpt-5-nano{settings} }}"));
        let snapshot = loaded(&text).snapshot;
        let shadow = snapshot.routes.find("support").unwrap().shadow.unwrap();
        assert_eq!(&*snapshot.fleet.deployment(shadow.deployment).id, "openai/gpt-5-nano");
        shadow
    };
    let plain = kept("");
    assert_eq!((plain.share, plain.agree, plain.keeps_answers), (0.01, 0.8, false));
    assert_eq!(plain.caps, ShadowCaps { share: Some(0.05), daily: None });
    let daily = Some(NanoDollars(2_500_000_000));
    let full = kept(", share: 2%, spend_cap: 3%, spend_per_day: \"2.50\", agree: 0.9, keep_answers: true");
    assert_eq!((full.share, full.agree, full.keeps_answers), (0.02, 0.9, true));
    assert_eq!(full.caps, ShadowCaps { share: Some(0.03), daily });
    assert_eq!(kept(", spend_per_day: \"2.50\"").caps, ShadowCaps { share: None, daily });
}

#[test]
fn a_shadow_that_could_never_get_a_copy_is_a_mistake() {
    let with = |settings: &str| errors(&route(&format!("{TIERS}shadow: {{ {settings} }}")));
    let texts = [
        with("deployment: openai/gpt-5-nano, spend_cap: 0%, agree: 1.5"),
        with("deployment: openai/gpt-5-nano, spend_per_day: \"0\""),
        with("deployment: openai/gpt-5-nano, spend_per_day: much"),
        errors(
            "providers:\n  openai: { key: sk-example, data: { zdr: true } }\n  anthropic: { key: sk-example }\n  \
             own: { preset: openai-compatible, url: \"http://127.0.0.1:9/v1\", models: [small] }\nroutes:\n  \
             strict:\n    require: [zdr]\n    tiers: { main: { deployments: [openai/gpt-5] } }\n    \
             shadow: { deployment: anthropic/claude-sonnet-4-5 }\n  unpriced:\n    \
             tiers: { main: { deployments: [openai/gpt-5] } }\n    shadow: { deployment: own/small }\n",
        ),
    ];
    assert_snapshot!(texts.join("\n"));
}

#[test]
fn what_a_step_names_must_be_there() {
    assert_snapshot!(errors(&steps(
        "  - { semantic: topic, map: { billing: cheap } }\n  - { semantic: topics, map: { biling: cheap } }\n  - { semantic: topics, map: { billing: chep } }\n  - { classifier: juge, map: { hard: strong } }\n  - { classifier: judge, map: { harder: strong } }\n  - { complexity: { above: 0.5, use: strng } }\n  - { bandit: { tiers: [cheap, weak] } }\n  - { experiment: { name: a, shares: { weak: 5% } } }"
    )));
}

#[test]
fn a_step_that_can_never_answer_is_a_mistake() {
    assert_snapshot!(errors(&steps(
        "  - { semantic: topics }\n  - { map: { billing: cheap } }\n  - { semantic: topics, use: cheap, map: { billing: cheap } }\n  - { semantic: topics, classifier: judge, map: { billing: cheap } }\n  - { complexity: { use: strong } }\n  - { complexity: { above: 1.5, use: strong } }\n  - { complexity: { above: 0.5, use: strong, below: strong } }\n  - { hybrid: { intents: topics, classifier: judge, sure: 1 }, map: { billing: cheap, hard: strong } }\n  - { hybrid: { intents: topics, classifier: judge }, map: { billing: cheap } }\n  - { bandit: { tiers: [cheap] } }\n  - { bandit: { tiers: [cheap, cheap] } }\n  - { bandit: { tiers: [cheap, strong], explore: 0% } }\n  - { experiment: { name: a, shares: { cheap: 60%, strong: 60% } } }\n  - { experiment: { shares: { cheap: 60% } } }\n  - { semantic: topics, map: { billing: cheap }, sure: 2 }\n  - { complexity: { above: 0.5, use: strong }, map: { billing: cheap } }"
    )));
}

#[test]
fn a_rule_that_can_never_decide_is_a_mistake() {
    let with = |steps: &str| errors(&route(&format!("{TIERS}decide:\n{steps}")));
    let texts = [
        with("  - { when: \"false\", use: strong }\n  - { use: cheap }"),
        with("  - { when: \"request.tools > 9 && request.tools < 3\", use: strong }\n  - { use: cheap }"),
        with("  - { when: \"time.weekday == 'sunday'\", use: strong }\n  - { use: cheap }"),
        with(
            "  - { when: request.stream, use: strong }\n  - { when: request.stream, use: cheap }\n  - { use: cheap }",
        ),
        with("  - { when: \"true\", use: strong }\n  - { use: cheap }"),
    ];
    assert_snapshot!(texts.join("\n"));
    // At the end it does no harm.
    loaded(&route(&format!("{TIERS}decide: [{{ when: \"true\", use: strong }}]")));
}

#[test]
fn a_wrong_label_of_an_example_is_found_by_its_line() {
    let with = |file: &str| {
        let decide = "decide: [{ semantic: topics, map: { billing: cheap, legal: strong } }, { use: cheap }]";
        format!("{}intents: {{ topics: {{ file: {file} }} }}\n", route(&format!("{TIERS}{decide}\n")))
    };
    assert_snapshot!("a_label_misspelt_once", errors(&with("misspelt.jsonl")));
    assert_snapshot!("a_label_misspelt_often", warnings(&with("misspelt-often.jsonl")));
}

#[test]
fn examples_and_classifiers_say_what_is_missing() {
    let with = |text: &str| format!("{}{text}", route(TIERS));
    let texts = [
        "intents: { a: {} }\n",
        "intents: { a: { examples: { one: [], two: [b] } } }\n",
        "intents: { a: { examples: { one: [b] } } }\n",
        "intents: { a: { keep: 1.5, examples: { one: [a, b, c], two: [d, e, f] } } }\n",
        "intents: { a: { file: missing.jsonl } }\n",
        "intents: { a: { file: no-label.jsonl } }\n",
        "intents: { a: { file: two-labels.jsonl } }\n",
        "intents: { a: { file: broken.jsonl } }\n",
        "intents: { a: { file: empty-label.yaml } }\n",
        "intents: { a: { file: list.yaml } }\n",
        "classifiers: { a: { labels: { b: c, d: e } } }\n",
        "classifiers: { a: { deployment: openai/gpt-5-nano, labels: { b: c } } }\n",
        "classifiers: { a: { deployment: openai/gpt-5-nano, timeout: 10m, labels: { b: c, d: e } } }\n",
        "classifiers: { a: { deployment: openai/gpt-5-nano, spend_cap: much, labels: { b: c, d: e } } }\n",
        "classifiers: { a: { deployment: openai/gpt-5-nano, spend_cap: \"0\", labels: { b: c, d: e } } }\n",
    ];
    assert_snapshot!(texts.map(|text| errors(&with(text))).join("\n"));
    let capped = "classifiers: { a: { deployment: openai/own, spend_cap: \"1\", labels: { b: c, d: e } } }\n";
    let unpriced = with(capped).replace("openai: {}", "openai: { models: [own] }");
    assert_snapshot!("a_cap_without_prices", errors(&unpriced));
    let shadow = route(&format!("{TIERS}shadow: {{ deployment: openai/gpt-9, share: 0% }}"));
    assert_snapshot!("shadow", errors(&shadow));
}

#[test]
fn what_is_kept_to_learn_from_has_to_be_said_and_needs_a_file() {
    let learn = |setting: &str, top: &str| format!("{top}{}", route(&format!("{TIERS}learn: {setting}")));
    let kept = |setting| loaded(&learn(setting, "")).snapshot.routes.find("support").unwrap().learn;
    assert_eq!(kept("{ keep: vectors }"), Some(KeepPrompts::Vectors));
    assert_eq!(kept("{ keep: text }"), Some(KeepPrompts::Text));
    let wrong = [learn("{}", ""), learn("{ keep: all }", ""), learn("{ keep: text }", "store: memory\n")];
    assert_snapshot!(wrong.map(|text| errors(&text)).join("\n"));
}

#[test]
fn examples_come_from_the_log_too_and_are_part_of_the_version() {
    let with = |store: &str, labels: &str| {
        let steps = route(&format!(
            "{TIERS}decide: [{{ semantic: a, map: {{ billing: cheap }} }}, {{ use: cheap }}]"
        ));
        let examples = "examples: { billing: [refund, invoice, receipt], legal: [contract, clause, lease] }";
        format!("store: {store}\n{steps}intents: {{ a: {{ from_log: [{labels}], {examples} }} }}\n")
    };
    let without = load_one(&with("sqlite:none.db", "billing")).unwrap();
    let both = loaded(&with("sqlite:labels.db", "billing"));
    assert_eq!(both.snapshot.files, ["/labels.db"]);
    assert_ne!(both.snapshot.version, without.snapshot.version);
    assert_snapshot!(
        [
            warnings(&with("sqlite:none.db", "billing, legal")),
            errors(&with("sqlite:broken.db", "billing")),
            errors(&with("memory", "billing")),
            errors(&format!("{}intents: {{ a: {{ from_log: [billing] }} }}\n", route(TIERS))),
        ]
        .join("\n")
    );
}

#[test]
fn what_nobody_uses_is_told() {
    assert_snapshot!(warnings(&format!("{}{EXAMPLES}", route(TIERS))));
    assert!(load_one(&format!("{}intents: {{ a: {{ file: good.jsonl }} }}\n", route(TIERS))).is_ok());
}

#[test]
fn an_effort_is_kept_where_it_stands() {
    let text = format!(
        "{}keys: {{ batch: {{ key: sk-batch-0123456789abcdef, effort: minimal }} }}\n",
        route(
            "effort: low\ntiers:\n  cheap: { deployments: [openai/gpt-5-mini] }\n  \
             strong: { deployments: [openai/gpt-5], effort: xhigh }\ndecide:\n  \
             - { when: \"request.tools > 0\", use: strong, effort: none }\n  - { use: cheap }\n"
        )
    );
    let snapshot = loaded(&text).snapshot;
    let efforts = &snapshot.routes.find("support").unwrap().efforts;
    assert_eq!(efforts.route, Some(ReasoningEffort::Low));
    assert_eq!(efforts.tiers, [("strong".into(), ReasoningEffort::ExtraHigh)]);
    assert_eq!(efforts.steps, [("when-0".into(), ReasoningEffort::None)]);
    let key = snapshot.keys.find("sk-batch-0123456789abcdef").unwrap();
    assert_eq!(key.effort, Some(ReasoningEffort::Minimal));
}

#[test]
fn an_effort_that_nobody_can_reach_is_told() {
    let text = route("effort: high\ntiers:\n  only: { deployments: [openai/gpt-4.1-mini], effort: max }\n");
    assert_snapshot!(warnings(&text));
    assert_snapshot!("wrong_effort", errors(&route(&format!("{TIERS}effort: deep\n"))));
}

#[test]
fn a_pin_of_a_key_names_a_deployment_that_can_serve_it() {
    let with = |settings: &str| {
        format!("{}keys: {{ batch: {{ key: sk-batch-0123456789abcdef, {settings} }} }}\n", route(TIERS))
    };
    let snapshot = loaded(&with("pin: openai/gpt-5, models: [\"openai/*\"]")).snapshot;
    let key = snapshot.keys.find("sk-batch-0123456789abcdef").unwrap();
    assert_eq!(key.pin.as_deref(), Some("openai/gpt-5"));
    let texts = [
        "pin: openai/gpt-9",
        "pin: openai/gpt-5, models: [\"openai/*-mini\"]",
        "pin: openai/gpt-5, require: [baa]",
        "pin: openai/gpt-5, passthrough: [openai]",
    ];
    assert_snapshot!(texts.map(|text| errors(&with(text))).join("\n"));
}
