//! The built-in route.
//!
//! Owns what `auto` does when the configuration does not say: a policy a newcomer can live with. Must not read settings other
//! than the models a provider names.

use crate::compile::fallback::every_other_tier;
use crate::compile::fleet::CompiledFleet;
use crate::compile::providers::CompiledProviders;
use trunkline_route::balance::Balance as Balancing;
use trunkline_route::cel::Condition;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::policy::{Route, Tier, TierPosition};
use trunkline_route::steps::{Step, StepKind, Target};

/// Its name.
pub(super) const AUTO: &str = "auto";

/// The built-in route: cheap first, strong for what looks hard to serve cheaply, everything present as fallback.
pub(super) fn auto(providers: &CompiledProviders, fleet: &CompiledFleet) -> Option<Route> {
    let mut cheap = Vec::new();
    let mut strong = Vec::new();
    for provider in &providers.list {
        let find = |model: &str| fleet.fleet.find(&format!("{}/{model}", provider.name));
        if !provider.models.is_empty() {
            let named: Vec<_> = provider.models.iter().filter_map(|model| find(model)).collect();
            cheap.extend(named.first());
            strong.extend(named.last());
            continue;
        }
        let flagships = trunkline_providers::flagship::flagships(provider.preset.catalogue_provider());
        if let Some((low, high)) = flagships {
            cheap.extend(find(low));
            strong.extend(find(high));
        }
    }
    if cheap.is_empty() && strong.is_empty() {
        let first = fleet.fleet.iter().find(|(_, deployment)| {
            deployment.operations.contains(&trunkline_model::dialect::Operation::Chat)
        })?;
        cheap.push(first.0);
    }
    let tier = |name: &str, mut deployments: Vec<DeploymentIndex>| {
        deployments.dedup();
        (!deployments.is_empty()).then(|| Tier {
            name: name.into(),
            deployments,
            balance: Balancing::Latency,
            sticky: None,
        })
    };
    let tiers: Vec<Tier> = [tier("cheap", cheap), tier("strong", strong)].into_iter().flatten().collect();
    let mut steps = Vec::new();
    if tiers.len() == 2 {
        let rule = "request.input_tokens > 20000 || request.has_images || request.wants_reasoning";
        if let Ok(condition) = Condition::compile(rule) {
            let kind = StepKind::When { condition, then: Target::Tier(TierPosition(1)) };
            steps.push(Step { name: "hard-request".into(), kind });
        }
        steps.push(Step { name: "cheap-first".into(), kind: StepKind::Use(Target::Tier(TierPosition(0))) });
    }
    let count = tiers.len();
    let mut route = Route::new(AUTO.into(), tiers, steps).ok()?;
    route.fallback = every_other_tier(count);
    Some(route)
}
