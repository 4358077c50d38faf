//! Giving up: which failure the client is told, and why there was no further attempt.
//!
//! Owns the order of telling and the reasons. Must not know how an error looks on the wire.

use std::fmt;
use trunkline_model::failure::{Failure, FailureClass};

/// The end of a request that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the client is told: the most telling failure, with the earliest Retry-After where waiting helps.
    pub failure: Failure,
    /// Why nothing more was tried.
    pub why: Why,
}

/// Why nothing more was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The failure is of a kind that no further attempt would change.
    NotRetryable,
    /// All attempts are used up.
    AttemptsSpent,
    /// The deadline has passed or leaves no time.
    Deadline,
    /// Every deployment that could answer was tried or is ruled out.
    NothingLeft,
    /// All that is left asks for a longer wait than the request may take.
    WaitTooLong,
    /// The fleet's retry budget is empty: too many requests are being retried already.
    RetryBudgetEmpty,
    /// The client has seen part of the answer already.
    Committed,
    /// The client went away.
    ClientGone,
}

impl Why {
    /// The name used in logs, metrics and error details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::AttemptsSpent => "attempts_spent",
            Self::Deadline => "deadline",
            Self::NothingLeft => "nothing_left",
            Self::WaitTooLong => "wait_too_long",
            Self::RetryBudgetEmpty => "retry_budget_empty",
            Self::Committed => "committed",
            Self::ClientGone => "client_gone",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotRetryable => "no other attempt would change the outcome",
            Self::AttemptsSpent => "all attempts of the request are used up",
            Self::Deadline => "the deadline of the request leaves no time for another attempt",
            Self::NothingLeft => "no deployment is left to try",
            Self::WaitTooLong => {
                "every deployment that is left asks for a longer wait than the request may take"
            }
            Self::RetryBudgetEmpty => "too many requests are being retried already",
            Self::Committed => "part of the answer was already sent",
            Self::ClientGone => "the client went away",
        })
    }
}

/// How telling a class is for the client; higher is told rather than lower. First what the caller can change, then what a
/// provider went through, then limits, then what concerns the operator, last what nobody upstream said.
pub(super) const fn weight(class: FailureClass) -> u8 {
    use FailureClass as Class;
    match class {
        Class::ClientGone => 100,
        Class::BadRequest => 95,
        Class::RequestTooLarge => 92,
        Class::ContextTooLong => 90,
        Class::ContentRefused => 85,
        Class::BadAnswer => 80,
        Class::Server | Class::Overloaded => 70,
        Class::Stall | Class::Cut | Class::Malformed => 65,
        Class::FirstTokenTimeout => 60,
        Class::RateLimited => 50,
        Class::Connect | Class::Tls | Class::Resolve | Class::ConnectTimeout => 40,
        Class::QuotaExhausted => 35,
        Class::Credentials => 30,
        Class::NotFound => 25,
        Class::LocalLimit => 20,
        Class::Unsupported => 15,
        Class::TotalTimeout => 10,
        Class::Overtaken => 5,
    }
}

/// Whether waiting for a limit is what such a failure asks for, so that the earliest end of any limit belongs to it.
pub(super) const fn asks_to_wait(class: FailureClass) -> bool {
    matches!(class, FailureClass::RateLimited | FailureClass::LocalLimit)
}
