//! How each deployment fares, learnt from the calls that go through it.
//!
//! Owns what changes while requests run: calls under way, latencies, penalties, circuit breakers, waits that providers asked
//! for, rejected credentials, what is left of rate limits. Must not decide anything: choosing reads views, driving reads
//! views. It lives as long as the deployment's identity, across reloads of the configuration, so that a reload is no amnesty.
//!
//! # Mechanism
//!
//! Five signals, kept apart because they end in different ways:
//!
//! - **Breaker** (connection failures, 5xx, timeouts, stalls, cuts, nonsense, 404): trips on failures in a row, without any
//!   cold start, because a row of failures is strong evidence however few; or on the success rate over a sliding window, only
//!   after a least number of calls in it. Open for a back-off that doubles with every failed probe, with jitter so that
//!   replicas do not probe together. Then one call is let through as a probe: its first token closes the breaker, its failure
//!   opens it for longer, its disappearance (client gone, lost race) frees the place for another.
//! - **Rate limit** (429, or 503 and 529 with a Retry-After): out until the provider's own time, or a doubling guess. Never
//!   counts for the breaker: a provider that says "too fast" is alive, so during a probe it even closes it.
//! - **Credentials** (401, 403, quota used up): out for a cool-down. 401 and a used-up quota concern the credential and with
//!   it every deployment that uses it; 403 concerns one deployment, since keys are often allowed some models only. When the
//!   cool-down ends a single call tests it; the others keep away until that call has succeeded.
//! - **Latency**: peak-sensitive moving average of the time to the first token. It jumps up at once and comes down slowly,
//!   and fades while nothing is sent, so that a deployment that was slow once is asked again. Penalties (seconds that nobody
//!   measured) raise it after a failure; one that comes with a Retry-After starts to fade only when that time is over. A call
//!   cancelled before its first token counts as at least that slow; otherwise losing races would hide slowness.
//! - **Headroom**: the share left of the provider's limits by its own headers, growing back until the reset, and of our own
//!   limits for the deployment.
//!
//! Failures that are the request's own fault (400, context too long, refused content, unsupported) change nothing here.
//!
//! A view is read without a lock (unless the deployment has configured limits); a finished call takes one short mutex.

mod breaker;
mod call;
mod deployment;
mod effect;
mod fleet;
mod histogram;
mod outage;
mod pace;
mod policy;
mod snapshot;

pub use breaker::{BreakerState, Trip};
pub use call::Call;
pub use deployment::DeploymentHealth;
pub use effect::{Effect, Remembered, effect};
pub use fleet::{FleetHealth, Identity};
pub use outage::{CredentialHealth, OutageReason};
pub use policy::{BreakerPolicy, HealthPolicy};
pub use snapshot::HealthSnapshot;
pub use trunkline_model::headroom::Headroom;

#[cfg(test)]
mod tests;
