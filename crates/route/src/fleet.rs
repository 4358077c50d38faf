//! The deployments there are, and what is known of each.
//!
//! Owns the immutable description of every deployment of one configuration. Must not hold anything that changes while
//! requests run: that is `health`, reached through the same index. Indexes are only valid within one fleet.

use crate::pattern::Pattern;
use std::collections::HashMap;
use std::sync::Arc;
use trunkline_model::capability::Capabilities;
use trunkline_model::catalogue::ModelEntry;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::facts::DataFacts;
use trunkline_model::id::Name;

/// Position of a deployment in its fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentIndex(pub u32);

impl DeploymentIndex {
    /// The index as a slice position.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

/// One concrete place to send a request.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its name: `provider/model` unless the configuration names it.
    pub id: Name,
    /// The provider's name in the configuration.
    pub provider: Name,
    /// The model's name as the provider knows it.
    pub model: Name,
    /// The protocol the provider speaks.
    pub dialect: Dialect,
    /// What it serves.
    pub operations: Vec<Operation>,
    /// Its share under weighted balancing; 0 takes no new traffic.
    pub weight: u32,
    /// How it handles data.
    pub facts: DataFacts,
    /// What the model can do; unknown is not no.
    pub capabilities: Capabilities,
    /// Prompt and answer together, in tokens.
    pub context_window: Option<u64>,
    /// The longest prompt, where it is limited apart, in tokens.
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// The catalogue's entry, for prices; `None` for a model nobody knows (its cost is unknown).
    pub entry: Option<Arc<ModelEntry>>,
    /// Limits the operator set for it.
    pub limits: DeploymentLimits,
}

/// Configured limits of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests at the same time.
    pub concurrency: Option<u32>,
}

/// All deployments of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    deployments: Vec<Deployment>,
    /// `provider/model` of each, for patterns; the id itself where they are the same.
    paths: Vec<Name>,
    /// Every name a request may use, see [`Fleet::named`].
    names: HashMap<Name, Vec<DeploymentIndex>>,
}

impl Fleet {
    /// A fleet of these, sorted by id so that indexes and explanations do not depend on the order of a file.
    #[must_use]
    pub fn new(mut deployments: Vec<Deployment>) -> Self {
        deployments.sort_by(|a, b| a.id.cmp(&b.id));
        deployments.dedup_by(|a, b| a.id == b.id);
        let paths = deployments.iter().map(path).collect();
        let mut fleet = Self { deployments, paths, names: HashMap::new() };
        fleet.names = fleet.index_names();
        fleet
    }

    /// The deployments a name stands for: the one with this id; else all with this `provider/model`, in the configuration's or
    /// the catalogue's words; else all that serve a model of this bare name. Empty for an unknown name.
    #[must_use]
    pub fn named(&self, name: &str) -> &[DeploymentIndex] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every name [`Fleet::named`] knows, in no order: for hints and model lists.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.keys()
    }

    /// Whether a pattern fits a deployment by id, `provider/model` or bare model name.
    #[must_use]
    pub fn matches(&self, index: DeploymentIndex, pattern: &Pattern) -> bool {
        let deployment = self.deployment(index);
        pattern.matches(&deployment.id)
            || (!Arc::ptr_eq(&deployment.id, &self.paths[index.position()])
                && pattern.matches(&self.paths[index.position()]))
            || pattern.matches(&deployment.model)
            || deployment.entry.as_ref().is_some_and(|entry| pattern.matches(entry.id()))
    }

    /// `provider/model` of a deployment.
    #[must_use]
    pub fn path(&self, index: DeploymentIndex) -> &Name {
        &self.paths[index.position()]
    }

    fn index_names(&self) -> HashMap<Name, Vec<DeploymentIndex>> {
        let mut names: HashMap<Name, (u8, Vec<DeploymentIndex>)> = HashMap::new();
        let mut add = |name: &str, rank: u8, index: DeploymentIndex| match names.get_mut(name) {
            Some((best, found)) if *best == rank => {
                if found.last() != Some(&index) {
                    found.push(index);
                }
            }
            Some((best, _)) if *best < rank => {}
            _ => {
                names.insert(name.into(), (rank, vec![index]));
            }
        };
        for (index, deployment) in self.iter() {
            add(&deployment.id, 0, index);
            add(self.path(index), 1, index);
            add(&deployment.model, 2, index);
            if let Some(entry) = &deployment.entry {
                add(entry.id(), 1, index);
                add(entry.model(), 2, index);
            }
        }
        names.into_iter().map(|(name, (_, found))| (name, found)).collect()
    }

    /// The deployment at an index of this fleet.
    #[must_use]
    pub fn deployment(&self, index: DeploymentIndex) -> &Deployment {
        &self.deployments[index.position()]
    }

    /// Finds a deployment by its id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<DeploymentIndex> {
        let position = self.deployments.binary_search_by(|deployment| (*deployment.id).cmp(id)).ok()?;
        u32::try_from(position).ok().map(DeploymentIndex)
    }

    /// All of them with their indexes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (DeploymentIndex, &Deployment)> {
        self.deployments.iter().enumerate().map(|(position, deployment)| {
            (DeploymentIndex(u32::try_from(position).unwrap_or(u32::MAX)), deployment)
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deployments.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty()
    }
}

fn path(deployment: &Deployment) -> Name {
    let (id, provider, model) = (&*deployment.id, &*deployment.provider, &*deployment.model);
    let same = id.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')) == Some(model);
    if same { Arc::clone(&deployment.id) } else { format!("{provider}/{model}").into() }
}
