//! The one thread that writes.
//!
//! Owns draining the queue into the database in batches, falling back to the journal, replaying it, and retention. Must not
//! be waited for by requests. It wakes at fixed short intervals instead of being notified, because a wake-up per record would
//! cost every request a system call.

use crate::batch::{Batch, Written};
use crate::journal::{self, Journal, ReplayError};
use crate::legacy;
use crate::recorder::{Backend, Settings, Shared};
use crate::sqlite::{self, Repeats};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A record waits at most this long before it is written: well inside the promised second.
const INTERVAL: Duration = Duration::from_millis(100);
/// Records per transaction.
const BATCH: usize = 2_000;
/// Blocks deleted at a time: about a megabyte at most.
const RETENTION_SLICE: u32 = 8;
/// Times in a round that blocks are deleted.
const RETENTION_SLICES: u32 = 32;
/// Free pages that are always kept for new records, in bytes.
const SPARE_BYTES: u64 = 1_000_000;
/// Rows of the first schema moved in a round.
const LEGACY_ROWS: u32 = 1_000;
/// How long to leave a database alone that just failed.
const DATABASE_REST: Duration = Duration::from_secs(1);

/// Runs until the recorder is closed and everything is written or journalled.
pub(crate) fn run(shared: &Arc<Shared>, settings: &Settings) {
    let mut keeper = Keeper::new(shared, settings);
    keeper.replay();
    let mut batch = Batch::default();
    loop {
        let closing = shared.wait(INTERVAL, keeper.held);
        shared.take(&mut batch);
        keeper.write(&mut batch, closing);
        batch.clear();
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
    /// Rows of the first schema may be left to move.
    legacy: bool,
    troubled: bool,
    /// Records were put back because neither database nor journal took them.
    held: bool,
}

impl<'a> Keeper<'a> {
    fn new(shared: &'a Shared, settings: &'a Settings) -> Self {
        let mut keeper = Self {
            shared,
            settings,
            connection: None,
            rest_until: None,
            next_retention: Instant::now() + settings.retention_interval,
            legacy: true,
            troubled: false,
            held: false,
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

    fn write(&mut self, batch: &mut Batch, closing: bool) {
        let mut done = 0;
        while done < batch.len() {
            let count = (batch.len() - done).min(BATCH);
            let records = batch.records(done..done + count);
            let taken = self.insert(&records) || self.journal(&records);
            if !taken {
                batch.forget(done);
                return self.hold(batch, closing);
            }
            self.held = false;
            done += count;
        }
    }

    /// Whether the database took them.
    fn insert(&mut self, records: &[Written<'_>]) -> bool {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        if self.connection.is_none() {
            self.connect();
        }
        // A write that failed does not say how far it came.
        let repeats = if self.troubled { Repeats::Possible } else { Repeats::Impossible };
        let Some(connection) = self.connection.as_mut() else { return false };
        match sqlite::insert(connection, records, repeats) {
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

    /// Whether the journal took them.
    fn journal(&self, records: &[Written<'_>]) -> bool {
        let read = records.iter().map(Written::read).collect::<Result<Vec<_>, _>>();
        let journalled =
            read.map_err(std::io::Error::other).and_then(|records| self.shared.journal_all(&records));
        match journalled {
            Ok(()) => true,
            Err(error) => {
                if !self.held {
                    tracing::error!(%error, "the journal of the request log cannot be written either; records wait in memory");
                }
                false
            }
        }
    }

    /// Nothing takes them, as on a full disk: they wait in the queue, which is bounded.
    fn hold(&mut self, batch: &mut Batch, closing: bool) {
        self.held = true;
        if closing {
            self.shared.lose(batch.len() as u64, &"neither database nor journal took them");
        } else {
            self.shared.put_back(std::mem::take(batch));
        }
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

    /// Brings the journal's records into the database. Those who append meanwhile are not held up.
    fn replay(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let Some(journal) = &self.shared.journal else { return };
        let aside = journal.lock().set_aside();
        let read = match aside {
            Ok(None) => return,
            Ok(Some(path)) => journal::read(&path, |records| {
                let batch = Batch::of(records).map_err(sqlite::unwritable)?;
                sqlite::insert(connection, &batch.records(0..batch.len()), Repeats::Possible)
            }),
            Err(error) => Err(ReplayError::Read(error)),
        };
        match read {
            Ok(replayed) => {
                self.shared.written.fetch_add(replayed.records as u64, Ordering::Relaxed);
                tracing::info!(
                    records = replayed.records,
                    unreadable = replayed.unreadable,
                    "replayed the journal of the request log"
                );
                if let Err(error) = journal.lock().replayed() {
                    tracing::error!(%error, "the replayed journal of the request log cannot be removed");
                    self.rest_until = Some(Instant::now() + DATABASE_REST);
                } else {
                    self.recovered();
                }
            }
            Err(ReplayError::Take(error)) => self.trouble(&error),
            Err(ReplayError::Read(error)) => {
                self.rest_until = Some(Instant::now() + DATABASE_REST);
                tracing::error!(%error, "the journal of the request log cannot be replayed; it is kept");
            }
        }
    }

    fn maintain(&mut self) {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        if self.shared.journal_bytes() > 0 {
            if self.connection.is_none() {
                self.connect();
            }
            self.replay();
        }
        if let Err(error) = self.move_legacy().and_then(|()| self.retain_when_due()) {
            self.trouble(&error);
        }
    }

    fn move_legacy(&mut self) -> rusqlite::Result<()> {
        if self.legacy
            && let Some(connection) = &mut self.connection
        {
            self.legacy = legacy::move_some(connection, LEGACY_ROWS)?;
        }
        Ok(())
    }

    fn retain_when_due(&mut self) -> rusqlite::Result<()> {
        if Instant::now() >= self.next_retention {
            let done = self.retain()?;
            // What one round did not manage goes on in the next.
            let pause = if done { self.settings.retention_interval } else { Duration::ZERO };
            self.next_retention = Instant::now() + pause;
        }
        Ok(())
    }

    /// Deletes what is too old or too much, a slice at a time, so that the queue is never left alone for long; whether
    /// nothing is left to do.
    fn retain(&self) -> rusqlite::Result<bool> {
        let Some(connection) = &self.connection else { return Ok(true) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut deleted = 0;
        if let Some(oldest) = now.checked_sub(self.settings.keep) {
            let oldest = u64::try_from(oldest.as_millis()).unwrap_or(0);
            deleted = sqlite::delete_before(connection, oldest, RETENTION_SLICE * RETENTION_SLICES)?;
        }
        let mut size = sqlite::size(connection)?;
        for _ in 0..RETENTION_SLICES {
            if size.used <= self.settings.max_bytes {
                break;
            }
            deleted += sqlite::delete_oldest(connection, RETENTION_SLICE)?;
            size = sqlite::size(connection)?;
        }
        self.shared.deleted.fetch_add(deleted, Ordering::Relaxed);
        // Free pages are used again by new records; only what is much more than those need goes back to the file system.
        let spare = (size.used / 16).max(SPARE_BYTES);
        if size.free > spare {
            sqlite::shrink(connection)?;
        }
        Ok(deleted == 0 && size.free <= spare)
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
