//! Keeping a caller on one deployment, so that a provider's prompt cache and its opaque state stay useful.
//!
//! Owns the choice of a home for each session or user. Must not keep a table: the home follows from the caller's name and the
//! deployment's id alone (weighted rendezvous hashing), so that every replica agrees without talking, and a fleet that
//! changes moves only the callers of what came or went. Stickiness never beats availability: the home is left while it is
//! unusable and taken up again afterwards.

use crate::balance::{Candidate, mix, unit};
use crate::caller::Caller;
use crate::fleet::Deployment;

/// By what a caller keeps its deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// By the session.
    Session,
    /// By the end user.
    User,
    /// By the session, else the user.
    SessionOrUser,
    /// By the virtual key.
    Key,
}

impl Sticky {
    /// The name used in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::SessionOrUser => "session-or-user",
            Self::Key => "key",
        }
    }

    /// What identifies the caller, hashed; `None` when the caller does not say.
    #[must_use]
    pub fn identity(self, caller: &Caller) -> Option<u64> {
        let name = match self {
            Self::Session => caller.session.as_ref(),
            Self::User => caller.user.as_ref(),
            Self::SessionOrUser => caller.session.as_ref().or(caller.user.as_ref()),
            Self::Key => caller.key.as_ref(),
        }?;
        Some(hash(name.as_bytes()))
    }
}

/// How far a deployment is from being the home of a caller: the lowest is the home. Deployments of twice the weight are home to
/// twice as many callers.
#[must_use]
pub fn distance(identity: u64, deployment: &Deployment) -> f64 {
    let draw = unit(mix(identity, hash(deployment.id.as_bytes())));
    -draw.ln() / f64::from(deployment.weight.max(1))
}

/// Orders candidates by distance.
pub(crate) fn candidate_distance(identity: u64, candidate: &Candidate<'_>) -> f64 {
    distance(identity, candidate.description)
}

/// FNV-1a: stable over releases, which the standard library's hasher does not promise.
const fn hash(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}
