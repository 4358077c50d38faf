//! Who asks, and what they may, must and would like to have.
//!
//! Owns the caller as choosing sees it: identity for rules and stickiness, hard demands, the key's allow-lists, and the
//! preferences a request can state in its body. Must not know how a key was checked or a header parsed. Everything here is
//! given by the gateway; a decision never looks anything up.

use crate::fleet::DeploymentIndex;
use crate::pattern::Pattern;
use std::time::Duration;
use trunkline_model::facts::Requirement;
use trunkline_model::id::Name;
use trunkline_model::money::{NanoDollars, PricePerMillion};

/// The caller of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// The virtual key's name.
    pub key: Option<Name>,
    /// The key's team.
    pub team: Option<Name>,
    /// The end user, from the header or the body.
    pub user: Option<Name>,
    /// The session, from the header.
    pub session: Option<Name>,
    /// What this process remembers of the session.
    pub history: SessionHistory,
    /// Tags of the key and the request, names unique.
    pub tags: Vec<(Name, Name)>,
    /// Metadata of the request's body, where its dialect has some; names unique, flat, bounded by the gateway.
    pub metadata: Vec<(Name, Name)>,
    /// The request's headers that rules read (see [`crate::policy::Route::headers`]), names in lower case.
    pub headers: Vec<(Name, Name)>,
    /// Hard demands of the key and of the request's own header, together.
    pub requirements: Vec<Requirement>,
    /// What the key may use.
    pub allow: AllowList,
    /// The one deployment or model asked for by name, past the route's own choice but never past a hard filter.
    pub pin: Option<Name>,
    /// Whose word the pin is.
    pub pinned_by: PinnedBy,
    /// Refuse rather than drop or emulate what a deployment cannot do.
    pub strict: bool,
    /// Nothing of the request may be left out: support of everything in it is demanded.
    pub whole: bool,
    /// What is left of the tightest budget that applies; `None` when there is none.
    pub budget_left: Option<NanoDollars>,
    /// The most time the whole request may take, where the caller says; it can only shorten the route's own.
    pub total_timeout: Option<Duration>,
    /// Preferences stated in the body.
    pub preferences: Preferences,
    /// Where support of everything in the request is demanded: the deployments that lack some of it, with what they lack.
    pub unsupported: Vec<Unsupported>,
}

/// Who pinned a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinnedBy {
    /// The request itself: honoured where the route says.
    #[default]
    Request,
    /// Its virtual key: honoured before every step, because the operator has said so of all its requests.
    Key,
}

/// A deployment that would leave something of the request out, or refuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Which.
    pub deployment: DeploymentIndex,
    /// What would be left out and why, as a sentence.
    pub what: Name,
}

/// What is remembered of a session: only for routes whose rules read it, and only in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHistory {
    /// Earlier requests.
    pub requests: u32,
    /// The tier that served the last of them.
    pub tier: Option<Name>,
}

/// What a key may use. An empty list sets no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Deployments and models, by id, `provider/model` or bare model name.
    pub models: Vec<Pattern>,
    /// Routes by name.
    pub routes: Vec<Pattern>,
}

impl AllowList {
    /// Whether requests may name this route.
    #[must_use]
    pub fn allows_route(&self, name: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether requests may name a model instead of a route: a key that is limited to routes may not go round them, unless
    /// models are listed as well.
    #[must_use]
    pub fn allows_direct(&self) -> bool {
        self.routes.is_empty() || !self.models.is_empty()
    }
}

/// Preferences of one request, in the vocabulary OpenRouter made common
/// (<https://openrouter.ai/docs/features/provider-routing>).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preferences {
    /// Further models to fall back to, in order, behind the route's own deployments.
    pub models: Vec<Name>,
    /// Providers (or deployments) to try first, in this order.
    pub order: Vec<Name>,
    /// Only these providers (or deployments); empty sets no limit.
    pub only: Vec<Name>,
    /// None of these providers (or deployments).
    pub ignore: Vec<Name>,
    /// How to rank inside a tier, instead of the route's own balancing.
    pub sort: Option<Sort>,
    /// Whether anything but the first choice (or, with `order`, the listed providers) may serve.
    pub fallbacks: Fallbacks,
    /// Whether a capability nobody has confirmed counts as missing.
    pub parameters: ParameterSupport,
    /// Whether providers may keep the data for training.
    pub data_collection: DataCollection,
    /// Zero data retention demanded in the body.
    pub zdr: bool,
    /// The dearest acceptable prices.
    pub max_price: PriceCap,
}

/// A ranking asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Cheapest first.
    Price,
    /// Most generation speed first. The nearest thing measured here is the least busy deployment.
    Throughput,
    /// Shortest time to the first token first.
    Latency,
}

impl Sort {
    /// Reads `price`, `throughput` or `latency`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "price" => Some(Self::Price),
            "throughput" => Some(Self::Throughput),
            "latency" => Some(Self::Latency),
            _ => None,
        }
    }
}

/// Whether others than the first choice may serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallbacks {
    /// They may.
    #[default]
    Allowed,
    /// They may not.
    Refused,
}

/// How sure a capability must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParameterSupport {
    /// Not known to be missing is enough.
    #[default]
    MayWork,
    /// It must be known to be there.
    MustBeSure,
}

/// Whether a provider may train on the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataCollection {
    /// It may, as far as this request goes.
    #[default]
    Allow,
    /// It must not.
    Deny,
}

/// Highest acceptable prices; `None` sets no limit. A price nobody knows satisfies no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceCap {
    /// Dollars per million prompt tokens.
    pub input: Option<PricePerMillion>,
    /// Dollars per million answer tokens.
    pub output: Option<PricePerMillion>,
    /// The whole request at its estimated size.
    pub request: Option<NanoDollars>,
}

impl PriceCap {
    /// No limit.
    pub const NONE: Self = Self { input: None, output: None, request: None };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(names: &[&str]) -> Vec<Pattern> {
        names.iter().map(|name| Pattern::new(*name).expect("a pattern")).collect()
    }

    #[test]
    fn a_key_limited_to_routes_cannot_go_round_them() {
        let open = AllowList::default();
        assert!(open.allows_route("support") && open.allows_direct());
        let routes = AllowList { routes: patterns(&["sup*"]), ..AllowList::default() };
        assert!(routes.allows_route("support") && !routes.allows_route("auto") && !routes.allows_direct());
        let both = AllowList { routes: patterns(&["auto"]), models: patterns(&["openai/*"]) };
        assert!(both.allows_direct());
    }
}
