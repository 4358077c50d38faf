//! The local journal: where records go when the database cannot take them.
//!
//! Owns one append-only file of JSON lines beside the database. Must not interpret records. A line is complete only with its
//! newline, so a crash in the middle of a write loses at most that line, and replay is exactly-once because the database
//! ignores ids it already has and the file is removed only after that commit.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use trunkline_model::record::RequestRecord;

/// The journal of one database.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    limit: u64,
}

impl Journal {
    /// The journal at a path, at most `limit` bytes; nothing is created before the first append.
    pub(crate) fn new(path: PathBuf, limit: u64) -> Self {
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path, file: None, bytes, limit }
    }

    /// Appends records in one write.
    pub(crate) fn append(&mut self, records: &[RequestRecord]) -> io::Result<()> {
        let mut text = Vec::with_capacity(records.len() * 1_024);
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        if self.bytes.saturating_add(text.len() as u64) > self.limit {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the journal is at its size limit"));
        }
        if self.file.is_none() {
            let torn = ends_torn(&self.path)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            if torn {
                // A line cut by a crash is closed, so that it does not swallow the first new one.
                file.write_all(b"\n")?;
            }
            self.file = Some(file);
        }
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("the journal is closed"))?;
        let written = file.write_all(&text);
        self.bytes = self.path.metadata().map_or(self.bytes, |metadata| metadata.len());
        written
    }

    /// Whether there is anything to replay.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes waiting.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands all records to `take` in batches; when every batch was taken the file is removed. Unreadable lines are counted.
    pub(crate) fn replay<E>(
        &mut self,
        mut take: impl FnMut(&mut [RequestRecord]) -> Result<(), E>,
    ) -> Result<Replayed, ReplayError<E>> {
        let mut replayed = Replayed::default();
        let Ok(file) = File::open(&self.path) else { return Ok(replayed) };
        self.file = None;
        let mut batch = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(ReplayError::Read)?;
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice::<RequestRecord>(&line) {
                Ok(record) => batch.push(record),
                Err(_) => replayed.unreadable += 1,
            }
            if batch.len() >= 512 {
                take(&mut batch).map_err(ReplayError::Take)?;
                replayed.records += batch.len();
                batch.clear();
            }
        }
        take(&mut batch).map_err(ReplayError::Take)?;
        replayed.records += batch.len();
        std::fs::remove_file(&self.path).map_err(ReplayError::Read)?;
        self.bytes = 0;
        Ok(replayed)
    }
}

/// What a replay brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Records handed over.
    pub(crate) records: usize,
    /// Lines cut by a crash.
    pub(crate) unreadable: usize,
}

/// Why a replay stopped.
#[derive(Debug)]
pub(crate) enum ReplayError<E> {
    /// The file could not be read or removed.
    Read(io::Error),
    /// The database did not take a batch.
    Take(E),
}

fn ends_torn(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = File::open(path) else { return Ok(false) };
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0u8];
    file.read_exact(&mut last)?;
    Ok(last[0] != b'\n')
}
