//! The checks of the filter, in the order in which they are told.
//!
//! Owns the comparison of one deployment with everything demanded. What depends on the request alone is worked out once, so
//! that a deployment costs a few comparisons. The order is from policy to ability: a deployment that must not serve should
//! say so even if it could not serve either.

use super::{KnownFact, PriceKind, Reason, RouteDemands};
use crate::caller::{Caller, DataCollection, Fallbacks, ParameterSupport, PriceCap};
use crate::estimate::expected_cost;
use crate::fleet::{Deployment, DeploymentIndex, Fleet};
use crate::view::{Availability, View};
use smallvec::SmallVec;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{ServiceTier, TokenClass};
use trunkline_model::dialect::Operation;
use trunkline_model::facts::{DataFacts, Requirement};
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_model::shape::Shape;

/// A prompt counts as too long only when its estimate exceeds the limit by more than this part of itself: four bytes to a token
/// is off by that much for plain English, and turning a prompt away that would have fitted is worse than trying.
const ESTIMATE_SLACK: u64 = 8;

/// Everything demanded, worked out once per request.
pub(super) struct Checks<'a> {
    fleet: &'a Fleet,
    shape: &'a Shape,
    caller: &'a Caller,
    route: &'a RouteDemands<'a>,
    needs: SmallVec<[Capability; 12]>,
    /// Estimated tokens of the prompt (of one input, for embeddings).
    prompt: u64,
    /// The same, reduced by the slack of the estimate.
    surely: u64,
}

impl<'a> Checks<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        shape: &'a Shape,
        caller: &'a Caller,
        route: &'a RouteDemands<'a>,
    ) -> Self {
        let prompt = match shape.operation {
            // Inputs to embed are limited one by one.
            Operation::Embeddings | Operation::Rerank | Operation::Moderations => {
                shape.estimated_input_tokens() / u64::from(shape.messages.max(1))
            }
            Operation::Chat | Operation::Completions => shape.estimated_input_tokens(),
            // A prompt is counted, however long; and what is not text alone is not measured in these tokens.
            _ => 0,
        };
        let needs = needed_capabilities(shape);
        Self { fleet, shape, caller, route, needs, prompt, surely: prompt - prompt / ESTIMATE_SLACK }
    }

    /// The first reason against a deployment that does not depend on how it fares.
    pub(super) fn static_reason(&self, index: DeploymentIndex) -> Option<Reason> {
        let deployment = self.fleet.deployment(index);
        self.list_reason(index, deployment)
            .or_else(|| self.compliance_reason(&deployment.facts))
            .or_else(|| self.ability_reason(deployment))
            .or_else(|| self.support_reason(index))
            .or_else(|| self.size_reason(deployment))
            .or_else(|| self.limit_reason(deployment))
            .or_else(|| self.price_reason(deployment, self.route.max_price))
            .or_else(|| self.price_reason(deployment, &self.caller.preferences.max_price))
    }

    fn list_reason(&self, index: DeploymentIndex, deployment: &Deployment) -> Option<Reason> {
        let on = |patterns: &[crate::pattern::Pattern]| {
            patterns.iter().any(|pattern| self.fleet.matches(index, pattern))
        };
        if deployment.weight == 0 {
            return Some(Reason::Drained);
        }
        if !self.route.allow.is_empty() && !on(self.route.allow) {
            return Some(Reason::NotOnRouteList);
        }
        if on(self.route.deny) {
            return Some(Reason::DeniedByRoute);
        }
        let models = &self.caller.allow.models;
        if !models.is_empty() && !on(models) {
            return Some(Reason::NotOnKeyList);
        }
        let preferences = &self.caller.preferences;
        let named = |names: &[Name]| names.iter().any(|name| is_named(deployment, name));
        if !preferences.only.is_empty() && !named(&preferences.only) {
            return Some(Reason::NotInOnly);
        }
        if named(&preferences.ignore) {
            return Some(Reason::Ignored);
        }
        let closed_order = preferences.fallbacks == Fallbacks::Refused && !preferences.order.is_empty();
        (closed_order && !named(&preferences.order)).then_some(Reason::NotInOrder)
    }

    fn compliance_reason(&self, facts: &DataFacts) -> Option<Reason> {
        let preferences = &self.caller.preferences;
        let stated = self.route.require.iter().chain(&self.caller.requirements);
        let train = (preferences.data_collection == DataCollection::Deny).then_some(&Requirement::NoTrain);
        let zdr = preferences.zdr.then_some(&Requirement::Zdr);
        stated.chain(zdr).chain(train).find(|requirement| !requirement.is_satisfied_by(facts)).map(
            |requirement| Reason::Requirement {
                requirement: requirement.clone(),
                known: known(requirement, facts),
            },
        )
    }

    fn ability_reason(&self, deployment: &Deployment) -> Option<Reason> {
        if !deployment.operations.contains(&self.shape.operation) {
            return Some(Reason::Operation { operation: self.shape.operation });
        }
        let sure = self.caller.preferences.parameters == ParameterSupport::MustBeSure;
        self.needs.iter().find_map(|&capability| match support(deployment, capability) {
            Support::Yes => None,
            Support::No => Some(Reason::CapabilityMissing { capability }),
            Support::Unknown => sure.then_some(Reason::CapabilityUnconfirmed { capability }),
        })
    }

    fn support_reason(&self, index: DeploymentIndex) -> Option<Reason> {
        let lacking = self.caller.unsupported.iter().find(|unsupported| unsupported.deployment == index)?;
        Some(Reason::ParameterUnsupported { what: Name::clone(&lacking.what) })
    }

    fn size_reason(&self, deployment: &Deployment) -> Option<Reason> {
        let asked = match self.shape.operation {
            Operation::Chat | Operation::Completions => self.shape.max_output_tokens,
            _ => None,
        };
        let input_limit = match (deployment.max_input_tokens, deployment.context_window) {
            (Some(input), Some(window)) => Some(input.min(window)),
            (input, window) => input.or(window),
        };
        if let Some(limit) = input_limit.filter(|limit| self.surely > *limit) {
            return Some(Reason::PromptTooLong { estimated: self.prompt, limit });
        }
        let asked = asked?;
        if let Some(limit) = deployment.max_output_tokens.filter(|limit| asked > *limit) {
            return Some(Reason::AnswerTooLong { asked, limit });
        }
        let window = deployment.context_window?;
        (self.surely.saturating_add(asked) > window).then_some(Reason::ContextTooSmall {
            prompt: self.prompt,
            answer: asked,
            window,
        })
    }

    fn limit_reason(&self, deployment: &Deployment) -> Option<Reason> {
        let limits = &deployment.limits;
        let closed = limits.requests_per_minute == Some(0)
            || limits.tokens_per_minute == Some(0)
            || limits.concurrency == Some(0);
        if closed {
            return Some(Reason::Closed);
        }
        let limit = limits.tokens_per_minute?;
        let estimated = self.shape.estimated_input_tokens();
        (estimated - estimated / ESTIMATE_SLACK > limit).then_some(Reason::LimitTooSmall { estimated, limit })
    }

    fn price_reason(&self, deployment: &Deployment, cap: &PriceCap) -> Option<Reason> {
        if *cap == PriceCap::NONE {
            return None;
        }
        let prompt_tokens = self.shape.estimated_input_tokens();
        let per_million = |kind, class, cap: Option<_>| {
            let cap = cap?;
            let entry = deployment.entry.as_ref();
            match entry.and_then(|entry| entry.prices.rate(class, ServiceTier::Standard, prompt_tokens)) {
                None => Some(Reason::PriceUnknown { kind }),
                Some(rate) => {
                    (rate.price > cap).then_some(Reason::PriceTooHigh { kind, price: rate.price, cap })
                }
            }
        };
        per_million(PriceKind::Input, TokenClass::Input, cap.input)
            .or_else(|| per_million(PriceKind::Output, TokenClass::Output, cap.output))
            .or_else(|| {
                let cap = cap.request?;
                match expected_cost(deployment, self.shape).amount {
                    None => Some(Reason::PriceUnknown { kind: PriceKind::Request }),
                    Some(estimated) => (estimated > cap).then_some(Reason::RequestTooDear { estimated, cap }),
                }
            })
    }
}

/// The reasons that depend on how a deployment fares.
pub(super) fn credentials_reason(view: &View, now: Moment) -> Option<Reason> {
    match view.availability {
        Availability::CredentialsOut { until } => Some(Reason::CredentialsOut { retry_in: until.since(now) }),
        Availability::QuotaExhausted { until } => Some(Reason::QuotaExhausted { retry_in: until.since(now) }),
        _ => None,
    }
}

/// Whether a name in a request's provider lists means this deployment: its provider or its own id, in any case.
pub(crate) fn is_named(deployment: &Deployment, name: &str) -> bool {
    let same = |other: &str| other.eq_ignore_ascii_case(name);
    same(&deployment.provider) || same(&deployment.id)
}

fn known(requirement: &Requirement, facts: &DataFacts) -> KnownFact {
    let stated = match requirement {
        Requirement::Zdr => facts.zdr.is_some(),
        Requirement::NoTrain => facts.train.is_some(),
        Requirement::Baa => facts.baa.is_some(),
        Requirement::Region(_) => {
            return facts.region.clone().map_or(KnownFact::Nothing, KnownFact::Region);
        }
    };
    if stated { KnownFact::Contrary } else { KnownFact::Nothing }
}

/// Support of a capability, where one may stand in for another: whoever follows a schema can make an object.
fn support(deployment: &Deployment, capability: Capability) -> Support {
    let support = deployment.capabilities.support(capability);
    let stands_in = capability == Capability::JsonObject
        && deployment.capabilities.support(Capability::JsonSchema) == Support::Yes;
    if stands_in { Support::Yes } else { support }
}

fn needed_capabilities(shape: &Shape) -> SmallVec<[Capability; 12]> {
    let needs = [
        (shape.tools > 0 || shape.has_tool_history, Capability::Tools),
        (shape.forces_tool, Capability::ToolChoice),
        (shape.images > 0, Capability::ImageInput),
        (shape.documents > 0, Capability::PdfInput),
        (shape.audio > 0, Capability::AudioInput),
        (shape.videos > 0, Capability::VideoInput),
        (shape.wants_schema, Capability::JsonSchema),
        (shape.wants_json && !shape.wants_schema, Capability::JsonObject),
        (shape.wants_reasoning, Capability::Reasoning),
        (shape.wants_logprobs, Capability::Logprobs),
        (shape.delivery.is_stream(), Capability::Streaming),
    ];
    needs.into_iter().filter(|(needed, _)| *needed).map(|(_, capability)| capability).collect()
}
