//! Which deployments, in which order.
//!
//! Owns the call of the pure `decide` with what it needs from this process: clocks, health, a seed. Must not choose itself.

use crate::admit::Admitted;
use crate::case::Case;
use crate::clock;
use crate::encode::{EncodedPrompt, GivenVectors};
use crate::learn::Choice;
use crate::prompt::BodyPrompt;
use crate::refusal;
use crate::series::word;
use crate::shadow::Mirror;
use crate::spend::HealthAndSpend;
use crate::state::Gateway;
use std::cell::RefCell;
use std::sync::Arc;
use trunkline_model::asked::Asked;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::Name;
use trunkline_model::record::RequestRecord;
use trunkline_route::balance::Rotation;
use trunkline_route::caller::{AllowList, PinnedBy, Preferences};
use trunkline_route::decide::{DecideInput, decide_with};
use trunkline_route::decision::{DecidedBy, Decision, NoPlan};
use trunkline_route::explain::{Explanation, Recalled};
use trunkline_route::features::WallClock;
use trunkline_route::plan::Plan;
use trunkline_route::steps::GivenAnswer;

/// Memory kept for writing decisions, in bytes.
const LARGEST_SCRATCH: usize = 16 * 1024;
/// Most rejections told to a client.
const TOLD_REJECTIONS: usize = 8;

/// Decides, with what came of the questions that earlier decisions on the same request asked.
#[must_use]
pub(crate) fn decide(
    gateway: &Gateway,
    admitted: &Admitted,
    case: &Case,
    answers: &[GivenAnswer],
    vectors: &GivenVectors,
) -> Decision {
    let generation = &admitted.generation;
    let counters = generation.rotation(&admitted.route.name);
    let prompt = BodyPrompt::new(admitted.dialect, admitted.operation, &admitted.envelope, &admitted.body);
    let prompt = EncodedPrompt { prompt, vectors };
    let input = DecideInput {
        id: case.id(),
        fleet: &generation.snapshot.fleet,
        views: &HealthAndSpend { health: &generation.health, spend: &gateway.spend },
        route: &admitted.route,
        shape: &admitted.envelope.shape,
        prompt: Some(&prompt),
        caller: &admitted.caller,
        clock: WallClock::from_unix(clock::unix_seconds(), 0),
        now: gateway.clock.now(),
        seed: case.id().seed(),
        rotation: counters.map_or(Rotation::Fixed(0), Rotation::Counters),
        config_version: generation.snapshot.version,
    };
    decide_with(&input, answers)
}

/// Decides as a past request was decided, with what its decision tells of its state.
#[must_use]
pub(crate) fn decide_as(
    gateway: &Gateway,
    admitted: &Admitted,
    record: &RequestRecord,
    old: &Explanation,
) -> Decision {
    let snapshot = &admitted.generation.snapshot;
    let prompt = BodyPrompt::new(admitted.dialect, admitted.operation, &admitted.envelope, &admitted.body);
    let now = gateway.clock.now();
    let recalled = Recalled::of(old, &snapshot.fleet, now);
    let input = DecideInput {
        id: record.id,
        fleet: &snapshot.fleet,
        views: &recalled,
        route: &admitted.route,
        shape: &admitted.envelope.shape,
        prompt: Some(&prompt),
        caller: &admitted.caller,
        clock: WallClock::from_unix(record.id.unix_milliseconds() / 1_000, 0),
        now,
        seed: record.id.seed(),
        rotation: Rotation::Fixed(old.turn.unwrap_or(0)),
        config_version: snapshot.version,
    };
    decide_with(&input, &recalled.answers(&admitted.route, snapshot.version))
}

/// Keeps the decision in the record.
pub(crate) fn note(admitted: &Admitted, decision: &Decision, case: &mut Case) {
    if let Some(choice) = Choice::of(&admitted.route, decision) {
        case.learn_from(choice);
    }
    case.record.tier.clone_from(&decision.tier);
    case.record.decided_by = Some(match &decision.decided_by {
        DecidedBy::Step(name) => Arc::clone(name),
        DecidedBy::Default => word("default"),
        other => Name::from(other.name()),
    });
    case.record.decision = Some(written(decision));
    case.record.asked = Some(Box::new(asked(admitted)));
    if decision.shadow.is_some()
        && !admitted.options.dry_run
        && let Some(mirror) = Mirror::of(admitted, decision)
    {
        case.mirror(mirror);
    }
}

/// What a replay needs to decide the request again.
pub(crate) fn asked(admitted: &Admitted) -> Asked {
    let caller = &admitted.caller;
    Asked {
        pin: caller.pin.clone(),
        pinned_by_key: caller.pinned_by == PinnedBy::Key,
        requirements: caller.requirements.clone(),
        strict: caller.strict,
        more: !caller.headers.is_empty()
            || !caller.metadata.is_empty()
            || caller.preferences != Preferences::default()
            || caller.whole,
        ..Asked::of(&admitted.envelope.shape)
    }
}

/// The decision's line, written where the last one was and then copied at its length.
fn written(decision: &Decision) -> Box<str> {
    thread_local! {
        static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
    }
    SCRATCH.with_borrow_mut(|text| {
        text.clear();
        decision.write_compact(text);
        let line = Box::from(text.as_str());
        text.shrink_to(LARGEST_SCRATCH);
        line
    })
}

/// The plan of a decision.
///
/// # Errors
/// What the client is told when there is none: whose fault, and the reasons.
pub(crate) fn require_plan(decision: Decision, allow: &AllowList) -> Result<Plan, ClientError> {
    let none = match decision.plan {
        Ok(plan) => return Ok(plan),
        Err(none) => none,
    };
    let code = match none {
        NoPlan::RouteNotAllowed { .. } => ErrorCode::NotAllowed,
        _ => refusal::code(&decision.rejections, &decision.fleet),
    };
    let mut message = none.to_string();
    for rejection in decision.rejections.iter().take(TOLD_REJECTIONS) {
        let id = &decision.fleet.deployment(rejection.deployment).id;
        message.push_str(&format!("; {id}: {}", rejection.reason));
    }
    if decision.rejections.len() > TOLD_REJECTIONS {
        message.push_str(&format!("; and {} more", decision.rejections.len() - TOLD_REJECTIONS));
    }
    message.push_str(&refusal::way_out(&decision.rejections, &decision.fleet, allow));
    Err(ClientError::new(code, message).at("model"))
}
