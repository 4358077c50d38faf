//! The health of one deployment.
//!
//! Owns the signals and how a finished call feeds them. Must not decide anything. What views read is published in atomics;
//! what only finished calls touch sits behind one mutex held for a few additions.

use super::breaker::{Breaker, BreakerState, Ended, Report, mix};
use super::call::Call;
use super::effect::{Remembered, effect};
use super::fleet::Identity;
use super::histogram::Histogram;
use super::outage::CredentialHealth;
use super::pace::PerDelivery;
use super::policy::HealthPolicy;
use super::snapshot::HealthSnapshot;
use crate::gauge::{Gauge, Reading, seconds};
use crate::limit::{Account, Estimate, Hold, Limiter, Limits, Settlement};
use crate::plan::HedgeDelay;
use crate::view::{Availability, View};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use trunkline_model::dialect::Delivery;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::headroom::Headroom;
use trunkline_model::moment::Moment;

/// How long rate-limit headers are believed that do not say when they reset.
const HEADROOM_LIFE: Duration = Duration::from_secs(60);

/// Everything learnt of one deployment. See the module's documentation.
#[derive(Debug)]
pub struct DeploymentHealth {
    identity: Identity,
    policy: HealthPolicy,
    credential: Arc<CredentialHealth>,
    /// Of this deployment alone: the key may use other models, but not this one.
    own_credential: CredentialHealth,
    outstanding: AtomicU32,
    latency: PerDelivery<Gauge>,
    penalty: Gauge,
    /// Microseconds of the moment before which the provider does not want to be asked; 0 for none.
    limited_until: AtomicU64,
    /// Microseconds of the moment the breaker's back-off ends; 0 while it is closed.
    broken_until: AtomicU64,
    /// Whether a probe is under way.
    probing: AtomicBool,
    failures: AtomicU32,
    headroom: Gauge,
    headroom_reset: AtomicU64,
    limiter: Limiter,
    /// Whether there are limits of our own, so that views need not ask the limiter.
    has_limits: AtomicBool,
    finished: Mutex<Finished>,
}

/// What only finished calls touch.
#[derive(Debug)]
struct Finished {
    breaker: Breaker,
    histogram: PerDelivery<Histogram>,
    /// Rate limits in a row without a waiting time, and when the last was noted.
    unexplained: u32,
    limited_at: Moment,
    seed: u64,
}

impl DeploymentHealth {
    /// A deployment nobody has called yet. `seed` is any random number; it spreads back-offs.
    #[must_use]
    pub fn new(
        identity: Identity,
        credential: Arc<CredentialHealth>,
        policy: HealthPolicy,
        limits: Limits,
        seed: u64,
    ) -> Self {
        Self {
            identity,
            policy,
            credential,
            own_credential: CredentialHealth::default(),
            outstanding: AtomicU32::new(0),
            latency: PerDelivery::new(Gauge::unset),
            penalty: Gauge::unset(),
            limited_until: AtomicU64::new(0),
            broken_until: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            headroom: Gauge::unset(),
            headroom_reset: AtomicU64::new(0),
            limiter: Limiter::new(limits),
            has_limits: AtomicBool::new(!limits.is_unlimited()),
            finished: Mutex::new(Finished {
                breaker: Breaker::new(policy.breaker, seed),
                histogram: PerDelivery::new(Histogram::new),
                unexplained: 0,
                limited_at: Moment::ORIGIN,
                seed,
            }),
        }
    }

    /// Which deployment it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The figures it works with.
    #[must_use]
    pub const fn policy(&self) -> &HealthPolicy {
        &self.policy
    }

    pub(super) const fn credential(&self) -> &Arc<CredentialHealth> {
        &self.credential
    }

    /// Takes new limits of ours; what was counted stays counted.
    pub fn limit(&self, limits: Limits) {
        self.limiter.reconfigure(limits);
        self.has_limits.store(!limits.is_unlimited(), Ordering::Relaxed);
    }

    /// Starts a call: counts it and, where a probe is due, makes it the probe. `tokens` is the worst case of prompt and answer;
    /// `delivery` says how the answer is to come.
    ///
    /// # Errors
    /// A [`FailureClass::LocalLimit`] with a true Retry-After when a configured limit of the deployment has no room.
    pub fn begin(self: &Arc<Self>, tokens: u64, delivery: Delivery, now: Moment) -> Result<Call, Failure> {
        let hold = if self.has_limits.load(Ordering::Relaxed) {
            let held = self.limiter.hold(&Estimate::tokens(tokens), now);
            Some(held.map_err(|refused| {
                let message = format!("{}: {}", self.identity.deployment, refused.limit);
                Failure::new(FailureClass::LocalLimit, message).with_retry_after(refused.retry_after)
            })?)
        } else {
            None
        };
        self.credential.begin(now);
        self.own_credential.begin(now);
        let due = self.broken_until.load(Ordering::Relaxed);
        let probe = due != 0
            && now.as_micros() >= due
            && self.probing.compare_exchange(false, true, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        Ok(Call::new(Arc::clone(self), now, delivery, probe, hold))
    }

    /// How it fares.
    #[must_use]
    pub fn view(&self, now: Moment) -> View {
        let (local, local_headroom) = self.local(now);
        View {
            availability: self.availability(local, now),
            outstanding: self.outstanding.load(Ordering::Relaxed),
            latency: self.latency(Delivery::Stream, now),
            whole_latency: self.latency(Delivery::Plain, now),
            headroom: self.provider_headroom(now).min(local_headroom),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Takes note of the rate-limit headers of a response.
    pub fn observe(&self, headroom: &Headroom, now: Moment) {
        if let Some(share) = headroom.share() {
            let reset = headroom.reset_at.unwrap_or(now + HEADROOM_LIFE);
            self.headroom_reset.store(reset.as_micros(), Ordering::Relaxed);
            self.headroom.set(share, now);
        }
    }

    /// The time that this share (0 to 1) of recent calls did not exceed until their first token or, where answers come whole,
    /// until their answer; `None` before enough of the kind were observed.
    #[must_use]
    pub fn first_token_quantile(&self, share: f64, delivery: Delivery) -> Option<Duration> {
        self.finished.lock().histogram.of(delivery).quantile(share, self.policy.least_observations)
    }

    /// When a hedge beside a call here is due, counted from the start of that call.
    #[must_use]
    pub fn hedge_delay(&self, delay: HedgeDelay, delivery: Delivery) -> Option<Duration> {
        match delay {
            HedgeDelay::Fixed(fixed) => Some(fixed),
            HedgeDelay::Quantile(share) => self.first_token_quantile(share, delivery),
        }
    }

    /// Everything at once, for metrics and the console.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> HealthSnapshot {
        let view = self.view(now);
        let least = self.policy.least_observations;
        let mut finished = self.finished.lock();
        let open = finished.breaker.state();
        HealthSnapshot {
            deployment: Arc::clone(&self.identity.deployment),
            view,
            breaker: match open {
                None => BreakerState::Closed,
                Some(open) if open.until > now => BreakerState::Open,
                Some(_) => BreakerState::HalfOpen,
            },
            trip: open.map(|open| open.trip),
            trips: finished.breaker.trips(),
            success_rate: finished.breaker.success_rate(now),
            first_token_median: finished.histogram.of(Delivery::Stream).quantile(0.5, least),
            first_token_p95: finished.histogram.of(Delivery::Stream).quantile(0.95, least),
            whole_median: finished.histogram.of(Delivery::Plain).quantile(0.5, least),
            whole_p95: finished.histogram.of(Delivery::Plain).quantile(0.95, least),
            rate_limited_for: until(&self.limited_until, now).map(|until| until.since(now)),
            credentials_out_for: self.credentials_out(now).map(|until| until.since(now)),
            credentials_reason: self.credential.reason().or_else(|| self.own_credential.reason()),
            provider_headroom: self.provider_headroom(now),
            standing: self.limiter.standing(now),
        }
    }

    /// Answers have begun: enough to close the breaker by a probe and to believe in the credential, since a long answer would
    /// keep other requests away until its end.
    pub(super) fn first_token(&self, elapsed: Duration, call: CallFacts, now: Moment) {
        self.raise_latency(elapsed, call.delivery, true, now);
        self.credential.accept();
        self.own_credential.accept();
        let mut finished = self.finished.lock();
        finished.histogram.of_mut(call.delivery).observe(elapsed, now);
        if call.probe {
            finished.breaker.record(call.report(Ended::Alive), now);
            self.publish(&finished.breaker);
        }
    }

    pub(super) fn succeeded(&self, call: CallFacts, now: Moment) {
        let mut finished = self.finished.lock();
        if call.started >= finished.limited_at && self.limited_until.load(Ordering::Relaxed) != 0 {
            finished.unexplained = 0;
            self.limited_until.store(0, Ordering::Relaxed);
        }
        finished.breaker.record(call.report(Ended::Well), now);
        self.publish(&finished.breaker);
    }

    pub(super) fn failed(&self, failure: &Failure, call: CallFacts, now: Moment) {
        let effect = effect(failure);
        match effect.remembered {
            Remembered::Credential => self.credential.reject(failure, self.policy.credentials_cooldown, now),
            Remembered::OwnCredential => {
                self.own_credential.reject(failure, self.policy.credentials_cooldown, now);
            }
            Remembered::Breaker | Remembered::RateLimit | Remembered::Alive | Remembered::Nothing => {}
        }
        let mut finished = self.finished.lock();
        let wait = self.wait_asked(failure, effect.waits, &mut finished);
        if let Some(wait) = wait {
            finished.limited_at = now;
            self.limited_until.fetch_max((now + wait).as_micros(), Ordering::Relaxed);
        }
        if effect.penalised {
            let limited = Moment::from_micros(self.limited_until.load(Ordering::Relaxed));
            self.penalise(limited.max(now), now);
        }
        let ended = match effect.remembered {
            Remembered::Breaker => Ended::Badly,
            Remembered::Nothing => return,
            _ => Ended::Alive,
        };
        finished.breaker.record(call.report(ended), now);
        self.publish(&finished.breaker);
    }

    /// A call that was cancelled before its first token took at least this long.
    pub(super) fn cancelled(&self, elapsed: Duration, call: CallFacts, now: Moment) {
        self.raise_latency(elapsed, call.delivery, false, now);
    }

    pub(super) fn end(&self, probe: bool, hold: Option<Hold>, settlement: &Settlement) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
        if probe {
            self.probing.store(false, Ordering::Relaxed);
        }
        if let Some(hold) = hold {
            self.limiter.settle(hold, settlement);
        }
    }

    fn availability(&self, local: Option<Availability>, now: Moment) -> Availability {
        if let Some(until) = self.credentials_out(now) {
            return self.without_credentials(until, now);
        }
        if let Some(until) = until(&self.limited_until, now) {
            return Availability::RateLimited { until };
        }
        let broken = self.broken_until.load(Ordering::Relaxed);
        if broken != 0 {
            let probe = now.as_micros() >= broken && !self.probing.load(Ordering::Relaxed);
            return Availability::Broken { until: Moment::from_micros(broken), probe };
        }
        local.unwrap_or(Availability::Open)
    }

    /// Whether what keeps the credential out is its quota: the one that lasts longer tells.
    fn without_credentials(&self, until: Moment, now: Moment) -> Availability {
        let longer = if self.own_credential.out_until(now) == Some(until) {
            &self.own_credential
        } else {
            &self.credential
        };
        match longer.class() {
            Some(FailureClass::QuotaExhausted) => Availability::QuotaExhausted { until },
            _ => Availability::CredentialsOut { until },
        }
    }

    fn credentials_out(&self, now: Moment) -> Option<Moment> {
        self.credential.out_until(now).max(self.own_credential.out_until(now))
    }

    /// What our own limits say: whether they hold calls back, and the share that is left.
    fn local(&self, now: Moment) -> (Option<Availability>, f32) {
        if !self.has_limits.load(Ordering::Relaxed) {
            return (None, 1.0);
        }
        let availability = match self.limiter.check(&Estimate::tokens(1), now) {
            Ok(()) => None,
            Err(refused) => Some(match refused.retry_after {
                Some(wait) => Availability::RateLimited { until: now + wait },
                None => Availability::Full,
            }),
        };
        (availability, self.limiter.standing(now).headroom())
    }

    /// A refusal makes both kinds wait.
    fn latency(&self, delivery: Delivery, now: Moment) -> Option<Duration> {
        let faded = |gauge: &Gauge, decay| gauge.read(now).map(|reading| reading.faded(seconds(decay)));
        let latency = faded(self.latency.of(delivery), self.policy.latency_decay);
        let penalty = faded(&self.penalty, self.policy.penalty_decay);
        // A Retry-After of an hour is no reason to panic in a conversion: values are bounded by what is put in.
        match (latency, penalty) {
            (Some(latency), Some(penalty)) => Some(latency.max(penalty)),
            (one, other) => one.or(other),
        }
        .and_then(|value| Duration::try_from_secs_f32(value).ok())
    }

    /// The share by the provider's headers, growing back in a straight line until the reset.
    fn provider_headroom(&self, now: Moment) -> f32 {
        let Some(Reading { value, age }) = self.headroom.read(now) else { return 1.0 };
        let left = seconds(Moment::from_micros(self.headroom_reset.load(Ordering::Relaxed)).since(now));
        if left <= 0.0 { 1.0 } else { (value + (1.0 - value) * age / (age + left)).clamp(0.0, 1.0) }
    }

    /// Moves the average: up at once, down slowly. What is only a lower bound never moves it down.
    fn raise_latency(&self, elapsed: Duration, delivery: Delivery, exact: bool, now: Moment) {
        let sample = seconds(elapsed);
        let decay = seconds(self.policy.latency_decay);
        self.latency.of(delivery).update(now, |reading| match reading {
            None => exact.then_some(sample),
            Some(reading) if sample >= reading.value => Some(sample),
            Some(_) if !exact => None,
            Some(reading) => {
                let kept = reading.kept(decay);
                // Within one tick nothing has faded: leave it, so that the tick does not move on without a change.
                (kept < 1.0).then_some(reading.value * kept + sample * (1.0 - kept))
            }
        });
    }

    fn penalise(&self, from: Moment, now: Moment) {
        let standing =
            self.penalty.read(now).map_or(0.0, |reading| reading.faded(seconds(self.policy.penalty_decay)));
        self.penalty.set(standing.max(seconds(self.policy.penalty)), from);
    }

    /// How long the provider wants to be left alone after this failure.
    fn wait_asked(&self, failure: &Failure, waits: bool, finished: &mut Finished) -> Option<Duration> {
        if !waits {
            return None;
        }
        if let Some(wait) = failure.retry_after {
            return Some(wait.min(self.policy.longest_retry_after));
        }
        if failure.class != FailureClass::RateLimited {
            return None;
        }
        finished.unexplained = finished.unexplained.saturating_add(1);
        let doublings = (finished.unexplained - 1).min(16);
        let span = self.policy.rate_limit_wait.saturating_mul(1 << doublings);
        let span = span.min(self.policy.longest_rate_limit_wait);
        // Up to a quarter more, so that replicas do not come back together.
        let random = mix(finished.seed ^ u64::from(finished.unexplained)) >> 32;
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX >> 34);
        Some(span + Duration::from_micros((micros / 4).saturating_mul(random) >> 32))
    }

    fn publish(&self, breaker: &Breaker) {
        let until = breaker.state().map_or(0, |open| open.until.as_micros().max(1));
        self.broken_until.store(until, Ordering::Relaxed);
        if until == 0 {
            // The probe has done its work, though its answer may go on for minutes.
            self.probing.store(false, Ordering::Relaxed);
        }
        self.failures.store(breaker.consecutive(), Ordering::Relaxed);
    }
}

/// What a call tells of itself when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallFacts {
    pub(super) started: Moment,
    pub(super) delivery: Delivery,
    pub(super) probe: bool,
}

impl CallFacts {
    const fn report(self, ended: Ended) -> Report {
        Report { ended, probe: self.probe, started: self.started }
    }
}

fn until(word: &AtomicU64, now: Moment) -> Option<Moment> {
    let until = Moment::from_micros(word.load(Ordering::Relaxed));
    (until > now).then_some(until)
}
