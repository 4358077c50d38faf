//! Why an upstream call failed, in the classes the attempt machine reacts to.
//!
//! Owns the taxonomy and the facts that travel with a failure. Must not decide what follows: that is `route::drive`. The
//! split between classes is by reaction, not by status code: two failures are one class when the right next step is the same.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The kinds of failure, each with its own reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The host name did not resolve.
    Resolve,
    /// No connection: refused, unreachable, reset before the request was sent, pool exhausted.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// A server-side error: 5xx, 408, 409 overload and the like.
    Server,
    /// The provider says it is overloaded (503, 529).
    Overloaded,
    /// Rate limited (429), with the provider's own waiting time where it gave one.
    RateLimited,
    /// The account's money or quota is used up; waiting does not help (429 `insufficient_quota`, 402).
    QuotaExhausted,
    /// Connecting took too long.
    ConnectTimeout,
    /// No first token in time.
    FirstTokenTimeout,
    /// The stream stopped between tokens for too long.
    Stall,
    /// The total deadline of the request ran out.
    TotalTimeout,
    /// The connection ended before the answer did.
    Cut,
    /// The provider answered something that is not its protocol: HTML, wrong JSON, a broken event.
    Malformed,
    /// The provider rejected our credentials (401, 403).
    Credentials,
    /// The provider does not know the model or the path (404).
    NotFound,
    /// The prompt does not fit the context window.
    ContextTooLong,
    /// The body is larger than this provider takes (413); another may take it.
    RequestTooLarge,
    /// The provider's content filter refused the request or the answer.
    ContentRefused,
    /// The request itself is wrong; no other deployment would take it either.
    BadRequest,
    /// The answer came but does not satisfy what was asked (schema, cascade check).
    BadAnswer,
    /// This deployment cannot express the request (translation refused it), or cannot read state in it that another made;
    /// others might.
    Unsupported,
    /// Refused here, before sending: a limit or breaker of ours.
    LocalLimit,
    /// Cancelled because a hedge, or the attempt it was to overtake, answered first; nobody's failure.
    Overtaken,
    /// The client went away; nobody's failure.
    ClientGone,
}

impl FailureClass {
    /// Every class, for metrics and tables.
    pub const ALL: [Self; 24] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Server,
        Self::Overloaded,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::ConnectTimeout,
        Self::FirstTokenTimeout,
        Self::Stall,
        Self::TotalTimeout,
        Self::Cut,
        Self::Malformed,
        Self::Credentials,
        Self::NotFound,
        Self::ContextTooLong,
        Self::RequestTooLarge,
        Self::ContentRefused,
        Self::BadRequest,
        Self::BadAnswer,
        Self::Unsupported,
        Self::LocalLimit,
        Self::Overtaken,
        Self::ClientGone,
    ];

    /// The name used in logs, metrics and error details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Server => "server",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::Stall => "stall",
            Self::TotalTimeout => "total_timeout",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Credentials => "credentials",
            Self::NotFound => "not_found",
            Self::ContextTooLong => "context_too_long",
            Self::RequestTooLarge => "request_too_large",
            Self::ContentRefused => "content_refused",
            Self::BadRequest => "bad_request",
            Self::BadAnswer => "bad_answer",
            Self::Unsupported => "unsupported",
            Self::LocalLimit => "local_limit",
            Self::Overtaken => "overtaken",
            Self::ClientGone => "client_gone",
        }
    }
}

/// One failed upstream call (or one call that could not be made).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind it was.
    pub class: FailureClass,
    /// The upstream's HTTP status, where there was one.
    pub status: Option<u16>,
    /// The upstream's own error code or type, for example `insufficient_quota`.
    pub code: Option<String>,
    /// What happened, safe to show to the client: no credentials, no upstream URL. Bounded to 1,000 characters.
    pub message: String,
    /// The parameter the provider blamed, where it said so.
    pub parameter: Option<String>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// The longest message kept, in characters.
    pub const MESSAGE_LIMIT: usize = 1_000;

    /// A failure with nothing but its class and message.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(Self::MESSAGE_LIMIT) {
            message.truncate(end);
        }
        Self { class, status: None, code: None, message, parameter: None, retry_after: None }
    }

    /// The same failure with the upstream's status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same failure with the upstream's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same failure with the waiting time the provider asked for.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}
