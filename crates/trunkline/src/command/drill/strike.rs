//! What a fault hits and what a client may expect of it.
//!
//! Owns the reach of each fault (a provider, an account, a model) and the least that must come of it. Must not play anything.
//! A fault reaches as far as it does in life: an outage takes a provider down, a quota an account, a retired model itself.

use super::endpoint::Endpoint;
use super::stage::Stage;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::{Leg, Plan, Timeouts};
use trunkline_route::policy::Route;
use trunkline_sim::{Fault, Phase};

/// How far a fault reaches from the deployment that is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All deployments behind the same address.
    Provider,
    /// Those of them with the same credential.
    Account,
    /// Those of them that are the same model.
    Model,
}

/// The least that must come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A complete answer.
    Answer,
    /// A typed error of the client's protocol, or better.
    Error,
}

/// How far a fault reaches.
pub(super) const fn reach(fault: Fault) -> Reach {
    match fault {
        Fault::Unauthorized
        | Fault::Forbidden
        | Fault::RateLimited
        | Fault::RateLimitedRetryAfter(_)
        | Fault::QuotaExhausted
        | Fault::QuotaBeforeFirstToken
        | Fault::QuotaMidStream(_) => Reach::Account,
        Fault::BadRequest | Fault::NotFound | Fault::ContextTooLong | Fault::ContentFiltered => Reach::Model,
        _ => Reach::Provider,
    }
}

/// The deployments of a route that a fault hits when `first` is asked first.
pub(super) fn struck(
    stage: &Stage,
    candidates: &[DeploymentIndex],
    first: DeploymentIndex,
    fault: Fault,
) -> Vec<DeploymentIndex> {
    let model = |index: DeploymentIndex| &stage.snapshot.fleet.deployment(index).model;
    let target = stage.part(first);
    let hit = |index: &&DeploymentIndex| {
        let part = stage.part(**index);
        part.origin == target.origin
            && match reach(fault) {
                Reach::Provider => true,
                Reach::Account => part.account == target.account,
                Reach::Model => model(**index) == model(first),
            }
    };
    candidates.iter().filter(hit).copied().collect()
}

/// The fault as it is played on a route with these timeouts: what is only slow must stay within them, also where a plain
/// answer waits for all its tokens.
pub(super) fn scaled(fault: Fault, timeouts: &Timeouts) -> Fault {
    let shortest = timeouts.first_token.min(timeouts.whole_answer).min(timeouts.between_tokens);
    let milliseconds = u64::try_from(shortest.as_millis()).unwrap_or(u64::MAX);
    match fault {
        Fault::SlowHeaders(usual) => Fault::SlowHeaders(usual.min(milliseconds / 3)),
        Fault::SlowTokens(usual) => Fault::SlowTokens(usual.min((milliseconds / 40).max(1))),
        other => other,
    }
}

/// Whether a fault is meant to run into a timeout.
pub(super) const fn is_slow(fault: Fault) -> bool {
    matches!(fault, Fault::HangBeforeHeaders | Fault::HangBeforeFirstToken | Fault::Stall(_))
}

/// The least a client may expect.
pub(super) fn expected(
    fault: Fault,
    endpoint: Endpoint,
    delivery: Delivery,
    route: &Route,
    plan: &Plan,
    struck: &[DeploymentIndex],
) -> Expected {
    let healthy = |leg: &Leg| !struck.contains(&leg.deployment.index());
    let answer_if = |possible: bool| if possible { Expected::Answer } else { Expected::Error };
    let takes_estimates = !route.strict && !route.require_parameters;
    if endpoint.operation() == Operation::CountTokens && !takes_estimates && !plan.legs.iter().any(healthy) {
        // Few providers count, and no answer depends on it: a route that takes no estimate is told so, and has lost no answer.
        return Expected::Error;
    }
    match fault {
        // The caller's own fault: nobody else would take it.
        Fault::BadRequest => Expected::Error,
        // Larger windows come first, so that only what stands before the one that was too small can help.
        Fault::ContextTooLong => answer_if(plan.on_context_length.first().is_some_and(healthy)),
        Fault::ContentFiltered => answer_if(plan.on_content_filter.iter().any(healthy)),
        // Pictures and sound begin at once: by any byte the client may have something of them.
        Fault::CutAtByte(_) if delivery.is_stream() && endpoint.operation().is_relayed() => Expected::Error,
        // What the client has seen cannot be taken back.
        _ => answer_if(!(delivery.is_stream() && fault.phase() == Phase::AfterFirstToken)),
    }
}

/// The deployments of a plan that a fault leaves standing.
pub(super) fn standing(plan: &Plan, struck: &[DeploymentIndex]) -> Vec<DeploymentIndex> {
    plan.legs.iter().map(|leg| leg.deployment.index()).filter(|index| !struck.contains(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn slow_is_not_too_slow() {
        let short = Duration::from_millis(800);
        let timeouts = Timeouts { first_token: short, ..Timeouts::default() };
        assert_eq!(scaled(Fault::SlowHeaders(3000), &timeouts), Fault::SlowHeaders(266));
        assert_eq!(scaled(Fault::SlowTokens(250), &timeouts), Fault::SlowTokens(20));
        assert_eq!(scaled(Fault::SlowTokens(250), &Timeouts::default()), Fault::SlowTokens(250));
        assert_eq!(scaled(Fault::Stall(2), &timeouts), Fault::Stall(2));
    }
}
