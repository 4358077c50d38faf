//! The lines of batches, from their first check to their last result.
//!
//! Owns every change of a line's state, each in one transaction with the counts of its batch. Must not decide when a line may be
//! sent. Lines are handed out to one taker at a time, a few from each batch in turn, so that a long batch does not keep a short
//! one waiting.

use super::book::find;
use super::handover::forget_gathered;
use super::{
    BatchStatus, BatchStoreError, Batches, ClaimedLine, LineEnd, LineUsage, NewLine, Results, StoredBatch,
    signed, unsigned,
};
use bytes::Bytes;
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// Lines given up in one transaction.
const GIVEN_UP_AT_ONCE: usize = 1_000;

/// The files a batch gets at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFiles {
    /// The id of the file of answers, if there is any answer.
    pub output: String,
    /// The id of the file of errors, if there is any error.
    pub errors: String,
    /// When they go, in Unix seconds.
    pub expires: Option<u64>,
}

/// What keeps a line back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutBack {
    /// When it may be handed out again, in Unix milliseconds.
    pub not_before: u64,
    /// It was sent, and the answer was one to try again after.
    pub attempted: bool,
}

impl Batches {
    /// Adds lines to a batch that is being checked, to another none; returns the numbers of those whose `custom_id` the batch has already.
    ///
    /// # Errors
    /// When there is no room, or the database cannot be written.
    pub fn add_lines(&self, batch: &str, lines: &[NewLine]) -> Result<Vec<u64>, BatchStoreError> {
        let connection = self.writer();
        let bytes: u64 = lines.iter().map(|line| line.request.len() as u64).sum();
        self.room(&connection, bytes)?;
        let add = || {
            let transaction = connection.unchecked_transaction()?;
            let mut twice = Vec::new();
            let is_checked = "SELECT EXISTS (SELECT 1 FROM batches WHERE id = ?1 AND status = 'validating')";
            if !transaction.query_row(is_checked, [batch], |row| row.get::<_, bool>(0))? {
                return Ok(twice);
            }
            let mut insert = transaction.prepare_cached(
                "INSERT OR IGNORE INTO lines (batch, number, custom_id, target, state, request) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            )?;
            for line in lines {
                let values =
                    params![batch, signed(line.number), line.custom_id, line.target, &line.request[..]];
                if insert.execute(values)? == 0 {
                    twice.push(line.number);
                }
            }
            drop(insert);
            let grow = "UPDATE batches SET total = total + ?2, bytes = bytes + ?3 WHERE id = ?1";
            transaction.execute(grow, params![batch, signed(lines.len() as u64), signed(bytes)])?;
            transaction.commit()?;
            Ok(twice)
        };
        add().map_err(|source| self.failed(source))
    }

    /// Forgets the lines of a batch that is being checked: a check that broke off begins anew.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn clear_lines(&self, batch: &str) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        let clear = || {
            let transaction = connection.unchecked_transaction()?;
            let reset = "UPDATE batches SET total = 0, bytes = 0 WHERE id = ?1 AND status = 'validating'";
            if transaction.execute(reset, [batch])? > 0 {
                transaction.execute("DELETE FROM lines WHERE batch = ?1", [batch])?;
            }
            transaction.commit()
        };
        clear().map_err(|source| self.failed(source))
    }

    /// Lets a batch's lines be handed out, unless it was cancelled meanwhile.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn start(&self, batch: &str, now: u64, details: &str) -> Result<(), BatchStoreError> {
        let update = "UPDATE batches SET status = 'in_progress', started = ?2, details = ?3
            WHERE id = ?1 AND status = 'validating'";
        let written = self.writer().execute(update, params![batch, signed(now), details]);
        written.map(|_| ()).map_err(|source| self.failed(source))
    }

    /// Ends a batch whose lines are wrong; they are forgotten.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn fail(&self, batch: &str, now: u64, errors: &str) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        let fail = || {
            let transaction = connection.unchecked_transaction()?;
            let update = "UPDATE batches SET status = 'failed', ended = ?2, errors = ?3, total = 0, bytes = 0
                WHERE id = ?1 AND status = 'validating'";
            if transaction.execute(update, params![batch, signed(now), errors])? > 0 {
                transaction.execute("DELETE FROM lines WHERE batch = ?1", [batch])?;
            }
            transaction.commit()
        };
        fail().map_err(|source| self.failed(source))
    }

    /// Hands out lines that wait, marked as under way, from each of some batches in turn: only of batches that the caller knows, since
    /// what is handed out and not sent would be under way for ever. `now` is in Unix milliseconds, `held` are targets that get nothing,
    /// and of the `undecided` batches only lines are handed out that will not go to a provider's own batch API.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn claim(
        &self,
        now: u64,
        batches: &[String],
        held: &HashSet<String>,
        undecided: &HashSet<String>,
        limit: usize,
    ) -> Result<Vec<ClaimedLine>, BatchStoreError> {
        let connection = self.writer();
        let claim = || {
            let transaction = connection.unchecked_transaction()?;
            let mut mark =
                transaction.prepare_cached("UPDATE lines SET state = 1 WHERE batch = ?1 AND number = ?2")?;
            let mut lines = Vec::new();
            // A fair share of each first, then what is left to whoever has more.
            for is_shared in [true, false] {
                for (place, batch) in batches.iter().enumerate() {
                    let left = limit - lines.len();
                    if left == 0 {
                        break;
                    }
                    let share = if is_shared { left.div_ceil(batches.len() - place) } else { left };
                    let way = if undecided.contains(batch) { 1 } else { 0 };
                    let found = waiting(&transaction, batch, now, held, way, share)?;
                    for line in &found {
                        mark.execute(params![line.batch, signed(line.number)])?;
                    }
                    lines.extend(found);
                }
            }
            drop(mark);
            transaction.commit()?;
            Ok(lines)
        };
        claim().map_err(|source| self.failed(source))
    }

    /// Puts a line that was handed out back into the queue.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn put_back(&self, batch: &str, number: u64, back: PutBack) -> Result<(), BatchStoreError> {
        let update = "UPDATE lines SET state = 0, not_before = ?3, attempts = attempts + ?4
            WHERE batch = ?1 AND number = ?2 AND state = 1";
        let values = params![batch, signed(number), signed(back.not_before), i64::from(back.attempted)];
        let written = self.writer().execute(update, values);
        written.map(|_| ()).map_err(|source| self.failed(source))
    }

    /// Writes the result of a line that was handed out, and its tokens where they are known. Its request is forgotten.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn finish_line(
        &self,
        batch: &str,
        number: u64,
        end: LineEnd,
        result: &[u8],
        usage: Option<LineUsage>,
    ) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        let finish = || {
            let transaction = connection.unchecked_transaction()?;
            finish(&transaction, batch, number, end, result, usage)?;
            transaction.commit()
        };
        finish().map_err(|source| self.failed(source))
    }

    /// Gives up all lines of a batch that wait, each with a result made from its number and name.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn give_up(
        &self,
        batch: &str,
        end: LineEnd,
        result: impl Fn(u64, &str) -> Vec<u8>,
    ) -> Result<(), BatchStoreError> {
        loop {
            // The lock is taken anew each time: results of lines under way are written in between.
            let connection = self.writer();
            let some = || {
                let transaction = connection.unchecked_transaction()?;
                let select = format!(
                    "SELECT number, custom_id FROM lines WHERE batch = ?1 AND state = 0 ORDER BY number LIMIT {GIVEN_UP_AT_ONCE}"
                );
                let lines = {
                    let mut statement = transaction.prepare_cached(&select)?;
                    let rows = statement
                        .query_map([batch], |row| Ok((unsigned(row.get(0)?), row.get::<_, String>(1)?)))?;
                    rows.collect::<rusqlite::Result<Vec<_>>>()?
                };
                for (number, custom_id) in &lines {
                    finish(&transaction, batch, *number, end, &result(*number, custom_id), None)?;
                }
                transaction.commit()?;
                Ok(lines.len())
            };
            if some().map_err(|source| self.failed(source))? < GIVEN_UP_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Ends a batch of which no line is open: cancelled if it was told to stop, expired if its time ran out, else completed.
    /// Tells whether it did.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn conclude(
        &self,
        batch: &str,
        now: u64,
        files: Option<&ResultFiles>,
    ) -> Result<bool, BatchStoreError> {
        let connection = self.writer();
        let conclude = || {
            let Some(found) = find(&connection, batch)? else { return Ok(false) };
            let status = match found.status {
                BatchStatus::Cancelling => BatchStatus::Cancelled,
                BatchStatus::InProgress if found.counts.expired > 0 => BatchStatus::Expired,
                BatchStatus::InProgress => BatchStatus::Completed,
                _ => return Ok(false),
            };
            let open = "SELECT EXISTS (SELECT 1 FROM lines WHERE batch = ?1 AND state < 2)";
            if connection.query_row(open, [batch], |row| row.get::<_, bool>(0))? {
                return Ok(false);
            }
            let transaction = connection.unchecked_transaction()?;
            let (mut output, mut errors) = (None, None);
            if let Some(files) = files {
                output =
                    results(&transaction, &found, &files.output, Results::Succeeded, now, files.expires)?;
                errors = results(&transaction, &found, &files.errors, Results::Failed, now, files.expires)?;
            }
            let update =
                "UPDATE batches SET status = ?2, ended = ?3, output_file = ?4, error_file = ?5 WHERE id = ?1";
            transaction.execute(update, params![batch, status.name(), signed(now), output, errors])?;
            transaction.commit()?;
            Ok(true)
        };
        conclude().map_err(|source| self.failed(source))
    }

    /// Puts everything that is under way back into the queue, marked as interrupted: nobody waits for it any more. What is at a provider
    /// stays there. A process that does not drain the queue changes nothing.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn interrupt(&self) -> Result<usize, BatchStoreError> {
        if !self.is_owner() {
            return Ok(0);
        }
        let update = "UPDATE lines SET state = 0, attempts = attempts + 1, interrupted = interrupted + 1, not_before = 0
            WHERE state = 1 AND handover IS NULL";
        let connection = self.writer();
        let put_back = || {
            forget_gathered(&connection)?;
            connection.execute(update, [])
        };
        put_back().map_err(|source| self.failed(source))
    }
}

fn waiting(
    connection: &Connection,
    batch: &str,
    now: u64,
    held: &HashSet<String>,
    least_way: i64,
    limit: usize,
) -> rusqlite::Result<Vec<ClaimedLine>> {
    let select = "SELECT number, custom_id, target, request, attempts, interrupted FROM lines
        WHERE batch = ?1 AND state = 0 AND not_before <= ?2 AND way >= ?3
        AND EXISTS (SELECT 1 FROM batches WHERE id = ?1 AND status = 'in_progress') ORDER BY number";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(params![batch, signed(now), least_way])?;
    let mut lines = Vec::new();
    while lines.len() < limit {
        let Some(row) = rows.next()? else { break };
        let target: String = row.get(2)?;
        if held.contains(&target) {
            continue;
        }
        lines.push(ClaimedLine {
            batch: batch.to_owned(),
            number: unsigned(row.get(0)?),
            custom_id: row.get(1)?,
            target,
            request: Bytes::from(row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default()),
            attempts: row.get(4)?,
            interrupted: row.get(5)?,
        });
    }
    Ok(lines)
}

pub(super) fn finish(
    connection: &Connection,
    batch: &str,
    number: u64,
    end: LineEnd,
    result: &[u8],
    usage: Option<LineUsage>,
) -> rusqlite::Result<()> {
    let size =
        "SELECT coalesce(length(request), 0) FROM lines WHERE batch = ?1 AND number = ?2 AND state < 2";
    let mut statement = connection.prepare_cached(size)?;
    let mut rows = statement.query(params![batch, signed(number)])?;
    // A line that has its result keeps it.
    let Some(row) = rows.next()? else { return Ok(()) };
    let request: i64 = row.get(0)?;
    drop(rows);
    connection
        .prepare_cached(
            "UPDATE lines SET state = ?3, result = ?4, request = NULL WHERE batch = ?1 AND number = ?2",
        )?
        .execute(params![batch, signed(number), end.state(), result])?;
    let column = end.column();
    let count =
        format!("UPDATE batches SET {column} = {column} + 1, bytes = max(0, bytes + ?2 - ?3) WHERE id = ?1");
    let values = params![batch, signed(result.len() as u64), request];
    connection.prepare_cached(&count)?.execute(values)?;
    if let Some(LineUsage { input, cached, output, reasoning }) = usage {
        let add = "UPDATE batches SET metered = metered + 1, input_tokens = input_tokens + ?2, cached_tokens = cached_tokens + ?3,
            output_tokens = output_tokens + ?4, reasoning_tokens = reasoning_tokens + ?5 WHERE id = ?1";
        let values = params![batch, signed(input), signed(cached), signed(output), signed(reasoning)];
        connection.prepare_cached(add)?.execute(values)?;
    }
    Ok(())
}

/// Makes the file of some results, if there are any.
fn results(
    connection: &Connection,
    batch: &StoredBatch,
    id: &str,
    which: Results,
    now: u64,
    expires: Option<u64>,
) -> rusqlite::Result<Option<String>> {
    let select = format!(
        "SELECT count(*), coalesce(sum(length(result) + 1), 0) FROM lines
         WHERE batch = ?1 AND state IN {} AND result IS NOT NULL",
        which.states()
    );
    let (lines, bytes) = connection
        .query_row(&select, [&batch.id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    if lines == 0 {
        return Ok(None);
    }
    let (part, name) = if which == Results::Failed { (1, "error") } else { (0, "output") };
    let insert = "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, 'batch_output', ?6, 1, ?7, ?8)";
    let name = format!("{}_{name}.jsonl", batch.id);
    let values = params![id, batch.owner, signed(now), expires.map(signed), name, bytes, batch.id, part];
    connection.execute(insert, values)?;
    Ok(Some(id.to_owned()))
}
