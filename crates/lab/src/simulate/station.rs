//! A virtual provider at work: who is being served, who waits, what its rate limit has left.
//!
//! Owns what changes while a simulation runs. Must not know why a call was made.

use std::collections::VecDeque;
use std::time::Duration;
use trunkline_model::headroom::Headroom;
use trunkline_model::moment::Moment;

/// One provider at work. `C` names a waiting call.
#[derive(Clone, Debug)]
pub(super) struct Station<C> {
    slots: Option<u32>,
    busy: u32,
    waiting: VecDeque<C>,
    bucket: Option<Bucket>,
}

/// A token bucket: what most providers describe their limits as.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_minute: f64,
    most: f64,
    left: f64,
    at: Moment,
}

impl<C> Station<C> {
    pub(super) fn new(slots: Option<u32>, requests_per_minute: Option<u64>) -> Self {
        let bucket = requests_per_minute.map(|limit| {
            #[expect(clippy::cast_precision_loss, reason = "limits have few digits")]
            let per_minute = limit as f64;
            let most = (per_minute / 10.0).max(1.0);
            Bucket { per_minute, most, left: most, at: Moment::ORIGIN }
        });
        Self { slots, busy: 0, waiting: VecDeque::new(), bucket }
    }

    /// Takes a request from the rate limit; the waiting time to tell when there is none left.
    pub(super) fn admit(&mut self, now: Moment) -> Result<(), Duration> {
        let Some(bucket) = &mut self.bucket else { return Ok(()) };
        bucket.refill(now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let seconds = (1.0 - bucket.left) * 60.0 / bucket.per_minute.max(1e-9);
        Err(Duration::from_secs_f64(seconds.clamp(0.001, 3_600.0)))
    }

    /// What its rate-limit headers say.
    pub(super) fn headroom(&mut self, now: Moment) -> Option<Headroom> {
        let bucket = self.bucket.as_mut()?;
        bucket.refill(now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
        let (left, most) = (bucket.left as u64, bucket.most as u64);
        let whole = (bucket.most - bucket.left) * 60.0 / bucket.per_minute.max(1e-9);
        Some(Headroom {
            requests_remaining: Some(left),
            requests_limit: Some(most),
            reset_at: Some(now + Duration::from_secs_f64(whole.clamp(0.0, 3_600.0))),
            ..Headroom::default()
        })
    }

    /// Takes a slot; `false` when all are taken.
    pub(super) fn take_slot(&mut self) -> bool {
        if self.slots.is_some_and(|slots| self.busy >= slots) {
            return false;
        }
        self.busy += 1;
        true
    }

    /// Puts a call behind those that wait.
    pub(super) fn enqueue(&mut self, call: C) {
        self.waiting.push_back(call);
    }

    /// Gives a slot back.
    pub(super) fn give_slot(&mut self) {
        self.busy = self.busy.saturating_sub(1);
    }

    /// The next call, if one waits; it has no slot yet.
    pub(super) fn next_waiting(&mut self) -> Option<C> {
        self.waiting.pop_front()
    }
}

impl Bucket {
    fn refill(&mut self, now: Moment) {
        self.left = (self.left + now.since(self.at).as_secs_f64() * self.per_minute / 60.0).min(self.most);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_limit_holds_and_the_wait_is_true(
            waits in prop::collection::vec(0u64..2_000_000, 1..200), limit in 1u64..600,
        ) {
            let mut station: Station<()> = Station::new(None, Some(limit));
            let (mut now, mut taken) = (Moment::ORIGIN, 0.0);
            for wait in waits {
                now = now + Duration::from_micros(wait);
                match station.admit(now) {
                    Ok(()) => taken += 1.0,
                    Err(wait) => {
                        now = now + wait + Duration::from_micros(1);
                        prop_assert!(station.admit(now).is_ok());
                        taken += 1.0;
                    }
                }
            }
            let allowed = (limit as f64 / 10.0).max(1.0) + now.since(Moment::ORIGIN).as_secs_f64() * limit as f64 / 60.0;
            prop_assert!(taken <= allowed + 1e-6, "{taken} of {allowed}");
        }
    }
}
