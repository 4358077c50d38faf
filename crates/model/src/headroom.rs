//! What a provider says is left of its rate limits.
//!
//! Owns the figures of the rate-limit response headers in one shape. Must not know header names (adapters read those) nor
//! what follows from the figures (that is `route::health`). Every figure may be missing: providers send what they like.

use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// Remaining rate limits as of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    /// Requests that may still be sent in the provider's period.
    pub requests_remaining: Option<u64>,
    /// Requests per period.
    pub requests_limit: Option<u64>,
    /// Tokens that may still be used in the provider's period.
    pub tokens_remaining: Option<u64>,
    /// Tokens per period.
    pub tokens_limit: Option<u64>,
    /// When the scarcer of both is whole again.
    pub reset_at: Option<Moment>,
}

impl Headroom {
    /// The smallest share that is left, 0 to 1; `None` when no limit came with its remainder.
    #[must_use]
    pub fn share(&self) -> Option<f32> {
        let shares =
            [(self.requests_remaining, self.requests_limit), (self.tokens_remaining, self.tokens_limit)];
        shares.into_iter().filter_map(|(remaining, limit)| share(remaining?, limit?)).reduce(f32::min)
    }
}

fn share(remaining: u64, limit: u64) -> Option<f32> {
    if limit == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share for comparison, not for counting")]
    let share = remaining as f32 / limit as f32;
    Some(share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_limit_counts_and_half_a_pair_says_nothing() {
        let both = Headroom {
            requests_remaining: Some(90),
            requests_limit: Some(100),
            tokens_remaining: Some(250),
            tokens_limit: Some(1_000),
            reset_at: None,
        };
        assert_eq!(both.share(), Some(0.25));
        assert_eq!(Headroom { tokens_limit: None, ..both }.share(), Some(0.9));
        assert_eq!(Headroom { tokens_remaining: Some(1), ..Headroom::default() }.share(), None);
        assert_eq!(Headroom { tokens_limit: Some(0), ..both }.share(), Some(0.9));
    }
}
