//! One call under way.
//!
//! Owns the guard that keeps counts true however a call ends: answered, failed, cancelled or simply dropped. Must not outlive
//! its upstream call. Dropped without a word it says nothing about the deployment and frees the place of a probe.

use super::deployment::{CallFacts, DeploymentHealth};
use crate::limit::{Hold, Settlement};
use std::sync::Arc;
use trunkline_model::dialect::Delivery;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::headroom::Headroom;
use trunkline_model::moment::Moment;
use trunkline_model::money::Cost;

/// A call that was started and has not ended.
#[must_use = "a call dropped at once counts as cancelled"]
#[derive(Debug)]
pub struct Call {
    health: Arc<DeploymentHealth>,
    started: Moment,
    delivery: Delivery,
    probe: bool,
    hold: Option<Hold>,
    settlement: Settlement,
    answered: bool,
}

impl Call {
    pub(super) const fn new(
        health: Arc<DeploymentHealth>,
        started: Moment,
        delivery: Delivery,
        probe: bool,
        hold: Option<Hold>,
    ) -> Self {
        Self { health, started, delivery, probe, hold, settlement: Settlement::Unknown, answered: false }
    }

    /// The deployment it goes to.
    #[must_use]
    pub const fn health(&self) -> &Arc<DeploymentHealth> {
        &self.health
    }

    /// When it started.
    #[must_use]
    pub const fn started(&self) -> Moment {
        self.started
    }

    /// Whether it tests a broken deployment.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe
    }

    /// Takes note of the rate-limit headers that came with the response.
    pub fn observe(&self, headroom: &Headroom, now: Moment) {
        self.health.observe(headroom, now);
    }

    /// The first semantic event came; of a whole answer, the answer. Later calls of this change nothing.
    pub fn first_token(&mut self, now: Moment) {
        if !self.answered {
            self.answered = true;
            self.health.first_token(now.since(self.started), self.facts(), now);
            // It has closed the breaker; what follows counts as of any other call.
            self.probe = false;
        }
    }

    /// The answer is complete; it used this many tokens where that is known.
    pub fn succeeded(mut self, tokens: Option<u64>, now: Moment) {
        self.first_token(now);
        self.use_up(tokens);
        self.health.succeeded(self.facts(), now);
    }

    /// The call failed; it used this many tokens where that is known.
    pub fn failed(mut self, failure: &Failure, tokens: Option<u64>, now: Moment) {
        self.use_up(tokens);
        if is_too_slow(failure.class) {
            self.hide_no_slowness(now);
        }
        self.health.failed(failure, self.facts(), now);
    }

    /// Nobody wants the answer any more: the client went away or another attempt was quicker.
    pub fn cancelled(mut self, tokens: Option<u64>, now: Moment) {
        self.use_up(tokens);
        self.hide_no_slowness(now);
    }

    /// The request was never sent (translation refused it): nothing was used.
    pub fn not_sent(mut self) {
        self.settlement = Settlement::NotSent;
    }

    /// Without a first token so far, the first token takes at least this long.
    fn hide_no_slowness(&self, now: Moment) {
        if !self.answered {
            self.health.cancelled(now.since(self.started), self.facts(), now);
        }
    }

    fn use_up(&mut self, tokens: Option<u64>) {
        if let Some(tokens) = tokens {
            self.settlement = Settlement::Used { tokens, cost: Cost::UNKNOWN };
        }
    }

    const fn facts(&self) -> CallFacts {
        CallFacts { started: self.started, delivery: self.delivery, probe: self.probe }
    }
}

/// Whether a call ended because nobody would wait any longer.
const fn is_too_slow(class: FailureClass) -> bool {
    use FailureClass as Class;
    matches!(class, Class::FirstTokenTimeout | Class::TotalTimeout | Class::Overtaken | Class::ClientGone)
}

impl Drop for Call {
    fn drop(&mut self) {
        self.health.end(self.probe, self.hold.take(), &self.settlement);
    }
}
