//! The one place of the request path that reads clocks.
//!
//! Owns the origin of `Moment` and the wall time. Must not be used by pure crates: they take moments as arguments.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use trunkline_model::moment::Moment;

/// Monotonic and wall time of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose moments count from now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Now, as pure code wants it.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment of an instant of the runtime; one before the clock started is the start.
    #[must_use]
    pub fn moment(&self, instant: tokio::time::Instant) -> Moment {
        let since = instant.into_std().saturating_duration_since(self.origin);
        Moment::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The runtime's instant of a moment, for timers.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + moment.since(Moment::ORIGIN))
    }
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub(crate) fn unix_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0))
}

/// Seconds since the Unix epoch.
#[must_use]
pub(crate) fn unix_seconds() -> u64 {
    unix_milliseconds() / 1_000
}
