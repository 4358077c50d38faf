//! Credentials kept fresh beside the request path.
//!
//! Owns one task for each source that obtains a credential, renews it well before it expires, and tries again with growing
//! pauses when that fails. Must not know any vendor: what is read and fetched are steps that a
//! [`trunkline_model::credential::Renewal`] asks for, and what a credential is put on is the caller's. A request never waits
//! for a renewal, only for the very first credential, because a token endpoint that is slow for a minute must not be noticed.

mod keeper;
mod step;

pub use keeper::{CredentialError, Keeper};
