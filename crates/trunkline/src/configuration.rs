//! Configurations from the outside world: files, folders, the environment, the date.
//!
//! Owns the reading; what it means is the `config` crate's. A folder is all its YAML files in the order of their names.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use trunkline_config::{Inputs, InvalidConfiguration, Labelled, Loaded, Source};
use trunkline_model::catalogue::Date;
use trunkline_route::learned::KeptPrompt;
use trunkline_store::{LearningFile, StoreError, learning_file};

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file or a folder.
    Path(PathBuf),
    /// The API keys in the environment.
    Environment,
}

impl Origin {
    /// The origin named on the command line.
    pub(crate) fn new(path: Option<&Path>) -> Self {
        path.map_or(Self::Environment, |path| Self::Path(path.to_owned()))
    }

    /// What its files look like from outside, and those it names: names, sizes, times. Different stamps mean that something was
    /// written.
    pub(crate) fn stamp(&self, named: &[String]) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
        let Self::Path(path) = self else { return Vec::new() };
        let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(path) };
        let mut files = if path.is_dir() { yaml_files(path).unwrap_or_default() } else { vec![path.clone()] };
        files.extend(named.iter().map(|name| folder.join(name)));
        files
            .into_iter()
            .filter_map(|file| {
                let metadata = std::fs::metadata(&file).ok()?;
                Some((file, metadata.len(), metadata.modified().ok()))
            })
            .collect()
    }

    /// Reads its texts.
    ///
    /// # Errors
    /// A file that cannot be read, a folder without YAML, an environment without any provider's key.
    pub(crate) fn sources(&self) -> anyhow::Result<Vec<Source>> {
        match self {
            Self::Path(path) => read_path(path),
            Self::Environment => match trunkline_config::from_environment(&environment) {
                Some(source) => Ok(vec![source]),
                None => bail!(
                    "no provider is configured: set an API key such as OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, \
                     or give a file with --config (`trunkline demo` needs neither)"
                ),
            },
        }
    }
}

/// Compiles texts with this process's environment and today's date.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn load(sources: Vec<Source>) -> Result<Loaded, InvalidConfiguration> {
    let folder = folder(&sources);
    let files = |name: &str| read_named(&folder, name);
    let inputs = Inputs { environment: &environment, today: today(), files: &files, labelled: &labelled };
    trunkline_config::load(sources, &inputs)
}

/// The texts beside a log that feedback gave a label.
pub(crate) fn labelled(log: &Path) -> Labelled {
    let file = learning_file(log);
    let file = std::path::absolute(&file).unwrap_or(file).display().to_string();
    let read = || -> Result<Vec<(String, String)>, StoreError> {
        let Some(learning) = LearningFile::beside(log)? else { return Ok(Vec::new()) };
        let mut said = Vec::new();
        learning.all_feedback(0, |feedback| {
            if let Some(class) = feedback.class() {
                said.push((feedback.id, class.to_owned()));
            }
        })?;
        let mut texts = Vec::new();
        for (id, label) in said {
            if let Some(Ok(KeptPrompt::Text(text))) =
                learning.prompt(id)?.map(|bytes| KeptPrompt::from_bytes(&bytes))
            {
                texts.push((text, label));
            }
        }
        Ok(texts)
    };
    Labelled { file, texts: read().map_err(|error| format!("failed to {error}")) }
}

/// The folder that relative paths in a configuration start at: that of its first file.
pub(crate) fn folder(sources: &[Source]) -> PathBuf {
    let first = sources.first().map(|source| PathBuf::from(&source.path)).unwrap_or_default();
    first.parent().map(Path::to_owned).unwrap_or_default()
}

/// The largest file that a configuration may name; a trained router has a few megabytes.
const LARGEST_FILE: u64 = 256 << 20;

/// The content of a file that a configuration names.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_named(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let path = folder.join(name);
    let length = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
    if length > LARGEST_FILE {
        return Err(format!("it has {length} bytes, more than {LARGEST_FILE}"));
    }
    std::fs::read(&path).map_err(|error| error.to_string())
}

/// Reads and compiles.
///
/// # Errors
/// As the two steps.
pub(crate) fn read(origin: &Origin) -> anyhow::Result<Loaded> {
    Ok(load(origin.sources()?)?)
}

/// The environment as the pure crates see it.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Today.
pub(crate) fn today() -> Date {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Date::from_unix_seconds(seconds)
}

fn read_path(path: &Path) -> anyhow::Result<Vec<Source>> {
    let metadata =
        std::fs::metadata(path).with_context(|| format!("read the configuration {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let files = yaml_files(path)?;
    if files.is_empty() {
        bail!("the folder {} holds no .yaml file", path.display());
    }
    files.iter().map(|file| read_file(file)).collect()
}

/// The YAML files of a folder, by name.
fn yaml_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .with_context(|| format!("read the folder {}", path.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
        .collect();
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> anyhow::Result<Source> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the configuration {}", path.display()))?;
    Ok(Source { path: path.display().to_string(), text })
}
