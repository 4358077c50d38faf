//! Whether a line goes to a provider's batch API, and as what.
//!
//! Owns the conditions, each of which leaves the line to the queue. Must not send anything and asks nobody: the line goes through the
//! stages of any request up to its plan, and what an attempt at the plan's first deployment would send is what is handed over.

use super::super::details::target;
use super::super::line::{self, Order, Way};
use super::MARGIN;
use super::schedule::Desk;
use crate::accept;
use crate::admit::Admitted;
use crate::case::{self, Case};
use crate::learn;
use crate::planning;
use crate::state::{Gateway, Generation};
use crate::subject::Subject;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use trunkline_model::catalogue::{ModelEntry, ServiceTier, TokenClass};
use trunkline_model::facts::Requirement;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::warning::Warning;
use trunkline_net::RequestBody;
use trunkline_providers::batch::BatchApi;
use trunkline_providers::upstream::Upstream;
use trunkline_store::ClaimedLine;

/// A line as it is handed over.
pub(super) struct Parcel {
    /// Where to.
    pub(super) deployment: Name,
    /// How that is reached.
    pub(super) generation: Arc<Generation>,
    /// The name under which it asks.
    pub(super) endpoint: &'static str,
    /// Headers of the client that go with it.
    pub(super) headers: HeaderMap,
    /// What an attempt would send.
    pub(super) body: RequestBody,
    /// What the record says once it is answered: a [`Note`].
    pub(super) note: String,
}

/// What was decided of a line, for its record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// The request's id, from when it was decided.
    pub(super) id: RequestId,
    /// The tier of the plan's first deployment.
    pub(super) tier: Name,
    /// The step that decided.
    pub(super) decided_by: Option<Name>,
    /// The decision with its reasons.
    pub(super) decision: Option<Box<str>>,
    /// What translation did not pass.
    pub(super) warnings: Vec<Warning>,
}

/// Decides on a line of a batch that has so many seconds left; `None` leaves it to the queue.
pub(super) async fn decide(
    gateway: &Arc<Gateway>,
    desk: &Desk,
    order: &Order,
    line: &ClaimedLine,
    left: u64,
) -> Option<Parcel> {
    let generation = gateway.generation();
    let (dialect, operation, path) = target(&order.details.endpoint)?;
    let place = gateway.enter(u32::MAX)?;
    let (id, version) = (case::new_id(), generation.snapshot.version);
    let mut case = Case::open(Arc::clone(gateway), place, id, dialect, operation, version);
    case.record.key = (!order.owner.is_empty()).then(|| Name::from(order.owner.as_str()));
    let written = accept::Written { dialect, operation, path, headers: line::headers(order, line) };
    // A line that is refused is refused again when it is sent, which tells its client why.
    let admitted =
        line::admit(gateway, &generation, order, line, written, &mut case, Way::Together(None)).await;
    let parcel = admitted.ok().and_then(|admitted| pack(gateway, desk, line, left, &admitted, &mut case));
    case.forget();
    parcel
}

fn pack(
    gateway: &Gateway,
    desk: &Desk,
    line: &ClaimedLine,
    left: u64,
    admitted: &Admitted,
    case: &mut Case,
) -> Option<Parcel> {
    if !is_self_contained(admitted, line) || must_not_be_kept(admitted) {
        return None;
    }
    let decision = planning::decide(gateway, admitted, case, &[], &Vec::new());
    // Asking a model costs money and belongs into the record of the request it is asked for.
    if decision.question.is_some() || decision.to_encode.is_some() {
        return None;
    }
    planning::note(admitted, &decision, case);
    let plan = planning::require_plan(decision, &admitted.caller.allow).ok()?;
    // An answer that is looked at may have to be asked for again, from somebody better.
    if plan.inspection.is_some() || !plan.conceded.is_empty() {
        return None;
    }
    let leg = plan.legs.first()?;
    let index = leg.deployment.index();
    let generation = &admitted.generation;
    let deployment = generation.snapshot.fleet.deployment(index);
    let upstream = &generation.snapshot.upstreams[index.position()];
    let (api, endpoint) = offer(upstream, deployment.entry.as_deref(), admitted, left)?;
    if desk.is_held(&deployment.id) {
        return None;
    }
    let subject = Subject::new(admitted, case.id(), &plan).decided_by(case.record.decided_by.as_ref());
    // Files would have to be fetched for every line before any of them is sent.
    if !subject.needed(index).is_empty() {
        return None;
    }
    let prepared = subject.prepare(leg, None, None).ok()?;
    if !api.takes(endpoint, &|| prepared.body.pieces().flatten().copied().collect()) {
        return None;
    }
    let body = match api.addressed(endpoint, prepared.body.pieces()).ok()? {
        Some(addressed) => RequestBody::from_pieces(addressed),
        None => prepared.body,
    };
    let length = usize::try_from(body.len()).unwrap_or(usize::MAX);
    if length > api.most_bytes.min(super::gathering::MOST_BYTES) / 2 {
        return None;
    }
    learn::keep_prompt(gateway, admitted, case.id());
    let note = Note {
        id: case.id(),
        tier: Arc::clone(&leg.tier),
        decided_by: case.record.decided_by.clone(),
        decision: case.record.decision.clone(),
        warnings: prepared.warnings,
    };
    Some(Parcel {
        deployment: Arc::clone(&deployment.id),
        generation: Arc::clone(generation),
        endpoint,
        headers: own_headers(&prepared.headers, &upstream.headers),
        body,
        note: serde_json::to_string(&note).ok()?,
    })
}

/// What headers say beyond those of every request to a provider: the versions and betas of a client that speaks its protocol. What names
/// one request is no header of many.
fn own_headers(prepared: &HeaderMap, usual: &HeaderMap) -> HeaderMap {
    let is_of_one = |name: &str| matches!(name, "idempotency-key" | "traceparent" | "tracestate");
    let mut own = HeaderMap::new();
    for (name, value) in prepared {
        if !is_of_one(name.as_str()) && !usual.get_all(name).iter().any(|known| known == value) {
            own.append(name, value.clone());
        }
    }
    own
}

/// Whether nothing of the request may be kept: a batch API keeps lines and results until they are fetched, whatever the account's
/// agreement says of single requests.
fn must_not_be_kept(admitted: &Admitted) -> bool {
    admitted.route.require.iter().chain(&admitted.caller.requirements).any(|one| *one == Requirement::Zdr)
}

/// Whether the request says all of itself: a conversation that goes on with a stored one may find it gone when the answer comes.
fn is_self_contained(admitted: &Admitted, line: &ClaimedLine) -> bool {
    admitted.turn.as_ref().is_none_or(|turn| {
        turn.previous.is_none() && turn.bound.is_none() && admitted.body.len() == line.request.len()
    })
}

/// The batch API that answers such a request for less within the time that is left, and the name under which it is asked there.
fn offer<'u>(
    upstream: &'u Upstream,
    entry: Option<&ModelEntry>,
    admitted: &Admitted,
    left: u64,
) -> Option<(&'u BatchApi, &'static str)> {
    let api = upstream.batch.as_ref().filter(|_| entry.is_some_and(is_cheaper))?;
    if api.window > left.saturating_add(MARGIN) {
        return None;
    }
    let operation = upstream.operation_for(admitted.operation);
    let endpoint = api.endpoint(upstream.dialect_for(admitted.dialect, operation), operation)?;
    Some((api, endpoint))
}

/// Whether a model has a price of its own for batches, and one below the usual: for what goes in, and no higher for what comes out.
pub(super) fn is_cheaper(entry: &ModelEntry) -> bool {
    if entry.prices.service(ServiceTier::Batch).is_none_or(|schedule| schedule.is_empty()) {
        return false;
    }
    let price = |class, service| entry.prices.rate(class, service, 0).map(|rate| rate.price);
    let pair = |class| Some((price(class, ServiceTier::Batch)?, price(class, ServiceTier::Standard)?));
    let is_less = pair(TokenClass::Input).is_some_and(|(batch, usual)| batch < usual);
    is_less && pair(TokenClass::Output).is_none_or(|(batch, usual)| batch <= usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(model: &str) -> bool {
        let catalogue = trunkline_providers::bundled::catalogue(["openai", "anthropic", "groq"]);
        is_cheaper(catalogue.by_id(model).expect("a model of the catalogue"))
    }

    #[test]
    fn only_a_stated_price_below_the_usual_one_counts() {
        assert!(entry("openai/gpt-4.1-mini") && entry("anthropic/claude-sonnet-4-5"));
        assert!(entry("openai/text-embedding-3-small"), "what costs nothing anyway need not cost less");
        assert!(!entry("groq/llama-3.3-70b-versatile"), "no price for batches is known");
    }

    #[test]
    fn headers_of_one_request_do_not_go_with_many() {
        let map = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect()
        };
        let usual = map(&[("x-api-key", "secret"), ("x-version", "1")]);
        let prepared = map(&[
            ("x-api-key", "secret"),
            ("x-version", "2"),
            ("x-beta", "new"),
            ("traceparent", "00-1"),
            ("idempotency-key", "b-1-0"),
        ]);
        assert_eq!(own_headers(&prepared, &usual), map(&[("x-version", "2"), ("x-beta", "new")]));
    }
}
