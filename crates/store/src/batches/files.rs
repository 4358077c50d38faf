//! Files in chunks.
//!
//! Owns uploads piece by piece, reading piece by piece, lists and deletion. A file of results has no chunks: it is read from the
//! lines of its batch, so that results are kept once.

use super::{BatchStoreError, Batches, Results, StoredFile, signed, unsigned};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

const COLUMNS: &str = "id, owner, created, expires, name, purpose, bytes, batch, part";

/// Which files of an owner are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileQuery {
    /// Only of this purpose.
    pub purpose: Option<String>,
    /// Only behind the file of this id.
    pub after: Option<String>,
    /// Oldest first.
    pub ascending: bool,
    /// Files at the most.
    pub limit: usize,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePiece {
    /// What to ask for next; `None` at the end.
    pub next: Option<u64>,
    /// The bytes.
    pub data: Bytes,
}

/// The most lines of results read at a time, and bytes at which fewer are.
const PAGE: usize = 64;
const PAGE_BYTES: usize = 1 << 20;

impl Batches {
    /// Begins a file; nobody sees it before it is complete.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin_file(&self, file: &StoredFile) -> Result<(), BatchStoreError> {
        let insert = "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, NULL, NULL)";
        let values = params![
            file.id,
            file.owner,
            signed(file.created),
            file.expires.map(signed),
            file.name,
            file.purpose,
        ];
        let written = self.writer().execute(insert, values);
        written.map(|_| ()).map_err(|source| self.failed(source))
    }

    /// Adds a piece to a file; pieces are numbered from 0.
    ///
    /// # Errors
    /// When there is no room, or the database cannot be written.
    pub fn append(&self, id: &str, number: u64, data: &[u8]) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        self.room(&connection, data.len() as u64)?;
        let write = || {
            let transaction = connection.unchecked_transaction()?;
            transaction
                .execute("INSERT INTO chunks VALUES (?1, ?2, ?3)", params![id, signed(number), data])?;
            let grow = "UPDATE files SET bytes = bytes + ?2 WHERE id = ?1";
            transaction.execute(grow, params![id, signed(data.len() as u64)])?;
            transaction.commit()
        };
        write().map_err(|source| self.failed(source))
    }

    /// Makes a file visible, with what is known of it at its end.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn finish_file(&self, file: &StoredFile) -> Result<StoredFile, BatchStoreError> {
        let connection = self.writer();
        let finish = "UPDATE files SET complete = 1, name = ?2, purpose = ?3, expires = ?4, created = ?5
            WHERE id = ?1 RETURNING bytes";
        let values =
            params![file.id, file.name, file.purpose, file.expires.map(signed), signed(file.created)];
        let bytes = connection.query_row(finish, values, |row| row.get::<_, i64>(0));
        let bytes = bytes.map_err(|source| self.failed(source))?;
        Ok(StoredFile { bytes: unsigned(bytes), ..file.clone() })
    }

    /// Forgets a file that will not be finished.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn abandon_file(&self, id: &str) -> Result<(), BatchStoreError> {
        let connection = self.writer();
        forget(&connection, id).map_err(|source| self.failed(source))
    }

    /// A file of an owner.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn file(&self, owner: &str, id: &str) -> Result<Option<StoredFile>, BatchStoreError> {
        let connection = self.reader();
        find(&connection, owner, id).map_err(|source| self.failed(source))
    }

    /// Files of an owner, and whether there are more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn files(&self, owner: &str, query: &FileQuery) -> Result<(Vec<StoredFile>, bool), BatchStoreError> {
        let (order, beyond) = if query.ascending { ("ASC", ">") } else { ("DESC", "<") };
        let select = format!(
            "SELECT {COLUMNS} FROM files WHERE owner = ?1 AND complete = 1 AND (?2 IS NULL OR purpose = ?2)
             AND (?3 IS NULL OR id {beyond} ?3) ORDER BY id {order} LIMIT ?4"
        );
        let connection = self.reader();
        let limit = signed(query.limit as u64 + 1);
        let search = || {
            let mut statement = connection.prepare_cached(&select)?;
            let rows = statement.query_map(params![owner, query.purpose, query.after, limit], read)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut files = search().map_err(|source| self.failed(source))?;
        let has_more = files.len() > query.limit;
        files.truncate(query.limit);
        Ok((files, has_more))
    }

    /// Deletes a file of an owner; tells whether it was there. With a file of results go the results.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn delete_file(&self, owner: &str, id: &str) -> Result<bool, BatchStoreError> {
        let connection = self.writer();
        let delete = || {
            let Some(file) = find(&connection, owner, id)? else { return Ok(false) };
            let transaction = connection.unchecked_transaction()?;
            if let Some((batch, part)) = &file.results {
                let states = part.states();
                let shrink = format!(
                    "UPDATE batches SET bytes = max(0, bytes - (SELECT coalesce(sum(length(result)), 0) FROM lines
                     WHERE batch = ?1 AND state IN {states})) WHERE id = ?1"
                );
                transaction.execute(&shrink, [batch])?;
                let empty = format!("UPDATE lines SET result = NULL WHERE batch = ?1 AND state IN {states}");
                transaction.execute(&empty, [batch])?;
            }
            forget(&transaction, id)?;
            transaction.commit()?;
            Ok(true)
        };
        delete().map_err(|source| self.failed(source))
    }

    /// A piece of a file, from where the last one ended; 0 begins.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn piece(&self, file: &StoredFile, from: u64) -> Result<FilePiece, BatchStoreError> {
        if let Some((batch, part)) = &file.results {
            return self.results(batch, *part, from);
        }
        let connection = self.reader();
        let select = "SELECT data FROM chunks WHERE file = ?1 AND number = ?2";
        let found = connection
            .query_row(select, params![file.id, signed(from)], |row| row.get::<_, Vec<u8>>(0))
            .optional()
            .map_err(|source| self.failed(source))?;
        Ok(match found {
            Some(data) => FilePiece { next: Some(from + 1), data: data.into() },
            None => FilePiece { next: None, data: Bytes::new() },
        })
    }

    /// Results of a batch in the order of its lines, one per line of text, behind the line of a number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn results(&self, batch: &str, which: Results, after: u64) -> Result<FilePiece, BatchStoreError> {
        let connection = self.reader();
        let select = format!(
            "SELECT number, result FROM lines WHERE batch = ?1 AND number > ?2 AND state IN {} AND result IS NOT NULL
             ORDER BY number LIMIT {PAGE}",
            which.states()
        );
        let search = || {
            let mut data = Vec::new();
            let mut next = None;
            let mut statement = connection.prepare_cached(&select)?;
            let mut rows = statement.query(params![batch, signed(after)])?;
            while let Some(row) = rows.next()? {
                next = Some(unsigned(row.get(0)?));
                data.extend_from_slice(row.get_ref(1)?.as_blob()?);
                data.push(b'\n');
                if data.len() >= PAGE_BYTES {
                    break;
                }
            }
            Ok(FilePiece { next, data: data.into() })
        };
        search().map_err(|source| self.failed(source))
    }
}

impl Batches {
    /// How many bytes [`Batches::results`] give in all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn results_length(&self, batch: &str, which: Results) -> Result<u64, BatchStoreError> {
        let select = format!(
            "SELECT coalesce(sum(length(result) + 1), 0) FROM lines WHERE batch = ?1 AND state IN {}",
            which.states()
        );
        let length = self.reader().query_row(&select, [batch], |row| row.get::<_, i64>(0));
        length.map(unsigned).map_err(|source| self.failed(source))
    }
}

fn find(connection: &Connection, owner: &str, id: &str) -> rusqlite::Result<Option<StoredFile>> {
    let select = format!("SELECT {COLUMNS} FROM files WHERE owner = ?1 AND id = ?2 AND complete = 1");
    connection.prepare_cached(&select)?.query_row([owner, id], read).optional()
}

pub(super) fn forget(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM chunks WHERE file = ?1", [id])?;
    connection.execute("DELETE FROM files WHERE id = ?1", [id])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredFile> {
    let batch: Option<String> = row.get(7)?;
    let part: Option<i64> = row.get(8)?;
    let part = if part == Some(1) { Results::Failed } else { Results::Succeeded };
    Ok(StoredFile {
        id: row.get(0)?,
        owner: row.get(1)?,
        created: unsigned(row.get(2)?),
        expires: row.get::<_, Option<i64>>(3)?.map(unsigned),
        name: row.get(4)?,
        purpose: row.get(5)?,
        bytes: unsigned(row.get(6)?),
        results: batch.map(|batch| (batch, part)),
    })
}
