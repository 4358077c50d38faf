//! The log in SQLite.
//!
//! Owns the table, its versions, inserts, search and retention. Must not know queues or threads. The table is clustered by a
//! number made of arrival time and id and has no further index: appends stay at the right edge of one tree, rows are not split
//! over overflow pages, and searches go by time anyway.

use crate::query::{Page, Query};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::path::Path;
use std::time::Duration;
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;

/// How long a statement waits for another process that holds the database.
const BUSY: Duration = Duration::from_millis(250);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL,
    key TEXT, route TEXT, provider TEXT, deployment TEXT, requested_model TEXT NOT NULL,
    outcome TEXT NOT NULL, status INTEGER NOT NULL, attempts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cost_nano_dollars INTEGER, cost_confidence TEXT NOT NULL,
    record TEXT NOT NULL, decision TEXT
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
";

/// The place of a record in the table: 41 bits of milliseconds, then 22 of the id's random bits. Nearly unique; the insert
/// moves on by one where it is not.
fn place(id: RequestId) -> i64 {
    let milliseconds = id.unix_milliseconds() & ((1 << 41) - 1);
    let random = id.seed() & ((1 << 22) - 1);
    i64::try_from((milliseconds << 22) | random).expect("63 bits fit")
}

/// The first place of a millisecond.
fn first_place(unix_milliseconds: u64) -> i64 {
    i64::try_from((unix_milliseconds & ((1 << 41) - 1)) << 22).expect("63 bits fit")
}

/// Opens the database for writing and brings its table up to date.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // `incremental` must be set before the first table exists to take effect without a full vacuum.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A killed process loses nothing with NORMAL; a killed machine may lose the last commits, never the database.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -2_000)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.execute_batch(SCHEMA)?;
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('schema', '1')", [])?;
    Ok(connection)
}

/// Opens the database for reading beside the writer.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

/// Inserts records in one transaction; ids that are already there are left alone, which makes a replay exactly-once.
pub(crate) fn insert(connection: &mut Connection, records: &mut [RequestRecord]) -> rusqlite::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT OR IGNORE INTO requests VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
        )?;
        let mut text = Vec::with_capacity(2_048);
        for record in records {
            // The decision is JSON already: in a column of its own it need not be quoted.
            let decision = record.decision.take();
            text.clear();
            let written = serde_json::to_writer(&mut text, record);
            record.decision = decision;
            written.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            let text = std::str::from_utf8(&text)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            let mut seq = place(record.id);
            while insert_one(&mut statement, seq, record, text)? == 0 {
                if is_at(&transaction, seq, record.id)? {
                    break;
                }
                seq = seq.saturating_add(1);
            }
        }
    }
    transaction.commit()
}

fn insert_one(
    statement: &mut rusqlite::CachedStatement<'_>,
    seq: i64,
    record: &RequestRecord,
    text: &str,
) -> rusqlite::Result<usize> {
    statement.execute(rusqlite::params![
        seq,
        &record.id.bits().to_be_bytes()[..],
        record.key.as_deref(),
        record.route.as_deref(),
        record.provider.as_deref(),
        record.deployment.as_deref(),
        &*record.requested_model,
        record.outcome.name(),
        record.status,
        signed(record.attempts.len() as u64),
        signed(record.usage.prompt()),
        signed(record.usage.completion()),
        record.cost.amount.map(trunkline_model::money::NanoDollars::nanos),
        record.cost.confidence.as_str(),
        text,
        record.decision.as_deref(),
    ])
}

/// Whether the record at a place is this one.
fn is_at(connection: &Connection, seq: i64, id: RequestId) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT id = ?2 FROM requests WHERE seq = ?1")?;
    statement.query_row(rusqlite::params![seq, &id.bits().to_be_bytes()[..]], |row| row.get(0))
}

/// Finds records, newest first.
pub(crate) fn search(connection: &Connection, query: &Query) -> rusqlite::Result<Page> {
    let (clause, values) = conditions(query);
    let limit = query.bounded_limit();
    let sql = format!("SELECT record, decision FROM requests{clause} ORDER BY seq DESC LIMIT {}", limit + 1);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    let mut records = Vec::new();
    for row in rows {
        let (text, decision) = row?;
        let mut record: RequestRecord = serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
        })?;
        record.decision = decision.map(String::into_boxed_str);
        records.push(record);
    }
    let more = records.len() > limit;
    records.truncate(limit);
    let next = if more { records.last().map(|record: &RequestRecord| record.id) } else { None };
    Ok(Page { records, next })
}

fn conditions(query: &Query) -> (String, Vec<Value>) {
    let mut clauses: Vec<&str> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut add = |clause: &'static str, value: Value| {
        clauses.push(clause);
        values.push(value);
    };
    if let Some(since) = query.since {
        add("seq >= ?", Value::Integer(first_place(since)));
    }
    if let Some(until) = query.until {
        add("seq < ?", Value::Integer(first_place(until)));
    }
    if let Some(before) = query.before {
        add("seq < ?", Value::Integer(place(before)));
    }
    if let Some(id) = query.id {
        // The place may have moved on by a few, never further than the end of the millisecond's neighbourhood.
        add("seq >= ?", Value::Integer(place(id)));
        add("seq < ?", Value::Integer(place(id).saturating_add(1_000)));
        add("id = ?", blob(id));
    }
    for (clause, value) in
        [("key = ?", &query.key), ("route = ?", &query.route), ("provider = ?", &query.provider)]
    {
        if let Some(value) = value {
            add(clause, Value::Text(value.clone()));
        }
    }
    if let Some(outcome) = query.outcome {
        add("outcome = ?", Value::Text(outcome.name().to_owned()));
    }
    if let Some(status) = query.status {
        add("status = ?", Value::Integer(i64::from(status)));
    }
    if let Some(part) = &query.model {
        add("instr(requested_model || ' ' || coalesce(deployment, ''), ?) > 0", Value::Text(part.clone()));
    }
    if query.failed_over {
        add("attempts > ?", Value::Integer(1));
    }
    if clauses.is_empty() {
        return (String::new(), values);
    }
    (format!(" WHERE {}", clauses.join(" AND ")), values)
}

/// Deletes records that arrived before a time, at most `most` of them; returns how many went.
pub(crate) fn delete_before(
    connection: &Connection,
    unix_milliseconds: u64,
    most: u32,
) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM requests WHERE seq IN (SELECT seq FROM requests WHERE seq < ?1 ORDER BY seq LIMIT ?2)",
        rusqlite::params![first_place(unix_milliseconds), most],
    )
}

/// Deletes the oldest records.
pub(crate) fn delete_oldest(connection: &Connection, most: u32) -> rusqlite::Result<usize> {
    connection
        .execute("DELETE FROM requests WHERE seq IN (SELECT seq FROM requests ORDER BY seq LIMIT ?1)", [most])
}

/// Bytes in use by the database, free pages not counted.
pub(crate) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(pages.saturating_mul(number("page_size")?)).unwrap_or(0))
}

/// Gives some of the free pages back to the file system.
pub(crate) fn shrink(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA incremental_vacuum(1000)")
}

fn blob(id: RequestId) -> Value {
    Value::Blob(id.bits().to_be_bytes().to_vec())
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
