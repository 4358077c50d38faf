//! The table of responses in SQLite.
//!
//! Owns its schema, reads, writes and retention. Must not know queues or threads. It is a file of its own beside the log: two
//! writers of one file would wait for each other.

use super::{StoredResponse, item_ids};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for another process that holds the database.
const BUSY: Duration = Duration::from_millis(500);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS responses (
    owner TEXT NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL, status TEXT NOT NULL,
    previous TEXT, deployment TEXT, provider TEXT, bytes INTEGER NOT NULL, object BLOB NOT NULL, input BLOB NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX IF NOT EXISTS responses_by_age ON responses (created);
CREATE TABLE IF NOT EXISTS items (
    owner TEXT NOT NULL, item TEXT NOT NULL, response TEXT NOT NULL, PRIMARY KEY (owner, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_response ON items (owner, response);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
";

/// What a response says that its process did not live to finish.
const INTERRUPTED: &str = "the gateway was restarted before the response was complete";

/// Opens the database, brings its tables up to date and ends what a process before this one left unfinished.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(SCHEMA)?;
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('schema', '1')", [])?;
    interrupt(&connection)?;
    Ok(connection)
}

fn interrupt(connection: &Connection) -> rusqlite::Result<()> {
    let unfinished = {
        let mut statement = connection
            .prepare("SELECT owner, id, object FROM responses WHERE status IN ('queued', 'in_progress')")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    for (owner, id, object) in unfinished {
        let mut object: serde_json::Value = serde_json::from_slice(&object).unwrap_or_default();
        if let Some(fields) = object.as_object_mut() {
            fields.insert("status".to_owned(), "failed".into());
            let error = serde_json::json!({"code": "server_error", "message": INTERRUPTED});
            fields.insert("error".to_owned(), error);
        }
        connection.execute(
            "UPDATE responses SET status = 'failed', object = ?3 WHERE owner = ?1 AND id = ?2",
            params![owner, id, object.to_string().into_bytes()],
        )?;
    }
    Ok(())
}

pub(super) fn put(connection: &Connection, response: &StoredResponse) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO responses VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")?
        .execute(params![
        response.owner,
        response.id,
        signed(response.created),
        response.status,
        response.previous,
        response.deployment,
        response.provider,
        signed(response.bytes() as u64),
        &response.object[..],
        &response.input[..],
    ])?;
    let mut statement = transaction.prepare_cached("INSERT OR REPLACE INTO items VALUES (?1, ?2, ?3)")?;
    for item in item_ids(&response.object) {
        statement.execute(params![response.owner, item, response.id])?;
    }
    drop(statement);
    transaction.commit()
}

pub(super) fn find(
    connection: &Connection,
    owner: &str,
    id: &str,
) -> rusqlite::Result<Option<StoredResponse>> {
    let mut statement = connection.prepare_cached(
        "SELECT created, status, previous, deployment, provider, object, input FROM responses WHERE owner = ?1 AND id = ?2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(StoredResponse {
            owner: owner.to_owned(),
            id: id.to_owned(),
            created: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            status: row.get(1)?,
            previous: row.get(2)?,
            deployment: row.get(3)?,
            provider: row.get(4)?,
            object: Bytes::from(row.get::<_, Vec<u8>>(5)?),
            input: Bytes::from(row.get::<_, Vec<u8>>(6)?),
        })
    };
    statement.query_row(params![owner, id], read).optional()
}

pub(super) fn response_of_item(
    connection: &Connection,
    owner: &str,
    item: &str,
) -> rusqlite::Result<Option<String>> {
    let mut statement =
        connection.prepare_cached("SELECT response FROM items WHERE owner = ?1 AND item = ?2")?;
    statement.query_row(params![owner, item], |row| row.get(0)).optional()
}

pub(super) fn delete(connection: &Connection, owner: &str, id: &str) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("DELETE FROM items WHERE owner = ?1 AND response = ?2", params![owner, id])?;
    transaction.execute("DELETE FROM responses WHERE owner = ?1 AND id = ?2", params![owner, id])?;
    transaction.commit()
}

/// Deletes what is older than a time in Unix seconds, then the oldest until what is left fits.
pub(super) fn retain(connection: &Connection, oldest: u64, max_bytes: u64) -> rusqlite::Result<()> {
    let doomed = |clause: &str, value: i64| -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = connection.prepare(&format!("SELECT owner, id FROM responses {clause}"))?;
        let rows = statement.query_map([value], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    for (owner, id) in doomed("WHERE created < ?1 LIMIT 20000", signed(oldest))? {
        delete(connection, &owner, &id)?;
    }
    let size = || {
        connection.query_row("SELECT coalesce(sum(bytes), 0) FROM responses", [], |row| row.get::<_, i64>(0))
    };
    let mut left = size()?;
    while left > signed(max_bytes) {
        let oldest = doomed("ORDER BY created, id LIMIT ?1", 1)?;
        let Some((owner, id)) = oldest.first() else { break };
        delete(connection, owner, id)?;
        left = size()?;
    }
    connection.execute_batch("PRAGMA incremental_vacuum(1000)")
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
