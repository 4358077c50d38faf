//! The state of one request between its attempts.
//!
//! Owns what was spent, what runs and what was learnt of each deployment during this request. Must not remember anything
//! across requests: that is `health`. Every input is total: a report that makes no sense (of an attempt that does not run)
//! is ignored rather than trusted.

use super::attempt::{Attempt, AttemptNumber, Commit, Losers, Next};
use super::choice::{Choice, Conditions, Leaning, choose, idle};
use super::reaction::{Again, Elsewhere, reaction};
use super::verdict::{Verdict, Why, asks_to_wait, weight};
use crate::fleet::DeploymentIndex;
use crate::plan::{Leg, Plan};
use crate::retry_budget::RetryBudget;
use crate::view::{Availability, Views};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::moment::Moment;
use trunkline_model::record::AttemptKind;

/// How the machine waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrivePolicy {
    /// The span from which the first back-off is drawn (from zero to this); it doubles with every further one.
    pub backoff: Duration,
    /// The longest such span.
    pub longest_backoff: Duration,
    /// The wait after a 429 that came without a Retry-After.
    pub rate_limit_wait: Duration,
    /// The longest single wait; a provider that asks for more ends the request with its Retry-After.
    pub longest_wait: Duration,
    /// No attempt starts with less time than this before the deadline.
    pub least_time: Duration,
}

impl Default for DrivePolicy {
    /// Back-off up to 200 ms growing to 2 s, one second after an unexplained 429, waits of 20 s at the most, and no attempt
    /// in the last 20 ms.
    fn default() -> Self {
        Self {
            backoff: Duration::from_millis(200),
            longest_backoff: Duration::from_secs(2),
            rate_limit_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(20),
            least_time: Duration::from_millis(20),
        }
    }
}

/// Waits of one request at the most, whatever providers say.
const LONGEST_PATIENCE: u32 = 16;

/// The attempt machine of one request.
#[derive(Debug)]
pub struct Drive {
    plan: Plan,
    policy: DrivePolicy,
    budget: Option<Arc<RetryBudget>>,
    deadline: Moment,
    /// Upstream calls started, less those that turned out not to be sent.
    spent: u32,
    /// Attempts handed out, for their numbers.
    numbered: u32,
    waits: u32,
    hedged: bool,
    running: SmallVec<[Running; 2]>,
    tried: SmallVec<[Tried; 4]>,
    leaning: Leaning,
    told: Option<Failure>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    number: AttemptNumber,
    deployment: DeploymentIndex,
    kind: AttemptKind,
}

/// What this request learnt of one deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    pub(super) deployment: DeploymentIndex,
    pub(super) failures: u32,
    pub(super) barred: bool,
    /// Its context window is too small for the prompt.
    pub(super) too_long: bool,
    /// Not before this moment.
    pub(super) ready: Moment,
    /// The end of the wait that it asked for, if it did.
    limited_until: Option<Moment>,
    /// A back-off that is still to be drawn, from this moment on.
    backoff_from: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first attempt.
    Fresh,
    /// Attempts run or ran; the class of the last failure decides what the next costs.
    Underway {
        paid: bool,
    },
    /// The client has part of an answer that broke off and may be continued.
    Continuing,
    Served,
    Over(Why),
}

impl Drive {
    /// A machine at the start of a request. `now` is its arrival: the total timeout counts from here.
    ///
    /// The retry budget, where there is one, gets this request's deposit and pays for its further attempts.
    #[must_use]
    pub fn new(plan: Plan, now: Moment, policy: DrivePolicy, budget: Option<Arc<RetryBudget>>) -> Self {
        if let Some(budget) = &budget {
            budget.deposit(now);
        }
        Self {
            deadline: now + plan.timeouts.total,
            plan,
            policy,
            budget,
            spent: 0,
            numbered: 0,
            waits: 0,
            hedged: false,
            running: SmallVec::new(),
            tried: SmallVec::new(),
            leaning: Leaning::default(),
            told: None,
            stage: Stage::Fresh,
        }
    }

    /// What to do now. `jitter` is any uniformly random number; it spreads back-offs.
    pub fn next(&mut self, now: Moment, views: &dyn Views, jitter: u64) -> Next {
        match self.stage {
            Stage::Served => return Next::Served,
            _ if !self.running.is_empty() => return Next::Await,
            Stage::Over(why) => return self.fail(why, now, views),
            Stage::Fresh | Stage::Underway { .. } | Stage::Continuing => {}
        }
        if self.spent >= self.plan.attempts {
            return self.fail(Why::AttemptsSpent, now, views);
        }
        if now + self.policy.least_time >= self.deadline {
            return self.fail(Why::Deadline, now, views);
        }
        self.draw_backoffs(jitter);
        let conditions = Conditions {
            leaning: self.leaning,
            first: self.numbered == 0,
            now,
            latest: self.latest_wait(now),
        };
        match choose(&self.plan, &self.tried, views, &conditions) {
            Choice::Nothing => self.fail(Why::NothingLeft, now, views),
            Choice::TooLate => self.fail(Why::WaitTooLong, now, views),
            Choice::Take { ready, .. } if ready > now => {
                self.waits += 1;
                Next::Wait { until: ready }
            }
            Choice::Take { leg, .. } if self.pays(now) => self.start(leg, now),
            Choice::Take { .. } => self.fail(Why::RetryBudgetEmpty, now, views),
        }
    }

    /// The hedge delay has passed without a semantic event: a second attempt to run beside the first, or `None` when there
    /// is nothing to run it on (no attempt or deployment left, no time, retry budget empty, already hedged). Reserve its cost
    /// (`hedge::HedgeBudget`) before asking and release it on `None`: what is returned here counts as started.
    pub fn hedge_due(&mut self, now: Moment, views: &dyn Views) -> Option<Attempt> {
        let out_of_time = now + self.policy.least_time >= self.deadline;
        if !self.can_hedge() || self.running.len() != 1 || out_of_time {
            return None;
        }
        let running: SmallVec<[DeploymentIndex; 2]> =
            self.running.iter().map(|running| running.deployment).collect();
        let leg = idle(&self.plan, self.leaning, &self.tried, &running, views, now)?;
        if self.budget.as_ref().is_some_and(|budget| !budget.withdraw(now)) {
            return None;
        }
        self.hedged = true;
        Some(self.launch(leg, AttemptKind::Hedge, now))
    }

    /// The first semantic event of an answer came from this attempt. The others have lost and must be cancelled.
    pub fn leads(&mut self, number: AttemptNumber) -> Losers {
        if !self.running.iter().any(|running| running.number == number) {
            return Losers::new();
        }
        // A race that is decided is not opened again by a timer that was already on its way.
        self.hedged = true;
        let losers =
            self.running.iter().map(|running| running.number).filter(|&other| other != number).collect();
        self.running.retain(|running| running.number == number);
        losers
    }

    /// The answer is complete. Any attempt still running beside it has lost and must be cancelled.
    pub fn succeeded(&mut self, number: AttemptNumber) -> Losers {
        let losers = self.leads(number);
        if self.running.iter().any(|running| running.number == number) {
            self.running.clear();
            self.stage = Stage::Served;
        }
        losers
    }

    /// An attempt failed (or could not be sent). Health must have been told before `next` is asked.
    pub fn failed(&mut self, number: AttemptNumber, failure: Failure, commit: Commit, now: Moment) {
        let Some(position) = self.running.iter().position(|running| running.number == number) else {
            return;
        };
        let ended = self.running.remove(position);
        let follows = reaction(failure.class);
        if !follows.sent {
            self.spent = self.spent.saturating_sub(1);
        }
        if commit == Commit::After || failure.class == FailureClass::ClientGone {
            // Who commits leads, and nobody waits for an answer to a client that left: no race goes on.
            self.running.clear();
        }
        self.learn(ended.deployment, &failure, now);
        self.lean(failure.class);
        self.stage = match (commit, failure.class) {
            (_, FailureClass::ClientGone) => Stage::Over(Why::ClientGone),
            (Commit::After, _) if self.may_continue(ended.kind, follows.continues) => {
                self.leaning.not = Some(ended.deployment);
                Stage::Continuing
            }
            (Commit::After, _) => Stage::Over(Why::Committed),
            (Commit::Before, FailureClass::TotalTimeout) => Stage::Over(Why::Deadline),
            // The client holds half an answer; only its continuation could have saved it.
            (Commit::Before, _) if ended.kind == AttemptKind::Continuation => Stage::Over(Why::Committed),
            (Commit::Before, _) if self.is_last(follows.elsewhere) => Stage::Over(Why::NotRetryable),
            (Commit::Before, _) => match self.stage {
                // Another attempt of a race already met something final.
                Stage::Over(why) => Stage::Over(why),
                _ => Stage::Underway { paid: follows.paid },
            },
        };
        self.tell(failure);
    }

    /// Upstream calls made so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.spent
    }

    /// When the request must have ended.
    #[must_use]
    pub const fn deadline(&self) -> Moment {
        self.deadline
    }

    /// The plan being driven.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    fn may_continue(&self, kind: AttemptKind, continues: bool) -> bool {
        self.plan.continuation && continues && kind != AttemptKind::Continuation
    }

    /// Whether a class rules out every other deployment under this plan.
    fn is_last(&self, elsewhere: Elsewhere) -> bool {
        match elsewhere {
            Elsewhere::Never => true,
            Elsewhere::LargerContext => self.plan.on_context_length.is_empty(),
            Elsewhere::ContentList => self.plan.on_content_filter.is_empty(),
            Elsewhere::Next
            | Elsewhere::RateLimitList
            | Elsewhere::BetterList
            | Elsewhere::OtherCredentials => false,
        }
    }

    /// Notes what a failure says about its deployment.
    fn learn(&mut self, deployment: DeploymentIndex, failure: &Failure, now: Moment) {
        let rate_limit_wait = self.policy.rate_limit_wait;
        // Some say "now", or a moment that has passed, with every refusal: at once is how attempts are used up for nothing.
        let least_wait = self.policy.backoff;
        let again = reaction(failure.class).again;
        let sent = reaction(failure.class).sent;
        let tried = self.tried_mut(deployment);
        let before = tried.failures;
        tried.failures = before.saturating_add(1);
        tried.too_long |= failure.class == FailureClass::ContextTooLong;
        tried.limited_until = failure.retry_after.map(|wait| now + wait);
        match (again, failure.retry_after) {
            (Again::Never, _) => tried.barred = true,
            // A deployment that refused locally is asked a second time at the most, and only if it said when.
            (Again::AfterRetryAfter, wait) if !sent => {
                tried.barred = wait.is_none() || before > 0;
                tried.ready = now + wait.unwrap_or_default();
            }
            (_, Some(wait)) => tried.ready = now + wait.max(least_wait),
            (Again::AfterRetryAfter, None) => tried.ready = now + rate_limit_wait * (1 << before.min(5)),
            (Again::AfterBackoff, None) => tried.backoff_from = Some(now),
        }
    }

    fn lean(&mut self, class: FailureClass) {
        let elsewhere = reaction(class).elsewhere;
        self.leaning.rate_limited = elsewhere == Elsewhere::RateLimitList;
        self.leaning.larger_context |= elsewhere == Elsewhere::LargerContext;
        self.leaning.other_content |= elsewhere == Elsewhere::ContentList;
        self.leaning.better |= elsewhere == Elsewhere::BetterList;
        self.leaning.other_credentials |= elsewhere == Elsewhere::OtherCredentials;
    }

    /// Keeps the more telling failure; of equals the first, which came from the better choice.
    fn tell(&mut self, failure: Failure) {
        if self.told.as_ref().is_none_or(|told| weight(failure.class) > weight(told.class)) {
            self.told = Some(failure);
        }
    }

    fn tried_mut(&mut self, deployment: DeploymentIndex) -> &mut Tried {
        let position = match self.tried.iter().position(|tried| tried.deployment == deployment) {
            Some(position) => position,
            None => {
                self.tried.push(Tried {
                    deployment,
                    failures: 0,
                    barred: false,
                    too_long: false,
                    ready: Moment::ORIGIN,
                    limited_until: None,
                    backoff_from: None,
                });
                self.tried.len() - 1
            }
        };
        &mut self.tried[position]
    }

    /// Draws the back-offs that failures since the last call asked for: full jitter over a span that doubles.
    fn draw_backoffs(&mut self, jitter: u64) {
        let policy = self.policy;
        for tried in &mut self.tried {
            if let Some(from) = tried.backoff_from.take() {
                let doublings = tried.failures.saturating_sub(1).min(16);
                let span = policy.backoff.saturating_mul(1 << doublings).min(policy.longest_backoff);
                tried.ready = from + share(span, jitter);
            }
        }
    }

    /// Whether the next attempt may be made as far as the retry budget goes; takes it from there.
    fn pays(&self, now: Moment) -> bool {
        let owes = match self.stage {
            Stage::Underway { paid } => paid,
            Stage::Continuing => true,
            _ => false,
        };
        !owes || self.budget.as_ref().is_none_or(|budget| budget.withdraw(now))
    }

    fn start(&mut self, leg: Leg, now: Moment) -> Next {
        let again = self.tried.iter().any(|tried| tried.deployment == leg.deployment.index());
        let kind = match self.stage {
            Stage::Continuing => AttemptKind::Continuation,
            _ if self.numbered == 0 => AttemptKind::First,
            _ if again => AttemptKind::Retry,
            _ if self.leaning.better && !self.plan.on_bad_answer.is_empty() => AttemptKind::Cascade,
            _ => AttemptKind::Failover,
        };
        Next::Try(self.launch(leg, kind, now))
    }

    fn launch(&mut self, leg: Leg, kind: AttemptKind, now: Moment) -> Attempt {
        self.spent += 1;
        self.numbered += 1;
        let number = AttemptNumber(self.numbered);
        self.running.push(Running { number, deployment: leg.deployment.index(), kind });
        let left = self.deadline.since(now);
        let timeouts = self.plan.timeouts;
        let hedge =
            if kind == AttemptKind::Continuation || !self.can_hedge() { None } else { self.plan.hedge };
        Attempt {
            number,
            leg,
            kind,
            connect: timeouts.connect.min(left),
            first_token: timeouts.first_token.min(left),
            between_tokens: timeouts.between_tokens.min(left),
            deadline: self.deadline,
            hedge: hedge.map(|hedge| hedge.after),
        }
    }

    fn can_hedge(&self) -> bool {
        self.plan.hedge.is_some()
            && !self.hedged
            && self.spent < self.plan.attempts
            && self.plan.legs.len() > 1
    }

    /// The latest moment worth waiting for: within the longest wait, and early enough to try something then.
    fn latest_wait(&self, now: Moment) -> Moment {
        if self.waits >= LONGEST_PATIENCE {
            return now;
        }
        let last = self.deadline - self.policy.least_time - Duration::from_micros(1);
        last.min(now + self.policy.longest_wait)
    }

    fn fail(&mut self, why: Why, now: Moment, views: &dyn Views) -> Next {
        self.stage = Stage::Over(why);
        let free = self.first_free(now, views);
        let mut failure = match &self.told {
            Some(told) => told.clone(),
            None => self.unspoken(why, free.is_some()),
        };
        if asks_to_wait(failure.class) {
            failure.retry_after = free.map(|free| free.since(now));
        }
        Next::Fail(Verdict { failure, why })
    }

    /// The earliest moment at which a limit that stood in the way of this request ends.
    fn first_free(&self, now: Moment, views: &dyn Views) -> Option<Moment> {
        let legs = self.plan.legs.iter().chain(&self.plan.on_rate_limit);
        let seen = legs.filter_map(|leg| match views.view(leg.deployment.index(), now).availability {
            Availability::RateLimited { until } => Some(until),
            _ => None,
        });
        let asked = self.tried.iter().filter_map(|tried| tried.limited_until);
        seen.chain(asked).filter(|&free| free > now).min()
    }

    /// What is told when nothing was tried at all.
    fn unspoken(&self, why: Why, limited: bool) -> Failure {
        match why {
            Why::Deadline => Failure::new(
                FailureClass::TotalTimeout,
                format!(
                    "the deadline of {:?} passed before an attempt could start",
                    self.plan.timeouts.total
                ),
            ),
            Why::WaitTooLong if limited => {
                Failure::new(FailureClass::RateLimited, "every deployment that could answer is rate limited")
            }
            Why::AttemptsSpent => Failure::new(FailureClass::LocalLimit, "the plan allows no attempt"),
            _ => Failure::new(FailureClass::LocalLimit, "the plan holds no deployment to try"),
        }
    }
}

/// A uniformly drawn part of a span.
fn share(span: Duration, jitter: u64) -> Duration {
    let micros = (span.as_micros().min(u128::from(u64::MAX)) * u128::from(jitter)) >> 64;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
