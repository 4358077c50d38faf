//! A compiled configuration: immutable, shared by every request that started under it.
//!
//! Owns the values the request path reads. Must not change after it was made: a reload makes a new one. Credentials live in
//! header maps marked sensitive, virtual keys only as digests.

use crate::digest::{KeyDigest, Pepper};
use crate::file::BatchUpstream;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::catalogue::{Catalogue, Date, ReasoningEffort};
use trunkline_model::facts::Requirement;
use trunkline_model::host::HostPattern;
use trunkline_model::id::Name;
use trunkline_providers::upstream::Upstream;
use trunkline_route::caller::AllowList;
use trunkline_route::fleet::Fleet;
use trunkline_route::pattern::Pattern;
use trunkline_route::policy::Route;
use trunkline_route::steps::Encoder;

/// Everything a request needs, fixed for its whole life.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Fingerprint of the texts it was compiled from and of the files they name.
    pub version: u64,
    /// The files that the texts name, as written there.
    pub files: Vec<String>,
    /// The server's own settings.
    pub server: Server,
    /// Every deployment.
    pub fleet: Arc<Fleet>,
    /// How to reach each deployment, at its index.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What makes each deployment the same one after a reload, at its index.
    pub origins: Vec<Origin>,
    /// The next day from which other prices or facts of a model hold: it is to be compiled again then.
    pub next_change: Option<Date>,
    /// The models of the configured providers.
    pub catalogue: Arc<Catalogue>,
    /// The configured providers, by name.
    pub providers: Vec<ProviderSummary>,
    /// The routes, by name.
    pub routes: Routes,
    /// The larger encoders of texts, by name.
    pub encoders: Vec<Arc<Encoder>>,
    /// The virtual keys.
    pub keys: KeyRing,
}

/// Where a deployment's requests go and with which credential, as fingerprints: health must not survive a change of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Of URL and model.
    pub upstream: Name,
    /// Of the credential and the host it is shown to; equal ones are rejected together.
    pub credential: Name,
}

/// A configured provider, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSummary {
    /// Its name in the configuration.
    pub name: Name,
    /// The preset's id.
    pub preset: String,
    /// The base URL.
    pub base_url: String,
    /// How many deployments it has.
    pub deployments: usize,
}

/// The server's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the record is kept.
    pub store: Store,
    /// Oldest record kept.
    pub log_keep: Duration,
    /// Largest database in bytes.
    pub log_max_bytes: u64,
    /// Largest request body in bytes.
    pub body_limit: usize,
    /// Most requests open at the same time.
    pub open_requests: u32,
    /// Longest silence of a client while it sends its request, and longest time it takes nothing of a full answer.
    pub client_timeout: Duration,
    /// How long to keep looking for work after the last open request, and while any is open; zero sleeps instead.
    pub busy_poll: Duration,
    /// How long a stop waits for open requests.
    pub drain: Duration,
    /// Files that clients name by URL.
    pub media: Media,
    /// Files and batches.
    pub batches: BatchPolicy,
}

/// How files that clients name by URL are fetched, where a provider takes only their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Whether they are.
    pub is_fetched: bool,
    /// The only hosts to fetch from; empty means every public one.
    pub allow_hosts: Vec<HostPattern>,
    /// Hosts that may have private addresses.
    pub allow_private: Vec<HostPattern>,
    /// Most bytes of all files of one request.
    pub max_bytes: u64,
    /// Longest time for all files of one request.
    pub timeout: Duration,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            is_fetched: true,
            allow_hosts: Vec::new(),
            allow_private: Vec::new(),
            max_bytes: 20_000_000,
            timeout: Duration::from_secs(10),
        }
    }
}

/// What is kept of files and batches, and how fast lines are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchPolicy {
    /// Lines under way at the same time.
    pub concurrency: u32,
    /// Share of every limit that is left to live requests, 0 to 1.
    pub headroom: f64,
    /// Largest uploaded file in bytes.
    pub max_file: u64,
    /// Most bytes of all files and batches.
    pub max_bytes: u64,
    /// How long files and finished batches are kept.
    pub keep: Duration,
    /// Whether lines go to providers' own batch APIs.
    pub upstream: BatchUpstream,
    /// Fewest lines that go there together.
    pub upstream_least: u32,
}

// A share is never NaN: the notation does not have it.
impl Eq for BatchPolicy {}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self {
            concurrency: 8,
            headroom: 0.2,
            max_file: 200_000_000,
            max_bytes: 4_000_000_000,
            keep: Duration::from_secs(30 * 86_400),
            upstream: BatchUpstream::Auto,
            upstream_least: 1,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4000)),
            store: Store::Sqlite("trunkline.db".into()),
            log_keep: Duration::from_secs(30 * 86_400),
            log_max_bytes: 2_000_000_000,
            body_limit: 32_000_000,
            open_requests: 20_000,
            client_timeout: Duration::from_secs(30),
            busy_poll: Duration::ZERO,
            drain: Duration::from_secs(30),
            media: Media::default(),
            batches: BatchPolicy::default(),
        }
    }
}

/// Where the record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// The newest records in memory only.
    Memory,
    /// An SQLite database.
    Sqlite(PathBuf),
}

/// The routes of a configuration, by name.
#[derive(Clone, Debug, Default)]
pub struct Routes(BTreeMap<Name, Arc<Route>>);

impl Routes {
    /// Routes by their names.
    #[must_use]
    pub const fn new(routes: BTreeMap<Name, Arc<Route>>) -> Self {
        Self(routes)
    }

    /// The route of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Route>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<Route>)> {
        self.0.iter()
    }

    /// Whether a pattern fits any route.
    #[must_use]
    pub fn matches(&self, pattern: &Pattern) -> bool {
        self.0.keys().any(|name| pattern.matches(name))
    }
}

/// A virtual key as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualKey {
    /// Its name.
    pub name: Name,
    /// What it may use.
    pub allow: AllowList,
    /// Providers whose every endpoint it may use.
    pub passthrough: Vec<Pattern>,
    /// Hard demands on every deployment.
    pub requirements: Vec<Requirement>,
    /// Its limits.
    pub limits: KeyLimits,
    /// Labels kept with every request, sorted.
    pub tags: Vec<(Name, Name)>,
    /// The one deployment its requests use.
    pub pin: Option<Name>,
    /// How deeply its requests reason, whatever they say.
    pub effort: Option<ReasoningEffort>,
    /// Refused as revoked.
    pub revoked: bool,
}

/// Limits of a virtual key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests open at the same time.
    pub concurrency: Option<u32>,
}

/// The virtual keys, found by digest.
#[derive(Clone, Debug)]
pub struct KeyRing {
    pepper: Pepper,
    keys: HashMap<KeyDigest, Arc<VirtualKey>>,
}

impl KeyRing {
    /// A ring without keys.
    #[must_use]
    pub fn new(pepper: Pepper) -> Self {
        Self { pepper, keys: HashMap::new() }
    }

    /// Whether no key is configured: then everyone who can connect is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What digests are made with.
    #[must_use]
    pub const fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// Adds a key; false when its digest is taken.
    pub fn insert(&mut self, digest: KeyDigest, key: VirtualKey) -> bool {
        self.keys.insert(digest, Arc::new(key)).is_none()
    }

    /// Finds a key by its text. The map is searched by an HMAC the caller cannot steer, and equality of the digests is
    /// checked in constant time, so that timing tells nothing about how much of a guess was right.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Arc<VirtualKey>> {
        use subtle::ConstantTimeEq;
        let digest = self.pepper.digest(key);
        let (known, key) = self.keys.get_key_value(&digest)?;
        bool::from(known.bytes().ct_eq(digest.bytes())).then_some(key)
    }

    /// All keys, unordered.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VirtualKey>> {
        self.keys.values()
    }
}
