//! Reading what a log teaches, for the commands that learn.
//!
//! Owns the options that name a log and a stretch of it, and bringing records, feedback and prompts together. What they come to
//! is the lab's.

use super::{log, outcome};
use clap::Args;
use std::collections::HashMap;
use std::path::Path;
use trunkline_lab::from_log::{Gathered, Logged};
use trunkline_model::feedback::Feedback;
use trunkline_model::id::RequestId;
use trunkline_model::record::{JudgedAnswer, Outcome, RequestRecord};
use trunkline_route::learned::KeptPrompt;
use trunkline_store::{LearningFile, Query};

/// Which log, and what of it.
#[derive(Debug, Args)]
pub(crate) struct Stretch {
    #[command(flatten)]
    place: log::Place,
    /// Only requests newer than this, for example `30d`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only requests of this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Requests at the most, the newest ones.
    #[arg(long, default_value_t = 200_000, value_name = "NUMBER")]
    limit: usize,
}

impl Stretch {
    /// The configuration that names the log.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.place.config()
    }

    /// Whether any of it was given on the command line.
    pub(crate) fn is_given(&self) -> bool {
        self.since.is_some() || self.route.is_some()
    }

    /// Reads it.
    ///
    /// # Errors
    /// A log that cannot be read, a wrong time.
    pub(crate) fn gather(&self) -> anyhow::Result<Gathered> {
        let database = self.place.database()?;
        let since = self.since.as_deref().map(outcome::ago).transpose()?;
        let query = Query { since, route: self.route.clone(), ..Query::default() };
        let records = outcome::records(&database, &query, self.limit)?;
        let learning = LearningFile::beside(&database)?;
        let mut feedback: HashMap<RequestId, Feedback> = HashMap::new();
        if let Some(learning) = &learning {
            learning.all_feedback(since.unwrap_or(0), |said| {
                feedback.insert(said.id, said);
            })?;
        }
        let mut gathered = Gathered::default();
        for record in &records {
            let feedback = feedback.remove(&record.id);
            let prompt = match &learning {
                Some(learning) if feedback.is_some() || !record.judged.is_empty() => {
                    learning.prompt(record.id)?
                }
                _ => None,
            };
            let prompt = prompt.map(|bytes| KeptPrompt::from_bytes(&bytes));
            gathered.add(Logged { record, feedback, prompt });
        }
        Ok(gathered)
    }
}

/// How good the answers of a log were found to be: by judges, over them by feedback, over both by a file of scores.
///
/// # Errors
/// A file or log that cannot be read.
pub(crate) fn scores(
    log: &Path,
    records: &[RequestRecord],
    file: Option<&Path>,
) -> anyhow::Result<HashMap<RequestId, f64>> {
    let given = outcome::scores(file)?;
    let mut scores = HashMap::new();
    for record in records.iter().filter(|record| record.outcome == Outcome::Served) {
        let served = |judged: &&JudgedAnswer| Some(&judged.deployment) == record.deployment.as_ref();
        if let Some(judged) = record.judged.iter().rev().find(served) {
            scores.insert(record.id, judged.score);
        }
    }
    if let (Some(learning), Some(first)) = (LearningFile::beside(log)?, records.first()) {
        learning.all_feedback(first.id.unix_milliseconds(), |said| {
            if let Some(quality) = said.quality() {
                scores.insert(said.id, quality);
            }
        })?;
    }
    scores.extend(given);
    Ok(scores)
}
