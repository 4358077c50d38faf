//! A replay as a page.
//!
//! Owns what is said of it. Must not compute more than sums for readers.

use super::{Replay, ShareChange};
use crate::estimate::Estimates;
use crate::page::words::{count, dollars, milliseconds, percent, signed_percent};
use crate::page::{Bar, Bars, Block, Page, Table};

/// A measure's name, its estimates and how its figures are written.
type Measure<'a> = (&'a str, &'a Option<Estimates>, fn(f64) -> String);

/// Changed decisions shown on a page; all of them are in the JSON.
const SHOWN: usize = 20;

impl Replay {
    /// What there is to see of it.
    #[must_use]
    pub fn page(&self) -> Page {
        let mut page = Page::new("Replay");
        page.text(format!(
            "{} of {} requests decided again: {} decisions change, {} of them the tier.",
            count(self.replayed),
            count(self.requests),
            count(self.changed),
            count(self.tier_changed)
        ));
        page.warnings(self.warnings.clone());
        self.show_cost(&mut page);
        page.heading("Where requests go");
        page.push(Block::Table(shares("tier", &self.tiers, self.replayed)));
        page.push(Block::Bars(bars("Requests for each tier: log, then policy", &self.tiers)));
        page.push(Block::Table(shares("deployment", &self.deployments, self.replayed)));
        self.show_estimates(&mut page);
        self.show_changes(&mut page);
        self.show_left_out(&mut page);
        page
    }

    fn show_cost(&self, page: &mut Page) {
        let cost = &self.cost;
        page.heading("Cost and time");
        let mut table = Table::new(["", "log", "policy", "difference"]);
        table.push([
            format!("cost of {} requests", count(cost.requests)),
            dollars(cost.logged_usd),
            dollars(cost.replayed_usd),
            signed_percent(cost.replayed_usd / cost.logged_usd - 1.0),
        ]);
        if let (Some(from), Some(to)) = (cost.logged_first_token_ms, cost.replayed_first_token_ms) {
            let name = "typical time to first token".to_owned();
            table.push([name, milliseconds(from), milliseconds(to), signed_percent(to / from - 1.0)]);
        }
        page.push(Block::Table(table));
    }

    fn show_estimates(&self, page: &mut Page) {
        let measures: [Measure<'_>; 4] = [
            ("served", &self.measures.served, percent),
            ("quality", &self.measures.quality, |value| format!("{value:.3}")),
            ("cost", &self.measures.cost_usd, dollars),
            ("first token", &self.measures.first_token_ms, milliseconds),
        ];
        if measures.iter().all(|(_, estimates, _)| estimates.is_none()) {
            page.text("There are too few decided requests to estimate what the policy would have brought.");
            return;
        }
        page.heading("What it would have brought, estimated from the log");
        let head = [
            "per request",
            "log",
            "doubly robust",
            "95 %",
            "SNIPS",
            "95 %",
            "clipped",
            "effective requests",
            "support",
        ];
        let mut table = Table::new(head);
        for (name, estimates, word) in measures {
            let Some(found) = estimates else { continue };
            let range = |low: f64, high: f64| format!("{} to {}", word(low), word(high));
            let (robust, snips) = (found.doubly_robust, found.snips);
            table.push([
                name.to_owned(),
                word(found.logged.value),
                word(robust.value),
                range(robust.low, robust.high),
                snips.map_or_else(|| "-".to_owned(), |snips| word(snips.value)),
                snips.map_or_else(|| "-".to_owned(), |snips| range(snips.low, snips.high)),
                found.clipped.map_or_else(|| "-".to_owned(), |clipped| word(clipped.value)),
                format!("{:.0} of {}", found.effective_size, count(found.rows as u64)),
                percent(found.support),
            ]);
        }
        page.push(Block::Table(table));
    }

    fn show_changes(&self, page: &mut Page) {
        if self.changes.is_empty() {
            return;
        }
        page.heading("Changed decisions");
        let mut table =
            Table::new(["request", "route", "log", "policy", "decided by", "cost", "expected cost"]);
        for change in self.changes.iter().take(SHOWN) {
            let to = match (&change.to, &change.to_tier) {
                (Some(to), Some(tier)) => format!("{to} ({tier})"),
                _ => "refused".to_owned(),
            };
            table.push([
                change.id.clone(),
                change.route.clone(),
                format!("{} ({})", change.from, change.from_tier),
                to,
                change.decided_by.clone(),
                change.cost_usd.map_or_else(|| "-".to_owned(), dollars),
                change.expected_cost_usd.map_or_else(|| "-".to_owned(), dollars),
            ]);
        }
        page.push(Block::Table(table));
        let more = self.changed.saturating_sub(SHOWN as u64);
        if more > 0 {
            page.text(format!("And {} more; --json lists them.", count(more)));
        }
    }

    fn show_left_out(&self, page: &mut Page) {
        if self.left_out.is_empty() {
            return;
        }
        page.heading("Left out");
        let mut table = Table::new(["because", "requests"]);
        for (why, number) in &self.left_out {
            table.push([why.clone(), count(*number)]);
        }
        page.push(Block::Table(table));
    }
}

fn shares(what: &str, changes: &[ShareChange], all: u64) -> Table {
    #[expect(clippy::cast_precision_loss, reason = "shares for readers")]
    let share = |number: u64| percent(number as f64 / all.max(1) as f64);
    let mut table = Table::new([what, "log", "share", "policy", "share"]);
    for change in changes {
        table.push([
            change.name.clone(),
            count(change.logged),
            share(change.logged),
            count(change.replayed),
            share(change.replayed),
        ]);
    }
    table
}

fn bars(title: &str, changes: &[ShareChange]) -> Bars {
    #[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
    let bar = |name: &str, number: u64, group| Bar {
        name: name.to_owned(),
        value: number as f64,
        interval: None,
        label: count(number),
        group,
    };
    let pair = |change: &ShareChange| [bar(&change.name, change.logged, 5), bar("", change.replayed, 0)];
    Bars { title: title.to_owned(), bars: changes.iter().flat_map(pair).collect() }
}
