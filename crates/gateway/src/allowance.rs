//! Money that may be spent in a day on one thing.
//!
//! Owns the sums by name and day. A cap holds whatever happens: what a call can cost at the most is taken before it is made, and
//! only what it did not cost is given back. A call whose end nobody saw, or whose cost is not known, keeps what was taken. What was
//! taken is kept across restarts by `accounts`.

use parking_lot::Mutex;
use std::collections::HashMap;
use trunkline_model::id::Name;
use trunkline_model::money::NanoDollars;

/// What was taken today, by name.
#[derive(Debug, Default)]
pub(crate) struct Allowances(Mutex<HashMap<Name, (u64, NanoDollars)>>);

/// Money taken for one call.
#[derive(Debug)]
#[must_use = "what the call did not cost is to be given back"]
pub(crate) struct Taken {
    name: Name,
    day: u64,
    amount: NanoDollars,
}

impl Allowances {
    /// Takes what a call can cost at the most; `None` when the day's cap leaves less than that.
    pub(crate) fn take(&self, name: &Name, day: u64, most: NanoDollars, cap: NanoDollars) -> Option<Taken> {
        let mut sums = self.0.lock();
        // Names of earlier configurations and days say nothing any more.
        sums.retain(|_, (of, _)| *of >= day);
        let sum = sums.get(name).map_or(NanoDollars::ZERO, |(_, sum)| *sum).saturating_add(most);
        if sum > cap {
            return None;
        }
        sums.insert(Name::clone(name), (day, sum));
        Some(Taken { name: Name::clone(name), day, amount: most })
    }

    /// What was taken of which day, by name; calls under way with all they can cost.
    pub(crate) fn sums(&self) -> Vec<(Name, u64, NanoDollars)> {
        self.0.lock().iter().map(|(name, (day, sum))| (Name::clone(name), *day, *sum)).collect()
    }

    /// Takes up what was taken before a restart.
    pub(crate) fn restore(&self, name: Name, day: u64, sum: NanoDollars) {
        self.0.lock().entry(name).or_insert((day, sum));
    }

    /// Gives back what a call did not cost.
    pub(crate) fn settle(&self, taken: &Taken, cost: Option<NanoDollars>) {
        let Some(cost) = cost else { return };
        let mut sums = self.0.lock();
        if let Some((_, sum)) = sums.get_mut(&taken.name).filter(|(day, _)| *day == taken.day) {
            *sum = NanoDollars(sum.0.saturating_sub(taken.amount.0).saturating_add(cost.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_ends_and_names_are_apart() {
        let allowances = Allowances::default();
        let (one, other) = (Name::from("one"), Name::from("other"));
        let cap = NanoDollars(10);
        assert!(allowances.take(&one, 1, NanoDollars(10), cap).is_some());
        assert!(allowances.take(&one, 1, NanoDollars(1), cap).is_none());
        assert!(allowances.take(&other, 1, NanoDollars(10), cap).is_some());
        assert!(allowances.take(&one, 2, NanoDollars(10), cap).is_some());
        assert_eq!(allowances.0.lock().len(), 1, "yesterday is forgotten");
    }

    proptest! {
        /// Calls that cost at most what was taken for them, some of which never end, in any order.
        #[test]
        fn the_cap_holds_under_any_sequence(
            calls in prop::collection::vec((1i64..50, 0i64..50, 0u8..4), 1..60),
            cap in 1i64..400,
        ) {
            let (allowances, name) = (Allowances::default(), Name::from("one"));
            let mut open: Vec<(Taken, i64)> = Vec::new();
            let mut spent = 0;
            for (most, cost, what) in calls {
                let cost = cost.min(most);
                if let Some(taken) = allowances.take(&name, 1, NanoDollars(most), NanoDollars(cap)) {
                    spent += cost;
                    open.push((taken, cost));
                }
                if what == 0 && !open.is_empty() {
                    let (taken, cost) = open.remove(0);
                    allowances.settle(&taken, Some(NanoDollars(cost)));
                } else if what == 1 {
                    // Nobody saw how it ended.
                    open.pop();
                }
                prop_assert!(spent <= cap, "{spent} of {cap}");
            }
        }
    }
}
