//! What the attempt machine asks for and what it is told.
//!
//! Owns the values between the machine and who performs it. Must not hold behaviour: these are messages.

use super::verdict::Verdict;
use crate::plan::{HedgeDelay, Leg};
use smallvec::SmallVec;
use std::time::Duration;
use trunkline_model::moment::Moment;
use trunkline_model::record::AttemptKind;

/// Counts the attempts of one request from 1; a hedge and the attempt it runs beside have different numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptNumber(pub u32);

/// One upstream call to make now.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Names it in every report.
    pub number: AttemptNumber,
    /// Where to send the request.
    pub leg: Leg,
    /// Why there is this attempt.
    pub kind: AttemptKind,
    /// The longest time to resolve, connect and agree on TLS.
    pub connect: Duration,
    /// The longest time from sending to the first semantic event.
    pub first_token: Duration,
    /// The longest time between two chunks after that.
    pub between_tokens: Duration,
    /// When the whole request must have ended.
    pub deadline: Moment,
    /// When to call [`super::Drive::hedge_due`] if no semantic event came; `None` when there is nothing to hedge with.
    pub hedge: Option<HedgeDelay>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Make this upstream call.
    Try(Attempt),
    /// Do nothing until this moment, then ask again. It is always later than the moment given and before the deadline.
    Wait {
        /// When to ask again.
        until: Moment,
    },
    /// An attempt is still running; report how it ends.
    Await,
    /// The request was answered; nothing is left to do.
    Served,
    /// Give up and tell the client.
    Fail(Verdict),
}

/// Whether the client has seen a semantic byte of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Commit {
    /// Nothing yet: everything can still be done over. A plain answer stays here until it is whole.
    Before,
    /// Something: the answer can only end, break off or be continued.
    After,
}

/// Attempts that lost a race and must be cancelled; what they cost still counts.
pub type Losers = SmallVec<[AttemptNumber; 2]>;
