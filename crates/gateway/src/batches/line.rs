//! One line, from the queue through the stages every request goes through.
//!
//! Owns what stands in for a client: the key's name instead of the key, the batch's headers, and a reader of the answer. Must not
//! write into the store: it says how the line ended or why it has to wait.

use super::details::{ANTHROPIC, Details, target};
use super::{anthropic, headroom, openai};
use crate::accept;
use crate::admit::{self, Admitted};
use crate::authenticate::Identified;
use crate::body::AnswerBody;
use crate::case::{self, Case};
use crate::options;
use crate::pipeline;
use crate::respond;
use crate::responses::{self, Keeper, keep};
use crate::state::{Gateway, Generation};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::usage::Usage;
use trunkline_route::view::Views;
use trunkline_store::{ClaimedLine, LineEnd, LineUsage};
use trunkline_wire::relayed;

/// How often a line is sent that fails in a way that may pass.
const MOST_ATTEMPTS: u32 = 3;
/// The longest wait between two attempts that nobody asked for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// A batch as its lines need it.
pub(super) struct Order {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) kind: String,
    pub(super) details: Details,
}

/// What came of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has its result, and its tokens where the answer tells them.
    Done(LineEnd, Vec<u8>, Option<LineUsage>),
    /// It goes back into the queue, and with it all lines to the same target.
    Later {
        /// For at least so long.
        wait: Duration,
        /// It was sent.
        attempted: bool,
    },
}

/// An answer, or what is in its place.
struct Answer {
    status: u16,
    code: Option<ErrorCode>,
    body: Vec<u8>,
}

/// Sends a line and waits for what comes of it.
pub(super) async fn perform(gateway: &Arc<Gateway>, order: &Order, line: &ClaimedLine) -> Outcome {
    let generation = gateway.generation();
    let id = case::new_id();
    let Some((dialect, operation, path)) = target(&order.details.endpoint) else {
        let error = ClientError::new(ErrorCode::NotFound, "the endpoint of the batch is no longer served");
        return done(order, line, id, &failed(Dialect::OpenAi, id, &error));
    };
    // Lines have a bound of their own, below that of clients.
    let Some(place) = gateway.enter(u32::MAX) else {
        return Outcome::Later { wait: Duration::from_secs(1), attempted: false };
    };
    let version = generation.snapshot.version;
    let mut case = Case::open(Arc::clone(gateway), place, id, dialect, operation, version);
    case.record.key = (!order.owner.is_empty()).then(|| Name::from(order.owner.as_str()));
    let written = accept::Written { dialect, operation, path, headers: headers(order, line) };
    let admitted = match admit(gateway, &generation, order, line, written, &mut case, Way::Alone).await {
        Ok(admitted) => admitted,
        Err(error) => {
            if let Some(wait) = patience(error.code, error.retry_after, line.attempts) {
                case.forget();
                return Outcome::Later { wait, attempted: error.code != ErrorCode::RateLimited };
            }
            case.refused(&error);
            return done(order, line, id, &failed(dialect, id, &error));
        }
    };
    if let Some(wait) = room(gateway, &admitted) {
        case.forget();
        return Outcome::Later { wait, attempted: false };
    }
    let turn = admitted.turn.clone();
    let answer = match Box::pin(pipeline::perform_admitted(gateway, admitted, case)).await {
        Ok((served, response)) => {
            let response = match turn {
                Some(turn) => keep(Keeper::new(gateway.responses.clone(), turn, served), response),
                None => response,
            };
            read(dialect, id, response).await
        }
        Err(error) => {
            if let Some(wait) = patience(error.code, error.retry_after, line.attempts) {
                return Outcome::Later { wait, attempted: true };
            }
            failed(dialect, id, &error)
        }
    };
    if let Some(wait) = answer.code.and_then(|code| patience(code, None, line.attempts)) {
        return Outcome::Later { wait, attempted: true };
    }
    done(order, line, id, &answer)
}

/// How a line is sent.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// As a request of its own.
    Alone,
    /// With others, through a provider's batch API, and the name it has there once it has one. Rate limits hold requests of a moment
    /// back, and it is none: what it costs is recorded, and no limit of requests or tokens in a minute counts it.
    Together(Option<&'a str>),
}

/// Takes a line through the stages that stand before every plan.
///
/// # Errors
/// What the line's client is told.
pub(super) async fn admit(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    order: &Order,
    line: &ClaimedLine,
    written: accept::Written,
    case: &mut Case,
    way: Way<'_>,
) -> Result<Box<Admitted>, ClientError> {
    let identified = identify(generation, &order.owner)?;
    let mut options = options::read(&written.headers)?;
    // What a batch is made with `dry_run` for would be its decision, and a line has no place for one.
    options.dry_run = false;
    if let Way::Together(theirs) = way {
        options.unlimited = true;
        options.tags.extend(theirs.map(|theirs| (Name::from("batch_api"), Name::from(theirs))));
    }
    options.tags.push((Name::from("batch"), Name::from(order.id.as_str())));
    options.tags.push((Name::from("batch_line"), Name::from(line.number.to_string())));
    if line.attempts > 0 {
        options.tags.push((Name::from("batch_attempt"), Name::from((line.attempts + 1).to_string())));
    }
    if line.interrupted > 0 {
        // The process ended while it was under way: it may have been answered, and paid for, before.
        options.tags.push((Name::from("batch_interrupted"), Name::from(line.interrupted.to_string())));
    }
    let accepted = accept::understand(gateway, written, options, line.request.clone(), case)?;
    if accepted.envelope.shape.delivery.is_stream() {
        let message = "stream: a line of a batch cannot be streamed; leave it out";
        return Err(ClientError::new(ErrorCode::InvalidRequest, message).at("stream"));
    }
    let accepted = responses::expand(gateway, accepted, &identified, case.id()).await?;
    if accepted.turn.as_ref().is_some_and(|turn| turn.background) {
        let message = "background: a line of a batch runs in the background anyway; leave it out";
        return Err(ClientError::new(ErrorCode::InvalidRequest, message).at("background"));
    }
    admit::admit(gateway, generation, accepted, &identified, case)
}

/// The key under which the batch was made, as it is configured now.
fn identify(generation: &Generation, owner: &str) -> Result<Identified, ClientError> {
    let ring = &generation.snapshot.keys;
    if owner.is_empty() && ring.is_empty() {
        return Ok(Identified { key: None });
    }
    match ring.iter().find(|key| &*key.name == owner) {
        Some(key) if !key.revoked => Ok(Identified { key: Some(Arc::clone(key)) }),
        Some(_) => {
            let message = format!("the virtual key `{owner}`, under which the batch was made, was revoked");
            Err(ClientError::new(ErrorCode::InvalidVirtualKey, message))
        }
        None => {
            let message =
                format!("the virtual key `{owner}`, under which the batch was made, is no longer there");
            Err(ClientError::new(ErrorCode::InvalidVirtualKey, message))
        }
    }
}

/// The batch's headers, with a name for this attempt by which a provider that looks at it knows a repetition.
pub(super) fn headers(order: &Order, line: &ClaimedLine) -> HeaderMap {
    let mut headers = order.details.header_map();
    headers.remove("x-trunkline-dry-run");
    let tries = line.attempts - line.interrupted.min(line.attempts);
    let name = format!("{}-{}-{tries}", order.id, line.number);
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(HeaderName::from_static("idempotency-key"), name);
    }
    headers
}

/// How long the line leaves its room to live requests.
fn room(gateway: &Gateway, admitted: &Admitted) -> Option<Duration> {
    let generation = &admitted.generation;
    let share = generation.snapshot.server.batches.headroom;
    let now = gateway.clock.now();
    let tiers = admitted.route.tiers().iter().map(|tier| tier.deployments.iter().copied());
    headroom::wait(tiers, |index| generation.health.view(index, now), share, now)
}

/// How long to wait before a line is sent again after an error; `None` when the error is its result. What a limit holds back is
/// tried until the batch's time is over; what failed, a few times.
fn patience(code: ErrorCode, asked: Option<Duration>, attempts: u32) -> Option<Duration> {
    let backoff = Duration::from_secs(1).saturating_mul(5_u32.saturating_pow(attempts)).min(LONGEST_BACKOFF);
    match code {
        ErrorCode::RateLimited | ErrorCode::UpstreamRateLimited | ErrorCode::Overloaded => {
            Some(asked.unwrap_or(backoff))
        }
        ErrorCode::UpstreamFailed | ErrorCode::Timeout | ErrorCode::NoEligibleDeployment
            if attempts + 1 < MOST_ATTEMPTS =>
        {
            Some(backoff)
        }
        _ => None,
    }
}

fn failed(dialect: Dialect, id: RequestId, error: &ClientError) -> Answer {
    let body = trunkline_wire::dispatch::encode_error(dialect, error, id).to_vec();
    Answer { status: respond::status(dialect, error), code: Some(error.code), body }
}

/// Reads an answer to its end, which is what keeps its provider answering.
async fn read(dialect: Dialect, id: RequestId, response: Response<AnswerBody>) -> Answer {
    let status = response.status();
    if let (StatusCode::OK, Ok(collected)) = (status, response.into_body().collect().await) {
        return Answer { status: 200, code: None, body: collected.to_bytes().to_vec() };
    }
    // An answer that broke off is told as an error in place of it.
    let error = ClientError::new(ErrorCode::UpstreamFailed, "the answer could not be made");
    failed(dialect, id, &error)
}

fn done(order: &Order, line: &ClaimedLine, id: RequestId, answer: &Answer) -> Outcome {
    let end = if answer.status == 200 { LineEnd::Succeeded } else { LineEnd::Errored };
    let usage = relayed::usage_told(&answer.body).filter(|_| end == LineEnd::Succeeded);
    let result = written(order, line, id, answer.status, &answer.body);
    Outcome::Done(end, result, usage.as_ref().map(line_usage))
}

/// Tokens as batches tell them.
pub(super) const fn line_usage(usage: &Usage) -> LineUsage {
    LineUsage {
        input: usage.prompt(),
        cached: usage.cache_read,
        output: usage.output.saturating_add(usage.reasoning),
        reasoning: usage.reasoning,
    }
}

/// The line of results of a line that was answered.
pub(super) fn written(order: &Order, line: &ClaimedLine, id: RequestId, status: u16, body: &[u8]) -> Vec<u8> {
    if order.kind == ANTHROPIC {
        let end = if status == 200 { LineEnd::Succeeded } else { LineEnd::Errored };
        anthropic::answered(&line.custom_id, end, body)
    } else {
        openai::answered(&id.to_string(), &line.custom_id, status, body)
    }
}

/// What is told of a line that ended in a defect of ours.
pub(super) fn broken(order: &Order, line: &ClaimedLine) -> Outcome {
    let message = "the gateway failed on this request; its log holds the reason";
    let dialect = if order.kind == ANTHROPIC { Dialect::Anthropic } else { Dialect::OpenAi };
    let id = case::new_id();
    done(order, line, id, &failed(dialect, id, &ClientError::new(ErrorCode::Internal, message)))
}

/// Appends JSON to a line of JSON: line breaks in it are blanks between its tokens, since no string holds one.
pub(super) fn append_in_one_line(line: &mut Vec<u8>, json: &[u8]) {
    let start = line.len();
    line.extend_from_slice(json);
    for byte in &mut line[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_waited_for_and_failures_a_few_times() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(patience(ErrorCode::UpstreamRateLimited, seconds(30), 0), seconds(30));
        assert_eq!(patience(ErrorCode::RateLimited, None, 2), seconds(25));
        assert_eq!(patience(ErrorCode::Overloaded, None, 60), seconds(300));
        assert_eq!(patience(ErrorCode::UpstreamFailed, None, 0), seconds(1));
        assert_eq!(patience(ErrorCode::Timeout, None, 1), seconds(5));
        assert_eq!(patience(ErrorCode::UpstreamFailed, None, 2), None);
        for code in [ErrorCode::InvalidRequest, ErrorCode::ModelNotFound, ErrorCode::Internal] {
            assert_eq!(patience(code, None, 0), None, "{code:?}");
        }
    }

    #[test]
    fn a_repetition_after_a_crash_has_the_name_of_what_it_repeats() {
        let order = Order {
            id: "batch_1".to_owned(),
            owner: String::new(),
            kind: ANTHROPIC.to_owned(),
            details: Details::default(),
        };
        let name = |attempts, interrupted| {
            let line = ClaimedLine {
                batch: "batch_1".to_owned(),
                number: 7,
                custom_id: "a".to_owned(),
                target: String::new(),
                request: bytes::Bytes::new(),
                attempts,
                interrupted,
            };
            headers(&order, &line)["idempotency-key"].to_str().unwrap().to_owned()
        };
        assert_eq!(name(0, 0), "batch_1-7-0");
        assert_eq!(name(1, 1), "batch_1-7-0");
        assert_eq!(name(2, 1), "batch_1-7-1");
    }
}
