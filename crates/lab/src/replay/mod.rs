//! The request log against another policy.
//!
//! Owns deciding every past request again and the comparison of both decisions. Must not call anybody: what the other policy's
//! choices would have brought is estimated from what the log shows of the same deployments, and it says where the log shows
//! nothing. It is the gateway's own `decide` with the request's own seed, so that an unchanged policy changes no decision.
//!
//! What the log does not hold cannot be replayed, and such requests are left out by name rather than guessed: the prompt's text
//! where its route did not keep it (for steps that read it), preferences and metadata in the body, headers. How busy each deployment was is not kept either: whether
//! it could serve is, so tiers are replayed exactly and the choice within a tier as at equal load.

mod again;
mod judge;
mod known;
mod show;

pub use again::{Change, Decided};
pub use judge::{Measures, Money, ShareChange};

use crate::estimate;
use again::{Again, redecide};
use known::Known;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use trunkline_config::Snapshot;
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;

/// How to replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    /// How to estimate.
    pub estimate: estimate::Settings,
    /// Most changed decisions that are listed.
    pub listed: usize,
}

/// What a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// Requests of the log.
    pub requests: u64,
    /// Those that were decided again.
    pub replayed: u64,
    /// The others, by why they were not.
    pub left_out: BTreeMap<String, u64>,
    /// Decisions whose first deployment or tier is another one.
    pub changed: u64,
    /// Those of them whose tier is another one.
    pub tier_changed: u64,
    /// Requests that the policy would refuse.
    pub refused: u64,
    /// How requests spread over tiers.
    pub tiers: Vec<ShareChange>,
    /// How requests spread over deployments.
    pub deployments: Vec<ShareChange>,
    /// What it would have cost.
    pub cost: Money,
    /// What it would have brought.
    pub measures: Measures,
    /// What the reader should know before believing a figure.
    pub warnings: Vec<String>,
    /// Changed decisions, newest first.
    pub changes: Vec<Change>,
    /// Changed decisions beyond those listed.
    pub changes_more: u64,
}

/// Decides past requests again under another policy. `scores` are measured qualities of answers, 0 to 1; `prompts` gives the text
/// that was kept of a request's last turn, where it was. `progress` is told how many records are done.
#[must_use]
pub fn replay(
    records: &[RequestRecord],
    policy: &Snapshot,
    scores: &HashMap<RequestId, f64>,
    prompts: &dyn Fn(RequestId) -> Option<String>,
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Replay {
    let known = Known::of(records, scores);
    let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
    let mut decided: Vec<(&RequestRecord, Decided)> = Vec::with_capacity(records.len());
    for (number, record) in records.iter().enumerate() {
        match redecide(record, policy, prompts) {
            Again::Decided(one) => decided.push((record, *one)),
            Again::LeftOut(why) => *left_out.entry(why.into_owned()).or_default() += 1,
        }
        if number % 1_024 == 0 {
            progress(number as u64);
        }
    }
    let mut changes: Vec<Change> =
        decided.iter().filter_map(|(record, one)| again::change(record, one, policy, &known)).collect();
    let (changed, tier_changed) =
        (changes.len() as u64, changes.iter().filter(|change| change.changes_tier()).count() as u64);
    changes.reverse();
    changes.truncate(settings.listed);
    let measures = judge::measures(&decided, scores, &settings.estimate);
    let mut replay = Replay {
        requests: records.len() as u64,
        replayed: decided.len() as u64,
        changed,
        tier_changed,
        refused: decided.iter().filter(|(_, one)| one.to.is_none()).count() as u64,
        tiers: judge::tiers(&decided),
        deployments: judge::deployments(&decided),
        cost: judge::money(&decided, policy, &known),
        measures,
        warnings: Vec::new(),
        changes_more: changed - changes.len() as u64,
        changes,
        left_out,
    };
    replay.warnings = judge::warnings(&replay, &decided);
    replay
}

#[cfg(test)]
mod tests;
