//! What all requests share.
//!
//! Owns the gateway value: the current generation (configuration, health, limits), transport, record, metrics. Must not know
//! any stage. A request takes one generation at its start and keeps it: a reload never changes the rules under it.

use crate::accounts;
use crate::allowance::Allowances;
use crate::batches::Queue;
use crate::classify::Answers;
use crate::clock::{self, Clock};
use crate::encode::Vectors;
use crate::examples;
use crate::heard::{self, Heard};
use crate::learn::{self, Sessions};
use crate::makers::Makers;
use crate::media;
use crate::metrics::Metrics;
use crate::polling::Polling;
use crate::responses::Running;
use crate::room::Room;
use crate::spend::DaySpend;
use crate::stop::Stop;
use crate::taker::Taking;
use crate::traffic::Traffic;
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use tokio::sync::Semaphore;
use trunkline_config::{KeyLimits, Snapshot};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::Name;
use trunkline_net::{Fetcher, Keeper, Transport};
use trunkline_route::cascade::AuditBook;
use trunkline_route::fleet::{Deployment, DeploymentIndex};
use trunkline_route::health::{FleetHealth, HealthPolicy, Identity};
use trunkline_route::hedge::HedgeBudget;
use trunkline_route::limit::{Limiter, Limits};
use trunkline_route::policy::Route;
use trunkline_route::retry_budget::{RetryBudget, RetryBudgetPolicy};
use trunkline_route::shadow::ShadowBudget;
use trunkline_store::{Batches, Learning, Recorder, Responses, StoredArms};

/// What is kept beside the record.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Stored responses.
    pub responses: Responses,
    /// Feedback, and what else is learned from.
    pub learning: Learning,
    /// Files and batches.
    pub batches: Batches,
}

impl Stores {
    /// All of it in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            responses: Responses::in_memory(),
            learning: Learning::in_memory(),
            batches: Batches::in_memory(),
        }
    }
}

/// Everything that serves requests.
pub struct Gateway {
    /// The clock of every moment.
    pub clock: Clock,
    /// Upstream connections.
    pub transport: Transport,
    /// Credentials that are renewed.
    pub credentials: Keeper,
    /// The request log.
    pub recorder: Recorder,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Against retry storms, over the whole fleet.
    pub retry_budget: Arc<RetryBudget>,
    /// Places for work beside requests: audits, mirrored requests.
    pub background: Arc<Semaphore>,
    /// What routes have spent today.
    pub(crate) spend: DaySpend,
    /// Stored responses.
    pub responses: Responses,
    /// Feedback, and what else is learned from.
    pub learning: Learning,
    /// Responses that run in the background.
    pub(crate) running: Running,
    /// What classifier models have cost today.
    pub(crate) allowances: Allowances,
    /// Files and batches.
    pub batches: Batches,
    /// What drains the batches.
    pub(crate) queue: Arc<Queue>,
    /// Labels that classifier models gave.
    pub(crate) answers: Answers,
    /// Vectors that larger encoders gave.
    pub(crate) vectors: Vectors,
    /// What sessions did before.
    pub(crate) sessions: Sessions,
    pub(crate) heard: Heard,
    pub(crate) kept_accounts: accounts::Kept,
    kept_arms: Mutex<Vec<StoredArms>>,
    generation: ArcSwap<Generation>,
    open: AtomicU32,
    pub(crate) room: Room,
    pub(crate) traffic: Arc<Traffic>,
    draining: AtomicBool,
    pub(crate) stop: Stop,
    pub(crate) polling: Polling,
}

/// Most calls made beside requests at the same time.
const MOST_BACKGROUND: usize = 64;

/// One configuration and what changes while it serves.
pub struct Generation {
    /// The configuration.
    pub snapshot: Snapshot,
    /// How each deployment fares.
    pub health: FleetHealth,
    limiters: HashMap<Name, Arc<Limiter>>,
    hedges: HashMap<Name, Arc<HedgeBudget>>,
    rotations: HashMap<Name, Box<[AtomicU64]>>,
    audits: HashMap<Name, Arc<AuditBook>>,
    shadows: HashMap<Name, Arc<ShadowBudget>>,
    direct: Vec<OnceLock<Arc<Route>>>,
    /// Who made the sealed state of conversations. Outlives a reload: conversations do.
    pub(crate) makers: Arc<Makers>,
    /// Made by the first request with a file to fetch.
    fetcher: OnceLock<Fetcher>,
    /// Routes of models that several deployments serve, by the model's name.
    shared: RwLock<HashMap<Name, Arc<Route>>>,
}

/// Routes of shared models kept at the most.
const MOST_SHARED: usize = 4_096;

impl Gateway {
    /// A gateway that serves a configuration and keeps everything but the record in memory.
    #[must_use]
    pub fn new(snapshot: Snapshot, transport: Transport, recorder: Recorder) -> Arc<Self> {
        Self::with_stores(snapshot, transport, recorder, Stores::in_memory())
    }

    /// A gateway that serves a configuration.
    #[must_use]
    pub fn with_stores(
        snapshot: Snapshot,
        transport: Transport,
        recorder: Recorder,
        stores: Stores,
    ) -> Arc<Self> {
        let Stores { responses, learning, batches } = stores;
        let clock = Clock::start();
        let arms = learning.arms().unwrap_or_else(|error| {
            tracing::warn!(%error, "what bandits had learned cannot be read; they start anew");
            Vec::new()
        });
        learn::restore_bandits(&snapshot, &arms);
        let accounts = learning.accounts().unwrap_or_else(|error| {
            tracing::warn!(%error, "what was spent under daily caps cannot be read; their day begins anew");
            Vec::new()
        });
        let generation = Generation::new(snapshot, None);
        let gateway = Self {
            retry_budget: Arc::new(RetryBudget::new(RetryBudgetPolicy::default(), clock.now())),
            clock,
            credentials: Keeper::new(transport.clone()),
            transport,
            recorder,
            metrics: Metrics::new(),
            background: Arc::new(Semaphore::new(MOST_BACKGROUND)),
            spend: DaySpend::default(),
            responses,
            learning,
            running: Running::default(),
            allowances: Allowances::default(),
            batches,
            queue: Arc::default(),
            answers: Answers::default(),
            vectors: Vectors::default(),
            sessions: Sessions::default(),
            heard: Heard::after(&arms),
            kept_accounts: accounts::Kept::default(),
            kept_arms: Mutex::default(),
            generation: ArcSwap::from_pointee(generation),
            open: AtomicU32::new(0),
            room: Room::default(),
            traffic: Arc::default(),
            draining: AtomicBool::new(false),
            stop: Stop::default(),
            polling: Polling::default(),
        };
        accounts::restore(&gateway, &accounts);
        Arc::new(gateway)
    }

    /// The configuration in force.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Puts a new configuration in force. Requests under way keep theirs; health and limits of what stayed the same carry on.
    pub fn reload(&self, snapshot: Snapshot) {
        let before = self.generation.load_full();
        self.keep_accounts();
        examples::carry_over(&before.snapshot, &snapshot);
        let after = Generation::new(snapshot, Some(&before));
        accounts::take_up(self, &after, Some(&before));
        self.generation.store(Arc::new(after));
        self.warm_credentials();
        self.polling.look_again();
        self.metrics.reloaded();
    }

    /// Tells bandits what was said of answers elsewhere. Reads databases: not to be called on a thread that serves others.
    pub fn hear(self: &Arc<Self>) {
        heard::look(self);
    }

    /// Begins to learn the examples that larger encoders read. Returns at once.
    pub fn learn_examples(self: &Arc<Self>) {
        examples::begin(self);
    }

    /// Begins to obtain the credentials that the configuration in force needs, and forgets those of earlier ones.
    pub fn warm_credentials(&self) {
        let generation = self.generation.load_full();
        let signings =
            || generation.snapshot.upstreams.iter().filter_map(|upstream| upstream.signing.as_ref());
        let wanted: HashSet<&str> = signings().map(|signing| signing.source.identity()).collect();
        self.credentials.retain(|identity| wanted.contains(identity));
        signings().for_each(|signing| self.credentials.warm(&signing.source));
    }

    /// Bounds connections and requests by the number of files that the process may open. Returns the most of each.
    pub fn share_files(&self, files: u64) -> u32 {
        self.room.share_out(files);
        self.room.most()
    }

    /// Most requests served at the same time: as configured, or as many as the process has room for.
    #[must_use]
    pub fn most_open(&self) -> u32 {
        self.generation.load().snapshot.server.open_requests.min(self.room.most())
    }

    /// Takes one of the places for open requests; `None` when all are taken.
    #[must_use]
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.polling.stir();
        let place = Place { gateway: Arc::clone(self), taking: None };
        (before < most).then_some(place)
    }

    /// Keeps what bandits have learned since the last time, so that a restart forgets little. Never waits.
    pub fn keep_learned(&self) {
        let mut kept = self.kept_arms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = learn::learned(&self.generation.load().snapshot, clock::unix_milliseconds());
        new.retain(|arms| {
            let before = kept.iter().find(|before| before.route == arms.route && before.step == arms.step);
            before.is_none_or(|before| before.state != arms.state)
        });
        if new.is_empty() {
            return;
        }
        if !self.learning.keep_arms(new.clone()) {
            tracing::warn!("what bandits have learned was not kept: too much is waiting to be written");
            return;
        }
        kept.retain(|before| !new.iter().any(|arms| before.route == arms.route && before.step == arms.step));
        kept.append(&mut new);
    }

    /// Keeps what was spent under daily caps since the last time, so that they hold across a restart. Never waits.
    pub fn keep_accounts(&self) {
        accounts::keep(self);
    }

    /// Open requests.
    #[must_use]
    pub fn open_requests(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Marks the gateway as stopping: it is no longer ready, and answers close their connections.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether it is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// One of the places for open requests; given back when dropped.
pub struct Place {
    gateway: Arc<Gateway>,
    /// Of the client, where one waits.
    taking: Option<Arc<Taking>>,
}

impl Place {
    /// The same, for a client.
    pub(crate) fn taken_by(mut self, taking: Arc<Taking>) -> Self {
        self.taking = Some(taking);
        self
    }

    /// Why the request in it ends when nobody waits for it any more.
    pub(crate) fn gone(&self) -> Failure {
        let went_away = || Failure::new(FailureClass::ClientGone, "the client went away");
        self.taking.as_ref().map_or_else(went_away, |taking| taking.failure())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gateway.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Generation {
    fn new(snapshot: Snapshot, before: Option<&Self>) -> Self {
        let health = FleetHealth::new(
            &snapshot.fleet,
            |deployment| identity(&snapshot, deployment),
            HealthPolicy::default(),
            before.map(|generation| &generation.health),
            rand::random(),
        );
        let mut limiters = HashMap::new();
        for key in snapshot.keys.iter() {
            let limits = limits(&key.limits);
            if limits.is_unlimited() {
                continue;
            }
            let limiter = match before.and_then(|generation| generation.limiters.get(&key.name)) {
                Some(limiter) => {
                    limiter.reconfigure(limits);
                    Arc::clone(limiter)
                }
                None => Arc::new(Limiter::new(limits)),
            };
            limiters.insert(Arc::clone(&key.name), limiter);
        }
        let mut hedges = HashMap::new();
        let mut rotations = HashMap::new();
        for (name, route) in snapshot.routes.iter() {
            if let Some(earlier) = before.and_then(|generation| generation.snapshot.routes.find(name)) {
                learn::carry_over(earlier, route);
            }
            if let Some(hedge) = &route.hedge {
                hedges.insert(Arc::clone(name), Arc::new(HedgeBudget::new(hedge.spend_cap)));
            }
            rotations.insert(Arc::clone(name), route.tiers().iter().map(|_| AtomicU64::new(0)).collect());
        }
        let audited = snapshot
            .routes
            .iter()
            .filter(|(_, route)| route.cascade.as_ref().is_some_and(|cascade| cascade.audit.is_some()));
        let audits = audited
            .map(|(name, _)| {
                let book = before.and_then(|generation| generation.audits.get(name)).cloned();
                (Arc::clone(name), book.unwrap_or_default())
            })
            .collect();
        let makers = before.map(|generation| Arc::clone(&generation.makers)).unwrap_or_default();
        let shadows = shadow_budgets(&snapshot, before);
        let direct = snapshot.fleet.iter().map(|_| OnceLock::new()).collect();
        Self {
            snapshot,
            health,
            limiters,
            hedges,
            rotations,
            audits,
            shadows,
            direct,
            makers,
            fetcher: OnceLock::new(),
            shared: RwLock::default(),
        }
    }

    /// What a route may spend on hedges; `None` for one that does not hedge.
    #[must_use]
    pub fn hedge_budget(&self, route: &str) -> Option<&Arc<HedgeBudget>> {
        self.hedges.get(route)
    }

    /// The turns of a route's tiers; `None` for a model named directly.
    #[must_use]
    pub fn rotation(&self, route: &str) -> Option<&[AtomicU64]> {
        self.rotations.get(route).map(AsRef::as_ref)
    }

    /// How the checks of a route's cascade fared; `None` where they are not audited.
    #[must_use]
    pub fn audit_book(&self, route: &str) -> Option<&Arc<AuditBook>> {
        self.audits.get(route)
    }

    /// All accounts of audits, by route.
    pub(crate) fn audit_books(&self) -> impl Iterator<Item = (&Name, &Arc<AuditBook>)> {
        self.audits.iter()
    }

    /// All accounts of copies, by route.
    pub(crate) fn shadow_budgets(&self) -> impl Iterator<Item = (&Name, &Arc<ShadowBudget>)> {
        self.shadows.iter()
    }

    /// What copies of a route's requests may cost; `None` where none are sent.
    #[must_use]
    pub fn shadow_budget(&self, route: &str) -> Option<&Arc<ShadowBudget>> {
        self.shadows.get(route)
    }

    /// The limits of a key, where it has any.
    #[must_use]
    pub fn limiter(&self, key: &str) -> Option<&Arc<Limiter>> {
        self.limiters.get(key)
    }

    /// What fetches the files of requests.
    ///
    /// # Errors
    /// When the transport's settings do not serve it.
    pub(crate) fn fetcher(&self, gateway: &Gateway) -> Result<&Fetcher, Failure> {
        if let Some(fetcher) = self.fetcher.get() {
            return Ok(fetcher);
        }
        let made = media::fetcher(gateway, self)?;
        Ok(self.fetcher.get_or_init(|| made))
    }

    /// The route of a deployment that is named directly.
    #[must_use]
    pub fn direct(&self, index: DeploymentIndex) -> Arc<Route> {
        let make = || {
            let name = Arc::clone(&self.snapshot.fleet.deployment(index).id);
            Arc::new(Route::direct(name, &[index]))
        };
        match self.direct.get(index.position()) {
            Some(cell) => Arc::clone(cell.get_or_init(make)),
            None => make(),
        }
    }

    /// The route of a model that is named directly and served by several deployments. Made once, so that what is counted by
    /// its name is found by the place of that name.
    #[must_use]
    pub fn shared(&self, model: &str, deployments: &[DeploymentIndex]) -> Arc<Route> {
        if let Some(route) = self.shared.read().unwrap_or_else(PoisonError::into_inner).get(model) {
            return Arc::clone(route);
        }
        let name = Name::from(model);
        let route = Arc::new(Route::direct(Arc::clone(&name), deployments));
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= MOST_SHARED {
            return route;
        }
        Arc::clone(shared.entry(name).or_insert(route))
    }
}

/// The accounts of routes with a shadow; what was spent before a reload stays spent.
fn shadow_budgets(snapshot: &Snapshot, before: Option<&Generation>) -> HashMap<Name, Arc<ShadowBudget>> {
    let budget = |(name, route): (&Name, &Arc<Route>)| {
        let caps = route.shadow?.caps;
        let budget = match before.and_then(|generation| generation.shadow_budget(name)) {
            Some(budget) => {
                budget.reconfigure(caps);
                Arc::clone(budget)
            }
            None => Arc::new(ShadowBudget::new(caps)),
        };
        Some((Arc::clone(name), budget))
    };
    snapshot.routes.iter().filter_map(budget).collect()
}

fn identity(snapshot: &Snapshot, deployment: &Deployment) -> Identity {
    let origin = snapshot.fleet.find(&deployment.id).and_then(|index| snapshot.origins.get(index.position()));
    Identity {
        deployment: Arc::clone(&deployment.id),
        upstream: origin.map_or_else(|| Name::from(""), |origin| Arc::clone(&origin.upstream)),
        credential: origin.map_or_else(|| Name::from(""), |origin| Arc::clone(&origin.credential)),
    }
}

const fn limits(limits: &KeyLimits) -> Limits {
    Limits {
        requests_per_minute: limits.requests_per_minute,
        tokens_per_minute: limits.tokens_per_minute,
        concurrency: limits.concurrency,
    }
}
