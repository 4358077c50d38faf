//! The request as every attempt needs it.
//!
//! Owns making the body and headers for one deployment: the client's own bytes with a few edits where both sides speak the
//! same dialect, a translation otherwise (decoded once, whatever the number of attempts). Must not send anything.

use crate::admit::Admitted;
use crate::clock;
use crate::continuation;
use crate::effort::{Override, given_up};
use crate::makers::{Maker, Watch};
use crate::media::Files;
use crate::places::Told;
use crate::relay::{Before, Bill, RelayContext};
use crate::state::{Gateway, Generation};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::money::NanoDollars;
use trunkline_model::request::{OutputFormat, Reasoning, Request, VectorEncoding};
use trunkline_model::rerank::DOCUMENTS_PER_SEARCH;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;
use trunkline_net::RequestBody;
use trunkline_providers::upstream::Upstream;
use trunkline_route::cascade::{Concession, Expected, Inspection};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::{Leg, Plan};
use trunkline_wire::codec::{BadRequest, EmbeddingForm, EncodeContext, EncodeError, Encoded};
use trunkline_wire::completions;
use trunkline_wire::dispatch;
use trunkline_wire::media::{self, Needed};
use trunkline_wire::names::FittedNames;
use trunkline_wire::relayed::{self, BodyForm};
use trunkline_wire::responses::Echo;
use trunkline_wire::sealed;
use trunkline_wire::source::Source;
use trunkline_wire::veil;

/// One request, seen from its attempts.
pub(crate) struct Subject<'a> {
    admitted: &'a Admitted,
    id: RequestId,
    created: u64,
    /// A stream that breaks off may be continued elsewhere.
    continues: bool,
    /// Answers are read as they pass.
    listens: bool,
    /// The step that decided.
    decider: Option<Name>,
    /// How answers are looked at before the client gets them.
    inspection: Option<Box<Inspection>>,
    /// What of the request is given up.
    conceded: SmallVec<[Concession; 2]>,
    decoded: OnceLock<Result<Box<Request>, BadRequest>>,
    expected: OnceLock<Expected>,
    /// The attempts that are over, for the bill in a stream.
    before: Mutex<Before>,
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

/// How much of a client's request a provider gets as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    /// The body passes.
    Body,
    /// The protocol is the client's, the body is written anew.
    Protocol,
    /// Nothing.
    None,
}

/// Whether a client header goes on to the provider: trace headers (W3C Trace Context) to any, those of a dialect to whoever speaks
/// it, and the name of one very body with that body.
fn is_passed(name: &str, likeness: Likeness) -> bool {
    match name {
        "traceparent" | "tracestate" => true,
        BETA | "anthropic-version" | "openai-beta" | "x-goog-user-project" => likeness != Likeness::None,
        "idempotency-key" => likeness == Likeness::Body,
        _ => false,
    }
}

/// The header by which clients of Anthropic's protocol ask for what is not in it yet.
const BETA: &str = "anthropic-beta";

/// What a provider of another protocol does not get of a client's headers, though the answer may depend on it.
pub(crate) fn lost_header(headers: &HeaderMap, client: Dialect, provider: Dialect) -> Option<Warning> {
    let asks = client == Dialect::Anthropic && provider != client && headers.contains_key(BETA);
    asks.then(|| Warning::dropped(BETA, "the target's protocol has no such betas"))
}

impl<'a> Subject<'a> {
    /// The subject of an admitted request. `continuation` is the route's setting; a strict request is not continued, because
    /// it asks for nothing but the real thing.
    #[must_use]
    pub(crate) fn new(admitted: &'a Admitted, id: RequestId, plan: &Plan) -> Self {
        let continues = plan.continuation
            && plan.inspection.is_none()
            && !admitted.strict
            && admitted.operation == Operation::Chat
            && admitted.envelope.shape.delivery.is_stream();
        let (decoded, expected) = (OnceLock::new(), OnceLock::new());
        Self {
            admitted,
            id,
            created: clock::unix_seconds(),
            continues,
            listens: false,
            decider: None,
            inspection: plan.inspection.clone(),
            conceded: plan.conceded.clone(),
            decoded,
            expected,
            before: Mutex::new(Before::NONE),
        }
    }

    /// The same with answers read as they pass, for a comparison.
    #[must_use]
    pub(crate) fn listening(self, listens: bool) -> Self {
        Self { listens, ..self }
    }

    /// The same, decided by this step.
    #[must_use]
    pub(crate) fn decided_by(self, decider: Option<&Name>) -> Self {
        Self { decider: decider.cloned(), ..self }
    }

    /// Notes which attempts are over: the next one's stream tells what all of them cost.
    pub(crate) fn note_before(&self, before: Before) {
        *self.before.lock() = before;
    }

    /// The subject of a question of our own, or of a request that is sent beside: its answer is read here.
    #[must_use]
    pub(crate) fn beside(admitted: &'a Admitted, id: RequestId) -> Self {
        Self {
            admitted,
            id,
            created: clock::unix_seconds(),
            continues: false,
            listens: false,
            decider: None,
            inspection: Some(Inspection::reading()),
            conceded: SmallVec::new(),
            decoded: OnceLock::new(),
            expected: OnceLock::new(),
            before: Mutex::new(Before::NONE),
        }
    }

    /// The same whose answer is taken as its bytes.
    #[must_use]
    pub(crate) fn unread(self) -> Self {
        Self { inspection: None, ..self }
    }

    /// The subject of a request whose answer is here already.
    #[must_use]
    pub(crate) fn answered(admitted: &'a Admitted, id: RequestId) -> Self {
        Self { inspection: None, ..Self::beside(admitted, id) }
    }

    /// How answers are looked at, if they are.
    #[must_use]
    pub(crate) fn inspection(&self) -> Option<&Inspection> {
        self.inspection.as_deref()
    }

    /// Whether answers of a tier are held and looked at.
    #[must_use]
    pub(crate) fn inspects(&self, tier: &str) -> bool {
        self.inspection().is_some_and(|inspection| inspection.concerns(tier))
    }

    /// What the request says its answer must be.
    #[must_use]
    pub(crate) fn expected(&self) -> &Expected {
        self.expected.get_or_init(|| match self.decoded().as_ref().map(AsRef::as_ref) {
            Ok(Request::Chat(chat)) => match &chat.output {
                OutputFormat::Text => Expected::Anything,
                OutputFormat::JsonObject => Expected::Object,
                OutputFormat::JsonSchema { schema, .. } => Expected::of_schema(schema.text()),
            },
            _ => Expected::Anything,
        })
    }

    /// The request itself.
    #[must_use]
    pub(crate) fn admitted(&self) -> &'a Admitted {
        self.admitted
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

    /// What a call takes in where its provider does not say: tokens, and searches where documents are ordered.
    #[must_use]
    pub(crate) fn estimated_usage(&self) -> Usage {
        let shape = &self.admitted.envelope.shape;
        let searches = match shape.operation {
            Operation::Rerank => u64::from(shape.messages).div_ceil(DOCUMENTS_PER_SEARCH),
            _ => 0,
        };
        Usage { input: self.estimated_input(), searches, ..Usage::default() }
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

    /// The protocol in which it goes there.
    fn dialect(&self, upstream: &Upstream) -> Dialect {
        upstream.dialect_for(self.admitted.dialect, self.operation(upstream))
    }

    /// What it is asked for there.
    fn operation(&self, upstream: &Upstream) -> Operation {
        upstream.operation_for(self.admitted.operation)
    }

    /// The form of the client's body, where it is relayed.
    fn body_form(&self) -> BodyForm<'_> {
        BodyForm::of(self.admitted.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()))
    }

    /// Where to send it. The filter lets only deployments through that serve the operation.
    #[must_use]
    pub(crate) fn uri(&self, upstream: &Upstream) -> Uri {
        let dialect = self.dialect(upstream);
        upstream.uri(dialect, self.operation(upstream), self.delivery()).cloned().unwrap_or_default()
    }

    /// What the answer's relay must know.
    #[must_use]
    pub(crate) fn relay_context(&self, index: DeploymentIndex, tier: &str) -> RelayContext {
        let passes = self.passes(index);
        let hides = self.hides(index, passes);
        let stream_usage =
            self.admitted.envelope.wants_stream_usage || self.admitted.dialect != Dialect::OpenAi;
        RelayContext {
            client: self.admitted.dialect,
            provider: self.dialect(self.upstream(index)),
            // Who may have to go on with the answer must understand it, and so must who leaves something out of it.
            passes: passes && !self.continues && !hides,
            hides,
            keeps_text: self.continues,
            inspects: self.inspects(tier),
            watch: self.watch(index),
            listens: self.listens,
            names: if passes { FittedNames::default() } else { self.fitted_names(index) },
            operation: self.admitted.operation,
            upstream_operation: self.operation(self.upstream(index)),
            delivery: self.delivery(),
            stream_usage,
            asked: self
                .admitted
                .operation
                .is_relayed()
                .then(|| relayed::asked(self.body_form(), &self.admitted.envelope, &self.admitted.body)),
            bill: Bill {
                entry: self.generation().snapshot.fleet.deployment(index).entry.clone(),
                before: *self.before.lock(),
            },
            encode: EncodeContext {
                request_id: self.id,
                created: self.created,
                model: self.upstream(index).profile.model.clone(),
                stream_usage,
                encoding: self.vector_encoding(),
                embedding_form: self.embedding_form(),
                echo: self.echo(),
            },
        }
    }

    /// Whether the client asked not to see any reasoning and the answer may hold some all the same.
    fn hides(&self, index: DeploymentIndex, passes: bool) -> bool {
        let Admitted { envelope, body, dialect, operation, .. } = self.admitted;
        if *operation != Operation::Chat {
            return false;
        }
        if passes {
            return veil::is_needed(*dialect, envelope, body, &self.upstream(index).profile);
        }
        let hidden = |request: &Request| match request {
            Request::Chat(chat) => chat.reasoning.as_ref().is_some_and(Reasoning::is_hidden),
            Request::Embeddings(_) | Request::Rerank(_) => false,
        };
        self.decoded().as_ref().is_ok_and(|request| hidden(request))
    }

    /// Where the answer may hold sealed state, whose that is.
    fn watch(&self, index: DeploymentIndex) -> Option<Watch> {
        let makes_state = match self.dialect(self.upstream(index)) {
            Dialect::Anthropic | Dialect::Gemini | Dialect::Responses | Dialect::Converse => true,
            Dialect::OpenAi | Dialect::Mistral | Dialect::Cohere => false,
        };
        (makes_state && self.admitted.operation == Operation::Chat).then(|| {
            let deployment = self.generation().snapshot.fleet.deployment(index);
            let maker =
                Maker { deployment: Arc::clone(&deployment.id), provider: Arc::clone(&deployment.provider) };
            Watch { makers: Arc::clone(&self.generation().makers), maker, at: self.created }
        })
    }

    /// What the relay must know of the answer that goes on with another: its request is always translated.
    #[must_use]
    pub(crate) fn continued_relay_context(&self, index: DeploymentIndex, tier: &str) -> RelayContext {
        RelayContext { names: self.fitted_names(index), ..self.relay_context(index, tier) }
    }

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

    /// The files that a deployment needs as bytes and the request names by URL. Empty where they are not fetched: then the
    /// deployment refuses the request, or its provider does.
    #[must_use]
    pub(crate) fn needed(&self, index: DeploymentIndex) -> Vec<Needed<'_>> {
        let shape = &self.admitted.envelope.shape;
        let has_files = shape.images + shape.documents + shape.audio + shape.videos > 0;
        // A strict request asks for nothing but the real thing.
        if !has_files || self.admitted.strict || !self.generation().snapshot.server.media.is_fetched {
            return Vec::new();
        }
        let upstream = self.upstream(index);
        let dialect = self.dialect(upstream);
        // Whoever writes Gemini's own form for Gemini knows which models read public URLs.
        let is_own_form = dialect == self.admitted.dialect && dialect == Dialect::Gemini;
        if is_own_form || (dialect == self.admitted.dialect && upstream.profile.image_urls != Support::No) {
            return Vec::new();
        }
        match self.decoded() {
            Ok(request) => media::needed(dialect, request, &upstream.profile),
            Err(_) => Vec::new(),
        }
    }

    /// The files that a deployment needs, fetched unless an earlier attempt did; `None` when it needs none.
    ///
    /// # Errors
    /// Which file cannot be had.
    pub(crate) async fn files(
        &self,
        gateway: &Gateway,
        index: DeploymentIndex,
        patience: Duration,
    ) -> Result<Option<Files>, Failure> {
        let needed = self.needed(index);
        if needed.is_empty() {
            return Ok(None);
        }
        let supply = self.admitted.supply.get_or_init(Arc::default);
        // Boxed, because few requests need it and every request would carry the room for it.
        let obtained = Box::pin(supply.obtain(gateway, self.generation(), &needed, patience)).await;
        obtained.map(Some).map_err(|failure| match self.decoded() {
            Ok(request) => self.told().failure(request, failure),
            Err(_) => failure,
        })
    }

    /// How deeply an attempt is to reason, where somebody else than the body says so. What the route gave up stays given up.
    fn effort(&self, index: DeploymentIndex, tier: &str) -> Option<Override<'_>> {
        let said = self.admitted.effort.of(self.admitted, self.decider.as_ref(), tier)?;
        if self.conceded.contains(&Concession::Reasoning) {
            return None;
        }
        let deployment = self.generation().snapshot.fleet.deployment(index);
        Some(Override::new(said, &self.upstream(index).profile, deployment))
    }

    /// Whether bytes pass untouched, both ways.
    fn passes(&self, index: DeploymentIndex) -> bool {
        let Admitted { envelope, body, dialect, operation, .. } = self.admitted;
        if operation.is_relayed() {
            return true;
        }
        // What is given up must be taken out; reasoning stands in places of its own.
        self.conceded.iter().all(|concession| *concession == Concession::Reasoning)
            && !self.is_foreign(index)
            && self.dialect(self.upstream(index)) == *dialect
            && self.operation(self.upstream(index)) == *operation
            && self.upstream(index).profile.takes_client_form(*operation)
            && dispatch::may_pass(*dialect, *operation, envelope, body, &self.upstream(index).profile)
            && self.needed(index).is_empty()
    }

    /// Whether sealed state in the conversation was made by another provider of the same dialect.
    fn is_foreign(&self, index: DeploymentIndex) -> bool {
        let provider = &self.generation().snapshot.fleet.deployment(index).provider;
        let Admitted { turn, maker, envelope, .. } = self.admitted;
        envelope.shape.has_opaque_state
            && (turn.as_ref().is_some_and(|turn| turn.is_foreign(provider))
                || maker.as_ref().is_some_and(|maker| maker.provider != *provider))
    }

    fn fitted_names(&self, index: DeploymentIndex) -> FittedNames {
        match self.decoded() {
            Ok(request) => dispatch::fitted_names(self.dialect(self.upstream(index)), request),
            Err(_) => FittedNames::default(),
        }
    }

    /// What the answer repeats of the request, for clients whose protocol wants that.
    fn echo(&self) -> Option<Arc<Echo>> {
        let Admitted { envelope, body, dialect, echo, .. } = self.admitted;
        echo.clone().or_else(|| dispatch::echo(*dialect, envelope, body))
    }

    fn embedding_form(&self) -> EmbeddingForm {
        let Admitted { envelope, body, dialect, .. } = self.admitted;
        dispatch::embedding_form(*dialect, envelope, body)
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

    /// What the client is told by the names of its own body.
    fn told(&self) -> Told<'a> {
        let Admitted { dialect, body, turn, .. } = self.admitted;
        Told { dialect: *dialect, body, turn: turn.as_deref() }
    }

    fn decoded(&self) -> &Result<Box<Request>, BadRequest> {
        self.decoded.get_or_init(|| {
            let Admitted { dialect, operation, body, path, envelope, .. } = self.admitted;
            let body = Source::seen(body, envelope);
            dispatch::decode_request(*dialect, *operation, body, path).map(Box::new)
        })
    }

    fn headers(&self, upstream: &Upstream, likeness: Likeness) -> HeaderMap {
        let mut headers = HeaderMap::clone(&upstream.headers);
        if self.admitted.operation.is_relayed()
            && let (BodyForm::Multipart(_), Some(form)) =
                (self.body_form(), self.admitted.headers.get(CONTENT_TYPE))
        {
            headers.insert(CONTENT_TYPE, form.clone());
        }
        let mut last: Option<&HeaderName> = None;
        for (name, value) in &self.admitted.headers {
            if !is_passed(name.as_str(), likeness) {
                continue;
            }
            // The values of a name follow each other. The client's own word replaces ours: its body was written for the
            // version it names.
            if last == Some(name) {
                headers.append(name, HeaderValue::clone(value));
            } else {
                headers.insert(name, HeaderValue::clone(value));
            }
            last = Some(name);
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
