//! A report as a page.
//!
//! Owns what is said of it. Must not compute more than shares for readers.

use super::{Report, RouteReport, WeekReport};
use crate::page::words::{count, dollars, milliseconds, percent, signed_percent};
use crate::page::{Bar, Bars, Block, Page, Table};

impl Report {
    /// What there is to see of it.
    #[must_use]
    pub fn page(&self) -> Page {
        let mut page = Page::new("What routing was worth");
        page.text(format!("{} requests from {} to {}.", count(self.requests), day(self.from), day(self.to)));
        self.routes.iter().for_each(|route| route.show(&mut page));
        if !self.providers.is_empty() {
            page.heading("Providers");
            page.push(Block::Table(self.provider_table()));
        }
        page
    }

    fn provider_table(&self) -> Table {
        let head = [
            "provider",
            "calls",
            "failed",
            "rate limited",
            "incidents",
            "calls for each",
            "minutes in incidents",
        ];
        let mut table = Table::new(head);
        for report in &self.providers {
            table.push([
                report.provider.clone(),
                count(report.calls),
                share(report.failed, report.calls),
                share(report.rate_limited, report.calls),
                count(report.incidents),
                report.calls_per_incident.map_or_else(|| "-".to_owned(), |calls| format!("{calls:.0}")),
                format!("{:.1}", report.incident_minutes),
            ]);
        }
        table
    }
}

impl RouteReport {
    fn show(&self, page: &mut Page) {
        page.heading(format!("Route {}", self.route));
        if let (Some(strong), Some(alone), Some(saved)) =
            (&self.strong, self.total.strong_usd, self.total.saved_usd)
        {
            page.text(format!(
                "Saved {} ({}) against sending the same tokens to {strong}, which would have cost {}.",
                dollars(saved),
                signed_percent(saved / alone),
                dollars(alone)
            ));
        }
        page.warnings(self.warnings.clone());
        let head = [
            "week",
            "requests",
            "served",
            "spend",
            "for each task",
            "strong alone",
            "saved",
            "beside answers",
            "prompt cache",
            "failed over",
            "first token p95",
            "gateway p99",
        ];
        let mut table = Table::new(head);
        self.weeks.iter().chain([&self.total]).for_each(|week| table.push(row(week)));
        page.push(Block::Table(table));
        if let Some(quality) = self.quality {
            page.text(format!("Measured quality {quality:.3} over {} answers.", count(self.measured)));
        }
        self.shadows.iter().for_each(|shadow| page.text(shadow.words()));
        page.push(Block::Bars(self.spending()));
        page.push(Block::Bars(self.answers()));
    }

    fn spending(&self) -> Bars {
        let bars = self.weeks.iter().flat_map(|week| {
            let bar = |name: String, value: f64, group| Bar {
                name,
                value,
                interval: None,
                label: dollars(value),
                group,
            };
            let spent = bar(week.week.clone(), week.spend_usd, 0);
            std::iter::once(spent)
                .chain(week.strong_usd.map(|alone| bar("strong alone".to_owned(), alone, 5)))
        });
        Bars {
            title: "Spending by week, beside what the strong deployment alone would have cost".to_owned(),
            bars: bars.collect(),
        }
    }

    fn answers(&self) -> Bars {
        let bar = |(name, share): (&String, &f64)| Bar {
            name: name.clone(),
            value: *share,
            interval: None,
            label: percent(*share),
            group: 2,
        };
        Bars { title: "Who answered".to_owned(), bars: self.deployments.iter().map(bar).collect() }
    }
}

fn row(week: &WeekReport) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        week.week.clone(),
        count(week.requests),
        share(week.served, week.served + week.failed),
        dollars(week.spend_usd),
        week.spend_per_task_usd.map_or_else(dash, dollars),
        week.strong_usd.map_or_else(dash, dollars),
        week.saved_usd.map_or_else(dash, dollars),
        dollars(week.overhead_usd),
        dollars(week.prompt_cache_saved_usd),
        share(week.failed_over, week.requests),
        week.first_token_p95_ms.map_or_else(dash, milliseconds),
        #[expect(clippy::cast_precision_loss, reason = "a time for readers")]
        milliseconds(week.overhead_p99_us as f64 / 1_000.0),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a share for readers")]
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { percent(part as f64 / whole as f64) }
}

fn day(unix_milliseconds: u64) -> String {
    let milliseconds = i64::try_from(unix_milliseconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}
