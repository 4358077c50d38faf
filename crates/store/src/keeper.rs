//! The one thread that writes.
//!
//! Owns draining the queue into the database in batches, falling back to the journal, replaying it, and retention. Must not
//! be waited for by requests. It wakes at fixed short intervals instead of being notified, because a wake-up per record would
//! cost every request a system call.

use crate::journal::{Journal, ReplayError};
use crate::recorder::{Backend, Settings, Shared};
use crate::sqlite;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trunkline_model::record::RequestRecord;

/// A record waits at most this long before it is written: well inside the promised second.
const INTERVAL: Duration = Duration::from_millis(100);
/// Rows per transaction.
const BATCH: usize = 2_000;
/// How often old records are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// How long to leave a database alone that just failed.
const DATABASE_REST: Duration = Duration::from_secs(1);

/// Runs until the recorder is closed and everything is written or journalled.
pub(crate) fn run(shared: &Arc<Shared>, settings: &Settings) {
    let mut keeper = Keeper::new(shared, settings);
    keeper.replay();
    let mut batch = Vec::new();
    loop {
        let closing = shared.wait(INTERVAL);
        shared.take(&mut batch);
        keeper.write(&mut batch);
        batch.clear();
        batch.shrink_to(BATCH);
        keeper.maintain();
        shared.flushed();
        if closing && shared.is_drained() {
            keeper.close();
            return;
        }
    }
}

struct Keeper<'a> {
    shared: &'a Shared,
    settings: &'a Settings,
    connection: Option<Connection>,
    rest_until: Option<Instant>,
    next_retention: Instant,
    troubled: bool,
}

impl<'a> Keeper<'a> {
    fn new(shared: &'a Shared, settings: &'a Settings) -> Self {
        let mut keeper = Self {
            shared,
            settings,
            connection: None,
            rest_until: None,
            next_retention: Instant::now() + RETENTION_INTERVAL,
            troubled: false,
        };
        keeper.connect();
        keeper
    }

    fn connect(&mut self) {
        let Backend::Sqlite { path, .. } = &self.shared.backend else { return };
        match sqlite::open(path) {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => self.trouble(&error),
        }
    }

    fn write(&mut self, records: &mut [RequestRecord]) {
        if let Backend::Memory(memory) = &self.shared.backend {
            memory.append(records);
            self.shared.written.fetch_add(records.len() as u64, Ordering::Relaxed);
            return;
        }
        for chunk in records.chunks_mut(BATCH) {
            if !self.insert(chunk) {
                self.spill(chunk);
            }
        }
    }

    /// Whether the database took them.
    fn insert(&mut self, records: &mut [RequestRecord]) -> bool {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        if self.connection.is_none() {
            self.connect();
        }
        let Some(connection) = self.connection.as_mut() else { return false };
        match sqlite::insert(connection, records) {
            Ok(()) => {
                self.shared.written.fetch_add(records.len() as u64, Ordering::Relaxed);
                self.recovered();
                true
            }
            Err(error) => {
                self.trouble(&error);
                false
            }
        }
    }

    fn spill(&self, records: &[RequestRecord]) {
        self.shared.spill(records);
    }

    fn trouble(&mut self, error: &rusqlite::Error) {
        self.shared.database_errors.fetch_add(1, Ordering::Relaxed);
        self.rest_until = Some(Instant::now() + DATABASE_REST);
        if !self.troubled {
            tracing::error!(%error, "the request log cannot be written; records go to the journal until it can");
        }
        self.troubled = true;
        // A connection that failed may be broken for good (a deleted file, a bad disk): the next try opens a new one.
        self.connection = None;
    }

    fn recovered(&mut self) {
        if self.troubled {
            tracing::info!("the request log can be written again");
        }
        self.troubled = false;
        self.rest_until = None;
    }

    /// Brings the journal's records into the database.
    fn replay(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let Some(journal) = &self.shared.journal else { return };
        let mut journal = journal.lock();
        if journal.is_empty() {
            return;
        }
        match journal.replay(|records| sqlite::insert(connection, records)) {
            Ok(replayed) => {
                self.shared.written.fetch_add(replayed.records as u64, Ordering::Relaxed);
                tracing::info!(
                    records = replayed.records,
                    unreadable = replayed.unreadable,
                    "replayed the journal of the request log"
                );
            }
            Err(ReplayError::Take(error)) => {
                drop(journal);
                self.trouble(&error);
            }
            Err(ReplayError::Read(error)) => {
                tracing::error!(%error, "the journal of the request log cannot be replayed; it is kept");
            }
        }
    }

    fn maintain(&mut self) {
        let rested = self.rest_until.is_none_or(|until| Instant::now() >= until);
        if rested && self.shared.journal_bytes() > 0 {
            if self.connection.is_none() {
                self.connect();
            }
            self.replay();
        }
        if Instant::now() >= self.next_retention {
            self.next_retention = Instant::now() + RETENTION_INTERVAL;
            if let Err(error) = self.retain() {
                self.trouble(&error);
            }
        }
    }

    /// Deletes what is too old or too much, in slices, so that the queue is never left alone for long.
    fn retain(&self) -> rusqlite::Result<()> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(oldest) = now.checked_sub(self.settings.keep) {
            let oldest = u64::try_from(oldest.as_millis()).unwrap_or(0);
            sqlite::delete_before(connection, oldest, 20_000)?;
        }
        if sqlite::size(connection)? > self.settings.max_bytes {
            sqlite::delete_oldest(connection, 20_000)?;
        }
        sqlite::shrink(connection)
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(%error, "the request log did not close cleanly");
        }
    }
}

/// Opens the journal beside a database.
pub(crate) fn journal_for(settings: &Settings, path: &std::path::Path) -> Journal {
    let mut name = path.as_os_str().to_owned();
    name.push(".journal");
    Journal::new(name.into(), settings.journal_bytes)
}
