//! From a scenario as written to one that can be run.
//!
//! Owns names becoming indexes, the mistakes that only show then, and the policies compared when none are written. Must not
//! change a route beyond what the compared policy says.

use super::file::{
    BalanceWord, PolicyFile, ProviderFile, RequestsFile, ScenarioFile, TokensFile, TroubleFile, TroubleWord,
};
use super::notation::{HedgeWord, Point};
use crate::draw::{Draw, NORMAL_P99};
use crate::simulate::observed::Observed;
use crate::simulate::provider::{Behaviour, Faults, Rest, Slow, Spread};
use indexmap::IndexMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::capability::Capabilities;
use trunkline_model::catalogue::{Kind, ModelEntry, TokenClass};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::facts::DataFacts;
use trunkline_model::failure::FailureClass;
use trunkline_model::id::Name;
use trunkline_model::money::PricePerMillion;
use trunkline_model::shape::Shape;
use trunkline_route::balance::Balance;
use trunkline_route::caller::Caller;
use trunkline_route::fleet::{Deployment, DeploymentIndex, DeploymentLimits, Fleet};
use trunkline_route::plan::{Hedge, HedgeDelay};
use trunkline_route::policy::{Route, Tier, TierPosition};

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The virtual providers, or the configuration's deployments.
    pub fleet: Arc<Fleet>,
    /// How each behaves, at its index.
    pub behaviours: Vec<Behaviour>,
    /// What comes in.
    pub traffic: Traffic,
    /// What happens to the providers.
    pub troubles: Vec<Trouble>,
    /// The policies that are compared; the first is what the others are measured against.
    pub variants: Vec<Variant>,
    /// What had to be assumed, in sentences.
    pub assumptions: Vec<String>,
}

/// A policy to be compared.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// It.
    pub route: Route,
}

/// What comes in.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Requests per second, at random (Poisson).
    pub per_second: f64,
    /// Requests to draw from, each as likely as the others; at least one.
    pub requests: Vec<VirtualRequest>,
}

/// One request to draw from.
#[derive(Clone, Debug)]
pub struct VirtualRequest {
    /// What is known of it before it is sent.
    pub shape: Shape,
    /// Who asks.
    pub caller: Caller,
    /// Tokens of its prompt.
    pub input_tokens: u64,
    /// Tokens of its answer.
    pub output_tokens: u64,
}

/// Something that happens to a provider for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trouble {
    /// Whom it hits.
    pub deployment: DeploymentIndex,
    /// When it begins, as a share of the run or a time.
    pub(in crate::simulate) from: Point,
    /// When it ends.
    pub(in crate::simulate) to: Point,
    /// What it is.
    pub kind: TroubleKind,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TroubleKind {
    /// No connection.
    Outage,
    /// Connections, but no answers.
    Hang,
    /// This share of calls fails with an overload.
    Errors(f64),
    /// So many times slower.
    Slow(f64),
    /// Every call is answered 429, without a waiting time.
    RateLimited,
}

/// A scenario that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not a scenario.
    #[error("read the scenario {path}: {message}")]
    Form {
        /// Where it was read from.
        path: String,
        /// What is wrong, with its place.
        message: String,
    },
    /// A value that makes no sense.
    #[error("use the scenario `{scenario}`: {field}: {problem}")]
    Value {
        /// The scenario.
        scenario: String,
        /// The setting.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// The prompts and answers a written scenario draws from.
const POOL: usize = 512;
/// A share of spending for hedges when nothing is said.
const USUAL_CAP: f64 = 0.05;

impl ScenarioFile {
    /// Reads a scenario; `path` is for messages.
    ///
    /// # Errors
    /// [`ScenarioError::Form`] with line and column.
    pub fn read(path: &str, text: &str) -> Result<Self, ScenarioError> {
        serde_saphyr::from_str(text)
            .map_err(|error| ScenarioError::Form { path: path.to_owned(), message: error.to_string() })
    }

    fn wrong(&self, field: impl Into<String>, problem: impl Into<String>) -> ScenarioError {
        ScenarioError::Value { scenario: self.name.clone(), field: field.into(), problem: problem.into() }
    }
}

impl Scenario {
    /// A scenario of its own virtual providers.
    ///
    /// # Errors
    /// [`ScenarioError::Value`] for what does not fit together.
    pub fn of_file(file: &ScenarioFile) -> Result<Self, ScenarioError> {
        if file.providers.is_empty() {
            return Err(file.wrong("providers", "there are none; name at least one"));
        }
        let fleet = Arc::new(Fleet::new(
            file.providers
                .iter()
                .map(|(name, provider)| virtual_deployment(file, name, provider))
                .collect::<Result<Vec<_>, _>>()?,
        ));
        let behaviours = fleet
            .iter()
            .map(|(_, deployment)| match file.providers.get(&*deployment.id) {
                Some(provider) => behaviour(file, &deployment.id, provider),
                None => Err(file.wrong("providers", "two have the same name")),
            })
            .collect::<Result<_, _>>()?;
        let route = virtual_route(file, &fleet)?;
        Self::assemble(file, fleet, behaviours, &route, traffic(file)?, Vec::new())
    }

    /// A scenario of a configured route: its deployments behave as observed, or as the file says, or as assumed.
    ///
    /// # Errors
    /// [`ScenarioError::Value`] for what does not fit together.
    pub fn of_route(
        file: &ScenarioFile,
        fleet: &Arc<Fleet>,
        route: &Route,
        observed: &Observed,
    ) -> Result<Self, ScenarioError> {
        let mut assumptions = Vec::new();
        let mut behaviours = Vec::with_capacity(fleet.len());
        for (index, deployment) in fleet.iter() {
            let written =
                file.providers.get(&*deployment.id).or_else(|| file.providers.get(&*deployment.provider));
            let seen = observed.behaviours.get(&deployment.id);
            behaviours.push(match (written, seen) {
                (Some(provider), _) => behaviour(file, &deployment.id, provider)?,
                (None, Some(seen)) => seen.clone(),
                (None, None) => {
                    if route.candidates().contains(&index) {
                        assumptions.push(format!(
                            "`{}` was not observed often enough: assumed are 500 ms to the first token (99 % within 2 s) and \
                             12 ms for each further one, without faults",
                            deployment.id
                        ));
                    }
                    assumed()
                }
            });
        }
        let traffic = if observed.requests.is_empty() {
            assumptions.push(
                "no requests were observed: assumed is the scenario's own traffic, without tools, pictures or tags"
                    .to_owned(),
            );
            traffic(file)?
        } else {
            Traffic { per_second: observed.per_second, requests: observed.requests.clone() }
        };
        Self::assemble(file, Arc::clone(fleet), behaviours, route, traffic, assumptions)
    }

    fn assemble(
        file: &ScenarioFile,
        fleet: Arc<Fleet>,
        behaviours: Vec<Behaviour>,
        route: &Route,
        traffic: Traffic,
        assumptions: Vec<String>,
    ) -> Result<Self, ScenarioError> {
        let troubles = file.troubles.iter().enumerate().map(|(number, trouble)| {
            let field = format!("troubles[{number}]");
            compile_trouble(file, &field, trouble, &fleet)
        });
        let troubles = troubles.collect::<Result<Vec<_>, _>>()?.concat();
        let compared = if file.compare.is_empty() { usual_comparison(route) } else { file.compare.clone() };
        let variants = compared
            .into_iter()
            .map(|(name, policy)| Variant { route: apply(route, policy.over(file.policy)), name })
            .collect();
        let (name, about) = (file.name.clone(), file.about.clone());
        Ok(Self { name, about, fleet, behaviours, traffic, troubles, variants, assumptions })
    }
}

/// What is compared when nothing is said: the route as it is, other strategies, no failover, hedges.
fn usual_comparison(route: &Route) -> IndexMap<String, PolicyFile> {
    let mut compared = IndexMap::from([("as it is".to_owned(), PolicyFile::default())]);
    let several = route.tiers().iter().any(|tier| tier.deployments.len() > 1);
    let words =
        [BalanceWord::LeastOutstanding, BalanceWord::RoundRobin, BalanceWord::Weighted, BalanceWord::Latency];
    for word in words.into_iter().filter(|_| several) {
        if route.tiers().iter().any(|tier| tier.balance.name() != word.balance().name()) {
            let policy = PolicyFile { balance: Some(word), ..PolicyFile::default() };
            compared.insert(word.balance().name().to_owned(), policy);
        }
    }
    if route.attempts > 1 {
        compared.insert("no failover".to_owned(), PolicyFile { attempts: Some(1), ..PolicyFile::default() });
    }
    let hedge = match route.hedge {
        None => ("hedge at p95", HedgeWord::After(HedgeDelay::Quantile(0.95))),
        Some(_) => ("no hedge", HedgeWord::Off),
    };
    compared.insert(hedge.0.to_owned(), PolicyFile { hedge: Some(hedge.1), ..PolicyFile::default() });
    compared
}

fn apply(route: &Route, policy: PolicyFile) -> Route {
    let mut route = match policy.balance {
        Some(word) => route.balanced_by(&word.balance()),
        None => route.clone(),
    };
    if let Some(attempts) = policy.attempts {
        route.attempts = attempts.max(1);
    }
    if let Some(word) = policy.hedge {
        let spend_cap = route.hedge.map_or(USUAL_CAP, |hedge| hedge.spend_cap);
        route.hedge = match word {
            HedgeWord::Off => None,
            HedgeWord::After(after) => Some(Hedge { after, spend_cap }),
        };
    }
    if let (Some(cap), Some(hedge)) = (policy.hedge_spend_cap, &mut route.hedge) {
        hedge.spend_cap = cap.0;
    }
    if let Some(timeout) = policy.first_token_timeout {
        (route.timeouts.first_token, route.timeouts.whole_answer) = (timeout.0, timeout.0);
        route.timeouts.between_tokens = route.timeouts.between_tokens.max(timeout.0);
    }
    if let Some(timeout) = policy.total_timeout {
        route.timeouts.total = timeout.0;
    }
    route
}

impl BalanceWord {
    fn balance(self) -> Balance {
        match self {
            Self::Weighted => Balance::Weighted,
            Self::RoundRobin => Balance::RoundRobin,
            Self::LeastOutstanding => Balance::LeastOutstanding,
            Self::Latency => Balance::Latency,
            Self::Cost => Balance::Cost,
            Self::Headroom => Balance::Headroom,
        }
    }
}

fn compile_trouble(
    file: &ScenarioFile,
    field: &str,
    trouble: &TroubleFile,
    fleet: &Fleet,
) -> Result<Vec<Trouble>, ScenarioError> {
    let kind = match (trouble.kind, trouble.share, trouble.factor) {
        (TroubleWord::Outage, None, None) => TroubleKind::Outage,
        (TroubleWord::Hang, None, None) => TroubleKind::Hang,
        (TroubleWord::RateLimited, None, None) => TroubleKind::RateLimited,
        (TroubleWord::Errors, Some(share), None) => TroubleKind::Errors(share.0),
        (TroubleWord::Slow, None, Some(factor)) if factor > 1.0 && factor.is_finite() => {
            TroubleKind::Slow(factor)
        }
        (TroubleWord::Slow, ..) => {
            return Err(file.wrong(field, "`slow` needs a `factor` above 1 and nothing else"));
        }
        (TroubleWord::Errors, ..) => {
            return Err(file.wrong(field, "`errors` needs a `share` and no `factor`"));
        }
        _ => return Err(file.wrong(field, "only `errors` has a `share` and only `slow` a `factor`")),
    };
    let ordered = match (trouble.from, trouble.to) {
        (Point::At(from), Point::At(to)) => from < to,
        (Point::Part(from), Point::Part(to)) => from < to,
        // A time against a share: nobody knows before the length of the run is known.
        _ => true,
    };
    if !ordered {
        return Err(file.wrong(field, "it ends before it begins"));
    }
    let hit: Vec<Trouble> = fleet
        .iter()
        .filter(|(_, deployment)| {
            *deployment.id == *trouble.provider || *deployment.provider == *trouble.provider
        })
        .map(|(deployment, _)| Trouble { deployment, from: trouble.from, to: trouble.to, kind })
        .collect();
    if hit.is_empty() {
        let known: Vec<&str> = fleet.iter().map(|(_, deployment)| &*deployment.id).collect();
        let problem = format!("there is no provider `{}`; there are {}", trouble.provider, known.join(", "));
        return Err(file.wrong(format!("{field}.provider"), problem));
    }
    Ok(hit)
}

fn virtual_deployment(
    file: &ScenarioFile,
    name: &str,
    provider: &ProviderFile,
) -> Result<Deployment, ScenarioError> {
    let id = Name::from(name);
    let entry = match &provider.price {
        None => None,
        Some(price) => {
            let field = format!("providers.{name}.price");
            let mut entry = ModelEntry::new(format!("virtual/{name}"), Kind::Chat)
                .map_err(|error| file.wrong(&field, error.to_string()))?;
            for (class, dollars) in [(TokenClass::Input, price.input), (TokenClass::Output, price.output)] {
                let price = PricePerMillion::from_decimal_str(&dollars.to_string())
                    .map_err(|error| file.wrong(&field, error.to_string()))?;
                entry.prices.standard.base.set(class, Some(price));
            }
            Some(Arc::new(entry))
        }
    };
    Ok(Deployment {
        provider: Arc::clone(&id),
        model: Name::from("virtual"),
        id,
        dialect: Dialect::OpenAi,
        operations: vec![Operation::Chat],
        weight: provider.weight,
        facts: DataFacts::default(),
        capabilities: Capabilities::UNKNOWN,
        context_window: None,
        max_input_tokens: None,
        max_output_tokens: None,
        entry,
        limits: DeploymentLimits::default(),
    })
}

fn behaviour(file: &ScenarioFile, name: &str, provider: &ProviderFile) -> Result<Behaviour, ScenarioError> {
    let times = provider.first_token;
    if times.p99.0 < times.median.0 || times.median.0.is_zero() {
        let field = format!("providers.{name}.first_token");
        return Err(file.wrong(field, "`p99` must not be below `median`, and neither is 0"));
    }
    if provider.slots == Some(0) || provider.requests_per_minute == Some(0) {
        return Err(
            file.wrong(format!("providers.{name}"), "with 0 slots or requests per minute it never answers")
        );
    }
    Ok(Behaviour {
        first_token: Spread::log_normal(times.median.0, times.p99.0),
        rest: Rest::PerToken(provider.token_gap.0),
        slow: provider
            .slow
            .map_or_else(Slow::default, |slow| Slow { share: slow.share.0, factor: slow.factor }),
        faults: Faults { before: vec![(FailureClass::Server, provider.errors.0)], cut: provider.cuts.0 },
        slots: provider.slots,
        requests_per_minute: provider.requests_per_minute,
    })
}

fn assumed() -> Behaviour {
    Behaviour {
        first_token: Spread::log_normal(Duration::from_millis(500), Duration::from_secs(2)),
        rest: Rest::PerToken(Duration::from_millis(12)),
        slow: Slow::default(),
        faults: Faults::default(),
        slots: None,
        requests_per_minute: None,
    }
}

/// One route over all virtual providers, their tiers in the order in which they are first named, each falling back to the rest.
fn virtual_route(file: &ScenarioFile, fleet: &Fleet) -> Result<Route, ScenarioError> {
    let mut tiers: IndexMap<&str, Vec<DeploymentIndex>> = IndexMap::new();
    for (name, provider) in &file.providers {
        tiers.entry(&provider.tier).or_default().extend(fleet.find(name));
    }
    let tiers = tiers.into_iter().map(|(name, deployments)| Tier {
        name: name.into(),
        deployments,
        balance: Balance::LeastOutstanding,
        sticky: None,
    });
    let tiers: Vec<Tier> = tiers.collect();
    let others =
        (1..tiers.len()).filter_map(|position| u16::try_from(position).ok()).map(TierPosition).collect();
    let mut route = Route::new(Name::from(&*file.name), tiers, Vec::new())
        .map_err(|error| file.wrong("providers", error.to_string()))?;
    route.fallback.error = others;
    Ok(route)
}

fn traffic(file: &ScenarioFile) -> Result<Traffic, ScenarioError> {
    let written: &RequestsFile = &file.requests;
    if !(written.per_second > 0.0 && written.per_second <= 1e6) {
        return Err(file.wrong("requests.per_second", "it must be above 0 and at most 1,000,000"));
    }
    for (field, tokens) in [("input_tokens", written.input_tokens), ("output_tokens", written.output_tokens)]
    {
        if tokens.median == 0 || tokens.p99 < tokens.median {
            let problem = "`median` must be at least 1 and `p99` not below it";
            return Err(file.wrong(format!("requests.{field}"), problem));
        }
    }
    let mut draw = Draw::new(0x7261_6666_6963);
    let requests = (0..POOL).map(|_| {
        let (input_tokens, output_tokens) =
            (sample_tokens(written.input_tokens, &mut draw), sample_tokens(written.output_tokens, &mut draw));
        let streamed = draw.chance(written.streamed.0);
        let shape = Shape {
            delivery: if streamed { Delivery::Stream } else { Delivery::Plain },
            model: file.name.clone(),
            messages: 1,
            text_bytes: input_tokens * 4,
            body_bytes: input_tokens * 4 + 200,
            ..Shape::new(Dialect::OpenAi, Operation::Chat)
        };
        VirtualRequest { shape, caller: Caller::default(), input_tokens, output_tokens }
    });
    Ok(Traffic { per_second: written.per_second, requests: requests.collect() })
}

fn sample_tokens(tokens: TokensFile, draw: &mut Draw) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^53")]
    let (median, p99) = (tokens.median as f64, tokens.p99 as f64);
    let scale = (p99 / median).ln() / NORMAL_P99;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded")]
    let count = (median.ln() + scale * draw.normal()).exp().clamp(1.0, 10_000_000.0).round() as u64;
    count
}
