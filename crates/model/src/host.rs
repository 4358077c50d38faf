//! Names of hosts as an operator lists them: one host, or all below a domain.
//!
//! Owns the notation and the comparison. Must not resolve anything. A listed domain does not stand for the hosts below it and
//! `*.` does not stand for the domain itself, because the two are often in different hands.

use std::fmt;

/// `files.example.com`, `10.0.0.5`, `::1`, or `*.example.com` for every host below `example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case, without the asterisk; with the dot in front where one stood there.
    name: Box<str>,
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!("`{text}` {what}; write a host as in `files.example.com`, or `*.example.com`"))
        };
        if text.contains("://") || text.contains('/') {
            return wrong("is a URL and not a host");
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self { name: text.to_ascii_lowercase().into() });
        }
        if text.contains(':') {
            return wrong("has a port: a host stands for all of its ports");
        }
        let name = text.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(text);
        let labels = name.strip_prefix('.').unwrap_or(name);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !labels.split('.').all(is_label) || (name.starts_with('.') && name.len() == text.len()) {
            return wrong("is not a host");
        }
        Ok(Self { name: name.to_ascii_lowercase().into() })
    }

    /// Whether a host is meant. A dot at its end counts for nothing.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if !self.name.starts_with('.') {
            return host.eq_ignore_ascii_case(&self.name);
        }
        host.len() > self.name.len()
            && host
                .get(host.len() - self.name.len()..)
                .is_some_and(|end| end.eq_ignore_ascii_case(&self.name))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asterisk = if self.name.starts_with('.') { "*" } else { "" };
        write!(formatter, "{asterisk}{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_itself_and_an_asterisk_is_what_is_below() {
        let one = HostPattern::parse("Files.example.com").unwrap();
        let below = HostPattern::parse("*.example.com").unwrap();
        assert_eq!(
            (one.to_string(), below.to_string()),
            ("files.example.com".into(), "*.example.com".into())
        );
        for (host, is_one, is_below) in [
            ("files.example.com", true, true),
            ("FILES.EXAMPLE.COM.", true, true),
            ("example.com", false, false),
            (".example.com", false, false),
            ("a.files.example.com", false, true),
            ("badexample.com", false, false),
            ("files.example.com.evil.org", false, false),
            ("é.com", false, false),
        ] {
            assert_eq!((one.matches(host), below.matches(host)), (is_one, is_below), "{host}");
        }
        assert!(HostPattern::parse("::1").unwrap().matches("::1"));
        assert!(HostPattern::parse("127.0.0.1").unwrap().matches("127.0.0.1"));
    }

    #[test]
    fn what_is_not_a_host_is_told() {
        let wrong = |text| HostPattern::parse(text).unwrap_err();
        insta::assert_snapshot!(wrong("https://example.com"), @"`https://example.com` is a URL and not a host; write a host as in `files.example.com`, or `*.example.com`");
        insta::assert_snapshot!(wrong("example.com:80"), @"`example.com:80` has a port: a host stands for all of its ports; write a host as in `files.example.com`, or `*.example.com`");
        insta::assert_snapshot!(wrong("a.*.com"), @"`a.*.com` is not a host; write a host as in `files.example.com`, or `*.example.com`");
        insta::assert_snapshot!(wrong(".example.com"), @"`.example.com` is not a host; write a host as in `files.example.com`, or `*.example.com`");
        insta::assert_snapshot!(wrong("*"), @"`*` is not a host; write a host as in `files.example.com`, or `*.example.com`");
        insta::assert_snapshot!(wrong(""), @"`` is not a host; write a host as in `files.example.com`, or `*.example.com`");
    }
}
