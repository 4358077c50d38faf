//! What routing was worth: money, success and incidents by route, week and provider, and what a good consultant would say of it.
//!
//! Owns the sums over the record, the comparison with the strongest deployment alone, incidents, and the warnings. Must not know
//! prices: the caller gives a function. What is not known is said, never taken for zero: a request without a known cost is counted
//! apart and left out of both sides of the comparison.

mod advice;
mod provider;
mod shadow;
mod show;
mod week;

pub use provider::ProviderReport;
pub use shadow::ShadowReport;
pub use week::WeekReport;

use crate::past::answer;
use provider::providers;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;
use trunkline_model::usage::Usage;

/// What a report is made from beside the record.
pub struct Inputs<'a> {
    /// Dollars for tokens at a deployment, by its name; `None` when nobody knows.
    pub price: &'a dyn Fn(&str, &Usage) -> Option<f64>,
    /// The deployments of a route by name, where the configuration is known; otherwise those the log shows.
    pub deployments: &'a dyn Fn(&str) -> Option<Vec<String>>,
    /// The deployment that everything is compared with; when not said, the dearest of each route.
    pub strong: Option<&'a str>,
    /// Measured qualities of answers, 0 to 1.
    pub scores: &'a HashMap<RequestId, f64>,
}

/// What routing was worth.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When the first request came, Unix milliseconds.
    pub from: u64,
    /// When the last one came.
    pub to: u64,
    /// Requests.
    pub requests: u64,
    /// By route, the dearest first.
    pub routes: Vec<RouteReport>,
    /// By provider.
    pub providers: Vec<ProviderReport>,
}

/// One route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteReport {
    /// Its name.
    pub route: String,
    /// The deployment it is compared with.
    pub strong: Option<String>,
    /// All weeks together.
    pub total: WeekReport,
    /// Week by week.
    pub weeks: Vec<WeekReport>,
    /// The share of its answers that each provider gave.
    pub providers: BTreeMap<String, f64>,
    /// The share of its answers that each deployment gave.
    pub deployments: BTreeMap<String, f64>,
    /// How many answers were measured.
    pub measured: u64,
    /// The mean measured quality, 0 to 1.
    pub quality: Option<f64>,
    /// Candidates that got copies of its requests, against what was served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<ShadowReport>,
    /// What deserves attention.
    pub warnings: Vec<String>,
}

/// Makes a report of records, in any order.
#[must_use]
pub fn report(records: &[RequestRecord], inputs: &Inputs<'_>) -> Report {
    let times = records.iter().map(|record| record.id.unix_milliseconds());
    let mut by_route: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
    // Copies are nobody's requests: they are told apart and count in no sum of the route.
    let mut copies: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
    for record in records {
        let Some(route) = &record.route else { continue };
        let target = if record.shadow.is_some() { &mut copies } else { &mut by_route };
        target.entry(route).or_default().push(record);
    }
    let mut routes: Vec<RouteReport> =
        by_route.into_iter().map(|(route, records)| route_report(route, &records, inputs)).collect();
    for route in &mut routes {
        route.shadows = shadow::shadows(copies.get(&*route.route).map_or(&[], Vec::as_slice));
    }
    routes.sort_by(|one, other| other.total.spend_usd.total_cmp(&one.total.spend_usd));
    Report {
        from: times.clone().min().unwrap_or(0),
        to: times.max().unwrap_or(0),
        requests: records.iter().filter(|record| record.shadow.is_none()).count() as u64,
        routes,
        providers: providers(records),
    }
}

fn route_report(route: &str, records: &[&RequestRecord], inputs: &Inputs<'_>) -> RouteReport {
    let strong = strong(route, records, inputs);
    let mut weeks: BTreeMap<String, Vec<&RequestRecord>> = BTreeMap::new();
    for record in records {
        weeks.entry(week::name(record.id.unix_milliseconds())).or_default().push(record);
    }
    let sum = |name: String, records: &[&RequestRecord]| week::sum(name, records, strong.as_deref(), inputs);
    let scores: Vec<f64> =
        records.iter().filter_map(|record| inputs.scores.get(&record.id).copied()).collect();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    let quality = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
    let mut report = RouteReport {
        route: route.to_owned(),
        total: sum("all".to_owned(), records),
        weeks: weeks.into_iter().map(|(name, records)| sum(name, &records)).collect(),
        providers: shares(records, |record| record.provider.as_deref()),
        deployments: shares(records, |record| record.deployment.as_deref()),
        measured: scores.len() as u64,
        quality,
        strong,
        shadows: Vec::new(),
        warnings: Vec::new(),
    };
    report.warnings = advice::warnings(&report, records);
    report
}

/// The deployment to compare with: the dearest of the route for a usual request.
fn strong(route: &str, records: &[&RequestRecord], inputs: &Inputs<'_>) -> Option<String> {
    if let Some(strong) = inputs.strong {
        return Some(strong.to_owned());
    }
    let usual = Usage { input: 1_000, output: 400, ..Usage::default() };
    let seen = || {
        let names: HashSet<&str> = records.iter().filter_map(|record| record.deployment.as_deref()).collect();
        names.into_iter().map(str::to_owned).collect()
    };
    let mut candidates: Vec<String> = (inputs.deployments)(route).unwrap_or_else(seen);
    candidates.sort();
    let priced = candidates.into_iter().filter_map(|name| Some(((inputs.price)(&name, &usual)?, name)));
    priced.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, name)| name)
}

fn shares<'a>(
    records: &[&'a RequestRecord],
    name: impl Fn(&'a RequestRecord) -> Option<&'a str>,
) -> BTreeMap<String, f64> {
    let answered = records.iter().filter(|record| answer(record).is_some());
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut all = 0.0;
    for name in answered.filter_map(|record| name(record)) {
        *counts.entry(name.to_owned()).or_default() += 1.0;
        all += 1.0;
    }
    counts.values_mut().for_each(|count| *count /= all);
    counts
}

#[cfg(test)]
mod tests;
