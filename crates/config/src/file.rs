//! The configuration as a user writes it.
//!
//! Owns every setting: its name, its form, its documentation (the published JSON Schema is made from these types). Must not
//! resolve anything: names, units and secrets are texts here and get their meaning in `compile`. Unknown fields are denied
//! and nothing is flattened or untagged, so that each setting has one place and one form.

mod models;

pub use models::{ModelChangeSettings, ModelSettings, PriceSettings};

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
    /// How long a client may take to send its request headers, and between pieces of its body. Default `30s`.
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

/// An upstream account.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// What kind of provider it is; the provider's own name when there is a preset of that name.
    pub preset: Option<String>,
    /// Base URL, over the preset's.
    pub url: Option<String>,
    /// The credential, usually `${ENVIRONMENT_VARIABLE}`.
    pub key: Option<String>,
    /// Further headers sent with every request.
    pub headers: IndexMap<String, String>,
    /// How it handles data; what is not stated is unknown and satisfies no requirement.
    pub data: Option<DataSettings>,
    /// The models it serves, where the catalogue does not know; these become deployments `provider/model`.
    pub models: Vec<String>,
    /// The names under which it serves models, where they are others: `model: name`. These models become deployments too.
    pub served_as: IndexMap<String, String>,
    /// The deployments that answer batches, where the provider has them apart: `model: name`. A line of a batch goes to the batch API
    /// only for a model that is listed here.
    pub batched_as: IndexMap<String, String>,
    /// The bucket through which lines go to its batch API, where that reads from one.
    pub batch: Option<ProviderBatchSettings>,
    /// The version of its API, for example `2024-10-21`, where there are dated ones. Without it, requests go to the undated one.
    pub api_version: Option<String>,
    /// The project that is billed, where that is a part of its address.
    pub project: Option<String>,
    /// Where requests are served, where that is a part of its address: a region, or `global`.
    pub location: Option<String>,
    /// How access tokens are obtained, where they are accepted in place of a key.
    pub identity: Option<IdentitySettings>,
    /// The region, where it is a part of the address or of the signature, for example `us-east-1`.
    pub region: Option<String>,
    /// The profile of the cloud's shared files whose credential signs requests.
    pub profile: Option<String>,
    /// The id of the key that signs requests, usually `${ENVIRONMENT_VARIABLE}`.
    pub access_key: Option<String>,
    /// The key that signs requests, usually `${ENVIRONMENT_VARIABLE}`.
    pub secret_key: Option<String>,
    /// The session's token, for a signing key that lives for a while only.
    pub session_token: Option<String>,
    /// HTTP/2 without TLS (prior knowledge), for servers in the same network.
    pub http2_cleartext: Option<bool>,
}

/// The bucket through which lines of batches go to a provider and their answers come back.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderBatchSettings {
    /// The bucket, and a folder in it: `s3://our-bucket/batches` or `gs://our-bucket/batches`. Only objects whose names begin with `trunkline-` are touched there.
    pub bucket: Option<String>,
    /// The role in which the provider reads and writes there, where it comes in one: `arn:aws:iam::123456789012:role/name`.
    pub role: Option<String>,
    /// The address of the bucket's store, where it is not the usual.
    pub url: Option<String>,
}

/// An identity for which access tokens are obtained. What is left out is looked for in the environment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentitySettings {
    /// The path of a file with credentials: a service account's key or a user's refresh token.
    pub file: Option<String>,
    /// The directory (tenant) that the client belongs to.
    pub tenant: Option<String>,
    /// The client's id.
    pub client_id: Option<String>,
    /// The client's secret, usually `${ENVIRONMENT_VARIABLE}`.
    pub client_secret: Option<String>,
    /// What the token is for, where it is not the usual.
    pub scope: Option<String>,
    /// The address of the token service, where it is not the usual.
    pub url: Option<String>,
    /// Take the identity of the machine this runs on.
    pub machine: Option<bool>,
}

/// Data-handling facts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// Zero data retention is in force.
    pub zdr: Option<bool>,
    /// Requests may be used for training.
    pub train: Option<bool>,
    /// A business associate agreement covers it.
    pub baa: Option<bool>,
    /// Where data is processed, for example `eu` or `us-east-1`.
    pub region: Option<String>,
}

/// A named deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeploymentSettings {
    /// The model, as `provider/model`.
    pub model: String,
    /// Share under weighted balancing, default 1; 0 takes no new traffic.
    pub weight: Option<u32>,
    /// A credential of its own, over the provider's.
    pub key: Option<String>,
    /// A base URL of its own, over the provider's.
    pub url: Option<String>,
    /// Data-handling facts of its own, over the provider's.
    pub data: Option<DataSettings>,
    /// Requests per minute it may get.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute it may get.
    pub tokens_per_minute: Option<u64>,
    /// Requests it may have open at the same time.
    pub concurrency: Option<u32>,
}

/// How deeply to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as the model can.
    Minimal,
    /// Little.
    Low,
    /// The usual amount.
    Medium,
    /// Much.
    High,
    /// More than `high`.
    Xhigh,
    /// All the model can do.
    Max,
}

/// A route: what happens to requests that put its name in `model`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSettings {
    /// Hard demands on every deployment: `zdr`, `no-train`, `baa`, `region:NAME`.
    pub require: Vec<String>,
    /// Dearest input price accepted, in dollars per million tokens.
    pub max_input_price: Option<String>,
    /// Dearest output price accepted, in dollars per million tokens.
    pub max_output_price: Option<String>,
    /// Sets of interchangeable deployments, by name.
    pub tiers: IndexMap<String, TierSettings>,
    /// Steps in order; the first that answers names the tier. Without any, the first tier is used.
    pub decide: Vec<StepSettings>,
    /// Where to go when the chosen tier fails, by kind of failure.
    pub fallback: Option<FallbackSettings>,
    /// Limits in time.
    pub timeouts: Option<TimeoutSettings>,
    /// Upstream calls per request at the most, default 4.
    pub attempts: Option<u32>,
    /// A delayed second attempt beside a slow first.
    pub hedge: Option<HedgeSettings>,
    /// Refuse instead of warn when a parameter cannot be passed on.
    pub strict: Option<bool>,
    /// Use only deployments that neither drop nor refuse anything of a request.
    pub require_parameters: Option<bool>,
    /// Continue a plain-text answer that broke off on another deployment, marked in the response.
    pub continuation: Option<bool>,
    /// A candidate that gets copies of some requests.
    pub shadow: Option<ShadowSettings>,
    /// How deeply to reason, whatever the body says.
    pub effort: Option<Effort>,
    /// Keep requests of one session or user on one deployment.
    pub sticky: Option<Sticky>,
    /// A cheap answer first, a better tier when a check finds it wanting.
    pub cascade: Option<CascadeSettings>,
    /// What every answer must be; one that is not fails over.
    pub answer: Option<AnswerSettings>,
    /// What may be given up, in this order, when no deployment can do all that a request asks for.
    pub downgrade: Vec<Downgrade>,
    /// What of its prompts is kept to learn from. Without it: nothing.
    pub learn: Option<LearnSettings>,
}

/// What of a route's prompts is kept to learn from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearnSettings {
    /// What is kept of each prompt, beside the log and as long as its record.
    pub keep: Option<KeepSetting>,
}

/// What is kept of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeepSetting {
    /// What it looks like: a vector and counts, from which no text can be read back.
    Vectors,
    /// The text of the user's last turn, up to 32 KiB: routers learn more from it.
    Text,
}

/// A cascade: answers of one tier are checked, and another answers when they are found wanting.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CascadeSettings {
    /// The tier whose answers are checked.
    pub from: String,
    /// The tier that answers when a check fails.
    pub to: String,
    /// Checks that need nothing but the answer.
    pub unless: Vec<AnswerCheck>,
    /// A regular expression that the text must match.
    pub matches: Option<String>,
    /// A CEL condition over `answer` that must hold, for example `answer.words < 200`.
    pub condition: Option<String>,
    /// The least mean log-probability of the tokens, for example `-0.4`; answers without log-probabilities pass.
    pub confidence: Option<f64>,
    /// Further samples of the same model that must agree with the first.
    pub agreement: Option<AgreementSettings>,
    /// A model that grades the answer.
    pub judge: Option<JudgeSettings>,
    /// What happens to streamed requests. Default `hold`.
    pub streams: Option<CascadeStreams>,
    /// With `streams: precheck`: a CEL condition over the request that sends a streamed one to `to` at once.
    pub precheck: Option<String>,
    /// The most one request may cost in dollars, judge and samples included; beyond it the answer is served as it is.
    pub spend_cap: Option<String>,
    /// How the checks themselves are checked.
    pub audit: Option<AuditSettings>,
}

/// A check of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerCheck {
    /// The text is JSON, and so are the arguments of tool calls.
    Json,
    /// The text fits the JSON Schema of the request, where it has one.
    JsonSchema,
    /// It is no refusal.
    NotRefusal,
    /// It is neither empty nor cut off by the output limit.
    Complete,
}

/// Streamed requests under a cascade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CascadeStreams {
    /// The answer is held until its checks have passed.
    Hold,
    /// Answers stream unchecked; `precheck` sends what it matches to the better tier before the first byte.
    Precheck,
}

/// Agreement between samples.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgreementSettings {
    /// Answers in all, the first included: 2 to 5. Default 3.
    pub samples: Option<u32>,
    /// The least mean similarity with the first answer, 0 to 1. Default 0.8.
    pub at_least: Option<f64>,
}

/// A judge of answers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeSettings {
    /// Who judges: deployments in order of preference.
    pub deployments: Vec<String>,
    /// What makes an answer good, in words.
    pub rubric: String,
    /// The least score that passes, 1 to 10. Default 6.
    pub at_least: Option<u32>,
}

/// The audit of a cascade's checks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Share of the answers that passed which the better tier answers as well, for comparison. Default `2%`.
    pub share: Option<String>,
    /// Answers at least this similar agree, 0 to 1. Default 0.8.
    pub agree: Option<f64>,
    /// The share of bad answers let through beyond which the cascade loses. Default `25%`.
    pub break_even: Option<String>,
}

/// What every answer must be.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerSettings {
    /// Checks that every answer must pass.
    pub must: Vec<AnswerCheck>,
    /// Take away what surrounds a JSON value (prose, fences) before an answer is given up. Default true.
    pub repair: Option<bool>,
}

/// Something that may be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Downgrade {
    /// The request is sent without asking for reasoning.
    Reasoning,
    /// The request is sent without its tools.
    Tools,
    /// The output limit is lowered to what a deployment can do.
    Length,
}

/// What stickiness goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sticky {
    /// The `x-trunkline-session` header.
    Session,
    /// The end user.
    User,
}

/// A set of interchangeable deployments.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TierSettings {
    /// Deployments by name: `provider/model` or a name under `deployments`.
    pub deployments: Vec<String>,
    /// How requests are spread.
    pub balance: Option<Balance>,
    /// How deeply to reason when this tier answers, over the route's.
    pub effort: Option<Effort>,
}

/// How requests are spread over a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// In proportion to weights.
    #[default]
    Weighted,
    /// In turn.
    RoundRobin,
    /// The less busy of two drawn by lot.
    LeastOutstanding,
    /// The lowest recent time to first token, failures penalised.
    Latency,
    /// The lowest estimated cost.
    Cost,
    /// The most rate limit left.
    Headroom,
}

/// A trained router.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedSettings {
    /// The file that `trunkline train` wrote; a relative path starts at the folder of the configuration.
    pub file: String,
    /// The encoder that it was trained with (`trunkline train --encoder`); a name under `encoders`.
    pub encoder: Option<String>,
}

/// Labelled examples.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntentsSettings {
    /// Examples by label.
    pub examples: IndexMap<String, Vec<String>>,
    /// A file of further examples: `.jsonl` with `text` and `label` on each line, or YAML with a list of texts by label. A
    /// relative path starts at the folder of the configuration.
    pub file: Option<String>,
    /// Labels whose further examples come from the log: texts that feedback gave this label, on routes with `learn: { keep: text }`.
    pub from_log: Vec<String>,
    /// The encoder by which texts are compared; a name under `encoders`. Without it: the table in the program.
    pub encoder: Option<String>,
    /// How labels are told apart.
    pub head: Option<IntentsHead>,
    /// The share of texts that belong which are taken for such, above 0 and at most 1. Default 0.95; higher lets more through
    /// that does not belong.
    pub keep: Option<f64>,
}

/// A larger encoder of texts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderSettings {
    /// A deployment that serves embeddings; `provider/model` or a name under `deployments`.
    pub deployment: Option<String>,
    /// Components to ask it for, where its model can shorten vectors.
    pub dimensions: Option<u32>,
    /// The folder of a sentence transformer (BERT, uncased), in builds with the feature `encoder`. A relative path starts at the
    /// folder of the configuration.
    pub folder: Option<String>,
    /// How long the vector of a request's text is waited for. Default `1s`.
    pub timeout: Option<String>,
    /// How long a vector is kept for the same text. Default `1h`; `0s` asks every time.
    pub keep: Option<String>,
}

/// How labels are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IntentsHead {
    /// By weights that set them apart: better from about five examples per label on.
    #[default]
    Logistic,
    /// By nearness to the mean of each label's examples.
    Centroid,
}

/// A model that sorts texts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierSettings {
    /// The deployment that is asked; `provider/model` or a name under `deployments`.
    pub deployment: String,
    /// The labels it may answer with, each with its meaning in words.
    pub labels: IndexMap<String, String>,
    /// Further instructions for it.
    pub instructions: Option<String>,
    /// How long the answer is waited for. Default `2s`.
    pub timeout: Option<String>,
    /// How long an answer is kept for the same text. Default `1h`; `0s` asks every time.
    pub keep: Option<String>,
    /// Dollars it may cost per day (UTC); when they are used up, its steps leave requests to the next.
    pub spend_cap: Option<String>,
}

/// A choice by how hard a prompt looks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ComplexitySettings {
    /// The score from which a prompt is hard, between 0 and 1: 0.8 is harder than four fifths of the prompts it was learned from.
    pub above: Option<f64>,
    /// The tier for hard prompts.
    #[serde(rename = "use")]
    pub tier: String,
    /// The tier for the others. Without it the next step decides.
    pub below: Option<String>,
    /// What scores.
    pub by: Option<ComplexityScore>,
    /// A trained router that scores in place of the bundled head, a name under `learned`; needs `below`.
    pub router: Option<String>,
}

/// What scores complexity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ComplexityScore {
    /// The bundled score where it knows the kind of prompt, the length elsewhere.
    #[default]
    Learned,
    /// The length of the user's last turn.
    Length,
}

/// Meaning first, a model where meaning is not sure.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HybridSettings {
    /// Examples, by their name under `intents`.
    pub intents: String,
    /// Who is asked about the rest, by its name under `classifiers`.
    pub classifier: String,
    /// From this probability on the examples alone decide, above 0 and below 1. Default 0.8.
    pub sure: Option<f64>,
}

/// A choice learned from outcomes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BanditSettings {
    /// The tiers among which it chooses.
    pub tiers: Vec<String>,
    /// How it explores.
    pub method: Option<BanditMethod>,
    /// The most of the requests that go elsewhere than to the best tier, for example `5%` (default).
    pub explore: Option<String>,
    /// The share of the spending that exploring may add, for example `10%` (default).
    pub spend_cap: Option<String>,
    /// Quality, from 0 to 1, that a dollar per request must bring. Default 0: cost does not count.
    pub lambda: Option<f64>,
    /// Outcomes after which one counts half. Default 500.
    pub half_life: Option<u32>,
}

/// How a bandit explores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BanditMethod {
    /// Tiers in proportion to the probability that they are the best.
    #[default]
    Thompson,
    /// All tiers alike.
    Epsilon,
}

/// A lasting split.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentSettings {
    /// Its name: experiments of different names split independently, and a new name splits anew.
    pub name: String,
    /// Who stays on one side. Default `user`.
    pub by: Option<ExperimentSplit>,
    /// Shares by tier, for example `{ cheap: 10% }`; together at most 100 %, the rest is left to the next step.
    pub shares: IndexMap<String, String>,
}

/// Who stays on one side of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExperimentSplit {
    /// The end user.
    #[default]
    User,
    /// The session.
    Session,
    /// The virtual key.
    Key,
}

/// A candidate that gets copies of some requests; its answers are compared and never sent to a client.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowSettings {
    /// Where copies go; `provider/model` or a name under `deployments`.
    pub deployment: String,
    /// The share of the requests that are copied, for example `1%` (default).
    pub share: Option<String>,
    /// The share of the route's spending of the day that copies may add, for example `5%`: the default where `spend_per_day` is
    /// not given.
    pub spend_cap: Option<String>,
    /// The most that copies may cost a day (of UTC), in dollars, for example `"2.50"`. With both caps, both hold.
    pub spend_per_day: Option<String>,
    /// Answers at least this similar agree, 0 to 1. Default 0.8.
    pub agree: Option<f64>,
    /// Keep the text of both answers in the copy's record. Default false: only how they compare is kept.
    pub keep_answers: Option<bool>,
}

/// One decision step. Exactly one of `when` (with `use`), `pin`, `semantic`, `complexity`, `classifier`, `hybrid`, `bandit`,
/// `experiment`, `learned` or `use` alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepSettings {
    /// A CEL condition over `request`, `caller`, `fleet` and `time`.
    pub when: Option<String>,
    /// The tier to use.
    #[serde(rename = "use")]
    pub tier: Option<String>,
    /// Honour the `x-trunkline-pin` header here.
    pub pin: Option<bool>,
    /// How deeply to reason when this step decides, over the tier's and the route's.
    pub effort: Option<Effort>,
    /// Chooses by meaning: examples, by their name under `intents`; with `map`.
    pub semantic: Option<String>,
    /// Chooses by asking a model: its name under `classifiers`; with `map`.
    pub classifier: Option<String>,
    /// Chooses by meaning, and asks a model where that is not sure; with `map`.
    pub hybrid: Option<HybridSettings>,
    /// Of `semantic`, `classifier` and `hybrid` steps: the tier of each label. Labels that are not listed are left to the next
    /// step.
    pub map: IndexMap<String, String>,
    /// Of a `semantic` step: the least probability of an answer, 0 to 1. Default 0.5.
    pub sure: Option<f64>,
    /// Chooses by how hard a prompt looks.
    pub complexity: Option<ComplexitySettings>,
    /// Chooses what has paid best so far.
    pub bandit: Option<BanditSettings>,
    /// Splits users, sessions or keys for good.
    pub experiment: Option<ExperimentSettings>,
    /// A trained router, by its name under `learned`: predicts the quality of each model's answer.
    pub learned: Option<String>,
    /// Of a `learned` step: the tier for prompts that a cheap model answers well. Without `cheap` and `strong` all deployments
    /// of the route are ranked.
    pub cheap: Option<String>,
    /// Of a `learned` step: the tier for prompts that gain from a stronger model.
    pub strong: Option<String>,
    /// Of a `learned` step: the largest share of prompts that goes to `strong`, 0 to 1.
    pub strong_share: Option<f64>,
    /// Of a `learned` step: the part of strong's quality that may be given up, for example `0.02`; the share follows from it.
    pub quality_within: Option<f64>,
    /// Of a `learned` step: dollars the route may spend per day (UTC); the share of strong falls as spending runs ahead of the
    /// day, to nothing when the amount is spent.
    pub daily_spend: Option<String>,
    /// Of a `learned` step: quality that a dollar per request must bring.
    pub lambda: Option<f64>,
    /// Of a `learned` step: quality that a second to the first token must bring.
    pub mu: Option<f64>,
    /// Of a `learned` step: what happens to prompts unlike the training data: `length` (default; longer ones count as harder)
    /// or the name of a tier.
    pub on_unknown: Option<String>,
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
