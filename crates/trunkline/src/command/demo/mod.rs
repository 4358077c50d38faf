//! `trunkline demo`: the gateway at work, without a key, a network or a file.
//!
//! Owns the run: simulated providers, the real gateway over a real configuration, requests, a timetable of troubles, the
//! view. Must not invent anything that is shown: figures come from the gateway's record and health and from the clients.

mod client;
mod prompts;
mod providers;
mod scenario;
mod screen;
mod summary;
mod tally;
mod terminal;
mod text;
mod traffic;
mod words;

use super::serve;
use crate::configuration;
use anyhow::Context;
use clap::Args;
use client::Answer;
use providers::{Provider, Simulators};
use scenario::Scenario;
use screen::Scene;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use summary::Summary;
use tally::Tally;
use terminal::{Key, Terminal};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use traffic::Traffic;
use trunkline_config::Source;
use trunkline_gateway::Gateway;
use trunkline_gateway::server::{self, Drained};
use trunkline_store::Query;

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run this long, then print a summary; without it until stopped.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=86_400))]
    seconds: Option<u64>,
    /// Listen here; without it on 127.0.0.1:4000 or the next free port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Requests a second, 0.1 to 50.
    #[arg(long, default_value = "4", value_parser = rate)]
    rate: f64,
    /// Print the demo's configuration and stop.
    #[arg(long)]
    print_config: bool,
    /// Print plain lines even on a terminal.
    #[arg(long)]
    plain: bool,
}

/// Savings are measured against this one.
const STRONG: &str = "sim-anthropic/claude-sonnet-4-6";
/// The timetable, the record and the view are looked at this often.
const STEP: Duration = Duration::from_millis(200);
/// The longest a request can take: the routes' total timeout and some.
const LONGEST_REQUEST: Duration = Duration::from_secs(25);
/// How long open requests are waited for when the user stops the demo.
const HURRIED: Duration = Duration::from_secs(3);

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=50.0).contains(&rate) { Ok(rate) } else { Err("from 0.1 to 50 requests a second".to_owned()) }
}

/// Runs the demo.
///
/// # Errors
/// Whatever keeps it from starting, and a terminal that goes away.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let listener = listen(options.listen).await?;
        let simulators = Simulators::start().await.context("start the simulated providers")?;
        let address = listener.local_addr().context("read the address listened on")?;
        let text = text::configuration(address, &simulators);
        if options.print_config {
            print!("{text}");
            return Ok(ExitCode::SUCCESS);
        }
        let mut demo = Demo::start(listener, simulators, text, options)?;
        let ended = demo.show(options).await;
        demo.finish(ended?).await
    })
}

async fn listen(wanted: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = wanted {
        return super::serve::listener(address).await;
    }
    for port in 4000..4020 {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on any port of 127.0.0.1")
}

/// Why the requests stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The time is over.
    InTime,
    /// The user stopped it.
    Stopped,
}

/// The running demo.
struct Demo {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    simulators: Simulators,
    scenario: Scenario,
    traffic: Traffic,
    answers: mpsc::Receiver<Answer>,
    tally: Tally,
    started: Instant,
    started_unix: u64,
    stop_server: oneshot::Sender<()>,
    server: JoinHandle<Drained>,
}

impl Demo {
    fn start(
        listener: TcpListener,
        simulators: Simulators,
        text: String,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("read the address listened on")?;
        let source = Source { path: "the demo's configuration".to_owned(), text };
        let snapshot = configuration::load(vec![source])?.snapshot;
        let tally = Tally::new(&snapshot, STRONG);
        let gateway = serve::build(snapshot)?;
        let (stop_server, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server::run(Arc::clone(&gateway), listener, async {
            // A dropped sender stops it as well.
            let _ = stopped.await;
        }));
        let (sender, answers) = mpsc::channel(1_024);
        Ok(Self {
            address,
            gateway,
            simulators,
            scenario: Scenario::new(options.seconds.map(Duration::from_secs)),
            traffic: Traffic::start(within(address), options.rate, sender),
            answers,
            tally,
            started: Instant::now(),
            started_unix: unix_milliseconds(),
            stop_server,
            server,
        })
    }

    /// Shows the run until its end.
    async fn show(&mut self, options: &Options) -> anyhow::Result<Ended> {
        let on_terminal = !options.plain && std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        // Without a terminal the channel stays open and silent.
        let (_silent, no_keys) = mpsc::channel(1);
        let (mut terminal, mut keys) = if on_terminal {
            let (terminal, keys) = Terminal::open().context("take the terminal")?;
            (Some(terminal), keys)
        } else {
            println!(
                "Trunkline demo: every provider is simulated; the gateway listens on http://{}",
                self.address
            );
            println!(
                "ask it why: curl http://{}/v1/explain --json '{{\"model\":\"assist\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hi\"}}]}}'",
                self.address
            );
            (None, no_keys)
        };
        let end = options.seconds.map(Duration::from_secs);
        let mut terminate = signal(SignalKind::terminate()).context("receive SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("receive SIGINT")?;
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0;
        loop {
            tokio::select! {
                _ = steps.tick() => {}
                Some(answer) = self.answers.recv() => {
                    self.tally.answer(answer, self.scenario.is_by_hand());
                    continue;
                }
                Some(key) = keys.recv() => match key {
                    Key::Stop => return Ok(Ended::Stopped),
                    Key::Letter(letter) => {
                        if let Some(provider) = Provider::of_key(letter) {
                            self.scenario.toggle(provider, self.started.elapsed());
                        }
                    }
                },
                _ = terminate.recv() => return Ok(Ended::Stopped),
                _ = interrupt.recv() => return Ok(Ended::Stopped),
            }
            let elapsed = self.started.elapsed();
            if end.is_some_and(|end| elapsed >= end) {
                return Ok(Ended::InTime);
            }
            self.step(elapsed)?;
            match &mut terminal {
                Some(terminal) => self.draw(terminal, elapsed)?,
                None if elapsed.as_secs() > told => {
                    told = elapsed.as_secs();
                    println!("{}", self.line(elapsed));
                }
                None => {}
            }
        }
    }

    /// Lets the timetable act and reads the record.
    fn step(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        for provider in Provider::ALL {
            self.simulators.trouble(provider, self.scenario.trouble(provider, elapsed));
        }
        self.read_record()
    }

    /// Counts what is new in the gateway's record. A request is recorded at its end under the time of its arrival, so that the
    /// last while is read again each time.
    fn read_record(&mut self) -> anyhow::Result<()> {
        let longest = u64::try_from(LONGEST_REQUEST.as_millis()).unwrap_or(u64::MAX);
        let since = unix_milliseconds().saturating_sub(longest);
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let query = Query { since: Some(since), before, limit: 1_000, ..Query::default() };
            let page = self.gateway.recorder.search(&query)?;
            found.extend(page.records);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        // In the order of their ends, so that the list reads like a log.
        found.sort_by_key(|record| record.id.unix_milliseconds() + record.total_us / 1_000);
        for record in &found {
            self.tally.record(record);
        }
        self.tally.forget_before(since);
        Ok(())
    }

    fn draw(&self, terminal: &mut Terminal, elapsed: Duration) -> anyhow::Result<()> {
        let now = self.gateway.clock.now();
        let health = self.gateway.generation().health.snapshot(now);
        let scene = Scene {
            address: self.address,
            elapsed,
            started: self.started_unix,
            happening: self.scenario.happening(elapsed),
            tally: &self.tally,
            health: &health,
            now,
        };
        let (columns, rows) = Terminal::size();
        terminal.show(&screen::lines(&scene, columns, rows), columns).context("draw on the terminal")
    }

    fn line(&self, elapsed: Duration) -> String {
        let totals = &self.tally.totals;
        format!(
            "{:>4} s  served {}  failed over {}  escalated {}  hedged {}  client errors {}  cost {}  | {}",
            elapsed.as_secs(),
            totals.served,
            totals.failed_over,
            totals.escalated,
            totals.hedged,
            self.tally.clients.errors,
            words::dollars(totals.cost, 4),
            words::happening(&self.scenario.happening(elapsed)),
        )
    }

    /// Waits for open requests, reads the rest of the record, stops everything and tells.
    async fn finish(mut self, ended: Ended) -> anyhow::Result<ExitCode> {
        let ran = self.started.elapsed();
        for provider in Provider::ALL {
            self.simulators.trouble(provider, None);
        }
        let sent = self.traffic.stop().await;
        let patience = if ended == Ended::InTime { LONGEST_REQUEST } else { HURRIED };
        let excused = self.scenario.is_by_hand();
        let (answers, tally) = (&mut self.answers, &mut self.tally);
        // Every task that sends an answer holds a sender: when all are gone there is nothing to wait for. Running out of
        // patience shows in the summary as unfinished requests.
        let _ = tokio::time::timeout(patience, async {
            while let Some(answer) = answers.recv().await {
                tally.answer(answer, excused);
            }
        })
        .await;
        let recorder = self.gateway.recorder.clone();
        tokio::task::spawn_blocking(move || recorder.flush()).await.context("wait for the record")?;
        self.read_record()?;
        let summary = Summary { ran, sent, stopped: ended == Ended::Stopped, tally: &self.tally };
        println!("{summary}");
        let code = if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        // The receiving side is only gone if the server ended by itself.
        let _ = self.stop_server.send(());
        self.server.await.context("stop the gateway")?;
        self.simulators.stop().await;
        Ok(code)
    }
}

/// Where clients on this machine reach an address that may stand for all of them.
fn within(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
