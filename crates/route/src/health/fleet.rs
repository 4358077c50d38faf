//! The health of a whole fleet, by the fleet's indexes.
//!
//! Owns the carrying over from one configuration to the next: a deployment whose identity is unchanged keeps its health, and a
//! credential that is still in use keeps its own. Must not know what a credential is, only what it is called.

use super::deployment::DeploymentHealth;
use super::outage::CredentialHealth;
use super::policy::HealthPolicy;
use super::snapshot::HealthSnapshot;
use crate::fleet::{Deployment, DeploymentIndex, Fleet};
use crate::limit::Limits;
use crate::view::{View, Views};
use std::collections::HashMap;
use std::sync::Arc;
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;

/// What makes a deployment the same one after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its id.
    pub deployment: Name,
    /// A name or fingerprint of where it goes: base URL, upstream model, region.
    pub upstream: Name,
    /// A name or fingerprint of its credential, never the secret. Deployments with the same one are out together.
    pub credential: Name,
}

impl From<&Deployment> for Identity {
    /// As far as the fleet knows: one upstream and one credential per provider. A configuration with several keys, or with
    /// URLs that may change, knows better.
    fn from(deployment: &Deployment) -> Self {
        Self {
            deployment: Arc::clone(&deployment.id),
            upstream: Arc::clone(&deployment.model),
            credential: Arc::clone(&deployment.provider),
        }
    }
}

/// The health of every deployment of one fleet.
#[derive(Clone, Debug, Default)]
pub struct FleetHealth {
    deployments: Vec<Arc<DeploymentHealth>>,
}

impl FleetHealth {
    /// The health of a fleet: carried over from `previous` where identity and policy are unchanged, fresh otherwise. Limits
    /// are taken from the fleet. `seed` is any random number; it spreads back-offs.
    pub fn new(
        fleet: &Fleet,
        identify: impl Fn(&Deployment) -> Identity,
        policy: HealthPolicy,
        previous: Option<&Self>,
        seed: u64,
    ) -> Self {
        let known = previous.map_or(&[][..], |previous| &previous.deployments);
        let mut credentials: HashMap<Name, Arc<CredentialHealth>> = known
            .iter()
            .map(|health| (Arc::clone(&health.identity().credential), Arc::clone(health.credential())))
            .collect();
        let known: HashMap<&Identity, &Arc<DeploymentHealth>> =
            known.iter().map(|health| (health.identity(), health)).collect();
        let deployments = fleet.iter().map(|(index, deployment)| {
            let identity = identify(deployment);
            let limits = Limits::from(deployment.limits);
            if let Some(health) = known.get(&identity)
                && *health.policy() == policy
            {
                health.limit(limits);
                return Arc::clone(health);
            }
            let credential = credentials.entry(Arc::clone(&identity.credential)).or_default();
            let seed = seed.wrapping_add(u64::from(index.0).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            Arc::new(DeploymentHealth::new(identity, Arc::clone(credential), policy, limits, seed))
        });
        Self { deployments: deployments.collect() }
    }

    /// The health of one deployment of the fleet it was made for.
    #[must_use]
    pub fn deployment(&self, index: DeploymentIndex) -> &Arc<DeploymentHealth> {
        &self.deployments[index.position()]
    }

    /// All of them in the order of the fleet.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<DeploymentHealth>> {
        self.deployments.iter()
    }

    /// Everything at once, for metrics and the console.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Vec<HealthSnapshot> {
        self.deployments.iter().map(|health| health.snapshot(now)).collect()
    }
}

impl Views for FleetHealth {
    fn view(&self, index: DeploymentIndex, now: Moment) -> View {
        self.deployment(index).view(now)
    }
}
