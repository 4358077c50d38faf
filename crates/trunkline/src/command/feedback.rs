//! `trunkline feedback`: what was said of answers, brought in from a file, and the examples that its labels make.
//!
//! Owns reading the file and finding the requests; the form is the one of `POST /v1/feedback`. A file with a mistake changes
//! nothing: half of an import is hard to repair. Safe beside a running gateway, which
//! notices within seconds.

use super::from_log::Stretch;
use super::{log, outcome};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trunkline_model::feedback::Feedback;
use trunkline_store::{Learning, LearningSettings, Query, StoreKind, search_file};

/// Options of `feedback`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring in what was said elsewhere, one body of `POST /v1/feedback` per line.
    Import(Import),
    /// Write the prompts that feedback gave a label, as examples for a `semantic` step; needs `learn: { keep: text }`.
    Examples(Examples),
}

#[derive(Debug, Args)]
struct Import {
    /// JSONL: `{"decision": ID, "score": 0.8, "label": ..., "comment": ...}` per line.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    #[command(flatten)]
    place: log::Place,
}

#[derive(Debug, Args)]
struct Examples {
    /// Where to write them: `{"text": ..., "label": ...}` per line, for `file` under `intents`.
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// Only these labels; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    stretch: Stretch,
}

/// Mistakes shown of one file.
const MOST_SHOWN: usize = 20;

/// Imports. The exit code is 1 when none of it was on a request of the log.
///
/// # Errors
/// A file that cannot be read or has a mistake, a log that cannot be read, a place that cannot be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let import = match &options.action {
        Action::Import(import) => import,
        Action::Examples(examples) => return write_examples(examples),
    };
    let said = read(&import.file)?;
    let database = import.place.database()?;
    anyhow::ensure!(database.exists(), "read the log {}: there is no such file", database.display());
    let learning = Learning::open(&LearningSettings {
        kind: StoreKind::Sqlite(database.clone()),
        // What is too old is the gateway's to say.
        keep: Duration::MAX,
        max_bytes: u64::MAX,
    })?;
    let given = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let given = u64::try_from(given.as_millis()).unwrap_or(u64::MAX);
    let bar = outcome::progress(said.len() as u64, "importing");
    let (mut kept, mut unknown) = (0_usize, Vec::new());
    for feedback in said {
        bar.inc(1);
        let query = Query { id: Some(feedback.id), limit: 1, ..Query::default() };
        if search_file(&database, &query)?.records.is_empty() {
            unknown.push(feedback.id);
            continue;
        }
        learning
            .give(Feedback { given, ..feedback })
            .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        kept += 1;
    }
    bar.finish_and_clear();
    println!("feedback on {kept} requests is kept beside {}", database.display());
    if let Some(first) = unknown.first() {
        println!("{} requests are not in the log, `{first}` the first of them", unknown.len());
    }
    Ok(if kept == 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Written beside its place and moved there: a server that watches the file never reads half of it. The exit code is 1 when there
/// are none, and then the file in place stays.
fn write_examples(options: &Examples) -> anyhow::Result<ExitCode> {
    let mut gathered = options.stretch.gather()?;
    if !options.labels.is_empty() {
        gathered.examples.retain(|_, label| options.labels.contains(label));
    }
    for shortcoming in gathered.shortcomings() {
        eprintln!("warning: {shortcoming}");
    }
    if gathered.examples.is_empty() {
        println!("no prompt with a label was found; nothing was written");
        return Ok(ExitCode::from(1));
    }
    let mut text = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (prompt, label) in &gathered.examples {
        text += &serde_json::json!({"text": prompt, "label": label}).to_string();
        text.push('\n');
        *counts.entry(label).or_default() += 1;
    }
    outcome::replace(&options.out, &text)?;
    let counts: Vec<String> = counts.iter().map(|(label, count)| format!("{label} {count}")).collect();
    println!("{} examples in {}: {}", gathered.examples.len(), options.out.display(), counts.join(", "));
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Vec<Feedback>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut said = Vec::new();
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Err(error) => wrong.push(format!("line {number}: not JSON: {error}")),
            Ok(value) => match Feedback::read(&value) {
                Ok(feedback) => said.push(feedback),
                Err(error) if error.field.is_empty() => wrong.push(format!("line {number}: {error}")),
                Err(error) => wrong.push(format!("line {number}, field `{}`: {error}", error.field)),
            },
        }
    }
    if wrong.is_empty() {
        return Ok(said);
    }
    let more = wrong.len().saturating_sub(MOST_SHOWN);
    wrong.truncate(MOST_SHOWN);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    bail!("read {}; nothing was imported:\n{}", path.display(), wrong.join("\n"))
}
