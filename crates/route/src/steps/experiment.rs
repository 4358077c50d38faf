//! A lasting split of users, sessions or keys over tiers.
//!
//! Owns the hash that keeps everyone on one side. Must not keep a list of who is where: the hash of identity and salt says it,
//! on every replica and after every restart. A new salt shuffles everyone anew.

use super::{DecideStep, StepAnswer, StepInput};
use crate::policy::TierPosition;
use sha2::{Digest, Sha256};
use trunkline_model::id::Name;

/// Who stays on one side of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// The end user.
    User,
    /// The session.
    Session,
    /// The virtual key.
    Key,
}

impl SplitBy {
    /// The word used in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
            Self::Key => "key",
        }
    }
}

/// One side of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its tier.
    pub tier: TierPosition,
    /// Its share, above 0.
    pub share: f64,
}

/// Answers with the tier of the caller's side.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Part of the hash: experiments of different names split independently.
    pub salt: Name,
    /// Who stays on one side.
    pub by: SplitBy,
    /// The sides; shares add up to at most 1, the rest is not in the experiment.
    pub arms: Vec<Arm>,
}

impl DecideStep for Experiment {
    fn name(&self) -> &str {
        "experiment"
    }

    fn decide(&self, input: &StepInput<'_>) -> StepAnswer {
        let caller = input.decide.caller;
        let identity = match self.by {
            SplitBy::User => caller.user.as_deref().or(input.decide.shape.user.as_deref()),
            SplitBy::Session => caller.session.as_deref(),
            SplitBy::Key => caller.key.as_deref(),
        };
        let Some(identity) = identity.filter(|identity| !identity.is_empty()) else {
            return StepAnswer::NoAnswer { why: format!("no {} to split by", self.by.name()).into() };
        };
        let position = position(&self.salt, identity);
        input.measure("position".into(), position);
        let mut reached = 0.0;
        for arm in &self.arms {
            reached += arm.share;
            if position < reached {
                return StepAnswer::Tier { tier: arm.tier, propensity: arm.share };
            }
        }
        StepAnswer::NoAnswer { why: format!("this {} is not in the experiment", self.by.name()).into() }
    }
}

/// Where an identity stands, 0 to 1 and never 1.
fn position(salt: &str, identity: &str) -> f64 {
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update([0]);
    hash.update(identity.as_bytes());
    let digest = hash.finalize();
    let bits = digest.iter().take(6).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    bits as f64 / (1u64 << 48) as f64
}
