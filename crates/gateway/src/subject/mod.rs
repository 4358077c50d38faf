//! The request as every attempt needs it.
//!
//! Owns what attempts ask of it: whether its bytes may pass, what it is decoded (once, whatever the number of attempts), which files
//! it needs. `body` and `headers` make what one deployment gets, `answer` says what the reader of its answer must know. Must not send
//! anything.

mod answer;
mod body;
mod headers;

pub(crate) use body::Prepared;
pub(crate) use headers::lost_header;

use crate::admit::Admitted;
use crate::clock;
use crate::continuation;
use crate::effort::Override;
use crate::media::Files;
use crate::places::Told;
use crate::relay::Before;
use crate::state::{Gateway, Generation};
use http::Uri;
use http::header::CONTENT_TYPE;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::Failure;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::money::NanoDollars;
use trunkline_model::request::{OutputFormat, Request};
use trunkline_model::rerank::DOCUMENTS_PER_SEARCH;
use trunkline_model::usage::Usage;
use trunkline_providers::upstream::Upstream;
use trunkline_route::cascade::{Concession, Expected, Inspection};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::Plan;
use trunkline_wire::codec::BadRequest;
use trunkline_wire::dispatch;
use trunkline_wire::media::{self, Needed};
use trunkline_wire::relayed::BodyForm;
use trunkline_wire::source::Source;

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
}
