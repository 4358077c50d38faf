//! The seam between admitting a request and recording it: hold the worst case, settle what it was.
//!
//! Owns the account trait, the reservation over several accounts and the words of a refusal. Must not know what an account
//! counts: requests, tokens and concurrency today, money through the same door. All accounts hold or none does, so that a
//! request refused by the last never used up the first.

use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::moment::Moment;
use trunkline_model::money::{Cost, NanoDollars};

/// Something a request is charged to: the limits of a key, a budget.
pub trait Account: Send + Sync + fmt::Debug {
    /// Reserves the worst case of a request.
    ///
    /// # Errors
    /// [`Refused`] when it does not fit; nothing is held then.
    fn hold(&self, estimate: &Estimate, now: Moment) -> Result<Hold, Refused>;

    /// Whether [`Self::hold`] would succeed; holds nothing.
    ///
    /// # Errors
    /// [`Refused`] when it would not.
    fn check(&self, estimate: &Estimate, now: Moment) -> Result<(), Refused>;

    /// Ends a hold. Needs no clock: a charge counts at the moment of its admission.
    fn settle(&self, hold: Hold, settlement: &Settlement);
}

/// The worst case of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Prompt and longest answer together, in tokens.
    pub tokens: u64,
    /// What that costs at the most; `None` when a price is unknown.
    pub cost: Option<NanoDollars>,
}

impl Estimate {
    /// A worst case in tokens alone.
    #[must_use]
    pub const fn tokens(tokens: u64) -> Self {
        Self { tokens, cost: None }
    }
}

/// What an account notes of a hold, for itself: when and how much, in its own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The account's mark of the time (a slot, a period).
    pub at: u64,
    /// The amount held (tokens, nano-dollars).
    pub amount: u64,
}

/// How a request ended, as far as charges go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It used this much, over all its attempts.
    Used {
        /// All tokens.
        tokens: u64,
        /// What they cost.
        cost: Cost,
    },
    /// Nobody knows; the worst case stands.
    Unknown,
    /// No provider was called; everything is given back, the request itself included.
    NotSent,
}

/// A worst case held on every account of a request. Dropped without a word it stands as held, except that the request no
/// longer counts as running.
#[must_use = "dropping a reservation charges its worst case"]
#[derive(Debug, Default)]
pub struct Reservation {
    holds: SmallVec<[(Arc<dyn Account>, Hold); 2]>,
}

impl Reservation {
    /// Holds the worst case on all these accounts.
    ///
    /// # Errors
    /// [`Refused`] by the account that takes longest to have room; nothing is held then.
    pub fn new(
        accounts: impl IntoIterator<Item = Arc<dyn Account>>,
        estimate: &Estimate,
        now: Moment,
    ) -> Result<Self, Refused> {
        let mut reservation = Self::default();
        let mut accounts = accounts.into_iter();
        while let Some(account) = accounts.next() {
            match account.hold(estimate, now) {
                Ok(hold) => reservation.holds.push((account, hold)),
                Err(refused) => {
                    reservation.settle(&Settlement::NotSent);
                    return Err(accounts
                        .filter_map(|account| account.check(estimate, now).err())
                        .fold(refused, Refused::longer));
                }
            }
        }
        Ok(reservation)
    }

    /// Replaces the worst case by what was used.
    pub fn settle(mut self, settlement: &Settlement) {
        self.close(settlement);
    }

    fn close(&mut self, settlement: &Settlement) {
        for (account, hold) in self.holds.drain(..) {
            account.settle(hold, settlement);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(&Settlement::Unknown);
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests per minute.
    RequestsPerMinute {
        /// How many there may be.
        allowed: u64,
    },
    /// Tokens per minute.
    TokensPerMinute {
        /// How many there may be.
        allowed: u64,
        /// How many the request may need.
        asked: u64,
    },
    /// Requests at once.
    Concurrency {
        /// How many there may be.
        allowed: u32,
    },
    /// Money in a period.
    Money {
        /// How much there may be.
        allowed: NanoDollars,
    },
}

impl Limit {
    /// The name used in logs, metrics and error details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerMinute { .. } => "requests_per_minute",
            Self::TokensPerMinute { .. } => "tokens_per_minute",
            Self::Concurrency { .. } => "concurrency",
            Self::Money { .. } => "money",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestsPerMinute { allowed } => {
                write!(formatter, "the limit of {allowed} requests per minute is reached")
            }
            Self::TokensPerMinute { allowed, asked } => write!(
                formatter,
                "the request may need {asked} tokens and the limit of {allowed} tokens per minute has no room for them"
            ),
            Self::Concurrency { allowed } => {
                write!(formatter, "the limit of {allowed} requests at the same time is reached")
            }
            Self::Money { allowed } => {
                write!(formatter, "the budget of {allowed} has no room for the request")
            }
        }
    }
}

/// A request that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("admit the request: {limit}{}", Again(*limit, *retry_after))]
pub struct Refused {
    /// The limit it ran into.
    pub limit: Limit,
    /// When the same request would be admitted; `None` when nobody can tell or it never will be.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// Of two refusals the one that lasts longer; an unknown time is the longest.
    pub(super) fn longer(self, other: Self) -> Self {
        match (self.retry_after, other.retry_after) {
            (Some(one), Some(two)) if two > one => other,
            (Some(_), None) => other,
            _ => self,
        }
    }
}

/// The half-sentence that says when to come back.
struct Again(Limit, Option<Duration>);

impl fmt::Display for Again {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (_, Some(wait)) => {
                // Rounded up, because a reader who comes back a tenth early is refused again.
                let tenths = wait.as_micros().div_ceil(100_000);
                write!(formatter, "; retry in {}.{} s", tenths / 10, tenths % 10)
            }
            (Limit::Concurrency { .. }, None) => formatter.write_str("; retry when one of them has ended"),
            (_, None) => formatter.write_str("; waiting does not help"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_was_reached_and_when_to_come_back() {
        let second = Some(Duration::from_micros(1_000_001));
        let words: Vec<String> = [
            (Limit::RequestsPerMinute { allowed: 60 }, second),
            (Limit::TokensPerMinute { allowed: 1_000, asked: 200 }, Some(Duration::from_millis(40))),
            (Limit::TokensPerMinute { allowed: 1_000, asked: 2_000 }, None),
            (Limit::Concurrency { allowed: 4 }, None),
            (Limit::Money { allowed: NanoDollars::from_dollars(5) }, second),
        ]
        .map(|(limit, retry_after)| format!("{}: {}", limit.name(), Refused { limit, retry_after }))
        .into();
        insta::assert_snapshot!(words.join("\n"), @r"
        requests_per_minute: admit the request: the limit of 60 requests per minute is reached; retry in 1.1 s
        tokens_per_minute: admit the request: the request may need 200 tokens and the limit of 1000 tokens per minute has no room for them; retry in 0.1 s
        tokens_per_minute: admit the request: the request may need 2000 tokens and the limit of 1000 tokens per minute has no room for them; waiting does not help
        concurrency: admit the request: the limit of 4 requests at the same time is reached; retry when one of them has ended
        money: admit the request: the budget of $5.00 has no room for the request; retry in 1.1 s
        ");
    }
}
