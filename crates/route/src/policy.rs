//! A route's policy, compiled: indexes instead of names, parsed rules instead of text.
//!
//! Owns the compiled form and the invariants among its parts (steps and fallbacks name tiers that exist). Must not know the
//! configuration's syntax nor hold anything that changes while requests run. The set of candidates is worked out here once,
//! because a fleet may have thousands of deployments and a route uses a handful.

use crate::balance::Balance;
use crate::caller::PriceCap;
use crate::cascade::{Cascade, Concession, Demand};
use crate::effort::Efforts;
use crate::filter::RouteDemands;
use crate::fleet::DeploymentIndex;
use crate::learned::KeepPrompts;
use crate::pattern::Pattern;
use crate::plan::{Hedge, Timeouts};
use crate::shadow::ShadowCaps;
use crate::steps::{Step, StepKind, Target};
use crate::sticky::Sticky;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::sync::Arc;
use trunkline_model::facts::Requirement;
use trunkline_model::id::Name;

/// Position of a tier in its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TierPosition(pub u16);

impl TierPosition {
    /// The position as a slice position.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

/// A named set of interchangeable deployments.
#[derive(Clone, Debug)]
pub struct Tier {
    /// Its name, unique in the route.
    pub name: Name,
    /// Its deployments; at least one.
    pub deployments: Vec<DeploymentIndex>,
    /// How the load is spread over them.
    pub balance: Balance,
    /// Whether a caller keeps its deployment.
    pub sticky: Option<Sticky>,
}

/// Where to go after a failure, by its class: tiers in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallback {
    /// After ordinary failures (connection, server, timeout), behind the chosen tier.
    pub error: Vec<TierPosition>,
    /// When rate limited; empty means as `error`.
    pub rate_limit: Vec<TierPosition>,
    /// When the prompt is too long; empty means whatever of `error` has a larger context window.
    pub context_length: Vec<TierPosition>,
    /// When the content was refused; empty means that a refusal is final.
    pub content_filter: Vec<TierPosition>,
}

/// Whether answers of a route may come from a cache. Holds nothing yet but the switch: what is kept and for how long is the
/// cache's own policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// They may not.
    #[default]
    Off,
    /// The same request gets the same answer.
    Exact,
}

/// A compiled route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name; for a model requested directly, that model's name as requested.
    pub name: Name,
    /// Whether this is a configured route or a model named directly.
    pub kind: RouteKind,
    /// Compliance demands on every deployment.
    pub require: Vec<Requirement>,
    /// Only deployments that match one of these; empty sets no limit.
    pub allow: Vec<Pattern>,
    /// No deployment that matches one of these.
    pub deny: Vec<Pattern>,
    /// Highest prices.
    pub max_price: PriceCap,
    /// Where to go after a failure.
    pub fallback: Fallback,
    /// Limits in time.
    pub timeouts: Timeouts,
    /// Upstream calls at the most, hedges included.
    pub attempts: u32,
    /// Whether and when a second attempt runs beside a slow first.
    pub hedge: Option<Hedge>,
    /// Continue a broken-off plain text on another deployment.
    pub continuation: bool,
    /// Refuse rather than drop or emulate what a deployment cannot do.
    pub strict: bool,
    /// Whether answers may come from a cache.
    pub cache: CachePolicy,
    /// A cheap answer first, a better model when it is found wanting.
    pub cascade: Option<Arc<Cascade>>,
    /// What every answer must be.
    pub demand: Option<Arc<Demand>>,
    /// What may be given up, in this order, when no deployment can do all that a request asks for.
    pub downgrade: Vec<Concession>,
    /// A candidate that gets copies of some requests.
    pub shadow: Option<Shadow>,
    /// What of prompts is kept to learn from.
    pub learn: Option<KeepPrompts>,
    /// How deeply to reason, whatever the body says.
    pub efforts: Efforts,
    tiers: Vec<Tier>,
    steps: Vec<Step>,
    candidates: Vec<DeploymentIndex>,
}

/// A candidate that gets copies of some requests; what it answers is compared and never sent to a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shadow {
    /// Where copies go.
    pub deployment: DeploymentIndex,
    /// The share of the requests that are copied, above 0 and at most 1.
    pub share: f64,
    /// What copies may cost.
    pub caps: ShadowCaps,
    /// Answers at least this similar agree, 0 to 1.
    pub agree: f64,
    /// Whether both texts are kept in the record.
    pub keeps_answers: bool,
}

/// Where a route comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// The configuration names it.
    Configured,
    /// The request named a model.
    Direct,
}

/// Upstream calls of one request when the configuration does not say.
pub const DEFAULT_ATTEMPTS: u32 = 4;

/// Parts of a route that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A route without tiers.
    #[error("compile the route `{route}`: it has no tier")]
    NoTier {
        /// The route.
        route: Name,
    },
    /// A tier without deployments.
    #[error("compile the route `{route}`: the tier `{tier}` has no deployment")]
    EmptyTier {
        /// The route.
        route: Name,
        /// The tier.
        tier: Name,
    },
    /// Two tiers of one name.
    #[error("compile the route `{route}`: two tiers are called `{tier}`")]
    DuplicateTier {
        /// The route.
        route: Name,
        /// The tier.
        tier: Name,
    },
    /// A step or fallback that names a tier by a position that does not exist.
    #[error("compile the route `{route}`: {what} names tier number {position} of {tiers}")]
    UnknownTier {
        /// The route.
        route: Name,
        /// What names it.
        what: String,
        /// The position named, counted from 0.
        position: u16,
        /// How many tiers there are.
        tiers: usize,
    },
    /// A step after one that always answers.
    #[error(
        "compile the route `{route}`: the step `{step}` can never be reached, because `{before}` always answers"
    )]
    UnreachableStep {
        /// The route.
        route: Name,
        /// The step.
        step: Name,
        /// The step before it.
        before: Name,
    },
}

impl Route {
    /// A configured route with these tiers and steps, and defaults for all else; set what differs, then [`Route::check`].
    /// A deployment that a tier lists twice counts once.
    ///
    /// # Errors
    /// [`RouteError`] when tiers are missing, empty or of one name, or steps name tiers that do not exist or can never be
    /// reached.
    pub fn new(name: Name, mut tiers: Vec<Tier>, mut steps: Vec<Step>) -> Result<Self, RouteError> {
        tiers.iter_mut().for_each(|tier| drop_repeated(&mut tier.deployments));
        for step in &mut steps {
            if let StepKind::When { then: Target::Deployments { deployments, .. }, .. }
            | StepKind::Use(Target::Deployments { deployments, .. }) = &mut step.kind
            {
                drop_repeated(deployments);
            }
        }
        let mut candidates: Vec<_> = tiers.iter().flat_map(|tier| tier.deployments.iter().copied()).collect();
        for step in &steps {
            if let Some(Target::Deployments { deployments, .. }) = step.kind.target() {
                candidates.extend_from_slice(deployments);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let route = Self {
            name,
            kind: RouteKind::Configured,
            require: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            max_price: PriceCap::NONE,
            fallback: Fallback::default(),
            timeouts: Timeouts::default(),
            attempts: DEFAULT_ATTEMPTS,
            hedge: None,
            continuation: false,
            strict: false,
            cache: CachePolicy::Off,
            cascade: None,
            demand: None,
            downgrade: Vec::new(),
            shadow: None,
            learn: None,
            efforts: Efforts::default(),
            tiers,
            steps,
            candidates,
        };
        route.check()?;
        Ok(route)
    }

    /// The same route with the load of every tier spread by this strategy, for comparisons.
    #[must_use]
    pub fn balanced_by(&self, balance: &Balance) -> Self {
        let mut route = self.clone();
        route.tiers.iter_mut().for_each(|tier| tier.balance = balance.clone());
        route
    }

    /// A route for a model named directly: one tier of the deployments that serve it, see [`crate::fleet::Fleet::named`]. They
    /// fall back to each other and to nothing else. An empty list makes a route that can only be refused.
    #[must_use]
    pub fn direct(name: Name, deployments: &[DeploymentIndex]) -> Self {
        let mut candidates = deployments.to_vec();
        candidates.sort_unstable();
        candidates.dedup();
        let tier = Tier {
            name: Name::from("direct"),
            deployments: candidates.clone(),
            balance: Balance::Weighted,
            sticky: None,
        };
        Self {
            name,
            kind: RouteKind::Direct,
            require: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            max_price: PriceCap::NONE,
            fallback: Fallback::default(),
            timeouts: Timeouts::default(),
            attempts: DEFAULT_ATTEMPTS,
            hedge: None,
            continuation: false,
            strict: false,
            cache: CachePolicy::Off,
            cascade: None,
            demand: None,
            downgrade: Vec::new(),
            shadow: None,
            learn: None,
            efforts: Efforts::default(),
            tiers: vec![tier],
            steps: Vec::new(),
            candidates,
        }
    }

    /// Checks that steps and fallbacks name tiers that exist and that every step can be reached.
    ///
    /// # Errors
    /// The first [`RouteError`] found.
    pub fn check(&self) -> Result<(), RouteError> {
        self.check_tiers()?;
        let lists = [
            ("the fallback `error`", &self.fallback.error),
            ("the fallback `rate_limit`", &self.fallback.rate_limit),
            ("the fallback `context_length`", &self.fallback.context_length),
            ("the fallback `content_filter`", &self.fallback.content_filter),
        ];
        for (what, list) in lists {
            for tier in list {
                self.check_position(*tier, || what.to_owned())?;
            }
        }
        if let Some(cascade) = &self.cascade {
            self.check_position(cascade.from, || "the cascade's `from`".to_owned())?;
            self.check_position(cascade.to, || "the cascade's `to`".to_owned())?;
        }
        let mut always: Option<&Step> = None;
        for step in &self.steps {
            if let Some(before) = always {
                return Err(RouteError::UnreachableStep {
                    route: self.name.clone(),
                    step: step.name.clone(),
                    before: before.name.clone(),
                });
            }
            if let Some(Target::Tier(tier)) = step.kind.target() {
                self.check_position(*tier, || format!("the step `{}`", step.name))?;
            }
            if matches!(step.kind, StepKind::Use(_)) {
                always = Some(step);
            }
        }
        Ok(())
    }

    fn check_tiers(&self) -> Result<(), RouteError> {
        let route = || self.name.clone();
        if self.tiers.is_empty() {
            return Err(RouteError::NoTier { route: route() });
        }
        for (position, tier) in self.tiers.iter().enumerate() {
            if tier.deployments.is_empty() {
                return Err(RouteError::EmptyTier { route: route(), tier: tier.name.clone() });
            }
            if self.tiers[..position].iter().any(|earlier| earlier.name == tier.name) {
                return Err(RouteError::DuplicateTier { route: route(), tier: tier.name.clone() });
            }
        }
        Ok(())
    }

    fn check_position(&self, tier: TierPosition, what: impl FnOnce() -> String) -> Result<(), RouteError> {
        if tier.position() < self.tiers.len() {
            return Ok(());
        }
        Err(RouteError::UnknownTier {
            route: self.name.clone(),
            what: what(),
            position: tier.0,
            tiers: self.tiers.len(),
        })
    }

    /// Its tiers.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// A tier by its position.
    #[must_use]
    pub fn tier(&self, position: TierPosition) -> Option<&Tier> {
        self.tiers.get(position.position())
    }

    /// The position of a tier by its name.
    #[must_use]
    pub fn find_tier(&self, name: &str) -> Option<TierPosition> {
        let position = self.tiers.iter().position(|tier| &*tier.name == name)?;
        u16::try_from(position).ok().map(TierPosition)
    }

    /// Its decision steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Every deployment a tier or step of it names, by rising index.
    #[must_use]
    pub fn candidates(&self) -> &[DeploymentIndex] {
        &self.candidates
    }

    /// What it demands of every deployment.
    #[must_use]
    pub fn demands(&self) -> RouteDemands<'_> {
        RouteDemands {
            require: &self.require,
            allow: &self.allow,
            deny: &self.deny,
            max_price: &self.max_price,
        }
    }

    /// The request headers its rules read, in lower case, sorted: what the gateway copies into [`crate::caller::Caller`].
    #[must_use]
    pub fn headers(&self) -> SmallVec<[Name; 4]> {
        let mut headers: SmallVec<[Name; 4]> = self
            .steps
            .iter()
            .filter_map(|step| step.kind.condition())
            .flat_map(|rule| rule.headers().to_vec())
            .collect();
        headers.sort_unstable();
        headers.dedup();
        headers
    }
}

/// Keeps the first of each: a deployment listed twice in a tier would be planned twice.
fn drop_repeated(deployments: &mut Vec<DeploymentIndex>) {
    let mut seen = HashSet::with_capacity(deployments.len());
    deployments.retain(|index| seen.insert(*index));
}

#[cfg(test)]
mod tests;
