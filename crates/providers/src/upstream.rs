//! A deployment made concrete: which URL, which headers, what the target accepts.
//!
//! Owns turning a preset, an account and a catalogue entry into values the request path only has to clone. Must not send
//! anything. Built once when a configuration compiles, so that nothing is formatted or validated per request.

use crate::batch::{BatchApi, store_refusal};
use crate::limits::{self, RateHeaders};
use crate::preset::{Endpoint, ErrorRow, KeyScheme, LimitStyle, Preset};
use crate::signing::Signing;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{Kind, ModelEntry};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::secret::Secret;
use trunkline_model::usage::Terms;
use trunkline_wire::codec::{EmbeddingsBy, OutputLimitName, Profile, ReasoningStyle};
use trunkline_wire::dispatch;

/// Where a provider tells beside its answer by which service tier it was served
/// (<https://ai.google.dev/gemini-api/docs/priority-inference>).
static SERVICE_TIER: HeaderName = HeaderName::from_static("x-gemini-service-tier");

/// Where a path names the model.
const MODEL: &str = "{model}";

/// An upstream account as configured.
#[derive(Clone, Debug)]
pub struct Account {
    /// Base URL, without a closing slash.
    pub base_url: String,
    /// The credential, where there is one.
    pub key: Option<Secret>,
    /// A credential that is renewed or signs, in place of `key`.
    pub signing: Option<Arc<Signing>>,
    /// The region that requests are signed for, where they are. Without one, endpoints of sister services are not served.
    pub region: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// HTTP/2 without TLS.
    pub http2_cleartext: bool,
}

/// Why an account cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The base URL is not one.
    #[error("use the url `{url}`: {reason}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credential has characters no header can carry.
    #[error("use the key: it holds characters that no HTTP header can carry (a line break, perhaps)")]
    Key,
    /// A header that is not one.
    #[error("use the header `{0}`: not a valid name or value")]
    Header(String),
}

/// Everything the request path needs of one deployment.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The provider's dialect.
    pub dialect: Dialect,
    /// What encoders must know of the target.
    pub profile: Profile,
    /// Headers of every request, credential included (marked sensitive).
    pub headers: Arc<HeaderMap>,
    /// HTTP/2 without TLS.
    pub http2_cleartext: bool,
    /// How requests are signed, where no fixed header proves who sends them.
    pub signing: Option<Arc<Signing>>,
    /// The address below which the provider serves everything; a key that goes into queries stands in its query.
    pub base: Uri,
    /// Its batch API, where there is one.
    pub batch: Option<BatchApi>,
    /// How requests to the store behind that prove who sends them: by a signature or a token, or by a header of all requests.
    pub store_signing: Option<Arc<Signing>>,
    /// That header.
    pub store_headers: HeaderMap,
    addresses: Arc<Addresses>,
    /// Its model is of a family that its provider serves otherwise than the rest.
    is_of_family: bool,
    /// Conversations go through the responses endpoint, whatever the client speaks.
    only_responses: bool,
    errors: Arc<[ErrorRow]>,
    limits: LimitStyle,
}

/// Where a deployment's operations go.
#[derive(Debug)]
struct Addresses {
    endpoints: Vec<(Operation, Delivery, Uri)>,
    responses: Option<Uri>,
    /// An operation that the model refuses, of those that its provider has an endpoint for.
    refused: Option<Operation>,
    /// Whether they are those of every model of the account that refuses the same.
    are_common: bool,
}

impl Upstream {
    /// Makes a deployment concrete.
    ///
    /// # Errors
    /// When the account's URL, key or headers cannot be used.
    pub fn new(
        preset: &Preset,
        account: &Account,
        model: &str,
        entry: Option<&ModelEntry>,
    ) -> Result<Self, AccountError> {
        Self::beside(None, preset, account, model, entry)
    }

    /// As [`Upstream::new`], and shares with another deployment of the same preset and account what is the same for both. A
    /// provider has hundreds of models: their addresses alone would take megabytes.
    ///
    /// # Errors
    /// As [`Upstream::new`].
    pub fn beside(
        sibling: Option<&Self>,
        preset: &Preset,
        account: &Account,
        model: &str,
        entry: Option<&ModelEntry>,
    ) -> Result<Self, AccountError> {
        let preset = preset.for_model(model);
        // A family of models has addresses of its own.
        let sibling = sibling.filter(|sibling| matches!(preset, Cow::Borrowed(_)) && !sibling.is_of_family);
        let is_of_family = matches!(preset, Cow::Owned(_));
        let preset = &*preset;
        let base = &account.base_url;
        let refused = refused(preset, entry);
        let common = sibling.map(|sibling| &sibling.addresses);
        let addresses = match common.filter(|common| common.are_common && common.refused == refused) {
            Some(common) => Arc::clone(common),
            None => Arc::new(Addresses::new(preset, account, model, refused)?),
        };
        let only_responses = addresses.responses.is_some()
            && (!addresses.serve(Operation::Chat)
                || entry.is_some_and(|entry| entry.kind == Kind::Responses));
        let headers = match sibling {
            Some(sibling) => Arc::clone(&sibling.headers),
            None => Arc::new(headers(preset, account)?),
        };
        Ok(Self {
            dialect: preset.dialect,
            profile: profile(preset, account, model, entry),
            store_headers: store_headers(preset, &headers),
            headers,
            http2_cleartext: account.http2_cleartext,
            signing: account.signing.clone(),
            base: uri(account, preset, base, "/", model)?,
            batch: batch(preset, account, model),
            store_signing: store_signing(preset, account),
            addresses,
            is_of_family,
            only_responses,
            errors: sibling
                .map_or_else(|| preset.errors.as_slice().into(), |sibling| Arc::clone(&sibling.errors)),
            limits: preset.limits.style,
        })
    }

    /// The protocol in which a client's request goes on: the client's own where the provider speaks it too, so that nothing is
    /// lost on the way.
    #[must_use]
    pub fn dialect_for(&self, client: Dialect, operation: Operation) -> Dialect {
        if operation.is_relayed() {
            // There is one form of it, whatever the conversations are held in.
            return Dialect::OpenAi;
        }
        // Chat completions have no words for a count of tokens: who counts at all does it as a response would be asked for.
        if operation == Operation::CountTokens && self.dialect == Dialect::OpenAi {
            return Dialect::Responses;
        }
        let takes_responses = self.addresses.responses.is_some() && operation == Operation::Chat;
        if takes_responses && (self.only_responses || client == Dialect::Responses) {
            return Dialect::Responses;
        }
        self.dialect
    }

    /// Where to send an operation in a protocol of [`Upstream::dialect_for`]; `None` when the deployment does not serve it.
    #[must_use]
    pub fn uri(&self, dialect: Dialect, operation: Operation, delivery: Delivery) -> Option<&Uri> {
        let has_own = operation == Operation::CountTokens;
        if dialect == Dialect::Responses && self.dialect != Dialect::Responses && !has_own {
            return self.addresses.responses.as_ref();
        }
        let endpoints = &self.addresses.endpoints;
        endpoints.iter().find(|(op, how, _)| (*op, *how) == (operation, delivery)).map(|(_, _, uri)| uri)
    }

    /// What the deployment is asked for where a client asks for `operation`: a text that is to be continued is a conversation
    /// where the provider continues none.
    #[must_use]
    pub fn operation_for(&self, operation: Operation) -> Operation {
        match operation {
            Operation::Completions if !self.addresses.serve(operation) => Operation::Chat,
            operation => operation,
        }
    }

    /// Whether one of its endpoints stands at a path.
    #[must_use]
    pub fn serves_at(&self, path: &str) -> bool {
        self.addresses.all().any(|uri| uri.path() == path)
    }

    /// Any of its addresses, for its scheme, host and port.
    #[must_use]
    pub fn any_uri(&self) -> Option<&Uri> {
        self.addresses.all().next()
    }

    /// What it serves.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        Operation::ALL
            .into_iter()
            .filter(|operation| {
                let operation = self.operation_for(*operation);
                let dialect = self.dialect_for(self.dialect, operation);
                self.uri(dialect, operation, Delivery::Plain).is_some()
            })
            .collect()
    }

    /// Reads a refused answer. `now` is Unix seconds.
    #[must_use]
    pub fn failure(&self, status: u16, headers: &HeaderMap, body: &[u8], now: u64) -> Failure {
        let name = dispatch::error_header(self.dialect).and_then(|name| headers.get(name)?.to_str().ok());
        let mut failure = match name {
            Some(name) => dispatch::decode_named_error(self.dialect, status, name, body),
            None => dispatch::decode_error(self.dialect, status, body),
        };
        failure.status = Some(status);
        // The provider's own table speaks for statuses its dialect does not define; a class that the body named stays.
        let by_status_alone = matches!(failure.class, FailureClass::Server | FailureClass::BadRequest);
        if let Some(row) = self.errors.iter().find(|row| row.status == status).filter(|_| by_status_alone) {
            failure.class = row.class;
        }
        failure.retry_after = limits::retry_after(headers, now).or(failure.retry_after);
        failure
    }

    /// Reads an answer of the store behind the batch API that is a refusal. `now` is Unix seconds.
    #[must_use]
    pub fn store_failure(&self, status: u16, headers: &HeaderMap, body: &[u8], now: u64) -> Failure {
        let mut failure = self.failure(status, headers, &[], now);
        failure.message = format!("the bucket's store answered status {status} without a message");
        if let Some((code, message)) = store_refusal(body) {
            failure.message = format!("the bucket's store says {code}: {message}");
            failure.code = Some(code);
        }
        failure
    }

    /// Reads what the provider says is left of its limits. `now` is Unix seconds.
    #[must_use]
    pub fn rate_headers(&self, headers: &HeaderMap, now: u64) -> Option<RateHeaders> {
        if self.limits == LimitStyle::None { None } else { limits::rate_headers(headers, now) }
    }

    /// On which terms the head of an answer says that it was served.
    #[must_use]
    pub fn terms(headers: &HeaderMap) -> Terms {
        headers.get(&SERVICE_TIER).and_then(|word| word.to_str().ok()).map(Terms::of).unwrap_or_default()
    }

    /// How long the provider asked to wait. `now` is Unix seconds.
    #[must_use]
    pub fn retry_after(headers: &HeaderMap, now: u64) -> Option<Duration> {
        limits::retry_after(headers, now)
    }
}

/// The batch API of an account. One whose requests carry the key in the query is not used.
fn batch(preset: &Preset, account: &Account, model: &str) -> Option<BatchApi> {
    let support = preset.batch.as_ref()?;
    if preset.key.scheme == KeyScheme::Query {
        return None;
    }
    let base = base(preset, account, Endpoint::Batches)?;
    let model = (model, &*encode_segment(model));
    let region = account.region.as_deref();
    BatchApi::new(support, base.trim_end_matches('/'), model, region, |endpoint| preset.path(endpoint))
}

/// The proof for the store behind a batch API: the account's own credential, for another service.
fn store_signing(preset: &Preset, account: &Account) -> Option<Arc<Signing>> {
    let store = preset.batch.as_ref()?.store.as_ref()?;
    let signing = account.signing.as_ref()?;
    Some(match &store.service {
        Some(service) => Arc::new(signing.of_service(service)),
        None => Arc::clone(signing),
    })
}

/// What requests to that store have of the headers of all: the key, where it is not signed for by itself, and nothing else.
fn store_headers(preset: &Preset, headers: &HeaderMap) -> HeaderMap {
    let store = preset.batch.as_ref().and_then(|batch| batch.store.as_ref());
    let takes_keys = store.is_some_and(|store| store.service.is_none());
    let key = headers.get(AUTHORIZATION).filter(|_| takes_keys);
    key.map(|key| (AUTHORIZATION, key.clone())).into_iter().collect()
}

impl Addresses {
    fn new(
        preset: &Preset,
        account: &Account,
        model: &str,
        refused: Option<Operation>,
    ) -> Result<Self, AccountError> {
        let mut endpoints: Vec<(Operation, Delivery, Uri)> = Vec::new();
        let mut are_common = true;
        for operation in Operation::ALL.into_iter().filter(|operation| Some(*operation) != refused) {
            for delivery in [Delivery::Plain, Delivery::Stream] {
                let Some((endpoint, path)) = path(preset, operation, delivery) else { continue };
                let Some(base) = base(preset, account, endpoint) else { continue };
                are_common &= !path.contains(MODEL);
                endpoints.push((operation, delivery, uri(account, preset, &base, path, model)?));
            }
        }
        endpoints.shrink_to_fit();
        let responses = preset.path(Endpoint::Responses);
        are_common &= responses.is_none_or(|path| !path.contains(MODEL));
        let base = &account.base_url;
        let responses = responses.map(|path| uri(account, preset, base, path, model)).transpose()?;
        Ok(Self { endpoints, responses, refused, are_common })
    }

    fn serve(&self, operation: Operation) -> bool {
        self.endpoints.iter().any(|(served, ..)| *served == operation)
    }

    fn all(&self) -> impl Iterator<Item = &Uri> {
        self.endpoints.iter().map(|(_, _, uri)| uri).chain(&self.responses)
    }
}

/// The operation that a model refuses though its provider has an endpoint for it.
fn refused(preset: &Preset, entry: Option<&ModelEntry>) -> Option<Operation> {
    let is_other = entry.is_some_and(|entry| entry.kind != Kind::Completion);
    (preset.separate_completions && is_other).then_some(Operation::Completions)
}

fn path(preset: &Preset, operation: Operation, delivery: Delivery) -> Option<(Endpoint, &str)> {
    let endpoint = match (operation, delivery) {
        (Operation::Chat, Delivery::Stream) if preset.path(Endpoint::ChatStream).is_some() => {
            Endpoint::ChatStream
        }
        (Operation::Chat, _) => Endpoint::Chat,
        (Operation::Embeddings, Delivery::Plain) => Endpoint::Embeddings,
        (Operation::CountTokens, Delivery::Plain) => Endpoint::CountTokens,
        (Operation::Rerank, Delivery::Plain) => Endpoint::Rerank,
        (Operation::Embeddings | Operation::CountTokens | Operation::Rerank, Delivery::Stream) => {
            return None;
        }
        (Operation::Completions, _) => Endpoint::Completions,
        (Operation::Moderations, _) => Endpoint::Moderations,
        (Operation::Images, _) => Endpoint::Images,
        (Operation::ImageEdits, _) => Endpoint::ImageEdits,
        (Operation::ImageVariations, _) => Endpoint::ImageVariations,
        (Operation::Transcriptions, _) => Endpoint::Transcriptions,
        (Operation::Translations, _) => Endpoint::Translations,
        (Operation::Speech, _) => Endpoint::Speech,
        // It has no path of its own.
        (Operation::Passthrough, _) => return None,
    };
    preset.path(endpoint).map(|path| (endpoint, path))
}

/// The address below which an endpoint is served; `None` where the account cannot reach it.
fn base<'a>(preset: &Preset, account: &'a Account, endpoint: Endpoint) -> Option<Cow<'a, str>> {
    match preset.sister_services.get(&endpoint) {
        None => Some(Cow::Borrowed(&account.base_url)),
        Some(_) if account.region.is_none() => None,
        Some(sister) => Some(sister.base_url(&account.base_url)),
    }
}

fn uri(account: &Account, preset: &Preset, base: &str, path: &str, model: &str) -> Result<Uri, AccountError> {
    let base = base.trim_end_matches('/');
    let mut text = match path.split_once(MODEL) {
        None => [base, path].concat(),
        Some((before, after)) if preset.dialect == Dialect::Converse => {
            [base, before, &encode_strictly(model), after].concat()
        }
        Some((before, after)) => [base, before, &encode_segment(model), after].concat(),
    };
    if let (KeyScheme::Query, Some(name), Some(key)) = (preset.key.scheme, &preset.key.name, &account.key) {
        let separator = if text.contains('?') { '&' } else { '?' };
        text.push(separator);
        text.push_str(&format!("{name}={}", encode_segment(key.expose())));
    }
    let wrong = |reason: String| AccountError::Url { url: base.to_owned(), reason };
    let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(wrong("expected http:// or https:// and a host".to_owned())),
    }
}

/// Percent-encodes a path segment; model names with slashes keep them, as every provider that has such names expects.
fn encode_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Percent-encodes everything that is not unreserved: an ARN is one segment, its colons and slashes included.
fn encode_strictly(text: &str) -> String {
    let encoded = encode_segment(text);
    encoded.replace('/', "%2F").replace(':', "%3A").replace('@', "%40")
}

fn headers(preset: &Preset, account: &Account) -> Result<HeaderMap, AccountError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut add = |name: &str, value: &str| -> Result<(), AccountError> {
        let wrong = || AccountError::Header(name.to_owned());
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        headers.insert(parsed, HeaderValue::from_str(value).map_err(|_| wrong())?);
        Ok(())
    };
    let preset_headers: &BTreeMap<String, String> = &preset.headers;
    for (name, value) in preset_headers {
        add(name, value)?;
    }
    for (name, value) in &account.headers {
        add(name, value)?;
    }
    if let Some(key) = &account.key {
        let (name, text) = match preset.key.scheme {
            KeyScheme::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose())),
            KeyScheme::Header => {
                let name = preset.key.name.as_deref().unwrap_or("authorization");
                let name = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| AccountError::Header(name.to_owned()))?;
                (name, key.expose().to_owned())
            }
            KeyScheme::Query | KeyScheme::None => return Ok(headers),
        };
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| AccountError::Key)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn profile(preset: &Preset, account: &Account, model: &str, entry: Option<&ModelEntry>) -> Profile {
    let support = |capability| entry.map_or(Support::Unknown, |entry| entry.support(capability));
    let parameters = &preset.parameters;
    let mut profile = Profile::new(model);
    let sister = preset.sister_services.get(&Endpoint::Rerank).zip(account.region.as_deref());
    profile.rerank_model = sister.map(|(sister, region)| sister.model_name(model, region));
    profile.max_output_tokens = entry.and_then(|entry| entry.max_output_tokens);
    profile.output_limit = parameters.output_limit.map_or(OutputLimitName::MaxTokens, OutputLimitName::from);
    profile.sampling = support(Capability::SamplingParameters);
    profile.json_schema = match support(Capability::JsonSchema) {
        Support::Unknown => parameters.json_schema.into(),
        known => known,
    };
    profile.prefill = support(Capability::AssistantPrefill);
    profile.reasoning = reasoning_style(preset.dialect, model, &support);
    profile.reasoning_object = parameters.reasoning_object == Some(true);
    profile.image_urls = parameters.image_urls.into();
    profile.stream_usage = parameters.stream_usage.unwrap_or(true);
    profile.model_in_body = !preset.model_in_path_only;
    profile.embeddings_by = match preset.path(Endpoint::Embeddings) {
        Some(path) if path.ends_with(":predict") => EmbeddingsBy::Instances,
        Some(_) if preset.model_in_path_only => EmbeddingsBy::PlainBatch,
        _ => EmbeddingsBy::NamedBatch,
    };
    profile.fixed = preset.body.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    profile.refused.clone_from(&parameters.refused);
    profile.ignored.clone_from(&parameters.ignored);
    profile.most_stops = parameters.stop_texts;
    profile.renamed =
        parameters.renamed.iter().map(|(ours, theirs)| (ours.clone(), theirs.clone())).collect();
    profile
}

fn reasoning_style(dialect: Dialect, model: &str, support: &dyn Fn(Capability) -> Support) -> ReasoningStyle {
    if support(Capability::Reasoning) == Support::No {
        return ReasoningStyle::None;
    }
    match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Mistral => ReasoningStyle::Effort,
        Dialect::Anthropic | Dialect::Converse if support(Capability::AdaptiveReasoning) == Support::Yes => {
            ReasoningStyle::Adaptive
        }
        Dialect::Anthropic | Dialect::Converse | Dialect::Cohere => ReasoningStyle::Budget,
        // Gemini 2.5 takes `thinkingBudget`, later models `thinkingLevel` (Google's page on thinking).
        Dialect::Gemini if model.contains("gemini-2.") => ReasoningStyle::Budget,
        Dialect::Gemini => ReasoningStyle::Level,
    }
}
