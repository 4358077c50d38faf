//! The tables of files and batches.
//!
//! Owns their form, what is done to them when a process opens them, and their size. Must not know what they are for.

use super::unsigned;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for another process that holds the database.
const BUSY: Duration = Duration::from_secs(5);

/// States of a line: 0 waiting, 1 under way, 2 succeeded, 3 errored, 4 canceled, 5 expired. A line under way with a `handover` is at a
/// provider's batch API, with an empty one about to be. Its `way` is 0 while it may go there, 1 once it is sent by itself.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, name TEXT NOT NULL,
    purpose TEXT NOT NULL, bytes INTEGER NOT NULL, complete INTEGER NOT NULL, batch TEXT, part INTEGER
);
CREATE INDEX IF NOT EXISTS files_by_owner ON files (owner, id);
CREATE TABLE IF NOT EXISTS chunks (file TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (file, number));
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, created INTEGER NOT NULL,
    expires INTEGER NOT NULL, started INTEGER, cancelling INTEGER, ended INTEGER, total INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0, errored INTEGER NOT NULL DEFAULT 0, canceled INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, input_file TEXT, output_file TEXT,
    error_file TEXT, details TEXT NOT NULL, errors TEXT
);
CREATE INDEX IF NOT EXISTS batches_by_owner ON batches (owner, kind, id);
CREATE INDEX IF NOT EXISTS batches_by_status ON batches (status);
CREATE TABLE IF NOT EXISTS lines (
    batch TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT NOT NULL, target TEXT NOT NULL, state INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, interrupted INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL DEFAULT 0,
    request BLOB, result BLOB, way INTEGER NOT NULL DEFAULT 0, handover TEXT, note TEXT, PRIMARY KEY (batch, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS lines_by_name ON lines (batch, custom_id);
CREATE INDEX IF NOT EXISTS lines_open ON lines (batch, state, number) WHERE state < 2;
CREATE TABLE IF NOT EXISTS handovers (
    id TEXT PRIMARY KEY, batch TEXT NOT NULL, deployment TEXT NOT NULL, state TEXT NOT NULL, made INTEGER NOT NULL, upstream TEXT,
    lines INTEGER NOT NULL, details TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
";

/// What databases of before lack, column by column.
const LATER: [(&str, &str, &str); 8] = [
    ("lines", "way", "INTEGER NOT NULL DEFAULT 0"),
    ("lines", "handover", "TEXT"),
    ("lines", "note", "TEXT"),
    ("batches", "metered", "INTEGER NOT NULL DEFAULT 0"),
    ("batches", "input_tokens", "INTEGER NOT NULL DEFAULT 0"),
    ("batches", "cached_tokens", "INTEGER NOT NULL DEFAULT 0"),
    ("batches", "output_tokens", "INTEGER NOT NULL DEFAULT 0"),
    ("batches", "reasoning_tokens", "INTEGER NOT NULL DEFAULT 0"),
];

/// Indexes over columns that databases of before lack.
const LATER_INDEXES: &str = "
CREATE INDEX IF NOT EXISTS lines_undecided ON lines (batch, number) WHERE state = 0 AND way = 0;
CREATE INDEX IF NOT EXISTS lines_handed ON lines (handover) WHERE handover IS NOT NULL AND state = 1;
";

/// What a process left behind that did not end by itself: files that were being uploaded, and lines that were being checked, which is
/// begun anew. A batch that came whole and was not taken in whole was never confirmed: it is forgotten.
const UNFINISHED: &str = "
DELETE FROM chunks WHERE file IN (SELECT id FROM files WHERE complete = 0);
DELETE FROM files WHERE complete = 0;
DELETE FROM lines WHERE batch IN (SELECT id FROM batches WHERE status = 'validating');
DELETE FROM batches WHERE status = 'validating' AND input_file IS NULL;
UPDATE batches SET total = 0, bytes = 0 WHERE status = 'validating';
";

/// Opens the database to write.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A result that is not on the disk is a line that is sent, and paid for, twice: every transaction waits for it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    prepare(&connection)?;
    Ok(connection)
}

/// Opens the database to read.
pub(super) fn read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// A database of this process alone.
pub(super) fn in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    for (table, column, form) in LATER {
        if !has(connection, table, column)? {
            connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {form}"))?;
        }
    }
    connection.execute_batch(LATER_INDEXES)?;
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('schema', '2') ON CONFLICT DO UPDATE SET value = '2'",
        [],
    )?;
    Ok(())
}

fn has(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let is_there = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
    connection.query_row(is_there, [table, column], |row| row.get(0))
}

/// Whether a database has every column there is today.
pub(super) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    for (table, column, _) in LATER {
        if !has(connection, table, column)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets what was not finished; nobody else may be in the middle of anything.
pub(super) fn forget_unfinished(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(UNFINISHED)?;
    transaction.commit()
}

/// Bytes of all files and batches.
pub(super) fn kept(connection: &Connection) -> rusqlite::Result<u64> {
    let sum = "SELECT (SELECT coalesce(sum(bytes), 0) FROM files WHERE batch IS NULL)
        + (SELECT coalesce(sum(bytes), 0) FROM batches)";
    connection.prepare_cached(sum)?.query_row([], |row| row.get::<_, i64>(0)).map(unsigned)
}
