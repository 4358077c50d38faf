//! Learned steps: trained files, and what a step makes of one.
//!
//! Owns the meaning of `learned` at the top and in a step. Must not read files: their bytes come through
//! [`crate::Inputs::files`]. Every mistake is a start-up error here, so that a step that loads can decide.

use super::fallback::position_of;
use super::steps::{Named, encoder_may_see, find};
use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::file::{File, LearnedSettings, StepSettings};
use crate::problem::did_you_mean;
use std::collections::BTreeMap;
use std::sync::Arc;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::facts::Requirement;
use trunkline_model::money::NanoDollars;
use trunkline_model::shape::Shape;
use trunkline_route::estimate::expected_cost;
use trunkline_route::learned::{Artefact, Budget, LearnedStep, Mode, OnUnknown, Predictor};
use trunkline_route::policy::{Tier, TierPosition};
use trunkline_route::steps::{Encoder, StepKind};

/// The trained routers by name; `None` for one that is named and cannot be used, which is reported once.
pub(crate) type Routers = BTreeMap<String, Option<Router>>;

/// A trained router and what gives the vectors that it needs beside its own.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    predictor: Arc<Predictor>,
    encoder: Option<Arc<Encoder>>,
}

/// Loads the trained files.
pub(super) fn routers(file: &File, named: &Named, compiler: &mut Compiler<'_>) -> Routers {
    let mut routers = Routers::new();
    for (name, settings) in &file.learned {
        let path = ["learned", name, "file"];
        let router = if settings.file.trim().is_empty() {
            let hint = "for example `file: quality.router.json`; `trunkline train` makes one".to_owned();
            compiler.error(&path[..2], format!("the router `{name}` has no `file`"), Some(hint));
            None
        } else {
            router(&path, &settings.file, compiler).and_then(|predictor| {
                let encoder = encoder(name, settings, &predictor, named, compiler)?;
                Some(Router { predictor, encoder })
            })
        };
        routers.insert(name.clone(), router);
    }
    routers
}

fn router(path: &[&str], file: &str, compiler: &mut Compiler<'_>) -> Option<Arc<Predictor>> {
    let bytes = match compiler.read_file(file) {
        Ok(bytes) => bytes,
        Err(cause) => {
            let hint =
                "`trunkline train` makes such a file; relative paths start at the configuration's folder";
            compiler.error(path, format!("failed to read `{file}`: {cause}"), Some(hint.to_owned()));
            return None;
        }
    };
    match Artefact::parse(&bytes).and_then(Predictor::new) {
        Ok(predictor) => Some(Arc::new(predictor)),
        Err(error) => {
            compiler.error(path, format!("failed to {error}"), None);
            None
        }
    }
}

/// The encoder of a router. It must be the one that it was trained with: the numbers of another one mean something else.
#[expect(clippy::option_option, reason = "not needed and wrong are two things")]
fn encoder(
    name: &str,
    settings: &LearnedSettings,
    predictor: &Predictor,
    named: &Named,
    compiler: &mut Compiler<'_>,
) -> Option<Option<Arc<Encoder>>> {
    let path = ["learned", name, "encoder"];
    match (predictor.encoder(), &settings.encoder) {
        (None, None) => Some(None),
        (None, Some(_)) => {
            let message = format!("this has no effect: `{}` was trained without an encoder", settings.file);
            let hint = "take it out, or train again with `--encoder`".to_owned();
            compiler.error(&path, message, Some(hint));
            None
        }
        (Some(needed), None) => {
            let message =
                format!("`{}` was trained with the encoder {needed}, and none is named", settings.file);
            compiler.error(&path[..2], message, Some(format!("add `encoder: {}`", needed.name)));
            None
        }
        (Some(needed), Some(written)) => {
            let found: Arc<Encoder> = find(&path, written, "encoders", &named.encoders, compiler)?;
            if found.fingerprint() != needed.fingerprint {
                let message = format!(
                    "`{}` was trained with the encoder {needed}; `{written}` is another one, {}",
                    settings.file,
                    found.fingerprint()
                );
                let hint = format!(
                    "name the encoder it was trained with, or train again with `--encoder {written}`"
                );
                compiler.error(&path, message, Some(hint));
                return None;
            }
            Some(Some(found))
        }
    }
}

/// What a learned step is compiled with.
pub(super) struct Surroundings<'a> {
    pub(super) routers: &'a Routers,
    pub(super) named: &'a Named,
    pub(super) tiers: &'a [Tier],
    pub(super) names: &'a [&'a str],
    pub(super) fleet: &'a CompiledFleet,
    /// What the route demands of every deployment.
    pub(super) require: &'a [Requirement],
}

/// The settings that only a learned step has, by name, where they are given.
pub(super) fn learned_settings(step: &StepSettings) -> impl Iterator<Item = &'static str> {
    [
        ("cheap", step.cheap.is_some()),
        ("strong", step.strong.is_some()),
        ("strong_share", step.strong_share.is_some()),
        ("quality_within", step.quality_within.is_some()),
        ("daily_spend", step.daily_spend.is_some()),
        ("lambda", step.lambda.is_some()),
        ("mu", step.mu.is_some()),
        ("on_unknown", step.on_unknown.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
}

/// Compiles a learned step.
pub(super) fn learned(
    path: &[&str],
    name: &str,
    step: &StepSettings,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<StepKind> {
    let below = |name| {
        let mut below = path.to_vec();
        below.push(name);
        below
    };
    let router = named(&below("learned"), name, around, compiler);
    let mut tier = |field, name: Option<&String>| -> Option<Option<TierPosition>> {
        match name {
            None => Some(None),
            Some(name) => position_of(&below(field), name, around.names, compiler).map(Some),
        }
    };
    let (cheap, strong) = (tier("cheap", step.cheap.as_ref()), tier("strong", step.strong.as_ref()));
    let share = part(&below("strong_share"), step.strong_share, compiler);
    let quality_within = part(&below("quality_within"), step.quality_within, compiler);
    let lambda = weight(&below("lambda"), step.lambda, compiler);
    let mu = weight(&below("mu"), step.mu, compiler);
    let budget = compiler.read(&below("daily_spend"), step.daily_spend.as_ref(), dollars);
    let on_unknown = match step.on_unknown.as_deref() {
        None | Some("length") => Some(OnUnknown::Length),
        Some(tier) => position_of(&below("on_unknown"), tier, around.names, compiler).map(OnUnknown::Tier),
    };
    let (cheap, strong, on_unknown) = (cheap?, strong?, on_unknown?);
    let (share, quality_within, lambda, mu) = (share?, quality_within?, lambda?, mu?);
    if step.daily_spend.is_some() && budget.is_none() {
        return None;
    }
    let mode = mode(path, step, (cheap, strong), (share, quality_within), lambda, compiler)?;
    // Without tiers there is no gain that a length could stand for: unknown prompts then need a tier.
    let budget = budget.map(|daily| Budget { daily });
    if lambda > 0.0 && !priced(&below("lambda"), &mode, around, compiler) {
        return None;
    }
    if around.tiers.len() != around.names.len() {
        return None;
    }
    let tier = |position: TierPosition| {
        let tier = &around.tiers[usize::from(position.0)];
        (&*tier.name, tier.deployments.as_slice())
    };
    let Router { predictor, encoder } = router?;
    encoder_may_see(&below("learned"), encoder.as_deref(), around, compiler)?;
    match LearnedStep::new(predictor, mode, lambda, mu, budget, on_unknown, &around.fleet.fleet, tier) {
        Ok(step) => Some(StepKind::Custom(Arc::new(step.with_encoder(encoder)))),
        Err(error) => {
            compiler.error(path, format!("failed to {error}"), None);
            None
        }
    }
}

/// The router that a step names; nothing where there is none or it cannot be used, which is reported.
fn named(
    path: &[&str],
    name: &str,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<Router> {
    if let Some(router) = around.routers.get(name) {
        return router.clone();
    }
    let known = around.routers.keys().map(String::as_str);
    let add = || format!("add `learned: {{ {name}: {{ file: {name}.router.json }} }}` to the configuration");
    let hint = did_you_mean(name, known).or_else(|| Some(add()));
    compiler.error(path, format!("there is no trained router `{name}` under `learned`"), hint);
    None
}

/// A router as the score of a `complexity` step: two tiers and a share, the length where it does not know the prompt.
pub(super) fn scoring(
    path: &[&str],
    name: &str,
    mode: Mode,
    around: &Surroundings<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<LearnedStep> {
    let Router { predictor, encoder } = named(path, name, around, compiler)?;
    encoder_may_see(path, encoder.as_deref(), around, compiler)?;
    if around.tiers.len() != around.names.len() {
        return None;
    }
    let tier = |position: TierPosition| {
        let tier = &around.tiers[usize::from(position.0)];
        (&*tier.name, tier.deployments.as_slice())
    };
    let made =
        LearnedStep::new(predictor, mode, 0.0, 0.0, None, OnUnknown::Length, &around.fleet.fleet, tier);
    match made {
        Ok(step) => Some(step.with_encoder(encoder)),
        Err(error) => {
            compiler.error(path, format!("failed to {error}"), None);
            None
        }
    }
}

/// What the step chooses between, and whether its settings make sense together.
fn mode(
    path: &[&str],
    step: &StepSettings,
    tiers: (Option<TierPosition>, Option<TierPosition>),
    bars: (Option<f64>, Option<f64>),
    lambda: f64,
    compiler: &mut Compiler<'_>,
) -> Option<Mode> {
    let (share, quality_within) = bars;
    match tiers {
        (Some(cheap), Some(strong)) if cheap != strong => {
            if share.is_some() && quality_within.is_some() {
                let hint =
                    "keep one: `strong_share` caps the share, `quality_within` works it out".to_owned();
                compiler.error(
                    path,
                    "`strong_share` and `quality_within` set the same threshold",
                    Some(hint),
                );
                return None;
            }
            if share.is_none() && quality_within.is_none() && lambda == 0.0 && step.daily_spend.is_none() {
                let hint = "for example `strong_share: 0.2`, `quality_within: 0.02`, `lambda: 50` or `daily_spend: \"20\"`";
                compiler.error(path, "nothing says when the strong tier is worth it", Some(hint.to_owned()));
                return None;
            }
            Some(Mode::Tiers { cheap, strong, share, quality_within })
        }
        (Some(_), Some(_)) => {
            compiler.error(path, "`cheap` and `strong` are the same tier: there is nothing to choose", None);
            None
        }
        (None, None) => {
            if let Some(field) = ["strong_share", "quality_within", "daily_spend"]
                .into_iter()
                .find(|field| learned_settings(step).any(|given| given == *field))
            {
                let hint = "name the two tiers: `cheap: cheap, strong: strong`".to_owned();
                compiler.error(path, format!("`{field}` needs `cheap` and `strong`"), Some(hint));
                return None;
            }
            Some(Mode::Ranking)
        }
        _ => {
            let hint = "name both tiers, or neither to rank all deployments of the route".to_owned();
            compiler.error(path, "one of `cheap` and `strong` is missing", Some(hint));
            None
        }
    }
}

/// A number from 0 to 1.
fn part(path: &[&str], value: Option<f64>, compiler: &mut Compiler<'_>) -> Option<Option<f64>> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            let name = path.last().copied().unwrap_or_default();
            let hint =
                (1.0..=100.0).contains(&value).then(|| format!("for {value} % write {}", value / 100.0));
            compiler.error(path, format!("`{name}` is {value}, not from 0 to 1"), hint);
            None
        }
        value => Some(value),
    }
}

/// A number of at least 0.
fn weight(path: &[&str], value: Option<f64>, compiler: &mut Compiler<'_>) -> Option<f64> {
    match value {
        Some(value) if !(value >= 0.0 && value.is_finite()) => {
            let name = path.last().copied().unwrap_or_default();
            compiler.error(path, format!("`{name}` is {value}, not a number of at least 0"), None);
            None
        }
        value => Some(value.unwrap_or(0.0)),
    }
}

/// Whether every deployment that is weighed by price has one.
fn priced(path: &[&str], mode: &Mode, around: &Surroundings<'_>, compiler: &mut Compiler<'_>) -> bool {
    let mut probe = Shape::new(Dialect::OpenAi, Operation::Chat);
    probe.text_bytes = 400;
    let weighed = around.tiers.iter().enumerate().filter(|(position, _)| match mode {
        Mode::Tiers { cheap, strong, .. } => {
            [cheap, strong].into_iter().any(|tier| usize::from(tier.0) == *position)
        }
        Mode::Ranking => true,
    });
    let without = weighed
        .flat_map(|(_, tier)| &tier.deployments)
        .find(|index| expected_cost(around.fleet.fleet.deployment(**index), &probe).amount.is_none());
    let Some(index) = without else { return true };
    let id = &around.fleet.fleet.deployment(*index).id;
    let hint = format!(
        "give it one: `models: {{ {id}: {{ price: {{ input: \"1\", output: \"2\" }} }} }}`, or take `lambda` out"
    );
    compiler.error(path, format!("`lambda` weighs prices, and `{id}` has none"), Some(hint));
    false
}

/// A daily amount of more than nothing.
fn dollars(text: &str) -> Result<NanoDollars, String> {
    match NanoDollars::from_decimal_str(text.trim()) {
        Ok(amount) if amount > NanoDollars::ZERO => Ok(amount),
        Ok(_) => Err(format!(
            "`{text}` a day is nothing to spend; take `daily_spend` out or write for example `20`"
        )),
        Err(error) => Err(format!("failed to read `{text}` as dollars a day: {error}")),
    }
}
