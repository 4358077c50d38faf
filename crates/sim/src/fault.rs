//! The fault catalogue: every way in which a provider is made to fail.
//!
//! Owns names, parameters and what each fault means for a client; it must not know how a fault is brought about (that
//! is `perform` and `server`). A fault is written as its name, with its parameter behind `=` where it has one:
//! `stall=3`, `cut-at-byte=17`, `rate-limited-retry-after=2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// Nothing listens on the port: connections are refused and those in being are reset. Chosen for one request only
    /// (by rate, number or trigger) it is a reset before any byte, since that connection exists already.
    Refused,
    /// The host name does not resolve. A server cannot bring this about: see [`crate::Simulator::address_for`].
    Dns,
    /// The certificate is expired and for another host. See [`crate::Simulator::address_for`].
    Tls,
    /// The connection closes after the request was read, before any byte of an answer.
    CutBeforeHeaders,
    /// The request is read and never answered.
    HangBeforeHeaders,
    /// The response headers come this many milliseconds late.
    SlowHeaders(u64),
    /// HTTP/2: GOAWAY, then the connection closes with the request unanswered. HTTP/1.1: closes without an answer.
    GoAway,
    /// 400, the caller's fault.
    BadRequest,
    /// 401 (Gemini: 400 `API_KEY_INVALID`).
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404, the model does not exist.
    NotFound,
    /// 408.
    RequestTimeout,
    /// 429 that does not say when to come back.
    RateLimited,
    /// 429 that says to come back in this many seconds (`Retry-After`; Gemini: `RetryInfo`).
    RateLimitedRetryAfter(u64),
    /// 429 (Anthropic: 402) because the account has no money left; waiting does not help.
    QuotaExhausted,
    /// 500.
    ServerError,
    /// 502 in the dialect's own body.
    BadGateway,
    /// 503.
    Unavailable,
    /// 529.
    Overloaded,
    /// The prompt does not fit into the context window.
    ContextTooLong,
    /// The content policy refused the prompt.
    ContentFiltered,
    /// 200 with an HTML page.
    HtmlOk,
    /// 502 with an HTML page, as a proxy in front of the provider makes it.
    HtmlBadGateway,
    /// 200 with no body at all.
    EmptyBody,
    /// 200 with valid JSON that is not an answer.
    WrongJson,
    /// The right answer labelled `text/plain`.
    WrongContentType,
    /// Headers and whatever precedes the first token, then nothing for ever.
    HangBeforeFirstToken,
    /// Headers and whatever precedes the first token, then the connection closes.
    CutBeforeFirstToken,
    /// A quota error inside the stream just opened, before the first token. Plain requests: a 429.
    QuotaBeforeFirstToken,
    /// An event that is not JSON in place of the first token, then the stream goes on.
    MalformedFirstEvent,
    /// Nothing more after this many tokens, for ever. Plain requests: after half the body.
    Stall(u64),
    /// The connection closes inside the event of the second token. Plain requests: after half the body.
    CutAfterFirstToken,
    /// The connection is reset (TCP RST) after the first token. Plain requests: after half the body.
    ResetAfterFirstToken,
    /// The connection closes after this many bytes of the body, or one byte before its end if it is shorter.
    CutAtByte(u64),
    /// An event that is not JSON after the first token, then the stream goes on.
    MalformedEvent,
    /// A quota error inside the stream after this many tokens. Plain requests: a 429.
    QuotaMidStream(u64),
    /// The stream ends cleanly without its last events. Plain requests: half a body that ends cleanly.
    MissingEnd,
    /// This many milliseconds between tokens.
    SlowTokens(u64),
}

/// How far a request gets before a fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No connection.
    Connect,
    /// No response headers, or headers that already say it.
    Headers,
    /// Response headers, but no token of the answer.
    BeforeFirstToken,
    /// A part of the answer.
    AfterFirstToken,
    /// All of the answer, though late or oddly labelled.
    Complete,
}

impl Fault {
    /// The catalogue, each fault once, with its usual parameter.
    pub const ALL: &'static [Self] = &[
        Self::Refused,
        Self::Dns,
        Self::Tls,
        Self::CutBeforeHeaders,
        Self::HangBeforeHeaders,
        Self::SlowHeaders(3000),
        Self::GoAway,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::RequestTimeout,
        Self::RateLimited,
        Self::RateLimitedRetryAfter(2),
        Self::QuotaExhausted,
        Self::ServerError,
        Self::BadGateway,
        Self::Unavailable,
        Self::Overloaded,
        Self::ContextTooLong,
        Self::ContentFiltered,
        Self::HtmlOk,
        Self::HtmlBadGateway,
        Self::EmptyBody,
        Self::WrongJson,
        Self::WrongContentType,
        Self::HangBeforeFirstToken,
        Self::CutBeforeFirstToken,
        Self::QuotaBeforeFirstToken,
        Self::MalformedFirstEvent,
        Self::Stall(2),
        Self::CutAfterFirstToken,
        Self::ResetAfterFirstToken,
        Self::CutAtByte(64),
        Self::MalformedEvent,
        Self::QuotaMidStream(2),
        Self::MissingEnd,
        Self::SlowTokens(250),
    ];

    /// The name, without the parameter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::CutBeforeHeaders => "cut-before-headers",
            Self::HangBeforeHeaders => "hang-before-headers",
            Self::SlowHeaders(_) => "slow-headers",
            Self::GoAway => "goaway",
            Self::BadRequest => "bad-request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::RequestTimeout => "request-timeout",
            Self::RateLimited => "rate-limited",
            Self::RateLimitedRetryAfter(_) => "rate-limited-retry-after",
            Self::QuotaExhausted => "quota-exhausted",
            Self::ServerError => "server-error",
            Self::BadGateway => "bad-gateway",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::ContextTooLong => "context-too-long",
            Self::ContentFiltered => "content-filtered",
            Self::HtmlOk => "html-ok",
            Self::HtmlBadGateway => "html-bad-gateway",
            Self::EmptyBody => "empty-body",
            Self::WrongJson => "wrong-json",
            Self::WrongContentType => "wrong-content-type",
            Self::HangBeforeFirstToken => "hang-before-first-token",
            Self::CutBeforeFirstToken => "cut-before-first-token",
            Self::QuotaBeforeFirstToken => "quota-before-first-token",
            Self::MalformedFirstEvent => "malformed-first-event",
            Self::Stall(_) => "stall",
            Self::CutAfterFirstToken => "cut-after-first-token",
            Self::ResetAfterFirstToken => "reset-after-first-token",
            Self::CutAtByte(_) => "cut-at-byte",
            Self::MalformedEvent => "malformed-event",
            Self::QuotaMidStream(_) => "quota-mid-stream",
            Self::MissingEnd => "missing-end",
            Self::SlowTokens(_) => "slow-tokens",
        }
    }

    /// How far a streamed request gets. Plain requests never show a part of an answer that is worth anything, so that
    /// for them everything but [`Phase::Complete`] comes before the commit point.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self {
            Self::Refused | Self::Dns | Self::Tls => Phase::Connect,
            Self::SlowHeaders(_) | Self::SlowTokens(_) | Self::WrongContentType => Phase::Complete,
            Self::HangBeforeFirstToken
            | Self::CutBeforeFirstToken
            | Self::QuotaBeforeFirstToken
            | Self::MalformedFirstEvent
            | Self::EmptyBody
            | Self::WrongJson
            | Self::HtmlOk => Phase::BeforeFirstToken,
            Self::CutAtByte(byte) if byte <= 64 => Phase::BeforeFirstToken,
            Self::Stall(_)
            | Self::CutAfterFirstToken
            | Self::ResetAfterFirstToken
            | Self::CutAtByte(_)
            | Self::MalformedEvent
            | Self::QuotaMidStream(_)
            | Self::MissingEnd => Phase::AfterFirstToken,
            _ => Phase::Headers,
        }
    }

    /// Whether a failover to a healthy deployment can still save a streamed request.
    #[must_use]
    pub fn before_commit(self) -> bool {
        self.phase() < Phase::AfterFirstToken
    }

    /// The parameter: milliseconds, seconds, tokens or bytes, as the variant says.
    #[must_use]
    pub fn parameter(self) -> Option<u64> {
        match self {
            Self::SlowHeaders(value)
            | Self::RateLimitedRetryAfter(value)
            | Self::Stall(value)
            | Self::CutAtByte(value)
            | Self::QuotaMidStream(value)
            | Self::SlowTokens(value) => Some(value),
            _ => None,
        }
    }

    fn with_parameter(self, value: u64) -> Option<Self> {
        Some(match self {
            Self::SlowHeaders(_) => Self::SlowHeaders(value),
            Self::RateLimitedRetryAfter(_) => Self::RateLimitedRetryAfter(value),
            Self::Stall(_) => Self::Stall(value),
            Self::CutAtByte(_) => Self::CutAtByte(value),
            Self::QuotaMidStream(_) => Self::QuotaMidStream(value),
            Self::SlowTokens(_) => Self::SlowTokens(value),
            _ => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self.parameter() {
            Some(value) => write!(formatter, "={value}"),
            None => Ok(()),
        }
    }
}

/// A fault that is not in the catalogue, or a parameter where none belongs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("know the fault `{0}`: expected a name of the catalogue, with `=NUMBER` where it takes one")]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let named = Self::ALL.iter().copied().find(|fault| fault.name() == name);
        let fault = match (named, value) {
            (Some(fault), None) => Some(fault),
            (Some(fault), Some(value)) => value.parse().ok().and_then(|value| fault.with_parameter(value)),
            (None, _) => None,
        };
        fault.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl TryFrom<String> for Fault {
    type Error = UnknownFault;

    fn try_from(text: String) -> Result<Self, UnknownFault> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_used_once_and_parses_back() {
        let names: HashSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(*fault));
            assert_eq!(fault.name().parse(), Ok(*fault));
        }
        assert_eq!("cut-at-byte=17".parse(), Ok(Fault::CutAtByte(17)));
    }

    #[test]
    fn what_is_not_in_the_catalogue_is_named() {
        for wrong in ["nonsense", "refused=3", "stall=many"] {
            assert_eq!(wrong.parse::<Fault>(), Err(UnknownFault(wrong.to_owned())));
        }
        insta::assert_snapshot!(
            "nonsense".parse::<Fault>().unwrap_err(),
            @"know the fault `nonsense`: expected a name of the catalogue, with `=NUMBER` where it takes one"
        );
    }
}
