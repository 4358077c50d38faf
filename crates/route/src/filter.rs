//! The hard limits: which deployments may serve this request at all, and why not the others.
//!
//! Owns every check that nothing overrides (compliance, allow-lists, capability, size, price, credentials) and the only place
//! where an [`EligibleDeployment`] is made. Must not choose. All later stages take [`Eligible`], whose content cannot be made
//! elsewhere, so a deployment that was filtered out cannot be planned, retried, hedged or fallen back to:
//!
//! ```compile_fail,E0624
//! use trunkline_route::fleet::DeploymentIndex;
//! use trunkline_route::plan::EligibleDeployment;
//! let forged = EligibleDeployment::new(DeploymentIndex(0));
//! ```
//!
//! ```compile_fail,E0451
//! use trunkline_route::filter::Eligible;
//! let forged = Eligible { entries: Vec::new() };
//! ```
//!
//! Being rate limited, broken or full is no hard limit: such deployments are ranked last, because when nothing else is left
//! the least bad one is worth a try. Missing credentials are one, because no try can succeed.

mod check;
mod reason;

pub use reason::{KnownFact, PriceKind, Reason, Remedy};

use crate::caller::{Caller, PriceCap};
use crate::fleet::{DeploymentIndex, Fleet};
use crate::pattern::Pattern;
use crate::plan::EligibleDeployment;
use crate::view::{View, Views};
use check::Checks;
pub(crate) use check::is_named;
use trunkline_model::facts::Requirement;
use trunkline_model::moment::Moment;
use trunkline_model::shape::Shape;

/// What a route demands of every deployment.
#[derive(Clone, Copy, Debug)]
pub struct RouteDemands<'a> {
    /// Compliance facts.
    pub require: &'a [Requirement],
    /// Only deployments that match one of these; empty sets no limit.
    pub allow: &'a [Pattern],
    /// No deployment that matches one of these.
    pub deny: &'a [Pattern],
    /// Highest prices.
    pub max_price: &'a PriceCap,
}

impl RouteDemands<'_> {
    /// No demands.
    pub const NONE: RouteDemands<'static> =
        RouteDemands { require: &[], allow: &[], deny: &[], max_price: &PriceCap::NONE };
}

/// One deployment that may serve, and how it fared when the decision was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EligibleEntry {
    deployment: EligibleDeployment,
    view: View,
}

impl EligibleEntry {
    /// The deployment.
    #[must_use]
    pub const fn deployment(&self) -> EligibleDeployment {
        self.deployment
    }

    /// Its state at the moment of the decision.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }
}

/// The deployments that may serve this request, by rising index. Only [`filter`] makes one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Eligible {
    entries: Vec<EligibleEntry>,
}

impl Eligible {
    /// The entry of a deployment, if it may serve.
    #[must_use]
    pub fn find(&self, index: DeploymentIndex) -> Option<&EligibleEntry> {
        self.entries.get(self.slot(index)?)
    }

    /// The position of a deployment's entry.
    pub(crate) fn slot(&self, index: DeploymentIndex) -> Option<usize> {
        self.entries.binary_search_by_key(&index, |entry| entry.deployment.index()).ok()
    }

    /// The entry at a position.
    pub(crate) fn entry(&self, slot: usize) -> Option<&EligibleEntry> {
        self.entries.get(slot)
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &EligibleEntry> {
        self.entries.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing may serve.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// One deployment that may not serve, with the first reason found.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Which.
    pub deployment: DeploymentIndex,
    /// Why not.
    pub reason: Reason,
}

/// The outcome of the filter: every candidate is in exactly one of the two lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filtered {
    /// Those that may serve.
    pub eligible: Eligible,
    /// Those that may not.
    pub rejected: Vec<Rejection>,
}

/// Splits candidates into those that may serve the request and those that may not. Candidates may repeat and come in any
/// order; the lists are by rising index.
#[must_use]
pub fn filter(
    fleet: &Fleet,
    candidates: &[DeploymentIndex],
    shape: &Shape,
    caller: &Caller,
    route: &RouteDemands<'_>,
    views: &dyn Views,
    now: Moment,
) -> Filtered {
    if candidates.is_sorted_by(|one, next| one < next) {
        return filter_sorted(fleet, candidates, shape, caller, route, views, now);
    }
    let mut sorted = candidates.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    filter_sorted(fleet, &sorted, shape, caller, route, views, now)
}

fn filter_sorted(
    fleet: &Fleet,
    candidates: &[DeploymentIndex],
    shape: &Shape,
    caller: &Caller,
    route: &RouteDemands<'_>,
    views: &dyn Views,
    now: Moment,
) -> Filtered {
    let checks = Checks::new(fleet, shape, caller, route);
    let mut filtered = Filtered {
        eligible: Eligible { entries: Vec::with_capacity(candidates.len()) },
        rejected: Vec::new(),
    };
    for &index in candidates {
        let verdict = checks.static_reason(index).map_or_else(
            || {
                let view = views.view(index, now).seen_for(shape.delivery);
                check::credentials_reason(&view, now).map_or(Ok(view), Err)
            },
            Err,
        );
        match verdict {
            Ok(view) => filtered
                .eligible
                .entries
                .push(EligibleEntry { deployment: EligibleDeployment::new(index), view }),
            Err(reason) => filtered.rejected.push(Rejection { deployment: index, reason }),
        }
    }
    filtered
}

#[cfg(test)]
mod tests;
