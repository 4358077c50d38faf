//! The circuit breaker of one deployment.
//!
//! Owns the two trip conditions, the back-off and the recovery. Must not know what a failure is, nor lock or publish: that is
//! the deployment's part. See the module `health` for the mechanism as a whole.

use super::policy::BreakerPolicy;
use std::time::Duration;
use trunkline_model::moment::Moment;

/// Parts of the sliding window.
const SLOTS: usize = 10;
/// Doublings of the back-off that are told apart.
const MOST_ROUNDS: u32 = 16;

/// What a metric says of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are kept away until the back-off is over.
    Open,
    /// The back-off is over; one call may go through as a probe.
    HalfOpen,
}

impl BreakerState {
    /// The name used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Why a breaker tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trip {
    /// Too many failures in a row.
    Consecutive,
    /// Too few successes in the window.
    SuccessRate,
    /// A probe failed.
    Probe,
}

impl Trip {
    /// The name used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive_failures",
            Self::SuccessRate => "success_rate",
            Self::Probe => "probe_failed",
        }
    }
}

/// How a call ended, as far as a breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// An answer.
    Well,
    /// A failure of the deployment's making.
    Badly,
    /// The deployment is alive, and that is all the call says.
    Alive,
}

/// One call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) ended: Ended,
    /// Whether it was let through as a probe.
    pub(super) probe: bool,
    /// When it started: a call from before the trip says nothing about the time after it.
    pub(super) started: Moment,
}

/// The breaker.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    policy: BreakerPolicy,
    seed: u64,
    consecutive: u32,
    window: Window,
    open: Option<Open>,
    /// When it last closed after a trip, and after how many rounds: a relapse soon after goes on from there.
    recovered: Option<(Moment, u32)>,
    trips: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) since: Moment,
    pub(super) until: Moment,
    pub(super) trip: Trip,
    round: u32,
}

impl Breaker {
    pub(super) fn new(policy: BreakerPolicy, seed: u64) -> Self {
        Self {
            policy,
            seed,
            consecutive: 0,
            window: Window::new(policy.window),
            open: None,
            recovered: None,
            trips: 0,
        }
    }

    /// Takes note of a call that ended.
    pub(super) fn record(&mut self, report: Report, now: Moment) {
        match report.ended {
            Ended::Well => self.consecutive = 0,
            Ended::Badly => self.consecutive = self.consecutive.saturating_add(1),
            Ended::Alive => {}
        }
        match (self.open, report.ended) {
            (None, Ended::Alive) => {}
            (None, ended) => {
                self.window.count(ended == Ended::Well, now);
                if ended == Ended::Badly
                    && let Some(trip) = self.trip()
                {
                    let relapse =
                        self.recovered.filter(|(at, _)| now.since(*at) < self.policy.longest_backoff);
                    self.open(trip, relapse.map_or(0, |(_, round)| round + 1), now);
                }
            }
            (Some(open), Ended::Badly) => {
                if report.probe {
                    self.open(Trip::Probe, open.round + 1, now);
                }
            }
            // The least bad of all-broken deployments gets calls that are not probes; their success counts as well.
            (Some(open), Ended::Well | Ended::Alive) => {
                if report.probe || report.started >= open.since {
                    self.close(open, now);
                }
            }
        }
    }

    pub(super) const fn state(&self) -> Option<Open> {
        self.open
    }

    pub(super) const fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// How often it opened so far, failed probes included.
    pub(super) const fn trips(&self) -> u64 {
        self.trips
    }

    /// The share of successes in the window; `None` when it is empty.
    pub(super) fn success_rate(&mut self, now: Moment) -> Option<f32> {
        self.window.advance(now);
        self.window.success_rate()
    }

    fn trip(&self) -> Option<Trip> {
        let policy = &self.policy;
        if policy.consecutive_failures > 0 && self.consecutive >= policy.consecutive_failures {
            return Some(Trip::Consecutive);
        }
        let enough = self.window.calls() >= policy.least_calls;
        let low = self.window.success_rate().is_some_and(|rate| rate < policy.success_rate);
        (enough && low).then_some(Trip::SuccessRate)
    }

    fn open(&mut self, trip: Trip, round: u32, now: Moment) {
        self.trips = self.trips.saturating_add(1);
        let round = round.min(MOST_ROUNDS);
        let until = now + self.backoff(round);
        self.open = Some(Open { since: now, until, trip, round });
    }

    fn close(&mut self, open: Open, now: Moment) {
        self.open = None;
        self.recovered = Some((now, open.round));
        self.consecutive = 0;
        self.window = Window::new(self.policy.window);
    }

    /// The doubled back-off, a quarter more or less by the seed, so that replicas do not probe together; never more than
    /// the longest, however many probes failed and however often it relapsed.
    fn backoff(&self, round: u32) -> Duration {
        let span = self.policy.backoff.saturating_mul(1 << round).min(self.policy.longest_backoff);
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 2);
        let random = mix(self.seed.wrapping_add(self.trips));
        let spread = (u128::from(micros / 2) * u128::from(random)) >> 64;
        let wait = Duration::from_micros(micros - micros / 4 + u64::try_from(spread).unwrap_or(0));
        wait.min(self.policy.longest_backoff)
    }
}

/// One round of splitmix64: well spread bits from any seed.
pub(super) const fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Successes and failures of the last while.
#[derive(Clone, Debug)]
struct Window {
    slot: u64,
    newest: u64,
    slots: [(u32, u32); SLOTS],
}

impl Window {
    fn new(length: Duration) -> Self {
        let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        Self { slot: (micros / SLOTS as u64).max(1), newest: 0, slots: [(0, 0); SLOTS] }
    }

    fn advance(&mut self, now: Moment) {
        let tick = (now.as_micros() / self.slot).max(self.newest);
        let passed = (tick - self.newest).min(SLOTS as u64);
        for step in 0..passed {
            self.slots[position(tick - step)] = (0, 0);
        }
        self.newest = tick;
    }

    fn count(&mut self, success: bool, now: Moment) {
        self.advance(now);
        let (good, bad) = &mut self.slots[position(self.newest)];
        let counter = if success { good } else { bad };
        *counter = counter.saturating_add(1);
    }

    fn calls(&self) -> u32 {
        self.slots.iter().fold(0, |sum, (good, bad)| sum.saturating_add(*good).saturating_add(*bad))
    }

    fn success_rate(&self) -> Option<f32> {
        let (good, bad) = self
            .slots
            .iter()
            .fold((0u64, 0u64), |sum, slot| (sum.0 + u64::from(slot.0), sum.1 + u64::from(slot.1)));
        #[expect(clippy::cast_precision_loss, reason = "a share for comparison with a threshold")]
        let rate = good as f32 / (good + bad) as f32;
        (good + bad > 0).then_some(rate)
    }
}

const fn position(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> BreakerPolicy {
        BreakerPolicy::default()
    }

    fn report(ended: Ended, probe: bool, started: Moment) -> Report {
        Report { ended, probe, started }
    }

    #[test]
    fn a_relapse_soon_after_recovery_waits_longer_and_a_late_one_starts_over() {
        let seconds = |seconds| Moment::ORIGIN + Duration::from_secs(seconds);
        let trip = |breaker: &mut Breaker, now| {
            (0..5).for_each(|_| breaker.record(report(Ended::Badly, false, now), now));
            breaker.state().expect("five in a row").until.since(now)
        };
        let mut breaker = Breaker::new(policy(), 1);
        assert!(trip(&mut breaker, seconds(0)) < Duration::from_millis(2_500));
        breaker.record(report(Ended::Well, true, seconds(3)), seconds(3));
        assert!(trip(&mut breaker, seconds(10)) >= Duration::from_secs(3));
        breaker.record(report(Ended::Well, true, seconds(20)), seconds(20));
        assert!(trip(&mut breaker, seconds(100)) < Duration::from_millis(2_500));
    }

    proptest! {
        #[test]
        fn no_chain_of_relapses_and_failed_probes_waits_longer_than_the_longest(
            seed in any::<u64>(),
            steps in prop::collection::vec((any::<bool>(), 0u64..90), 1..200),
        ) {
            let mut breaker = Breaker::new(policy(), seed);
            let mut now = Moment::ORIGIN;
            for (recovers, later) in steps {
                (0..5).for_each(|_| breaker.record(report(Ended::Badly, false, now), now));
                let until = breaker.state().expect("five in a row").until;
                prop_assert!(until.since(now) <= policy().longest_backoff);
                now = now.max(until);
                let ended = if recovers { Ended::Well } else { Ended::Badly };
                breaker.record(report(ended, true, now), now);
                if let Some(open) = breaker.state() {
                    prop_assert!(open.until.since(now) <= policy().longest_backoff);
                }
                now = now + Duration::from_secs(later);
            }
        }
    }

    #[test]
    fn either_condition_can_be_switched_off() {
        let never = BreakerPolicy { consecutive_failures: 0, success_rate: 0.0, ..policy() };
        let mut breaker = Breaker::new(never, 1);
        for _ in 0..1_000 {
            breaker.record(report(Ended::Badly, false, Moment::ORIGIN), Moment::ORIGIN);
        }
        assert_eq!(breaker.state(), None);
    }

    #[test]
    fn replicas_with_other_seeds_probe_at_other_times() {
        let untils: std::collections::BTreeSet<Moment> = (0..20)
            .map(|seed| {
                let mut breaker = Breaker::new(policy(), seed);
                (0..5).for_each(|_| {
                    breaker.record(report(Ended::Badly, false, Moment::ORIGIN), Moment::ORIGIN)
                });
                breaker.state().expect("five in a row").until
            })
            .collect();
        assert_eq!(untils.len(), 20);
    }

    fn ended() -> impl Strategy<Value = Ended> {
        prop_oneof![Just(Ended::Well), Just(Ended::Badly), Just(Ended::Alive)]
    }

    proptest! {
        #[test]
        fn the_arithmetic_agrees_with_a_plain_list(
            calls in prop::collection::vec((0u64..4_000_000, ended()), 1..200),
            seed in any::<u64>(),
        ) {
            // The reference keeps every call since the last closing and counts afresh each time.
            let mut breaker = Breaker::new(policy(), seed);
            let mut now = Moment::ORIGIN;
            let mut history: Vec<(u64, bool)> = Vec::new();
            let slot = policy().window.as_micros() as u64 / SLOTS as u64;
            for (wait, ended) in calls {
                now = now + Duration::from_micros(wait);
                let was_open = breaker.state();
                let probe = was_open.is_some_and(|open| now >= open.until);
                breaker.record(report(ended, probe, now), now);
                match (was_open, ended) {
                    (Some(_), Ended::Badly) => prop_assert!(breaker.state().is_some()),
                    (Some(_), _) => {
                        prop_assert_eq!(breaker.state(), None, "anything alive after the trip closes it");
                        history.clear();
                    }
                    (None, Ended::Alive) => prop_assert_eq!(breaker.state(), None),
                    (None, ended) => {
                        history.push((now.as_micros() / slot, ended == Ended::Well));
                        let newest = now.as_micros() / slot;
                        let recent: Vec<bool> = history
                            .iter()
                            .filter(|(tick, _)| newest - tick < SLOTS as u64)
                            .map(|(_, good)| *good)
                            .collect();
                        let good = recent.iter().filter(|good| **good).count();
                        let row = history.iter().rev().take_while(|(_, good)| !good).count();
                        let low = recent.len() >= 20 && (good as f32 / recent.len() as f32) < 0.5;
                        let trips = ended == Ended::Badly && (row >= 5 || low);
                        prop_assert_eq!(breaker.state().is_some(), trips);
                    }
                }
                if let Some(open) = breaker.state() {
                    let wait = open.until.since(open.since);
                    prop_assert!(wait >= policy().backoff * 3 / 4 && wait <= policy().longest_backoff * 5 / 4);
                }
            }
        }
    }
}
