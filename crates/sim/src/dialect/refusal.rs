//! Why a request is not answered, before a dialect gives it its form.
//!
//! Owns the reasons; must not know any dialect's words for them, apart from messages that a dialect's own validation
//! made.

use std::time::Duration;

use crate::fault::Fault;
use crate::limit::Scope;

/// A reason not to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is wrong in a way that the dialect words.
    Invalid(Invalid),
    MissingKey,
    WrongKey(String),
    Forbidden,
    UnknownModel(String),
    UnknownPath,
    WrongMethod,
    RequestTimeout,
    TooLarge,
    RateLimited {
        scope: Scope,
        retry_after: Option<Duration>,
    },
    QuotaExhausted,
    Internal,
    BadGateway,
    Unavailable,
    Overloaded,
    ContextTooLong {
        limit: u64,
        tokens: u64,
    },
    ContentFiltered,
}

/// A request that is wrong: what is said, about which parameter, under which code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(Invalid { message: message.into(), ..Invalid::default() })
    }

    pub(crate) fn parameter(
        param: impl Into<String>,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self::Invalid(Invalid { message: message.into(), param: Some(param.into()), code })
    }

    /// The refusal that a fault stands for, if it is one.
    pub(crate) fn of(fault: Fault, model: &str, context_tokens: u64, streamed: bool) -> Option<Self> {
        let limited = |retry_after| Self::RateLimited { scope: Scope::Requests, retry_after };
        Some(match fault {
            Fault::BadRequest => Self::invalid("The request was refused by the script of this simulator."),
            Fault::Unauthorized => Self::WrongKey("sk-scripted".to_owned()),
            Fault::Forbidden => Self::Forbidden,
            Fault::NotFound => Self::UnknownModel(model.to_owned()),
            Fault::RequestTimeout => Self::RequestTimeout,
            Fault::RateLimited => limited(None),
            Fault::RateLimitedRetryAfter(seconds) => limited(Some(Duration::from_secs(seconds))),
            Fault::QuotaBeforeFirstToken | Fault::QuotaMidStream(_) if !streamed => limited(None),
            Fault::QuotaExhausted => Self::QuotaExhausted,
            Fault::ServerError => Self::Internal,
            Fault::BadGateway => Self::BadGateway,
            Fault::Unavailable => Self::Unavailable,
            Fault::Overloaded => Self::Overloaded,
            Fault::ContextTooLong => {
                Self::ContextTooLong { limit: context_tokens, tokens: context_tokens + 1 }
            }
            Fault::ContentFiltered => Self::ContentFiltered,
            _ => return None,
        })
    }
}

/// 529, which has no name of its own.
pub(crate) fn overloaded() -> http::StatusCode {
    http::StatusCode::from_u16(529).expect("three digits are a status")
}
