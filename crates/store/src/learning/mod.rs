//! What is learned from beyond the record: feedback, prompts as far as a route keeps them, what bandits made of it, what was
//! spent under daily caps, and the vectors of examples.
//!
//! Owns it, in memory or in an SQLite file beside the log, and the one thread that writes that file. Must not know what feedback
//! is good for. It is a file of its own because two writers of one file would wait for each other, and because it is written
//! long after the record of the request. Whoever gives feedback is told that it was kept only once it was: nothing is kept
//! in memory in the hope that it will be written. Kept prompts are the other way round: requests bring them, so they only ever push
//! into bounded memory, and what that cannot hold is counted as lost.

mod database;
mod memory;
mod prompts;
mod writer;

use crate::recorder::{StoreError, StoreKind};
use memory::Table;
use parking_lot::Mutex;
use prompts::Waiting;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::RequestId;
use writer::Writer;

/// How long whoever gives feedback waits until it is written: several times what a busy disk takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearningSettings {
    /// Where the log is; this is beside it.
    pub kind: StoreKind,
    /// Age of the request at which what is known of it is deleted.
    pub keep: Duration,
    /// Size of the file at which the oldest is deleted, in bytes.
    pub max_bytes: u64,
}

/// A prompt to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPrompt {
    /// Its request.
    pub id: RequestId,
    /// What is kept of it, in a form of whoever reads it.
    pub body: Vec<u8>,
}

/// What a bandit has learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredArms {
    /// Its route.
    pub route: String,
    /// Its step.
    pub step: String,
    /// When, in Unix milliseconds.
    pub saved: u64,
    /// What it learned, in a form of whoever reads it.
    pub state: String,
}

/// What a vector is kept under: a fingerprint of the text and of what encoded it.
pub type VectorKey = [u8; 16];

/// The vector of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredVector {
    /// Of the text and its encoder.
    pub key: VectorKey,
    /// Its components.
    pub vector: Vec<f32>,
}

/// What one account said of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    /// What kind of account it is.
    pub kind: String,
    /// Whose it is.
    pub name: String,
    /// Its day, in days since the Unix epoch.
    pub day: u64,
    /// What it said, in a form of whoever reads it.
    pub state: String,
}

/// Why feedback was not kept. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Too much of it is waiting.
    #[error("keep the feedback: too much of it is waiting to be written")]
    Busy,
    /// It was not written in time; it may be later, and giving it again does no harm.
    #[error("keep the feedback: it was not written in {} s", PATIENCE.as_secs())]
    Slow,
    /// The database refused it.
    #[error("keep the feedback: {0}")]
    Refused(String),
}

/// Feedback and what else is learned from; cheap to clone. The last clone to go waits until everything is written.
#[derive(Clone, Debug)]
pub struct Learning {
    inner: Arc<Inner>,
}

#[derive(Debug)]
enum Inner {
    Memory(Mutex<Table>),
    Sqlite { path: PathBuf, reader: Mutex<Connection>, writer: Writer, waiting: Arc<Waiting> },
}

/// The file beside a log.
#[must_use]
pub fn learning_file(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".learning");
    PathBuf::from(path)
}

impl Learning {
    /// In memory, the newest of it.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { inner: Arc::new(Inner::Memory(Mutex::default())) }
    }

    /// Opens it.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(settings: &LearningSettings) -> Result<Self, StoreError> {
        let StoreKind::Sqlite(log) = &settings.kind else { return Ok(Self::in_memory()) };
        let path = learning_file(log);
        let failed = |source| StoreError::Database { path: path.clone(), source };
        let connection = database::open(&path).map_err(failed)?;
        let reader = database::open(&path).map_err(failed)?;
        let waiting = Arc::new(Waiting::default());
        let writer = Writer::start(connection, Arc::clone(&waiting), settings).map_err(StoreError::Thread)?;
        Ok(Self { inner: Arc::new(Inner::Sqlite { path, reader: Mutex::new(reader), writer, waiting }) })
    }

    /// Keeps feedback, in place of any other on the same request. Waits until it is written: not to be called on a thread that
    /// serves others.
    ///
    /// # Errors
    /// When it was not kept.
    pub fn give(&self, feedback: Feedback) -> Result<(), NotKept> {
        match &*self.inner {
            Inner::Memory(table) => {
                table.lock().put(feedback);
                Ok(())
            }
            Inner::Sqlite { writer, .. } => writer.feedback(feedback, PATIENCE),
        }
    }

    /// The feedback on a request. May read the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn feedback(&self, id: RequestId) -> Result<Option<Feedback>, StoreError> {
        match &*self.inner {
            Inner::Memory(table) => Ok(table.lock().find(id)),
            Inner::Sqlite { path, reader, .. } => database::find(&reader.lock(), id)
                .map_err(|source| StoreError::Database { path: path.clone(), source }),
        }
    }

    /// Feedback given at or after a time in Unix milliseconds, oldest first, so much at the most: also what another process brought in.
    /// Without a file there is none. Reads the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn given_since(&self, since: u64, most: u32) -> Result<Vec<Feedback>, StoreError> {
        match &*self.inner {
            Inner::Memory(_) => Ok(Vec::new()),
            Inner::Sqlite { path, reader, .. } => database::given_since(&reader.lock(), since, most)
                .map_err(|source| StoreError::Database { path: path.clone(), source }),
        }
    }

    /// Keeps a prompt of a request. Never waits for a database; what is kept in memory only would serve nobody, so without a
    /// file nothing is kept.
    pub fn keep_prompt(&self, prompt: StoredPrompt) {
        if let Inner::Sqlite { writer, waiting, .. } = &*self.inner
            && waiting.push(prompt)
        {
            writer.wake();
        }
    }

    /// Keeps what bandits have learned, in place of what was kept before. Never waits; false when it was not taken. Without a
    /// file nothing is kept.
    #[must_use]
    pub fn keep_arms(&self, arms: Vec<StoredArms>) -> bool {
        match &*self.inner {
            Inner::Memory(_) => true,
            Inner::Sqlite { writer, .. } => writer.arms(arms),
        }
    }

    /// What bandits had learned. Reads the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn arms(&self) -> Result<Vec<StoredArms>, StoreError> {
        match &*self.inner {
            Inner::Memory(_) => Ok(Vec::new()),
            Inner::Sqlite { path, reader, .. } => database::arms(&reader.lock())
                .map_err(|source| StoreError::Database { path: path.clone(), source }),
        }
    }

    /// Keeps what accounts say, in place of what they said before. Never waits; false when it was not taken. Without a file
    /// nothing is kept.
    #[must_use]
    pub fn keep_accounts(&self, accounts: Vec<StoredAccount>) -> bool {
        match &*self.inner {
            Inner::Memory(_) => true,
            Inner::Sqlite { writer, .. } => writer.accounts(accounts),
        }
    }

    /// What accounts had said. Reads the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        match &*self.inner {
            Inner::Memory(_) => Ok(Vec::new()),
            Inner::Sqlite { path, reader, .. } => database::accounts(&reader.lock())
                .map_err(|source| StoreError::Database { path: path.clone(), source }),
        }
    }

    /// Keeps vectors, for the next start. Never waits; false when they were not taken. Without a file nothing is kept.
    #[must_use]
    pub fn keep_vectors(&self, vectors: Vec<StoredVector>) -> bool {
        match &*self.inner {
            Inner::Memory(_) => true,
            Inner::Sqlite { writer, .. } => writer.vectors(vectors),
        }
    }

    /// The vectors under these keys, in their order, as far as they were kept. They are kept on: the ones that nobody asks for go
    /// first. Reads the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn vectors(&self, keys: &[VectorKey]) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        let Inner::Sqlite { path, reader, writer, .. } = &*self.inner else {
            return Ok(vec![None; keys.len()]);
        };
        let reader = reader.lock();
        let found: Result<Vec<Option<Vec<f32>>>, rusqlite::Error> =
            keys.iter().map(|key| database::vector(&reader, key)).collect();
        let found = found.map_err(|source| StoreError::Database { path: path.clone(), source })?;
        let used =
            keys.iter().zip(&found).filter(|(_, vector)| vector.is_some()).map(|(key, _)| *key).collect();
        // Where there is no room for it, they are only older than they could be.
        let _ = writer.touched(used);
        Ok(found)
    }

    /// Prompts that could not be kept so far.
    #[must_use]
    pub fn lost_prompts(&self) -> u64 {
        match &*self.inner {
            Inner::Memory(_) => 0,
            Inner::Sqlite { waiting, .. } => waiting.lost(),
        }
    }

    /// Waits until everything taken so far is written.
    pub fn flush(&self) {
        if let Inner::Sqlite { writer, .. } = &*self.inner {
            writer.flush();
        }
    }
}

/// What is kept beside a log, read without the gateway that writes it.
#[derive(Debug)]
pub struct LearningFile {
    path: PathBuf,
    connection: Connection,
}

impl LearningFile {
    /// Opens what is beside a log for reading; `None` when nothing was ever kept there.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn beside(log: &Path) -> Result<Option<Self>, StoreError> {
        let path = learning_file(log);
        if !path.exists() {
            return Ok(None);
        }
        match crate::sqlite::open_reader(&path) {
            Ok(connection) => Ok(Some(Self { path, connection })),
            Err(source) => Err(StoreError::Database { path, source }),
        }
    }

    /// The feedback on a request.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn feedback(&self, id: RequestId) -> Result<Option<Feedback>, StoreError> {
        database::find(&self.connection, id).map_err(|source| self.failed(source))
    }

    /// Shows all feedback on requests that arrived at or after a time in Unix milliseconds, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn all_feedback(&self, since: u64, show: impl FnMut(Feedback)) -> Result<(), StoreError> {
        database::all(&self.connection, since, show).map_err(|source| self.failed(source))
    }

    /// What bandits had learned when it was last kept.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn arms(&self) -> Result<Vec<StoredArms>, StoreError> {
        database::arms(&self.connection).map_err(|source| self.failed(source))
    }

    /// What accounts had said when they were last kept.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        database::accounts(&self.connection).map_err(|source| self.failed(source))
    }

    /// The kept prompt of a request, as its bytes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn prompt(&self, id: RequestId) -> Result<Option<Vec<u8>>, StoreError> {
        database::prompt(&self.connection, id).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests;
