//! The one thread that writes responses.
//!
//! Owns the bounded queue to it, retention, and what to do when the database fails: the response stays in memory and the writer
//! goes on. Must not be waited for by requests.

use super::table::Table;
use super::{ResponseSettings, StoredResponse, database};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Responses waiting to be written at the most.
const QUEUE: usize = 4_096;
/// How often old responses are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

enum Order {
    Put(Arc<StoredResponse>),
    Delete(String, String),
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

    /// Whether there was room.
    pub(super) fn put(&self, response: &Arc<StoredResponse>) -> bool {
        self.orders.try_send(Order::Put(Arc::clone(response))).is_ok()
    }

    pub(super) fn delete(&self, owner: &str, id: &str) {
        let order = Order::Delete(owner.to_owned(), id.to_owned());
        if let Err(TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::error!(
                id,
                "a deleted response stays in the database until it is too old: the database does not keep up"
            );
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
        match orders.recv_timeout(next_retention.saturating_duration_since(Instant::now())) {
            Ok(Order::Put(response)) => match database::put(connection, &response) {
                Ok(()) => table.lock().written(&response),
                Err(error) => {
                    tracing::error!(%error, id = %response.id, "a response is kept in memory only");
                }
            },
            Ok(Order::Delete(owner, id)) => match database::delete(connection, &owner, &id) {
                Ok(()) => table.lock().erased(&owner, &id),
                Err(error) => tracing::error!(%error, id, "a deleted response is still in the database"),
            },
            Ok(Order::Flush(done)) => {
                // Who asked may have stopped waiting.
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
