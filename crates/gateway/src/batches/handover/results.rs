//! Results of a provider's batch, as the answers they are.
//!
//! Owns the way from a result to the line of the client's batch and to the record. Must not fetch anything. A result goes through the
//! answer path of every request, so it is translated and metered as one; it is on the disk before it counts. What cannot be told to
//! the client, though it was answered and paid for, is recorded as failed, and its line is sent by itself.

use super::super::details::target;
use super::super::line::{self, Order, Way};
use super::decision::Note;
use super::schedule::Desk;
use super::{line_number, write};
use crate::accept;
use crate::admit::Admitted;
use crate::body::{AnswerBody, Rope};
use crate::case::{AttemptEnd, Case};
use crate::clock;
use crate::planning;
use crate::relay::Relay;
use crate::responses::{Keeper, Served, keep};
use crate::series::word;
use crate::state::Gateway;
use crate::subject::Subject;
use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use std::collections::HashMap;
use std::sync::Arc;
use trunkline_model::catalogue::ServiceTier;
use trunkline_model::error::ClientError;
use trunkline_model::excerpt::Excerpt;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::Name;
use trunkline_model::record::{AttemptKind, Outcome, PhaseTimes};
use trunkline_model::usage::Usage;
use trunkline_providers::batch::{TheirEnd, TheirResult};
use trunkline_route::drive::AttemptNumber;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_store::{ClaimedLine, HandedLine, HandedResult, LineEnd, LineUsage, Return, StoredHandover};
use trunkline_wire::relayed;

/// There is one attempt.
const NUMBER: AttemptNumber = AttemptNumber(1);

/// Writes a page of results down and records them.
pub(super) async fn settle(
    gateway: &Arc<Gateway>,
    desk: &Desk,
    order: &Order,
    handover: &StoredHandover,
    page: Vec<TheirResult>,
) {
    let mut ends: HashMap<u64, TheirEnd> = page
        .into_iter()
        .filter_map(|result| Some((line_number(&handover.id, &result.name)?, result.end)))
        .collect();
    let numbers: Vec<u64> = ends.keys().copied().collect();
    let of = handover.clone();
    let lines = write(gateway, move |store| store.handed_lines(&of, &numbers)).await;
    let (mut results, mut cases, mut failed, mut not_run) =
        (Vec::new(), HashMap::new(), Vec::new(), Vec::new());
    for handed in lines {
        let number = handed.line.number;
        match ends.remove(&number) {
            Some(TheirEnd::Answered(body, name)) => {
                match answer(gateway, order, handover, &handed, body, name).await {
                    Some((case, result, usage)) => {
                        results.push(HandedResult { number, end: LineEnd::Succeeded, result, usage });
                        cases.insert(number, case);
                    }
                    None => failed.push(number),
                }
            }
            Some(TheirEnd::Failed(why)) => {
                tracing::info!(
                    batch = order.id,
                    line = number,
                    why,
                    "a provider's batch has no answer to a line"
                );
                failed.push(number);
            }
            Some(TheirEnd::NotRun) => not_run.push(number),
            None => {}
        }
    }
    let of = handover.clone();
    let returned = failed.len() + not_run.len();
    let written = write(gateway, move |store| {
        store.return_lines(&of, Some(&failed), Return::Failed)?;
        store.return_lines(&of, Some(&not_run), Return::NotSent)?;
        store.finish_handed(&of, &results)
    })
    .await;
    desk.count(&desk.answered, written.len());
    desk.count(&desk.returned, returned);
    gateway.queue.answered(written.len() as u64);
    for number in written {
        if let Some(mut case) = cases.remove(&number) {
            case.finish(Outcome::Served);
        }
    }
    // What had its result already was recorded then.
    cases.into_values().for_each(|mut case| case.forget());
}

async fn answer(
    gateway: &Arc<Gateway>,
    order: &Order,
    handover: &StoredHandover,
    handed: &HandedLine,
    body: Bytes,
    name: Option<String>,
) -> Option<(Case, Vec<u8>, Option<LineUsage>)> {
    let generation = gateway.generation();
    let (dialect, operation, path) = target(&order.details.endpoint)?;
    let note: Note = serde_json::from_str(&handed.note).ok()?;
    let index = generation.snapshot.fleet.find(&handover.deployment)?;
    let line = &handed.line;
    let place = gateway.enter(u32::MAX)?;
    let (id, version) = (note.id, generation.snapshot.version);
    let mut case = Case::open(Arc::clone(gateway), place, id, dialect, operation, version);
    case.has_waited(clock::unix_milliseconds().saturating_sub(id.unix_milliseconds()).saturating_mul(1_000));
    case.record.key = (!order.owner.is_empty()).then(|| Name::from(order.owner.as_str()));
    case.record.tier = Some(Arc::clone(&note.tier));
    case.record.decided_by.clone_from(&note.decided_by);
    case.record.decision.clone_from(&note.decision);
    case.record.warnings.clone_from(&note.warnings);
    let written = accept::Written { dialect, operation, path, headers: line::headers(order, line) };
    let way = Way::Together(handover.upstream.as_deref());
    let admitted = line::admit(gateway, &generation, order, line, written, &mut case, way).await;
    let estimated = admitted.as_ref().map_or(0, |admitted| admitted.envelope.shape.estimated_input_tokens());
    begin(&mut case, &generation, index, estimated);
    let read = match admitted {
        Ok(admitted) => {
            case.record.asked = Some(Box::new(planning::asked(&admitted)));
            read(gateway, &admitted, index, &note, &body, &mut case).await
        }
        Err(error) => Err(Unread::Refused(error)),
    };
    match read {
        Ok((told, usage)) => {
            case.record.status = 200;
            case.record.response_bytes = told.len() as u64;
            case.end(NUMBER, ended(usage, body.len(), name, None));
            let result = line::written(order, line, id, 200, &told);
            Some((case, result, usage.as_ref().map(line::line_usage)))
        }
        Err(unread) => {
            note_unread(order, line, &mut case, &unread);
            let failure = Failure::new(FailureClass::Malformed, unread.message());
            case.end(NUMBER, ended(relayed::usage_told(&body), body.len(), name, Some(failure)));
            case.finish(Outcome::Failed);
            None
        }
    }
}

/// Why an answer that came cannot be told.
enum Unread {
    /// The request is no longer one that may be served.
    Refused(ClientError),
    /// It is not what the provider's protocol says.
    Malformed(Failure),
}

impl Unread {
    fn message(&self) -> String {
        match self {
            Self::Refused(error) => {
                format!("the answer came, and the request is no longer served: {}", error.message)
            }
            Self::Malformed(failure) => failure.message.clone(),
        }
    }
}

fn note_unread(order: &Order, line: &ClaimedLine, case: &mut Case, unread: &Unread) {
    let error = match unread {
        Unread::Refused(error) => error.clone(),
        Unread::Malformed(failure) => ClientError::from_failure(failure, Vec::new()),
    };
    tracing::warn!(batch = order.id, line = line.number, "a result cannot be told: {}", unread.message());
    case.note_error(&error);
}

fn begin(
    case: &mut Case,
    generation: &crate::state::Generation,
    index: DeploymentIndex,
    estimated_input: u64,
) {
    let deployment = generation.snapshot.fleet.deployment(index);
    case.record.deployment = Some(Arc::clone(&deployment.id));
    case.record.provider = Some(Arc::clone(&deployment.provider));
    case.record.model = Some(Arc::clone(&deployment.model));
    let entry = deployment.entry.as_ref();
    case.begin(
        NUMBER,
        &deployment.id,
        AttemptKind::Batch,
        entry,
        Usage { input: estimated_input, ..Usage::default() },
    );
    case.serve_as(NUMBER, ServiceTier::Batch);
}

fn ended(
    usage: Option<Usage>,
    bytes: usize,
    upstream_request_id: Option<String>,
    failure: Option<Failure>,
) -> AttemptEnd {
    AttemptEnd {
        failure,
        status: Some(200),
        upstream_request_id: upstream_request_id.map(|id| id.chars().take(100).collect()),
        phases: PhaseTimes::default(),
        usage,
        output_bytes: bytes as u64,
        beginning: Excerpt::default(),
        worked: true,
    }
}

/// The answer in the client's protocol, and its tokens.
async fn read(
    gateway: &Gateway,
    admitted: &Admitted,
    index: DeploymentIndex,
    note: &Note,
    body: &Bytes,
    case: &mut Case,
) -> Result<(Bytes, Option<Usage>), Unread> {
    let subject = Subject::answered(admitted, case.id());
    let mut relay = Relay::new(&subject.relay_context(index, &note.tier));
    let mut held = Rope::new();
    let pushed = relay.push(body.clone(), &mut held).and_then(|_| relay.end(&mut held));
    pushed.map_err(Unread::Malformed)?;
    let summary = relay.summary();
    case.record.finish = summary.finish.map(|finish| word(finish.name()));
    let usage = summary.usage;
    let mut response = Response::new(AnswerBody::rope(held));
    if let Some(turn) = &admitted.turn {
        let deployment = admitted.generation.snapshot.fleet.deployment(index);
        let served = Served {
            deployment: Some(deployment.id.to_string()),
            provider: Some(deployment.provider.to_string()),
            is_passed: relay.passes(),
        };
        response = keep(Keeper::new(gateway.responses.clone(), Arc::clone(turn), served), response);
    }
    let cut = |_| Unread::Malformed(Failure::new(FailureClass::Cut, "the answer could not be made"));
    Ok((response.into_body().collect().await.map_err(cut)?.to_bytes(), usage))
}
