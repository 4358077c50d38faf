//! The proof of who sends a request, where it is made anew for each.
//!
//! Owns bringing together a request, the credential of the moment and the way to use it. Must not know either: credentials come
//! from `net`, ways of signing from `providers`. Deployments with a plain key never come here.

use crate::clock;
use crate::state::Gateway;
use smallvec::SmallVec;
use std::time::Duration;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_net::{CredentialError, UpstreamRequest};
use trunkline_providers::signing::{Signing, Unsigned};

/// Signs a request that is otherwise ready to be sent.
///
/// # Errors
/// `Credentials` when there is no credential to sign with, `ConnectTimeout` when the first one did not come in time.
pub(crate) async fn sign(
    gateway: &Gateway,
    signing: &Signing,
    request: &mut UpstreamRequest,
    patience: Duration,
) -> Result<(), Failure> {
    // What went wrong is in the log: addresses and files of the operator are not the client's business.
    let issued =
        gateway.credentials.credential(&signing.source, patience).await.map_err(|error| match error {
            CredentialError::Late(_) => Failure::new(
                FailureClass::ConnectTimeout,
                "the gateway's credential for the provider did not come in time",
            ),
            CredentialError::Failed(_) | CredentialError::Full => Failure::new(
                FailureClass::Credentials,
                "the gateway has no valid credential for the provider",
            ),
        })?;
    let body: SmallVec<[&[u8]; 4]> = request.body.pieces().collect();
    let unsigned = Unsigned { method: request.method.as_str(), uri: &request.uri, body: &body };
    signing.apply(&issued.credential, &unsigned, clock::unix_seconds(), &mut request.headers).map_err(
        |error| {
            tracing::warn!("failed to {error}");
            Failure::new(
                FailureClass::Credentials,
                "the gateway's credential for the provider cannot be used",
            )
        },
    )
}
