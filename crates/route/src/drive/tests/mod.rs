//! Tests of the attempt machine: what it does (behaviour), what it never does (properties), and its table of reactions.
//!
//! Owns the scenery they share: plans by number and views by table.

mod behaviour;
mod properties;
mod table;

use super::{Attempt, Commit, Drive, DrivePolicy, Next};
use crate::fleet::DeploymentIndex;
use crate::plan::{EligibleDeployment, Leg, Plan, Timeouts};
use crate::view::{Availability, View, Views};
use std::collections::BTreeMap;
use std::time::Duration;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::moment::Moment;

/// Views by table; what is not in it is fresh and open.
#[derive(Clone, Debug, Default)]
struct Table(BTreeMap<u32, Availability>);

impl Table {
    fn with(mut self, index: u32, availability: Availability) -> Self {
        self.0.insert(index, availability);
        self
    }
}

impl Views for Table {
    fn view(&self, index: DeploymentIndex, now: Moment) -> View {
        let availability = match self.0.get(&index.0).copied() {
            Some(Availability::RateLimited { until } | Availability::CredentialsOut { until })
                if until <= now =>
            {
                Availability::Open
            }
            Some(availability) => availability,
            None => Availability::Open,
        };
        View { availability, ..View::FRESH }
    }
}

fn legs(indexes: &[u32]) -> Vec<Leg> {
    indexes
        .iter()
        .map(|&index| Leg {
            deployment: EligibleDeployment::new(DeploymentIndex(index)),
            tier: "tier".into(),
        })
        .collect()
}

fn plan(indexes: &[u32]) -> Plan {
    Plan {
        legs: legs(indexes),
        on_rate_limit: Vec::new(),
        on_context_length: Vec::new(),
        on_content_filter: Vec::new(),
        on_bad_answer: Vec::new(),
        inspection: None,
        conceded: Default::default(),
        timeouts: Timeouts::default(),
        attempts: 4,
        hedge: None,
        continuation: false,
    }
}

fn drive(plan: Plan) -> Drive {
    Drive::new(plan, Moment::ORIGIN, DrivePolicy::default(), None)
}

fn at(milliseconds: u64) -> Moment {
    Moment::from_micros(milliseconds * 1_000)
}

fn failure(class: FailureClass) -> Failure {
    Failure::new(class, format!("{} happened", class.name()))
}

fn limited(seconds: u64) -> Failure {
    failure(FailureClass::RateLimited).with_retry_after(Some(Duration::from_secs(seconds)))
}

/// The attempt that must come now.
fn tried(next: Next) -> Attempt {
    match next {
        Next::Try(attempt) => attempt,
        other => panic!("expected an attempt, not {other:?}"),
    }
}

/// Where the attempt that must come now goes.
fn index(attempt: &Attempt) -> u32 {
    attempt.leg.deployment.index().0
}

/// Asks for the next attempt and fails it; returns where it went. Back-offs are half of their span.
fn fail_next(drive: &mut Drive, views: &Table, now: Moment, failure: Failure) -> u32 {
    let attempt = tried(drive.next(now, views, u64::MAX / 2));
    drive.failed(attempt.number, failure, Commit::Before, now);
    index(&attempt)
}
