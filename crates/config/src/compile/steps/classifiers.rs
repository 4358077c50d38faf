//! Models that sort texts.
//!
//! Owns their settings: whom to ask, which labels there are, how long to wait and to keep.

use super::waiting::{Waiting, waiting};
use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::file::{ClassifierSettings, File};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::catalogue::{ModelEntry, ServiceTier, TokenCounts, price};
use trunkline_model::money::NanoDollars;
use trunkline_model::usage::Usage;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::steps::{ClassifierLabel, ClassifierModel};

/// How long an answer is waited for when the settings do not say.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most labels a model is shown.
const MOST_LABELS: usize = 100;

pub(super) fn compile(
    file: &File,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> BTreeMap<String, Option<Arc<ClassifierModel>>> {
    file.classifiers
        .iter()
        .map(|(name, settings)| (name.clone(), classifier(name, settings, fleet, compiler).map(Arc::new)))
        .collect()
}

fn classifier(
    name: &str,
    settings: &ClassifierSettings,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<ClassifierModel> {
    let path = |field| ["classifiers", name, field];
    if settings.deployment.is_empty() {
        let hint = "for example `deployment: openai/gpt-5-nano`".to_owned();
        compiler.error(
            &["classifiers", name],
            format!("the classifier `{name}` has no `deployment`"),
            Some(hint),
        );
        return None;
    }
    let deployment = fleet.resolve(&path("deployment"), &settings.deployment, compiler)?;
    if settings.labels.len() < 2 || settings.labels.len() > MOST_LABELS {
        let hint =
            "for example `labels: { simple: small talk and lookups, hard: needs several steps }`".to_owned();
        let message =
            format!("`labels` has {} entries; it takes from 2 to {MOST_LABELS}", settings.labels.len());
        compiler.error(&path("labels"), message, Some(hint));
        return None;
    }
    if let Some(label) =
        settings.labels.keys().find(|label| label.trim().is_empty() || label.trim() != *label)
    {
        compiler.error(&path("labels"), format!("`{label}` cannot be a label"), None);
        return None;
    }
    let said = (settings.timeout.as_ref(), settings.keep.as_ref());
    let Waiting { timeout, keep } = waiting(["classifiers", name], said, TIMEOUT, compiler)?;
    let spend_cap = spend_cap(name, settings, deployment, fleet, compiler);
    Some(ClassifierModel {
        name: name.into(),
        deployment,
        labels: settings
            .labels
            .iter()
            .map(|(label, meaning)| ClassifierLabel {
                label: label.as_str().into(),
                meaning: meaning.trim().to_owned(),
            })
            .collect(),
        instructions: settings.instructions.clone(),
        timeout,
        keep,
        spend_cap,
    })
}

/// A cap needs a price to hold.
fn spend_cap(
    name: &str,
    settings: &ClassifierSettings,
    deployment: DeploymentIndex,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<NanoDollars> {
    let path = ["classifiers", name, "spend_cap"];
    let cap =
        compiler.read(&path, settings.spend_cap.as_ref(), |text| {
            match NanoDollars::from_decimal_str(text) {
                Ok(cap) if cap > NanoDollars::ZERO => Ok(cap),
                Ok(_) => Err(format!("`{text}` is nothing: take the steps out that ask it")),
                Err(error) => Err(format!("failed to {error}")),
            }
        })?;
    let deployment = fleet.fleet.deployment(deployment);
    let tokens = TokenCounts::from(&Usage { input: 1, output: 1, ..Usage::default() });
    let priced = |entry: &Arc<ModelEntry>| price(entry, ServiceTier::Standard, &tokens).amount.is_some();
    if !deployment.entry.as_ref().is_some_and(priced) {
        compiler.error(
            &path,
            format!("this cannot hold: the prices of `{}` are not known", deployment.id),
            Some(
                "state them under the provider's `models`: `MODEL: { price: { input: ..., output: ... } }`"
                    .to_owned(),
            ),
        );
    }
    Some(cap)
}
