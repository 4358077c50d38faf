//! Where a URL and a redirect lead.
//!
//! Owns reading what clients write as URLs, and relative references (RFC 3986, section 5.2). Must not judge a host. Dots in a
//! path are left to the server: they cannot leave the host.

use http::Uri;
use http::uri::PathAndQuery;

use crate::origin::OriginView;

/// The longest URL taken, in bytes.
const LONGEST: usize = 8 * 1024;

/// Reads a URL that can be fetched: http or https, with a host and without user name and password. Blanks and letters outside
/// ASCII in its path are percent-encoded, as browsers do.
pub(super) fn parse(url: &str) -> Option<Uri> {
    let url = url.split('#').next()?.trim();
    if url.len() > LONGEST {
        return None;
    }
    let uri: Uri = if url.bytes().all(|byte| byte.is_ascii_graphic()) {
        url.parse().ok()?
    } else {
        let start = url.find("://")? + 3;
        let path = start + url[start..].find('/')?;
        format!("{}{}", &url[..path], encode(&url[path..])).parse().ok()?
    };
    OriginView::of(&uri).ok()?;
    Some(uri)
}

/// Where a redirect from `base` leads; `None` when that is no URL to fetch, or one without the protection `base` had.
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next()?.trim();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?.as_str();
    let head = location.split(['/', '?']).next()?;
    let joined = if head.contains(':') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let path = base.path_and_query().map_or("/", PathAndQuery::path);
        let folder = match location.starts_with('?') || location.is_empty() {
            true => path,
            false => &path[..=path.rfind('/')?],
        };
        format!("{scheme}://{authority}{folder}{location}")
    };
    let uri = parse(&joined)?;
    let is_downgrade = scheme.eq_ignore_ascii_case("https") && uri.scheme_str() != Some("https");
    (!is_downgrade).then_some(uri)
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_of_clients_are_read_as_browsers_read_them() {
        let read = |url| parse(url).map(|uri| uri.to_string());
        for (url, expected) in [
            ("https://example.com/a.png?b=c#d", "https://example.com/a.png?b=c"),
            (" https://example.com/über uns.pdf ", "https://example.com/%C3%BCber%20uns.pdf"),
            ("HTTP://example.com", "http://example.com/"),
        ] {
            assert_eq!(read(url).as_deref(), Some(expected));
        }
        for url in [
            "",
            "example.com/a",
            "/a",
            "ftp://example.com/a",
            "file:///etc/passwd",
            "gopher://example.com",
            "https://",
            "https://user:password@example.com/a",
            "https://user@example.com/a",
            "https://exämple.com/a",
            "https://example.com:99999/a",
            "https://example.com\r\nhost: x/a",
            "data:image/png;base64,AA",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
        assert_eq!(read(&format!("https://example.com/{}", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn redirects_lead_where_the_standard_says_and_never_out_of_tls() {
        let base: Uri = "https://example.com/a/b?c".parse().expect("a URL");
        for (location, expected) in [
            ("https://other.example/x", Some("https://other.example/x")),
            ("//other.example/x", Some("https://other.example/x")),
            ("/x", Some("https://example.com/x")),
            ("x", Some("https://example.com/a/x")),
            ("x:y", None),
            ("./x:y", Some("https://example.com/a/./x:y")),
            ("?d", Some("https://example.com/a/b?d")),
            ("", Some("https://example.com/a/b")),
            ("http://example.com/x", None),
            ("//user@other.example/x", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(join(&base, location).map(|uri| uri.to_string()).as_deref(), expected, "{location}");
        }
        let plain: Uri = "http://example.com".parse().expect("a URL");
        assert_eq!(join(&plain, "x").map(|uri| uri.to_string()).as_deref(), Some("http://example.com/x"));
        assert!(join(&plain, "https://example.com/").is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_written_what_comes_out_can_be_dialed(text in "\\PC{0,40}", relative in "\\PC{0,40}") {
            for uri in parse(&text).into_iter().chain(parse(&format!("https://example.com/{text}"))) {
                prop_assert!(OriginView::of(&uri).is_ok());
                if let Some(next) = join(&uri, &relative) {
                    prop_assert!(OriginView::of(&next).is_ok());
                    prop_assert!(uri.scheme_str() != Some("https") || next.scheme_str() == Some("https"));
                }
            }
        }
    }
}
