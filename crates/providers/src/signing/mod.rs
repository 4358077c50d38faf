//! How a request proves who sends it, where no fixed header can.
//!
//! Owns the ways to put a credential that changes on a request whose body is known: a token in a header, a signature over the
//! whole request. Must not obtain credentials (sources say how, `net` does it) and must not read a clock: the time is an
//! argument. A deployment with a plain API key has none of this, and pays nothing for it.

mod aws;
pub mod token;

use crate::preset::SignatureKind;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use std::sync::Arc;
use trunkline_model::credential::{Credential, CredentialSource};
use trunkline_model::secret::Secret;

/// A credential's source and the way it is put on requests.
#[derive(Clone, Debug)]
pub struct Signing {
    /// Where the credential comes from.
    pub source: Arc<dyn CredentialSource>,
    /// How it is used.
    pub scheme: Scheme,
}

/// The way a credential is put on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A token in a header.
    Token {
        /// The header.
        header: HeaderName,
        /// What stands before the token, for example `Bearer `.
        prefix: &'static str,
    },
    /// AWS Signature Version 4.
    AwsV4 {
        /// The region, for example `us-east-1`.
        region: String,
        /// The service's signing name.
        service: String,
    },
}

/// What an account says of a credential that signs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialSettings {
    /// The region requests go to and are signed for.
    pub region: Option<String>,
    /// A profile of the shared files.
    pub profile: Option<String>,
    /// The id of a key.
    pub access_key: Option<String>,
    /// The key.
    pub secret_key: Option<Secret>,
    /// The token of a session, for keys that live for a while.
    pub session_token: Option<Secret>,
}

/// A mistake in [`CredentialSettings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The setting; `None` for one that is missing.
    pub setting: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The region that settings or environment name.
#[must_use]
pub fn region(
    kind: SignatureKind,
    settings: &CredentialSettings,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    match kind {
        SignatureKind::AwsV4 => aws::region(settings, environment),
    }
}

/// A request without its proof.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute URL.
    pub uri: &'a Uri,
    /// The body in pieces.
    pub body: &'a [&'a [u8]],
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The source gives another kind of credential.
    #[error("sign the request: the credential is of the wrong kind")]
    WrongKind,
    /// The credential has characters no header can carry.
    #[error("sign the request: the credential holds characters that no HTTP header can carry")]
    Unprintable,
}

impl Signing {
    /// Whether the proof covers the body, which must then be here as a whole.
    #[must_use]
    pub const fn reads_body(&self) -> bool {
        matches!(self.scheme, Scheme::AwsV4 { .. })
    }

    /// The region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match &self.scheme {
            Scheme::AwsV4 { region, .. } => Some(region),
            Scheme::Token { .. } => None,
        }
    }

    /// The same credential, used for another service of the vendor.
    #[must_use]
    pub fn of_service(&self, name: &str) -> Self {
        let scheme = match &self.scheme {
            Scheme::AwsV4 { region, .. } => {
                Scheme::AwsV4 { region: region.clone(), service: name.to_owned() }
            }
            token @ Scheme::Token { .. } => token.clone(),
        };
        Self { source: Arc::clone(&self.source), scheme }
    }

    /// How an account signs, by its settings and, where these are silent, by the environment.
    ///
    /// # Errors
    /// Settings that contradict each other, or lack something.
    pub fn signature(
        kind: SignatureKind,
        service: &str,
        settings: &CredentialSettings,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistake> {
        match kind {
            SignatureKind::AwsV4 => aws::signing(service, settings, environment),
        }
    }

    /// Puts a credential on a request: adds to its headers. `now` is Unix seconds.
    ///
    /// # Errors
    /// When the credential does not fit the scheme.
    pub fn apply(
        &self,
        credential: &Credential,
        request: &Unsigned<'_>,
        now: u64,
        headers: &mut HeaderMap,
    ) -> Result<(), SigningError> {
        match (&self.scheme, credential) {
            (Scheme::Token { header, prefix }, Credential::Token(token)) => {
                let value = secret_value(&format!("{prefix}{}", token.expose()))?;
                headers.insert(header.clone(), value);
                Ok(())
            }
            (Scheme::AwsV4 { region, service }, Credential::KeyPair { id, secret, session }) => {
                let session = session.as_ref().map(Secret::expose);
                let keys = aws::Keys { id, secret: secret.expose(), session };
                aws::sign(keys, aws::Scope { region, service }, request, now, headers)
            }
            (Scheme::Token { .. }, Credential::KeyPair { .. })
            | (Scheme::AwsV4 { .. }, Credential::Token(_)) => Err(SigningError::WrongKind),
        }
    }
}

/// A header value that no log shows.
fn secret_value(text: &str) -> Result<HeaderValue, SigningError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| SigningError::Unprintable)?;
    value.set_sensitive(true);
    Ok(value)
}
