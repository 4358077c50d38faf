//! How requests to a provider are authenticated: keys, signatures, and a vendor's other service.
//!
//! Owns these fields of a preset. It must not know credentials: whose they are and where they come from is the account's.

use crate::signing::token::TokenService;
use serde::Deserialize;
use std::borrow::Cow;

/// How requests are authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Environment variables that hold the key, the first that is set wins.
    pub env: Vec<String>,
    /// Where in the request the key goes.
    pub scheme: KeyScheme,
    /// The name of the header or query parameter, for those schemes.
    pub name: Option<String>,
    /// Whether nothing works without a key.
    #[serde(default = "yes")]
    pub required: bool,
    /// The token service whose access tokens are accepted in place of a key, as `Authorization: Bearer TOKEN`.
    pub tokens: Option<TokenService>,
}

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The way of signing.
    pub kind: SignatureKind,
    /// The name under which the service is signed for.
    pub service: String,
    /// The variable of the base address that stands for the region.
    pub region: String,
}

/// A way of signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureKind {
    /// AWS Signature Version 4.
    #[serde(rename = "aws-v4")]
    AwsV4,
}

/// Another service of a vendor, beside the one that serves its models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SisterService {
    /// What stands in the host names of the provider's own addresses. An address without it is a proxy's, which serves both.
    pub host: String,
    /// What stands there in those of the sister.
    pub sister_host: String,
    /// How the sister names a model: `{model}`, and `{region}` for the region that requests are signed for. A name with the same
    /// scheme (what stands before the first colon) is one already.
    pub model: String,
}

impl SisterService {
    /// The sister's address beside a provider's.
    #[must_use]
    pub fn base_url<'a>(&self, base_url: &'a str) -> Cow<'a, str> {
        let start = base_url.find("://").map_or(0, |at| at + 3);
        let end = base_url[start..].find('/').map_or(base_url.len(), |at| start + at);
        let (scheme, host, rest) = (&base_url[..start], &base_url[start..end], &base_url[end..]);
        if !host.contains(&self.host) {
            return Cow::Borrowed(base_url);
        }
        Cow::Owned(format!("{scheme}{}{rest}", host.replacen(&self.host, &self.sister_host, 1)))
    }

    /// The sister's name of a model.
    #[must_use]
    pub fn model_name(&self, model: &str, region: &str) -> String {
        let (scheme, _) = self.model.split_once(':').unwrap_or_default();
        if !scheme.is_empty() && model.split_once(':').is_some_and(|(start, _)| start == scheme) {
            return model.to_owned();
        }
        self.model.replace("{region}", region).replace("{model}", model)
    }
}

/// Where in the request the key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScheme {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// A header of its own.
    Header,
    /// A query parameter.
    Query,
    /// Nowhere.
    None,
}

const fn yes() -> bool {
    true
}
