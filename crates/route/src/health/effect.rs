//! What a failure says about the deployment it came from, as a table.
//!
//! Owns the map from a class to the signals it feeds. Must not keep state. One exhaustive match, so that a new class cannot be
//! forgotten.

use trunkline_model::failure::{Failure, FailureClass};

/// What is remembered of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Which signal it feeds.
    pub remembered: Remembered,
    /// Whether it raises the latency that balancing sees.
    pub penalised: bool,
    /// Whether the deployment is out until the Retry-After that came with it, if one came.
    pub waits: bool,
}

/// The signal a failure feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The circuit breaker.
    Breaker,
    /// The time until which the provider does not want to be asked.
    RateLimit,
    /// The credential, and with it every deployment that uses it.
    Credential,
    /// The credential, but for this deployment only.
    OwnCredential,
    /// That it is alive and nothing else: the request was at fault.
    Alive,
    /// Nothing: it says nothing about the deployment.
    Nothing,
}

impl Remembered {
    /// The words used in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::RateLimit => "rate limit",
            Self::Credential => "credential out",
            Self::OwnCredential => "credential out here",
            Self::Alive => "alive",
            Self::Nothing => "nothing",
        }
    }
}

/// What a failure says about its deployment.
#[must_use]
pub fn effect(failure: &Failure) -> Effect {
    use FailureClass as Class;
    let quiet = |remembered| Effect { remembered, penalised: false, waits: false };
    let trouble = Effect { remembered: Remembered::Breaker, penalised: true, waits: false };
    match failure.class {
        Class::Server | Class::Overloaded => Effect { waits: true, ..trouble },
        Class::Resolve
        | Class::Connect
        | Class::Tls
        | Class::ConnectTimeout
        | Class::FirstTokenTimeout
        | Class::Stall
        | Class::Cut
        | Class::Malformed => trouble,
        Class::NotFound => Effect { penalised: false, ..trouble },
        Class::RateLimited => Effect { remembered: Remembered::RateLimit, penalised: true, waits: true },
        Class::QuotaExhausted => quiet(Remembered::Credential),
        Class::Credentials if failure.status == Some(403) => quiet(Remembered::OwnCredential),
        Class::Credentials => quiet(Remembered::Credential),
        Class::ContextTooLong
        | Class::RequestTooLarge
        | Class::ContentRefused
        | Class::BadRequest
        | Class::BadAnswer => quiet(Remembered::Alive),
        Class::TotalTimeout
        | Class::Unsupported
        | Class::LocalLimit
        | Class::Overtaken
        | Class::ClientGone => quiet(Remembered::Nothing),
    }
}
