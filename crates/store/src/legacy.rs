//! The table of the first schema: one row per record.
//!
//! Owns reading it and moving it over. Must not write to it. A database of gigabytes is not rewritten while a gateway starts:
//! the writer moves some rows every round, and searches look into both tables until the old one is empty and gone.

use crate::batch::Batch;
use crate::query::Query;
use crate::sqlite::{self, Repeats};
use rusqlite::{Connection, Row};
use trunkline_model::record::RequestRecord;

/// Its name.
pub(crate) const TABLE: &str = "requests";

/// Moves the oldest rows into blocks, in one transaction; returns whether there are more.
pub(crate) fn move_some(connection: &mut Connection, most: u32) -> rusqlite::Result<bool> {
    if !sqlite::has_table(connection, TABLE)? {
        return Ok(false);
    }
    let transaction = connection.transaction()?;
    let mut last = None;
    let mut records = Vec::new();
    {
        let mut statement =
            transaction.prepare("SELECT record, decision, seq FROM requests ORDER BY seq LIMIT ?1")?;
        let mut rows = statement.query([most])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get::<_, i64>(2)?);
            match read(row) {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::warn!(%error, "a record of the old log cannot be read and is left out")
                }
            }
        }
    }
    match last {
        Some(last) => {
            let batch = Batch::of(&mut records).map_err(sqlite::unwritable)?;
            sqlite::insert_blocks(&transaction, &batch.records(0..batch.len()), Repeats::Impossible)?;
            transaction.execute("DELETE FROM requests WHERE seq <= ?1", [last])?;
        }
        None => transaction.execute_batch("DROP TABLE requests")?,
    }
    transaction.commit()?;
    Ok(last.is_some())
}

/// Finds records, newest first.
pub(crate) fn search(
    connection: &Connection,
    query: &Query,
    wanted: usize,
) -> rusqlite::Result<Vec<RequestRecord>> {
    let (oldest, newest) = sqlite::stretch(query);
    let mut statement = connection.prepare_cached(
        "SELECT record, decision FROM requests WHERE seq >= ?1 AND seq < ?2 ORDER BY seq DESC",
    )?;
    let bounds = (sqlite::first_place(oldest), sqlite::first_place(newest.saturating_add(1)));
    let mut rows = statement.query(bounds)?;
    let mut records = Vec::new();
    while records.len() < wanted
        && let Some(row) = rows.next()?
    {
        let record = read(row)?;
        if query.matches(&record) {
            records.push(record);
        }
    }
    Ok(records)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RequestRecord> {
    let mut record: RequestRecord = serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    record.decision = row.get::<_, Option<String>>(1)?.map(String::into_boxed_str);
    Ok(record)
}
