//! Routes: tiers, how an answer is checked and escalated, and what a session keeps.
//!
//! Owns these settings of the file, as a user writes them. Must not know how a step decides.

use crate::file::{Effort, FallbackSettings, HedgeSettings, ShadowSettings, StepSettings, TimeoutSettings};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
