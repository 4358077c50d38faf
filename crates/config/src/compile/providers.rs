//! Providers: presets found, URLs and credentials resolved, catalogue loaded.

use crate::compile::{Compiler, bucket, identity, models, signature};
use crate::file::{DataSettings, File, ProviderSettings};
use crate::problem::did_you_mean;
use crate::snapshot::ProviderSummary;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trunkline_model::catalogue::{Catalogue, Date, Kind, ModelEntry};
use trunkline_model::facts::DataFacts;
use trunkline_model::id::Name;
use trunkline_model::secret::Secret;
use trunkline_providers::preset::{self, Preset};
use trunkline_providers::upstream::Account;

/// A provider with everything its deployments share.
pub(crate) struct CompiledProvider {
    pub(crate) name: Name,
    pub(crate) preset: Arc<Preset>,
    pub(crate) account: Account,
    pub(crate) facts: DataFacts,
    /// Models named in the configuration.
    pub(crate) models: Vec<String>,
    /// The names under which models are served, where they are others.
    pub(crate) served_as: BTreeMap<String, String>,
}

/// All providers and the models they are known to have.
pub(crate) struct CompiledProviders {
    pub(crate) list: Vec<CompiledProvider>,
    pub(crate) catalogue: Arc<Catalogue>,
    /// What the configuration says of models, over the catalogue, by provider and model: two accounts of one vendor can have
    /// different prices.
    pub(crate) overrides: BTreeMap<(Name, String), Arc<ModelEntry>>,
    /// Configured providers that could not be compiled; what names them is not a mistake of its own.
    broken: BTreeSet<String>,
    /// Whether `providers` as a whole has the wrong form.
    unreadable: bool,
    pub(crate) summaries: Vec<ProviderSummary>,
    /// The next day from which something else holds of a model.
    pub(crate) next_change: Option<Date>,
}

impl CompiledProviders {
    pub(crate) fn find(&self, name: &str) -> Option<&CompiledProvider> {
        self.list.iter().find(|provider| &*provider.name == name)
    }

    /// Whether a provider of that name is configured, but wrongly, so that its models are not known.
    pub(crate) fn is_broken(&self, name: &str) -> bool {
        self.unreadable || self.broken.contains(name)
    }

    /// What is known of a model.
    pub(crate) fn entry(&self, provider: &CompiledProvider, model: &str) -> Option<Arc<ModelEntry>> {
        if let Some(entry) = self.overrides.get(&(Arc::clone(&provider.name), model.to_owned())) {
            return Some(Arc::clone(entry));
        }
        Some(Arc::new(priced(provider, self.bundled(provider, model)?)))
    }

    fn bundled(&self, provider: &CompiledProvider, model: &str) -> Option<ModelEntry> {
        let found = self.catalogue.model(provider.preset.catalogue_provider(), model)?;
        found.entry().cloned()
    }
}

/// Compiles all providers.
pub(crate) fn compile(file: &File, compiler: &mut Compiler<'_>) -> CompiledProviders {
    let list: Vec<CompiledProvider> =
        file.providers.iter().filter_map(|(name, settings)| provider(name, settings, compiler)).collect();
    if file.providers.is_empty() {
        compiler.error(
            &["providers"],
            "no provider is configured, so nothing can be served",
            Some("add one, for example `openai: { key: \"${OPENAI_API_KEY}\" }`".to_owned()),
        );
    }
    let broken = file
        .providers
        .keys()
        .filter(|name| {
            !list.iter().any(|provider| &*provider.name == name.as_str())
                || compiler.is_mistaken(&["providers", name])
        })
        .cloned()
        .collect();
    let catalogue = trunkline_providers::bundled::catalogue(
        list.iter().map(|provider| provider.preset.catalogue_provider()),
    );
    let mut compiled = CompiledProviders {
        catalogue: Arc::new(catalogue),
        overrides: BTreeMap::new(),
        broken,
        unreadable: compiler.is_mistaken(&["providers"]),
        summaries: Vec::new(),
        next_change: None,
        list,
    };
    override_models(&mut compiled, file, compiler);
    compiled.summaries = compiled
        .list
        .iter()
        .map(|provider| ProviderSummary {
            name: Arc::clone(&provider.name),
            preset: provider.preset.id.clone(),
            base_url: provider.account.base_url.clone(),
            deployments: 0,
        })
        .collect();
    compiled
}

fn provider(
    name: &str,
    settings: &ProviderSettings,
    compiler: &mut Compiler<'_>,
) -> Option<CompiledProvider> {
    let path = ["providers", name];
    if name.is_empty() || name.contains(['/', '*', ' ']) {
        compiler.error(&path, format!("`{name}` cannot be a provider's name: no slash, star or space"), None);
        return None;
    }
    let mut preset = identity::versioned(find_preset(name, settings, compiler)?, name, settings, compiler)?;
    batched_as(name, &mut preset, settings, compiler);
    let has_bucket = bucket::bucket(name, &mut preset, settings, compiler);
    let url = base_url(name, &preset, settings, compiler);
    let tokens = identity::signing(name, &preset, settings, compiler)?;
    let key = if tokens.is_some() { Some(None) } else { key(name, &preset, settings, compiler) };
    let signed = signature::signing(name, &preset, settings, matches!(key, Some(Some(_))), compiler);
    let signing = signed.map(|signed| tokens.or(signed));
    let mut headers = Vec::new();
    for (header, value) in &settings.headers {
        if let Some(value) = compiler.expand(&["providers", name, "headers", header], value) {
            headers.push((header.clone(), value));
        }
    }
    let signing = signing?;
    if has_bucket && signing.is_none() {
        bucket::unsigned(name, compiler);
    }
    let account = Account {
        base_url: url?,
        key: key?,
        region: signing.as_ref().and_then(|signing| signing.region()).map(str::to_owned),
        signing,
        headers,
        http2_cleartext: settings.http2_cleartext.unwrap_or(false),
    };
    Some(CompiledProvider {
        name: name.into(),
        facts: facts(preset.data.facts(), settings.data.as_ref()),
        preset: Arc::new(preset),
        account,
        models: settings.models.iter().chain(settings.served_as.keys()).cloned().collect(),
        served_as: settings.served_as.iter().map(|(model, name)| (model.clone(), name.clone())).collect(),
    })
}

/// Notes which deployments answer batches, where they are others than those that answer requests of the moment.
fn batched_as(name: &str, preset: &mut Preset, settings: &ProviderSettings, compiler: &mut Compiler<'_>) {
    let Some(batch) = preset.batch.as_mut().filter(|batch| batch.apart) else {
        if !settings.batched_as.is_empty() {
            let problem = format!("this has no effect: `{}` has no deployments for batches apart", preset.id);
            compiler.error(&["providers", name, "batched_as"], problem, Some("remove it".to_owned()));
        }
        return;
    };
    for (model, deployment) in &settings.batched_as {
        let is_served = settings.served_as.contains_key(model) || settings.models.contains(model);
        if !is_served || deployment.is_empty() {
            let models = settings.models.iter().chain(settings.served_as.keys()).map(String::as_str);
            let problem = if is_served {
                format!("`{model}` needs the name of a deployment")
            } else {
                format!("`{model}` is neither under `models` nor under `served_as`")
            };
            let hint = if is_served { None } else { did_you_mean(model, models) };
            compiler.error(&["providers", name, "batched_as", model], problem, hint);
            continue;
        }
        let served = settings.served_as.get(model).unwrap_or(model);
        batch.deployments.insert(served.clone(), deployment.clone());
    }
}

fn find_preset(name: &str, settings: &ProviderSettings, compiler: &mut Compiler<'_>) -> Option<Preset> {
    let id = settings.preset.as_deref().unwrap_or(name);
    if let Some(preset) = preset::find(id) {
        return Some(preset);
    }
    if settings.preset.is_some() {
        let hint = did_you_mean(id, preset::ids());
        compiler.error(&["providers", name, "preset"], format!("there is no preset `{id}`"), hint);
    } else {
        let hint = did_you_mean(name, preset::ids()).map_or_else(
            || {
                "for a server that speaks OpenAI's protocol add `preset: openai-compatible` and its `url`"
                    .to_owned()
            },
            |near| {
                format!("{near} Otherwise name one with `preset`, for example `preset: openai-compatible`")
            },
        );
        compiler.error(
            &["providers", name],
            format!("`{name}` is not a known provider and names no preset"),
            Some(hint),
        );
    }
    None
}

fn base_url(
    name: &str,
    preset: &Preset,
    settings: &ProviderSettings,
    compiler: &mut Compiler<'_>,
) -> Option<String> {
    let path = ["providers", name, "url"];
    let written = settings.url.as_deref().unwrap_or_default();
    let url = match &settings.url {
        Some(url) => compiler.expand(&path, url)?,
        None => match preset.resolved_base_url(identity::address_parts(preset, settings, compiler.inputs)) {
            Ok(url) if !preset.url_required => url,
            Ok(usual) => {
                compiler.error(
                    &["providers", name],
                    format!("`{name}` needs a `url`"),
                    Some(format!("for example `url: \"{usual}\"`")),
                );
                return None;
            }
            Err(error) => {
                let hint = identity::missing_part(preset, &error);
                compiler.error(&["providers", name], format!("failed to {error}"), hint);
                return None;
            }
        },
    };
    if url.starts_with("http://") || url.starts_with("https://") {
        return Some(url.trim_end_matches('/').to_owned());
    }
    compiler.error(&path, format!("`{written}` is not a URL"), Some("write `https://host/path`".to_owned()));
    None
}

/// The outer `None` is a mistake, the inner one a provider without credential.
#[expect(clippy::option_option, reason = "a mistake and an absent credential are different things")]
fn key(
    name: &str,
    preset: &Preset,
    settings: &ProviderSettings,
    compiler: &mut Compiler<'_>,
) -> Option<Option<Secret>> {
    if let Some(text) = &settings.key {
        return compiler.expand(&["providers", name, "key"], text).map(|key| Some(Secret::new(key)));
    }
    // Keys to sign with are the nearer word than a key from the environment.
    if signature::is_stated(preset, settings) {
        return Some(None);
    }
    let from_environment = preset
        .key
        .env
        .iter()
        .find_map(|variable| (compiler.inputs.environment)(variable))
        .filter(|key| !key.trim().is_empty());
    if let Some(key) = from_environment {
        return Some(Some(Secret::new(key.trim().to_owned())));
    }
    if preset.key.required && settings.url.is_none() {
        let variable = preset.key.env.first().map_or("API_KEY", String::as_str);
        compiler.error(
            &["providers", name],
            format!("`{name}` has no key"),
            Some(format!("set {variable}, or write `key: \"${{{variable}}}\"`")),
        );
        return None;
    }
    Some(None)
}

/// Facts with a configuration's own over them.
pub(crate) fn facts(base: DataFacts, settings: Option<&DataSettings>) -> DataFacts {
    let Some(settings) = settings else { return base };
    DataFacts {
        zdr: settings.zdr.or(base.zdr),
        train: settings.train.or(base.train),
        baa: settings.baa.or(base.baa),
        region: settings.region.as_ref().map(|region| region.to_ascii_lowercase()).or(base.region),
    }
}

/// Reads the configuration's own facts about models.
fn override_models(providers: &mut CompiledProviders, file: &File, compiler: &mut Compiler<'_>) {
    for (id, settings) in &file.models {
        let path = ["models", id.as_str()];
        let Some((name, model)) = id.split_once('/') else {
            compiler.error(&path, format!("`{id}` must be `provider/model`"), None);
            continue;
        };
        let Some(provider) = providers.find(name) else {
            if !providers.is_broken(name) {
                let hint = did_you_mean(name, providers.list.iter().map(|provider| &*provider.name));
                compiler.error(
                    &path,
                    format!("this has no effect: no provider `{name}` is configured"),
                    hint,
                );
            }
            continue;
        };
        let known = providers.bundled(provider, model);
        let fresh =
            || ModelEntry::new(format!("{}/{model}", provider.preset.catalogue_provider()), Kind::Chat);
        let mut entry = match known.map_or_else(fresh, Ok) {
            Ok(entry) => entry,
            Err(error) => {
                compiler.error(&path, format!("failed to {error}"), None);
                continue;
            }
        };
        let next = models::apply(&mut entry, id, settings, compiler);
        let entry = priced(provider, entry);
        let key = (Arc::clone(&provider.name), model.to_owned());
        providers.next_change = providers.next_change.into_iter().chain(next).min();
        providers.overrides.insert(key, Arc::new(entry));
    }
}

/// A model with a price of batches, where neither the catalogue nor the configuration states one and the provider has one share for all.
pub(crate) fn priced(provider: &CompiledProvider, mut entry: ModelEntry) -> ModelEntry {
    if let Some(batch) = &provider.preset.batch {
        batch.price(&mut entry);
    }
    entry
}
