//! One function per kind of step.
//!
//! Owns what each demands of its settings. A step that could never answer, or always the same, is a mistake.

use super::below;
use crate::compile::Compiler;
use crate::compile::fallback::position_of;
use crate::compile::learned::{Surroundings, scoring};
use crate::file::{
    BanditMethod, BanditSettings, ComplexityScore, ComplexitySettings, ExperimentSettings, ExperimentSplit,
    StepSettings,
};
use crate::problem::did_you_mean;
use crate::scalar;
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trunkline_route::learned::Mode;
use trunkline_route::policy::TierPosition;
use trunkline_route::steps::{
    Arm, ArmStatistics, Bandit, ClassifierStep, Complexity, ComplexityBy, EncodeBy, Encoder, Experiment,
    Exploration, Hybrid, Intents, LabelTiers, Semantic, SplitBy, StepKind,
};

pub(super) fn semantic(
    path: &[&str],
    step: &StepSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let name = step.semantic.as_ref()?;
    let intents = find(&below(path, "semantic"), name, "intents", &around.named.intents, compiler)?;
    encoder_may_see(&below(path, "semantic"), encoder_of(&intents), around, compiler)?;
    let labels: Vec<&str> = intents.labels().iter().map(AsRef::as_ref).collect();
    let awaited = awaited(name, around);
    let map = map(path, &step.map, &with(&labels, awaited), around.names, compiler)?;
    let sure = within(&below(path, "sure"), step.sure, 0.0..=1.0, compiler)?.unwrap_or(0.5);
    Some(StepKind::Custom(Arc::new(Semantic { tiers: tiers_for(&labels, &map), intents, sure })))
}

pub(super) fn classifier(
    path: &[&str],
    step: &StepSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let name = step.classifier.as_ref()?;
    let model = find(&below(path, "classifier"), name, "classifiers", &around.named.classifiers, compiler)?;
    let labels: Vec<&str> = model.labels.iter().map(|label| &*label.label).collect();
    let map = map(path, &step.map, &labels, around.names, compiler)?;
    Some(StepKind::Custom(Arc::new(ClassifierStep { tiers: tiers_for(&labels, &map), model })))
}

pub(super) fn hybrid(
    path: &[&str],
    step: &StepSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let settings = step.hybrid.as_ref()?;
    let place = below(path, "hybrid");
    let intents =
        find(&below(&place, "intents"), &settings.intents, "intents", &around.named.intents, compiler);
    let model = find(
        &below(&place, "classifier"),
        &settings.classifier,
        "classifiers",
        &around.named.classifiers,
        compiler,
    );
    let (intents, model) = (intents?, model?);
    encoder_may_see(&below(&place, "intents"), encoder_of(&intents), around, compiler)?;
    let own: Vec<&str> = intents.labels().iter().map(AsRef::as_ref).collect();
    let asked: Vec<&str> = model.labels.iter().map(|label| &*label.label).collect();
    let all: Vec<&str> = own.iter().chain(&asked).copied().collect::<BTreeSet<_>>().into_iter().collect();
    let awaited = awaited(&settings.intents, around);
    let map = map(path, &step.map, &with(&all, awaited), around.names, compiler)?;
    let sure = within(&below(&place, "sure"), settings.sure, 0.0..=1.0, compiler)?.unwrap_or(0.8);
    if sure <= 0.0 || sure >= 1.0 {
        let message = if sure <= 0.0 {
            "with `sure: 0` the classifier is never asked"
        } else {
            "with `sure: 1` the examples never decide"
        };
        compiler.error(
            &below(&place, "sure"),
            message,
            Some("take a number between, for example 0.8".to_owned()),
        );
        return None;
    }
    let (tiers, asked_tiers) = (tiers_for(&own, &map), tiers_for(&asked, &map));
    for (which, tiers) in [("examples", &tiers), ("classifier", &asked_tiers)] {
        let comes = which == "examples" && awaited.iter().any(|label| map.contains_key(label.as_str()));
        if tiers.iter().all(Option::is_none) && !comes {
            let message = format!("`map` has no label of the {which}, so they never decide anything");
            compiler.error(&below(path, "map"), message, None);
            return None;
        }
    }
    Some(StepKind::Custom(Arc::new(Hybrid { intents, model, sure, tiers, asked_tiers })))
}

pub(super) fn complexity(
    path: &[&str],
    settings: &ComplexitySettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let place = below(path, "complexity");
    let above = match settings.above {
        Some(above) if above > 0.0 && above < 1.0 => above,
        other => {
            let message = match other {
                Some(above) => format!("`above` is {above}, not between 0 and 1"),
                None => "`above` is missing".to_owned(),
            };
            let hint = "0.8 calls the hardest fifth of the known prompts hard".to_owned();
            compiler.error(&below(&place, "above"), message, Some(hint));
            return None;
        }
    };
    let hard = position_of(&below(&place, "use"), &settings.tier, around.names, compiler);
    let easy = match &settings.below {
        None => None,
        Some(tier) => Some(position_of(&below(&place, "below"), tier, around.names, compiler)?),
    };
    let hard = hard?;
    if easy == Some(hard) {
        compiler.error(&place, "`use` and `below` are the same tier: there is nothing to choose", None);
        return None;
    }
    let by = match (&settings.router, settings.by) {
        (None, None | Some(ComplexityScore::Learned)) => ComplexityBy::Learned,
        (None, Some(ComplexityScore::Length)) => ComplexityBy::Length,
        (Some(_), Some(_)) => {
            compiler.error(&below(&place, "by"), "`by` has no effect beside `router`", None);
            return None;
        }
        (Some(router), None) => {
            let Some(easy) = easy else {
                let message = "`router` needs `below`: it compares two tiers";
                let hint =
                    "name the tier for prompts that are not hard, for example `below: cheap`".to_owned();
                compiler.error(&place, message, Some(hint));
                return None;
            };
            let mode =
                Mode::Tiers { cheap: easy, strong: hard, share: Some(1.0 - above), quality_within: None };
            ComplexityBy::Router(Arc::new(scoring(&below(&place, "router"), router, mode, around, compiler)?))
        }
    };
    Some(StepKind::Custom(Arc::new(Complexity { above, hard, easy, by })))
}

pub(super) fn bandit(
    path: &[&str],
    settings: &BanditSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let place = below(path, "bandit");
    let mut arms: Vec<TierPosition> = Vec::new();
    for (at, tier) in settings.tiers.iter().enumerate() {
        let at = at.to_string();
        let path = [&below(&place, "tiers")[..], &[&at]].concat();
        let arm = position_of(&path, tier, around.names, compiler)?;
        if arms.contains(&arm) {
            compiler.error(&path, format!("`{tier}` is listed twice"), None);
            return None;
        }
        arms.push(arm);
    }
    if arms.len() < 2 {
        let hint = "for example `tiers: [cheap, strong]`".to_owned();
        compiler.error(&below(&place, "tiers"), "a bandit needs two tiers to choose from", Some(hint));
        return None;
    }
    let share = |field: &'static str, written: Option<&String>, default: f64, compiler: &mut Compiler<'_>| {
        match written {
            None => Some(default),
            written => compiler.read(&below(&place, field), written, scalar::share),
        }
    };
    let explore = share("explore", settings.explore.as_ref(), 0.05, compiler);
    let spend_cap = share("spend_cap", settings.spend_cap.as_ref(), 0.1, compiler);
    let (explore, spend_cap) = (explore?, spend_cap?);
    if explore <= 0.0 {
        let message = "with `explore: 0%` it never learns of another tier";
        compiler.error(
            &below(&place, "explore"),
            message,
            Some("take the step out, or for example `5%`".to_owned()),
        );
        return None;
    }
    let dollar = within(&below(&place, "lambda"), settings.lambda, 0.0..=f64::MAX, compiler)?.unwrap_or(0.0);
    let half_life = match settings.half_life {
        None => 500,
        written => compiler.at_least_one(&below(&place, "half_life"), written)?,
    };
    let exploration = match settings.method.unwrap_or_default() {
        BanditMethod::Thompson => Exploration::Thompson,
        BanditMethod::Epsilon => Exploration::Epsilon,
    };
    let statistics = Arc::new(ArmStatistics::new(arms.len(), 0.5f64.powf(1.0 / f64::from(half_life))));
    Some(StepKind::Custom(Arc::new(Bandit { arms, exploration, explore, dollar, spend_cap, statistics })))
}

pub(super) fn experiment(
    path: &[&str],
    settings: &ExperimentSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let place = below(path, "experiment");
    if settings.name.trim().is_empty() {
        let hint = "for example `name: cheaper-model`".to_owned();
        compiler.error(&place, "the experiment has no `name`", Some(hint));
        return None;
    }
    let mut arms = Vec::new();
    let mut sum = 0.0;
    for (tier, share) in &settings.shares {
        let path = [&below(&place, "shares")[..], &[tier.as_str()]].concat();
        let position = position_of(&path, tier, around.names, compiler);
        let share = compiler.read(&path, Some(share), scalar::share);
        let (tier, share) = (position?, share?);
        if share <= 0.0 {
            compiler.error(&path, "a share of 0 is no side of an experiment", None);
            return None;
        }
        sum += share;
        arms.push(Arm { tier, share });
    }
    if arms.is_empty() || sum > 1.0 + 1e-9 {
        let message = match arms.is_empty() {
            true => "`shares` is empty, so the experiment never decides anything".to_owned(),
            false => format!("the shares add up to {:.0} %", sum * 100.0),
        };
        let hint = "for example `shares: { cheap: 10% }`; together at most 100 %".to_owned();
        compiler.error(&below(&place, "shares"), message, Some(hint));
        return None;
    }
    let by = match settings.by.unwrap_or_default() {
        ExperimentSplit::User => SplitBy::User,
        ExperimentSplit::Session => SplitBy::Session,
        ExperimentSplit::Key => SplitBy::Key,
    };
    Some(StepKind::Custom(Arc::new(Experiment { salt: settings.name.as_str().into(), by, arms })))
}

/// What a step or a setting names under a setting at the top.
pub(crate) fn find<T>(
    path: &[&str],
    name: &str,
    top: &str,
    known: &BTreeMap<String, Option<Arc<T>>>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<T>> {
    match known.get(name) {
        Some(found) => found.clone(),
        None => {
            let hint = did_you_mean(name, known.keys().map(String::as_str))
                .or_else(|| Some(format!("add `{top}:` with an entry `{name}` to the configuration")));
            compiler.error(path, format!("there is no `{name}` under `{top}`"), hint);
            None
        }
    }
}

/// An encoder that the route's own demands keep from every request would never be asked.
pub(crate) fn encoder_may_see(
    path: &[&str],
    encoder: Option<&Encoder>,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<()> {
    let Some(EncodeBy::Deployment { deployment, .. }) = encoder.map(|encoder| &encoder.by) else {
        return Some(());
    };
    let deployment = around.fleet.fleet.deployment(*deployment);
    let unmet = around.require.iter().find(|demand| !demand.is_satisfied_by(&deployment.facts));
    let Some(unmet) = unmet else { return Some(()) };
    let message = format!(
        "this step can never answer: the route requires `{unmet}`, which its encoder `{}` is not known to satisfy",
        deployment.id
    );
    compiler.error(path, message, Some("state it under `data`, or name another encoder".to_owned()));
    None
}

/// The encoder of examples, where they have one.
fn encoder_of(intents: &Intents) -> Option<&Encoder> {
    intents.encoded().map(|examples| &*examples.encoder)
}

/// Labels of examples that the log may bring at any time: they may be mapped before they are there.
fn awaited<'a>(intents: &str, around: &Surroundings<'a>) -> &'a [String] {
    around.named.awaited.get(intents).map_or(&[], Vec::as_slice)
}

fn with<'a>(labels: &[&'a str], awaited: &'a [String]) -> Vec<&'a str> {
    labels.iter().copied().chain(awaited.iter().map(String::as_str)).collect()
}

/// The tier of each label that is listed.
fn map<'a>(
    path: &[&str],
    map: &'a IndexMap<String, String>,
    labels: &[&str],
    tiers: &[&str],
    compiler: &mut Compiler<'_>,
) -> Option<BTreeMap<&'a str, TierPosition>> {
    let place = below(path, "map");
    if map.is_empty() {
        let example = labels.first().copied().unwrap_or("label");
        let hint =
            format!("for example `map: {{ {example}: {} }}`", tiers.first().copied().unwrap_or("tier"));
        compiler.error(path, "this step can never answer: `map` sends no label anywhere", Some(hint));
        return None;
    }
    let mut found = BTreeMap::new();
    let mut whole = true;
    for (label, tier) in map {
        let path = below(&place, label);
        if !labels.contains(&label.as_str()) {
            let hint = did_you_mean(label, labels.iter().copied());
            compiler.error(&path, format!("there is no label `{label}`"), hint);
            whole = false;
        }
        match position_of(&path, tier, tiers, compiler) {
            Some(tier) => {
                found.insert(label.as_str(), tier);
            }
            None => whole = false,
        }
    }
    whole.then_some(found)
}

fn tiers_for(labels: &[&str], map: &BTreeMap<&str, TierPosition>) -> LabelTiers {
    labels.iter().map(|label| map.get(label).copied()).collect()
}

/// A number within bounds; the outer `None` is a mistake that was reported.
#[expect(clippy::option_option, reason = "not given and wrong are two things")]
fn within(
    path: &[&str],
    value: Option<f64>,
    bounds: std::ops::RangeInclusive<f64>,
    compiler: &mut Compiler<'_>,
) -> Option<Option<f64>> {
    match value {
        Some(value) if !bounds.contains(&value) => {
            let name = path.last().copied().unwrap_or_default();
            let (least, most) = (bounds.start(), bounds.end());
            let range = if *most < f64::MAX {
                format!("from {least} to {most}")
            } else {
                format!("a number of at least {least}")
            };
            compiler.error(path, format!("`{name}` is {value}, not {range}"), None);
            None
        }
        value => Some(value),
    }
}
