//! The bundled model catalogue, provider by provider.
//!
//! Owns access to `catalogue/*.tsv`, which `cargo xtask catalogue` makes out of public price lists. It knows no model. Only
//! the providers asked for are read, because reading all of them would take a noticeable part of the time to start.

mod list;

use trunkline_model::catalogue::{Catalogue, parse};

use list::ALL;

/// What the catalogue was made from: the sources, their versions and the fingerprint of the result.
pub const VERSION: &str = include_str!("../../catalogue/VERSION");

/// The models of these providers; a provider nobody has listed adds none.
pub fn catalogue<'a>(providers: impl IntoIterator<Item = &'a str>) -> Catalogue {
    let mut wanted: Vec<&str> = providers.into_iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let texts = wanted.into_iter().filter_map(text);
    Catalogue::new(texts.flat_map(|text| parse(text).expect("a test reads every bundled file")).collect())
}

/// The providers that have models in the catalogue, in alphabetical order.
pub fn providers() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(provider, _)| *provider)
}

fn text(provider: &str) -> Option<&'static str> {
    let at = ALL.binary_search_by(|(listed, _)| (*listed).cmp(provider)).ok()?;
    ALL.get(at).map(|(_, text)| *text)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the list is compared with the folder on the disk")]
mod tests {
    use std::path::Path;

    use trunkline_model::capability::{Capability, Support};
    use trunkline_model::catalogue::{Kind, Lookup, ServiceTier, TokenClass, TokenCounts, price, render};
    use trunkline_model::money::CostConfidence;

    use super::*;
    use crate::preset;

    #[test]
    fn the_list_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of the catalogue")
            .map(|file| file.expect("a file").file_name().into_string().expect("a plain name"))
            .filter_map(|name| name.strip_suffix(".tsv").map(str::to_owned))
            .collect();
        files.sort();
        let listed: Vec<String> = providers().map(str::to_owned).collect();
        assert_eq!(listed, files, "run `cargo xtask catalogue` to write the list anew");
    }

    #[test]
    fn every_file_is_read_sorted_and_its_own_provider_s() {
        for (provider, text) in ALL {
            assert!(preset::contains(provider), "{provider} has models and no preset");
            let entries = parse(text).unwrap_or_else(|error| panic!("{provider}: {error}"));
            assert!(!entries.is_empty(), "{provider}");
            assert!(entries.iter().all(|entry| entry.provider() == *provider), "{provider}");
            assert!(entries.is_sorted_by(|one, two| one.id() < two.id()), "{provider}");
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(entries.iter().map(render).collect::<Vec<_>>(), lines, "{provider}");
        }
    }

    #[test]
    fn it_stays_small() {
        let bytes: usize = ALL.iter().map(|(_, text)| text.len()).sum();
        assert!(bytes < 1_500_000, "{bytes} bytes");
    }

    #[test]
    fn well_known_models_are_there_with_prices_and_limits() {
        let catalogue = catalogue(["openai", "anthropic", "gemini"]);
        for id in ["openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"] {
            let Lookup::Found(entry) = catalogue.lookup(id) else { panic!("{id} is missing") };
            assert_eq!(entry.kind, Kind::Chat, "{id}");
            assert_eq!(entry.support(Capability::Tools), Support::Yes, "{id}");
            assert!(entry.context_window.is_some() && entry.max_output_tokens.is_some(), "{id}");
            assert!(entry.prices.at(0).of(TokenClass::CacheRead).is_some(), "{id}");
            let tokens = TokenCounts { input: 1_000, output: 100, ..TokenCounts::default() };
            assert_eq!(
                price(entry, ServiceTier::Standard, &tokens).confidence,
                CostConfidence::Exact,
                "{id}"
            );
        }
        assert!(catalogue.of_provider("groq").is_empty());
    }

    #[test]
    fn no_chat_model_is_free_by_mistake() {
        let catalogue = catalogue(providers());
        for entry in catalogue.iter().filter(|entry| entry.kind == Kind::Chat) {
            let tokens = TokenCounts { input: 1_000_000, output: 1_000_000, ..TokenCounts::default() };
            let cost = price(entry, ServiceTier::Standard, &tokens);
            let free = cost.amount.is_some_and(|amount| amount.nanos() == 0);
            assert!(!free || entry.model().contains("free"), "{} costs nothing", entry.id());
        }
    }

    #[test]
    fn the_version_names_the_sources() {
        let keys: Vec<&str> = VERSION.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(keys, ["format", "litellm", "models.dev", "models", "sha256"]);
    }
}
