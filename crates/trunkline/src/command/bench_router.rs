//! `trunkline bench-router`: learned routing on public data.
//!
//! Owns the files, the progress bar and the printing; what is measured and how is the lab's.

mod timing;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use timing::Times;
use trunkline_lab::bench::{self, Data, IntentTexts, Intents, Report, Texts};

/// Options of `bench-router`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder with the data sets: `routellm`, `ulab_llmrouter`, and for intents `clinc150` and `banking77`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A fourth of the rows, three folds: minutes become seconds, figures rougher.
    #[arg(long)]
    quick: bool,
    /// The seed of the splits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    report: &'a Report,
    times: &'a Times,
}

/// Measures and prints. The exit code is 1 when a figure that was wanted is not reached.
///
/// # Errors
/// Data that is absent or cannot be read.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if !options.data.is_dir() {
        bail!(
            "there is no folder {}: the benchmark's data is not part of the program; give the folder that holds `routellm` and \
             `ulab_llmrouter` with --data",
            options.data.display()
        );
    }
    let (routellm, train, test) = (
        read(&options.data, "routellm/compact.jsonl")?,
        read(&options.data, "ulab_llmrouter/dcrouter_train.json")?,
        read(&options.data, "ulab_llmrouter/dcrouter_test.json")?,
    );
    let texts = Texts { routellm: &routellm, ulab_train: &train, ulab_test: &test };
    let data = Data::read(texts).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    let measured =
        if options.quick { bench::Options::quick(options.seed) } else { bench::Options::full(options.seed) };
    let bar = progress(measured.steps(), "fitting");
    let intents = || {
        bar.set_message("intents");
        intents(&options.data)
    };
    let report = bench::run(&data, &measured, Some(&intents), &|| bar.inc(1))
        .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    bar.set_message("timing");
    let times = timing::measure(&data)?;
    bar.finish_and_clear();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&Output { report: &report, times: &times })?);
    } else {
        print!("{report}\n{times}");
    }
    let reached = report.is_reached();
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Intents, where their data is at hand: the rest of the table does not need it.
fn intents(folder: &Path) -> Intents {
    let texts = || -> anyhow::Result<Intents> {
        let (clinc150, train, test) = (
            read(folder, "clinc150/data_full.json")?,
            read(folder, "banking77/train.csv")?,
            read(folder, "banking77/test.csv")?,
        );
        let texts = IntentTexts { clinc150: &clinc150, banking77_train: &train, banking77_test: &test };
        Ok(bench::intents(texts))
    };
    texts().unwrap_or_else(|error| Intents::Absent(format!("failed to {error:#}")))
}

fn read(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    std::fs::read_to_string(&path)
        .with_context(|| format!("read {}: the benchmark's data is incomplete", path.display()))
}

/// A bar on standard error; nothing is drawn where that is no terminal.
pub(super) fn progress(steps: u64, message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_message(message);
    if let Ok(style) = ProgressStyle::with_template("{msg:<8} {bar:40} {pos}/{len} {elapsed}, {eta} to go") {
        bar.set_style(style);
    }
    bar
}
