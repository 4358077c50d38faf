//! One upstream call, up to the point where it is worth something to the client.
//!
//! Owns building the request for one deployment, sending it, and reading its answer until the first semantic frame (streamed)
//! or to its end (plain). Everything before that point is held back, so that a failure leaves no trace with the client. Must
//! not know other attempts: it ends with an answer or a typed failure.

use crate::body::Rope;
use crate::case::AttemptEnd;
use crate::clock;
use crate::patience;
use crate::relay::{Relay, empty_answer};
use crate::state::Gateway;
use crate::subject::{Prepared, Subject};
use bytes::BytesMut;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::excerpt::Excerpt;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::record::PhaseTimes;
use trunkline_model::usage::{Terms, Usage};
use trunkline_model::warning::Warning;
use trunkline_net::{
    BodyError, Phases, RequestBody, SendError, UpstreamBody, UpstreamRequest, UpstreamResponse,
};
use trunkline_providers::limits::RateHeaders;
use trunkline_providers::upstream::Upstream;
use trunkline_route::drive::Attempt;
use trunkline_route::health::{Call, Headroom};

/// Where providers name a request, by how common the name is.
static REQUEST_ID_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
];
/// An error answer is read up to this size.
const LARGEST_ERROR: usize = 64 * 1024;
/// And for this long.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);
/// A plain answer is read up to this size.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// An attempt whose answer has begun.
pub(crate) struct Opened {
    /// The attempt.
    pub attempt: Attempt,
    /// Its place in the deployment's health; `None` once it ended there.
    pub call: Option<Call>,
    /// The answer's way to the client.
    pub relay: Relay,
    /// The rest of the body; `None` when it ended already.
    pub body: Option<UpstreamBody>,
    /// What the client is to get first.
    pub held: Rope,
    /// What translation did not pass.
    pub warnings: Vec<Warning>,
    /// What is known for the record.
    pub facts: Facts,
}

/// What [`Opened`] holds beside the relay, for an answer that goes into a relay that was there before.
pub(crate) struct Begun {
    /// The attempt.
    pub attempt: Attempt,
    /// Its place in the deployment's health.
    pub call: Call,
    /// The rest of the body; `None` when it ended already.
    pub body: Option<UpstreamBody>,
    /// What the client is to get first.
    pub held: Rope,
    /// What translation did not pass.
    pub warnings: Vec<Warning>,
    /// What is known for the record.
    pub facts: Facts,
}

/// What an attempt has shown so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The upstream's status.
    pub status: Option<u16>,
    /// The upstream's request id.
    pub upstream_request_id: Option<String>,
    /// Its phases.
    pub phases: PhaseTimes,
    /// The provider may have worked on it.
    pub worked: bool,
    /// Tokens, where the provider gave them.
    pub usage: Option<Usage>,
    /// Bytes of answer seen.
    pub output_bytes: u64,
    /// How it begins.
    pub beginning: Excerpt,
    /// What the provider says its answer is, where the client is told the same.
    pub content_type: Option<HeaderValue>,
    /// On which terms the head of the answer says that it was served.
    pub terms: Terms,
}

impl Facts {
    /// The end of the attempt, for the record.
    #[must_use]
    pub(crate) fn end(self, failure: Option<Failure>) -> AttemptEnd {
        AttemptEnd {
            failure,
            status: self.status,
            upstream_request_id: self.upstream_request_id,
            phases: self.phases,
            usage: self.usage,
            output_bytes: self.output_bytes,
            beginning: self.beginning,
            worked: self.worked,
        }
    }
}

/// An attempt that failed before it was worth anything.
pub(crate) struct Lost {
    /// The attempt.
    pub attempt: Attempt,
    /// Why.
    pub failure: Failure,
    /// What is known for the record.
    pub facts: Facts,
}

/// Makes the call.
///
/// # Errors
/// The failure, with what is known of the attempt.
pub(crate) async fn open(
    gateway: &Gateway,
    subject: &Subject<'_>,
    attempt: Attempt,
) -> Result<Box<Opened>, Box<Lost>> {
    let mut relay = Relay::new(&subject.relay_context(attempt.leg.deployment.index(), &attempt.leg.tier));
    let begun = open_into(gateway, subject, attempt, None, &mut relay).await?;
    let Begun { attempt, call, body, held, warnings, facts } = begun;
    Ok(Box::new(Opened { attempt, call: Some(call), relay, body, held, warnings, facts }))
}

/// Makes the call for a relay that is there already: for the whole answer, or for what follows the text so far.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_into(
    gateway: &Gateway,
    subject: &Subject<'_>,
    attempt: Attempt,
    so_far: Option<&str>,
    relay: &mut Relay,
) -> Result<Begun, Box<Lost>> {
    let index = attempt.leg.deployment.index();
    let left = attempt.deadline.since(gateway.clock.now());
    let files = match subject.files(gateway, index, left).await {
        Ok(files) => files,
        Err(failure) => return Err(Box::new(Lost { attempt, failure, facts: Facts::default() })),
    };
    let health = subject.generation().health.deployment(index);
    let begun = health.begin(subject.worst_case_tokens(), subject.delivery(), gateway.clock.now());
    let call = match begun {
        Ok(call) => call,
        Err(failure) => return Err(Box::new(Lost { attempt, failure, facts: Facts::default() })),
    };
    let Prepared { body, headers, warnings } = match subject.prepare(&attempt.leg, so_far, files.as_ref()) {
        Ok(prepared) => prepared,
        Err(failure) => {
            call.not_sent();
            return Err(Box::new(Lost { attempt, failure, facts: Facts::default() }));
        }
    };
    drop(files);
    let mut opening = Opening { gateway, subject, attempt, call, facts: Facts::default() };
    let request = opening.request(body, headers);
    let request = match opening.upstream().signing {
        // Boxed, as is what else few requests do: every request would carry the room for it.
        Some(_) => Box::pin(opening.sign(request)).await,
        None => Ok(request),
    };
    let read = match request {
        Ok(request) => {
            let sent = Instant::now();
            let answered = gateway.transport.send(request).await;
            match opening.head(answered) {
                Ok(Answer::Good(body)) => {
                    let content_type = opening.facts.content_type.as_ref();
                    relay.answered(content_type.and_then(|value| value.to_str().ok()), opening.facts.terms);
                    opening.run(body, relay, sent).await
                }
                Ok(Answer::Refused(response)) => Err(Box::pin(opening.refusal(*response)).await),
                Err(failure) => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    };
    match read {
        Ok((body, held)) => {
            let Opening { attempt, call, facts, .. } = opening;
            Ok(Begun { attempt, call, body, held, warnings, facts })
        }
        Err(failure) => {
            let Opening { attempt, call, facts, .. } = opening;
            let tokens = facts.usage.map(|usage| usage.total());
            call.failed(&failure, tokens, gateway.clock.now());
            Err(Box::new(Lost { attempt, failure, facts }))
        }
    }
}

/// An answer by its head.
enum Answer {
    /// It is one; its body.
    Good(UpstreamBody),
    /// The provider refused.
    Refused(Box<UpstreamResponse>),
}

/// What was read of an answer.
struct Read {
    /// The rest of the body; `None` when it ended.
    body: Option<UpstreamBody>,
    held: Rope,
    first_token: Instant,
}

impl Read {
    fn new(body: Option<UpstreamBody>, held: Rope, first_token: Option<Instant>) -> Self {
        Self { body, held, first_token: first_token.unwrap_or_else(Instant::now) }
    }
}

struct Opening<'a> {
    gateway: &'a Gateway,
    subject: &'a Subject<'a>,
    attempt: Attempt,
    call: Call,
    facts: Facts,
}

impl Opening<'_> {
    fn upstream(&self) -> &Upstream {
        self.subject.upstream(self.attempt.leg.deployment.index())
    }

    fn request(&self, body: RequestBody, headers: HeaderMap) -> UpstreamRequest {
        let upstream = self.upstream();
        let uri = self.subject.uri(upstream);
        let mut request = UpstreamRequest::new(Method::POST, uri, body);
        request.headers = headers;
        let left = self.left();
        request.connect_timeout = Some(self.attempt.connect.min(left));
        request.headers_timeout = Some(self.attempt.first_token.min(left));
        request
    }

    /// Time until the deadline of the whole request.
    fn left(&self) -> Duration {
        self.attempt.deadline.since(self.gateway.clock.now())
    }

    async fn sign(&self, mut request: UpstreamRequest) -> Result<UpstreamRequest, Failure> {
        if let Some(signing) = &self.upstream().signing {
            let patience = request.connect_timeout.unwrap_or_default();
            crate::sign::sign(self.gateway, signing, &mut request, patience)
                .await
                .map_err(|failure| self.timed(failure))?;
        }
        Ok(request)
    }

    /// Takes note of the head of the answer.
    fn head(&mut self, answered: Result<UpstreamResponse, SendError>) -> Result<Answer, Failure> {
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                self.facts.worked = !error.is_unprocessed();
                return Err(self.timed(send_failure(&error)));
            }
        };
        self.learn_head(&response);
        if !response.status.is_success() {
            return Ok(Answer::Refused(Box::new(response)));
        }
        self.facts.worked = true;
        self.check_content_type(&response)?;
        if self.subject.admitted().operation.is_relayed() {
            self.facts.content_type = response.headers.get(CONTENT_TYPE).cloned();
        }
        Ok(Answer::Good(response.body))
    }

    async fn run(
        &mut self,
        body: UpstreamBody,
        relay: &mut Relay,
        sent: Instant,
    ) -> Result<(Option<UpstreamBody>, Rope), Failure> {
        let limit = (sent + self.attempt.first_token).min(self.gateway.clock.instant(self.attempt.deadline));
        let read = self.read(relay, body, limit).await;
        let summary = relay.summary();
        self.facts.usage = relay.usage();
        self.facts.output_bytes = summary.output_bytes;
        self.facts.beginning = summary.excerpt();
        let Read { body, held, first_token } = read?;
        let since = first_token.saturating_duration_since(sent);
        self.call.first_token(self.gateway.clock.moment(first_token));
        self.facts.phases.first_token_us = Some(micros(since));
        Ok((body, held))
    }

    /// Reads until the answer is worth something: its first semantic frame, or all of it when it goes out in one piece.
    async fn read(
        &self,
        relay: &mut Relay,
        mut body: UpstreamBody,
        first_token: Instant,
    ) -> Result<Read, Failure> {
        // What is looked at is held to its end, streamed or not.
        let is_stream = self.subject.delivery().is_stream();
        let streamed = is_stream && !self.subject.inspects(&self.attempt.leg.tier);
        let mut held = Rope::new();
        let mut first = None;
        let mut size = 0;
        let mut limit = first_token;
        let total = self.gateway.clock.instant(self.attempt.deadline);
        loop {
            let chunk = match patience::until(limit, body.chunk()).await {
                Ok(chunk) => chunk,
                Err(_) if size > 0 && (!streamed || relay.thinks_unseen()) => {
                    return Err(self.timed(stall(self.attempt.between_tokens)));
                }
                Err(_) => return Err(self.timed(no_first_token(self.attempt.first_token))),
            };
            match chunk {
                None if size == 0 => return Err(empty_answer()),
                None => {
                    relay.end(&mut held)?;
                    return Ok(Read::new(None, held, first));
                }
                Some(Err(error)) => return Err(body_failure(&error)),
                Some(Ok(bytes)) => {
                    size += bytes.len();
                    if size > LARGEST_ANSWER {
                        return Err(Failure::new(
                            FailureClass::Malformed,
                            "the provider's answer is larger than 64 MiB",
                        ));
                    }
                    let semantic = relay.push(bytes, &mut held)?;
                    if (semantic || relay.thinks_unseen()) && first.is_none() {
                        first = Some(Instant::now());
                    }
                    if (semantic && streamed) || (is_stream && relay.is_complete()) {
                        return Ok(Read::new(Some(body), held, first));
                    }
                }
            }
            if !streamed || relay.thinks_unseen() {
                // A plain answer may take long as a whole, and so may thoughts that nobody sees; what counts after the first
                // piece is silence.
                limit = (Instant::now() + self.attempt.between_tokens).max(first_token).min(total);
            }
        }
    }

    fn learn_head(&mut self, response: &UpstreamResponse) {
        self.facts.status = Some(response.status.as_u16());
        self.facts.phases = phases(&response.phases);
        self.facts.upstream_request_id = upstream_request_id(&response.headers);
        self.facts.terms = Upstream::terms(&response.headers);
        let upstream = self.upstream();
        if let Some(rates) = upstream.rate_headers(&response.headers, clock::unix_seconds()) {
            let now = self.gateway.clock.now();
            self.call.observe(&headroom(&rates, now), now);
        }
    }

    async fn refusal(&self, response: UpstreamResponse) -> Failure {
        let status = response.status.as_u16();
        let headers = response.headers;
        let mut body = response.body;
        let mut text = BytesMut::new();
        let limit = (Instant::now() + ERROR_PATIENCE).min(self.gateway.clock.instant(self.attempt.deadline));
        while let Ok(Some(Ok(chunk))) = patience::until(limit, body.chunk()).await {
            let room = LARGEST_ERROR - text.len();
            text.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if text.len() == LARGEST_ERROR {
                break;
            }
        }
        let upstream = self.upstream();
        let failure = upstream.failure(status, &headers, &text, clock::unix_seconds());
        if let Some(signing) =
            upstream.signing.as_ref().filter(|_| failure.class == FailureClass::Credentials)
        {
            self.gateway.credentials.rejected(&signing.source);
        }
        failure
    }

    /// A 200 whose type says that it is no answer (a proxy's HTML page, a JSON body to a stream) is a failure at once.
    fn check_content_type(&self, response: &UpstreamResponse) -> Result<(), Failure> {
        let Some(value) = response.headers.get(CONTENT_TYPE) else { return Ok(()) };
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let wrong = essence.eq_ignore_ascii_case("text/html")
            || (self.subject.delivery().is_stream()
                // Some models do not stream what others do, and answer in one piece.
                && !self.subject.admitted().operation.is_relayed()
                && essence.eq_ignore_ascii_case("application/json"));
        if wrong {
            let expected = if self.subject.delivery().is_stream() { "an event stream" } else { "JSON" };
            let essence: String = essence.chars().take(60).collect();
            let message =
                format!("the provider answered with content type `{essence}` where {expected} was expected");
            return Err(Failure::new(FailureClass::Malformed, message).with_status(response.status.as_u16()));
        }
        Ok(())
    }

    /// A timeout that is really the deadline of the whole request says so.
    fn timed(&self, failure: Failure) -> Failure {
        let is_timeout = matches!(
            failure.class,
            FailureClass::FirstTokenTimeout | FailureClass::ConnectTimeout | FailureClass::Stall
        );
        if is_timeout && self.left() <= Duration::from_millis(1) {
            return total_timeout();
        }
        failure
    }
}

/// The failure of a request whose deadline ran out.
#[must_use]
pub(crate) fn total_timeout() -> Failure {
    Failure::new(
        FailureClass::TotalTimeout,
        "the deadline of the request ran out before the answer was complete",
    )
}

/// The failure of an answer that went silent.
#[must_use]
pub(crate) fn stall(limit: Duration) -> Failure {
    let message = format!("the provider's answer stopped for more than {} ms", limit.as_millis());
    Failure::new(FailureClass::Stall, message)
}

/// The failure of an answer whose connection broke.
#[must_use]
pub(crate) fn body_failure(error: &BodyError) -> Failure {
    match error {
        BodyError::Closed(_) | BodyError::Reset { .. } => {
            Failure::new(FailureClass::Cut, "the provider's connection ended before its answer did")
        }
        BodyError::Protocol(_) => {
            Failure::new(FailureClass::Malformed, "the provider's answer broke the rules of HTTP")
        }
    }
}

fn no_first_token(limit: Duration) -> Failure {
    let message = format!("the provider sent no token within {} ms", limit.as_millis());
    Failure::new(FailureClass::FirstTokenTimeout, message)
}

/// The provider's own id of a request, where its answer tells one.
pub(crate) fn upstream_request_id(headers: &HeaderMap) -> Option<String> {
    let id = REQUEST_ID_HEADERS.iter().find_map(|name| headers.get(name)?.to_str().ok())?;
    Some(id.chars().take(100).collect())
}

/// The client-safe words name no address: an operator's network is not the client's business.
pub(crate) fn send_failure(error: &SendError) -> Failure {
    match error {
        SendError::Url(_) | SendError::Resolve { .. } => {
            Failure::new(FailureClass::Resolve, "the provider's host name could not be resolved")
        }
        SendError::Connect { .. } | SendError::PoolExhausted { .. } | SendError::PoolTimeout { .. } => {
            Failure::new(FailureClass::Connect, "no connection to the provider could be made")
        }
        SendError::Tls { .. } => {
            Failure::new(FailureClass::Tls, "the TLS handshake with the provider failed")
        }
        SendError::ConnectTimeout { limit, .. } => {
            let message = format!("connecting to the provider took more than {} ms", limit.as_millis());
            Failure::new(FailureClass::ConnectTimeout, message)
        }
        SendError::HeadersTimeout { limit, .. } => no_first_token(*limit),
        SendError::Closed { request_sent: false, .. } => Failure::new(
            FailureClass::Connect,
            "the provider closed the connection before the request was sent",
        ),
        SendError::Closed { .. } | SendError::Reset { .. } => {
            Failure::new(FailureClass::Cut, "the provider closed the connection before it answered")
        }
        SendError::Protocol { .. } | SendError::TooLargeHeaders { .. } => {
            Failure::new(FailureClass::Malformed, "the provider's answer broke the rules of HTTP")
        }
    }
}

pub(crate) fn phases(phases: &Phases) -> PhaseTimes {
    PhaseTimes {
        resolve_us: phases.resolve.map(micros),
        connect_us: phases.connect.map(micros),
        tls_us: phases.tls.map(micros),
        first_byte_us: Some(micros(phases.first_byte)),
        first_token_us: None,
        total_us: 0,
    }
}

/// What a provider's headers say of its limits, in our terms.
pub(crate) fn headroom(rates: &RateHeaders, now: trunkline_model::moment::Moment) -> Headroom {
    Headroom {
        requests_limit: rates.requests_limit,
        requests_remaining: rates.requests_remaining,
        tokens_limit: rates.tokens_limit,
        tokens_remaining: rates.tokens_remaining,
        reset_at: rates.reset.map(|reset| now + reset),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
