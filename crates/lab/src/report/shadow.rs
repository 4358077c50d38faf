//! A candidate against what was served.
//!
//! Owns the sums over the copies of a route's requests. Every comparison is over pairs: a copy that failed or whose price is not
//! known is counted and left out of both sides. Must not compare texts: the gateway did, and the record says what it found.

use super::week::{quantile, sorted};
use crate::estimate::{Estimate, Settings, mean_of, share_of};
use crate::page::words::{count, dollars, milliseconds, percent};
use serde::Serialize;
use std::collections::BTreeMap;
use trunkline_model::comparison::Comparison;
use trunkline_model::money::{Cost, CostConfidence, NanoDollars};
use trunkline_model::record::{Outcome, RequestRecord};

/// Copies without which the interval says too little.
const FEW: u64 = 50;

/// One candidate of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShadowReport {
    /// The candidate.
    pub deployment: String,
    /// Copies that were sent.
    pub copies: u64,
    /// Copies that the candidate answered.
    pub answered: u64,
    /// What they cost in dollars, as far as known.
    pub spend_usd: f64,
    /// The share of the answered copies that agree with what was served.
    pub agreement: Option<Estimate>,
    /// The mean similarity with it, 0 to 1.
    pub similarity: Option<f64>,
    /// Dollars for a copy; over pairs of which both prices are known.
    pub cost_usd: Option<f64>,
    /// Dollars for what was served, over the same pairs.
    pub served_cost_usd: Option<f64>,
    /// Dollars that a copy cost more than what was served.
    pub dearer_usd: Option<Estimate>,
    /// Milliseconds that the candidate took: the median and the 95th percentile.
    pub total_ms: Option<[f64; 2]>,
    /// Those that the served answers took.
    pub served_total_ms: Option<[f64; 2]>,
    /// The share of its answers in the form that was asked for, where one was.
    pub in_form: Option<Estimate>,
    /// That share of what was served, over the same requests.
    pub served_in_form: Option<Estimate>,
    /// The share of its answers that ended as what was served did.
    pub same_finish: Option<f64>,
}

/// The candidates of a route, by name.
pub(super) fn shadows(records: &[&RequestRecord]) -> Vec<ShadowReport> {
    let mut by_candidate: BTreeMap<&str, Vec<(&RequestRecord, &Comparison)>> = BTreeMap::new();
    for record in records {
        if let (Some(deployment), Some(comparison)) = (&record.deployment, &record.shadow) {
            by_candidate.entry(deployment).or_default().push((record, comparison));
        }
    }
    by_candidate.into_iter().map(|(deployment, copies)| shadow(deployment, &copies)).collect()
}

fn shadow(deployment: &str, copies: &[(&RequestRecord, &Comparison)]) -> ShadowReport {
    let answered: Vec<&(&RequestRecord, &Comparison)> =
        copies.iter().filter(|(record, _)| record.outcome == Outcome::Served).collect();
    let agreements: Vec<bool> = answered.iter().filter_map(|(_, comparison)| comparison.agreed).collect();
    let similarities: Vec<f64> =
        answered.iter().filter_map(|(_, comparison)| comparison.similarity).collect();
    let costs: Vec<(f64, f64)> = answered
        .iter()
        .filter_map(|(record, comparison)| Some((known(record.cost)?, known(comparison.served.cost)?)))
        .collect();
    let times: Vec<(u64, u64)> = answered
        .iter()
        .filter_map(|(record, comparison)| {
            Some((record.attempts.last()?.phases.total_us, comparison.served.total_us?))
        })
        .collect();
    let forms: Vec<(bool, bool)> = answered
        .iter()
        .filter_map(|(_, comparison)| Some((comparison.in_form?, comparison.served.in_form?)))
        .collect();
    let finishes: Vec<f64> = answered
        .iter()
        .filter(|(record, comparison)| record.finish.is_some() && comparison.served.finish.is_some())
        .map(|(record, comparison)| f64::from(u8::from(record.finish == comparison.served.finish)))
        .collect();
    let dearer: Vec<f64> = costs.iter().map(|(candidate, served)| candidate - served).collect();
    let amount = |record: &RequestRecord| record.cost.amount.map_or(0.0, NanoDollars::to_f64);
    ShadowReport {
        deployment: deployment.to_owned(),
        copies: copies.len() as u64,
        answered: answered.len() as u64,
        spend_usd: copies.iter().map(|(record, _)| amount(record)).sum(),
        agreement: share(&agreements),
        similarity: mean(&similarities),
        cost_usd: mean(&costs.iter().map(|(candidate, _)| *candidate).collect::<Vec<_>>()),
        served_cost_usd: mean(&costs.iter().map(|(_, served)| *served).collect::<Vec<_>>()),
        dearer_usd: mean_of(&dearer, &Settings::default()),
        total_ms: spread(times.iter().map(|(candidate, _)| *candidate)),
        served_total_ms: spread(times.iter().map(|(_, served)| *served)),
        in_form: share(&forms.iter().map(|(candidate, _)| *candidate).collect::<Vec<_>>()),
        served_in_form: share(&forms.iter().map(|(_, served)| *served).collect::<Vec<_>>()),
        same_finish: mean(&finishes),
    }
}

/// An amount that is fully known, in dollars.
fn known(cost: Cost) -> Option<f64> {
    cost.amount.filter(|_| cost.confidence != CostConfidence::Unknown).map(NanoDollars::to_f64)
}

fn share(hits: &[bool]) -> Option<Estimate> {
    share_of(hits.iter().filter(|hit| **hit).count(), hits.len())
}

fn mean(values: &[f64]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    let count = values.len() as f64;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)
}

/// The median and the 95th percentile of some microseconds, in milliseconds.
fn spread(micros: impl Iterator<Item = u64>) -> Option<[f64; 2]> {
    let sorted = sorted(micros);
    #[expect(clippy::cast_precision_loss, reason = "a time for readers")]
    let at = |percent| quantile(&sorted, percent).map(|micros| micros as f64 / 1_000.0);
    Some([at(50)?, at(95)?])
}

impl ShadowReport {
    /// What is said of it, in one paragraph.
    pub(super) fn words(&self) -> String {
        let mut text = format!(
            "Shadow {}: {} copies, {} answered, for {} in all.",
            self.deployment,
            count(self.copies),
            count(self.answered),
            dollars(self.spend_usd)
        );
        if let Some(agreement) = self.agreement {
            text += &format!(" It agrees with what was served in {}.", interval(agreement, percent));
        }
        if let (Some(cost), Some(served), Some(dearer)) =
            (self.cost_usd, self.served_cost_usd, self.dearer_usd)
        {
            text += &format!(
                " An answer costs {} against {}: {}.",
                dollars(cost),
                dollars(served),
                compared(dearer)
            );
        }
        if let (Some([median, slow]), Some([served, served_slow])) = (self.total_ms, self.served_total_ms) {
            text += &format!(
                " It takes {} against {} (median), {} against {} (95th percentile).",
                milliseconds(median),
                milliseconds(served),
                milliseconds(slow),
                milliseconds(served_slow)
            );
        }
        if let (Some(form), Some(served)) = (self.in_form, self.served_in_form) {
            text += &format!(
                " In the form asked for: {} against {}.",
                interval(form, percent),
                interval(served, percent)
            );
        }
        if let Some(same) = self.same_finish.filter(|same| *same < 1.0) {
            text += &format!(" {} of the answers ended another way.", percent(1.0 - same));
        }
        if self.answered < FEW {
            text += " That is too few to decide on.";
        }
        text
    }
}

fn interval(estimate: Estimate, words: fn(f64) -> String) -> String {
    format!("{} ({} to {})", words(estimate.value), words(estimate.low), words(estimate.high))
}

/// More or less, and how sure that is.
fn compared(dearer: Estimate) -> String {
    let (word, sign) = if dearer.value > 0.0 { ("more", 1.0) } else { ("less", -1.0) };
    let ends = [dearer.low * sign, dearer.high * sign];
    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let value = dollars(dearer.value * sign);
    format!("{value} {word} each ({} to {})", dollars(low), dollars(high))
}
