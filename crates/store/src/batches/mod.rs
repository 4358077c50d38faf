//! Files and batches: work that clients leave here and come back for.
//!
//! Owns the SQLite file beside the log (or in memory) that holds uploaded files in chunks, batches, and one row for every request
//! of a batch. Must not know what is in a line or a result, nor how one is answered. A line is marked before it is sent and its
//! result is written together with the counts of its batch, so that whatever ends the process, a finished line is never handed out
//! again; one that was marked and has no result goes back into the queue, with a note that it may have been sent. One process drains
//! the queue at a time, told by a lock that its end gives free: two that overlap in a restart do not send a line twice.
//!
//! Every function here may wait for a disk: none may be called on a thread that serves others.

mod book;
mod files;
mod handover;
mod queue;
mod schema;

pub use book::{BatchQuery, Deletion};
pub use files::{FilePiece, FileQuery};
pub use handover::{HandedLine, HandedResult, HandoverState, HandoverStats, Return, StoredHandover};
pub use queue::{PutBack, ResultFiles};

use crate::recorder::StoreKind;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The most bytes kept where the store is memory.
const LARGEST_IN_MEMORY: u64 = 256_000_000;

/// How files and batches are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchStoreSettings {
    /// Where.
    pub kind: StoreKind,
    /// Most bytes kept; uploads and batches beyond are refused.
    pub max_bytes: u64,
}

/// Why files and batches cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BatchStoreError {
    /// The database said no.
    #[error("use the files and batches in {path}: {source}")]
    Database {
        /// The database's path.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// It cannot be told whether another process drains the queue.
    #[error("lock the files and batches in {path}: {source}")]
    Lock {
        /// The path of the lock.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no room.
    #[error("keep {wanted} bytes more: {kept} of {most} bytes are used by files and batches")]
    Full {
        /// Bytes that were to be added.
        wanted: u64,
        /// Bytes kept.
        kept: u64,
        /// Most bytes kept.
        most: u64,
    },
}

/// A file as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its id.
    pub id: String,
    /// Whose it is: the name of a virtual key, empty where there are none.
    pub owner: String,
    /// When it was made, in Unix seconds.
    pub created: u64,
    /// When it goes, in Unix seconds.
    pub expires: Option<u64>,
    /// The name it was uploaded under.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Its length.
    pub bytes: u64,
    /// The batch whose results it is, and which of them.
    pub results: Option<(String, Results)>,
}

/// Which results of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// Of lines that were answered.
    Succeeded,
    /// Of all others that have any.
    Failed,
    /// All there are.
    All,
}

impl Results {
    const fn states(self) -> &'static str {
        match self {
            Self::Succeeded => "(2)",
            Self::Failed => "(3, 4, 5)",
            Self::All => "(2, 3, 4, 5)",
        }
    }
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatus {
    /// Its lines are being checked.
    Validating,
    /// Its lines are being answered.
    InProgress,
    /// No further line is sent; those that were are waited for.
    Cancelling,
    /// Its lines were wrong.
    Failed,
    /// Every line has its result.
    Completed,
    /// Its time ran out before that.
    Expired,
    /// It was cancelled.
    Cancelled,
}

impl BatchStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Validating,
        Self::InProgress,
        Self::Cancelling,
        Self::Failed,
        Self::Completed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Its name in the database and for users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Cancelling => "cancelling",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will come of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Expired | Self::Cancelled)
    }

    fn read(name: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.name() == name).unwrap_or(Self::Failed)
    }
}

/// How many lines of a batch are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// All lines.
    pub total: u64,
    /// Answered.
    pub succeeded: u64,
    /// Ended with an error.
    pub errored: u64,
    /// Not sent because the batch was cancelled.
    pub canceled: u64,
    /// Not sent because the time ran out.
    pub expired: u64,
}

impl BatchCounts {
    /// Lines without a result.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.total.saturating_sub(self.succeeded + self.errored + self.canceled + self.expired)
    }
}

/// Tokens of answers, as batches tell them: both sums with the parts named beside them in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineUsage {
    /// Tokens that went in.
    pub input: u64,
    /// Of those, read from a cache.
    pub cached: u64,
    /// Tokens that came out.
    pub output: u64,
    /// Of those, reasoning.
    pub reasoning: u64,
}

/// Tokens of all lines of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchUsage {
    /// How many lines it is the sum of: of the answers of others nobody told their tokens.
    pub metered: u64,
    /// The sum.
    pub sum: LineUsage,
}

/// When a batch became what, in Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchTimes {
    /// Made.
    pub created: u64,
    /// Its time runs out.
    pub expires: u64,
    /// Its lines were found right.
    pub started: Option<u64>,
    /// It was told to stop.
    pub cancelling: Option<u64>,
    /// It was over, in whichever way.
    pub ended: Option<u64>,
}

/// A batch as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its id.
    pub id: String,
    /// Whose it is: the name of a virtual key, empty where there are none.
    pub owner: String,
    /// Which protocol's batch it is; a word of the caller's.
    pub kind: String,
    /// How far it is.
    pub status: BatchStatus,
    /// Its times.
    pub times: BatchTimes,
    /// Its counts.
    pub counts: BatchCounts,
    /// Its tokens.
    pub usage: BatchUsage,
    /// The file its lines come from.
    pub input_file: Option<String>,
    /// The file of its answers, when it is over.
    pub output_file: Option<String>,
    /// The file of its errors, when it is over.
    pub error_file: Option<String>,
    /// What else its maker knows of it; a text of the caller's.
    pub details: String,
    /// What was wrong with its lines; a text of the caller's.
    pub errors: Option<String>,
}

/// A line to be put into a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// Its number, counted from 1.
    pub number: u64,
    /// Its name within the batch.
    pub custom_id: String,
    /// What it is sent to: lines to the same target can be held back together.
    pub target: String,
    /// The request.
    pub request: Bytes,
}

/// A line that was handed out to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedLine {
    /// Its batch.
    pub batch: String,
    /// Its number.
    pub number: u64,
    /// Its name within the batch.
    pub custom_id: String,
    /// What it is sent to.
    pub target: String,
    /// The request.
    pub request: Bytes,
    /// How often it was sent before, as far as is known.
    pub attempts: u32,
    /// How often the process ended while it was under way: it may have been answered, and nobody knows.
    pub interrupted: u32,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// Answered.
    Succeeded,
    /// With an error.
    Errored,
    /// Not sent: the batch was cancelled.
    Canceled,
    /// Not sent: the time ran out.
    Expired,
}

impl LineEnd {
    const fn state(self) -> i64 {
        match self {
            Self::Succeeded => 2,
            Self::Errored => 3,
            Self::Canceled => 4,
            Self::Expired => 5,
        }
    }

    const fn column(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Errored => "errored",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }
}

/// Figures about the queue, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStats {
    /// Batches that are not over.
    pub open: u64,
    /// Their lines without a result.
    pub lines: u64,
    /// Bytes kept.
    pub bytes: u64,
}

/// Files and batches; cheap to clone.
#[derive(Clone, Debug)]
pub struct Batches {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Lists and downloads do not wait for writes; a database in memory has one connection only.
    reader: Option<Mutex<Connection>>,
    max_bytes: AtomicU64,
    /// Held by the one process that drains the queue, for as long as it lives.
    lock: Option<File>,
    is_owner: AtomicBool,
}

/// The file beside the log.
fn beside(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".batches");
    PathBuf::from(path)
}

impl Batches {
    /// Nothing kept beyond the process.
    ///
    /// # Panics
    /// When there is no memory left for an empty database.
    #[must_use]
    pub fn in_memory() -> Self {
        let settings = BatchStoreSettings { kind: StoreKind::Memory, max_bytes: LARGEST_IN_MEMORY };
        Self::open(&settings).expect("an empty database fits into memory")
    }

    /// Opens the database and takes the queue over, unless another process drains it still: see [`Batches::take_over`].
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(settings: &BatchStoreSettings) -> Result<Self, BatchStoreError> {
        let StoreKind::Sqlite(log) = &settings.kind else {
            let path = PathBuf::from("memory");
            let failed = |source| BatchStoreError::Database { path: path.clone(), source };
            let writer = schema::in_memory().map_err(failed)?;
            return Ok(Self::of(path, writer, None, settings.max_bytes.min(LARGEST_IN_MEMORY), None));
        };
        let path = beside(log);
        let failed = |source| BatchStoreError::Database { path: path.clone(), source };
        let writer = schema::open(&path).map_err(failed)?;
        let reader = schema::read(&path).map_err(failed)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let lock = File::create(&lock).map_err(|source| BatchStoreError::Lock { path: lock, source })?;
        let batches = Self::of(path, writer, Some(reader), settings.max_bytes, Some(lock));
        if batches.take_over()? {
            // Nobody else can be in the middle of anything.
            schema::forget_unfinished(&batches.writer()).map_err(|source| batches.failed(source))?;
        }
        Ok(batches)
    }

    fn of(
        path: PathBuf,
        writer: Connection,
        reader: Option<Connection>,
        max_bytes: u64,
        lock: Option<File>,
    ) -> Self {
        let is_owner = AtomicBool::new(lock.is_none());
        let (writer, reader, max_bytes) =
            (Mutex::new(writer), reader.map(Mutex::new), AtomicU64::new(max_bytes));
        Self { inner: Arc::new(Inner { path, writer, reader, max_bytes, lock, is_owner }) }
    }

    /// Whether this process is the one that drains the queue. The first that asks is, until it ends; what the one before left under way
    /// is then put back into the queue, marked as interrupted. Lines may be claimed by that process only.
    ///
    /// # Errors
    /// When the lock or the database cannot be used.
    pub fn take_over(&self) -> Result<bool, BatchStoreError> {
        let Some(lock) = self.inner.lock.as_ref().filter(|_| !self.is_owner()) else { return Ok(true) };
        match lock.try_lock() {
            Ok(()) => {
                self.inner.is_owner.store(true, Ordering::Release);
                self.interrupt()?;
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => {
                Err(BatchStoreError::Lock { path: self.inner.path.clone(), source })
            }
        }
    }

    fn is_owner(&self) -> bool {
        self.inner.is_owner.load(Ordering::Acquire)
    }

    /// Opens what belongs to a log to look at it while another process writes; `None` when nothing was ever kept.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn look(log: &Path) -> Result<Option<Self>, BatchStoreError> {
        let path = beside(log);
        if !path.exists() {
            return Ok(None);
        }
        let failed = |source| BatchStoreError::Database { path: path.clone(), source };
        let mut writer = schema::read(&path).map_err(failed)?;
        if !schema::is_current(&writer).map_err(failed)? {
            // Nothing newer than what is looked at has written to it.
            drop(schema::open(&path).map_err(failed)?);
            writer = schema::read(&path).map_err(failed)?;
        }
        Ok(Some(Self::of(path, writer, None, 0, None)))
    }

    /// Sets the most bytes kept, after a reload.
    pub fn limit(&self, max_bytes: u64) {
        let is_memory = self.inner.reader.is_none();
        let max_bytes = if is_memory { max_bytes.min(LARGEST_IN_MEMORY) } else { max_bytes };
        self.inner.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.inner.writer.lock()
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.inner.reader.as_ref().unwrap_or(&self.inner.writer).lock()
    }

    fn failed(&self, source: rusqlite::Error) -> BatchStoreError {
        BatchStoreError::Database { path: self.inner.path.clone(), source }
    }

    /// Whether so many bytes more can be kept.
    fn room(&self, connection: &Connection, wanted: u64) -> Result<(), BatchStoreError> {
        let kept = schema::kept(connection).map_err(|source| self.failed(source))?;
        let most = self.inner.max_bytes.load(Ordering::Relaxed);
        if kept.saturating_add(wanted) > most {
            return Err(BatchStoreError::Full { wanted, kept, most });
        }
        Ok(())
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests;
