//! Which deployment a passed request is for, as far as that shows from outside, and what its answer says of that deployment.
//!
//! Owns the guess and what is learnt by it: limits that are nearly used up, and a provider that wants to be left alone. Must not
//! take an unknown endpoint's failure for the deployment's: a path that nobody here knows can fail for reasons of its own. A guess
//! that is not certain is none.

use crate::attempt::headroom;
use crate::clock;
use crate::state::Generation;
use http::Uri;
use trunkline_model::dialect::Delivery;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::moment::Moment;
use trunkline_net::UpstreamResponse;
use trunkline_providers::upstream::Upstream;
use trunkline_route::fleet::DeploymentIndex;

/// The only deployment of a provider that has an endpoint there: for providers with the model in the path.
pub(super) fn by_path(generation: &Generation, provider: &str, uri: &Uri) -> Option<DeploymentIndex> {
    let snapshot = &generation.snapshot;
    let own = snapshot.fleet.iter().filter(|(_, deployment)| &*deployment.provider == provider);
    let mut at = own.filter(|(index, _)| snapshot.upstreams[index.position()].serves_at(uri.path()));
    let (index, _) = at.next()?;
    at.next().is_none().then_some(index)
}

/// The deployment of a model that a body names.
pub(super) fn by_model(generation: &Generation, provider: &str, model: &str) -> Option<DeploymentIndex> {
    generation.snapshot.fleet.find(&format!("{provider}/{model}"))
}

/// Takes note of what the head of an answer says of a deployment's limits.
pub(super) fn learn(
    generation: &Generation,
    index: DeploymentIndex,
    upstream: &Upstream,
    response: &UpstreamResponse,
    failure: Option<&Failure>,
    now: Moment,
) {
    let health = generation.health.deployment(index);
    if let Some(rates) = upstream.rate_headers(&response.headers, clock::unix_seconds()) {
        health.observe(&headroom(&rates, now), now);
    }
    let wants_rest =
        |failure: &&Failure| matches!(failure.class, FailureClass::RateLimited | FailureClass::Overloaded);
    if let Some(failure) = failure.filter(wants_rest)
        && let Ok(call) = health.begin(0, Delivery::Plain, now)
    {
        call.failed(failure, None, now);
    }
}
