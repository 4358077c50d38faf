//! Routes: tiers, steps and what holds of the whole.
//!
//! Owns turning a route's settings into its compiled policy. What `route` itself checks (reachable
//! steps, existing tiers) is checked here first, because only here the places are known.

use crate::compile::Compiler;
use crate::compile::auto::{AUTO, auto};
use crate::compile::bounds::{attempts, hedge, price_cap, timeouts};
use crate::compile::cascade;
use crate::compile::effort;
use crate::compile::fallback::{fallback, position_of, warn_unused_tiers};
use crate::compile::fleet::CompiledFleet;
use crate::compile::keys::requirements;
use crate::compile::learn::learn;
use crate::compile::learned::{Routers, Surroundings, learned, learned_settings, routers};
use crate::compile::providers::CompiledProviders;
use crate::compile::steps;
use crate::file::{Balance, File, RouteSettings, StepSettings, Sticky, TierSettings};
use crate::snapshot::Routes;
use std::collections::BTreeMap;
use std::sync::Arc;
use trunkline_model::id::Name;
use trunkline_route::balance::Balance as Balancing;
use trunkline_route::cel::{Condition, Outlook};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::policy::{Route, Tier};
use trunkline_route::steps::{Encoder, Step, StepKind, Target};
use trunkline_route::sticky::Sticky as Stickiness;

/// Compiles all routes, and the encoders that their steps may name.
pub(crate) fn compile(
    file: &File,
    providers: &CompiledProviders,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> (Routes, Vec<Arc<Encoder>>) {
    let mut routes = BTreeMap::new();
    let named = steps::named(file, fleet, compiler);
    let routers = routers(file, &named, compiler);
    for (name, settings) in &file.routes {
        if name.trim().is_empty() || name.trim() != name {
            compiler.error(
                &["routes", name],
                format!("`{name}` cannot be a route's name: clients could not write it"),
                None,
            );
        }
        if fleet.fleet.find(name).is_some() {
            compiler.error(&["routes", name], format!("`{name}` is already the name of a deployment"), None);
        }
        let learn = learn(name, settings, file, compiler);
        if let Some(mut route) = route(name, settings, fleet, (&routers, &named), compiler) {
            route.learn = learn;
            routes.insert(Name::from(name.as_str()), Arc::new(route));
        }
    }
    if !file.routes.contains_key(AUTO)
        && let Some(route) = auto(providers, fleet)
    {
        routes.insert(Name::from(AUTO), Arc::new(route));
    }
    (Routes::new(routes), named.encoders.into_values().flatten().collect())
}

fn route(
    name: &str,
    settings: &RouteSettings,
    fleet: &CompiledFleet,
    (routers, named): (&Routers, &steps::Named),
    compiler: &mut Compiler<'_>,
) -> Option<Route> {
    let path = ["routes", name];
    if settings.tiers.is_empty() {
        let hint = "add for example `tiers: { main: { deployments: [openai/gpt-5-mini] } }`".to_owned();
        compiler.error(
            &path,
            format!("the route `{name}` has no tiers, so it can serve nothing"),
            Some(hint),
        );
        return None;
    }
    let sticky = settings.sticky.map(|sticky| match sticky {
        Sticky::Session => Stickiness::Session,
        Sticky::User => Stickiness::User,
    });
    let tiers: Vec<Tier> = settings
        .tiers
        .iter()
        .filter_map(|(tier, tier_settings)| compile_tier(name, tier, tier_settings, sticky, fleet, compiler))
        .collect();
    let names: Vec<&str> = settings.tiers.keys().map(String::as_str).collect();
    let require = requirements(&["routes", name, "require"], &settings.require, compiler);
    let around = Surroundings { routers, named, tiers: &tiers, names: &names, fleet, require: &require };
    let steps = compiled_steps(name, settings, &around, compiler);
    let fallback = fallback(name, settings, &names, compiler);
    let max_price = price_cap(name, settings, compiler);
    let timeouts = timeouts(name, settings, compiler);
    let attempts = attempts(name, settings, compiler);
    let hedge = hedge(name, settings.hedge.as_ref(), &timeouts, compiler);
    let shadow = steps::shadow(name, settings.shadow.as_ref(), fleet, compiler);
    let cascade = cascade::cascade(name, settings, &names, fleet, compiler);
    let demand = cascade::demand(name, settings, compiler);
    if tiers.len() != settings.tiers.len() {
        return None;
    }
    warn_unused_tiers(name, settings, &names, compiler);
    let mut route = match Route::new(name.into(), tiers, steps) {
        Ok(route) => route,
        Err(error) => {
            compiler.error(&path, format!("failed to {error}"), None);
            return None;
        }
    };
    route.shadow = shadow;
    route.efforts = effort::efforts(name, settings, &route, fleet, compiler);
    route.require = require;
    route.max_price = max_price;
    route.fallback = fallback;
    route.timeouts = timeouts;
    route.attempts = attempts;
    route.hedge = hedge;
    route.cascade = cascade;
    route.demand = demand;
    route.downgrade = cascade::downgrade(name, settings, compiler);
    route.continuation = settings.continuation.unwrap_or(false);
    route.strict = settings.strict.unwrap_or(false);
    route.require_parameters = settings.require_parameters.unwrap_or(false);
    warn_route(name, &route, fleet, compiler);
    Some(route)
}

fn compile_tier(
    route: &str,
    name: &str,
    settings: &TierSettings,
    sticky: Option<Stickiness>,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Tier> {
    let path = ["routes", route, "tiers", name];
    if settings.deployments.is_empty() {
        compiler.error(&path, format!("the tier `{name}` has no deployments"), None);
        return None;
    }
    let mut deployments: Vec<DeploymentIndex> = Vec::new();
    for (position, deployment) in settings.deployments.iter().enumerate() {
        let position = position.to_string();
        let path = ["routes", route, "tiers", name, "deployments", &position];
        let Some(index) = fleet.resolve(&path, deployment, compiler) else { continue };
        if deployments.contains(&index) {
            compiler.error(
                &path,
                format!("`{deployment}` is listed twice in this tier"),
                Some("set its `weight` instead".to_owned()),
            );
        }
        deployments.push(index);
    }
    if deployments.len() < settings.deployments.len() {
        return None;
    }
    if settings.balance.is_some() && deployments.len() == 1 {
        let path = ["routes", route, "tiers", name, "balance"];
        compiler.warning(
            &path,
            format!("this has no effect: the tier `{name}` has only one deployment"),
            None,
        );
    }
    Some(Tier {
        name: name.into(),
        deployments,
        balance: balancing(settings.balance.unwrap_or_default()),
        sticky,
    })
}

const fn balancing(balance: Balance) -> Balancing {
    match balance {
        Balance::Weighted => Balancing::Weighted,
        Balance::RoundRobin => Balancing::RoundRobin,
        Balance::LeastOutstanding => Balancing::LeastOutstanding,
        Balance::Latency => Balancing::Latency,
        Balance::Cost => Balancing::Cost,
        Balance::Headroom => Balancing::Headroom,
    }
}

fn compiled_steps(
    route: &str,
    settings: &RouteSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut always = None;
    for (position, step) in settings.decide.iter().enumerate() {
        let position = position.to_string();
        let path = ["routes", route, "decide", &position];
        if let Some(hint) = always {
            let message = "this step can never be reached: the one before it always answers";
            compiler.error(&path, message, Some(String::from(hint)));
            break;
        }
        let Some(kind) = step_kind(&path, step, around, compiler) else { continue };
        if let Some(condition) = kind.condition() {
            can_hold(&[&path[..], &["when"]].concat(), condition, &steps, compiler);
        }
        always = match &kind {
            StepKind::Use(_) => Some("move the step with only `use` to the end"),
            StepKind::When { condition, .. } if condition.outlook() == Outlook::Always => Some(
                "mend the rule of that step, which holds for every request, or take the steps behind it out",
            ),
            _ => None,
        };
        let word = match &kind {
            StepKind::When { .. } => "when",
            StepKind::Pin => "pin",
            StepKind::Custom(custom) => custom.name(),
            _ => "use",
        };
        let name = format!("{word}-{position}").into();
        steps.push(Step { name, kind });
    }
    steps
}

/// A rule that never holds, or only where an earlier one does, is a mistake.
fn can_hold(path: &[&str], rule: &Condition, earlier: &[Step], compiler: &mut Compiler<'_>) {
    let same = |step: &&Step| step.kind.condition().is_some_and(|other| other.source() == rule.source());
    if rule.outlook() == Outlook::Never {
        let hint = "mend the rule, or take the step out".to_owned();
        compiler.error(path, "this step can never answer: its rule holds for no request", Some(hint));
    } else if let Some(same) = earlier.iter().find(same) {
        let message = format!("this step can never answer: `{}` has the same rule", same.name);
        compiler.error(path, message, Some("take one of the two out".to_owned()));
    }
}

fn step_kind(
    path: &[&str],
    step: &StepSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let tiers = around.names;
    let below = |name| {
        let mut below = path.to_vec();
        below.push(name);
        below
    };
    if steps::is_named(step) {
        return steps::step(path, step, around, compiler);
    }
    if let (Some(name), None, None, None) = (&step.learned, &step.when, &step.tier, step.pin) {
        return learned(path, name, step, around, compiler);
    }
    if step.learned.is_none()
        && let Some(field) = learned_settings(step).next()
    {
        let hint = "add `learned:` with the name of a trained router".to_owned();
        compiler.error(&below(field), format!("`{field}` has no effect without `learned`"), Some(hint));
        return None;
    }
    match (&step.when, &step.tier, step.pin) {
        _ if step.learned.is_some() => {
            compiler.error(
                path,
                "a step with `learned` has neither `when`, `use` nor `pin`",
                Some("make two steps of it".to_owned()),
            );
            None
        }
        (Some(rule), Some(tier), None) => {
            let then = position_of(&below("use"), tier, tiers, compiler);
            match Condition::compile(rule) {
                Ok(condition) => Some(StepKind::When { condition, then: Target::Tier(then?) }),
                Err(error) => {
                    let message = format!("failed to {error}");
                    compiler.error_within(&below("when"), rule, error.offset, message);
                    None
                }
            }
        }
        (None, Some(tier), None) => {
            position_of(&below("use"), tier, tiers, compiler).map(|tier| StepKind::Use(Target::Tier(tier)))
        }
        (None, None, Some(true)) => Some(StepKind::Pin),
        _ => {
            compiler.error(
                path,
                "a step is either `when` with `use`, or `use` alone, or `pin: true`, or one of `semantic`, `complexity`, `classifier`, `hybrid`, `learned`, `bandit` and `experiment`",
                Some("for example `{ when: \"request.has_images\", use: strong }`".to_owned()),
            );
            None
        }
    }
}

fn warn_route(name: &str, route: &Route, fleet: &CompiledFleet, compiler: &mut Compiler<'_>) {
    let candidates = route.candidates().len();
    if route.hedge.is_some() && candidates == 1 {
        compiler.error(
            &["routes", name, "hedge"],
            "this has no effect: the route has only one deployment",
            None,
        );
    }
    if !route.tiers().iter().any(|tier| tier.deployments.len() > 1)
        && route.tiers().iter().any(|tier| tier.sticky.is_some())
    {
        compiler.warning(
            &["routes", name, "sticky"],
            "this has no effect: every tier has only one deployment",
            None,
        );
    }
    if route.hedge.is_some() && route.attempts == 1 {
        compiler.error(&["routes", name, "hedge"], "this has no effect: `attempts` is 1", None);
    }
    let satisfied = |index: &DeploymentIndex| {
        let facts = &fleet.fleet.deployment(*index).facts;
        route.require.iter().all(|requirement| requirement.is_satisfied_by(facts))
    };
    if !route.candidates().iter().any(satisfied) {
        compiler.error(
            &["routes", name, "require"],
            "no deployment of this route satisfies these requirements, so it can serve nothing",
            Some("state the facts under the provider's `data` where they hold".to_owned()),
        );
    } else if let Some(tier) = route.tiers().iter().find(|tier| !tier.deployments.iter().any(satisfied)) {
        compiler.error(
            &["routes", name, "tiers", &tier.name],
            format!(
                "the tier `{}` can never be used: none of its deployments satisfies the route's `require`",
                tier.name
            ),
            Some(
                "state the facts under the provider's `data` where they hold, or take the tier out"
                    .to_owned(),
            ),
        );
    }
    if let Some(shadow) = route.shadow.filter(|shadow| !satisfied(&shadow.deployment)) {
        let message = format!(
            "no copy is ever sent to `{}`: it does not satisfy the route's `require`",
            fleet.fleet.deployment(shadow.deployment).id
        );
        let hint = "state the facts under the provider's `data` where they hold".to_owned();
        compiler.error(&["routes", name, "shadow", "deployment"], message, Some(hint));
    }
}
