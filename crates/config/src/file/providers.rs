//! Providers and deployments: accounts, their buckets and identities, and named ways to a model.
//!
//! Owns these settings of the file, as a user writes them. Must not know presets: what a setting is left out for is theirs to say.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
