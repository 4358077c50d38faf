//! The limits of one virtual key or one deployment.
//!
//! Owns the counters behind one short mutex (three additions long) and their answer to "does it fit, and if not, when". Must
//! not know whose limits they are. A change of the configured figures keeps what is counted, so that a reload is no amnesty.

use super::reservation::{Account, Estimate, Hold, Limit, Refused, Settlement};
use super::window::{Fit, Window};
use crate::fleet::DeploymentLimits;
use parking_lot::Mutex;
use std::time::Duration;
use trunkline_model::moment::Moment;

/// Configured limits; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Requests at the same time.
    pub concurrency: Option<u32>,
}

impl Limits {
    /// Whether nothing is limited: then there is no need of a limiter.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.requests_per_minute.is_none() && self.tokens_per_minute.is_none() && self.concurrency.is_none()
    }
}

impl From<DeploymentLimits> for Limits {
    fn from(limits: DeploymentLimits) -> Self {
        Self {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            concurrency: limits.concurrency,
        }
    }
}

/// Counts against the limits of one holder. See the module's documentation for what it promises.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    requests: Option<Window>,
    tokens: Option<Window>,
    running: u32,
}

/// What is left of the limits, for rate-limit headers and for choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests per minute, where limited.
    pub requests: Option<Remaining>,
    /// Tokens per minute, where limited.
    pub tokens: Option<Remaining>,
    /// Requests that run now.
    pub running: u32,
    /// Whether another request would be one too many at once.
    pub full: bool,
}

impl Standing {
    /// The smallest share that is left of any limit per minute, 0 to 1.
    #[must_use]
    pub fn headroom(&self) -> f32 {
        [self.requests, self.tokens].into_iter().flatten().map(Remaining::share).fold(1.0, f32::min)
    }
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The limit.
    pub limit: u64,
    /// What is left of it now.
    pub remaining: u64,
    /// When all of it is back, if nothing more is charged.
    pub reset: Duration,
}

impl Remaining {
    fn share(self) -> f32 {
        if self.limit == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share for comparison, not for counting")]
        let share = self.remaining as f32 / self.limit as f32;
        share
    }
}

impl Limiter {
    /// A limiter that has counted nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let mut state = State { limits: Limits::default(), requests: None, tokens: None, running: 0 };
        state.configure(limits);
        Self { state: Mutex::new(state) }
    }

    /// Takes new figures and keeps what was counted under the old ones.
    pub fn reconfigure(&self, limits: Limits) {
        self.state.lock().configure(limits);
    }

    /// What is left.
    #[must_use]
    pub fn standing(&self, now: Moment) -> Standing {
        let mut state = self.state.lock();
        let limits = state.limits;
        Standing {
            requests: remaining(state.requests.as_mut(), limits.requests_per_minute, now),
            tokens: remaining(state.tokens.as_mut(), limits.tokens_per_minute, now),
            running: state.running,
            full: limits.concurrency.is_some_and(|allowed| state.running >= allowed),
        }
    }
}

impl Account for Limiter {
    fn hold(&self, estimate: &Estimate, now: Moment) -> Result<Hold, Refused> {
        let mut state = self.state.lock();
        let at = state.check(estimate.tokens, now)?;
        if let Some(requests) = &mut state.requests {
            requests.charge(1);
        }
        if let Some(tokens) = &mut state.tokens {
            tokens.charge(estimate.tokens);
        }
        state.running = state.running.saturating_add(1);
        Ok(Hold { at, amount: estimate.tokens })
    }

    fn check(&self, estimate: &Estimate, now: Moment) -> Result<(), Refused> {
        self.state.lock().check(estimate.tokens, now).map(drop)
    }

    fn settle(&self, hold: Hold, settlement: &Settlement) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        let used = match settlement {
            Settlement::Used { tokens, .. } => *tokens,
            Settlement::Unknown => hold.amount,
            Settlement::NotSent => {
                if let Some(requests) = &mut state.requests {
                    requests.correct(hold.at, 1, 0);
                }
                0
            }
        };
        if let Some(tokens) = &mut state.tokens {
            tokens.correct(hold.at, hold.amount, used);
        }
    }
}

impl State {
    fn configure(&mut self, limits: Limits) {
        self.limits = limits;
        keep_window(&mut self.requests, limits.requests_per_minute.is_some());
        keep_window(&mut self.tokens, limits.tokens_per_minute.is_some());
    }

    /// The slot the request would be charged to, or the limit that is longest in the way.
    fn check(&mut self, asked: u64, now: Moment) -> Result<u64, Refused> {
        // Both windows move together, so that one mark of time serves both.
        let at = [&mut self.requests, &mut self.tokens]
            .into_iter()
            .flatten()
            .map(|window| window.advance(now))
            .fold(0, u64::max);
        let mut worst: Option<Refused> = None;
        let mut refuse = |limit, retry_after| {
            let refused = Refused { limit, retry_after };
            worst = Some(worst.map_or(refused, |worst| worst.longer(refused)));
        };
        if let (Some(window), Some(allowed)) = (&self.requests, self.limits.requests_per_minute) {
            let limit = Limit::RequestsPerMinute { allowed };
            note(window.fit(1, allowed, now), limit, &mut refuse);
        }
        if let (Some(window), Some(allowed)) = (&self.tokens, self.limits.tokens_per_minute) {
            let limit = Limit::TokensPerMinute { allowed, asked };
            note(window.fit(asked, allowed, now), limit, &mut refuse);
        }
        if let Some(allowed) = self.limits.concurrency
            && self.running >= allowed
        {
            refuse(Limit::Concurrency { allowed }, None);
        }
        worst.map_or(Ok(at), Err)
    }
}

fn note(fit: Fit, limit: Limit, refuse: &mut impl FnMut(Limit, Option<Duration>)) {
    match fit {
        Fit::Now => {}
        Fit::After(wait) => refuse(limit, Some(wait)),
        Fit::Never => refuse(limit, None),
    }
}

fn keep_window(window: &mut Option<Window>, limited: bool) {
    match (limited, window.is_some()) {
        (true, false) => *window = Some(Window::new()),
        (false, true) => *window = None,
        _ => {}
    }
}

fn remaining(window: Option<&mut Window>, limit: Option<u64>, now: Moment) -> Option<Remaining> {
    let (window, limit) = (window?, limit?);
    window.advance(now);
    let reset = if window.total() == 0 { Duration::ZERO } else { window.empty_at().since(now) };
    Some(Remaining { limit, remaining: limit.saturating_sub(window.total()), reset })
}

#[cfg(test)]
mod tests {
    use super::super::reservation::Reservation;
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use trunkline_model::money::Cost;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_micros(milliseconds * 1_000)
    }

    fn limiter(requests: Option<u64>, tokens: Option<u64>, concurrency: Option<u32>) -> Arc<Limiter> {
        let limits = Limits { requests_per_minute: requests, tokens_per_minute: tokens, concurrency };
        Arc::new(Limiter::new(limits))
    }

    fn reserve(limiter: &Arc<Limiter>, tokens: u64, now: Moment) -> Result<Reservation, Refused> {
        let account: Arc<dyn Account> = Arc::clone(limiter) as _;
        Reservation::new([account], &Estimate::tokens(tokens), now)
    }

    const fn used(tokens: u64) -> Settlement {
        Settlement::Used { tokens, cost: Cost::UNKNOWN }
    }

    #[test]
    fn the_request_after_the_last_waits_for_the_first_to_leave_the_minute() {
        let limiter = limiter(Some(2), None, None);
        reserve(&limiter, 0, at(500)).expect("the first fits").settle(&used(0));
        reserve(&limiter, 0, at(30_000)).expect("the second fits").settle(&used(0));
        let refused = reserve(&limiter, 0, at(30_000)).expect_err("the third does not");
        assert_eq!(refused.limit, Limit::RequestsPerMinute { allowed: 2 });
        assert_eq!(refused.retry_after, Some(Duration::from_millis(31_000)));
        assert!(reserve(&limiter, 0, at(60_999)).is_err());
        assert!(reserve(&limiter, 0, at(61_000)).is_ok());
    }

    #[test]
    fn settling_gives_back_what_was_not_used_and_a_dropped_reservation_stands() {
        let limiter = limiter(None, Some(1_000), None);
        let first = reserve(&limiter, 900, at(0)).expect("it fits");
        assert!(reserve(&limiter, 200, at(0)).is_err());
        first.settle(&used(100));
        drop(reserve(&limiter, 800, at(0)).expect("900 are left"));
        assert_eq!(limiter.standing(at(0)).tokens.map(|tokens| tokens.remaining), Some(100));
        reserve(&limiter, 100, at(0)).expect("100 are left").settle(&Settlement::NotSent);
        assert_eq!(limiter.standing(at(0)).tokens.map(|tokens| tokens.remaining), Some(100));
    }

    #[test]
    fn usage_above_the_reservation_is_owed() {
        let limiter = limiter(None, Some(1_000), None);
        reserve(&limiter, 500, at(0)).expect("it fits").settle(&used(2_500));
        let refused = reserve(&limiter, 1, at(0)).expect_err("1,500 are owed");
        assert_eq!(refused.retry_after, Some(Duration::from_secs(61)));
        assert_eq!(limiter.standing(at(0)).headroom(), 0.0);
    }

    #[test]
    fn what_can_never_fit_gets_no_waiting_time() {
        let limiter = limiter(Some(5), Some(1_000), None);
        let refused = reserve(&limiter, 1_001, at(0)).expect_err("more than a whole minute");
        assert_eq!(refused.retry_after, None);
        assert_eq!(refused.limit, Limit::TokensPerMinute { allowed: 1_000, asked: 1_001 });
    }

    #[test]
    fn running_requests_are_counted_until_they_end_however_they_end() {
        let limiter = limiter(None, None, Some(1));
        let running = reserve(&limiter, 5, at(0)).expect("the first fits");
        assert!(limiter.standing(at(0)).full);
        let refused = reserve(&limiter, 5, at(0)).expect_err("one runs");
        assert_eq!((refused.limit, refused.retry_after), (Limit::Concurrency { allowed: 1 }, None));
        drop(running);
        assert_eq!(limiter.standing(at(0)).running, 0);
        assert!(reserve(&limiter, 5, at(0)).is_ok());
    }

    #[test]
    fn a_reload_is_no_amnesty() {
        let limiter = limiter(Some(2), None, None);
        for _ in 0..2 {
            reserve(&limiter, 0, at(0)).expect("it fits").settle(&used(0));
        }
        let limits = Limits { requests_per_minute: Some(3), tokens_per_minute: Some(10), concurrency: None };
        limiter.reconfigure(limits);
        reserve(&limiter, 10, at(0)).expect("one more now").settle(&used(10));
        assert!(reserve(&limiter, 0, at(0)).is_err());
    }

    #[test]
    fn every_account_holds_or_none_and_the_longest_wait_is_told() {
        let (key, team) = (limiter(Some(5), None, None), limiter(Some(1), None, None));
        reserve(&team, 0, at(5_000)).expect("the only one").settle(&used(0));
        let slow = limiter(Some(1), None, None);
        reserve(&slow, 0, at(20_000)).expect("the only one").settle(&used(0));
        let accounts: [Arc<dyn Account>; 3] = [Arc::clone(&key) as _, team, slow];
        let refused = Reservation::new(accounts, &Estimate::tokens(1), at(30_000)).expect_err("two are full");
        assert_eq!(refused.retry_after, Some(Duration::from_secs(51)));
        let standing = key.standing(at(30_000));
        assert_eq!((standing.requests.map(|requests| requests.remaining), standing.running), (Some(5), 0));
    }

    #[derive(Clone, Debug)]
    struct Step {
        wait: u64,
        asked: u64,
        used_percent: u64,
        settle_now: bool,
    }

    fn step() -> impl Strategy<Value = Step> {
        (0u64..25_000_000, 1u64..400, 0u64..=100, any::<bool>()).prop_map(
            |(wait, asked, used_percent, settle_now)| Step { wait, asked, used_percent, settle_now },
        )
    }

    /// Tokens and requests admitted in the 60 seconds that end with each admission, by the final figures.
    fn worst_window(admitted: &[(u64, u64)]) -> (u64, u64) {
        let within = |end: u64| admitted.iter().filter(move |(at, _)| *at <= end && end - *at <= 60_000_000);
        admitted.iter().fold((0, 0), |(requests, tokens), (end, _)| {
            let sum: u64 = within(*end).map(|(_, tokens)| tokens).sum();
            (requests.max(within(*end).count() as u64), tokens.max(sum))
        })
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_limits(
            steps in prop::collection::vec(step(), 1..120),
            requests in 1u64..30,
            tokens in 1u64..2_000,
        ) {
            let limiter = limiter(Some(requests), Some(tokens), None);
            let mut now = Moment::ORIGIN;
            let mut admitted: Vec<(u64, u64)> = Vec::new();
            let mut open = Vec::new();
            for step in steps {
                now = now + Duration::from_micros(step.wait);
                if let Ok(reservation) = reserve(&limiter, step.asked, now) {
                    admitted.push((now.as_micros(), step.asked));
                    open.push((reservation, admitted.len() - 1, step.asked * step.used_percent / 100));
                }
                if step.settle_now && !open.is_empty() {
                    let (reservation, position, actual) = open.remove(0);
                    reservation.settle(&used(actual));
                    admitted[position].1 = actual;
                }
                let (worst_requests, worst_tokens) = worst_window(&admitted);
                prop_assert!(worst_requests <= requests);
                prop_assert!(worst_tokens <= tokens);
            }
        }

        #[test]
        fn retry_after_is_true(
            steps in prop::collection::vec(step(), 1..60),
            requests in 1u64..10,
            tokens in 1u64..1_000,
        ) {
            let limiter = limiter(Some(requests), Some(tokens), None);
            let mut now = Moment::ORIGIN;
            for step in steps {
                now = now + Duration::from_micros(step.wait / 50);
                match reserve(&limiter, step.asked, now) {
                    Ok(reservation) => reservation.settle(&used(step.asked * step.used_percent / 100)),
                    Err(Refused { retry_after: Some(wait), .. }) => {
                        prop_assert!(wait > Duration::ZERO && wait <= Duration::from_secs(61));
                        let just_before = now + (wait - Duration::from_micros(1));
                        prop_assert!(limiter.check(&Estimate::tokens(step.asked), just_before).is_err());
                        now = now + wait;
                        prop_assert!(reserve(&limiter, step.asked, now).is_ok());
                    }
                    Err(Refused { limit, .. }) => {
                        let never = Limit::TokensPerMinute { allowed: tokens, asked: step.asked };
                        prop_assert_eq!(limit, never);
                        prop_assert!(step.asked > tokens);
                    }
                }
            }
        }

        #[test]
        fn settling_everything_leaves_exactly_what_was_used(
            steps in prop::collection::vec((1u64..100, 0u64..300), 1..20),
        ) {
            let limiter = limiter(None, Some(10_000), None);
            let held: Vec<_> = steps
                .iter()
                .map(|&(asked, actual)| (reserve(&limiter, asked, at(0)).expect("there is room"), actual))
                .collect();
            let total: u64 = steps.iter().map(|(_, actual)| actual).sum();
            held.into_iter().for_each(|(reservation, actual)| reservation.settle(&used(actual)));
            let standing = limiter.standing(at(0));
            prop_assert_eq!(standing.tokens.map(|tokens| tokens.remaining), Some(10_000 - total));
            prop_assert_eq!(standing.running, 0);
        }
    }
}
