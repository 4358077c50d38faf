//! The answer as it goes to the client.
//!
//! Owns the response and, for streams, everything after the commit point: pumping, stalls, breaks, continuation, and the
//! end of the record. After the commit point nothing is silent: a break becomes the protocol's own error event.

use crate::admit::Admitted;
use crate::array::ArrayForm;
use crate::attempt::{self, Begun, Facts, Opened, body_failure, stall, total_timeout};
use crate::body::{AnswerBody, BrokenOff, Rope};
use crate::case::Case;
use crate::continuation;
use crate::endpoint::StreamForm;
use crate::headers::{self, name};
use crate::perform::{self, Performed};
use crate::relay::Before;
use crate::series::word;
use crate::state::Gateway;
use crate::stop::Stopped;
use crate::subject::Subject;
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::record::Outcome;
use trunkline_model::warning::Warning;
use trunkline_net::UpstreamBody;
use trunkline_route::drive::{Attempt, Commit, Drive, Next, Verdict, Why};
use trunkline_route::health::Call;

/// How long the end of an upstream body is waited for once the provider said that its answer is complete.
const LINGER: Duration = Duration::from_secs(1);

/// Answers with what was performed.
#[must_use]
pub(crate) fn answer(
    gateway: Arc<Gateway>,
    admitted: Box<Admitted>,
    performed: Performed,
    mut case: Case,
) -> Response<AnswerBody> {
    let Performed { drive, opened } = performed;
    note_served(&admitted, &opened, &mut case);
    let delivery = admitted.envelope.shape.delivery;
    let form = admitted.stream_form;
    let told = opened.facts.content_type.clone();
    let mut response = if delivery.is_stream() {
        let headers = headers::of_answer(&admitted, &case);
        // Boxed: the state is handed back and forth with every piece.
        let is_wordless = opened.relay.is_wordless();
        let streaming = Box::new(Streaming::new(gateway, admitted, drive, *opened, case));
        let mut response = Response::new(streaming.into_body(is_wordless));
        *response.headers_mut() = headers;
        response
    } else {
        plain(&gateway, &admitted, drive, *opened, case)
    };
    let content_type = match (delivery.is_stream(), form) {
        (true, StreamForm::Events) => "text/event-stream; charset=utf-8",
        (true, StreamForm::Array) => "application/json; charset=utf-8",
        (false, _) => "application/json",
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, told.unwrap_or(HeaderValue::from_static(content_type)));
    if delivery.is_stream() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(&name::ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    response
}

/// A whole answer: everything is known before the head goes out.
fn plain(
    gateway: &Gateway,
    admitted: &Admitted,
    mut drive: Drive,
    opened: Opened,
    mut case: Case,
) -> Response<AnswerBody> {
    let Opened { attempt, call, relay, held, mut facts, .. } = opened;
    let now = gateway.clock.now();
    let summary = relay.summary();
    facts.usage = relay.usage();
    facts.output_bytes = summary.output_bytes;
    facts.beginning = summary.excerpt();
    case.record.finish = summary.finish.map(|finish| word(finish.name()));
    case.record.response_bytes = held.iter().map(|piece| piece.len() as u64).sum();
    if let Some(call) = call {
        call.succeeded(facts.usage.map(|usage| usage.total()), now);
    }
    case.note_answer(relay.answer());
    case.record.warnings.extend(relay.warnings());
    case.end(attempt.number, facts.end(None));
    drive.succeeded(attempt.number);
    let mut headers = headers::of_answer(admitted, &case);
    headers::put_cost(&mut headers, &case);
    let mut response = Response::new(AnswerBody::rope(held));
    *response.headers_mut() = headers;
    case.finish(Outcome::Served);
    response
}

fn note_served(admitted: &Admitted, opened: &Opened, case: &mut Case) {
    note_deployment(admitted, &opened.attempt, case);
    case.record.status = 200;
    case.record.warnings.extend(opened.warnings.iter().cloned());
    case.note_first_token();
}

fn note_deployment(admitted: &Admitted, attempt: &Attempt, case: &mut Case) {
    let deployment = admitted.generation.snapshot.fleet.deployment(attempt.leg.deployment.index());
    let record = &mut case.record;
    record.deployment = Some(Arc::clone(&deployment.id));
    record.provider = Some(Arc::clone(&deployment.provider));
    record.model = Some(Arc::clone(&deployment.model));
    record.tier = Some(Arc::clone(&attempt.leg.tier));
}

/// A streamed answer after its commit point.
struct Streaming {
    gateway: Arc<Gateway>,
    /// The request, where another deployment may have to go on with its answer. Nobody else asks for it any more, and it holds
    /// the buffer that it was read into.
    admitted: Option<Box<Admitted>>,
    drive: Drive,
    attempt: Attempt,
    call: Option<Call>,
    relay: crate::relay::Relay,
    body: Option<UpstreamBody>,
    facts: Facts,
    case: Case,
    pieces: VecDeque<Bytes>,
    /// For a client that wants the stream as an array; taken when it is closed.
    form: Option<ArrayForm>,
    timer: Pin<Box<Sleep>>,
    state: State,
    /// The answer broke off and the client does not know yet.
    broken: Option<Failure>,
    /// It broke off, and the end of the connection is all that can tell.
    is_severed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The answer is coming.
    Flowing,
    /// The provider said it is complete; only the end of its body is missing.
    Lingering,
    /// Nothing more will be added.
    Over,
}

impl Streaming {
    fn new(gateway: Arc<Gateway>, admitted: Box<Admitted>, drive: Drive, opened: Opened, case: Case) -> Self {
        let Opened { attempt, call, mut relay, body, mut held, facts, .. } = opened;
        relay.bill_before(Before::of(&case.record), &mut held);
        let form = (admitted.stream_form == StreamForm::Array).then(ArrayForm::new);
        let admitted = drive.plan().continuation.then_some(admitted);
        let timer = Box::pin(sleep_until(Instant::now() + attempt.between_tokens));
        let mut streaming = Self {
            gateway,
            admitted,
            drive,
            attempt,
            call,
            relay,
            body,
            facts,
            case,
            pieces: VecDeque::new(),
            form,
            timer,
            state: State::Flowing,
            broken: None,
            is_severed: false,
        };
        streaming.deliver(held);
        streaming.opened();
        streaming
    }

    /// The body that a client reads. One without words for a failure fails with it.
    fn into_body(self: Box<Self>, is_wordless: bool) -> AnswerBody {
        if is_wordless {
            return AnswerBody::Frail(Box::pin(stream::unfold(Some(self), |streaming| async move {
                let mut streaming = streaming?;
                match streaming.next().await {
                    Some(piece) => Some((Ok(piece), Some(streaming))),
                    None if streaming.is_severed => Some((Err(BrokenOff), None)),
                    None => None,
                }
            })));
        }
        AnswerBody::Streamed(Box::pin(stream::unfold(self, |mut streaming| async move {
            let piece = streaming.next().await?;
            Some((piece, streaming))
        })))
    }

    /// An answer has begun; it may have ended with its first bytes.
    fn opened(&mut self) {
        if self.body.is_none() {
            // The whole stream came with its first frame.
            self.complete();
        } else if self.relay.is_complete() {
            self.close();
        }
    }

    /// The next piece for the client.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                self.case.record.response_bytes += piece.len() as u64;
                return Some(piece);
            }
            if self.state == State::Over {
                return None;
            }
            self.advance().await;
        }
    }

    async fn advance(&mut self) {
        if let Some(failure) = self.broken.take() {
            let gateway = Arc::clone(&self.gateway);
            // Boxed: it holds a whole new attempt, which hardly any stream makes.
            let resuming = Box::pin(self.resume(failure));
            match gateway.stop.before(resuming).await {
                Ok(Ok(())) => self.opened(),
                Ok(Err(error)) => self.break_off(&error),
                Err(stopped) => {
                    self.case.stopped(stopped);
                    self.stop(stopped);
                }
            }
            return;
        }
        let limit = self.limit();
        match self.chunk(limit).await {
            Ok(Some(chunk)) => {
                if self.state == State::Lingering {
                    return;
                }
                let mut out = Rope::new();
                let pushed = self.relay.push(chunk, &mut out);
                self.deliver(out);
                match pushed {
                    Ok(_) if self.relay.is_complete() => self.close(),
                    Ok(_) => {}
                    Err(failure) => self.broken(failure),
                }
            }
            Ok(None) if self.state == State::Lingering => self.complete(),
            Ok(None) => {
                self.close();
                if self.state == State::Lingering {
                    self.complete();
                }
            }
            // The answer is whole; how its connection ends is not the client's business.
            Err(_) if self.state == State::Lingering => self.complete(),
            Err(_) if self.gateway.stop.has_come() => self.stop(Stopped),
            Err(failure) => self.broken(failure),
        }
    }

    /// When silence becomes a stall. Counted from now: while the client does not read, nobody waits for the provider.
    fn limit(&self) -> Instant {
        let silence = if self.state == State::Lingering { LINGER } else { self.attempt.between_tokens };
        (Instant::now() + silence).min(perform::deadline(&self.gateway.clock, &self.drive))
    }

    /// The next piece from upstream. The timer is only moved when it fires: moving it for every chunk would cost more than
    /// the chunk.
    async fn chunk(&mut self, limit: Instant) -> Result<Option<Bytes>, Failure> {
        let Some(body) = self.body.as_mut() else { return Ok(None) };
        if self.timer.deadline() > limit {
            self.timer.as_mut().reset(limit);
        }
        loop {
            tokio::select! {
                biased;
                chunk = body.chunk() => return match chunk {
                    Some(Ok(bytes)) => Ok(Some(bytes)),
                    Some(Err(error)) => Err(body_failure(&error)),
                    None => Ok(None),
                },
                () = self.gateway.stop.seen() => return Err(Stopped.failure()),
                () = self.timer.as_mut() => {
                    let now = Instant::now();
                    if now < limit {
                        self.timer.as_mut().reset(limit);
                        continue;
                    }
                    let deadline = perform::deadline(&self.gateway.clock, &self.drive);
                    self.timer.as_mut().reset(now + self.attempt.between_tokens);
                    return Err(if now >= deadline { total_timeout() } else { stall(self.attempt.between_tokens) });
                }
            }
        }
    }

    /// The provider said, or its body's end says, that the answer is complete: the client is told.
    fn close(&mut self) {
        let mut out = Rope::new();
        let ended = self.relay.end(&mut out);
        self.deliver(out);
        match ended {
            Ok(_) => {
                self.seal();
                self.state = State::Lingering;
            }
            Err(failure) => self.broken(failure),
        }
    }

    /// Puts events in line for the client, in the form it wants.
    fn deliver(&mut self, events: Rope) {
        match &mut self.form {
            None => self.pieces.extend(events),
            Some(form) => self.pieces.extend(form.elements(events)),
        }
    }

    /// The answer is whole, and its form says so.
    fn seal(&mut self) {
        if let Some(form) = self.form.take() {
            self.pieces.extend(form.close());
        }
    }

    /// Everything is done.
    fn complete(&mut self) {
        self.seal();
        let summary = self.relay.summary();
        self.case.record.finish = summary.finish.map(|finish| word(finish.name()));
        self.case.note_answer(self.relay.answer());
        self.case.record.warnings.extend(self.relay.warnings());
        self.end_attempt(None);
        self.drive.succeeded(self.attempt.number);
        self.body = None;
        self.state = State::Over;
        self.case.finish(Outcome::Served);
    }

    /// The answer broke off after the client had part of it.
    fn broken(&mut self, failure: Failure) {
        self.body = None;
        self.gateway.metrics.attempt_failed(failure.class);
        self.end_attempt(Some(failure.clone()));
        self.drive.failed(self.attempt.number, failure.clone(), Commit::After, self.gateway.clock.now());
        self.broken = Some(failure);
    }

    /// The gateway ends before the answer does.
    fn stop(&mut self, stopped: Stopped) {
        let failure = stopped.failure();
        self.body = None;
        self.end_attempt(Some(failure.clone()));
        let told = perform::tell(&mut self.case, &Verdict { failure, why: Why::Committed });
        self.break_off(&ClientError { attempts: told.attempts, ..stopped.error() });
    }

    /// Has another deployment go on with the broken answer, where the route allows it and the answer is plain text.
    ///
    /// # Errors
    /// What the client is told otherwise.
    async fn resume(&mut self, failure: Failure) -> Result<(), ClientError> {
        let Some(admitted) = self.admitted.take() else {
            return Err(perform::tell(&mut self.case, &Verdict { failure, why: Why::Committed }));
        };
        let resumed = self.resume_as(&admitted, failure).await;
        self.admitted = Some(admitted);
        resumed
    }

    async fn resume_as(&mut self, admitted: &Admitted, failure: Failure) -> Result<(), ClientError> {
        let subject = Subject::new(admitted, self.case.id(), self.drive.plan())
            .decided_by(self.case.record.decided_by.as_ref());
        let unfinished = if subject.may_be_continued() { self.relay.unfinished() } else { None };
        let Some(unfinished) = unfinished else {
            return Err(perform::tell(&mut self.case, &Verdict { failure, why: Why::Committed }));
        };
        loop {
            let now = self.gateway.clock.now();
            let attempt = match self.drive.next(now, &admitted.generation.health, rand::random()) {
                Next::Try(attempt) => attempt,
                Next::Wait { until } => {
                    sleep_until(self.gateway.clock.instant(until)).await;
                    continue;
                }
                Next::Fail(verdict) => return Err(perform::tell(&mut self.case, &verdict)),
                Next::Await | Next::Served => return Err(ClientError::from_failure(&failure, Vec::new())),
            };
            let index = attempt.leg.deployment.index();
            let text = unfinished.text.as_str();
            let deployment = admitted.generation.snapshot.fleet.deployment(index);
            let mut estimated = subject.estimated_usage();
            estimated.input += text.len() as u64 / 4;
            let entry = deployment.entry.as_ref();
            self.case.begin(attempt.number, &deployment.id, attempt.kind, entry, estimated);
            self.relay.bill_before(Before::of(&self.case.record), &mut Rope::new());
            self.relay.join(&subject.continued_relay_context(index, &attempt.leg.tier), &unfinished);
            let opening = attempt::open_into(&self.gateway, &subject, attempt, Some(text), &mut self.relay);
            match opening.await {
                Ok(begun) => {
                    let reason = format!("the answer broke off and was continued by {}", deployment.id);
                    let warning = Warning::emulated("continuation", reason);
                    self.case.record.warnings.push(warning.clone());
                    self.relay.note(warning);
                    // Google's own client takes a comment for a broken answer.
                    if admitted.dialect != Dialect::Gemini {
                        self.deliver(Rope::from_iter([continuation::mark(&deployment.id)]));
                    }
                    self.go_on(admitted, begun);
                    return Ok(());
                }
                Err(lost) => {
                    let attempt::Lost { attempt, failure, facts } = *lost;
                    self.gateway.metrics.attempt_failed(failure.class);
                    self.case.end(attempt.number, facts.end(Some(failure.clone())));
                    self.drive.failed(attempt.number, failure, Commit::Before, self.gateway.clock.now());
                }
            }
        }
    }

    /// The rest of the answer comes from here.
    fn go_on(&mut self, admitted: &Admitted, begun: Begun) {
        let Begun { attempt, call, body, held, warnings, facts } = begun;
        note_deployment(admitted, &attempt, &mut self.case);
        self.case.record.warnings.extend(warnings);
        self.deliver(held);
        self.timer.as_mut().reset(Instant::now() + attempt.between_tokens);
        self.attempt = attempt;
        self.call = Some(call);
        self.body = body;
        self.facts = facts;
    }

    /// The client is told that this is all there will be.
    fn break_off(&mut self, error: &ClientError) {
        let mut out = Rope::new();
        self.relay.fail(error, &mut out);
        self.is_severed = self.relay.is_wordless();
        self.deliver(out);
        self.case.note_error(error);
        self.case.record.status = 200;
        self.state = State::Over;
        self.case.finish(Outcome::BrokenOff);
    }

    fn end_attempt(&mut self, failure: Option<Failure>) {
        let Some(call) = self.call.take() else { return };
        let summary = self.relay.summary();
        self.facts.usage = self.relay.usage();
        self.facts.output_bytes = summary.output_bytes;
        self.facts.beginning = summary.excerpt();
        let tokens = self.facts.usage.map(|usage| usage.total());
        let now = self.gateway.clock.now();
        match &failure {
            None => call.succeeded(tokens, now),
            Some(failure) if failure.class == FailureClass::ClientGone => call.cancelled(tokens, now),
            Some(failure) => call.failed(failure, tokens, now),
        }
        self.case.end(self.attempt.number, std::mem::take(&mut self.facts).end(failure));
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if self.state == State::Lingering {
            // The client has everything; it left before the upstream's connection ended.
            self.complete();
        } else if self.state == State::Flowing {
            self.end_attempt(Some(self.case.gone()));
        }
    }
}
