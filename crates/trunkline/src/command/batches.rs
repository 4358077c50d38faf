//! `trunkline batches`: how far batches are.
//!
//! Owns the table of batches. Must not change anything: it reads the database that a running gateway writes.

use crate::configuration::{self, Origin};
use anyhow::bail;
use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use trunkline_config::Store;
use trunkline_store::{BatchQuery, Batches, StoredBatch};

/// Options of `batches`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The configuration whose store is read.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Read the batches beside this database instead.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    database: Option<PathBuf>,
    /// Only of this virtual key.
    #[arg(long)]
    key: Option<String>,
    /// Only those that are not over.
    #[arg(long)]
    open: bool,
    /// Rows at the most.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Lists batches, newest first. The exit code is 1 when there are none.
///
/// # Errors
/// An unreadable database or configuration.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut batches = match Batches::look(&database(options)?)? {
        None => Vec::new(),
        Some(store) if options.open => store.open_batches()?,
        Some(store) => {
            let limit = options.limit;
            store.list(&BatchQuery { owner: options.key.clone(), limit, ..BatchQuery::default() })?.0
        }
    };
    if options.open {
        batches.retain(|batch| options.key.as_ref().is_none_or(|key| batch.owner == *key));
        batches.reverse();
        batches.truncate(options.limit);
    }
    if options.json {
        for batch in &batches {
            println!("{}", line(batch));
        }
    } else {
        println!("{}", table(&batches));
    }
    Ok(if batches.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn database(options: &Options) -> anyhow::Result<PathBuf> {
    if let Some(path) = &options.database {
        return Ok(path.clone());
    }
    let Some(config) = &options.config else { return Ok("trunkline.db".into()) };
    let loaded = configuration::read(&Origin::Path(config.clone()))?;
    match loaded.snapshot.server.store {
        Store::Sqlite(path) => Ok(path),
        Store::Memory => {
            bail!(
                "read the batches: the configuration keeps them in memory, so only the running gateway has them"
            )
        }
    }
}

fn line(batch: &StoredBatch) -> serde_json::Value {
    let counts = &batch.counts;
    json!({
        "id": batch.id,
        "key": (!batch.owner.is_empty()).then_some(&batch.owner),
        "kind": batch.kind,
        "status": batch.status.name(),
        "created_at": batch.times.created,
        "expires_at": batch.times.expires,
        "ended_at": batch.times.ended,
        "total": counts.total,
        "open": counts.open(),
        "succeeded": counts.succeeded,
        "errored": counts.errored,
        "canceled": counts.canceled,
        "expired": counts.expired,
    })
}

fn table(batches: &[StoredBatch]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "id",
        "key",
        "status",
        "created",
        "lines",
        "done",
        "succeeded",
        "errored",
        "not sent",
    ]);
    for batch in batches {
        let counts = &batch.counts;
        let seconds = i64::try_from(batch.times.created).unwrap_or(0);
        let created =
            jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.to_string());
        let done = (counts.total - counts.open().min(counts.total)) * 100 / counts.total.max(1);
        table.add_row([
            batch.id.clone(),
            batch.owner.clone(),
            batch.status.name().to_owned(),
            created,
            counts.total.to_string(),
            format!("{done} %"),
            counts.succeeded.to_string(),
            counts.errored.to_string(),
            (counts.canceled + counts.expired).to_string(),
        ]);
    }
    table
}
