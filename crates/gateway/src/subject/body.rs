//! What one attempt sends.
//!
//! Owns the body for one deployment: the client's own bytes with a few edits where both sides speak the same dialect, a translation
//! otherwise. Must not choose the deployment, nor what of the request is given up.

use super::Subject;
use super::headers::{Likeness, lost_header};
use crate::admit::Admitted;
use crate::continuation;
use crate::effort::{Override, given_up};
use crate::media::Files;
use http::HeaderMap;
use std::borrow::Cow;
use trunkline_model::dialect::Operation;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;
use trunkline_net::RequestBody;
use trunkline_providers::upstream::Upstream;
use trunkline_route::cascade::Concession;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::Leg;
use trunkline_wire::codec::{EncodeError, Encoded};
use trunkline_wire::completions;
use trunkline_wire::dispatch;
use trunkline_wire::media;
use trunkline_wire::relayed;
use trunkline_wire::sealed;

/// What one attempt sends.
pub(crate) struct Prepared {
    /// The body.
    pub body: RequestBody,
    /// The headers.
    pub headers: HeaderMap,
    /// What did not pass unchanged.
    pub warnings: Vec<Warning>,
}

impl Subject<'_> {
    /// Makes the body and headers for a deployment: for the whole answer, or for what follows the text so far.
    ///
    /// # Errors
    /// `Unsupported` when the deployment cannot express the request, `BadRequest` when the request contradicts itself.
    pub(crate) fn prepare(
        &self,
        leg: &Leg,
        so_far: Option<&str>,
        files: Option<&Files>,
    ) -> Result<Prepared, Failure> {
        let index = leg.deployment.index();
        let upstream = self.upstream(index);
        let same = so_far.is_none() && self.passes(index);
        let effort = self.effort(index, &leg.tier);
        // Told whatever `strict` says: they are no losses of translation.
        let mut set = Vec::new();
        let (body, mut warnings) = if same {
            self.passed(index, effort, &mut set)
        } else {
            self.translated(index, so_far, files, effort, &mut set)?
        };
        let Admitted { headers, dialect: client, .. } = self.admitted;
        let dialect = self.dialect(upstream);
        warnings.extend(lost_header(headers, *client, dialect));
        if self.admitted.strict && !warnings.is_empty() {
            let list: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            let message = format!(
                "strict mode: {} cannot take the request as it is: {}",
                upstream.profile.model,
                list.join("; ")
            );
            return Err(Failure::new(FailureClass::Unsupported, message));
        }
        warnings.append(&mut set);
        let likeness = match (same, dialect == *client) {
            (true, _) => Likeness::Body,
            (false, true) => Likeness::Protocol,
            (false, false) => Likeness::None,
        };
        Ok(Prepared { body, headers: self.headers(upstream, likeness), warnings })
    }

    fn passed(
        &self,
        index: DeploymentIndex,
        effort: Option<Override<'_>>,
        set: &mut Vec<Warning>,
    ) -> (RequestBody, Vec<Warning>) {
        let Admitted { envelope, body, dialect, .. } = self.admitted;
        let (upstream, deployment) =
            (self.upstream(index), self.generation().snapshot.fleet.deployment(index));
        let gives_up = self.conceded.contains(&Concession::Reasoning);
        let effort = if gives_up { Some(Override::off(&upstream.profile, deployment)) } else { effort };
        let changed = effort.and_then(|effort| {
            let request = self.decoded().as_ref().ok()?;
            effort.splice(self.admitted, self.delivery(), request, set)
        });
        let (body, envelope) = changed.as_ref().map_or((body, envelope), |(body, envelope)| (body, envelope));
        let mut edits = if self.admitted.operation.is_relayed() {
            relayed::pass_edits(self.body_form(), envelope, body, &upstream.profile)
        } else {
            dispatch::pass_edits(*dialect, envelope, body, &upstream.profile, self.delivery())
        };
        if let Some(turn) = &self.admitted.turn {
            turn.edit(&mut edits, envelope, body, &upstream.profile);
        }
        let rope = edits.apply(body, envelope);
        let conceded = self.conceded.iter().filter_map(|concession| given_up_for_all(*concession));
        (RequestBody::from_pieces(rope), edits.warnings.into_iter().chain(conceded).collect())
    }

    fn translated(
        &self,
        index: DeploymentIndex,
        so_far: Option<&str>,
        files: Option<&Files>,
        effort: Option<Override<'_>>,
        set: &mut Vec<Warning>,
    ) -> Result<(RequestBody, Vec<Warning>), Failure> {
        let stands_in = self.operation(self.upstream(index)) != self.admitted.operation;
        if stands_in
            && let Some(error) = completions::unsupported(&self.admitted.envelope, &self.admitted.body)
        {
            return Err(encode_failure(error));
        }
        let request = self.decoded().as_ref().map_err(|error| {
            let error = self.told().mistake(error);
            let mut failure = Failure::new(FailureClass::BadRequest, error.message);
            failure.parameter = error.path;
            failure
        })?;
        let as_read = &**request;
        let rest = match so_far {
            None => None,
            Some(text) => Some(continuation::rest(request, text).ok_or_else(not_continuable)?),
        };
        let mut request = Cow::Borrowed(rest.as_ref().unwrap_or(request));
        let upstream = self.upstream(index);
        // What the client knows by another name, beside what is told in its own words already.
        let mut translation = Vec::new();
        let mut warnings = Vec::new();
        if stands_in {
            warnings = completions::warnings(&self.admitted.envelope, &self.admitted.body);
        }
        if self.is_foreign(index) {
            translation = sealed::strip(request.to_mut(), self.dialect(upstream));
        }
        for concession in &self.conceded {
            warnings.extend(concede(*concession, request.to_mut(), upstream.profile.max_output_tokens));
        }
        let dialect = self.dialect(upstream);
        if let Some(files) = files {
            let find = |url: &str, kind| files.get(&(url.to_owned(), kind)).cloned();
            translation.extend(media::supply(dialect, request.to_mut(), &upstream.profile, &find));
        }
        let as_written = effort.map(|_| request.clone().into_owned());
        if let Some(effort) = effort
            && let Request::Chat(chat) = request.to_mut()
        {
            effort.set(chat, set);
        }
        let encode = |request: &Request| self.encoded(upstream, request);
        let encoded = match (encode(request.as_ref()), as_written) {
            // The request contradicts itself with that effort (a forced tool): it goes as the client wrote it.
            (Err(error), Some(as_written)) => {
                given_up(set, error.to_string());
                encode(&as_written)
            }
            (encoded, _) => encoded,
        };
        let encoded = encoded.map_err(|error| encode_failure(self.told().error(as_read, error)))?;
        translation.extend(encoded.warnings);
        warnings.extend(self.told().warnings(as_read, translation));
        let pieces = std::iter::once(encoded.body).chain(encoded.rest);
        Ok((RequestBody::from(pieces.collect::<Vec<_>>()), warnings))
    }

    fn encoded(&self, upstream: &Upstream, request: &Request) -> Result<Encoded, EncodeError> {
        let dialect = self.dialect(upstream);
        match self.admitted.operation {
            Operation::CountTokens => dispatch::encode_count_request(dialect, request, &upstream.profile),
            _ => dispatch::encode_request(dialect, request, &upstream.profile, self.delivery()),
        }
    }
}

/// Takes something out of a request that its route may give up.
fn concede(concession: Concession, request: &mut Request, longest: Option<u64>) -> Option<Warning> {
    if let Request::Chat(chat) = request {
        match concession {
            Concession::Reasoning => chat.reasoning = None,
            Concession::Tools => {
                chat.tools.clear();
                chat.tool_choice = None;
                chat.parallel_tool_calls = None;
            }
            // What becomes of it the encoder tells.
            Concession::NativeSchema => {}
            Concession::Length => {
                chat.max_output_tokens = match (chat.max_output_tokens, longest) {
                    (Some(asked), Some(longest)) => Some(asked.min(longest)),
                    (_, longest) => longest,
                };
            }
        }
    }
    given_up_for_all(concession)
}

fn given_up_for_all(concession: Concession) -> Option<Warning> {
    let reason = "given up: no deployment that may serve the request can do it";
    (concession != Concession::NativeSchema).then(|| Warning::dropped(concession.name(), reason))
}

fn not_continuable() -> Failure {
    Failure::new(FailureClass::Unsupported, "only a single plain text can be continued")
}

fn encode_failure(error: EncodeError) -> Failure {
    let message = error.to_string();
    match error {
        EncodeError::Unsupported { feature, .. } => {
            let mut failure = Failure::new(FailureClass::Unsupported, message);
            failure.parameter = Some(feature);
            failure
        }
        EncodeError::Invalid { path, .. } => {
            let mut failure = Failure::new(FailureClass::BadRequest, message);
            failure.parameter = Some(path);
            failure
        }
    }
}
