//! A configuration on stage: its own rules, simulators for its providers.
//!
//! Owns giving each deployment a host name of its own that no resolver knows, so that a single map from names to simulators
//! decides who meets a fault, whether a whole provider, one account or one model. Must not know faults. Paths, schemes,
//! policies and prices stay the configuration's.

use crate::configuration;
use anyhow::Context;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use trunkline_config::{Inputs, KeyRing, Loaded, Routes, Snapshot, Source, Store};
use trunkline_model::dialect::Operation;
use trunkline_model::id::Name;
use trunkline_model::secret::Secret;
use trunkline_providers::upstream::Account;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::Timeouts;
use trunkline_route::policy::Route;
use trunkline_sim::{DialectName, Flavor, SimConfig, Simulator, Tls};

/// The shortest timeout of a drill: below it the machine's own slowness would look like a fault.
const SHORTEST: Duration = Duration::from_millis(250);

/// How a provider is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Line {
    /// Without TLS.
    Clear,
    /// With TLS, which brings HTTP/2.
    Secured,
}

/// Who a deployment really is, and the host name it has on stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its host name on stage.
    pub(super) host: String,
    /// The scheme and authority it has in life.
    pub(super) origin: String,
    /// Equal for deployments that share a credential.
    pub(super) account: usize,
    /// The scheme on stage.
    pub(super) line: Line,
}

/// A configuration with simulators for its providers.
pub(super) struct Stage {
    /// The configuration as it is played, lines as configured.
    pub(super) snapshot: Snapshot,
    /// The same with TLS on every line, for the fault that needs it.
    pub(super) secured: Snapshot,
    /// The routes to drill.
    pub(super) routes: Vec<Arc<Route>>,
    /// The configured timeouts of these routes, before they were shortened.
    pub(super) timeouts: Vec<Timeouts>,
    parts: Vec<Part>,
    dialects: HashMap<String, Vec<DialectName>>,
    healthy: HashMap<(String, Line), Simulator>,
}

impl Stage {
    /// Reads the configuration, shortens its timeouts to `patience` and starts a healthy simulator for every provider that a
    /// drilled route can reach.
    ///
    /// # Errors
    /// A wrong configuration, an unknown route, no free port.
    pub(super) async fn set(
        sources: &[Source],
        patience: Duration,
        only: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (loaded, mut parts) = load(sources, None)?;
        let (secured, _) = load(sources, Some(Line::Secured))?;
        reorder(&loaded.snapshot, &mut parts);
        let originals = chosen(&loaded, only)?;
        let mut stage = Self {
            timeouts: originals.iter().map(|route| route.timeouts).collect(),
            dialects: dialects(&loaded.snapshot, &parts),
            snapshot: played(loaded.snapshot, patience),
            secured: played(secured.snapshot, patience),
            routes: Vec::new(),
            healthy: HashMap::new(),
            parts,
        };
        stage.routes =
            originals.iter().filter_map(|route| stage.snapshot.routes.find(&route.name)).cloned().collect();
        for route in stage.routes.clone() {
            for index in route.candidates() {
                let part = stage.part(*index).clone();
                for line in [part.line, Line::Secured] {
                    if !stage.healthy.contains_key(&(part.origin.clone(), line)) {
                        let simulator = stage.simulator(&part, tls(line)).await?;
                        stage.healthy.insert((part.origin.clone(), line), simulator);
                    }
                }
            }
        }
        Ok(stage)
    }

    /// Who plays a deployment.
    pub(super) fn part(&self, index: DeploymentIndex) -> &Part {
        &self.parts[index.position()]
    }

    /// The healthy simulator of a deployment on a line.
    pub(super) fn healthy(&self, part: &Part, line: Line) -> Option<&Simulator> {
        self.healthy.get(&(part.origin.clone(), line))
    }

    /// A simulator of its own for a deployment's provider.
    ///
    /// # Errors
    /// No free port, or no certificate.
    pub(super) async fn simulator(&self, part: &Part, tls: Tls) -> anyhow::Result<Simulator> {
        let dialects = self.dialects.get(&part.origin).cloned().unwrap_or_default();
        let first = dialects.first().copied().unwrap_or(DialectName::OpenAi);
        let config = SimConfig {
            dialects,
            tls,
            flavor: Flavor::Compatible,
            keep_requests: 1,
            ..SimConfig::new(first)
        };
        Simulator::start(config).await.context("start a simulator")
    }

    /// The name of a deployment's provider in the configuration.
    pub(super) fn provider(&self, index: DeploymentIndex) -> &Name {
        &self.snapshot.fleet.deployment(index).provider
    }
}

/// The kind of TLS a line has when nothing is wrong with it.
pub(super) const fn tls(line: Line) -> Tls {
    match line {
        Line::Clear => Tls::None,
        Line::Secured => Tls::SelfSigned,
    }
}

/// Reads the configuration with stand-ins for all accounts, noting them in the order they were asked for.
fn load(sources: &[Source], every_line: Option<Line>) -> anyhow::Result<(Loaded, Vec<Part>)> {
    let seen: RefCell<(Vec<Part>, HashMap<String, usize>)> = RefCell::default();
    let stand_in = |account: &Account| {
        let (parts, accounts) = &mut *seen.borrow_mut();
        let (scheme, rest) = account.base_url.split_once("://").unwrap_or(("https", &account.base_url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let configured = if scheme == "http" { Line::Clear } else { Line::Secured };
        let line = every_line.unwrap_or(configured);
        let signed = account.signing.as_ref().map_or("", |signing| signing.source.identity());
        let credential = format!("{authority} {} {signed}", account.key.as_ref().map_or("", Secret::expose));
        let fresh = accounts.len();
        let part = Part {
            host: format!("deployment-{}.drill.invalid", parts.len()),
            origin: format!("{scheme}://{authority}"),
            account: *accounts.entry(credential).or_insert(fresh),
            line,
        };
        let scheme = if line == Line::Clear { "http" } else { "https" };
        let stood_in = Account {
            base_url: format!("{scheme}://{}{path}", part.host),
            key: Some(Secret::new(format!("drill-key-{}", part.account))),
            signing: None,
            region: account.region.clone(),
            headers: account.headers.clone(),
            http2_cleartext: account.http2_cleartext && line == Line::Clear,
        };
        parts.push(part);
        stood_in
    };
    let folder = configuration::folder(sources);
    let files = |name: &str| configuration::read_named(&folder, name);
    let inputs = Inputs {
        environment: &environment,
        today: configuration::today(),
        files: &files,
        labelled: &configuration::labelled,
    };
    let loaded = trunkline_config::load_standing_in(sources.to_vec(), &inputs, &stand_in)?;
    Ok((loaded, seen.into_inner().0))
}

/// The environment on stage. Nothing has to be set: secrets are made up even where they are set, addresses lead nowhere.
fn environment(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let dummy = || Some(format!("drill-{}-0123456789abcdef", name.to_ascii_lowercase().replace('_', "-")));
    if has(&["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"]) {
        return dummy();
    }
    configuration::environment(&name).filter(|value| !value.trim().is_empty()).or_else(|| {
        if has(&["URL", "ENDPOINT", "BASE", "HOST"]) {
            Some(format!("https://{}.drill.invalid", name.to_ascii_lowercase().replace('_', "-")))
        } else {
            dummy()
        }
    })
}

/// Brings the parts from the order of asking into the order of the fleet.
fn reorder(snapshot: &Snapshot, parts: &mut [Part]) {
    let position: HashMap<String, usize> = snapshot
        .upstreams
        .iter()
        .enumerate()
        .filter_map(|(position, upstream)| Some((upstream.any_uri()?.host()?.to_owned(), position)))
        .collect();
    parts.sort_by_key(|part| position.get(&part.host).copied().unwrap_or(usize::MAX));
}

/// What each origin speaks.
fn dialects(snapshot: &Snapshot, parts: &[Part]) -> HashMap<String, Vec<DialectName>> {
    let mut dialects: HashMap<String, Vec<DialectName>> = HashMap::new();
    for (part, upstream) in parts.iter().zip(&snapshot.upstreams) {
        let Ok(dialect) = upstream.dialect.name().parse() else { continue };
        let spoken = dialects.entry(part.origin.clone()).or_default();
        if !spoken.contains(&dialect) {
            spoken.push(dialect);
        }
        // Pictures, sound and judgements have one form, whatever a provider's conversations are held in.
        let relays = upstream.operations().into_iter().any(Operation::is_relayed);
        if relays && !spoken.contains(&DialectName::OpenAi) {
            spoken.push(DialectName::OpenAi);
        }
    }
    dialects
}

/// The routes to drill: the one asked for, those the configuration names, or else the built-in one.
fn chosen(loaded: &Loaded, only: Option<&str>) -> anyhow::Result<Vec<Arc<Route>>> {
    let routes = &loaded.snapshot.routes;
    if let Some(name) = only {
        let known = || routes.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", ");
        let route = routes
            .find(name)
            .with_context(|| format!("there is no route `{name}`; there are {}", known()))?;
        return Ok(vec![Arc::clone(route)]);
    }
    if loaded.named_routes.is_empty() {
        return Ok(routes.iter().map(|(_, route)| Arc::clone(route)).collect());
    }
    Ok(loaded.named_routes.iter().filter_map(|name| routes.find(name)).cloned().collect())
}

/// The configuration as it is played: no virtual keys, no database, no port of its own, shortened timeouts.
fn played(mut snapshot: Snapshot, patience: Duration) -> Snapshot {
    snapshot.keys = KeyRing::new(snapshot.keys.pepper().clone());
    snapshot.server.store = Store::Memory;
    let shorter = |route: &Arc<Route>| {
        let mut route = Route::clone(route);
        route.timeouts = shortened(route.timeouts, patience);
        Arc::new(route)
    };
    let routes: BTreeMap<Name, Arc<Route>> =
        snapshot.routes.iter().map(|(name, route)| (Arc::clone(name), shorter(route))).collect();
    snapshot.routes = Routes::new(routes);
    snapshot
}

/// All timeouts by the same factor, so that the longest of a single attempt takes two fifths of the patience and a total that
/// leaves no time for a second attempt still leaves none. Connecting is not shortened: no fault makes it hang.
pub(super) fn shortened(timeouts: Timeouts, patience: Duration) -> Timeouts {
    // A wait longer than the whole request ends with it.
    let longest = timeouts.first_token.max(timeouts.between_tokens).min(timeouts.total);
    let factor = (patience.mul_f64(0.4).as_secs_f64() / longest.as_secs_f64()).min(1.0);
    let shorter = |time: Duration| time.mul_f64(factor).max(SHORTEST).min(time);
    // Answers in one piece come late because they are long, and those of simulators are short. Only a wait that leaves no time
    // for a second attempt is to be seen.
    let whole_answer = if timeouts.whole_answer > timeouts.total / 2 {
        shorter(timeouts.whole_answer)
    } else {
        shorter(timeouts.whole_answer.min(longest))
    };
    Timeouts {
        connect: timeouts.connect.min(patience),
        first_token: shorter(timeouts.first_token),
        whole_answer,
        between_tokens: shorter(timeouts.between_tokens),
        total: shorter(timeouts.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_keep_their_proportions() {
        let patience = Duration::from_secs(2);
        let usual = shortened(Timeouts::default(), patience);
        assert_eq!(usual.first_token, Duration::from_millis(800));
        assert_eq!(usual.total, Duration::from_secs(8));
        let tight = Timeouts { total: Duration::from_secs(70), ..Timeouts::default() };
        assert!(shortened(tight, patience).total < usual.first_token * 2);
        let short = Timeouts { first_token: Duration::from_millis(100), ..Timeouts::default() };
        assert_eq!(shortened(short, patience).first_token, Duration::from_millis(100));
    }

    #[test]
    fn no_variable_has_to_be_set_and_no_secret_is_used() {
        assert_eq!(environment("OPENAI_API_KEY").as_deref(), Some("drill-openai-api-key-0123456789abcdef"));
        assert_eq!(environment("DRILL_EDGE_URL").as_deref(), Some("https://drill-edge-url.drill.invalid"));
    }
}
