//! The handle requests record through.
//!
//! Owns the bounded queue, its spill to the journal and the counters. Must not wait: `record` takes a short lock and returns.
//! What happens when things go wrong, in order: the queue takes it, and keeps it while neither database nor journal can be written;
//! a full queue's journal takes it; it is counted as lost and logged.

use crate::batch::{self, Batch, Written};
use crate::journal::Journal;
use crate::keeper;
use crate::memory::MemoryLog;
use crate::query::{Page, Query};
use crate::sqlite;
use parking_lot::{Condvar, Mutex};
use std::borrow::BorrowMut;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use trunkline_model::record::RequestRecord;

/// Where the record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: the newest records only.
    Memory,
    /// In an SQLite database at a path.
    Sqlite(PathBuf),
}

/// How the record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub kind: StoreKind,
    /// Records waiting to be written at the most; more go to the journal.
    pub queue: usize,
    /// The journal's largest size in bytes.
    pub journal_bytes: u64,
    /// Age at which records are deleted.
    pub keep: Duration,
    /// Size of the database at which the oldest records are deleted, in bytes.
    pub max_bytes: u64,
    /// How often it is looked whether records are to be deleted.
    pub retention_interval: Duration,
    /// Records kept by the memory backend.
    pub memory_records: usize,
}

impl Settings {
    /// The defaults: 16,384 waiting, 256 MB of journal, 30 days, 2 GB, looked after once a minute; 10,000 in memory.
    #[must_use]
    pub const fn new(kind: StoreKind) -> Self {
        Self {
            kind,
            queue: 16_384,
            journal_bytes: 256_000_000,
            keep: Duration::from_secs(30 * 86_400),
            max_bytes: 2_000_000_000,
            retention_interval: Duration::from_secs(60),
            memory_records: 10_000,
        }
    }
}

/// Why the record cannot be read or opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("use the request log {path}: {source}")]
    Database {
        /// The database's path.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// A later version of this program has changed it.
    #[error(
        "use the request log {path}: it has form {found}, written by a newer version; this one knows {}",
        sqlite::SCHEMA
    )]
    Newer {
        /// The database's path.
        path: PathBuf,
        /// Its form.
        found: u32,
    },
    /// The writer could not be started.
    #[error("start the writer of the request log: {0}")]
    Thread(std::io::Error),
}

/// Figures about the record, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Waiting in the queue.
    pub queued: usize,
    /// Written so far.
    pub written: u64,
    /// Sent to the journal so far.
    pub spilled: u64,
    /// Lost so far: neither queue nor journal could take them.
    pub lost: u64,
    /// Deleted so far, because of age or size.
    pub deleted: u64,
    /// Failed writes so far.
    pub database_errors: u64,
    /// Bytes waiting in the journal.
    pub journal_bytes: u64,
}

/// Records requests; cheap to clone. The last clone to go waits until everything is written.
#[derive(Clone, Debug)]
pub struct Recorder {
    inner: Arc<Owner>,
}

impl Recorder {
    /// Opens the record and starts its writer. An unusable database is an error here, so that a wrong path shows at start;
    /// one that fails later is not.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(settings: Settings) -> Result<Self, StoreError> {
        let backend = match &settings.kind {
            StoreKind::Memory => Backend::Memory(MemoryLog::new(settings.memory_records)),
            StoreKind::Sqlite(path) => {
                let failed = |source| StoreError::Database { path: path.clone(), source };
                let writer = sqlite::open(path).map_err(failed)?;
                refuse_newer(&writer, path)?;
                let reader = sqlite::open_reader(path).map_err(failed)?;
                Backend::Sqlite { path: path.clone(), reader: Mutex::new(reader) }
            }
        };
        let journal = match &settings.kind {
            StoreKind::Memory => None,
            StoreKind::Sqlite(path) => Some(Mutex::new(keeper::journal_for(&settings, path))),
        };
        let shared = Arc::new(Shared::new(backend, journal, settings.queue));
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || keeper::run(&for_thread, &settings))
            .map_err(StoreError::Thread)?;
        Ok(Self { inner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Takes a finished request. Never waits for a database. It is borrowed for a moment only, and comes back as it was.
    pub fn record(&self, mut record: impl BorrowMut<RequestRecord>) {
        let shared = &self.inner.shared;
        let record = record.borrow_mut();
        if let Backend::Memory(memory) = &shared.backend {
            memory.append(record.clone());
            shared.written.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let spilled = match batch::written(record, |written| shared.enqueue(written)) {
            Ok(Queued::Yes) => Ok(()),
            Ok(Queued::Full) => shared.journal_all(std::slice::from_ref(record)),
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = spilled {
            shared.lose(1, &error);
        }
    }

    /// Finds records, newest first. Reads the database: not for the request path.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn search(&self, query: &Query) -> Result<Page, StoreError> {
        match &self.inner.shared.backend {
            Backend::Memory(memory) => Ok(memory.search(query)),
            Backend::Sqlite { path, reader } => sqlite::search(&reader.lock(), query)
                .map_err(|source| StoreError::Database { path: path.clone(), source }),
        }
    }

    /// Waits until everything recorded so far is written or journalled.
    pub fn flush(&self) {
        self.inner.shared.flush();
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let shared = &self.inner.shared;
        RecorderStats {
            queued: shared.queue.lock().len(),
            written: shared.written.load(Ordering::Relaxed),
            spilled: shared.spilled.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            deleted: shared.deleted.load(Ordering::Relaxed),
            database_errors: shared.database_errors.load(Ordering::Relaxed),
            journal_bytes: shared.journal_bytes(),
        }
    }
}

/// Searches a database beside the gateway that writes it.
///
/// # Errors
/// When the database cannot be read.
pub fn search_file(path: &std::path::Path, query: &Query) -> Result<Page, StoreError> {
    let failed = |source| StoreError::Database { path: path.to_owned(), source };
    let connection = sqlite::open_reader(path).map_err(failed)?;
    refuse_newer(&connection, path)?;
    sqlite::search(&connection, query).map_err(failed)
}

fn refuse_newer(connection: &rusqlite::Connection, path: &std::path::Path) -> Result<(), StoreError> {
    let found = sqlite::schema(connection)
        .map_err(|source| StoreError::Database { path: path.to_owned(), source })?;
    match found {
        Some(found) if found > sqlite::SCHEMA => Err(StoreError::Newer { path: path.to_owned(), found }),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // The writer only panics on a defect; there is nobody left to tell at this point.
            let _ = thread.join();
        }
    }
}

/// Whether the queue took a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queued {
    Yes,
    Full,
}

/// What the handle and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) backend: Backend,
    pub(crate) journal: Option<Mutex<Journal>>,
    pub(crate) written: AtomicU64,
    pub(crate) deleted: AtomicU64,
    pub(crate) database_errors: AtomicU64,
    spilled: AtomicU64,
    lost: AtomicU64,
    queue: Mutex<Batch>,
    capacity: usize,
    wake: Condvar,
    rounds: Mutex<u64>,
    round_done: Condvar,
    closing: AtomicBool,
}

/// The backend itself.
#[derive(Debug)]
pub(crate) enum Backend {
    /// A ring in memory.
    Memory(MemoryLog),
    /// SQLite; the writer has a connection of its own.
    Sqlite {
        /// Where.
        path: PathBuf,
        /// For searches.
        reader: Mutex<rusqlite::Connection>,
    },
}

impl Shared {
    fn new(backend: Backend, journal: Option<Mutex<Journal>>, capacity: usize) -> Self {
        Self {
            backend,
            journal,
            written: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            database_errors: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            queue: Mutex::default(),
            capacity: capacity.max(2),
            wake: Condvar::new(),
            rounds: Mutex::new(0),
            round_done: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// Waits for the next round; true when the recorder is being closed. A queue that fills up fast cuts the wait short,
    /// unless it is full because nothing can be written.
    pub(crate) fn wait(&self, interval: Duration, held: bool) -> bool {
        let mut queue = self.queue.lock();
        if !self.closing.load(Ordering::Acquire) && (held || queue.len() < self.capacity / 2) {
            self.wake.wait_for(&mut queue, interval);
        }
        self.closing.load(Ordering::Acquire)
    }

    /// Moves the queue into an empty batch.
    pub(crate) fn take(&self, batch: &mut Batch) {
        std::mem::swap(&mut *self.queue.lock(), batch);
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue.lock().is_empty()
    }

    pub(crate) fn journal_bytes(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.lock().bytes())
    }

    /// Puts records back that could not be written, in front of those that came since.
    pub(crate) fn put_back(&self, mut batch: Batch) {
        let mut queue = self.queue.lock();
        batch.append(std::mem::take(&mut queue));
        *queue = batch;
    }

    fn enqueue(&self, written: Written<'_>) -> Queued {
        let mut queue = self.queue.lock();
        if queue.len() >= self.capacity {
            return Queued::Full;
        }
        queue.push(written);
        if queue.len() == self.capacity / 2 {
            self.wake.notify_one();
        }
        Queued::Yes
    }

    /// Sends records to the journal: all of them or, with an error, none.
    pub(crate) fn journal_all(&self, records: &[RequestRecord]) -> std::io::Result<()> {
        let journal = self.journal.as_ref().ok_or_else(|| std::io::Error::other("there is no journal"))?;
        journal.lock().append(records)?;
        self.spilled.fetch_add(records.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Counts records that nothing could take.
    pub(crate) fn lose(&self, count: u64, error: &dyn std::fmt::Display) {
        // One line per power of two, so that a full disk does not fill the log as well.
        let before = self.lost.fetch_add(count, Ordering::Relaxed);
        if before == 0 || (before + count).ilog2() > before.ilog2() {
            tracing::error!(%error, lost = before + count, "records of finished requests are lost");
        }
    }

    /// Tells those who wait in `flush` that a round is over.
    pub(crate) fn flushed(&self) {
        *self.rounds.lock() += 1;
        self.round_done.notify_all();
    }

    fn flush(&self) {
        let mut rounds = self.rounds.lock();
        // The round under way may have taken the queue before the last record; the one after it has not.
        let target = *rounds + 2;
        while *rounds < target {
            self.wake.notify_one();
            self.round_done.wait_for(&mut rounds, Duration::from_millis(20));
        }
    }
}
