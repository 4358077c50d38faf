//! Lines that were handed over to a provider's own batch API, and the handovers they went with.
//!
//! Owns the marks that make this safe: lines are bound to a handover in the transaction that writes it down, before anything is sent,
//! and each gets its result, or goes back into the queue, in one transaction of its own. Must not know how a provider is asked, nor
//! when. A handover outlives its lines until what it left at the provider is deleted.

use super::queue::finish;
use super::{BatchStoreError, Batches, ClaimedLine, LineEnd, LineUsage, signed, unsigned};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// How far a handover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoverState {
    /// It is written down; the provider may or may not have it.
    Preparing,
    /// The provider has it, under a name that is known.
    Submitted,
    /// It is over there; results are being fetched.
    Fetching,
    /// Every line has its result or is back in the queue; what is left at the provider is to be deleted.
    Over,
}

impl HandoverState {
    const ALL: [Self; 4] = [Self::Preparing, Self::Submitted, Self::Fetching, Self::Over];

    /// Its name in the database and for users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Submitted => "submitted",
            Self::Fetching => "fetching",
            Self::Over => "over",
        }
    }

    fn read(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Over)
    }
}

/// Lines of one batch that a provider's batch API answers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHandover {
    /// Its id, which goes with everything that is sent for it.
    pub id: String,
    /// The batch its lines belong to.
    pub batch: String,
    /// The deployment that was chosen for them.
    pub deployment: String,
    /// How far it is.
    pub state: HandoverState,
    /// When it was written down, in Unix seconds.
    pub made: u64,
    /// The provider's name for it, once that is known.
    pub upstream: Option<String>,
    /// How many lines it has.
    pub lines: u64,
    /// What else its maker knows of it; a text of the caller's.
    pub details: String,
}

/// A line at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedLine {
    /// The line.
    pub line: ClaimedLine,
    /// What was noted when it was handed over; a text of the caller's.
    pub note: String,
}

/// The result of a line that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedResult {
    /// The line's number.
    pub number: u64,
    /// How it ended.
    pub end: LineEnd,
    /// Its result.
    pub result: Vec<u8>,
    /// Its tokens, where they are known.
    pub usage: Option<LineUsage>,
}

/// How lines come back from a handover without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The provider never had them.
    NotSent,
    /// The provider had them and answered that it has no answer.
    Failed,
    /// Nobody knows whether the provider answered them.
    Unknown,
}

/// Figures about handovers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandoverStats {
    /// Handovers that are not over.
    pub open: u64,
    /// Lines at providers.
    pub lines: u64,
}

const COLUMNS: &str = "id, batch, deployment, state, made, upstream, lines, details";

impl Batches {
    /// Takes lines out of the queue of which nobody has decided yet how they are sent, oldest first. Until they are handed over or put
    /// back they are nobody's; the end of the process puts them back. `now` is in Unix milliseconds.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn gather(&self, batch: &str, now: u64, limit: usize) -> Result<Vec<ClaimedLine>, BatchStoreError> {
        let connection = self.writer();
        let gather = || {
            let transaction = connection.unchecked_transaction()?;
            let select = "SELECT number, custom_id, target, request, attempts, interrupted FROM lines
                WHERE batch = ?1 AND state = 0 AND way = 0 AND not_before <= ?2
                AND EXISTS (SELECT 1 FROM batches WHERE id = ?1 AND status = 'in_progress') ORDER BY number LIMIT ?3";
            let lines = {
                let mut statement = transaction.prepare_cached(select)?;
                let values = params![batch, signed(now), signed(limit as u64)];
                let rows = statement.query_map(values, |row| claimed(batch, row))?;
                rows.collect::<rusqlite::Result<Vec<_>>>()?
            };
            {
                let mark = "UPDATE lines SET state = 1, handover = '' WHERE batch = ?1 AND number = ?2";
                let mut mark = transaction.prepare_cached(mark)?;
                for line in &lines {
                    mark.execute(params![batch, signed(line.number)])?;
                }
            }
            transaction.commit()?;
            Ok(lines)
        };
        gather().map_err(|source| self.failed(source))
    }

    /// Puts gathered lines back: into the queue for good, or (`undecided`) as they were, not before a moment in Unix milliseconds.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn ungather(
        &self,
        batch: &str,
        numbers: &[u64],
        undecided: Option<u64>,
    ) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        let put_back = || {
            let transaction = connection.unchecked_transaction()?;
            {
                let update =
                    "UPDATE lines SET state = 0, handover = NULL, way = ?3, not_before = max(not_before, ?4)
                    WHERE batch = ?1 AND number = ?2 AND state = 1 AND handover = ''";
                let mut update = transaction.prepare_cached(update)?;
                let way = i64::from(undecided.is_none());
                let not_before = signed(undecided.unwrap_or(0));
                for number in numbers {
                    update.execute(params![batch, signed(*number), way, not_before])?;
                }
            }
            transaction.commit()
        };
        put_back().map_err(|source| self.failed(source))
    }

    /// Writes a handover down and binds gathered lines to it, each with a note. Nothing may be sent before this has returned.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn hand_over(
        &self,
        handover: &StoredHandover,
        lines: &[(u64, String)],
    ) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        let bind = || {
            let transaction = connection.unchecked_transaction()?;
            let insert =
                "INSERT INTO handovers (id, batch, deployment, state, made, upstream, lines, details)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let StoredHandover { id, batch, deployment, state, made, upstream, details, .. } = handover;
            let count = signed(lines.len() as u64);
            transaction.execute(
                insert,
                params![id, batch, deployment, state.name(), signed(*made), upstream, count, details],
            )?;
            {
                let update = "UPDATE lines SET handover = ?3, note = ?4
                    WHERE batch = ?1 AND number = ?2 AND state = 1 AND handover = ''";
                let mut update = transaction.prepare_cached(update)?;
                for (number, note) in lines {
                    update.execute(params![batch, signed(*number), id, note])?;
                }
            }
            transaction.commit()
        };
        bind().map_err(|source| self.failed(source))
    }

    /// All handovers, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn handovers(&self) -> Result<Vec<StoredHandover>, BatchStoreError> {
        let connection = self.writer();
        let search = || {
            let select = format!("SELECT {COLUMNS} FROM handovers ORDER BY id");
            let mut statement = connection.prepare_cached(&select)?;
            statement.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        search().map_err(|source| self.failed(source))
    }

    /// Figures of handovers.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn handover_stats(&self) -> Result<HandoverStats, BatchStoreError> {
        let connection = self.writer();
        let count = || {
            let open = "SELECT count(*) FROM handovers WHERE state <> 'over'";
            let lines = "SELECT count(*) FROM lines WHERE handover IS NOT NULL AND state = 1";
            let number = |select: &str| {
                connection.prepare_cached(select)?.query_row([], |row| row.get::<_, i64>(0)).map(unsigned)
            };
            Ok(HandoverStats { open: number(open)?, lines: number(lines)? })
        };
        count().map_err(|source| self.failed(source))
    }

    /// Writes down how far a handover is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn advance(&self, handover: &StoredHandover) -> Result<(), BatchStoreError> {
        let update = "UPDATE handovers SET state = ?2, upstream = ?3, details = ?4 WHERE id = ?1";
        let StoredHandover { id, state, upstream, details, .. } = handover;
        let written = self.writer().execute(update, params![id, state.name(), upstream, details]);
        written.map(|_| ()).map_err(|source| self.failed(source))
    }

    /// Lines of a handover that have no result yet, of those with some numbers.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn handed_lines(
        &self,
        handover: &StoredHandover,
        numbers: &[u64],
    ) -> Result<Vec<HandedLine>, BatchStoreError> {
        let connection = self.writer();
        let search = || {
            let select = "SELECT number, custom_id, target, request, attempts, interrupted, note FROM lines
                WHERE batch = ?1 AND number = ?2 AND handover = ?3 AND state = 1";
            let mut statement = connection.prepare_cached(select)?;
            let mut lines = Vec::new();
            for number in numbers {
                let found = statement
                    .query_row(params![handover.batch, signed(*number), handover.id], |row| {
                        let note = row.get::<_, Option<String>>(6)?.unwrap_or_default();
                        Ok(HandedLine { line: claimed(&handover.batch, row)?, note })
                    })
                    .optional()?;
                lines.extend(found);
            }
            Ok(lines)
        };
        search().map_err(|source| self.failed(source))
    }

    /// Writes results of lines of a handover, all or none; returns the numbers of those that had none before.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn finish_handed(
        &self,
        handover: &StoredHandover,
        results: &[HandedResult],
    ) -> Result<Vec<u64>, BatchStoreError> {
        let connection = self.writer();
        let write = || {
            let transaction = connection.unchecked_transaction()?;
            let mut written = Vec::new();
            for HandedResult { number, end, result, usage } in results {
                let is_open = "SELECT EXISTS (SELECT 1 FROM lines
                    WHERE batch = ?1 AND number = ?2 AND handover = ?3 AND state = 1)";
                let values = params![handover.batch, signed(*number), handover.id];
                if transaction.prepare_cached(is_open)?.query_row(values, |row| row.get::<_, bool>(0))? {
                    finish(&transaction, &handover.batch, *number, *end, result, *usage)?;
                    written.push(*number);
                }
            }
            transaction.commit()?;
            Ok(written)
        };
        write().map_err(|source| self.failed(source))
    }

    /// Puts lines of a handover without a result back into the queue, where they are sent one by one: those with some numbers, or all.
    /// Returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn return_lines(
        &self,
        handover: &StoredHandover,
        numbers: Option<&[u64]>,
        why: Return,
    ) -> Result<usize, BatchStoreError> {
        let connection = self.writer();
        let (attempted, interrupted) = match why {
            Return::NotSent => (0, 0),
            Return::Failed => (1, 0),
            Return::Unknown => (1, 1),
        };
        let put_back = || {
            let transaction = connection.unchecked_transaction()?;
            let update = "UPDATE lines SET state = 0, way = 1, handover = NULL, note = NULL, not_before = 0,
                attempts = attempts + ?3, interrupted = interrupted + ?4
                WHERE batch = ?1 AND handover = ?2 AND state = 1 AND (?5 IS NULL OR number = ?5)";
            let mut count = 0;
            {
                let mut update = transaction.prepare_cached(update)?;
                let mut one = |number: Option<u64>| {
                    let number = number.map(signed);
                    update.execute(params![handover.batch, handover.id, attempted, interrupted, number])
                };
                match numbers {
                    None => count += one(None)?,
                    Some(numbers) => {
                        for number in numbers {
                            count += one(Some(*number))?;
                        }
                    }
                }
            }
            transaction.commit()?;
            Ok(count)
        };
        put_back().map_err(|source| self.failed(source))
    }

    /// Forgets a handover none of whose lines is open.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_handover(&self, id: &str) -> Result<(), BatchStoreError> {
        let delete = "DELETE FROM handovers WHERE id = ?1
            AND NOT EXISTS (SELECT 1 FROM lines WHERE handover = ?1 AND state = 1)";
        let written = self.writer().execute(delete, [id]);
        written.map(|_| ()).map_err(|source| self.failed(source))
    }
}

/// Puts back what a process gathered and had not handed over when it ended: nothing of it was sent.
pub(super) fn forget_gathered(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute("UPDATE lines SET state = 0, handover = NULL WHERE state = 1 AND handover = ''", [])
}

fn claimed(batch: &str, row: &Row<'_>) -> rusqlite::Result<ClaimedLine> {
    Ok(ClaimedLine {
        batch: batch.to_owned(),
        number: unsigned(row.get(0)?),
        custom_id: row.get(1)?,
        target: row.get(2)?,
        request: Bytes::from(row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default()),
        attempts: row.get(4)?,
        interrupted: row.get(5)?,
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredHandover> {
    Ok(StoredHandover {
        id: row.get(0)?,
        batch: row.get(1)?,
        deployment: row.get(2)?,
        state: HandoverState::read(&row.get::<_, String>(3)?),
        made: unsigned(row.get(4)?),
        upstream: row.get(5)?,
        lines: unsigned(row.get(6)?),
        details: row.get(7)?,
    })
}
