//! Finding a preset: by its id, by what the environment holds, by a mistyped name.
//!
//! Owns the lookup over the embedded list. It reads no environment: the caller says which variables are set, and no value of
//! a key passes through here.

use trunkline_model::nearest::nearest as nearest_names;

use super::Preset;
use super::list::ALL;

/// How many near names are offered.
const NEAREST_NAMES: usize = 3;

/// One embedded preset: its text, and what must be known without parsing it.
pub(super) struct Row {
    /// The id.
    pub(super) id: &'static str,
    /// Whether the environment alone may bring it into use.
    pub(super) detect: bool,
    /// The variables that may hold its key.
    pub(super) keys: &'static [&'static str],
    /// The variables that may hold its address.
    pub(super) urls: &'static [&'static str],
    /// The variables its address cannot be built without.
    pub(super) needs: &'static [&'static str],
    /// Whether it has no address of its own.
    pub(super) url_required: bool,
    /// The TOML text.
    pub(super) text: &'static str,
}

/// A provider the environment speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// The preset.
    pub id: &'static str,
    /// The variable that holds the key, if any is set.
    pub key: Option<&'static str>,
    /// The variable that holds the address, if any is set.
    pub url: Option<&'static str>,
}

/// Every preset's id, in alphabetical order.
pub fn ids() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|row| row.id)
}

/// Whether there is a preset with this id.
#[must_use]
pub fn contains(id: &str) -> bool {
    row(id).is_some()
}

/// The preset with this id, parsed now.
#[must_use]
pub fn find(id: &str) -> Option<Preset> {
    let row = row(id)?;
    Some(Preset::parse(row.text).expect("a test parses every embedded preset"))
}

/// The providers whose key, or whose address where they need one, stands in the environment, by id.
///
/// `is_set` tells whether a variable is set and not empty.
pub fn detect(is_set: impl Fn(&str) -> bool) -> Vec<Detected> {
    let first_set = |names: &'static [&'static str]| names.iter().copied().find(|name| is_set(name));
    ALL.iter()
        .filter(|row| row.detect)
        .filter_map(|row| {
            let (key, url) = (first_set(row.keys), first_set(row.urls));
            let found = if row.url_required { url.is_some() } else { key.is_some() };
            let complete = url.is_some() || row.needs.iter().all(|name| is_set(name));
            (found && complete).then_some(Detected { id: row.id, key, url })
        })
        .collect()
}

/// The ids nearest to one nobody has.
#[must_use]
pub fn nearest(id: &str) -> Vec<&'static str> {
    nearest_names(id, ids(), NEAREST_NAMES)
}

fn row(id: &str) -> Option<&'static Row> {
    let at = ALL.binary_search_by(|row| row.id.cmp(id)).ok()?;
    ALL.get(at)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the list is compared with the folder on the disk")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::preset::{Endpoint, KeyScheme};

    fn folder_ids() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
        let mut ids: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of presets")
            .map(|file| file.expect("a file").file_name().into_string().expect("a plain name"))
            .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
            .collect();
        ids.sort();
        ids
    }

    #[test]
    fn the_list_is_the_folder() {
        let listed: Vec<String> = ids().map(str::to_owned).collect();
        assert_eq!(listed, folder_ids(), "run `cargo xtask catalogue` to write the list anew");
    }

    #[test]
    fn every_preset_is_read_and_says_what_the_list_says() {
        for row in ALL {
            let preset = Preset::parse(row.text).unwrap_or_else(|error| panic!("{}: {error}", row.id));
            assert_eq!(preset.id, row.id, "the id is the name of the file");
            assert_eq!(preset.key.env, row.keys, "{}", row.id);
            assert_eq!(preset.url_env, row.urls, "{}", row.id);
            assert_eq!(preset.url_variables().collect::<Vec<_>>(), row.needs, "{}", row.id);
            assert_eq!((preset.detect, preset.url_required), (row.detect, row.url_required), "{}", row.id);
        }
    }

    #[test]
    fn every_preset_makes_sense() {
        for id in ids() {
            let preset = find(id).expect("a listed preset");
            let local = |url: &str| url.starts_with("http://127.0.0.1:");
            assert!(preset.docs.starts_with("https://"), "{id}");
            match preset.base_url.as_deref() {
                Some(url) if preset.url_required => assert!(local(url), "{id}: {url}"),
                Some(url) => assert!(url.starts_with("https://"), "{id}: {url}"),
                None => assert!(["openai-compatible", "openai-responses"].contains(&id), "{id}"),
            }
            assert!(
                !preset.key.required || !preset.key.env.is_empty(),
                "{id} needs a key and names no variable"
            );
            assert_ne!(preset.key.scheme, KeyScheme::None, "{id}");
            assert!(contains(preset.catalogue_provider()), "{id}");
        }
        assert!(ids().count() >= 100, "{}", ids().count());
    }

    #[test]
    fn a_variable_brings_one_provider_into_use() {
        let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in ALL.iter().filter(|row| row.detect) {
            let decisive = if row.url_required { row.urls } else { row.keys };
            for variable in decisive {
                owners.entry(variable).or_default().push(row.id);
            }
        }
        owners.retain(|_, ids| ids.len() > 1);
        assert_eq!(owners, BTreeMap::new());
    }

    /// What is found when exactly these variables are set.
    fn found(variables: &[&str]) -> String {
        let set: BTreeSet<&str> = variables.iter().copied().collect();
        let found: Vec<String> = detect(|name| set.contains(name))
            .into_iter()
            .map(|found| format!("{} (key {:?}, url {:?})", found.id, found.key, found.url))
            .collect();
        format!(
            "{}: {}",
            variables.join(" "),
            if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
        )
    }

    #[test]
    fn the_environment_is_read_as_people_set_it() {
        let told = [
            found(&["HOME"]),
            found(&["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"]),
            found(&["OLLAMA_BASE_URL", "VLLM_API_KEY"]),
            found(&["DATABRICKS_TOKEN"]),
            found(&["DATABRICKS_TOKEN", "DATABRICKS_HOST"]),
            found(&["DATABRICKS_TOKEN", "DATABRICKS_API_BASE"]),
            found(&["GITHUB_TOKEN", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "DASHSCOPE_API_KEY"]),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        HOME: nothing
        OPENAI_API_KEY ANTHROPIC_API_KEY GOOGLE_API_KEY GEMINI_API_KEY: anthropic (key Some("ANTHROPIC_API_KEY"), url None), gemini (key Some("GEMINI_API_KEY"), url None), openai (key Some("OPENAI_API_KEY"), url None)
        OLLAMA_BASE_URL VLLM_API_KEY: ollama (key None, url Some("OLLAMA_BASE_URL"))
        DATABRICKS_TOKEN: nothing
        DATABRICKS_TOKEN DATABRICKS_HOST: databricks (key Some("DATABRICKS_TOKEN"), url None)
        DATABRICKS_TOKEN DATABRICKS_API_BASE: databricks (key Some("DATABRICKS_TOKEN"), url Some("DATABRICKS_API_BASE"))
        GITHUB_TOKEN CLOUDFLARE_API_TOKEN CLOUDFLARE_ACCOUNT_ID DASHSCOPE_API_KEY: dashscope (key Some("DASHSCOPE_API_KEY"), url None)
        "#);
    }

    #[test]
    fn a_slip_is_put_right() {
        let told: Vec<String> =
            ["opnai", "OpenAI", "antropic", "togather", "lmstudio", "llamacpp", "fireworks-ai", "qqqq"]
                .iter()
                .map(|name| format!("{name}: {:?}", nearest(name)))
                .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        opnai: ["openai"]
        OpenAI: ["openai", "gemini-openai", "anthropic-openai"]
        antropic: ["anthropic"]
        togather: ["together"]
        lmstudio: ["lm-studio"]
        llamacpp: ["llama-cpp"]
        fireworks-ai: ["fireworks", "fireworks-audio"]
        qqqq: []
        "#);
    }

    #[test]
    fn services_that_moved_are_reached_where_they_are() {
        for (id, endpoint, expected) in [
            ("crusoe", Endpoint::Chat, "https://api.inference.crusoecloud.com/v1/chat/completions"),
            ("inference", Endpoint::Chat, "https://api.inference.net/v1/chat/completions"),
            ("lemonade", Endpoint::Speech, "http://127.0.0.1:13305/api/v1/audio/speech"),
            ("xai", Endpoint::ImageEdits, "https://api.x.ai/v1/images/edits"),
            (
                "fireworks-audio",
                Endpoint::Transcriptions,
                "https://audio-prod.api.fireworks.ai/v1/audio/transcriptions",
            ),
            (
                "fireworks-audio-turbo",
                Endpoint::Translations,
                "https://audio-turbo.api.fireworks.ai/v1/audio/translations",
            ),
            ("novita", Endpoint::Rerank, "https://api.novita.ai/openai/v1/rerank"),
            ("perplexity-agent", Endpoint::Responses, "https://api.perplexity.ai/v1/responses"),
        ] {
            let preset = find(id).expect(id);
            let base = preset.resolved_base_url(|_| None).expect(id);
            let path = preset.path(endpoint).unwrap_or_default();
            assert_eq!(format!("{base}{path}"), expected);
        }
    }

    #[test]
    fn a_service_that_ended_is_not_found_by_its_key() {
        for id in ["github-models", "meta-llama"] {
            assert!(!find(id).expect(id).detect, "{id}");
        }
    }
}
