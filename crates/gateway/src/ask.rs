//! Questions of our own to a model: a judge's verdict on an answer, a second opinion.
//!
//! Owns turning a question into a request like any other and noting what it cost on the request it is asked for. Must not choose
//! whom to ask: it takes what the filter let through. The question travels through the same codecs, health and limits as a
//! client's request, so a judge may be of any provider.

use crate::admit::Admitted;
use crate::attempt::{self, Lost, Opened};
use crate::case::Case;
use crate::effort::EffortOrder;
use crate::endpoint::StreamForm;
use crate::options::Options;
use crate::prompt::BodyPrompt;
use crate::state::{Gateway, Generation};
use crate::subject::Subject;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use std::sync::{Arc, OnceLock};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_model::record::AttemptKind;
use trunkline_route::caller::Caller;
use trunkline_route::cascade::Answer;
use trunkline_route::drive::{Attempt, AttemptNumber};
use trunkline_route::features::Prompt;
use trunkline_route::plan::{EligibleDeployment, Leg, Timeouts};
use trunkline_route::policy::Route;
use trunkline_wire::codec::PathParts;
use trunkline_wire::dispatch;

/// Whom to ask at the most before giving up.
const MOST_ASKED: usize = 2;

/// A question.
pub(crate) struct Question {
    /// What is to be done.
    pub instruction: String,
    /// With what.
    pub material: String,
    /// Name and JSON Schema of the answer.
    pub schema: Option<(&'static str, String)>,
    /// In tokens.
    pub longest_answer: u32,
    /// What it is for, in the record.
    pub kind: AttemptKind,
    /// Number of its first call in the record.
    pub first_number: u32,
    /// When the answer must be there.
    pub deadline: Moment,
}

/// Asks the first that answers. What it costs is noted on the case.
///
/// # Errors
/// The last failure.
pub(crate) async fn ask(
    gateway: &Arc<Gateway>,
    asked_for: &Admitted,
    case: &mut Case,
    whom: &[EligibleDeployment],
    question: &Question,
) -> Result<String, Failure> {
    let admitted = request(asked_for, question)?;
    let subject = Subject::beside(&admitted, case.id());
    let mut last = Failure::new(FailureClass::LocalLimit, "nobody who may be asked is there");
    for (position, deployment) in (0_u32..).zip(whom.iter().take(MOST_ASKED)) {
        let left = question.deadline.since(gateway.clock.now());
        let times = Timeouts::default().for_request(Operation::Chat, Delivery::Plain);
        let attempt = Attempt {
            number: AttemptNumber(question.first_number + position),
            leg: Leg { deployment: *deployment, tier: Name::from(question.kind.name()) },
            kind: question.kind,
            connect: times.connect.min(left),
            first_token: times.first_token.min(left),
            between_tokens: times.between_tokens.min(left),
            deadline: question.deadline,
            hedge: None,
        };
        note_begun(&subject, case, &attempt);
        match attempt::open(gateway, &subject, attempt).await {
            Ok(opened) => {
                let text = opened.relay.answer().map(|answer| answer.text.clone()).unwrap_or_default();
                conclude(gateway, case, *opened);
                return Ok(text);
            }
            Err(lost) => {
                last = lost.failure.clone();
                note_lost(gateway, case, *lost);
            }
        }
    }
    Err(last)
}

/// Notes that a call beside the attempt machine begins.
pub(crate) fn note_begun(subject: &Subject<'_>, case: &mut Case, attempt: &Attempt) {
    let deployment = subject.generation().snapshot.fleet.deployment(attempt.leg.deployment.index());
    let entry = deployment.entry.as_ref();
    case.begin(attempt.number, &deployment.id, attempt.kind, entry, subject.estimated_usage());
}

/// Notes that such a call was answered.
pub(crate) fn conclude(gateway: &Gateway, case: &mut Case, opened: Opened) {
    let Opened { attempt, call, relay, mut facts, .. } = opened;
    let summary = relay.summary();
    facts.usage = summary.usage;
    facts.output_bytes = summary.output_bytes;
    facts.beginning = summary.excerpt();
    if let Some(call) = call {
        call.succeeded(facts.usage.map(|usage| usage.total()), gateway.clock.now());
    }
    case.end(attempt.number, facts.end(None));
}

/// Notes that such a call failed.
pub(crate) fn note_lost(gateway: &Gateway, case: &mut Case, lost: Lost) {
    gateway.metrics.attempt_failed(lost.failure.class);
    case.end(lost.attempt.number, lost.facts.end(Some(lost.failure)));
}

/// What a judge is shown of a request: its last user text.
#[must_use]
pub(crate) fn visible_text(admitted: &Admitted) -> String {
    let prompt = BodyPrompt::new(admitted.dialect, admitted.operation, &admitted.envelope, &admitted.body);
    let system = prompt.system_text();
    let user = prompt.last_user_text();
    if system.is_empty() { user.into_owned() } else { format!("{system}\n\n{user}") }
}

/// What a judge is shown of an answer: its text and its tool calls.
#[must_use]
pub(crate) fn shown_answer(answer: &Answer) -> String {
    let mut shown = answer.text.clone();
    for call in &answer.calls {
        if !shown.is_empty() {
            shown.push('\n');
        }
        shown.push_str(&format!("[calls {} with {}]", call.name, call.arguments));
    }
    shown
}

/// The question as a request, on behalf of whom it is asked for.
fn request(asked_for: &Admitted, question: &Question) -> Result<Admitted, Failure> {
    let mut body = json!({
        "model": "question",
        "messages": [
            { "role": "system", "content": question.instruction },
            { "role": "user", "content": question.material },
        ],
        "max_completion_tokens": question.longest_answer,
    });
    if let Some((name, schema)) = &question.schema {
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap_or_default();
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": { "name": name, "schema": schema, "strict": true },
        });
    }
    admitted(asked_for, Operation::Chat, &body)
}

/// A request of our own, on behalf of whom it is made for.
///
/// # Errors
/// When its body is none of that operation.
pub(crate) fn admitted(
    asked_for: &Admitted,
    operation: Operation,
    body: &serde_json::Value,
) -> Result<Admitted, Failure> {
    let (generation, route) = (&asked_for.generation, Arc::clone(&asked_for.route));
    Ok(Admitted { caller: asked_for.caller.clone(), ..standing_alone(generation, route, operation, body)? })
}

/// A request of our own on nobody's behalf.
///
/// # Errors
/// As [`admitted`].
pub(crate) fn standing_alone(
    generation: &Arc<Generation>,
    route: Arc<Route>,
    operation: Operation,
    body: &serde_json::Value,
) -> Result<Admitted, Failure> {
    let body = Bytes::from(body.to_string());
    let path = PathParts::default();
    let envelope = dispatch::envelope(Dialect::OpenAi, operation, &body, &path)
        .map_err(|error| Failure::new(FailureClass::BadRequest, error.message))?;
    Ok(Admitted {
        generation: Arc::clone(generation),
        dialect: Dialect::OpenAi,
        operation,
        path,
        stream_form: StreamForm::Events,
        headers: HeaderMap::new(),
        options: Options::default(),
        body,
        envelope,
        route,
        caller: Caller::default(),
        strict: false,
        effort: EffortOrder::default(),
        turn: None,
        echo: None,
        maker: None,
        supply: OnceLock::new(),
    })
}
