//! Fallbacks of a route: which tier stands in, for which kind of failure.
//!
//! Owns what a fallback means and the cases in which one can never fire. Must not know how a plan is made of it.

use crate::compile::Compiler;
use crate::file::{FallbackSettings, RouteSettings};
use crate::problem::did_you_mean;
use std::collections::BTreeSet;
use trunkline_route::policy::{Fallback, TierPosition};

/// Finds a tier of the route by its name, or reports the nearest ones.
pub(super) fn position_of(
    path: &[&str],
    name: &str,
    tiers: &[&str],
    compiler: &mut Compiler<'_>,
) -> Option<TierPosition> {
    let found = tiers.iter().position(|tier| *tier == name).and_then(|position| u16::try_from(position).ok());
    if found.is_none() {
        let hint = did_you_mean(name, tiers.iter().copied());
        compiler.error(path, format!("there is no tier `{name}` in this route"), hint);
    }
    found.map(TierPosition)
}

/// Compiles the lists, and reports what can never fire.
pub(super) fn fallback(
    route: &str,
    settings: &RouteSettings,
    tiers: &[&str],
    compiler: &mut Compiler<'_>,
) -> Fallback {
    let Some(given) = &settings.fallback else { return every_other_tier(tiers.len()) };
    let mut list = |field: &str, names: Option<&Vec<String>>| -> Vec<TierPosition> {
        let mut positions = Vec::new();
        for (position, name) in names.into_iter().flatten().enumerate() {
            let path = ["routes", route, "fallback", field, &position.to_string()];
            let Some(tier) = position_of(&path, name, tiers, compiler) else { continue };
            if positions.contains(&tier) {
                compiler.error(
                    &path,
                    format!("`{name}` can never be reached here: it comes earlier in the list"),
                    None,
                );
            }
            positions.push(tier);
        }
        positions
    };
    let fallback = Fallback {
        error: list("error", given.error.as_ref()),
        rate_limit: list("rate_limit", given.rate_limit.as_ref()),
        context_length: list("context_length", given.context_length.as_ref()),
        content_filter: list("content_filter", given.content_filter.as_ref()),
    };
    report_dead(route, settings, given, tiers, compiler);
    fallback
}

/// The tiers that the steps can choose.
fn targets<'a>(settings: &'a RouteSettings, tiers: &[&'a str]) -> BTreeSet<&'a str> {
    let mut targets: BTreeSet<&str> =
        settings.decide.iter().filter_map(|step| step.tier.as_deref()).collect();
    targets.extend(settings.cascade.iter().map(|cascade| cascade.to.as_str()));
    let always = settings.decide.iter().any(|step| step.when.is_none() && step.tier.is_some());
    if !always {
        // When no step answers, the first tier is used.
        targets.extend(tiers.first());
    }
    targets
}

/// Reports lists that name only the tier that has failed already. For errors and rate limits its other deployments stand in
/// anyway; after a prompt too long or a refusal the list still says to try them, if there are any.
fn report_dead(
    route: &str,
    settings: &RouteSettings,
    given: &FallbackSettings,
    tiers: &[&str],
    compiler: &mut Compiler<'_>,
) {
    let lists = [
        ("error", &given.error, true),
        ("rate_limit", &given.rate_limit, true),
        ("context_length", &given.context_length, false),
        ("content_filter", &given.content_filter, false),
    ];
    if settings.attempts == Some(1)
        && lists.iter().any(|(_, list, _)| list.as_ref().is_some_and(|list| !list.is_empty()))
    {
        let hint = "raise `attempts`, or take `fallback` out".to_owned();
        compiler.error(
            &["routes", route, "fallback"],
            "this fallback can never fire: `attempts` is 1",
            Some(hint),
        );
        return;
    }
    let targets = targets(settings, tiers);
    let [only] = targets.iter().collect::<Vec<_>>()[..] else { return };
    let alone = settings.tiers.get(*only).is_some_and(|tier| tier.deployments.len() == 1);
    for (field, list, anyway) in lists {
        let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else { continue };
        if list.iter().all(|name| name == only) && (anyway || alone) {
            let message = format!(
                "this fallback can never fire: it names only the tier `{only}`, which is the one that failed"
            );
            let hint =
                "name another tier, or take it out (deployments of one tier replace each other anyway)"
                    .to_owned();
            compiler.error(&["routes", route, "fallback", field], message, Some(hint));
        }
    }
}

/// Without a word on fallbacks every tier stands in for every other, in the order of the file. A refusal for content stays
/// final: sending refused content elsewhere must be somebody's decision.
pub(super) fn every_other_tier(tiers: usize) -> Fallback {
    let all: Vec<TierPosition> =
        (0..tiers).filter_map(|position| u16::try_from(position).ok()).map(TierPosition).collect();
    Fallback { error: all.clone(), rate_limit: all.clone(), context_length: all, content_filter: Vec::new() }
}

pub(super) fn warn_unused_tiers(
    route: &str,
    settings: &RouteSettings,
    tiers: &[&str],
    compiler: &mut Compiler<'_>,
) {
    if settings.decide.is_empty() || settings.fallback.is_none() {
        return;
    }
    let mut used: BTreeSet<&str> = settings.decide.iter().filter_map(|step| step.tier.as_deref()).collect();
    let fallback = settings.fallback.clone().unwrap_or_default();
    let lists = [&fallback.error, &fallback.rate_limit, &fallback.context_length, &fallback.content_filter];
    let in_fallback: BTreeSet<&String> = lists.into_iter().flatten().flatten().collect();
    used.extend(in_fallback.iter().map(|name| name.as_str()));
    if let Some(first) = tiers.first() {
        used.insert(first);
    }
    for tier in tiers.iter().filter(|tier| !used.contains(**tier)) {
        let path = ["routes", route, "tiers", tier];
        compiler.warning(
            &path,
            format!("no step and no fallback of the route `{route}` uses the tier `{tier}`"),
            None,
        );
    }
}
