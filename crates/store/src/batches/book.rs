//! Batches as a whole.
//!
//! Owns their making, lists, cancellation, deletion and age. Must not touch single lines but to delete them all.

use super::files::forget;
use super::{
    BatchCounts, BatchStats, BatchStatus, BatchStoreError, BatchTimes, BatchUsage, Batches, LineUsage,
    StoredBatch, signed, unsigned,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

const COLUMNS: &str =
    "id, owner, kind, status, created, expires, started, cancelling, ended, total, succeeded, errored,
    canceled, expired, input_file, output_file, error_file, details, errors, metered, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens";

/// Which batches are listed, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchQuery {
    /// Only of this owner.
    pub owner: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only older than the batch of this id.
    pub after: Option<String>,
    /// Only newer than the batch of this id: those next to it.
    pub before: Option<String>,
    /// Batches at the most.
    pub limit: usize,
}

/// What became of a wish to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// There was nothing of that id.
    Unknown,
    /// It is not over yet.
    Busy,
}

impl Batches {
    /// Adds a batch.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn create(&self, batch: &StoredBatch) -> Result<(), BatchStoreError> {
        let insert = "INSERT INTO batches (id, owner, kind, status, created, expires, input_file, details)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let values = params![
            batch.id,
            batch.owner,
            batch.kind,
            batch.status.name(),
            signed(batch.times.created),
            signed(batch.times.expires),
            batch.input_file,
            batch.details,
        ];
        let written = self.writer().execute(insert, values);
        written.map(|_| ()).map_err(|source| self.failed(source))
    }

    /// A batch of an owner.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn batch(&self, owner: &str, id: &str) -> Result<Option<StoredBatch>, BatchStoreError> {
        let found = find(&self.reader(), id).map_err(|source| self.failed(source))?;
        Ok(found.filter(|batch| batch.owner == owner))
    }

    /// Batches, newest first, and whether there are more in that direction.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(&self, query: &BatchQuery) -> Result<(Vec<StoredBatch>, bool), BatchStoreError> {
        let backwards = query.before.is_some();
        let order = if backwards { "ASC" } else { "DESC" };
        let select = format!(
            "SELECT {COLUMNS} FROM batches WHERE (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR kind = ?2)
             AND (?3 IS NULL OR id < ?3) AND (?4 IS NULL OR id > ?4) ORDER BY id {order} LIMIT ?5"
        );
        let connection = self.reader();
        let limit = signed(query.limit as u64 + 1);
        let search = || {
            let mut statement = connection.prepare_cached(&select)?;
            let values = params![query.owner, query.kind, query.after, query.before, limit];
            statement.query_map(values, read)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut batches = search().map_err(|source| self.failed(source))?;
        let has_more = batches.len() > query.limit;
        batches.truncate(query.limit);
        if backwards {
            batches.reverse();
        }
        Ok((batches, has_more))
    }

    /// Batches that are not over, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_batches(&self) -> Result<Vec<StoredBatch>, BatchStoreError> {
        let select = format!(
            "SELECT {COLUMNS} FROM batches WHERE status IN ('validating', 'in_progress', 'cancelling') ORDER BY id"
        );
        let connection = self.writer();
        let search = || {
            let mut statement = connection.prepare_cached(&select)?;
            statement.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        search().map_err(|source| self.failed(source))
    }

    /// Tells a batch of an owner to stop; one that is over stays as it is. `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn cancel(&self, owner: &str, id: &str, now: u64) -> Result<Option<StoredBatch>, BatchStoreError> {
        let connection = self.writer();
        let cancel = || {
            let update = "UPDATE batches SET status = 'cancelling', cancelling = ?3
                WHERE id = ?1 AND owner = ?2 AND status IN ('validating', 'in_progress')";
            connection.execute(update, params![id, owner, signed(now)])?;
            find(&connection, id)
        };
        let found = cancel().map_err(|source| self.failed(source))?;
        Ok(found.filter(|batch| batch.owner == owner))
    }

    /// Deletes a batch of an owner that is over, with its results.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn delete(&self, owner: &str, id: &str) -> Result<Deletion, BatchStoreError> {
        let connection = self.writer();
        let delete = || {
            let found = find(&connection, id)?.filter(|batch| batch.owner == owner);
            match found {
                None => Ok(Deletion::Unknown),
                Some(batch) if !batch.status.is_over() => Ok(Deletion::Busy),
                Some(batch) => erase(&connection, &batch).map(|()| Deletion::Done),
            }
        };
        delete().map_err(|source| self.failed(source))
    }

    /// Deletes files whose time has come and batches that were made before a moment, in Unix seconds. Batches that are not over
    /// stay. A bounded number at a time: call it again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn retain(&self, now: u64, oldest: u64) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        let retain = || {
            let names = |select: &str, moment: u64| {
                let mut statement = connection.prepare_cached(select)?;
                let rows = statement.query_map([signed(moment)], |row| row.get::<_, String>(0))?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            };
            let files =
                "SELECT id FROM files WHERE complete = 1 AND batch IS NULL AND expires <= ?1 LIMIT 100";
            for id in names(files, now)? {
                let transaction = connection.unchecked_transaction()?;
                forget(&transaction, &id)?;
                transaction.commit()?;
            }
            let batches = "SELECT id FROM batches WHERE created < ?1 AND ended IS NOT NULL LIMIT 100";
            for id in names(batches, oldest)? {
                if let Some(batch) = find(&connection, &id)? {
                    erase(&connection, &batch)?;
                }
            }
            connection.execute_batch("PRAGMA incremental_vacuum(1000)")
        };
        retain().map_err(|source| self.failed(source))
    }

    /// Figures for metrics.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stats(&self) -> Result<BatchStats, BatchStoreError> {
        let connection = self.reader();
        let count = || {
            let select = "SELECT count(*), coalesce(sum(total - succeeded - errored - canceled - expired), 0)
                FROM batches WHERE status IN ('validating', 'in_progress', 'cancelling')";
            let (open, lines) = connection
                .prepare_cached(select)?
                .query_row([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
            Ok(BatchStats { open, lines, bytes: super::schema::kept(&connection)? })
        };
        count().map_err(|source| self.failed(source))
    }
}

fn erase(connection: &Connection, batch: &StoredBatch) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("DELETE FROM lines WHERE batch = ?1", [&batch.id])?;
    transaction.execute("DELETE FROM files WHERE batch = ?1", [&batch.id])?;
    transaction.execute("DELETE FROM batches WHERE id = ?1", [&batch.id])?;
    transaction.commit()
}

pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<StoredBatch>> {
    let select = format!("SELECT {COLUMNS} FROM batches WHERE id = ?1");
    connection.prepare_cached(&select)?.query_row([id], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredBatch> {
    let number = |column: usize| row.get::<_, i64>(column).map(unsigned);
    let maybe = |column: usize| row.get::<_, Option<i64>>(column).map(|value| value.map(unsigned));
    Ok(StoredBatch {
        id: row.get(0)?,
        owner: row.get(1)?,
        kind: row.get(2)?,
        status: BatchStatus::read(&row.get::<_, String>(3)?),
        times: BatchTimes {
            created: number(4)?,
            expires: number(5)?,
            started: maybe(6)?,
            cancelling: maybe(7)?,
            ended: maybe(8)?,
        },
        counts: BatchCounts {
            total: number(9)?,
            succeeded: number(10)?,
            errored: number(11)?,
            canceled: number(12)?,
            expired: number(13)?,
        },
        usage: BatchUsage {
            metered: number(19)?,
            sum: LineUsage {
                input: number(20)?,
                cached: number(21)?,
                output: number(22)?,
                reasoning: number(23)?,
            },
        },
        input_file: row.get(14)?,
        output_file: row.get(15)?,
        error_file: row.get(16)?,
        details: row.get(17)?,
        errors: row.get(18)?,
    })
}
