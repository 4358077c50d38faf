//! How a request proves who sends it, where no fixed header can.
//!
//! Owns the ways to put a credential that changes on a request whose body is known: a token in a header, a signature over the
//! whole request. Must not obtain credentials (sources say how, `net` does it) and must not read a clock: the time is an
//! argument. A deployment with a plain API key has none of this, and pays nothing for it.

pub mod token;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use std::sync::Arc;
use trunkline_model::credential::{Credential, CredentialSource};

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
        let _ = (request, now);
        match (&self.scheme, credential) {
            (Scheme::Token { header, prefix }, Credential::Token(token)) => {
                let value = secret_value(&format!("{prefix}{}", token.expose()))?;
                headers.insert(header.clone(), value);
                Ok(())
            }
            (Scheme::Token { .. }, Credential::KeyPair { .. }) => Err(SigningError::WrongKind),
        }
    }
}

/// A header value that no log shows.
fn secret_value(text: &str) -> Result<HeaderValue, SigningError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| SigningError::Unprintable)?;
    value.set_sensitive(true);
    Ok(value)
}
