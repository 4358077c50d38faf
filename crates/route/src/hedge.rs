//! What hedging may cost.
//!
//! Owns the account of hedge spending against all spending of a route, with a reservation so that the cap holds while hedges
//! run. Must not know when a hedge is due (the plan and health say) nor where it goes (the machine says).
//!
//! Mechanism. The loser's cost is the price of hedging: one of the two answers is thrown away, and what it had used by then is
//! still billed. Before a hedge starts, the cost of a whole answer is reserved; it starts only if hedge spending so far,
//! everything reserved, and this reservation stay within the cap's share of all settled spending. When the race is over the
//! reservation is replaced by what the loser really cost. A reservation that is dropped counts as spent.
//!
//! Promise. As long as reservations are not exceeded, hedge spending never exceeds the cap's share of all spending, however
//! many hedges run at once; if one is exceeded, no hedge starts until the share is right again.
//!
//! Cold start. Nothing spent, nothing to hedge with: at 5 % the first hedge comes after about twenty requests. Both sums are
//! halved together each half hour, so that a cheap month does not pay for a wild hour; halving keeps the share. Where prices
//! are unknown or zero the same rule counts calls instead of money.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::moment::Moment;
use trunkline_model::money::{Cost, NanoDollars};

/// Sums are halved after this time.
const HALF_LIFE: Duration = Duration::from_secs(1_800);
/// What one call counts in the sum of calls, so that halving keeps fractions.
const CALL: i64 = 1_000;

/// The hedge spending of one route.
#[derive(Debug)]
pub struct HedgeBudget {
    /// Share of all spending, in millionths.
    cap: i64,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    money: Account,
    calls: Account,
    halved: Moment,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    total: i64,
    hedged: i64,
    reserved: i64,
}

/// The right to run one hedge. Dropped without a word it counts as spent.
#[must_use = "dropping a reservation spends it"]
#[derive(Debug)]
pub struct HedgeReservation {
    budget: Arc<HedgeBudget>,
    money: i64,
    loser: Loser,
}

/// What became of the losing attempt.
#[derive(Clone, Copy, Debug)]
enum Loser {
    NotStarted,
    Cost(i64),
    Unknown,
}

impl HedgeBudget {
    /// A budget that lets hedges cost this share (0 to 1) of all spending.
    #[must_use]
    pub fn new(spend_cap: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "clamped to a million")]
        let cap = (spend_cap.clamp(0.0, 1.0) * 1e6) as i64;
        Self { cap, sums: Mutex::default() }
    }

    /// Counts a finished call, loser or not.
    pub fn spent(&self, cost: Cost, now: Moment) {
        let mut sums = self.sums.lock();
        sums.age(now);
        sums.calls.total = sums.calls.total.saturating_add(CALL);
        sums.money.total = sums.money.total.saturating_add(nanos(cost.amount));
    }

    /// Reserves the cost of a second answer, if the cap has room for it; an unknown cost counts as a call.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, estimate: Option<NanoDollars>, now: Moment) -> Option<HedgeReservation> {
        let money = nanos(estimate);
        let mut sums = self.sums.lock();
        sums.age(now);
        let room = if money > 0 {
            sums.money.has_room(money, self.cap)
        } else {
            sums.calls.has_room(CALL, self.cap)
        };
        if !room {
            return None;
        }
        sums.money.reserved = sums.money.reserved.saturating_add(money);
        sums.calls.reserved = sums.calls.reserved.saturating_add(CALL);
        drop(sums);
        Some(HedgeReservation { budget: Arc::clone(self), money, loser: Loser::Unknown })
    }

    /// The share of spending that hedges cost lately, 0 to 1; `None` before anything was spent.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let sums = self.sums.lock();
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        let share = sums.money.hedged as f64 / sums.money.total as f64;
        (sums.money.total > 0).then_some(share)
    }
}

impl HedgeReservation {
    /// The race is over and this is what the loser cost. The call itself is counted by [`HedgeBudget::spent`], as any call.
    pub fn settle(mut self, loser: Cost) {
        self.loser = loser.amount.map_or(Loser::Unknown, |amount| Loser::Cost(nanos(Some(amount))));
    }

    /// The hedge was not started after all.
    pub fn release(mut self) {
        self.loser = Loser::NotStarted;
    }
}

impl Drop for HedgeReservation {
    fn drop(&mut self) {
        let mut sums = self.budget.sums.lock();
        let (money, calls) = match self.loser {
            Loser::NotStarted => (0, 0),
            Loser::Cost(cost) => (cost, CALL),
            Loser::Unknown => (self.money, CALL),
        };
        sums.money.close(self.money, money);
        sums.calls.close(CALL, calls);
    }
}

impl Sums {
    fn age(&mut self, now: Moment) {
        let lives = now.since(self.halved).as_secs() / HALF_LIFE.as_secs();
        if lives > 0 {
            let lives = u32::try_from(lives.min(62)).unwrap_or(62);
            self.money.halve(lives);
            self.calls.halve(lives);
            self.halved = now;
        }
    }
}

impl Account {
    fn has_room(&self, estimate: i64, cap: i64) -> bool {
        let hedged = i128::from(self.hedged) + i128::from(self.reserved) + i128::from(estimate);
        hedged * 1_000_000 <= i128::from(self.total) * i128::from(cap)
    }

    fn close(&mut self, reserved: i64, spent: i64) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.hedged = self.hedged.saturating_add(spent);
    }

    /// The total is rounded down and the hedged part up: rounding never makes room.
    fn halve(&mut self, lives: u32) {
        self.total >>= lives;
        self.hedged = (self.hedged >> lives) + i64::from(self.hedged & ((1 << lives) - 1) != 0);
    }
}

/// Never negative: a refund does not pay for hedges.
fn nanos(amount: Option<NanoDollars>) -> i64 {
    amount.map_or(0, |amount| amount.nanos().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cents(count: i64) -> NanoDollars {
        NanoDollars(count * 10_000_000)
    }

    #[test]
    fn the_first_hedge_comes_when_the_cap_has_paid_for_it() {
        let budget = Arc::new(HedgeBudget::new(0.05));
        for _ in 0..19 {
            budget.spent(Cost::exact(cents(1)), Moment::ORIGIN);
        }
        assert!(budget.reserve(Some(cents(1)), Moment::ORIGIN).is_none());
        budget.spent(Cost::exact(cents(1)), Moment::ORIGIN);
        let first = budget.reserve(Some(cents(1)), Moment::ORIGIN).expect("twenty cents pay for one");
        assert!(budget.reserve(Some(cents(1)), Moment::ORIGIN).is_none(), "the room is reserved");
        first.release();
        let again = budget.reserve(Some(cents(1)), Moment::ORIGIN).expect("it was given back");
        again.settle(Cost::exact(NanoDollars(1)));
        assert!(budget.share().expect("something was spent") < 0.000_001);
    }

    #[test]
    fn without_prices_calls_are_counted() {
        let budget = Arc::new(HedgeBudget::new(0.5));
        assert!(budget.reserve(None, Moment::ORIGIN).is_none());
        budget.spent(Cost::UNKNOWN, Moment::ORIGIN);
        budget.spent(Cost::UNKNOWN, Moment::ORIGIN);
        let hedge = budget.reserve(None, Moment::ORIGIN);
        assert!(hedge.is_some());
        drop(hedge);
        assert!(budget.reserve(None, Moment::ORIGIN).is_none(), "a dropped reservation is spent");
    }

    #[test]
    fn an_old_fortune_does_not_pay_for_a_wild_hour() {
        let budget = Arc::new(HedgeBudget::new(0.05));
        budget.spent(Cost::exact(cents(100_000)), Moment::ORIGIN);
        let tomorrow = Moment::ORIGIN + Duration::from_secs(86_400);
        assert!(budget.reserve(Some(cents(1)), tomorrow).is_none());
    }

    #[test]
    fn halving_keeps_the_share_and_makes_no_room() {
        let budget = Arc::new(HedgeBudget::new(0.05));
        budget.spent(Cost::exact(cents(1_000)), Moment::ORIGIN);
        for _ in 0..50 {
            budget
                .reserve(Some(cents(1)), Moment::ORIGIN)
                .expect("there is room")
                .settle(Cost::exact(cents(1)));
        }
        for halves in 0..20 {
            let later = Moment::ORIGIN + HALF_LIFE * halves;
            assert!(budget.reserve(Some(NanoDollars(1)), later).is_none());
        }
    }

    proptest! {
        #[test]
        fn hedges_never_cost_more_than_their_share(
            cap in 0.0f64..0.5,
            steps in prop::collection::vec((1i64..1_000_000, any::<bool>(), 0u32..=100, 0usize..4), 1..200),
        ) {
            let budget = Arc::new(HedgeBudget::new(cap));
            let mut now = Moment::ORIGIN;
            let mut running = Vec::new();
            for (cost, hedge, used, finish) in steps {
                now = now + Duration::from_secs(7);
                budget.spent(Cost::exact(NanoDollars(cost)), now);
                if hedge && let Some(reservation) = budget.reserve(Some(NanoDollars(cost)), now) {
                    running.push((reservation, cost * i64::from(used) / 100));
                }
                for _ in 0..finish.min(running.len()) {
                    let (reservation, loser) = running.remove(0);
                    budget.spent(Cost::exact(NanoDollars(loser)), now);
                    reservation.settle(Cost::exact(NanoDollars(loser)));
                }
                prop_assert!(budget.share().unwrap_or(0.0) <= cap + 1e-9);
            }
        }
    }
}
