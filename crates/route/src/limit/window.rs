//! A sliding minute in one-second slots.
//!
//! Owns the arithmetic of one counted quantity. Must not know what is counted nor what the limit is for. One slot more than
//! a minute holds, so that any 60 seconds that end now lie within the slots that are summed.

use std::time::Duration;
use trunkline_model::moment::Moment;

/// Length of a slot in microseconds.
const SLOT: u64 = 1_000_000;
/// A minute and the running slot.
const SLOTS: usize = 61;
/// The same as a number of ticks.
const SPAN: u64 = SLOTS as u64;

/// How much was charged in each of the last 61 seconds.
#[derive(Clone, Debug)]
pub(super) struct Window {
    slots: Box<[u64; SLOTS]>,
    newest: u64,
    total: u64,
}

/// When an amount fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// At once.
    Now,
    /// After this time, if nothing else is charged meanwhile.
    After(Duration),
    /// Not even into an empty window.
    Never,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { slots: Box::new([0; SLOTS]), newest: 0, total: 0 }
    }

    /// Forgets what is more than a minute old and returns the running slot. Time that goes backwards (two threads that read
    /// the clock in one order and arrive in the other) counts as standing still.
    pub(super) fn advance(&mut self, now: Moment) -> u64 {
        let tick = (now.as_micros() / SLOT).max(self.newest);
        if tick - self.newest >= SPAN {
            self.slots.fill(0);
            self.total = 0;
        } else {
            for passed in self.newest + 1..=tick {
                let slot = &mut self.slots[position(passed)];
                self.total = self.total.saturating_sub(*slot);
                *slot = 0;
            }
        }
        self.newest = tick;
        tick
    }

    /// What is charged in the window; call [`Self::advance`] first.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// When an amount fits under a limit; call [`Self::advance`] first.
    pub(super) fn fit(&self, amount: u64, limit: u64, now: Moment) -> Fit {
        if amount > limit {
            return Fit::Never;
        }
        let wanted = self.total.saturating_add(amount);
        if wanted <= limit {
            return Fit::Now;
        }
        Fit::After(self.freed(wanted - limit).since(now))
    }

    /// When the window will be empty if nothing is charged any more: a minute after the last slot in which something was. That is
    /// nearly always the running one, so that it is looked for from there.
    pub(super) fn empty_at(&self) -> Moment {
        let oldest = self.newest.saturating_sub(SPAN - 1);
        let last = (oldest..=self.newest).rev().find(|tick| self.slots[position(*tick)] > 0);
        Moment::from_micros((last.unwrap_or(self.newest) + SPAN) * SLOT)
    }

    /// Charges an amount to the running slot.
    pub(super) fn charge(&mut self, amount: u64) {
        let slot = &mut self.slots[position(self.newest)];
        *slot = slot.saturating_add(amount);
        self.total = self.total.saturating_add(amount);
    }

    /// Replaces what was charged in a slot by what it should have been. A slot that has left the window stays left.
    pub(super) fn correct(&mut self, tick: u64, charged: u64, actual: u64) {
        if tick > self.newest || self.newest - tick >= SPAN {
            return;
        }
        let slot = &mut self.slots[position(tick)];
        let corrected = slot.saturating_sub(charged).saturating_add(actual);
        self.total = self.total.saturating_sub(*slot).saturating_add(corrected);
        *slot = corrected;
    }

    /// The moment at which at least this much has left the window.
    fn freed(&self, amount: u64) -> Moment {
        let mut left = 0u64;
        for tick in self.newest.saturating_sub(SPAN - 1)..=self.newest {
            left = left.saturating_add(self.slots[position(tick)]);
            if left >= amount {
                return Moment::from_micros((tick + SPAN) * SLOT);
            }
        }
        Moment::from_micros((self.newest + SPAN) * SLOT)
    }
}

const fn position(tick: u64) -> usize {
    (tick % SPAN) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * SLOT)
    }

    #[test]
    fn a_charge_stays_for_the_minute_and_its_own_second() {
        let mut window = Window::new();
        window.advance(at(5));
        window.charge(7);
        window.advance(Moment::from_micros(66 * SLOT - 1));
        assert_eq!(window.total(), 7);
        window.advance(at(66));
        assert_eq!(window.total(), 0);
    }

    #[test]
    fn corrections_reach_only_slots_that_are_still_in_the_window() {
        let mut window = Window::new();
        let tick = window.advance(at(5));
        window.charge(100);
        window.correct(tick, 100, 30);
        assert_eq!(window.total(), 30);
        window.advance(at(70));
        window.charge(1);
        window.correct(tick, 30, 500);
        assert_eq!(window.total(), 1);
    }

    #[test]
    fn time_going_backwards_stands_still() {
        let mut window = Window::new();
        window.advance(at(100));
        window.charge(3);
        assert_eq!(window.advance(at(90)), 100);
        assert_eq!(window.total(), 3);
        assert_eq!(window.fit(1, 3, at(90)), Fit::After(Duration::from_secs(71)));
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_slots(steps in prop::collection::vec((0u64..90_000_000, 0u64..1_000, any::<bool>()), 1..60)) {
            let mut window = Window::new();
            let mut now = Moment::ORIGIN;
            for (wait, amount, correct) in steps {
                now = now + Duration::from_micros(wait);
                let tick = window.advance(now);
                window.charge(amount);
                if correct {
                    window.correct(tick, amount, amount / 2);
                }
                prop_assert_eq!(window.total(), window.slots.iter().sum::<u64>());
            }
            let empty = window.empty_at();
            window.advance(empty);
            prop_assert_eq!(window.total(), 0);
        }
    }
}
