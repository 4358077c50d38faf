//! `trunkline log`: the request log, searched.

use crate::configuration::{self, Origin};
use anyhow::{Context, bail};
use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trunkline_config::Store;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::RequestId;
use trunkline_model::record::{Outcome, RequestRecord};
use trunkline_store::{LearningFile, Query, search_file};

/// Options of `log`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Only newer than this, for example `15m`, `2h`, `7d`.
    #[arg(long)]
    since: Option<String>,
    /// Only of this virtual key.
    #[arg(long)]
    key: Option<String>,
    /// Only of this end user.
    #[arg(long)]
    user: Option<String>,
    /// Only of this session.
    #[arg(long)]
    session: Option<String>,
    /// Only with this tag; may be given several times.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Only of this route.
    #[arg(long)]
    route: Option<String>,
    /// Only answered by this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Part of a model's or deployment's name.
    #[arg(long)]
    model: Option<String>,
    /// Only ended like this.
    #[arg(long, value_parser = ["served", "refused", "failed", "broken_off", "client_gone"])]
    outcome: Option<String>,
    /// Only with this HTTP status.
    #[arg(long)]
    status: Option<u16>,
    /// Only answered with an error of this code, for example `rate_limited`.
    #[arg(long)]
    error: Option<String>,
    /// Only copies that were sent to a candidate beside what was served.
    #[arg(long)]
    shadow: bool,
    /// Only those that took more than one attempt.
    #[arg(long)]
    failed_over: bool,
    /// This very request, by the id in its `x-trunkline-request-id` header; shown whole.
    #[arg(long)]
    id: Option<RequestId>,
    /// Rows at the most, up to 1000.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Where the log is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The configuration whose store is read.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Read this database instead.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    database: Option<PathBuf>,
}

/// A record with what was said of its answer.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    record: &'a RequestRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<Feedback>,
}

/// Searches the log.
///
/// # Errors
/// An unreadable database or a wrong time.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let path = options.place.database()?;
    let page = search_file(&path, &query(options)?)?;
    let records = with_feedback(&path, &page.records)?;
    if options.json {
        for record in &records {
            println!("{}", whole(record)?);
        }
    } else if records.is_empty() {
        println!("no request in {} matches", path.display());
    } else if options.id.is_some() {
        for record in &records {
            println!("{:#}", whole(record)?);
        }
    } else {
        println!("{}", table(&records));
        if page.next.is_some() {
            println!("there are older ones: raise --limit or narrow the search");
        }
    }
    Ok(if page.records.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

impl Place {
    /// The configuration.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The database.
    ///
    /// # Errors
    /// A configuration that cannot be read, or keeps its log in memory.
    pub(crate) fn database(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.database {
            return Ok(path.clone());
        }
        let Some(config) = &self.config else { return Ok("trunkline.db".into()) };
        let loaded = configuration::read(&Origin::Path(config.clone()))?;
        match loaded.snapshot.server.store {
            Store::Sqlite(path) => Ok(path),
            Store::Memory => {
                bail!(
                    "read the log: the configuration keeps it in memory, so only the running gateway has it"
                )
            }
        }
    }
}

fn with_feedback<'a>(log: &Path, records: &'a [RequestRecord]) -> anyhow::Result<Vec<Shown<'a>>> {
    let learning = LearningFile::beside(log)?;
    records
        .iter()
        .map(|record| {
            let feedback = learning.as_ref().map(|learning| learning.feedback(record.id)).transpose()?;
            Ok(Shown { record, feedback: feedback.flatten() })
        })
        .collect()
}

/// A record as JSON, with its decision as an object instead of a text in JSON within JSON.
fn whole(record: &Shown<'_>) -> anyhow::Result<Value> {
    let mut whole = serde_json::to_value(record)?;
    let decision = record.record.decision.as_deref().and_then(|text| serde_json::from_str(text).ok());
    if let Some(decision) = decision {
        whole["decision"] = decision;
    }
    Ok(whole)
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a tag is a name and a value: NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn query(options: &Options) -> anyhow::Result<Query> {
    let outcomes =
        [Outcome::Served, Outcome::Refused, Outcome::Failed, Outcome::BrokenOff, Outcome::ClientGone];
    let since = match &options.since {
        None => None,
        Some(text) => {
            let age = trunkline_config::duration(text).map_err(anyhow::Error::msg)?;
            let since = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
            let since = since.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            Some(u64::try_from(since.as_millis()).context("read --since")?)
        }
    };
    Ok(Query {
        since,
        key: options.key.clone(),
        user: options.user.clone(),
        session: options.session.clone(),
        tags: options.tags.clone(),
        route: options.route.clone(),
        provider: options.provider.clone(),
        model: options.model.clone(),
        outcome: outcomes.into_iter().find(|outcome| Some(outcome.name()) == options.outcome.as_deref()),
        status: options.status,
        error_code: options.error.clone(),
        shadow: options.shadow,
        failed_over: options.failed_over,
        id: options.id,
        limit: options.limit,
        ..Query::default()
    })
}

fn table(records: &[Shown<'_>]) -> Table {
    let has_feedback = records.iter().any(|shown| shown.feedback.is_some());
    let mut header = vec![
        "time",
        "id",
        "key",
        "route",
        "served by",
        "outcome",
        "attempts",
        "tokens",
        "cost $",
        "first token",
        "total",
    ];
    header.extend(has_feedback.then_some("feedback"));
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header);
    for Shown { record, feedback } in records {
        let milliseconds = i64::try_from(record.id.unix_milliseconds()).unwrap_or(0);
        let time = jiff::Timestamp::from_millisecond(milliseconds)
            .map_or_else(|_| String::new(), |time| format!("{time:.0}"));
        let outcome = outcome(record);
        let cost = match record.cost.amount {
            Some(amount) => format!("{} {}", amount.decimal(), record.cost.confidence.as_str()),
            None => record.cost.confidence.as_str().to_owned(),
        };
        let first = record.first_token_us.map_or_else(String::new, milliseconds_text);
        let mut row = vec![
            time,
            record.id.to_string(),
            record.key.as_deref().unwrap_or_default().to_owned(),
            record.route.as_deref().unwrap_or(&record.requested_model).to_owned(),
            record.deployment.as_deref().unwrap_or_default().to_owned(),
            outcome,
            record.attempts.len().to_string(),
            format!("{}+{}", record.usage.prompt(), record.usage.completion()),
            cost,
            first,
            milliseconds_text(record.total_us),
        ];
        row.extend(has_feedback.then(|| feedback.as_ref().map_or_else(String::new, said)));
        table.add_row(row);
    }
    table
}

/// Feedback in few words.
fn said(feedback: &Feedback) -> String {
    let score = feedback.score.map(|score| score.to_string());
    let words = [score.as_deref(), feedback.label.as_deref()];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn outcome(record: &RequestRecord) -> String {
    let name = record.outcome.name();
    if let Some(comparison) = &record.shadow {
        return match (comparison.agreed, comparison.similarity) {
            (Some(agreed), Some(like)) => {
                let word = if agreed { "agrees" } else { "differs" };
                format!("shadow of {}: {word} ({like:.2})", comparison.of)
            }
            _ => format!("shadow of {}: {name}", comparison.of),
        };
    }
    match &record.error_code {
        Some(code) => format!("{name} {code}"),
        None => name.to_owned(),
    }
}

fn milliseconds_text(micros: u64) -> String {
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}
