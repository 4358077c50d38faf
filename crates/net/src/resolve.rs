//! Host names to addresses, with a small cache.
//!
//! Owns the cache and its bounds. Uses the operating system's resolver (getaddrinfo on tokio's blocking threads), so
//! that `/etc/hosts`, search domains and local caches count as they do for every other program.
//!
//! The cache has its own time to live (30 s by default) because getaddrinfo tells none: it is there so that a burst
//! of dials asks once, not to replace a caching resolver. When the resolver fails, the last addresses are used for up
//! to five minutes more: a name service that is down should not take a working provider down with it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Semaphore;

use crate::media::Guard;

/// Addresses to try for one host; more are ignored.
const MAX_ADDRESSES: usize = 8;
/// Names in the cache; a further one displaces the oldest.
const MAX_NAMES: usize = 512;
/// Look-ups under way at once: getaddrinfo holds a blocking thread and cannot be cancelled.
const MAX_LOOKUPS: usize = 16;
/// For how long addresses past their time serve when the resolver fails.
const STALE: Duration = Duration::from_secs(300);

pub(crate) type Addresses = SmallVec<[SocketAddr; 4]>;

#[derive(Debug)]
pub(crate) struct Resolver {
    overrides: HashMap<String, Vec<SocketAddr>>,
    ttl: Duration,
    cache: Mutex<HashMap<Box<str>, Entry>>,
    lookups: Semaphore,
    guard: Option<Arc<Guard>>,
}

#[derive(Debug, Clone)]
struct Entry {
    resolved: Instant,
    addresses: SmallVec<[IpAddr; 4]>,
}

impl Resolver {
    pub(crate) fn new(
        overrides: HashMap<String, Vec<SocketAddr>>,
        ttl: Duration,
        guard: Option<Arc<Guard>>,
    ) -> Self {
        let overrides =
            overrides.into_iter().map(|(host, addresses)| (host.to_ascii_lowercase(), addresses)).collect();
        Self {
            overrides,
            ttl,
            cache: Mutex::new(HashMap::new()),
            lookups: Semaphore::new(MAX_LOOKUPS),
            guard,
        }
    }

    /// The addresses of a lower-case host, in the order to try them. Those of a guarded resolver have been judged, however
    /// they were found: what is dialed is what was judged.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Addresses, String> {
        let addresses = self.find(host, port).await?;
        if let Some(guard) = &self.guard {
            guard.check(host, &addresses)?;
        }
        Ok(addresses)
    }

    async fn find(&self, host: &str, port: u16) -> Result<Addresses, String> {
        if let Some(addresses) = self.overrides.get(host) {
            return match addresses.as_slice() {
                [] => Err("no address (overridden)".to_owned()),
                addresses => Ok(addresses.iter().copied().take(MAX_ADDRESSES).collect()),
            };
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(SmallVec::from_slice(&[SocketAddr::new(address, port)]));
        }
        if let Some(entry) = self.cached(host, self.ttl) {
            return Ok(with_port(&entry, port));
        }
        let _permit = self.lookups.acquire().await.map_err(|_| "the resolver is closed".to_owned())?;
        // Whoever held the permit before may have asked for the same name.
        if let Some(entry) = self.cached(host, self.ttl) {
            return Ok(with_port(&entry, port));
        }
        let found = match tokio::net::lookup_host((host, port)).await {
            Ok(found) => interleave(found.map(|address| address.ip())),
            Err(error) => {
                let Some(entry) = self.cached(host, self.ttl + STALE) else {
                    return Err(error.to_string());
                };
                tracing::warn!(host, %error, "name resolution failed; the last known addresses are used");
                return Ok(with_port(&entry, port));
            }
        };
        if found.is_empty() {
            return Err("no address".to_owned());
        }
        let entry = Entry { resolved: crate::transport::now(), addresses: found };
        let addresses = with_port(&entry, port);
        self.keep(host, entry);
        Ok(addresses)
    }

    fn cached(&self, host: &str, age: Duration) -> Option<Entry> {
        let now = crate::transport::now();
        let cache = self.cache.lock();
        cache.get(host).filter(|entry| now.saturating_duration_since(entry.resolved) < age).cloned()
    }

    fn keep(&self, host: &str, entry: Entry) {
        let mut cache = self.cache.lock();
        if cache.len() >= MAX_NAMES
            && !cache.contains_key(host)
            && let Some(oldest) =
                cache.iter().min_by_key(|(_, entry)| entry.resolved).map(|(host, _)| host.clone())
        {
            cache.remove(&oldest);
        }
        cache.insert(host.into(), entry);
    }
}

fn with_port(entry: &Entry, port: u16) -> Addresses {
    entry.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect()
}

/// Alternates the address families, beginning with the one that the system put first (RFC 8305, section 4).
fn interleave(addresses: impl Iterator<Item = IpAddr>) -> SmallVec<[IpAddr; 4]> {
    let mut distinct: SmallVec<[IpAddr; 16]> = SmallVec::new();
    for address in addresses.take(4 * MAX_ADDRESSES) {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let first_family = distinct.first().is_some_and(IpAddr::is_ipv6);
    let mut first = distinct.iter().filter(|address| address.is_ipv6() == first_family);
    let mut second = distinct.iter().filter(|address| address.is_ipv6() != first_family);
    let mut mixed = SmallVec::new();
    while mixed.len() < MAX_ADDRESSES {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        mixed.extend(pair.into_iter().flatten().copied());
    }
    mixed.truncate(MAX_ADDRESSES);
    mixed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn families_alternate_from_the_systems_first_choice() {
        let mixed = interleave(addresses(&["::1", "::2", "::3", "10.0.0.1"]).into_iter());
        assert_eq!(mixed.to_vec(), addresses(&["::1", "10.0.0.1", "::2", "::3"]));
        let mixed = interleave(addresses(&["10.0.0.1", "10.0.0.2", "::1", "10.0.0.1"]).into_iter());
        assert_eq!(mixed.to_vec(), addresses(&["10.0.0.1", "::1", "10.0.0.2"]));
    }

    proptest! {
        #[test]
        fn nothing_is_invented_or_repeated(found in proptest::collection::vec(any::<IpAddr>(), 0..20)) {
            let mixed = interleave(found.iter().copied());
            prop_assert!(mixed.len() <= MAX_ADDRESSES);
            prop_assert_eq!(mixed.is_empty(), found.is_empty());
            for (index, address) in mixed.iter().enumerate() {
                prop_assert!(found.contains(address));
                prop_assert!(!mixed[..index].contains(address));
            }
        }
    }

    #[tokio::test]
    async fn an_override_wins_and_an_empty_one_does_not_resolve() {
        let address: SocketAddr = "127.0.0.1:9".parse().expect("an address");
        let overrides =
            HashMap::from([("API.test".to_owned(), vec![address]), ("none.test".to_owned(), vec![])]);
        let resolver = Resolver::new(overrides, Duration::ZERO, None);
        assert_eq!(resolver.resolve("api.test", 443).await.expect("overridden").to_vec(), [address]);
        insta::assert_snapshot!(resolver.resolve("none.test", 443).await.expect_err("empty"), @"no address (overridden)");
        let literal = resolver.resolve("::1", 443).await.expect("a literal");
        assert_eq!(literal.to_vec(), ["[::1]:443".parse::<SocketAddr>().expect("an address")]);
    }
}
