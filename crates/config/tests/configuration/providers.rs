//! Providers, models and named deployments.

use crate::support::{errors, loaded};
use insta::assert_snapshot;
use trunkline_model::catalogue::{ServiceTier, TokenClass};

#[test]
fn unknown_providers_presets_models_and_capabilities_name_the_nearest() {
    assert_snapshot!(errors(
        "providers:\n  opnai: {}\n  qwertzuiop: {}\n  edge: { preset: openai-compatibel }\n  openai: {}\nmodels:\n  opena/gpt-5: { context_window: 1 }\n  gpt-5: {}\n  openai/gpt-5: { capabilities: { visoin: true } }\ndeployments:\n  a: { model: opena/gpt-5 }\n  b: { model: gpt-5 }\n  c: {}\n"
    ));
}

#[test]
fn what_follows_from_a_broken_provider_is_not_said_again() {
    assert_snapshot!(errors(
        "providers:\n  edge: { preset: openai-compatibel, models: [qwen] }\n  lab: { preset: openai-compatible, url: \"http://lab\", modles: [phi] }\nmodels: { edge/qwen: { context_window: 9 } }\ndeployments: { named: { model: edge/qwen } }\nroutes: { a: { tiers: { t: { deployments: [edge/qwen, lab/phi, named] } } } }\n"
    ));
}

#[test]
fn missing_variables_keys_and_urls_are_reported_without_their_values() {
    let report = errors(
        "providers:\n  openai: { key: \"${NOT_SET}\" }\n  anthropic: { key: \"${SPACES}\" }\n  mistral: {}\n  groq: { key: \"${OPEN\" }\n  edge: { preset: openai-compatible }\n  other: { preset: openai, url: \"${BROKEN_URL}\" }\n  third: { preset: openai, url: \"https://\" }\n",
    );
    assert!(!report.contains("password"), "{report}");
    assert_snapshot!(report);
}

#[test]
fn a_header_that_cannot_be_sent_is_reported_once() {
    assert_snapshot!(errors(
        "providers: { openai: { headers: { \"bad name\": x } }, \"a/b\": { preset: openai } }\n"
    ));
}

#[test]
fn zero_limits_are_mistakes() {
    assert_snapshot!(errors(
        "providers: { openai: {} }\ndeployments: { a: { model: openai/gpt-5, requests_per_minute: 0, tokens_per_minute: 0, concurrency: 0 }, openai/gpt-5: { model: openai/gpt-5 } }\n"
    ));
}

#[test]
fn two_accounts_of_one_vendor_keep_their_own_prices_and_models() {
    let text = "providers:\n  openai: {}\n  second: { preset: openai }\n  edge: { preset: openai-compatible, url: \"http://a/v1\", models: [qwen] }\n  rim: { preset: openai-compatible, url: \"http://b/v1\", models: [phi] }\nmodels:\n  second/gpt-5: { context_window: 1000 }\n  edge/qwen: { context_window: 2000 }\n  edge/extra: { context_window: 3000 }\n";
    let snapshot = loaded(text).snapshot;
    let window =
        |id: &str| snapshot.fleet.find(id).and_then(|index| snapshot.fleet.deployment(index).context_window);
    assert_eq!(window("second/gpt-5"), Some(1_000));
    assert_ne!(window("openai/gpt-5"), Some(1_000));
    assert_eq!((window("edge/qwen"), window("edge/extra")), (Some(2_000), Some(3_000)));
    assert!(snapshot.fleet.find("rim/qwen").is_none() && snapshot.fleet.find("rim/extra").is_none());
}

#[test]
fn facts_of_deployments_go_over_facts_of_providers() {
    let text = "providers: { openai: { data: { zdr: true, region: EU } } }\ndeployments: { us: { model: openai/gpt-5, data: { region: us } } }\n";
    let snapshot = loaded(text).snapshot;
    let facts = &snapshot.fleet.deployment(snapshot.fleet.find("us").unwrap()).facts;
    assert_eq!((facts.zdr, facts.region.as_deref()), (Some(true), Some("us")));
    let facts = &snapshot.fleet.deployment(snapshot.fleet.find("openai/gpt-5").unwrap()).facts;
    assert_eq!(facts.region.as_deref(), Some("eu"));
}

#[test]
fn settings_of_accounts_that_cannot_take_effect_are_reported() {
    assert_snapshot!(errors(
        "providers:\n  openai: { api_version: 2024-10-21 }\n  a: { preset: azure, url: \"https://r\", key: k, models: [m], api_version: newest }\n  b: { preset: azure, url: \"https://r\", key: k, models: [m], identity: { machine: true } }\n  c: { preset: azure, url: \"https://r\", models: [m], identity: { tenant: t } }\n  d: { preset: azure, models: [m], key: k }\n  e: { preset: vertex, project: p }\n  f: { preset: vertex, project: \"p/q\", location: global }\n  g: { preset: vertex, url: \"https://v\", project: p }\n  h: { preset: vertex, project: p, location: global, identity: { tenant: t } }\n  i: { preset: openai, project: p, identity: { machine: true } }\n"
    ));
}

#[test]
fn deployments_for_batches_are_those_of_models_that_are_served() {
    let azure = |more: &str| {
        format!(
            "providers:\n  azure: {{ url: \"https://r\", key: k, models: [gpt-4.1], served_as: {{ gpt-4.1-mini: small }}{more} }}\n"
        )
    };
    let batched = |text: &str| -> Vec<String> {
        let snapshot = loaded(text).snapshot;
        let all =
            snapshot.fleet.iter().filter(|(index, _)| snapshot.upstreams[index.position()].batch.is_some());
        all.map(|(_, deployment)| deployment.id.to_string()).collect()
    };
    assert!(batched(&azure("")).is_empty());
    assert_eq!(batched(&azure(", batched_as: { gpt-4.1-mini: small-batch }")), ["azure/gpt-4.1-mini"]);
    let dated = azure(", api_version: 2024-10-21, batched_as: { gpt-4.1: large-batch }");
    assert_eq!(batched(&dated), ["azure/gpt-4.1"]);
    let wrong = azure(", batched_as: { gpt-4.1-mni: small-batch, gpt-4.1: \"\" }");
    assert_snapshot!(errors(&format!("{wrong}  openai: {{ batched_as: {{ gpt-4.1: x }} }}\n")));
}

#[test]
fn a_bucket_is_stated_whole_and_where_it_can_be_used() {
    let bedrock = |more: &str| {
        format!(
            "providers:\n  bedrock: {{ region: us-east-1, access_key: AKID, secret_key: s, batch: {{ {more} }} }}\n"
        )
    };
    let has_batches = |text: &str, model: &str| {
        let snapshot = loaded(text).snapshot;
        let index = snapshot.fleet.find(model).expect("a model");
        snapshot.upstreams[index.position()].batch.is_some()
    };
    let batched = |text: &str| has_batches(text, "bedrock/amazon.nova-lite-v1:0");
    let vertex = |more: &str| {
        format!(
            "providers:\n  vertex: {{ project: p, location: global, key: k, models: [meta/llama], batch: {{ {more} }} }}\n"
        )
    };
    let whole = vertex("bucket: \"gs://our_bucket\"");
    for (model, expected) in [
        ("vertex/gemini-3.5-flash-lite", true),
        ("vertex/claude-haiku-5-5", true),
        ("vertex/meta/llama", false),
    ] {
        assert_eq!(has_batches(&whole, model), expected, "{model}");
    }
    let role = "role: \"arn:aws:iam::123456789012:role/service-role/batches\"";
    assert!(batched(&bedrock(&format!("bucket: \"s3://our-bucket/batches\", {role}"))));
    assert!(!batched("providers:\n  bedrock: { region: us-east-1, access_key: AKID, secret_key: s }\n"));
    let wrong = [
        String::new(),
        role.to_owned(),
        "bucket: \"s3://our-bucket\"".to_owned(),
        format!("bucket: our-bucket, {role}"),
        format!("bucket: \"s3://Our_Bucket\", {role}"),
        format!("bucket: \"s3://our-bucket/a//b\", {role}"),
        "bucket: \"s3://our-bucket\", role: batches".to_owned(),
        format!("bucket: \"s3://our-bucket\", {role}, url: s3.local"),
        format!("bucket: \"${{NO_SUCH_BUCKET}}\", {role}"),
    ];
    let whole = format!("batch: {{ bucket: \"s3://our-bucket\", {role} }}");
    let misplaced = [
        format!("providers:\n  openai: {{ key: k, {whole} }}\n"),
        format!("providers:\n  bedrock: {{ key: k, region: us-east-1, {whole} }}\n"),
        format!("batches: {{ upstream: never }}\n{}", bedrock("").replace("batch: {  }", &whole)),
    ];
    let of_vertex =
        ["", "bucket: \"s3://our-bucket\"", &format!("bucket: \"gs://our-bucket\", {role}")].map(vertex);
    let all = wrong.iter().map(|more| bedrock(more)).chain(of_vertex).chain(misplaced);
    let said: Vec<String> = all.map(|text| errors(&text)).collect();
    assert_snapshot!(said.join("\n"));
}

#[test]
fn a_price_of_batches_is_the_share_its_provider_names_where_none_is_stated() {
    let price = |text: &str| {
        let snapshot = loaded(text).snapshot;
        let index = snapshot.fleet.find("mistral/mistral-small-latest").expect("a model");
        let entry = snapshot.fleet.deployment(index).entry.clone().expect("an entry");
        let rate = |service| entry.prices.rate(TokenClass::Input, service, 0).expect("a price").price.0;
        (rate(ServiceTier::Standard), rate(ServiceTier::Batch))
    };
    let (usual, batch) = price("providers: { mistral: { key: k } }\n");
    assert_eq!((usual > 0, batch), (true, usual / 2));
    let own = "providers: { mistral: { key: k } }\nmodels: { mistral/mistral-small-latest: { price: { input: 10, output: 20 } } }\n";
    assert_eq!(price(own), (10_000_000_000, 5_000_000_000));
    let both = own.replace("output: 20 }", "output: 20 }, batch_price: { input: 9, output: 9 }");
    assert_eq!(price(&both), (10_000_000_000, 9_000_000_000));
}

#[test]
fn addresses_follow_the_account_s_place() {
    let text = "providers:\n  e: { preset: vertex, project: p, location: us-east5, identity: { machine: true } }\n  g: { preset: vertex, project: p, location: global, identity: { machine: true } }\n  eu: { preset: vertex, project: p, location: eu, identity: { machine: true } }\n  az: { preset: azure, url: \"https://r.openai.azure.com\", key: k, served_as: { gpt-5: mine } }\n";
    let loaded = loaded(text);
    let address = |id: &str| {
        let index = loaded.snapshot.fleet.find(id).unwrap_or_else(|| panic!("no {id}"));
        let upstream = &loaded.snapshot.upstreams[index.position()];
        format!("{id}: {} {}", upstream.dialect, upstream.any_uri().unwrap())
    };
    let told =
        ["e/gemini-3.5-flash", "g/claude-opus-4-6@default", "eu/gemini-3.5-flash", "az/gpt-5"].map(address);
    assert_snapshot!(told.join("\n"));
    assert!(loaded.snapshot.fleet.find("az/gpt-4o").is_none(), "only what the account has set up is served");
}

#[test]
fn settings_of_signatures_that_cannot_take_effect_are_mistakes() {
    assert_snapshot!(errors(
        "providers:\n  bedrock: {}\n  two: { preset: bedrock, region: us-east-1, access_key: AKIDWRITTENOUT }\n  three: { preset: bedrock, region: us-east-1, secret_key: secretwrittenout }\n  four: { preset: bedrock, region: us-east-1, key: written-out, profile: mine }\n  five: { preset: bedrock, region: \"US East\" }\n  six: { preset: bedrock, url: \"https://proxy.example\" }\n  seven: { preset: bedrock, region: \"${NOT_SET}\" }\n  eight: { preset: bedrock, region: us-east-1, url: \"https://proxy.example\", key: written-out }\n  nine: { preset: bedrock, region: us-east-1, access_key: a, secret_key: b, profile: c }\n  openai: { region: eu-west-1 }\n  anthropic: { profile: mine }\n"
    ));
}

#[test]
fn requests_are_signed_unless_there_is_a_key() {
    let signed = |settings: &str| {
        let text = format!("providers: {{ bedrock: {{ region: eu-west-1, {settings} }} }}\n");
        let snapshot = loaded(&text).snapshot;
        let index = snapshot.fleet.find("bedrock/amazon.nova-pro-v1:0").unwrap();
        let upstream = &snapshot.upstreams[index.position()];
        assert_eq!(
            upstream.any_uri().unwrap(),
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse"
        );
        assert_eq!(upstream.headers.contains_key("authorization"), upstream.signing.is_none());
        upstream.signing.is_some()
    };
    assert!(signed("profile: mine"));
    assert!(signed("access_key: a, secret_key: \"${OPENAI_API_KEY}\""));
    assert!(signed(""));
    assert!(!signed("key: \"${OPENAI_API_KEY}\""));
}
