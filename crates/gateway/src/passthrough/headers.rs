//! Which headers pass, either way.
//!
//! Owns what does not: what belongs to one connection (RFC 9110, section 7.6.1), and what is about one host. What says who somebody is
//! the providers' own names say. The client's keys stay here, the provider's stay there.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use trunkline_providers::identity;

/// The headers of a request on its way up: the client's, with the provider's own credential and fixed headers put on.
#[must_use]
pub(super) fn request(client: &HeaderMap, own: &HeaderMap, has_body: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len() + own.len());
    let named = named_by_connection(client);
    for (name, value) in client {
        if !is_of_connection(name, &named) && !is_identity(name) {
            headers.append(name, value.clone());
        }
    }
    for (name, value) in own {
        // What kind of body it is only the client knows.
        if name != CONTENT_TYPE {
            headers.insert(name, value.clone());
        }
    }
    if !has_body {
        headers.remove(CONTENT_TYPE);
    }
    // A compressed answer could not be metered.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// The headers of an answer on its way down.
#[must_use]
pub(super) fn answer(upstream: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(upstream);
    let mut headers = HeaderMap::with_capacity(upstream.len() + 8);
    for (name, value) in upstream {
        // Cookies and alternative services are about the provider's host, which the client does not talk to.
        let is_of_host = matches!(name.as_str(), "set-cookie" | "alt-svc" | "strict-transport-security");
        if !is_of_host && !is_of_connection(name, &named) && !name.as_str().starts_with("x-trunkline-") {
            headers.append(name, value.clone());
        }
    }
    headers
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn is_of_connection(name: &HeaderName, named: &[String]) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
    ) || named.iter().any(|other| other == name.as_str())
}

/// Who the client is, to us or to anybody; and what the transport writes itself.
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "host" | "content-length") || name.starts_with("x-trunkline-") || identity::is_header(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_client_s_identity_stays_and_the_provider_s_is_put_on() {
        let client = map(&[
            ("authorization", "Bearer theirs"),
            ("x-api-key", "theirs"),
            ("cookie", "a=b"),
            ("x-trunkline-tags", "a=b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-amz-security-token", "theirs"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("accept-encoding", "gzip"),
            ("content-type", "audio/mpeg"),
            ("openai-beta", "assistants=v2"),
        ]);
        let own = map(&[("authorization", "Bearer ours"), ("content-type", "application/json")]);
        assert_eq!(
            shown(&request(&client, &own, true)),
            [
                "accept-encoding: identity",
                "authorization: Bearer ours",
                "content-type: audio/mpeg",
                "openai-beta: assistants=v2"
            ]
        );
        assert!(!request(&client, &own, false).contains_key("content-type"));
    }

    #[test]
    fn answers_keep_what_is_not_about_the_connection_or_the_host() {
        let upstream = map(&[
            ("content-type", "audio/mpeg"),
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "a=b"),
            ("x-ratelimit-remaining-requests", "3"),
            ("x-trunkline-cost-usd", "0"),
        ]);
        assert_eq!(
            shown(&answer(&upstream)),
            ["content-length: 7", "content-type: audio/mpeg", "x-ratelimit-remaining-requests: 3"]
        );
    }
}
