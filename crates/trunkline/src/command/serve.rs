//! `trunkline serve`: the gateway as a process.
//!
//! Owns start-up in order (configuration, record, transport, socket), reloads and the stop. Must not serve before everything
//! that can fail at start has succeeded.

use crate::configuration::{self, Origin};
use crate::logging::{self, LogFormat};
use crate::open_files;
use anyhow::Context;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use trunkline_config::{Severity, Snapshot, Store};
use trunkline_gateway::server::{self, Drained};
use trunkline_gateway::{Gateway, Stores};
use trunkline_model::catalogue::Date;
use trunkline_net::{Transport, TransportConfig};
use trunkline_store::{
    BatchStoreSettings, Batches, Learning, LearningSettings, Recorder, ResponseSettings, Responses, Settings,
    StoreKind,
};

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A configuration file, or a folder of them.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Listen here instead of where the configuration says.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) log_format: LogFormat,
}

/// How often the configuration's files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often what bandits have learned is kept: a killed process forgets at most this much.
const KEEP_LEARNED: Duration = Duration::from_secs(10);
/// How often feedback is looked for that another process brought in.
const HEAR: Duration = Duration::from_secs(5);
/// How often what was spent under daily caps is kept: a killed process forgets at most this much.
const KEEP_ACCOUNTS: Duration = Duration::from_secs(1);
/// Fewer requests at a time than this are worth a word: every shell and service manager grants more.
const FEW: u32 = 250;
/// Changes of a file within this time are one change.
const SETTLE: Duration = Duration::from_millis(200);

/// Serves until told to stop.
///
/// # Errors
/// Whatever keeps it from starting.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    logging::start(options.log_format);
    let origin = Origin::new(options.config.as_deref());
    let mut loaded = configuration::read(&origin)?;
    for problem in loaded.problems.iter().filter(|problem| problem.severity == Severity::Warning) {
        tracing::warn!(hint = problem.hint.as_deref().unwrap_or_default(), "{}", problem.message);
    }
    if let Some(listen) = options.listen {
        refuse_open_door(&loaded.snapshot, listen)?;
        loaded.snapshot.server.listen = listen;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(serve(origin, loaded.snapshot))
}

/// `--listen` must not open what the configuration check closed.
fn refuse_open_door(snapshot: &Snapshot, listen: SocketAddr) -> anyhow::Result<()> {
    if snapshot.keys.is_empty() && !listen.ip().is_loopback() && snapshot.server.listen.ip().is_loopback() {
        anyhow::bail!(
            "listen on {listen}: it can be reached from other machines and no virtual key is configured; \
             add one under `keys`, or set `listen` and `allow_unauthenticated: true` in a configuration file"
        );
    }
    Ok(())
}

async fn serve(origin: Origin, snapshot: Snapshot) -> anyhow::Result<ExitCode> {
    let listen = snapshot.server.listen;
    let gateway = build(snapshot)?;
    let listener = listener(listen).await?;
    let address = listener.local_addr().context("read the address listened on")?;
    let files = open_files::take_all();
    if gateway.share_files(files) < FEW {
        tracing::warn!(
            files,
            requests = gateway.most_open(),
            "the process may open few files, so it serves few requests at a time; raise `ulimit -n`"
        );
    }
    announce(&gateway, address, &origin);
    watch(&gateway, origin)?;
    now_and_then(&gateway, KEEP_LEARNED, |gateway| gateway.keep_learned());
    now_and_then(&gateway, KEEP_ACCOUNTS, |gateway| gateway.keep_accounts());
    now_and_then(&gateway, HEAR, |gateway| {
        let gateway = Arc::clone(gateway);
        tokio::task::spawn_blocking(move || gateway.hear());
    });
    let drained = tokio::select! {
        drained = server::run(Arc::clone(&gateway), listener, stop()) => drained,
        () = stop_at_once() => Drained::Cut,
    };
    gateway.keep_learned();
    gateway.keep_accounts();
    gateway.recorder.flush();
    gateway.responses.flush();
    gateway.learning.flush();
    Ok(if drained == Drained::Completely { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Says what is served and how to reach it.
fn announce(gateway: &Gateway, address: SocketAddr, origin: &Origin) {
    let generation = gateway.generation();
    let snapshot = &generation.snapshot;
    let providers: Vec<&str> = snapshot.providers.iter().map(|provider| &*provider.name).collect();
    let providers = providers.join(", ");
    if *origin == Origin::Environment {
        tracing::info!(%providers, "there is no configuration file: providers are those whose API keys are in the environment");
    }
    tracing::info!(
        %address,
        %providers,
        routes = snapshot.routes.iter().count(),
        deployments = snapshot.fleet.len(),
        most_requests = gateway.most_open(),
        config = %format_args!("{:016x}", snapshot.version),
        "serving"
    );
    if *origin == Origin::Environment {
        tracing::info!(
            "base URL of OpenAI's clients: http://{address}/v1, of all others: http://{address}; \
             their `model` is `auto` or `provider/model`, their API key anything"
        );
    }
}

/// Takes an address to listen on.
///
/// # Errors
/// When it cannot be had, with what to do about it.
pub(crate) async fn listener(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("listen on {address}: free it, or choose another with --listen or `listen` in the file")
    })
}

/// Does something now and then, for as long as the process lives.
fn now_and_then(gateway: &Arc<Gateway>, often: Duration, what: fn(&Arc<Gateway>)) {
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        let mut due = tokio::time::interval(often);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            what(&gateway);
        }
    });
}

/// Puts a gateway together.
///
/// # Errors
/// An unusable database or transport setting.
pub(crate) fn build(snapshot: Snapshot) -> anyhow::Result<Arc<Gateway>> {
    let kind = match &snapshot.server.store {
        Store::Memory => StoreKind::Memory,
        Store::Sqlite(path) => StoreKind::Sqlite(path.clone()),
    };
    let settings = Settings {
        keep: snapshot.server.log_keep,
        max_bytes: snapshot.server.log_max_bytes,
        ..Settings::new(kind)
    };
    let (recorder, stores) = open(&snapshot, settings).context("open what `store` names")?;
    let cleartext = snapshot.upstreams.iter().filter(|upstream| upstream.http2_cleartext);
    let mut prior_knowledge: Vec<trunkline_net::Origin> =
        cleartext.filter_map(|upstream| trunkline_net::Origin::of(upstream.any_uri()?).ok()).collect();
    prior_knowledge.sort_by_key(ToString::to_string);
    prior_knowledge.dedup_by_key(|origin| origin.to_string());
    let transport = Transport::new(&TransportConfig {
        http2_prior_knowledge: prior_knowledge,
        ..TransportConfig::default()
    })?;
    Ok(Gateway::with_stores(snapshot, transport, recorder, stores))
}

/// Opens the request log and what lies beside it.
fn open(snapshot: &Snapshot, settings: Settings) -> anyhow::Result<(Recorder, Stores)> {
    let responses = Responses::open(&ResponseSettings {
        kind: settings.kind.clone(),
        keep: settings.keep,
        max_bytes: settings.max_bytes,
    })?;
    let learning = Learning::open(&LearningSettings {
        kind: settings.kind.clone(),
        keep: settings.keep,
        max_bytes: settings.max_bytes,
    })?;
    let batches = Batches::open(&BatchStoreSettings {
        kind: settings.kind.clone(),
        max_bytes: snapshot.server.batches.max_bytes,
    })?;
    let recorder = Recorder::open(settings)?;
    Ok((recorder, Stores { responses, learning, batches }))
}

/// Resolves at the first SIGTERM or SIGINT.
async fn stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received; stop the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
    }
}

/// Resolves at the second SIGTERM or SIGINT: whoever asks twice does not want to wait for open requests.
async fn stop_at_once() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    }
    tracing::warn!("told to stop again: open requests are cut off");
}

/// Reloads on SIGHUP and when a file changes, for as long as the process lives.
///
/// Files are looked at once a second rather than watched by the kernel: it works on every mount (config maps replace whole
/// folders by links), and a database beside the configuration does not wake anybody with its own writes.
fn watch(gateway: &Arc<Gateway>, origin: Origin) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("receive SIGHUP")?;
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        let mut seen = stamp(&gateway, &origin);
        let mut turned = None;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = hangup.recv() => {
                    if received.is_none() {
                        return;
                    }
                    seen = stamp(&gateway, &origin);
                    reload(&gateway, &origin).await;
                }
                _ = look.tick() => {
                    let now = stamp(&gateway, &origin);
                    if now != seen {
                        // Editors write in several steps: the change counts once it has rested for a moment.
                        tokio::time::sleep(SETTLE).await;
                        seen = stamp(&gateway, &origin);
                        reload(&gateway, &origin).await;
                    } else if let Some(day) =
                        due(gateway.generation().snapshot.next_change, configuration::today(), turned)
                    {
                        // Once, also where the files cannot be read on that day.
                        turned = Some(day);
                        tracing::info!(%day, "other prices or facts of models hold from today on");
                        reload(&gateway, &origin).await;
                    }
                }
            }
        }
    });
    Ok(())
}

/// The day from which the configuration in force means something else, if it has come and nothing was done about it.
fn due(next_change: Option<Date>, today: Date, turned: Option<Date>) -> Option<Date> {
    next_change.filter(|day| *day <= today && turned != Some(*day))
}

/// What the files of the configuration in force look like from outside.
fn stamp(gateway: &Gateway, origin: &Origin) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    origin.stamp(&gateway.generation().snapshot.files)
}

async fn reload(gateway: &Arc<Gateway>, origin: &Origin) {
    let origin = origin.clone();
    let read = tokio::task::spawn_blocking(move || configuration::read(&origin)).await;
    let loaded = match read {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(error)) => {
            tracing::error!("the configuration was not reloaded, the one in force stays:\n{error:#}");
            return;
        }
        Err(error) => {
            tracing::error!(%error, "the configuration was not reloaded, the one in force stays");
            return;
        }
    };
    let mut snapshot = loaded.snapshot;
    let before = gateway.generation();
    if let Err(error) = refuse_open_door(&snapshot, before.snapshot.server.listen) {
        tracing::error!("the configuration was not reloaded, the one in force stays: failed to {error:#}");
        return;
    }
    if before.snapshot.version == snapshot.version {
        tracing::debug!("the configuration is unchanged");
        return;
    }
    if before.snapshot.server.store != snapshot.server.store {
        tracing::warn!("a change of `store` needs a restart; the one in force stays");
        snapshot.server.store = before.snapshot.server.store.clone();
    }
    // The socket was chosen at start, possibly by --listen.
    snapshot.server.listen = before.snapshot.server.listen;
    let version = snapshot.version;
    gateway.reload(snapshot);
    gateway.learn_examples();
    tracing::info!(config = %format_args!("{version:016x}"), "the configuration was reloaded");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_has_come_is_turned_to_once() {
        let day = |text: &str| text.parse::<Date>().expect("a day");
        let (change, later) = (day("2027-01-01"), day("2027-02-01"));
        assert_eq!(due(Some(change), day("2026-12-31"), None), None);
        assert_eq!(due(Some(change), change, None), Some(change));
        assert_eq!(
            due(Some(change), later, Some(change)),
            None,
            "the files could not be read: not every second again"
        );
        assert_eq!(due(Some(later), later, Some(change)), Some(later));
        assert_eq!(due(None, later, None), None);
    }
}
