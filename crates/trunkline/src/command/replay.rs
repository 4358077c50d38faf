//! `trunkline replay`: the request log against another policy.
//!
//! Owns reading log, policy and scores. Must not decide or estimate: that is the lab's.

use super::from_log;
use super::outcome::{self, Output};
use crate::configuration::{self, Origin};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use trunkline_lab::replay::{Settings, replay};
use trunkline_route::learned::{KeptPrompt, LONGEST_TEXT};
use trunkline_store::{LearningFile, Query};

/// Options of `replay`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The request log.
    #[arg(long, value_name = "DB", default_value = "trunkline.db")]
    log: PathBuf,
    /// The configuration whose routes decide now.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Only requests of this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only requests newer than this, for example `7d`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Measured qualities beside feedback and judges: lines of `{"id": "...", "score": 0.8}`.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Requests at the most, the newest ones.
    #[arg(long, default_value_t = 200_000)]
    limit: usize,
    /// Changed decisions listed in the JSON.
    #[arg(long, default_value_t = 10_000)]
    list: usize,
    #[command(flatten)]
    output: Output,
}

/// Replays.
///
/// # Errors
/// An unreadable log, a wrong policy or scores.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let policy = configuration::read(&Origin::Path(options.policy.clone()))?.snapshot;
    let since = options.since.as_deref().map(outcome::ago).transpose()?;
    let query = Query { since, route: options.route.clone(), ..Query::default() };
    let records = outcome::records(&options.log, &query, options.limit)?;
    let scores = from_log::scores(&options.log, &records, options.scores.as_deref())?;
    let bar = outcome::progress(records.len() as u64, "deciding again");
    let settings = Settings { listed: options.list, ..Settings::default() };
    let learning = LearningFile::beside(&options.log)?;
    // A text that was cut when it was kept is not the one that was decided on.
    let prompts = |id| match KeptPrompt::from_bytes(&learning.as_ref()?.prompt(id).ok()??) {
        Ok(KeptPrompt::Text(text)) if text.len() + 4 <= LONGEST_TEXT => Some(text),
        _ => None,
    };
    let found = replay(&records, &policy, &scores, &prompts, &settings, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    options.output.give(&found, &found.page())?;
    Ok(if found.replayed == 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
