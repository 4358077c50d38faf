//! The log in SQLite.
//!
//! Owns the table of blocks, inserts, search and retention. Must not know queues or threads. A row is a block of records
//! (see `block`) under the place of its newest one, and there is no further index: appends stay at the right edge of one tree,
//! and since no block spans more than a few seconds, searches by time touch only the blocks they need.

use crate::batch::Written;
use crate::block::{self, BlockError, Packer, SPAN, Sealed};
use crate::legacy;
use crate::query::{Needles, Page, Query};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;

/// The version of the tables that this code writes: 1 had a row per record, 2 has blocks.
pub(crate) const SCHEMA: u32 = 2;

/// How long a statement waits for another process that holds the database.
const BUSY: Duration = Duration::from_millis(250);

/// Bytes of a page in a new database: a packed block fills a few of them.
const PAGE: u32 = 8_192;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS blocks (
    last INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
";

/// Whether some of the records to insert may be in the database already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// After a crash, or after a write that failed without saying how far it came.
    Possible,
    /// Fresh from the queue.
    Impossible,
}

/// The place of a block in the table: 41 bits of the milliseconds of its newest record, then 22 of that id's random bits.
/// Nearly unique; the insert moves on by one where it is not.
fn place(id: RequestId) -> i64 {
    let milliseconds = id.unix_milliseconds() & ((1 << 41) - 1);
    let random = id.seed() & ((1 << 22) - 1);
    i64::try_from((milliseconds << 22) | random).expect("63 bits fit")
}

/// The first place of a millisecond.
pub(crate) fn first_place(unix_milliseconds: u64) -> i64 {
    i64::try_from((unix_milliseconds.min((1 << 41) - 1)) << 22).expect("63 bits fit")
}

/// The millisecond of a place.
fn milliseconds(place: i64) -> u64 {
    u64::try_from(place).unwrap_or(0) >> 22
}

/// Opens the database for writing and makes its tables.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // These two take effect only before the first table exists.
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A killed process loses nothing with NORMAL; a killed machine may lose the last commits, never the database.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -4_000)?;
    connection.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    // What a long search made the write-ahead log grow by is given back.
    connection.pragma_update(None, "journal_size_limit", 64_000_000)?;
    connection.execute_batch(TABLES)?;
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('schema', '2')", [])?;
    connection.execute("UPDATE meta SET value = '2' WHERE name = 'schema' AND value = '1'", [])?;
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

/// The version of the tables in a database; `None` when nobody has written one.
pub(crate) fn schema(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    if !has_table(connection, "meta")? {
        return Ok(None);
    }
    let value: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0))
        .optional()?;
    Ok(value.and_then(|text| text.parse().ok()))
}

/// Whether a table is there.
pub(crate) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")?;
    statement.exists([name])
}

/// Inserts records in one transaction. Where repeats are possible, ids that are already there are left alone, which makes
/// a replay exactly-once.
pub(crate) fn insert(
    connection: &mut Connection,
    records: &[Written<'_>],
    repeats: Repeats,
) -> rusqlite::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    insert_blocks(&transaction, records, repeats)?;
    transaction.commit()
}

/// Inserts records into the transaction that is open.
pub(crate) fn insert_blocks(
    connection: &Connection,
    records: &[Written<'_>],
    repeats: Repeats,
) -> rusqlite::Result<()> {
    let mut order = records.to_vec();
    // Almost in order as it comes.
    order.sort_by_key(|record| record.id);
    if repeats == Repeats::Possible {
        order.dedup_by_key(|record| record.id);
        forget_known(connection, &mut order)?;
    }
    let mut packer = Packer::default();
    for record in order {
        if !packer.takes(record.id) {
            insert_block(connection, packer.seal().map_err(unwritable)?)?;
        }
        packer.push(record);
    }
    insert_block(connection, packer.seal().map_err(unwritable)?)
}

fn insert_block(connection: &Connection, sealed: Option<Sealed<'_>>) -> rusqlite::Result<()> {
    let Some(sealed) = sealed else { return Ok(()) };
    let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO blocks VALUES (?1, ?2, ?3, ?4)")?;
    let mut last = place(sealed.last);
    let first = i64::try_from(sealed.first).unwrap_or(i64::MAX);
    while statement.execute(rusqlite::params![last, first, sealed.count, sealed.body])? == 0 {
        last = last.saturating_add(1);
    }
    Ok(())
}

/// Takes out what the database has already. The ids are sorted; they are looked up in runs no longer than a block's span, so
/// that only blocks which can hold them are unpacked.
fn forget_known(connection: &Connection, order: &mut Vec<Written<'_>>) -> rusqlite::Result<()> {
    let mut known = HashSet::new();
    let mut rest = order.as_slice();
    while let Some(first) = rest.first() {
        let first = first.id.unix_milliseconds();
        let run = rest.partition_point(|record| record.id.unix_milliseconds() - first <= SPAN);
        let (run, later) = rest.split_at(run);
        let last = run.last().map_or(first, |record| record.id.unix_milliseconds());
        let wanted: HashSet<RequestId> = run.iter().map(|record| record.id).collect();
        overlapping(connection, first, last, |id| {
            if wanted.contains(&id) {
                known.insert(id);
            }
        })?;
        rest = later;
    }
    if !known.is_empty() {
        order.retain(|record| !known.contains(&record.id));
    }
    Ok(())
}

/// Shows every id of the blocks that touch a stretch of time.
fn overlapping(
    connection: &Connection,
    first: u64,
    last: u64,
    mut show: impl FnMut(RequestId),
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT body FROM blocks WHERE last >= ?1 AND last < ?2 AND first <= ?3")?;
    let bounds = (first_place(first), first_place(last + SPAN + 1), i64::try_from(last).unwrap_or(i64::MAX));
    let mut rows = statement.query(bounds)?;
    let mut raw = Vec::new();
    while let Some(row) = rows.next()? {
        block::unpack(row.get_ref(0)?.as_blob()?, &mut raw).map_err(unreadable)?;
        for entry in block::entries(&raw) {
            show(entry.map_err(unreadable)?.id);
        }
    }
    Ok(())
}

/// Finds records, newest first.
pub(crate) fn search(connection: &Connection, query: &Query) -> rusqlite::Result<Page> {
    // One view of both tables, while the writer moves records from one to the other.
    let view = connection.unchecked_transaction()?;
    let limit = query.bounded_limit();
    let mut records = Vec::new();
    if has_table(&view, "blocks")? {
        records = search_blocks(&view, query, limit + 1)?;
    }
    if has_table(&view, legacy::TABLE)? {
        records.extend(legacy::search(&view, query, limit + 1)?);
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        records.dedup_by_key(|record| record.id);
    }
    let more = records.len() > limit;
    records.truncate(limit);
    let next = if more { records.last().map(|record| record.id) } else { None };
    Ok(Page { records, next })
}

/// Blocks come by their newest record, but may reach back behind the next one's: a record is settled once no block that is
/// still to come can hold a newer one. What waits is bounded by what is wanted.
fn search_blocks(
    connection: &Connection,
    query: &Query,
    wanted: usize,
) -> rusqlite::Result<Vec<RequestRecord>> {
    let (oldest, newest) = stretch(query);
    let mut statement = connection.prepare_cached(
        "SELECT last, body FROM blocks WHERE last >= ?1 AND last < ?2 AND first <= ?3 ORDER BY last DESC",
    )?;
    let past = first_place(newest.saturating_add(SPAN + 1));
    let bounds = (first_place(oldest), past, i64::try_from(newest).unwrap_or(i64::MAX));
    let mut rows = statement.query(bounds)?;
    let needles = Needles::new(query);
    let mut settled = Vec::new();
    let mut waiting: BTreeMap<RequestId, RequestRecord> = BTreeMap::new();
    let mut raw = Vec::new();
    while let Some(row) = rows.next()? {
        let bound = milliseconds(row.get(0)?);
        while settled.len() < wanted
            && let Some(newest) = waiting.last_entry()
            && newest.key().unix_milliseconds() > bound
        {
            settled.push(newest.remove());
        }
        if settled.len() >= wanted {
            return Ok(settled);
        }
        block::unpack(row.get_ref(1)?.as_blob()?, &mut raw).map_err(unreadable)?;
        for entry in block::entries(&raw) {
            let entry = entry.map_err(unreadable)?;
            if !needles.all_in(&entry) {
                continue;
            }
            let record = entry.read().map_err(unreadable)?;
            if query.matches(&record) {
                waiting.insert(record.id, record);
                if waiting.len() > wanted - settled.len() {
                    waiting.pop_first();
                }
            }
        }
    }
    settled.extend(waiting.into_values().rev().take(wanted - settled.len()));
    Ok(settled)
}

/// The arrival times that a query can be answered with, both inclusive.
pub(crate) fn stretch(query: &Query) -> (u64, u64) {
    let mut oldest = query.since.unwrap_or(0);
    let mut newest = query.until.map_or(u64::MAX, |until| until.saturating_sub(1));
    if let Some(before) = query.before {
        newest = newest.min(before.unix_milliseconds());
    }
    if let Some(id) = query.id {
        oldest = oldest.max(id.unix_milliseconds());
        newest = newest.min(id.unix_milliseconds());
    }
    (oldest, newest)
}

/// Deletes blocks whose newest record arrived before a time, at most `most` of them; returns how many records went.
pub(crate) fn delete_before(
    connection: &Connection,
    unix_milliseconds: u64,
    most: u32,
) -> rusqlite::Result<u64> {
    delete(connection, first_place(unix_milliseconds), most)
}

/// Deletes the oldest blocks; returns how many records went.
pub(crate) fn delete_oldest(connection: &Connection, most: u32) -> rusqlite::Result<u64> {
    delete(connection, i64::MAX, most)
}

fn delete(connection: &Connection, before: i64, most: u32) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM blocks WHERE last IN (SELECT last FROM blocks WHERE last < ?1 ORDER BY last LIMIT ?2)
         RETURNING count",
    )?;
    let mut rows = statement.query(rusqlite::params![before, most])?;
    let mut deleted = 0;
    while let Some(row) = rows.next()? {
        deleted += row.get::<_, u32>(0).map(u64::from)?;
    }
    Ok(deleted)
}

/// What a database takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes in use.
    pub(crate) used: u64,
    /// Bytes of pages that wait to be used again.
    pub(crate) free: u64,
}

/// The size of the database, its write-ahead log apart.
pub(crate) fn size(connection: &Connection) -> rusqlite::Result<Size> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = number("page_size")?;
    let free = number("freelist_count")?;
    let bytes = |pages: i64| u64::try_from(pages.saturating_mul(page)).unwrap_or(0);
    Ok(Size { used: bytes(number("page_count")? - free), free: bytes(free) })
}

/// Gives some of the free pages back to the file system.
pub(crate) fn shrink(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA incremental_vacuum(1000)")
}

pub(crate) fn unwritable(error: BlockError) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

fn unreadable(error: BlockError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
}
