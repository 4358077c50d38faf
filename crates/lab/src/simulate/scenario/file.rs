//! The file form of a scenario.
//!
//! Owns the fields and their defaults. Unknown fields are errors: a trouble that is misspelt must not be left out silently.

use super::notation::{HedgeWord, Point, Share, Time};
use indexmap::IndexMap;
use serde::Deserialize;
use std::time::Duration;

/// A scenario as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// What comes in.
    #[serde(default)]
    pub requests: RequestsFile,
    /// The virtual providers by name. With a configuration: the behaviour of its deployments or providers of these names.
    #[serde(default)]
    pub providers: IndexMap<String, ProviderFile>,
    /// What happens to them.
    #[serde(default)]
    pub troubles: Vec<TroubleFile>,
    /// What all compared policies have in common.
    #[serde(default)]
    pub policy: PolicyFile,
    /// The policies that are compared; the first is what the others are measured against.
    #[serde(default)]
    pub compare: IndexMap<String, PolicyFile>,
}

/// What comes in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestsFile {
    /// Requests per second; they come at random (Poisson).
    pub per_second: f64,
    /// Tokens of the prompt: median and 99th percentile.
    pub input_tokens: TokensFile,
    /// Tokens of the answer: median and 99th percentile.
    pub output_tokens: TokensFile,
    /// The share that is streamed.
    pub streamed: Share,
}

impl Default for RequestsFile {
    /// Ten a second, all streamed, 600 tokens in and 200 out.
    fn default() -> Self {
        Self {
            per_second: 10.0,
            input_tokens: TokensFile { median: 600, p99: 6_000 },
            output_tokens: TokensFile { median: 200, p99: 900 },
            streamed: Share(1.0),
        }
    }
}

/// How many tokens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TokensFile {
    /// Half of the requests have fewer.
    pub median: u64,
    /// One in a hundred has more.
    pub p99: u64,
}

/// A virtual provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderFile {
    /// The tier it stands in; all in one when not said.
    #[serde(default = "only_tier")]
    pub tier: String,
    /// Its share under weighted balancing.
    #[serde(default = "one")]
    pub weight: u32,
    /// From the start of its work to the first token.
    pub first_token: TimesFile,
    /// From each further token to the next.
    #[serde(default = "usual_gap")]
    pub token_gap: Time,
    /// Requests it works on at the same time; others wait.
    pub slots: Option<u32>,
    /// Requests per minute before it answers 429.
    pub requests_per_minute: Option<u64>,
    /// The share of calls it fails with a server error.
    #[serde(default)]
    pub errors: Share,
    /// The share of answers that break off.
    #[serde(default)]
    pub cuts: Share,
    /// Some answers are much slower.
    pub slow: Option<SlowFile>,
    /// Dollars per million tokens.
    pub price: Option<PriceFile>,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimesFile {
    /// Half of the answers take less.
    pub median: Time,
    /// One in a hundred takes more.
    pub p99: Time,
}

/// A slow tail.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowFile {
    /// How many of the answers.
    pub share: Share,
    /// How many times slower they are.
    pub factor: f64,
}

/// Prices in dollars per million tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceFile {
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

/// Something that happens to a provider for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TroubleFile {
    /// Whom it hits.
    pub provider: String,
    /// When it begins: a time from the start (`90s`) or a share of the run (`30%`).
    pub from: Point,
    /// When it ends.
    pub to: Point,
    /// What it is.
    pub kind: TroubleWord,
    /// Of `errors`: the share of calls that fail.
    pub share: Option<Share>,
    /// Of `slow`: how many times slower it is.
    pub factor: Option<f64>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleWord {
    /// No connection.
    Outage,
    /// Connections, but no answers.
    Hang,
    /// Some calls fail with an overload.
    Errors,
    /// Everything takes longer.
    Slow,
    /// Every call is answered 429.
    RateLimited,
}

/// A policy, or what differs from the common one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFile {
    /// How load is spread, see [`trunkline_route::balance::Balance::NAMES`].
    pub balance: Option<BalanceWord>,
    /// Upstream calls of one request at the most, hedges included; 1 means no failover.
    pub attempts: Option<u32>,
    /// When a second attempt runs beside a slow first.
    pub hedge: Option<HedgeWord>,
    /// The share of spending that hedges may add.
    pub hedge_spend_cap: Option<Share>,
    /// The longest wait for a first token.
    pub first_token_timeout: Option<Time>,
    /// The longest a request may take.
    pub total_timeout: Option<Time>,
}

/// The strategies that need nothing from outside.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum BalanceWord {
    /// At random by weight.
    Weighted,
    /// In turn.
    RoundRobin,
    /// The less busy of two.
    LeastOutstanding,
    /// The shortest expected wait.
    Latency,
    /// The cheapest.
    Cost,
    /// The most rate limit left.
    Headroom,
}

impl PolicyFile {
    /// This policy where it says something, otherwise the other.
    #[must_use]
    pub fn over(self, common: Self) -> Self {
        Self {
            balance: self.balance.or(common.balance),
            attempts: self.attempts.or(common.attempts),
            hedge: self.hedge.or(common.hedge),
            hedge_spend_cap: self.hedge_spend_cap.or(common.hedge_spend_cap),
            first_token_timeout: self.first_token_timeout.or(common.first_token_timeout),
            total_timeout: self.total_timeout.or(common.total_timeout),
        }
    }
}

fn only_tier() -> String {
    "main".to_owned()
}

const fn one() -> u32 {
    1
}

const fn usual_gap() -> Time {
    Time(Duration::from_millis(12))
}
