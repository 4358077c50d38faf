//! How often a provider failed.
//!
//! Owns incidents: three failures in a row that another caller would have seen too, until the next success or ten quiet minutes.
//! Must not count what the request or a limit of ours caused.

use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use trunkline_model::failure::FailureClass;
use trunkline_model::record::{AttemptRecord, RequestRecord};

/// One provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProviderReport {
    /// Its name.
    pub provider: String,
    /// Calls.
    pub calls: u64,
    /// Calls that it failed.
    pub failed: u64,
    /// Calls it answered with a rate limit.
    pub rate_limited: u64,
    /// Times it failed at least three calls in a row.
    pub incidents: u64,
    /// Minutes from the first to the last failure of them.
    pub incident_minutes: f64,
    /// Calls for each incident; `None` without one.
    pub calls_per_incident: Option<f64>,
}

/// Failures in a row that make an incident.
const IN_A_ROW: u32 = 3;
/// A pause after which failures belong to another incident, in microseconds.
const PAUSE: u64 = 600_000_000;

/// A run of failures of one provider.
#[derive(Default)]
struct Row {
    failures: u32,
    first: u64,
    last: u64,
}

pub(super) fn providers(records: &[RequestRecord]) -> Vec<ProviderReport> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    for record in records {
        if let (Some(deployment), Some(provider)) = (&record.deployment, &record.provider) {
            names.insert(deployment, provider);
        }
    }
    // A deployment that never answered is named after its provider, unless the configuration says otherwise.
    let provider = |deployment: &'_ str| -> String {
        let named = names.get(deployment).copied();
        named.or_else(|| deployment.split('/').next()).unwrap_or(deployment).to_owned()
    };
    let mut calls: Vec<(u64, String, &AttemptRecord)> = records
        .iter()
        .flat_map(|record| {
            let arrived = record.id.unix_milliseconds() * 1_000;
            record.attempts.iter().map(move |attempt| (arrived + attempt.started_us, attempt))
        })
        .map(|(at, attempt)| (at, provider(&attempt.deployment), attempt))
        .collect();
    calls.sort_by_key(|(at, _, _)| *at);
    let mut reports: BTreeMap<String, (ProviderReport, Row)> = BTreeMap::new();
    for (at, provider, attempt) in calls {
        let (report, row) = reports.entry(provider).or_default();
        report.calls += 1;
        match attempt.failure {
            None => close(report, row),
            Some(FailureClass::RateLimited) => report.rate_limited += 1,
            Some(class) if is_incident(class) => {
                report.failed += 1;
                if row.failures > 0 && at.saturating_sub(row.last) > PAUSE {
                    close(report, row);
                }
                if row.failures == 0 {
                    row.first = at;
                }
                row.failures += 1;
                row.last = at;
            }
            Some(_) => {}
        }
    }
    reports
        .into_iter()
        .map(|(provider, (mut report, mut row))| {
            close(&mut report, &mut row);
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
            let rate = report.calls as f64 / report.incidents as f64;
            report.calls_per_incident = (report.incidents > 0).then_some(rate);
            ProviderReport { provider, ..report }
        })
        .collect()
}

fn close(report: &mut ProviderReport, row: &mut Row) {
    if row.failures >= IN_A_ROW {
        report.incidents += 1;
        #[expect(clippy::cast_precision_loss, reason = "minutes for readers")]
        let minutes = (row.last - row.first) as f64 / 60e6;
        report.incident_minutes += minutes;
    }
    *row = Row::default();
}

const fn is_incident(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Resolve
            | FailureClass::Connect
            | FailureClass::Tls
            | FailureClass::Server
            | FailureClass::Overloaded
            | FailureClass::ConnectTimeout
            | FailureClass::FirstTokenTimeout
            | FailureClass::Stall
            | FailureClass::Cut
            | FailureClass::Malformed
    )
}
