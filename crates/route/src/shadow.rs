//! What copies for a candidate may cost.
//!
//! Owns the account of one route's copies, by day, with a reservation so that a cap holds while copies run. Must not know when a
//! request is copied (the decision says) nor what an answer is worth.
//!
//! Promise. Before a copy is sent, the most it can cost is reserved; it is sent only if what the day's copies have cost, what is
//! reserved for others and this reservation stay within every cap. As long as no copy costs more than was reserved for it, the
//! copies begun on a day never cost more than the day's cap, whatever becomes of them and however many run at once. A copy whose
//! cost nobody knows counts as all that was reserved.
//!
//! A day is one of UTC. What was reserved before midnight is paid by the day it was reserved on. What the account says can be
//! kept and taken up again by another process; what is reserved then counts as spent.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use trunkline_model::money::NanoDollars;

/// The caps of one route; those that are there all hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShadowCaps {
    /// The share of the day's own spending of the route that copies may add, 0 to 1.
    pub share: Option<f64>,
    /// Dollars for each day.
    pub daily: Option<NanoDollars>,
}

/// What an account says of its day, to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedShadow {
    /// Days since the Unix epoch.
    pub day: u64,
    /// What the route's own requests cost, in nano-dollars.
    pub own: i64,
    /// What copies cost and may still cost, in nano-dollars.
    pub spent: i64,
}

/// The account of one route's copies.
#[derive(Debug)]
pub struct ShadowBudget {
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    caps: ShadowCaps,
    /// Days since the Unix epoch.
    day: u64,
    /// What the route's own requests cost on that day.
    own: i64,
    copies: i64,
    reserved: i64,
}

/// The right to send one copy. Dropped without a word it counts as spent.
#[must_use = "dropping a reservation spends it"]
#[derive(Debug)]
pub struct ShadowReservation {
    budget: Arc<ShadowBudget>,
    day: u64,
    reserved: i64,
    cost: i64,
}

impl ShadowBudget {
    /// An account under these caps.
    #[must_use]
    pub fn new(caps: ShadowCaps) -> Self {
        Self { sums: Mutex::new(Sums { caps, ..Sums::default() }) }
    }

    /// Other caps from here on; what was spent stays spent.
    pub fn reconfigure(&self, caps: ShadowCaps) {
        self.sums.lock().caps = caps;
    }

    /// What it says now. Copies under way count as all that was reserved for them.
    #[must_use]
    pub fn saved(&self) -> SavedShadow {
        let sums = self.sums.lock();
        SavedShadow { day: sums.day, own: sums.own, spent: sums.copies.saturating_add(sums.reserved) }
    }

    /// Takes up what an account said, where that is newer; false for what no account says.
    pub fn restore(&self, saved: &SavedShadow) -> bool {
        if saved.own < 0 || saved.spent < 0 {
            return false;
        }
        let mut sums = self.sums.lock();
        if saved.day > sums.day {
            let caps = sums.caps;
            *sums = Sums { caps, day: saved.day, own: saved.own, copies: saved.spent, reserved: 0 };
        }
        true
    }

    /// Counts what a request of the route's own cost.
    pub fn served(&self, amount: NanoDollars, day: u64) {
        let mut sums = self.sums.lock();
        sums.turn_to(day);
        sums.own = sums.own.saturating_add(amount.nanos().max(0));
    }

    /// Reserves the most a copy can cost; `None` when a cap has no room for it.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, worst: NanoDollars, day: u64) -> Option<ShadowReservation> {
        let reserved = worst.nanos().max(0);
        let mut sums = self.sums.lock();
        sums.turn_to(day);
        if !sums.has_room(reserved) {
            return None;
        }
        sums.reserved = sums.reserved.saturating_add(reserved);
        let day = sums.day;
        drop(sums);
        Some(ShadowReservation { budget: Arc::clone(self), day, reserved, cost: reserved })
    }
}

impl ShadowReservation {
    /// The copy is over; `None` when nobody knows what it cost.
    pub fn settle(mut self, cost: Option<NanoDollars>) {
        if let Some(cost) = cost {
            self.cost = cost.nanos().max(0);
        }
    }
}

impl Drop for ShadowReservation {
    fn drop(&mut self) {
        let mut sums = self.budget.sums.lock();
        if sums.day == self.day {
            sums.reserved = sums.reserved.saturating_sub(self.reserved);
            sums.copies = sums.copies.saturating_add(self.cost);
        }
    }
}

impl Sums {
    /// A clock that is set back does not open a day again.
    fn turn_to(&mut self, day: u64) {
        if day > self.day {
            *self = Self { caps: self.caps, day, ..Self::default() };
        }
    }

    fn has_room(&self, more: i64) -> bool {
        let all = i128::from(self.copies) + i128::from(self.reserved) + i128::from(more);
        let under_daily = self.caps.daily.is_none_or(|cap| all <= i128::from(cap.nanos()));
        let under_share = self.caps.share.is_none_or(|share| {
            #[expect(clippy::cast_possible_truncation, reason = "clamped to a million")]
            let millionths = (share.clamp(0.0, 1.0) * 1e6) as i128;
            all * 1_000_000 <= i128::from(self.own) * millionths
        });
        under_daily && under_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(share: Option<f64>, daily: Option<i64>) -> Arc<ShadowBudget> {
        Arc::new(ShadowBudget::new(ShadowCaps { share, daily: daily.map(NanoDollars) }))
    }

    #[test]
    fn what_is_reserved_leaves_no_room_and_what_was_not_needed_comes_back() {
        let budget = budget(None, Some(100));
        let first = budget.reserve(NanoDollars(80), 1).unwrap();
        assert!(budget.reserve(NanoDollars(30), 1).is_none());
        first.settle(Some(NanoDollars(10)));
        let second = budget.reserve(NanoDollars(90), 1).unwrap();
        second.settle(None);
        assert!(budget.reserve(NanoDollars(1), 1).is_none(), "an unknown cost is all of it");
        assert!(budget.reserve(NanoDollars(100), 2).is_some(), "a new day");
    }

    #[test]
    fn a_share_is_of_what_the_route_itself_spent_that_day() {
        let budget = budget(Some(0.05), None);
        assert!(budget.reserve(NanoDollars(1), 1).is_none());
        budget.served(NanoDollars(1_000), 1);
        assert!(budget.reserve(NanoDollars(51), 1).is_none());
        assert!(budget.reserve(NanoDollars(50), 1).is_some());
        assert!(budget.reserve(NanoDollars(1), 2).is_none(), "yesterday's spending pays for nothing today");
    }

    #[test]
    fn other_caps_do_not_forget_what_was_spent() {
        let budget = budget(None, Some(100));
        budget.reserve(NanoDollars(60), 1).unwrap().settle(Some(NanoDollars(60)));
        budget.reconfigure(ShadowCaps { share: None, daily: Some(NanoDollars(70)) });
        assert!(budget.reserve(NanoDollars(11), 1).is_none());
        assert!(budget.reserve(NanoDollars(10), 1).is_some());
    }

    #[test]
    fn what_was_kept_counts_as_spent_and_what_runs_as_all_it_may_cost() {
        let before = budget(None, Some(100));
        before.served(NanoDollars(7), 3);
        before.reserve(NanoDollars(50), 3).unwrap().settle(Some(NanoDollars(20)));
        let running = before.reserve(NanoDollars(30), 3).unwrap();
        let saved = before.saved();
        assert_eq!(saved, SavedShadow { day: 3, own: 7, spent: 50 });
        let after = budget(None, Some(100));
        assert!(after.restore(&saved));
        assert!(after.reserve(NanoDollars(51), 3).is_none());
        drop(running);
        assert_eq!(after.saved(), saved);
        assert!(after.restore(&SavedShadow { day: 2, own: 0, spent: 0 }), "an older day changes nothing");
        assert_eq!(after.saved(), saved);
        assert!(!after.restore(&SavedShadow { day: 4, own: -1, spent: 0 }));
        assert!(after.reserve(NanoDollars(100), 4).is_some(), "a new day");
    }

    #[derive(Clone, Debug)]
    enum Event {
        Served(i64),
        Begin(i64),
        /// Position among the running copies, and per cent of the reservation that it cost; `None` for an unknown cost.
        End(usize, Option<i64>),
        Lost(usize),
        Midnight,
        /// Another process takes the account up; what runs is lost to it.
        Restart,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            (0i64..1_000_000).prop_map(Event::Served),
            (0i64..100_000).prop_map(Event::Begin),
            (0i64..100_000).prop_map(Event::Begin),
            (any::<usize>(), proptest::option::of(0i64..=100)).prop_map(|(at, cost)| Event::End(at, cost)),
            any::<usize>().prop_map(Event::Lost),
            Just(Event::Midnight),
            Just(Event::Restart),
        ];
        prop::collection::vec(event, 1..300)
    }

    proptest! {
        #[test]
        fn caps_hold_under_any_sequence_of_outcomes(
            share in proptest::option::of(0.0f64..0.5), daily in proptest::option::of(0i64..500_000), events in events(),
        ) {
            let mut budget = budget(share, daily);
            let mut day = 10;
            let mut running: Vec<(ShadowReservation, u64, i64)> = Vec::new();
            // By day: what the route spent, what its copies cost in the end.
            let mut ledger: std::collections::BTreeMap<u64, (i64, i64)> = std::collections::BTreeMap::new();
            for event in events {
                match event {
                    Event::Served(amount) => {
                        budget.served(NanoDollars(amount), day);
                        ledger.entry(day).or_default().0 += amount;
                    }
                    Event::Begin(worst) => {
                        if let Some(reservation) = budget.reserve(NanoDollars(worst), day) {
                            running.push((reservation, day, worst));
                        }
                    }
                    Event::End(at, cost) if !running.is_empty() => {
                        let (reservation, begun, worst) = running.swap_remove(at % running.len());
                        let cost = cost.map(|percent| worst * percent / 100);
                        reservation.settle(cost.map(NanoDollars));
                        // What nobody knows may have been anything up to the reservation.
                        ledger.entry(begun).or_default().1 += cost.unwrap_or(worst);
                    }
                    Event::Lost(at) if !running.is_empty() => {
                        let (reservation, begun, worst) = running.swap_remove(at % running.len());
                        drop(reservation);
                        ledger.entry(begun).or_default().1 += worst;
                    }
                    Event::Midnight => day += 1,
                    Event::Restart => {
                        let saved = budget.saved();
                        budget = Arc::new(ShadowBudget::new(ShadowCaps {
                            share,
                            daily: daily.map(NanoDollars),
                        }));
                        prop_assert!(budget.restore(&saved));
                        for (reservation, begun, worst) in running.drain(..) {
                            drop(reservation);
                            ledger.entry(begun).or_default().1 += worst;
                        }
                    }
                    Event::End(..) | Event::Lost(_) => {}
                }
                for (own, copies) in ledger.values() {
                    prop_assert!(daily.is_none_or(|cap| *copies <= cap), "{copies} of {daily:?}");
                    prop_assert!(share.is_none_or(|share| *copies as f64 <= *own as f64 * share + 1e-6));
                }
            }
        }
    }
}
