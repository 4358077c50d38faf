//! Deployments of one account share what is the same for them, and nothing else.

use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::secret::Secret;
use trunkline_providers::bundled;
use trunkline_providers::preset::{self, Preset};
use trunkline_providers::upstream::{Account, AccountError, Upstream};

const MODELS: [&str; 6] = [
    "some-model",
    "a model/with blanks",
    "claude-sonnet-4-5",
    "gemini-2.5-flash",
    "gpt-5",
    "amazon.nova-lite-v1:0",
];

fn account(preset: &Preset) -> Account {
    Account {
        base_url: preset.base_url.clone().unwrap_or_else(|| "https://somewhere.test/v1".to_owned()),
        key: Some(Secret::new("a key".to_owned())),
        signing: None,
        region: Some("eu-west-3".to_owned()),
        headers: vec![("x-of-mine".to_owned(), "1".to_owned())],
        http2_cleartext: false,
    }
}

/// Everything that is said of where requests go and with what.
fn told(upstream: &Upstream) -> Vec<String> {
    let mut told = vec![format!("{:?} {:?} {}", upstream.operations(), upstream.headers, upstream.base)];
    for operation in Operation::ALL {
        for client in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini] {
            let dialect = upstream.dialect_for(client, operation);
            for delivery in [Delivery::Plain, Delivery::Stream] {
                told.push(format!("{dialect:?} {:?}", upstream.uri(dialect, operation, delivery)));
            }
        }
    }
    told
}

#[test]
fn a_deployment_beside_another_is_what_it_is_alone() {
    let mut shared = 0;
    for id in preset::ids() {
        let preset = preset::find(id).unwrap();
        let account = account(&preset);
        let catalogue = bundled::catalogue([preset.catalogue_provider()]);
        let entries = catalogue.of_provider(preset.catalogue_provider());
        let known = entries.iter().step_by(entries.len() / 8 + 1).map(|entry| (entry.model(), Some(entry)));
        let models: Vec<_> = MODELS.iter().map(|model| (*model, None)).chain(known).collect();
        for (first, entry) in &models {
            let sibling = match Upstream::new(&preset, &account, first, *entry) {
                Ok(sibling) => sibling,
                // Its address has holes that only a configuration fills.
                Err(AccountError::Url { .. }) => continue,
                Err(error) => panic!("{id}: {error}"),
            };
            for (model, entry) in &models {
                let alone = Upstream::new(&preset, &account, model, *entry).unwrap();
                let beside = Upstream::beside(Some(&sibling), &preset, &account, model, *entry).unwrap();
                assert_eq!(told(&beside), told(&alone), "{id}: {model} beside {first}");
                shared += usize::from(std::ptr::eq(&raw const *beside.headers, &raw const *sibling.headers));
            }
        }
    }
    assert!(shared > 1_000, "{shared}");
}
