//! What is kept of every request.
//!
//! Owns the shape of a log record: who asked, what was chosen, each attempt with its phases, tokens, cost, how it ended.
//! Must not know how it is stored. Prompts and answers are not part of it: the record is safe to keep and to show.

use crate::asked::Asked;
use crate::comparison::Comparison;
use crate::dialect::{Delivery, Dialect, Operation};
use crate::failure::FailureClass;
use crate::id::{Name, RequestId};
use crate::money::Cost;
use crate::usage::{Usage, UsageSource};
use crate::warning::Warning;
use serde::{Deserialize, Serialize};

/// One finished request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Its id; the arrival time is inside.
    pub id: RequestId,
    /// The virtual key's name; `None` when no keys are configured or the key was not accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Name>,
    /// The end user, from the header or the body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<Name>,
    /// The session, from the header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Name>,
    /// Tags of the key and the request, sorted by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<(Name, Name)>,
    /// The protocol the client spoke.
    pub client: Dialect,
    /// What it asked for.
    pub operation: Operation,
    /// Plain or streamed.
    pub delivery: Delivery,
    /// What the client put in `model`, at most 200 bytes of it.
    pub requested_model: Name,
    /// The route that answered for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<Name>,
    /// The tier the decision named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tier: Option<Name>,
    /// The deployment that answered (or was last tried).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deployment: Option<Name>,
    /// That deployment's provider.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provider: Option<Name>,
    /// That deployment's upstream model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<Name>,
    /// The name of the decision step that answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided_by: Option<Name>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status the client saw.
    pub status: u16,
    /// The `code` of the error the client saw.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<Name>,
    /// The error message the client saw.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_message: Option<String>,
    /// The finish reason of the (first) answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish: Option<Name>,
    /// Tokens over all attempts.
    pub usage: Usage,
    /// Where that figure comes from: the least certain of its parts.
    pub usage_source: UsageSource,
    /// Cost over all attempts.
    pub cost: Cost,
    /// Every upstream call, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub attempts: Vec<AttemptRecord>,
    /// What judges said of answers, in order; not only of the one that was served.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub judged: Vec<JudgedAnswer>,
    /// What translation did not pass.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<Warning>,
    /// From arrival to the first semantic byte towards the client, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_us: Option<u64>,
    /// From arrival to the last byte, in microseconds.
    pub total_us: u64,
    /// Of that, spent here and not waiting for a provider or the client, up to the first upstream byte, in microseconds.
    pub overhead_us: u64,
    /// Size of the request body.
    pub request_bytes: u64,
    /// Size of the answer's body.
    pub response_bytes: u64,
    /// Fingerprint of the configuration that served it. Written as 16 hexadecimal digits, because readers that take all
    /// numbers for doubles would change it; read as a number too, as older records have it.
    #[serde(with = "crate::fingerprint")]
    pub config_version: u64,
    /// The facts by which it was decided, to decide it again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked: Option<Box<Asked>>,
    /// The decision with all its reasons, as JSON.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<Box<str>>,
    /// Of a copy that was sent to a candidate: how its answer compares with the one that was served. No client saw this request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shadow: Option<Box<Comparison>>,
}

impl RequestRecord {
    /// The record of a request that has just arrived; until told otherwise it ends with the client going away.
    #[must_use]
    pub fn new(id: RequestId, client: Dialect, operation: Operation, config_version: u64) -> Self {
        Self {
            id,
            key: None,
            user: None,
            session: None,
            tags: Vec::new(),
            client,
            operation,
            delivery: Delivery::Plain,
            requested_model: Name::default(),
            route: None,
            tier: None,
            deployment: None,
            provider: None,
            model: None,
            decided_by: None,
            outcome: Outcome::ClientGone,
            status: Self::CLIENT_GONE_STATUS,
            error_code: None,
            error_message: None,
            finish: None,
            usage: Usage::default(),
            usage_source: UsageSource::Unknown,
            cost: Cost::NOTHING,
            attempts: Vec::new(),
            judged: Vec::new(),
            warnings: Vec::new(),
            first_token_us: None,
            total_us: 0,
            overhead_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            config_version,
            asked: None,
            decision: None,
            shadow: None,
        }
    }

    /// What is kept as status where no client was left to see one (nginx's convention).
    pub const CLIENT_GONE_STATUS: u16 = 499;
}

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A complete answer.
    Served,
    /// Refused here before any upstream call (bad input, no key, limits, nothing eligible).
    Refused,
    /// Every attempt failed; the client got an error and nothing else.
    Failed,
    /// The answer began and then broke off; the client got an error event.
    BrokenOff,
    /// The client went away first.
    ClientGone,
}

impl Outcome {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::BrokenOff => "broken_off",
            Self::ClientGone => "client_gone",
        }
    }
}

/// One upstream call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Where it went.
    pub deployment: Name,
    /// Why there was this attempt.
    pub kind: AttemptKind,
    /// `None` when it succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<FailureClass>,
    /// The failure's own words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// The upstream's HTTP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The upstream's request id header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upstream_request_id: Option<String>,
    /// Start, counted from the arrival of the request, in microseconds.
    pub started_us: u64,
    /// How long each phase took.
    pub phases: PhaseTimes,
    /// Tokens of this call.
    pub usage: Usage,
    /// Where the figure comes from.
    pub usage_source: UsageSource,
    /// Cost of this call.
    pub cost: Cost,
}

impl AttemptRecord {
    /// Whether the provider was asked at all: not when a limit of ours had no room or the request could not be expressed.
    #[must_use]
    pub const fn was_sent(&self) -> bool {
        match self.failure {
            Some(FailureClass::LocalLimit) => false,
            // A provider's own refusal of a parameter comes with a status.
            Some(FailureClass::Unsupported) => self.status.is_some(),
            _ => true,
        }
    }
}

/// What a judge said of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedAnswer {
    /// Who gave the answer.
    pub deployment: Name,
    /// The tier it was asked in.
    pub tier: Name,
    /// How good the answer is, 0 to 1.
    pub score: f64,
}

/// Why there was an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// The first choice.
    First,
    /// The same deployment again.
    Retry,
    /// Another deployment, because one failed.
    Failover,
    /// A delayed second attempt beside a slow one.
    Hedge,
    /// A better model, because an answer was not good enough.
    Cascade,
    /// The rest of an answer that broke off.
    Continuation,
    /// A further sample of the same model, for comparison.
    Sample,
    /// Another model's judgement of an answer.
    Judge,
    /// A model asked which kind of request this is, before anything was chosen.
    Classifier,
    /// The vector of the text, by which it was chosen.
    Encoder,
    /// A copy for a candidate whose answer is compared and never sent.
    Shadow,
    /// A line of a batch that the provider's own batch API answered, at its price for batches.
    Batch,
}

impl AttemptKind {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Failover => "failover",
            Self::Hedge => "hedge",
            Self::Cascade => "cascade",
            Self::Continuation => "continuation",
            Self::Sample => "sample",
            Self::Judge => "judge",
            Self::Classifier => "classifier",
            Self::Encoder => "encoder",
            Self::Shadow => "shadow",
            Self::Batch => "batch",
        }
    }
}

/// Durations of one attempt's phases in microseconds; absent phases did not happen (a reused connection resolves nothing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Host name resolution.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolve_us: Option<u64>,
    /// TCP connect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connect_us: Option<u64>,
    /// TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_us: Option<u64>,
    /// From sending to the response headers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_byte_us: Option<u64>,
    /// From sending to the first semantic event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_us: Option<u64>,
    /// From start to end of the attempt.
    pub total_us: u64,
}
