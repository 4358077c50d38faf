//! How the commands of the lab give out what they found: a page on the terminal, JSON, a page of HTML, a progress bar.
//!
//! Owns the options all of them have and the reading of a whole log. Must not compute a figure.

use anyhow::Context;
use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use trunkline_lab::page::{Block, Page};
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;
use trunkline_store::{Query, search_file};

/// Where the outcome goes.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Write a page with charts to this file; it needs nothing else to be shown.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Output {
    /// Gives out a finding and its page.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn give(&self, found: &impl Serialize, page: &Page) -> anyhow::Result<()> {
        if let Some(path) = &self.html {
            std::fs::write(path, page.to_html()).with_context(|| format!("write {}", path.display()))?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(found)?);
        } else {
            print(page);
            if let Some(path) = &self.html {
                println!("\ncharts: {}", path.display());
            }
        }
        Ok(())
    }
}

fn print(page: &Page) {
    println!("{}", page.title);
    for block in &page.blocks {
        match block {
            Block::Heading(text) => println!("\n{text}\n{}", "─".repeat(text.chars().count())),
            Block::Text(text) => println!("{text}"),
            Block::Warnings(warnings) => warnings.iter().for_each(|warning| println!("! {warning}")),
            Block::Table(figures) => println!("{}", table(figures)),
            // What they show is in the tables.
            Block::Bars(_) | Block::Lines(_) => {}
        }
    }
}

fn table(figures: &trunkline_lab::page::Table) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(&figures.head);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for row in &figures.rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A progress bar on standard error; invisible where that is no terminal.
pub(crate) fn progress(length: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// Every record of a log that a query finds, oldest first, at most `most`: the newest ones when there are more.
///
/// # Errors
/// A database that is missing or cannot be read.
pub(crate) fn records(path: &Path, query: &Query, most: usize) -> anyhow::Result<Vec<RequestRecord>> {
    anyhow::ensure!(path.exists(), "read the log {}: there is no such file", path.display());
    let bar = progress(most as u64, "reading the log");
    let mut query = Query { limit: 1_000, ..query.clone() };
    let mut records = Vec::new();
    loop {
        let page = search_file(path, &query)?;
        records.extend(page.records);
        bar.set_position(records.len() as u64);
        match page.next {
            Some(next) if records.len() < most => query.before = Some(next),
            _ => break,
        }
    }
    bar.finish_and_clear();
    records.truncate(most);
    records.reverse();
    Ok(records)
}

/// Writes a file beside its place and moves it there, so that who watches it never reads half of one.
///
/// # Errors
/// A place that cannot be written.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, text).with_context(|| format!("write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("move it to {}", path.display()))
}

/// One measured answer in a file of scores.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Score {
    id: String,
    score: f64,
}

/// Measured qualities by request: lines of `{"id": "...", "score": 0.8}`; empty without a file.
///
/// # Errors
/// A line that is not that, by its number.
pub(crate) fn scores(path: Option<&Path>) -> anyhow::Result<HashMap<RequestId, f64>> {
    let Some(path) = path else { return Ok(HashMap::new()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut scores = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("read {}, line {}", path.display(), number + 1);
        let read: Score = serde_json::from_str(line).with_context(place)?;
        anyhow::ensure!((0.0..=1.0).contains(&read.score), "{}: `score` must be from 0 to 1", place());
        scores.insert(read.id.parse::<RequestId>().with_context(place)?, read.score);
    }
    Ok(scores)
}

/// Unix milliseconds of so long ago.
///
/// # Errors
/// A text that is no time.
pub(crate) fn ago(text: &str) -> anyhow::Result<u64> {
    let age = trunkline_config::duration(text).map_err(anyhow::Error::msg)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(age).as_millis()).context("read a time")
}
