//! What each route has spent today.
//!
//! Owns one sum per route and day, for steps that keep to a daily amount. Must not refuse anything: that is the step's. It
//! is a pace, not a ledger; `accounts` keeps it across restarts.

use parking_lot::Mutex;
use std::collections::HashMap;
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_model::money::NanoDollars;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::view::{View, Views};

/// Routes that are kept apart at the most; those beyond are not counted.
const MOST_ROUTES: usize = 4_096;

/// The sums, by route: the day they are of (days since the Unix epoch) and the amount.
#[derive(Debug, Default)]
pub(crate) struct DaySpend(Mutex<HashMap<Name, (u64, NanoDollars)>>);

impl DaySpend {
    /// Adds to a route's day.
    pub(crate) fn add(&self, route: &Name, day: u64, amount: NanoDollars) {
        let mut sums = self.0.lock();
        if let Some(sum) = sums.get_mut(route) {
            *sum = if sum.0 == day { (day, sum.1.saturating_add(amount)) } else { (day, amount) };
        } else if sums.len() < MOST_ROUTES {
            sums.insert(Name::clone(route), (day, amount));
        }
    }

    /// The sums, with their days.
    pub(crate) fn sums(&self) -> Vec<(Name, u64, NanoDollars)> {
        self.0.lock().iter().map(|(route, (day, sum))| (Name::clone(route), *day, *sum)).collect()
    }

    /// Takes up what a route had spent before a restart.
    pub(crate) fn restore(&self, route: Name, day: u64, sum: NanoDollars) {
        let mut sums = self.0.lock();
        if sums.len() < MOST_ROUTES {
            sums.entry(route).or_insert((day, sum));
        }
    }

    fn spent(&self, route: &str, day: u64) -> NanoDollars {
        self.0.lock().get(route).filter(|sum| sum.0 == day).map_or(NanoDollars::ZERO, |sum| sum.1)
    }
}

/// The fleet's health with what was spent.
pub(crate) struct HealthAndSpend<'a> {
    /// How each deployment fares.
    pub(crate) health: &'a dyn Views,
    /// What routes have spent.
    pub(crate) spend: &'a DaySpend,
}

impl Views for HealthAndSpend<'_> {
    fn view(&self, index: DeploymentIndex, now: Moment) -> View {
        self.health.view(index, now)
    }

    fn spent(&self, route: &str, day: u64) -> Option<NanoDollars> {
        Some(self.spend.spent(route, day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_starts_at_nothing() {
        let spend = DaySpend::default();
        let route = Name::from("auto");
        spend.add(&route, 5, NanoDollars(3));
        spend.add(&route, 5, NanoDollars(4));
        assert_eq!(
            (spend.spent("auto", 5), spend.spent("auto", 6), spend.spent("other", 5)),
            (NanoDollars(7), NanoDollars::ZERO, NanoDollars::ZERO)
        );
        spend.add(&route, 6, NanoDollars(1));
        assert_eq!(spend.spent("auto", 6), NanoDollars(1));
    }
}
