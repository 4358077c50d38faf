//! The caller's own limits, told in the protocol's own headers.
//!
//! Owns the two families of rate-limit headers towards clients. Must not limit anything.

use crate::admit::Admitted;
use crate::case::Case;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use trunkline_model::dialect::Dialect;

/// Sets the headers of a key that has limits.
pub(crate) fn set(headers: &mut HeaderMap, admitted: &Admitted, case: &Case) {
    let Some(limiter) = case.record.key.as_deref().and_then(|key| admitted.generation.limiter(key)) else {
        return;
    };
    let standing = limiter.standing(case.now());
    let names: [[&'static str; 2]; 2] = match admitted.dialect {
        Dialect::Anthropic => [
            ["anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"],
            ["anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining"],
        ],
        _ => [
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"],
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"],
        ],
    };
    for (remaining, [limit_name, remaining_name]) in
        [standing.requests, standing.tokens].into_iter().zip(names)
    {
        let Some(remaining) = remaining else { continue };
        headers.insert(HeaderName::from_static(limit_name), HeaderValue::from(remaining.limit));
        headers.insert(HeaderName::from_static(remaining_name), HeaderValue::from(remaining.remaining));
    }
}
