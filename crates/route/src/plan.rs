//! The ordered attempts a decision yields, with their limits in time, number and money.
//!
//! Owns the values between `decide` (which makes a plan from filtered candidates) and `drive` (which walks it). A plan holds
//! only deployments that passed the filter: its lists take `EligibleDeployment`, which only the filter can make.

use crate::cascade::{Concession, Inspection};
use crate::fleet::DeploymentIndex;
use smallvec::SmallVec;
use std::time::Duration;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::id::Name;

/// A deployment that passed every hard filter for this request. Only the filter of this crate can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EligibleDeployment {
    index: DeploymentIndex,
}

impl EligibleDeployment {
    /// For the filter alone.
    pub(crate) const fn new(index: DeploymentIndex) -> Self {
        Self { index }
    }

    /// Its place in the fleet.
    #[must_use]
    pub const fn index(self) -> DeploymentIndex {
        self.index
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Where to send the request.
    pub deployment: EligibleDeployment,
    /// The tier it stands in.
    pub tier: Name,
}

/// What to do with one request, whatever happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of preference for a first attempt and for ordinary failures (connection, server, timeout).
    pub legs: Vec<Leg>,
    /// Where to go instead when rate limited; empty means as `legs`.
    pub on_rate_limit: Vec<Leg>,
    /// Where to go instead when the prompt is too long, larger context windows first.
    pub on_context_length: Vec<Leg>,
    /// Where to go instead when the content was refused; empty means that a refusal is final.
    pub on_content_filter: Vec<Leg>,
    /// Where to go instead when an answer was found wanting; empty means as `legs`.
    pub on_bad_answer: Vec<Leg>,
    /// What of the request is given up, because no deployment can do all of it.
    pub conceded: SmallVec<[Concession; 2]>,
    /// How answers are looked at before the client gets them; `None` lets them pass.
    pub inspection: Option<Box<Inspection>>,
    /// Limits in time.
    pub timeouts: Timeouts,
    /// Upstream calls at the most, hedges included.
    pub attempts: u32,
    /// Whether and when a second attempt runs beside a slow first.
    pub hedge: Option<Hedge>,
    /// Continue a broken-off plain text on another deployment.
    pub continuation: bool,
}

/// Limits in time of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolve, connect and TLS of one attempt.
    pub connect: Duration,
    /// From sending an attempt to its first semantic event.
    pub first_token: Duration,
    /// From sending an attempt to the first byte of an answer in one piece, which comes when all of it is made.
    pub whole_answer: Duration,
    /// Between two upstream chunks after that.
    pub between_tokens: Duration,
    /// The whole request, all attempts and waits included.
    pub total: Duration,
}

impl Default for Timeouts {
    /// Ten seconds to connect, 60 to the first token (reasoning models think long), five minutes to an answer in one piece, 60
    /// seconds between tokens, ten minutes in all.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_token: Duration::from_secs(60),
            whole_answer: Duration::from_secs(300),
            between_tokens: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

impl Timeouts {
    /// As they hold for a request. The first token of a generated answer in one piece is not seen before its last.
    #[must_use]
    pub const fn for_request(self, operation: Operation, delivery: Delivery) -> Self {
        match delivery {
            Delivery::Plain if operation.generates() => Self { first_token: self.whole_answer, ..self },
            Delivery::Plain | Delivery::Stream => self,
        }
    }
}

/// When a hedge starts and what it may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// The delay before the second attempt.
    pub after: HedgeDelay,
    /// Share of the spending that hedges may add, 0 to 1.
    pub spend_cap: f64,
}

/// The delay before a hedge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeDelay {
    /// The observed quantile of the deployment's time to first token, 0 to 1; no hedge until enough was observed.
    Quantile(f64),
    /// A fixed delay.
    Fixed(Duration),
}
