//! The one thread that writes what is learned from.
//!
//! Owns the bounded queue to it, batching, and retention. What somebody waits for is answered after the commit and with its
//! outcome; a thread that is gone or a queue that is full is an error for whoever asks, not a loss later.

use super::prompts::Waiting;
use super::{
    LearningSettings, NotKept, StoredAccount, StoredArms, StoredPrompt, StoredVector, VectorKey, database,
};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trunkline_model::feedback::Feedback;

/// Orders waiting at the most.
const QUEUE: usize = 4_096;
/// Orders per transaction.
const BATCH: usize = 256;
/// How often old rows are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// How long after feedback the file itself changes, which is what tells those who watch it. What comes until then comes along.
const PUBLISH_AFTER: Duration = Duration::from_secs(5);

type Outcome = Result<(), String>;

enum Order {
    Feedback(Feedback, SyncSender<Outcome>),
    Flush(SyncSender<Outcome>),
    Arms(Vec<StoredArms>),
    Accounts(Vec<StoredAccount>),
    Vectors(Vec<StoredVector>),
    /// Vectors that were read.
    Touched(Vec<VectorKey>),
    /// Prompts are waiting.
    Wake,
    Close,
}

/// The handle of the thread; the last to go waits until everything is written.
#[derive(Debug)]
pub(super) struct Writer {
    orders: SyncSender<Order>,
    thread: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        waiting: Arc<Waiting>,
        settings: &LearningSettings,
    ) -> std::io::Result<Self> {
        let (orders, receiver) = sync_channel(QUEUE);
        let (keep, max_bytes) = (settings.keep, settings.max_bytes);
        let thread = std::thread::Builder::new()
            .name("learning".to_owned())
            .spawn(move || run(&connection, &receiver, &waiting, keep, max_bytes))?;
        Ok(Self { orders, thread: parking_lot::Mutex::new(Some(thread)) })
    }

    pub(super) fn feedback(&self, feedback: Feedback, patience: Duration) -> Result<(), NotKept> {
        let (done, waiting) = sync_channel(1);
        self.orders.try_send(Order::Feedback(feedback, done)).map_err(|_| NotKept::Busy)?;
        match waiting.recv_timeout(patience) {
            Ok(outcome) => outcome.map_err(NotKept::Refused),
            Err(RecvTimeoutError::Timeout) => Err(NotKept::Slow),
            Err(RecvTimeoutError::Disconnected) => Err(NotKept::Refused("its writer has ended".to_owned())),
        }
    }

    /// Whether there was room.
    pub(super) fn arms(&self, arms: Vec<StoredArms>) -> bool {
        self.orders.try_send(Order::Arms(arms)).is_ok()
    }

    /// Whether there was room.
    pub(super) fn accounts(&self, accounts: Vec<StoredAccount>) -> bool {
        self.orders.try_send(Order::Accounts(accounts)).is_ok()
    }

    /// Whether there was room.
    pub(super) fn vectors(&self, vectors: Vec<StoredVector>) -> bool {
        self.orders.try_send(Order::Vectors(vectors)).is_ok()
    }

    /// Whether there was room.
    pub(super) fn touched(&self, keys: Vec<VectorKey>) -> bool {
        self.orders.try_send(Order::Touched(keys)).is_ok()
    }

    pub(super) fn wake(&self) {
        // A full queue wakes the thread as well, and one that is gone writes nothing more.
        if let Err(TrySendError::Disconnected(_)) = self.orders.try_send(Order::Wake) {
            tracing::error!("the writer of what is learned from has ended");
        }
    }

    pub(super) fn flush(&self) {
        let (done, waiting) = sync_channel(1);
        if self.orders.send(Order::Flush(done)).is_ok() {
            // The thread only goes away after it has answered.
            let _ = waiting.recv();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A closed channel ends the thread as well.
        let _ = self.orders.send(Order::Close);
        if let Some(thread) = self.thread.lock().take() {
            // The writer only panics on a defect; there is nobody left to tell at this point.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, orders: &Receiver<Order>, waiting: &Waiting, keep: Duration, max_bytes: u64) {
    let mut next_retention = Instant::now();
    let mut batch = Vec::new();
    let mut publish_at: Option<Instant> = None;
    loop {
        if Instant::now() >= next_retention {
            next_retention = Instant::now() + RETENTION_INTERVAL;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let oldest = now.checked_sub(keep).unwrap_or_default();
            let oldest = u64::try_from(oldest.as_millis()).unwrap_or(0);
            if let Err(error) = database::retain(connection, oldest, max_bytes) {
                tracing::error!(%error, "old feedback cannot be deleted");
            }
        }
        if publish_at.is_some_and(|due| Instant::now() >= due) {
            publish_at = None;
            if let Err(error) = database::publish(connection) {
                tracing::warn!(%error, "new feedback is not yet seen by who watches its file");
            }
        }
        let due = publish_at.map_or(next_retention, |due| due.min(next_retention));
        match orders.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(order) => batch.push(order),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        batch.extend(orders.try_iter().take(BATCH - 1));
        if publish_at.is_none() && batch.iter().any(|order| matches!(order, Order::Feedback(..))) {
            publish_at = Some(Instant::now() + PUBLISH_AFTER);
        }
        let closing = batch.iter().any(|order| matches!(order, Order::Close));
        let prompts = waiting.take();
        let outcome = write(connection, &batch, &prompts).map_err(|error| error.to_string());
        if let Err(error) = &outcome {
            tracing::error!(error, "what is learned from cannot be written");
            waiting.lose(prompts.len() as u64);
        }
        for order in batch.drain(..) {
            if let Order::Feedback(_, done) | Order::Flush(done) = order {
                // Who asked may have stopped waiting.
                let _ = done.send(outcome.clone());
            }
        }
        if closing {
            return;
        }
    }
}

/// Writes a batch: all of it or, with an error, nothing.
fn write(connection: &Connection, batch: &[Order], prompts: &[StoredPrompt]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    for order in batch {
        match order {
            Order::Feedback(feedback, _) => database::put(&transaction, feedback)?,
            Order::Arms(all) => {
                for arms in all {
                    database::put_arms(&transaction, arms)?;
                }
            }
            Order::Accounts(all) => {
                for account in all {
                    database::put_account(&transaction, account)?;
                }
            }
            Order::Vectors(all) => {
                for vector in all {
                    database::put_vector(&transaction, vector, now)?;
                }
            }
            Order::Touched(keys) => {
                for key in keys {
                    database::touch_vector(&transaction, key, now)?;
                }
            }
            Order::Flush(_) | Order::Wake | Order::Close => {}
        }
    }
    for prompt in prompts {
        database::put_prompt(&transaction, prompt)?;
    }
    transaction.commit()
}
