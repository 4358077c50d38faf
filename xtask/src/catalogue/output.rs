//! The files the catalogue consists of, and writing or comparing them.
//!
//! Owns their names and texts: one `catalogue/PROVIDER.tsv` each, `catalogue/VERSION`, and the two Rust lists that embed what
//! the folders hold. Everything is made in memory first, so that `--check` and a run cannot differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use trunkline_model::catalogue::{ModelEntry, render};

use super::presets::PresetFacts;

/// Texts by path below the folder of the providers crate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    texts: BTreeMap<String, String>,
    /// Whether the catalogue was made, and files of it that were not are leftovers.
    owns_catalogue: bool,
}

impl Files {
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Adds one file per provider and the version.
    pub(super) fn add_catalogue(&mut self, entries: &[ModelEntry], litellm: &str, models_dev: &str) {
        self.owns_catalogue = true;
        let mut providers: BTreeMap<&str, Vec<&ModelEntry>> = BTreeMap::new();
        for entry in entries {
            providers.entry(entry.provider()).or_default().push(entry);
        }
        for (provider, mut entries) in providers {
            entries.sort_by(|one, two| one.id().cmp(two.id()));
            let mut text = String::from(
                "# Made by `cargo xtask catalogue` from LiteLLM's price list and models.dev (both MIT, see LICENSE-*). Do not edit.\n",
            );
            for entry in entries {
                text.push_str(&render(entry));
                text.push('\n');
            }
            self.texts.insert(format!("catalogue/{provider}.tsv"), text);
        }
        let (models, hex) = (entries.len(), self.fingerprint());
        let version =
            format!("format 1\nlitellm {litellm}\nmodels.dev {models_dev}\nmodels {models}\nsha256 {hex}\n");
        self.texts.insert("catalogue/VERSION".to_owned(), version);
    }

    /// SHA-256 over the texts of all catalogue files, in the order of their paths.
    pub(super) fn fingerprint(&self) -> String {
        let catalogue = self.texts.iter().filter(|(path, _)| path.ends_with(".tsv"));
        let mut hash = Sha256::new();
        for (_, text) in catalogue {
            hash.update(text.as_bytes());
        }
        hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Takes the catalogue as it lies in its folder, to list it again.
    pub(super) fn keep_catalogue(&mut self, folder: &Path) -> anyhow::Result<()> {
        for name in names(folder, ".tsv")? {
            let text = std::fs::read_to_string(folder.join(&name))?;
            self.texts.insert(format!("catalogue/{name}"), text);
        }
        Ok(())
    }

    /// Adds the Rust lists of presets and of catalogue files.
    pub(super) fn add_lists(&mut self, presets: &[PresetFacts]) {
        let mut providers: Vec<String> = self
            .texts
            .keys()
            .filter_map(|path| Some(path.strip_prefix("catalogue/")?.strip_suffix(".tsv")?.to_owned()))
            .collect();
        // Sorted by path, `a-b.tsv` lies before `a.tsv`; by name it does not.
        providers.sort_unstable();
        self.texts.insert("src/bundled/list.rs".to_owned(), catalogue_list(&providers));
        self.texts.insert("src/preset/list.rs".to_owned(), preset_list(presets));
    }

    /// The files that differ from what lies in the folder, leftovers included.
    pub(super) fn changed(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let differs = |(path, text): &(&String, &String)| {
            std::fs::read_to_string(folder.join(path)).is_ok_and(|on_disk| on_disk == **text)
        };
        let same: Vec<&String> = self.texts.iter().filter(differs).map(|(path, _)| path).collect();
        let mut changed: Vec<String> =
            self.texts.keys().filter(|path| !same.contains(path)).cloned().collect();
        changed.extend(self.leftovers(folder)?);
        Ok(changed)
    }

    /// Writes every file and removes leftovers.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (path, text) in &self.texts {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        }
        for leftover in self.leftovers(folder)? {
            std::fs::remove_file(folder.join(leftover))?;
        }
        Ok(())
    }

    fn leftovers(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let catalogue = folder.join("catalogue");
        if !self.owns_catalogue || !catalogue.exists() {
            return Ok(Vec::new());
        }
        let paths = names(&catalogue, ".tsv")?.into_iter().map(|name| format!("catalogue/{name}"));
        Ok(paths.filter(|path| !self.texts.contains_key(path)).collect())
    }
}

/// The names in a folder that end so, sorted.
fn names(folder: &Path, ending: &str) -> anyhow::Result<Vec<String>> {
    let files = std::fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        if let Ok(name) = file?.file_name().into_string()
            && name.ends_with(ending)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn catalogue_list(providers: &[String]) -> String {
    let mut text = String::from(
        "//! The bundled catalogue files, by provider. Made by `cargo xtask catalogue`; a test compares it with the folder.\n\n\
         /// Provider and text, sorted by provider.\n\
         #[rustfmt::skip]\n\
         pub(super) const ALL: &[(&str, &str)] = &[\n",
    );
    for provider in providers {
        let _ = writeln!(text, "    ({provider:?}, include_str!(\"../../catalogue/{provider}.tsv\")),");
    }
    text.push_str("];\n");
    text
}

fn preset_list(presets: &[PresetFacts]) -> String {
    let mut text = String::from(
        "//! The embedded presets. Made by `cargo xtask catalogue`; a test compares it with the folder and with what they say.\n\n\
         use super::registry::Row;\n\n\
         /// Every preset, sorted by id.\n\
         #[rustfmt::skip]\n\
         pub(super) const ALL: &[Row] = &[\n",
    );
    for preset in presets {
        let _ = writeln!(
            text,
            "    Row {{ id: {:?}, detect: {}, keys: &{:?}, urls: &{:?}, needs: &{:?}, url_required: {}, text: \
             include_str!(\"../../presets/{}.toml\") }},",
            preset.id,
            preset.detect.unwrap_or(true),
            preset.key.env,
            preset.url_env,
            preset.url_variables(),
            preset.url_required,
            preset.id,
        );
    }
    text.push_str("];\n");
    text
}
