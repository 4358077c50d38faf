//! Where a passed request goes.
//!
//! Owns joining a provider's address with a client's path. Pure. Scheme and host are the provider's; a path that tries to leave
//! the provider's base, however it is spelled, is refused.

use http::Uri;
use http::uri::PathAndQuery;
use trunkline_model::dialect::Dialect;
use trunkline_providers::identity;

/// The longest path and query, in bytes.
const LONGEST: usize = 16 * 1024;
/// How often escapes are resolved to see what hides behind them.
const MOST_LAYERS: usize = 3;

/// A path that is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    /// Dots that lead elsewhere.
    #[error("the path holds `.` or `..` segments, plain or escaped; write the path out")]
    Traversal,
    /// Characters no path has.
    #[error("the path holds a backslash, a control character or an escape that is none")]
    Characters,
    /// Too long.
    #[error("path and query are longer than 16 KiB")]
    Length,
}

/// The provider and the rest of a path below `/passthrough/`.
#[must_use]
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let below = path.strip_prefix("/passthrough/")?;
    let end = below.find('/').unwrap_or(below.len());
    let (provider, rest) = below.split_at(end);
    (!provider.is_empty()).then_some((provider, rest))
}

/// The address of a path at a provider whose base address is `base`. A path that repeats the base's own (`/v1`) is not doubled,
/// because clients differ in whether it is part of their base URL.
///
/// # Errors
/// What is wrong with the path.
pub(super) fn address(
    base: &Uri,
    dialect: Dialect,
    rest: &str,
    query: Option<&str>,
) -> Result<Uri, TargetError> {
    check(rest)?;
    let own = base.path().trim_end_matches('/');
    let is_repeated = !own.is_empty()
        && rest.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut text = if is_repeated { rest.to_owned() } else { format!("{own}{rest}") };
    if text.is_empty() {
        text.push('/');
    }
    // Who asks is not the client's to say, in whatever spelling.
    let own: Vec<&[u8]> = pairs(base.query()).map(name).map(str::as_bytes).collect();
    let is_passed = |pair: &&str| {
        let Ok(name) = resolve(name(pair).as_bytes()) else { return true };
        let text = std::str::from_utf8(&name).unwrap_or_default();
        !own.contains(&name.as_slice()) && !identity::is_query(dialect, text)
    };
    let client = pairs(query).filter(is_passed);
    for (index, pair) in client.chain(pairs(base.query())).enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(pair);
    }
    if text.len() > LONGEST {
        return Err(TargetError::Length);
    }
    let path = PathAndQuery::try_from(text).map_err(|_| TargetError::Characters)?;
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| TargetError::Characters)
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

fn name(pair: &str) -> &str {
    pair.split('=').next().unwrap_or(pair)
}

/// Refuses what some server or proxy on the way may read as a way up, or as the end of the path.
fn check(path: &str) -> Result<(), TargetError> {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..MOST_LAYERS {
        if text.iter().any(|byte| *byte == b'\\' || *byte < b' ' || *byte == 0x7f) {
            return Err(TargetError::Characters);
        }
        let leads_elsewhere = text.split(|byte| *byte == b'/').any(|segment| {
            // Parameters of a segment (`..;a=b`) are cut off by some servers.
            let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(segment, b"." | b"..")
        });
        if leads_elsewhere {
            return Err(TargetError::Traversal);
        }
        let resolved = resolve(&text)?;
        if resolved == text {
            return Ok(());
        }
        text = resolved;
    }
    // Nobody honest escapes escapes of escapes.
    Err(TargetError::Traversal)
}

fn resolve(text: &[u8]) -> Result<Vec<u8>, TargetError> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'%' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        let digits = text.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.ok_or(TargetError::Characters)?);
        at += 3;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(base: &str, rest: &str, query: Option<&str>) -> Result<String, TargetError> {
        address(&base.parse().unwrap(), Dialect::Gemini, rest, query).map(|uri| uri.to_string())
    }

    #[test]
    fn paths_stand_below_the_base() {
        for (base, rest, query, expected) in [
            ("https://a.example/v1/", "/files", Some("limit=2"), "https://a.example/v1/files?limit=2"),
            ("https://a.example/v1/", "/v1/files/a%2Fb", None, "https://a.example/v1/files/a%2Fb"),
            ("https://a.example/v1/", "/v1beta/x", None, "https://a.example/v1/v1beta/x"),
            ("https://a.example:8443/", "", None, "https://a.example:8443/"),
            (
                "https://a.example/?key=ours",
                "/m",
                Some("key=theirs&alt=sse"),
                "https://a.example/m?alt=sse&key=ours",
            ),
            ("https://a.example/", "/m", Some("k%65y=theirs&a=%zz&&b"), "https://a.example/m?a=%zz&b"),
            ("https://a.example/v1", "//evil.example/x", None, "https://a.example/v1//evil.example/x"),
            (
                "https://a.example/v1",
                "/https://evil.example",
                None,
                "https://a.example/v1/https://evil.example",
            ),
            ("https://a.example", "/@evil.example/x", None, "https://a.example/@evil.example/x"),
        ] {
            assert_eq!(joined(base, rest, query).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn ways_out_are_refused() {
        for rest in [
            "/../x",
            "/a/..",
            "/%2e%2e/x",
            "/%2E./x",
            "/a%2f..%2fb",
            "/%252e%252e/x",
            "/..;a=b/x",
            "/./x",
            "/.%2e/",
        ] {
            assert_eq!(joined("https://a.example/v1", rest, None), Err(TargetError::Traversal), "{rest}");
        }
        for rest in ["/a\\b", "/a%5Cb", "/a%00", "/a%0d%0aHost:x", "/a%zz", "/a%2", "/a%+1"] {
            assert_eq!(joined("https://a.example/v1", rest, None), Err(TargetError::Characters), "{rest}");
        }
        assert_eq!(
            joined("https://a.example", &format!("/{}", "a".repeat(20_000)), None),
            Err(TargetError::Length)
        );
    }

    #[test]
    fn the_provider_is_the_first_segment() {
        assert_eq!(split("/passthrough/openai/files"), Some(("openai", "/files")));
        assert_eq!(split("/passthrough/openai"), Some(("openai", "")));
        assert_eq!(split("/passthrough/"), None);
        assert_eq!(split("/passthrough//x"), None);
    }

    proptest! {
        #[test]
        fn the_host_never_changes(rest in "/[ -~]{0,40}", query in proptest::option::of("[ -~]{0,20}")) {
            let base: Uri = "https://a.example:8443/v1".parse().unwrap();
            if let Ok(uri) = address(&base, Dialect::OpenAi, &rest, query.as_deref()) {
                prop_assert_eq!(uri.authority(), base.authority());
                prop_assert_eq!(uri.scheme(), base.scheme());
                prop_assert!(uri.path().starts_with("/v1"));
            }
        }
    }
}
