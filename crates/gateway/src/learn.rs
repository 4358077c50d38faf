//! What a finished request teaches the step that chose for it, and what is remembered of sessions.
//!
//! Owns telling a bandit how its choice ended and what was said of it, what is kept of bandits and of prompts, and the bounded book of sessions. Must not judge answers: without a judge or feedback an
//! answer that was served by the chosen tier is good and anything else of the provider's making is not. A client that went away
//! teaches nothing.

use crate::admit::Admitted;
use crate::prompt::BodyPrompt;
use crate::state::Gateway;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use trunkline_config::Snapshot;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::record::{Outcome as Ended, RequestRecord};
use trunkline_route::caller::SessionHistory;
use trunkline_route::decision::{DecidedBy, Decision};
use trunkline_route::explain::Explanation;
use trunkline_route::features::{Feature, Prompt};
use trunkline_route::learned::KeptPrompt;
use trunkline_route::policy::Route;
use trunkline_route::steps::{ArmStatistics, Bandit, Outcome, SEEN, SavedArms, Step, StepKind};
use trunkline_store::{StoredArms, StoredPrompt};

/// The most sessions remembered.
const MOST_SESSIONS: usize = 20_000;

/// A bandit's choice, to be told how it ended.
pub(crate) struct Choice {
    statistics: Arc<ArmStatistics>,
    arm: usize,
    tier: Name,
}

impl Choice {
    /// The choice in a decision, if a bandit made it.
    #[must_use]
    pub(crate) fn of(route: &Route, decision: &Decision) -> Option<Self> {
        let DecidedBy::Step(name) = &decision.decided_by else { return None };
        let step = route.steps().iter().find(|step| step.name == *name)?;
        let bandit = bandit(step)?;
        let tier = decision.tier.as_ref()?;
        let position = route.find_tier(tier)?;
        let arm = bandit.arms.iter().position(|arm| *arm == position)?;
        Some(Self { statistics: Arc::clone(&bandit.statistics), arm, tier: Arc::clone(tier) })
    }

    /// Tells how it ended.
    pub(crate) fn ended(&self, record: &RequestRecord) {
        if let Some(quality) = quality(record, &self.tier) {
            self.statistics.observe(self.arm, Outcome { quality, dollars: dollars(record) });
        }
    }
}

/// What the end of a request says of the tier that was chosen for it; `None` when it says nothing. A judge's word counts for what
/// it saw; without one an answer that was served is good.
fn quality(record: &RequestRecord, tier: &Name) -> Option<f64> {
    let judged = || record.judged.iter().rev().find(|judged| judged.tier == *tier).map(|judged| judged.score);
    let served_here = record.tier.as_ref() == Some(tier);
    match record.outcome {
        Ended::Served => Some(judged().unwrap_or(if served_here { 1.0 } else { 0.0 })),
        Ended::Failed | Ended::BrokenOff => Some(0.0),
        Ended::Refused | Ended::ClientGone => None,
    }
}

fn dollars(record: &RequestRecord) -> Option<f64> {
    record.cost.amount.map(trunkline_model::money::NanoDollars::to_f64)
}

/// Tells the bandit that chose for a request what was said of the answer. What it took the outcome for until now is taken back.
/// Feedback on an answer of another tier than the chosen one says nothing about the choice.
pub(crate) fn heard(
    snapshot: &Snapshot,
    record: &RequestRecord,
    before: Option<&Feedback>,
    feedback: &Feedback,
) -> Option<()> {
    let after = feedback.quality()?;
    let decision: Explanation = serde_json::from_str(record.decision.as_deref()?).ok()?;
    let tier = record.tier.as_ref().filter(|tier| Some(&***tier) == decision.tier.as_deref())?;
    let route = snapshot.routes.find(record.route.as_deref()?)?;
    let step = route.steps().iter().find(|step| *step.name == *decision.decided_by)?;
    let bandit = bandit(step)?;
    let position = route.find_tier(tier)?;
    let arm = bandit.arms.iter().position(|arm| *arm == position)?;
    match before.and_then(Feedback::quality).or_else(|| quality(record, tier)) {
        None => bandit.statistics.observe(arm, Outcome { quality: after, dollars: dollars(record) }),
        Some(before) => {
            let told = decision.steps.iter().find(|told| *told.step == *step.name);
            let seen = told.and_then(|told| told.measures.get(SEEN)?.as_f64());
            // Older decisions do not tell: their outcome is taken for the newest.
            let seen = seen.map_or(u64::MAX, |seen| seen as u64);
            bandit.statistics.revise(arm, seen, before, after);
        }
    }
    Some(())
}

/// What a bandit learned, with the tiers it learned it of.
#[derive(Serialize, Deserialize)]
struct Kept {
    tiers: Vec<Name>,
    learned: SavedArms,
}

fn bandits(snapshot: &Snapshot) -> impl Iterator<Item = (&Name, &Step, &Bandit, Vec<Name>)> {
    snapshot.routes.iter().flat_map(|(name, route)| {
        route.steps().iter().filter_map(move |step| {
            let bandit = bandit(step)?;
            let tier = |arm| route.tier(arm).map(|tier| Arc::clone(&tier.name));
            let tiers: Option<Vec<Name>> = bandit.arms.iter().map(|arm| tier(*arm)).collect();
            Some((name, step, bandit, tiers?))
        })
    })
}

/// What the bandits of a configuration have learned, to be kept; those that have learned nothing are left out.
pub(crate) fn learned(snapshot: &Snapshot, now: u64) -> Vec<StoredArms> {
    bandits(snapshot)
        .filter(|(_, _, bandit, _)| bandit.statistics.seen() > 0)
        .map(|(route, step, bandit, tiers)| {
            let kept = Kept { tiers, learned: bandit.statistics.saved() };
            let state = serde_json::to_string(&kept).unwrap_or_default();
            StoredArms { route: route.to_string(), step: step.name.to_string(), saved: now, state }
        })
        .collect()
}

/// Gives the bandits of a configuration what was kept of them, as far as they choose among the same tiers.
pub fn restore_bandits(snapshot: &Snapshot, stored: &[StoredArms]) {
    for (route, step, bandit, tiers) in bandits(snapshot) {
        let kept = stored.iter().find(|kept| *kept.route == **route && *kept.step == *step.name);
        let kept = kept.and_then(|kept| serde_json::from_str::<Kept>(&kept.state).ok());
        if let Some(kept) = kept.filter(|kept| kept.tiers == tiers)
            && !bandit.statistics.restore(&kept.learned)
        {
            tracing::warn!(%route, step = %step.name, "what this bandit had learned cannot be used; it starts anew");
        }
    }
}

fn bandit(step: &Step) -> Option<&Bandit> {
    match &step.kind {
        StepKind::Custom(custom) => custom.bandit(),
        _ => None,
    }
}

/// Hands what the bandits of a route learned to those of its successor.
pub(crate) fn carry_over(before: &Route, after: &Route) {
    for step in after.steps() {
        let Some(new) = bandit(step) else { continue };
        let names = |route: &Route, bandit: &Bandit| -> Vec<Option<Name>> {
            bandit.arms.iter().map(|arm| route.tier(*arm).map(|tier| Arc::clone(&tier.name))).collect()
        };
        let old =
            before.steps().iter().filter_map(bandit).find(|old| names(before, old) == names(after, new));
        if let Some(old) = old {
            new.statistics.adopt(&old.statistics);
        }
    }
}

/// Keeps of the prompt what the route wants to learn from. Nothing is read for routes that keep nothing.
pub(crate) fn keep_prompt(gateway: &Gateway, admitted: &Admitted, id: RequestId) {
    let Some(keep) = admitted.route.learn else { return };
    let prompt = BodyPrompt::new(admitted.dialect, admitted.operation, &admitted.envelope, &admitted.body);
    let text = prompt.last_user_text();
    if !text.trim().is_empty() {
        let body = KeptPrompt::of(&text, keep).to_bytes();
        gateway.learning.keep_prompt(StoredPrompt { id, body });
    }
}

/// Whether a rule of the route reads what sessions did before.
#[must_use]
pub(crate) fn reads_history(route: &Route) -> bool {
    route.steps().iter().filter_map(|step| step.kind.condition()).any(|rule| {
        let read = rule.features();
        read.contains(Feature::CallerSessionRequests) || read.contains(Feature::CallerSessionTier)
    })
}

/// Sessions of routes whose rules read them, the newest of them.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Book>);

#[derive(Default)]
struct Book {
    sessions: HashMap<Name, SessionHistory>,
    order: VecDeque<Name>,
}

/// A session is a route's and a key's own: the name alone could be guessed.
fn full_name(record_key: Option<&str>, route: &str, session: &str) -> Name {
    format!("{}\u{0}{route}\u{0}{session}", record_key.unwrap_or_default()).into()
}

impl Sessions {
    /// What is remembered of a session.
    #[must_use]
    pub(crate) fn find(&self, key: Option<&str>, route: &str, session: &str) -> SessionHistory {
        self.0.lock().sessions.get(&full_name(key, route, session)).cloned().unwrap_or_default()
    }

    /// Adds a finished request.
    pub(crate) fn add(&self, record: &RequestRecord) {
        let (Some(route), Some(session)) = (&record.route, &record.session) else { return };
        let name = full_name(record.key.as_deref(), route, session);
        let mut book = self.0.lock();
        if !book.sessions.contains_key(&name) {
            book.order.push_back(Arc::clone(&name));
        }
        let history = book.sessions.entry(name).or_default();
        history.requests = history.requests.saturating_add(1);
        if record.outcome == Ended::Served {
            history.tier.clone_from(&record.tier);
        }
        while book.order.len() > MOST_SESSIONS {
            if let Some(oldest) = book.order.pop_front() {
                book.sessions.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::dialect::{Dialect, Operation};

    fn record(session: &str, outcome: Ended, tier: &str) -> RequestRecord {
        let mut record = RequestRecord::new(RequestId::new(1, 2), Dialect::OpenAi, Operation::Chat, 0);
        record.route = Some("support".into());
        record.session = Some(session.into());
        record.tier = Some(tier.into());
        record.outcome = outcome;
        record
    }

    #[test]
    fn a_choice_learns_from_what_became_of_it() {
        let statistics = Arc::new(ArmStatistics::new(2, 1.0));
        let choice = Choice { statistics: Arc::clone(&statistics), arm: 1, tier: "strong".into() };
        choice.ended(&record("s", Ended::Served, "strong"));
        choice.ended(&record("s", Ended::ClientGone, "strong"));
        let view = statistics.view()[1];
        assert_eq!((view.weight, view.quality), (1.0, 1.0));
        choice.ended(&record("s", Ended::Served, "cheap"));
        choice.ended(&record("s", Ended::Failed, "strong"));
        let view = statistics.view()[1];
        assert_eq!((view.weight, view.quality), (3.0, 1.0 / 3.0));
    }

    #[test]
    fn sessions_are_remembered_apart_and_bounded() {
        let sessions = Sessions::default();
        sessions.add(&record("one", Ended::Served, "cheap"));
        sessions.add(&record("one", Ended::Failed, "strong"));
        let found = sessions.find(None, "support", "one");
        assert_eq!((found.requests, found.tier.as_deref()), (2, Some("cheap")));
        assert_eq!(sessions.find(Some("other-key"), "support", "one"), SessionHistory::default());
        for number in 0..MOST_SESSIONS {
            sessions.add(&record(&number.to_string(), Ended::Served, "cheap"));
        }
        assert_eq!(sessions.find(None, "support", "one").requests, 0);
    }
}
