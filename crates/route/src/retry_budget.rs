//! The allowance for retries of a whole fleet, against storms.
//!
//! Owns one number: how many further attempts may be made now. Must not know who asks. Attempts and deadlines bound one
//! request; only this bounds all of them together, when every request fails at once and each would be sent four times to
//! providers that are already down.
//!
//! Mechanism. Each request deposits a fraction of a retry; each retry, failover or hedge withdraws a whole one. What is
//! above or below the reserve fades towards it within the window: old deposits are forgotten (an hour of health does not pay
//! for a storm) and an empty budget refills at the minimum rate (a quiet server can always retry a little). The reserve is
//! the minimum rate times the window.
//!
//! Promise. Between any two moments, withdrawals never exceed the balance at the first, plus the ratio times the requests in
//! between, plus the minimum rate times the time.
//!
//! Why half a retry per request by default: a deployment that fails more than half of its calls trips its breaker and is no
//! longer tried first, so a fleet whose breakers work does not run dry.

use crate::gauge::{Gauge, Reading, seconds};
use std::time::Duration;
use trunkline_model::moment::Moment;

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudgetPolicy {
    /// Retries that each request adds to the budget.
    pub ratio: f32,
    /// Retries per second that are always allowed.
    pub minimum_per_second: f32,
    /// How long a deposit counts.
    pub window: Duration,
}

impl Default for RetryBudgetPolicy {
    /// Half a retry per request and ten per second, over ten seconds.
    fn default() -> Self {
        Self { ratio: 0.5, minimum_per_second: 10.0, window: Duration::from_secs(10) }
    }
}

/// The balance is never above this, so that its fractions stay exact enough.
const MOST: f32 = 100_000.0;

/// A budget of retries.
#[derive(Debug)]
pub struct RetryBudget {
    policy: RetryBudgetPolicy,
    balance: Gauge,
}

impl RetryBudget {
    /// A budget that holds its reserve.
    #[must_use]
    pub fn new(policy: RetryBudgetPolicy, now: Moment) -> Self {
        Self { policy, balance: Gauge::new(reserve(&policy), now) }
    }

    /// Counts a request.
    pub fn deposit(&self, now: Moment) {
        self.balance.update(now, |reading| Some((self.faded(reading) + self.policy.ratio).min(MOST)));
    }

    /// Takes one retry; `false` when there is none.
    #[must_use]
    pub fn withdraw(&self, now: Moment) -> bool {
        self.balance.update(now, |reading| {
            let balance = self.faded(reading);
            (balance >= 1.0).then_some(balance - 1.0)
        })
    }

    /// Retries that may be made now.
    #[must_use]
    pub fn balance(&self, now: Moment) -> f32 {
        self.faded(self.balance.read(now))
    }

    fn faded(&self, reading: Option<Reading>) -> f32 {
        let reserve = reserve(&self.policy);
        reading.map_or(reserve, |reading| {
            reserve + (reading.value - reserve) * reading.kept(seconds(self.policy.window))
        })
    }
}

fn reserve(policy: &RetryBudgetPolicy) -> f32 {
    (policy.minimum_per_second * seconds(policy.window)).clamp(0.0, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Moment {
        Moment::ORIGIN + Duration::from_secs_f64(seconds)
    }

    fn drain(budget: &RetryBudget, now: Moment) -> u32 {
        (0..1_000_000).take_while(|_| budget.withdraw(now)).count().try_into().expect("bounded above")
    }

    #[test]
    fn the_reserve_is_there_from_the_start_and_no_more() {
        let budget = RetryBudget::new(RetryBudgetPolicy::default(), at(0.0));
        assert_eq!(drain(&budget, at(0.0)), 100);
    }

    #[test]
    fn requests_pay_for_retries_at_the_ratio() {
        let policy = RetryBudgetPolicy { minimum_per_second: 0.0, ..RetryBudgetPolicy::default() };
        let budget = RetryBudget::new(policy, at(0.0));
        assert_eq!(drain(&budget, at(0.0)), 0);
        for _ in 0..10 {
            budget.deposit(at(0.0));
        }
        assert_eq!(drain(&budget, at(0.0)), 5);
    }

    #[test]
    fn an_empty_budget_refills_and_an_old_surplus_is_forgotten() {
        let budget = RetryBudget::new(RetryBudgetPolicy::default(), at(0.0));
        drain(&budget, at(0.0));
        assert_eq!(drain(&budget, at(1.0)), 9);
        for _ in 0..10_000 {
            budget.deposit(at(2.0));
        }
        assert!(budget.balance(at(2.0)) > 5_000.0);
        assert!(budget.balance(at(120.0)) < 101.0);
    }

    proptest! {
        #[test]
        fn withdrawals_are_bounded_by_reserve_requests_and_time(
            steps in prop::collection::vec((0u64..2_000_000, 0u32..20, 0u32..40), 1..80),
            ratio in 0.0f32..2.0,
            minimum in 0.0f32..50.0,
        ) {
            let policy = RetryBudgetPolicy { ratio, minimum_per_second: minimum, window: Duration::from_secs(10) };
            let budget = RetryBudget::new(policy, Moment::ORIGIN);
            let (mut now, mut requests, mut taken) = (Moment::ORIGIN, 0u32, 0u32);
            for (wait, deposits, withdrawals) in steps {
                now = now + Duration::from_micros(wait);
                for _ in 0..deposits {
                    budget.deposit(now);
                    requests += 1;
                }
                taken += (0..withdrawals).filter(|_| budget.withdraw(now)).count() as u32;
                let allowed = f64::from(minimum) * 10.0
                    + f64::from(ratio) * f64::from(requests)
                    + f64::from(minimum) * now.since(Moment::ORIGIN).as_secs_f64();
                prop_assert!(f64::from(taken) <= allowed * 1.0001 + 0.1, "{taken} of {allowed}");
                prop_assert!(budget.balance(now) >= 0.0);
            }
        }
    }
}
