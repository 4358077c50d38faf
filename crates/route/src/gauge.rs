//! A number that fades with time, in one atomic word.
//!
//! Owns the packing and the exponential decay. Must not know what is measured: latencies, penalties and retry allowances
//! are. Lock-free because every request reads some of them; 10 ms of time and 24 bits of value are finer than any use here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use trunkline_model::moment::Moment;

/// Length of a tick in microseconds. 32 bits of them wrap after 497 days; differences stay right for half of that.
const TICK: u64 = 10_000;

/// A value and the tick it was true at.
#[derive(Debug)]
pub(crate) struct Gauge(AtomicU64);

/// One reading: the value as stored and the seconds since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// The value as it was stored.
    pub(crate) value: f32,
    /// Seconds since then; zero when it was stored for a moment still to come.
    pub(crate) age: f32,
}

impl Reading {
    /// The share of the stored value that is left, decaying by a factor e in each `decay` seconds.
    pub(crate) fn kept(self, decay: f32) -> f32 {
        if decay > 0.0 { (-self.age / decay).exp() } else { 0.0 }
    }

    /// The value as it has faded towards zero.
    pub(crate) fn faded(self, decay: f32) -> f32 {
        self.value * self.kept(decay)
    }
}

impl Gauge {
    /// A gauge that was never set.
    pub(crate) const fn unset() -> Self {
        Self(AtomicU64::new(pack(f32::NAN, 0)))
    }

    /// A gauge with a value.
    pub(crate) const fn new(value: f32, now: Moment) -> Self {
        Self(AtomicU64::new(pack(value, tick(now))))
    }

    /// Stores a value that is true at a moment, which may be one to come: it does not fade before.
    pub(crate) fn set(&self, value: f32, at: Moment) {
        self.0.store(pack(value, tick(at)), Ordering::Relaxed);
    }

    /// The stored value and its age; `None` when never set.
    pub(crate) fn read(&self, now: Moment) -> Option<Reading> {
        unpack(self.0.load(Ordering::Relaxed), now)
    }

    /// Replaces the value by what `change` makes of the reading; `None` leaves it. Returns whether it changed.
    pub(crate) fn update(&self, now: Moment, mut change: impl FnMut(Option<Reading>) -> Option<f32>) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
                change(unpack(packed, now)).map(|value| pack(value, tick(now)))
            })
            .is_ok()
    }
}

const fn tick(moment: Moment) -> u32 {
    (moment.as_micros() / TICK) as u32
}

const fn pack(value: f32, tick: u32) -> u64 {
    ((value.to_bits() as u64) << 32) | tick as u64
}

fn unpack(packed: u64, now: Moment) -> Option<Reading> {
    let value = f32::from_bits((packed >> 32) as u32);
    if value.is_nan() {
        return None;
    }
    let ticks = tick(now).wrapping_sub(packed as u32).cast_signed().max(0);
    #[expect(
        clippy::cast_precision_loss,
        reason = "an age of days may lose minutes; nothing is left of it by then"
    )]
    let age = ticks as f32 * (TICK as f32 / 1e6);
    Some(Reading { value, age })
}

/// Seconds as the gauges count them.
pub(crate) fn seconds(duration: Duration) -> f32 {
    duration.as_secs_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fades_by_e_each_decay_and_not_before_its_moment() {
        let gauge = Gauge::unset();
        let at = |seconds: u64| Moment::ORIGIN + Duration::from_secs(seconds);
        assert_eq!(gauge.read(at(1)), None);
        gauge.set(8.0, at(20));
        let faded = |now| gauge.read(now).map(|reading| reading.faded(10.0));
        assert_eq!(faded(at(5)), Some(8.0));
        assert_eq!(faded(at(20)), Some(8.0));
        assert!((faded(at(30)).expect("it was set") - 8.0 / std::f32::consts::E).abs() < 1e-4);
        assert!(faded(at(86_400)).expect("it was set") < 1e-6);
    }

    #[test]
    fn an_update_that_declines_changes_nothing() {
        let gauge = Gauge::new(3.0, Moment::ORIGIN);
        assert!(!gauge.update(Moment::ORIGIN + Duration::from_secs(9), |_| None));
        assert_eq!(gauge.read(Moment::ORIGIN), Some(Reading { value: 3.0, age: 0.0 }));
    }
}
