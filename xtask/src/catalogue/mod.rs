//! `cargo xtask catalogue`: makes the bundled model catalogue out of two public lists.
//!
//! Owns the order of the work: read the presets, read LiteLLM's price list and models.dev, merge them, write one file per
//! provider. Given no lists it only writes the Rust lists of what is embedded, which is all that a new preset needs. The
//! result depends on nothing but the inputs, so that a run can be checked against what is committed.

mod litellm;
mod merge;
mod models_dev;
mod output;
mod presets;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use presets::PresetFacts;

/// What to make, from what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// LiteLLM's `model_prices_and_context_window.json`, the primary source.
    #[arg(long, value_name = "FILE", requires = "models_dev")]
    litellm: Option<PathBuf>,
    /// The version of LiteLLM the file came with; read from the file's name when that ends in one.
    #[arg(long, value_name = "VERSION")]
    litellm_version: Option<String>,
    /// The `api.json` of models.dev, or a snapshot `{commit, providers}`, the cross-check.
    #[arg(long, value_name = "FILE", requires = "litellm")]
    models_dev: Option<PathBuf>,
    /// Write nothing; fail when what is committed differs.
    #[arg(long)]
    check: bool,
    /// The folder of the providers crate.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/providers"))]
    providers: PathBuf,
}

/// Makes the files and writes or checks them.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let presets = presets::read(&arguments.providers.join("presets"))?;
    let mut files = output::Files::default();
    if let (Some(litellm), Some(models_dev)) = (&arguments.litellm, &arguments.models_dev) {
        let version = match &arguments.litellm_version {
            Some(version) => version.clone(),
            None => version_in_name(litellm).unwrap_or_else(|| "unknown".to_owned()),
        };
        let (litellm, models_dev) = (read_json(litellm)?, read_json(models_dev)?);
        make(&mut files, &presets, (&litellm, &version), &models_dev)?;
    } else {
        files.keep_catalogue(&arguments.providers.join("catalogue"))?;
    }
    files.add_lists(&presets);
    let changed = files.changed(&arguments.providers)?;
    if arguments.check {
        if !changed.is_empty() {
            bail!("the catalogue is not what its sources make: {}", changed.join(", "));
        }
        return Ok(());
    }
    files.write(&arguments.providers)?;
    println!("{} files made, {} changed", files.len(), changed.len());
    Ok(())
}

/// Merges the two lists into files.
fn make(
    files: &mut output::Files,
    presets: &[PresetFacts],
    (litellm, litellm_version): (&serde_json::Value, &str),
    models_dev: &serde_json::Value,
) -> anyhow::Result<()> {
    let primary = litellm::read(litellm, presets)?;
    let second = models_dev::read(models_dev, presets)?;
    let entries = merge::merge(primary, second);
    let commit = models_dev.get("commit").and_then(serde_json::Value::as_str).unwrap_or("unknown");
    files.add_catalogue(&entries, litellm_version, commit);
    Ok(())
}

fn read_json(path: &Path) -> anyhow::Result<serde_json::Value> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("failed to parse {}", path.display()))
}

/// The version at the end of a file name such as `prices-1.2.3.json`.
fn version_in_name(path: &Path) -> Option<String> {
    let version = path.file_stem()?.to_str()?.rsplit_once('-')?.1;
    let numeric = version.contains('.') && version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    numeric.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalogue/golden");

    /// The made-up sources of the golden folder, merged.
    fn made() -> output::Files {
        let golden = Path::new(GOLDEN);
        let presets = presets::read(&golden.join("presets")).expect("presets");
        let litellm = read_json(&golden.join("prices-9.8.7.json")).expect("a price list");
        let models_dev = read_json(&golden.join("models-dev.json")).expect("a model list");
        let mut files = output::Files::default();
        make(&mut files, &presets, (&litellm, "9.8.7"), &models_dev).expect("a catalogue");
        files.add_lists(&presets);
        files
    }

    #[test]
    fn the_made_up_sources_make_the_golden_files() {
        let (files, expected) = (made(), Path::new(GOLDEN).join("expected"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            files.write(&expected).expect("the golden folder");
        }
        let changed = files.changed(&expected).expect("the golden folder");
        assert!(changed.is_empty(), "differs: {changed:?}; UPDATE_GOLDEN=1 writes them anew, read them then");
        assert!(files.len() >= 5, "{} files", files.len());
    }

    #[test]
    fn what_is_committed_was_made_and_not_edited() {
        let providers = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/providers"));
        let mut files = output::Files::default();
        files.keep_catalogue(&providers.join("catalogue")).expect("the catalogue");
        let version = std::fs::read_to_string(providers.join("catalogue/VERSION")).expect("the version");
        let stated = version.lines().find_map(|line| line.strip_prefix("sha256 "));
        assert_eq!(stated, Some(files.fingerprint().as_str()), "make the catalogue from its sources");
        files.add_lists(&presets::read(&providers.join("presets")).expect("the presets"));
        assert_eq!(
            files.changed(providers).expect("the folder"),
            Vec::<String>::new(),
            "run `cargo xtask catalogue`"
        );
    }

    #[test]
    fn two_runs_make_the_same_files() {
        assert_eq!(made(), made());
    }

    #[test]
    fn the_version_is_read_from_the_name() {
        assert_eq!(version_in_name(Path::new("a/b-prices-1.106.2.json")).as_deref(), Some("1.106.2"));
        assert_eq!(version_in_name(Path::new("prices-latest.json")), None);
        assert_eq!(version_in_name(Path::new("prices.json")), None);
    }
}
