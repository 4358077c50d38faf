//! The tables in SQLite.
//!
//! Owns their schema, reads, writes and retention. Must not know queues or threads. Ids are kept as their 16 bytes, most
//! significant first: they sort by the arrival of the request, so that retention needs no further index.

use super::{StoredAccount, StoredArms, StoredPrompt, StoredVector, VectorKey};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::time::Duration;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::RequestId;

/// How long a statement waits for another process that holds the database.
const BUSY: Duration = Duration::from_millis(500);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS feedback (
    id BLOB PRIMARY KEY, given INTEGER NOT NULL, key TEXT, score REAL, label TEXT, comment TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS feedback_given ON feedback (given);
CREATE TABLE IF NOT EXISTS prompts (id BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS arms (
    route TEXT NOT NULL, step TEXT NOT NULL, saved INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (route, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    kind TEXT NOT NULL, name TEXT NOT NULL, day INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, used INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS vectors_used ON vectors (used);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
";

/// Vectors are kept up to this size together, in bytes.
const MOST_VECTOR_BYTES: u64 = 64 << 20;

/// Rows deleted at a time because there is too much.
const SLICE: u32 = 1_000;

/// Opens the database and makes its tables.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Takes effect only before the first table exists.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(SCHEMA)?;
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('schema', '1')", [])?;
    Ok(connection)
}

/// The key of a request.
fn key(id: RequestId) -> [u8; 16] {
    id.bits().to_be_bytes()
}

/// The first key of a millisecond.
fn first_key(unix_milliseconds: u64) -> [u8; 16] {
    key(RequestId::new(unix_milliseconds.min((1 << 48) - 1), 0))
}

fn id(key: &[u8]) -> rusqlite::Result<RequestId> {
    let wrong = || rusqlite::Error::InvalidColumnType(0, "id".to_owned(), rusqlite::types::Type::Blob);
    let bytes: [u8; 16] = key.try_into().map_err(|_| wrong())?;
    Ok(RequestId::from_bits(u128::from_be_bytes(bytes)))
}

pub(super) fn put(connection: &Connection, feedback: &Feedback) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO feedback VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    statement.execute(params![
        key(feedback.id),
        i64::try_from(feedback.given).unwrap_or(i64::MAX),
        feedback.key.as_deref(),
        feedback.score,
        feedback.label.as_deref(),
        feedback.comment,
    ])?;
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Feedback> {
    Ok(Feedback {
        id: id(row.get_ref(0)?.as_blob()?)?,
        given: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
        key: row.get::<_, Option<String>>(2)?.map(Into::into),
        score: row.get(3)?,
        label: row.get::<_, Option<String>>(4)?.map(Into::into),
        comment: row.get(5)?,
    })
}

pub(super) fn find(connection: &Connection, id: RequestId) -> rusqlite::Result<Option<Feedback>> {
    let mut statement = connection
        .prepare_cached("SELECT id, given, key, score, label, comment FROM feedback WHERE id = ?1")?;
    statement.query_row([key(id)], read).optional()
}

pub(super) fn all(
    connection: &Connection,
    since: u64,
    mut show: impl FnMut(Feedback),
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT id, given, key, score, label, comment FROM feedback WHERE id >= ?1 ORDER BY id")?;
    for feedback in statement.query_map([first_key(since)], read)? {
        show(feedback?);
    }
    Ok(())
}

/// What was given at or after a time in Unix milliseconds, oldest first, so many at the most.
pub(super) fn given_since(connection: &Connection, since: u64, most: u32) -> rusqlite::Result<Vec<Feedback>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, given, key, score, label, comment FROM feedback WHERE given >= ?1 ORDER BY given LIMIT ?2",
    )?;
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![since, most], read)?;
    rows.collect()
}

pub(super) fn put_prompt(connection: &Connection, prompt: &StoredPrompt) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO prompts VALUES (?1, ?2)")?;
    statement.execute(params![key(prompt.id), prompt.body])?;
    Ok(())
}

pub(super) fn prompt(connection: &Connection, id: RequestId) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT body FROM prompts WHERE id = ?1")?;
    statement.query_row([key(id)], |row| row.get(0)).optional()
}

pub(super) fn put_arms(connection: &Connection, arms: &StoredArms) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO arms VALUES (?1, ?2, ?3, ?4)")?;
    let saved = i64::try_from(arms.saved).unwrap_or(i64::MAX);
    statement.execute(params![arms.route, arms.step, saved, arms.state])?;
    Ok(())
}

pub(super) fn arms(connection: &Connection) -> rusqlite::Result<Vec<StoredArms>> {
    let mut statement =
        connection.prepare("SELECT route, step, saved, state FROM arms ORDER BY route, step")?;
    let rows = statement.query_map([], |row| {
        Ok(StoredArms {
            route: row.get(0)?,
            step: row.get(1)?,
            saved: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            state: row.get(3)?,
        })
    })?;
    rows.collect()
}

pub(super) fn put_account(connection: &Connection, account: &StoredAccount) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO accounts VALUES (?1, ?2, ?3, ?4)")?;
    let day = i64::try_from(account.day).unwrap_or(i64::MAX);
    statement.execute(params![account.kind, account.name, day, account.state])?;
    Ok(())
}

pub(super) fn accounts(connection: &Connection) -> rusqlite::Result<Vec<StoredAccount>> {
    let mut statement =
        connection.prepare("SELECT kind, name, day, state FROM accounts ORDER BY kind, name")?;
    let rows = statement.query_map([], |row| {
        Ok(StoredAccount {
            kind: row.get(0)?,
            name: row.get(1)?,
            day: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            state: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// Keeps a vector, used at this time in Unix milliseconds.
pub(super) fn put_vector(connection: &Connection, vector: &StoredVector, used: u64) -> rusqlite::Result<()> {
    let used = i64::try_from(used).unwrap_or(i64::MAX);
    let bytes: Vec<u8> = vector.vector.iter().flat_map(|component| component.to_le_bytes()).collect();
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO vectors VALUES (?1, ?2, ?3)")?;
    statement.execute(params![vector.key, used, bytes])?;
    Ok(())
}

/// Notes that a vector was used at this time in Unix milliseconds.
pub(super) fn touch_vector(connection: &Connection, key: &VectorKey, used: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE vectors SET used = ?2 WHERE key = ?1")?;
    statement.execute(params![key, i64::try_from(used).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// The vector under a key; none where its bytes are no numbers.
pub(super) fn vector(connection: &Connection, key: &VectorKey) -> rusqlite::Result<Option<Vec<f32>>> {
    let mut statement = connection.prepare_cached("SELECT body FROM vectors WHERE key = ?1")?;
    let bytes: Option<Vec<u8>> = statement.query_row([key], |row| row.get(0)).optional()?;
    Ok(bytes.and_then(|bytes| {
        let (components, rest) = bytes.as_chunks::<4>();
        let vector: Vec<f32> = components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let whole = rest.is_empty() && vector.iter().all(|component| component.is_finite());
        (whole && !vector.is_empty()).then_some(vector)
    }))
}

/// Deletes the vectors that were not used for longest, until those left take at most so many bytes.
fn retain_vectors(connection: &Connection, max_bytes: u64) -> rusqlite::Result<()> {
    let most = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    let size = || {
        connection
            .query_row("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM vectors", [], |row| row.get::<_, i64>(0))
    };
    while size()? > most {
        if drop_vectors(connection)? == 0 {
            break;
        }
    }
    Ok(())
}

fn drop_vectors(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .execute("DELETE FROM vectors WHERE key IN (SELECT key FROM vectors ORDER BY used LIMIT ?1)", [SLICE])
}

/// Moves what is in the write-ahead log into the file itself, as far as no reader holds it.
pub(super) fn publish(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Deletes what belongs to requests that arrived before a time in Unix milliseconds, then the oldest until what is left fits.
pub(super) fn retain(connection: &Connection, oldest: u64, max_bytes: u64) -> rusqlite::Result<()> {
    for table in ["feedback", "prompts"] {
        connection.execute(&format!("DELETE FROM {table} WHERE id < ?1"), [first_key(oldest)])?;
    }
    connection.execute("DELETE FROM arms WHERE saved < ?1", [i64::try_from(oldest).unwrap_or(i64::MAX)])?;
    let oldest_day = i64::try_from(oldest / 86_400_000).unwrap_or(i64::MAX);
    connection.execute("DELETE FROM accounts WHERE day < ?1", [oldest_day])?;
    retain_vectors(connection, MOST_VECTOR_BYTES)?;
    // Vectors first: they can be made again.
    while crate::sqlite::size(connection)?.used > max_bytes {
        if drop_vectors(connection)? == 0 {
            break;
        }
    }
    // Then prompts: they are large, and most of them nobody ever scores.
    for table in ["prompts", "feedback"] {
        let statement =
            format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?1)");
        while crate::sqlite::size(connection)?.used > max_bytes {
            if connection.execute(&statement, [SLICE])? == 0 {
                break;
            }
        }
    }
    connection.execute_batch("PRAGMA incremental_vacuum(1000)")
}
