//! The figures of health, with defaults for large language models.
//!
//! Owns numbers only. They differ from those of ordinary services: calls are few, slow and dear, first tokens take seconds.

use std::time::Duration;

/// How health reacts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthPolicy {
    /// The circuit breaker.
    pub breaker: BreakerPolicy,
    /// How fast the latency average follows: after this time without or with quicker answers, about a third is left.
    pub latency_decay: Duration,
    /// Seconds added to the latency by a failure.
    pub penalty: Duration,
    /// How fast that fades.
    pub penalty_decay: Duration,
    /// The first guess after a 429 without a Retry-After; it doubles with each further one in a row.
    pub rate_limit_wait: Duration,
    /// The longest such guess.
    pub longest_rate_limit_wait: Duration,
    /// The longest Retry-After that is believed.
    pub longest_retry_after: Duration,
    /// How long rejected credentials or a used-up quota are left alone.
    pub credentials_cooldown: Duration,
    /// First tokens observed before a quantile of them is given.
    pub least_observations: u32,
}

impl Default for HealthPolicy {
    /// Latency over 30 s, five penalty seconds over 10 s, guesses from one second to a minute, an hour of Retry-After at the
    /// most, a minute of cool-down for credentials, quantiles from 20 observations.
    fn default() -> Self {
        Self {
            breaker: BreakerPolicy::default(),
            latency_decay: Duration::from_secs(30),
            penalty: Duration::from_secs(5),
            penalty_decay: Duration::from_secs(10),
            rate_limit_wait: Duration::from_secs(1),
            longest_rate_limit_wait: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(3_600),
            credentials_cooldown: Duration::from_secs(60),
            least_observations: 20,
        }
    }
}

/// When a breaker trips and how it recovers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// Failures in a row that trip it; 0 switches this condition off.
    pub consecutive_failures: u32,
    /// It trips when the share of successes in the window falls below this, 0 to 1; 0 switches this condition off.
    pub success_rate: f32,
    /// Calls in the window before the success rate means anything.
    pub least_calls: u32,
    /// The length of the window.
    pub window: Duration,
    /// How long it stays open the first time; it doubles with each failed probe.
    pub backoff: Duration,
    /// The longest it stays open.
    pub longest_backoff: Duration,
}

impl Default for BreakerPolicy {
    /// Five in a row, or fewer than half of at least 20 calls within 30 s; open for 2 s, doubling to a minute.
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate: 0.5,
            least_calls: 20,
            window: Duration::from_secs(30),
            backoff: Duration::from_secs(2),
            longest_backoff: Duration::from_secs(60),
        }
    }
}
