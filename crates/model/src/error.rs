//! What a client is told when a request fails: one value, rendered by each dialect in its own shape.
//!
//! Owns the codes that say whose fault it is. Must not know any dialect's error object: `wire` renders it. Statuses follow
//! the table of the HTTP contract; a code never changes meaning between dialects.

use crate::failure::{Failure, FailureClass};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whose fault it is and what kind, as the `code` field of every error object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The body is not what the dialect asks for.
    InvalidRequest,
    /// No virtual key was sent where one is needed.
    MissingVirtualKey,
    /// The virtual key is unknown or revoked.
    InvalidVirtualKey,
    /// The virtual key may not use this model or route.
    NotAllowed,
    /// The model, route or path does not exist.
    ModelNotFound,
    /// No such endpoint.
    NotFound,
    /// The endpoint exists, the method does not.
    MethodNotAllowed,
    /// Not `application/json`.
    UnsupportedMediaType,
    /// The body is larger than allowed.
    RequestTooLarge,
    /// A limit of the virtual key.
    RateLimited,
    /// A budget is used up.
    BudgetExceeded,
    /// Every deployment was filtered out, for other reasons than what the request asks for; the message holds the reasons.
    NoEligibleDeployment,
    /// No deployment that may be used can do what the request asks for or serves this endpoint, or none takes it as it is in
    /// strict mode.
    UnsupportedParameter,
    /// The prompt fits no deployment that may be used.
    ContextTooLong,
    /// The provider's content filter refused, and the policy has no other.
    ContentRefused,
    /// The provider rejected the gateway's credentials: the operator's fault, not the client's.
    UpstreamCredentialsRejected,
    /// Every attempt failed.
    UpstreamFailed,
    /// Every attempt was rate limited.
    UpstreamRateLimited,
    /// The deadline ran out.
    Timeout,
    /// The gateway is at its own limit (open requests, draining).
    Overloaded,
    /// A defect here.
    Internal,
}

impl ErrorCode {
    /// The text of the `code` field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::MissingVirtualKey => "missing_virtual_key",
            Self::InvalidVirtualKey => "invalid_virtual_key",
            Self::NotAllowed => "not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimited => "rate_limited",
            Self::BudgetExceeded => "budget_exceeded",
            Self::NoEligibleDeployment => "no_eligible_deployment",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::ContextTooLong => "context_length_exceeded",
            Self::ContentRefused => "content_filter",
            Self::UpstreamCredentialsRejected => "upstream_credentials_rejected",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal_error",
        }
    }

    /// The HTTP status an error of this code carries.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest
            | Self::UnsupportedParameter
            | Self::ContextTooLong
            | Self::ContentRefused => 400,
            Self::MissingVirtualKey | Self::InvalidVirtualKey => 401,
            Self::BudgetExceeded => 402,
            Self::NotAllowed => 403,
            Self::ModelNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited | Self::UpstreamRateLimited => 429,
            Self::Internal => 500,
            Self::UpstreamFailed | Self::UpstreamCredentialsRejected => 502,
            Self::NoEligibleDeployment | Self::Overloaded => 503,
            Self::Timeout => 504,
        }
    }
}

/// A failed request as the client is to see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientError {
    /// Whose fault, what kind.
    pub code: ErrorCode,
    /// One or two sentences: what is wrong, where, and a way out.
    pub message: String,
    /// The offending parameter as a path in the client's own dialect.
    pub parameter: Option<String>,
    /// Overrides `code.status()`: a bad request keeps the provider's own 4xx.
    pub status: Option<u16>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
    /// What was tried, for `upstream_failed`: one short line per attempt, safe to show.
    pub attempts: Vec<String>,
}

impl ClientError {
    /// An error with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            parameter: None,
            status: None,
            retry_after: None,
            attempts: Vec::new(),
        }
    }

    /// The same error, blaming a parameter.
    #[must_use]
    pub fn at(mut self, parameter: impl Into<String>) -> Self {
        self.parameter = Some(parameter.into());
        self
    }

    /// The same error with a waiting time.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.code.status())
    }

    /// What a client is told of the last failure of a request, given one line per attempt.
    #[must_use]
    pub fn from_failure(failure: &Failure, attempts: Vec<String>) -> Self {
        use FailureClass as Class;
        let code = match failure.class {
            Class::BadRequest => ErrorCode::InvalidRequest,
            Class::Unsupported => ErrorCode::UnsupportedParameter,
            Class::ContextTooLong => ErrorCode::ContextTooLong,
            Class::RequestTooLarge => ErrorCode::RequestTooLarge,
            Class::ContentRefused => ErrorCode::ContentRefused,
            Class::Credentials => ErrorCode::UpstreamCredentialsRejected,
            Class::RateLimited | Class::QuotaExhausted => ErrorCode::UpstreamRateLimited,
            Class::ConnectTimeout | Class::FirstTokenTimeout | Class::Stall | Class::TotalTimeout => {
                ErrorCode::Timeout
            }
            Class::LocalLimit | Class::Overloaded => ErrorCode::Overloaded,
            Class::NotFound
            | Class::Resolve
            | Class::Connect
            | Class::Tls
            | Class::Server
            | Class::Cut
            | Class::Malformed
            | Class::BadAnswer
            | Class::Overtaken
            | Class::ClientGone => ErrorCode::UpstreamFailed,
        };
        // The provider's own 4xx is the truth about a bad request (for example 413 or 422); every other status is ours.
        let status = match (failure.class, failure.status) {
            (Class::BadRequest | Class::ContextTooLong, Some(status)) if (400..500).contains(&status) => {
                Some(status)
            }
            _ => None,
        };
        Self {
            code,
            message: failure.message.clone(),
            parameter: failure.parameter.clone(),
            status,
            retry_after: failure.retry_after,
            attempts,
        }
    }
}
