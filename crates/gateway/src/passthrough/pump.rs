//! A passed answer on its way to the client.
//!
//! Owns pumping at the client's pace, and the end of the record whichever side ends it. An answer that breaks off upstream fails
//! here too: the connection closes without the end that HTTP asks for, so that nobody takes it for a whole one. So does one that
//! the gateway's own stop overtakes: nobody knows its protocol, and with it words for that.

use super::aim;
use super::headers;
use super::meter::Meter;
use super::upload::Upload;
use crate::attempt::{body_failure, phases, stall, upstream_request_id};
use crate::body::{AnswerBody, BrokenOff};
use crate::case::{AttemptEnd, Case};
use crate::clock;
use crate::patience;
use crate::respond;
use crate::state::{Gateway, Generation};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::excerpt::Excerpt;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_model::record::{Outcome, PhaseTimes};
use trunkline_net::{UpstreamBody, UpstreamResponse};
use trunkline_providers::upstream::Upstream;
use trunkline_route::drive::AttemptNumber;
use trunkline_route::fleet::DeploymentIndex;

/// The longest silence inside of an answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// There is one attempt.
pub(super) const NUMBER: AttemptNumber = AttemptNumber(1);

/// What is still to be known of a request when its answer begins.
pub(super) struct Sent {
    /// The deployment it is for, where path or body say so.
    pub(super) aimed: Option<DeploymentIndex>,
    pub(super) upload: Arc<Upload>,
    pub(super) deadline: Option<Moment>,
    pub(super) is_head: bool,
}

/// An answer on its way.
pub(super) struct Passing {
    generation: Arc<Generation>,
    provider: Name,
    status: StatusCode,
    headers: HeaderMap,
    body: UpstreamBody,
    end: AttemptEnd,
    meter: Meter,
    sent: Sent,
}

impl Passing {
    pub(super) fn new(
        gateway: &Gateway,
        generation: Arc<Generation>,
        provider: Name,
        upstream: &Upstream,
        response: UpstreamResponse,
        sent: Sent,
    ) -> Self {
        let status = response.status;
        let is_fine = status.is_success() || status.is_redirection();
        let read = || upstream.failure(status.as_u16(), &response.headers, b"", clock::unix_seconds());
        let end = AttemptEnd {
            failure: (!is_fine).then(read),
            status: Some(status.as_u16()),
            upstream_request_id: upstream_request_id(&response.headers),
            phases: phases(&response.phases),
            usage: None,
            output_bytes: 0,
            beginning: Excerpt::default(),
            worked: status.is_success(),
        };
        let headers = headers::answer(&response.headers);
        if let Some(index) = sent.aimed {
            let now = gateway.clock.now();
            aim::learn(&generation, index, upstream, &response, end.failure.as_ref(), now);
        }
        Self {
            generation,
            provider,
            status,
            headers,
            body: response.body,
            end,
            meter: Meter::default(),
            sent,
        }
    }

    pub(super) fn into_response(
        mut self,
        gateway: Arc<Gateway>,
        mut case: Case,
        dialect: Dialect,
    ) -> Response<AnswerBody> {
        case.record.status = self.status.as_u16();
        case.note_first_token();
        let mut headers = std::mem::take(&mut self.headers);
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|text| text.starts_with("text/event-stream")) {
            case.record.delivery = Delivery::Stream;
        }
        respond::identify(&mut headers, dialect, case.id());
        if let Ok(provider) = HeaderValue::from_str(&self.provider) {
            headers.insert(HeaderName::from_static("x-trunkline-provider"), provider);
        }
        let status = self.status;
        let mut pumping = Pumping { gateway, passing: self, case, is_over: false };
        let body = if pumping.passing.sent.is_head || pumping.passing.body.is_ended() {
            pumping.finish(None, Outcome::Served);
            AnswerBody::text(Bytes::new())
        } else {
            AnswerBody::Frail(Box::pin(stream::unfold(Some(pumping), |pumping| async move {
                let mut pumping = pumping?;
                match pumping.next().await {
                    Some(Ok(piece)) => Some((Ok(piece), Some(pumping))),
                    Some(Err(broken)) => Some((Err(broken), None)),
                    None => None,
                }
            })))
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// The pump from provider to client. It reads when the client does.
struct Pumping {
    gateway: Arc<Gateway>,
    passing: Passing,
    case: Case,
    is_over: bool,
}

impl Pumping {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        let left = left_until(self.passing.sent.deadline, self.case.now());
        let chunk = patience::during(left.min(LONGEST_SILENCE), self.passing.body.chunk());
        let failure = match self.gateway.stop.before(chunk).await {
            Err(stopped) => stopped.failure(),
            Ok(_) if left.is_zero() => too_late(),
            Ok(Ok(Some(Ok(piece)))) => {
                self.passing.meter.passed(&piece);
                if self.passing.body.is_ended() {
                    // Of an answer whose length was announced nobody asks for more than that.
                    self.finish(None, Outcome::Served);
                }
                return Some(Ok(piece));
            }
            Ok(Ok(None)) => {
                self.finish(None, Outcome::Served);
                return None;
            }
            Ok(Ok(Some(Err(error)))) => body_failure(&error),
            Ok(Err(_)) if left <= LONGEST_SILENCE => too_late(),
            Ok(Err(_)) => stall(LONGEST_SILENCE),
        };
        self.finish(Some(failure), Outcome::BrokenOff);
        Some(Err(BrokenOff))
    }

    fn finish(&mut self, failure: Option<Failure>, outcome: Outcome) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let Self { passing, case, .. } = self;
        let mut end = std::mem::replace(&mut passing.end, ended(gone(), true));
        let Passing { meter, sent, .. } = &*passing;
        end.output_bytes = meter.bytes();
        // What was made before and is fetched again tells its usage again.
        let makes = passing.status.is_success() && sent.upload.bytes() > 0;
        if makes {
            end.usage = meter.usage();
            let asked = sent.upload.model();
            if let Some(model) = &asked {
                case.record.requested_model = Name::from(model.as_str());
            }
            let fleet = &passing.generation.snapshot.fleet;
            let mut named = asked.into_iter().chain(meter.model());
            // A name the configuration does not hold stays out of the record, and of the metrics' labels.
            let known = |model: String| aim::by_model(&passing.generation, &passing.provider, &model);
            let index = sent.aimed.or_else(|| named.find_map(known));
            if let Some(deployment) = index.map(|index| fleet.deployment(index)) {
                case.price_as(NUMBER, deployment.entry.as_ref());
                case.record.model = Some(Arc::clone(&deployment.model));
            }
        }
        let outcome = match (&failure, &end.failure) {
            (None, Some(refused)) => {
                case.record.error_message = Some(refused.message.clone());
                Outcome::Failed
            }
            (Some(failure), _) => {
                case.record.error_message = Some(failure.message.clone());
                outcome
            }
            (None, None) => outcome,
        };
        end.failure = failure.or(end.failure);
        case.record.request_bytes = sent.upload.bytes();
        case.record.response_bytes = meter.bytes();
        case.end(NUMBER, end);
        case.finish(outcome);
    }
}

impl Drop for Pumping {
    fn drop(&mut self) {
        self.finish(Some(self.case.gone()), Outcome::ClientGone);
    }
}

fn too_late() -> Failure {
    Failure::new(FailureClass::TotalTimeout, "the answer was not complete in the time the request may take")
}

fn gone() -> Failure {
    Failure::new(FailureClass::ClientGone, "the client went away")
}

pub(super) fn ended(failure: Failure, worked: bool) -> AttemptEnd {
    AttemptEnd {
        failure: Some(failure),
        status: None,
        upstream_request_id: None,
        phases: PhaseTimes::default(),
        usage: None,
        output_bytes: 0,
        beginning: Excerpt::default(),
        worked,
    }
}

pub(super) fn left_until(deadline: Option<Moment>, now: Moment) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| {
        Duration::from_micros(deadline.as_micros().saturating_sub(now.as_micros()))
    })
}
