//! What the tests of this crate decide about: small fleets, requests and policies.
//!
//! Owns nothing that ships.

use crate::balance::{Balance, Rotation};
use crate::caller::Caller;
use crate::decide::DecideInput;
use crate::features::WallClock;
use crate::fleet::{Deployment, DeploymentIndex, DeploymentLimits, Fleet};
use crate::policy::{Route, Tier, TierPosition};
use crate::steps::{Step, StepKind, Target};
use crate::view::{Availability, View, Views};
use std::sync::Arc;
use trunkline_model::capability::{Capabilities, Capability, Support};
use trunkline_model::catalogue::{Kind, ModelEntry, TokenClass};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::facts::DataFacts;
use trunkline_model::id::RequestId;
use trunkline_model::moment::Moment;
use trunkline_model::money::PricePerMillion;
use trunkline_model::shape::Shape;

/// A deployment `provider/model` of which little is known, at one and four dollars per million tokens.
pub(crate) fn deployment(provider: &str, model: &str) -> Deployment {
    let mut entry = ModelEntry::new(format!("{provider}/{model}"), Kind::Chat).expect("an id");
    entry.prices.standard.base.set(TokenClass::Input, Some(PricePerMillion(1_000_000_000)));
    entry.prices.standard.base.set(TokenClass::Output, Some(PricePerMillion(4_000_000_000)));
    Deployment {
        id: format!("{provider}/{model}").into(),
        provider: provider.into(),
        model: model.into(),
        dialect: Dialect::OpenAi,
        operations: vec![Operation::Chat],
        weight: 1,
        facts: DataFacts::default(),
        capabilities: Capabilities::UNKNOWN,
        context_window: None,
        max_input_tokens: None,
        max_output_tokens: None,
        entry: Some(Arc::new(entry)),
        limits: DeploymentLimits::default(),
    }
}

pub(crate) fn can(deployment: &mut Deployment, capability: Capability, support: Support) {
    deployment.capabilities = deployment.capabilities.with(capability, support);
}

/// A fleet of `provider/model` names.
pub(crate) fn fleet(names: &[&str]) -> Arc<Fleet> {
    let made = names.iter().map(|name| {
        let (provider, model) = name.split_once('/').expect("provider/model");
        deployment(provider, model)
    });
    Arc::new(Fleet::new(made.collect()))
}

pub(crate) fn chat() -> Shape {
    Shape { text_bytes: 400, messages: 2, ..Shape::new(Dialect::OpenAi, Operation::Chat) }
}

/// Views by index; fresh for the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded(pub(crate) Vec<View>);

impl Views for Recorded {
    fn view(&self, index: DeploymentIndex, _now: Moment) -> View {
        self.0.get(index.position()).copied().unwrap_or(View::FRESH)
    }
}

pub(crate) fn available(availability: Availability) -> View {
    View { availability, ..View::FRESH }
}

pub(crate) fn tier(fleet: &Fleet, name: &str, deployments: &[&str], balance: Balance) -> Tier {
    let deployments = deployments.iter().map(|id| fleet.find(id).expect("in the fleet")).collect();
    Tier { name: name.into(), deployments, balance, sticky: None }
}

pub(crate) fn use_tier(position: u16) -> Step {
    Step { name: format!("use-{position}").into(), kind: StepKind::Use(Target::Tier(TierPosition(position))) }
}

/// Everything a decision needs, with defaults to change.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) views: Recorded,
    pub(crate) route: Route,
    pub(crate) shape: Shape,
    pub(crate) caller: Caller,
    pub(crate) seed: u64,
    pub(crate) turn: u64,
}

impl Case {
    pub(crate) fn new(fleet: Arc<Fleet>, route: Route) -> Self {
        let (views, caller) = (Recorded::default(), Caller::default());
        Self { fleet, views, route, shape: chat(), caller, seed: 1, turn: 0 }
    }

    pub(crate) fn input(&self) -> DecideInput<'_> {
        DecideInput {
            id: RequestId::new(1_795_303_800_000, 42),
            fleet: &self.fleet,
            views: &self.views,
            route: &self.route,
            shape: &self.shape,
            prompt: None,
            caller: &self.caller,
            clock: WallClock::from_unix(1_795_303_800, 0),
            now: Moment::from_micros(1_000_000),
            seed: self.seed,
            rotation: Rotation::Fixed(self.turn),
            config_version: 0xC0FFEE,
        }
    }

    pub(crate) fn decide(&self) -> crate::decision::Decision {
        crate::decide::decide(&self.input())
    }

    /// The names of the plan's legs.
    pub(crate) fn legs(&self) -> Vec<String> {
        let decision = self.decide();
        let plan = decision.plan.as_ref().expect("a plan");
        plan.legs.iter().map(|leg| decision.deployment_name(leg.deployment.index()).to_string()).collect()
    }
}
