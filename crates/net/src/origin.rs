//! Where a request goes: scheme, host and port, the key of a connection pool.
//!
//! Owns the reading of URLs into origins and the errors that name a bad one. Knows nothing of connections. A URL that
//! is quoted in an error loses its user information and its query, because keys are put in both.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme as UriScheme};

/// The two schemes that can be dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of a URL that names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    pub(crate) fn to_uri_scheme(self) -> UriScheme {
        match self {
            Self::Http => UriScheme::HTTP,
            Self::Https => UriScheme::HTTPS,
        }
    }
}

/// Scheme, host (lower case, an IPv6 address without brackets) and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
}

/// Why a URL has no origin that can be dialed. The URL is quoted without user information and query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not a URL.
    #[error("read the URL `{url}`: {detail}")]
    Malformed {
        /// The text, redacted.
        url: String,
        /// What the parser said.
        detail: String,
    },
    /// No scheme or no host, as in `/v1/models` or `api.example.com`.
    #[error("read the URL `{url}`: it needs a scheme and a host, as in `https://api.example.com/v1`")]
    NotAbsolute {
        /// The text, redacted.
        url: String,
    },
    /// A scheme other than `http` and `https`.
    #[error("use the URL `{url}`: the scheme `{scheme}` is neither http nor https")]
    UnsupportedScheme {
        /// The text, redacted.
        url: String,
        /// The scheme it has.
        scheme: String,
    },
    /// `user:password@` in front of the host.
    #[error("use the URL `{url}`: credentials belong in a header, not in front of the host")]
    UserInformation {
        /// The text, redacted.
        url: String,
    },
}

impl Origin {
    /// Reads the origin of a URL; path and query are ignored.
    ///
    /// # Errors
    /// [`OriginError`] names the URL and what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| OriginError::Malformed {
            url: redact(url),
            detail: error.to_string(),
        })?;
        Self::of(&uri)
    }

    /// The origin of a parsed URL.
    ///
    /// # Errors
    /// As [`Origin::parse`].
    pub fn of(uri: &Uri) -> Result<Self, OriginError> {
        let view = OriginView::of(uri)?;
        Ok(Self { scheme: view.scheme, host: view.host.to_ascii_lowercase().into(), port: view.port })
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, lower case, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own when the URL named none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in a `host` header: without the port when it is the scheme's own.
    pub(crate) fn authority(&self) -> Result<Authority, http::uri::InvalidUri> {
        let host = BracketedHost(&self.host);
        let text = if self.port == self.scheme.default_port() {
            host.to_string()
        } else {
            format!("{host}:{}", self.port)
        };
        Authority::try_from(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme.as_str(), BracketedHost(&self.host))?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(formatter, ":{}", self.port) }
    }
}

/// An origin borrowed from a URL: finds a pool without allocating.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OriginView<'a> {
    scheme: Scheme,
    host: &'a str,
    port: u16,
}

impl<'a> OriginView<'a> {
    pub(crate) fn of(uri: &'a Uri) -> Result<Self, OriginError> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(OriginError::NotAbsolute { url: redact(&uri.to_string()) });
        };
        let scheme = if *scheme == UriScheme::HTTPS {
            Scheme::Https
        } else if *scheme == UriScheme::HTTP {
            Scheme::Http
        } else {
            return Err(OriginError::UnsupportedScheme {
                url: redact(&uri.to_string()),
                scheme: scheme.to_string(),
            });
        };
        if authority.as_str().contains('@') {
            return Err(OriginError::UserInformation { url: redact(&uri.to_string()) });
        }
        let host = authority.host();
        // Without user information the authority is the host and what may follow it. `Authority::port` is of no use:
        // it answers a port out of range with none at all.
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None | Some("") => scheme.default_port(),
            Some(port) => port.parse().map_err(|_| OriginError::Malformed {
                url: redact(&uri.to_string()),
                detail: format!("`{port}` is not a port"),
            })?,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(OriginError::NotAbsolute { url: redact(&uri.to_string()) });
        }
        Ok(Self { scheme, host, port })
    }

    /// The host as written, an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &'a str {
        self.host
    }

    pub(crate) fn matches(&self, origin: &Origin) -> bool {
        self.port == origin.port
            && self.scheme == origin.scheme
            && self.host.eq_ignore_ascii_case(&origin.host)
    }

    /// FNV-1a over the lower-case origin. Origins come from the configuration, so nobody can aim collisions.
    pub(crate) fn hash(&self) -> u64 {
        const PRIME: u64 = 0x0100_0000_01b3;
        let seed = 0xcbf2_9ce4_8422_2325 ^ (u64::from(self.port) << 8) ^ (self.scheme as u64);
        self.host
            .bytes()
            .fold(seed, |hash, byte| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(PRIME))
    }
}

struct BracketedHost<'a>(&'a str);

impl fmt::Display for BracketedHost<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(formatter, "[{}]", self.0) } else { formatter.write_str(self.0) }
    }
}

/// The URL without what may be secret in it: user information, query and fragment.
fn redact(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let rest = match rest[..authority_end].rfind('@') {
        Some(at) => &rest[at + 1..],
        None => rest,
    };
    match scheme {
        Some(scheme) => format!("{scheme}://{rest}"),
        None => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(url: &str) -> String {
        Origin::parse(url).expect_err("the URL is bad").to_string()
    }

    #[test]
    fn default_ports_are_filled_in_and_left_out() {
        for (url, shown, authority) in [
            ("https://API.Example.com/v1", "https://api.example.com", "api.example.com"),
            ("https://api.example.com:443", "https://api.example.com", "api.example.com"),
            ("http://10.0.0.5:8000/v1?x=1", "http://10.0.0.5:8000", "10.0.0.5:8000"),
            ("http://[::1]:8080/", "http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]/", "http://[::1]", "[::1]"),
        ] {
            let origin = Origin::parse(url).expect("the URL is good");
            assert_eq!(origin.to_string(), shown);
            assert_eq!(origin.authority().expect("an origin has an authority").as_str(), authority);
        }
    }

    #[test]
    fn a_bad_url_is_named_without_its_secrets() {
        insta::assert_snapshot!(error("https://user:hunter2@api.example.com/v1?key=s3cret"), @"use the URL `https://api.example.com/v1`: credentials belong in a header, not in front of the host");
        insta::assert_snapshot!(error("ftp://api.example.com/v1?key=s3cret"), @"use the URL `ftp://api.example.com/v1`: the scheme `ftp` is neither http nor https");
        insta::assert_snapshot!(error("api.example.com"), @"read the URL `api.example.com`: it needs a scheme and a host, as in `https://api.example.com/v1`");
        insta::assert_snapshot!(error("/v1/models?key=s3cret"), @"read the URL `/v1/models`: it needs a scheme and a host, as in `https://api.example.com/v1`");
        insta::assert_snapshot!(error("https://exa mple/?key=s3cret"), @"read the URL `https://exa mple/`: invalid uri character");
        insta::assert_snapshot!(error("https://host:99999/v1"), @"read the URL `https://host:99999/v1`: `99999` is not a port");
        insta::assert_snapshot!(error(""), @"read the URL ``: empty string");
    }

    proptest! {
        #[test]
        fn a_view_and_its_origin_agree(host in "[a-zA-Z][a-zA-Z0-9.-]{0,20}", port in 1u16.., tls: bool) {
            let scheme = if tls { "https" } else { "http" };
            let uri: Uri = format!("{scheme}://{host}:{port}/path").parse().expect("built to be a URI");
            let view = OriginView::of(&uri).expect("built to have an origin");
            let origin = Origin::of(&uri).expect("built to have an origin");
            prop_assert!(view.matches(&origin));
            let shown: Uri = origin.to_string().parse().expect("an origin is a URI");
            prop_assert_eq!(OriginView::of(&shown).expect("an origin has an origin").hash(), view.hash());
        }

        #[test]
        fn parsing_never_panics_and_never_shows_a_query(text in "\\PC{0,40}") {
            if let Err(error) = Origin::parse(&format!("{text}?key=s3cret")) {
                prop_assert!(!error.to_string().contains("s3cret"));
            }
        }
    }
}
