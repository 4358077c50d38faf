//! The load generator: closed loop and open loop, over raw connections.
//!
//! Owns the sending and the timing. It must stay cheap (it shares a core with the upstream on a small machine): a
//! request is bytes made once, an answer is read by [`Answer`], nothing is allocated between. In the open loop a
//! latency counts from the moment the request was due, not from when a connection was free to send it, so that a
//! stall is seen by every request it delayed.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::affinity;
use super::answer::Answer;
use super::histogram::{Latencies, Quantiles};
use super::protocols::{Prompt, Protocol};

/// What to send, where and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The server.
    pub(super) address: SocketAddr,
    /// What the client shows as its key.
    pub(super) key: String,
    /// The protocol that it speaks.
    #[serde(default)]
    pub(super) client: Protocol,
    /// What the client asks for.
    pub(super) model: String,
    /// Bytes of the request's body.
    pub(super) size: usize,
    /// Turns that it is said in.
    pub(super) turns: usize,
    /// For a stream, the content marks that a whole one has.
    pub(super) stream_marks: Option<u64>,
    /// Connections kept open, each with one request at a time.
    pub(super) connections: usize,
    /// Whether the core is kept from halting meanwhile, so that waking it is not taken for the server's doing.
    #[serde(default)]
    pub(super) awake: bool,
    /// When requests are sent.
    pub(super) rhythm: Rhythm,
    /// Time before anything is timed.
    pub(super) warm_up: Duration,
    /// Time in which requests are started and timed.
    pub(super) duration: Duration,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Rhythm {
    /// Each connection sends the next request when it has the answer to the last.
    Closed,
    /// As in the closed loop, until this many requests were sent.
    Count(u64),
    /// This many requests a second, whatever the answers do.
    Open(f64),
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Requests answered rightly, the warm-up included.
    pub(super) requests: u64,
    /// Content marks received, the warm-up included.
    pub(super) marks: u64,
    /// Requests that failed or were answered wrongly.
    pub(super) errors: u64,
    /// What the first of them looked like.
    pub(super) first_error: Option<String>,
    /// Right answers a second, after the warm-up.
    pub(super) per_second: f64,
    /// From sending (open loop: from when it was due) to the end of the answer.
    pub(super) latency: Quantiles,
    /// The same to the first content mark.
    pub(super) first_token: Quantiles,
}

/// Reads a plan from standard input, carries it out and prints the report.
///
/// # Errors
/// When the plan cannot be read; what goes wrong on the network is in the report.
pub(super) fn run() -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_reader(std::io::stdin()).context("failed to read the plan")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    if plan.awake {
        std::thread::spawn(stay_awake);
    }
    let report = LocalSet::new().block_on(&runtime, carry_out(plan));
    println!("{}", serde_json::to_string(&report).context("failed to write the report")?);
    Ok(())
}

/// Keeps the core busy while nobody else wants it; ends with the process.
fn stay_awake() {
    match affinity::yield_to_everybody() {
        Ok(()) => loop {
            // No pause: a hypervisor may take it for waiting and give the processor to another machine.
            std::hint::black_box(());
        },
        Err(error) => eprintln!("the core of the load generator may halt: {error:#}"),
    }
}

async fn carry_out(plan: Plan) -> Report {
    let host = plan.address.to_string();
    let is_stream = plan.stream_marks.is_some();
    let prompt = Prompt { size: plan.size, turns: plan.turns };
    let request = plan.client.request(&host, &plan.key, &plan.model, prompt, is_stream);
    let start = Instant::now();
    let shared = Rc::new(Shared {
        request,
        measured_from: start + plan.warm_up,
        end: start + plan.warm_up + plan.duration,
        schedule: Schedule::new(&plan, start),
        plan,
    });
    let workers: Vec<_> = (0..shared.plan.connections)
        .map(|number| tokio::task::spawn_local(work(Rc::clone(&shared), number)))
        .collect();
    let mut total = Tally::new();
    for worker in workers {
        match worker.await {
            Ok(tally) => total.add(&tally),
            Err(error) => total.fail(format!("a worker ended: {error}")),
        }
    }
    total.report(&shared)
}

struct Shared {
    plan: Plan,
    request: Vec<u8>,
    measured_from: Instant,
    end: Instant,
    schedule: Schedule,
}

/// Gives out turns: the moments at which requests are due.
enum Schedule {
    Closed,
    Count(Cell<u64>),
    Open { start: Instant, interval: Duration, next: Cell<u64>, total: u64, due: Arc<Semaphore> },
}

impl Schedule {
    fn new(plan: &Plan, start: Instant) -> Self {
        match plan.rhythm {
            Rhythm::Closed => Self::Closed,
            Rhythm::Count(count) => Self::Count(Cell::new(count)),
            Rhythm::Open(per_second) => {
                let interval = Duration::from_secs_f64(1.0 / per_second);
                let total = ((plan.warm_up + plan.duration).as_secs_f64() * per_second) as u64;
                let due = Arc::new(Semaphore::new(0));
                let (signal, connections) = (Arc::clone(&due), plan.connections);
                // A thread that sleeps, because the runtime's timer only knows milliseconds.
                std::thread::spawn(move || {
                    for turn in 0..total {
                        let moment = start + at(interval, turn);
                        std::thread::sleep(moment.saturating_duration_since(Instant::now()));
                        signal.add_permits(1);
                    }
                    // One more for each connection, which then sees that there is nothing left.
                    signal.add_permits(connections);
                });
                Self::Open { start, interval, next: Cell::new(0), total, due }
            }
        }
    }

    /// Waits for the next turn and returns when it is due; `None` when there are no more.
    async fn turn(&self, end: Instant) -> Option<Instant> {
        match self {
            Self::Closed => {
                let now = Instant::now();
                (now < end).then_some(now)
            }
            Self::Count(left) => {
                left.set(left.get().checked_sub(1)?);
                Some(Instant::now())
            }
            Self::Open { start, interval, next, total, due } => {
                due.acquire().await.ok()?.forget();
                let turn = next.replace(next.get() + 1);
                (turn < *total).then(|| *start + at(*interval, turn))
            }
        }
    }
}

fn at(interval: Duration, turn: u64) -> Duration {
    Duration::from_nanos(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).saturating_mul(turn))
}

struct Tally {
    requests: u64,
    measured: u64,
    marks: u64,
    errors: u64,
    first_error: Option<String>,
    latency: Latencies,
    first_token: Latencies,
}

impl Tally {
    fn new() -> Self {
        Self {
            requests: 0,
            measured: 0,
            marks: 0,
            errors: 0,
            first_error: None,
            latency: Latencies::new(),
            first_token: Latencies::new(),
        }
    }

    fn fail(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.measured += other.measured;
        self.marks += other.marks;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        self.latency.add(&other.latency);
        self.first_token.add(&other.first_token);
    }

    fn report(self, shared: &Shared) -> Report {
        let window = match shared.plan.rhythm {
            Rhythm::Count(_) => shared.measured_from.elapsed(),
            Rhythm::Closed | Rhythm::Open(_) => shared.plan.duration,
        };
        Report {
            requests: self.requests,
            marks: self.marks,
            errors: self.errors,
            first_error: self.first_error,
            per_second: self.measured as f64 / window.as_secs_f64(),
            latency: self.latency.quantiles(),
            first_token: self.first_token.quantiles(),
        }
    }
}

async fn work(shared: Rc<Shared>, number: usize) -> Tally {
    let mut tally = Tally::new();
    if shared.plan.stream_marks.is_some() {
        // Streams begin one after the other, not all in the same instant.
        let share = number as f64 / shared.plan.connections as f64;
        tokio::time::sleep(shared.plan.warm_up.mul_f64(share)).await;
    }
    let mut connection = None;
    while let Some(due) = shared.schedule.turn(shared.end).await {
        match exchange(&mut connection, &shared).await {
            Ok(done) => {
                tally.requests += 1;
                tally.marks += done.marks;
                if due >= shared.measured_from {
                    tally.latency.record(done.end - due);
                    if let Some(first) = done.first_mark {
                        tally.first_token.record(first - due);
                    }
                }
                let in_window = done.end <= shared.end || matches!(shared.plan.rhythm, Rhythm::Count(_));
                tally.measured += u64::from(done.end >= shared.measured_from && in_window);
            }
            Err(error) => {
                connection = None;
                tally.fail(format!("{error:#}"));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    tally
}

struct Done {
    end: Instant,
    first_mark: Option<Instant>,
    marks: u64,
}

/// One request and its answer over a connection, which is opened when there is none.
async fn exchange(slot: &mut Option<Connection>, shared: &Shared) -> anyhow::Result<Done> {
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => Connection::open(shared.plan.address).await?,
    };
    let (end, first_mark) = connection.exchange(&shared.request).await?;
    let answer = &connection.answer;
    let sample = || String::from_utf8_lossy(&answer.sample).trim().to_owned();
    anyhow::ensure!(answer.status == 200, "status {}: {}", answer.status, sample());
    let marks = answer.marks;
    let expected = shared.plan.stream_marks.unwrap_or(1);
    anyhow::ensure!(marks == expected, "{marks} of {expected} pieces of content arrived: {}", sample());
    if !answer.close {
        *slot = Some(connection);
    }
    Ok(Done { end, first_mark, marks })
}

/// A raw connection with one request at a time.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    pub(super) answer: Answer,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("failed to connect to {address}"))?;
        stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024], answer: Answer::default() })
    }

    /// Sends a request and reads its answer to the end. Returns when the end came, and the first content mark.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(Instant, Option<Instant>)> {
        self.send(request).await?;
        let mut first_mark = None;
        loop {
            let done = self.read().await?;
            if first_mark.is_none() && self.answer.marks > 0 {
                first_mark = Some(Instant::now());
            }
            if done {
                return Ok((Instant::now(), first_mark));
            }
        }
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.answer.reset();
        self.stream.write_all(request).await.context("failed to send")
    }

    /// Reads what has come; true at the end of the answer.
    pub(super) async fn read(&mut self) -> anyhow::Result<bool> {
        let length = self.stream.read(&mut self.buffer).await.context("failed to receive")?;
        anyhow::ensure!(length > 0, "the connection was closed within an answer");
        self.answer.feed(&self.buffer[..length]).context("failed to read an answer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rhythm: Rhythm) -> Plan {
        Plan {
            address: "127.0.0.1:9".parse().unwrap(),
            key: "k".into(),
            client: Protocol::Contents,
            model: "m".into(),
            size: 512,
            turns: 1,
            stream_marks: None,
            connections: 2,
            awake: false,
            rhythm,
            warm_up: Duration::from_millis(1),
            duration: Duration::from_millis(4),
        }
    }

    #[test]
    fn a_plan_survives_its_way_to_the_process_that_carries_it_out() {
        let plan = plan(Rhythm::Open(2000.0));
        assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    }

    #[test]
    fn the_open_loop_gives_every_turn_its_moment_and_then_ends_for_every_connection() {
        let start = Instant::now();
        let schedule = Schedule::new(&plan(Rhythm::Open(1000.0)), start);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for turn in 0..5 {
                let due = schedule.turn(start).await.unwrap();
                assert_eq!(due - start, Duration::from_millis(turn));
            }
            assert_eq!(schedule.turn(start).await, None);
            assert_eq!(schedule.turn(start).await, None);
        });
    }

    #[test]
    fn a_counted_load_ends_after_its_count() {
        let schedule = Schedule::new(&plan(Rhythm::Count(2)), Instant::now());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let turns = runtime.block_on(async {
            let mut turns = 0;
            while schedule.turn(Instant::now()).await.is_some() {
                turns += 1;
            }
            turns
        });
        assert_eq!(turns, 2);
    }

    #[test]
    fn a_server_that_is_not_there_is_counted_and_named() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = LocalSet::new().block_on(&runtime, carry_out(plan(Rhythm::Count(1))));
        assert_eq!((report.requests, report.errors), (0, 1));
        assert!(report.first_error.unwrap().starts_with("failed to connect to 127.0.0.1:9"));
    }
}
