//! Scenarios: the virtual providers, the traffic, the troubles and the policies that are compared.
//!
//! Owns the file form, the built-in scenarios (files like any other) and their compilation. Must not run anything.

mod compile;
mod file;
mod notation;

pub use compile::{Scenario, ScenarioError, Traffic, Trouble, TroubleKind, Variant, VirtualRequest};
pub use file::{PolicyFile, ScenarioFile};

/// A scenario that comes with the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The scenarios that come with the binary, in the order in which they are run.
pub const BUILT_IN: [BuiltIn; 4] = [
    BuiltIn { name: "speeds", text: include_str!("scenarios/speeds.yaml") },
    BuiltIn { name: "slow-tail", text: include_str!("scenarios/slow-tail.yaml") },
    BuiltIn { name: "outage", text: include_str!("scenarios/outage.yaml") },
    BuiltIn { name: "rate-limits", text: include_str!("scenarios/rate-limits.yaml") },
];
