//! What the other decisions would have brought.
//!
//! Owns sums, shares, the rows of the estimators and the warnings. Must not decide.

use super::Replay;
use super::again::Decided;
use super::known::Known;
use crate::estimate::{self, Estimates, Row, estimate};
use crate::page::words::{count, percent};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use trunkline_config::Snapshot;
use trunkline_model::dialect::Delivery;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::record::{Outcome, RequestRecord};

/// How many requests went or would go somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShareChange {
    /// The tier or deployment.
    pub name: String,
    /// By the log's decisions.
    pub logged: u64,
    /// By the policy's.
    pub replayed: u64,
}

/// Cost in dollars, over the requests whose cost is known on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Money {
    /// What they cost.
    pub logged_usd: f64,
    /// What they would have cost.
    pub replayed_usd: f64,
    /// How many they are.
    pub requests: u64,
    /// How many there are beside them, refused or without a price.
    pub unknown: u64,
    /// Typical milliseconds to the first token of the log's first choices, where known on both sides.
    pub logged_first_token_ms: Option<f64>,
    /// The same of the policy's.
    pub replayed_first_token_ms: Option<f64>,
}

/// Off-policy estimates of what the policy would have brought per request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measures {
    /// The share of requests that were answered whole.
    pub served: Option<Estimates>,
    /// Measured quality, 0 to 1; of the requests that have a score.
    pub quality: Option<Estimates>,
    /// Dollars.
    pub cost_usd: Option<Estimates>,
    /// Milliseconds to the first token, of the requests that were answered.
    pub first_token_ms: Option<Estimates>,
}

type Pair<'a> = (&'a RequestRecord, Decided);

/// Rows without which an estimate is not worth printing.
const LEAST_ROWS: usize = 30;
/// Effective rows below which an estimate deserves a warning.
const FEW_ROWS: f64 = 100.0;

pub(super) fn tiers(decided: &[Pair<'_>]) -> Vec<ShareChange> {
    shares(decided, |one| {
        let to = one.to.as_ref().map_or("(refused)", |(_, tier)| &**tier);
        (one.from_tier.to_string(), to.to_owned())
    })
}

pub(super) fn deployments(decided: &[Pair<'_>]) -> Vec<ShareChange> {
    shares(decided, |one| {
        let to = one.to.as_ref().map_or("(refused)", |(to, _)| &**to);
        (one.from.to_string(), to.to_owned())
    })
}

fn shares(decided: &[Pair<'_>], names: impl Fn(&Decided) -> (String, String)) -> Vec<ShareChange> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (_, one) in decided {
        let (from, to) = names(one);
        counts.entry(from).or_default().0 += 1;
        counts.entry(to).or_default().1 += 1;
    }
    counts.into_iter().map(|(name, (logged, replayed))| ShareChange { name, logged, replayed }).collect()
}

pub(super) fn money(decided: &[Pair<'_>], policy: &Snapshot, known: &Known) -> Money {
    let mut money = Money::default();
    let mut times = (0.0, 0.0, 0.0);
    for (record, one) in decided {
        let Some((to, _)) = &one.to else {
            money.unknown += 1;
            continue;
        };
        match (record.cost.amount, known.cost(record, to, policy)) {
            (Some(logged), Some(replayed)) => {
                money.requests += 1;
                money.logged_usd += logged.to_f64();
                money.replayed_usd += replayed;
            }
            _ => money.unknown += 1,
        }
        if let (Some(from), Some(to)) = (known.first_token_ms(&one.from), known.first_token_ms(to)) {
            times = (times.0 + from, times.1 + to, times.2 + 1.0);
        }
    }
    if times.2 > 0.0 {
        money.logged_first_token_ms = Some(times.0 / times.2);
        money.replayed_first_token_ms = Some(times.1 / times.2);
    }
    money
}

pub(super) fn measures(
    decided: &[Pair<'_>],
    scores: &HashMap<RequestId, f64>,
    settings: &estimate::Settings,
) -> Measures {
    let by = |reward: &dyn Fn(&RequestRecord) -> Option<f64>| {
        let rows = rows(decided, reward);
        if rows.len() < LEAST_ROWS { None } else { estimate(&rows, settings).ok() }
    };
    Measures {
        served: by(&|record| match record.outcome {
            Outcome::Served => Some(1.0),
            Outcome::Failed | Outcome::BrokenOff => Some(0.0),
            // Neither says anything of a deployment.
            Outcome::Refused | Outcome::ClientGone => None,
        }),
        quality: by(&|record| scores.get(&record.id).copied()),
        cost_usd: by(&|record| record.cost.amount.map(trunkline_model::money::NanoDollars::to_f64)),
        first_token_ms: by(&|record| {
            #[expect(clippy::cast_precision_loss, reason = "a time for readers")]
            let milliseconds = |micros: u64| micros as f64 / 1_000.0;
            let is_stream = record.delivery == Delivery::Stream;
            record.first_token_us.filter(|_| is_stream && record.outcome == Outcome::Served).map(milliseconds)
        }),
    }
}

fn rows(decided: &[Pair<'_>], reward: &dyn Fn(&RequestRecord) -> Option<f64>) -> Vec<Row> {
    let names: BTreeSet<&Name> = decided
        .iter()
        .flat_map(|(_, one)| one.target.iter().map(|(name, _)| name).chain(std::iter::once(&one.from)))
        .collect();
    let places: HashMap<&Name, usize> =
        names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let row = |(record, one): &Pair<'_>| {
        let mut target = vec![0.0; names.len()];
        for (name, share) in &one.target {
            target[places[name]] += share;
        }
        let propensity = one.propensity.clamp(0.0, 1.0);
        Some(Row {
            context: one.context.clone(),
            action: places[&one.from],
            reward: reward(record)?,
            propensity: (propensity > 0.0).then_some(propensity)?,
            target,
        })
    };
    // A refused request has no choice to judge.
    decided.iter().filter(|(_, one)| !one.target.is_empty()).filter_map(row).collect()
}

pub(super) fn warnings(replay: &Replay, decided: &[Pair<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    let left_out: u64 = replay.left_out.values().sum();
    if let Some((why, most)) = replay.left_out.iter().max_by_key(|(_, count)| **count) {
        warnings.push(format!(
            "{} of {} requests are left out; most of them ({}) because {why}",
            count(left_out),
            count(replay.requests),
            count(*most)
        ));
    }
    if replay.refused > 0 {
        warnings
            .push(format!("the policy would refuse {} requests that were decided", count(replay.refused)));
    }
    let sure = decided.iter().filter(|(_, one)| one.propensity >= 0.999).count();
    if replay.changed > 0 && sure == decided.len() {
        warnings.push(
            "the log explored nothing: every decision was certain, so that estimates for changed decisions rest on the model \
             of other requests alone; let a small share be decided at random to know"
                .to_owned(),
        );
    }
    if let Some(served) = &replay.measures.served {
        if served.support < 0.99 {
            warnings.push(format!(
                "{} of the policy's choices are deployments that the log never tried",
                percent(1.0 - served.support)
            ));
        }
        if served.effective_size < FEW_ROWS {
            warnings.push(format!(
                "the estimates rest on the equivalent of {:.0} requests: their intervals are wide, or too good to be true",
                served.effective_size
            ));
        }
    }
    if replay.measures.quality.is_none() && replay.changed > 0 {
        warnings.push(
            "quality is not known: give measured scores with --scores, or evaluate the deployments on a golden data set".to_owned(),
        );
    }
    if replay.cost.unknown > 0 {
        warnings
            .push(format!("the cost of {} requests is not known on both sides", count(replay.cost.unknown)));
    }
    warnings
}
