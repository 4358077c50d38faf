//! Deciding one past request again.
//!
//! Owns the way from a record to `decide` and back. Must not weigh outcomes.

use super::known::Known;
use crate::draw::Draw;
use crate::past;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use trunkline_config::Snapshot;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::record::RequestRecord;
use trunkline_model::shape::Shape;
use trunkline_route::balance::Rotation;
use trunkline_route::caller::{AllowList, Caller, PinnedBy};
use trunkline_route::decide::{DecideInput, decide_with};
use trunkline_route::decision::{Decision, NoAnswer, StepOutcome};
use trunkline_route::explain::{Explanation, Recalled};
use trunkline_route::features::{Prompt, WallClock};
use trunkline_route::policy::Route;
use trunkline_route::steps::{GivenAnswer, StepKind};

/// A request that was decided again.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The deployment the log's decision put first.
    pub from: Name,
    /// Its tier.
    pub from_tier: Name,
    /// The probability with which the log's policy did so.
    pub propensity: f64,
    /// The deployment the policy puts first, and its tier; `None` when it refuses the request.
    pub to: Option<(Name, Name)>,
    /// What decided now.
    pub by: Name,
    /// The quality the policy's own step expects, where one does.
    pub expected_quality: Option<f64>,
    /// The probability of each first choice under the policy.
    pub target: Vec<(Name, f64)>,
    /// What may bear on the outcome: sizes and wishes, as numbers.
    pub context: Vec<f64>,
}

/// A decision that would be another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The request.
    pub id: String,
    /// When it came, Unix milliseconds.
    pub unix_milliseconds: u64,
    /// Its route.
    pub route: String,
    /// The log's first choice.
    pub from: String,
    /// Its tier.
    pub from_tier: String,
    /// The policy's first choice; `None` when it refuses.
    pub to: Option<String>,
    /// Its tier.
    pub to_tier: Option<String>,
    /// The step that decides now.
    pub decided_by: String,
    /// What the request cost in dollars.
    pub cost_usd: Option<f64>,
    /// What it would cost in dollars, by the tokens it used.
    pub expected_cost_usd: Option<f64>,
    /// The mean measured quality of the new choice, or what the policy expects of it.
    pub expected_quality: Option<f64>,
}

/// What came of the attempt to decide again.
pub(super) enum Again {
    /// It could be.
    Decided(Box<Decided>),
    /// It could not, and why.
    LeftOut(Cow<'static, str>),
}

/// Further draws to find the probabilities of choices that hang on the seed.
const DRAWS: u64 = 32;
/// A moment of the replay: far enough from the origin for anything that looks back.
const NOW: Moment = Moment::from_micros(1_000_000_000);

/// The kept text of a request's last turn. What stood in its system prompt nobody kept.
struct KeptText(String);

impl Prompt for KeptText {
    fn last_user_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn system_text(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn has_system_text(&self) -> bool {
        false
    }
}

pub(super) fn redecide(
    record: &RequestRecord,
    policy: &Snapshot,
    prompts: &dyn Fn(RequestId) -> Option<String>,
) -> Again {
    let Some(text) = &record.decision else {
        return Again::LeftOut("it was refused before any decision".into());
    };
    let Ok(old) = serde_json::from_str::<Explanation>(text) else {
        return Again::LeftOut("its decision is written in a form that this release does not read".into());
    };
    let Some(asked) = &record.asked else {
        return Again::LeftOut("its shape is not in the log (written by an older release)".into());
    };
    if asked.more {
        return Again::LeftOut(
            "it was decided with preferences, metadata or headers, which the log does not keep".into(),
        );
    }
    let Some(from) = old.plan.as_ref().and_then(|plan| plan.legs.first()) else {
        return Again::LeftOut("nothing could serve it when it came".into());
    };
    let Some(route) = find_route(record, policy) else {
        let name = record.route.as_deref().unwrap_or(&record.requested_model);
        return Again::LeftOut(format!("the policy has no route or model `{name}`").into());
    };
    let (shape, caller) = (past::shape(record), caller(record, policy));
    let views = Recalled::of(&old, &policy.fleet, NOW);
    let turn = old.turn.unwrap_or(0);
    // Most routes read no text, and most logs keep none.
    let prompt = reads_text(&route).then(|| prompts(record.id)).flatten().map(KeptText);
    let of = Of { record, policy, route: &route, shape: &shape, caller: &caller, prompt: prompt.as_ref() };
    let ask = |seed, turn| decide_past(&of, &views, (seed, turn));
    let decision = ask(record.id.seed(), turn);
    let answers = views.answers(&route, policy.version);
    if let Some((step, why)) = silent(&decision, &answers, prompt.is_some()) {
        return Again::LeftOut(
            format!("its decision hangs on the step `{step}`, which the log holds too little for: {why}")
                .into(),
        );
    }
    let target =
        target(&decision, |draw| ask(Draw::of(record.id.seed(), draw).bits(), turn.wrapping_add(draw)));
    Again::Decided(Box::new(Decided {
        from: Name::from(&**from),
        from_tier: old.tier.as_deref().unwrap_or_default().into(),
        propensity: old.propensity,
        to: first(&decision).zip(decision.tier.clone()),
        by: decision.decided_by.name().into(),
        expected_quality: decision.expected.and_then(|expected| expected.quality),
        target,
        context: context(&shape),
    }))
}

/// A past request under a policy.
struct Of<'a> {
    record: &'a RequestRecord,
    policy: &'a Snapshot,
    route: &'a Route,
    shape: &'a Shape,
    caller: &'a Caller,
    prompt: Option<&'a KeptText>,
}

/// Whether a route has steps that may read the prompt.
fn reads_text(route: &Route) -> bool {
    route.steps().iter().any(|step| matches!(step.kind, StepKind::Custom(_) | StepKind::When { .. }))
}

fn decide_past(of: &Of<'_>, views: &Recalled, (seed, turn): (u64, u64)) -> Decision {
    let Of { record, policy, route, shape, caller, prompt } = *of;
    let input = DecideInput {
        id: record.id,
        fleet: &policy.fleet,
        views,
        route,
        shape,
        prompt: prompt.map(|prompt| prompt as &dyn Prompt),
        caller,
        clock: WallClock::from_unix(record.id.unix_milliseconds() / 1_000, 0),
        now: NOW,
        seed,
        rotation: Rotation::Fixed(turn),
        config_version: policy.version,
    };
    decide_with(&input, &views.answers(route, policy.version))
}

/// The route of the same name, or the model that was named directly.
fn find_route(record: &RequestRecord, policy: &Snapshot) -> Option<Arc<Route>> {
    let name = record.route.as_ref()?;
    if let Some(route) = policy.routes.find(name) {
        return Some(Arc::clone(route));
    }
    let named = policy.fleet.named(name);
    (!named.is_empty()).then(|| Arc::new(Route::direct(Arc::clone(name), named)))
}

/// The caller, with what the policy lets its key use or pins it to.
fn caller(record: &RequestRecord, policy: &Snapshot) -> Caller {
    let mut caller = past::caller(record);
    let key = policy.keys.iter().find(|key| Some(&key.name) == record.key.as_ref());
    caller.allow = key.map_or_else(AllowList::default, |key| key.allow.clone());
    if let Some(pin) = key.and_then(|key| key.pin.clone()) {
        (caller.pin, caller.pinned_by) = (Some(pin), PinnedBy::Key);
    }
    caller
}

/// A step that was asked and could not tell: without the text nobody knows what it would have said, unless it is written what it
/// did say; and nobody is asked for a label or a vector in a replay. With the text, what it says in its own words is its answer.
fn silent<'a>(
    decision: &'a Decision,
    answers: &[GivenAnswer],
    has_text: bool,
) -> Option<(&'a Name, Cow<'a, str>)> {
    let unknown = |step: &Name| answers.iter().all(|answer| answer.step != *step);
    decision.steps.iter().find_map(|trace| match &trace.outcome {
        StepOutcome::NoAnswer(NoAnswer::Stated(why)) if !has_text && unknown(&trace.step) => {
            Some((&trace.step, Cow::Borrowed(&**why)))
        }
        StepOutcome::NoAnswer(why @ (NoAnswer::NotAsked | NoAnswer::NotEncoded)) if unknown(&trace.step) => {
            Some((&trace.step, why.to_string().into()))
        }
        _ => None,
    })
}

fn first(decision: &Decision) -> Option<Name> {
    let leg = decision.plan.as_ref().ok()?.legs.first()?;
    Some(Arc::clone(decision.deployment_name(leg.deployment.index())))
}

/// The probability of each first choice. A decision states that of its own; the others are found by drawing again.
fn target(decision: &Decision, again: impl Fn(u64) -> Decision) -> Vec<(Name, f64)> {
    let mut target: Vec<(Name, f64)> = Vec::new();
    let mut note = |decision: &Decision| {
        if let Some(first) = first(decision)
            && !target.iter().any(|(known, _)| *known == first)
        {
            target.push((first, decision.propensity));
        }
        target.iter().map(|(_, share)| share).sum::<f64>()
    };
    let mut sum = note(decision);
    for draw in 1..=DRAWS {
        if sum >= 0.999 || decision.plan.is_err() {
            break;
        }
        sum = note(&again(draw));
    }
    if sum > 1.0 {
        target.iter_mut().for_each(|(_, share)| *share /= sum);
    }
    target
}

/// What may bear on the outcome of a request, as numbers of similar size.
fn context(shape: &Shape) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "sizes on a logarithmic scale")]
    let size = |bytes: u64| (bytes as f64 + 1.0).ln();
    let flag = |value: bool| f64::from(u8::from(value));
    vec![
        size(shape.text_bytes),
        size(shape.max_output_tokens.unwrap_or(0)),
        f64::from(shape.messages.min(100)).sqrt(),
        flag(shape.tools > 0),
        flag(shape.images + shape.documents + shape.audio + shape.videos > 0),
        flag(shape.wants_json || shape.wants_schema),
        flag(shape.wants_reasoning),
        flag(shape.delivery.is_stream()),
    ]
}

/// The difference between both decisions, if there is one.
pub(super) fn change(
    record: &RequestRecord,
    decided: &Decided,
    policy: &Snapshot,
    known: &Known,
) -> Option<Change> {
    if decided.to.as_ref().is_some_and(|(to, tier)| *to == decided.from && *tier == decided.from_tier) {
        return None;
    }
    let to = decided.to.as_ref();
    Some(Change {
        id: record.id.to_string(),
        unix_milliseconds: record.id.unix_milliseconds(),
        route: record.route.as_deref().unwrap_or_default().to_owned(),
        from: decided.from.to_string(),
        from_tier: decided.from_tier.to_string(),
        to: to.map(|(to, _)| to.to_string()),
        to_tier: to.map(|(_, tier)| tier.to_string()),
        decided_by: decided.by.to_string(),
        cost_usd: record.cost.amount.map(trunkline_model::money::NanoDollars::to_f64),
        expected_cost_usd: to.and_then(|(to, _)| known.cost(record, to, policy)),
        expected_quality: decided.expected_quality.or_else(|| to.and_then(|(to, _)| known.quality(to))),
    })
}

impl Change {
    /// Whether the tier is another one, and not only the deployment.
    #[must_use]
    pub fn changes_tier(&self) -> bool {
        self.to_tier.as_deref() != Some(&*self.from_tier)
    }
}
