//! Why a deployment may not serve a request.
//!
//! Owns the reasons as data and their words. Must not format anything before somebody asks: on the hot path a reason is a few
//! numbers.

use std::fmt;
use std::time::Duration;
use trunkline_model::capability::Capability;
use trunkline_model::dialect::Operation;
use trunkline_model::facts::Requirement;
use trunkline_model::id::Name;
use trunkline_model::money::{NanoDollars, PricePerMillion};

/// Why a deployment may not serve a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Its weight is 0: the operator drains it.
    Drained,
    /// The route has an allow-list and it is not on it.
    NotOnRouteList,
    /// The route's deny-list names it.
    DeniedByRoute,
    /// The key has an allow-list and it is not on it.
    NotOnKeyList,
    /// The request allows only other providers.
    NotInOnly,
    /// The request rules its provider out.
    Ignored,
    /// The request lists an order of providers without it and refuses fallbacks.
    NotInOrder,
    /// A demand of compliance is not met.
    Requirement {
        /// The demand.
        requirement: Requirement,
        /// What is known instead.
        known: KnownFact,
    },
    /// It does not serve this kind of request.
    Operation {
        /// The kind.
        operation: Operation,
    },
    /// It is known to lack something the request needs.
    CapabilityMissing {
        /// What it lacks.
        capability: Capability,
    },
    /// Nobody has confirmed something the request needs, and the request wants to be sure.
    CapabilityUnconfirmed {
        /// What is not confirmed.
        capability: Capability,
    },
    /// It would leave something of the request out or refuse it, and support of everything is demanded.
    ParameterUnsupported {
        /// What and why.
        what: Name,
    },
    /// The prompt is longer than it takes.
    PromptTooLong {
        /// Estimated tokens.
        estimated: u64,
        /// Its limit in tokens.
        limit: u64,
    },
    /// The answer asked for is longer than it gives.
    AnswerTooLong {
        /// Tokens asked for.
        asked: u64,
        /// Its limit in tokens.
        limit: u64,
    },
    /// Prompt and answer together exceed the context window.
    ContextTooSmall {
        /// Estimated prompt tokens.
        prompt: u64,
        /// Answer tokens asked for.
        answer: u64,
        /// The window in tokens.
        window: u64,
    },
    /// It costs more than allowed, per million tokens.
    PriceTooHigh {
        /// Which price.
        kind: PriceKind,
        /// The price.
        price: PricePerMillion,
        /// The highest allowed.
        cap: PricePerMillion,
    },
    /// This request would cost more than allowed.
    RequestTooDear {
        /// Estimated cost.
        estimated: NanoDollars,
        /// The most allowed.
        cap: NanoDollars,
    },
    /// There is a price limit and nobody knows its price.
    PriceUnknown {
        /// Which price.
        kind: PriceKind,
    },
    /// The request alone exceeds the tokens per minute configured for it, so waiting would not help.
    LimitTooSmall {
        /// Estimated tokens.
        estimated: u64,
        /// The configured tokens per minute.
        limit: u64,
    },
    /// A configured limit of 0 closes it.
    Closed,
    /// The provider rejects our credentials.
    CredentialsOut {
        /// How long until they are tried again.
        retry_in: Duration,
    },
    /// The quota of our account with the provider is used up.
    QuotaExhausted {
        /// How long until it is tried again.
        retry_in: Duration,
    },
}

/// What would have to change for a deployment to serve after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// What the request asks for.
    Request,
    /// How much of it there is.
    Size,
    /// What the caller, the key or the route allows.
    Policy,
    /// The state of the deployment: time or its operator mend it.
    Time,
}

/// What is known where a demand is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownFact {
    /// Nothing; the unknown satisfies no demand.
    Nothing,
    /// The contrary.
    Contrary,
    /// Another region.
    Region(String),
}

/// Which price a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceKind {
    /// Of prompt tokens.
    Input,
    /// Of answer tokens.
    Output,
    /// Of the whole request.
    Request,
}

impl PriceKind {
    /// The word used in reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Request => "request",
        }
    }
}

impl Reason {
    /// What would have to change.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Operation { .. }
            | Self::CapabilityMissing { .. }
            | Self::CapabilityUnconfirmed { .. }
            | Self::ParameterUnsupported { .. }
            | Self::AnswerTooLong { .. } => Remedy::Request,
            Self::PromptTooLong { .. } | Self::ContextTooSmall { .. } | Self::LimitTooSmall { .. } => {
                Remedy::Size
            }
            Self::Drained | Self::Closed | Self::CredentialsOut { .. } | Self::QuotaExhausted { .. } => {
                Remedy::Time
            }
            Self::NotOnRouteList
            | Self::DeniedByRoute
            | Self::NotOnKeyList
            | Self::NotInOnly
            | Self::Ignored
            | Self::NotInOrder
            | Self::Requirement { .. }
            | Self::PriceTooHigh { .. }
            | Self::RequestTooDear { .. }
            | Self::PriceUnknown { .. } => Remedy::Policy,
        }
    }

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::NotOnRouteList => "not_on_route_list",
            Self::DeniedByRoute => "denied_by_route",
            Self::NotOnKeyList => "not_on_key_list",
            Self::NotInOnly => "not_in_only",
            Self::Ignored => "ignored",
            Self::NotInOrder => "not_in_order",
            Self::Requirement { .. } => "requirement",
            Self::Operation { .. } => "operation",
            Self::CapabilityMissing { .. } => "capability_missing",
            Self::CapabilityUnconfirmed { .. } => "capability_unconfirmed",
            Self::ParameterUnsupported { .. } => "parameter_unsupported",
            Self::PromptTooLong { .. } => "prompt_too_long",
            Self::AnswerTooLong { .. } => "answer_too_long",
            Self::ContextTooSmall { .. } => "context_too_small",
            Self::PriceTooHigh { .. } => "price_too_high",
            Self::RequestTooDear { .. } => "request_too_dear",
            Self::PriceUnknown { .. } => "price_unknown",
            Self::LimitTooSmall { .. } => "limit_too_small",
            Self::Closed => "closed",
            Self::CredentialsOut { .. } => "credentials_out",
            Self::QuotaExhausted { .. } => "quota_exhausted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => formatter.write_str("its weight is 0, so it takes no new requests"),
            Self::NotOnRouteList => formatter.write_str("the route's allow-list does not name it"),
            Self::DeniedByRoute => formatter.write_str("the route's deny-list names it"),
            Self::NotOnKeyList => formatter.write_str("the key's allow-list does not name it"),
            Self::NotInOnly => formatter.write_str("the request allows other providers only"),
            Self::Ignored => formatter.write_str("the request rules its provider out"),
            Self::NotInOrder => {
                formatter.write_str("the request's order does not name it and fallbacks are refused")
            }
            Self::Requirement { requirement, known } => write_requirement(formatter, requirement, known),
            Self::Operation { operation } => write!(formatter, "it does not serve {operation} requests"),
            Self::CapabilityMissing { capability } => write!(formatter, "it cannot do {capability}"),
            Self::CapabilityUnconfirmed { capability } => {
                write!(
                    formatter,
                    "nobody has confirmed that it can do {capability}, and the request wants to be sure"
                )
            }
            Self::ParameterUnsupported { what } => {
                write!(formatter, "support of every parameter is required: {what}")
            }
            Self::PromptTooLong { estimated, limit } => {
                write!(formatter, "the prompt of about {estimated} tokens exceeds its limit of {limit}")
            }
            Self::AnswerTooLong { asked, limit } => {
                write!(
                    formatter,
                    "the request asks for up to {asked} tokens of answer, it gives at most {limit}"
                )
            }
            Self::ContextTooSmall { prompt, answer, window } => write!(
                formatter,
                "the prompt of about {prompt} tokens and up to {answer} tokens of answer exceed its context window of {window}"
            ),
            Self::PriceTooHigh { kind, price, cap } => {
                write!(formatter, "its {} price of {price} exceeds the limit of {cap}", kind.name())
            }
            Self::RequestTooDear { estimated, cap } => {
                write!(formatter, "the request would cost about {estimated}, the limit is {cap}")
            }
            Self::PriceUnknown { kind } => {
                write!(formatter, "its {} price is unknown, and there is a limit on it", kind.name())
            }
            Self::LimitTooSmall { estimated, limit } => {
                write!(
                    formatter,
                    "the request of about {estimated} tokens exceeds its configured {limit} tokens per minute"
                )
            }
            Self::Closed => formatter.write_str("a configured limit of 0 closes it"),
            Self::CredentialsOut { retry_in } => write!(
                formatter,
                "the provider rejects our credentials; they are tried again in {} s",
                retry_in.as_millis().div_ceil(1_000)
            ),
            Self::QuotaExhausted { retry_in } => write!(
                formatter,
                "the quota of our account with the provider is used up; it is tried again in {} s",
                retry_in.as_millis().div_ceil(1_000)
            ),
        }
    }
}

fn write_requirement(
    formatter: &mut fmt::Formatter<'_>,
    requirement: &Requirement,
    known: &KnownFact,
) -> fmt::Result {
    match known {
        KnownFact::Region(region) => {
            write!(formatter, "`{requirement}` is required and it processes data in `{region}`")
        }
        KnownFact::Contrary => write!(formatter, "`{requirement}` is required and it is known not to comply"),
        KnownFact::Nothing => {
            write!(formatter, "`{requirement}` is required and nobody has stated that it complies")
        }
    }
}
