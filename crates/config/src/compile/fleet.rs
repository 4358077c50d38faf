//! Deployments: every catalogue model of every provider, the models a provider names, and named deployments.

use crate::compile::Compiler;
use crate::compile::models::warn_of_retirement;
use crate::compile::providers::{CompiledProvider, CompiledProviders, facts, priced};
use crate::file::{DeploymentSettings, File};
use crate::problem::did_you_mean;
use crate::snapshot::Origin;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use trunkline_model::catalogue::{Kind, ModelEntry};
use trunkline_model::dialect::Operation;
use trunkline_model::id::Name;
use trunkline_model::secret::Secret;
use trunkline_providers::preset::{Endpoint, Preset};
use trunkline_providers::upstream::{Account, AccountError, Upstream};
use trunkline_route::fleet::{Deployment, DeploymentIndex, DeploymentLimits, Fleet};
use trunkline_route::pattern::Pattern;

/// The fleet with what its members are reached by.
pub(crate) struct CompiledFleet {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) origins: Vec<Origin>,
    /// Configured providers and deployments that are not in the fleet, or not fully, because of mistakes in them.
    unknown: BTreeSet<String>,
    /// Whether providers or deployments as a whole have the wrong form.
    unreadable: bool,
}

impl CompiledFleet {
    /// Whether a pattern fits any deployment or model.
    pub(crate) fn matches(&self, pattern: &Pattern) -> bool {
        self.fleet.iter().any(|(_, deployment)| {
            pattern.matches(&deployment.id)
                || pattern.matches(&deployment.model)
                || pattern.matches(&format!("{}/{}", deployment.provider, deployment.model))
        })
    }

    /// Finds a deployment by name, or reports the nearest ones.
    pub(crate) fn resolve(
        &self,
        path: &[&str],
        name: &str,
        compiler: &mut Compiler<'_>,
    ) -> Option<DeploymentIndex> {
        if let Some(index) = self.fleet.find(name) {
            let deployment = self.fleet.deployment(index);
            // Of a named one it is said where its model stands.
            if *deployment.id == format!("{}/{}", deployment.provider, deployment.model) {
                warn_of_retirement(deployment.entry.as_deref(), &deployment.id, path, compiler);
            }
            return Some(index);
        }
        let provider = name.split_once('/').map_or(name, |(provider, _)| provider);
        if self.unreadable || self.unknown.contains(name) || self.unknown.contains(provider) {
            // What keeps it from being known has been reported where it stands.
            return None;
        }
        let hint = did_you_mean(name, self.fleet.iter().map(|(_, deployment)| &*deployment.id)).or_else(|| {
            Some("name a model as `provider/model`, list it under the provider's `models`, or add it under `deployments`".to_owned())
        });
        compiler.error(path, format!("there is no deployment `{name}`"), hint);
        None
    }
}

/// Compiles all deployments.
pub(crate) fn compile(
    file: &File,
    providers: &CompiledProviders,
    compiler: &mut Compiler<'_>,
) -> CompiledFleet {
    let mut builder = Builder { members: Vec::new(), seen: HashMap::new(), siblings: HashMap::new() };
    for provider in &providers.list {
        for model in &provider.models {
            let entry = providers.entry(provider, model);
            let listed = file.providers.get(&*provider.name).map(|settings| &settings.models);
            if let Some(position) = listed.and_then(|models| models.iter().position(|listed| listed == model))
            {
                let path = ["providers", &provider.name, "models", &position.to_string()];
                warn_of_retirement(entry.as_deref(), model, &path, compiler);
            }
            builder.add_model(provider, model, entry, compiler);
        }
        for ((_, model), entry) in providers.overrides.iter().filter(|((name, _), _)| *name == provider.name)
        {
            builder.add_model(provider, model, Some(Arc::clone(entry)), compiler);
        }
        if provider.preset.listed_models_only {
            continue;
        }
        for known in providers.catalogue.of_provider(provider.preset.catalogue_provider()) {
            if is_served(&provider.preset, known.kind) && !known.is_retired(compiler.inputs.today) {
                let entry = Some(Arc::new(priced(provider, known.clone())));
                builder.add_model(provider, known.model(), entry, compiler);
            }
        }
    }
    for (name, settings) in &file.deployments {
        builder.add_named(name, settings, providers, compiler);
    }
    let broken = file.providers.keys().filter(|name| providers.is_broken(name));
    let missing = file.deployments.keys().filter(|name| !builder.seen.contains_key(name.as_str()));
    let unknown = broken.chain(missing).cloned().collect();
    let unreadable = compiler.is_mistaken(&["providers"]) || compiler.is_mistaken(&["deployments"]);
    CompiledFleet { unknown, unreadable, ..builder.finish() }
}

struct Builder {
    members: Vec<(Deployment, Arc<Upstream>, Origin)>,
    seen: HashMap<Name, usize>,
    /// The last deployment of each provider's own account.
    siblings: HashMap<Name, usize>,
}

impl Builder {
    fn add_model(
        &mut self,
        provider: &CompiledProvider,
        model: &str,
        entry: Option<Arc<ModelEntry>>,
        compiler: &mut Compiler<'_>,
    ) {
        let id: Name = format!("{}/{model}", provider.name).into();
        if self.seen.contains_key(&id) {
            return;
        }
        let path = ["providers", &provider.name];
        self.add(
            id,
            provider,
            &provider.account,
            model,
            entry,
            &DeploymentSettings::default(),
            &path,
            compiler,
        );
    }

    fn add_named(
        &mut self,
        name: &str,
        settings: &DeploymentSettings,
        providers: &CompiledProviders,
        compiler: &mut Compiler<'_>,
    ) {
        let path = ["deployments", name];
        let Some((provider_name, model)) = settings.model.split_once('/') else {
            compiler.error(
                &["deployments", name, "model"],
                format!("the deployment `{name}` needs a `model`, as `provider/model`"),
                None,
            );
            return;
        };
        let Some(provider) = providers.find(provider_name) else {
            if providers.is_broken(provider_name) {
                return;
            }
            let hint = did_you_mean(provider_name, providers.list.iter().map(|provider| &*provider.name));
            compiler.error(
                &["deployments", name, "model"],
                format!("no provider `{provider_name}` is configured"),
                hint,
            );
            return;
        };
        if self.seen.contains_key(name) {
            compiler.error(&path, format!("`{name}` is already the name of a model's deployment"), None);
            return;
        }
        let mut account = provider.account.clone();
        if let Some(key) = &settings.key {
            let Some(key) = compiler.expand(&["deployments", name, "key"], key) else { return };
            account.key = Some(Secret::new(key));
            account.signing = None;
            account.region = None;
        }
        if let Some(url) = &settings.url {
            let Some(url) = compiler.expand(&["deployments", name, "url"], url) else { return };
            account.base_url = url.trim_end_matches('/').to_owned();
        }
        let entry = providers.entry(provider, model);
        warn_of_retirement(entry.as_deref(), &settings.model, &["deployments", name, "model"], compiler);
        self.add(name.into(), provider, &account, model, entry, settings, &path, compiler);
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where all facts of a deployment meet")]
    fn add(
        &mut self,
        id: Name,
        provider: &CompiledProvider,
        account: &Account,
        model: &str,
        entry: Option<Arc<ModelEntry>>,
        settings: &DeploymentSettings,
        path: &[&str; 2],
        compiler: &mut Compiler<'_>,
    ) {
        let stand_in = compiler.stand_in.map(|stand_in| stand_in(account));
        let account = stand_in.as_ref().unwrap_or(account);
        let served = provider.served_as.get(model).map_or(model, String::as_str);
        let is_common = std::ptr::eq(account, &raw const provider.account);
        let sibling =
            self.siblings.get(&provider.name).filter(|_| is_common).map(|position| &self.members[*position]);
        let made = Upstream::beside(
            sibling.map(|(_, upstream, _)| &**upstream),
            &provider.preset,
            account,
            served,
            entry.as_deref(),
        );
        let upstream = match made {
            Ok(upstream) => upstream,
            Err(error) => {
                // The address as expanded may hold what only the environment should know.
                let message = match error {
                    AccountError::Url { reason, .. } => format!("failed to use the url: {reason}"),
                    error => format!("failed to {error}"),
                };
                compiler.error(path, message, None);
                return;
            }
        };
        let known = entry.as_deref();
        let mut operations = upstream.operations();
        if let Some(kind) = known.map(|entry| entry.kind) {
            let served = operations.clone();
            operations.retain(|operation| is_of_kind(*operation, kind, &served));
        }
        let limit = |field| [path[0], path[1], field];
        let deployment = Deployment {
            id: Arc::clone(&id),
            provider: Arc::clone(&provider.name),
            model: model.into(),
            dialect: upstream.dialect,
            operations,
            weight: settings.weight.unwrap_or(1),
            facts: facts(provider.facts.clone(), settings.data.as_ref()),
            capabilities: known
                .map_or(trunkline_model::capability::Capabilities::UNKNOWN, |entry| entry.capabilities),
            context_window: known.and_then(|entry| entry.context_window),
            max_input_tokens: known.and_then(|entry| entry.max_input_tokens),
            max_output_tokens: known.and_then(|entry| entry.max_output_tokens),
            entry,
            limits: DeploymentLimits {
                requests_per_minute: compiler
                    .at_least_one(&limit("requests_per_minute"), settings.requests_per_minute),
                tokens_per_minute: compiler
                    .at_least_one(&limit("tokens_per_minute"), settings.tokens_per_minute),
                concurrency: compiler.at_least_one(&limit("concurrency"), settings.concurrency),
            },
        };
        self.seen.insert(id, self.members.len());
        let credential = match sibling {
            Some((_, _, origin)) => Arc::clone(&origin.credential),
            None => credential(account),
        };
        let upstream_name = format!("{} {}", account.base_url, deployment.model).into();
        let origin = Origin { upstream: upstream_name, credential };
        if is_common {
            self.siblings.insert(Arc::clone(&provider.name), self.members.len());
        }
        self.members.push((deployment, Arc::new(upstream), origin));
    }

    fn finish(mut self) -> CompiledFleet {
        // The fleet sorts by id; the parallel lists are brought into the same order first.
        self.members.sort_by(|(one, ..), (two, ..)| one.id.cmp(&two.id));
        let mut deployments = Vec::with_capacity(self.members.len());
        let mut upstreams = Vec::with_capacity(self.members.len());
        let mut origins = Vec::with_capacity(self.members.len());
        for (deployment, upstream, origin) in self.members {
            deployments.push(deployment);
            upstreams.push(upstream);
            origins.push(origin);
        }
        CompiledFleet {
            fleet: Arc::new(Fleet::new(deployments)),
            upstreams,
            origins,
            unknown: BTreeSet::new(),
            unreadable: false,
        }
    }
}

/// What makes it the same credential after a reload. It belongs to the host it is shown to: servers of one's own often share a key or
/// have none, and one that rejects it says nothing of the others.
fn credential(account: &Account) -> Name {
    let credential = match &account.signing {
        Some(signing) => signing.source.identity(),
        None => account.key.as_ref().map_or("", Secret::expose),
    };
    let url = account.base_url.to_string();
    let host =
        url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split('/').next().unwrap_or_default();
    fingerprint(&format!("{host} {credential}")).into()
}

/// The first eight bytes of the SHA-256, in hexadecimal.
fn fingerprint(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

/// Whether a provider's models of a kind are deployed without being listed: those it has an endpoint for.
fn is_served(preset: &Preset, kind: Kind) -> bool {
    let endpoint = match kind {
        Kind::Chat | Kind::Embedding | Kind::Rerank => return true,
        Kind::Completion => Endpoint::Completions,
        Kind::Moderation => Endpoint::Moderations,
        Kind::Image => Endpoint::Images,
        Kind::Transcription => Endpoint::Transcriptions,
        Kind::Speech => Endpoint::Speech,
        _ => return false,
    };
    preset.path(endpoint).is_some()
}

/// Whether a model of a kind is for an operation, at a provider with endpoints for `served`.
fn is_of_kind(operation: Operation, kind: Kind, served: &[Operation]) -> bool {
    let own = match kind {
        Kind::Embedding => Operation::Embeddings,
        Kind::Rerank => Operation::Rerank,
        Kind::Completion => Operation::Completions,
        Kind::Moderation => Operation::Moderations,
        Kind::Image => Operation::Images,
        Kind::Transcription => Operation::Transcriptions,
        Kind::Speech => Operation::Speech,
        _ => Operation::Chat,
    };
    let same = |operation: Operation| match operation {
        Operation::ImageEdits | Operation::ImageVariations => Operation::Images,
        Operation::Translations => Operation::Transcriptions,
        Operation::CountTokens => Operation::Chat,
        operation => operation,
    };
    match (kind, operation) {
        (Kind::Embedding | Kind::Rerank, _) => same(operation) == own,
        // Conversations stand in for texts that are continued.
        (_, Operation::Completions) => matches!(own, Operation::Chat | Operation::Completions),
        // Where its provider has no endpoint of its kind, a model is reached by conversations: Gemini's pictures.
        (_, Operation::Chat | Operation::CountTokens) => own == Operation::Chat || !served.contains(&own),
        (Kind::Other, _) => true,
        _ => same(operation) == own,
    }
}
