//! The one thread that writes responses.
//!
//! Owns the bounded queue to it, retention, and what to do when the database fails: the response stays in memory and is tried again
//! when the queue is empty. Must not be waited for by requests.

use super::table::{Table, Waiting};
use super::{ResponseSettings, StoredResponse, database};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Responses waiting to be written at the most.
const QUEUE: usize = 4_096;
/// How often old responses are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// How soon what the database did not take is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

enum Order {
    Write(Waiting),
    Flush(SyncSender<()>),
    Close,
}

/// The handle of the thread; the last to go waits until everything is written.
#[derive(Debug)]
pub(super) struct Writer {
    orders: SyncSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        table: Arc<Mutex<Table>>,
        settings: &ResponseSettings,
    ) -> std::io::Result<Self> {
        let (orders, receiver) = sync_channel(QUEUE);
        let (keep, max_bytes) = (settings.keep, settings.max_bytes);
        let thread = std::thread::Builder::new()
            .name("responses".to_owned())
            .spawn(move || run(&connection, &receiver, &table, keep, max_bytes))?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)) })
    }

    /// Without room nothing happens: the table still has it.
    pub(super) fn put(&self, response: &Arc<StoredResponse>) {
        self.write(Waiting::Put(Arc::clone(response)));
    }

    /// As above.
    pub(super) fn delete(&self, owner: &str, id: &str) {
        self.write(Waiting::Delete(owner.to_owned(), id.to_owned()));
    }

    fn write(&self, waiting: Waiting) {
        if self.orders.try_send(Order::Write(waiting)).is_err() {
            tracing::warn!("a stored response waits in memory: the database does not keep up");
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

fn run(
    connection: &Connection,
    orders: &Receiver<Order>,
    table: &Mutex<Table>,
    keep: Duration,
    max_bytes: u64,
) {
    let mut next_retention = Instant::now();
    loop {
        if Instant::now() >= next_retention {
            next_retention = Instant::now() + RETENTION_INTERVAL;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let oldest = now.checked_sub(keep).unwrap_or_default().as_secs();
            if let Err(error) = database::retain(connection, oldest, max_bytes) {
                tracing::error!(%error, "old responses cannot be deleted");
            }
        }
        let mut rest = next_retention.saturating_duration_since(Instant::now());
        if !table.lock().is_empty() {
            rest = rest.min(RETRY_INTERVAL);
        }
        match orders.recv_timeout(rest) {
            Ok(Order::Write(waiting)) => {
                if let Err(error) = write(connection, table, waiting) {
                    tracing::error!(%error, "a stored response stays in memory");
                }
            }
            Ok(Order::Flush(done)) => {
                // Who asked may have stopped waiting.
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => catch_up(connection, table),
            Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => {
                catch_up(connection, table);
                return;
            }
        }
    }
}

fn write(connection: &Connection, table: &Mutex<Table>, waiting: Waiting) -> rusqlite::Result<()> {
    match waiting {
        Waiting::Put(response) => {
            database::put(connection, &response)?;
            table.lock().written(&response);
        }
        Waiting::Delete(owner, id) => {
            database::delete(connection, &owner, &id)?;
            table.lock().erased(&owner, &id);
        }
    }
    Ok(())
}

/// Writes what the database did not take before, or had no room in the queue; up to the first failure.
fn catch_up(connection: &Connection, table: &Mutex<Table>) {
    let waiting = table.lock().waiting();
    let count = waiting.len();
    for (done, one) in waiting.into_iter().enumerate() {
        if let Err(error) = write(connection, table, one) {
            tracing::error!(%error, waiting = count - done, "stored responses stay in memory");
            return;
        }
    }
}
