//! The page on adding a provider, followed: its preset is read, made concrete and asked.

use trunkline_model::content::{Message, Role};
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::failure::FailureClass;
use trunkline_model::request::{ChatRequest, Extra, Request, Sampling};
use trunkline_model::secret::Secret;
use trunkline_providers::preset::{self, Preset};
use trunkline_providers::upstream::{Account, Upstream};
use trunkline_wire::dispatch;

const PAGE: &str = include_str!("../../../docs/providers.md");

#[test]
fn the_made_up_provider_of_the_page_works_by_its_file_alone() {
    let (_, block) = PAGE.split_once("```toml preset\n").unwrap();
    let (text, _) = block.split_once("```").unwrap();
    let preset = Preset::parse(text).unwrap();
    assert!(!preset::contains(&preset.id), "a made-up provider must not exist");
    let account = Account {
        base_url: preset.resolved_base_url(|_| None).unwrap(),
        key: Some(Secret::new("sk-acme".to_owned())),
        signing: None,
        region: None,
        headers: Vec::new(),
        http2_cleartext: false,
    };
    let upstream = Upstream::new(&preset, &account, "rocket-1", None).unwrap();
    let address =
        |operation, delivery| upstream.uri(upstream.dialect, operation, delivery).map(ToString::to_string);
    let chat = Some("https://api.acme.example/v1/chat/completions".to_owned());
    assert_eq!(address(Operation::Chat, Delivery::Plain), chat);
    assert_eq!(address(Operation::Chat, Delivery::Stream), chat);
    assert_eq!(
        address(Operation::Rerank, Delivery::Plain).as_deref(),
        Some("https://api.acme.example/v1/rerank")
    );
    assert_eq!(address(Operation::CountTokens, Delivery::Plain), None);
    assert_eq!(upstream.headers["authorization"], "Bearer sk-acme");
    let request = ChatRequest {
        model: "any".to_owned(),
        messages: vec![Message::text(Role::User, "Hi")],
        max_output_tokens: Some(9),
        sampling: Sampling { seed: Some(7), ..Sampling::default() },
        extras: vec![Extra {
            origin: upstream.dialect,
            name: "store".to_owned(),
            value: trunkline_model::json::Json::parse("true".to_owned()).unwrap(),
        }],
        ..ChatRequest::default()
    };
    let request = Request::Chat(Box::new(request));
    let encoded =
        dispatch::encode_request(upstream.dialect, &request, &upstream.profile, Delivery::Plain).unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&encoded.body), @r#"{"model":"rocket-1","messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"random_seed":7}"#);
    let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["store dropped: the target refuses it"]);
    let failure = upstream.failure(418, &http::HeaderMap::new(), b"{}", 0);
    assert_eq!(failure.class, FailureClass::Overloaded);
}
