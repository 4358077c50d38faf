//! What says who a caller is, in the protocols of all providers.
//!
//! Owns the names of headers and query parameters that carry a credential, or say who is billed. Whoever puts one account's
//! credential on another one's request takes these off first. Lists, because providers agree on nothing here.

use trunkline_model::dialect::Dialect;

/// Whether a request header of this name (in lower case) says who the caller is, to a provider or to anything on the way.
#[must_use]
pub fn is_header(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "x-goog-user-project"
            | "openai-organization"
            | "openai-project"
            | "ocp-apim-subscription-key"
            | "cookie"
            | "forwarded"
            | "via"
            | "x-real-ip"
    ) || ["x-forwarded-", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a query parameter of this name says who the caller is, to a provider of this dialect.
#[must_use]
pub fn is_query(dialect: Dialect, name: &str) -> bool {
    match dialect {
        // `key` is the API key, the others are Google's system parameters for a token in a query.
        Dialect::Gemini => matches!(name, "key" | "access_token" | "oauth_token" | "quotaUser"),
        // A signed URL says everything in its query; next to a signed header it would be refused.
        Dialect::Converse => name.to_ascii_lowercase().starts_with("x-amz-"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_and_the_rest_is_not() {
        for name in
            ["authorization", "x-api-key", "openai-project", "x-forwarded-for", "x-amz-security-token"]
        {
            assert!(is_header(name), "{name}");
        }
        for name in ["accept", "openai-beta", "anthropic-beta", "idempotency-key", "x-amzn-bedrock-trace"] {
            assert!(!is_header(name), "{name}");
        }
        assert!(is_query(Dialect::Gemini, "key") && !is_query(Dialect::OpenAi, "key"));
        assert!(is_query(Dialect::Converse, "X-Amz-Signature") && !is_query(Dialect::Converse, "limit"));
    }
}
