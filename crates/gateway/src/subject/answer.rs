//! What has to be known of a request where its answer is read.
//!
//! Owns the relay's context for one deployment. Must not read answers.

use super::Subject;
use crate::admit::Admitted;
use crate::makers::{Maker, Watch};
use crate::relay::{Bill, RelayContext};
use crate::tokens::Prompt;
use std::sync::Arc;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::request::{Reasoning, Request, VectorEncoding};
use trunkline_model::usage::Terms;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_wire::codec::{EmbeddingForm, EncodeContext};
use trunkline_wire::dispatch;
use trunkline_wire::names::FittedNames;
use trunkline_wire::relayed;
use trunkline_wire::responses::Echo;
use trunkline_wire::veil;

impl Subject<'_> {
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
                terms: Terms::Usual,
            },
            uncounted: (self.admitted.operation == Operation::Embeddings && !passes).then(|| {
                let Admitted { envelope, body, .. } = self.admitted;
                (Prompt::of(envelope, body).unwrap_or_default(), self.estimated_usage())
            }),
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

    fn vector_encoding(&self) -> VectorEncoding {
        let Admitted { envelope, body, .. } = self.admitted;
        match envelope.field(body, "encoding_format").and_then(|field| body.get(field.value.clone())) {
            Some(b"\"base64\"") => VectorEncoding::Base64,
            _ => VectorEncoding::Float,
        }
    }
}
