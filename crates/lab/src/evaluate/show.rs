//! An evaluation as a page.
//!
//! Owns what is said of it. Must not compute.

use super::summary::{Evaluation, Outcome, Summary};
use crate::estimate::Estimate;
use crate::page::words::{count, dollars, milliseconds, percent};
use crate::page::{Bar, Bars, Block, Page, Table};

/// Failed rows shown on a page; all of them are in the JSON.
const SHOWN: usize = 20;
/// Characters of an answer shown.
const LONGEST_ANSWER: usize = 80;

impl Evaluation {
    /// What there is to see of it.
    #[must_use]
    pub fn page(&self) -> Page {
        let mut page = Page::new("Evaluation");
        page.text(format!("{} rows of {}.", count(self.rows as u64), self.data));
        let mut warnings = self.missed.clone();
        if self.left > 0 {
            warnings.push(format!(
                "{} answers were not asked for: the spend cap was reached",
                count(self.left as u64)
            ));
        }
        for target in self.targets.iter().filter(|target| target.unknown_cost > 0) {
            warnings.push(format!(
                "{}: the cost of {} answers is not known",
                target.target,
                count(target.unknown_cost as u64)
            ));
        }
        page.warnings(warnings);
        page.push(Block::Table(self.table()));
        page.push(Block::Bars(bars(
            "Quality with its 95 % interval",
            &self.targets,
            |target| target.quality,
            percent,
        )));
        page.push(Block::Bars(bars(
            "Dollars for each answer",
            &self.targets,
            |target| target.cost_usd,
            dollars,
        )));
        let differs = |target: &Summary| target.against_first;
        if self.targets.iter().any(|target| target.against_first.is_some()) {
            let title = "Quality against the first target, row by row";
            page.push(Block::Bars(bars(title, &self.targets, differs, percent)));
        }
        self.show_failures(&mut page);
        page
    }

    fn table(&self) -> Table {
        let head = [
            "target",
            "quality",
            "95 %",
            "passed",
            "format",
            "refusals",
            "errors",
            "$ each",
            "spent",
            "time",
            "p95",
            "against first",
        ];
        let mut table = Table::new(head);
        for target in &self.targets {
            let value = |estimate: Option<Estimate>, word: fn(f64) -> String| {
                estimate.map_or_else(|| "-".to_owned(), |estimate| word(estimate.value))
            };
            let range = |estimate: Option<Estimate>, word: fn(f64) -> String| {
                estimate.map_or_else(
                    || "-".to_owned(),
                    |found| format!("{} to {}", word(found.low), word(found.high)),
                )
            };
            table.push([
                target.target.clone(),
                value(target.quality, percent),
                range(target.quality, percent),
                value(target.passed, percent),
                value(target.format, percent),
                value(target.refusals, percent),
                count(target.errors as u64),
                value(target.cost_usd, dollars),
                dollars(target.spent_usd + target.judges_usd),
                value(target.total_ms, milliseconds),
                target.total_p95_ms.map_or_else(|| "-".to_owned(), milliseconds),
                range(target.against_first, percent),
            ]);
        }
        table
    }

    fn show_failures(&self, page: &mut Page) {
        let wanting = |outcome: &&Outcome| outcome.grade.as_ref().is_none_or(|grade| !grade.passed);
        let failed: Vec<&Outcome> = self.outcomes.iter().filter(wanting).collect();
        if failed.is_empty() {
            return;
        }
        page.heading("Rows that did not pass");
        let mut table = Table::new(["row", "target", "why", "answer"]);
        for outcome in failed.iter().take(SHOWN) {
            let why = match (&outcome.error, &outcome.grade) {
                (Some(error), _) => error.clone(),
                (None, Some(grade)) => {
                    let whys = grade
                        .checks
                        .iter()
                        .filter_map(|check| Some(format!("{}: {}", check.check, check.why.as_ref()?)));
                    whys.collect::<Vec<_>>().join("; ")
                }
                (None, None) => "not graded".to_owned(),
            };
            let answer = outcome.answer.as_deref().unwrap_or_default();
            let answer: String = answer
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .chars()
                .take(LONGEST_ANSWER)
                .collect();
            table.push([
                outcome.asked.row.clone(),
                outcome.asked.target.clone(),
                why.chars().take(200).collect(),
                answer,
            ]);
        }
        page.push(Block::Table(table));
        if failed.len() > SHOWN {
            page.text(format!("And {} more; --json lists them.", count((failed.len() - SHOWN) as u64)));
        }
    }
}

fn bars(
    title: &str,
    targets: &[Summary],
    figure: impl Fn(&Summary) -> Option<Estimate>,
    word: fn(f64) -> String,
) -> Bars {
    let bar = |(group, target): (usize, &Summary)| {
        let found = figure(target)?;
        Some(Bar {
            name: target.target.clone(),
            value: found.value,
            interval: Some((found.low, found.high)),
            label: word(found.value),
            group,
        })
    };
    Bars { title: title.to_owned(), bars: targets.iter().enumerate().filter_map(bar).collect() }
}
