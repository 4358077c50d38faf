//! What the catalogue needs to know of the provider presets.
//!
//! Owns a loose reading of their TOML: the ids, the sources and the fields the embedded list repeats. The strict reading is
//! the providers crate's; this one must also work while that crate does not compile for want of a list.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// One preset, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PresetFacts {
    pub(super) id: String,
    #[serde(default)]
    pub(super) base_url: String,
    #[serde(default)]
    pub(super) url_required: bool,
    #[serde(default)]
    pub(super) url_env: Vec<String>,
    pub(super) detect: Option<bool>,
    pub(super) key: KeyFacts,
    #[serde(default)]
    pub(super) sources: SourceFacts,
}

/// The variables that may hold its key.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct KeyFacts {
    pub(super) env: Vec<String>,
}

/// Where its models stand in the sources.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct SourceFacts {
    #[serde(default)]
    pub(super) litellm: Vec<String>,
    /// Single entries, by key.
    #[serde(default)]
    pub(super) litellm_models: Vec<String>,
    pub(super) models_dev: Option<String>,
    /// What full names begin with where LiteLLM has short ones, the most likely first.
    #[serde(default)]
    pub(super) model_prefixes: Vec<String>,
}

impl PresetFacts {
    /// The variables in braces in the base address.
    pub(super) fn url_variables(&self) -> Vec<&str> {
        self.base_url.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)).collect()
    }
}

/// Every preset of a folder, by id.
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<PresetFacts>> {
    let mut presets = Vec::new();
    let files = std::fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for file in files {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let preset: PresetFacts =
            toml::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
        presets.push(preset);
    }
    presets.sort_by(|one, two| one.id.cmp(&two.id));
    Ok(presets)
}
