//! The one task that drains the queue.
//!
//! Owns how many lines are under way, which targets wait, and the ends of batches. Must not know how a line is answered. It begins with
//! the server and ends when that drains: lines under way then finish, within the server's own limit, and what is cut off goes back
//! into the queue. It holds the gateway weakly, so that it does not keep alive what nobody serves.

use super::details::{ANTHROPIC, Details};
use super::handover::{self, Calendar, Carried, Desk, DeskFigures};
use super::line::{self, Order, Outcome};
use super::{anthropic, headroom, openai, validation};
use crate::clock;
use crate::state::Gateway;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use trunkline_store::{
    BatchStats, BatchStatus, BatchStoreError, Batches, ClaimedLine, LineEnd, PutBack, StoredBatch,
};

/// How often the queue is looked at while there is anything in it.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is looked at otherwise, and old files and batches are looked for.
const RARELY: Duration = Duration::from_secs(60);
/// How long a result waits for a database that cannot be written.
const AGAIN: Duration = Duration::from_secs(1);
/// Most targets that are held back at the same time.
const MOST_HELD: usize = 1_000;

/// The queue as the rest of the gateway sees it.
pub(crate) struct Queue {
    changed: Notify,
    is_started: AtomicBool,
    is_settled: watch::Sender<bool>,
    running: AtomicU32,
    stats: Mutex<BatchStats>,
    succeeded: AtomicU64,
    errored: AtomicU64,
    /// Lines that go to providers' batch APIs.
    desk: Desk,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            changed: Notify::new(),
            is_started: AtomicBool::new(false),
            is_settled: watch::Sender::new(false),
            running: AtomicU32::new(0),
            stats: Mutex::default(),
            succeeded: AtomicU64::new(0),
            errored: AtomicU64::new(0),
            desk: Desk::default(),
        }
    }
}

/// Figures for metrics.
pub(crate) struct QueueFigures {
    /// What is in the store.
    pub(crate) stats: BatchStats,
    /// Lines under way.
    pub(crate) running: u32,
    /// Lines answered by this process.
    pub(crate) succeeded: u64,
    /// Lines that ended with an error in this process.
    pub(crate) errored: u64,
}

impl Queue {
    /// Something changed that the worker should look at.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Lines got their answers from a provider's batch API.
    pub(super) fn answered(&self, lines: u64) {
        self.succeeded.fetch_add(lines, Ordering::Relaxed);
    }

    /// What went to providers' batch APIs.
    pub(crate) fn handed(&self) -> DeskFigures {
        self.desk.figures()
    }

    /// As it was when the worker last looked.
    pub(crate) fn figures(&self) -> QueueFigures {
        QueueFigures {
            stats: *self.stats.lock(),
            running: self.running.load(Ordering::Relaxed),
            succeeded: self.succeeded.load(Ordering::Relaxed),
            errored: self.errored.load(Ordering::Relaxed),
        }
    }
}

/// Begins to drain the queue; once per gateway.
pub(crate) fn start(gateway: &Arc<Gateway>) {
    if gateway.queue.is_started.swap(true, Ordering::AcqRel) {
        return;
    }
    let (weak, queue) = (Arc::downgrade(gateway), Arc::clone(&gateway.queue));
    tokio::spawn(async move {
        run(&weak, &queue).await;
        queue.is_settled.send_replace(true);
    });
}

/// Waits until no line is under way any more; the gateway must be draining.
pub(crate) async fn settled(gateway: &Gateway) {
    if !gateway.queue.is_started.load(Ordering::Acquire) {
        return;
    }
    gateway.queue.wake();
    // The sender is a part of the queue: it is there as long as the gateway is.
    let _ = gateway.queue.is_settled.subscribe().wait_for(|is_settled| *is_settled).await;
}

/// Puts back what was cut off.
pub(crate) async fn interrupt(gateway: &Gateway) {
    let store = gateway.batches.clone();
    if let Some(lines) = act(move || store.interrupt()).await.filter(|lines| *lines > 0) {
        tracing::warn!(lines, "lines of batches that were under way are sent again after the next start");
    }
}

/// What ended.
enum Ended {
    /// A line, with what holds its target back.
    Line(Option<(String, Duration)>),
    /// The check of a batch.
    Check,
    /// The gathering of lines for providers' batch APIs, and whether there were any.
    Gathering(bool),
    /// A look at a handover.
    Look(String, Carried),
}

/// What the worker remembers between two looks.
struct Worker {
    tasks: JoinSet<Ended>,
    /// Lines among the tasks.
    lines: usize,
    is_checking: bool,
    held: HashMap<String, Instant>,
    turn: usize,
    retained: Option<Instant>,
    calendar: Calendar,
    orders: HashMap<String, Arc<Order>>,
}

async fn run(weak: &Weak<Gateway>, queue: &Queue) {
    let mut worker = Worker {
        tasks: JoinSet::new(),
        lines: 0,
        is_checking: false,
        held: HashMap::new(),
        turn: 0,
        retained: None,
        calendar: Calendar::default(),
        orders: HashMap::new(),
    };
    loop {
        let pause = {
            let Some(gateway) = weak.upgrade() else { break };
            if gateway.is_draining() {
                break;
            }
            worker.look(&gateway).await
        };
        tokio::select! {
            () = queue.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = worker.tasks.join_next(), if !worker.tasks.is_empty() => worker.ended(ended.ok()),
        }
        // Many lines may have ended while one was looked at.
        while let Some(ended) = worker.tasks.try_join_next() {
            worker.ended(ended.ok());
        }
    }
    while worker.tasks.join_next().await.is_some() {}
}

impl Worker {
    fn ended(&mut self, ended: Option<Ended>) {
        match ended {
            Some(Ended::Check) => self.is_checking = false,
            Some(Ended::Gathering(found_any)) => self.calendar.gathered(found_any),
            Some(Ended::Look(id, carried)) => self.calendar.carried(&id, carried),
            Some(Ended::Line(held)) => {
                self.lines = self.lines.saturating_sub(1);
                if let Some((target, wait)) = held
                    && self.held.len() < MOST_HELD
                {
                    self.held.insert(target, Instant::now() + wait);
                }
            }
            // Tasks catch what goes wrong in them; they are not aborted before the runtime is.
            None => tracing::error!("a task of the queue of batches was lost; this is a defect in Trunkline"),
        }
    }

    /// Does everything that can be done now, and says how long to rest.
    async fn look(&mut self, gateway: &Arc<Gateway>) -> Duration {
        let now = Instant::now();
        self.held.retain(|_, until| *until > now);
        let policy = gateway.generation().snapshot.server.batches.clone();
        let is_retention_due = self.retained.is_none_or(|at| at.elapsed() >= RARELY);
        if is_retention_due {
            self.retained = Some(now);
        }
        gateway.batches.limit(policy.max_bytes);
        let store = gateway.batches.clone();
        if act(move || store.take_over()).await != Some(true) {
            // The process before this one finishes what it has under way.
            return AGAIN;
        }
        let store = gateway.batches.clone();
        let keep = policy.keep;
        let kept = act(move || housekeeping(&store, keep, is_retention_due)).await;
        let Some((open, stats)) = kept else { return AGAIN };
        *gateway.queue.stats.lock() = stats;
        self.orders.retain(|id, _| open.iter().any(|batch| batch.id == *id));
        self.check_next(gateway, &open);
        self.carry(gateway, &open).await;
        let undecided = self.gather(gateway, &open);
        if open.iter().any(|batch| batch.status == BatchStatus::InProgress) {
            let (concurrency, share) = (policy.concurrency as usize, policy.headroom);
            self.send(gateway, &open, undecided, concurrency, share).await;
        }
        if open.is_empty() && self.calendar.is_empty() { RARELY } else { LOOK }
    }

    /// Looks at what providers' batch APIs have of ours.
    async fn carry(&mut self, gateway: &Arc<Gateway>, open: &[StoredBatch]) {
        let store = gateway.batches.clone();
        let Some((all, stats)) = act(move || Ok((store.handovers()?, store.handover_stats()?))).await else {
            return;
        };
        for (handover, troubles) in self.calendar.take_due(&gateway.queue.desk, all, stats) {
            let batch = open.iter().find(|batch| batch.id == handover.batch).cloned();
            let gateway = Arc::clone(gateway);
            self.tasks.spawn(async move {
                let id = handover.id.clone();
                let carrying = handover::carry(&gateway, &gateway.queue.desk, handover, batch, troubles);
                let carried = AssertUnwindSafe(Box::pin(carrying)).catch_unwind().await;
                let carried = carried.unwrap_or_else(|_| {
                    tracing::error!(
                        handover = id,
                        "a look at a provider's batch ended in a panic; this is a defect in Trunkline"
                    );
                    Carried::Failed(RARELY, troubles.saturating_add(1))
                });
                gateway.queue.wake();
                Ended::Look(id, carried)
            });
        }
    }

    /// Lets lines be handed to providers' batch APIs, and returns the batches of which some may be.
    fn gather(&mut self, gateway: &Arc<Gateway>, open: &[StoredBatch]) -> HashSet<String> {
        let candidates = self.calendar.candidates(&gateway.generation(), open);
        let undecided: HashSet<String> = candidates.iter().map(|batch| batch.id.clone()).collect();
        let batches: Vec<StoredBatch> = candidates.into_iter().cloned().collect();
        if !batches.is_empty() && self.calendar.begin_gathering() {
            let gateway = Arc::clone(gateway);
            self.tasks.spawn(async move {
                let mut found_any = false;
                for batch in batches {
                    let gathering = handover::gather(&gateway, &gateway.queue.desk, &batch);
                    match AssertUnwindSafe(Box::pin(gathering)).catch_unwind().await {
                        Ok(found) => found_any |= found,
                        Err(_) => tracing::error!(
                            batch = batch.id,
                            "the gathering of lines ended in a panic; this is a defect in Trunkline"
                        ),
                    }
                }
                Ended::Gathering(found_any)
            });
        }
        undecided
    }

    /// Checks one batch at a time.
    fn check_next(&mut self, gateway: &Arc<Gateway>, open: &[StoredBatch]) {
        if self.is_checking {
            return;
        }
        let is_next =
            |batch: &&StoredBatch| batch.status == BatchStatus::Validating && batch.input_file.is_some();
        let Some(batch) = open.iter().find(is_next).cloned() else { return };
        self.is_checking = true;
        let (store, queue) = (gateway.batches.clone(), Arc::clone(&gateway.queue));
        let longest = gateway.generation().snapshot.server.body_limit;
        self.tasks.spawn(async move {
            let checking =
                AssertUnwindSafe(act(move || validation::validate(&store, &batch, longest).map(|()| true)));
            if checking.catch_unwind().await.ok().flatten().is_none() {
                // It is tried again, but not at once.
                tokio::time::sleep(AGAIN).await;
            }
            queue.wake();
            Ended::Check
        });
    }

    /// Fills the free places with lines.
    async fn send(
        &mut self,
        gateway: &Arc<Gateway>,
        open: &[StoredBatch],
        undecided: HashSet<String>,
        concurrency: usize,
        share: f64,
    ) {
        let most = gateway.most_open();
        let mut free = concurrency.saturating_sub(self.lines);
        let places = (0..free).take_while(|more| {
            let open = gateway.open_requests().saturating_add(u32::try_from(*more).unwrap_or(u32::MAX));
            headroom::has_place(open, most, share)
        });
        free = places.count();
        if free == 0 {
            return;
        }
        let mut known: Vec<Arc<Order>> = Vec::new();
        for batch in open.iter().filter(|batch| batch.status == BatchStatus::InProgress) {
            known.push(self.order(batch));
        }
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % known.len().max(1);
        known.rotate_left(first);
        let names: Vec<String> = known.iter().map(|order| order.id.clone()).collect();
        let store = gateway.batches.clone();
        let held: HashSet<String> = self.held.keys().cloned().collect();
        let claimed =
            act(move || store.claim(clock::unix_milliseconds(), &names, &held, &undecided, free)).await;
        for line in claimed.unwrap_or_default() {
            let Some(order) = self.orders.get(&line.batch).cloned() else { continue };
            self.lines += 1;
            gateway.queue.running.fetch_add(1, Ordering::Relaxed);
            self.tasks.spawn(send(Arc::clone(gateway), order, line));
        }
    }

    /// What lines of a batch need, read once.
    fn order(&mut self, batch: &StoredBatch) -> Arc<Order> {
        let order = self.orders.entry(batch.id.clone()).or_insert_with(|| {
            Arc::new(Order {
                id: batch.id.clone(),
                owner: batch.owner.clone(),
                kind: batch.kind.clone(),
                details: Details::read(&batch.details),
            })
        });
        Arc::clone(order)
    }
}

/// Sends one line and writes down what came of it.
async fn send(gateway: Arc<Gateway>, order: Arc<Order>, line: ClaimedLine) -> Ended {
    let performed = AssertUnwindSafe(Box::pin(line::perform(&gateway, &order, &line))).catch_unwind().await;
    let outcome = performed.unwrap_or_else(|_| {
        tracing::error!(
            batch = line.batch,
            line = line.number,
            "a line ended in a panic; this is a defect in Trunkline"
        );
        line::broken(&order, &line)
    });
    let queue = &gateway.queue;
    let held = match outcome {
        Outcome::Done(end, result, usage) => {
            write(
                &gateway.batches,
                move |store, result: &Vec<u8>| {
                    store.finish_line(&line.batch, line.number, end, result, usage)
                },
                result,
            )
            .await;
            let counter = if end == LineEnd::Succeeded { &queue.succeeded } else { &queue.errored };
            counter.fetch_add(1, Ordering::Relaxed);
            None
        }
        Outcome::Later { wait, attempted } => {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let back = PutBack { not_before: clock::unix_milliseconds().saturating_add(wait_ms), attempted };
            let target = line.target.clone();
            write(
                &gateway.batches,
                move |store, back: &PutBack| store.put_back(&line.batch, line.number, *back),
                back,
            )
            .await;
            Some((target, wait))
        }
    };
    queue.running.fetch_sub(1, Ordering::Relaxed);
    Ended::Line(held)
}

/// Writes until it is written: what is under way here is not sent again meanwhile, and not lost.
async fn write<T, W>(store: &Batches, write: W, value: T)
where
    T: Send + Sync + 'static,
    W: Fn(&Batches, &T) -> Result<(), BatchStoreError> + Send + Sync + 'static,
{
    let parts = Arc::new((write, value));
    loop {
        let (store, parts) = (store.clone(), Arc::clone(&parts));
        if act(move || (parts.0)(&store, &parts.1)).await.is_some() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Uses the store on a thread that may wait for a disk; `None` when that failed, which is logged.
pub(super) async fn act<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, BatchStoreError> + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(act).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::error!(%error, "the store of batches failed; it is tried again");
            None
        }
        Err(error) => {
            tracing::error!(%error, "the use of the store of batches failed");
            None
        }
    }
}

/// Ends what is to end, and lists what is open.
fn housekeeping(
    store: &Batches,
    keep: Duration,
    is_retention_due: bool,
) -> Result<(Vec<StoredBatch>, BatchStats), BatchStoreError> {
    let now = clock::unix_seconds();
    if is_retention_due {
        store.retain(now, now.saturating_sub(keep.as_secs()))?;
    }
    let mut left = Vec::new();
    for batch in store.open_batches()? {
        let is_late = batch.status == BatchStatus::InProgress && now >= batch.times.expires;
        let stop = match batch.status {
            BatchStatus::Cancelling => Some(LineEnd::Canceled),
            _ if is_late => Some(LineEnd::Expired),
            _ => None,
        };
        if let Some(end) = stop {
            give_up(store, &batch, end)?;
        }
        let may_be_over = batch.counts.open() == 0 || stop.is_some();
        if batch.status != BatchStatus::Validating && may_be_over {
            let files = (batch.kind != ANTHROPIC).then(|| openai::result_files(&batch, keep, now));
            if store.conclude(&batch.id, now, files.as_ref())? {
                tracing::info!(batch = batch.id, "a batch is over");
                continue;
            }
        }
        left.push(batch);
    }
    Ok((left, store.stats()?))
}

fn give_up(store: &Batches, batch: &StoredBatch, end: LineEnd) -> Result<(), BatchStoreError> {
    store.give_up(&batch.id, end, |number, custom_id| {
        if batch.kind == ANTHROPIC {
            anthropic::given_up(custom_id, end)
        } else {
            openai::given_up(&batch.id, number, custom_id, end)
        }
    })
}
