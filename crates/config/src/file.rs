//! The configuration as a user writes it.
//!
//! Owns every setting: its name, its form, its documentation (the published JSON Schema is made from these types). Must not
//! resolve anything: names, units and secrets are texts here and get their meaning in `compile`. Unknown fields are denied
//! and nothing is flattened or untagged, so that each setting has one place and one form.

mod models;
mod providers;
mod routes;
mod steps;

pub use models::{ModelChangeSettings, ModelSettings, PriceSettings};
pub use providers::{
    DataSettings, DeploymentSettings, Effort, IdentitySettings, ProviderBatchSettings, ProviderSettings,
};
pub use routes::{
    AgreementSettings, AnswerCheck, AnswerSettings, AuditSettings, Balance, CascadeSettings, CascadeStreams,
    Downgrade, JudgeSettings, KeepSetting, LearnSettings, RouteSettings, Sticky, TierSettings,
};
pub use steps::{
    BanditMethod, BanditSettings, ClassifierSettings, ComplexityScore, ComplexitySettings, EncoderSettings,
    ExperimentSettings, ExperimentSplit, HybridSettings, IntentsHead, IntentsSettings, LearnedSettings,
    ShadowSettings, StepSettings,
};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Trunkline configuration.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Where to listen, `address:port`. Default `127.0.0.1:4000`.
    pub listen: Option<String>,
    /// Serve anyone who can reach the port although no virtual key is configured and `listen` is not loopback.
    pub allow_unauthenticated: Option<bool>,
    /// Where the record is kept: `sqlite:PATH` (default `sqlite:trunkline.db`), or `memory`.
    pub store: Option<String>,
    /// What the server accepts and how it stops.
    pub server: Option<ServerSettings>,
    /// How long the request log is kept.
    pub log: Option<LogSettings>,
    /// Files that clients name by URL, where a provider takes only their bytes.
    pub media: Option<MediaSettings>,
    /// Files and batches: what is kept, and how fast lines are sent.
    pub batches: Option<BatchSettings>,
    /// Pepper of the virtual-key digests, usually `${TRUNKLINE_KEY_SECRET}`: the value `trunkline key` had when it made them.
    pub key_secret: Option<String>,
    /// Upstream accounts that serve models, by the name used in `provider/model`.
    pub providers: IndexMap<String, ProviderSettings>,
    /// Facts and prices of models, over or beyond the catalogue, by `provider/model`.
    pub models: IndexMap<String, ModelSettings>,
    /// Labelled examples for `semantic` and `hybrid` steps, by name.
    pub intents: IndexMap<String, IntentsSettings>,
    /// Larger encoders of texts, for `intents`, by name. Without one, texts are compared by the table in the program.
    pub encoders: IndexMap<String, EncoderSettings>,
    /// Models that sort texts, for `classifier` and `hybrid` steps, by name.
    pub classifiers: IndexMap<String, ClassifierSettings>,
    /// Trained routers for `learned` steps, by name.
    pub learned: IndexMap<String, LearnedSettings>,
    /// Named deployments, for one model with several keys, regions or weights.
    pub deployments: IndexMap<String, DeploymentSettings>,
    /// Names that clients put in `model`, each with its policy. `auto` is built in and can be replaced.
    pub routes: IndexMap<String, RouteSettings>,
    /// Virtual keys, by name. Without any, everyone who can connect is served.
    pub keys: IndexMap<String, KeySettings>,
}

/// What the server accepts and how it stops.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Largest request body, for example `32MB` (default).
    pub body_limit: Option<String>,
    /// Most requests open at the same time; more are answered 503. Default 20000.
    pub open_requests: Option<u32>,
    /// How long a client may take to send its request headers, between pieces of its body, to take anything of an answer that waits
    /// for it, to answer a ping of HTTP/2, and until its next request on a connection it keeps. Default `30s`.
    pub client_timeout: Option<String>,
    /// Keep one core awake while requests are open and for this long after the last of them, for example `1ms`: lower latency for a
    /// core's time. Default `0s`, which sleeps.
    pub busy_poll: Option<String>,
    /// How long SIGTERM waits for open requests. Default `30s`.
    pub drain: Option<String>,
}

/// How long the request log is kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Oldest record kept, for example `30d` (default).
    pub keep: Option<String>,
    /// Largest database, for example `2GB` (default); the oldest records go first.
    pub max_size: Option<String>,
}

/// Files that clients name by URL, where a provider takes only their bytes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSettings {
    /// Whether they are fetched here. Default `true`; otherwise such requests go to other providers or are refused.
    pub fetch: Option<bool>,
    /// The only hosts to fetch from, for example `files.example.com` or `*.example.com`. Default every public host.
    pub allow_hosts: Vec<String>,
    /// Hosts that may have private or loopback addresses. Metadata services stay out of reach. Default none.
    pub allow_private: Vec<String>,
    /// Most bytes of all files of one request together, for example `20MB` (default).
    pub max_bytes: Option<String>,
    /// Longest time for all files of one request. Default `10s`.
    pub timeout: Option<String>,
}

/// Files and batches: what is kept, and how fast lines are sent.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSettings {
    /// Lines of batches under way at the same time. Default 8.
    pub concurrency: Option<u32>,
    /// Share of every limit that is left to live requests, for example `20%` (default): of the provider's rate limits, of a
    /// deployment's own and of `server.open_requests`. Lines wait while less is left.
    pub headroom: Option<String>,
    /// Largest uploaded file, for example `200MB` (default).
    pub max_file: Option<String>,
    /// Most bytes of all files and batches, for example `4GB` (default); beyond, uploads and batches are refused.
    pub max_size: Option<String>,
    /// How long files and finished batches are kept, for example `30d` (default).
    pub keep: Option<String>,
    /// Whether lines go to a provider's own batch API where that is cheaper: `auto` (default), or `never`.
    pub upstream: Option<BatchUpstream>,
    /// Fewest lines that are handed to a provider's batch API together; fewer are sent one by one. Default 1.
    pub upstream_least: Option<u32>,
}

/// Whether lines of batches go to providers' own batch APIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BatchUpstream {
    /// Where the provider has one, it is cheaper, and there is time for it.
    #[default]
    Auto,
    /// Every line is a request of its own.
    Never,
}

/// Tiers to go to by kind of failure, in order, beyond the deployments of the chosen tier. Without `fallback` every tier
/// stands in for every other, except after a refusal.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackSettings {
    /// Connection failures, 5xx, timeouts, cuts, nonsense. Without it: no other tier.
    pub error: Option<Vec<String>>,
    /// Rate limits (429) and used-up quotas. Without it: as `error`.
    pub rate_limit: Option<Vec<String>>,
    /// The prompt does not fit. Without it: as `error`, larger context windows only.
    pub context_length: Option<Vec<String>>,
    /// The content was refused. Without it: the refusal is final.
    pub content_filter: Option<Vec<String>>,
}

/// Limits in time, for example `10s`, `500ms`, `2m`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutSettings {
    /// Resolve, connect and TLS of one attempt. Default `10s`, at most half of `total`.
    pub connect: Option<String>,
    /// From sending to the first token of one attempt. Default `60s`, at most half of `total`.
    pub first_token: Option<String>,
    /// The same for generated answers that are not streamed: they come in one piece, when the last token is made. Default half of
    /// `total`, and not less than `first_token`.
    pub whole_answer: Option<String>,
    /// Between two pieces of an answer. Default `60s`, at most half of `total`.
    pub between_tokens: Option<String>,
    /// The whole request. Default `10m`.
    pub total: Option<String>,
}

/// A delayed second attempt.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeSettings {
    /// `p50` to `p99` of the observed time to first token, or a time such as `2s`.
    pub after: Option<String>,
    /// Share of the spending that hedges may add, for example `5%` (default).
    pub spend_cap: Option<String>,
}

/// A virtual key.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// The key itself, usually `${ENVIRONMENT_VARIABLE}`; only its digest is kept in memory.
    pub key: Option<String>,
    /// Its HMAC-SHA256 digest in hexadecimal, as `trunkline key digest` prints it.
    pub digest: Option<String>,
    /// Models it may use, with `*` as a wildcard; all when empty.
    pub models: Vec<String>,
    /// Routes it may use, with `*` as a wildcard; all when empty.
    pub routes: Vec<String>,
    /// Providers whose every endpoint it may use under `/passthrough/`, with `*` as a wildcard; none when empty.
    pub passthrough: Vec<String>,
    /// Hard demands on every deployment: `zdr`, `no-train`, `baa`, `region:NAME`.
    pub require: Vec<String>,
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, prompt and answer.
    pub tokens_per_minute: Option<u64>,
    /// Requests open at the same time.
    pub concurrency: Option<u32>,
    /// The one deployment its requests use, whatever route, steps and `x-trunkline-pin` say: `provider/model`, or a name under
    /// `deployments`.
    pub pin: Option<String>,
    /// How deeply its requests reason, whatever body, header and route say.
    pub effort: Option<Effort>,
    /// Labels kept with every request.
    pub tags: IndexMap<String, String>,
    /// Revoked keys are refused as such.
    pub revoked: Option<bool>,
}
