//! Tokens counted where no deployment behind a route can count them, or none that can does.
//!
//! Owns the estimate that stands in for a provider's count, and what marks it as one. Must not send anything. Clients that plan
//! their context by counts, as coding agents do, would otherwise be refused before a turn that the same route answers.

use crate::admit::Admitted;
use crate::body::AnswerBody;
use crate::case::Case;
use crate::clock;
use crate::headers;
use bytes::BytesMut;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::Event;
use trunkline_model::record::Outcome;
use trunkline_model::request::VectorEncoding;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;
use trunkline_route::decision::Decision;
use trunkline_route::filter::{Reason, Remedy};
use trunkline_wire::codec::{BadRequest, EncodeContext};
use trunkline_wire::dispatch;

/// Why an estimate may stand in for a decision without a plan: tokens are to be counted, nobody asked can do that or who can is away,
/// and the client takes an emulation.
#[must_use]
pub(crate) fn unplanned(admitted: &Admitted, decision: &Decision) -> Option<String> {
    let cannot_count = |reason: &Reason| matches!(reason, Reason::Operation { .. });
    let is_away = |reason: &Reason| reason.remedy() == Remedy::Time;
    let mut reasons = decision.rejections.iter().map(|rejection| &rejection.reason);
    let stands = takes_estimates(admitted)
        && decision.plan.is_err()
        && !decision.rejections.is_empty()
        && reasons.clone().all(|reason| cannot_count(reason) || is_away(reason));
    let who = if reasons.any(is_away) { "free to count" } else { "able to count" };
    stands.then(|| format!("no deployment of `{}` is {who} tokens", admitted.route.name))
}

/// Why an estimate may stand in for calls that all failed: it is no fault of the request that they did.
#[must_use]
pub(crate) fn unanswered(admitted: &Admitted, error: &ClientError) -> Option<String> {
    let is_upstream = matches!(
        error.code,
        ErrorCode::UpstreamFailed
            | ErrorCode::UpstreamCredentialsRejected
            | ErrorCode::UpstreamRateLimited
            | ErrorCode::Timeout
            | ErrorCode::Overloaded
    );
    (takes_estimates(admitted) && is_upstream).then(|| {
        format!("no deployment of `{}` counted the tokens ({})", admitted.route.name, error.code.name())
    })
}

fn takes_estimates(admitted: &Admitted) -> bool {
    admitted.operation == Operation::CountTokens
        && !admitted.strict
        && !admitted.options.require_parameters
        && !admitted.route.require_parameters
}

/// Answers with the estimate, and says why it stands in.
///
/// # Errors
/// What is wrong with the request: a provider would have said so too.
pub(crate) fn stand_in(
    admitted: &Admitted,
    case: &mut Case,
    why: &str,
) -> Result<Response<AnswerBody>, ClientError> {
    let Admitted { dialect, operation, body, path, envelope, .. } = admitted;
    dispatch::decode_request(*dialect, *operation, body, path).map_err(BadRequest::into_client_error)?;
    let context = EncodeContext {
        request_id: case.id(),
        created: clock::unix_seconds(),
        model: envelope.shape.model.clone(),
        stream_usage: false,
        encoding: VectorEncoding::Float,
        embedding_form: Default::default(),
        echo: None,
    };
    let usage = case.estimated(Usage { input: envelope.shape.estimated_input_tokens(), ..Usage::default() });
    let mut encoder = dispatch::encoder(*dialect, *operation, Delivery::Plain, context);
    let mut out = BytesMut::new();
    encoder.event(&Event::Usage(usage), &mut out);
    encoder.event(&Event::End, &mut out);
    encoder.finish(&mut out);
    case.record.warnings.push(Warning::emulated("count_tokens", format!("{why}: this is an estimate")));
    case.record.status = 200;
    case.record.response_bytes = out.len() as u64;
    let mut response = Response::new(AnswerBody::text(out.freeze()));
    *response.headers_mut() = headers::of_answer(admitted, case);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    case.finish(Outcome::Served);
    Ok(response)
}
