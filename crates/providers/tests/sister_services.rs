//! Endpoints that another service of a vendor serves: where they are, who may use them, how they name models.

use std::sync::Arc;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::secret::Secret;
use trunkline_providers::preset::{self, SignatureKind};
use trunkline_providers::signing::{CredentialSettings, Signing};
use trunkline_providers::upstream::{Account, Upstream};

const OWN: &str = "https://bedrock-runtime.eu-west-3.amazonaws.com";

fn upstream(base_url: &str, region: Option<&str>, model: &str) -> Upstream {
    let signing = region.map(|region| {
        let settings = CredentialSettings {
            region: Some(region.to_owned()),
            access_key: Some("AKID".to_owned()),
            secret_key: Some(Secret::new("secret".to_owned())),
            ..CredentialSettings::default()
        };
        Arc::new(Signing::signature(SignatureKind::AwsV4, "bedrock", &settings, &|_| None).unwrap())
    });
    let account = Account {
        base_url: base_url.to_owned(),
        key: region.is_none().then(|| Secret::new("key".to_owned())),
        region: signing.as_ref().and_then(|signing| signing.region()).map(str::to_owned),
        signing,
        headers: Vec::new(),
        http2_cleartext: false,
    };
    Upstream::new(&preset::find("bedrock").unwrap(), &account, model, None).unwrap()
}

fn address(upstream: &Upstream, operation: Operation) -> Option<String> {
    upstream.uri(Dialect::Converse, operation, Delivery::Plain).map(ToString::to_string)
}

#[test]
fn rerank_goes_to_the_sister_and_nothing_else_does() {
    let signed = upstream(OWN, Some("eu-west-3"), "amazon.rerank-v1:0");
    let rerank = "https://bedrock-agent-runtime.eu-west-3.amazonaws.com/rerank";
    assert_eq!(address(&signed, Operation::Rerank).as_deref(), Some(rerank));
    assert!(address(&signed, Operation::Chat).unwrap().starts_with(&format!("{OWN}/model/")));
    assert_eq!(signed.base.to_string(), format!("{OWN}/"));
    assert!(signed.operations().contains(&Operation::Rerank));
}

#[test]
fn an_address_of_ones_own_serves_both() {
    let proxied = upstream("http://proxy.internal:8080/bedrock-runtime", Some("eu-west-3"), "m");
    let rerank = "http://proxy.internal:8080/bedrock-runtime/rerank";
    assert_eq!(address(&proxied, Operation::Rerank).as_deref(), Some(rerank));
    let hardened = upstream("https://bedrock-runtime-fips.us-east-1.amazonaws.com", Some("us-east-1"), "m");
    let rerank = "https://bedrock-agent-runtime-fips.us-east-1.amazonaws.com/rerank";
    assert_eq!(address(&hardened, Operation::Rerank).as_deref(), Some(rerank));
}

#[test]
fn who_has_an_api_key_only_is_not_served_by_the_sister() {
    let keyed = upstream(OWN, None, "amazon.rerank-v1:0");
    assert_eq!(address(&keyed, Operation::Rerank), None);
    assert!(!keyed.operations().contains(&Operation::Rerank));
    assert!(address(&keyed, Operation::Embeddings).is_some());
}

#[test]
fn models_are_named_by_their_arn() {
    let name = |model| upstream(OWN, Some("eu-west-3"), model).profile.rerank_model;
    let arn = "arn:aws:bedrock:eu-west-3::foundation-model/cohere.rerank-v3-5:0";
    assert_eq!(name("cohere.rerank-v3-5:0").as_deref(), Some(arn));
    assert_eq!(name(arn).as_deref(), Some(arn));
    let elsewhere = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.rerank-v1:0";
    assert_eq!(name(elsewhere).as_deref(), Some(elsewhere));
}
