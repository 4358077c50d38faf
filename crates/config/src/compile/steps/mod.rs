//! Steps beside rules: what they are made of and what is wrong with that.
//!
//! Owns the meaning of `intents`, `encoders`, `classifiers` and the steps that name them, of `complexity`, `bandit`, `experiment` and of a
//! route's `shadow`. Must not read files: their bytes come through [`crate::Inputs::files`]. A step that could never answer is a
//! mistake here, with its place.

mod classifiers;
mod encoders;
mod examples;
mod intents;
mod kinds;
mod shadow;
mod waiting;

use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::compile::learned::Surroundings;
use crate::file::{File, StepSettings};
use encoders::Encoders;
use std::collections::BTreeMap;
use std::sync::Arc;
use trunkline_route::steps::{ClassifierModel, Intents, StepKind};

pub(super) use kinds::{encoder_may_see, find};
pub(super) use shadow::shadow;

/// What steps name, compiled once; `None` for what is named and cannot be used, which is reported once.
#[derive(Default)]
pub(super) struct Named {
    pub(super) intents: BTreeMap<String, Option<Arc<Intents>>>,
    pub(super) classifiers: BTreeMap<String, Option<Arc<ClassifierModel>>>,
    /// Of intents, the labels whose examples come from the log.
    pub(super) awaited: BTreeMap<String, Vec<String>>,
    pub(super) encoders: Encoders,
}

/// Compiles what steps name.
pub(super) fn named(file: &File, fleet: &CompiledFleet, compiler: &mut Compiler<'_>) -> Named {
    let encoders = encoders::compile(file, fleet, compiler);
    let named = Named {
        intents: intents::compile(file, &encoders, compiler),
        encoders,
        classifiers: classifiers::compile(file, fleet, compiler),
        awaited: file.intents.iter().map(|(name, of)| (name.clone(), of.from_log.clone())).collect(),
    };
    let steps = || file.routes.values().flat_map(|route| &route.decide);
    for name in file.intents.keys() {
        let used = |step: &StepSettings| {
            step.semantic.as_ref() == Some(name)
                || step.hybrid.as_ref().is_some_and(|hybrid| hybrid.intents == *name)
        };
        if !steps().any(used) {
            compiler.warning(&["intents", name], format!("no step uses the examples `{name}`"), None);
        }
    }
    for name in file.classifiers.keys() {
        let used = |step: &StepSettings| {
            step.classifier.as_ref() == Some(name)
                || step.hybrid.as_ref().is_some_and(|hybrid| hybrid.classifier == *name)
        };
        if !steps().any(used) {
            compiler.warning(&["classifiers", name], format!("no step asks the classifier `{name}`"), None);
        }
    }
    named
}

/// The fields that make a step one of these, where they are given.
fn given(step: &StepSettings) -> Vec<&'static str> {
    [
        ("semantic", step.semantic.is_some()),
        ("classifier", step.classifier.is_some()),
        ("hybrid", step.hybrid.is_some()),
        ("complexity", step.complexity.is_some()),
        ("bandit", step.bandit.is_some()),
        ("experiment", step.experiment.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect()
}

/// Whether a step is one of these, or has settings that only one of these has.
pub(super) fn is_named(step: &StepSettings) -> bool {
    !given(step).is_empty() || !step.map.is_empty() || step.sure.is_some()
}

/// The tiers a step of these names.
pub(super) fn tiers_of(step: &StepSettings) -> Vec<&str> {
    let mut tiers: Vec<&str> = step.map.values().map(String::as_str).collect();
    if let Some(complexity) = &step.complexity {
        tiers.push(&complexity.tier);
        tiers.extend(complexity.below.as_deref());
    }
    tiers.extend(step.bandit.iter().flat_map(|bandit| bandit.tiers.iter().map(String::as_str)));
    tiers.extend(step.experiment.iter().flat_map(|experiment| experiment.shares.keys().map(String::as_str)));
    tiers
}

/// Compiles such a step.
pub(super) fn step(
    path: &[&str],
    step: &StepSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let given = given(step);
    let others = step.when.is_some() || step.tier.is_some() || step.pin.is_some() || step.learned.is_some();
    let [kind] = given[..] else {
        let message = match given.first() {
            None => "`map` and `sure` have no effect without `semantic`, `classifier` or `hybrid`".to_owned(),
            Some(first) => format!("a step is one thing: it has `{first}` and `{}`", given[1]),
        };
        compiler.error(path, message, Some("make two steps of it".to_owned()));
        return None;
    };
    if others {
        let message = format!("a step with `{kind}` has neither `when`, `use`, `pin` nor `learned`");
        compiler.error(path, message, Some("make two steps of it".to_owned()));
        return None;
    }
    let maps = matches!(kind, "semantic" | "classifier" | "hybrid");
    let idle = [("map", !step.map.is_empty() && !maps), ("sure", step.sure.is_some() && kind != "semantic")];
    if let Some((field, _)) = idle.into_iter().find(|(_, idle)| *idle) {
        let hint = (field == "sure" && kind == "hybrid").then(|| "put it inside `hybrid`".to_owned());
        compiler.error(&below(path, field), format!("`{field}` has no effect in a step with `{kind}`"), hint);
        return None;
    }
    match kind {
        "semantic" => kinds::semantic(path, step, around, compiler),
        "classifier" => kinds::classifier(path, step, around, compiler),
        "hybrid" => kinds::hybrid(path, step, around, compiler),
        "complexity" => kinds::complexity(path, step.complexity.as_ref()?, around, compiler),
        "bandit" => kinds::bandit(path, step.bandit.as_ref()?, around, compiler),
        _ => kinds::experiment(path, step.experiment.as_ref()?, around, compiler),
    }
}

/// The path of a setting below another.
fn below<'a>(path: &[&'a str], name: &'a str) -> Vec<&'a str> {
    let mut below = path.to_vec();
    below.push(name);
    below
}
