//! What a finished request teaches the step that chose for it, and what is remembered of sessions.
//!
//! Owns telling a bandit how its choice ended, what is kept of prompts, and the bounded book of sessions. Must not judge answers: without feedback an
//! answer that was served by the chosen tier is good and anything else of the provider's making is not. A client that went away
//! teaches nothing.

use crate::admit::Admitted;
use crate::prompt::BodyPrompt;
use crate::state::Gateway;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::record::{Outcome as Ended, RequestRecord};
use trunkline_route::caller::SessionHistory;
use trunkline_route::decision::{DecidedBy, Decision};
use trunkline_route::features::{Feature, Prompt};
use trunkline_route::learned::KeptPrompt;
use trunkline_route::policy::Route;
use trunkline_route::steps::{ArmStatistics, Bandit, Outcome, Step, StepKind};
use trunkline_store::StoredPrompt;

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
        let served_here = record.tier.as_ref() == Some(&self.tier);
        let quality = match record.outcome {
            Ended::Served if served_here => 1.0,
            Ended::Served | Ended::Failed | Ended::BrokenOff => 0.0,
            Ended::Refused | Ended::ClientGone => return,
        };
        let dollars = record.cost.amount.map(trunkline_model::money::NanoDollars::to_f64);
        self.statistics.observe(self.arm, Outcome { quality, dollars });
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
