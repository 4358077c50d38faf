//! `trunkline eval`: a golden data set against deployments and routes.
//!
//! Owns options, the order of the run and its end. Must not grade: that is the lab's. Every request, a judge's too, goes over HTTP
//! through a gateway in this process, so that what is measured is what clients would get, priced as they would be charged.

mod client;
mod runner;
mod spend;
mod state;

use super::in_process::{InProcess, played};
use super::outcome::{self, Output};
use crate::configuration::{self, Origin};
use anyhow::Context;
use clap::Args;
use runner::Runner;
use serde_json::Value;
use spend::Spend;
use state::State;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use trunkline_config::Snapshot;
use trunkline_lab::evaluate::{
    Asked, Defaults, Evaluation, Minimum, Outcome, Row, labelled_lines, parse, summarize,
};
use trunkline_lab::page::{Page, words};

/// Options of `eval`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The data set: one JSON object per line with `input`, `expected`, `checks`.
    #[arg(long, value_name = "FILE.jsonl")]
    data: PathBuf,
    /// A configuration file, or a folder of them.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// A deployment, model or route to be asked; may be repeated, the others are compared with the first.
    #[arg(long = "target", short, value_name = "NAME", required = true)]
    targets: Vec<String>,
    /// Who judges, for rows with a `judge` check.
    #[arg(long, value_name = "NAME")]
    judge: Option<String>,
    /// A check of rows without any, for example `exact` or `{"judge": "Is it polite?"}`; may be repeated.
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    /// Most tokens of an answer, where a row does not say.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_output_tokens: u64,
    /// Requests at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// The most dollars to spend; nothing starts that could exceed it.
    #[arg(long, value_name = "DOLLARS")]
    max_spend: Option<f64>,
    /// Keep outcomes here, and take up from here what was already asked.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Write what every model's answers were worth to this file, to train on: `trunkline train --data FILE`.
    #[arg(long, value_name = "FILE.jsonl")]
    labels: Option<PathBuf>,
    /// Check data set, targets and spending, and send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    minimum: Minimums,
    #[command(flatten)]
    output: Output,
}

/// What every target must reach, for CI.
#[derive(Debug, Args)]
struct Minimums {
    /// The least mean score, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    min_quality: Option<f64>,
    /// The least share of rows that pass every check.
    #[arg(long, value_name = "SHARE")]
    min_passed: Option<f64>,
    /// The least share of answers with the right form.
    #[arg(long, value_name = "SHARE")]
    min_format: Option<f64>,
    /// The largest share of refusals.
    #[arg(long, value_name = "SHARE")]
    max_refusals: Option<f64>,
    /// The largest mean cost of an answer.
    #[arg(long, value_name = "DOLLARS")]
    max_cost: Option<f64>,
    /// The largest 95th percentile of the time to a whole answer, for example `5s`.
    #[arg(long, value_name = "TIME", value_parser = trunkline_config::duration)]
    max_p95: Option<std::time::Duration>,
    /// The bound of the 95 % interval must reach it, and not only the figure.
    #[arg(long)]
    surely: bool,
}

impl Minimums {
    fn read(&self) -> Minimum {
        Minimum {
            quality: self.min_quality,
            passed: self.min_passed,
            format: self.min_format,
            refusals: self.max_refusals,
            cost_usd: self.max_cost,
            total_p95_ms: self.max_p95.map(|time| time.as_secs_f64() * 1_000.0),
            surely: self.surely,
        }
    }
}

/// One answer to be asked for.
#[derive(Clone)]
pub(super) struct Question {
    row: Arc<Row>,
    asked: Asked,
}

/// Evaluates.
///
/// # Errors
/// A wrong data set or configuration, an unknown target, a state file that cannot be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let rows = rows(options)?;
    let snapshot = played(configuration::read(&Origin::new(options.config.as_deref()))?.snapshot);
    let known = || snapshot.routes.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", ");
    for name in options.targets.iter().chain(&options.judge) {
        let exists = snapshot.routes.find(name).is_some() || !snapshot.fleet.named(name).is_empty();
        anyhow::ensure!(
            exists,
            "there is no route, deployment or model `{name}`; there are the routes {}",
            known()
        );
    }
    let config = format!("{:016x}", snapshot.version);
    let questions = questions(&rows, options, &config);
    let spend = Spend::new(options.max_spend, &snapshot, options.judge.as_deref(), options.max_output_tokens);
    let worst: Option<f64> = questions.iter().map(|question| spend.worst(question)).sum();
    if options.dry_run {
        return plan(options, rows.len(), questions.len(), worst);
    }
    if options.max_spend.is_some() {
        for question in &questions {
            spend.worst(question).with_context(|| {
                format!(
                    "hold --max-spend: a price of `{}` or of the judge is not known",
                    question.asked.target
                )
            })?;
        }
    }
    let mut state = State::open(options.state.as_deref())?;
    let (mut outcomes, open) = state.known(questions);
    let resumed = outcomes.len();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let left = runtime.block_on(ask(options, snapshot, spend, open, &mut state, &mut outcomes))?;
    if let Some(path) = &options.labels {
        outcome::replace(path, &labelled_lines(&rows, &outcomes))?;
    }
    let targets = summarize(&options.targets, &outcomes);
    let missed = options.minimum.read().missed(&targets);
    let data = options.data.display().to_string();
    let found = Evaluation { data, rows: rows.len(), targets, missed, left, resumed, outcomes };
    options.output.give(&found, &found.page())?;
    let good = found.missed.is_empty() && found.left == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn rows(options: &Options) -> anyhow::Result<Vec<Arc<Row>>> {
    let path = options.data.display().to_string();
    let text = std::fs::read_to_string(&options.data).with_context(|| format!("read the data set {path}"))?;
    // A bare name is no JSON; everything else is.
    let check = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    let defaults = Defaults {
        checks: options.checks.iter().map(check).collect(),
        max_output_tokens: options.max_output_tokens,
        has_judge: options.judge.is_some(),
    };
    Ok(parse(&path, &text, &defaults)?.into_iter().map(Arc::new).collect())
}

/// Row by row, every target: when money or time runs out, all targets have been asked the same rows.
fn questions(rows: &[Arc<Row>], options: &Options, config: &str) -> Vec<Question> {
    let mut targets: Vec<&String> = Vec::new();
    for target in &options.targets {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let question = |row: &Arc<Row>, target: &str| Question {
        row: Arc::clone(row),
        asked: Asked {
            row: row.id.clone(),
            fingerprint: row.fingerprint.clone(),
            target: target.to_owned(),
            config: config.to_owned(),
            judge: options.judge.clone().unwrap_or_default(),
        },
    };
    rows.iter()
        .flat_map(|row| targets.iter().map(|target| question(row, target)).collect::<Vec<_>>())
        .collect()
}

fn plan(options: &Options, rows: usize, questions: usize, worst: Option<f64>) -> anyhow::Result<ExitCode> {
    let mut page = Page::new("Evaluation, nothing sent");
    let most = worst.map_or_else(|| "an unknown amount (a price is missing)".to_owned(), words::dollars);
    page.text(format!(
        "{} rows, {} targets, {} requests; they can cost {most} at the most.",
        words::count(rows as u64),
        options.targets.len(),
        words::count(questions as u64)
    ));
    let found = serde_json::json!({"rows": rows, "requests": questions, "worst_usd": worst});
    options.output.give(&found, &page)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks through a gateway of its own; returns how many questions were left because of the spend cap.
async fn ask(
    options: &Options,
    snapshot: Snapshot,
    spend: Spend,
    open: Vec<Question>,
    state: &mut State,
    outcomes: &mut Vec<Outcome>,
) -> anyhow::Result<usize> {
    let gateway = InProcess::start(snapshot).await?;
    let bar = outcome::progress(open.len() as u64, "asking");
    let mut runner = Runner::new(gateway.address, options.judge.clone(), usize::from(options.jobs), spend);
    let left = runner
        .run(open, |outcome| {
            bar.inc(1);
            state.keep(&outcome)?;
            outcomes.push(outcome);
            Ok(())
        })
        .await;
    bar.finish_and_clear();
    gateway.stop().await?;
    left
}
