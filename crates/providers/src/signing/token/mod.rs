//! Access tokens: obtained from a vendor's token service, valid for about an hour, sent as bearers.
//!
//! Owns the kinds of token service and what an account may say of its identity. Must not call anything: each kind is a state
//! machine whose steps `net` takes. No text of an answer is ever repeated in a message: it may hold the token.

mod entra;
mod google;
mod response;

#[cfg(test)]
mod tests;

use super::{Scheme, Signing};
use http::header::AUTHORIZATION;
use serde::Deserialize;
use std::sync::Arc;
use trunkline_model::secret::Secret;

/// The kinds of token service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenService {
    /// Google Cloud: a service account's key, a user's refresh token, or the machine's metadata server.
    Google,
    /// Microsoft Entra: client credentials, or the machine's managed identity.
    Entra,
}

/// What an account says of its identity. What it leaves out is looked for in the environment.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The path of a file with credentials.
    pub file: Option<String>,
    /// The directory (tenant) the client belongs to.
    pub tenant: Option<String>,
    /// The client's id.
    pub client_id: Option<String>,
    /// The client's secret.
    pub client_secret: Option<Secret>,
    /// What the token is for, where it is not the usual.
    pub scope: Option<String>,
    /// The address of the token service, where it is not the usual.
    pub url: Option<String>,
    /// Take the identity that the machine has.
    pub machine: bool,
}

/// An identity that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Something is missing.
    #[error("obtain access tokens: `{0}` is missing")]
    Missing(&'static str),
    /// A setting that this kind of service does not use.
    #[error("obtain access tokens: `{0}` has no effect here")]
    Unused(&'static str),
}

/// The way tokens of a service are obtained and used; `None` when neither the account nor the environment names an identity.
///
/// # Errors
/// [`IdentityError`] when what is named cannot be used.
pub fn signing(
    service: TokenService,
    identity: Option<&Identity>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Arc<Signing>>, IdentityError> {
    let source = match service {
        TokenService::Google => google::source(identity, environment)?,
        TokenService::Entra => entra::source(identity, environment)?,
    };
    let scheme = Scheme::Token { header: AUTHORIZATION, prefix: "Bearer " };
    Ok(source.map(|source| Arc::new(Signing { source, scheme })))
}
