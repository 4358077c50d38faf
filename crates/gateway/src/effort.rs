//! How deeply a request is to reason, when somebody other than its body says so.
//!
//! Owns whose word counts for an attempt and changing the request by it. Must not know how a protocol asks for reasoning: `wire`
//! changes bodies, byte for byte but for that. A model that cannot reason is not asked to; what was changed is told in warnings, and a
//! strict request is not refused for it, because it is no loss of translation.

use crate::admit::Admitted;
use bytes::Bytes;
use trunkline_model::catalogue::ReasoningEffort;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::id::Name;
use trunkline_model::request::{ChatRequest, Effort, Request};
use trunkline_model::warning::Warning;
use trunkline_route::effort::{EffortBy, nearest};
use trunkline_route::fleet::Deployment;
use trunkline_wire::codec::{Envelope, Profile, ReasoningStyle};
use trunkline_wire::dispatch;
use trunkline_wire::effort::{effort_edits, set_effort};
use trunkline_wire::splice::join_rope;

/// The feature as warnings name it.
const FEATURE: &str = "reasoning effort";

/// Whose word counts for a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct EffortOrder {
    /// What key or header say.
    own: Option<(ReasoningEffort, EffortBy)>,
    /// Whether the route's word counts; not for questions of our own.
    heeds_route: bool,
}

impl EffortOrder {
    /// Of a client's request.
    #[must_use]
    pub(crate) fn new(key: Option<ReasoningEffort>, header: Option<ReasoningEffort>) -> Self {
        let own = key.map(|effort| (effort, EffortBy::Key));
        let own = own.or_else(|| header.map(|effort| (effort, EffortBy::Header)));
        Self { own, heeds_route: true }
    }

    /// Whether reasoning is switched off for whatever is asked, as far as is known before anything is chosen.
    #[must_use]
    pub(crate) fn is_off(&self, route: Option<ReasoningEffort>) -> bool {
        let said = self.own.map(|(effort, _)| effort);
        said.or(route.filter(|_| self.heeds_route)) == Some(ReasoningEffort::None)
    }

    /// What an attempt of that tier is to reason.
    #[must_use]
    pub(crate) fn of(
        &self,
        admitted: &Admitted,
        step: Option<&Name>,
        tier: &str,
    ) -> Option<(ReasoningEffort, EffortBy)> {
        if admitted.operation != Operation::Chat {
            return None;
        }
        let of_route = || admitted.route.efforts.of(step.map(AsRef::as_ref), tier);
        self.own.or_else(|| if self.heeds_route { of_route() } else { None })
    }
}

/// A change of one attempt's request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Override<'a> {
    wanted: ReasoningEffort,
    by: EffortBy,
    profile: &'a Profile,
    deployment: &'a Deployment,
}

impl<'a> Override<'a> {
    /// The change, unless the request says the same already.
    #[must_use]
    pub(crate) fn new(
        (wanted, by): (ReasoningEffort, EffortBy),
        profile: &'a Profile,
        deployment: &'a Deployment,
    ) -> Self {
        Self { wanted, by, profile, deployment }
    }

    /// No reasoning, for a model that has none.
    #[must_use]
    pub(crate) fn off(profile: &'a Profile, deployment: &'a Deployment) -> Self {
        Self::new((ReasoningEffort::None, EffortBy::Route), profile, deployment)
    }

    /// The conversation with it.
    pub(crate) fn set(&self, chat: &mut ChatRequest, warnings: &mut Vec<Warning>) {
        if let Some(effort) = self.effort(chat, warnings) {
            set_effort(chat, effort);
        }
    }

    /// The body with it, for a provider of the client's own protocol; `None` when nothing changes.
    #[must_use]
    pub(crate) fn splice(
        &self,
        admitted: &Admitted,
        delivery: Delivery,
        request: &Request,
        warnings: &mut Vec<Warning>,
    ) -> Option<(Bytes, Envelope)> {
        let Request::Chat(chat) = request else { return None };
        let said = warnings.len();
        let effort = self.effort(chat, warnings)?;
        let Admitted { dialect, operation, body, envelope, path, .. } = admitted;
        match effort_edits((*dialect, delivery), (envelope, body), chat, effort, self.profile) {
            Ok(edits) if edits.is_empty() => {
                warnings.truncate(said);
                warnings.extend(edits.warnings);
                None
            }
            Ok(edits) => {
                let changed = join_rope(&edits.apply(body, envelope));
                let envelope = dispatch::envelope(*dialect, *operation, &changed, path).ok()?;
                warnings.extend(edits.warnings);
                Some((changed, envelope))
            }
            Err(error) => {
                warnings.truncate(said);
                warnings.push(Warning::dropped(FEATURE, error.to_string()));
                None
            }
        }
    }

    /// The depth to ask for; `None` when nothing is to be changed.
    fn effort(&self, chat: &ChatRequest, warnings: &mut Vec<Warning>) -> Option<Effort> {
        let asked = chat.reasoning.as_ref();
        if self.profile.reasoning == ReasoningStyle::None {
            if self.wanted != ReasoningEffort::None {
                let reason = format!("{} wants {}, and the model cannot reason", self.by.name(), self.wanted);
                warnings.push(Warning::dropped(FEATURE, reason));
            }
            // What the body asks for is left out by whoever writes it for a model that cannot.
            return asked.map(|_| Effort::None);
        }
        let known = self.deployment.entry.as_ref().map_or(&[][..], |entry| &entry.reasoning_efforts);
        let taken = nearest(self.wanted, known);
        let effort = Effort::parse(taken.as_str())?;
        if asked.is_some_and(|asked| {
            asked.effort == Some(effort) && asked.budget_tokens.is_none() && !asked.adaptive
        }) {
            return None;
        }
        let mut reason = format!("set to {taken} by {}", self.by.name());
        if taken != self.wanted {
            reason += &format!(", which wants {}: the model has no such depth", self.wanted);
        }
        warnings.push(Warning::overridden(FEATURE, reason));
        Some(effort)
    }
}

/// What an attempt could not be given after all: the request goes as the client wrote it.
pub(crate) fn given_up(warnings: &mut Vec<Warning>, reason: String) {
    warnings.clear();
    warnings.push(Warning::dropped(FEATURE, reason));
}
