//! Every reason to reject, with its words, and what must not reject.

use super::*;
use crate::caller::{AllowList, DataCollection, Fallbacks, ParameterSupport, Preferences};
use crate::fixture::{Recorded, available, can, chat, deployment};
use crate::fleet::{Deployment, DeploymentLimits};
use crate::view::{AllFresh, Availability};
use std::time::Duration;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::money::{NanoDollars, PricePerMillion};

/// What the filter says of one deployment; empty when it may serve.
fn said(deployment: Deployment, shape: &Shape, caller: &Caller, route: &RouteDemands<'_>) -> String {
    let fleet = Fleet::new(vec![deployment]);
    let filtered = filter(&fleet, &[DeploymentIndex(0)], shape, caller, route, &AllFresh, Moment::ORIGIN);
    assert_eq!(filtered.eligible.len() + filtered.rejected.len(), 1);
    filtered.rejected.first().map_or_else(String::new, |one| format!("{}: {}", one.reason.name(), one.reason))
}

fn changed(change: impl FnOnce(&mut Deployment)) -> Deployment {
    let mut deployment = deployment("acme", "large");
    change(&mut deployment);
    deployment
}

fn plain(deployment: Deployment, shape: &Shape) -> String {
    said(deployment, shape, &Caller::default(), &RouteDemands::NONE)
}

fn wished(deployment: Deployment, preferences: Preferences) -> String {
    let caller = Caller { preferences, ..Caller::default() };
    said(deployment, &chat(), &caller, &RouteDemands::NONE)
}

fn patterns(names: &[&str]) -> Vec<Pattern> {
    names.iter().map(|name| Pattern::new(*name).expect("a pattern")).collect()
}

#[test]
fn lists_and_weights_say_who_keeps_a_deployment_out() {
    let large = || deployment("acme", "large");
    let (shape, anyone) = (chat(), Caller::default());
    let other = patterns(&["other/*"]);
    let own = patterns(&["acme/*"]);
    let allow = RouteDemands { allow: &other, ..RouteDemands::NONE };
    let deny = RouteDemands { deny: &own, ..RouteDemands::NONE };
    let key =
        Caller { allow: AllowList { models: other.clone(), ..AllowList::default() }, ..Caller::default() };
    let closed =
        Preferences { order: vec!["other".into()], fallbacks: Fallbacks::Refused, ..Preferences::default() };
    let lines = [
        plain(changed(|deployment| deployment.weight = 0), &shape),
        said(large(), &shape, &anyone, &allow),
        said(large(), &shape, &anyone, &deny),
        said(large(), &shape, &key, &RouteDemands::NONE),
        wished(large(), Preferences { only: vec!["other".into()], ..Preferences::default() }),
        wished(large(), Preferences { ignore: vec!["Acme".into()], ..Preferences::default() }),
        wished(large(), closed),
    ];
    insta::assert_snapshot!(lines.join("\n"));
    let allowed = RouteDemands { allow: &own, deny: &other, ..RouteDemands::NONE };
    assert_eq!(said(large(), &shape, &anyone, &allowed), "");
    assert_eq!(wished(large(), Preferences { only: vec!["acme".into()], ..Preferences::default() }), "");
}

#[test]
fn the_unknown_and_the_contrary_both_fail_a_demand() {
    let mut lines = Vec::new();
    for text in ["zdr", "no-train", "baa", "region:eu"] {
        let require = [Requirement::parse(text).expect("a requirement")];
        let demands = RouteDemands { require: &require, ..RouteDemands::NONE };
        let contrary = changed(|deployment| {
            deployment.facts.zdr = Some(false);
            deployment.facts.train = Some(true);
            deployment.facts.baa = Some(false);
            deployment.facts.region = Some("us".into());
        });
        lines.push(said(deployment("acme", "large"), &chat(), &Caller::default(), &demands));
        lines.push(said(contrary, &chat(), &Caller::default(), &demands));
        let met = changed(|deployment| {
            deployment.facts.zdr = Some(true);
            deployment.facts.train = Some(false);
            deployment.facts.baa = Some(true);
            deployment.facts.region = Some("eu-west-1".into());
        });
        assert_eq!(said(met.clone(), &chat(), &Caller::default(), &demands), "");
        let caller = Caller { requirements: require.to_vec(), ..Caller::default() };
        assert!(!said(deployment("acme", "large"), &chat(), &caller, &RouteDemands::NONE).is_empty());
        assert_eq!(said(met, &chat(), &caller, &RouteDemands::NONE), "");
    }
    let deny = Preferences { data_collection: DataCollection::Deny, ..Preferences::default() };
    lines.push(wished(deployment("acme", "large"), deny));
    lines.push(wished(deployment("acme", "large"), Preferences { zdr: true, ..Preferences::default() }));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_known_to_be_missing_rejects_and_the_unknown_only_on_demand() {
    type Ask = fn(&mut Shape);
    let needs: [(Capability, Ask); 11] = [
        (Capability::Tools, |shape| shape.tools = 1),
        (Capability::Tools, |shape| shape.has_tool_history = true),
        (Capability::ToolChoice, |shape| shape.forces_tool = true),
        (Capability::ImageInput, |shape| shape.images = 1),
        (Capability::PdfInput, |shape| shape.documents = 1),
        (Capability::AudioInput, |shape| shape.audio = 1),
        (Capability::VideoInput, |shape| shape.videos = 1),
        (Capability::JsonSchema, |shape| shape.wants_schema = true),
        (Capability::JsonObject, |shape| shape.wants_json = true),
        (Capability::Reasoning, |shape| shape.wants_reasoning = true),
        (Capability::Streaming, |shape| shape.delivery = Delivery::Stream),
    ];
    let sure = Preferences { parameters: ParameterSupport::MustBeSure, ..Preferences::default() };
    let sure = Caller { preferences: sure, ..Caller::default() };
    for (capability, ask) in needs {
        let mut shape = chat();
        ask(&mut shape);
        let with = |support| changed(|deployment| can(deployment, capability, support));
        assert_eq!(plain(with(Support::Yes), &shape), "");
        assert_eq!(plain(with(Support::Unknown), &shape), "");
        let missing = plain(with(Support::No), &shape);
        assert_eq!(missing, format!("capability_missing: it cannot do {capability}"));
        let unsure = said(with(Support::Unknown), &shape, &sure, &RouteDemands::NONE);
        assert!(unsure.starts_with("capability_unconfirmed: "), "{unsure}");
        assert_eq!(said(with(Support::Yes), &shape, &sure, &RouteDemands::NONE), "");
    }
    let mut shape = chat();
    (shape.wants_logprobs, shape.operation) = (true, Operation::Embeddings);
    insta::assert_snapshot!(plain(deployment("acme", "large"), &shape), @"operation: it does not serve embeddings requests");
    shape.operation = Operation::Chat;
    insta::assert_snapshot!(said(deployment("acme", "large"), &shape, &sure, &RouteDemands::NONE), @"capability_unconfirmed: nobody has confirmed that it can do logprobs, and the request wants to be sure");
}

#[test]
fn whoever_follows_a_schema_makes_an_object() {
    let mut shape = chat();
    shape.wants_json = true;
    let deployment = changed(|deployment| {
        can(deployment, Capability::JsonObject, Support::No);
        can(deployment, Capability::JsonSchema, Support::Yes);
    });
    assert_eq!(plain(deployment, &shape), "");
}

#[test]
fn sizes_and_limits_are_told_with_their_numbers() {
    let long = Shape { text_bytes: 800_000, max_output_tokens: Some(9_000), ..chat() };
    let lines = [
        plain(changed(|deployment| deployment.context_window = Some(128_000)), &long),
        plain(changed(|deployment| deployment.max_input_tokens = Some(100_000)), &long),
        plain(changed(|deployment| deployment.max_output_tokens = Some(8_192)), &long),
        plain(changed(|deployment| deployment.context_window = Some(180_000)), &long),
        plain(
            changed(|deployment| {
                deployment.limits =
                    DeploymentLimits { tokens_per_minute: Some(10_000), ..DeploymentLimits::default() };
            }),
            &long,
        ),
        plain(
            changed(|deployment| {
                deployment.limits = DeploymentLimits { concurrency: Some(0), ..DeploymentLimits::default() };
            }),
            &long,
        ),
    ];
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(plain(changed(|deployment| deployment.context_window = Some(200_000)), &long), "");
}

#[test]
fn an_estimate_slightly_above_a_limit_is_worth_a_try() {
    let shape = Shape { text_bytes: 4 * 33_000, messages: 1, ..chat() };
    assert_eq!(plain(changed(|deployment| deployment.context_window = Some(32_000)), &shape), "");
    assert_ne!(plain(changed(|deployment| deployment.context_window = Some(16_000)), &shape), "");
}

#[test]
fn inputs_to_embed_are_measured_one_by_one_and_counting_is_not_measured() {
    let mut embeds = changed(|deployment| deployment.max_input_tokens = Some(8_192));
    embeds.operations = vec![Operation::Embeddings, Operation::CountTokens];
    let mut shape = Shape { text_bytes: 4_000_000, messages: 2_000, ..chat() };
    shape.operation = Operation::Embeddings;
    assert_eq!(plain(embeds.clone(), &shape), "");
    shape.messages = 1;
    assert!(plain(embeds.clone(), &shape).starts_with("prompt_too_long"));
    shape.operation = Operation::CountTokens;
    assert_eq!(plain(embeds, &shape), "");
}

#[test]
fn prices_are_capped_and_an_unknown_price_is_no_price() {
    let cap = |cap: PriceCap| {
        let route = RouteDemands { max_price: &cap, ..RouteDemands::NONE };
        let known = said(deployment("acme", "large"), &chat(), &Caller::default(), &route);
        let unknown = changed(|deployment| deployment.entry = None);
        let unknown = said(unknown, &chat(), &Caller::default(), &route);
        let wish =
            wished(deployment("acme", "large"), Preferences { max_price: cap, ..Preferences::default() });
        assert_eq!(wish, known);
        format!("{known}\n{unknown}")
    };
    let lines = [
        cap(PriceCap { input: Some(PricePerMillion(900_000_000)), ..PriceCap::NONE }),
        cap(PriceCap { output: Some(PricePerMillion(3_000_000_000)), ..PriceCap::NONE }),
        cap(PriceCap { request: Some(NanoDollars(1_000)), ..PriceCap::NONE }),
    ];
    insta::assert_snapshot!(lines.join("\n"));
    let enough = PriceCap {
        input: Some(PricePerMillion(1_000_000_000)),
        output: Some(PricePerMillion(4_000_000_000)),
        request: Some(NanoDollars::from_dollars(1)),
    };
    let route = RouteDemands { max_price: &enough, ..RouteDemands::NONE };
    assert_eq!(said(deployment("acme", "large"), &chat(), &Caller::default(), &route), "");
}

#[test]
fn only_missing_credentials_are_an_availability_that_rejects() {
    let fleet = crate::fixture::fleet(&["a/m", "b/m", "c/m", "d/m", "e/m"]);
    let until = Moment::ORIGIN + Duration::from_millis(2_500);
    let views = Recorded(vec![
        available(Availability::RateLimited { until }),
        available(Availability::Broken { until, probe: false }),
        available(Availability::Full),
        available(Availability::CredentialsOut { until }),
        available(Availability::QuotaExhausted { until }),
    ]);
    let mut all: Vec<_> = fleet.iter().map(|(index, _)| index).collect();
    all.reverse();
    let filtered =
        filter(&fleet, &all, &chat(), &Caller::default(), &RouteDemands::NONE, &views, Moment::ORIGIN);
    assert_eq!(filtered.eligible.len(), 3);
    let mut told: Vec<String> =
        filtered.rejected.iter().map(|rejection| rejection.reason.to_string()).collect();
    told.sort();
    insta::assert_snapshot!(told.join("\n"), @r"
    the provider rejects our credentials; they are tried again in 3 s
    the quota of our account with the provider is used up; it is tried again in 3 s
    ");
}

#[test]
fn what_lacks_a_parameter_is_rejected_by_name() {
    use crate::caller::Unsupported;
    use crate::fleet::DeploymentIndex;
    let lacking = |index| Caller {
        unsupported: vec![Unsupported {
            deployment: DeploymentIndex(index),
            what: "seed dropped: there is nothing like it".into(),
        }],
        ..Caller::default()
    };
    let told = said(deployment("acme", "large"), &chat(), &lacking(0), &RouteDemands::NONE);
    insta::assert_snapshot!(told, @"parameter_unsupported: support of every parameter is required: seed dropped: there is nothing like it");
    assert_eq!(said(deployment("acme", "large"), &chat(), &lacking(1), &RouteDemands::NONE), "");
}
