//! The caller's own limits, told in the protocol's own headers.
//!
//! Owns the two families of rate-limit headers towards clients. Must not limit anything.

use crate::admit::Admitted;
use crate::case::Case;
use http::header::HeaderName;
use trunkline_model::dialect::Dialect;

/// The names of what is allowed and of what is left of it.
pub(crate) type Pair = [HeaderName; 2];

static ANTHROPIC: [Pair; 2] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    ],
];
static OPENAI: [Pair; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
    ],
];

/// Names and figures of the limits that a key has: requests, then tokens.
pub(crate) fn read(admitted: &Admitted, case: &Case) -> [Option<(&'static Pair, [u64; 2])>; 2] {
    let Some(limiter) = case.record.key.as_deref().and_then(|key| admitted.generation.limiter(key)) else {
        return [None, None];
    };
    let names = match admitted.dialect {
        Dialect::Anthropic => &ANTHROPIC,
        _ => &OPENAI,
    };
    let [requests, tokens] = limiter.left(case.now());
    [requests.map(|left| (&names[0], left)), tokens.map(|left| (&names[1], left))]
}
