//! Carrying out what the attempt machine says.
//!
//! Owns the loop between the pure machine and the upstream calls: start, wait, hedge, report, cancel losers. Must not react to
//! a failure itself. Several attempts of one request run in one task, so that dropping the request drops them all.

use crate::admit::Admitted;
use crate::attempt::{self, Lost, Opened};
use crate::case::Case;
use crate::clock::Clock;
use crate::relay::Before;
use crate::responses::Served;
use crate::state::Gateway;
use crate::subject::Subject;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use trunkline_model::error::ClientError;
use trunkline_route::drive::{Attempt, AttemptNumber, Commit, Drive, DrivePolicy, Next, Verdict};
use trunkline_route::hedge::HedgeReservation;
use trunkline_route::plan::Plan;

/// A request with an answer on its way.
pub(crate) struct Performed {
    /// The machine, for what happens after the commit point.
    pub drive: Drive,
    /// The attempt that leads.
    pub opened: Box<Opened>,
}

impl Performed {
    /// Who answers, for those who keep the answer.
    #[must_use]
    pub(crate) fn served(&self, admitted: &Admitted) -> Served {
        let index = self.opened.attempt.leg.deployment.index();
        let deployment = admitted.generation.snapshot.fleet.deployment(index);
        Served {
            deployment: Some(deployment.id.to_string()),
            provider: Some(deployment.provider.to_string()),
            is_passed: self.opened.relay.passes(),
        }
    }
}

/// Makes attempts until one is worth something.
///
/// # Errors
/// What the client is told when none was.
pub(crate) async fn perform(
    gateway: &Arc<Gateway>,
    admitted: &Admitted,
    plan: Plan,
    case: &mut Case,
) -> Result<Performed, ClientError> {
    let budget = Some(Arc::clone(&gateway.retry_budget));
    let subject = Subject::new(admitted, case.id(), &plan)
        .listening(case.is_mirrored())
        .decided_by(case.record.decided_by.as_ref());
    let started = case.started();
    let mut performance = Performance {
        gateway,
        subject: &subject,
        case,
        drive: Drive::new(plan, started, DrivePolicy::default(), budget),
        hedge: None,
        hedge_at: None,
        kept: None,
    };
    let opened = performance.run().await?;
    Ok(Performed { drive: performance.drive, opened })
}

pub(crate) struct Performance<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) case: &'a mut Case,
    pub(crate) drive: Drive,
    hedge: Option<HedgeReservation>,
    hedge_at: Option<Instant>,
    /// An answer that failed a check of a cascade: better than none.
    pub(crate) kept: Option<Box<Opened>>,
}

/// What woke the loop.
enum Woke {
    Ended(Option<Result<Box<Opened>, Box<Lost>>>),
    HedgeDue,
}

impl Performance<'_> {
    /// By reference: what is awaited by value is carried twice.
    async fn run(&mut self) -> Result<Box<Opened>, ClientError> {
        // Made by the first attempt that may get company: nearly every request has one attempt and no hedge.
        let mut running = None;
        loop {
            let jitter = rand::random();
            let woke =
                match self.drive.next(self.gateway.clock.now(), &self.subject.generation().health, jitter) {
                    Next::Try(attempt) => {
                        self.begin(&attempt);
                        let opening = attempt::open(self.gateway, self.subject, attempt);
                        if self.hedge_at.is_none() && running.is_none() {
                            Woke::Ended(Some(opening.await))
                        } else {
                            let running = running.get_or_insert_with(FuturesUnordered::new);
                            running.push(opening);
                            self.wake(running).await
                        }
                    }
                    Next::Wait { until } => {
                        sleep_until(self.gateway.clock.instant(until)).await;
                        continue;
                    }
                    Next::Await | Next::Served => match &mut running {
                        Some(running) => self.wake(running).await,
                        None => Woke::Ended(None),
                    },
                    Next::Fail(verdict) => match self.fall_back_on_kept(&verdict) {
                        Some(opened) => return Ok(opened),
                        None => return Err(self.give_up(&verdict)),
                    },
                };
            match woke {
                Woke::HedgeDue => {
                    if let (Some(attempt), Some(running)) = (self.hedge(), &running) {
                        running.push(attempt::open(self.gateway, self.subject, attempt));
                    }
                }
                Woke::Ended(Some(Ok(opened))) => {
                    let losers = self.drive.leads(opened.attempt.number);
                    running = None;
                    self.lose(&losers);
                    if let Some(opened) = self.assess(opened).await {
                        return Ok(opened);
                    }
                }
                Woke::Ended(Some(Err(lost))) => self.lost(*lost),
                Woke::Ended(None) => {}
            }
        }
    }

    async fn wake<F>(&mut self, running: &mut FuturesUnordered<F>) -> Woke
    where
        F: Future<Output = Result<Box<Opened>, Box<Lost>>>,
    {
        let Some(at) = self.hedge_at else { return Woke::Ended(running.next().await) };
        tokio::select! {
            biased;
            ended = running.next() => Woke::Ended(ended),
            () = sleep_until(at) => Woke::HedgeDue,
        }
    }

    fn begin(&mut self, attempt: &Attempt) {
        if !self.case.record.attempts.is_empty() {
            self.subject.note_before(Before::of(&self.case.record));
        }
        let deployment = self.subject.generation().snapshot.fleet.deployment(attempt.leg.deployment.index());
        self.case.begin(
            attempt.number,
            &deployment.id,
            attempt.kind,
            deployment.entry.as_ref(),
            self.subject.estimated_usage(),
        );
        let health = self.subject.generation().health.deployment(attempt.leg.deployment.index());
        self.hedge_at = attempt
            .hedge
            .and_then(|delay| health.hedge_delay(delay, self.subject.delivery()))
            .map(|delay| Instant::now() + delay.max(Duration::from_millis(1)));
    }

    /// Starts a second attempt, if there is anything to start it on and money for it.
    fn hedge(&mut self) -> Option<Attempt> {
        self.hedge_at = None;
        let now = self.gateway.clock.now();
        let budget = self.subject.generation().hedge_budget(self.subject.route_name())?;
        let first = self.drive.plan().legs.first()?.deployment.index();
        let reservation = budget.reserve(self.subject.estimated_cost(first), now)?;
        let Some(attempt) = self.drive.hedge_due(now, &self.subject.generation().health) else {
            reservation.release();
            return None;
        };
        self.hedge = Some(reservation);
        self.begin(&attempt);
        self.hedge_at = None;
        Some(attempt)
    }

    fn lose(&mut self, losers: &[AttemptNumber]) {
        self.case.cancel(losers);
        let cost = losers.first().and_then(|_| self.case.record.attempts.last()).map(|attempt| attempt.cost);
        if let (Some(reservation), Some(cost)) = (self.hedge.take(), cost) {
            reservation.settle(cost);
        }
    }

    fn lost(&mut self, lost: Lost) {
        let number = lost.attempt.number;
        self.gateway.metrics.attempt_failed(lost.failure.class);
        self.case.end(number, lost.facts.end(Some(lost.failure.clone())));
        self.drive.failed(number, lost.failure, Commit::Before, self.gateway.clock.now());
    }

    fn give_up(&mut self, verdict: &Verdict) -> ClientError {
        tell(self.case, verdict)
    }
}

/// What the client is told at the end of all attempts.
pub(crate) fn tell(case: &mut Case, verdict: &Verdict) -> ClientError {
    let attempts: Vec<String> = case
        .record
        .attempts
        .iter()
        .map(|attempt| {
            let failure = attempt.failure.map_or("ok", |class| class.name());
            let message = attempt.message.as_deref().unwrap_or_default();
            match attempt.status {
                Some(status) => format!("{}: {failure} (HTTP {status}): {message}", attempt.deployment),
                None => format!("{}: {failure}: {message}", attempt.deployment),
            }
        })
        .collect();
    if let Some(last) = case.record.attempts.last() {
        case.record.deployment = Some(Arc::clone(&last.deployment));
    }
    let mut error = ClientError::from_failure(&verdict.failure, attempts);
    // Refusals of our own are told with the others, but nothing was sent for them.
    let sent = case.record.attempts.iter().filter(|attempt| attempt.was_sent()).count();
    if error.attempts.len() > 1 {
        let noun = if sent == 1 { "attempt" } else { "attempts" };
        error.message = format!("{} (after {sent} {noun}; {})", error.message, verdict.why);
    }
    error
}

/// The runtime's instant of the request's deadline.
#[must_use]
pub(crate) fn deadline(clock: &Clock, drive: &Drive) -> Instant {
    clock.instant(drive.deadline())
}
