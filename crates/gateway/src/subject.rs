//! The request as every attempt needs it.
//!
//! Owns making the body and headers for one deployment: the client's own bytes with a few edits where both sides speak the
//! same dialect, a translation otherwise (decoded once, whatever the number of attempts). Must not send anything.

use crate::admit::Admitted;
use crate::clock;
use crate::continuation;
use crate::relay::RelayContext;
use crate::state::Generation;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use std::sync::{Arc, OnceLock};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;
use trunkline_model::money::NanoDollars;
use trunkline_model::request::{Request, VectorEncoding};
use trunkline_model::warning::Warning;
use trunkline_net::RequestBody;
use trunkline_providers::upstream::Upstream;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_wire::codec::{BadRequest, EmbeddingForm, EncodeContext, EncodeError};
use trunkline_wire::dispatch;
use trunkline_wire::names::FittedNames;

/// One request, seen from its attempts.
pub(crate) struct Subject<'a> {
    admitted: &'a Admitted,
    id: RequestId,
    created: u64,
    /// A stream that breaks off may be continued elsewhere.
    continues: bool,
    decoded: OnceLock<Result<Box<Request>, BadRequest>>,
}

/// What one attempt sends.
pub(crate) struct Prepared {
    /// The body.
    pub body: RequestBody,
    /// The headers.
    pub headers: HeaderMap,
    /// What did not pass unchanged.
    pub warnings: Vec<Warning>,
}

/// Client headers that go on to a provider of the same dialect.
const PASSED_HEADERS: [&str; 5] =
    ["anthropic-beta", "anthropic-version", "openai-beta", "x-goog-user-project", "idempotency-key"];
/// Trace headers that go on to any provider (W3C Trace Context).
const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

impl<'a> Subject<'a> {
    /// The subject of an admitted request. `continuation` is the route's setting; a strict request is not continued, because
    /// it asks for nothing but the real thing.
    #[must_use]
    pub(crate) fn new(admitted: &'a Admitted, id: RequestId, continuation: bool) -> Self {
        let continues = continuation
            && !admitted.strict
            && admitted.operation == Operation::Chat
            && admitted.envelope.shape.delivery.is_stream();
        Self { admitted, id, created: clock::unix_seconds(), continues, decoded: OnceLock::new() }
    }

    /// Whether the rest of a broken answer may come from elsewhere, as far as the request goes.
    #[must_use]
    pub(crate) fn may_be_continued(&self) -> bool {
        self.continues
            && matches!(self.decoded(), Ok(request)
                if matches!(&**request, Request::Chat(chat) if continuation::may_be_continued(chat)))
    }

    /// What the request is served under.
    #[must_use]
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.admitted.generation
    }

    /// Plain or streamed.
    #[must_use]
    pub(crate) fn delivery(&self) -> Delivery {
        self.admitted.envelope.shape.delivery
    }

    /// Prompt and longest answer, in tokens, for a deployment's own limits.
    #[must_use]
    pub(crate) fn worst_case_tokens(&self) -> u64 {
        let shape = &self.admitted.envelope.shape;
        shape.estimated_input_tokens().saturating_add(shape.max_output_tokens.unwrap_or(0))
    }

    /// The prompt's estimated size, in tokens.
    #[must_use]
    pub(crate) fn estimated_input(&self) -> u64 {
        self.admitted.envelope.shape.estimated_input_tokens()
    }

    /// What the request costs on a deployment, estimated; `None` when its prices are not known.
    #[must_use]
    pub(crate) fn estimated_cost(&self, index: DeploymentIndex) -> Option<NanoDollars> {
        let deployment = self.generation().snapshot.fleet.deployment(index);
        trunkline_route::estimate::expected_cost(deployment, &self.admitted.envelope.shape).amount
    }

    /// The route's name.
    #[must_use]
    pub(crate) fn route_name(&self) -> &str {
        &self.admitted.route.name
    }

    /// How to reach a deployment.
    #[must_use]
    pub(crate) fn upstream(&self, index: DeploymentIndex) -> &Upstream {
        &self.generation().snapshot.upstreams[index.position()]
    }

    /// Where to send it. The filter lets only deployments through that serve the operation.
    #[must_use]
    pub(crate) fn uri(&self, upstream: &Upstream) -> Uri {
        upstream.uri(self.admitted.operation, self.delivery()).cloned().unwrap_or_default()
    }

    /// What the answer's relay must know.
    #[must_use]
    pub(crate) fn relay_context(&self, index: DeploymentIndex) -> RelayContext {
        let passes = self.passes(self.upstream(index));
        let stream_usage =
            self.admitted.envelope.wants_stream_usage || self.admitted.dialect != Dialect::OpenAi;
        RelayContext {
            client: self.admitted.dialect,
            provider: self.upstream(index).dialect,
            // Who may have to go on with the answer must understand it.
            passes: passes && !self.continues,
            keeps_text: self.continues,
            names: if passes { FittedNames::default() } else { self.fitted_names(index) },
            operation: self.admitted.operation,
            delivery: self.delivery(),
            stream_usage,
            encode: EncodeContext {
                request_id: self.id,
                created: self.created,
                model: self.upstream(index).profile.model.clone(),
                stream_usage,
                encoding: self.vector_encoding(),
                embedding_form: self.embedding_form(),
            },
        }
    }

    /// What the relay must know of the answer that goes on with another: its request is always translated.
    #[must_use]
    pub(crate) fn continued_relay_context(&self, index: DeploymentIndex) -> RelayContext {
        RelayContext { names: self.fitted_names(index), ..self.relay_context(index) }
    }

    /// Makes the body and headers for a deployment: for the whole answer, or for what follows the text so far.
    ///
    /// # Errors
    /// `Unsupported` when the deployment cannot express the request, `BadRequest` when the request contradicts itself.
    pub(crate) fn prepare(&self, index: DeploymentIndex, so_far: Option<&str>) -> Result<Prepared, Failure> {
        let upstream = self.upstream(index);
        let same = so_far.is_none() && self.passes(upstream);
        let (body, warnings) = if same { self.passed(upstream) } else { self.translated(upstream, so_far)? };
        if self.admitted.strict && !warnings.is_empty() {
            let list: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            let message = format!(
                "strict mode: {} cannot take the request as it is: {}",
                upstream.profile.model,
                list.join("; ")
            );
            return Err(Failure::new(FailureClass::Unsupported, message));
        }
        Ok(Prepared { body, headers: self.headers(upstream, same), warnings })
    }

    /// Whether bytes pass untouched, both ways.
    fn passes(&self, upstream: &Upstream) -> bool {
        let Admitted { envelope, body, dialect, operation, .. } = self.admitted;
        upstream.dialect == *dialect && dispatch::may_pass(*dialect, *operation, envelope, body)
    }

    fn fitted_names(&self, index: DeploymentIndex) -> FittedNames {
        match self.decoded() {
            Ok(request) => dispatch::fitted_names(self.upstream(index).dialect, request),
            Err(_) => FittedNames::default(),
        }
    }

    fn embedding_form(&self) -> EmbeddingForm {
        let Admitted { envelope, body, dialect, .. } = self.admitted;
        dispatch::embedding_form(*dialect, envelope, body)
    }

    fn passed(&self, upstream: &Upstream) -> (RequestBody, Vec<Warning>) {
        let Admitted { envelope, body, dialect, .. } = self.admitted;
        let edits = dispatch::pass_edits(*dialect, envelope, body, &upstream.profile, self.delivery());
        let rope = edits.apply(body, envelope);
        (RequestBody::from_pieces(rope), edits.warnings)
    }

    fn translated(
        &self,
        upstream: &Upstream,
        so_far: Option<&str>,
    ) -> Result<(RequestBody, Vec<Warning>), Failure> {
        let request = self.decoded().as_ref().map_err(|error| {
            let mut failure = Failure::new(FailureClass::BadRequest, error.message.clone());
            failure.parameter.clone_from(&error.path);
            failure
        })?;
        let rest = match so_far {
            None => None,
            Some(text) => Some(continuation::rest(request, text).ok_or_else(not_continuable)?),
        };
        let request = rest.as_ref().unwrap_or(request);
        let encoded = match self.admitted.operation {
            Operation::CountTokens => {
                dispatch::encode_count_request(upstream.dialect, request, &upstream.profile)
            }
            Operation::Chat | Operation::Embeddings | Operation::Rerank => {
                dispatch::encode_request(upstream.dialect, request, &upstream.profile, self.delivery())
            }
        };
        let encoded = encoded.map_err(encode_failure)?;
        Ok((RequestBody::from(encoded.body), encoded.warnings))
    }

    fn decoded(&self) -> &Result<Box<Request>, BadRequest> {
        self.decoded.get_or_init(|| {
            let Admitted { dialect, operation, body, path, .. } = self.admitted;
            dispatch::decode_request(*dialect, *operation, body, path).map(Box::new)
        })
    }

    fn headers(&self, upstream: &Upstream, same: bool) -> HeaderMap {
        let mut headers = upstream.headers.clone();
        let client = &self.admitted.headers;
        let names = TRACE_HEADERS.iter().chain(if same { PASSED_HEADERS.iter() } else { [].iter() });
        for name in names {
            // The client's own word replaces ours: its body was written for the version it names.
            let mut values = client.get_all(*name).iter();
            if let Some(first) = values.next() {
                headers.insert(HeaderName::from_static(name), HeaderValue::clone(first));
            }
            for value in values {
                headers.append(HeaderName::from_static(name), HeaderValue::clone(value));
            }
        }
        headers
    }

    fn vector_encoding(&self) -> VectorEncoding {
        let Admitted { envelope, body, .. } = self.admitted;
        match envelope.field(body, "encoding_format").and_then(|field| body.get(field.value.clone())) {
            Some(b"\"base64\"") => VectorEncoding::Base64,
            _ => VectorEncoding::Float,
        }
    }
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
