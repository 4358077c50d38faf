//! Virtual providers under a virtual clock: what a policy does under load, outages, limits and slow tails.
//!
//! Owns the event queue, the virtual providers and the comparison of policies. Must not imitate choosing: `decide`, the attempt
//! machine, health, hedge budget and retry budget are the gateway's own, fed with simulated moments. What is simulated is only
//! what stands outside: arrivals, the time a provider takes, its queue, its faults. Every random number of an attempt follows
//! from the seed, the request and the attempt alone, so that compared policies meet the same traffic and the same luck.
//!
//! What is left out: the gateway's own microseconds, connection set-up, limits of virtual keys, and callers that give up or ask
//! again.

mod compare;
mod engine;
mod observed;
mod provider;
mod scenario;
mod show;
mod station;
mod tally;

pub use compare::{Comparison, Difference, Interval, compare};
pub use engine::run;
pub use observed::{Observed, observe};
pub use provider::{Behaviour, Faults, Rest, Slow, Spread};
pub use scenario::{
    BUILT_IN, BuiltIn, PolicyFile, Scenario, ScenarioError, ScenarioFile, Traffic, Trouble, TroubleKind,
    Variant, VirtualRequest,
};
pub use tally::{Outcome, Quantiles, Slice};

#[cfg(test)]
mod tests;
