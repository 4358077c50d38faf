//! A week of a route in figures.
//!
//! Owns the sums. Weeks are those of ISO 8601 in UTC, so that reports of different machines agree.

use super::Inputs;
use crate::past::answer;
use serde::Serialize;
use std::collections::HashSet;
use trunkline_model::dialect::Delivery;
use trunkline_model::record::{AttemptKind, Outcome, RequestRecord};
use trunkline_model::usage::Usage;

/// A week of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WeekReport {
    /// `2026-W47`, or `all`.
    pub week: String,
    /// Requests.
    pub requests: u64,
    /// Tasks: sessions, and requests outside any session.
    pub tasks: u64,
    /// Requests that were answered whole.
    pub served: u64,
    /// Requests that failed or broke off: not those refused here, nor those whose client went away.
    pub failed: u64,
    /// Dollars, as far as they are known.
    pub spend_usd: f64,
    /// Requests whose cost is not fully known.
    pub unknown_cost: u64,
    /// Dollars for each task.
    pub spend_per_task_usd: Option<f64>,
    /// What the strong deployment alone would have cost for the same tokens; `None` without its price.
    pub strong_usd: Option<f64>,
    /// What was saved against it.
    pub saved_usd: Option<f64>,
    /// Spending on calls that did not answer: failed ones, lost hedges, checks.
    pub overhead_usd: f64,
    /// What the providers' prompt caches saved against uncached prompts.
    pub prompt_cache_saved_usd: f64,
    /// Requests that took a call to another deployment.
    pub failed_over: u64,
    /// Hedges.
    pub hedges: u64,
    /// Hedges that answered.
    pub hedges_won: u64,
    /// The median of the microseconds spent in the gateway.
    pub overhead_p50_us: u64,
    /// Their 99th percentile.
    pub overhead_p99_us: u64,
    /// The 95th percentile of the milliseconds to the first token.
    pub first_token_p95_ms: Option<f64>,
}

/// The name of the week of a moment.
pub(super) fn name(unix_milliseconds: u64) -> String {
    let milliseconds = i64::try_from(unix_milliseconds).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(time) => {
            let week = time.to_zoned(jiff::tz::TimeZone::UTC).date().iso_week_date();
            format!("{}-W{:02}", week.year(), week.week())
        }
        Err(_) => "unknown".to_owned(),
    }
}

pub(super) fn sum(
    week: String,
    records: &[&RequestRecord],
    strong: Option<&str>,
    inputs: &Inputs<'_>,
) -> WeekReport {
    let mut sums = WeekReport { week, requests: records.len() as u64, ..WeekReport::default() };
    let mut sessions: HashSet<&str> = HashSet::new();
    // Both sides of the comparison over the same requests.
    let (mut compared, mut counterfactual, mut priced) = (0.0, 0.0, false);
    for record in records {
        match record.outcome {
            Outcome::Served => sums.served += 1,
            Outcome::Failed | Outcome::BrokenOff => sums.failed += 1,
            Outcome::Refused | Outcome::ClientGone => {}
        }
        match &record.session {
            Some(session) => {
                sessions.insert(session);
            }
            None => sums.tasks += 1,
        }
        add_attempts(&mut sums, record, inputs);
        let cost = record.cost.amount.map(trunkline_model::money::NanoDollars::to_f64);
        let known = record.cost.confidence != trunkline_model::money::CostConfidence::Unknown;
        sums.spend_usd += cost.unwrap_or(0.0);
        if !known {
            sums.unknown_cost += 1;
        }
        let strong = strong.and_then(|strong| (inputs.price)(strong, &answer(record)?.usage));
        if let (Some(cost), Some(strong), true) = (cost, strong, known) {
            compared += cost;
            counterfactual += strong;
            priced = true;
        }
    }
    sums.tasks += sessions.len() as u64;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    let tasks = sums.tasks as f64;
    sums.spend_per_task_usd = (sums.tasks > 0).then(|| sums.spend_usd / tasks);
    sums.strong_usd = priced.then_some(counterfactual);
    sums.saved_usd = priced.then_some(counterfactual - compared);
    let overheads =
        sorted(records.iter().filter(|record| answer(record).is_some()).map(|record| record.overhead_us));
    sums.overhead_p50_us = quantile(&overheads, 50).unwrap_or(0);
    sums.overhead_p99_us = quantile(&overheads, 99).unwrap_or(0);
    let streams = records.iter().filter(|record| record.delivery == Delivery::Stream);
    let firsts = sorted(streams.filter_map(|record| record.first_token_us));
    #[expect(clippy::cast_precision_loss, reason = "a time for readers")]
    let milliseconds = |micros: u64| micros as f64 / 1_000.0;
    sums.first_token_p95_ms = quantile(&firsts, 95).map(milliseconds);
    sums
}

fn add_attempts(sums: &mut WeekReport, record: &RequestRecord, inputs: &Inputs<'_>) {
    let answering = answer(record);
    for attempt in &record.attempts {
        let won = answering.is_some_and(|answering| std::ptr::eq(answering, attempt));
        if attempt.kind == AttemptKind::Hedge {
            sums.hedges += 1;
            sums.hedges_won += u64::from(won);
        }
        if !won {
            sums.overhead_usd += attempt.cost.amount.map_or(0.0, trunkline_model::money::NanoDollars::to_f64);
        }
        let usage = &attempt.usage;
        if usage.cache_read > 0 {
            let uncached = Usage { input: usage.input + usage.cache_read, cache_read: 0, ..*usage };
            if let (Some(with), Some(without)) =
                ((inputs.price)(&attempt.deployment, usage), (inputs.price)(&attempt.deployment, &uncached))
            {
                sums.prompt_cache_saved_usd += without - with;
            }
        }
    }
    if record.attempts.iter().any(|attempt| attempt.kind == AttemptKind::Failover) {
        sums.failed_over += 1;
    }
}

pub(super) fn sorted(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values
}

pub(super) fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
