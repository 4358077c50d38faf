//! The outcome of a drill, for people and for programs.
//!
//! Owns tables, counts and the JSON form. Must not judge: verdicts come with the cells.

use super::cell::{Cell, Verdict};
use super::judge::Seen;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;
use trunkline_model::dialect::Delivery;

/// The counts over all cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// All of them.
    pub(super) cells: usize,
    /// Complete answers.
    pub(super) survived: usize,
    /// Errors where nothing better was possible.
    pub(super) visible: usize,
    /// The rest.
    pub(super) not_survived: usize,
}

impl Summary {
    /// Counts.
    pub(super) fn of(cells: &[Cell]) -> Self {
        let count = |verdict| cells.iter().filter(|cell| cell.verdict == verdict).count();
        Self {
            cells: cells.len(),
            survived: count(Verdict::Survived),
            visible: count(Verdict::Visible),
            not_survived: count(Verdict::NotSurvived),
        }
    }
}

/// A table of cells of one kind of request.
pub(super) fn table(cells: &[&Cell]) -> Table {
    let mut table = Table::new();
    // Forty rows read better without a line between each two.
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header([
        "fault",
        "hits",
        "the client saw",
        "after",
        "cost $",
        "verdict",
    ]);
    for cell in cells {
        let verdict = match (cell.verdict, &cell.reason) {
            (Verdict::Survived, _) => "survived".to_owned(),
            (Verdict::Visible, _) => "visible".to_owned(),
            (Verdict::NotSurvived, reason) => {
                format!("NOT SURVIVED: {}", reason.as_deref().unwrap_or_default())
            }
        };
        let cost = match &cell.cost_usd {
            Some(cost) => format!("{cost} {}", cell.cost_confidence),
            None => cell.cost_confidence.to_owned(),
        };
        table.add_row([
            cell.fault.to_string(),
            cell.struck.clone(),
            saw(cell),
            format!("{} ms", cell.milliseconds),
            cost,
            verdict,
        ]);
    }
    table
}

/// How a kind of request is called.
pub(super) const fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Plain => "plain",
        Delivery::Stream => "streamed",
    }
}

fn saw(cell: &Cell) -> String {
    let attempts = match cell.attempts.len() {
        1 => "1 attempt".to_owned(),
        number => format!("{number} attempts"),
    };
    match &cell.seen {
        Seen::Answer => {
            format!("answer of {}, {attempts}", cell.deployment.as_deref().unwrap_or("nobody"))
        }
        Seen::ErrorStatus { status, code, .. } => format!("{status} {code}, {attempts}"),
        Seen::ErrorEvent { code, .. } => format!("error event {code}, {attempts}"),
        Seen::BrokenOff => format!("sound that broke off, {attempts}"),
        Seen::Silent { .. } => format!("SILENT TRUNCATION, {attempts}"),
        Seen::Untyped { .. } => format!("something untyped, {attempts}"),
        Seen::Hang => format!("nothing, {attempts}"),
    }
}
