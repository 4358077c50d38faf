//! A comparison as a page.
//!
//! Owns what is said of it. Must not compute more than sums for readers.

use super::compare::{Comparison, Difference};
use super::tally::Outcome;
use crate::page::words::{count, dollars, milliseconds, percent, signed_percent};
use crate::page::{Bar, Bars, Block, Line, Lines, Page, Scale, Table};

impl Comparison {
    /// Adds what there is to see of it to a page.
    pub fn show(&self, page: &mut Page) {
        page.heading(format!("Scenario {}", self.scenario));
        if !self.about.is_empty() {
            page.text(self.about.clone());
        }
        page.text(format!(
            "{} requests for each policy over {} of simulated time, seed {}.",
            count(self.requests),
            length(self.simulated_seconds),
            self.seed
        ));
        page.warnings(self.assumptions.clone());
        page.push(Block::Table(self.table()));
        for sentence in self.differences.iter().map(sentence) {
            page.text(sentence);
        }
        page.push(Block::Bars(self.tails()));
        page.push(Block::Lines(self.distribution()));
        if self.outcomes.iter().any(|outcome| outcome.served < outcome.requests) {
            page.push(Block::Lines(self.over_time()));
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "policy",
            "served",
            "first token p50",
            "p95",
            "p99",
            "p99.9",
            "calls each",
            "failovers",
            "hedges (won)",
            "hedge cost",
            "$ per 1,000",
        ]);
        for outcome in &self.outcomes {
            let times = &outcome.first_token_ms;
            #[expect(clippy::cast_precision_loss, reason = "figures for readers")]
            let (requests, attempts) = (outcome.requests as f64, outcome.attempts as f64);
            table.push([
                outcome.name.clone(),
                percent(outcome.served_share()),
                milliseconds(times.p50),
                milliseconds(times.p95),
                milliseconds(times.p99),
                milliseconds(times.p999),
                format!("{:.3}", attempts / requests),
                count(outcome.failovers),
                if outcome.hedges == 0 {
                    "-".to_owned()
                } else {
                    format!("{} ({})", count(outcome.hedges), count(outcome.hedges_won))
                },
                outcome.hedge_cost_share.filter(|share| *share > 0.0).map_or_else(|| "-".to_owned(), percent),
                outcome.cost_usd.map_or_else(|| "-".to_owned(), |cost| dollars(cost / requests * 1_000.0)),
            ]);
        }
        table
    }

    fn tails(&self) -> Bars {
        let bar = |(group, outcome): (usize, &Outcome)| Bar {
            name: outcome.name.clone(),
            value: outcome.first_token_ms.p99,
            interval: None,
            label: milliseconds(outcome.first_token_ms.p99),
            group,
        };
        Bars {
            title: "99th percentile of the time to first token".to_owned(),
            bars: self.outcomes.iter().enumerate().map(bar).collect(),
        }
    }

    fn distribution(&self) -> Lines {
        let line = |outcome: &Outcome| Line { name: outcome.name.clone(), points: outcome.slower_than() };
        Lines {
            title: "Share of the served requests that waited longer for their first token".to_owned(),
            across: Scale { name: "milliseconds".to_owned(), logarithmic: true, from_zero: false },
            up: Scale { name: "share that waited longer".to_owned(), logarithmic: true, from_zero: false },
            lines: self.outcomes.iter().map(line).collect(),
        }
    }

    fn over_time(&self) -> Lines {
        let line = |outcome: &Outcome| Line {
            name: outcome.name.clone(),
            points: outcome.slices.iter().map(|slice| (slice.second, slice.served * 100.0)).collect(),
        };
        Lines {
            title: "Served requests over time".to_owned(),
            across: Scale { name: "seconds".to_owned(), logarithmic: false, from_zero: true },
            up: Scale { name: "percent served".to_owned(), logarithmic: false, from_zero: true },
            lines: self.outcomes.iter().map(line).collect(),
        }
    }
}

/// By how much one policy differs, and whether that is more than luck.
fn sentence(difference: &Difference) -> String {
    let Difference { name, against, first_token_p99, interval } = difference;
    let by = signed_percent(*first_token_p99);
    match interval {
        None => format!(
            "{name}: P99 to the first token {by} against {against}; the run is too short for an interval."
        ),
        Some(interval) => {
            let (low, high) = (signed_percent(interval.low), signed_percent(interval.high));
            let verdict = match (interval.low > 0.0, interval.high < 0.0) {
                (true, _) => "slower",
                (_, true) => "quicker",
                _ => "no difference that is more than luck",
            };
            format!(
                "{name}: P99 to the first token {by} against {against} (95 % interval {low} to {high}): {verdict}."
            )
        }
    }
}

fn length(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 7_200.0 => format!("{:.1} hours", seconds / 3_600.0),
        seconds if seconds >= 120.0 => format!("{:.1} minutes", seconds / 60.0),
        seconds => format!("{seconds:.1} seconds"),
    }
}
