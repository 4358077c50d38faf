//! How deeply to reason: the setting's meaning, and where it has none.
//!
//! Owns the way from the setting to the compiled form. A depth that no deployment it applies to can reach is told, because it would
//! only ever give a warning to clients.

use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::file::{Effort, RouteSettings};
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::ReasoningEffort;
use trunkline_model::id::Name;
use trunkline_route::effort::Efforts;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::policy::Route;

/// The depth a setting means.
pub(crate) const fn effort(setting: Effort) -> ReasoningEffort {
    match setting {
        Effort::None => ReasoningEffort::None,
        Effort::Minimal => ReasoningEffort::Minimal,
        Effort::Low => ReasoningEffort::Low,
        Effort::Medium => ReasoningEffort::Medium,
        Effort::High => ReasoningEffort::High,
        Effort::Xhigh => ReasoningEffort::ExtraHigh,
        Effort::Max => ReasoningEffort::Max,
    }
}

/// What a route, its tiers and its steps say.
pub(crate) fn efforts(
    name: &str,
    settings: &RouteSettings,
    route: &Route,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Efforts {
    let mut warn = |path: &[&str], setting: Effort, deployments: &[DeploymentIndex]| {
        let cannot = |index: &DeploymentIndex| {
            let entry = fleet.fleet.deployment(*index).entry.as_ref();
            entry.is_some_and(|entry| entry.capabilities.support(Capability::Reasoning) == Support::No)
        };
        if setting != Effort::None && deployments.iter().all(cannot) {
            compiler.warning(path, "this has no effect: none of the deployments can reason", None);
        }
    };
    if let Some(setting) = settings.effort {
        warn(&["routes", name, "effort"], setting, route.candidates());
    }
    let mut efforts = Efforts { route: settings.effort.map(effort), ..Efforts::default() };
    for (tier, given) in &settings.tiers {
        let Some(setting) = given.effort else { continue };
        let found = route.tiers().iter().find(|found| *found.name == **tier);
        let deployments = found.map_or(&[][..], |found| &found.deployments);
        warn(&["routes", name, "tiers", tier, "effort"], setting, deployments);
        efforts.tiers.push((Name::from(tier.as_str()), effort(setting)));
    }
    // Steps that did not compile have been reported, and then the positions mean nothing.
    if route.steps().len() == settings.decide.len() {
        let given = route.steps().iter().zip(&settings.decide);
        efforts.steps = given
            .filter_map(|(step, given)| Some((Name::clone(&step.name), effort(given.effort?))))
            .collect();
    }
    efforts
}
