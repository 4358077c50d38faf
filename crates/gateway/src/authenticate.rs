//! Who is asking.
//!
//! Owns finding the virtual key of a request. It comes before the body is read: nobody unknown makes the gateway hold
//! memory. Must not log or keep what was sent as a key.

use crate::accept::Arrival;
use crate::case::Case;
use crate::options;
use crate::state::Generation;
use http::HeaderMap;
use std::sync::Arc;
use trunkline_config::VirtualKey;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};

/// A caller whose key was checked, or anyone where no keys are configured.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    /// The virtual key.
    pub key: Option<Arc<VirtualKey>>,
}

/// Checks the virtual key.
///
/// # Errors
/// A missing, unknown or revoked key.
pub(crate) fn authenticate(
    generation: &Generation,
    arrival: &Arrival,
    case: &mut Case,
) -> Result<Identified, ClientError> {
    let key = check(generation, &arrival.headers, arrival.query.as_deref(), arrival.dialect)?;
    case.record.key = key.as_ref().map(|key| Arc::clone(&key.name));
    Ok(Identified { key })
}

/// The virtual key of a request; `None` where no keys are configured.
///
/// # Errors
/// As [`authenticate`].
pub(crate) fn check(
    generation: &Generation,
    headers: &HeaderMap,
    query: Option<&str>,
    dialect: Dialect,
) -> Result<Option<Arc<VirtualKey>>, ClientError> {
    let ring = &generation.snapshot.keys;
    if ring.is_empty() {
        return Ok(None);
    }
    let Some(text) = options::virtual_key(headers, query, dialect) else {
        return Err(ClientError::new(
            ErrorCode::MissingVirtualKey,
            "no virtual key was sent; send one as `Authorization: Bearer KEY` (or `x-api-key`, `x-goog-api-key`)",
        ));
    };
    let unknown = || {
        ClientError::new(
            ErrorCode::InvalidVirtualKey,
            "the virtual key is not one of this gateway's; check the key, or ask its operator for one",
        )
    };
    let key = ring.find(text).ok_or_else(unknown)?;
    if key.revoked {
        let message = format!("the virtual key `{}` was revoked", key.name);
        return Err(ClientError::new(ErrorCode::InvalidVirtualKey, message));
    }
    Ok(Some(Arc::clone(key)))
}
