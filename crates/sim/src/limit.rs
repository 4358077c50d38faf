//! The simulator's own rate limit: two token buckets, one of requests and one of tokens, refilled over a minute.
//!
//! Owns the arithmetic; time is an argument.

use std::time::{Duration, Instant};

use crate::script::{Headroom, Limits};

/// The level of both buckets.
#[derive(Debug)]
pub(crate) struct Buckets {
    requests: Bucket,
    tokens: Bucket,
}

/// Which limit refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Requests,
    Tokens,
}

/// A request refused, and when it would have been let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) scope: Scope,
    pub(crate) wait: Duration,
}

impl Buckets {
    pub(crate) fn new(now: Instant) -> Self {
        Self { requests: Bucket { used: 0.0, at: now }, tokens: Bucket { used: 0.0, at: now } }
    }

    /// Takes one request of `tokens` tokens, or says how long to wait.
    pub(crate) fn take(&mut self, limits: &Limits, tokens: u64, now: Instant) -> Result<(), Exceeded> {
        let demands = [
            (Scope::Requests, &mut self.requests, limits.requests_per_minute, 1),
            (Scope::Tokens, &mut self.tokens, limits.tokens_per_minute, tokens),
        ];
        for (scope, bucket, limit, amount) in demands {
            let Some(limit) = limit else { continue };
            bucket.refill(limit, now);
            if let Some(wait) = bucket.wait(limit, amount) {
                return Err(Exceeded { scope, wait });
            }
        }
        self.requests.used += 1.0;
        self.tokens.used += tokens as f64;
        Ok(())
    }

    /// What the headers say.
    pub(crate) fn headroom(&mut self, limits: &Limits, now: Instant) -> Headroom {
        let mut headroom = limits.announce.clone().unwrap_or_default();
        if limits.announce.is_some() {
            return headroom;
        }
        if let Some(limit) = limits.requests_per_minute {
            let (remaining, reset) = self.requests.level(limit, now);
            headroom.limit_requests = limit;
            headroom.remaining_requests = remaining;
            headroom.reset_requests_ms = reset;
        }
        if let Some(limit) = limits.tokens_per_minute {
            let (remaining, reset) = self.tokens.level(limit, now);
            headroom.limit_tokens = limit;
            headroom.remaining_tokens = remaining;
            headroom.reset_tokens_ms = reset;
        }
        headroom
    }
}

#[derive(Debug)]
struct Bucket {
    used: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, limit: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.used = (self.used - elapsed * limit as f64 / 60.0).max(0.0);
        self.at = now;
    }

    fn wait(&self, limit: u64, amount: u64) -> Option<Duration> {
        let excess = self.used + amount as f64 - limit as f64;
        // The tolerance keeps a client that waited exactly as long as it was told from being refused by rounding.
        (excess > 1e-6).then(|| Duration::from_secs_f64((excess * 60.0 / limit.max(1) as f64).min(60.0)))
    }

    fn level(&mut self, limit: u64, now: Instant) -> (u64, u64) {
        self.refill(limit, now);
        let remaining = (limit as f64 - self.used).max(0.0) as u64;
        (remaining, (self.used * 60_000.0 / limit.max(1) as f64).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_is_let_in_after_the_wait_it_was_told() {
        let start = Instant::now();
        let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
        let mut buckets = Buckets::new(start);
        assert_eq!(buckets.take(&limits, 10, start), Ok(()));
        assert_eq!(buckets.take(&limits, 10, start), Ok(()));
        assert_eq!(buckets.headroom(&limits, start).remaining_requests, 0);
        let exceeded = buckets.take(&limits, 10, start).unwrap_err();
        assert_eq!(exceeded, Exceeded { scope: Scope::Requests, wait: Duration::from_secs(30) });
        assert_eq!(buckets.take(&limits, 10, start + exceeded.wait), Ok(()));
    }

    #[test]
    fn tokens_count_too() {
        let start = Instant::now();
        let limits = Limits { tokens_per_minute: Some(100), ..Limits::default() };
        let mut buckets = Buckets::new(start);
        assert_eq!(buckets.take(&limits, 90, start), Ok(()));
        assert_eq!(buckets.take(&limits, 20, start).unwrap_err().scope, Scope::Tokens);
        assert_eq!(buckets.headroom(&limits, start).remaining_tokens, 10);
    }
}
